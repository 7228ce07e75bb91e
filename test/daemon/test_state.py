"""The state file: a scanner that isn't configured, but proven by what was learned, has its door shut."""
import json
import os
import re
import sqlite3
import time

from harness.case import DaemonCase
from harness.place import MANY

SCANNER = "mystery-scan.com"
DAY = 86400 * 1000
SOURCE = os.path.join(os.path.dirname(__file__), "../../src/proxy/state.c")


def schema():
    """As state.c has it."""
    with open(SOURCE) as f:
        text = f.read().partition("schema[] =")[2].partition(";\n\n")[0]
    return "".join(re.findall(r'"([^"]*)"', text))


class State(DaemonCase):
    def make(self, conf, domains, heard_days_ago=1, messages=40, networks=()):
        """What a learner would have written of the scanner's mail for these domains."""
        now = int(time.time() * 1000)
        last, first = now - int(heard_days_ago * DAY), now - int((heard_days_ago + 3) * DAY)
        db = sqlite3.connect(conf.conf["state"])
        db.executescript(schema() + "PRAGMA application_id = 0x66647374; PRAGMA user_version = 1;")
        db.execute("INSERT INTO proof_scanner VALUES (?, ?, ?, ?, ?, ?)",
                   (SCANNER, messages * len(domains), first, last, first, last))
        outside = sum(n for _, n, _, _ in networks)
        for domain in domains:
            db.execute("INSERT INTO hosted VALUES (?)", (domain,))
            db.execute("INSERT INTO proof_domain VALUES (?, ?, ?, ?, ?, ?)",
                       (SCANNER, domain, first, messages, outside, 0))
            for network, n, related, name in networks:
                db.execute("INSERT INTO proof_network VALUES (?, ?, ?, ?, 0, ?, ?)",
                           (SCANNER, domain, network, n, related, name))
        db.commit()
        db.close()

    def conf_with_state(self, **changes):
        conf = self.conf(state=os.path.join(self.place.new_dir("state"), "state.db"), hosted=[], **changes)
        self.domains = [self.name("mystery", i) for i in range(3)]
        return conf

    def network(self, address):
        return address.rpartition(".")[0] + ".0/24"

    def judged(self, d, client, **event):
        domain = self.name("mystery", 1)
        _, reply = self.send_one(d, client, "user@" + domain)
        self.assert_event(d.event(client=client), finding="direct", scanner=SCANNER, **event)
        return reply

    def explained(self, conf, client):
        status, out, err = conf.run("explain", "-c", conf.file, "--client", client, "--server",
                                    self.place.server, "user@" + self.name("mystery", 1))
        self.assertEqual(status, 0)
        proof = [line for line in out.splitlines() if line.startswith("  proof ")]
        return out, err, proof

    def test_proven(self):
        """Hosted, heard and proven, all from the file; guessed_action has nothing to say any more."""
        conf = self.conf_with_state()
        self.make(conf, self.domains)
        d = self.start(conf)
        self.assertIn("hosted=3 proven=1 ", d.wait_log("state="))
        reply = self.judged(d, self.bot(), grade="proven", action="reject", wanted="reject", restraint=None)
        self.assert_refused(reply, self.name("mystery", 1), "mx.mystery-scan.com")
        out, err, proof = self.explained(conf, self.bot())
        self.assertEqual(err, "")
        self.assertIn("mystery-scan.com, proven: ", out)
        self.assertIn("550 5.7.1 ", out)
        self.assertEqual(proof, ["  proof       proven: 120 messages over 3 days from inside, "
                                 "100 % of what named clients brought for 3 domains"])

    def test_rivals(self):
        bot, other = self.bot(), self.place.plan.stranger[0]
        self.assertNotEqual(self.network(bot), self.network(other))
        conf = self.conf_with_state()
        self.make(conf, self.domains, networks=[(self.network(other), 10, 0, None)])
        d = self.start(conf)
        self.assertEqual(self.judged(d, bot, grade="proven", action="reject", restraint=None).code, 550)
        self.assertEqual(self.judged(d, other, grade="proven", action="defer", restraint="rival").code, 450)
        out, _, proof = self.explained(conf, other)
        self.assertIn("[rival]", out)
        self.assertIn("; rival %s with 20 %% of the mail for 3 domains" % self.network(other), proof[0])

        conf = self.conf_with_state()
        self.make(conf, self.domains, networks=[("198.51.100.0/24", 10, 1, SCANNER)])
        d = self.start(conf)
        self.assertIn(" proven=0 not-yet=0 related-rivals=1 ", d.wait_log("state="))
        self.assertEqual(self.judged(d, bot, grade="guessed", action="observe", restraint="guessed").code, 250)
        out, _, proof = self.explained(conf, bot)
        self.assertIn("not proven, since its egress has grown: 120 messages", proof[0])
        self.assertIn("; related rival 198.51.100.0/24 (mystery-scan.com) with 20 %", proof[0])

    def test_listed_as_seen(self):
        """What the command that lists scanners says of it."""
        conf = self.conf_with_state()
        network = self.network(self.place.plan.stranger[0])
        self.make(conf, self.domains, networks=[(network, 10, 0, None)])
        status, out, err = conf.run("scanners", "-c", conf.file, "--json")
        self.assertEqual((status, err), (0, ""))
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([r["scanner"] for r in rows[:3]], ["acme", "guard", SCANNER])
        row, proof = rows[2], rows[2]["proof"]
        self.assertEqual((row["from"], row["grade"], row["quiet"], row["kind"]), ("seen", "proven", False, None))
        self.assertEqual((proof["outcome"], proof["lacks"], proof["mails"], proof["domains"]), ("proven", [], 120, 3))
        self.assertLess(proof["first"], proof["last"])
        self.assertEqual(row["heard"][:16], proof["last"][:16])
        self.assertEqual([(r["network"], r["domains"], r["related"]) for r in row["rivals"]], [(network, 3, False)])
        self.assertAlmostEqual(row["rivals"][0]["share"], 0.2)
        status, out, _ = conf.run("scanners", "-c", conf.file)
        self.assertRegex(out, r"(?m)^mystery-scan.com +seen +proven +- +- +120  20\d\d-\d\d-\d\d  mx default-ptr")
        self.assertRegex(out, r"(?m)^    proven: 120 messages over 3 days from inside, .*; rival %s " % network)
        status, out, _ = conf.run("scanners", "-c", conf.file, "mx.mystery-scan.com")
        self.assertEqual(status, 0)
        self.assertIn("  scanner     mystery-scan.com, proven: ", out)
        self.assertIn("  proof       proven: 120 messages ", out)

    def test_wanting(self):
        conf = self.conf_with_state()
        self.make(conf, self.domains, messages=5)
        d = self.start(conf)
        self.judged(d, self.bot(), grade="guessed", action="observe", restraint="guessed")
        _, _, proof = self.explained(conf, self.bot())
        self.assertIn("not proven yet: 15 messages over 3 days from inside (needed: 20 over 24 h)", proof[0])

    def test_not_heard_of_late(self):
        conf = self.conf_with_state()
        self.make(conf, self.domains, heard_days_ago=7.1)
        d = self.start(conf)
        reply = self.judged(d, self.bot(), grade="proven", action="defer", restraint="never-heard")
        self.assertEqual(reply.code, 450)
        self.hear(d, "mystery")
        self.assertEqual(self.judged(d, self.bot(), grade="proven", action="reject", restraint=None).code, 550)

    def test_a_proven_scanner_is_not_taken_for_this_server(self):
        conf = self.conf_with_state()
        self.make(conf, [self.name("mystery", i) for i in range(MANY)])
        d = self.start(conf)
        c = self.connect(d, self.bot())
        for i in range(MANY):
            c.cmd("MAIL FROM:<i@lab-sender.net>")
            self.assert_code(c.cmd("RCPT TO:<user@%s>" % self.name("mystery", i)), 550)
            c.cmd("RSET")

    def test_no_file(self):
        conf = self.conf_with_state()
        d = self.start(conf)
        self.assertEqual(d.log_text().count(conf.conf["state"]), 1)
        self.assertIn("is not there yet", d.wait_log("state="))
        _, err, _ = self.explained(conf, self.bot())
        self.assertEqual(err.count("\n"), 1)
        self.assertIn("not there yet", err)
        self.assertFalse(os.path.exists(conf.conf["state"]))

    def test_no_state_file(self):
        """Mail goes on, and nobody touches the file."""
        conf = self.conf_with_state()
        with open(conf.conf["state"], "w") as f:
            f.write("precious\n")
        d = self.start(conf)
        self.assertEqual(d.log_text().count(conf.conf["state"]), 1)
        self.assertIn("going on without", d.wait_log("this is no state file"))
        self.assert_code(self.send_one(d, self.bot(), "user@" + self.name("mystery", 1))[1], 250)
        _, err, _ = self.explained(conf, self.bot())
        self.assertEqual(err.count("\n"), 1)
        with open(conf.conf["state"]) as f:
            self.assertEqual(f.read(), "precious\n")
