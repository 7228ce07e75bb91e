"""`frontdoor logs` over logs that real Exim and Postfix wrote: for every message × recipient domain its verdict
has to be what the sender of the mail knows."""
import dataclasses
import json
import os
import shutil
import subprocess
import unittest

from lab import exim_settings, frontdoor, letters, mail, paths, postfix_settings, servers, truth
from lab.case import DAEMON, LabCase

CLASSES = {"scanner", "direct", "authenticated", "trusted", "local", "self", "backup", "elsewhere", "null", "dns",
           "not-hosted", "unknown", "refused"}
SAMPLES = os.environ.get("LAB_SAMPLES")  # leaves each log and its truth there


class Logs:
    """One lab for a mail server, which is started anew for each of its settings. server_class has the settings."""

    mode = "direct"
    server_class = None
    names = ()

    @classmethod
    def set_up(cls):
        lab = cls.lab
        if lab.loopback:
            raise unittest.SkipTest("on loopback all clients look like the server's own host")
        if not cls.server_class.possible():
            raise unittest.SkipTest("needs root")
        cls.resolv_conf()
        lab.relays.append(mail.Sink(lab.ns["world"], lab.plan.v("mystery", 4)))
        cls.configurations()
        cls.server_class.prepare(lab)
        for name in cls.names:
            cls.shared[name] = cls.make(name)
        cls.rewrite()

    @classmethod
    def resolv_conf(cls):
        """For servers that look clients' names up; in this mount namespace only."""
        new = servers.write(cls.lab.path("resolv.conf"), "nameserver %s\noptions timeout:2 attempts:1\n"
                            % cls.lab.plan.unbound)
        subprocess.run(["mount", "--bind", new, "/etc/resolv.conf"], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", "/etc/resolv.conf"])

    @classmethod
    def configurations(cls):
        lab = cls.lab
        hosted = servers.write(lab.path("hosted"), "".join(d.name + "\n" for d in lab.internet.domains))
        text = frontdoor.configuration(lab, hosted=False)
        egress = ", ".join('"%s"' % a for a in truth.ACME_EGRESS)
        assert text.count("egress: [mx]") == 1
        text = text.replace("egress: [mx]", "egress: [mx, %s]" % egress)
        text = text.replace("resolver: {", "resolver: {timeout_ms: 500, ")  # for the domain whose server is silent
        lines = [line for line in text.splitlines() if not line.startswith("server_addresses:")]
        nameless = "\n".join(lines).replace("mode: tproxy", "mode: listen").replace(
            "backend: original", "backend: 127.0.0.1:25") + "\nhosted: [%s]\n" % hosted
        cls.conf_files = {
            "full": servers.write(lab.path("logs.yaml"), text + "hosted: [%s]\n" % hosted),
            "learning": servers.write(lab.path("learning.yaml"), text),
            "nameless": servers.write(lab.path("nameless.yaml"), nameless),
        }

    @classmethod
    def make(cls, name):
        """(log, truths, time zone, server, script)"""
        server = cls.server_class(cls.lab, name)
        with server:
            script = letters.Script(cls.lab, server, "%s %s" % (cls.__name__, name)).run()
            servers.wait_for("log %s" % name, lambda: server.settled(script.arrivals), 60)
        server.fill(script.truths)
        log = shutil.copy(server.log, cls.lab.path("%s.log" % server.label))
        cls.sample(log, script.truths)
        return log, script.truths, server.zone, server, script

    @classmethod
    def derive(cls, name, base, lines, truths=None):
        """A log that is another one written anew. Its time zone is in it."""
        _, same, _, server, script = cls.shared[base]
        log = cls.lab.path("%s.log" % server.label.replace(base, name))
        with open(log, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.writelines(line + "\n" for line in lines)
        cls.shared[name] = log, truths or same, "UTC", server, script
        cls.sample(log, truths or same)

    @classmethod
    def sample(cls, log, truths):
        if SAMPLES:
            shutil.copy(log, SAMPLES)
            with open(os.path.join(SAMPLES, "truth-%s.json" % os.path.basename(log)[:-4]), "w") as f:
                json.dump([t.as_json() for t in truths], f, indent=0)

    @staticmethod
    def lines(log):
        with open(log, encoding="utf-8", errors="surrogateescape") as f:
            return f.read().split("\n")[:-1]

    # What the tool says -------------------------------------------------------------------------

    def said(self, name, conf="full", *options):
        log, _, zone, _, _ = self.shared[name]
        program = os.path.abspath(DAEMON or os.path.join(paths.BUILD, "frontdoor"))
        argv = [program, "logs", "-c", self.conf_files[conf], "--json", *options, log]
        with open(self.lab.path("said"), "w+") as out:
            p = self.lab.ns["mail"].popen(argv, stdout=out, stderr=subprocess.PIPE, text=True,
                                          env=dict(os.environ, TZ=zone))
            _, errors = p.communicate(timeout=120)
            out.seek(0)
            said = out.read()
        self.assertEqual(p.returncode, 0, errors)
        return [json.loads(line) for line in said.splitlines()]

    def compare(self, name, *how):
        truths = self.shared[name][1]
        wrong = truth.compare(truths, self.said(name, *how))
        if wrong:
            self.fail("%d differences, %d truths:\n%s" % (len(wrong), len(truths), "\n".join(wrong[:10])))

    def look(self, name):
        """The truth is in the log, by other means than the tool's."""
        log, truths, _, server, script = self.shared[name]
        self.assertGreaterEqual(script.arrivals, 300)
        self.assertEqual({t.klass for t in truths}, CLASSES)
        server.check(self, self.lines(log), script)

    def test_hosted_domains_are_learned_from_the_log(self):
        self.compare(self.names[0], "learning")

    def test_server_addresses_by_option(self):
        self.compare(self.names[1], "nameless", *(w for a in self.lab.plan.server for w in ("--server", a)))

    def test_the_comparison_can_fail(self):
        """Each field of a line matters, and so do lines that lack or are too many."""
        truths = self.shared[self.names[0]][1]
        right = [t.as_said() for t in truths]
        self.assertEqual(truth.compare(truths, right), [])
        wrong = {"id": "x", "client": "9.9.9.9", "sender": "x@y.example", "rcpt_domain": "evil.example",
                 "class": "self", "finding": "dns", "bytes": 1, "auth": True, "time": "2001-01-01T00:00:00Z"}
        n = next(i for i, t in enumerate(truths) if t.klass == "direct")
        for field, value in wrong.items():
            with self.subTest(field):
                self.assertTrue(truth.compare(truths, right[:n] + [dict(right[n], **{field: value})] + right[n + 1:]))
        self.assertEqual(len(truth.compare(truths, right[1:])), 1)
        self.assertEqual(len(truth.compare(truths, right + right[n:n + 1])), 1)


class EximLogs(Logs, LabCase):
    server_class = exim_settings.EximServer
    names = tuple(exim_settings.SETTINGS)
    rewritten = ("longids",)

    @classmethod
    def rewrite(cls):
        log, truths, _, _, _ = cls.shared["full"]
        cls.derive("longids", "full", exim_settings.long_ids(cls.lines(log)), [
            dataclasses.replace(t, id=t.id and exim_settings.long_id(t.id)) for t in truths])


class PostfixLogs(Logs, LabCase):
    server_class = postfix_settings.PostfixServer
    names = tuple(postfix_settings.SETTINGS)
    rewritten = ("rfc3339", "journal")

    @classmethod
    def rewrite(cls):
        for name, base, writer in (("rfc3339", "short", postfix_settings.rfc3339),
                                   ("journal", "long", postfix_settings.journal)):
            log, _, zone, _, _ = cls.shared[base]
            cls.derive(name, base, writer(cls.lines(log), zone))


def _generate():
    for case in (EximLogs, PostfixLogs):
        for name in case.names + case.rewritten:
            setattr(case, "test_%s" % name, lambda self, name=name: self.compare(name))
        for name in case.names:
            setattr(case, "test_truth_of_%s" % name, lambda self, name=name: self.look(name))


_generate()
