"""DNS that is slow, broken or says no: never a 5xx for it, and nobody else waits."""
import time

from harness import fakes
from harness.case import DaemonCase
from harness.place import CUT_OFF


class Trouble(DaemonCase):
    slow = 3

    def test_servfail_and_silence_defer(self):
        d = self.serve()
        for kind in ("servfail", "lame", "silent"):
            bot, domain = self.bot(), self.name(kind)
            with self.subTest(kind):
                _, reply = self.send_one(d, bot, "dns-trouble@" + domain)
                self.assert_code(reply, 451, "451 4.4.3 ", domain)
                self.assert_event(d.event(client=bot), finding="dns", action="defer", wanted="defer",
                                  reason="dns-failure", door="dns", reply=451)
        self.assert_never_heard_of("dns-trouble@")

    def test_trouble_passes_where_nothing_is_enforced(self):
        for policy in ({"action": "observe"}, {"action": "reject", "on_dns_failure": "pass"}):
            with self.subTest(str(policy)):
                d = self.serve(policy=policy)
                bot, domain = self.bot(), self.name("servfail")
                sender, reply = self.send_one(d, bot, "user@" + domain)
                self.assert_code(reply, 250)
                self.assert_delivered(sender, "user@" + domain, client=bot)
                self.assert_event(d.event(client=bot), finding="dns", action="observe")

    def test_trouble_with_the_name_of_a_client(self):
        """Only where a name could let it in: guard's egress has names, acme's has not."""
        d = self.serve()
        self.hear(d)
        self.hear(d, "guard")
        nameless = self.place.plan.nameless[0]
        _, reply = self.send_one(d, nameless, "user@" + self.name("guard", 1))
        self.assert_code(reply, 451, "451 4.4.3 ", "your host's name")
        self.assert_event(d.event(client=nameless), finding="dns", reason="ptr-failure")
        self.assert_code(self.send_one(d, nameless, "user@" + self.name("acme", 1))[1], 550)

    def test_no_resolver_at_all(self):
        monitor, printer = self.place.plan.monitor[0], self.place.plan.printer[0]
        d = self.serve(resolver={"servers": ["127.53.0.99:9"], "timeout_ms": 200}, trusted=[monitor],
                       domains=[{"name": self.name("acme", 1), "allow": [printer]}])
        for kind in ("acme", "self", "null", "nxdomain"):
            with self.subTest(kind):
                self.assert_code(self.send_one(d, self.bot(), "user@" + self.name(kind))[1], 451)
        # What needs no DNS goes on.
        for source, recipient in ((monitor, "user@" + self.name("acme")),
                                  (printer, "user@" + self.name("acme", 1)),
                                  (self.bot(), "postmaster")):
            with self.subTest(recipient):
                self.assert_code(self.send_one(d, source, recipient)[1], 250)


class Said(DaemonCase):
    def test_null_mx(self):
        d = self.serve()
        bot, domain = self.bot(), self.name("null")
        _, reply = self.send_one(d, bot, "user@" + domain)
        self.assertRegex(reply.text, r"^556 5\.1\.10 %s takes no mail \(null MX\) \([a-z2-7]{12}\)$" % domain)
        self.assert_event(d.event(client=bot), finding="null", action="reject", reason="null-mx",
                          door="null", reply=556)

    def test_unknown_domains(self):
        for action, code, status in (("pass", 250, ""), ("defer", 450, "450 4.1.2 "),
                                     ("reject", 550, "550 5.1.2 ")):
            d = self.serve(policy={"on_unknown_domain": action})
            for kind in ("nxdomain", "nodata"):
                bot = self.bot()
                with self.subTest("%s: %s" % (action, kind)):
                    _, reply = self.send_one(d, bot, "user@" + self.name(kind))
                    self.assert_code(reply, code, status)
                    self.assert_event(d.event(client=bot), door="unknown", reason="unknown-domain")

    def test_every_kind_of_door(self):
        """What the door table says of a client that nobody knows."""
        d = self.serve(policy={"guessed_action": "reject"})
        self.hear(d)
        self.hear(d, "guard")
        self.hear(d, "mystery")
        table = {"self": ("self", 250), "implicit": ("self", 250), "backup": ("backup", 250),
                 "elsewhere": ("elsewhere", 550), "both": ("scanner", 550), "idn": ("scanner", 550),
                 "cname-mx": ("scanner", 550), "cname": ("scanner", 550), "acme": ("scanner", 550),
                 "guard": ("scanner", 550), "mystery": ("scanner", 550), "null": ("null", 556)}
        for kind, (door, code) in table.items():
            bot = self.bot()
            with self.subTest(kind):
                self.assert_code(self.send_one(d, bot, "user@" + self.name(kind))[1], code)
                self.assert_event(d.event(client=bot), door=door, reply=code)


class Confirm(DaemonCase):
    def test_a_rejection_needs_the_authoritative_servers(self):
        if not self.place.has_53:
            self.skipTest("port 53 can't be bound: no authoritative server")
        d = self.serve(resolver={"confirm": "authoritative"})
        self.hear(d)
        bot = self.bot()
        _, reply = self.send_one(d, bot, "user@" + self.name("acme", 1))
        self.assert_refused(reply, self.name("acme", 1), "mx1.acme-filter.net")
        self.assert_event(d.event(client=bot), action="reject", restraint=None)
        bot = self.bot()
        _, reply = self.send_one(d, bot, "user@" + CUT_OFF)
        self.assert_code(reply, 450, "450 4.7.1 ")
        self.assert_event(d.event(client=bot), action="defer", wanted="reject", restraint="unconfirmed")


class Slow(DaemonCase):
    slow = 5

    def name_server(self, delay):
        ns = fakes.NameServer(self.place.plan.unbound, {
            "slow.com": [fakes.mx(10, "mx.slow-filter.net")], "mx.slow-filter.net": [fakes.a("127.51.0.99")],
            "quick.com": [fakes.mx(10, "mx.slow-filter.net")]}, delay)
        self.addCleanup(ns.stop)
        return ns

    def daemon(self, ns):
        return self.serve(self.fake(), hosted=[], resolver={"servers": [ns.server], "timeout_ms": 5000},
                          domains=[{"name": "slow.com", "action": "defer"},
                                   {"name": "quick.com", "action": "defer"}],
                          scanners=[{"name": "slow", "mx": ["*.slow-filter.net"], "egress": ["mx"]}])

    def test_a_slow_answer_holds_up_its_own_session_only(self):
        ns = self.name_server({"other-slow.com": 3})
        ns.records["other-slow.com"] = ns.records["slow.com"]
        d = self.daemon(ns)
        # As many as there are workers, and more: each of them has somebody waiting.
        waiting = [self.connect(d, self.bot()) for _ in range(6)]
        start = time.monotonic()
        for c in waiting:
            c.send(b"MAIL FROM:<s@lab-sender.net>\r\nRCPT TO:<u@other-slow.com>\r\nRCPT TO:<u@quick.com>\r\n")
            self.assert_code(c.read(), 250)
        for _ in range(10):
            c = self.connect(d, self.bot())
            c.cmd("MAIL FROM:<q@lab-sender.net>")
            self.assert_code(c.cmd("RCPT TO:<u@quick.com>"), 450)
            self.assert_code(c.cmd("QUIT"), 221)
        self.assertLess(time.monotonic() - start, 2)
        for c in waiting:
            # Not hosted: passes; and the one behind it, long decided, waited for its turn.
            self.assert_code(c.read(), 250)
            self.assert_code(c.read(), 450)
        self.assertGreater(time.monotonic() - start, 2.5)

    def test_many_questions_about_one_name_are_one(self):
        ns = self.name_server({"slow.com": 2})
        ns.records["later-slow.com"] = ns.records["slow.com"]
        ns.delay["later-slow.com"] = 2
        d = self.daemon(ns)
        clients = [self.connect(d, self.bot()) for _ in range(50)]
        start = time.monotonic()
        for c in clients:
            c.send(b"MAIL FROM:<s@lab-sender.net>\r\nRCPT TO:<u@later-slow.com>\r\n")
        for c in clients:
            c.read()
            self.assert_code(c.read(), 250)
        self.assertLess(time.monotonic() - start, 6)
        self.assertEqual(ns.asked["later-slow.com", 15], 1)

    def test_a_client_that_leaves_while_its_recipient_is_judged(self):
        ns = self.name_server({})
        ns.records["gone.com"] = ns.records["slow.com"]
        ns.delay["gone.com"] = 2
        d = self.daemon(ns)
        for _ in range(20):
            c = self.connect(d, self.bot())
            c.send(b"MAIL FROM:<s@lab-sender.net>\r\nRCPT TO:<u@gone.com>\r\nRCPT TO:<v@gone.com>\r\n")
            c.close()
        time.sleep(2.5)
        c = self.connect(d, self.bot())
        c.cmd("MAIL FROM:<s@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@gone.com>"), 250)


class LocalZone(DaemonCase):
    slow = 5

    def test_a_resolver_with_authority_is_told(self):
        """Asking NSD itself, whose answers have AA set."""
        server = "%s:%d" % (self.place.plan.nsd[0], self.place.nsd_port)
        d = self.serve(resolver={"servers": [server]})
        d.wait_log("answers with authority")
        self.wait("note", lambda: d.notes("aa-answer"))
