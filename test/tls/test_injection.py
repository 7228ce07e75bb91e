"""Talking past the start of TLS: octets sent in the clear must mean nothing behind it, on either side; and handshakes
that are none."""
import os
import socket
import ssl
import struct
import time

from lab import mail
from stage.case import TlsCase, context


class Injection(TlsCase):
    """CVE-2011-0411 and its kin (nostarttls.secvuln.info)."""

    EVIL = b"RSET\r\nMAIL FROM:<evil@lab-sender.net>\r\nRCPT TO:<u@%s>\r\nDATA\r\nSubject: evil\r\n\r\nx\r\n.\r\n"

    def inject(self, backend, behind):
        """STARTTLS and that in one packet; the session afterwards has replies to its own commands only."""
        d = self.serve(backend)
        c = self.connect(d, self.bot())
        c.send(b"STARTTLS\r\n" + behind)
        self.assert_code(c.read(), 220)
        c = self.handshake(c)
        self.assert_code(c.cmd("NOOP"), 250)
        sender = mail.token()
        _, final = c.mail(sender, ["u@" + self.name("self")], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        return sender

    def behind(self):
        return (self.EVIL % self.name("self").encode(), b"NOOP\r\n" * 50, b"EHLO evil.example.net\r\n", b"\r\n",
                b"X" * 600, b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", b"MAIL FROM:<evil@lab-sender.net>\r\n")

    def test_commands_of_the_client(self):
        for behind in self.behind():
            with self.subTest(behind[:20]):
                sender = self.inject(None, behind)
                self.assert_delivered(sender, "u@" + self.name("self"))
                self.assert_never_heard_of("evil")

    def test_commands_of_the_client_never_reach_the_backend(self):
        backend = self.fake_tls()
        self.inject(backend, self.EVIL % self.name("self").encode())
        commands = sum(backend.sessions, [])
        self.assertEqual([x for x in commands if "evil" in x or "early" in x], [])
        self.assertEqual(len(backend.messages), 1)

    def test_without_tls_behind(self):
        """The client's leg alone: its octets in the clear must not become commands of the same connection."""
        backend = self.fake()
        d = self.serve(backend, listener={"upstream_tls": "off"})
        c = self.connect(d, self.bot())
        c.send(b"STARTTLS\r\n" + self.EVIL % self.name("self").encode())
        self.assert_code(c.read(), 220)
        c = self.handshake(c)
        self.assert_code(c.cmd("NOOP"), 250)
        self.assertEqual([x for x in sum(backend.sessions, []) if "evil" in x], [])

    def test_in_a_packet_of_its_own(self):
        """Before our 220, while the backend's handshake is under way."""
        backend = self.fake_tls({"STARTTLS": lambda: time.sleep(0.5) or "220 go"})
        d = self.serve(backend)
        c = self.connect(d, self.bot())
        c.send(b"STARTTLS\r\n")
        time.sleep(0.2)
        c.send(self.EVIL % self.name("self").encode())
        self.assert_code(c.read(), 220)
        c = self.handshake(c)
        self.assert_code(c.cmd("NOOP"), 250)
        self.assertEqual([x for x in sum(backend.sessions, []) if "evil" in x or "early" in x], [])

    def test_replies_of_the_backend(self):
        """Plaintext behind its 220: never taken for a reply in TLS."""
        for extra in ("250 evil", "235 evil", "250-evil\r\n250 AUTH PLAIN", "421 evil", "x" * 3000):
            backend = self.fake_tls({"STARTTLS": "220 go\r\n" + extra, "EHLO-TLS": "250-fake\r\n250 AUTH PLAIN",
                                     "AUTH": "535 no"})
            d = self.serve(backend)
            self.hear(d)
            with self.subTest(extra[:20]):
                c = self.connect(d, self.bot())
                reply = c.cmd("STARTTLS")
                # It may be that the session is given up, for such a backend is broken.
                self.assertIn(reply.code, (220, 454))
                if reply.code != 220:
                    continue
                c = self.handshake(c)
                self.assertNotIn("evil", c.ehlo.text)
                self.assert_code(c.login(), 535)
                c.cmd("MAIL FROM:<a@lab-sender.net>")
                self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)

    def test_replies_in_the_session_are_the_backends_own(self):
        """As above, and the next replies are in step."""
        backend = self.fake_tls({"STARTTLS": "220 go\r\n250 evil", "MAIL": "550 5.7.0 own"})
        d = self.serve(backend)
        c = self.connect(d, self.bot())
        if c.cmd("STARTTLS").code == 220:
            c = self.handshake(c)
            self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 550, "own")


class Reset(TlsCase):
    """RFC 3207 4.2: after the handshake nothing counts that was said before it."""

    def test_ehlo_is_needed_again(self):
        d = self.serve()
        for command in ("MAIL FROM:<a@lab-sender.net>", "RCPT TO:<u@%s>" % self.name("self"), "DATA",
                        "AUTH PLAIN AHVzZXIAc2VjcmV0"):
            with self.subTest(command):
                c = self.connect(d, self.bot())
                self.assert_code(c.cmd("STARTTLS"), 220)
                c.sock = context().wrap_socket(c.sock)
                self.assert_code(c.cmd(command), 503)
                self.assert_code(c.cmd("EHLO client.lab-sender.net"), 250)
        c = self.connect(d, self.bot())
        self.assert_code(c.cmd("STARTTLS"), 220)
        c.sock = context().wrap_socket(c.sock)
        c.send(b"BDAT 3 LAST\r\nx\r\n")
        self.assert_code(c.read(), 503)
        self.assert_code(c.cmd("NOOP"), 250)

    def test_the_transaction_is_forgotten(self):
        d = self.serve()
        own = self.name("self")
        c = self.connect(d, self.bot())
        self.assert_code(c.cmd("MAIL FROM:<early@lab-sender.net>"), 250)
        self.assert_code(c.cmd("RCPT TO:<early@%s>" % own), 250)
        self.assert_code(c.cmd("STARTTLS"), 220)
        self.handshake(c)
        self.assert_code(c.cmd("DATA"), 503)
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % own), 503)
        _, final = c.mail("late@lab-sender.net", ["u@" + own], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        self.assert_delivered("late@lab-sender.net", "u@" + own)
        self.assertIsNone(self.found("early@lab-sender.net"))

    def test_the_name_is_forgotten(self):
        d = self.serve()
        bot = self.bot()
        c = self.connect(d, bot, helo="before.lab-sender.net")
        self.assert_code(c.cmd("STARTTLS"), 220)
        self.handshake(c)
        _, final = c.mail("name@lab-sender.net", ["u@" + self.name("self")], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        self.assertEqual(d.event(client=bot)["helo"], "client.lab-sender.net")
        self.assertIn("client.lab-sender.net", self.found("name@lab-sender.net").helo)

    def test_twice(self):
        d = self.serve()
        c = self.connect_tls(d, self.bot())
        self.assert_code(c.cmd("STARTTLS"), 503)
        self.assert_code(c.cmd("EHLO again.lab-sender.net"), 250)
        _, final = c.mail("twice@lab-sender.net", ["u@" + self.name("self")], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)

    def test_with_an_argument_and_before_ehlo(self):
        d = self.serve()
        c = self.connect(d, self.bot())
        self.assert_code(c.cmd("STARTTLS now"), 501)
        self.assert_code(c.cmd("NOOP"), 250)
        c = self.connect(d, self.bot(), greet=False)
        c.read()
        # RFC 3207 does not ask for EHLO before it; either way the session goes on.
        reply = c.cmd("STARTTLS")
        self.assertIn(reply.code, (220, 503))
        if reply.code == 220:
            self.handshake(c)
        else:
            self.assert_code(c.cmd("EHLO client.lab-sender.net"), 250)

    def test_refused_under_tls_what_was_refused_before(self):
        """No verdict is changed by it."""
        d = self.serve()
        self.hear(d)
        c = self.connect(d, self.bot())
        c.cmd("MAIL FROM:<a@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)
        self.assert_code(c.cmd("STARTTLS"), 220)
        self.handshake(c)
        c.cmd("MAIL FROM:<a@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)


class Handshakes(TlsCase):
    slow = 5

    def begin(self, d):
        """A connection that has its 220, and the first octets of a handshake."""
        c = self.connect(d, self.bot())
        self.assert_code(c.cmd("STARTTLS"), 220)
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context().wrap_bio(into, out)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return c, out.read()

    def test_garbage(self):
        d = self.serve()
        hello = self.begin(d)[1]
        for octets in (b"GET / HTTP/1.0\r\n\r\n", b"EHLO again\r\n" * 3, os.urandom(4000), b"\0" * 5000,
                       b"\x16\x03\x01\xff\xff" + b"\0" * 5000, hello[:60] + os.urandom(len(hello) - 60),
                       b"\x15\x03\x01\x00\x02\x02\x28", b"\x80\x2e\x01\x03\x01" + b"\0" * 43):
            with self.subTest(octets[:12]):
                c, _ = self.begin(d)
                c.send(octets)
                self.assert_closed(c)  # never a reply of SMTP
        d.wait_log("TLS handshake failed")
        self.assert_alive(d)

    def test_abandoned(self):
        d = self.serve()
        for way in (lambda c: c.close(), self.abort):
            for n in (0, 1, 5, 100):
                c, hello = self.begin(d)
                if n:
                    c.send(hello[:n])
                way(c)
            c, hello = self.begin(d)
            c.send(hello)
            c.sock.recv(100)
            way(c)
        self.assert_alive(d)

    def test_abandoned_sessions_leave_nothing_behind(self):
        backend = self.fake_tls()
        d = self.serve(backend)
        for n in (0, 5, 100):
            c, hello = self.begin(d)
            c.send(hello[:n])
            c.close()
        c, hello = self.begin(d)
        c.send(hello)
        c.close()
        self.wait("backend's connections end", lambda: not self.place.connections(backend.port))
        self.assertFalse(self.place.connections(d.port))

    def test_half_closed_in_the_handshake(self):
        d = self.serve()
        c, hello = self.begin(d)
        c.send(hello[:50])
        c.sock.shutdown(socket.SHUT_WR)
        self.assert_closed(c)
        self.assert_alive(d)

    def test_byte_by_byte(self):
        """A whole session: each of the client's octets in a packet of its own."""
        d = self.serve()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version.name):
                c = self.connect(d, self.bot())
                c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.assert_code(c.cmd("STARTTLS"), 220)
                tls = Slowly(c.sock, context(version, version))
                sender = "slowly-%s@lab-sender.net" % version.name
                for line, code in (("EHLO slow.lab-sender.net", b"250"), ("MAIL FROM:<%s>" % sender, b"250"),
                                   ("RCPT TO:<u@%s>" % self.name("self"), b"250"), ("DATA", b"354"),
                                   ("Subject: slow\r\n\r\nx\r\n.", b"250"), ("QUIT", b"221")):
                    self.assertEqual(tls.ask(line)[:3], code, line)
                self.assert_delivered(sender, "u@" + self.name("self"), b"Subject: slow\r\n\r\nx\r\n")

    def test_others_do_not_wait_for_a_slow_handshake(self):
        d = self.serve(workers=1)
        slow = [self.begin(d) for _ in range(50)]
        for c, hello in slow:
            c.send(hello[:40])
        self.assert_alive(d)
        for c, _ in slow:
            c.close()

    def test_close_notify_in_the_middle(self):
        """A client that ends TLS properly, but not its message: nothing is stored."""
        d = self.serve()
        c = self.connect_tls(d, self.bot())
        c.cmd("MAIL FROM:<cut@lab-sender.net>")
        c.cmd("RCPT TO:<u@%s>" % self.name("self"))
        self.assert_code(c.cmd("DATA"), 354)
        c.send(b"Subject: cut\r\n\r\nhalf")
        try:
            c.sock.unwrap()
        except OSError:
            pass
        c.close()
        # And one that is cut off by somebody in between, who can't fake the end of the message.
        c = self.connect_tls(d, self.bot())
        c.cmd("MAIL FROM:<cut2@lab-sender.net>")
        c.cmd("RCPT TO:<u@%s>" % self.name("self"))
        self.assert_code(c.cmd("DATA"), 354)
        c.send(b"Subject: cut\r\n\r\nhalf\r\n")
        raw = socket.socket(fileno=os.dup(c.sock.fileno()))
        raw.sendall(b"\r\n.\r\n")
        raw.close()
        self.assert_closed(c)
        self.assert_alive(d)
        for sender in ("cut@lab-sender.net", "cut2@lab-sender.net"):
            self.assertIsNone(self.found(sender))

    def test_reset_within_tls(self):
        d = self.serve()
        for _ in range(5):
            c = self.connect_tls(d, self.bot())
            c.send(b"MAIL FROM:<reset@lab-sender.net>\r\n")
            raw = socket.socket(fileno=os.dup(c.sock.fileno()))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
            raw.close()
        self.assert_alive(d)


class Slowly:
    """TLS over a socket, an octet at a time."""

    def __init__(self, sock, ctx):
        self.sock = sock
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(self.into, self.out)
        self.work(self.tls.do_handshake)

    def flush(self):
        data = self.out.read()
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])

    def work(self, step, *args):
        while True:
            try:
                result = step(*args)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(7)
                if not data:
                    raise ConnectionError("closed by the server") from None
                self.into.write(data)

    def ask(self, line):
        """The last line of the reply."""
        self.work(self.tls.write, line.encode() + b"\r\n")
        got = b""
        while not (got.endswith(b"\r\n") and got.split(b"\r\n")[-2][3:4] == b" "):
            got += self.work(self.tls.read, 1000)
        return got.split(b"\r\n")[-2]
