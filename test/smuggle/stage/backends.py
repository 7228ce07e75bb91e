"""The mail servers that are to be fooled, and what they have stored.

Each has a port, and stored() that gives all messages of some envelope senders once nothing is under way.
"""
import dataclasses
import json
import os
import re
import sys

from lab import isolate, postfix, servers
from lab.exim_log import EximLog
from lab.postfix_settings import RESTRICTIONS, PostfixServer

# Attacks are sent all at once, in Exim's eyes out of turn; an attacker would wait a little instead.
EXIM_MAIN = "\nsmtp_enforce_sync = false\nsmtp_accept_max_per_connection = 0"
# As Debian 12 ships it, in so many words: a later default must not blunt the attacks. No limit may end a
# session before its attack.
POSTFIX_MORE = """\
smtpd_forbid_bare_newline = no
smtpd_forbid_unauth_pipelining = no
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 100000
smtpd_client_message_rate_limit = 0
virtual_mailbox_limit = 0
maximal_queue_lifetime = 0
"""
# What Postfix puts on top of a message that it delivers.
ON_TOP = re.compile(rb"""Return-Path: <([^\n]*)>
X-Original-To: [^\n]*
Delivered-To: ([^\n]*)
Received: from [^\n]* \(\S+ \[([^]\n]*)\]\)
(?:\t\([^\n]*\)\n)*\tby \S+ \(Postfix\) with \S+ id (\S+)
(?:\t[^\n]*\n)+(.*)""", re.S)


@dataclasses.dataclass
class Stored:
    sender: str
    recipients: list  # sorted
    content: bytes  # lines end with LF, as in a mailbox
    client: str = ""

    def __repr__(self):
        return "<%s → %s: %r>" % (self.sender, " ".join(self.recipients), self.content[:300])


class Exim(servers.Exim):
    name = "exim"

    @staticmethod
    def possible():
        return True

    def __init__(self, place, port):
        directory = place.new_dir("exim")
        super().__init__(place.host, directory, [d.name for d in place.internet.domains],
                         [place.backend], [place.plan.relay[0]], port)
        self.mail = EximLog(self.dir)

    def configure(self, **settings):
        super().configure(main=servers.EXIM_SETTINGS["main"] + EXIM_MAIN, **settings)

    def settle(self):
        """Waits for what has come in by now; others send more meanwhile."""
        waits = {i for i, m in self.mail.read().messages.items() if not m.completed}
        servers.wait_for("Exim has delivered", lambda: all(
            m.completed for i, m in self.mail.read().messages.items() if i in waits), 60)

    def stored(self, senders):
        return [Stored(m.sender, sorted(set(m.delivered)), self.mail.content(m.id), m.client)
                for m in self.mail.messages.values() if m.sender in senders]


class Postfix(postfix.Postfix):
    name = "postfix"

    @staticmethod
    def possible():
        return os.geteuid() == 0 and isolate.way() != "loopback"

    def __init__(self, place, port):
        directory = place.path("postfix")
        domains = "".join(d.name + " x\n" for d in place.internet.domains)
        super().__init__(place.host, directory, [place.backend], [place.plan.relay[0]], place.plan.silent,
                         PostfixServer.certificate, RESTRICTIONS.format(dir=directory), {
                             "banned": "", "refused": "/nosuchuser/ 550 5.1.1 no such user here\n",
                             "aliases": "", "transports": "", "headers": "",
                             "domains": domains}, POSTFIX_MORE, "UTC", port)
        self.mailbox = os.path.join(directory, "store", "box", "new")
        self.seen, self.messages = set(), {}

    def _queue(self):
        """Names of all messages, looked for in the order of their way."""
        return {name for queue in ("incoming", "active", "deferred")
                for _, _, files in os.walk(os.path.join(self.dir, "spool", queue)) for name in files}

    def settle(self):
        waits = self._queue()
        servers.wait_for("Postfix has delivered", lambda: not waits & self._queue(), 60)
        try:
            files = set(os.listdir(self.mailbox)) - self.seen
        except FileNotFoundError:
            return
        self.seen |= files
        for file in files:
            with open(os.path.join(self.mailbox, file), "rb") as f:
                self._take(f.read())

    def _take(self, text):
        """One file a recipient; what Postfix put on top tells which message it is of."""
        sender, recipient, client, ident, content = ON_TOP.fullmatch(text).groups()
        m = self.messages.setdefault(ident, Stored(sender.decode(), [], content, client.decode()))
        m.recipients = sorted(m.recipients + [recipient.decode()])

    def stored(self, senders):
        return [m for m in self.messages.values() if m.sender in senders]


class Lenient(servers.Server):
    name = "lenient"

    @staticmethod
    def possible():
        return True

    def __init__(self, place, port):
        self.port, self.file, self.offset = port, place.path("lenient.jsonl"), 0
        self.messages, self.commands = [], []
        argv = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lenient.py"), place.backend,
                str(port), self.file]
        super().__init__(place.host, "lenient", argv, place.path("lenient.log"), lambda: place.host.listens(port))

    def settle(self):
        """It stores a message before it answers."""
        with open(self.file, encoding="ascii") as f:
            f.seek(self.offset)
            for line in iter(f.readline, ""):
                if not line.endswith("\n"):
                    break
                self.offset += len(line)
                row = json.loads(line)
                if "command" in row:
                    self.commands.append((row["client"], row["command"]))
                else:
                    self.messages.append(Stored(row["sender"], sorted(set(row["recipients"])),
                                                row["content"].encode("latin-1"), row["client"]))

    def stored(self, senders):
        return [m for m in self.messages if m.sender in senders]


KINDS = (Exim, Postfix, Lenient)
