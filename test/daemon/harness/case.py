"""Base of the cases: a daemon for each, clients by address, and what became of their mail."""
import os
import re
import resource
import socket
import struct
import subprocess
import unittest

from lab import mail, paths, servers

from . import fakes
from .daemon import Conf, Daemon
from .place import free_port

ID = r"[a-z2-7]{12}"


def on_the_wire(content):
    """Octets of a message as DATA carries it: dots are stuffed."""
    return len(content) + (b"\n" + content).count(b"\n.")


class DaemonCase(unittest.TestCase):
    place = None  # given by the runner
    slow = 0  # seconds that a case waits rather than works; the slowest ones begin first

    # What runs ------------------------------------------------------------------------------

    @property
    def exim(self):
        return self.place.exim

    def conf(self, backend=None, **changes):
        """backend: port, server with one, or ADDRESS:PORT; default this process's Exim."""
        backend = self.exim if backend is None else backend
        return Conf(self.place, getattr(backend, "port", backend), **changes)

    def serve(self, backend=None, descriptors=None, **changes):
        return self.start(self.conf(backend, **changes), descriptors)

    def start(self, conf, descriptors=None):
        daemon = Daemon(conf, descriptors)
        self.addCleanup(self._end, daemon)
        return daemon

    def _end(self, daemon):
        """Every case also shows that the daemon ends well after it."""
        if daemon.process.poll() is None:
            daemon.process.terminate()
            try:
                daemon.process.wait(2)
            except subprocess.TimeoutExpired:  # a case may leave a transaction under way
                pass
            daemon.stop(seconds=6)
            self.assertEqual(daemon.process.returncode, 0, "exit status\n" + daemon.tail(30))
        self.assertNotRegex(daemon.log_text(), "Sanitizer|runtime error|assertion")

    def fake(self, replies=None, port=0):
        server = fakes.MailServer(self.place.backend, replies, port)
        self.addCleanup(server.stop)
        return server

    def sink(self):
        """Postfix's own test server: takes all mail and any number of connections."""
        port = free_port(self.place.backend)

        def limit():
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        argv = [paths.program("smtp-sink"), "-m", "12000"] + user + [
            "%s:%d" % (self.place.backend, port), "1000"]
        sink = servers.Server(self.place.host, "smtp-sink", argv, self.place.path("sink-%d.log" % port),
                              lambda: self.place.host.listens(port), env=paths.environment(), before=limit)
        sink.port = port
        self.addCleanup(sink.stop)
        return sink

    def need_client_source(self):
        if not self.place.can_be_client:
            self.skipTest("needs CAP_NET_ADMIN: the client's own address towards the backend")

    # Who connects ---------------------------------------------------------------------------

    def bot(self):
        return self.place.bot()

    @property
    def acme(self):
        """The address that acme's scanner takes mail at and delivers from."""
        return self.place.plan.acme[0]

    def name(self, kind, i=0):
        return self.place.domain(kind, i)

    def connect(self, daemon, source, port=None, **how):
        how.setdefault("timeout", 20)
        c = mail.Smtp(self.place.host, source, self.place.server, port or daemon.port, **how)
        self.addCleanup(c.close)
        return c

    def send(self, daemon, source, recipients, sender=None, content=None, port=None, **how):
        """One message on a connection of its own: (sender, replies, final)."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        return mail.deliver(self.place.host, source, self.place.server, recipients, sender, content,
                            port or daemon.port, **how)

    def send_one(self, daemon, source, recipient, **how):
        """(sender, the reply that decided)."""
        sender, replies, final = self.send(daemon, source, recipient, **how)
        return sender, final or replies[0]

    def hear(self, daemon, kind="acme"):
        """The scanner delivers a message: from now on it is known to be at work."""
        source = {"acme": self.acme, "guard": self.place.plan.guard_out[0],
                  "mystery": self.place.plan.mystery[0]}[kind]
        _, reply = self.send_one(daemon, source, "user@" + self.name(kind))
        self.assert_code(reply, 250)

    def written(self, daemon, c=None):
        """Until the events of what was before are in the file, if there are any: one of later is there. By c, a
        bot's connection, or one of its own."""
        with c or self.connect(daemon, self.bot()) as c:
            marker = c.sock.getsockname()[0]
            c.cmd("MAIL FROM:<marker@lab-sender.net>")
            self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)
            c.cmd("RSET")
        daemon.event(client=marker)

    def session(self, daemon, source=None, chunking=False):
        """A whole session, or to the first refusal and QUIT: the codes, None where it was cut off."""
        steps = ["EHLO client.lab-sender.net", "MAIL FROM:<f@lab-sender.net>",
                 "RCPT TO:<u@%s>" % self.name("self")]
        steps += [b"BDAT 3 LAST\r\nx"] if chunking else ["DATA", b"x\r\n."]
        codes = []
        c = self.connect(daemon, source or self.bot(), greet=False)
        try:
            codes.append(c.read().code)
            while steps and codes[-1] < 400:
                codes.append(c.cmd(steps.pop(0)).code)
            codes.append(c.cmd("QUIT").code)
        except mail.Closed:
            codes.append(None)
        return codes

    # What came of it ------------------------------------------------------------------------

    def assert_code(self, reply, code, *words):
        self.assertEqual(reply.code, code, reply.text)
        for word in words:
            self.assertIn(word, reply.text)

    def assert_refused(self, reply, domain, mx_host, url=""):
        """The words of a rejection (policy/reply.c); returns the session id in them."""
        m = re.fullmatch(
            r"550 5\.7\.1 %s takes mail at its MX, %s; delivery to %s is refused \((%s)\)%s" % (
                re.escape(domain), re.escape(mx_host), re.escape(self.place.server), ID,
                re.escape(url and " see " + url)), reply.text)
        self.assertIsNotNone(m, reply.text)
        return m.group(1)

    def assert_event(self, event, **want):
        got = {k: event[k] for k in want}
        self.assertEqual(got, want)

    def found(self, sender, exim=None):
        got = (exim or self.exim).log.settle().by_sender(sender)
        self.assertLessEqual(len(got), 1, "delivered more than once: %s" % got)
        return got[0] if got else None

    def assert_delivered(self, sender, recipients, content=None, client=None, exim=None):
        """The backend took and stored it for exactly these, to the byte."""
        m = self.found(sender, exim)
        self.assertIsNotNone(m, "%s never reached the backend" % sender)
        recipients = [recipients] if isinstance(recipients, str) else recipients
        if len(m.line) < 8000:  # Exim cuts it there
            self.assertEqual(sorted(m.recipients), sorted(recipients))
        self.assertEqual(sorted(m.delivered), sorted(recipients))
        if content is not None:
            # Compared like this: a difference in megabytes is nothing to look at.
            want = content.replace(b"\r\n", b"\n")
            self.assertTrue(m.content == want, "stored message differs: %r..." % m.content[:300])
        if client and self.place.can_be_client:
            self.assertEqual(m.client, client, "client address as the backend saw it")
        return m

    def assert_never_heard_of(self, *words):
        """Nothing that the backend logged speaks of them."""
        for word in words:
            self.assertEqual(self.exim.log.lines(re.escape(word)), [])

    def backend_connections(self, client):
        """How many connections of this client the backend has ever had."""
        return len(self.exim.log.lines(r"SMTP connection from \[%s\]:\d+ .*\(TCP/IP" % re.escape(client)))

    def abort(self, c):
        """Ends a connection as a process that is killed does, with a reset."""
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()

    def wait(self, what, condition, seconds=10.0):
        servers.wait_for(what, condition, seconds)
