"""Protocol versions, ciphers, session tickets."""
import ssl

from stage.case import TlsCase, context

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Versions(TlsCase):
    def test_1_2_and_1_3(self):
        d = self.serve()
        for version, name in ((V12, "TLSv1.2"), (V13, "TLSv1.3")):
            with self.subTest(name):
                c = self.connect_tls(d, self.bot(), ctx=context(version, version))
                self.assertEqual(c.sock.version(), name)
                self.assertRegex(c.sock.cipher()[0], "GCM|CHACHA20")
                sender = "v-%s@lab-sender.net" % name
                _, final = c.mail(sender, ["u@" + self.name("self")], b"Subject: x\r\n\r\nx\r\n")
                self.assert_code(final, 250)
                self.assert_leg(sender, "esmtps", True)

    def test_older_ones_are_refused(self):
        d = self.serve()
        # The client's own minimum is lifted, so that it is the server that refuses.
        for option in ("-tls1", "-tls1_1"):
            with self.subTest(option):
                _, out = self.s_client(d, option, "-cipher", "ALL:@SECLEVEL=0")
                self.assertIn("alert protocol version", out)
                self.assertIn("Cipher is (NONE)", out)
        self.assertIsNotNone(self.shown(d, "-tls1_2", "-cipher", "ALL:@SECLEVEL=0"))
        self.assert_alive(d)

    def test_old_ciphers_are_refused(self):
        d = self.serve()
        for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384",
                       "DHE-RSA-AES128-GCM-SHA256", "aNULL", "ECDHE-ECDSA-NULL-SHA"):
            with self.subTest(cipher):
                _, out = self.s_client(d, "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
                self.assertIn("alert handshake failure", out)
        for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"):
            with self.subTest(cipher):
                self.assertIsNotNone(self.shown(d, "-tls1_2", "-cipher", cipher))

    def test_no_renegotiation(self):
        d = self.serve()
        _, out = self.s_client(d, "-tls1_2", text="R\nQUIT\n")
        self.assertIn("Secure Renegotiation IS supported", out)
        self.assertRegex(out, "no renegotiation")
        self.assert_alive(d)


class Tickets(TlsCase):
    def resume(self, version, times=3):
        d = self.serve()
        ctx = context(version, version)
        c = self.connect_tls(d, self.bot(), ctx=ctx)
        self.assertFalse(c.sock.session_reused)
        for n in range(times):
            session = c.sock.session
            c.leave()
            c = self.connect_tls(d, self.bot(), ctx=ctx, session=session)
            self.assertTrue(c.sock.session_reused, "time %d" % n)
        _, final = c.mail("resumed-%s@lab-sender.net" % version.name, ["u@" + self.name("self")],
                          b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        self.assert_leg("resumed-%s@lab-sender.net" % version.name, "esmtps", True)
        return d

    def test_resumed_1_2(self):
        self.resume(V12)

    def test_resumed_1_3(self):
        self.resume(V13)

    def test_a_resumed_session_gets_a_ticket_of_its_own(self):
        """RFC 8446 C.4: a client should use each only once; so it needs a new one each time."""
        d = self.serve()
        file = self.place.new_dir("session") + "/session"
        options = ("-tls1_3", "-ign_eof", "-sess_out", file)
        text = "EHLO client.lab-sender.net\r\nQUIT\r\n"
        _, out = self.s_client(d, *options, text=text)
        self.assertIn("Post-Handshake New Session Ticket arrived", out)
        for _ in range(2):
            _, out = self.s_client(d, *options, "-sess_in", file, text=text)
            self.assertIn("Reused, TLSv1.3", out)
            self.assertIn("Post-Handshake New Session Ticket arrived", out)

    def test_another_daemon_does_not_know_them(self):
        """Full handshakes then, no failures."""
        one, other = self.serve(), self.serve()
        for version in (V12, V13):
            ctx = context(version, version)
            c = self.connect_tls(one, self.bot(), ctx=ctx)
            self.assertFalse(self.connect_tls(other, self.bot(), ctx=ctx, session=c.sock.session).sock.session_reused)

    def test_no_early_data(self):
        d = self.serve()
        file = self.place.new_dir("session") + "/session"
        text = "EHLO client.lab-sender.net\r\nQUIT\r\n"
        _, out = self.s_client(d, "-tls1_3", "-ign_eof", "-sess_out", file, text=text)
        self.assertIn("Max Early Data: 0", out)
