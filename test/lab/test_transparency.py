"""Scripted sessions to a real Exim and a real Postfix, directly and through frontdoor: the same replies but for
what each script lists, and the stored messages identical to the byte, Received headers included.

A way is how a session goes: by IPv4 or IPv6 in clear text, or with TLS on both sides or one."""
import glob
import os
import re
import unittest
from dataclasses import dataclass
from fnmatch import fnmatch

from lab import mail, mailservers, script, tls
from lab.case import LabCase

SCRIPTS = sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "transparency", "*.smtp")))
ALL = ("*",)
# Where not every script goes every way.
SOME = ("auth*", "bare*", "byte*", "chunked*", "dots", "ehlo*", "hang-up*", "large", "many-mails", "pipelined*",
        "plain", "policy", "split*", "wrong*")


@dataclass
class Way:
    """How the client's sessions are encrypted: directly, which is what the backend should see from frontdoor too,
    and through frontdoor. listener: of frontdoor, if not the first one."""
    direct: str = ""
    through: str = ""
    family: int = 4
    listener: str = ""


WAYS = {
    "IPv4": Way(),
    "IPv6": Way(family=6),
    "TLS": Way("starttls", "starttls"),
    "implicit": Way("implicit", "implicit", listener="tls: implicit"),
    "off": Way("", "starttls", listener="upstream_tls: off"),
    "always": Way("starttls", "", listener="upstream_tls: always"),
}


def minus(a, b):
    """What of list a is not in list b."""
    b = list(b)
    return [x for x in a if x not in b or b.remove(x)]


def way_port(lab, way):
    """Of frontdoor, in listen mode."""
    if not WAYS[way].listener:
        return lab.smtp_port
    return mailservers.SMTPS if way == "implicit" else lab.smtp_port + 1000 + list(WAYS).index(way)


class Transparency:
    """server: one of mailservers; ways: {name: patterns of scripts}; certificates: frontdoor has some."""

    server, ways, certificates, auth_in_tls = None, {}, False, False
    backend = certificate = None

    @classmethod
    def setUpClass(cls):
        if not cls.server.possible():
            raise unittest.SkipTest("needs root")
        super().setUpClass()

    @classmethod
    def prepare(cls, lab):
        cls.backend = cls.server(lab, cls.auth_in_tls)
        lab.relays.append(cls.backend)

    @classmethod
    def settings(cls, lab):
        if not cls.certificates:
            return {}
        cls.certificate = tls.certificate(lab.path("frontdoor", "frontdoor.pem"), "frontdoor.lab-hosting.net")
        more = ""
        for name in cls.ways:
            way = WAYS[name]
            if way.listener and cls.is_possible(name, lab):
                port = mailservers.SMTPS if name == "implicit" else lab.exim_port
                more += "  - {name: %s, bind: ['%s:%d'], backend: '%s:%d', %s}\n" % (
                    name, lab.server(4), way_port(lab, name), lab.plan.backend[0], port, way.listener)
        return dict(tls="certificates: [{cert: %s}]" % cls.certificate, listeners=more)

    @staticmethod
    def is_possible(name, lab):
        return WAYS[name].family in lab.families and not (name == "implicit" and lab.loopback)

    @classmethod
    def set_up(cls):
        lab = cls.lab
        for name, scanner in (("acme", lab.acme), ("guard", lab.guard)):
            scanner.deliver(["info@" + lab.internet.by_kind[name][5].name])
        cls.shared["names"] = script.names_of(lab.internet)
        jobs = [(s, w, n) for n, (s, w) in enumerate(cls.jobs())]
        cls.shared["plays"] = dict(zip([(s.name, w) for s, w, _ in jobs], mail.in_parallel(cls.both, jobs, 6)))
        cls.backend.settle(60)

    @classmethod
    def jobs(cls):
        """(script, way)"""
        for way, patterns in cls.ways.items():
            words = {cls.server.word, WAYS[way].through or "clear", "self" if cls.mode == "listen" else "client"}
            for path in SCRIPTS:
                s = script.Script(path, words)
                possible = not s.has_starttls or cls.certificates and "clear" in words and way != "always"
                if possible and any(fnmatch(s.name, p) for p in patterns):
                    yield s, way

    @classmethod
    def both(cls, job):
        """The same script, once each way; senders of equal length."""
        s, name, n = job
        lab, way, out = cls.lab, WAYS[name], []
        if not cls.is_possible(name, lab):
            return None
        # The back address of the same server is none that frontdoor stands in front of.
        direct_port = mailservers.SMTPS if way.direct == "implicit" else lab.exim_port
        sides = (("a", lab.plan.v("backend", way.family), direct_port, way.direct),
                 ("b", lab.server(way.family), way_port(lab, name), way.through))
        # Each script has a client of its own: frontdoor greets one that it often refused itself.
        source = lab.client(s.client, way.family) if s.client else lab.bots(n + 1, way.family)[n]
        for letter, dest, port, client_tls in sides:
            sender = "%s-%s%s@lab-sender.net" % (s.name, name, letter)
            play = script.Play(s, lab.ns["world"], source, dest, port, cls.shared["names"], sender, client_tls)
            out.append((sender, play))
        return out

    def ehlo_diff(self, direct, through):
        """DIFF lines of an EHLO reply; the clients' TLS when they said EHLO."""
        offered = not direct, bool(self.certificates and not through)
        starttls = {(True, False): ["-250-STARTTLS"], (False, True): ["+250-STARTTLS"]}.get(offered, [])
        return script.EHLO_LOSES[self.server.word] + starttls

    def compare(self, s, name):
        if not self.shared["plays"][s.name, name]:
            self.skipTest("not on loopback")
        (a, direct), (b, through) = self.shared["plays"][s.name, name]
        way = WAYS[name]
        names = dict(self.shared["names"], server=self.lab.server(way.family))
        want = s.wanted_diff(names, self.ehlo_diff(way.direct, way.through))
        got = script.difference(direct.transcript, through.transcript)
        if direct.opening and through.opening:
            got = sorted(got + script.difference(direct.opening, through.opening))
            want = sorted(want + self.ehlo_diff("", "") + script.TLS_READY[s.server])
        if got != want:
            self.fail("transcripts differ: not listed %s; listed, but not found %s\ndirect:\n  %s\nthrough:\n  %s" % (
                minus(got, want), minus(want, got), "\n  ".join(direct.transcript), "\n  ".join(through.transcript)))
        self.assertFalse([x for x in direct.transcript if "timed out" in x], "the script waits for a reply too many")
        self.check_certificates(s, way, direct, through)
        self.compare_stored(s, a, b)

    def check_certificates(self, s, way, direct, through):
        """TLS was there, and ended where it should."""
        shown = {None: None, **{file: tls.shown(file) for file in (self.backend.certificate, self.certificate) if file}}
        for play, client_tls, own in ((direct, way.direct, self.backend.certificate),
                                      (through, way.through, self.certificate)):
            files = {own} if client_tls else {None}
            if s.has_starttls:
                files = {None, own, self.backend.certificate if s.end_to_end else own}
            self.assertIn(play.certificate, [shown[f] for f in files], "whose certificate?")

    def compare_stored(self, s, *senders):
        def normal(m, sender):
            content = self.backend.normal(m.content).replace(sender.encode(), b"FROM")
            if self.mode == "listen":  # the client's address is frontdoor's
                content = re.sub(rb"\A(Received:.*)\[[0-9a-f.:]+\]", rb"\1[CLIENT]", content)
            return content, sorted(m.recipients)

        stored = [sorted(normal(m, x) for m in self.backend.by_sender(x)) for x in senders]
        self.assertEqual(len(stored[0]), s.count, "stored messages, direct")
        if s.stored is None:
            self.assertEqual(stored[0], stored[1], "stored messages")
        self.assertTrue(all(content for content, _ in stored[0]))


class EximGateway(Transparency, LabCase):
    mode, server, ways = "gateway", mailservers.Exim, {"IPv4": ALL, "IPv6": ALL}


class EximSameHost(Transparency, LabCase):
    mode, server, certificates = "same-host", mailservers.Exim, True
    ways = {"IPv4": ALL, "TLS": SOME}


class EximListen(Transparency, LabCase):
    mode, server, certificates = "listen", mailservers.Exim, True
    ways = {"IPv4": ALL, "TLS": ALL, "implicit": SOME, "off": SOME, "always": SOME}


class EximGatewayTLS(Transparency, LabCase):
    """Of a server where nobody logs in without TLS."""

    mode, server, certificates, auth_in_tls = "gateway", mailservers.Exim, True, True
    ways = {"IPv4": ("auth-in-the-clear", "policy", "starttls"), "TLS": SOME}


class PostfixGateway(Transparency, LabCase):
    mode, server, ways = "gateway", mailservers.Postfix, {"IPv4": ALL, "IPv6": SOME}


class PostfixListen(Transparency, LabCase):
    mode, server, certificates = "listen", mailservers.Postfix, True
    ways = EximListen.ways


class PostfixGatewayTLS(Transparency, LabCase):
    mode, server, certificates, auth_in_tls = "gateway", mailservers.Postfix, True, True
    ways = EximGatewayTLS.ways


def _generate():
    for cls in Transparency.__subclasses__():
        for s, way in cls.jobs():
            def case(self, s=s, way=way):
                self.compare(s, way)

            setattr(cls, "test_%s_%s" % (way, s.name.replace("-", "_")), case)


_generate()
