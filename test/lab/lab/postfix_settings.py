"""Postfix with the log settings that sites have, for test_logs.py: short and long queue ids; and its log as
rsyslog and journald would have written it."""
import datetime
import json
import os
import re
import subprocess

from . import mail, postfix, truth
from .truth import ANY

SETTINGS = {  # name: (more of main.cf, time zone, headers that are logged)
    "short": ("enable_long_queue_ids = no\nsyslog_name_of_587 = postfix/submission", "SAST-2", ""),
    "long": ("enable_long_queue_ids = yes\nsmtpd_client_port_logging = yes\nsyslog_name = mx-in\n"
             "syslog_name_of_587 = mx-in/submission", "UTC", "/^Subject:/ INFO\n"),
}
RESTRICTIONS = ("check_client_access cidr:{dir}/banned check_recipient_access regexp:{dir}/refused"
                " permit_sasl_authenticated permit_mynetworks reject_unauth_destination")
REFUSED = "/nosuchuser/ 550 5.1.1 no such user here\n/notnow/ 450 4.2.0 come later\n"
ALIASES = """\
/^forward@/ target@{0}
/^chain@/ forward@{0}
/^several@/ a@{0}, b@{1}, c@{2}, d@not-hosted.net
/^abroad@/ x@not-hosted.net
"""
TRANSPORTS = """\
/^piped@/ cat:
/@not-hosted.net$/ smtp:[{sink}]
/^(filed|later|fail)@/ lmtp:unix:{dir}/lmtp.sock
/^nowhere@/ discard:
"""


class PostfixServer:
    """Started anew for each log."""

    refuses_with_id = refuses_routes = takes_junk = True
    submission = 587
    silent = False
    certificate = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile.pem")

    def __init__(self, lab, name):
        self.lab, self.name, self.label = lab, name, "postfix-" + name
        self.more, self.zone, self.headers = SETTINGS[name]
        self.dir = lab.path("postfix-" + name)

    @staticmethod
    def possible():
        return os.geteuid() == 0

    @staticmethod
    def prepare(lab):
        lab.exim.stop()

    def __enter__(self):
        lab, domains = self.lab, self.lab.internet.by_kind
        names = [domains[k][0].name for k in ("self", "guard", "acme")]
        every = [n for d in lab.internet.domains for n in sorted({d.name, d.text})]
        self.postfix = postfix.Postfix(
            lab.ns["mail"], self.dir, lab.plan.server + lab.plan.backend, lab.plan.relay, lab.plan.v("mystery", 4),
            self.certificate, RESTRICTIONS.format(dir=self.dir), {
                "banned": "".join("%s REJECT you are banned\n" % a for a in truth.OTHERS["banned"]),
                "refused": REFUSED, "aliases": ALIASES.format(*names), "transports": TRANSPORTS.format(
                    dir=self.dir, sink=lab.plan.v("mystery", 4)),
                "headers": "/^X-Refuse:/ REJECT refused content\n" + self.headers,
                "domains": "".join("%s x\n" % n for n in every)},
            self.more, self.zone, lab.smtp_port)
        self.lmtp = mail.Sink(None, os.path.join(self.dir, "lmtp.sock"))
        os.chmod(os.path.join(self.dir, "lmtp.sock"), 0o777)
        self.log = self.postfix.maillog
        return self

    def __exit__(self, *_):
        self.postfix.stop()
        self.lmtp.stop()

    @staticmethod
    def auth_of_refused(authenticated):
        return ANY  # not logged

    @staticmethod
    def seen(address):
        return ANY  # not logged

    @staticmethod
    def bytes_of(content):
        return ANY  # with headers that Postfix puts on top

    @staticmethod
    def id_of(reply):
        found = re.search(r" queued as (\S+)", reply.text)
        return found and found.group(1)

    def submit(self, sender, recipients, content, way):
        if way == "sendmail":
            with self.postfix.command("-i", "-f", sender, "--", *recipients, stdin=subprocess.PIPE) as p:
                p.communicate(content.replace(b"\r\n", b"\n"))
            assert p.returncode == 0, p.returncode
            return ANY, set()
        commands = ["EHLO localhost", "MAIL FROM:<%s>" % sender] + ["RCPT TO:<%s>" % r for r in recipients] + ["DATA"]
        text = "".join(c + "\r\n" for c in commands).encode() + content + b"\r\n.\r\nQUIT\r\n"
        with self.postfix.command("-bs", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
            out, _ = p.communicate(text)
        assert b"queued" in out, out
        return ANY, set()

    def read(self):
        with open(self.log, encoding="utf-8", errors="surrogateescape") as f:
            return f.read().split("\n")

    def settled(self, arrivals):
        arrived, left = set(), set()
        for line in self.read():
            found = re.search(r"^\S+ +\d+ \S+ \S+ \S+/qmgr\[\d+\]: (\w+): (from=|removed)", line)
            if found:
                (arrived if found.group(2) == "from=" else left).add(found.group(1))
            found = re.search(r"\]: (\w+): to=<.*, status=deferred \(host .* 450 4.2.0 come later", line)
            if found:
                left.add(found.group(1))
        return len(arrived) >= arrivals and arrived <= left

    def fill(self, truths):
        """The sizes, which only Postfix knows."""
        sizes = dict(found.groups() for found in (
            re.search(r"/qmgr\[\d+\]: (\w+): from=<.*>, size=(\d+), nrcpt=\d+ \(queue active\)$", line)
            for line in self.read()) if found)
        for t in truths:
            if t.id in sizes:
                t.bytes = int(sizes[t.id]) if t.klass != "refused" else None

    def check(self, case, lines, script):
        """Is the truth in the log? Looked for as with grep."""
        arrived, about, refused = {}, {}, []
        for line in lines:
            found = re.search(r"/(\w+)\[\d+\]: (\w+): (.*)$", line)
            if not found:
                continue
            program, ident, rest = found.groups()
            about.setdefault(ident, []).append(rest)
            if program == "qmgr" and rest.startswith("from=<"):
                arrived[ident] = rest
            elif program == "smtpd" and rest.startswith("reject: RCPT from "):
                refused.append(rest)
        case.assertEqual(len(arrived), script.arrivals)
        case.assertEqual(len(refused), sum(t.klass == "refused" for t in script.truths))
        for t in script.truths:
            if t.klass == "refused":
                where = [r for r in refused if " from=<%s> to=<" % t.sender in r and "[%s]" % t.client in r]
            else:
                where = [r for i, first in arrived.items() if first.startswith("from=<%s>, size=" % t.sender)
                         and t.id in (ANY, i) for r in about[i]]
                if t.client:
                    case.assertTrue(any(r.startswith("client=") and "[%s]" % t.client in r for r in where), t)
                else:
                    case.assertTrue(not t.sender or any(r.startswith("uid=") for r in where), t)
                case.assertEqual(t.auth, any(r.startswith("client=") and "sasl_username=user" in r for r in where), t)
            domain = t.rcpt_domain.encode().decode("idna")
            case.assertTrue(any("to=<" in r and "@%s>" % name in r.lower() for name in (t.rcpt_domain, domain)
                                for r in where), t)


# The same log, written by others ----------------------------------------------------------------

SYSLOG = re.compile(r"(\w{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\S+) ([^\[]+)\[(\d+)\]: (.*)")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
HOURS = {"SAST-2": 2, "UTC": 0}


def _parts(lines, zone):
    """(time, host, program, pid, message) of each line; microseconds as a clock would have them."""
    zone = datetime.timezone(datetime.timedelta(hours=HOURS[zone]))
    now = datetime.datetime.now(zone)
    for n, line in enumerate(lines):
        if line:
            month, day, *clock, host, program, pid, message = SYSLOG.fullmatch(line).groups()
            stamp = datetime.datetime(now.year, MONTHS.index(month) + 1, int(day), *map(int, clock),
                                      n * 997 % 1000000, tzinfo=zone)
            yield stamp if stamp <= now else stamp.replace(year=now.year - 1), host, program, pid, message


def rfc3339(lines, zone):
    """As rsyslog's RSYSLOG_FileFormat, Debian's default."""
    return ["%s %s %s[%s]: %s" % (stamp.isoformat(timespec="microseconds"), host, program, pid, message)
            for stamp, host, program, pid, message in _parts(lines, zone)]


def journal(lines, zone):
    """As journalctl -o json."""
    out = []
    for n, (stamp, host, program, pid, message) in enumerate(_parts(lines, zone)):
        raw = message.encode("utf-8", "surrogateescape")
        # What journald can't print it gives as numbers.
        odd = any(c < " " and c != "\t" for c in message) or raw != message.encode("utf-8", "ignore")
        us = str(int(stamp.timestamp() * 1000000))
        out.append(json.dumps({
            "__CURSOR": "s=0f7e;i=%x;b=9ad1;m=%x;t=%x;x=%x" % (n, n, int(us), n), "__REALTIME_TIMESTAMP": us,
            "__MONOTONIC_TIMESTAMP": str(1000 + n), "_BOOT_ID": "9ad1" * 8, "_MACHINE_ID": "0f7e" * 8,
            "_HOSTNAME": host, "_TRANSPORT": "syslog", "PRIORITY": "6", "SYSLOG_FACILITY": "2",
            "SYSLOG_IDENTIFIER": program, "SYSLOG_PID": pid, "SYSLOG_TIMESTAMP": stamp.strftime("%b %e %H:%M:%S "),
            "MESSAGE": list(raw) if odd else message, "_PID": pid, "_UID": "0", "_COMM": program.rsplit("/", 1)[-1],
            "_SOURCE_REALTIME_TIMESTAMP": us}, ensure_ascii=False))
    return out
