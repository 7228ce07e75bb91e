"""policy.enforce: a share of the domains first, and back to observing by itself."""
import json
import os

from harness.case import DaemonCase


def place_of(domain):
    """Of 10,000, as policy/share.c has it: FNV-1a, finalized as SplitMix64 does."""
    h, all64 = 0xcbf29ce484222325, 2**64 - 1
    for c in domain.encode():
        h = (h ^ c) * 0x100000001b3 & all64
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9 & all64
    h = (h ^ h >> 27) * 0x94d049bb133111eb & all64
    return (h ^ h >> 31) % 10000


class Enforce(DaemonCase):
    def enforce(self, **enforce):
        conf = self.conf(policy={"enforce": enforce}, state="placeholder")
        conf.conf["state"] = os.path.join(conf.dir, "state.db")
        conf.conf["control"] = os.path.join(conf.dir, "control.sock")
        self.complaints = os.path.join(conf.dir, "complaints")
        if "complaints" in enforce:
            conf.conf["policy"]["enforce"]["complaints"] = self.complaints
        conf.write()
        return self.start(conf)

    def complain(self, *lines):
        with open(self.complaints, "w") as f:
            f.write("".join(line + "\n" for line in lines))

    def status(self, daemon):
        status, out, err = daemon.conf.run("status", "-c", daemon.conf.file, "--json")
        self.assertEqual(status, 0, err)
        return json.loads(out)["enforce"]

    def direct(self, daemon, domain, source=None):
        return self.send_one(daemon, source or self.bot(), "user@" + domain)[1].code

    def explain(self, daemon, domain, client):
        status, out, err = daemon.conf.run("explain", "-c", daemon.conf.file, "--client", client,
                                           "--server", self.place.server, "--hosted", "--heard", domain)
        self.assertEqual(status, 0, err)
        return out

    def resume(self, daemon):
        return daemon.conf.run("resume", "-c", daemon.conf.file)

    def test_a_share_of_the_domains(self):
        domains = sorted((self.name("acme", i) for i in range(4)), key=place_of)
        daemon = self.enforce(share="%.2f%%" % ((place_of(domains[1]) + place_of(domains[2])) / 200))
        self.hear(daemon)
        codes = {d: self.direct(daemon, d) for d in domains}
        self.assertEqual([codes[d] for d in domains], [550, 550, 250, 250])
        for d, code in codes.items():
            event = daemon.wait_events(1, rcpt_domain=d, finding="direct")[0]
            want = ("observe", "share") if code == 250 else ("reject", "")
            self.assertEqual((event["action"], event["restraint"] or ""), want)
            self.assertEqual(event["wanted"], "reject")
            self.assertEqual(self.direct(daemon, d), code)  # always the same

    def test_nobody_and_everybody(self):
        for share, code in (("0%", 250), ("100%", 550)):
            daemon = self.enforce(share=share)
            self.hear(daemon)
            self.assertEqual({self.direct(daemon, self.name("acme", i)) for i in range(3)}, {code})

    def test_what_the_operator_says_of_a_domain_counts_at_once(self):
        domain = self.name("acme")
        conf = self.conf(policy={"enforce": {"share": "0%"}}, domains=[{"name": domain, "action": "reject"}])
        daemon = self.start(conf)
        self.hear(daemon)
        self.assertEqual(self.direct(daemon, domain), 550)

    slow = 8

    def test_a_complaint_stops_it_until_it_is_gone(self):
        daemon = self.enforce(complaints=True)
        self.hear(daemon)
        domain, other, bot = self.name("acme"), self.name("acme", 1), self.bot()
        self.complain("# nobody was refused yet", other)
        self.assertEqual(self.direct(daemon, domain, bot), 550)
        self.assertFalse(self.status(daemon)["stopped"])
        self.complain(domain.upper() + "  # called at noon")
        daemon.wait_log("enforce=stopped")
        self.assertEqual(self.direct(daemon, domain, bot), 250)
        self.assertEqual(self.direct(daemon, other), 250)
        self.assertEqual(daemon.wait_events(1, rcpt_domain=other, finding="direct")[0]["restraint"], "stopped")
        view = self.status(daemon)
        self.assertTrue(view["stopped"])
        self.assertIn(domain, view["why"])
        self.wait("what is kept", lambda: os.path.exists(daemon.conf.conf["state"] + ".enforcing"))
        self.assertIn("enforcing has stopped by itself", self.explain(daemon, domain, bot))
        status, _, err = self.resume(daemon)
        self.assertEqual((status, err.count("\n")), (1, 1))
        self.assertIn(domain, err)

        daemon.stop()  # that it has stopped outlives the process
        daemon.start()
        self.assertEqual(self.direct(daemon, domain, bot), 250)

        self.complain()
        daemon.wait_log("enforce=on")
        self.wait("nothing kept", lambda: not os.path.exists(daemon.conf.conf["state"] + ".enforcing"))
        self.assertNotIn("stopped", self.explain(daemon, domain, bot))
        self.assertEqual(self.direct(daemon, domain, bot), 550)
        self.wait("the note", lambda: daemon.notes("enforce-resumed"))
        self.assertEqual(len(daemon.notes("enforce-stopped")), 1)
        self.assertEqual(len(daemon.notes("enforce-resumed")), 1)

    def test_a_complaint_of_a_client(self):
        daemon = self.enforce(complaints=True)
        self.hear(daemon)
        bot = self.bot()
        self.assertEqual(self.direct(daemon, self.name("acme"), bot), 550)
        self.complain(bot)
        daemon.wait_log("enforce=stopped")
        self.assertEqual(self.resume(daemon)[0], 1)

    def test_resume_without_a_stop_says_so(self):
        daemon = self.enforce()
        status, out, _ = self.resume(daemon)
        self.assertEqual((status, out), (0, "enforcing has not stopped by itself\n"))

    def test_wrong_shares(self):
        for share in ("5", "-1%", "101%", "five%", "", "%"):
            conf = self.conf(policy={"enforce": {"share": share}})
            status, _, err = conf.run("check", "-c", conf.file)
            self.assertEqual(status, 78, share)
            self.assertIn("as 5% or 0.5%", err)
