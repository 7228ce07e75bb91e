"""Doors over time: what a restart knows, files that change, a backup MX while its primary answers, an MX set that
changes under way, and an egress that is looked up."""
import json
import os
import signal
import sqlite3
import time

from harness import fakes
from harness.case import DaemonCase
from harness.place import MANY
from lab import servers

SCANNER, OUTSIDE = "127.51.0.99", "127.51.1.7"
OTHER = "127.51.0.98"


def spf(text):
    return [fakes.txt("v=spf1 " + text)]


class Doors(DaemonCase):
    def name_server(self, records, delay=None):
        ns = fakes.NameServer(self.place.plan.unbound, records, delay)
        self.addCleanup(ns.stop)
        return ns

    def world(self, *domains):
        records = {d: [fakes.mx(10, "mx.old-filter.net")] for d in domains}
        records["mx.old-filter.net"] = [fakes.a(SCANNER)]
        return records

    def filters(self, *names):
        return [{"name": n, "mx": ["*.%s-filter.net" % n], "egress": ["mx"]} for n in names]

    def daemon_conf(self, ns, **changes):
        hosted = changes.pop("hosted", None)
        conf = self.conf(self.fake(), hosted=[], resolver={"servers": [ns.server], "timeout_ms": 300},
                         scanners=changes.pop("scanners", self.filters("old", "new")), **changes)
        if hosted is not None:
            self.hosted = servers.write(os.path.join(conf.dir, "names"), "".join(d + "\n" for d in hosted))
            conf.conf["hosted"] = [self.hosted]
            conf.write()
        return conf

    def reason(self, d, client, domain):
        """Of one recipient more: the event."""
        before = len(d.events(client=client))
        self.send_one(d, client, "user@" + domain)
        return d.wait_events(before + 1, client=client)[-1]

    def until(self, d, client, domain, seconds=15, **want):
        """Asks again and again until the event is so; all that came before it."""
        end, seen = time.monotonic() + seconds, []
        while time.monotonic() < end:
            e = self.reason(d, client, domain)
            seen.append(e)
            if all(e[k] == v for k, v in want.items()):
                return seen
            time.sleep(0.2)
        self.fail("never %s; last %s" % (want, seen[-1]))


class Restart(Doors):
    slow = 4

    def known_doors(self, conf):
        try:
            with sqlite3.connect(conf.conf["state"] + ".doors", timeout=5) as db:
                return {row[0] for row in db.execute("SELECT domain FROM door")}
        except sqlite3.OperationalError:
            return set()

    def begin(self):
        ns = self.name_server(self.world("one.com", "two.com", "never.com"))
        conf = self.daemon_conf(ns, hosted=["one.com", "two.com", "never.com"])
        conf.conf["state"] = os.path.join(self.place.new_dir("state"), "state.db")
        del ns.records["never.com"]
        conf.write()
        d = self.start(conf)
        self.assertEqual(self.reason(d, SCANNER, "one.com")["reason"], "ingress")
        self.assertEqual(self.reason(d, self.bot(), "one.com")["finding"], "direct")
        return ns, conf, d

    def check_dead_dns(self, d):
        """Every door is known: also that of a domain which no mail was for."""
        for domain in ("one.com", "two.com"):
            with self.subTest(domain):
                self.assertEqual(self.reason(d, SCANNER, domain)["reason"], "ingress")
                e = self.reason(d, self.bot(), domain)
                self.assertEqual((e["finding"], e["door"], e["scanner"]), ("direct", "scanner", "old"))
                self.assertIn(e["reply"], (450, 550))
        self.assertEqual(self.reason(d, self.bot(), "other.com")["reason"], "not-hosted")

    def test_a_restart_with_dns_dead_knows_every_door(self):
        ns, conf, d = self.begin()
        self.assertEqual(d.stop(), 0)
        self.assertLessEqual({"one.com", "two.com"}, self.known_doors(conf))
        ns.stop()
        d.start()
        self.assertIn("doors=", d.wait_log("snapshot doors="))
        self.check_dead_dns(d)

    def test_what_was_written_outlives_a_kill(self):
        ns, conf, d = self.begin()
        self.wait("the doors are written", lambda: {"one.com", "two.com"} <= self.known_doors(conf))
        d.stop(signal.SIGKILL)
        ns.stop()
        d.start()
        self.check_dead_dns(d)

    def test_a_damaged_file_is_set_aside(self):
        _, conf, d = self.begin()
        d.stop()
        with open(conf.conf["state"] + ".doors", "r+b") as f:
            f.write(b"this is no database")
        d.start()
        d.wait_log("it was renamed to")
        self.assertTrue(os.path.exists(conf.conf["state"] + ".doors.bad"))
        self.assertEqual(self.reason(d, SCANNER, "one.com")["reason"], "ingress")


class HostedFiles(Doors):
    slow = 8

    def replace(self, text):
        """As editors and programs do that know how."""
        servers.write(self.hosted + ".new", text)
        os.rename(self.hosted + ".new", self.hosted)

    def test_files_are_read_again(self):
        ns = self.name_server(self.world("one.com", "two.com"))
        d = self.start(self.daemon_conf(ns, hosted=["one.com"]))
        bot = self.bot()
        self.assertEqual(self.reason(d, bot, "one.com")["finding"], "direct")
        self.assertEqual(self.reason(d, bot, "two.com")["reason"], "not-hosted")
        self.replace("one.com\ntwo.com\n")
        self.until(d, bot, "two.com", finding="direct")
        self.replace("two.com\n")
        self.until(d, bot, "one.com", reason="not-hosted")
        self.assertEqual(self.reason(d, bot, "two.com")["finding"], "direct")

        # A mistake: nothing is forgotten for it.
        self.replace("# nothing\n")
        d.wait_log("names no domain any more")
        os.unlink(self.hosted)
        self.assertEqual(self.reason(d, bot, "two.com")["finding"], "direct")
        self.replace("one.com\n")
        self.until(d, bot, "one.com", finding="direct")
        self.until(d, bot, "two.com", reason="not-hosted")

    def test_a_file_that_vanishes_is_told(self):
        ns = self.name_server(self.world("one.com"))
        d = self.start(self.daemon_conf(ns, hosted=["one.com"]))
        os.unlink(self.hosted)
        d.wait_log("what it named before stays hosted")
        self.assertEqual(self.reason(d, self.bot(), "one.com")["finding"], "direct")


class StrictBackup(Doors):
    slow = 3

    def primary(self, banner):
        """Each case has an address of its own."""
        self.address = "127.51.2.%d" % (10 + 10 * self.place.number + next(self.place._count) % 10)
        try:
            server = fakes.MailServer(self.address, {"banner": banner}, 25)
        except PermissionError:
            self.skipTest("port 25 can't be bound")
        self.addCleanup(server.stop)
        return server

    def backup_daemon(self, **policy):
        ns = self.name_server({
            "backed-up.com": [fakes.mx(10, "mx.primary-host.net"), fakes.mx(20, "mx.here.net")],
            "mx.primary-host.net": [fakes.a(self.address)], "mx.here.net": [fakes.a(self.place.server)]})
        return self.start(self.daemon_conf(ns, hosted=["backed-up.com"], policy=policy))

    def explained(self, d):
        """The command looks at the primary by itself."""
        _, out, _ = d.conf.run("explain", "-c", d.conf.file, "--json", "--client", self.bot(), "--server",
                               self.place.server, "backed-up.com")
        said = json.loads(out)
        return said["reason"], said["reply"]

    def test_refused_for_now_while_the_primary_answers(self):
        self.primary("220 primary ready")
        d = self.backup_daemon(strict_backup=True)
        bot = self.bot()
        seen = self.until(d, bot, "backed-up.com", reason="backup-closed")
        self.assert_event(seen[-1], door="backup", finding="direct", action="defer", reply=451)
        # Until it was known that the primary answers, mail was taken.
        self.assertEqual({e["reason"] for e in seen[:-1]} - {"backup"}, set())
        _, reply = self.send_one(d, bot, "user@backed-up.com")
        self.assert_code(reply, 451, "451 4.7.1 backed-up.com takes mail at its MX, mx.primary-host.net")
        # The primary hands on what it has taken.
        self.assertEqual(self.reason(d, self.address, "backed-up.com")["reason"], "backup")
        self.assertEqual(self.explained(d), ("backup-closed", 451))

    def test_taken_while_the_primary_is_down(self):
        self.primary("421 too busy")
        d = self.backup_daemon(strict_backup=True)
        for _ in range(10):
            self.assertEqual(self.reason(d, self.bot(), "backed-up.com")["reason"], "backup")
            time.sleep(0.1)
        self.assertEqual(self.explained(d), ("backup", None))

    def test_taken_without_strict_backup(self):
        primary = self.primary("220 primary ready")
        d = self.backup_daemon()
        for _ in range(5):
            self.assertEqual(self.reason(d, self.bot(), "backed-up.com")["reason"], "backup")
        self.assertEqual(primary.sessions, [])


class Migration(Doors):
    slow = 62  # the shortest life of an answer is a minute

    def test_grace_after_the_mx_has_changed(self):
        ns = self.name_server(self.world("moving.com"))
        ns.ttl = 1
        ns.records["mx.new-filter.net"] = [fakes.a(OTHER)]
        state = os.path.join(self.place.new_dir("state"), "state.db")
        d = self.start(self.daemon_conf(ns, hosted=["moving.com"], state=state))
        self.assertEqual(self.reason(d, SCANNER, "moving.com")["reason"], "ingress")
        self.assertEqual(self.reason(d, OTHER, "moving.com")["finding"], "direct")
        ns.records["moving.com"] = [fakes.mx(10, "mx.new-filter.net")]
        seen = self.until(d, SCANNER, "moving.com", seconds=90, reason="grace")
        # No mail of the old scanner's was ever refused.
        self.assertEqual({e["reason"] for e in seen}, {"ingress", "grace"})
        self.assertEqual({e["reply"] for e in seen}, {250})
        self.assertEqual(self.reason(d, OTHER, "moving.com")["reason"], "ingress")
        e = self.reason(d, self.bot(), "moving.com")
        self.assert_event(e, finding="direct", action="defer", restraint="grace", reply=450)
        self.check_explained(d)

    def check_explained(self, d):
        """The command knows the MX set of before from the daemon."""
        def explained():
            _, out, _ = d.conf.run("explain", "-c", d.conf.file, "--json", "--client", SCANNER, "--server",
                                   self.place.server, "moving.com")
            return json.loads(out)
        self.wait("the daemon's snapshot", lambda: explained()["reason"] == "grace")
        said = explained()
        self.assertEqual([h["host"] for h in said["dns"]["former"]["hosts"]], ["mx.old-filter.net"])
        self.assertEqual([(s["scanner"], s["former"]) for s in said["scanners"]], [("new", False), ("old", True)])
        self.assertEqual(said["matched"], {"scanner": "old", "egress": "mx", "prefix": SCANNER + "/32"})
        self.assertLessEqual(said["dns"]["former"]["seconds"], 60)


class Egress(Doors):
    CATALOGUE = ("id\tname\tkind\tmx_suffixes\tegress_spf\tegress_hosts\tegress_cidrs\tegress_ptr_suffixes\tsource\t"
                 "confidence\nlabshare\tLab\tfilter\tlab-share.net\t_spf.lab-share.net\tout.lab-share.net\t\t\tlab\thigh\n")

    def listed_conf(self, delay=None, hosted=("listed.com",), **policy):
        self.ns = self.name_server({
            "listed.com": [fakes.mx(10, "mx.lab-share.net")], "mx.lab-share.net": [fakes.a(SCANNER)],
            "_spf.lab-share.net": spf("include:_more.lab-share.net -all"),
            "_more.lab-share.net": spf("ip4:127.51.1.0/24 -all"), "out.lab-share.net": [fakes.a(OTHER)]}, delay)
        for domain in hosted:
            self.ns.records[domain] = self.ns.records["listed.com"]
        conf = self.daemon_conf(self.ns, hosted=hosted, scanners=[], policy=policy)
        conf.conf["catalogue"] = [servers.write(os.path.join(conf.dir, "rows.tsv"), self.CATALOGUE)]
        conf.write()
        return conf

    def listed(self, *args, **how):
        return self.start(self.listed_conf(*args, **how))

    def test_the_egress_of_hosted_domains_is_known_before_their_mail(self):
        conf = self.listed_conf()
        conf.conf["state"] = os.path.join(self.place.new_dir("state"), "state.db")
        conf.write()
        d = self.start(conf)
        self.wait("its sources are asked for", lambda: self.ns.asked["_more.lab-share.net", 16]
                  and self.ns.asked["out.lab-share.net", 1])
        time.sleep(0.5)  # the answers come, too
        d.stop()
        self.ns.stop()
        d.start()
        for client in (OUTSIDE, OTHER):
            self.assertEqual(self.reason(d, client, "listed.com")["reason"], "shared-egress")
        e = self.reason(d, self.bot(), "listed.com")
        self.assert_event(e, finding="direct", door="scanner", reply=450)

    def test_a_provider_of_the_catalogue_is_not_taken_for_this_server(self):
        d = self.listed(hosted=["many-%d.com" % i for i in range(MANY)])
        c = self.connect(d, OTHER)
        for i in range(MANY):
            self.assert_code(c.cmd("MAIL FROM:<>"), 250)
            self.assert_code(c.cmd("RCPT TO:<u@many-%d.com>" % i), 250)
            self.assert_code(c.cmd("RSET"), 250)
        e = self.reason(d, self.bot(), "many-0.com")
        self.assert_event(e, finding="direct", action="defer", restraint="listed")

    def test_a_listed_scanner_delivers_from_what_its_spf_says(self):
        d = self.listed()
        for client in (OUTSIDE, OTHER):
            e = self.reason(d, client, "listed.com")
            self.assert_event(e, finding="pass", action="pass", reason="shared-egress", scanner="labshare",
                              grade="listed", reply=250)
        self.assertEqual(self.reason(d, SCANNER, "listed.com")["reason"], "ingress")
        e = self.reason(d, self.bot(), "listed.com")
        self.assert_event(e, finding="direct", action="defer", wanted="reject", restraint="listed", reply=450)

    def test_shared_egress_can_be_tagged(self):
        d = self.listed(shared_egress="tag")
        e = self.reason(d, OUTSIDE, "listed.com")
        self.assert_event(e, finding="pass", action="tag", reason="shared-egress", reply=250, message_reply=250)
        self.assertEqual(self.reason(d, SCANNER, "listed.com")["action"], "pass")
        self.assertTrue(any(m.startswith(
            b"X-Frontdoor: shared-egress; client=%s;\r\n domain=listed.com;\r\n mx=mx.lab-share.net\r\n"
            % OUTSIDE.encode()) for m in self.mail_server.messages))

    def test_trouble_with_a_source_is_no_direct_delivery(self):
        d = self.listed(delay={"_more.lab-share.net": 60})
        e = self.reason(d, self.bot(), "listed.com")
        self.assert_event(e, finding="dns", reason="dns-failure", action="defer", reply=451)
        self.assertEqual(self.reason(d, OTHER, "listed.com")["reason"], "shared-egress")

    def test_allowed_by_spf(self):
        ns = self.name_server({**self.world("one.com"), "partner.net": spf("ip4:127.51.1.0/24 ~all")})
        conf = self.daemon_conf(ns, hosted=["one.com"],
                                domains=[{"name": "one.com", "allow": ["spf:partner.net"]}])
        d = self.start(conf)
        self.assertEqual(self.reason(d, OUTSIDE, "one.com")["reason"], "allowed")
        self.assertEqual(self.reason(d, "127.51.3.7", "one.com")["finding"], "direct")

    def fake(self, replies=None, port=0):
        self.mail_server = super().fake(replies, port)
        return self.mail_server
