"""Plays cases to both ways, several at a time, and has the outcome judged."""
import collections
import concurrent.futures
from dataclasses import dataclass

from . import oracle
from .case import Case
from .client import Heard, play
from .reference import Reference

AT_ONCE = 48  # most of them wait
ONLY_REFUSED = Case(steps=[("send", b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<u@guard-0.com>\r\nQUIT\r\n")])


@dataclass(eq=False)
class Leg:
    """A case and its sessions, by the addresses they came from."""

    case: Case
    through: str
    direct: str
    third: str = ""  # the reference's
    heard: Heard = None
    direct_heard: Heard = None
    run: Reference = None


class Batch:
    def __init__(self, world, stats=None):
        self.world = world
        self.stats = stats if stats is not None else collections.Counter()

    def run(self, cases):
        """A Finding or None for each; a Finding about the daemon is the last one's."""
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            legs = list(pool.map(self._both, cases))
            self.world.hung |= {leg.through for leg in legs if leg.heard.ended == ""}
            stored = self._take()
            out = [self._judge(leg, stored) for leg in legs]
            again = [leg for leg, f in zip(legs, out) if leg.run is None and leg.case.client != "trusted"
                     and f is not None and f.kind in ("stored", "answers", "endless")]
            list(pool.map(self._reference, again))
        more = self._take()
        out = [self._second(leg, f, stored, more) if leg in again else f for leg, f in zip(legs, out)]
        known = {a for leg in legs for a in (leg.through, leg.direct, leg.third)}
        stray = [m for told in (stored, more) for a, ms in told.items() if a not in known for m in ms]
        if stray and not any(out):
            out[-1] = oracle.Finding("stray", "messages of nobody:\n" + oracle.describe(stray))
        wrong = self.world.alive()
        if wrong:
            out[-1] = oracle.Finding("daemon", wrong)
        return out

    def _both(self, case):
        world = self.world
        leg = Leg(case, world.address(case.client), world.address(case.client))
        if oracle.needs_reference(case):
            self._reference(leg)
            expected = len(leg.run.codes)
        else:
            leg.direct_heard = play(case.but(end="quiet", pieces=0, steps=[s for s in case.steps if s[0] == "send"]),
                                    leg.direct, world.direct, world.transport)
            expected = len(oracle.without_farewell(leg.direct_heard.count()))
        if case.client == "fronted":
            play(ONLY_REFUSED, leg.through, world.front, world.transport)
        leg.heard = play(case, leg.through, world.front, world.transport, expected)
        return leg

    def _reference(self, leg):
        leg.third = self.world.address(leg.case.client)
        leg.run = Reference(leg.case.stream, leg.third, self.world.direct, self.world.doors, leg.case.client,
                            self.world.transport).run()

    def _take(self):
        self.world.settle()
        out = collections.defaultdict(list)
        for m in self.world.backend.take():
            out[m.address].append(m)
        return out

    def _judge(self, leg, stored):
        got = stored[leg.through]
        self.stats["cases"] += 1
        self.stats["messages"] += len(got)
        wrong = oracle.absolutes(leg.case, got, leg.heard, self.world.doors)
        if leg.run is not None:
            return wrong if wrong and wrong.kind != "endless" else self._second(leg, None, stored, stored)
        return wrong or oracle.compare(leg.case, got, leg.heard, stored[leg.direct], leg.direct_heard)

    def _second(self, leg, first, stored, more):
        """first: how it differs from direct delivery."""
        run = leg.run
        if leg.heard.ended == "" and not run.hung:
            return oracle.Finding("endless", "the session did not end")
        wrong = oracle.judge(leg.case, stored[leg.through], leg.heard, run, more[leg.third])
        if wrong is None:
            self.stats["entitled"] += bool(run.rules)
            for rule in run.rules:
                self.stats["rule " + rule] += 1
            # A backend that hangs: frontdoor gives it the time of RFC 5321 4.5.3.2 to answer.
            self.stats["hanging"] += run.hung
            if not run.rules and first and not run.hung:
                wrong = oracle.Finding(first.kind, first.text + "\n  and no rule applies")
        return wrong
