"""Proof as it grows from the daemon's own traffic, and what the operator settles while it runs."""
import json
import os
import sqlite3
import time

from harness.case import DaemonCase

SCANNER = "mystery-scan.com"


class Proof(DaemonCase):
    slow = 10

    def conf_with_proof(self, mails=6, **changes):
        return self.conf(state=os.path.join(self.place.new_dir("state"), "state.db"),
                         policy={"action": "reject", "prove": {"mails": mails, "hours": 0}}, **changes)

    def deliver(self, d, source, times=2, domains=3):
        """Each domain gets as many messages; what the last one was told."""
        reply = None
        for _ in range(times):
            for i in range(domains):
                _, reply = self.send_one(d, source, "user@" + self.name("mystery", i))
        return reply

    def wait_code(self, d, source, code, domain=1, seconds=15):
        """Until direct delivery is answered so. Each try counts as one more."""
        end = time.monotonic() + seconds
        while True:
            _, reply = self.send_one(d, source, "user@" + self.name("mystery", domain))
            if reply.code == code:
                return
            if time.monotonic() > end:
                self.fail("%s is still told %s" % (source, reply.text))
            time.sleep(0.3)

    def prove(self, d):
        self.deliver(d, self.place.plan.mystery[0])
        d.wait_log("event=scanner-proven")

    def rival(self, d):
        """Somebody unknown with much mail for three domains, until that is noticed."""
        stranger = self.place.plan.stranger[0]
        self.deliver(d, stranger, times=5)
        d.wait_log("event=scanner-rival")
        return stranger

    def settle(self, conf, *argv):
        return conf.run("scanners", "-c", conf.file, *argv)

    def network(self, address):
        return address.rpartition(".")[0] + ".0/24"

    def note(self, d, kind):
        self.wait("note " + kind, lambda: d.notes(kind))
        found = d.notes(kind)
        self.assertEqual(len(found), 1, found)
        return found[0]["text"]

    def test_grows(self):
        """Watched at first, refused when the scanner was seen at work, and still after a restart."""
        conf = self.conf_with_proof()
        d = self.start(conf)
        self.assert_code(self.deliver(d, self.bot(), 1, 1), 250)
        self.deliver(d, self.place.plan.mystery[0], times=1)
        self.assert_code(self.deliver(d, self.bot(), 1, 1), 250)
        self.deliver(d, self.place.plan.mystery[0], times=1)
        d.wait_log("event=scanner-proven")
        self.wait_code(d, self.bot(), 550)
        self.assertIn("scanner %s is proven: 6 messages" % SCANNER, self.note(d, "scanner-proven"))
        event = d.events(finding="direct")[-1]
        self.assert_event(event, grade="proven", action="reject", scanner=SCANNER)
        self._end(d)
        d = self.start(conf)
        self.assertIn(" proven=1 ", d.wait_log("state="))
        self.assert_code(self.deliver(d, self.bot(), 1, 1), 550)
        self.assertEqual(len(d.notes("scanner-proven")), 1)

    def test_a_message_counts_once(self):
        """Not for each recipient, nor for each domain's; refused and failed ones not at all."""
        conf = self.conf_with_proof(mails=5)
        d = self.start(conf)
        a, b = self.name("mystery", 0), self.name("mystery", 1)
        many = ["u%d@%s" % (i, a) for i in range(8)] + ["u%d@%s" % (i, b) for i in range(8)]
        _, replies, final = self.send(d, self.place.plan.mystery[0], many)
        self.assert_code(final, 250)
        c = self.connect(d, self.place.plan.mystery[0])
        for _ in range(6):
            c.cmd("MAIL FROM:<f@lab-sender.net>")
            c.cmd("RCPT TO:<u@%s>" % a)
            c.cmd("RSET")
        c.close()
        self._end(d)
        db = sqlite3.connect(conf.conf["state"])
        self.assertEqual(db.execute("SELECT domain, inside FROM proof_domain ORDER BY 1").fetchall(),
                         [(a, 1), (b, 1)])
        db.close()

    def test_learned_domains_stay(self):
        conf = self.conf_with_proof(hosted=[])
        d = self.start(conf)
        self.hear(d, "mystery")
        self._end(d)
        d = self.start(conf)
        self.assertIn(" hosted=1 ", d.wait_log("state="))

    def test_rival(self):
        """Not related: deferred, while others are refused as ever and the scanner stays proven; until
        the operator denies it."""
        conf = self.conf_with_proof()
        d = self.start(conf)
        self.prove(d)
        stranger = self.rival(d)
        self.wait_code(d, stranger, 450)
        self.assert_code(self.deliver(d, self.bot(), 1, 1), 550)
        text = self.note(d, "scanner-rival")
        self.assertIn("%s carries " % self.network(stranger), text)
        self.assertIn("frontdoor scanners --accept|--deny %s %s" % (self.network(stranger), SCANNER), text)
        self._end(d)
        d = self.start(conf)
        self.assert_code(self.deliver(d, stranger, 1, 1), 450)
        self.assertEqual(len(d.notes("scanner-rival")), 1)
        status, _, err = self.settle(conf, "--deny", self.network(stranger), SCANNER)
        self.assertEqual((status, err), (0, ""))
        self.wait_code(d, stranger, 550)

    def test_accept(self):
        conf = self.conf_with_proof()
        d = self.start(conf)
        self.prove(d)
        stranger = self.place.plan.stranger[0]
        self.wait_code(d, stranger, 550)
        # until the daemon has saved what it knows, it says that it has seen no such scanner
        self.wait("the scanner is in the state file",
                  lambda: self.settle(conf, "--accept", stranger, SCANNER)[2] == "", 30)
        status, out, err = self.settle(conf, "--json", "--accept", stranger, SCANNER)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(json.loads(out), {"scanner": SCANNER, "network": stranger + "/32", "settled": "accepted"})
        self.wait_code(d, stranger, 250)
        self.assert_code(self.deliver(d, self.bot(), 1, 1), 550)
        self._end(d)
        d = self.start(conf)
        self.assert_code(self.deliver(d, stranger, 1, 1), 250)
        self.assertEqual(self.settle(conf, "--forget", stranger, SCANNER)[0], 0)
        self.wait_code(d, stranger, 550)

    def test_settled_wrongly(self):
        """One clear line each, and nothing is written."""
        conf = self.conf_with_proof()
        for argv, words in [(["--accept", "0.0.0.0/0", SCANNER], "too large"),
                            (["--accept", "10.0.0.0/7", SCANNER], "too large"),
                            (["--accept", "2000::/15", SCANNER], "too large"),
                            (["--accept", "192.0.2.1/24", SCANNER], "bits set past its length"),
                            (["--deny", "nonsense", SCANNER], "no network"),
                            (["--deny", "192.0.2.0/24", "two words"], "no name of a scanner")]:
            status, out, err = self.settle(conf, *argv)
            self.assertEqual((status, out, err.count("\n")), (64, "", 1), err)
            self.assertIn(words, err)
        for argv in ["--accept", "192.0.2.0/24"], ["--accept", "192.0.2.0/24", "--deny", "192.0.2.0/24", SCANNER]:
            status, out, err = self.settle(conf, *argv)
            self.assertEqual((status, out), (64, ""))
        self.assertFalse(os.path.exists(conf.conf["state"]))
        self.assertEqual(self.settle(conf, "--accept", "192.0.2.0/24", SCANNER)[0], 0)
        status, _, err = self.settle(conf, "--deny", "192.0.2.7", SCANNER)
        self.assertEqual((status, err.count("\n")), (64, 1))
        self.assertIn("--forget 192.0.2.0/24 " + SCANNER, err)

    def test_learned_by_another(self):
        """What a learner writes while the daemon runs counts in it within seconds, and neither is lost."""
        conf = self.conf_with_proof(mails=20)
        d = self.start(conf)
        self.deliver(d, self.place.plan.mystery[0], times=1)
        self._end(d)
        d = self.start(conf)
        self.deliver(d, self.place.plan.mystery[0], times=1)
        db = sqlite3.connect(conf.conf["state"])
        db.execute("UPDATE proof_scanner SET inside = inside + 20")
        db.execute("UPDATE saves SET n = n + 1")
        db.commit()
        db.close()
        d.wait_log("event=scanner-proven")
        self.wait_code(d, self.bot(), 550)
        self._end(d)
        db = sqlite3.connect(conf.conf["state"])
        self.assertEqual(db.execute("SELECT inside FROM proof_scanner").fetchall(), [(26,)])
        db.close()
