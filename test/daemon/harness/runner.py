"""Runs cases in a place of their own, several at a time, and tells one line of each."""
import argparse
import importlib
import multiprocessing
import os
import queue
import resource
import shutil
import sys
import tempfile
import time
import traceback
import unittest

from lab import isolate, paths

from .case import DaemonCase
from .place import Place


class Result(unittest.TestResult):
    """What is to be told of one case."""

    def __init__(self, verbose):
        super().__init__()
        self.verbose, self.word, self.text = verbose, "ok", []

    def _bad(self, err, what=""):
        kind, value, tb = err
        self.word = "FAIL"
        if self.verbose or not issubclass(kind, AssertionError):
            text = "".join(traceback.format_exception(kind, value, tb))
        else:
            text = "\n".join(str(value).splitlines()[:8])
        self.text.append(what + text.strip())

    def addFailure(self, test, err):
        self._bad(err)

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._bad(err, "%s: " % (subtest._message or dict(subtest.params)))

    def addSkip(self, test, reason):
        self.word, self.text = "SKIP", [reason]


def name(case):
    module, cls, method = case.id().rsplit(".", 2)
    return "%s.%s" % (module.replace("test_", ""), method.replace("test_", "").replace("_", " "))


def all_cases(here):
    """Those of the files test_*.py there."""
    loader = unittest.TestLoader()
    for file in sorted(here.glob("test_*.py")):
        for suite in loader.loadTestsFromModule(importlib.import_module(file.stem)):
            yield from suite


def work(number, place, here, todo, done, verbose):
    """A process of the runner: takes cases until there are none."""
    place.enter_process(number)
    DaemonCase.place = place
    cases = {c.id(): c for c in all_cases(here)}
    try:
        for ident in iter(todo.get, None):
            result = Result(verbose)
            start = time.monotonic()
            cases[ident].run(result)
            done.put((name(cases[ident]), result.word, "\n".join(result.text), time.monotonic() - start))
    finally:
        place.close()
        done.put(None)


def tell(name, word, text, spent):
    colour = {"ok": "32", "FAIL": "31", "SKIP": "33"}[word]
    shown = "\033[%sm%-4s\033[0m" % (colour, word) if sys.stdout.isatty() else "%-4s" % word
    print("%s %s (%.1f s)%s" % (shown, name, spent, ": " + text if text else ""), flush=True)


def run(args, place, here):
    cases = [c for c in all_cases(here) if not args.words or any(w in name(c) for w in args.words)]
    cases.sort(key=lambda c: -getattr(getattr(c, c._testMethodName), "slow", c.slow))
    place.start_shared()
    todo, done = multiprocessing.Queue(), multiprocessing.Queue()
    jobs = min(args.jobs, len(cases)) or 1
    team = [multiprocessing.Process(target=work, args=(i, place, here, todo, done, args.verbose))
            for i in range(jobs)]
    try:
        for p in team:
            p.start()
        place.start_threads()
        for item in [c.id() for c in cases] + [None] * jobs:
            todo.put(item)
        return collect(team, done, len(cases))
    finally:
        for p in team:
            if p.pid:
                p.join(20 if todo.empty() else 0)
                p.terminate()


def collect(team, done, cases):
    """Tells and counts what the processes report."""
    count = {"ok": 0, "FAIL": 0, "SKIP": 0}
    running, told = len(team), 0
    while running and any(p.is_alive() for p in team):
        try:
            item = done.get(timeout=5)
        except queue.Empty:
            continue
        if item is None:
            running -= 1
            continue
        tell(*item)
        count[item[1]] += 1
        told += 1
    # A process that broke down took cases with it.
    count["FAIL"] += cases - told
    return count


def not_kept(folder, names):
    """What nobody looks at, and what can't be copied."""
    return [n for n in names if n in ("zones", "spool", "store")
            or not os.path.isdir(p := os.path.join(folder, n)) and not os.path.isfile(p)]


def arguments(doc, jobs):
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    p.add_argument("--daemon", metavar="PATH", default=os.path.join(paths.BUILD, "frontdoor"),
                   help="frontdoor to test; default build/frontdoor")
    p.add_argument("--way", choices=["root", "user", "loopback"], help="isolation to use")
    p.add_argument("--keep", metavar="DIR", help="leave logs there")
    p.add_argument("-j", "--jobs", type=int, default=jobs, help="cases at once")
    p.add_argument("-v", "--verbose", action="store_true", help="whole tracebacks")
    p.add_argument("words", nargs="*")
    return p.parse_args()


def main(title, doc, here, jobs=4, place_of=Place):
    """title: first word of the sums; here: folder (pathlib) with the cases. Returns the exit status."""
    args = arguments(doc, jobs)
    multiprocessing.set_start_method("fork")
    if not os.access(args.daemon, os.X_OK):
        print("%s: %s: no such program" % (title, args.daemon), file=sys.stderr)
        return 1
    if not isolate.way():
        paths.unpack()
    way = isolate.enter(args.way)
    print("%s: %s" % (title, "the machine's own loopback" if way == "loopback"
                      else "loopback of a network namespace"), flush=True)
    # 2,000 clients are ours, and twice as many descriptors the daemon's.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    start = time.monotonic()
    directory = tempfile.mkdtemp(prefix="frontdoor-%s-" % title)
    place = place_of(directory, os.path.abspath(args.daemon))
    os.chmod(directory, 0o755)
    try:
        place.prepare()
        count = run(args, place, here)
        if args.keep:
            shutil.copytree(directory, args.keep, dirs_exist_ok=True, ignore=not_kept)
    finally:
        place.close()
        if way != "loopback":
            os.system("umount -l " + directory)
        shutil.rmtree(directory, ignore_errors=True)
    print("%s: %.0f s" % (title, time.monotonic() - start))
    print("%s: %d passed, %d failed, %d skipped" % (title, count["ok"], count["FAIL"], count["SKIP"]))
    return 0 if count["FAIL"] == 0 and count["ok"] > 0 else 1
