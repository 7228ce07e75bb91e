"""Base of the cases: a daemon with certificates, and clients of several kinds."""
import json
import os
import re
import ssl
import subprocess

from harness.case import DaemonCase
from harness.place import free_port
from lab import mail, paths, servers

from .backends import Fake
from .certs import Certificate


def context(lowest=ssl.TLSVersion.TLSv1_2, highest=ssl.TLSVersion.TLSv1_3):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.minimum_version, c.maximum_version = lowest, highest
    return c


class TlsCase(DaemonCase):
    # What runs ------------------------------------------------------------------------------

    @property
    def exim(self):
        """All processes have the same one; its log is read by each for itself."""
        return self.place.tls_exim

    def conf(self, backend=None, more=(), **changes):
        """more: rows for listeners beside the first."""
        tls = {"hide": False, "certificates": [self.place.ours.conf(), self.place.ours_rsa.conf()]}
        changes["tls"] = {**tls, **changes.pop("tls", {})}
        conf = super().conf(backend, **changes)
        if more:
            conf.conf["listeners"] += more
            servers.write(conf.file, json.dumps(conf.conf, indent=1) + "\n")
        return conf

    def fake_tls(self, replies=None, **how):
        server = Fake(how.pop("address", self.place.backend), how.pop("certificate", self.place.theirs), replies, **how)
        self.addCleanup(server.stop)
        return server

    def certificate(self, *names, **how):
        return Certificate(self.place.new_dir("certificate"), "own", names, **how)

    def listener(self, **changes):
        """One more listener of a configuration, for the same backend."""
        port = free_port(self.place.server)
        return port, {"name": "l%d" % port, "mode": "listen", "bind": ["%s:%d" % (self.place.server, port)],
                      "backend": "%s:%d" % (self.place.backend, self.exim.port),
                      "source": "client" if self.place.can_be_client else "self", **changes}

    # Who connects ---------------------------------------------------------------------------

    def handshake(self, c, name=None, ctx=None, session=None):
        """After a 220 to STARTTLS; and EHLO."""
        self.assertEqual(c.rest, b"", "sent before the handshake")
        c.sock = (ctx or context()).wrap_socket(c.sock, server_hostname=name, session=session)
        c.ehlo = c.cmd("EHLO client.lab-sender.net")
        self.assert_code(c.ehlo, 250)
        return c

    def connect_tls(self, daemon, source, port=None, name=None, ctx=None, session=None, **how):
        """After STARTTLS and EHLO."""
        c = self.connect(daemon, source, port, **how)
        self.assert_code(c.cmd("STARTTLS"), 220)
        return self.handshake(c, name, ctx, session)

    def connect_implicit(self, daemon, source, port=None, name=None, ctx=None):
        c = self.connect(daemon, source, port, greet=False)
        c.sock = (ctx or context()).wrap_socket(c.sock, server_hostname=name)
        c.banner = c.read()
        if c.banner.code == 220:
            c.ehlo = c.cmd("EHLO client.lab-sender.net")
        return c

    def send_tls(self, daemon, source, recipients, sender=None, content=None, port=None, **how):
        """One message over TLS: (sender, replies, final)."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        sender = sender or mail.token()
        c = self.connect_tls(daemon, source, port, **how)
        replies, final = c.mail(sender, recipients, content or mail.message(sender))
        c.leave()
        return sender, replies, final

    def run_program(self, argv, text="", env=None, seconds=60):
        p = subprocess.run([str(a) for a in argv], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=env, timeout=seconds, encoding="latin-1")
        return p.returncode, p.stdout

    def s_client(self, daemon, *options, port=None, text="QUIT\n", starttls=True):
        """(status, all that openssl s_client prints)"""
        return self.run_program(["openssl", "s_client", "-connect", "%s:%d" % (self.place.server, port or daemon.port),
                                 *(["-starttls", "smtp"] if starttls else []), *options], text)

    def shown(self, daemon, *options, **how):
        """The certificate that s_client is given, as DER; None: no handshake."""
        _, out = self.s_client(daemon, *options, **how)
        found = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", out, re.S)
        return ssl.PEM_cert_to_DER_cert(found.group()) if found else None

    def unpacked(self, name, *argv, text="", env=None):
        """A program of the unpacked packages."""
        return self.run_program([paths.program(name), *argv], text, {**paths.environment(), **(env or {})})

    # What came of it ------------------------------------------------------------------------

    def assert_delivered(self, sender, recipients, content=None, client=None, exim=None):
        m = super().assert_delivered(sender, recipients, None, client, exim)
        if content is not None:  # but for the header that this Exim puts on top, two lines
            self.assertTrue(m.content.split(b"\n", 2)[2] == content.replace(b"\r\n", b"\n"), m.content[:500])
        return m

    def assert_leg(self, sender, protocol, cipher):
        """How the backend got the message: by its log and by the header it put on top. cipher: is there one?"""
        m = self.found(sender)
        self.assertIsNotNone(m, "%s never reached the backend" % sender)
        self.assertIn(" P=%s " % protocol, m.line)
        self.assertEqual(cipher, " X=TLS" in m.line, m.line)
        top = m.content.split(b"\n", 1)[0].decode()
        self.assertRegex(top, "^Received: .* with %s%s;$" % (protocol, r" \(TLS.*\)" if cipher else ""))
        return m

    def assert_closed(self, c):
        """Nothing more comes but an alert of TLS, and then the end."""
        got = c.rest
        try:
            for new in iter(lambda: c.sock.recv(1000), b""):
                got += new
        except (ConnectionResetError, ssl.SSLError):
            pass
        self.assertIn(got[:1], (b"", b"\x15"), got)
        self.assertLess(len(got), 20)

    def assert_alive(self, daemon):
        """After whatever was done to it, the daemon serves others."""
        sender, _, final = self.send_tls(daemon, self.bot(), "user@" + self.name("self"))
        self.assert_code(final, 250)
        self.assert_delivered(sender, "user@" + self.name("self"))

    def secrets_in(self, daemon, words):
        """Which of these (bytes) are in a file of the daemon's."""
        found = []
        for file in os.listdir(daemon.conf.dir):
            path = os.path.join(daemon.conf.dir, file)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    text = f.read()
                found += ["%s: %r" % (file, w) for w in words if w in text]
        return found
