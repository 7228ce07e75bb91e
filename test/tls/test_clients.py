"""Clients as they are used: each delivers a mail by STARTTLS to a real mail server, or says what it sees."""
import ssl

from lab import mail, servers
from stage.case import TlsCase, context

FORMS = "\n".join("%s unix - - n - - %s" % (s, s) for s in ("tlsmgr", "smtp")) + "\n"


class Clients(TlsCase):
    def test_python(self):
        self.need_client_source()
        d = self.serve()
        self.hear(d)
        bot, domain = self.bot(), self.name("self")
        content = mail.message("python@lab-sender.net", body=b"secret\r\n" * 20000)
        c = self.connect_tls(d, bot)
        self.assertEqual(c.sock.version(), "TLSv1.3")
        _, final = c.mail("python@lab-sender.net", ["u@" + domain], content)
        self.assert_code(final, 250)
        self.assert_delivered("python@lab-sender.net", "u@" + domain, content, bot)
        self.assert_leg("python@lab-sender.net", "esmtps", True)
        self.assert_event(d.event(client=bot), tls=True, finding="pass", action="pass", auth=False)

    def test_python_with_chunks(self):
        d = self.serve()
        domain = self.name("self")
        content = mail.message("chunks@lab-sender.net", body=b"no end\nof a line " * 5000)
        c = self.connect_tls(d, self.bot())
        self.assertTrue(c.offers("CHUNKING"))
        _, final = c.mail("chunks@lab-sender.net", ["u@" + domain], content, chunking=True)
        self.assert_code(final, 250)
        self.assert_delivered("chunks@lab-sender.net", "u@" + domain)

    def test_policy_is_enforced_under_tls(self):
        d = self.serve()
        self.hear(d)
        bot, domain = self.bot(), self.name("acme", 1)
        _, replies, _ = self.send_tls(d, bot, ["u@" + domain, "u@" + self.name("self")])
        self.assertEqual([r.code for r in replies], [550, 250])
        event = next(e for e in d.wait_events(2, client=bot) if e["rcpt_domain"] == domain)
        self.assert_event(event, tls=True, finding="direct", action="reject")
        # And in the clear: what a session says of itself is true.
        bot = self.bot()
        self.assert_code(self.send_one(d, bot, "u@" + domain)[1], 550)
        self.assert_event(d.event(client=bot), tls=False)

    def test_s_client(self):
        d = self.serve()
        bot, domain = self.bot(), self.name("self")
        text = ("ehlo client.lab-sender.net\nmail from:<sclient@lab-sender.net>\nrcpt to:<u@%s>\ndata\n"
                "Subject: x\n\nby s_client\n.\nquit\n" % domain)
        status, out = self.s_client(d, "-crlf", "-quiet", "-bind", bot + ":0", text=text)
        self.assertEqual(status, 0, out)
        self.assertIn("\n354 ", out)
        self.assertRegex(out, r"\n250 OK id=\S+")
        self.assert_delivered("sclient@lab-sender.net", "u@" + domain, b"Subject: x\r\n\r\nby s_client\r\n", bot)
        self.assert_leg("sclient@lab-sender.net", "esmtps", True)

    def swaks(self, daemon, sender, recipient, *options, port=None):
        return self.unpacked("swaks", "--server", self.place.server, "--port", port or daemon.port, "--from", sender,
                             "--to", recipient, "--ehlo", "client.lab-sender.net", *options)

    def test_swaks(self):
        d = self.serve()
        self.hear(d)
        bot, domain = self.bot(), self.name("self")
        status, out = self.swaks(d, "swaks@lab-sender.net", "u@" + domain, "--tls", "--local-interface", bot)
        self.assertEqual(status, 0, out)
        self.assertRegex(out, r"=== TLS started with cipher TLSv1\.3:TLS_\w+:256")
        self.assertRegex(out, "=== TLS peer .*host.lab-hosting.net")
        self.assert_delivered("swaks@lab-sender.net", "u@" + domain, client=bot)
        self.assert_leg("swaks@lab-sender.net", "esmtps", True)
        # 24: the recipient was refused
        status, out = self.swaks(d, "swaks@lab-sender.net", "u@" + self.name("acme", 1), "--tls", "--local-interface",
                                 self.bot())
        self.assertEqual(status, 24, out)
        self.assertIn("takes mail at its MX", out)

    def test_swaks_logs_in(self):
        d = self.serve()
        self.hear(d)
        for how in ("PLAIN", "LOGIN", "CRAM-MD5"):
            with self.subTest(how):
                sender = "swaks-%s@lab-sender.net" % how
                status, out = self.swaks(d, sender, "u@" + self.name("acme", 1), "--tls", "--auth", how,
                                         "--auth-user", "user", "--auth-password", "secret")
                self.assertEqual(status, 0, out)
                self.assert_delivered(sender, "u@" + self.name("acme", 1))
                self.assert_leg(sender, "esmtpsa", True)
        status, out = self.swaks(d, "wrong@lab-sender.net", "u@" + self.name("acme", 1), "--tls", "--auth", "PLAIN",
                                 "--auth-user", "user", "--auth-password", "wrong")
        self.assertEqual(status, 28, out)  # authentication failed

    def posttls_finger(self, daemon, *options):
        directory = self.place.new_dir("posttls")
        servers.write(directory + "/main.cf", "compatibility_level = 3.6\nmyhostname = client.lab-sender.net\n"
                      "queue_directory = %s\ndata_directory = %s\nmail_owner = mail\nsetgid_group = daemon\n" %
                      (directory, directory))
        servers.write(directory + "/master.cf", FORMS)
        _, out = self.unpacked("posttls-finger", "-c", "-o", "inet_protocols=ipv4", *options, "[%s]:%d" % (
            self.place.server, daemon.port), "host.lab-hosting.net", env={"MAIL_CONFIG": directory})
        return out

    def test_posttls_finger(self):
        d = self.serve()
        out = self.posttls_finger(d, "-l", "may", "-L", "summary")
        self.assertRegex(out, r"Untrusted TLS connection established to .*: TLSv1\.3 with cipher TLS_\w+ .*"
                              r"server-signature ECDSA \(\w+\)")
        out = self.posttls_finger(d, "-l", "secure", "-L", "summary", "-F", self.place.ours.cert)
        self.assertIn("Verified TLS connection established", out)
        # Another certificate is not ours: the same would tell.
        out = self.posttls_finger(d, "-l", "secure", "-L", "summary", "-F", self.place.theirs.cert)
        self.assertNotIn("Verified", out)

    def test_many_at_once(self):
        d = self.serve()
        domain, content = self.name("self"), b"Subject: many\r\n\r\n" + b"x" * 70 + b"\r\n"
        senders = ["many-%d@lab-sender.net" % i for i in range(60)]

        def one(sender):
            return self.send_tls(d, self.place.plan.mta[0], "u@" + domain, sender, content * 20)[2].code
        self.assertEqual(mail.in_parallel(one, senders, 12), [250] * len(senders))
        for sender in senders:
            self.assert_delivered(sender, "u@" + domain, content * 20)


class Postfix(TlsCase):
    """The same to a real Postfix behind frontdoor."""

    def setUp(self):
        if not self.place.tls_postfix:
            self.skipTest("Postfix needs root and a network of its own")

    def stored(self, word):
        self.wait("stored", lambda: self.place.tls_postfix.messages(word))
        return self.place.tls_postfix.messages(word)

    def test_mirrored(self):
        self.need_client_source()
        d = self.serve(self.place.tls_postfix)
        bot = self.bot()
        sender, _, final = self.send_tls(d, bot, "u@" + self.name("self"))
        self.assert_code(final, 250)
        found = self.stored(sender)
        self.assertEqual(len(found), 1)
        self.assertRegex(found[0], rb"Received: from client\.lab-sender\.net \(\S+ \[%s\]\)\n"
                                   rb"\t\(using TLSv1\.3 with cipher \w+[^)]*\)(?:\n[^\n]*)*? with ESMTPS id" %
                         bot.encode())

    def test_clear_behind(self):
        d = self.serve(self.place.tls_postfix, listener={"upstream_tls": "off"})
        sender, _, final = self.send_tls(d, self.bot(), "u@" + self.name("self"))
        self.assert_code(final, 250)
        found = self.stored(sender)
        self.assertEqual(len(found), 1)
        self.assertNotIn(b"using TLS", found[0])
        self.assertIn(b" with ESMTP id", found[0])

    def test_login(self):
        d = self.serve(self.place.tls_postfix)
        c = self.connect(d, self.bot())
        self.assertFalse(c.offers("AUTH"))
        c = self.connect_tls(d, self.bot())
        self.assertTrue(c.offers("AUTH"))
        self.assert_code(c.login(), 235)
        _, final = c.mail("postfix-login@lab-sender.net", ["u@" + self.name("acme", 1)], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        self.assertIn(b" with ESMTPSA id", self.stored("postfix-login@lab-sender.net")[0])

    def test_tls_1_2(self):
        d = self.serve(self.place.tls_postfix)
        c = self.connect_tls(d, self.bot(), ctx=context(highest=ssl.TLSVersion.TLSv1_2))
        _, final = c.mail("postfix-12@lab-sender.net", ["u@" + self.name("self")], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        self.assertIn(b"with ESMTPS id", self.stored("postfix-12@lab-sender.net")[0])
