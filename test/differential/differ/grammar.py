"""Sessions by a grammar, then mutated. The same seed and number give the same case."""
import base64
import random

from .case import Case

FEW = 4  # domains of each kind
OPEN = ["self-%d.com", "implicit-%d.com", "self-idn-%d.com"]
SHUT = ["acme-%d.com", "guard-%d.com", "both-%d.com", "xn--bcher-%d-n2a.com", "bücher-%d.com"]
WORDS = "info sales a+b joe.doe x_y o'brien user-1 UPPER a..b .dot 1 aa=bb a/b {c} #h !bang per%cent".split()
QUOTED = ['"joe doe"', '"plain"', '"a\\"b"', '"a\\\\b"', '"a@b"', '""', '"a.b"', '"<>"', '"a\\b"', '" "', '"a"b']
SMUGGLED = b"MAIL FROM:<smuggled@lab-sender.net>\r\nRCPT TO:<smuggled@self-0.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
NEWLINES = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\n", b"\n\n", b"\r\r", b"\0\r\n", b"\0\n", b"\r\0\n"]
DOTS = [b".", b"..", b"...", b". ", b".x", b"..x", b".\t", b"", b" ."]
ENDS = [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\n.\r\r\n", b"\r\r\n.\r\n",
        b"\r\n.\0\r\n", b"\r\n\0.\r\n", b"\n\n.\r\n", b"\r\n..\n", b"\r\n.\n\r\n", b"\r\n.\r\n.\r\n", b"\r\n. \r\n"]
ODD_PARAMETERS = [
    "SIZE=0", "SIZE=", "SIZE=-1", "SIZE=99999999999", "SIZE=1000 SIZE=2000", "BODY=8BITMIME", "BODY=7BIT", "BODY=BINARYMIME",
    "body=8bitmime", "BODY=9BIT", "SMTPUTF8", "SMTPUTF8=1", "RET=FULL", "RET=HDRS", "RET=HEAD", "ENVID=abc", "ENVID=a+20b",
    "ENVID=a+2", "ENVID=a=b", "ENVID=", "AUTH=<>", "AUTH=a+40b.com", "AUTH=", "XYZ", "XYZ=1", "PRDR", "HOLDFOR=60",
    "REQUIRETLS", "MT-PRIORITY=3", "NOTIFY=NEVER", "foo bar", "=", "SIZE=1=2", "BY=1;R", "XVERP"]
ODD_RCPT_PARAMETERS = [
    "NOTIFY=NEVER", "NOTIFY=SUCCESS", "NOTIFY=SUCCESS,FAILURE,DELAY", "notify=failure", "NOTIFY=NEVER,SUCCESS", "NOTIFY=",
    "NOTIFY=SUCCESS NOTIFY=DELAY", "ORCPT=rfc822;a@b.com", "ORCPT=rfc822;a+40b.com", "ORCPT=utf-8;a@b.com", "ORCPT=a@b.com",
    "ORCPT=;x", "ORCPT=rfc822;", "ORCPT=x;a b", "SIZE=3", "XYZ=1", "NOTIFY=SUCCESS ORCPT=rfc822;x@y.com"]


def _chance(rng, share):
    return rng.random() < share


class Session:
    """The steps of one session, as a client that means no harm makes them (mostly)."""

    def __init__(self, rng):
        self.rng, self.units = rng, []
        # How strange this session is: most of them are plain, so that what differs stands alone.
        self.odd = rng.choice([0, 0, 0, 0.02, 0.05, 0.1, 0.3])

    def add(self, text):
        self.units.append(text if isinstance(text, bytes) else text.encode())

    def command(self, text):
        self.add((text if isinstance(text, bytes) else text.encode()) + b"\r\n")

    def is_odd(self, factor=1.0):
        return _chance(self.rng, self.odd * factor)

    # Parts ------------------------------------------------------------------------------------

    def domain(self):
        rng = self.rng
        if self.is_odd():
            return rng.choice(["not-hosted.net", "host.lab-hosting.net", "[127.25.0.26]", "[IPv6:::1]", "localhost", "self-0.com.",
                               "-x.com", "a..b.com", "x_y.com", "self-0", "[1.2.3]", "guard-0.com.", "a" * 64 + ".com"])
        kinds = OPEN if _chance(rng, 0.7) else SHUT
        name = rng.choice(kinds) % rng.randrange(FEW)
        if not name.isascii() and not _chance(rng, 0.2):
            name = "guard-1.com"
        return rng.choice([str.upper, str.title])(name) if _chance(rng, 0.1) else name

    def local(self):
        rng = self.rng
        if self.is_odd():
            return rng.choice(QUOTED)
        if self.is_odd():
            shut = (rng.choice(SHUT[:3]) % rng.randrange(FEW))
            return rng.choice(["user%%%s", '"user@%s"', "%s!user", '"user%%%s"', "a%%b.com%%%s", '"x @%s y"', "user%%%s.", "x%s!u",
                               "user%%x%s", '"%s!u"', "a!%s!b"]) % shut
        if self.is_odd(0.3):
            return "l" * rng.choice([63, 64, 65, 200, 255, 256, 300])
        if self.is_odd(0.5):
            return "nosuchuser"
        return rng.choice(WORDS) if _chance(rng, 0.4) else "user%d" % rng.randrange(100)

    def mailbox(self):
        if self.is_odd(0.3):
            return self.rng.choice(["", "postmaster", "Postmaster", "user", "@", "a@", "@b.com", '"postmaster"', "a@b@self-0.com",
                                    "a b@self-0.com", "(c)a@self-0.com", "a@self-0.com(c)", "a\\@b@self-0.com"])
        return self.local() + "@" + self.domain()

    def path(self, mailbox):
        rng = self.rng
        if self.is_odd(0.5):
            return rng.choice(["<@a.com:%s>", "<@a.com,@b.net:%s>", "%s", " <%s>", "< %s>", "<%s >", "<%s", "%s>", "<<%s>>", "\t<%s>",
                               "Name <%s>", "<@guard-0.com:%s>", "<@%s>"]) % mailbox
        return "<%s>" % mailbox

    def sender(self):
        rng = self.rng
        if _chance(rng, 0.1):
            return "<>"
        return self.path(self.mailbox() if self.is_odd() else "%s@lab-sender.net" % rng.choice(["s", "from", '"q q"', "x" * 60]))

    def hello(self):
        rng = self.rng
        if self.is_odd():
            self.command(rng.choice(["HELO client", "HELO", "EHLO", "EHLO [127.0.0.1]", "ehlo client", "EHLO  client ", "EHLO a b",
                                     "EHLO client\t", "HELO x_y", "EHLO clïent", "EHLO " + "h" * 300, "LHLO client", "EHLO -"]))
        else:
            self.command("HELO client.net" if _chance(rng, 0.08) else "EHLO client.net")

    def parameters(self, usual, odd):
        rng, out = self.rng, ""
        while _chance(rng, 0.2):
            out += " " + rng.choice(usual)
        while self.is_odd():
            out += rng.choice([" ", "  ", "\t", ""]) + rng.choice(odd)
        return out

    # Commands ---------------------------------------------------------------------------------

    def mail(self):
        self.command("MAIL FROM:%s%s" % (self.sender(), self.parameters(
            ["SIZE=500", "BODY=8BITMIME", "RET=HDRS", "ENVID=id1", "SMTPUTF8"], ODD_PARAMETERS)))

    def rcpt(self):
        self.command("RCPT TO:%s%s" % (self.path(self.mailbox()), self.parameters(
            ["NOTIFY=FAILURE", "ORCPT=rfc822;u@x.com"], ODD_RCPT_PARAMETERS) if _chance(self.rng, 0.5) else ""))

    def recipients(self):
        rng = self.rng
        count = rng.choice([1, 1, 1, 2, 2, 3, 5, 10])
        if _chance(rng, 0.01):
            count = rng.choice([50, 260, 400])
        for _ in range(count):
            self.rcpt()

    def auth(self):
        rng = self.rng
        good = _chance(rng, 0.6)
        user, password = b"user", b"secret" if good else rng.choice([b"wrong", b"", b"secret\0"])
        plain = base64.b64encode(b"\0" + user + b"\0" + password)
        name, word = base64.b64encode(user), base64.b64encode(password)
        self.units += [u + b"\r\n" for u in rng.choice([
            [b"AUTH PLAIN " + plain], [b"AUTH PLAIN", plain], [b"AUTH LOGIN", name, word], [b"AUTH LOGIN " + name, word],
            [b"auth plain " + plain], [b"AUTH LOGIN", b"*"], [b"AUTH PLAIN", b"*"], [b"AUTH PLAIN ="], [b"AUTH PLAIN", b""],
            [b"AUTH LOGIN", b"MAIL FROM:<a@b.com>"], [b"AUTH CRAM-MD5"], [b"AUTH"], [b"AUTH PLAIN " + plain + b" x"],
            [b"AUTH  PLAIN  " + plain], [b"AUTH PLAIN " + b"A" * 13000], [b"AUTH PLAIN", b"A" * 13000]]
            if self.is_odd() else [[b"AUTH PLAIN " + plain], [b"AUTH PLAIN", plain], [b"AUTH LOGIN", name, word],
                                   [b"AUTH LOGIN " + name, word]])]

    def other(self):
        rng = self.rng
        self.command(rng.choice([
            "NOOP", "RSET", "VRFY user", "HELP", "NOOP x y", "EHLO again", "HELO again", "QUIT", "DATA", "STARTTLS",
            "EXPN list", "ETRN x", "XCLIENT ADDR=1.2.3.4", "XFORWARD ADDR=1.2.3.4", "TURN", "FOO", "", " ", "BDAT 0", "BDAT 0 LAST",
            "MAIL FROM:<a@b.com>", "RCPT TO:<u@self-0.com>", "RCPT TO:<u@guard-0.com>", "RSET x", "DATA x", "noop", "rset",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2", "GET / HTTP/1.0", "NOOP\x01", "VRFY ü", "x" * 600, "NOOP " + "x" * 5000, "QUIT x"]))

    # Messages ---------------------------------------------------------------------------------

    def line(self):
        rng = self.rng
        r = rng.random()
        if r < 0.25:
            return rng.choice(DOTS)
        if r < 0.3:
            return b"." * rng.randrange(1, 5) + b"y" * rng.choice([0, 1, 60, 996, 1000, 5000])
        if r < 0.35:
            return rng.choice([b"\xff\xfe\x80", "grüße".encode(), b"\x01\x02", b"\x7f", b"=20", b"From me"])
        return b"text " * rng.randrange(0, 12)

    def content(self):
        rng = self.rng
        lines = [b"Subject: %d" % rng.randrange(1000), b"From: <a@b.com>"][:rng.choice([2, 2, 1, 0])]
        if _chance(rng, 0.3):
            lines.append(b"X-Long: a\r\n\tb\r\n c")
        if _chance(rng, 0.9):
            lines.append(b"")
        lines += [self.line() for _ in range(rng.choice([0, 1, 3, 10]))]
        if _chance(rng, 0.03):
            lines += [self.line() for _ in range(rng.choice([300, 2000]))]
        text = b"".join(line + b"\r\n" for line in lines)
        if self.is_odd():
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(ENDS) + rng.choice([b"", SMUGGLED, SMUGGLED.replace(b"\r", b"")]) + text[at:]
        while self.is_odd():
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(NEWLINES) + text[at:]
        return text

    def data(self):
        text = self.content()
        self.command("DATA")
        stuffed = text if self.is_odd() else (b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:]
        if len(stuffed) > 3 and _chance(self.rng, 0.3):
            at = self.rng.randrange(len(stuffed))
            self.units += [stuffed[:at], stuffed[at:]]
        else:
            self.add(stuffed)
        self.command(".")

    def chunks(self):
        rng, text = self.rng, self.content()
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.choice([0, 0, 1, 2, 5])))
        if _chance(rng, 0.02):
            cuts = list(range(0, min(len(text), 150)))
        parts = [text[a:b] for a, b in zip([0] + cuts, cuts + [len(text)])]
        for i, part in enumerate(parts):
            size = len(part)
            if self.is_odd(0.5):
                size = max(0, size + rng.choice([-1, 1, -2, 2, 5, -5, 100]))
            last = " LAST" if i == len(parts) - 1 and not self.is_odd(0.5) else ""
            text = "BDAT %d%s" % (size, last)
            if self.is_odd(0.5):
                text = rng.choice(["bdat %d%s" % (size, last.lower()), "BDAT  %d %s" % (size, last), "BDAT %d LAST" % size,
                                   "BDAT 0%d%s" % (size, last), "BDAT %d%sX" % (size, last), "BDAT +%d%s" % (size, last),
                                   "BDAT%s" % last, "BDAT 99999999999999999999", "BDAT -1", "BDAT %d FIRST" % size,
                                   "BDAT 4294967%d" % (296 + size), "BDAT 0x%x" % size])
            self.command(text)
            self.add(part)
            if self.is_odd(0.5):
                self.command(rng.choice(["NOOP", "RSET", "MAIL FROM:<a@b.com>", "RCPT TO:<u@self-1.com>", "DATA", "FOO", "VRFY x"]))

    def transaction(self):
        rng = self.rng
        self.mail()
        self.recipients()
        self.chunks() if _chance(rng, 0.3) else self.data()

    def build(self):
        rng = self.rng
        if not self.is_odd(0.5):
            self.hello()
        if _chance(rng, 0.12):
            self.auth()
        for _ in range(rng.choice([1, 1, 2, 3])):
            self.transaction()
            while _chance(rng, 0.15):
                self.other()
        if _chance(rng, 0.75):
            self.command("QUIT")
            if self.is_odd():
                self.transaction()
        return self.units


def _edit(rng, unit):
    """One unit, a little wrong."""
    at = rng.randrange(len(unit) + 1)
    return rng.choice([
        lambda: unit[:at] + unit[at + 1:],
        lambda: unit[:at] + bytes([rng.randrange(256)]) + unit[at:],
        lambda: unit[:at] + rng.choice([b" ", b"\t", b"<", b">", b'"', b"\\", b"@", b":", b",", b"."]) + unit[at:],
        lambda: unit[:at] + bytes([rng.randrange(256)]) + unit[at + 1:],
        lambda: unit.swapcase(),
        lambda: unit[:at],
        lambda: unit[:at] + unit[max(0, at - rng.randrange(20)):],
        lambda: unit.replace(b"\r\n", rng.choice(NEWLINES), 1),
        lambda: unit[:-2] + rng.choice([b" ", b"  ", b"\t", b" x"]) + unit[-2:],
        lambda: unit.replace(b" ", rng.choice([b"  ", b"\t", b""]), 1),
        lambda: unit.replace(b":", b": ", 1),
    ])()


def mutate(rng, units):
    units = list(units)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 1, 2, 4])):
        if not units:
            break
        i, j = rng.randrange(len(units)), rng.randrange(len(units))
        kind = rng.random()
        if kind < 0.2:
            del units[i]
        elif kind < 0.35:
            units.insert(j, units[i])
        elif kind < 0.5:
            units[i], units[j] = units[j], units[i]
        elif kind < 0.6:
            other = Session(rng)
            other.odd = 0.3
            other.other()
            units[i:i] = other.units
        elif kind < 0.65:
            units[i:i] = Session(rng).build()[:rng.randrange(1, 6)]
        elif kind < 0.7:
            del units[i:]
        else:
            units[i] = _edit(rng, units[i])
    return units


def case(seed, number):
    rng = random.Random("%s/%d" % (seed, number))
    units = mutate(rng, Session(rng).build())
    wait = rng.choice([0, 0, 0.1, 0.5, 1])  # share of commands that a reply is waited for
    steps = []
    for unit in units:
        if not unit:
            continue
        steps.append(("send", unit))
        if rng.random() < wait:
            steps.append(("wait",))
        elif rng.random() < 0.02:
            steps.append(("pause", rng.choice([1, 5, 30])))
    size = sum(len(u) for u in units)
    pieces = rng.choice([0, 0, 0, 1, 2, 7, 64, 100, 1000])
    return Case(steps=steps, name="%s/%d" % (seed, number), pieces=max(pieces, size // 400) if pieces else 0,
                client=rng.choices(["bot", "fronted", "scanner", "trusted", "relay"], [66, 10, 12, 4, 8])[0],
                end=rng.choices(["quiet", "half", "abort"], [70, 20, 10])[0])
