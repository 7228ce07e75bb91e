"""What the octets after DATA mean in strict framing: only CRLF.CRLF ends a message. And what may be stored of them
once bare newlines are CRLF."""
import itertools
import re

NEWLINES = {
    "CRLF": b"\r\n", "LF": b"\n", "CR": b"\r", "CRCRLF": b"\r\r\n", "LFCR": b"\n\r", "NULCRLF": b"\0\r\n",
    "CRNULLF": b"\r\0\n",
}
BEFORE = dict(NEWLINES, CRLFNUL=b"\r\n\0")
AFTER = dict(NEWLINES, CRCR=b"\r\r")
END = b"\r\n.\r\n"


def sequences(dots=(0, 1, 2)):
    """(name, newline before, dots, newline after): all mixtures."""
    for n, before, after in itertools.product(dots, BEFORE, AFTER):
        yield "%s%s%s" % (before, " " + "." * n + " " if n else " ", after), BEFORE[before], b"." * n, AFTER[after]


def split(stream):
    """(octets of the first message with its end, what comes behind it)"""
    end = (b"\r\n" + stream).index(END) + len(END) - 2
    return stream[:end], stream[end:]


def is_bare(octets):
    """A CR or LF that is not half of a CRLF."""
    return re.search(rb"\r(?!\n)|(?<!\r)\n", octets) is not None


def content(wire):
    """The message in wire, which has its end: lines that end with CRLF."""
    lines, stuffed, at = [], True, 0
    for newline in re.finditer(rb"\r\n|\r|\n", wire):
        line, is_crlf = wire[at:newline.start()], newline.group() == b"\r\n"
        at = newline.end()
        if line == b"." and stuffed and is_crlf:
            assert at == len(wire)
            break
        # A dot that a strict client has stuffed, and no dot line that a bare newline would make.
        if stuffed and line.startswith(b".") and line != b".":
            line = line[1:]
        lines.append(line + b"\r\n")
        stuffed = is_crlf
    return b"".join(lines)


def stuff(text):
    """As DATA carries it, without the end."""
    return re.sub(rb"(?m)^\.", b"..", text)
