"""A case: what a client sends, and how. As text, for test/differential/cases and --replay:

    # what it is about
    backend exim             only that one; default: both
    client bot               bot, fronted (refused before), scanner, trusted, relay
    end half                 quiet: when nothing comes any more; half: closed for sending at once; abort: a reset
    pieces 3                 octets a packet; 0: as much as one send() takes
    > MAIL FROM:<a@b>\\r\\n     octets, escaped as in C; lines that follow each other are one send()
    wait                     for a reply, a moment at most
    pause 20                 milliseconds
"""
import re
from dataclasses import dataclass, field, replace

ENDS = ("quiet", "half", "abort")
CLIENTS = ("bot", "fronted", "scanner", "trusted", "relay")


def escape(data):
    out = []
    for c in data:
        ch = chr(c)
        out.append({"\r": "\\r", "\n": "\\n", "\\": "\\\\", "\t": "\\t"}.get(
            ch, ch if 32 <= c < 127 else "\\x%02x" % c))
    return "".join(out)


def unescape(text):
    plain = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
    out = b""
    for m in re.finditer(r"\\x([0-9a-f]{2})|\\(.)|([^\\]+)", text):
        out += bytes([int(m[1], 16)]) if m[1] else plain[m[2]] if m[2] else m[3].encode("latin-1")
    return out


@dataclass
class Case:
    steps: list = field(default_factory=list)  # ("send", octets), ("wait",), ("pause", ms)
    client: str = "bot"
    end: str = "quiet"
    pieces: int = 0
    backend: str = ""
    name: str = ""
    about: str = ""

    @property
    def stream(self):
        return b"".join(s[1] for s in self.steps if s[0] == "send")

    def but(self, **changes):
        return replace(self, **changes)

    def text(self):
        out = ["# " + line for line in self.about.splitlines()]
        if self.backend:
            out.append("backend " + self.backend)
        out += ["client " + self.client, "end " + self.end]
        if self.pieces:
            out.append("pieces %d" % self.pieces)
        for s in self.steps:
            out.append("> " + escape(s[1]) if s[0] == "send" else " ".join(map(str, s)))
        return "\n".join(out) + "\n"


def parse(text, name=""):
    case = Case(name=name)
    about = []
    for number, line in enumerate(text.split("\n"), 1):
        word, _, rest = line.partition(" ")
        if word == "#":
            about.append(rest)
        elif word == ">":
            case.steps.append(("send", unescape(rest)))
        elif word == "wait":
            case.steps.append(("wait",))
        elif word == "pause":
            case.steps.append(("pause", int(rest)))
        elif word == "client" and rest in CLIENTS or word == "end" and rest in ENDS or word == "backend":
            setattr(case, word, rest)
        elif word == "pieces":
            case.pieces = int(rest)
        elif line:
            raise ValueError("%s:%d: what is %s?" % (name, number, line))
    case.about = "\n".join(about)
    return case
