"""The lab itself, without frontdoor: what the other tests stand on."""

from lab import mail
from lab.case import LabCase
from lab.zones import KINDS


class LabAlone(LabCase):
    mode = "direct"

    def test_dns_says_what_the_kinds_promise(self):
        stub = self.lab.stub()
        mx_of = {"cname": "guard"}
        for kind, domains in self.lab.internet.by_kind.items():
            with self.subTest(kind):
                for d in domains[:3] if kind != "silent" else ():
                    rcode, mx = stub.ask(d.name, "MX")
                    if kind in ("servfail", "lame"):
                        self.assertEqual(rcode, 2)
                    elif kind == "nxdomain":
                        self.assertEqual(rcode, 3)
                    elif kind in mx_of:
                        self.assertEqual(sorted(mx), sorted(self.lab.internet.alias_target.mx))
                    else:
                        want = [(p, "" if h == "." else h) for p, h in d.mx]
                        self.assertEqual((rcode, sorted(mx)), (0, sorted(want)))

    def test_doors_lead_where_the_kinds_promise(self):
        stub, plan = self.lab.stub(), self.lab.plan
        where = {"acme": plan.acme, "guard": plan.guard, "self": plan.server,
                 "implicit": plan.server, "elsewhere": plan.web, "vanity": plan.acme,
                 "both": plan.acme + plan.guard, "mystery": plan.mystery, "cname-mx": plan.acme,
                 "cname": plan.guard, "backup": plan.acme + plan.server, "null": []}
        for kind, addresses in where.items():
            with self.subTest(kind):
                got = stub.mail_hosts(self.lab.internet.by_kind[kind][0].name)
                self.assertEqual(sorted(got), sorted(addresses))

    def test_back_doors_lead_to_the_mail_server(self):
        stub = self.lab.stub()
        for d in self.lab.internet.by_kind["acme"][:20]:
            for name in ("", "www", "mail", "smtp"):
                with self.subTest("%s of %s" % (name or "apex", d.name)):
                    got = stub.addresses((name + "." if name else "") + d.name)
                    self.assertEqual(self.lab.server(4) in got, name in d.backdoors)

    def test_reverse_names(self):
        import ipaddress
        stub = self.lab.stub()
        for address, name in self.lab.internet.pointers().items():
            with self.subTest(address):
                self.assertEqual(stub.ask(ipaddress.ip_address(address).reverse_pointer, "PTR"), (0, [name]))
                back = stub.addresses(name, 6 if ":" in address else 4)
                self.assertEqual(address in back, address not in self.lab.plan.liar)
        self.assertEqual(stub.ask(ipaddress.ip_address(self.lab.client("nameless")).reverse_pointer, "PTR")[0], 2)
        self.assertEqual(stub.ask(ipaddress.ip_address(self.lab.client("stranger")).reverse_pointer, "PTR")[0], 3)

    def test_authoritative_servers_answer_directly(self):
        from lab import dns
        if self.lab.loopback:
            self.skipTest("NSD has no port 53 of its own")
        d = self.lab.internet.by_kind["acme"][0]
        for address in self.lab.plan.nsd:
            nsd = dns.Resolver(self.lab.ns["mail"], address + ":53")
            self.assertEqual(nsd.ask(d.name, "MX"), (0, d.mx))

    def test_resolver_answers_many_at_once(self):
        stub, domains = self.lab.stub(), self.lab.internet.by_kind["self"][:400]
        self.assertGreater(len(domains), 100)
        self.assertEqual(mail.in_parallel(lambda d: stub.ask(d.name, "MX"), domains), [(0, d.mx) for d in domains])

    def test_mail_comes_in_from_the_world(self):
        for family in self.lab.families:
            for who in ("stranger", "home", "printer", "monitor"):
                with self.subTest("%s, IPv%d" % (who, family)):
                    to = "info@" + self.lab.internet.by_kind["self"][0].name
                    source = self.lab.client(who, family)
                    sender = mail.token()
                    body = mail.message(sender)
                    _, replies, final = self.lab.send(source, to, family, sender=sender, content=body)
                    self.assert_code(final, 250)
                    self.assert_delivered(sender, [to], source, self.lab.server(family), body)

    def test_relaying_only_for_the_relayed(self):
        for family in self.lab.families:
            for who, code in (("relay", 250), ("stranger", 550)):
                with self.subTest("%s, IPv%d" % (who, family)):
                    _, replies, final = self.lab.send(self.lab.client(who, family), "x@not-hosted.net", family)
                    self.assert_code(replies[0], code)

    def test_login(self):
        _, replies, final = self.lab.send(self.lab.client("stranger"), "x@not-hosted.net", user="user")
        self.assert_code(final, 250)

    def test_virus_comes_in_by_the_back_door_and_not_by_the_scanner(self):
        domains = [d.name for d in self.lab.internet.by_kind["acme"][:40]]
        worm = mail.Worm(self.lab.ns["world"], self.lab.bots(8), self.lab.stub(), self.lab.plan.server,
                         self.lab.smtp_port).run(domains)
        self.assertGreater(len(worm.accepted), 20)
        self.assertEqual(len(worm.accepted), len(worm.attempts))
        stored = [m for m in self.lab.log.settle().messages.values() if m.sender.startswith("worm")]
        self.assertEqual(sorted(r for m in stored for r in m.delivered), sorted(worm.accepted))
        self.assertIn(mail.base64.b64encode(mail.EICAR), self.lab.log.content(stored[0].id))
        _, replies, final = mail.deliver(
            self.lab.ns["world"], self.lab.client("stranger"), self.lab.plan.acme[0],
            ["info@" + domains[0]], content=mail.virus("w@x.net"), port=self.lab.smtp_port)
        self.assert_code(final, 550, "virus")

    def test_scanner_carries_mail(self):
        for scanner, kind, egress in (("acme", "acme", "acme"), ("guard", "guard", "guard_out")):
            for family in self.lab.families:
                with self.subTest("%s, IPv%d" % (scanner, family)):
                    to = "info@" + self.lab.internet.by_kind[kind][0].name
                    mta = mail.Mta(self.lab.ns["world"], self.lab.client("mta", family),
                                   self.lab.stub(), self.lab.smtp_port)
                    sender = mta.submit(to)
                    self.assertEqual((mta.queue, mta.bounced), ([], []))
                    m = self.assert_delivered(sender, [to])
                    self.assertIn(m.client, self.lab.plan.all(egress, family))

    def test_every_kind_is_there(self):
        for kind in KINDS:
            self.assertGreaterEqual(len(self.lab.internet.by_kind[kind]), 2, kind)
        self.assertEqual(len(self.lab.internet.domains), 5000)
