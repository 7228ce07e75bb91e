"""Makes a failing case small: fewer steps, then fewer octets (delta debugging; each round of candidates is one
batch)."""
import re
import time

ROUND = 24  # candidates tried at once


class Shrinker:
    """fails: a list of cases → for each, whether it still fails in the same way."""

    def __init__(self, fails, seconds):
        self.fails, self.end = fails, time.monotonic() + seconds

    def first(self, candidates):
        """The first of them that still fails; None: none does, or time is over."""
        candidates = list(candidates)
        for at in range(0, len(candidates), ROUND):
            if time.monotonic() > self.end:
                return None
            some = candidates[at:at + ROUND]
            for case, failed in zip(some, self.fails(some)):
                if failed:
                    return case
        return None

    def run(self, case):
        case = self._plain(case)
        case = self._fewer(case, lambda c: c.steps, lambda c, steps: c.but(steps=steps))
        for i in range(len(case.steps) - 1, -1, -1):
            if case.steps[i][0] != "send":
                continue
            case = self._chunk(case, i)
            case = self._fewer(case, lambda c: c.steps[i][1], lambda c, data: c.but(
                steps=c.steps[:i] + [("send", data)] + c.steps[i + 1:]), keep=1)
        return self._plain(case)

    def _plain(self, case):
        """Without what makes it special besides its octets."""
        for change in ({"steps": [s for s in case.steps if s[0] == "send"]}, {"pieces": 0}, {"end": "quiet"}, {"client": "bot"}):
            if case.but(**change) != case:
                case = self.first([case.but(**change)]) or case
        return case

    def _fewer(self, case, get, put, keep=0):
        """ddmin over a sequence that get() takes out of a case and put() puts into it."""
        size = (len(get(case)) + 1) // 2
        while size:
            whole = get(case)
            found = self.first(put(case, whole[:at] + whole[at + size:]) for at in range(0, len(whole), size)
                               if len(whole) - len(whole[at:at + size]) >= keep)
            if found:
                case = found
                size = min(size, max(1, len(get(case)) // 2))
            else:
                size //= 2
            if time.monotonic() > self.end:
                break
        return case

    def _chunk(self, case, i):
        """The octets of a BDAT can only go together with their number."""
        while i and case.steps[i - 1][0] == "send":
            command, data = case.steps[i - 1][1], case.steps[i][1]
            found = re.fullmatch(rb"(?i)(BDAT +)(\d+)(.*)", command, re.S)
            if not found or int(found[2]) != len(data):
                break
            smaller = self.first(
                case.but(steps=case.steps[:i - 1] + [("send", found[1] + b"%d" % len(d) + found[3]), ("send", d)]
                         + case.steps[i + 1:])
                for d in (data[:len(data) // 2], data[len(data) // 2:], data[:-1], data[1:]) if d and len(d) < len(data))
            if not smaller:
                break
            case = smaller
        return case
