"""Mail servers that are told who the client is: a real Postfix by the PROXY protocol or by XCLIENT, a real Exim
by the PROXY protocol. Each has bans of its own, by what it believes of the client."""
import os
import re
import socket
import threading
from dataclasses import dataclass

from lab import isolate, postfix, servers
from lab.exim_log import EximLog
from lab.postfix_settings import PostfixServer

# Whom the mail server's own rules refuse: at RCPT by address and by name, and (Exim) when it connects.
BANNED = ["127.18.6.6", "2001:db8:1006::6"]
BANNED_NAME = "out.mystery-scan.com"
DROPPED = ["127.18.6.7", "2001:db8:1006::7"]
BAN = "this client is banned here"


def possible():
    """Postfix's master wants to be root, and to find its address on an interface."""
    return os.geteuid() == 0 and isolate.way() != "loopback"


class PolicyServer:
    """Postfix asks it about each recipient (SMTPD_POLICY_README), and so shows what it believes of the client;
    the answer is always that others should decide."""

    def __init__(self, address):
        self.questions = []
        self.socket = socket.create_server((address, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _accept(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        question = {}
        with s, s.makefile("r", encoding="utf-8", errors="replace") as f:
            try:
                for line in f:
                    key, _, value = line.rstrip("\n").partition("=")
                    if key:
                        question[key] = value
                        continue
                    self.questions.append(question)
                    question = {}
                    s.sendall(b"action=DUNNO\n\n")
            except OSError:
                pass


@dataclass
class Stored:
    client: str  # "NAME[ADDRESS]:PORT"
    received: str  # the header, in one line
    content: bytes


class Postfix(postfix.Postfix):
    """Three services. backends: "plain" knows clients by their connection alone, "proxy" by a PROXY header, "xclient"
    believes the XCLIENT of everybody."""

    # Whether headers are completed goes by the address that XCLIENT does not change.
    MAIN = """\
local_header_rewrite_clients =
smtpd_client_port_logging = yes
smtpd_peername_lookup = no
smtpd_client_connection_rate_limit = 0
virtual_mailbox_limit = 0
"""
    SERVICES = """\
%(proxy)d inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
%(xclient)d inet n - n - - smtpd -o smtpd_authorized_xclient_hosts=0.0.0.0/0
"""

    def __init__(self, place, port):
        """port() finds a free one at an address."""
        self.address = "127.25.1.%d" % (1 + place.number)
        place.own(self.address)
        self.policy = PolicyServer(self.address)
        ports = {name: port(self.address) for name in ("plain", "proxy", "xclient")}
        self.backends = {name: "%s:%d" % (self.address, p) for name, p in ports.items()}
        directory = place.path("postfix")
        restrictions = ("check_policy_service inet:%s:%d check_client_access texthash:%s/banned"
                        " permit_sasl_authenticated reject_unauth_destination"
                        % (self.address, self.policy.port, directory))
        tables = {"banned": "".join("%s REJECT %s\n" % (who, BAN) for who in BANNED + [BANNED_NAME]),
                  "aliases": "", "transports": "", "headers": "",
                  "domains": "".join(d.name + " x\n" for d in place.internet.domains)}
        super().__init__(place.host, directory, [self.address], [place.plan.relay[0]], place.plan.silent,
                         PostfixServer.certificate, restrictions, tables, self.MAIN, "UTC", ports["plain"],
                         self.SERVICES % ports)
        self.mailbox = os.path.join(directory, "store", "box", "new")

    def stop(self, *how):
        status = super().stop(*how)
        self.policy.stop()
        return status

    def lines(self, pattern):
        with open(self.maillog, errors="surrogateescape") as f:
            return [line.rstrip("\n") for line in f if re.search(pattern, line)]

    def question(self, sender):
        """What it believed of the client that had that sender, at its last recipient."""
        return [q for q in self.policy.questions if q["sender"] == sender][-1]

    def stored(self, sender):
        """The only message of that sender: it is logged and stored a little after the reply."""
        found = []

        def there():
            found[:] = self._clients(sender) + self._files(sender)
            return len(found) == 2
        servers.wait_for("Postfix stores %s" % sender, there)
        client, content = found
        received = re.search(rb"^Received: (.*\n(?:\s.*\n)*)", content, re.M).group(1)
        return Stored(client, " ".join(received.decode().split()), content)

    def _clients(self, sender):
        queued = [re.search(r"\]: (\w+): ", line).group(1)
                  for line in self.lines(r"/qmgr\[\d+\]: \w+: from=<%s>" % re.escape(sender))]
        return [line.partition(": client=")[2].split(",")[0]
                for ident in queued for line in self.lines(r": %s: client=" % ident)]

    def _files(self, sender):
        names = os.listdir(self.mailbox) if os.path.isdir(self.mailbox) else []
        start = b"Return-Path: <%s>\n" % sender.encode()
        return [text for text in map(self._file, names) if text.startswith(start)]

    def _file(self, name):
        with open(os.path.join(self.mailbox, name), "rb") as f:
            return f.read()


class ProxyExim(servers.Exim):
    """Everybody must send a PROXY header; what it names as destination is logged at each recipient."""

    MAIN = "\nhosts_proxy = *\nacl_smtp_connect = connect"
    ACL = "connect:\n\tdrop hosts = <; %s\n\t\tmessage = %s\n\taccept\n\n" % (" ; ".join(DROPPED), BAN)
    RCPT = ("\twarn log_message = external $proxy_external_address $proxy_external_port\n"
            "\tdeny hosts = <; %s\n\t\tmessage = %s\n" % (" ; ".join(BANNED), BAN))

    def __init__(self, place, directory, port):
        super().__init__(place.host, directory, [d.name for d in place.internet.domains], [place.backend],
                         [place.plan.relay[0]], port)
        self.log = EximLog(directory)

    def configure(self, **settings):
        super().configure(main=servers.EXIM_SETTINGS["main"] + self.MAIN, acl=self.ACL, rcpt=self.RCPT, **settings)

    def greets(self, address):
        with socket.create_connection((address, self.port), 30) as s:
            s.sendall(b"PROXY UNKNOWN\r\n")
            s.recv(1000)
            s.sendall(b"EHLO lab\r\n")
            s.recv(4000)
            s.sendall(b"QUIT\r\n")
        return True
