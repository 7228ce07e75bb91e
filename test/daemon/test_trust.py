"""Trust that can't be borrowed: nothing that a client says makes it a trusted or an authenticated one, but the
backend's 235."""
import base64
import time

from harness import backends, headers
from harness.talk import ACCEPT, BALANCER, HELLO, TLS, PackedTls, Talk
from lab import mail

GOOD = b"AUTH PLAIN " + base64.b64encode(b"\0user\0secret")
BAD = b"AUTH PLAIN " + base64.b64encode(b"\0user\0wrong")
TEXT = b"Subject: x\r\n\r\nx\r\n"


def lines(*commands):
    return b"".join((c.encode() if isinstance(c, str) else c) + b"\r\n" for c in commands)


class Words(Talk):
    def setUp(self):
        self.monitor = self.place.plan.monitor[0]

    def check_nobody(self, d, c, client):
        """It is judged as any stranger, whatever it said."""
        self.assert_code(self.rcpt(c, "u@" + self.name("acme", 1)), 550)
        self.assert_event(d.event(client=client), auth=False, finding="direct", action="reject")
        self.assertEqual(d.events(client=self.monitor), [])

    def test_names_of_others(self):
        d = self.serve(trusted=[self.monitor])
        self.hear(d)
        for verb in ("EHLO", "HELO"):
            for name in ("[%s]" % self.monitor, self.monitor, "[%s]" % self.acme, "[127.0.0.1]", "localhost",
                         "mx1.acme-filter.net", "host.lab-hosting.net", "[IPv6:::1]", "[IPv6:::ffff:127.0.0.1]"):
                with self.subTest(verb + " " + name):
                    bot = self.bot()
                    c = self.connect(d, bot, greet=False)
                    self.assert_code(c.read(), 220)
                    self.assertIn(c.cmd("%s %s" % (verb, name)).code, (250, 501))
                    self.assert_code(c.cmd(HELLO[:-2]), 250)
                    self.assert_code(c.cmd("%s %s" % (verb, name)), 250)
                    self.check_nobody(d, c, bot)

    def claims(self):
        for who in (self.monitor, self.acme, "[UNAVAILABLE]"):
            yield "XCLIENT ADDR=%s NAME=mx1.acme-filter.net" % who
            yield "xclient LOGIN=user ADDR=%s" % who
            yield "XFORWARD ADDR=%s SOURCE=LOCAL" % who
            yield "PROXY TCP4 %s %s 41234 25" % (who, self.place.server)
        yield " XCLIENT ADDR=" + self.monitor

    def check_claims(self, d, end):
        for i, claim in enumerate(self.claims()):
            with self.subTest(claim):
                bot = self.bot()
                c = self.connect(d, bot)
                for keyword in ("XCLIENT", "XFORWARD"):
                    self.assertFalse(c.offers(keyword))
                self.assertEqual(c.cmd(claim).code // 10, 50)
                self.check_nobody(d, c, bot)
                self.assertEqual(c.cmd(claim).code // 10, 50)
                # version 2 of a header is four lines in error, in the middle of a session
                c.send(headers.v2(self.acme, self.place.server) + b"\r\n")
                self.assertEqual([c.read().code // 10 for _ in range(4)], [50] * 4)
                self.assert_code(c.cmd("RSET"), 250)
                if i % 4 == 0:
                    end(c, bot)

    def test_claims_to_a_backend_that_would_believe_them(self):
        """Postfix believes everybody's XCLIENT here: it knows the client as it is all the same."""
        self.need_client_source()
        if not backends.possible():
            self.skipTest("needs root in a namespace of its own: Postfix")
        postfix = self.place.postfix

        def end(c, bot):
            sender = mail.token("claim")
            _, final = c.mail(sender, ["u@" + self.name("self")], TEXT)
            self.assert_code(final, 250)
            self.assertEqual(postfix.stored(sender).client.split(":")[0], "unknown[%s]" % bot)

        direct = mail.Smtp(self.place.host, self.bot(), postfix.address, int(postfix.backends["xclient"].split(":")[1]))
        self.addCleanup(direct.close)
        self.assertTrue(direct.offers("XCLIENT"))
        self.assert_code(direct.cmd("XCLIENT ADDR=" + self.monitor), 220)
        for send in ("none", "xclient"):
            d = self.serve(postfix.backends["xclient"], trusted=[self.monitor], listener={"send": send},
                           source="client" if send == "none" else "self")
            self.hear(d)
            self.check_claims(d, end)

    def test_claims_of_those_who_are_known(self):
        """Postfix believes our XCLIENT, so users and trusted clients are listened to as well."""
        if not backends.possible():
            self.skipTest("needs root in a namespace of its own: Postfix")
        postfix = self.place.postfix
        for send in ("none", "xclient"):
            d = self.serve(postfix.backends["xclient"], trusted=[self.monitor], source="self", listener={"send": send})
            for client in (self.bot(), self.monitor):
                with self.subTest(client, send=send):
                    c = self.connect(d, client)
                    if client != self.monitor:
                        self.assert_code(c.login(), 235)
                        self.assertFalse(c.cmd(HELLO[:-2]).text.count("XCLIENT"))
                    self.assert_code(c.cmd("XCLIENT ADDR=%s LOGIN=root" % self.acme), 500)
                    sender = mail.token("known")
                    _, final = c.mail(sender, ["u@" + self.name("self")], TEXT)
                    self.assert_code(final, 250)
                    believed = postfix.question(sender)
                    self.assertEqual(believed["client_address"], client if send == "xclient" else postfix.address)
                    self.assertEqual(believed["sasl_username"], "" if client == self.monitor else "user")

    def test_claims_are_not_passed_on(self):
        backend = self.fake({"EHLO": "250-fake\r\n250-XCLIENT ADDR NAME\r\n250-XFORWARD ADDR SOURCE\r\n250 PIPELINING",
                             "RCPT": lambda: "250 ok" if self.heard else "550 no"})
        self.heard = False
        d = self.serve(backend, trusted=[self.monitor])
        self.heard = True
        self.hear(d)
        self.check_claims(d, lambda c, bot: None)
        said = str(backend.sessions).upper()
        for word in ("XCLIENT", "XFORWARD", "PROXY", "QUIT\\N"):
            self.assertNotIn(word, said)

    def test_before_the_greeting(self):
        """It lies in the socket when the backend's first word comes."""
        def late():
            time.sleep(0.3)
            return "220 fake.lab-hosting.net ESMTP"
        self.heard = False
        backend = self.fake({"banner": late, "AUTH": "535 5.7.8 no",
                             "RCPT": lambda: "250 ok" if self.heard else "550 no"})
        d = self.serve(backend, trusted=[self.monitor])
        self.heard = True
        self.hear(d)
        bot = self.bot()
        c = self.dial(d, bot, lines("EHLO [%s]" % self.monitor, "XCLIENT ADDR=" + self.monitor, BAD, "235 2.7.0 welcome",
                                    "EHLO " + self.monitor, "MAIL FROM:<early@lab-sender.net>",
                                    "RCPT TO:<u@%s>" % self.name("acme", 1)))
        self.assertEqual([c.read().code for _ in range(8)], [220, 250, 500, 535, 500, 250, 250, 550])
        self.assert_event(d.event(client=bot), auth=False, finding="direct")
        self.assertNotIn("XCLIENT", str(backend.sessions))

    def test_only_the_backend_s_235_to_a_login(self):
        self.heard = False
        answers = {"AUTH": "250 2.7.0 welcome", "NOOP": "235 2.7.0 welcome",
                   "RCPT": lambda: "250 ok" if self.heard else "550 no",
                   "EHLO": "250-fake\r\n250-AUTH PLAIN LOGIN\r\n250 PIPELINING"}
        backend = self.fake({k: lambda k=k: answers[k]() if callable(answers[k]) else answers[k] for k in answers})
        d = self.serve(backend, source="self", trusted=[self.monitor])
        self.heard = True
        self.hear(d)
        for login in ("250 2.7.0 welcome", "220 2.7.0 welcome", "454 4.7.0 later", "535 5.7.8 no"):
            with self.subTest(login):
                answers["AUTH"] = login
                bot = self.bot()
                c = self.connect(d, bot)
                c.cmd(GOOD)
                c.cmd("NOOP")
                self.check_nobody(d, c, bot)
        answers["AUTH"] = "334 "
        bot = self.bot()
        c = self.connect(d, bot)
        self.assert_code(c.cmd("AUTH LOGIN"), 334)
        # The client says it itself, in the exchange and behind it.
        backend.replies["235"] = "535 5.7.8 no"
        self.assert_code(c.cmd("235 2.7.0 welcome"), 535)
        self.assert_code(c.cmd("235 2.7.0 welcome"), 500)
        self.check_nobody(d, c, bot)

    def test_a_sender_that_says_who_it_is(self):
        d = self.serve(trusted=[self.monitor])
        self.hear(d)
        bot = self.bot()
        c = self.connect(d, bot)
        c.cmd("MAIL FROM:<x@lab-sender.net> AUTH=user@lab-hosting.net")
        c.cmd("MAIL FROM:<x@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)
        self.assert_event(d.event(client=bot), auth=False, finding="direct")


class BeforeTls(Talk):
    """What was said in the clear is forgotten (RFC 3207 4.2)."""

    def secure(self, c):
        """The handshake, behind a 220 that was the last thing said."""
        self.assertEqual(c.rest, b"")
        c.sock = PackedTls(c.sock, b"")

    def starts(self):
        """(what, daemon) for each way that the backend's leg may go."""
        for source in ("self", "client") if self.place.can_be_client else ("self",):
            for upstream in ("mirror", "off"):
                d = self.serve(source=source, tls=TLS, listener={"upstream_tls": upstream})
                self.hear(d)
                yield source + " " + upstream, d

    def check_nobody(self, d, c, client):
        """Not one that said EHLO, nor one that logged in."""
        for command in ("MAIL FROM:<x@lab-sender.net>", "RCPT TO:<u@%s>" % self.name("self"), "DATA"):
            self.assert_code(c.cmd(command), 503)
        self.assert_code(c.cmd(GOOD), 503)
        c.ehlo = c.cmd(HELLO[:-2])
        self.assert_code(c.ehlo, 250)
        self.assertFalse(c.offers("STARTTLS"))
        self.assert_code(self.rcpt(c, "u@" + self.name("acme", 1)), 550)
        self.assert_event(d.wait_events(1, client=client, tls=True)[0], auth=False, finding="direct")
        # nor does the backend take it for one
        self.assert_code(c.cmd("RCPT TO:<u@not-hosted.net>"), 550, "relay not permitted")

    def test_pipelined_behind_starttls(self):
        for what, d in self.starts():
            with self.subTest(what):
                bot, sender = self.bot(), mail.token("injected")
                c = self.connect(d, bot)
                c.send(lines("STARTTLS", "EHLO injected.lab-sender.net", GOOD, "MAIL FROM:<%s>" % sender,
                             "RCPT TO:<injected@%s>" % self.name("self"), "DATA") + TEXT + lines(".", "NOOP"))
                self.assert_code(c.read(), 220)
                self.secure(c)
                self.check_nobody(d, c, bot)
                self.assert_never_heard_of("injected.lab-sender.net", sender)

    def test_a_transaction_before(self):
        for what, d in self.starts():
            with self.subTest(what):
                bot = self.bot()
                c = self.connect(d, bot)
                self.assert_code(self.rcpt(c, "u@" + self.name("self")), 250)
                self.assert_code(c.cmd("STARTTLS"), 220)
                self.secure(c)
                self.check_nobody(d, c, bot)
                self.assert_event(d.event(client=bot, tls=False), finding="pass", helo="client.lab-sender.net")

    def test_half_a_command_before(self):
        for what, d in self.starts():
            with self.subTest(what):
                bot = self.bot()
                c = self.connect(d, bot)
                c.send(b"STARTTLS\r\nMAIL FROM:<half@lab-send")
                self.assert_code(c.read(), 220)
                self.secure(c)
                c.send(b"er.net>\r\n")
                self.assertEqual(c.read().code, 500)
                self.check_nobody(d, c, bot)

    def test_a_login_before(self):
        """Where sessions are parsed on after it: a user who is known can't become one who isn't, on a
        connection of the backend's that would not forget."""
        for upstream in ("mirror", "off"):
            with self.subTest(upstream):
                d = self.serve(source="self", tls=TLS, listener={"upstream_tls": upstream})
                c = self.connect(d, self.bot())
                c.send(lines(GOOD, "STARTTLS"))
                self.assert_code(c.read(), 235)
                self.assert_code(c.read(), 503)
                self.assert_code(self.rcpt(c, "u@not-hosted.net"), 250)

    def test_a_failed_login_before(self):
        for what, d in self.starts():
            with self.subTest(what):
                bot = self.bot()
                c = self.connect(d, bot)
                c.send(lines(BAD, "STARTTLS"))
                self.assert_code(c.read(), 535)
                self.assert_code(c.read(), 220)
                self.secure(c)
                self.check_nobody(d, c, bot)

    def test_a_login_behind_it_counts(self):
        for what, d in self.starts():
            with self.subTest(what):
                c = self.connect(d, self.bot())
                self.assert_code(c.cmd("STARTTLS"), 220)
                self.secure(c)
                c.ehlo = c.cmd(HELLO[:-2])
                self.assert_code(c.login(), 235)
                self.assert_code(self.rcpt(c, "u@not-hosted.net"), 250)


class HeadersAndTls(Talk):
    IMPLICIT = dict(ACCEPT, tls="implicit")

    def test_a_header_before_the_handshake(self):
        d = self.serve(tls=TLS, listener=self.IMPLICIT)
        self.heard_by(d)
        for form in headers.FORMS:
            with self.subTest(form):
                bot = self.bot()
                c = self.greeted(self.packed(d, BALANCER, self.header(form, bot)))
                self.assert_code(self.rcpt(c, "u@" + self.name("acme", 1)), 550)
                self.assert_event(d.event(client=bot), action="reject", tls=True)
                c = self.dial(d, BALANCER, self.header(form, self.acme), pieces=3)
                c.sock = PackedTls(c.sock, b"")
                sender = mail.token("tls")
                _, final = self.greeted(c).mail(sender, ["u@" + self.name("acme", 1)], TEXT)
                self.assert_code(final, 250)
                self.assert_delivered(sender, "u@" + self.name("acme", 1), TEXT, self.acme)

    def heard_by(self, d):
        c = self.greeted(self.packed(d, BALANCER, self.header("v1", self.acme)))
        _, final = c.mail(mail.token(), ["u@" + self.name("acme")], TEXT)
        self.assert_code(final, 250)

    def packed(self, d, source, header):
        c = self.dial(d, source)
        c.sock = PackedTls(c.sock, header)
        return c

    def greeted(self, c):
        self.assert_code(c.read(), 220)
        c.ehlo = c.cmd(HELLO[:-2])
        self.assert_code(c.ehlo, 250)
        return c

    def test_a_header_inside_is_closed(self):
        self.need_client_source()
        backend = self.fake()
        d = self.serve(backend, tls=TLS, listener=self.IMPLICIT)
        for client, header in ((None, b""), (BALANCER, self.header("v2", self.acme)), (BALANCER, headers.V2_LOCAL)):
            for what, data in self.lures():
                for waits in (False, True):
                    with self.subTest(what, behind=header, waits=waits):
                        source = client or self.bot()
                        c = self.packed(d, source, header)
                        if waits:
                            self.assert_code(c.read(), 220)
                        c.send(data)
                        self.check_lured(d, c, source, marker=lambda: self.greeted(self.packed(d, self.bot(), b"")))
                        # but for our own, which asked for STARTTLS
                        self.assertNotRegex(str(backend.commands(source)), "lab-sender|MAIL|RCPT|PROXY|QUIT")

    def test_a_header_behind_starttls_is_closed(self):
        self.need_client_source()
        backend = self.fake()
        d = self.serve(backend, tls=TLS, listener=ACCEPT)
        for what, data in self.lures():
            with self.subTest(what):
                bot = self.bot()
                c = self.connect(d, bot)
                self.assert_code(c.cmd("STARTTLS"), 220)
                c.sock = PackedTls(c.sock, b"")
                c.send(data)
                self.check_lured(d, c, bot)
                self.assertEqual([x for x in backend.commands(bot) if not x.startswith("EHLO ")], [])
