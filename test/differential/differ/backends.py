"""The two real mail servers as backends, each with two ports, and what they have stored.

Nothing is delivered: the message stands in Exim's spool or Postfix's hold queue from the moment that
end-of-data was answered, envelope and all, and is read from there.

Behind the front port stands frontdoor. The direct port is the reference: the same server, whose own
access rules refuse the recipients that frontdoor's doors refuse (rules.py), so that both conversations
go the same way.
"""
import os
import re
import shutil
from collections import namedtuple

from lab import postfix, servers

from . import rules

# With its key. Nobody looks at the names in it here.
CERTIFICATE = os.path.join(os.path.dirname(os.path.abspath(postfix.__file__)), "hostile.pem")

# One message. address: the client's, as the server saw it; meta: all else that the server noted of its
# envelope and session, as sorted text lines.
Stored = namedtuple("Stored", "address sender recipients content meta")

EXIM_MORE = """
queue_only = true
hold_domains = *
message_logs = false
smtp_enforce_sync = false
smtp_max_unknown_commands = 1000000
tls_advertise_hosts = {tls}
tls_certificate = {certificate}
tls_privatekey = {certificate}
"""
EXIM_RCPT = """\
	deny	condition = ${if eq{$received_port}{%(direct)d}}
		! authenticated = *
		! hosts = %(trusted)s
		condition = ${if or{ \
			{match{$local_part@$domain}{\\N(?i)%(others)s\\N}} \
			{and{ {!match_ip{$sender_host_address}{%(scanner)s}} {match{$local_part@$domain}{\\N(?i)%(acme)s\\N}} }} }}
		message = this door is shut
"""
VOLATILE = re.compile(r"-(received_time_usec|interface_address|received_time_complete|body_zerocount 0|tls_\w+)\b")


def _set(text, name, value):
    """An option of Exim's main configuration, replaced."""
    return re.sub(r"(?m)^%s = .*$" % name, lambda _: "%s = %s" % (name, value), text)


def _literal(text):
    return text.replace("{", "{{").replace("}", "}}")


class Exim:
    name = "exim"

    def __init__(self, place, internet, tls):
        conf = usual = servers.EXIM_CONF
        settings = dict(servers.EXIM_SETTINGS)
        for option in ("smtp_max_synprot_errors", "smtp_accept_max_nonmail", "smtp_accept_max"):
            conf = _set(conf, option, "1000000" if option != "smtp_accept_max" else "300")
        conf = re.sub(r"(?m)^tls_advertise_hosts = .*\n", "", conf)
        self.port, self.direct = place.free(), place.free()
        conf = _set(conf, "daemon_smtp_ports", "%d : %d" % (self.port, self.direct))
        servers.EXIM_CONF, directory = conf, place.new_dir("exim")
        servers.EXIM_SETTINGS.update(
            main="timezone = UTC\nlog_selector = -all\nhost_lookup =\nrfc1413_query_timeout = 0s"
            + EXIM_MORE.format(tls="*" if tls else ":", certificate=shutil.copy(CERTIFICATE, directory)),
            rcpt=_literal(EXIM_RCPT % dict(rules.door_patterns(internet), direct=self.direct,
                                           trusted=rules.TRUSTED, scanner=rules.SCANNER)))
        try:
            self.server = servers.Exim(place.host, directory, rules.hosted(internet),
                                       [place.backend], [rules.RELAY], self.port)
        finally:
            servers.EXIM_CONF = usual
            servers.EXIM_SETTINGS.clear()
            servers.EXIM_SETTINGS.update(settings)
        self.spool = os.path.join(self.server.dir, "spool", "input")

    def take(self):
        """All messages that are there; they are removed."""
        out = []
        for name in sorted(os.listdir(self.spool)) if os.path.isdir(self.spool) else []:
            path = os.path.join(self.spool, name)
            if not name.endswith("-H"):
                continue
            with open(path, "rb") as f:
                head = f.read()
            with open(path[:-1] + "D", "rb") as f:
                f.readline()
                body = f.read()
            out.append(_exim_message(head, body))
            os.unlink(path)
            os.unlink(path[:-1] + "D")
        return out

    def left(self):
        """Files of messages that never came to their end."""
        return os.listdir(self.spool) if os.path.isdir(self.spool) else []

    def stop(self):
        self.server.stop()


def _exim_message(head, body):
    lines = head.split(b"\n")
    sender, at, meta, address = lines[2][1:-1], 4, [], ""
    while lines[at].startswith(b"-"):
        text = lines[at].decode("latin-1")
        if text.startswith("-host_address "):
            address = re.match(r"\S+ \[(.*)\]:", text)[1]
        elif not VOLATILE.match(text):
            meta.append(text)
        at += 1
    while not lines[at].isdigit():  # the tree of recipients that are done
        at += 1
    count = int(lines[at])
    recipients = tuple(sorted(line.decode("latin-1") for line in lines[at + 1:at + 1 + count]))
    rest, content = b"\n".join(lines[at + 2 + count:]), b""
    while rest:
        size, kind = int(rest[:3]), rest[3:4]
        if kind != b"*":
            content += rest[5:5 + size]
        rest = rest[5 + size:]
    return Stored(address, sender.decode("latin-1"), recipients, content + b"\n" + body, tuple(sorted(meta)))


POSTFIX_MORE = """\
smtpd_end_of_data_restrictions = check_client_access static:HOLD
smtpd_forbidden_commands =
smtpd_hard_error_limit = 1000000
smtpd_soft_error_limit = 1000000
smtpd_junk_command_limit = 1000000
smtpd_recipient_limit = 3000
smtpd_forbid_bare_newline = normalize
smtpd_tls_security_level = {tls}
smtpd_tls_auth_only = no
smtpd_peername_lookup = no
notify_classes =
through_restrictions = permit_sasl_authenticated permit_mynetworks check_recipient_access regexp:{{dir}}/refused
 reject_unauth_destination
smtpd_restriction_classes = for_scanners for_all
for_scanners = check_recipient_access regexp:{{dir}}/others
for_all = for_scanners check_recipient_access regexp:{{dir}}/acme
direct_restrictions = permit_sasl_authenticated check_client_access cidr:{{dir}}/doors $through_restrictions
"""


class Postfix:
    name = "postfix"
    VOLATILE = ("client_port", "log_client_port", "server_port", "create_time", "log_ident")

    def __init__(self, place, internet, tls):
        self.port, self.direct = place.free(), place.free()
        master, postfix.MASTER = postfix.MASTER, re.sub(
            r"(?m)^587 .*$", "%d inet n - n - - smtpd -o smtpd_recipient_restrictions=$direct_restrictions"
            % self.direct, postfix.MASTER)
        # Postfix wants to find its address among those of the interfaces.
        place.host.ip("addr replace %s/32 dev lo" % place.backend)
        patterns = rules.door_patterns(internet)
        directory = place.path("postfix")
        refuse = lambda pattern: "/%s/ 550 5.7.1 this door is shut\n" % pattern
        try:
            self.server = postfix.Postfix(
                place.host, directory, [place.backend], [rules.RELAY], "127.0.0.1", CERTIFICATE,
                "$through_restrictions", {
                    "refused": "/^nosuchuser@/ 550 5.1.1 no such user here\n",
                    "doors": "%s DUNNO\n%s for_scanners\n0.0.0.0/0 for_all\n" % (rules.TRUSTED, rules.SCANNER),
                    "acme": refuse(patterns["acme"]), "others": refuse(patterns["others"]),
                    "aliases": "", "transports": "", "headers": "",
                    "domains": "".join("%s x\n" % d for d in rules.hosted(internet))},
                POSTFIX_MORE.format(tls="may" if tls else "none").format(dir=directory), port=self.port)
        finally:
            postfix.MASTER = master
        self.hold = os.path.join(directory, "spool", "hold")

    def take(self):
        out = []
        for name in sorted(os.listdir(self.hold)):
            path = os.path.join(self.hold, name)
            with open(path, "rb") as f:
                out.append(self._message(f.read()))
            os.unlink(path)
        return out

    def left(self):
        return []

    def stop(self):
        self.server.stop()

    @staticmethod
    def _records(data):
        """(type, octets) of each record of a queue file."""
        at = 0
        while at < len(data):
            kind, length, shift = chr(data[at]), 0, 0
            at += 1
            while True:
                length |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if not data[at - 1] & 128:
                    break
            yield kind, data[at:at + length]
            at += length

    def _message(self, data):
        meta, recipients, content, pending = [], [], b"", []
        sender = address = ""
        for kind, octets in self._records(data):
            text = octets.decode("latin-1")
            if kind == "S":
                sender = text
            elif kind == "A":
                name, _, value = text.partition("=")
                if name in ("dsn_orig_rcpt", "notify_flags", "orig_rcpt"):
                    pending.append(text)
                elif name == "client_address":
                    address = value
                elif name not in self.VOLATILE:
                    meta.append(text)
            elif kind == "O":
                pending.append("orig=" + text)
            elif kind == "R":
                recipients.append(" ".join([text] + pending))
                pending = []
            elif kind in "NL":
                content += octets + (b"\n" if kind == "N" else b"")
        received, content = re.match(rb"(Received: .*\n(?:[ \t].*\n)*)?((?s:.*))", content).groups()
        received = re.sub(rb" id \w+|;[^;]*$|\s+\((using TLS|No client cert)[^)]*\)", b"", (received or b"").replace(b"\n", b" ")).decode("latin-1")
        return Stored(address, sender, tuple(sorted(recipients)), content, tuple(sorted(meta + [received])))


BACKENDS = {"exim": Exim, "postfix": Postfix}
