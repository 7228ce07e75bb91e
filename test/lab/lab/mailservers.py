"""The mail servers that test_transparency.py plays its scripts to: one interface to a real Exim and a real
Postfix, at the addresses and ports of the lab's Exim.

    word                  its name in scripts
    certificate           file with the one it shows
    by_sender(sender)     what it stored of that envelope sender, with content and recipients
    settle(seconds)       waits until all that came in is stored
    normal(content)       a stored message without what no two have in common
"""
import os
import re
import threading
import time
from dataclasses import dataclass

from . import isolate, mail, postfix, servers, tls

SMTPS = 465  # TLS from the first octet, where not all is on loopback
AUTH_IN_TLS = "${{if def:tls_in_cipher{{true}}{{false}}}}"


def _normal(content, *changes):
    """Of the first header only, which is the server's own."""
    end = re.search(rb"\n(?![ \t])", content)
    head, rest = (content[:end.start()], content[end.start():]) if end else (content, b"")
    for pattern, text in changes + ((rb";\s+\w\w\w, +\d+ \w\w\w \d{4} \d\d:\d\d:\d\d [+-]\d{4}", b"; DATE"),):
        head = re.sub(pattern, text, head)
    return head + rest


def _unquoted(address):
    """A quoted string that needs no quotes is the same address without them."""
    return re.sub(r'"([\w.]+)"@', r"\1@", address)


class Exim:
    """The lab's own, with TLS as a site has it, its default Received header and one more mechanism. auth_in_tls:
    offers AUTH nowhere else."""

    word = "exim"
    MAIN = """
tls_certificate = {dir}/certificate.pem
tls_on_connect_ports = %d""" % SMTPS
    CRAM = """\
cram:
	driver = cram_md5
	public_name = CRAM-MD5
	server_secret = ${{if eq{{$auth1}}{{user}}{{secret}}fail}}
	server_set_id = $auth1
	server_advertise_condition = %s
"""

    def __init__(self, lab, auth_in_tls):
        exim, self.log = lab.exim, lab.log
        self.certificate = tls.certificate(os.path.join(exim.dir, "certificate.pem"), "host.lab-hosting.net")
        os.chown(self.certificate, *exim.owner)
        if not lab.loopback:
            exim.interfaces = exim.interfaces + ["[%s]:%d" % (a, SMTPS) for a in exim.interfaces]
        advertise = AUTH_IN_TLS if auth_in_tls else "true"
        exim.stop()
        exim.configure(main=servers.EXIM_SETTINGS["main"] + self.MAIN, received="", advertise=advertise,
                       authenticators=self.CRAM % advertise)
        exim.start()

    @staticmethod
    def possible():
        return True

    def stop(self):
        """It is the lab's."""

    def settle(self, seconds):
        self.log.settle(seconds)

    def by_sender(self, sender):
        return [Stored(m.content, [_unquoted(r) for r in m.recipients]) for m in self.log.by_sender(sender)]

    @staticmethod
    def normal(content):
        return _normal(content, (rb"\bid \S{16}", b"id ID"), (rb"\(port=\d+ ", b"(port=PORT "))


@dataclass
class Stored:
    content: bytes
    recipients: list


class Box(mail.Sink):
    """The end of all ways in Postfix, by LMTP; keeps parameters of MAIL and RCPT too."""

    OFFERS = mail.Sink.OFFERS + ("DSN",)
    REFUSED = ()

    def __init__(self, path):
        self.lock, self.kept = threading.Lock(), {}
        super().__init__(None, path)

    def keep(self, sender, recipients, lines):
        address, _, parameters = sender.partition(" ")
        content = b"".join(line[1:] if line.startswith(b".") else line for line in lines)
        with self.lock:
            self.kept.setdefault(address, []).append(Stored(
                content, ["MAIL " + parameters] + [_unquoted(r) for r in recipients]))


class Postfix:
    """In place of the lab's Exim."""

    word = "postfix"
    MORE = """\
lmtp_destination_recipient_limit = 2000
lmtp_line_length_limit = 0
message_size_limit = 52428800
smtpd_helo_required = yes
smtpd_peername_lookup = no
smtpd_tls_auth_only = {auth_in_tls}
syslog_name_of_587 = postfix/submission
"""

    def __init__(self, lab, auth_in_tls):
        lab.exim.stop()
        self.dir = lab.path("postfix")
        self.certificate = tls.certificate(lab.path("postfix.pem"), "host.lab-hosting.net")
        every = [n for d in lab.internet.domains for n in sorted({d.name, d.text})]
        self.postfix = postfix.Postfix(
            lab.ns["mail"], self.dir, lab.exim.interfaces, lab.plan.relay, lab.plan.v("mystery", 4), self.certificate,
            "check_recipient_access regexp:%s/refused permit_sasl_authenticated permit_mynetworks"
            " reject_unauth_destination" % self.dir, {
                "refused": "/nosuchuser/ 550 5.1.1 no such user here\n", "aliases": "", "headers": "",
                "transports": "/./ lmtp:unix:%s/lmtp.sock\n" % self.dir,
                "domains": "".join("%s x\n" % n for n in every)},
            self.MORE.format(dir=self.dir, auth_in_tls="yes" if auth_in_tls else "no"), port=lab.exim_port,
            services="%d inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n" % SMTPS)
        path = os.path.join(self.dir, "lmtp.sock")
        self.box = Box(path)
        os.chmod(path, 0o777)

    @staticmethod
    def possible():
        return isolate.way() == "root"

    def stop(self):
        self.postfix.stop()
        self.box.stop()

    def settle(self, seconds):
        """In this order messages move; a reply of 250 comes when one is in the first."""
        end = time.monotonic() + seconds
        while left := [f for q in ("incoming", "active", "deferred")
                       for _, _, files in os.walk(os.path.join(self.dir, "spool", q)) for f in files]:
            if time.monotonic() > end:
                raise TimeoutError("Postfix has undelivered: %s" % ", ".join(left))
            time.sleep(0.05)

    def by_sender(self, sender):
        return self.box.kept.get("<%s>" % sender, [])

    @staticmethod
    def normal(content):
        return _normal(content, (rb"\bid \S+\b", b"id ID"))
