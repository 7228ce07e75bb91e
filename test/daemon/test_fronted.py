"""Clients whose last session brought nothing but refusals are answered without the backend."""
from harness.case import DaemonCase
from lab import mail


class Fronted(DaemonCase):
    def refused_once(self, **conf):
        d = self.serve(**conf)
        self.hear(d)
        bot = self.bot()
        self.refuse(d, bot)
        self.assertEqual(self.count(bot), 1)
        return d, bot

    def refuse(self, d, bot):
        """A session of nothing but a refusal, which has ended when this returns."""
        c = self.connect(d, bot)
        c.cmd("MAIL FROM:<f@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)
        self.assert_code(c.cmd("QUIT"), 221)

    def count(self, bot):
        self.need_client_source()
        return self.backend_connections(bot)

    def test_the_next_session_costs_the_backend_nothing(self):
        d, bot = self.refused_once()
        for i in range(5):
            c = self.connect(d, bot)
            self.assert_code(c.banner, 220)
            self.assert_code(c.ehlo, 250)
            self.assertTrue(c.offers("PIPELINING") and c.offers("CHUNKING") and c.offers("SIZE"))
            self.assertFalse(c.offers("STARTTLS") or c.offers("PRDR"))
            replies, final = c.mail("f@lab-sender.net", ["u@%s" % self.name("acme", i % 3)], b"x\r\n")
            self.assert_code(replies[0], 550)
            self.assertIsNone(final)
            self.assert_code(c.cmd("NOOP"), 250)
            self.assert_code(c.cmd("QUIT"), 221)
        self.assertEqual(self.count(bot), 1)
        events = d.wait_events(6, client=bot)
        self.assertEqual({(e["reply"], e["action"], e["helo"]) for e in events},
                         {(550, "reject", "client.lab-sender.net")})

    def test_its_permitted_mail_gets_through(self):
        d, bot = self.refused_once()
        own = "u@" + self.name("self")
        content = mail.message("through@lab-sender.net", body=b".\r\nHello\r\n")
        c = self.connect(d, bot)
        replies, final = c.mail("through@lab-sender.net", ["u@" + self.name("acme", 2), own], content,
                                params=" SIZE=%d BODY=8BITMIME" % len(content))
        self.assertEqual([r.code for r in replies], [550, 250])
        self.assert_code(final, 250)
        m = self.assert_delivered("through@lab-sender.net", own, content, bot)
        self.assertEqual(m.helo.strip("()"), "client.lab-sender.net")
        self.assert_code(c.cmd("QUIT"), 221)
        self.assertEqual(self.count(bot), 2)
        # It has brought mail: from now on it is served as everybody.
        c = self.connect(d, bot)
        self.assertEqual(self.count(bot), 3)
        self.assert_code(c.cmd("QUIT"), 221)

    def test_login_reaches_the_backend(self):
        d, bot = self.refused_once()
        c = self.connect(d, bot)
        self.assert_code(c.login(), 235)
        _, final = c.mail("front-login@lab-sender.net", ["u@" + self.name("acme", 1)], b"x\r\n")
        self.assert_code(final, 250)
        self.assertEqual(self.count(bot), 2)

    def test_what_the_backend_would_refuse_is_refused(self):
        d, bot = self.refused_once()
        own = self.name("self")
        c = self.connect(d, bot)
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % own), 503)
        self.assert_code(c.cmd("DATA"), 503)
        self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
        self.assert_code(c.cmd("MAIL FROM:<b@lab-sender.net>"), 503)
        self.assert_code(c.cmd("RSET"), 250)
        self.assert_code(c.cmd("XCLIENT ADDR=127.0.0.1"), 500)
        # Too large: the backend says so when it hears of it, to each recipient.
        self.assert_code(c.cmd("MAIL FROM:<big@lab-sender.net> SIZE=999999999"), 250)
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % own), 552)
        self.assert_code(c.cmd("RSET"), 250)
        self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
        self.assert_code(c.cmd("RCPT TO:<nosuchuser@%s>" % own), 550, "no such user")

    def test_pipelined(self):
        d, bot = self.refused_once()
        own = self.name("self")
        c = self.connect(d, bot, greet=False)
        c.send(b"EHLO p.lab-sender.net\r\n")
        c.read()
        c.read()
        c.send(b"MAIL FROM:<fp@lab-sender.net>\r\nRCPT TO:<u@%s>\r\nRCPT TO:<a@%s>\r\nRCPT TO:<b@%s>\r\n"
               b"BDAT 8 LAST\r\nX: y\r\n\r\nQUIT\r\n" % (self.name("acme").encode(), own.encode(), own.encode()))
        self.assertEqual([c.read().code for _ in range(6)], [250, 550, 250, 250, 250, 221])
        self.assert_delivered("fp@lab-sender.net", ["a@" + own, "b@" + own], b"X: y\r\n\r\n", bot)

    def test_backend_that_is_gone(self):
        backend = self.fake()
        d = self.serve(backend, domains=[{"name": self.name("acme", 1), "action": "reject"}])
        bot = self.bot()
        self.hear(d)
        self.refuse(d, bot)
        backend.stop()
        c = self.connect(d, bot)
        self.assert_code(c.banner, 220)
        c.cmd("MAIL FROM:<g@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 421, "421 4.3.0 ")
        self.assertRaises(mail.Closed, c.read)
