"""Dots, CRs and LFs at the edges of buffers: such a sequence at each multiple of the sizes that buffers have, and
up to three octets beside it. Stored messages are compared to the octet."""
import functools
import itertools

from stage import matrix, model, wire

EDGES = (4096, 8192, 16384, 65536, 131072)
BESIDE = range(-3, 4)
LINE = b"0123456789" * 7 + b"\r\n"
# As a message has them, and so stuffed on the wire.
CLEAN = [b"\r\n.\r\n", b"\r\n..\r\n...\r\n", b"\r\n.x\r\n", b"\r\n\r\n\r\n", b"\r\n.\r\n.\r\n"]
# As a client sends them that isn't clean.
DIRTY = [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r\r\n", b"\r.\r\n", b"\r\n.\0\r\n", b"\n..\n", b"\r\n..\n.\r"]


def fill(octets):
    """So many, lines; the last one is begun only, and begins with no dot."""
    return (LINE * (octets // len(LINE) + 1))[:octets - 1].rstrip(b"\r\n").ljust(octets - 1, b"x") + b"x"


def at_edges(head, sequence, meaning, beside):
    """Octets with the sequence at all multiples of the smallest edge; and the same with what it means instead."""
    octets, stored = bytearray(head), bytearray(head)
    for edge in range(EDGES[0], EDGES[-1] + 1, EDGES[0]):
        text = fill(edge + beside - len(octets))
        octets += text + sequence
        stored += text + meaning
    return bytes(octets + b"last\r\n"), bytes(stored + b"last\r\n")


def ending_at(head, position):
    text = head + fill(position - len(head)) + b"\r\n"
    return text, text


class Cell(matrix.Cell):
    """name: how it is called; message: function of the first lines, gives octets as sent, and as they are meant."""

    def __init__(self, case, backend, way, name, message, is_bare, chunked, cut):
        super().__init__(case, backend, way)
        self.name, self.chunked, self.count = name, chunked, 1
        self.refused = is_bare and way == "reject"
        octets, wanted = message(b"X-Token: %s\r\n\r\n" % self.token.encode())
        self.wanted = wanted.replace(b"\r\n", b"\n")
        octets = octets if chunked else octets + b".\r\n"
        self.pieces = [octets[i:i + cut] for i in range(0, len(octets), cut)] if cut else [octets]
        if chunked:
            self.count = len(self.pieces)
            self.pieces = [wire.chunks(self.pieces)]

    def session(self, stage, way):
        play = wire.by_bdat if self.chunked else wire.by_data
        return play(stage, way, self.client, self.sender, [self.recipient], self.pieces)

    def faults(self):
        faults = []
        if self.senders() != ([] if self.refused else [self.sender]):
            faults.append("messages")
        elif not self.refused and self.stored[0].content != self.wanted:
            faults.append("content")
        if self.told.codes != ([550] if self.refused else [250] * self.count) + [221]:
            faults.append("replies")
        self.stored = [m.sender for m in self.stored]  # too much to look at
        return faults


class Edges(matrix.Matrix):
    def cells(self, backend, way, framing, cut):
        chunked, cells = framing == "chunks", []

        def add(name, message, is_bare=False):
            cells.append(Cell(self, backend, way, name, message, is_bare, chunked, int(cut)))

        for beside in BESIDE:
            for meaning in CLEAN:
                # What a chunk has is not stuffed.
                sequence = meaning if chunked else model.stuff(meaning)
                add("%r at %+d" % (sequence, beside), functools.partial(
                    at_edges, sequence=sequence, meaning=meaning, beside=beside))
            for sequence in DIRTY if not chunked else ():
                meaning = model.content(b"x" + sequence + b"y\r\n.\r\n")[1:-3]
                add("%r on the wire at %+d" % (sequence, beside), functools.partial(
                    at_edges, sequence=sequence, meaning=meaning, beside=beside), model.is_bare(sequence))
        for edge, beside in itertools.product(EDGES, range(-5, 4)):
            add("end at %d%+d" % (edge, beside), functools.partial(ending_at, position=edge + beside))
        return cells

    def edges(self, *how):
        self.need(how[0])
        self.assert_no_faults(self.play(how[0], self.cells(*how)))


for _backend in ("exim", "postfix", "lenient"):
    for _way, _framing, _cut in (("normalize", "data", "0"), ("normalize", "data", "4096"), ("reject", "data", "0"),
                                 ("normalize", "chunks", "4096"), ("normalize", "chunks", "16381")):
        matrix.generate(Edges, "of_buffers", Edges.edges, _backend, _way, _framing, _cut)
