"""BDAT: octets that look like ends and commands are none, however the chunks are cut; sizes at the limits; chunks
that the backend does not get; and chunks of one octet by the hundred thousand."""
import itertools
import threading
import time

from lab import mail
from stage import matrix, model, wire

PLACES = {
    "body": b"Subject: x\r\nX-Token: %s\r\n\r\ntext",
    "header": b"Subject: x\r\nX-Token: %s\r\nX-More: text",
}
FRAMINGS = {
    "one": lambda text, inside, edges: [text],
    "many": lambda text, inside, edges: wire.cut(text, "octets", inside, edges),
    "empty": lambda text, inside, edges: wire.cut(text, "split", inside, edges) + [b""],  # BDAT 0 LAST
    "unended": lambda text, inside, edges: [text[:edges[1]], text[edges[1]:-2]],  # the last line has no CRLF
}


class Cell(matrix.Cell):
    def __init__(self, case, backend, way, place, framing, packets, row):
        super().__init__(case, backend, way)
        self.name, *parts = row
        lead = PLACES[place] % self.token.encode()
        text = lead + b"".join(parts) + self.transaction()
        edges = list(itertools.accumulate(map(len, [lead] + parts)))
        chunks = FRAMINGS[framing](text, range(edges[0], edges[-1] + 2), edges)
        self.count = len(chunks)
        octets = wire.chunks(chunks)
        first = octets.index(b"BDAT", len(chunks[0])) if self.count > 1 else edges[0]
        ends = list(itertools.accumulate(len(wire.chunks([c, b""])) - len(b"BDAT 0 LAST\r\n") for c in chunks))
        self.pieces = wire.cut(octets, packets, range(first, min(first + 150, len(octets))), ends)

    def session(self, stage, way):
        return wire.by_bdat(stage, way, self.client, self.sender, [self.recipient], self.pieces)

    def faults(self):
        """A server may refuse a header like these, but must not take anything in it for more than that."""
        faults, codes = [], self.told.codes
        taken = all(code == 250 for code in codes[:self.count])
        if self.senders() != [self.sender] * taken:
            faults.append("messages")
        elif taken and self.stored[0].recipients != [self.recipient]:
            faults.append("recipients")
        if len(codes) != self.count + 1 or codes[-1] != 221:
            faults.append("replies")
        return faults


class Chunks(matrix.Matrix):
    """Each cell is played directly as well: what is stored must be the same."""

    def cells(self, backend, way, place, framing, packets):
        self.need(backend)
        rows = model.sequences(dots=(1,))
        return self.play(backend, [Cell(self, backend, way, place, framing, packets, row) for row in rows])

    def through(self, backend, place, framing, *packets):
        direct = self.cells(backend, "direct", place, framing, "whole")
        if place == "body":
            self.assert_no_faults(direct)
            self.assertTrue(all(c.stored for c in direct))
        for way, how in itertools.product(("normalize", "reject"), packets):
            cells = self.cells(backend, way, place, framing, how)
            self.assert_no_faults(cells)
            for a, b in zip(direct, cells):
                self.assertEqual(a.content(), b.content(), "%s, %s: %s: stored content" % (way, how, a.name))


for _backend in ("exim", "postfix", "lenient"):
    for _framing, _packets in (("one", ["whole"]), ("many", ["whole", "octets"]), ("empty", ["split"]),
                               ("unended", ["split"])):
        matrix.generate(Chunks, "through", Chunks.through, _backend, "body", _framing, *_packets)
    matrix.generate(Chunks, "through", Chunks.through, _backend, "header", "many", "whole")


# What a client may say of a chunk's size, with five octets and a transaction behind it.
SAME = [250, 250, 550, 250, 354, 250, 221]  # the chunk is the message, the transaction is one
SIZES = {
    "5 LAST": SAME, "5 last": SAME, "05 LAST": SAME, "000000000000000000000000000000005 LAST": SAME,
    "  5   LAST  ": SAME, "5\tLAST": SAME,
    "": [501], "LAST": [501], "x": [501], "+5 LAST": [501], "-5 LAST": [501], "-1": [501], "0x5 LAST": [501],
    "5LAST": [501], "5 LAST LAST": [501], "5 LATE": [501], "5 LASTLY": [501], "5.0 LAST": [501], "5,LAST": [501],
    "5 5": [501], "٥ LAST": [501], "5e0 LAST": [501],
    "2147481647": [], "2147481648 LAST": [552], "2147483647 LAST": [552], "2147483648 LAST": [552],
    "4294967295 LAST": [552], "4294967296 LAST": [552], "4294967301 LAST": [552], "9223372036854775807 LAST": [552],
    "9223372036854775808 LAST": [501], "18446744073709551615 LAST": [501], "18446744073709551616 LAST": [501],
    "18446744073709551621 LAST": [501], "1%s LAST" % ("0" * 400): [501],
}


class SizeCell(matrix.Cell):
    def __init__(self, case, backend, way, name):
        super().__init__(case, backend, way)
        self.name = repr(name)
        self.octets = b"BDAT %s\r\nX: yz" % name.encode() + self.transaction()
        self.codes = SIZES[name]

    def session(self, stage, way):
        return wire.by_bdat(stage, way, self.client, self.sender, [self.recipient], self.octets, half=True)

    def faults(self):
        faults = []
        wanted = sorted([self.sender, self.smuggled]) if self.codes == SAME else []
        if self.senders() != wanted:
            faults.append("messages")
        elif any(m.sender == self.smuggled and m.recipients != [self.free] for m in self.stored):
            faults.append("recipients")
        if self.told.codes != self.codes:
            faults.append("replies")
        return faults


class Sizes(matrix.Matrix):
    def sizes(self, backend):
        self.need(backend)
        direct = self.play(backend, [SizeCell(self, backend, "direct", n) for n in SIZES])
        print("     %s: takes for commands what follows %s" % (backend, ", ".join(
            "BDAT " + c.name for c in direct if c.codes != SAME and c.smuggled in c.senders())[:600] or "none"), flush=True)
        for way in ("normalize", "reject"):
            self.assert_no_faults(self.play(backend, [SizeCell(self, backend, way, n) for n in SIZES]))


for _backend in ("exim", "postfix", "lenient"):
    matrix.generate(Sizes, "at_the_limits", Sizes.sizes, _backend)


class RefusedCell(matrix.Cell):
    """No recipient may get the message: its chunks, commands in them or not, are for nobody. A message for
    another one follows."""

    def __init__(self, case, backend, way, name):
        super().__init__(case, backend, way)
        self.name = name
        inside = self.transaction()
        octets = {
            "one": wire.chunks([inside]), "two": wire.chunks([inside, inside]), "bytes": wire.chunks(
                [inside[i:i + 1] for i in range(len(inside))]),
            "without LAST": b"BDAT %d\r\n%s" % (len(inside), inside),
            "size in the octets": b"BDAT %d\r\n%sBDAT 3 LAST\r\nabc" % (len(inside) + 10, inside + b"BDAT 3 LAST"[:10]),
        }[name]
        self.count = octets.count(b"BDAT ") - (name == "size in the octets")
        self.octets = octets + (b"RSET\r\n" + wire.envelope(self.sender, [self.free])
                                + wire.chunks([b"X: y\r\n\r\nx\r\n"]))

    def session(self, stage, way):
        with wire.open_session(stage, way, self.client) as c:
            c.send(wire.envelope(self.sender, [self.shut]) + self.octets)
            wire.send(c, [b"QUIT\r\n"])
            return wire.read_all(c)

    def faults(self):
        faults = []
        if self.senders() != [self.sender]:
            faults.append("messages")
        elif self.stored[0].recipients != [self.free]:
            faults.append("recipients")
        # 503 when the backend was told of the message and it has failed, 554 when not
        if self.told.codes != [250, 550] + [554] * self.count + [250, 250, 250, 250, 221]:
            faults.append("replies")
        return faults


class Refused(matrix.Matrix):
    NAMES = ("one", "two", "bytes", "without LAST", "size in the octets")

    def refused(self, backend):
        self.need(backend)
        cells = self.play(backend, [RefusedCell(self, backend, way, n) for way in ("normalize", "reject")
                                    for n in self.NAMES])
        self.assert_no_faults(cells)

    def test_for_nobody_lenient_copied_turns_red(self):
        names = [n for n in self.NAMES if n != "without LAST"]
        cells = self.play("lenient", [RefusedCell(self, "lenient", "copied", n) for n in names])
        self.assertEqual([c.name for c in cells if "messages" in c.faults()], names)

    def test_after_the_backend_refused_a_chunk(self):
        """Postfix refuses what exceeds its limit; the chunks behind it are not its commands."""
        self.need("postfix")
        sender, client = "large-%s@lab-sender.net" % matrix.token(), self.bot()
        inside = wire.envelope(sender, ["free@" + self.name("self")]) + b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"
        for way in ("normalize", "reject"):
            told = wire.by_bdat(self.place, self.place.ways["postfix", way], client, sender,
                                ["user@" + self.name("self")],
                                b"BDAT 11000000\r\n" + b"X: " + b"x" * 10999995 + b"\r\n" + wire.chunks([inside, inside]))
            self.assertEqual(told.codes, [552, 503, 503, 221], told)
            server = self.place.backends["postfix"]
            self.settle(server, {client})
            self.assertEqual(server.stored({sender}), [])


for _backend in ("exim", "postfix", "lenient"):
    matrix.generate(Refused, "for_nobody", Refused.refused, _backend)


class FailedCell(matrix.Cell):
    """A chunk of no octets in mid-message, which real servers refuse; and the octets of the next one."""

    name = "BDAT 0"

    def session(self, stage, way):
        octets = b"BDAT 1\r\nXBDAT 0\r\n" + wire.chunks([b"RSET\r\n" + self.transaction()]) + b"RSET\r\n"
        return wire.by_bdat(stage, way, self.client, self.sender, [self.recipient], octets)

    def faults(self):
        faults = []
        if self.smuggled in self.senders():
            faults.append("messages")
        # Exim closes the connection at RSET.
        if self.told.codes not in ([250, 504, 503, 421], [250, 551, 503, 250, 221]):
            faults.append("replies")
        return faults


class CutCell(matrix.Cell):
    """The message ends with half of a CRLF, and commands follow."""

    def __init__(self, case, backend, way, text):
        super().__init__(case, backend, way)
        self.name, self.text = repr(text), text

    def session(self, stage, way):
        replies = []
        with wire.open_session(stage, way, self.client) as c:
            c.send(wire.envelope(self.sender, [self.recipient]))
            for _ in range(2):
                c.read()
            c.send(wire.chunks([self.text]) + b"NOOP\r\n" + self.transaction())
            try:
                c.sock.settimeout(3)  # a server that waits for more never answers
                replies.append(c.read())
                c.sock.settimeout(20 if self.refuses else 3)
                while len(replies) < 7:
                    replies.append(c.read())
            except mail.Closed:
                pass
            self.case.abort(c)
        return wire.Told(replies)

    def faults(self):
        """Whether the server takes such a message is its own affair; it is as long as it is."""
        faults = []
        if any(b"NOOP" in m.content for m in self.stored):
            faults.append("content")
        if self.told.codes not in ([], [250, 250, 250, 550, 250, 354, 250], [552, 250, 250, 550, 250, 354, 250]):
            faults.append("replies")
        return faults


class OutOfStep(matrix.Matrix):
    """Where the server itself loses its place."""

    def test_exim_after_a_refused_chunk(self):
        direct, = self.play("exim", [FailedCell(self, "exim", "direct")])
        print("     exim: after a refused BDAT 0 a chunk's octets are %s" % (
            "COMMANDS" if "messages" in direct.faults() else "none of its commands"), flush=True)
        self.assert_no_faults(self.play("exim", [FailedCell(self, "exim", w) for w in ("normalize", "reject")]))

    def test_postfix_after_a_refused_chunk(self):
        self.assert_no_faults(self.play("postfix", [FailedCell(self, "postfix", w) for w in ("normalize", "reject")]))

    def cut_short(self, backend):
        texts = (b"X: y\r", b"X: y\r\n\r", b"\r", b"X: y\r\n.\r", b"X: y", b"X", b"X: y\n", b"X: y\r\n\r\nabc\r",
                 b"X: y\r\n\r\n.\r", b"X: y\r\n\r\n.", b"X: y\r\n\r\n\r\n.\r")
        direct = self.play(backend, [CutCell(self, backend, "direct", t) for t in texts])
        print("     %s: takes commands for more of a message that ends so: %s" % (
            backend, ", ".join(c.name for c in direct if "content" in c.faults()) or "none"), flush=True)
        for way in ("normalize", "reject"):
            self.assert_no_faults(self.play(backend, [CutCell(self, backend, way, t) for t in texts]))


for _backend in ("exim", "postfix"):
    matrix.generate(OutOfStep, "cut_short", OutOfStep.cut_short, _backend)


class Tiny(matrix.Matrix):
    slow = 20
    COUNT = 100000

    def tiny(self, backend):
        server = self.need(backend)
        d = self.serve(server, limits={"commands": 0})
        text = b"Subject: x\r\n\r\n" + (b"0123456789 tiny chunks\r\n.\r\n\n.\n" * (self.COUNT // 30 + 1))
        text = text[:self.COUNT - 2] + b"\r\n"
        sender, client = "tiny-%s@lab-sender.net" % matrix.token(), self.bot()
        with self.connect(d, client, timeout=60) as c:
            c.cmd("MAIL FROM:<%s>" % sender)
            self.assert_code(c.cmd("RCPT TO:<user@%s>" % self.name("self")), 250)
            octets = wire.chunks([text[i:i + 1] for i in range(len(text))])
            sending = threading.Thread(target=wire.send, args=(c, [octets]), daemon=True)
            before = most = self.place.resident(d.pid)
            start = time.monotonic()
            sending.start()
            for i in range(self.COUNT):
                self.assertEqual(c.read().code, 250, i)
                if i % 500 == 0:
                    most = max(most, self.place.resident(d.pid))
            spent = time.monotonic() - start
            sending.join()
            self.assert_code(c.cmd("QUIT"), 221)
        print("     %s: %d chunks of one octet in %.1f s; resident %d KiB before, at most %d KiB"
              % (backend, self.COUNT, spent, before, most), flush=True)
        self.assertLess(most - before, 2048)
        self.settle(server, {client})
        found = server.stored({sender})
        self.assertEqual([m.recipients for m in found], [["user@" + self.name("self")]])
        direct = "clean-%s@lab-sender.net" % matrix.token()
        wire.by_bdat(self.place, self.place.ways[backend, "direct"], client, direct, ["user@" + self.name("self")],
                     wire.chunks([text]))
        self.settle(server, {client})
        self.assertTrue(found[0].content == server.stored({direct})[0].content, "stored content")


for _backend in ("exim", "postfix"):
    matrix.generate(Tiny, "chunks", Tiny.tiny, _backend)
