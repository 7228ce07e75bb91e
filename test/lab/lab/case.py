"""Base of the lab's test cases: one lab for a class, and what is known about who was delivered."""
import os
import unittest

from . import frontdoor, isolate, setup

DAEMON = os.environ.get("LAB_DAEMON")
BREAK = os.environ.get("LAB_BREAK", "")
KEEP = os.environ.get("LAB_KEEP")


class LabCase(unittest.TestCase):
    """mode and conf are set by the class; the lab is set up once for it."""

    mode = "direct"
    conf = {}
    quiet = True  # start only when frontdoor has looked up the doors of all hosted domains
    lab = daemon = None
    shared = {}  # what a long story found out, told once for all cases of a class

    @classmethod
    def setUpClass(cls):
        if isolate.way() == "loopback" and cls.mode not in ("direct", "listen"):
            raise unittest.SkipTest("needs CAP_NET_ADMIN or user namespaces")
        cls.shared = {}
        cls.lab = setup.Lab(cls.mode, keep=KEEP, internet=cls.internet())
        cls.addClassCleanup(cls.lab.close)
        cls.lab.__enter__()
        cls.prepare(cls.lab)
        if cls.mode != "direct":
            cls.daemon = frontdoor.Frontdoor(cls.lab, DAEMON, break_egress=BREAK == "egress",
                                             **cls.settings(cls.lab))
            cls.lab.started.append(cls.daemon)
            if cls.quiet:
                cls.lab.quiet()
        cls.set_up()

    @classmethod
    def internet(cls):
        """Another one than that of zones.py."""

    @classmethod
    def prepare(cls, lab):
        """What the class changes in the lab, before frontdoor starts."""

    @classmethod
    def settings(cls, lab):
        """For frontdoor.configuration()."""
        return cls.conf

    @classmethod
    def set_up(cls):
        """More for the class, when the lab is there."""

    # What came out --------------------------------------------------------------------------

    def found(self, sender):
        """The message of that sender as Exim logged and stored it, or None."""
        got = self.lab.log.settle().by_sender(sender)
        self.assertLessEqual(len(got), 1, "delivered more than once: %s" % got)
        return got[0] if got else None

    def assert_delivered(self, sender, recipients, source=None, server=None, content=None):
        """Exim took and stored it for exactly these recipients, and saw both addresses so."""
        m = self.found(sender)
        self.assertIsNotNone(m, "%s never reached Exim" % sender)
        self.assertEqual(sorted(m.recipients), sorted(recipients))
        self.assertEqual(sorted(m.delivered), sorted(recipients))
        if source:
            self.assertEqual(m.client, source, "client address as Exim saw it")
        if server:
            self.assertEqual(m.server, server, "server address as Exim saw it")
        if content is not None:
            self.assertEqual(m.content, content.replace(b"\r\n", b"\n"), "stored message")
        return m

    def assert_not_delivered(self, sender):
        m = self.found(sender)
        self.assertIsNone(m, "delivered: %s" % (m and m.line))

    def assert_code(self, reply, code, *words):
        self.assertEqual(reply.code, code, reply.text)
        for word in words:
            self.assertIn(word, reply.text)

    def seen_address(self, family):
        """The addresses that Exim should see: its own, as seen from the client."""
        if self.mode == "listen":
            return self.lab.plan.backend[0]  # the only way there, whatever the client's family
        return self.lab.server(family)
