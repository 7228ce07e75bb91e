"""The backend's leg: encrypted as the client's is, never, always; and backends that fail at it."""
import itertools

from lab import mail
from stage.case import TlsCase


class Leg(TlsCase):
    def both(self, mode, clear, secure):
        """A mail in the clear and one over TLS; what each leg to Exim then is: (protocol, encrypted)."""
        d = self.serve(listener={"upstream_tls": mode})
        for how, want in ((self.send, clear), (self.send_tls, secure)):
            sender, _, final = how(d, self.bot(), "u@" + self.name("self"))
            self.assert_code(final, 250)
            self.assert_leg(sender, *want)
        return d

    def test_mirror(self):
        self.both("mirror", ("esmtp", False), ("esmtps", True))

    def test_off(self):
        self.both("off", ("esmtp", False), ("esmtp", False))

    def test_always(self):
        self.both("always", ("esmtps", True), ("esmtps", True))

    def test_auth_that_needs_tls(self):
        """Exim offers it under TLS only: by mirror to those who have TLS, by always to all, by off to none."""
        for mode, clear, secure in (("mirror", False, True), ("off", False, False), ("always", True, True)):
            d = self.serve(listener={"upstream_tls": mode})
            with self.subTest(mode):
                self.assertEqual(self.connect(d, self.bot()).offers("AUTH"), clear)
                c = self.connect_tls(d, self.bot())
                self.assertEqual(c.offers("AUTH"), secure)
                self.assert_code(c.login(), 235 if secure else 503)

    def test_starttls_is_offered_once(self):
        d = self.serve()
        c = self.connect(d, self.bot())
        self.assertTrue(c.offers("STARTTLS"))
        self.assertFalse(self.connect_tls(d, self.bot()).offers("STARTTLS"))

    def test_offered_whatever_the_backend_offers(self):
        backend = self.fake()
        d = self.serve(backend)
        self.assertTrue(self.connect(d, self.bot()).offers("STARTTLS"))
        sender, _, final = self.send_tls(d, self.bot(), "u@" + self.name("self"))
        self.assert_code(final, 250)
        self.assertEqual(len(backend.messages), 1)
        self.assertNotIn("STARTTLS", sum(backend.sessions, []))

    def test_plus_mechanisms_are_not_offered(self):
        """Channel binding can't hold across two sessions of TLS."""
        backend = self.fake_tls({
            "EHLO-TLS": "250-fake\r\n250-AUTH PLAIN SCRAM-SHA-256-PLUS SCRAM-SHA-256 X-PLUS\r\n250 SIZE"})
        d = self.serve(backend)
        c = self.connect_tls(d, self.bot())
        self.assertEqual([line for line in c.ehlo.lines if "AUTH" in line], ["250-AUTH PLAIN SCRAM-SHA-256"])

    def test_backend_with_tls_from_the_first_octet(self):
        """Port 465 is that to the backend."""
        if not self.place.own_network:
            self.skipTest("needs port 465")
        backend = self.fake_tls(implicit=True, port=465)
        d = self.serve(backend, listener={"tls": "implicit"})
        c = self.connect_implicit(d, self.bot())
        _, final = c.mail("i@lab-sender.net", ["u@" + self.name("self")], b"x\r\n")
        self.assert_code(final, 250)
        self.assertEqual(len(backend.messages), 1)
        self.assertIn("<TLS>", backend.sessions[-1])


class Failing(TlsCase):
    """The client gets a 4xx and then no session; no mail is lost: what was answered 250 was stored."""

    def start_failing(self, mode="mirror", **how):
        backend = self.fake_tls(**how)
        return backend, self.serve(backend, listener={"upstream_tls": mode})

    def check_454(self, d, backend):
        c = self.connect(d, self.bot())
        self.assertTrue(c.offers("STARTTLS"))
        self.assert_code(c.cmd("STARTTLS"), 454, "454 4.7.0 ")
        self.assert_code(c.cmd("EHLO client.lab-sender.net"), 421)
        self.assert_closed(c)
        # In the clear all goes on.
        _, _, final = self.send(d, self.bot(), "u@" + self.name("self"))
        self.assert_code(final, 250)
        self.assertEqual(len(backend.messages), 1)

    def test_backend_refuses_starttls(self):
        """No handshake was begun: the session may go on as it is."""
        for reply in ("454 4.7.0 not now", "554 5.7.0 never", "502 what?", "250 well"):
            backend, d = self.start_failing(replies={"STARTTLS": reply})
            with self.subTest(reply):
                c = self.connect(d, self.bot())
                self.assert_code(c.cmd("STARTTLS"), 454, "454 4.7.0 ")
                _, final = c.mail(mail.token(), ["u@" + self.name("self")], b"x\r\n")
                self.assert_code(final, 250)
                self.assertEqual(len(backend.messages), 1)

    def test_backend_closes_after_its_220(self):
        backend, d = self.start_failing(instead=lambda s: None)
        self.check_454(d, backend)
        self.assertIn("TLS handshake failed", d.log_text())

    def test_backend_sends_nonsense_instead_of_a_handshake(self):
        def nonsense(s):
            s.recv(10000)
            s.sendall(b"500 what is that?\r\n" * 20)
        backend, d = self.start_failing(instead=nonsense)
        self.check_454(d, backend)

    def test_always_without_starttls(self):
        backend = self.fake()
        d = self.serve(backend, listener={"upstream_tls": "always"})
        c = self.connect(d, self.bot(), greet=False)
        self.assert_code(c.read(), 421, "421 4.3.0 ")
        self.assert_closed(c)
        self.assertNotIn("MAIL", [x[:4] for x in sum(backend.sessions, [])])

    def test_always_with_a_handshake_that_fails(self):
        backend, d = self.start_failing("always", instead=lambda s: None)
        self.assert_code(self.connect(d, self.bot(), greet=False).read(), 421, "421 4.3.0 ")

    def test_backend_whose_certificate_is_for_another(self):
        """On loopback it is nobody else's: any will do."""
        backend, d = self.start_failing(certificate=self.certificate("wrong.example.net"))
        _, _, final = self.send_tls(d, self.bot(), "u@" + self.name("self"))
        self.assert_code(final, 250)
        self.assertIn("<TLS>", backend.sessions[-1])

    def test_verification_elsewhere(self):
        if not self.place.own_network:
            self.skipTest("needs an address that isn't loopback")
        refuse = {"RCPT": lambda: answer[0]}
        answer = ["550 5.7.1 no relaying"]
        backend = self.fake_tls(refuse, address=self.place.far)
        where = "%s:%d" % (self.place.far, backend.port)
        name = self.place.theirs.names[0]
        theirs, ours = self.place.theirs.cert, self.place.ours.cert
        for ca, verify, want in ((theirs, name, 220), (theirs, "other.example.net", 454), (ours, name, 454),
                                 (None, "off", 220)):
            answer[0] = "550 5.7.1 no relaying"
            listener = {"upstream_verify": verify, **({"upstream_ca": ca} if ca else {})}
            d = self.serve(where, source="self", listener=listener)
            answer[0] = "250 ok"
            with self.subTest("%s %s" % (verify, ca)):
                c = self.connect(d, self.bot())
                self.assert_code(c.cmd("STARTTLS"), want)

    def test_backend_that_ends_within_a_transaction(self):
        """Between the final dot and its reply: never a 250."""
        backend, d = self.start_failing(replies={".": "close"})
        c = self.connect_tls(d, self.bot())
        _, final = c.mail("lost@lab-sender.net", ["u@" + self.name("self")], b"x\r\n")
        self.assertIn(final.code, (421, 451))
        self.assertEqual(len(backend.messages), 1)  # it may have been taken: the client tries again

    def test_no_mail_is_lost_by_a_backend_that_fails_at_times(self):
        turns = itertools.count()
        backend, d = self.start_failing(instead=lambda s: next(turns) % 2 == 0)
        codes = []
        for _ in range(8):
            c = self.connect(d, self.bot())
            codes.append(c.cmd("STARTTLS").code)
            if codes[-1] == 220:
                self.handshake(c)
                _, final = c.mail(mail.token(), ["u@" + self.name("self")], b"x\r\n")
                self.assert_code(final, 250)
        self.assertEqual((sorted(codes), len(backend.messages)), ([220] * 4 + [454] * 4, 4))
