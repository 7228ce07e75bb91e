"""What has to be the same, and what may not happen: see README.md."""
import collections
import re
from dataclasses import dataclass, field

from . import entitled


@dataclass
class Finding:
    kind: str  # one word: what shrinking holds on to
    text: str
    rules: set = field(default_factory=set)


def _plain(address):
    """As frontdoor writes it: quotes that are not needed are gone (RFC 5321 4.1.2: the same mailbox)."""
    found = re.match(r'"((?:[^"\\]|\\.)*)"@', address)
    if not found:
        return address
    local = re.sub(r"\\(.)", r"\1", found[1])
    if re.fullmatch(r"[^\x00-\x20()<>\[\]:;@\\,\"\x7f.]+(\.[^\x00-\x20()<>\[\]:;@\\,\"\x7f.]+)*", local):
        return local + address[found.end() - 1:]
    return '"%s"%s' % (re.sub(r'(["\\])', r"\\\1", local), address[found.end() - 1:])


def key(message):
    return (_plain(message.sender), tuple(sorted(map(_plain, message.recipients))), message.content,
            tuple(m.replace(message.address, "CLIENT") for m in message.meta))


def keys(messages):
    return collections.Counter(map(key, messages))


def describe(messages, limit=6):
    out = []
    for m in messages[:limit]:
        out.append("    from %s to %s, %d octets: %r\n      %s" % (
            m.sender, ", ".join(m.recipients)[:300], len(m.content), m.content[:160], "; ".join(m.meta)[:600]))
    return "\n".join(out) + ("\n    ..." if len(messages) > limit else "") or "    nothing"


def without_farewell(codes):
    """Only one of two servers may have had time for it."""
    while codes and codes[-1] == 421:
        codes = codes[:-1]
    return codes


def classes(codes):
    return [c // 100 for c in without_farewell(codes)]


def absolutes(case, stored, heard, doors):
    """What has to be right whatever the reference did."""
    for m in stored:
        logged_in = any(w in line for line in m.meta for w in ("-auth_id", "sasl_username"))
        for r in [] if logged_in else m.recipients:
            if doors.refuses(case.client, r.split(" ")[0] if r[0] != '"' else re.sub(r'("@\S*) .*', r"\1", r)):
                return Finding("refused-recipient", "stored for %s, whose door refuses a %s" % (r, case.client))
    if heard.ended == "":
        return Finding("endless", "the session did not end")
    if heard.ended.startswith("refused"):
        return Finding("connect", heard.ended)
    if case.end == "abort" or entitled.is_proxy_header(case.stream):
        return None
    if case.client == "trusted" or 235 in heard.count():
        return None  # what is said is the backend's
    try:
        codes = heard.replies()
    except ValueError as e:
        return Finding("malformed", str(e))
    commands = len(re.findall(rb"\r\n|\r|\n", case.stream)) + case.stream.upper().count(b"BDAT")
    if len(codes) > commands + 2:
        return Finding("replies", "%d replies to %d commands" % (len(codes), commands))
    # Whoever goes on behind QUIT, or has been told 421, talks to a closed door.
    over = re.search(rb"(?i)QUIT", case.stream) or 421 in codes
    if heard.ended == "reset" and not over:
        return Finding("reset", "the connection was reset instead of closed")
    return None


def same(case, through, reference, relayed):
    """Is what came through what the reference stored? relayed: the server saw the client's end itself."""
    got, want = keys(through), keys(reference)
    if got == want:
        return True
    # It may then drop a message whose reply nobody would hear.
    return (case.end == "abort" or case.end == "half" and relayed) and not got - want


def compare(case, through, heard, direct, direct_heard):
    """None: alike; else what differs, as a Finding that the reference has still to judge."""
    relayed = case.client == "trusted" or any("-auth_id" in m or "sasl_username" in m for d in direct for m in d.meta)
    if not same(case, through, direct, relayed):
        return _stored(through, direct, "directly")
    if direct_heard.broken():
        return None  # as Exim does after RSET between chunks that hold half a header
    return _answers(case, heard.count(), direct_heard.count(), relayed, "directly")


def judge(case, through, heard, reference, stored):
    """The same against the reference's run."""
    if not same(case, through, stored, reference.relayed):
        return _stored(through, stored, "by the reference", reference.rules)
    if reference.hung:
        return None
    return _answers(case, heard.count(), reference.codes, reference.relayed, "to the reference", reference.rules)


def _answers(case, codes, others, relayed, how, rules=frozenset()):
    """Replies have to be of the same class, in the same order; a fronted client hears frontdoor's own."""
    if case.client == "fronted" or case.end != "quiet":
        return None
    a, b = classes(codes), classes(others)
    if "proxy-header" in rules:
        a = [] if a == [2] else a  # the banner may have been quicker
    # A server that closes with octets unread resets the connection, and that may overtake its last words: to us, or
    # to frontdoor.
    over = re.search(rb"(?i)QUIT\s*\S", case.stream)
    if a == b or (relayed or over) and (b == a[:len(b)] or a == b[:len(a)]):
        return None
    return Finding("answers", "first digits of the replies: through frontdoor %s, %s %s" % (
        "".join(map(str, a)), how, "".join(map(str, b))), set(rules))


def needs_reference(case):
    return entitled.is_proxy_header(case.stream) or case.client != "trusted" and entitled.has_bare(case.stream)


def _stored(through, other, how, rules=frozenset()):
    return Finding("stored", "stored through frontdoor:\n%s\n  stored %s:\n%s" % (
        describe(through), how, describe(other)), set(rules))
