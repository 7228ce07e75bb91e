"""What `frontdoor logs` has to say about a log: one truth for each message × recipient domain, made by
those who sent it, and its comparison with what the tool said."""
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from . import expect
from .zones import KINDS

# Clients beside those of the address plan; all in the world.
OTHERS = {
    "acme_out": ["198.18.60.60", "2001:db8:1060::60"],  # in acme's configured egress
    "banned": ["198.18.61.61", "2001:db8:1061::61"],  # the server refuses all its recipients
    "gossip": ["198.18.62.62", "2001:db8:1062::62"],  # answers ident, with what looks like fields
    "login": ["198.18.63.63", "2001:db8:1063::63"],
}
ACME_EGRESS = ["198.18.60.0/24", "2001:db8:1060::/48"]
WHERE = {"acme": "scan1", "guard": "scan2", "guard_out": "scan2", "own": "mail", "loopback": "mail"}

ANY = "*"  # what the sender can't know, or the log doesn't say


@dataclass
class Truth:
    sender: str
    rcpt_domain: str
    klass: str
    finding: str | None
    client: str | None
    auth: bool | str
    id: str | None = ANY
    server: str | None = ANY
    bytes: int | str | None = ANY
    earliest: float = 0.0
    latest: float = 0.0
    about: str = ""  # for people: what was sent
    doubtful: bool = False  # its line can be read in two ways: the tool may say nothing, but nothing wrong

    def sure(self):
        """What identifies it: known of every truth."""
        return self.sender, self.rcpt_domain, self.klass, self.finding, self.client

    def differs(self, said):
        """What a line of the tool that is about this one has wrong."""
        out = [name for name in ("id", "auth", "bytes") if getattr(self, name) not in (ANY, said[name])]
        if self.server is None and said["server"] is not None or self.server not in (ANY, said["server"]):
            out.append("server")
        if not self.earliest - 1.01 <= said["seconds"] <= self.latest + 1.01:
            out.append("time")
        return out

    def as_said(self):
        """As the tool should say it."""
        known = lambda value: None if value == ANY else value
        return dict(time=datetime.fromtimestamp(self.latest, timezone.utc).isoformat(), id=known(self.id),
                    client=self.client, server=known(self.server), sender=self.sender, rcpt_domain=self.rcpt_domain,
                    finding=self.finding, reason="", bytes=known(self.bytes), auth=known(self.auth), **{
                        "class": self.klass})

    def as_json(self):
        out = asdict(self)
        out["class"] = out.pop("klass")
        return out


def address(lab, who, family):
    if who == "own":
        return lab.server(family)
    if who == "loopback":
        return "::1" if family == 6 else "127.0.0.1"
    if who in OTHERS:
        return next(a for a in OTHERS[who] if (":" in a) == (family == 6))
    return lab.plan.v(who, family)


def domain_of(recipient):
    return recipient.rsplit("@", 1)[1].lower().encode("idna").decode()


def judge(lab, name, who, family, authenticated=False):
    """(class, finding) of mail that was taken from who for that domain, by the design's tables."""
    if who in ("own", "loopback"):
        return "local", None
    if authenticated:
        return "authenticated", "pass"
    if who == "monitor":
        return "trusted", "pass"
    domain = lab.internet.by_name.get(name)
    if domain is None:
        return "not-hosted", "pass"
    if who == "printer" and domain is lab.printer_domain:
        return "trusted", "pass"
    kind = domain.kind
    door, scanners = KINDS[kind].door, KINDS[kind].scanners
    if _invited(who, kind, door, scanners):
        return door, "pass"
    as_seen = who if who in expect.CLIENTS else "stranger"
    finding = expect.finding(lab, domain, as_seen, family)
    if finding == "direct" and door == "elsewhere":
        return "elsewhere", finding
    return door if finding == "pass" else finding, finding


def _invited(who, kind, door, scanners):
    """Clients that only these tests have."""
    if door == "scanner":
        return (who == "acme_out" and "acme" in scanners
                or who == "guard" and "guard" in scanners
                or who in ("mystery", "mystery_out") and "mystery" in scanners)
    return door == "elsewhere" and who == "web"


# What the tool said ------------------------------------------------------------------------------

FIELDS = ("time", "id", "client", "server", "sender", "rcpt_domain", "class", "finding", "reason", "bytes", "auth")


def compare(truths, said):
    """Differences as lines of text, none if the tool is right. said: its JSON objects."""
    out, lines = [], {}
    for line in said:
        lacks = [f for f in FIELDS if f not in line]
        if lacks:
            out.append("no %s in %s" % (", ".join(lacks), line))
            continue
        line = dict(line, seconds=datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp())
        key = tuple(line[f] for f in ("sender", "rcpt_domain", "class", "finding", "client"))
        lines.setdefault(key, []).append(line)
    missing = []
    # Those that know most choose first.
    for truth in sorted(truths, key=lambda t: t.id == ANY):
        there = lines.get(truth.sure(), [])
        best = min(there, key=lambda line: (line["id"] != truth.id, len(truth.differs(line))), default=None)
        if best is None:
            if not truth.doubtful:
                missing.append(truth)
            continue
        there.remove(best)
        wrong = truth.differs(best)
        if wrong:
            out.append("wrong %s: %s\n    truth %s" % (", ".join(wrong), best, truth))
    extra = [line for rest in lines.values() for line in rest]
    out += ["missing: %s" % truth for truth in missing]
    out += ["not true: %s" % line for line in extra]
    return out


def summary(truths):
    return dict(sorted(Counter(t.klass for t in truths).items()))
