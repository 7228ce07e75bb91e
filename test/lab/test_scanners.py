"""Filters that deliver from elsewhere than they receive at: frontdoor must know them by the catalogue, by DNS and by
what it has seen, and no honest mail may be lost while it learns, while they move, and while there is no DNS.

Honest mail goes the whole way here: a mail server that obeys MX, the filter's relay, frontdoor, Exim. What the filter is
told, the sender is told, and sends again what was deferred. For frontdoor alone hours pass in no time (lab/travel.py)."""
import json

from lab import dns, mail, providers, servers
from lab.case import BREAK, LabCase
from lab.travel import Travel

HOUR = 3600


class Filters(LabCase):
    mode = "gateway"

    @classmethod
    def internet(cls):
        return providers.Internet(broken=BREAK == "spf")

    @classmethod
    def prepare(cls, lab):
        lab.internet.join(lab)
        cls.travel = Travel(lab.path("frontdoor"))

    @classmethod
    def settings(cls, lab):
        return {"extra": "state: %s\n" % lab.path("frontdoor", "state.db"), "env": cls.travel.environment(), **cls.conf}

    # Mail -------------------------------------------------------------------------------------

    @classmethod
    def customer(cls, name, n):
        return cls.lab.internet.by_name["%s-customer-%02d.com" % (name, n)]

    @classmethod
    def mta(cls, family=4):
        """A mail server of the world, with its own queue."""
        return mail.Mta(cls.lab.ns["world"], cls.lab.client("mta", family), dns.Resolver(cls.lab.ns["world"], cls.lab.resolver, 1.0))

    @classmethod
    def honest(cls, customers, family=4, stale=None):
        """[(customer, its sender's Mta, envelope sender)]: each delivered to where the MX leads, or tried."""
        def send(customer):
            mta = cls.mta(family)
            sender = mta.submit("info@" + customer.name, stale=stale)
            for _ in range(3):
                if mta.queue and not mta.trail:  # its own question to DNS got lost
                    mta.run(stale)
            return customer, mta, sender
        return mail.in_parallel(send, customers)

    @classmethod
    def worm(cls, customers, family=4, n=10):
        lab = cls.lab
        return mail.Worm(lab.ns["world"], lab.bots(n, family, 48), lab.stub(), lab.plan.server).run(
            [d.name for d in customers], batch=1)

    @classmethod
    def direct(cls, customer, family=4, who="stranger"):
        """The reply to one that comes past the MX."""
        return cls.lab.send(cls.lab.client(who, family), "info@" + customer.name, family)[1][0]

    @classmethod
    def from_egress(cls, name, customer, family=4):
        """The reply to a filter that delivers what isn't its to deliver."""
        return cls.lab.internet.filters[name].relay.deliver(["info@" + customer.name], family=family)[1][0]

    @classmethod
    def prove(cls, names):
        """Honest mail of two days, which should prove these filters: those that it doesn't are in shared. As honest()."""
        sent = []
        for hours in (25, 0):
            sent += cls.honest([cls.customer(name, n) for name in names for n in range(12)])
            cls.travel.ahead(hours * HOUR)
        rows = {cls.lab.internet.filters[name].row for name in names}
        try:
            servers.wait_for("filters to be proven", lambda: len(cls.notes("scanner-proven")) >= len(rows), 10)
        except TimeoutError:
            pass  # told by a test of its own, so that the others are run
        told = " ".join(e["text"] for e in cls.notes("scanner-proven"))
        cls.shared["unproven"] = [row for row in rows if "scanner %s is proven" % row not in told]
        return sent

    @classmethod
    def event(cls, customer, client=None, events=None):
        """The last one about this domain (and of this client)."""
        found = [e for e in (events if events is not None else cls.daemon.events())
                 if e.get("rcpt_domain") == customer.name and client in (None, e["client"])]
        return found[-1] if found else {}

    @classmethod
    def by_worms(cls, family=4, events=None):
        bots = set(cls.lab.bots(10, family, 48))
        return [e for e in (events if events is not None else cls.daemon.events()) if e.get("client") in bots]

    @classmethod
    def notes(cls, *kinds):
        return [e for e in cls.daemon.events() if e.get("event") in kinds]

    @classmethod
    def until_noted(cls, kind, words, seconds=20.0):
        """Waits for a note of this kind with all the words."""
        servers.wait_for("note %s with %s" % (kind, words), lambda: any(
            all(w in json.dumps(e) for w in words) for e in cls.notes(kind)), seconds)

    def assert_arrived(self, sent):
        """Every one of them, at once: neither refused nor deferred."""
        for customer, mta, sender in sent:
            self.assertEqual((mta.queue, mta.bounced), ([], []), "%s: %s" % (customer.name, mta.trail))
            self.assert_delivered(sender, ["info@" + customer.name])

    def codes(self, worm):
        """Of all that it tried, none of it with success."""
        self.assertTrue(worm.attempts)
        self.assertEqual(worm.accepted, [])
        return {r.code for _, _, _, r in worm.attempts}

    def assert_held_off(self, worm, codes):
        self.assertEqual(self.codes(worm), codes, worm.attempts)


class Providers(Filters):
    """Nothing is configured about them: all of it is the catalogue's, and DNS's."""

    KNOWN = ("nested", "hosts", "tenant", "other", "asked")

    @classmethod
    def set_up(cls):
        everyone = [cls.customer(name, n) for name in cls.KNOWN for n in range(4)]
        cls.shared["unheard"] = {name: cls.direct(cls.customer(name, 0)) for name in cls.KNOWN}
        cls.shared["first"] = {f: cls.honest(everyone, f) for f in (4, 6)}
        cls.shared["listed"] = cls.worms()
        cls.shared["other tenant"] = {f: cls.from_egress("other", cls.customer("tenant", 5), f) for f in (4, 6)}
        cls.shared["listed events"] = cls.daemon.events()
        cls.shared["between"] = cls.prove(cls.KNOWN)
        cls.shared["later"] = {f: cls.honest(everyone, f) for f in (4, 6)}
        cls.shared["proven"] = cls.worms()
        cls.lab.log.settle()
        cls.shared["proven events"] = cls.daemon.events()

    @classmethod
    def worms(cls):
        return {(name, f): cls.worm([cls.customer(name, n) for n in range(6)], f) for name in cls.KNOWN for f in (4, 6)}

    def test_the_rows_are_real(self):
        for f in self.lab.internet.filters.values():
            row = providers.row(f.row)
            for host in f.mx:
                self.assertTrue(any(host.endswith("." + s) or host == s for s in row["mx_suffixes"].split()), host)
        self.assertIn("spf.messagelabs.com", providers.row("symantec-cloud")["egress_spf"].split())
        self.assertEqual(providers.row("spamtitan")["egress_hosts"].split(),
                         ["cloud-out-c.spamtitan.com", "cloud-out-d.spamtitan.com"])
        self.assertEqual([providers.row("proofpoint")["egress_" + c] for c in ("spf", "hosts", "cidrs", "ptr_suffixes")],
                         ["", "", "", "pphosted.com"])

    def test_two_days_of_mail_prove_them(self):
        self.assertEqual(self.shared["unproven"], [])

    def test_never_heard_of_filters_only_defer(self):
        for name, reply in self.shared["unheard"].items():
            with self.subTest(name):
                self.assertIn(reply.code, (450,) if name != "hosts" else (250,), reply.text)

    def honest_of(self, name):
        self.assert_arrived([s for s in self.shared["between"] if s[0].filter == name])
        reasons = {"nested": "shared-egress", "hosts": "shared-egress", "tenant": "ptr", "other": "egress", "asked": "egress"}
        for when, grade in (("first", "listed" if name != "hosts" else "guessed"), ("later", "proven")):
            for family, sent in self.shared[when].items():
                with self.subTest("%s, IPv%d" % (when, family)):
                    mine = [s for s in sent if s[0].filter == name]
                    self.assert_arrived(mine)
                    events = self.shared["%s events" % ("listed" if when == "first" else "proven")]
                    for customer, mta, sender in mine:
                        event = self.event(customer, self.found(sender).client, events)
                        self.assertEqual([event.get(k) for k in ("scanner", "grade", "reason", "action")], [
                            self.lab.internet.filters[name].row, grade, reasons[name], "pass"], event)

    def worm_of(self, name):
        """What the grade says: a row of high confidence only defers until it is proven, a lesser one observes."""
        row = self.lab.internet.filters[name].row
        listed = ("listed", "defer", "listed") if name != "hosts" else ("guessed", "observe", "guessed")
        for when, code, told in (("listed", {"defer": 450, "observe": 250}[listed[1]], listed),
                                 ("proven", 550, ("proven", "reject", None))):
            for family in (4, 6):
                with self.subTest("%s, IPv%d" % (when, family)):
                    worm = self.shared[when][name, family]
                    self.assertEqual({r.code for _, _, _, r in worm.attempts}, {code}, worm.attempts)
                    self.assertEqual(len(worm.accepted), 6 if code == 250 else 0)
                    for domain, _, _, _ in worm.attempts:
                        event = self.event(self.lab.internet.by_name[domain], None, self.by_worms(
                            family, self.shared[when + " events"]))
                        self.assertEqual([event.get(k) for k in ("scanner", "finding", "grade", "action", "restraint", "reply")],
                                         [row, "direct", *told, code], event)

    def test_another_tenant_is_a_stranger(self):
        for family, reply in self.shared["other tenant"].items():
            with self.subTest("IPv%d" % family):
                self.assert_code(reply, 450, "4.7.1")
        self.assert_code(self.from_egress("other", self.customer("tenant", 5)), 550, "5.7.1")
        # One whose name is in the provider's domain might be a new part of it: deferred at most.
        self.assert_code(self.from_egress("tenant", self.customer("other", 5)), 450, "4.7.1")


def _generate():
    for name in Providers.KNOWN:
        setattr(Providers, "test_honest_mail_comes_in_" + name, lambda self, name=name: self.honest_of(name))
        setattr(Providers, "test_worm_mail_is_held_off_" + name, lambda self, name=name: self.worm_of(name))


_generate()


class MovedEgress(Filters):
    """A filter of the catalogue that delivers from another network than its row says, under another name."""

    def test_honest_mail_is_late_and_reported_but_not_lost(self):
        lab, moved = self.lab, self.lab.internet.filters["moved"]
        customers = [self.customer("moved", n) for n in range(4)]
        sent = self.honest(customers)
        for hours in range(5):
            worm = self.worm(customers)
            self.assert_held_off(worm, {450})
            if not any(mta.queue for _, mta, _ in sent):
                break
            self.travel.ahead(2 * HOUR + 300)
            mail.in_parallel(lambda s: s[1].run(), sent)
        self.assert_arrived(sent)
        for customer, mta, sender in sent:
            with self.subTest(customer.name):
                self.assertEqual({code for _, _, code in mta.trail[:-1]}, {450})
                self.assertGreaterEqual(len(mta.trail), 4)
                event = self.event(customer, self.found(sender).client)
                self.assertEqual([event.get(k) for k in ("scanner", "grade", "finding", "action", "reason")],
                                 [moved.row, "listed", "pass", "pass", "retried"], event)
                self.until_noted("retried", [moved.network, customer.name, moved.row])
        self.until_noted("scanner-rival", [moved.network, moved.row])
        # One that has not come often enough waits no more once the operator has said that it is the filter's.
        other = self.customer("moved", 7)
        (_, mta, sender), = self.honest([other])
        self.assertEqual(mta.trail[-1][2], 450)
        self.daemon.where.run([self.daemon.program, "scanners", "-c", self.daemon.conf, "--accept", moved.network, moved.row],
                              env=self.travel.environment())
        servers.wait_for("the network to be let in", lambda: not mta.run() and not mta.queue)
        self.assert_arrived([(other, mta, sender)])
        self.assertIn(self.direct(other).code, (450, 550))


class Migration(Filters):
    """Domains go from one filter to another, while mail comes and caches hold what was."""

    @classmethod
    def settings(cls, lab):
        return {**super().settings(lab), "scanners": [
            'name: alpha, mx: ["*.messagelabs.com"], egress: [mx, "spf:spf.messagelabs.com"]',
            'name: beta, mx: ["*.spamtitan.com"], egress: [mx, "host:cloud-out-c.spamtitan.com", "host:cloud-out-d.spamtitan.com"]']}

    def both_ways(self, movers):
        """Mail of senders with the old MX set in their caches, and of senders that look it up."""
        sent = mail.in_parallel(lambda job: self.honest([job[0]], stale=job[1])[0],
                                [(c, stale) for c in movers for stale in ([self.old.ingress(4)], None)])
        self.sent += sent
        return sent

    def test_no_honest_mail_is_lost(self):
        lab = self.lab
        self.old, self.sent = lab.internet.filters["nested"], []
        movers = [self.customer("nested", n) for n in range(6)]
        self.sent += self.honest(movers + [self.customer("hosts", n) for n in range(2)])
        self.assert_held_off(self.worm(movers), {550})
        self.travel.ahead(11)  # no older confirmation counts
        for customer in movers:
            lab.internet.move(customer, "hosts")
        lab.internet.published(lab)
        for when in ("noticing", "an hour less a bit"):
            with self.subTest(when):
                self.both_ways(movers)
                self.assert_held_off(self.worm(movers), {450})
                event = self.event(movers[0], events=self.by_worms())
                self.assertEqual([event.get(k) for k in ("scanner", "finding", "wanted", "restraint")],
                                 ["beta", "direct", "reject", "grace"], event)
                self.travel.ahead(HOUR - 200)
        with self.subTest("after the old TTL"):
            self.travel.ahead(400)
            self.sent += self.honest(movers)
            servers.wait_for("direct mail to be refused", lambda: self.codes(self.worm(movers)) == {550})
            self.assert_code(self.from_egress("nested", movers[1]), 550, "5.7.1", "mx1.eu.spamtitan.com")
        for _, mta, _ in self.sent:
            mta.run()
        self.assert_arrived(self.sent)


class NoDns(Filters):
    """All name servers are gone for longer than any TTL, and mail goes on; even when frontdoor starts anew."""

    KNOWN = Providers.KNOWN
    conf = {"resolver": ", timeout_ms: 200"}

    @classmethod
    def set_up(cls):
        cls.honest([cls.customer(name, n) for name in cls.KNOWN for n in range(4)])
        cls.honest([cls.customer("tenant", 0)])  # from the other of its addresses

    def without_dns(self, when):
        lab = self.lab
        for name in self.KNOWN:
            with self.subTest("%s: %s" % (when, name)):
                stale = [lab.internet.filters[name].ingress(4)]
                self.assert_arrived(self.honest([self.customer(name, n) for n in range(4, 8)], stale=stale))
                reply = self.direct(self.customer(name, 4))
                self.assertIn(reply.code, (450, 451) if name != "hosts" else (250,), reply.text)  # a guess is observed
        for kind in ("self", "implicit", "backup"):
            with self.subTest("%s: %s" % (when, kind)):
                to = "info@" + lab.internet.by_kind[kind][0].name
                sender, replies, final = lab.send(lab.client("stranger"), to)
                self.assert_code(replies[0], 250)
                self.assert_delivered(sender, [to])

    def test_mail_goes_on(self):
        lab = self.lab
        lab.internet.silence(lab)
        self.travel.ahead(providers.TTL - 60)  # refreshes begin, and fail
        for key in ("spf:spf.messagelabs.com", "host:cloud-out-d.spamtitan.com"):
            self.until_noted("egress-stale", [key])
        self.travel.ahead(3 * HOUR)
        self.without_dns("TTLs are over")
        self.travel.ahead(36 * HOUR)
        self.without_dns("days later")
        self.daemon.stop()
        self.daemon.start()
        self.without_dns("a new start")
        lab.internet.silence(lab, False)
        self.travel.ahead(HOUR)
        customer = self.customer("nested", 5)
        servers.wait_for("DNS to be noticed", lambda: self.direct(customer).code == 450 and
                         self.event(customer)["restraint"] == "listed")


class StrictBackup(Filters):
    """Behind a backup MX, mail past the primary is put off only while the primary takes mail."""

    conf = {"policy": ", strict_backup: true"}

    def until(self, what, code):
        servers.wait_for(what, lambda: self.direct(self.domain).code == code)
        return self.event(self.domain)

    def test_only_while_the_primary_answers(self):
        lab = self.lab
        self.domain = lab.internet.by_kind["backup"][0]
        event = self.until("the primary to be noticed", 451)
        self.assertEqual([event.get(k) for k in ("door", "finding", "reason")], ["backup", "direct", "backup-closed"], event)
        _, replies, _ = lab.acme.deliver(["info@" + self.domain.name])
        self.assert_code(replies[0], 250)
        lab.acme.stop()
        self.travel.ahead(90)
        event = self.until("the primary to be missed", 250)
        self.assertEqual([event.get(k) for k in ("door", "finding", "reason")], ["backup", "pass", "backup"], event)
        lab.relays.remove(lab.acme)
        lab.acme = lab._scanner("scan1", lab.plan.acme, lab.plan.acme)
        self.travel.ahead(90)
        self.until("the primary to be noticed again", 451)
