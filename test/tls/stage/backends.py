"""Mail servers behind frontdoor that offer STARTTLS, and AUTH under it only: Exim, Postfix, and one that fails as
these can't be made to."""
import glob
import os
import ssl
import time

from harness import fakes
from lab import postfix, servers
from lab.exim_log import EximLog
from lab.postfix_settings import RESTRICTIONS

# The log tells which leg it was: P=esmtps, X=; and so does what is put on top of the message. Exim adds the date.
RECEIVED = ("received_header_text = Received: from $sender_helo_name ([$sender_host_address]) by $primary_hostname "
            "with $received_protocol${if def:tls_in_cipher{ ($tls_in_cipher)}}")
CRAM = """\
cram:
	driver = cram_md5
	public_name = CRAM-MD5
	server_secret = ${if eq{$auth1}{user}{secret}fail}
	server_set_id = $auth1
	server_advertise_condition = true
"""


def rewritten(file, pairs):
    with open(file) as f:
        text = f.read()
    for old, new in pairs:
        if old not in text:
            raise ValueError("%s: no %r" % (file, old))
        text = text.replace(old, new)
    servers.write(file, text)


class Exim(servers.Exim):
    """auth: the condition for offering it."""

    def __init__(self, place, port, certificate, auth="${if def:tls_in_cipher}", main=""):
        self.certificate, self.auth, self.more = certificate, auth, main
        super().__init__(place.host, place.new_dir("exim"), [d.name for d in place.internet.domains],
                         [place.backend], [place.plan.relay[0]], port)
        self.log = EximLog(self.dir)

    def configure(self, **settings):
        main = servers.EXIM_SETTINGS["main"] + "\ntls_certificate = %s\ntls_privatekey = %s\n%s" % (
            self.certificate.cert, self.certificate.key, self.more)
        super().configure(main=main, **settings)
        rewritten(self.conf, [
            ("received_header_text =", RECEIVED),
            ("begin authenticators\n", "begin authenticators\n" + CRAM),
            ("server_advertise_condition = true", "server_advertise_condition = " + self.auth)])


class Postfix(postfix.Postfix):
    def __init__(self, place, port, certificate):
        directory = place.path("postfix")
        tables = {name: "" for name in ("banned", "refused", "aliases", "transports", "headers")}
        tables["domains"] = "".join(d.name + " x\n" for d in place.internet.domains)
        super().__init__(place.host, directory, [place.backend], [place.plan.relay[0]], place.plan.silent,
                         certificate.whole, RESTRICTIONS.format(dir=directory), tables,
                         "smtpd_tls_auth_only = yes\nsmtpd_tls_received_header = yes\nvirtual_mailbox_limit = 0",
                         "UTC", port)

    def messages(self, word):
        """What was stored and has this in it."""
        found = []
        for file in glob.glob(os.path.join(self.dir, "store", "box", "new", "*")):
            with open(file, "rb") as f:
                text = f.read()
            if word.encode() in text:
                found.append(text)
        return found


class Fake(fakes.MailServer):
    """A fake that speaks TLS: after its 220 to STARTTLS, or from the first octet (implicit).

    In a session's list "<TLS>" stands where the handshake was, "<early: ...>" for what came behind STARTTLS
    before it. instead: called with the socket instead of a handshake, which comes all the same if it returns
    true. The EHLO reply under TLS is that of the step "EHLO-TLS".
    """

    STARTTLS = fakes.EHLO.replace("250 8BITMIME", "250-STARTTLS\r\n250 8BITMIME")

    def __init__(self, address, certificate, replies=None, port=0, implicit=False, instead=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.cert, certificate.key)
        self.implicit, self.instead = implicit, instead
        replies = {"EHLO": self.STARTTLS, "EHLO-TLS": fakes.EHLO, "STARTTLS": "220 go ahead", **(replies or {})}
        super().__init__(address, replies, port)

    def _serve(self, s, session):
        try:
            if self.implicit:
                s = self._handshake(s, session)
        except ConnectionError:
            s.close()
        else:
            super()._serve(s, session)

    def starttls(self, s, f, session):
        time.sleep(0.1)  # for what was sent together
        s.setblocking(False)
        early = f.peek()
        s.setblocking(True)
        if early:
            session.append("<early: %r>" % early)
        if self._say(s, "STARTTLS") != "220":
            return s, f
        s = self._handshake(s, session)
        return s, s.makefile("rb")

    def _handshake(self, s, session):
        try:
            if self.instead and not self.instead(s):
                raise ConnectionError
            s = self.context.wrap_socket(s, server_side=True)
        except OSError as e:
            session.append("<no TLS>")
            raise ConnectionError from e
        self.open.append(s)
        session.append("<TLS>")
        return s

    def _say(self, s, step):
        tls = isinstance(s, ssl.SSLSocket) and not self.implicit
        return super()._say(s, "EHLO-TLS" if tls and step == "EHLO" else step)
