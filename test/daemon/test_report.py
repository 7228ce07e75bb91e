"""The ledger of observing, from the events of a daemon that observes."""
import gzip
import json
import os

from harness.case import DaemonCase


class Report(DaemonCase):
    def report(self, conf, *argv, status=0):
        got, out, err = conf.run("report", *argv)
        self.assertEqual(got, status, out + err)
        return out if status == 0 else err

    def observed(self):
        daemon = self.serve(policy={"action": "observe"})
        self.hear(daemon)
        for i in (0, 0, 1):
            _, reply = self.send_one(daemon, self.bot(), "user@" + self.name("acme", i))
            self.assert_code(reply, 250)
        daemon.wait_events(3, finding="direct")
        return daemon

    def rows(self, conf, *argv):
        return [json.loads(line) for line in self.report(conf, "--json", *argv).splitlines()]

    def test_what_enforcing_would_have_refused(self):
        conf = self.observed().conf
        rows = self.rows(conf, "-c", conf.file)
        self.assertEqual({r["domain"] for r in rows}, {self.name("acme", 0), self.name("acme", 1)})
        self.assertEqual(sum(r["recipients"] for r in rows), 3)
        self.assertEqual(sum(r["accepted"] for r in rows), 3)
        self.assertEqual({(r["reason"], r["scanner"]) for r in rows}, {("not-egress", "acme")})
        text = self.report(conf, "-c", conf.file)
        self.assertIn("4 recipients from", text)
        self.assertIn("3 came past their front door: 0 were refused, 3 observed", text)

    def test_the_lines_it_suggests_allow_them(self):
        observed = self.observed()
        observed.stop()
        conf = observed.conf
        row = next(r for r in self.rows(conf, "-c", conf.file) if r["domain"] == self.name("acme", 0))
        conf.conf["policy"]["action"] = "reject"
        conf.write()
        with open(conf.file) as f:
            text = f.read().rstrip()[:-1]
        with open(conf.file, "w") as f:  # as an operator pastes it
            f.write(text + ', "domains": [%s]}\n' % row["allow"][2:])
        daemon = self.start(conf)
        _, reply = self.send_one(daemon, row["client"], "user@" + row["domain"])
        self.assert_code(reply, 250)
        self.assertEqual(daemon.wait_events(1, reason="allowed")[0]["rcpt_domain"], row["domain"])

    def test_rotated_and_compressed_files_count_too(self):
        daemon = self.observed()
        conf, events = daemon.conf, daemon.events_file
        daemon.stop()
        whole = self.rows(conf, "-c", conf.file)
        with open(events, "rb") as f:
            lines = f.read().splitlines(True)
        half = len(lines) - 1  # the last one is direct
        with gzip.open(events + ".1.gz", "wb") as f:
            f.writelines(lines[:half])
        with open(events, "wb") as f:
            f.writelines(lines[half:])
        self.assertEqual(self.rows(conf, "-c", conf.file), whole)
        self.assertNotEqual(self.rows(conf, events), whole)
        self.assertEqual(self.rows(conf, events, events + ".1.gz"), whole)

    def test_an_earlier_time_is_left_out(self):
        conf = self.observed().conf
        self.assertEqual(self.rows(conf, "-c", conf.file, "--since", "0s"), [])
        self.assertEqual(self.report(conf, "-c", conf.file, "--since", "2100-01-01T00:00:00.000Z"),
                         "no events in that time\n")

    def test_wrong_use_and_files(self):
        conf = self.conf()
        self.assertIn("usage:", self.report(conf, status=64))
        self.assertIn("usage:", self.report(conf, "--since", "lately", "x", status=64))
        self.assertEqual(self.report(conf, os.path.join(conf.dir, "none"), status=1).count("\n"), 1)
        conf.conf["events"] = None
        conf.write()
        self.assertEqual(conf.run("report", "-c", conf.file)[0], 78)
