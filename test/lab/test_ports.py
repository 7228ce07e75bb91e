"""Mode tproxy with three listeners: the world's port 25, and 587 and 465 for users who log in."""

from lab import mail, servers, tls
from lab.case import LabCase

USERS = 587  # STARTTLS; fails closed
SMTPS = 465  # TLS from the first octet; fails open
LISTENS = {USERS: 2587, SMTPS: 2465}
LISTENERS = """\
  - {name: users, mode: tproxy, port: 587, bind: ["0.0.0.0:2587", "[::]:2587"], require_auth: true, fail: closed}
  - {name: smtps, mode: tproxy, port: 465, bind: ["127.0.0.1:2465", "[::1]:2465"], require_auth: true, tls: implicit}
"""


class Ports:
    @classmethod
    def prepare(cls, lab):
        """Exim's ports for users: it takes mail for its own domains there from everybody."""
        exim = lab.exim
        exim.interfaces = exim.interfaces + ["[%s]:%d" % (a, p) for a in lab.plan.server for p in LISTENS]
        exim.stop()
        exim.configure(main=servers.EXIM_SETTINGS["main"] + "\ntls_on_connect_ports = %d" % SMTPS)
        exim.start()

    @classmethod
    def settings(cls, lab):
        pem = tls.certificate(lab.path("frontdoor", "frontdoor.pem"), "frontdoor.lab-hosting.net")
        return {"listeners": LISTENERS, "tls": "certificates: [{cert: %s}]" % pem}

    @classmethod
    def set_up(cls):
        cls.all_listen()
        for name, scanner in (("acme", cls.lab.acme), ("guard", cls.lab.guard)):
            scanner.deliver(["info@" + cls.lab.internet.by_kind[name][5].name])

    @classmethod
    def all_listen(cls):
        servers.wait_for("listeners for users", lambda: all(cls.daemon.where.listens(p) for p in LISTENS.values()))

    def to(self, kind):
        return "info@" + self.lab.internet.by_kind[kind][2].name

    def connect(self, port, who="stranger", family=4, secure=True):
        """After EHLO, encrypted unless that isn't wanted."""
        c = mail.Smtp(self.lab.ns["world"], self.lab.client(who, family), self.lab.server(family), port,
                      greet=port != SMTPS)
        if port == SMTPS:
            c.secure()
            c.banner = c.read()
            c.ehlo = c.cmd("EHLO client.lab-sender.net")
        elif secure:
            c.starttls()
        return c

    # The listeners for users --------------------------------------------------------------------

    def test_who_has_not_logged_in_gets_530(self):
        for port in LISTENS:
            for family in self.lab.families:
                with self.subTest("port %d, IPv%d" % (port, family)), self.connect(port, family=family) as c:
                    self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
                    for to in (self.to("self"), self.to("acme"), "x@not-hosted.net", "postmaster"):
                        self.assert_code(c.cmd("RCPT TO:<%s>" % to), 530, "5.7.0")
                    self.assertGreaterEqual(c.cmd("DATA").code, 500)

    def test_in_the_clear_as_well(self):
        with self.connect(USERS, secure=False) as c:
            self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
            self.assert_code(c.cmd("RCPT TO:<%s>" % self.to("self")), 530, "5.7.0")

    def test_the_front_door_leads_nowhere_there(self):
        _, replies, _ = mail.deliver(self.lab.ns["scan1"], self.lab.plan.v("acme", 4), self.lab.server(4),
                                     [self.to("acme")], port=USERS)
        self.assert_code(replies[0], 530, "5.7.0")

    def test_who_has_logged_in_sends_anywhere(self):
        for port in LISTENS:
            for family in self.lab.families:
                for to in (self.to("acme"), "x@not-hosted.net"):
                    with self.subTest("port %d, IPv%d, %s" % (port, family, to)):
                        sender = mail.token()
                        with self.connect(port, family=family) as c:
                            self.assert_code(c.login(), 235)
                            replies, final = c.mail(sender, [to], mail.message(sender))
                            self.assert_code(final, 250)
                        m = self.assert_delivered(sender, [to], self.lab.client("stranger", family),
                                                  self.lab.server(family))
                        self.assertEqual(m.auth, "plain:user")
                        # The backend's port is the client's, and its leg is encrypted as the client's is.
                        self.assertIn("]:%d " % port, m.line.split(" I=")[1])
                        self.assertIn(" P=esmtpsa X=TLS", m.line)

    def test_a_failed_login_opens_nothing(self):
        with self.connect(SMTPS) as c:
            self.assert_code(c.login(password="wrong"), 535)
            self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
            self.assert_code(c.cmd("RCPT TO:<%s>" % self.to("self")), 530, "5.7.0")

    def test_trusted_clients_need_no_login(self):
        sender, _, final = self.lab_send(USERS, "monitor", self.to("acme"))
        self.assert_code(final, 250)
        self.assert_delivered(sender, [self.to("acme")], self.lab.client("monitor"))

    def test_the_event_tells_the_listener(self):
        client = self.lab.bots(7)[6]
        with mail.Smtp(self.lab.ns["world"], client, self.lab.server(4), USERS) as c:
            c.cmd("MAIL FROM:<a@lab-sender.net>")
            c.cmd("RCPT TO:<%s>" % self.to("self"))
        event = [e for e in self.daemon.events() if e.get("client", "").startswith(client)][-1]
        self.assertEqual((event["listener"], event["reason"], event["action"]), ("users", "auth-required", "reject"))

    def test_explain_agrees(self):
        def explain(*listener):
            p = self.daemon.cli("explain", "-c", self.daemon.conf, *listener, "--client", self.lab.client("stranger"),
                                "--server", self.lab.server(4), self.to("self"), check=False)
            return p.out
        self.assertIn("[auth-required]", explain("--listener", "users"))
        self.assertIn("530 5.7.0", explain("--listener", "smtps"))
        self.assertNotIn("only observed", explain("--listener", "smtps"))
        self.assertNotIn("auth-required", explain())

    # Port 25 ------------------------------------------------------------------------------------

    def lab_send(self, port, who, to, family=4):
        return mail.deliver(self.lab.ns["world"], self.lab.client(who, family), self.lab.server(family), [to],
                            port=port)

    def test_port_25_is_as_before(self):
        for family in self.lab.families:
            with self.subTest("IPv%d" % family):
                _, replies, _ = self.lab_send(25, "stranger", self.to("acme"), family)
                self.assert_code(replies[0], 550, "5.7.1")
                _, replies, _ = self.lab_send(25, "stranger", "x@not-hosted.net", family)
                self.assert_code(replies[0], 550, "relay not permitted")
                sender, _, final = self.lab_send(25, "stranger", self.to("self"), family)
                self.assert_code(final, 250)
                m = self.assert_delivered(sender, [self.to("self")], self.lab.client("stranger", family),
                                          self.lab.server(family))
                self.assertIn("]:25 ", m.line.split(" I=")[1])
                sender, _, final = self.lab.acme.deliver([self.to("acme")], family=family)
                self.assert_code(final, 250)
                self.assert_delivered(sender, [self.to("acme")])

    # What isn't for the listener ----------------------------------------------------------------

    def closed_at_once(self, address, port):
        """Accepted, and closed without a word; a refused connection isn't that."""
        with mail.Smtp(self.lab.ns["world"], self.lab.client("stranger"), address, port, greet=False) as c:
            with self.assertRaisesRegex(mail.Closed, "closed by the server"):
                c.read()

    def test_who_connects_to_the_listener_itself_is_dropped(self):
        own = {"gateway": "192.0.2.1", "same-host": self.lab.server(4)}[self.mode]
        self.closed_at_once(own, LISTENS[USERS])

    def test_what_is_steered_there_from_another_port_is_dropped(self):
        """By a rule of somebody else's; the same rule for the listener's own port works."""
        where, server = self.daemon.where, self.lab.server(4)

        def stray(port):
            where.run(["nft", "add table ip stray; delete table ip stray; table ip stray { chain c { "
                       "type filter hook prerouting priority -95; iif != lo ip daddr %s tcp dport %d "
                       "tproxy to 127.0.0.1:%d meta mark set 0xfb; }; }" % (server, port, LISTENS[USERS])])
        try:
            stray(USERS)
            with self.connect(USERS) as c:
                self.assertEqual(c.banner.code, 220)
            stray(2626)
            self.closed_at_once(server, 2626)
        finally:
            where.run(["nft", "delete table ip stray"])

    # The daemon itself, last --------------------------------------------------------------------

    def test_z1_each_port_fails_as_configured(self):
        to = self.to("acme")
        self.daemon.kill()
        try:
            for family in self.lab.families:
                with self.subTest("IPv%d" % family):
                    sender, _, final = self.lab_send(25, "stranger", to, family)
                    self.assert_code(final, 250)
                    self.assert_delivered(sender, [to], self.lab.client("stranger", family))
                    with self.connect(SMTPS, family=family) as c:
                        self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
                        self.assert_code(c.cmd("RCPT TO:<%s>" % to), 250)
                    with self.assertRaisesRegex(mail.Closed, "refused"):
                        self.connect(USERS, family=family)
        finally:
            self.daemon.start()
            self.all_listen()
        with self.connect(USERS) as c:
            self.assert_code(c.login(), 235)

    def test_z2_net_down_leaves_every_port_alone(self):
        self.daemon.stop()
        self.daemon.net_down()
        self.assertNotIn("frontdoor", self.daemon.where.run(["nft", "list", "ruleset"]).out)
        for port in (25, USERS):
            sender, _, final = self.lab_send(port, "stranger", self.to("acme"))
            self.assert_code(final, 250)


class GatewayPorts(Ports, LabCase):
    mode = "gateway"


class SameHostPorts(Ports, LabCase):
    mode = "same-host"
