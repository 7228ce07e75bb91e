"""The daemon hangs or dies: within five seconds mail flows past it (fail: open) or is refused (fail: closed), and who
goes straight to the mail server in the kernel never notices."""
import os
import signal
import threading
import time

from lab import mail
from lab.case import LabCase

LINES = 60  # of the long message, one each 0.15 s


class Transfer(threading.Thread):
    """A trusted client's message that takes as long as the trouble."""

    def __init__(self, lab, to, family):
        super().__init__(daemon=True)
        self.sender, self.to, self.failure, self.final = mail.token(), to, None, None
        self.c = mail.Smtp(lab.ns["world"], lab.client("monitor", family), lab.server(family), lab.smtp_port)
        self.straight = "PRDR" in str(self.c.ehlo.lines) or "LIMITS" in str(self.c.ehlo.lines)
        self.start()

    def run(self):
        try:
            for command, code in (("MAIL FROM:<%s>" % self.sender, 250), ("RCPT TO:<%s>" % self.to, 250), ("DATA", 354)):
                reply = self.c.cmd(command)
                if reply.code != code:
                    raise AssertionError(reply.text)
            self.c.send(b"Subject: long\r\n\r\n")
            for n in range(LINES):
                self.c.send(b"line %d\r\n" % n)
                time.sleep(0.15)
            self.c.send(b".\r\n")
            self.final = self.c.read()
        except Exception as e:
            self.failure = e


class Outage:
    way = "open"  # fail:

    @classmethod
    def settings(cls, lab):
        return {"fail": cls.way}

    @classmethod
    def set_up(cls):
        cls.hear()

    @classmethod
    def hear(cls):
        """The scanner's mail: a daemon that has heard nothing of it yet only defers. Until its first beat there may be no
        connection."""
        end = time.monotonic() + 10
        while True:
            _, replies, final = cls.lab.acme.deliver(["info@" + cls.lab.internet.by_kind["acme"][5].name])
            if replies[0].code != 0 or time.monotonic() > end:
                break
            time.sleep(0.2)
        assert final is not None and final.code == 250, replies

    def stranger(self, family):
        """How mail from outside the scanner fares: the code of its recipient; 0: there was no connection."""
        to = "info@" + self.lab.internet.by_kind["acme"][2].name
        sender, replies, final = self.lab.send(self.lab.client("stranger", family), to, family)
        if final is not None:
            self.assertEqual(final.code, 250)
            self.assert_delivered(sender, [to], self.lab.client("stranger", family), self.lab.server(family))
        return replies[0].code

    def until_shut(self):
        end = time.monotonic() + 10
        while self.stranger(4) != 550:
            self.assertLess(time.monotonic(), end, "the door stays open")
            time.sleep(0.2)

    def outage(self, how):
        lab = self.lab
        self.until_shut()
        transfers = [Transfer(lab, "info@" + lab.internet.by_kind["acme"][3].name, f) for f in lab.families]
        for t in transfers:
            self.assertTrue(t.straight, "a trusted client's session goes through the daemon: %s" % t.c.ehlo.lines)
        time.sleep(0.5)
        os.kill(self.daemon.process.pid, how)
        time.sleep(5)
        for family in lab.families:
            with self.subTest("IPv%d" % family):
                self.assertEqual(self.stranger(family), 250 if self.way == "open" else 0)
        for t in transfers:
            t.join()
            self.assertIsNone(t.failure)
            self.assert_code(t.final, 250)
            self.assert_delivered(t.sender, [t.to])

    def test_hang(self):
        self.outage(signal.SIGSTOP)
        os.kill(self.daemon.process.pid, signal.SIGCONT)
        self.until_shut()

    def test_killed(self):
        self.outage(signal.SIGKILL)
        self.daemon.kill()
        self.daemon.start()
        self.hear()
        self.until_shut()


class GatewayOpen(Outage, LabCase):
    mode = "gateway"


class GatewayClosed(Outage, LabCase):
    mode, way = "gateway", "closed"


class SameHostOpen(Outage, LabCase):
    mode = "same-host"


class SameHostClosed(Outage, LabCase):
    mode, way = "same-host", "closed"
