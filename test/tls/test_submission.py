"""Listeners for users: encrypted from the first octet, and those where nobody delivers without logging in."""
from lab import mail
from stage.case import TlsCase, context


class Implicit(TlsCase):
    def test_mail(self):
        d = self.serve(listener={"tls": "implicit"})
        bot = self.bot()
        c = self.connect_implicit(d, bot)
        self.assertFalse(c.offers("STARTTLS"))
        self.assert_code(c.cmd("STARTTLS"), 503)
        content = mail.message("implicit@lab-sender.net", body=b"x" * 200000 + b"\r\n")
        _, final = c.mail("implicit@lab-sender.net", ["u@" + self.name("self")], content)
        self.assert_code(final, 250)
        self.assert_delivered("implicit@lab-sender.net", "u@" + self.name("self"), content, bot)
        # The backend's port isn't 465: STARTTLS to it, as it is offered.
        self.assert_leg("implicit@lab-sender.net", "esmtps", True)
        self.assert_event(d.event(client=bot), tls=True)

    def test_upstream_modes(self):
        for mode, leg in (("off", ("esmtp", False)), ("always", ("esmtps", True))):
            d = self.serve(listener={"tls": "implicit", "upstream_tls": mode})
            c = self.connect_implicit(d, self.bot())
            sender = "implicit-%s@lab-sender.net" % mode
            _, final = c.mail(sender, ["u@" + self.name("self")], b"Subject: x\r\n\r\nx\r\n")
            self.assert_code(final, 250)
            self.assert_leg(sender, *leg)

    def test_policy_and_login(self):
        d = self.serve(listener={"tls": "implicit"})
        self.hear_implicit(d)
        c = self.connect_implicit(d, self.bot())
        c.cmd("MAIL FROM:<a@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)
        c.cmd("RSET")
        self.assert_code(c.login(), 235)
        _, final = c.mail("implicit-login@lab-sender.net", ["u@" + self.name("acme", 1)], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        self.assert_leg("implicit-login@lab-sender.net", "esmtpsa", True)

    def hear_implicit(self, d):
        c = self.connect_implicit(d, self.acme)
        _, final = c.mail(mail.token(), ["user@" + self.name("acme")], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)

    def test_openssl_and_swaks(self):
        d = self.serve(listener={"tls": "implicit"})
        self.assertEqual(self.shown(d, starttls=False), self.place.ours.der)
        self.assertIsNone(self.shown(d, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", starttls=False))
        status, out = self.unpacked("swaks", "--server", self.place.server, "--port", d.port, "--tls-on-connect",
                                    "--from", "tlsc@lab-sender.net", "--to", "u@" + self.name("self"))
        self.assertEqual(status, 0, out)
        self.assert_leg("tlsc@lab-sender.net", "esmtps", True)

    def test_a_client_in_the_clear_is_not_answered_in_it(self):
        d = self.serve(listener={"tls": "implicit"})
        c = self.connect(d, self.bot(), greet=False)
        c.send(b"EHLO client.lab-sender.net\r\n")
        self.assert_closed(c)
        self.assertNotIn("EHLO", d.log_text())
        c = self.connect_implicit(d, self.bot())
        self.assert_code(c.banner, 220)

    def test_trusted_client_is_end_to_end(self):
        """Its octets are relayed from the first on: the certificate that it sees is the backend's."""
        self.need_client_source()
        backend = self.fake_tls(implicit=True)
        monitor = self.place.plan.monitor[0]
        d = self.serve(backend, listener={"tls": "implicit"}, trusted=[monitor])
        c = self.connect_implicit(d, monitor)
        self.assertEqual(c.sock.getpeercert(True), self.place.theirs.der)


class RequireAuth(TlsCase):
    """As on port 587."""

    def start_requiring(self, **changes):
        port, row = self.listener(require_auth=True)
        d = self.serve(more=[row], **changes)
        d.users = port
        return d

    def test_a_stranger_is_refused(self):
        d = self.start_requiring()
        self.hear(d)
        for kind in ("self", "acme", "null", "nxdomain"):
            with self.subTest(kind):
                bot = self.bot()
                for how in (self.connect, self.connect_tls):
                    c = how(d, bot, d.users)
                    self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
                    self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name(kind)), 530, "530 5.7.0 ")
                events = d.wait_events(2, client=bot)
                self.assertEqual({(e["reason"], e["finding"], e["tls"]) for e in events},
                                 {("auth-required", "direct", False), ("auth-required", "direct", True)})
        # On the other listener the same client delivers.
        self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)

    def test_scanners_and_postmaster_are_strangers_too(self):
        d = self.start_requiring()
        self.hear(d)
        c = self.connect(d, self.acme, d.users)
        c.cmd("MAIL FROM:<a@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme")), 530)
        self.assert_code(c.cmd("RCPT TO:<postmaster>"), 530)

    def test_pipelined(self):
        d = self.start_requiring()
        c = self.connect(d, self.bot(), d.users)
        c.send(b"MAIL FROM:<p@lab-sender.net>\r\nRCPT TO:<u@%s>\r\nDATA\r\nRSET\r\nQUIT\r\n" %
               self.name("self").encode())
        self.assertEqual([c.read().code for _ in range(5)], [250, 530, 554, 250, 221])
        self.assertIsNone(self.found("p@lab-sender.net"))

    def test_a_user_passes(self):
        d = self.start_requiring()
        self.hear(d)
        c = self.connect(d, self.bot(), d.users)
        self.assertFalse(c.offers("AUTH"))  # the backend offers it under TLS only
        c = self.connect_tls(d, self.bot(), d.users)
        self.assert_code(c.login(password="wrong"), 535)
        c.cmd("MAIL FROM:<a@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 530)
        c.cmd("RSET")
        self.assert_code(c.login(), 235)
        recipients = ["u@" + self.name("acme", 1), "u@not-hosted.net"]
        c.cmd("MAIL FROM:<user587@lab-sender.net>")
        self.assertEqual([c.cmd("RCPT TO:<%s>" % r).code for r in recipients], [250, 250])
        c.cmd("RSET")
        _, final = c.mail("user587@lab-sender.net", recipients[:1], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        self.assert_leg("user587@lab-sender.net", "esmtpsa", True)

    def test_a_trusted_client_passes(self):
        monitor = self.place.plan.monitor[0]
        d = self.start_requiring(trusted=[monitor])
        for how in (self.send, self.send_tls):
            sender, _, final = how(d, monitor, "u@" + self.name("self"), port=d.users)
            self.assert_code(final, 250)
            self.assert_delivered(sender, "u@" + self.name("self"))

    def test_what_was_said_before_starttls_logs_nobody_in(self):
        """A backend that offers AUTH in the clear: the login ends with STARTTLS."""
        backend = self.fake_tls({"EHLO": "250-fake\r\n250-STARTTLS\r\n250 AUTH PLAIN", "AUTH": "235 welcome"})
        port, row = self.listener(require_auth=True, source="self",
                                  backend="%s:%d" % (self.place.backend, backend.port))
        backend.replies["RCPT"] = "550 5.7.1 no relaying"
        d = self.serve(backend, more=[row], source="self")
        backend.replies["RCPT"] = "250 ok"
        c = self.connect(d, self.bot(), port)
        self.assert_code(c.login(), 235)
        reply = c.cmd("STARTTLS")
        self.assertIn(reply.code, (220, 503))  # RFC 4954 doesn't forbid it; if it is taken, all is forgotten
        if reply.code == 220:
            self.handshake(c)
            c.cmd("MAIL FROM:<a@lab-sender.net>")
            self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 530)


class Observing(TlsCase):
    """Without certificates."""

    def test_only_observes_and_check_says_so(self):
        conf = self.conf(tls={"hide": False, "certificates": []})
        d = self.start(conf)
        d.wait_log("offers STARTTLS: this listener only observes")
        self.hear(d)
        bot = self.bot()
        c = self.connect(d, bot)
        self.assertTrue(c.offers("STARTTLS"))
        _, final = c.mail(mail.token(), ["u@" + self.name("acme", 1)], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        self.assert_event(d.event(client=bot), action="observe", wanted="reject", restraint="starttls", tls=False)
        # What goes by in TLS is nobody's business here.
        self.assert_code(c.cmd("STARTTLS"), 220)
        c.sock = context().wrap_socket(c.sock)
        self.assertEqual(c.sock.getpeercert(True), self.place.theirs.der)
        status, out, err = conf.run("check", "-c", conf.file)
        self.assertIn("only observes", out + err)

    def test_hidden(self):
        d = self.serve(tls={"hide": True, "certificates": []})
        self.hear(d)
        c = self.connect(d, self.bot())
        self.assertFalse(c.offers("STARTTLS"))
        self.assert_code(c.cmd("STARTTLS"), 502)
        c.cmd("MAIL FROM:<t@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)

    def test_implicit_needs_certificates(self):
        conf = self.conf(tls={"hide": False, "certificates": []}, listener={"tls": "implicit"})
        status, _, err = conf.run("serve", "-c", conf.file)
        self.assertEqual(status, 78, err)
        self.assertRegex(err, r"%s:\d+:\d+: " % conf.file)
