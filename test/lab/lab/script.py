"""Scripted SMTP sessions: a file is played to a server, and gives a transcript of the replies.

    # comment
    CLIENT who              source address, a name of the address plan; default one of its own
    C: text                 sends text CRLF with all that is waiting, and reads the replies due
    P: text                 as C, but waits for the next C (pipelining)
    B: text                 a line of the message: sent with the next C, no reply
    R: text                 raw: escapes as in Python's bytes, no CRLF, no reply
    K: text / L: text       BDAT chunk (raw text) / BDAT chunk with LAST; pipelined as P
    TIMES n WORD: text      that line n times; {i} counts
    GEN octets              message lines of all sorts, that many octets, no reply
    PIECES n                from here on, sends n octets at a time
    SLEEP seconds           sends what is waiting, and sleeps
    READ n                  sends what is waiting, and reads n replies
    HALF                    sends what is waiting, closes our side for sending
    TLS [raw]               STARTTLS with all that is waiting, and this in the same packet behind it; after 220 the
                            handshake
    CRAM user secret        answers the challenge of the last reply (RFC 2195)
    DIFF -line, DIFF +line  a line of the transcript that only the direct session has, or only the
                            one through frontdoor; DIFF ehlo [n]: what n EHLO replies lose; DIFF starttls: the
                            words of 220
    SAME -line              one of those is no difference here
    END-TO-END              TLS may be the server's own, relayed
    STORED note             the stored messages may differ; says why
    REPEATS n               n messages are stored (default 1; 0: none)
    WORD... statement       one that counts only if all the words hold: exim or postfix is the server; starttls,
                            implicit or clear the client's side of frontdoor; self or client the address that the
                            server sees

In text, {self} {self2} {idn} {guard} ... are domains of that kind, {from} a sender of this play.
"""
import base64
import hmac
import random
import re
import socket
import time

from . import mail
from .zones import KINDS

# What frontdoor takes out of EHLO, but for STARTTLS, which depends on the side.
EHLO_LOSES = {"exim": ["-250-EXPN", "-250-PIPECONNECT", "-250-PRDR"], "postfix": ["-250-ETRN"]}
TLS_READY = {"exim": ["-220 TLS go ahead", "+220 2.0.0 Ready to start TLS"], "postfix": []}
WORDS = {"exim", "postfix", "starttls", "implicit", "clear", "self", "client"}


def generate(octets, seed=25):
    """Deterministic message lines: long, empty, dotted, 8-bit."""
    rng = random.Random(seed)
    out, size = [], 0
    while size < octets:
        kind = rng.randrange(8)
        if kind == 0:
            line = b"." * rng.randrange(1, 5)
        elif kind == 1:
            line = b""
        elif kind == 2:
            line = rng.randbytes(rng.randrange(1, 900)).translate(None, b"\r\n\0")
        else:
            line = b"%08x the quick brown fox jumps over the lazy dog" % rng.getrandbits(32)
        out.append(line)
        size += len(line) + 2
    return b"".join((b"." if x.startswith(b".") else b"") + x + b"\r\n" for x in out)


def unescape(text):
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


class Script:
    """words: those that hold where it is played."""

    def __init__(self, path, words=()):
        self.name, self.words = re.sub(r".*/|\.smtp$", "", path), set(words)
        self.client, self.diff, self.same, self.stored, self.count, self.ehlos = None, [], [], None, 1, 0
        self.end_to_end = False
        self.steps = []
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                line = line.rstrip("\n")
                if not line or line.startswith("#"):
                    continue
                word, _, rest = line.partition(" ")
                holds = True
                while word in WORDS:
                    holds = holds and word in self.words
                    word, _, rest = rest.partition(" ")
                if not holds:
                    continue
                if word == "CLIENT":
                    self.client = rest
                elif word == "DIFF" and rest.split(" ")[0] == "ehlo":
                    self.ehlos += int((rest.split(" ") + ["1"])[1])
                elif word == "DIFF":
                    self.diff += TLS_READY[self.server] if rest == "starttls" else [rest]
                elif word == "END-TO-END":
                    self.end_to_end = True
                elif word == "SAME":
                    self.same.append(rest)
                elif word == "STORED":
                    self.stored = rest
                elif word == "REPEATS":
                    self.count = int(rest)
                elif word == "TIMES":
                    n, _, inner = rest.partition(" ")
                    step = inner.partition(": ")
                    self.steps += [(number, step[0] + ":", step[2].replace("{i}", str(i)))
                                   for i in range(int(n))]
                else:
                    self.steps.append((number, word, rest))

    @property
    def server(self):
        return next(word for word in EHLO_LOSES if word in self.words)

    @property
    def has_starttls(self):
        return any(word == "TLS" for _, word, _ in self.steps)

    def wanted_diff(self, names, ehlo):
        """ehlo: DIFF lines of each EHLO reply."""
        want = [substitute(line, names) for line in self.diff] + ehlo * self.ehlos
        for line in self.same:
            want.remove(line)
        return sorted(want)


def substitute(text, names):
    return re.sub(r"\{([a-z0-9_-]+)\}", lambda m: names.get(m.group(1), m.group(0)), text)


def names_of(internet):
    """{self}, {self2} ... for each kind; as people write them for IDN: {idn-text}."""
    out = {}
    for kind in KINDS:
        for i, suffix in ((2, ""), (3, "2"), (4, "3")):
            if len(internet.by_kind[kind]) > i:
                out[kind + suffix] = internet.by_kind[kind][i].name
                out[kind + suffix + "-text"] = internet.by_kind[kind][i].text
    return out


class Play:
    """One script against one server. tls: "starttls" or "implicit" for all of it; the replies until the handshake
    are then in opening."""

    def __init__(self, script, ns, source, dest, port, names, sender, tls=None):
        self.script, self.names = script, dict(names, **{"from": sender})
        self.transcript, self.due, self.waiting, self.pieces = [], 0, b"", 0
        self.where, self.opening, self.certificate, self.challenge = 0, [], None, b""
        try:
            with mail.Smtp(ns, source, dest, port, timeout=20, greet=False) as self.c:
                self.play(tls)
        except (mail.Closed, OSError) as e:
            self.transcript.append("<%s: %s>" % (type(e).__name__, e))

    def play(self, tls):
        if tls == "implicit":
            self.secure()
        self.reply()
        if tls == "starttls":
            self.step("C:", "EHLO client.lab-sender.net")
            self.starttls(b"")
            self.opening, self.transcript = self.transcript[1:], self.transcript[:1]
        for self.where, word, rest in self.script.steps:
            self.step(word, substitute(rest, self.names))
        self.flush()
        self.rest()

    def step(self, word, text):
        if word in ("C:", "P:"):
            self.waiting += text.encode() + b"\r\n"
            self.due += 1
            if word == "C:":
                self.flush()
        elif word == "B:":
            self.waiting += text.encode() + b"\r\n"
        elif word == "R:":
            self.waiting += unescape(text)
        elif word in ("K:", "L:"):
            octets = unescape(text)
            self.waiting += b"BDAT %d%s\r\n" % (len(octets), b" LAST" if word == "L:" else b"") + octets
            self.due += 1
        elif word == "GEN":
            self.waiting += generate(int(text))
        elif word == "PIECES":
            self.pieces = int(text)
        elif word in ("SLEEP", "READ", "HALF"):
            self.due += int(text) if word == "READ" else 0
            self.flush()
            if word == "SLEEP":
                time.sleep(float(text))
            elif word == "HALF":
                # SSLSocket's own forgets TLS, and what is said to us then can't be read.
                socket.socket.shutdown(self.c.sock, socket.SHUT_WR)
        elif word == "TLS":
            self.starttls(unescape(text))
        elif word == "CRAM":
            user, secret = text.split(" ")
            answer = "%s %s" % (user, hmac.new(secret.encode(), self.challenge, "md5").hexdigest())
            self.step("C:", base64.b64encode(answer.encode()).decode())
        else:
            raise ValueError("%s:%d: what is %s?" % (self.script.name, self.where, word))

    def starttls(self, behind):
        self.waiting += b"STARTTLS\r\n" + behind
        self.due += 1
        self.flush()
        if self.transcript[-1].startswith("220"):
            self.secure()

    def secure(self):
        self.c.secure()
        self.certificate = self.c.sock.getpeercert(True)

    def flush(self):
        data, self.waiting = self.waiting, b""
        try:
            if self.pieces:
                for i in range(0, len(data), self.pieces):
                    self.c.send(data[i:i + self.pieces])
                    time.sleep(0.0005)
            elif data:
                self.c.send(data)
        except mail.Closed:
            pass  # its last words may still be there to read
        while self.due > 0 and self.reply():
            self.due -= 1

    def reply(self):
        try:
            lines = self.c.read().lines
            if lines[0].startswith("334 "):
                self.challenge = base64.b64decode(lines[0][4:] + "==")
            if any(line[4:] == "8BITMIME" for line in lines):
                # The order of keywords has no meaning (RFC 5321 4.1.1.1).
                lines = lines[:1] + sorted(line[:3] + "-" + line[4:] for line in lines[1:])
            self.transcript += [self.normal(line) for line in lines]
            return True
        except mail.Closed as e:
            said = str(e) if "timed out" in str(e) else "closed"
            if "EOF occurred" in str(e):
                said = "cut off within TLS"
            if self.transcript[-1:] != ["<%s>" % said]:
                self.transcript.append("<%s>" % said)
            return False

    def rest(self):
        """What is said unasked until the server closes; a session without QUIT ends here."""
        if self.transcript[-1][:3] == "221" or self.script.steps[-1][1] == "HALF":
            while self.reply():
                pass

    def normal(self, line):
        line = re.sub(r"\bid=\S{16}", "id=ID", line)
        line = re.sub(r"(ESMTP Exim \S+) .*", r"\1 DATE", line)
        line = re.sub(r"( queued as) [0-9A-Za-z]+$", r"\1 ID", line)
        line = re.sub(r"\([0-9A-Za-z-]{6,24}\)$", "(ID)", line)
        line = re.sub(r"^334 PD[0-9A-Za-z+/]+=*$", "334 CHALLENGE", line)
        # In listen mode Exim greets frontdoor's address.
        line = re.sub(r"( Hello \S+) \[[^]]+\]", r"\1 [CLIENT]", line)
        return line.replace(self.names["from"], "FROM")


def difference(direct, through):
    """Lines that only one of the transcripts has, as DIFF lines, sorted; order is checked by the
    rest being equal."""
    import difflib
    out = []
    for line in difflib.ndiff(direct, through):
        if line[:2] in ("- ", "+ "):
            out.append(line[0] + line[2:])
    return sorted(out)
