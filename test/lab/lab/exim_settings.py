"""The lab's Exim with the log settings that sites have: each writes a log of its own, for test_logs.py."""
import itertools
import os
import re
import shutil
import socket
import subprocess
import threading

from . import servers, truth
from .truth import ANY

FULL = "+incoming_interface +incoming_port +received_recipients +received_sender +subject +pid"
SETTINGS = {  # name: (log_selector, time zone, more of the main configuration)
    "debian": ("+smtp_protocol_error +smtp_syntax_error +tls_certificate_verified +tls_peerdn", "SAST-2", ""),
    "full": (FULL, "UTC", "host_lookup = *"),
    "millisec": ("+millisec +received_recipients", "XST3:30", "log_timezone = true"),
    "parents": ("+all_parents +smtp_connection +sender_on_delivery +return_path_on_delivery +deliver_time +queue_time"
                " +tls_sni +tls_peerdn +incoming_interface", "UTC", "host_lookup = *"),
    "junk": (FULL + " +tls_peerdn", "UTC", "helo_accept_junk_hosts = *"),
    "all": ("+all", "EST5", "helo_accept_junk_hosts = *\nlog_timezone = true\nhost_lookup = *"),
}
ALIASES = """\
forward: target@{0}
chain: forward@{0}
several: a@{0}, b@{1}, c@{2}, d@not-hosted.net
abroad: x@not-hosted.net
piped: "|/bin/cat"
filed: {dir}/filed
nowhere: :blackhole:
fail: :fail: no such thing
later: :defer: not now
"""
PIECES = {
    "acl": """\
data:
	deny	condition = ${{if def:h_X-Refuse:}}
		message = refused content
	accept
""",
    "rcpt": """\
	deny	hosts = <; %s
		message = you are banned
	deny	local_parts = ^.*nosuchuser
		message = no such user here
	defer	local_parts = ^.*notnow
		message = come later
""" % "; ".join(truth.OTHERS["banned"]),
    "routers": """\
aliases:
	driver = redirect
	domains = +local_domains
	data = ${{lookup{{$local_part}}lsearch{{{dir}/aliases}}}}
	allow_fail
	allow_defer
	pipe_transport = pipe
	file_transport = file
	user = {uid}
	group = {gid}
remote:
	driver = manualroute
	domains = ! +local_domains
	route_list = * %(sink)s
	transport = remote
	no_more
""",
    "transports": """\
remote:
	driver = smtp
	hosts_avoid_tls = *
pipe:
	driver = pipe
	user = {uid}
	group = {gid}
file:
	driver = appendfile
	user = {uid}
	group = {gid}

begin retry
* * F,4d,1h
""",
}


class EximServer:
    """The lab's Exim, started anew for each log."""

    refuses_with_id = refuses_routes = False
    submission = 25
    certificate = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile.pem")
    arrival = re.compile(r"\S+ \S+ (?:[+-]\d{4} )?(?:\[\d+\] )?(\w{6}-\w{6}-\w\w) (<=|==|Completed)")

    def __init__(self, lab, name):
        self.lab, self.exim, self.name = lab, lab.exim, name
        selector, self.zone, more = SETTINGS[name]
        self.takes_junk = "junk" in more
        self.selector, self.label = selector, "exim-" + name
        self.silent = name == "parents"
        main = ["timezone = " + self.zone, "log_selector = " + selector, more, "acl_smtp_data = data",
                "rfc1413_hosts = " + truth.OTHERS["gossip"][0], "rfc1413_query_timeout = 5s",
                "tls_try_verify_hosts = *", "tls_verify_certificates = " + self.certificate]
        if "host_lookup" not in more:
            main.append("host_lookup =")
        self.settings = dict(PIECES, main="\n".join(main).replace("{", "{{").replace("}", "}}"))
        self.settings["routers"] %= {"sink": lab.plan.v("mystery", 4)}
        self.log = os.path.join(self.exim.dir, "log", "mainlog")

    def __enter__(self):
        self.exim.stop()
        shutil.rmtree(os.path.join(self.exim.dir, "spool"))
        shutil.rmtree(os.path.join(self.exim.dir, "log"))
        for sub in ("spool", "log"):
            os.mkdir(os.path.join(self.exim.dir, sub))
            os.chown(os.path.join(self.exim.dir, sub), *self.exim.owner)
        self.exim.configure(**self.settings)
        self.exim.start()
        return self

    def __exit__(self, *_):
        self.exim.stop()

    @staticmethod
    def auth_of_refused(authenticated):
        return authenticated

    def seen(self, address):
        """The server address, as far as the log tells it."""
        return address if "incoming_interface" in self.selector or "+all" in self.selector.split() else ANY

    @staticmethod
    def bytes_of(content):
        return len(content.replace(b"\r\n", b"\n"))

    @staticmethod
    def id_of(reply):
        found = re.search(r" id=(\S+)", reply.text)
        return found and found.group(1)

    def submit(self, sender, recipients, content, way):
        """(id, domains refused)"""
        if way == "sendmail":
            with self.exim.command("-bm", "-f", sender, *recipients, stdin=subprocess.PIPE) as p:
                p.communicate(content)
            assert p.returncode == 0, p.returncode
            return ANY, set()
        commands = ["EHLO localhost", "MAIL FROM:<%s>" % sender] + ["RCPT TO:<%s>" % r for r in recipients] + ["DATA"]
        text = "".join(c + "\r\n" for c in commands).encode() + content + b"\r\n.\r\nQUIT\r\n"
        with self.exim.command("-bs", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
            out, _ = p.communicate(text)
        replies = re.findall(rb"^\d\d\d(?: .*)?\r$", out, re.M)[3:3 + len(recipients)]  # after banner, EHLO, MAIL
        return (re.search(rb"250 OK id=(\S+)", out).group(1).decode(),
                {truth.domain_of(r) for r, reply in zip(recipients, replies) if not reply.startswith(b"250")})

    def fill(self, truths):
        """What only the log knows: nothing."""

    def settled(self, arrivals):
        """All arrivals are there, and nothing is under way."""
        arrived, left = set(), set()
        with open(self.log, encoding="utf-8", errors="surrogateescape") as f:
            for line in f:
                found = self.arrival.match(line)
                if found:
                    (arrived if found.group(2) == "<=" else left).add(found.group(1))
        return len(arrived) >= arrivals and arrived <= left

    @staticmethod
    def possible():
        return True

    @staticmethod
    def prepare(lab):
        """What the lab's Exim has not: aliases, names of domains as people write them, an ident server."""
        lab.relays.append(Gossip(lab.ns["world"], truth.OTHERS["gossip"][0]))
        domains = lab.internet.by_kind
        with open(lab.path("exim", "domains"), "a") as f:
            f.writelines(d.text + "\n" for d in domains["idn"])
        names = [domains[k][0].name for k in ("self", "guard", "acme")]
        servers.write(lab.path("exim", "aliases"), ALIASES.format(*names, dir=lab.exim.dir))

    def check(self, case, lines, script):
        """Is the truth in the log? Looked for as with grep."""
        arrived, about, refused = {}, {}, []
        for line in lines:
            found = re.search(r"^\S+ \S+ (?:[+-]\d{4} )?(?:\[\d+\] )?(?:(\w{6}-\w{6}-\w\w) )?(.*)$", line)
            ident, rest = found.groups() if found else (None, line)
            about.setdefault(ident, []).append(rest)
            if ident and rest.startswith("<= "):
                case.assertNotIn(ident, arrived)
                arrived[ident] = rest
            elif re.search(r" rejected RCPT <.*>: (no such|come later|you are|relay not)[a-z ]*$", rest):
                refused.append(rest)
        case.assertEqual(len(arrived), script.arrivals)
        case.assertEqual(len(refused), sum(t.klass == "refused" for t in script.truths))
        for t in script.truths:
            if t.klass == "refused":
                has = where = [r for r in refused if "F=<%s> " % t.sender in r]
            else:
                start = "<= %s " % t.sender if t.sender else "<> R=" if t.id == ANY else "<> "
                ids = [i for i, r in arrived.items() if i == t.id or t.id == ANY and start in r[:len(start) + 3]]
                has, where = [arrived[i] for i in ids], [r for i in ids for r in about[i]]
                case.assertTrue(has, t)
                case.assertEqual(t.client is None, " U=Debian-exim P=local" in has[0], t)
            case.assertTrue(any(not t.client or "[%s]" % t.client in r for r in has), t)
            domain = t.rcpt_domain.encode().decode("idna")
            case.assertTrue(any("@" + name in r.lower() for name in (t.rcpt_domain, domain) for r in where), t)


class Gossip:
    """An ident server (RFC 1413) whose answers imitate fields."""

    ANSWERS = ("x P=local S=1 for a@b.example", 'root" T="y', "u A=plain:user", "v [9.9.9.9]:25 P=esmtp S=1")

    def __init__(self, ns, address):
        with ns:
            self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, 113))
        self.socket.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _serve(self):
        for answer in itertools.cycle(self.ANSWERS):
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            with conn:
                ports = conn.recv(1000).decode().strip()
                conn.sendall(("%s : USERID : UNIX : %s\r\n" % (ports, answer)).encode())


def long_id(ident):
    """As Exim 4.97 and later make them."""
    return re.sub(r"^(\w{6})-(\w{6})-(\w\w)$", r"\1-00000\2-\g<3>00", ident)


def long_ids(lines):
    return [re.sub(r"\b\w{6}-\w{6}-\w\w\b", lambda found: long_id(found.group()), line) for line in lines]
