"""Whatever some server might take for the end of data, with a transaction behind it: in DATA.

A cell is one such sequence, one way to one backend. Those on the direct way show where the bare backend is fooled;
those through frontdoor assert how many messages were stored, for whom, with what content, and what the client
was told. A proxy that only copies shows that the assertions can fail: just where the backend is fooled.
"""
import itertools

from stage import matrix, model, wire

# What stands before the sequence.
PLACES = {
    "body": b"Subject: x\r\nX-Token: %s\r\n\r\ntext",
    "header": b"Subject: x\r\nX-Token: %s\r\nX-More: text",
    "lf-first": b"Subject: x\nX-Token: %s\r\n\r\ntext",  # Exim takes a first LF for its client's newline
}


class Cell(matrix.Cell):
    def __init__(self, case, backend, way, place, packets, row):
        super().__init__(case, backend, way)
        self.name, before, dots, after = row
        lead = PLACES[place] % self.token.encode()
        stream = lead + before + dots + after + self.transaction()
        edges = list(itertools.accumulate(map(len, (lead, before, dots, after))))
        self.pieces = wire.cut(stream, packets, range(edges[0], edges[-1] + 2), edges)
        self.message, self.rest = model.split(stream)

    def session(self, stage, way):
        return wire.by_data(stage, way, self.client, self.sender, [self.recipient], self.pieces)

    def wanted(self):
        """(codes, {sender: recipients}) in strict framing."""
        if self.way == "reject" and model.is_bare(self.message):
            # The backend still waits for an end; the session is given up.
            return ([550, 421] if self.rest else [550, 221]), {}
        codes, stored = [250], {self.sender: [self.recipient]}
        if self.rest:
            codes += [250, 550 if self.refuses else 250, 250, 354, 250]
            stored[self.smuggled] = sorted([self.free] + [self.shut] * (not self.refuses))
        return codes + [221], stored

    def fooled(self):
        """Other messages than those that the client's strict framing has."""
        return self.senders() != sorted(self.wanted()[1])

    def faults(self):
        codes, wanted = self.wanted()
        faults = []
        if self.fooled():
            faults.append("messages")
        elif any(m.recipients != wanted[m.sender] for m in self.stored):
            faults.append("recipients")
        if self.told.codes != codes:
            faults.append("replies")
        if self.content() not in (None, matrix.REFERENCE[self.backend, self.clean()]):
            faults.append("content")
        if self.case.place.can_be_client and any(m.client != self.client for m in self.stored):
            faults.append("client")
        return faults

    def clean(self):
        return matrix.without_token(model.content(self.message))


def table(cells):
    """Which cells were fooled, with one dot: rows are what stands before it, columns what is behind."""
    cell = {c.name: c for c in cells}

    def mark(before, after):
        c = cell["%s . %s" % (before, after)]
        return "FOOLED" if c.fooled() else "end" if c.rest else "-"

    rows = ["     %-8s %s" % ("", " ".join("%-7s" % a for a in model.AFTER))]
    rows += ["     %-8s %s" % (b, " ".join("%-7s" % mark(b, a) for a in model.AFTER)) for b in model.BEFORE]
    other = sorted(c.name for c in cells if c.fooled() and " . " not in c.name)
    return "\n".join(rows + (["     and " + ", ".join(other)] if other else []))


class Data(matrix.Matrix):
    def cells(self, backend, way, place, packets="whole"):
        self.need(backend)
        rows = model.sequences() if place == "body" else model.sequences(dots=(1,))
        return self.play(backend, [Cell(self, backend, way, place, packets, row) for row in rows])

    def through(self, backend, way, place, packets):
        cells = self.cells(backend, way, place, packets)
        self.learn(backend, [c.clean() for c in cells])
        self.assert_no_faults(cells)

    def can_fail(self, backend, place):
        """Directly, and the same through the copier: what fools the backend turns its cell red."""
        direct = self.cells(backend, "direct", place)
        copied = self.cells(backend, "copied", place)
        fooled = {c.name for c in direct if c.fooled()}
        print("     %s, %s: %d of %d sequences fool the bare server\n%s" % (
            backend, place, len(fooled), len(direct), table(direct)), flush=True)
        self.learn(backend, [c.clean() for c in copied])
        red = {c.name for c in copied if "messages" in c.faults()}
        self.assertEqual(red, fooled)
        # Octets are what they were for the backend: a replay differs in nothing.
        for a, b in zip(direct, copied):
            self.assertEqual((a.told.codes, len(a.stored), a.content()), (b.told.codes, len(b.stored), b.content()), a.name)
        # These two are set up to be fooled; a run in which they are not shows nothing.
        self.assertGreaterEqual(len(fooled), {"lenient": 40, "postfix": 10}.get(backend, 0))


for _backend in ("exim", "postfix", "lenient"):
    for _place in PLACES:
        matrix.generate(Data, "without", Data.can_fail, _backend, _place)
        for _way in ("normalize", "reject"):
            for _packets in ("whole", "octets", "split") if _place == "body" else ("whole", "octets"):
                matrix.generate(Data, "through", Data.through, _backend, _way, _place, _packets)
