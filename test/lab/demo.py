#!/usr/bin/python3
"""The story in three acts: the back doors are open; frontdoor shuts them; frontdoor dies.

Real servers (Exim, NSD, Unbound) in network namespaces of their own; nothing is installed or left.
Exits non-zero if a count is wrong.
"""
import argparse
import json
import os
import re
import sys
import textwrap
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from lab import frontdoor, isolate, mail, paths, setup  # noqa: E402

COLOUR = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
START = time.monotonic()
WORM_DOMAINS = 600
EACH = 60  # mails of each honest sort


def paint(code, text):
    return "\033[%sm%s\033[0m" % (code, text) if COLOUR else text


def head(text):
    print("\n" + paint("1;36", "== %s " % text) + paint("36", "=" * max(3, 88 - len(text))), flush=True)


def say(text):
    print(textwrap.fill(" ".join(text.split()), 92, break_on_hyphens=False), flush=True)


def show(lines, code="2"):
    for line in lines:
        print("    " + paint(code, line if len(line) < 200 else line[:197] + "..."), flush=True)


class Counts:
    """Rows of the table at the end: what was sent, what came in according to Exim, what should."""

    def __init__(self):
        self.rows = []

    def add(self, act, what, sent, arrived, should):
        self.rows.append((act, what, sent, arrived, should))
        good = arrived == should and sent > 0
        print("  %s %s: %d sent, %d arrived" % (
            paint("32", "ok") if good else paint("1;31", "WRONG"), what, sent, arrived), flush=True)

    def table(self):
        width = max(len(r[1]) for r in self.rows)
        print(paint("1", "  %-*s  %6s  %8s  %8s" % (width, "mail", "sent", "arrived", "should")))
        act = None
        for a, what, sent, arrived, should in self.rows:
            if a != act:
                print("  " + paint("4", a))
                act = a
            good = arrived == should and sent > 0
            print("  %-*s  %6d  %s  %8d  %s" % (
                width, what, sent, paint("32" if good else "1;31", "%8d" % arrived), should,
                "" if good else paint("1;31", "WRONG")))

    @property
    def wrong(self):
        return sum(a != s or n == 0 for _, _, n, a, s in self.rows)


class Demo:
    def __init__(self, program, way):
        self.program, self.way, self.counts = program, way, Counts()
        self.bot_turn = 0

    def run(self):
        mode = "listen" if self.way == "loopback" else "gateway"
        if mode == "listen":
            # There Exim has to give the server address up to frontdoor: two labs.
            with setup.Lab("direct") as self.lab:
                self.scene()
                self.act_one()
            with setup.Lab("listen") as self.lab:
                self.act_two()
        else:
            with setup.Lab(mode) as self.lab:
                self.scene()
                self.act_one()
                self.act_two()
                self.act_three()
        head("The counts, by Exim's own log and stored messages")
        self.counts.table()
        if self.way == "loopback":
            say("""Not shown without network namespaces: frontdoor in the path of the packets (gateway or the mail
                server itself), the client's own address as Exim sees it, IPv6, and mail that goes on when
                the daemon dies.""")
        wrong = self.counts.wrong
        print("\n" + (paint("1;32", "All counts are right.") if not wrong else paint(
            "1;31", "%d counts are WRONG." % wrong)) + "  (%.0f s)" % (time.monotonic() - START))
        return 1 if wrong else 0

    # The scene ----------------------------------------------------------------------------------

    def scene(self):
        lab = self.lab
        kinds = lab.internet.by_kind
        head("The scene")
        say("""A mail server, a real Exim at %s, hosts %d domains. Most of them have their mail filtered: their
            MX names a scanner, acme (%d domains) or guard (%d), which delivers the clean mail to the
            server. DNS is real too: NSD answers for all of them, Unbound asks it.""" % (
                lab.server(4), len(lab.internet.domains), len(kinds["acme"]), len(kinds["guard"])))
        d = next(d for d in kinds["acme"] if {"", "www", "mail"} <= set(d.backdoors))
        stub = lab.stub()
        print()
        rows = ["%-26s MX  %s" % (d.name, ", ".join("%d %s" % mx for mx in stub.look_up(d.name, "MX")))]
        for host in ("mx1.acme-filter.net", d.name, "www." + d.name, "mail." + d.name):
            address = stub.look_up(host, "A")[0]
            rows.append("%-26s A   %-16s%s" % (host, address, "<- the mail server: a back door" if address == lab.server(4) else ""))
        show(rows)

    def worm(self, family=4):
        """Attempts on scanned domains by their guessed names."""
        lab = self.lab
        rows = [d.name for k in ("acme", "guard", "both") for d in lab.internet.by_kind[k]
                if d not in (lab.printer_domain, lab.defer_domain)]
        worm = mail.Worm(lab.ns["world"], lab.bots(24, family), lab.stub(), lab.plan.server, lab.smtp_port)
        # Sent to are the first that have a door, of both scanners alike.
        step = max(1, len(rows) // WORM_DOMAINS)
        return worm.run(rows[::step][:WORM_DOMAINS])

    def arrived(self, recipients_of_sender):
        """How many (sender, recipient) pairs of these Exim delivered."""
        log = self.lab.log.settle(60)
        return sum(len([r for m in log.messages.values() if m.sender == s for r in m.delivered if r in set(to)])
                   for s, to in recipients_of_sender.items())

    def worm_arrived(self):
        log = self.lab.log.settle(60)
        return sum(len(m.delivered) for m in log.messages.values() if m.sender.startswith("worm"))

    # Act one ------------------------------------------------------------------------------------

    def act_one(self):
        lab = self.lab
        head("Act 1: without frontdoor")
        say("""A worm with a mail engine of its own has the addresses of %d filtered domains. It asks for no MX;
            it tries the domain's own name, www. and mail. Attached is the EICAR test file.""" % WORM_DOMAINS)
        worm = self.worm()
        by = {}
        for domain, host, _, _ in worm.attempts:
            name = host[:-len(domain)].rstrip(".") or "apex"
            by[name] = by.get(name, 0) + 1
        print()
        show(["%d domains guessed at; back doors found by %s" % (
            WORM_DOMAINS, ", ".join("%s: %d" % x for x in sorted(by.items())))])
        n = self.worm_arrived()
        stored = [m for m in lab.log.messages.values() if m.sender.startswith("worm")]
        assert stored and all(mail.base64.b64encode(mail.EICAR) in lab.log.content(m.id) for m in stored[:20])
        for m in stored[:3]:
            show([re.sub(r"^\S+ \S+ \[\d+\] | H=\(\S+\)| P=.* from <[^>]*>", "", m.line)], "33")
        show(["... and so on, past the scanners, virus and all."])
        self.counts.add("without frontdoor", "worm, through the back door", len(worm.attempts), n, len(worm.attempts))
        self.worm_got_in = n

    # Act two ------------------------------------------------------------------------------------

    def act_two(self):
        lab = self.lab
        head("Act 2: with frontdoor")
        say("""frontdoor now stands in front of the mail server, %s. This is all the configuration there is to the
            policy; everything about the domains it reads from DNS:""" % (
                "as its gateway" if self.way != "loopback" else "listening on the server's address"))
        daemon = frontdoor.Frontdoor(lab, self.program)
        lab.started.append(daemon)
        self.daemon = daemon
        with open(daemon.conf) as f:
            show([line.rstrip() for line in f if not re.match(r"events|control|hosted|resolver", line)], "34")
        if self.way != "loopback":  # there the log of act one went with its lab
            self.look_back()
        print()
        self.scanners()
        self.refused()
        self.honest()
        self.explain()

    def look_back(self):
        """What the mail server's own log tells of act one."""
        log = self.lab.path("exim", "log", "mainlog")
        print()
        say("""Before anything is enforced, one can ask how much mail came by the back door until now. The mail
            server's log knows; `frontdoor logs %s`:""" % os.path.basename(log))
        ask = lambda *how: self.daemon.cli("logs", "-c", self.daemon.conf, *how, log)
        lines = ask().out.splitlines()
        show([li for i, li in enumerate(lines) if i < 5 or "Which of" in lines[i - 1] or "Which of" in li])
        direct = json.loads(ask("--json", "--summary").out)["classes"]["direct"]["mails"]
        self.counts.add("without frontdoor", "the same, as `frontdoor logs` counts it in Exim's log", self.worm_got_in,
                        direct, self.worm_got_in)

    def bulk(self, what, should, domains, send, user="info"):
        """One mail to each domain by send(recipients)."""
        jobs = [(user + "@" + d.name) for d in domains]
        results = mail.in_parallel(lambda to: (to, send([to])), jobs)
        self.counts.add("with frontdoor", what, len(jobs),
                        self.arrived({r[0]: [to] for to, r in results}),
                        len(jobs) if should else 0)
        return results

    def scanners(self):
        lab, kinds = self.lab, self.lab.internet.by_kind
        families = lab.families
        self.bulk("scanner acme, from its MX's address", True, kinds["acme"][:EACH * 2], lab.acme.deliver)
        self.bulk("scanner guard, from other addresses of its own", True, kinds["guard"][:EACH * 2],
                  lab.guard.deliver)
        if 6 in families:
            self.bulk("both scanners over IPv6", True, kinds["both"][:EACH],
                      lambda to: lab.guard.deliver(to, family=6))

    def refused(self):
        lab, kinds = self.lab, self.lab.internet.by_kind
        before = self.worm_arrived()
        worm = self.worm()
        self.counts.add("with frontdoor", "worm, the same again", len(worm.attempts),
                        self.worm_arrived() - before, 0)
        if 6 in lab.families:
            before = self.worm_arrived()
            six = self.worm(6)
            self.counts.add("with frontdoor", "worm over IPv6", len(six.attempts),
                            self.worm_arrived() - before, 0)
        self.bulk("home computer with a name below the scanner's", False, kinds["guard"][:20],
                  lambda to: lab.send(lab.client("home"), to))
        codes = {}
        for _, _, _, reply in worm.attempts:
            codes[reply.code] = codes.get(reply.code, 0) + 1
        print()
        say("What the worm was told (%s):" % ", ".join("%d times %d" % (n, c) for c, n in sorted(codes.items())))
        for _, _, _, reply in worm.attempts[:4]:
            show(reply.lines, "33")
        self.sample = worm.attempts[0][0]
        print()

    def honest(self):
        lab, kinds = self.lab, self.lab.internet.by_kind
        stranger = lambda to: lab.send(lab.client("stranger"), to)
        self.bulk("anyone, to domains without a scanner", True,
                  kinds["self"][:EACH] + kinds["implicit"][:EACH // 2] + kinds["backup"][:EACH // 2], stranger)
        self.bulk("anyone, to domains of a scanner nobody vouches for", True, kinds["mystery"][:20], stranger)
        self.bulk("users who log in", True, kinds["acme"][:EACH],
                  lambda to: lab.send(lab.client("stranger"), to, user="user"))
        self.bulk("the monitor (trusted)", True, kinds["acme"][:10],
                  lambda to: lab.send(lab.client("monitor"), to))
        self.bulk("the printer (allowed for its domain)", True, [lab.printer_domain],
                  lambda to: lab.send(lab.client("printer"), to), user="scan")
        if self.way != "loopback":
            results = [lab.send(lab.client("relay"), ["x%d@not-hosted.net" % i]) for i in range(5)]
            self.counts.add("with frontdoor", "a relay client, to domains elsewhere", 5, self.arrived(
                {r[0]: ["x%d@not-hosted.net" % i] for i, r in enumerate(results)}), 5)
        mta = mail.Mta(lab.ns["world"], lab.client("mta"), lab.stub(), lab.smtp_port)
        to = "info@" + lab.defer_domain.name
        sender = mta.submit(to, stale=[lab.server(4)])
        first = mta.trail[-1][2]
        mta.run()
        self.counts.add("with frontdoor", "an honest server with a stale MX, on its retry", 1,
                        self.arrived({sender: [to]}), 1)
        show(["first at the back door: %d; then looked the MX up again: %d at %s" % (
            first, mta.trail[-1][2], mta.trail[-1][1])])

    def explain(self):
        bot = self.lab.bots(1)[0]
        print()
        # --heard: explain is a program of its own and hasn't seen the scanner's mail of today.
        say("Why? `frontdoor explain --heard --client %s --server %s info@%s`:" % (
            bot, self.lab.server(4), self.sample))
        p = self.daemon.explain(bot, self.lab.server(4), "--heard", "info@" + self.sample)
        show(p.out.rstrip().splitlines())
        if p.returncode != 0 or self.sample not in p.out:
            self.counts.add("with frontdoor", "explain", 1, 0, 1)

    # Act three ----------------------------------------------------------------------------------

    def act_three(self):
        lab, kinds = self.lab, self.lab.internet.by_kind
        head("Act 3: frontdoor is killed")
        say("""kill -9. The kernel finds no listener to steer to, and connections go straight to Exim: mail goes
            on (the back doors are open again, which is what the operator chose by `fail: open`).""")
        self.daemon.kill()
        act = "daemon killed"
        jobs = [(lab.acme.deliver, d, 4) for d in kinds["acme"][:EACH // 2]]
        jobs += [(lambda to, family=4: lab.send(lab.client("stranger", family), to, family), d, f)
                 for d in kinds["self"][:EACH // 4] for f in (4, 6)]
        results = mail.in_parallel(lambda j: ("info@" + j[1].name, j[0](["info@" + j[1].name], family=j[2])), jobs)
        self.counts.add(act, "everybody's mail", len(jobs), self.arrived({r[0]: [to] for to, r in results}),
                        len(jobs))
        self.daemon.start()
        worm = self.worm()
        taken = len(worm.accepted)
        self.counts.add("daemon back", "worm, once more", len(worm.attempts), taken, 0)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--daemon", metavar="PATH", default=os.path.join(paths.BUILD, "frontdoor"))
    p.add_argument("--way", choices=["root", "user", "loopback"], help="isolation to use")
    args = p.parse_args()
    if not isolate.way():
        if not os.access(args.daemon, os.X_OK):
            sys.exit("demo: %s isn't there: run make first" % args.daemon)
        if not os.path.exists(os.path.join(paths.SERVERS, "lib-path")):
            print("Fetching Exim, NSD and Unbound; they are unpacked below build/, not installed.", flush=True)
        paths.unpack()
    way = isolate.enter(args.way)
    head("frontdoor: every domain's mail comes in by its front door")
    say({"root": "Running in network namespaces of our own: the machine's network is not touched.",
         "user": "Running without root, in network namespaces of an unprivileged user.",
         "loopback": "No network namespaces here (not permitted): running on loopback addresses, in listen mode."}[way])
    return Demo(os.path.abspath(args.daemon), way).run()


if __name__ == "__main__":
    sys.exit(main())
