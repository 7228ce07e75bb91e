"""Peers at their worst: what is relayed as bytes, connections that end half way, and what a peer could
make grow."""
import fcntl
import hashlib
import os
import signal
import socket
import threading
import time

from harness import fakes
from harness.case import DaemonCase
from lab import mail

F_SETPIPE_SZ = 1031  # <linux/fcntl.h>
HELLO = fakes.EHLO.replace("250 8BITMIME", "250-AUTH PLAIN\r\n250 8BITMIME").encode() + b"\r\n"


class Script:
    """A backend whose sessions are functions of the socket and its lines."""

    def __init__(self, case, play):
        self.play, self.open = play, []
        self.socket = socket.socket(socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((case.place.backend, 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        case.addCleanup(self.stop)

    def stop(self):
        for s in [self.socket] + self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            self.open.append(s)
            threading.Thread(target=self._run, args=(s,), daemon=True).start()

    def _run(self, s):
        try:
            s.sendall(b"220 script.lab-hosting.net ESMTP\r\n")
            with s.makefile("rb") as f:
                self.play(s, f)
        except (OSError, ValueError):
            pass
        s.close()


def answer_until(s, f, verb):
    """As a mail server does, up to a command, which is left unanswered. False: there was none."""
    for line in iter(f.readline, b""):
        word = line.split()[0].upper() if line.split() else b""
        if word == verb:
            return True
        s.sendall(HELLO if word == b"EHLO" else b"250 ok\r\n")
    return False


def read_all(sock):
    got = []
    try:
        for piece in iter(lambda: sock.recv(1 << 20), b""):
            got.append(piece)
    except OSError as e:
        got.append(b"<%s>" % str(e).encode())
    return b"".join(got)


def pour(sock, data):
    def run():
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    t = threading.Thread(target=run, daemon=True)
    t.start()
    return t


def noise(n, seed):
    return hashlib.shake_128(seed).digest(1 << 16) * (n >> 16)


class Relay(DaemonCase):
    def login(self, play):
        """Logged in at a backend that plays on from there."""
        self.need_client_source()

        def session(s, f):
            if answer_until(s, f, b"AUTH"):
                play(s, f)
        d = self.serve(Script(self, session))
        c = self.connect(d, self.bot())
        c.send(b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n")
        return d, c

    def test_a_flood_behind_the_reply_to_a_login(self):
        """All of it there at once, and more than is read at once: a daemon that was held up."""
        self.need_client_source()
        line = b"250-" + b"n" * 400 + b"\r\n"
        long = line * 20 + b"250 ok\r\n"
        flood = b"250 " + b"x" * (1 << 20) + b"\r\n"

        def play(s, f):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            f.readline()
            s.sendall(b"250-fake\r\n250 AUTH PLAIN\r\n")
            for command in iter(f.readline, b""):
                if command.startswith(b"AUTH"):
                    break
                s.sendall(long)
            else:
                return
            os.kill(daemon[0], signal.SIGSTOP)
            threading.Timer(1, os.kill, (daemon[0], signal.SIGCONT)).start()
            s.sendall(b"235 in\r\n" + flood)
        daemon = []
        d = self.serve(Script(self, play))
        daemon.append(d.pid)
        c = self.connect(d, self.bot())
        for _ in range(20):  # so that the kernel holds more for this connection
            c.send(b"NOOP\r\n" * 200)
            for _ in range(200):
                c.read()
        c.send(b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n")
        got = read_all(c.sock)
        self.assertTrue(got == b"235 in\r\n" + flood, "%d octets: %r..." % (len(got), got[:60]))
        self.assertIsNone(d.process.poll())

    def test_both_directions_at_once(self):
        up, down, seen = noise(24 << 20, b"up"), noise(24 << 20, b"down"), []

        def play(s, f):
            s.sendall(b"235 in\r\n")
            writer = pour(s, down)
            seen.append(f.read())
            writer.join()
        d, c = self.login(play)
        c.sock.settimeout(30)
        writer = pour(c.sock, up)
        got = read_all(c.sock)
        writer.join()
        self.assertTrue(got == b"235 in\r\n" + down, "%d octets: %r" % (len(got), got[-30:]))
        self.wait("the backend read all", lambda: seen)
        self.assertTrue(seen[0] == up, "%d octets" % len(seen[0]))

    def test_last_words_of_a_backend_that_gives_up(self):
        """It closes with octets of the client unread, so the kernel resets; its words still count."""
        last = b"421 4.3.0 " + b"y" * 4000 + b"\r\n"

        def play(s, f):
            s.sendall(b"235 in\r\n")
            s.recv(1000)
            s.sendall(last)
            time.sleep(0.3)
        d, c = self.login(play)
        self.assert_code(c.read(), 235)
        c.send(b"DATA\r\n")
        writer = pour(c.sock, b"z" * (8 << 20))
        got = read_all(c.sock)
        writer.join()
        self.assertTrue(got.startswith(last), got[:80])

    def test_a_trusted_client_hears_that_the_backend_is_down(self):
        self.need_client_source()
        backend = Script(self, lambda s, f: None)
        backend.stop()
        bot = self.bot()
        d = self.serve(backend, trusted=[bot])
        c = self.connect(d, bot, greet=False)
        self.assert_code(c.read(), 421, "421 4.3.0 ")
        self.assertRaises(mail.Closed, c.read)


class HalfWay(DaemonCase):
    def big(self, play):
        """A client that pours a message at a backend which plays on behind 354."""
        def session(s, f):
            if answer_until(s, f, b"DATA"):
                s.sendall(b"354 go on\r\n")
                play(s, f)
        d = self.serve(Script(self, session))
        c = self.connect(d, self.bot())
        c.cmd("MAIL FROM:<big@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)
        self.assert_code(c.cmd("DATA"), 354)
        try:
            c.send((b"x" * 998 + b"\r\n") * 8000 + b".\r\n")
        except mail.Closed:
            pass
        return c

    def test_a_backend_that_refuses_in_mid_message_and_closes(self):
        """With a reset, since octets are unread. Never without a word to the client."""
        for words, codes in ((b"552 5.3.4 too big\r\n", (421, 451, 552)), (b"", (421, 451))):
            for wait in (0, 0.3):
                with self.subTest("%r %s" % (words, wait)):
                    def play(s, f):
                        s.recv(65536)
                        s.sendall(words)
                        time.sleep(wait)
                    self.assertIn(self.big(play).read().code, codes)

    def test_a_client_that_has_said_all_reads_all(self):
        """It closes its side and reads late: what was answered, and the last words."""
        d = self.serve(self.fake({"NOOP": "250 " + "n" * 480, "VRFY": fakes.CLOSE}), limits={"commands": 0})
        c = self.connect(d, self.bot())
        n = 12000
        pour(c.sock, b"NOOP\r\n" * n + b"VRFY x\r\n")
        time.sleep(3)
        got = read_all(c.sock)
        self.assertEqual(got.count(b"250 nnn"), n)
        self.assertIn(b"\r\n421 4.3.0 ", got[-300:])

    def test_a_reply_is_not_lost_to_what_follows_it(self):
        """On the way out the reply to a message is followed by 421; the client's next commands, under
        way meanwhile, must not reset the connection before it has read both."""
        d = self.serve(self.fake({".": lambda: time.sleep(1) or "250 taken"}))
        c = self.connect(d, self.bot())
        c.cmd("MAIL FROM:<l@lab-sender.net>")
        c.cmd("RCPT TO:<u@%s>" % self.name("self"))
        self.assert_code(c.cmd("DATA"), 354)
        c.send(b"x\r\n.\r\n")
        time.sleep(0.2)
        d.process.send_signal(signal.SIGTERM)
        time.sleep(1.2)
        c.send(b"RSET\r\n")
        time.sleep(0.1)
        c.send(b"RSET\r\n")
        self.assertRegex(read_all(c.sock), rb"\A250 taken\r\n421 4\.3\.2 [^\r\n]*\r\n\Z")


class Growth(DaemonCase):
    def assert_grown_less(self, d, before, kib):
        with open(self.place.daemon, "rb") as f:
            kib *= 8 if b"__asan_init" in f.read() else 1  # it keeps what was freed
        self.assertLess(self.place.resident(d.pid) - before, kib)

    def test_garbage_is_answered_in_bounded_memory(self):
        d = self.serve()
        before = self.place.resident(d.pid)
        clients = []
        for _ in range(10):
            c = self.connect(d, self.bot())
            c.sock.settimeout(0.3)
            sent = 0
            try:
                while sent < 32 << 20:
                    sent += c.sock.send(b"X\r\n" * 20000)
            except OSError:
                pass
            clients.append(c)
        self.assert_grown_less(d, before, 10 * 2048)
        for c in clients:
            self.abort(c)
        self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)

    def test_questions_of_clients_that_have_gone(self):
        """A resolver that never answers, and clients that ask and leave: they don't pile up."""
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        silent.bind((self.place.plan.unbound, 0))
        self.addCleanup(silent.close)
        d = self.serve(self.fake(), resolver={"servers": ["%s:%d" % silent.getsockname()],
                                              "timeout_ms": 5000})
        time.sleep(1)
        before = self.place.resident(d.pid)
        number = 0
        for _ in range(600):
            c = self.connect(d, self.bot())
            lines = ["MAIL FROM:<>"]
            for _ in range(250):
                number += 1
                lines.append("RCPT TO:<u@%s%d.net>" % ("q" * 50, number))
            c.send("".join(x + "\r\n" for x in lines).encode())
            self.assert_code(c.read(), 250)
            self.abort(c)
        time.sleep(0.5)
        self.assert_grown_less(d, before, 64 << 10)  # 150,000 questions
        d.process.kill()
        d.process.wait()


class Fronts(DaemonCase):
    def test_what_was_offered_is_what_the_backend_takes(self):
        """It offers less than it did when its words were learned. A client that was greeted with them
        must not be told 5xx for relying on them."""
        offers = ["250-fake.lab-hosting.net\r\n250-8BITMIME\r\n250 SMTPUTF8"]
        mail_from = ["250 ok"]
        backend = self.fake({"EHLO": lambda: offers[-1], "MAIL": lambda: mail_from[-1]})
        d = self.serve(backend, domains=[{"name": self.name("acme", 1), "action": "reject"}])
        self.hear(d)
        bot = self.bot()
        c = self.connect(d, bot)
        c.cmd("MAIL FROM:<f@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)
        c.cmd("QUIT")
        c.close()
        offers.append("250-fake.lab-hosting.net\r\n250 PIPELINING")
        mail_from.append("555 5.5.4 unsupported option: BODY")
        time.sleep(0.2)
        c = self.connect(d, bot)
        self.assertTrue(c.offers("8BITMIME"))
        self.assert_code(c.cmd("MAIL FROM:<f@lab-sender.net> BODY=8BITMIME"), 250)
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 421)
        c.close()
        time.sleep(0.2)
        # The next time it hears what is offered now.
        mail_from.append("250 ok")
        c = self.connect(d, bot)
        self.assertFalse(c.offers("8BITMIME"))
        c.cmd("MAIL FROM:<f@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)


class Ends(DaemonCase):
    def test_while_a_backend_is_being_asked(self):
        """It accepts and says nothing: the question takes its time, the end does not."""
        def play(s, f):
            pass
        backend = Script(self, play)
        backend._run = lambda s: time.sleep(60)
        d = self.serve(backend)
        time.sleep(6)  # it is asked again each 5 s, for 3 s
        start = time.monotonic()
        d.process.terminate()
        d.process.wait(20)
        self.assertEqual(d.process.returncode, 0)
        self.assertLess(time.monotonic() - start, 4)

    def test_in_the_middle_of_everything(self):
        """Clients of all kinds at work when the signal comes: what the backend took was answered."""
        backend = self.fake()
        d = self.serve(backend, domains=[{"name": self.name("acme", 1), "action": "reject"}])
        self.hear(d)
        taken = [len(backend.messages)]
        stop, lock = threading.Event(), threading.Lock()

        def mix(source, number):
            i = 0
            while not stop.is_set():
                i += 1
                to = self.name("acme", 1) if (i + number) % 3 else self.name("self")
                try:
                    with mail.Smtp(self.place.host, source, self.place.server, d.port, timeout=10) as c:
                        for _ in range(1 + i % 2):
                            _, final = c.mail("m@lab-sender.net", ["u@" + to], b"x\r\n" * 3000)
                            if final and final.code == 250:
                                with lock:
                                    taken[0] += 1
                        if i % 2:
                            c.cmd("QUIT")
                except (mail.Closed, OSError):
                    pass
        team = [threading.Thread(target=mix, args=(self.bot(), n)) for n in range(12)]
        for t in team:
            t.start()
        time.sleep(3)
        d.process.terminate()
        d.process.wait(20)
        stop.set()
        for t in team:
            t.join()
        self.assertEqual(d.process.returncode, 0, d.tail(20))
        self.assertGreater(taken[0], 50)
        self.assertEqual(taken[0], len(backend.messages))

    def test_with_events_that_nobody_reads(self):
        conf = self.conf()
        path = os.path.join(conf.dir, "fifo")
        os.mkfifo(path)
        reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, F_SETPIPE_SZ, 4096)
        d = self.serve(events={"json": path})
        c = self.connect(d, self.bot())
        for _ in range(30):
            c.cmd("MAIL FROM:<m@lab-sender.net>")
            self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)
            c.cmd("RSET")
        time.sleep(0.3)
        d.process.terminate()
        self.assertEqual(d.process.wait(12), 0)
        self.assertIn("the last events are lost", d.log_text())


class Descriptors(DaemonCase):
    def test_when_there_are_no_more(self):
        """Clients that find none are told 421 or wait; when some are free again all is as before."""
        d = self.serve(descriptors=64)
        clients = []
        for _ in range(80):
            clients.append(self.connect(d, self.bot(), greet=False))
        time.sleep(2)
        self.assertIsNone(d.process.poll())
        for c in clients:
            self.abort(c)
        # Those that still waited to be accepted are taken, and found gone, only now.
        self.wait("descriptors that are free again", lambda: self.place.backlog(d.port) == 0 and
                  len(os.listdir("/proc/%d/fd" % d.process.pid)) < 32)
        for _ in range(4):
            self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)
        self.assertLess(d.log_text().count("can't accept"), 12)

    def test_a_listener_does_not_connect_to_itself(self):
        """Steered connections go to the server's port; one that asks for the listener's own would come
        back for ever, and take them all."""
        self.need_client_source()
        d = self.serve(descriptors=256, listener={"mode": "tproxy", "backend": None})
        c = self.connect(d, self.bot(), greet=False)
        self.assertRaises(mail.Closed, c.read)
        self.assertNotIn("Too many open files", d.log_text())
