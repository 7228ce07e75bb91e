"""Scripted sessions to Exim directly and through frontdoor: the same replies but for what each
script lists, and the stored messages identical to the byte."""
import glob
import os
import re

from lab import mail, script
from lab.case import LabCase

SCRIPTS = [script.Script(p) for p in sorted(glob.glob(os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "transparency", "*.smtp")))]


def minus(a, b):
    """What of list a is not in list b."""
    b = list(b)
    return [x for x in a if x not in b or b.remove(x)]


class Transparency:
    families = (4,)

    @classmethod
    def set_up(cls):
        lab = cls.lab
        for name, scanner in (("acme", lab.acme), ("guard", lab.guard)):
            scanner.deliver(["info@" + lab.internet.by_kind[name][5].name])
        names = script.names_of(lab.internet)
        cls.shared["names"] = names
        jobs = [(s, f) for s in SCRIPTS for f in cls.families]
        cls.shared["plays"] = dict(zip([(s.name, f) for s, f in jobs],
                                       mail.in_parallel(cls.both, jobs, 6)))
        lab.log.settle(60)

    @classmethod
    def both(cls, job):
        """The same script, once each way; senders of equal length."""
        s, family = job
        lab, out = cls.lab, []
        # The back address of the same Exim is none that frontdoor stands in front of.
        ways = (("a", lab.plan.v("backend", family), lab.exim_port),
                ("b", lab.server(family), lab.smtp_port))
        # Each script has a client of its own: frontdoor greets one that it often refused itself.
        source = lab.client(s.client, family) if s.client else lab.bots(len(SCRIPTS), family)[SCRIPTS.index(s)]
        for letter, dest, port in ways:
            sender = "%s-%d%s@lab-sender.net" % (s.name, family, letter)
            try:
                play = script.Play(s, lab.ns["world"], source, dest, port,
                                   cls.shared["names"], sender)
                out.append((sender, play.transcript))
            except Exception as e:
                out.append((sender, ["<%s: %s>" % (type(e).__name__, e)]))
        return out

    def compare(self, s, family):
        (a, direct), (b, through) = self.shared["plays"][s.name, family]
        got = script.difference(direct, through)
        names = dict(self.shared["names"], server=self.lab.server(family))
        want = s.wanted_diff(names)
        if got != want:
            self.fail("transcripts differ: not listed %s; listed, but not found %s\ndirect:\n  %s\nthrough:\n  %s" % (
                minus(got, want), minus(want, got), "\n  ".join(direct), "\n  ".join(through)))
        # A quoted string that needs no quotes is the same address without them.
        plain = lambda rcpt: re.sub(r'^"([\w.]+)"@', r"\1@", rcpt)
        stored = [sorted((m.content.replace(x.encode(), b"FROM"), sorted(map(plain, m.recipients)))
                         for m in self.lab.log.by_sender(x)) for x in (a, b)]
        self.assertEqual(len(stored[0]), s.count, "stored messages, direct")
        if s.stored is None:
            self.assertEqual(stored[0], stored[1], "stored messages")
        self.assertTrue(all(content for content, _ in stored[0]))


def _generate():
    for s in SCRIPTS:
        for family in (4, 6):
            def case(self, s=s, family=family):
                if family not in self.families or family not in self.lab.families:
                    self.skipTest("no IPv6")
                self.compare(s, family)

            if family == 4:
                setattr(Transparency, "test_IPv4_" + s.name.replace("-", "_"), case)
            else:
                setattr(Both, "test_IPv6_" + s.name.replace("-", "_"), case)


class Both:
    families = (4, 6)


_generate()


class GatewayTransparency(Both, Transparency, LabCase):
    mode = "gateway"


class SameHostTransparency(Transparency, LabCase):
    mode = "same-host"


class ListenTransparency(Transparency, LabCase):
    mode = "listen"
