"""What frontdoor may do otherwise than the backend alone: the only place where that is written down.

The oracle compares what was stored directly with what was stored through frontdoor. Where both differ, the
session is played once more by reference.py, a client of the backend that keeps these rules, one command
at a time. A difference is entitled when a rule applied and the reference stored what came through
frontdoor, to the octet; everything else is a finding. Streams with a bare CR, a bare LF or a NUL are
compared with the reference only: the backend alone is no authority on them.

Each rule is a name and what entitles frontdoor to it, an invariant of ARCHITECTURE.md, or an RFC.
"""
import re

RULES = {
    "bare-newline": "bare CR, LF or NUL in a command line: 500",
    "line-too-long": "a command line above 4096 octets (AUTH: 12288): 500",
    "unknown-verb": "verbs that frontdoor does not know are answered 500 and not passed on; EXPN 502",
    "arguments": "arguments where RFC 5321 4.1.1 has none, or none where it wants some: 501",
    "text": "control or 8-bit characters that are no UTF-8 in HELO, EHLO, NOOP, HELP, VRFY, AUTH: 501",
    "address": "an address that MTAs read differently from each other (src/smtp/path.c), or none: 501",
    "local-only": "a recipient with an address literal or without a domain, postmaster excepted: 550 5.1.3",
    "rebuilt": "MAIL, RCPT and BDAT are written anew from what was parsed: no source route (RFC 5321 appendix C), no dot behind"
               " the domain, quotes only where they are needed, always <>, no blanks around",
    "parameter": "a parameter of MAIL or RCPT that was not offered, is doubled or malformed: 501, 555",
    "chunk-size": "a BDAT whose size is no number or beyond 31 bits: what follows can't be told from"
                  " commands, so the session ends (RFC 3030 2)",
    "door": "a recipient with a refusing verdict never reaches the backend, so that it can't fail a message between"
            " its chunks",
    "not-offered": "BDAT where CHUNKING was not offered: its octets are swallowed",
    "chunk-unwanted": "BDAT without a permitted recipient: its octets are swallowed (RFC 3030 2)",
    "chunk-failed": "after a refusal between chunks further chunks are swallowed until the message is reset",
    "bare-in-data": "DATA: bare CR and bare LF become CRLF, and a dot behind one is text",
    "sasl-line": "a line of an AUTH exchange that is no text cancels it",
    "fronted": "as long as frontdoor speaks for the backend, that hears of the last EHLO or HELO and of the first MAIL"
               " only (servers let parameters of a refused MAIL, or an earlier EHLO, count)",
    "hello-again": "after STARTTLS MAIL, RCPT, DATA, BDAT, VRFY and AUTH want an EHLO before them: 503 (RFC 3207 4.2)",
    "proxy-header": "a session that begins with a PROXY header is closed",
    "recipients": "more than 1000 recipients in a transaction: 452 4.5.3",
}

COMMAND_MAX, AUTH_MAX, CHUNK_MAX, RECIPIENTS_MAX = 4096, 12288, 2**31 - 1 - 2000, 1000
ARGUMENTS = {"HELO": True, "EHLO": True, "MAIL": True, "RCPT": True, "DATA": False, "BDAT": True, "RSET": False,
             "NOOP": None, "QUIT": False, "VRFY": True, "HELP": None, "AUTH": True}

DOMAIN = rb"(?:[-\w\x80-\xff]+\.)*[-\w\x80-\xff]+\.?"
V4 = rb"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}"
LITERAL = rb"\[(?:%s|[Ii][Pp][Vv]6:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]" % V4
LOCAL = rb"(?:[^\x00-\x20()<>\[\]:;@\\,\"\x7f]{1,255}|\"(?:[^\x00-\x1f\"\\\x7f]|\\[ -~]){0,255}\")"
ROUTE = rb"(?:@(?:%s|%s)(?:,@(?:%s|%s))*:)" % (DOMAIN, LITERAL, DOMAIN, LITERAL)
MAILBOX = rb"(?P<local>%s)@(?P<domain>%s|(?P<literal>%s))" % (LOCAL, DOMAIN, LITERAL)
ATOMS = rb"[^\x00-\x20()<>\[\]:;@\\,\"\x7f.]+"
PATH = re.compile(rb"[ \t]*(?P<angle><)?(?:%s?%s|(?P<bare>%s)|(?P<null>(?<=<)(?=>)))(?(angle)>)(?=[ \t]|$)"
                  % (ROUTE, MAILBOX, LOCAL))
XTEXT = rb"(?:[!-*,-~]|\+[0-9A-Fa-f]{2})+"
WORDS = {
    b"SIZE": rb"\d{1,20}", b"BODY": rb"(?i:7BIT|8BITMIME|BINARYMIME)", b"SMTPUTF8": None,
    b"RET": rb"(?i:FULL|HDRS)", b"ENVID": XTEXT, b"AUTH": XTEXT,
    b"NOTIFY": rb"(?i:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*)",
    b"ORCPT": rb"[A-Za-z0-9-]+;" + XTEXT,
}
UTF8_ORCPT = rb"[A-Za-z0-9-]+;(?:[!-*,-~\x80-\xff]|\+[0-9A-Fa-f]{2})+"  # RFC 6533 3
OF_MAIL, OF_RCPT = WORDS.keys() - {b"NOTIFY", b"ORCPT"}, {b"NOTIFY", b"ORCPT"}


def clean(text, utf8=True):
    """Printable, and valid UTF-8 without C1 controls."""
    try:
        decoded = text.decode("utf-8" if utf8 else "ascii")
    except UnicodeDecodeError:
        return False
    return not any(c < " " or "\x7f" <= c <= "\x9f" for c in decoded)


def _possible(domain):
    """RFC 1035 2.3.4, as far as it can be told before a U-label is encoded."""
    return len(domain) <= 255 and not any(len(label) > 63 and label.isascii() for label in domain.split(b"."))


def _local(written):
    if not written.startswith(b'"'):
        return written
    text = re.sub(rb"(?s)\\(.)", rb"\1", written[1:-1])
    if re.fullmatch(rb"%s(?:\.%s)*" % (ATOMS, ATOMS), text):
        return text
    return b'"%s"' % re.sub(rb'(["\\])', rb"\\\1", text)


def rebuilt(verb, line):
    """The command as frontdoor passes it on; only for what refusal() lets through."""
    if verb == "BDAT":
        return b" ".join(line.upper().split())
    if verb not in ("MAIL", "RCPT"):
        return line
    keyword = b"FROM:" if verb == "MAIL" else b"TO:"
    args = line[4:].strip(b" \t")[len(keyword):]
    found = PATH.match(args)
    if found["null"] is not None:
        path = b""
    elif found["bare"] is not None:
        path = _local(found["bare"])
    else:
        path = _local(found["local"]) + b"@" + found["domain"].rstrip(b".")
    rest = args[found.end():].strip(b" \t")
    return b"%s %s<%s>%s" % (verb.encode(), keyword, path, b" " + rest if rest else b"")


def mailbox(command):
    """Of a rebuilt RCPT."""
    return re.match(rb"RCPT TO:<(.*)>(?= |$)", command)[1].decode("utf-8", "surrogateescape")


def _parameters(text, known, utf8):
    seen = set()
    for word in re.split(rb" +", text.strip(b" \t")) if text.strip(b" \t") else []:
        name, equals, value = word.partition(b"=")
        name = name.upper()
        if name not in known or name in seen:
            return False
        seen.add(name)
        want = WORDS[name]
        if want is None:
            if equals:
                return False
        elif not re.fullmatch(UTF8_ORCPT if utf8 and name == b"ORCPT" and clean(value) else want, value):
            return False
    return True


class Session:
    """What the rules have to know of a session."""

    def __init__(self, tls=False):
        self.need_hello = tls
        self.chunking = self.smtputf8 = self.chunked = self.failed = False
        self.recipients = self.accepted = 0

    def reset(self):
        self.smtputf8 = self.chunked = self.failed = False
        self.recipients = self.accepted = 0

    def chunk_refusal(self):
        """The name of the rule by which a chunk is swallowed; None: it is passed on."""
        if self.need_hello:
            return "hello-again"
        if self.failed:
            return "chunk-failed"
        if not self.accepted:
            return "chunk-unwanted"
        return None if self.chunking else "not-offered"

    def refusal(self, verb, line):
        """The name of the rule by which frontdoor refuses this command line itself; None: it is passed on."""
        rule = self._syntax(verb, line)
        if not rule and self.need_hello and verb in ("MAIL", "RCPT", "DATA", "VRFY", "AUTH"):
            return "hello-again"
        return rule

    def _syntax(self, verb, line):
        args = line[len(verb):].strip(b" \t")
        if len(line) + 2 > (AUTH_MAX if line[:5].upper() == b"AUTH " else COMMAND_MAX):
            return "line-too-long"
        if verb not in ARGUMENTS:
            return "unknown-verb"
        if ARGUMENTS[verb] is not None and ARGUMENTS[verb] != bool(args):
            return "chunk-size" if verb == "BDAT" else "arguments"
        if verb in ("HELO", "EHLO", "NOOP", "HELP", "VRFY", "AUTH"):
            return None if clean(line, verb != "AUTH") else "text"
        if verb == "BDAT":
            found = re.fullmatch(rb"(\d+)(?:[ \t]+(?i:LAST))?", args)
            return None if found and int(found[1]) <= CHUNK_MAX else "chunk-size"
        if verb == "MAIL":
            return self._path(args, b"FROM:", OF_MAIL)
        if verb == "RCPT":
            return self._path(args, b"TO:", OF_RCPT)
        return None

    def heard(self, verb, code, text):
        """What the backend answered to a command."""
        good = 200 <= code < 300
        if self.chunked and not good:
            self.failed = True
        if good and verb in ("EHLO", "HELO", "RSET"):
            self.reset()
        if good and verb in ("EHLO", "HELO"):
            self.need_hello = False
            self.chunking = verb == "EHLO" and bool(re.search(rb"(?m)^250.CHUNKING\r?$", text))
        if good and verb == "MAIL":  # where it is taken in mid-message that message is gone
            self.chunked, self.failed, self.recipients, self.accepted = False, False, 0, 0
        self.accepted += good and verb == "RCPT"

    def _path(self, args, keyword, known):
        if args[:len(keyword)].upper() != keyword:
            return "arguments"
        args = args[len(keyword):]
        found = PATH.match(args)
        mail = keyword == b"FROM:"
        utf8 = bool(re.search(rb"(?i)[ \t]SMTPUTF8(?=[ \t]|$)", args)) if mail else self.smtputf8
        if not found or not clean(found[0].strip(b" \t"), utf8):
            return "address"
        if not mail and found["null"] is not None or not _possible(found["domain"] or b""):
            return "address"
        if not _parameters(args[found.end():], known, utf8 and not mail):
            return "parameter"
        if not mail:
            name = found["bare"]
            if found["literal"] or name is not None and name.strip(b'"').lower() != b"postmaster":
                return "local-only"
            if self.recipients >= RECIPIENTS_MAX:
                return "recipients"
            self.recipients += 1
        elif utf8:
            self.smtputf8 = True
        return None


def normalized(body):
    """A message of DATA, without its final dot line, as frontdoor passes it on."""
    body = re.sub(rb"(\A|\r\n)\.(?=\n|\r(?!\n))", rb"\1..", body)
    return re.sub(rb"(?:\r(?!\n)|(?<!\r)\n)(\.?)", rb"\r\n\1\1", body)


def split_body(stream):
    """(message without its final dot line, what follows); None: it has no end."""
    found = re.search(rb"(?:\A|\r\n)\.\r\n", stream)
    if not found:
        return None
    at = found.end() - 3
    return stream[:at], stream[at + 3:]


def is_proxy_header(stream):
    return stream.startswith((b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"))


def has_bare(stream):
    return bool(re.search(rb"\r(?!\n)|(?<!\r)\n|\0", stream))
