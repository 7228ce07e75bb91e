"""At a limit: 421 with a reason, mail of those that must get through, and nothing that spins."""
import itertools
import os
import resource
import signal
import socket
import ssl
import time

from harness import fakes
from harness.talk import ACCEPT, BALANCER, TLS, Talk
from lab import mail


class Limits(Talk):
    def hold(self, d, source, n):
        """That many sessions at once, greeted."""
        held = [self.connect(d, source) for _ in range(n)]
        for c in held:
            self.assert_code(c.banner, 220)
        return held

    def refused(self, d, source, *words, code=421):
        c = self.dial(d, source)
        reply = c.read()
        self.assert_code(reply, code, *words)
        self.assertEqual(self.hears(c), b"")
        return reply

    def told(self, d, limit, words):
        """One line in the log and one note, of that limit."""
        line = d.wait_log("limit=%s " % limit)
        self.assertIn(words, line)
        self.assertEqual(d.log_text().count("limit=%s " % limit), 1)
        self.wait("the note", lambda: d.notes("limit"))
        self.assertIn("limit=" + limit, d.notes("limit")[0]["text"])


class Connections(Limits):
    def test_of_one_client(self):
        d = self.serve(limits={"per_client": 3})
        bot = self.bot()
        held = self.hold(d, bot, 3)
        for _ in range(20):
            self.refused(d, bot, "4.7.0", "too many connections from you")
        self.hold(d, self.bot(), 1)
        self.told(d, "limit_client", "client=" + bot)
        held[0].cmd("QUIT")
        self.wait("a place", lambda: self.greeted(d, bot))

    def greeted(self, d, source):
        c = self.dial(d, source)
        return c.read().code == 220

    def test_new_ones_a_minute(self):
        d = self.serve(limits={"per_client_rate": 60})
        bot = self.bot()
        # Ten seconds' worth may come at once; a few more come while time goes by.
        codes = [self.dial(d, bot).read().code for _ in range(60)]
        self.assertEqual(codes[:10], [220] * 10)
        self.assertIn(421, codes)
        self.told(d, "limit_rate", "too many new connections")
        self.hold(d, self.bot(), 1)
        self.wait("a second to go by", lambda: self.greeted(d, bot))

    def test_in_all_with_a_share_for_those_that_must_get_through(self):
        """A flood takes all that it may; a trusted client and a scanner get through all the same."""
        trusted = self.bot()
        d = self.serve(source="self", trusted=[trusted], limits={"connections": 20, "per_client": 0})
        self.hear(d)
        time.sleep(0.5)  # until that session has ended here too
        for _ in range(5):
            self.hold(d, self.bot(), 3)
        self.refused(d, self.bot(), "4.3.2", "too many connections in all")
        for source, recipient in ((trusted, "u@" + self.name("self")), (self.acme, "u@" + self.name("acme"))):
            for _ in range(3):
                sender, reply = self.send_one(d, source, recipient)
                self.assert_code(reply, 250)
                self.assert_delivered(sender, recipient)
        self.refused(d, self.bot(), "4.3.2")
        self.told(d, "limit_total", "too many connections in all")

    def test_the_share_outlives_a_restart(self):
        """Of scanners that were known before, when a flood is there first."""
        state = os.path.join(self.place.new_dir("state"), "state.db")
        d = self.serve(state=state, limits={"connections": 20, "per_client": 0})
        self.hear(d)
        d.stop()
        d.start()
        for _ in range(5):
            self.hold(d, self.bot(), 3)
        self.refused(d, self.bot(), "4.3.2", "too many connections in all")
        self.hear(d)

    def test_flood_that_comes_again_and_again(self):
        """Refused ones are cheap: honest mail goes on while a client connects as fast as it can."""
        d = self.serve(limits={"per_client": 5})
        bad = self.bot()
        self.hold(d, bad, 5)
        used = self.cpu(d)
        n = 0
        end = time.monotonic() + 3
        while time.monotonic() < end:
            self.refused(d, bad, "4.7.0")
            n += 1
            if n % 100 == 0:
                self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)
        self.assertGreater(n, 100)
        print("     %d refused, %.2f ms of processor each" % (n, (self.cpu(d) - used) / n * 1000))
        self.assertEqual(d.log_text().count("limit=limit_client"), 1)

    def cpu(self, d):
        with open("/proc/%d/stat" % d.pid) as f:
            col = f.read().rpartition(")")[2].split()
        return (int(col[11]) + int(col[12])) / os.sysconf("SC_CLK_TCK")

    def test_behind_a_load_balancer_each_client_counts(self):
        d = self.serve(source="self", limits={"per_client": 2}, listener=ACCEPT)
        one, other = self.bot(), self.bot()
        for _ in range(2):
            self.introduced(d, self.header("v1", one))
        for _ in range(3):
            c = self.dial(d, BALANCER, self.header("v1", one))
            self.assert_code(c.read(), 421, "4.7.0", "too many connections from you")
            self.assertEqual(self.hears(c), b"")
        self.introduced(d, self.header("v1", other))

    def test_other_numbers_count_at_once(self):
        d = self.serve(limits={"per_client": 1})
        bot = self.bot()
        self.hold(d, bot, 1)
        self.refused(d, bot, "4.7.0")
        d.conf.conf["limits"]["per_client"] = 3
        d.conf.write()
        d.process.send_signal(signal.SIGHUP)
        d.wait_log("reloaded;")
        self.wait("two places more", lambda: self.greeted(d, bot))
        self.hold(d, bot, 1)

    def test_encrypted_from_the_first_octet_nothing_is_said_in_the_clear(self):
        d = self.serve(source="self", tls=TLS, limits={"per_client": 1}, listener={"tls": "implicit"})
        bot = self.bot()
        context = ssl._create_unverified_context()
        c = self.dial(d, bot)
        with context.wrap_socket(c.sock) as s:
            self.assertTrue(s.recv(100).startswith(b"220 "))
            self.assertEqual(self.hears(self.dial(d, bot)), b"")
        self.told(d, "limit_client", "too many connections from you")


class Descriptors(Limits):
    def test_used_up(self):
        """Clients that find none are told so at once, and the daemon does not spin meanwhile."""
        d = self.serve(workers=1)
        self.hold(d, self.bot(), 5)
        fds = len(os.listdir("/proc/%d/fd" % d.pid))
        soft, hard = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (fds, hard))
        for _ in range(50):
            self.refused(d, self.bot(), "4.3.2")
        self.told(d, "limit_total", "no descriptors left")
        before = self.ticks(d)
        time.sleep(2)
        self.assertLess(self.ticks(d) - before, 20)
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)

    def ticks(self, d):
        with open("/proc/%d/stat" % d.pid) as f:
            col = f.read().rpartition(")")[2].split()
        return int(col[11]) + int(col[12])

    def test_more_sessions_than_descriptors_are_not_promised(self):
        d = self.serve(descriptors=64, limits={"connections": 1000})
        d.wait_log("limits.connections: 1000, but our descriptors")


class InOneSession(Limits):
    def test_commands(self):
        d = self.serve(limits={"commands": 20})
        c = self.connect(d, self.bot())
        codes = [c.cmd("NOOP").code for _ in range(19)]
        self.assertEqual(set(codes), {250})
        self.assert_code(c.cmd("NOOP"), 421, "4.7.0", "too many commands in one session")
        self.assertEqual(self.hears(c), b"")
        self.told(d, "limit_commands", "too many commands")

    def test_commands_pipelined(self):
        """All before the limit is answered, a message among it too."""
        fake = self.fake()
        d = self.serve(fake, limits={"commands": 20})
        c = self.connect(d, self.bot())
        c.cmd("MAIL FROM:<%s>" % mail.token())
        c.cmd("RCPT TO:<u@%s>" % self.name("self"))
        self.assert_code(c.cmd("DATA"), 354)
        c.send(b"x\r\n.\r\n" + b"NOOP\r\n" * 40)
        codes = []
        try:
            for _ in range(41):
                codes.append(c.read().code)
        except mail.Closed:
            pass
        self.assertEqual(codes, [250] * 17 + [421])
        self.assertEqual(fake.messages, [b"x\r\n"])

    def test_errors(self):
        d = self.serve(limits={"errors": 5})
        c = self.connect(d, self.bot())
        for _ in range(5):
            self.assert_code(c.cmd("NONSENSE"), 500)
        self.assert_code(c.cmd("NOOP"), 421, "4.7.0", "too many errors in one session")
        self.assertEqual(self.hears(c), b"")
        self.told(d, "limit_errors", "too many errors")

    def test_errors_encrypted(self):
        d = self.serve(tls=TLS, limits={"errors": 5})
        c = self.connect(d, self.bot())
        c.starttls()
        for _ in range(5):
            self.assert_code(c.cmd("NONSENSE"), 500)
        self.assert_code(c.cmd("NOOP"), 421, "4.7.0", "too many errors in one session")

    def test_one_message_with_many_bad_recipients_gets_through(self):
        d = self.serve(limits={"errors": 5, "commands": 20})
        own = self.name("self")
        c = self.connect(d, self.bot())
        sender = mail.token()
        c.cmd("MAIL FROM:<%s>" % sender)
        for _ in range(30):
            self.assert_code(c.cmd("RCPT TO:<nosuchuser@%s>" % own), 550)
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % own), 250)
        self.assert_code(c.cmd("DATA"), 354)
        self.assert_code(c.cmd(b"Subject: x\r\n\r\nx\r\n."), 250)
        self.assert_delivered(sender, "u@" + own, b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(c.cmd("NOOP"), 421)

    def test_a_trusted_client_has_none(self):
        bot = self.bot()
        d = self.serve(source="self", trusted=[bot], limits={"errors": 5, "commands": 10, "per_client": 1})
        c, _ = self.hold(d, bot, 2)
        for _ in range(30):
            self.assert_code(c.cmd("NONSENSE"), 500)


class Slow(Limits):
    slow = 10

    def dribble(self, c, data, seconds):
        """Octet by octet, until it is told something; the reply."""
        c.sock.settimeout(0.3)
        end = time.monotonic() + seconds
        i = 0
        while time.monotonic() < end:
            try:
                c.send(data[i % len(data):i % len(data) + 1])
                i += 1
                got = c.sock.recv(1000)
                return got
            except socket.timeout:
                pass
        return None

    def test_a_command_in_bits_has_no_more_time(self):
        d = self.serve(limits={"timeouts": {"command": "3s"}})
        c = self.connect(d, self.bot())
        said = self.dribble(c, b"x" * 1000, 20)
        self.assertRegex(said or b"", rb"^421 4\.4\.2 .*timeout")
        self.told(d, "limit_slow", "time for a command")

    def begin(self, d, c):
        c.cmd("MAIL FROM:<%s>" % mail.token())
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)
        self.assert_code(c.cmd("DATA"), 354)

    def test_a_message_below_the_least_rate(self):
        d = self.serve(limits={"min_rate": 50, "timeouts": {"data": "4s"}})
        c = self.connect(d, self.bot())
        self.begin(d, c)
        said = self.dribble(c, b"x" * 60 + b"\r\n", 30)
        self.assertRegex(said or b"", rb"^421 4\.4\.2 .*too slowly")
        self.told(d, "limit_slow", "message comes too slowly")

    def test_the_same_encrypted(self):
        d = self.serve(tls=TLS, limits={"min_rate": 50, "timeouts": {"data": "4s"}})
        c = self.connect(d, self.bot())
        c.starttls()
        self.begin(d, c)
        said = self.dribble(c, b"x" * 60 + b"\r\n", 30)
        self.assertRegex(said or b"", rb"^421 4\.4\.2 .*too slowly")

    def test_above_it_a_slow_message_takes_its_time(self):
        d = self.serve(limits={"min_rate": 50, "timeouts": {"data": "3s"}})
        c = self.connect(d, self.bot())
        self.begin(d, c)
        for _ in range(16):
            c.send(b"y" * 60 + b"\r\n")
            time.sleep(0.5)
        self.assert_code(c.cmd(b"."), 250)

    def test_a_backend_that_answers_nothing(self):
        for what, key in (("banner", "backend"), ("MAIL", "backend"), ("DATA", "data_start"), (".", "final")):
            with self.subTest(what):
                d = self.serve(self.fake({what: fakes.STALL}), limits={"timeouts": {key: "2s"}}, hosted=[])
                c = self.connect(d, self.bot(), greet=False)
                reply = c.read()
                steps = ["EHLO c.lab-sender.net", "MAIL FROM:<a@lab-sender.net>", "RCPT TO:<u@%s>" % self.name("self"),
                         "DATA", b"x\r\n."]
                while reply.code != 421:
                    reply = c.cmd(steps.pop(0))
                self.assert_code(reply, 421, "4.3.0", "does not answer")


class Memory(Limits):
    def test_short_of_it(self):
        """Who holds much is not read on; new ones are told; others' mail goes on, and all is as before when
        the first have gone."""
        d = self.serve(workers=1, limits={"memory": "1M", "per_client": 0})
        trusted_mail = self.connect(d, self.bot())  # began before
        hogs = []
        for _ in range(60):
            c = self.connect(d, self.bot())
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.sock.setblocking(False)
            hogs.append(c)
        end = time.monotonic() + 15
        refused = False
        while time.monotonic() < end and not refused:
            for c in hogs:
                try:
                    c.sock.send(b"EHLO c.net\r\n" * 3000)
                except (BlockingIOError, ConnectionError):
                    pass
            refused = self.dial(d, self.bot()).read().code == 421
        self.assertTrue(refused)
        self.told(d, "limit_memory", "short of memory")
        trusted_mail.cmd("MAIL FROM:<%s>" % mail.token())
        self.assert_code(trusted_mail.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)
        self.assert_code(trusted_mail.cmd("DATA"), 354)
        self.assert_code(trusted_mail.cmd(b"x" * 500 + b"\r\n."), 250)
        print("     resident %d KiB" % self.place.resident(d.pid))
        for c in hogs:
            self.abort(c)
        self.wait("memory again", lambda: self.dial(d, self.bot()).read().code == 220)


    slow = 12

    def test_short_of_it_for_good(self):
        """Messages that the mail server does not take fill it: their time runs on all the same."""
        stuck = self.fake({"body": fakes.STUCK})
        d = self.serve(stuck, workers=1, hosted=[], limits={"memory": "1M", "per_client": 0, "timeouts": {"data": "4s"}})
        held = []
        for _ in range(30):
            c = self.connect(d, self.bot())
            c.cmd("MAIL FROM:<%s>" % mail.token())
            c.cmd("RCPT TO:<u@%s>" % self.name("self"))
            self.assert_code(c.cmd("DATA"), 354)
            c.sock.setblocking(False)
            held.append(c)
        refused = []
        self.wait("the time of all is up", lambda: self.push(d, held, refused), 30)
        self.assertIn(421, refused)
        self.wait("room again", lambda: self.dial(d, self.bot()).read().code == 220)
        self.assertIn("the mail server does not take the message", d.log_text())

    def push(self, d, held, refused):
        """All that they take; true: none is there any more."""
        refused.append(self.dial(d, self.bot()).read().code)
        for c in list(held):
            try:
                c.sock.send((b"x" * 998 + b"\r\n") * 1000)
            except BlockingIOError:
                pass
            except ConnectionError:
                held.remove(c)
        return not held


class ManySlow(Limits):
    slow = 20
    COUNT = 9000

    def setUp(self):
        """Descriptors: two of the daemon's for each, one of ours."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 2 * self.COUNT + 1900:
            self.skipTest("too few descriptors permitted")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def some_bots(self, n=1000):
        """Theirs in turn: there are not as many addresses as sessions."""
        return itertools.cycle([self.bot() for _ in range(n)])

    def assert_kib(self, each, limit):
        with open(self.place.daemon, "rb") as f:
            limit *= 16 if b"__asan_init" in f.read() else 1  # it keeps what was freed
        self.assertLess(each, limit)

    def many_mails(self, address, port, n=30):
        """How many a second."""
        start = time.monotonic()
        for _ in range(n):
            _, _, final = mail.deliver(self.place.host, self.bot(), address, ["u@" + self.name("self")], port=port)
            self.assert_code(final, 250)
        return n / (time.monotonic() - start)

    TARPITTED = 2000

    def test_tarpitted_ones_cost_next_to_nothing(self):
        d = self.serve(policy={"action": "tarpit"}, limits={"per_client": 0})
        self.hear(d)
        held, bots = [], self.some_bots()

        def drip(n):
            for _ in range(n):
                c = self.connect(d, next(bots))
                c.send(b"MAIL FROM:<>\r\nRCPT TO:<u@%s>\r\n" % self.name("acme").encode())
                self.assert_code(c.read(), 250)
                held.append(c)
            # they drip: the first octet of the refusal is there
            self.assertEqual(held[-1].sock.recv(1), b"5")

        drip(1500)  # fixed tables, by client, are in memory afterwards
        before = self.place.resident(d.pid)
        drip(self.TARPITTED)
        each = (self.place.resident(d.pid) - before) / self.TARPITTED
        print("     %d tarpitted clients: %.2f KiB each" % (self.TARPITTED, each), flush=True)
        self.assert_kib(each, 1)
        self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)

    def test_dribble_while_honest_mail_flows(self):
        """Each of them is one more that is greeted, and says its command octet by octet."""
        self.need_client_source()  # smtp-sink relays for everybody
        sink = self.sink()
        d = self.serve(sink, hosted=[], limits={"timeouts": {"command": "1h"}})
        before = self.place.resident(d.pid)
        alone = self.many_mails(self.place.server, d.port)
        held, bots = [], self.some_bots()
        while len(held) < self.COUNT:
            new = [self.dial(d, next(bots)) for _ in range(500)]
            for c in new:
                self.assert_code(c.read(), 220)
            held += new
        each = (self.place.resident(d.pid) - before) / self.COUNT
        word = b"EHLO c.lab-sender.net"
        rates = []
        for octet in range(4):
            for c in held:
                c.send(word[octet:octet + 1])
            rates.append(self.many_mails(self.place.server, d.port))
        direct = self.many_mails(self.place.backend, sink.port)  # it has as many, and is slower for it
        print("     %d slow sessions: %.1f KiB each; mails a second: %.0f alone, %.0f beside them, %.0f past us"
              % (self.COUNT, each, alone, sum(rates) / len(rates), direct), flush=True)
        self.assert_kib(each, 4)
        total = (self.place.resident(d.pid) - before) / self.COUNT
        print("     %.1f KiB each with half a command" % total, flush=True)
        self.assert_kib(total, 5)
        # None was ended for being slow before its time.
        for c in held[::500]:
            c.send(word[4:] + b"\r\n")
            self.assert_code(c.read(), 250)
