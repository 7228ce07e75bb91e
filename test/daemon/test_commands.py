"""The commands: exit codes, one line for each mistake, and explain's word against the daemon's."""
import json
import os
import re

from harness.case import DaemonCase
from lab import servers


class Usage(DaemonCase):
    def run_(self, *argv):
        return self.conf(backend=1).run(*argv)

    def test_wrong_usage_is_64(self):
        for argv in ((), ("nonsense",), ("serve",), ("serve", "-x"), ("serve", "-c"),
                     ("serve", "-c", "a", "b"), ("check", "-c"), ("check", "a"),
                     ("explain",), ("explain", "--client", "192.0.2.1", "a@b.com"),
                     ("explain", "--client", "192.0.2.1", "--server", "192.0.2.2"),
                     ("explain", "--client", "one", "--server", "192.0.2.2", "a@b.com"),
                     ("explain", "--nonsense", "--client", "192.0.2.1", "--server", "192.0.2.2", "a@b.com")):
            with self.subTest(" ".join(argv)):
                status, out, err = self.run_(*argv)
                self.assertEqual((status, out), (64, ""))
                self.assertTrue(err)
                self.assertLess(len(err.splitlines()), 20)

    def test_help_and_version_are_no_mistake(self):
        for argv in (("--help",), ("-h",), ("--version",)):
            with self.subTest(argv[0]):
                status, out, err = self.run_(*argv)
                self.assertEqual((status, err), (0, ""))
                self.assertIn("frontdoor", out)


class Files(DaemonCase):
    def both(self, text, *patterns):
        """serve and check say the same about this file: a line for each pattern, exit 78."""
        conf = self.conf(backend=1)
        servers.write(conf.file, text)
        for command in ("serve", "check"):
            status, out, err = conf.run(command, "-c", conf.file)
            lines = err.splitlines()
            self.assertEqual(status, 78, "%s: %s" % (command, err))
            self.assertEqual(out, "", command)
            self.assertEqual(len(lines), len(patterns), err)
            for line, pattern in zip(lines, patterns):
                self.assertRegex(line, "^" + re.escape(conf.file) + pattern)

    def test_broken_yaml(self):
        self.both("listeners:\n  - name: [smtp\n", r":\d+:\d+: ")
        self.both("listeners:\n\t- name: smtp\n", r":2:1: ")

    def test_wrong_keys_and_values(self):
        head = "listeners: [{name: smtp}]\n"
        self.both(head + "nonsense: 1\n", r":2:1: nonsense: .*; accepted: listeners, ")
        self.both(head + "policy: {acton: reject}\n", r":2:10: policy.acton: .*; accepted: .*action")
        self.both(head + "policy:\n  action: bounce\n", r":3:11: policy.action: 'bounce' .*; accepted: observe, ")
        self.both(head + "trusted: [300.1.1.1]\npolicy: {action: x}\n",
                  r":2:11: trusted: '300.1.1.1' ", r":3:18: policy.action: ")
        self.both("policy: {action: reject}\n", r":1:\d+: listeners: ")

    def test_missing_files(self):
        conf = self.conf(backend=1)
        for command in ("serve", "check"):
            status, _, err = conf.run(command, "-c", conf.dir + "/none.yaml")
            self.assertEqual((status, err), (78, "%s/none.yaml: No such file or directory\n" % conf.dir))
        conf = self.conf(backend=1, hosted=["/nonexistent/domains"])
        for command in ("serve", "check"):
            with self.subTest(command):
                status, _, err = conf.run(command, "-c", conf.file)
                self.assertEqual(status, 78, err)
                self.assertIn("/nonexistent/domains: No such file or directory", err)

    def test_port_that_is_taken(self):
        """By another frontdoor too, though both would set SO_REUSEPORT."""
        d = self.serve()
        # Its file, with events of its own.
        conf = self.conf(listeners=[dict(d.conf.conf["listeners"][0])])
        status, out, err = conf.run("serve", "-c", conf.file)
        self.assertEqual((status, out), (1, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn("%s:%d" % (self.place.server, d.port), err)
        self.assertIn("Address already in use", err)

    def test_port_that_another_program_has(self):
        taken = self.fake()
        conf = self.conf(listeners=[{"name": "smtp", "bind": ["%s:%d" % (self.place.backend, taken.port)],
                                     "backend": "%s:%d" % (self.place.backend, self.exim.port),
                                     "source": "self"}])
        status, out, err = conf.run("serve", "-c", conf.file)
        self.assertEqual((status, out), (1, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn("Address already in use", err)

    def test_events_that_can_not_be_written(self):
        conf = self.conf(events={"json": "/nonexistent/events.jsonl"})
        status, _, err = conf.run("serve", "-c", conf.file)
        self.assertIn(status, (1, 78))
        self.assertIn("/nonexistent/events.jsonl", err)

    def test_check_of_a_good_file(self):
        conf = self.conf()
        status, out, err = conf.run("check", "-c", conf.file)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("action reject", out)
        self.assertIn("%d domains" % len(self.place.internet.domains), out)
        # What serve would open is not touched.
        self.assertFalse(os.path.exists(conf.events_file))


class Explain(DaemonCase):
    def explain(self, conf, client, recipient, *options):
        status, out, err = conf.run("explain", "-c", conf.file, "--json", "--client", client, "--server",
                                    self.place.server, *options, recipient)
        self.assertEqual((status, err), (0, ""), err)
        return [json.loads(line) for line in out.splitlines()]

    def test_explain_agrees_with_the_daemon(self):
        d = self.serve(domains=[{"name": self.name("guard", 2), "allow": [self.place.plan.printer[0]]}],
                       policy={"guessed_action": "defer"}, trusted=[self.place.plan.monitor[0]])
        for kind in ("acme", "guard", "mystery"):
            self.hear(d, kind)
        plan, bot = self.place.plan, self.bot
        fields = ("door", "grade", "finding", "action", "wanted", "restraint", "reason", "scanner", "mx",
                  "rcpt_domain", "door_name")
        table = [(bot(), k, i) for k in ("acme", "guard", "mystery", "self", "implicit", "backup", "elsewhere",
                                         "null", "nxdomain", "servfail", "both", "cname", "idn") for i in (0, 1)]
        table += [(plan.acme[0], "acme", 1), (plan.guard_out[0], "guard", 1), (plan.liar[0], "guard", 0),
                  (plan.home[0], "guard", 0), (plan.printer[0], "guard", 2), (plan.printer[0], "guard", 1),
                  (plan.nameless[0], "guard", 1)]
        for client, kind, i in table:
            recipient = "user@" + self.name(kind, i)
            with self.subTest("%s from %s" % (recipient, client)):
                _, reply = self.send_one(d, client, recipient)
                event = d.event(client=client, rcpt_domain=self.name(kind, i))
                said = self.explain(d.conf, client, recipient, "--heard")
                self.assertEqual(len(said), 1)
                looked = fields if event["finding"] == "direct" else fields[:-1]
                self.assertEqual({f: said[0][f] for f in looked}, {f: event[f] for f in looked})
                # explain says no more of a reply than that it is a refusal, and which.
                self.assertEqual(said[0]["reply"], reply.code if reply.code >= 400 else None)

    def test_explain_of_several_domains(self):
        conf = self.conf()
        said = self.explain(conf, self.bot(), "user%%%s@%s" % (self.name("acme", 1), self.name("self")), "--heard")
        self.assertEqual([(e["rcpt_domain"], e["action"]) for e in said],
                         [(self.name("self"), "pass"), (self.name("acme", 1), "reject")])

    def test_explain_in_words(self):
        conf = self.conf()
        client = self.bot()
        status, out, err = conf.run("explain", "-c", conf.file, "--client", client, "--server",
                                    self.place.server, "--heard", "user@" + self.name("acme", 1))
        self.assertEqual((status, err), (0, ""))
        for word in (self.name("acme", 1), client, self.place.server, "mx1.acme-filter.net", "reject",
                     "550 5.7.1 "):
            self.assertIn(word, out)

    def test_explain_without_an_answer(self):
        conf = self.conf(resolver={"servers": ["127.53.0.99:9"], "timeout_ms": 200})
        status, out, err = conf.run("explain", "-c", conf.file, "--client", self.bot(), "--server",
                                    self.place.server, "user@" + self.name("acme"))
        self.assertIn(status, (0, 1))
        self.assertIn("dns", (out + err).lower() + ("dns" if "resolver" in err else ""))
