"""What Exim's own log and its stored messages say about who was delivered.

A message is known by its envelope sender: the lab gives each its own."""
import os
import re
import time
from dataclasses import dataclass, field

_LINE = re.compile(r"^\S+ \S+ \[\d+\] (\S{16}) (<=|=>|->|\*\*|==|Completed) ?(.*)$")
_ENDS = re.compile(r"H=(?:(\S+) )?(?:\(([^)]*)\) )?\[([^]]+)\]:(\d+) I=\[([^]]+)\]:(\d+)")


@dataclass
class Message:
    id: str
    sender: str
    client: str = ""  # both addresses as Exim saw them
    server: str = ""
    helo: str = ""
    auth: str = ""
    recipients: list = field(default_factory=list)  # accepted
    delivered: list = field(default_factory=list)
    completed: bool = False
    line: str = ""
    content: bytes = b""


class EximLog:
    """Follows the log: read() takes in what is new."""

    def __init__(self, directory):
        self.main = os.path.join(directory, "log", "mainlog")
        self.store = os.path.join(directory, "store")
        self.messages = {}  # by Exim's id
        self.offset = 0
        self.rest = ""

    def read(self):
        try:
            with open(self.main, "rb") as f:
                f.seek(self.offset)
                new = f.read()
        except FileNotFoundError:
            return self
        self.offset += len(new)
        lines = (self.rest + new.decode("utf-8", "surrogateescape")).split("\n")
        self.rest = lines.pop()
        for line in lines:
            self._take(line)
        return self

    def _take(self, line):
        m = _LINE.match(line)
        if not m:
            return
        ident, sign, rest = m.groups()
        if sign == "<=":
            msg = self.messages[ident] = Message(ident, rest.split(" ", 1)[0], line=line)
            ends = _ENDS.search(rest)
            if ends:
                msg.helo, msg.client, msg.server = ends.group(2) or ends.group(1) or "", ends.group(3), ends.group(5)
            auth = re.search(r" A=(\S+)", rest)
            msg.auth = auth.group(1) if auth else ""
            msg.recipients = rest.rsplit(" for ", 1)[1].split() if " for " in rest else []
        elif ident in self.messages:
            msg = self.messages[ident]
            if sign in ("=>", "->"):
                full = re.match(r"(?:[^<]*<([^>]+)>|(\S+))", rest)
                msg.delivered.append(full.group(1) or full.group(2))
            elif sign == "Completed":
                msg.completed = True

    def settle(self, seconds=30.0):
        """Waits until every message that came in has been delivered."""
        end = time.monotonic() + seconds
        while True:
            self.read()
            if all(m.completed for m in self.messages.values()):
                return self
            if time.monotonic() > end:
                raise TimeoutError("Exim has %d messages undelivered" % sum(
                    not m.completed for m in self.messages.values()))
            time.sleep(0.05)

    def by_sender(self, sender):
        """The messages of one envelope sender, with content."""
        found = [m for m in self.messages.values() if m.sender == sender]
        for m in found:
            if not m.content and m.completed:
                m.content = self.content(m.id)
        return found

    def content(self, ident):
        try:
            with open(os.path.join(self.store, ident), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return b""

    def lines(self, pattern):
        with open(self.main, errors="surrogateescape") as f:
            return [line.rstrip("\n") for line in f if re.search(pattern, line)]
