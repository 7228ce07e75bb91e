"""AUTH: every way to say it and to fail at it; only the backend's 235 counts, and no secret is kept."""
import base64
import hashlib
import hmac

from stage.backends import Exim
from harness.place import free_port
from stage.case import TlsCase

PASSWORD, WRONG = "secret", "S3cr3t-but-wr0ng"


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


class Exchange:
    """One login: commands, each with the code that is due; and what of it must not be kept."""

    def __init__(self, case, password):
        self.case, self.password, self.words = case, password, []

    def say(self, c, text, code, secret=True):
        if secret:
            self.words.append(text.split(" ")[-1].encode())
        reply = c.cmd(text)
        self.case.assert_code(reply, code)
        return reply

    def final(self):
        return 235 if self.password == PASSWORD else 535


class Ways(Exchange):
    def plain_initial(self, c):
        self.say(c, "AUTH PLAIN " + b64("\0user\0" + self.password), self.final())

    def plain_later(self, c):
        self.say(c, "AUTH PLAIN", 334, False)
        self.say(c, b64("\0user\0" + self.password), self.final())

    def plain_lower_case(self, c):
        self.say(c, "auth plain " + b64("\0user\0" + self.password), self.final())

    def login_initial(self, c):
        self.say(c, "AUTH LOGIN " + b64("user"), 334)
        self.say(c, b64(self.password), self.final())

    def login_later(self, c):
        self.say(c, "AUTH LOGIN", 334, False)
        self.say(c, b64("user"), 334)
        self.say(c, b64(self.password), self.final())

    def cram_md5(self, c):
        challenge = base64.b64decode(self.say(c, "AUTH CRAM-MD5", 334, False).text.split(" ")[1])
        digest = hmac.new(self.password.encode(), challenge, hashlib.md5).hexdigest()
        self.words += [digest.encode(), challenge]
        self.say(c, b64("user " + digest), self.final())


WAYS = [name for name in vars(Ways) if not name.startswith("_")]


class Cancels(Exchange):
    """None of these logs anybody in."""

    def plain_cancelled(self, c):
        self.say(c, "AUTH PLAIN", 334, False)
        self.say(c, "*", 501, False)

    def login_cancelled_at_the_password(self, c):
        self.say(c, "AUTH LOGIN " + b64("user"), 334)
        self.say(c, "*", 501, False)

    def cram_cancelled(self, c):
        self.say(c, "AUTH CRAM-MD5", 334, False)
        self.say(c, "*", 501, False)

    def unknown_mechanism(self, c):
        self.say(c, "AUTH X-UNKNOWN " + b64("user secret"), 504)

    def not_base64(self, c):
        self.say(c, "AUTH PLAIN", 334, False)
        self.say(c, "!!!not-base64!!!", 501)

    def password_at_the_wrong_place(self, c):
        """A client that lost count: what it says goes to the log of many a server."""
        self.say(c, b64("\0user\0" + PASSWORD), 500)
        self.say(c, "AUTH", 501, False)


CANCELS = [name for name in vars(Cancels) if not name.startswith("_")]


class Login(TlsCase):
    def serve_auth(self, tls, source):
        """tls: AUTH under TLS only, as this Exim does; else one that offers it in the clear."""
        if tls:
            return self.serve(source=source)
        exim = Exim(self.place, free_port(self.place.backend), self.place.theirs, auth="true")
        self.addCleanup(exim.stop)
        return self.serve(exim, source=source)

    def is_logged_in(self, c):
        c.cmd("MAIL FROM:<who@lab-sender.net>")
        code = c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)).code
        c.cmd("RSET")
        self.assertIn(code, (250, 550))
        return code == 250

    def check(self, tls, source):
        d = self.serve_auth(tls, source)
        self.hear(d)
        connect = self.connect_tls if tls else self.connect
        words = []
        for password in (PASSWORD, WRONG):
            for way in WAYS:
                with self.subTest("%s %s" % (way, password)):
                    exchange = Ways(self, password)
                    c = connect(d, self.bot())
                    getattr(exchange, way)(c)
                    words += exchange.words
                    self.assertEqual(self.is_logged_in(c), password == PASSWORD)
        for way in CANCELS:
            with self.subTest(way):
                exchange = Cancels(self, "")
                c = connect(d, self.bot())
                getattr(exchange, way)(c)
                words += exchange.words
                self.assertFalse(self.is_logged_in(c))
                # And after it a proper login is one.
                self.assert_code(c.login(), 235)
                self.assertTrue(self.is_logged_in(c))
        if source == "self":
            self.wait("events", lambda: d.events(auth=True))
            self.assertEqual({e["tls"] for e in d.events(auth=True)}, {tls})
        d.stop()
        words = {w for w in words if len(w) > 3} | {b"S3cr3t"}
        self.assertEqual(self.secrets_in(d, words), [])

    def test_under_tls(self):
        self.need_client_source()
        self.check(True, "client")

    def test_under_tls_where_sessions_are_parsed_on(self):
        self.check(True, "self")

    def test_in_the_clear(self):
        self.need_client_source()
        self.check(False, "client")

    def test_in_the_clear_where_sessions_are_parsed_on(self):
        self.check(False, "self")

    def test_only_the_backends_word_counts(self):
        """235 alone; not one that nobody asked for, nor any other success."""
        auth = ["250 fine"]
        backend = self.fake_tls({"EHLO-TLS": "250-fake\r\n250 AUTH PLAIN", "AUTH": lambda: auth[0]})
        d = self.serve(backend)
        self.hear(d)
        for reply, logged_in in (("250 fine", False), ("200 fine", False), ("535 no", False), ("454 later", False),
                                 ("235 yes", True)):
            auth[0] = reply
            with self.subTest(reply):
                c = self.connect_tls(d, self.bot())
                c.cmd("AUTH PLAIN AHVzZXIAc2VjcmV0")
                self.assertEqual(self.is_logged_in(c), logged_in)

    def test_login_before_starttls_does_not_last(self):
        backend = self.fake_tls({"EHLO": "250-fake\r\n250-STARTTLS\r\n250 AUTH PLAIN", "RCPT": "550 5.7.1 no relaying",
                                 "EHLO-TLS": "250-fake\r\n250 AUTH PLAIN", "AUTH": "235 yes"})
        d = self.serve(backend, source="self")  # parsed on after the login
        backend.replies["RCPT"] = "250 ok"
        self.hear(d)
        c = self.connect(d, self.bot())
        self.assert_code(c.login(), 235)
        self.assertTrue(self.is_logged_in(c))
        if c.cmd("STARTTLS").code == 220:
            self.handshake(c)
            self.assertFalse(self.is_logged_in(c))
        else:
            self.assertTrue(self.is_logged_in(c))
