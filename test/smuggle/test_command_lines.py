"""Command lines that servers may see differently: bare CR, bare LF and NUL in them, and lines over any limit. One
such line stands in a transaction; it must get one reply, and nothing that is inside it may happen."""
import time

from lab import mail
from stage import matrix, wire

ODD = {"LF": b"\n", "CR": b"\r", "NUL": b"\0", "LFCR": b"\n\r", "CRCR": b"\r\r", "CRNUL": b"\r\0", "CRNULLF": b"\r\0\n",
       "NULLF": b"\0\n", "LFLF": b"\n\n"}
# %s: the odd octets, and then what must not happen: here the shut recipient is added.
LINES = ["NOOP%s{shut}", "NOOP x%s{shut}", "RSET%s{shut}", "VRFY x%s{shut}", "HELP%s{shut}", "MAIL FROM:<x@lab-sender.net>%s{shut}",
         "MAIL FROM:<x%s{shut}", "RCPT TO:<%s{shut}", "RCPT TO:<user@{domain}>%s{shut}", "RCPT TO:<user@{domain}> NOTIFY=NEVER%s{shut}",
         "EHLO lab-sender.net%s{shut}", "EHLO a%s{shut}", "HELO a%s{shut}", "%s{shut}", "BDAT 1%s{shut}",
         "AUTH PLAIN AAAA%s{shut}", "STARTTLS%s{shut}", "ETRN x%s{shut}", "XCLIENT ADDR=127.0.0.1%s{shut}", "nonsense%s{shut}"]
# At the end of a line, nothing is hidden.
ENDS = ["NOOP%s", "RCPT TO:<user@{domain}>%s", "DATA%s", "QUIT%s", "RSET%s", "BDAT 1 LAST%s"]


class Cell(matrix.Cell):
    """MAIL and RCPT, the line, and the rest of the transaction, each waiting for its reply as clients do that don't
    pipeline, or all at once."""

    def __init__(self, case, backend, way, name, line, pipelined=True):
        super().__init__(case, backend, way)
        self.name, self.pipelined = name, pipelined
        shut = b"RCPT TO:<%s>" % self.shut.encode()
        self.line = line.replace(b"{shut}", shut).replace(b"{domain}", case.name("self", 2).encode())

    def session(self, stage, way):
        start = wire.envelope(self.sender, [self.free])
        data = b"X-Token: %s\r\n\r\nx\r\n.\r\n" % self.token.encode()
        with wire.open_session(stage, way, self.client) as c:
            if self.pipelined:
                wire.send(c, [start + self.line + b"\r\nDATA\r\n" + data + b"QUIT\r\n"])
            else:
                wire.send(c, [start, self.line, b"\r\n", b"DATA\r\n", data, b"QUIT\r\n"])
            if not self.refuses:
                wire.half_close(c)  # fooled, it may wait for more
            return wire.read_all(c)

    def fooled(self):
        return any(self.shut in m.recipients for m in self.stored)

    def faults(self):
        faults = []
        if self.senders() != [self.sender]:
            faults.append("messages")
        elif self.stored[0].recipients != [self.free]:
            faults.append("recipients")
        if self.told.codes != [250, 250, 500, 354, 250, 221]:
            faults.append("replies")
        return faults


class Newlines(matrix.Matrix):
    def cells(self, backend, way, pipelined=True):
        self.need(backend)
        cells = [Cell(self, backend, way, "%s: %s" % (line, name), line.encode().replace(b"%s", odd), pipelined)
                 for line in LINES + ENDS for name, odd in ODD.items()]
        return self.play(backend, cells)

    def through(self, backend):
        for way, pipelined in (("normalize", True), ("reject", False)):
            cells = self.cells(backend, way, pipelined)
            self.assert_no_faults(cells)
        if backend == "lenient":
            self.assert_not_said(cells)

    def assert_not_said(self, cells):
        """The backend was told nothing but the transaction."""
        said = {}
        for client, command in self.place.backends["lenient"].commands:
            said.setdefault(client, []).append(command)
        for c in cells:
            self.assertEqual(said[c.client][1:], [
                "MAIL FROM:<%s>" % c.sender, "RCPT TO:<%s>" % c.free, "DATA", "QUIT"], c.name)

    def can_fail(self, backend):
        direct, copied = self.cells(backend, "direct"), self.cells(backend, "copied")
        fooled = {c.name for c in direct if c.fooled()}
        print("     %s: %d of %d command lines fool the bare server, by %s" % (
            backend, len(fooled), len(direct), ", ".join(sorted({n.rsplit(" ", 1)[1] for n in fooled}))), flush=True)
        self.assertEqual({c.name for c in copied if c.fooled()}, fooled)
        self.assertTrue(all(c.faults() for c in copied if c.name in fooled))
        self.assertGreater(len(fooled), 30)


for _backend in ("exim", "postfix", "lenient"):
    matrix.generate(Newlines, "in_commands", Newlines.through, _backend)
    matrix.generate(Newlines, "without", Newlines.can_fail, _backend)


class LongCell(Cell):
    """The hidden command stands at an octet where a server may cut a line that is too long for it. What is short
    enough to be passed on is the backend's to judge."""

    def faults(self):
        faults, codes = super().faults(), self.told.codes
        if codes[:2] + codes[3:] == [250, 250, 354, 250, 221] and (len(self.line) <= 510 or codes[2] == 501):
            faults = [f for f in faults if f != "replies"]
        return faults


class Long(matrix.Matrix):
    CUTS = [256, 510, 511, 512, 513, 998, 1000, 1001, 1002, 1022, 1023, 1024, 2046, 2047, 2048, 2049, 4094, 4095, 4096,
            4097, 8192, 12286, 12288, 12290, 16384, 65536, 1 << 20]

    def long(self, backend):
        self.need(backend)
        lines = [(verb, cut, (verb + b"x" * cut)[:cut] + b"{shut}") for verb in (b"NOOP ", b"VRFY ", b"HELP ", b"x")
                 for cut in self.CUTS]
        direct = self.play(backend, [LongCell(self, backend, "direct", "%s%d" % (v[0].decode(), v[1]), v[2]) for v in lines])
        print("     %s: long lines that fool the bare server: %s" % (
            backend, ", ".join(c.name for c in direct if c.fooled()) or "none"), flush=True)
        for way, pipelined in (("normalize", True), ("reject", False)):
            self.assert_no_faults(self.play(backend, [LongCell(self, backend, way, "%s%d" % (v[0].decode(), v[1]), v[2], pipelined)
                                                      for v in lines]))

    def test_without_end(self):
        """A line that does not end costs nothing, however long it is."""
        d = self.serve(self.place.backends["lenient"])
        before = None  # at rest: the doors of the domains hosted take their pages soon after the start
        while before != self.place.resident(d.pid):
            before = self.place.resident(d.pid)
            time.sleep(1)
        with self.connect(d, self.bot()) as c:
            for _ in range(64):
                c.send(b"x" * (1 << 20))
            self.assert_code(c.read(), 500)
            self.assertLess(self.place.resident(d.pid) - before, 2048)
            c.send(b"\r\nNOOP\r\n")
            self.assert_code(c.read(), 250)


for _backend in ("exim", "postfix", "lenient"):
    matrix.generate(Long, "lines", Long.long, _backend)
