"""What one process does: a backend with frontdoor before it, the fixed cases, then generated ones."""
import collections
import os
import time

from . import grammar, oracle, relays, shrink
from .batch import AT_ONCE, Batch
from .world import World

SIZE = AT_ONCE * 2  # of a batch
GROWTH = 3 * 1024  # KiB that the daemon may grow by, besides doubling what it took after the first batches
EXCERPT = 4000  # octets of a case that are printed


class Worker:
    def __init__(self, place, backend, args, told):
        self.backend, self.args, self.told = backend, args, told
        self.world = World(place, backend, relays.RELAYS[args.relay] if args.relay else None, args.tls)
        self.stats = collections.Counter()
        self.batch = Batch(self.world, self.stats)
        self.findings = 0
        self.usual = None  # memory after a warm-up

    def tell(self, word, text):
        self.told.put((self.backend, word, text))

    def run(self, fixed, seeds):
        for c, finding in zip(fixed, self._tried(fixed)):
            if finding:
                self._found(c, finding, minimize=not self.args.replay)
            else:
                self.tell("ok", c.name)
        for seed in seeds:
            if self.findings < self.args.enough:
                self._generated(*seed)
        wrong = self.world.stop()
        if wrong:
            self.tell("FAIL", "at the end " + wrong)

    def _tried(self, cases):
        """Findings, with the daemon alive again after each."""
        out = []
        for at in range(0, len(cases), SIZE):
            some = cases[at:at + SIZE]
            found = self.batch.run(some)
            if any(f and f.kind == "daemon" for f in found):
                found = self._one_by_one(some)
            out += found
        return out

    def _one_by_one(self, cases):
        """One of them killed the daemon: which?"""
        out = []
        for c in cases:
            self.world.revive()
            out += self.batch.run([c])
        self.world.revive()
        return out

    def _generated(self, seed, first, count, seconds):
        end = time.monotonic() + seconds if seconds else None
        number, before, start = first, self.findings, time.monotonic()
        self.stats.clear()
        while self.findings < self.args.enough and (time.monotonic() < end if end else number < first + count):
            some = [grammar.case(seed, n) for n in range(number, number + SIZE)]
            number += SIZE
            for c, finding in zip(some, self._tried(some)):
                if finding and self.findings < self.args.enough:
                    self._found(c, finding, some)
            self._memory()
        word = "ok" if self.findings == before else "FAIL"
        self.tell(word, "seed %s, cases %d to %d: %s; %.0f a second%s" % (
            seed, first, number - 1, self._summary(), (number - first) / (time.monotonic() - start),
            "" if word == "ok" else "; %d findings" % (self.findings - before)))

    def _summary(self):
        rules = sorted((k[5:], v) for k, v in self.stats.items() if k.startswith("rule "))
        return "%d messages, %d sessions differ as they may (%s); in %d the server hangs" % (
            self.stats["messages"], self.stats["entitled"], ", ".join("%s %d" % r for r in rules), self.stats["hanging"])

    def _memory(self):
        now = self.world.resident()
        if self.usual is None and self.stats["cases"] >= 4 * SIZE:
            self.usual = now
        if self.usual and now > 2 * self.usual + GROWTH:
            self.findings += 1
            self.tell("FAIL", "the daemon's memory grew from %d KiB to %d KiB" % (self.usual, now))
            self.usual = now

    # Findings ---------------------------------------------------------------------------------

    def _fails(self, kind):
        return lambda cases: [f is not None and f.kind == kind for f in self._tried(cases)]

    def _found(self, c, finding, company=(), minimize=True):
        fails = self._fails(finding.kind)
        minimize = minimize and self.args.shrink > 0
        if minimize and not any(fails([c] * 4)) and not any(fails(list(company) or [c] * SIZE)):
            self.tell("note", "%s: seen once and not again: %s: %s" % (c.name, finding.kind, finding.text))
            return
        self.findings += 1
        if minimize:
            small = shrink.Shrinker(fails, self.args.shrink).run(c)
            again = self._tried([small])[0]
            if again and again.kind == finding.kind:
                c, finding = small.but(name=c.name), again
        os.makedirs(self.args.found, exist_ok=True)
        path = os.path.join(self.args.found, "%s-%s-%s.case" % (self.backend, c.name.replace("/", "-"), finding.kind))
        if not self.args.replay:
            with open(path, "w", encoding="latin-1") as f:
                f.write(c.but(about="%s\n%s" % (finding.kind, c.name), backend=self.backend).text())
        self.tell("FAIL", "%s: %s\n  %s\nrepeat: test/differential/run --replay %s\n%s" % (
            c.name, finding.kind, finding.text, path, c.text()[:EXCERPT]))
