#!/usr/bin/python3
"""frontdoor scanners as an administrator calls it: what is settled, and what a state file makes of the list. No DNS.

    test_scanners.py PROGRAM
"""
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
DAY = 24 * 3600 * 1000


class Scanners(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = pathlib.Path(folder.name, "state")
        self.conf = pathlib.Path(folder.name, "conf")
        self.conf.write_text('listeners: [{mode: listen, backend: "127.0.0.1:25"}]\n'
                             'scanners: [{name: Ours, mx: ["*.ours.example"], egress: [mx]}]\n'
                             f'state: {self.state}\n')

    def call(self, *argv, status=0):
        p = subprocess.run([PROGRAM, "scanners", "-c", self.conf, *argv], capture_output=True, text=True, timeout=30)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p

    def rows(self):
        return {row["scanner"]: row for row in map(json.loads, self.call("--json").stdout.splitlines())}

    def test_seen(self):
        """Scanners that nothing but the state file knows keep their names."""
        self.call("--deny", "198.51.100.0/24", "s1.example")
        names = [f"s{i}.example" for i in range(40)]
        with sqlite3.connect(self.state) as db:
            db.executemany("INSERT INTO proof_scanner VALUES (?, ?, 0, ?, 0, ?)",
                           [(name, 30 + i, 2 * DAY, 2 * DAY) for i, name in enumerate(names)])
        rows = self.rows()
        for i, name in enumerate(names):
            self.assertEqual(rows[name]["proof"]["mails"], 30 + i)
        self.assertEqual(rows["s1.example"]["denied"], ["198.51.100.0/24"])
        self.assertEqual([row.split()[0] for row in self.call().stdout.splitlines()[4:] if " seen " in row],
                         sorted(names, key=lambda name: -rows[name]["proof"]["mails"]))
        self.assertEqual(self.call("--accept", "192.0.2.1", "s7.example").stderr, "")

    def test_settle(self):
        net = "192.0.2.0/24"
        self.assertEqual(self.call("--accept", net, "proofpoint").stdout, f"proofpoint: {net} is accepted\n")
        self.assertEqual(self.call("--accept", net, "proofpoint").stdout, f"proofpoint: {net} is accepted, as before\n")
        self.assertIn("first: --forget 192.0.2.0/24 proofpoint",
                      self.call("--deny", "192.0.2.9", "proofpoint", status=64).stderr)
        self.assertEqual(self.rows()["proofpoint"]["accepted"], [net])
        self.assertEqual(self.call("--forget", net, "proofpoint").stdout, f"proofpoint: {net} is forgotten\n")
        self.assertEqual(self.call("--forget", net, "proofpoint").stdout,
                         f"proofpoint: nothing was settled of {net}\n")
        self.assertEqual(self.rows()["proofpoint"]["accepted"], [])

    def test_names(self):
        """A name that no scanner has is taken, since an MX may name it; but that is told."""
        for name, told in (("proofpoint", False), ("Ours", False), ("Proofpoint", True), ("ours", True)):
            p = self.call("--accept", "192.0.2.0/24", name)
            self.assertEqual("no scanner of this name was seen yet" in p.stderr, told, name)

    @unittest.skipIf(os.geteuid(), "only root can give files away")
    def test_owner(self):
        """The daemon need not be root, though who settles something is."""
        os.chown(self.state.parent, 65534, 65533)
        self.call("--accept", "192.0.2.0/24", "proofpoint")
        st = self.state.stat()
        self.assertEqual((st.st_uid, st.st_gid, st.st_mode & 0o777), (65534, 65533, 0o640))

    def test_networks(self):
        for network in ("0.0.0.0/7", "::/0", "::/16", "2000::/15"):
            self.assertIn("too large", self.call("--accept", network, "proofpoint", status=64).stderr)
        self.assertFalse(self.state.exists())
        for network in ("10.0.0.0/8", "2001::/16"):
            self.call("--accept", network, "proofpoint")


if __name__ == "__main__":
    unittest.main()
