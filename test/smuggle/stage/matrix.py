"""Base of the cases: many sessions at once against one mail server, and what it has stored of each."""
import itertools
import os
import re
import time

from harness.case import DaemonCase
from lab import mail

from . import model, wire

COUNT = itertools.count(1)
REFERENCE = {}  # (backend, content) → what it stores of it


def token():
    """Eight digits that no other message of this run has."""
    return "%03d%05d" % (os.getpid() % 1000, next(COUNT))


def without_token(content):
    return re.sub(rb"\b\d{8}\b", b"TOKEN", content)


class Cell:
    """A session with a message, and within that a smuggled one to two more domains."""

    def __init__(self, case, backend, way):
        self.case, self.backend, self.way, self.token = case, backend, way, token()
        self.sender = "outer-%s@lab-sender.net" % self.token
        self.smuggled = "smuggled-%s@lab-sender.net" % self.token
        self.recipient, self.client = "user@" + case.name("self", 1), case.bot()
        # The one must not get mail by this door, the other may.
        self.shut, self.free = "shut@" + case.name("acme", 1), "free@" + case.name("self")
        self.told, self.stored = None, []

    def transaction(self):
        """What is to be smuggled."""
        return (wire.envelope(self.smuggled, [self.shut, self.free])
                + b"DATA\r\nSubject: smuggled\r\nX-Token: %s\r\n\r\nsmuggled\r\n.\r\n" % self.token.encode())

    def play(self):
        stage = self.case.place
        try:
            self.told = self.session(stage, stage.ways[self.backend, self.way])
        except mail.Closed as e:
            self.told = wire.Told([], str(e))

    @property
    def refuses(self):
        return self.way in ("normalize", "reject")

    def senders(self):
        return sorted(m.sender for m in self.stored)

    def content(self):
        """Of the outer message, stored."""
        return next((without_token(m.content) for m in self.stored if m.sender == self.sender), None)


class Matrix(DaemonCase):
    def need(self, backend):
        if backend not in self.place.backends:
            self.skipTest("needs root")
        return self.place.backends[backend]

    def play(self, backend, cells):
        """Plays them; each then knows what was told and stored."""
        server = self.need(backend)
        # Exim holds its last reply back for 0.2 s.
        mail.in_parallel(lambda c: c.play(), cells, 24 if backend == "exim" else 6)
        self.settle(server, {c.client for c in cells})
        by_token = {c.token: c for c in cells}
        for m in server.stored({s for c in cells for s in (c.sender, c.smuggled)}):
            by_token[re.search(r"-(\d+)@", m.sender).group(1)].stored.append(m)
        return cells

    def settle(self, server, clients):
        """All that these clients have said has had its consequences."""
        end = time.monotonic() + 30
        while self.place.busy(server.port, clients):  # which takes the kernel long to tell
            self.assertLess(time.monotonic(), end, "%s is not done with its clients" % server.name)
            time.sleep(0.1)
        server.settle()

    def learn(self, backend, contents):
        """What the server stores of messages that are clean, sent to it directly."""
        server, todo = self.need(backend), []
        for text in sorted({without_token(c) for c in contents}):
            if (backend, text) not in REFERENCE:
                todo.append((text, "clean-%s@lab-sender.net" % token(), self.bot()))

        def send(item):
            text, sender, client = item
            told = wire.by_data(self.place, self.place.ways[backend, "direct"], client, sender,
                                ["user@" + self.name("self")], [model.stuff(text) + b".\r\n"])
            self.assertEqual(told.codes, [250, 221], told)

        mail.in_parallel(send, todo, 24)
        self.settle(server, {client for _, _, client in todo})
        found = {m.sender: m.content for m in server.stored({sender for _, sender, _ in todo})}
        for text, sender, _ in todo:
            self.assertIn(b"TOKEN", found[sender])
            REFERENCE[backend, text] = found[sender]

    def assert_no_faults(self, cells):
        bad = [(c, f) for c, f in ((c, c.faults()) for c in cells) if f]
        if bad:
            self.fail("%d of %d cells\n%s" % (len(bad), len(cells), "\n".join(
                "%s: %s: told %s; stored %s" % (c.name, " ".join(f), c.told, c.stored) for c, f in bad[:6])))


def generate(cls, name, function, *args):
    """A test method of its own for each combination."""
    def case(self):
        function(self, *args)
    setattr(cls, "test_%s_%s" % (name, "_".join(args)), case)
