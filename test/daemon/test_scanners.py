"""What scanners and explain say of who may deliver, for each way that it can be known."""
import fcntl
import json
import os
import re
import struct
import subprocess
import termios

from harness import providers
from harness.case import DaemonCase
from harness.providers import EGRESS, INBOUND

OWN = {"name": "own", "mx": ["*.own-filter.net"], "egress": ["mx", "198.51.100.0/24", "spf:_spf.own-filter.net"]}
SPFLESS = {"name": "spfless", "mx": ["*.spfless-filter.net"], "egress": ["mx", "spf:none.spfless-filter.net"]}
MACRO = {"name": "macro", "mx": ["*.macro-filter.net"], "egress": ["mx", "spf:_spf.macro-filter.net"]}


class ScannersCase(DaemonCase):
    def conf_here(self, **changes):
        return self.conf(backend=1, scanners=[OWN, SPFLESS, MACRO], **changes)

    def dead_dns(self, **changes):
        return self.conf_here(resolver={"servers": ["127.53.0.99:9"], "timeout_ms": 100}, **changes)

    def run_(self, conf, *argv, status=0):
        got, out, err = conf.run(*argv[:1], "-c", conf.file, *argv[1:], timeout=60)
        self.assertEqual(got, status, err + out)
        return out, err

    def scanners(self, *argv, conf=None, status=0):
        out, err = self.run_(conf or self.conf_here(), "scanners", "--json", *argv, status=status)
        self.assertEqual(err, "")
        return [json.loads(line) for line in out.splitlines()]

    def part(self, scanner, egress):
        found = [p for p in scanner["egress"] if p["egress"] == egress]
        self.assertEqual(len(found), 1, [p["egress"] for p in scanner["egress"]])
        return found[0]


class List(ScannersCase):
    def test_catalogue_and_configuration(self):
        rows = self.scanners()
        by_name = {r["scanner"]: r for r in rows}
        self.assertEqual(len(rows), len(by_name))
        self.assertGreater(len(rows), 150)
        self.assertEqual([r["scanner"] for r in rows[:3]], ["macro", "own", "spfless"])
        own, row = by_name["own"], by_name["mimecast-eu"]
        self.assertEqual((own["from"], own["grade"], own["mx"], own["prefixes"]),
                         ("configured", "configured", ["*.own-filter.net"], ["198.51.100.0/24"]))
        self.assertIn("spf:_spf.own-filter.net", own["egress"])
        self.assertEqual((row["from"], row["kind"], row["egress"]),
                         ("catalogue", "filter", ["mx", "spf:eu._netblocks.mimecast.com"]))
        self.assertTrue(row["mx"] and row["source"] and row["name"])
        self.assertTrue(by_name["proofpoint"]["tenant_rule"])
        self.assertFalse(by_name["appriver"]["tenant_rule"])
        self.assertEqual({r["grade"] for r in rows if r["from"] == "catalogue" and r["confidence"] != "high"},
                         {"guessed"})
        self.assertIn("listed", {r["grade"] for r in rows if r["confidence"] == "high"})
        # What nobody has seen yet.
        self.assertEqual({(r["proof"], r["heard"], len(r["rivals"])) for r in rows}, {(None, None, 0)})
        self.assertEqual([r["scanner"] for r in rows[3:]], sorted(r["scanner"] for r in rows[3:]))

    def test_table(self):
        out, err = self.run_(self.conf_here(), "scanners")
        self.assertEqual(err, "")
        lines = out.splitlines()
        self.assertRegex(lines[0], r"^\d+ scanners: 3 configured, \d+ in the catalogue; state none$")
        self.assertRegex(out, r"(?m)^own  +configured  configured .* mx spf:_spf.own-filter.net 1 prefix +\*\.own")
        self.assertRegex(out, r"(?m)^proofpoint +catalogue +listed +filter +tenant ")
        self.assertNotIn("\033", out)

    def on_terminal(self, columns):
        """The table as a terminal of that width gets it."""
        conf, (master, slave) = self.conf_here(), os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        p = subprocess.Popen([self.place.daemon, "scanners", "-c", conf.file], stdin=subprocess.DEVNULL, stdout=slave)
        os.close(slave)
        out = b""
        try:
            for data in iter(lambda: os.read(master, 65536), b""):
                out += data
        except OSError:  # that is how a terminal ends
            pass
        os.close(master)
        self.assertEqual(p.wait(), 0)
        return out.decode().replace("\r", "")

    def test_a_terminal_is_never_overrun(self):
        heads = {}
        for columns in (70, 80, 100, 120, 200):
            out = self.on_terminal(columns)
            self.assertIn("\033[33mguessed", out)
            lines = re.sub(r"\033\[\d+m", "", out).splitlines()[2:]
            self.assertLessEqual(max(map(len, lines)), columns)
            heads[columns] = lines[0].split()
        self.assertEqual(heads[70], ["scanner", "grade", "mails", "heard"])
        self.assertEqual(heads[200], "scanner from grade kind bound mails heard egress mx".split())

    def test_without_configuration(self):
        status, out, err = self.conf(backend=1).run("scanners", "--json")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual({json.loads(line)["from"] for line in out.splitlines()}, {"catalogue"})

    def test_rows_of_another_file(self):
        conf = self.conf_here()
        path = os.path.join(conf.dir, "more.tsv")
        with open(path, "w") as f:
            f.write("id\tname\tkind\tmx_suffixes\tegress_spf\tegress_hosts\tegress_cidrs\tegress_ptr_suffixes\t"
                    "source\tconfidence\n"
                    "labby\tLabby\tfilter\tcat-lab.net\t\t\t192.0.2.0/24\t\tour own\thigh\n")
        conf.conf["catalogue"] = [path]
        conf.write()
        row = next(r for r in self.scanners(conf=conf) if r["scanner"] == "labby")
        self.assertEqual((row["file"], row["grade"], row["prefixes"]), (path, "listed", ["192.0.2.0/24"]))
        found = self.scanners("mx1.activegate-ss.jp.cat-lab.net", conf=conf)[0]
        self.assertEqual((found["scanner"], found["known_by"]), ("labby", "mx"))

    def test_what_was_seen_and_settled(self):
        conf = self.conf_here(state=os.path.join(self.place.new_dir("state"), "state.db"))
        self.run_(conf, "scanners", "--accept", "192.0.2.0/24", "mimecast-eu")
        self.run_(conf, "scanners", "--deny", "203.0.113.0/24", "mimecast-eu")
        self.run_(conf, "scanners", "--accept", "192.0.2.7", "nobody-lists-this.com")
        by_name = {r["scanner"]: r for r in self.scanners(conf=conf)}
        row, other = by_name["mimecast-eu"], by_name["nobody-lists-this.com"]
        self.assertEqual((row["accepted"], row["denied"]), (["192.0.2.0/24"], ["203.0.113.0/24"]))
        self.assertEqual((other["from"], other["grade"], other["accepted"]), ("seen", "guessed", ["192.0.2.7/32"]))
        out, _ = self.run_(conf, "scanners")
        self.assertIn("    accepted: 192.0.2.0/24\n", out)
        found = self.scanners("eu-smtp-inbound-1.mimecast.com", conf=conf)[0]
        self.assertEqual(self.part(found, "accepted")["prefixes"], ["192.0.2.0/24"])


class Host(ScannersCase):
    def host(self, name, **how):
        return self.scanners(name, **how)[0]

    def test_each_way_of_knowing(self):
        for name, known_by, scanner, told_by in (
                ("mx.own-filter.net", "configured", "own", "mx.own-filter.net"),
                ("eu-smtp-inbound-1.mimecast.com", "mx", "mimecast-eu", "eu-smtp-inbound-1.mimecast.com"),
                ("mx.by-cname.com", "cname", "mimecast-eu", "eu-smtp-inbound-1.mimecast.com"),
                ("mx.by-ptr.com", "ptr", "mimecast-eu", "eu-smtp-inbound-1.mimecast.com"),
                ("mx.mystery-scan.com", "default", "mystery-scan.com", "mx.mystery-scan.com")):
            with self.subTest(known_by):
                found = self.host(name)
                self.assertEqual((found["host"], found["known_by"], found["scanner"], found["told_by"]),
                                 (name, known_by, scanner, told_by))
                self.assertEqual(found["status"], "known")
                self.assertEqual(self.part(found, "mx")["prefixes"], [a + "/32" for a in found["addresses"]])

    def test_several_hosts_and_capital_letters(self):
        found = self.scanners("MX.Own-Filter.NET.", "mx.mystery-scan.com")
        self.assertEqual([f["host"] for f in found], ["mx.own-filter.net", "mx.mystery-scan.com"])

    def test_sources_as_they_are_now(self):
        found = self.host("mx.own-filter.net")
        part = self.part(found, "spf:_spf.own-filter.net")
        self.assertEqual((part["kind"], part["status"], part["stale"], part["fallback"], part["incomplete"]),
                         ("source", "known", False, False, False))
        self.assertEqual(part["prefixes"], ["127.52.6.0/25", EGRESS["own"] + "/32", "127.52.9.0/24",
                                            "127.52.10.0/24", "2001:db8:52::/47"])
        # The least of all that it rests on: that mx.own-filter.net has no AAAA record is known for 300 s.
        self.assertTrue(250 < part["ttl"] <= 300, part["ttl"])
        self.assertLess(part["age"], 10)
        self.assertEqual(self.part(found, "prefixes")["prefixes"], ["198.51.100.0/24"])
        found = self.host("mx1-us1.ppe-hosted.com")
        self.assertEqual(self.part(found, "host:dispatch-us.ppe-hosted.com")["prefixes"], [EGRESS["essentials"] + "/32"])
        self.assertEqual(self.part(found, "ptr:ppe-hosted.com")["kind"], "ptr")

    def test_what_was_left_out(self):
        part = self.part(self.host("mx.macro-filter.net"), "spf:_spf.macro-filter.net")
        self.assertEqual((part["prefixes"], part["incomplete"]), (["127.52.7.0/24"], True))
        self.assertIn("exists:%{i}._x.macro-filter.net", part["left_out"])
        part = self.part(self.host("mx.spfless-filter.net"), "spf:none.spfless-filter.net")
        self.assertEqual((part["status"], part["prefixes"]), ("none", []))

    def test_tenants(self):
        found = self.host("mxa-0011aabb.gslb.pphosted.com")
        self.assertEqual(found["tenant"], {"spf": "spf:spf-0011aabb.pphosted.com", "exists": None, "names": True,
                                           "shared": False})
        self.assertEqual(self.part(found, "spf:spf-0011aabb.pphosted.com")["prefixes"], ["127.52.2.128/28"])
        self.assertEqual(self.part(found, "ptr of the tenant")["kind"], "tenant-ptr")
        found = self.host("mx1." + providers.TENANT)
        self.assertEqual(found["tenant"]["exists"], "%{i}.spf." + providers.TENANT)
        self.assertEqual(self.part(found, "exists:%{i}.spf." + providers.TENANT)["asked"], None)

    def test_names_by_default(self):
        part = self.part(self.host("mx.mystery-scan.com"), "ptr:mystery-scan.com")
        self.assertEqual(part["kind"], "default-ptr")
        # A row that says nothing of its egress has no other.
        part = self.part(self.host("in.activegate-ss.jp"), "ptr:activegate-ss.jp")
        self.assertEqual(part["kind"], "default-ptr")

    def test_in_words(self):
        out, _ = self.run_(self.conf_here(), "scanners", "mx.own-filter.net", "mxa-0011aabb.gslb.pphosted.com",
                           "mx.by-cname.com", "mx.macro-filter.net", "no-such-host.mystery-scan.com")
        for words in ("own, configured: configured (scanners:), by the name mx.own-filter.net",
                      "spf:_spf.own-filter.net: 127.52.6.0/25 %s 127.52.9.0/24 127.52.10.0/24 and 1 more (--json: all); "
                      "TTL " % EGRESS["own"],
                      "proofpoint, listed: in the catalogue, by the name mxa-0011aabb.gslb.pphosted.com",
                      "tenant      bound to this one's own spf:spf-0011aabb.pphosted.com and names",
                      "by where its name leads, eu-smtp-inbound-1.mimecast.com: Mimecast (EU grid)",
                      "incomplete; left out: ",
                      "addresses   none: there is no such name"):
            self.assertIn(words, out)

    def test_dns_that_fails(self):
        found = self.scanners("mx.own-filter.net", conf=self.dead_dns(), status=1)[0]
        self.assertEqual((found["scanner"], found["known_by"], found["status"]), ("own", "configured", "failed"))
        self.assertEqual(self.part(found, "spf:_spf.own-filter.net")["status"], "failed")
        # What is shipped stands in.
        found = self.scanners("eu-smtp-inbound-1.mimecast.com", conf=self.dead_dns(), status=1)[0]
        part = self.part(found, "spf:eu._netblocks.mimecast.com")
        self.assertEqual((part["status"], part["fallback"], part["age"]), ("known", True, None))
        self.assertTrue(part["prefixes"])

    def test_no_host_name(self):
        conf = self.conf_here()
        for bad in ("x", "a..b", "-", "mx.example.org/24", "", "a" * 300 + ".org", "mx.exa mple.org"):
            with self.subTest(bad):
                status, out, err = conf.run("scanners", "-c", conf.file, "--", "mx.own-filter.net", bad)
                self.assertEqual((status, out), (64, ""))
                self.assertRegex(err, r"\A.*: no host name; accepted: .*\n\Z")

    def test_wrong_options(self):
        conf = self.conf_here()
        for argv in (("-x",), ("--json", "--nonsense"), ("--accept",), ("--accept", "192.0.2.0/24"),
                     ("--accept", "192.0.2.0/24", "own", "other")):
            with self.subTest(" ".join(argv)):
                status, out, err = conf.run("scanners", "-c", conf.file, *argv)
                self.assertEqual((status, out), (64, ""))
                self.assertTrue(err)
        self.assertEqual(conf.run("scanners", "-c", "/nonexistent.yaml")[0], 78)


class Explained(ScannersCase):
    def explain(self, client, domain, *options, conf=None, status=0):
        out, err = self.run_(conf or self.conf_here(), "explain", "--json", "--hosted", "--heard", "--client",
                             client, "--server", self.place.server, *options, "user@" + domain, status=status)
        self.assertEqual(err, "")
        return json.loads(out)

    def test_what_matched(self):
        """One source of each kind."""
        for who, domain, reason, scanner, egress, prefix in (
                ("mimecast", "by-spf.com", "shared-egress", "mimecast-eu", "spf:eu._netblocks.mimecast.com",
                 "127.52.1.128/26"),
                ("mimecast-far", "by-spf.com", "shared-egress", "mimecast-eu", "spf:eu._netblocks.mimecast.com",
                 EGRESS["mimecast-far"] + "/32"),
                ("mimecast", "by-cname.com", "shared-egress", "mimecast-eu", "spf:eu._netblocks.mimecast.com",
                 "127.52.1.128/26"),
                ("proofpoint", "by-tenant.com", "egress", "proofpoint", "spf:spf-0011aabb.pphosted.com",
                 "127.52.2.128/28"),
                ("cisco", "by-exists.com", "egress", "cisco-ces", "exists:%{i}.spf." + providers.TENANT, None),
                ("cisco-named", "by-exists.com", "ptr", "cisco-ces", "ptr of the tenant", None),
                ("essentials", "by-host.com", "shared-egress", "proofpoint-essentials-us",
                 "host:dispatch-us.ppe-hosted.com", EGRESS["essentials"] + "/32"),
                ("essentials-named", "by-host.com", "shared-egress", "proofpoint-essentials-us",
                 "ptr:ppe-hosted.com", None),
                ("essentials-listed", "by-host.com", "shared-egress", "proofpoint-essentials-us", "prefixes",
                 "67.231.144.0/22"),
                ("gate", "bare.com", "ptr", "activegate", "ptr:activegate-ss.jp", None),
                ("own", "by-conf.com", "egress", "own", "spf:_spf.own-filter.net", EGRESS["own"] + "/32")):
            with self.subTest("%s for %s" % (who, domain)):
                said = self.explain(EGRESS[who], domain)
                self.assertEqual((said["finding"], said["action"], said["reason"], said["scanner"]),
                                 ("pass", "pass", reason, scanner))
                self.assertEqual(said["matched"], {"scanner": scanner, "egress": egress, "prefix": prefix})
                found = next(s for s in said["scanners"] if s["scanner"] == scanner)
                self.assertTrue(self.part(found, egress)["match"])

    def test_its_ingress_is_let_in_as_well(self):
        said = self.explain(INBOUND["mimecast"], "by-spf.com")
        self.assertEqual((said["reason"], said["matched"]["egress"]), ("ingress", "mx"))

    def test_another_tenant_is_not_let_in(self):
        for client, domain in (("127.52.98.1", "by-tenant.com"), ("127.52.3.132", "by-exists.com")):
            said = self.explain(client, domain)
            self.assertEqual((said["finding"], said["reason"], said["matched"]), ("direct", "not-egress", None))

    def test_the_mx_set(self):
        said = self.explain(self.bot(), self.name("both"), conf=self.conf(backend=1))
        dns = said["dns"]
        self.assertEqual((dns["answer"], dns["stale"], dns["former"]), ("mx", False, None))
        self.assertTrue(3000 < dns["ttl"] <= 3600, dns["ttl"])
        self.assertLess(dns["age"], 10)
        hosts = {h["host"]: h for h in dns["hosts"]}
        self.assertEqual(hosts["mx1.acme-filter.net"]["addresses"], [self.acme])
        self.assertEqual([h["preference"] for h in dns["hosts"]], [10, 20, 20])
        self.assertEqual([(s["scanner"], s["known_by"], s["hosts"]) for s in said["scanners"]],
                         [("acme", "configured", ["mx1.acme-filter.net"]),
                          ("guard", "configured", ["in1.mx-guard.org", "in2.mx-guard.org"])])

    def test_accepted(self):
        conf = self.conf_here(state=os.path.join(self.place.new_dir("state"), "state.db"))
        client = self.bot()
        self.run_(conf, "scanners", "--accept", client, "proofpoint-essentials-us")
        said = self.explain(client, "by-host.com", conf=conf)
        self.assertEqual((said["reason"], said["matched"]["egress"], said["scanners"][0]["accepted"]),
                         ("egress", "accepted", [client + "/32"]))

    def test_allowed_for_the_domain(self):
        source = "spf:eu._netblocks.mimecast.com"
        conf = self.conf_here(domains=[{"name": "no-spf.com", "allow": ["192.0.2.0/24", source, "ptr:lab-sender.net"]}])
        said = self.explain(EGRESS["mimecast"], "no-spf.com", conf=conf)
        self.assertEqual((said["reason"], said["matched"]),
                         ("allowed", {"scanner": None, "egress": source, "prefix": "127.52.1.128/26"}))
        self.assertEqual([p["kind"] for p in said["allow"]], ["prefixes", "source", "ptr"])
        self.assertEqual(self.explain(EGRESS["mimecast"], "by-spf.com", conf=conf)["allow"], [])
        out, _ = self.run_(conf, "explain", "--client", EGRESS["mimecast"], "--server", self.place.server, "no-spf.com")
        self.assertIn("  allow       prefixes: 192.0.2.0/24\n", out)
        self.assertIn("  matched     %s of the domain's allow, by 127.52.1.128/26" % source, out)

    def test_with_dns_down(self):
        down = self.explain(EGRESS["mimecast"], "by-spf.com")["dns_down"]
        self.assertEqual((down["known"]["action"], down["known"]["reason"]), ("pass", "shared-egress"))
        self.assertEqual((down["unknown"]["finding"], down["unknown"]["reason"]), ("dns", "dns-failure"))
        self.assertIn(down["unknown"]["action"], ("defer", "observe"))
        # Configured, and enforced: never refused for good.
        down = self.explain(self.bot(), "by-conf.com")["dns_down"]
        self.assertEqual((down["known"]["finding"], down["known"]["action"], down["known"]["reply"]),
                         ("direct", "defer", 450))
        self.assertEqual((down["unknown"]["action"], down["unknown"]["reply"]), ("defer", 451))
        # Known by what is asked about it only: it can't be told from a stranger.
        down = self.explain(EGRESS["cisco"], "by-exists.com")["dns_down"]
        self.assertEqual(down["known"]["finding"], "dns")

    def test_dns_is_down(self):
        said = self.explain(self.bot(), "by-conf.com", conf=self.dead_dns())
        self.assertEqual((said["finding"], said["dns"]["answer"], said["dns"]["age"], said["scanners"]),
                         ("dns", "failed", None, []))
        self.assertIsNone(said["dns_down"]["known"])

    def test_in_words(self):
        out, err = self.run_(self.conf_here(), "explain", "--hosted", "--heard", "--client", EGRESS["mimecast"],
                             "--server", self.place.server, "by-spf.com")
        self.assertEqual(err, "")
        for words in ("passes: ", "[shared-egress]", "TTL 3",
                      "MX 10 eu-smtp-inbound-1.mimecast.com: " + INBOUND["mimecast"],
                      "mimecast-eu, listed: in the catalogue, by the name eu-smtp-inbound-1.mimecast.com",
                      "spf:eu._netblocks.mimecast.com: 127.52.1.128/26 %s; TTL 3" % EGRESS["mimecast-far"],
                      "<- the client, by 127.52.1.128/26",
                      "matched     spf:eu._netblocks.mimecast.com of mimecast-eu, by 127.52.1.128/26",
                      "with DNS down, its door known: passes: ",
                      "with DNS down, nothing known:  "):
            self.assertIn(words, out)
