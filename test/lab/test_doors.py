"""Every kind of door × listen, gateway, same host × IPv4, IPv6 × every kind of client: what the
client was told, who was delivered according to Exim's log and store, which addresses Exim saw, and
what the event says."""
from lab import expect, mail
from lab.case import LabCase
from lab.zones import KINDS


WHERE = {"acme": "scan1", "guard_out": "scan2"}  # whose clients are not in the world


class Doors:
    """One round of messages for all cases, sent when the class is set up."""

    @classmethod
    def set_up(cls):
        lab = cls.lab
        cls.shared["before"] = {who: cls.attempt(who, lab.internet.by_kind[kind][5])
                                for who, kind in (("stranger", "acme"), ("home", "guard"))}
        cls.shared["heard"] = {name: scanner.deliver(["info@" + lab.internet.by_kind[name][5].name])
                               for name, scanner in (("acme", lab.acme), ("guard", lab.guard))}
        jobs = [(f, kind, who) for f in lab.families for kind in KINDS for who in expect.CLIENTS
                if kind != "silent"]
        sent = mail.in_parallel(lambda job: cls.attempt(job[2], cls.domain(*job[1:]), job[0]), jobs)
        cls.shared["sent"] = dict(zip(jobs, sent))
        lab.log.settle()
        cls.shared["events"] = {}
        for e in cls.daemon.events():
            if "rcpt_domain" in e:
                cls.shared["events"][e["rcpt_domain"], e["client"]] = e

    @classmethod
    def domain(cls, kind, who):
        if who == "printer" and kind == "guard":
            return cls.lab.printer_domain
        return cls.lab.internet.by_kind[kind][0]

    @classmethod
    def attempt(cls, who, domain, family=4):
        lab, sender, to = cls.lab, mail.token(), "info@" + domain.name
        source = lab.client(who, family)
        content = mail.message(sender, body=b"One line.\r\n..dots.\r\n")
        _, replies, final = mail.deliver(lab.ns[WHERE.get(who, "world")], source, lab.server(family),
                                         [to], sender, content, lab.smtp_port)
        return {"sender": sender, "to": to, "reply": replies[0], "final": final, "source": source,
                "content": content, "domain": domain}

    def kind_of_door(self, family, kind):
        for who in expect.CLIENTS:
            with self.subTest(who):
                self.judge(family, kind, who, self.shared["sent"][family, kind, who])

    def judge(self, family, kind, who, got):
        want = expect.code(self.lab, got["domain"], who, family)
        if want == 250:
            self.assert_code(got["reply"], 250)
            self.assert_code(got["final"], 250)
            self.assert_delivered(got["sender"], [got["to"]], self.seen_client(got["source"]),
                                  self.seen_address(family), got["content"])
        else:
            words = [expect.ENHANCED[want]] + ([got["domain"].name] if want != 451 else [])
            self.assert_code(got["reply"], want, *words)
            self.assertIsNone(got["final"])
            self.assert_not_delivered(got["sender"])

    def needs(self, family, kind):
        if family not in self.lab.families or (self.lab.loopback and "v6only" in kind):
            self.skipTest("no IPv6 on loopback")

    def events_of_kind(self, kind):
        self.needs(4, kind)
        for family, who in ((f, w) for f in self.lab.families for w in expect.CLIENTS):
            if who == "monitor":
                continue  # trusted: its sessions are copied, not looked into
            with self.subTest("%s, IPv%d" % (who, family)):
                self.judge_event(family, kind, who, self.shared["sent"][family, kind, who])

    def judge_event(self, family, kind, who, got):
        event = self.shared["events"].get((got["domain"].name, got["source"]))
        self.assertIsNotNone(event, "no event")
        self.assertEqual(event["finding"], expect.finding(self.lab, got["domain"], who, family), event)
        self.assertEqual(event["reply"], expect.code(self.lab, got["domain"], who, family), event)
        self.assertEqual(event["server"], self.lab.server(family), event)
        if event["reason"] != "allowed":
            self.assertEqual(event["door"], KINDS[kind].door, event)

    def seen_client(self, source):
        if self.mode == "listen":
            return self.lab.gateway_address  # source: self
        return source

    def test_never_heard_of_scanner_only_defers(self):
        for who, got in self.shared["before"].items():
            with self.subTest(who):
                self.assert_code(got["reply"], 450, "4.7.1", got["domain"].name)
                self.assert_not_delivered(got["sender"])
                event = self.shared["events"][got["domain"].name, got["source"]]
                self.assertEqual((event["action"], event["wanted"], event["restraint"]),
                                 ("defer", "reject", "never-heard"))

    def test_scanners_come_in(self):
        for name, (sender, replies, final) in self.shared["heard"].items():
            with self.subTest(name):
                self.assert_code(final, 250)
                self.assert_delivered(sender, ["info@" + self.lab.internet.by_kind[name][5].name])

    def test_refusal_names_domain_mx_server_and_session(self):
        got = self.shared["sent"][4, "acme", "stranger"]
        self.assert_code(got["reply"], 550, "5.7.1 %s takes mail at its MX, mx1.acme-filter.net; delivery to %s is refused (" % (
            got["domain"].name, self.lab.server(4)))
        event = self.shared["events"][got["domain"].name, got["source"]]
        self.assertIn("(%s)" % event["id"], got["reply"].text)


def _generate():
    for kind in KINDS:
        if kind != "silent":
            setattr(Doors, "test_events_" + kind.replace("-", "_"),
                    lambda self, kind=kind: self.events_of_kind(kind))
    for family in (4, 6):
        for kind in KINDS:
            if kind == "silent":
                continue

            def case(self, family=family, kind=kind):
                self.needs(family, kind)
                self.kind_of_door(family, kind)

            setattr(Doors, "test_IPv%d_%s" % (family, kind.replace("-", "_")), case)


_generate()


class GatewayDoors(Doors, LabCase):
    mode = "gateway"


class SameHostDoors(Doors, LabCase):
    mode = "same-host"


class ListenDoors(Doors, LabCase):
    mode = "listen"
