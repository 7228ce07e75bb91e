"""Clients that begin with octets of their own: PROXY headers, or what they should not say yet."""
import ssl

from lab import mail
from lab.postfix_settings import PostfixServer

from . import headers
from .case import DaemonCase

BALANCER = "127.40.0.1"
ACCEPT = {"accept_proxy": ["127.40.0.0/16"]}
HELLO = b"EHLO client.lab-sender.net\r\n"
TLS = {"hide": False, "certificates": [{"cert": PostfixServer.certificate}]}


class PackedTls:
    """A socket that speaks TLS, with octets of choice in the packet of its first ones."""

    def __init__(self, sock, first):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock, self.read, self.written = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.read, self.written)
        self.out = first
        self._until(self.tls.do_handshake)
        self._flush()

    def getsockname(self):
        return self.sock.getsockname()

    def _flush(self):
        self.out += self.written.read()
        if self.out:
            self.sock.sendall(self.out)
            self.out = b""

    def _until(self, work):
        while True:
            try:
                return work()
            except ssl.SSLWantReadError:
                self._flush()
                got = self.sock.recv(65536)
                self.read.write(got) if got else self.read.write_eof()

    def sendall(self, data):
        self.tls.write(data)
        self._flush()

    def recv(self, size):
        try:
            return self._until(lambda: self.tls.read(size))
        except ssl.SSLEOFError:
            return b""

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()


class Talk(DaemonCase):
    def dial(self, d, source, data=b"", pieces=0):
        """Connected, and that sent, without waiting for a greeting; pieces: octets of one."""
        c = self.connect(d, source, greet=False)
        for at in range(0, len(data), pieces or len(data) or 1):
            c.send(data[at:at + (pieces or len(data))])
        return c

    def introduced(self, d, header, peer=BALANCER, pieces=0):
        """A client that a load balancer brought, and that has said EHLO."""
        c = self.dial(d, peer, header, pieces)
        c.banner = c.read()
        self.assert_code(c.banner, 220)
        c.ehlo = c.cmd(HELLO[:-2])
        return c

    def header(self, form, source, **how):
        return headers.FORMS[form](source, self.place.server, **how)

    def rcpt(self, c, recipient):
        self.assert_code(c.cmd("MAIL FROM:<%s>" % mail.token()), 250)
        return c.cmd("RCPT TO:<%s>" % recipient)

    def hears(self, c):
        """All that is said until the connection is closed."""
        said = c.rest
        c.sock.settimeout(8)
        try:
            for new in iter(lambda: c.sock.recv(65536), b""):
                said += new
        except ConnectionError:
            pass
        return said

    def lures(self):
        """Beginnings that claim to come from the scanner, with a message behind."""
        talk = HELLO + b"MAIL FROM:<lure@lab-sender.net>\r\nRCPT TO:<u@%s>\r\nDATA\r\n" % self.name("acme", 1).encode()
        for form in headers.FORMS:
            yield form, self.header(form, self.acme) + talk
        yield "UNKNOWN", headers.V1_UNKNOWN + talk
        yield "LOCAL", headers.V2_LOCAL + talk

    def check_lured(self, d, c, client, fresh=True, marker=None):
        """Closed; at most a greeting, and complaints about what looks like empty lines, were said."""
        said = self.hears(c).split(b"\r\n")
        allowed = (b"220 ", b"220-", b"500 ") if fresh else (b"500 ",)
        self.assertEqual([x for x in said if x and not x.startswith(allowed)], [])
        self.written(d, marker and marker())
        self.assertEqual(d.events(client=client) + d.events(client=self.acme), [])
