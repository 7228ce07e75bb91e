"""Sends mail of every class to a mail server of the lab, and writes down what a reader of its log has to
find: the truth. Nothing here looks at a log."""
import itertools
import random
import re
import threading
import time

from . import mail, truth
from .truth import ANY, Truth
from .zones import KINDS

WHO = ("stranger", "home", "liar", "nameless", "mta", "monitor", "printer", "acme", "acme_out", "guard", "guard_out",
       "mystery_out", "relay", "web")
# Local parts that mean something to the server beside "nosuchuser" and "notnow", which are refused.
ALIASES = ("forward", "chain", "several", "abroad", "piped", "filed", "nowhere")

# Text that strangers choose, made to look like fields of a log.
SUBJECTS = (
    'hello" for evil@not-hosted.net',
    'x\\" from <a@b.example> for evil@not-hosted.net',
    'S=1 T="y" from <> for evil@not-hosted.net', "from <x@y.example> for z@not-hosted.net",
    "=> evil <evil@not-hosted.net> R=store T=store", "Completed", "backslash at the end \\", '"', "",
    "H=(x) [9.9.9.9]:25 P=esmtp A=plain:user S=1", "gr\u00fc\u00dfe \u2713", "caf\udce9",
    "=?utf-8?q?for_evil=40not-hosted=2Enet?=",
    "from x[9.9.9.9]; from=<a@b.example> to=<evil@not-hosted.net> proto=ESMTP helo=<h>", "tab\there")
SENDERS = (
    '"s H=(h) [9.9.9.9]:25 P=esmtp S=1 from <a@b.example> for x@y.example"', '"x> for a@b.example"',
    '"y\\" for z"', '"U=root P=local"', '"<= <> R=abc"', '"a>, size=1, nrcpt=1 (queue active)"',
    '"c> to=<evil@not-hosted.net> proto=ESMTP helo=<h"', '"two  spaces "', "o'brien+tag", "UPPER.Case")
LOCAL_PARTS = (
    '"x@y.example H=(z) [9.9.9.9]:25 P=esmtp S=1 for"', '"a b> <c"', '"q\\" for evil"', '"=> evil"',
    '"u, relay=none, delay=0, dsn=2.0.0, status=sent (ok)"',
    '"v>, relay=local, delay=0, dsn=5.0.0, status=bounced (no) to=<w"', '"john smith"', '"<= x"', '"[9.9.9.9]"',
    '"from <x> for y"', "o'neil", "a/b", "tag+ext", '"=> |"', '"R=store T=store"', '"T=x QT=1s DT=0s"')
HELOS = ("under_score.example", "[198.18.1.1]", "[IPv6:2001:db8::1]", "localhost", "MIXED.Case.example")
JUNK_HELOS = (
    "a) [9.9.9.9]:25 I=[203.0.113.25]:25 P=esmtp S=1 for x@y.example", "b) [9.9.9.9]", "[9.9.9.9]", "c] (d",
    "e P=local S=1", "f A=plain:user", "(((", ") [", '"quote', "back\\slash", "g> to=<evil@not-hosted.net> proto=SMTP",
    "h) [9.9.9.9] P=esmtpsa A=plain:user S=1 T=\"x", "i]: j", "from=<a@b.example>", "k) [9.9.9.9] F=<a@b.example>"
    " rejected RCPT <evil@not-hosted.net>: l", "=> m", "9.9.9.9")
MESSAGE_IDS = (
    "a@b.example> for x@y.example", 'c" T="d for e@not-hosted.net', "id S=1 P=local A=plain:u",
    "f> from=<x@y.example> size=1", "no-domain", "g@h> R=x", "<<i@j", "k@[9.9.9.9]")


class Script:
    """server knows how the mail server at hand answers; see exim_settings.py and postfix_settings.py."""

    def __init__(self, lab, server, seed):
        self.lab, self.server = lab, server
        self.random = random.Random(seed)
        self.truths, self.arrivals = [], 0
        self.lock = threading.Lock()
        self.count = itertools.count(1)
        # Few domains of each kind, so that few are looked up.
        self.domains = {kind: lab.internet.by_kind[kind][:3] for kind in KINDS}

    # Parts ----------------------------------------------------------------------------------------

    def name(self, kind, n=None):
        some = self.domains[kind]
        return (some[n] if n is not None else self.random.choice(some)).name

    def family(self):
        return self.random.choice(self.lab.families)

    def content(self, sender, subject="lab", headers="", body="Hello.\r\n"):
        text = "From: <x@lab-sender.net>\r\nSubject: %s\r\n%s\r\n%s" % (subject, headers, body)
        return text.encode("utf-8", "surrogateescape")

    def record(self, sender, domain, klass, finding, client, auth, ident, more):
        more = dict(dict(latest=time.time()), **more)
        new = Truth(sender, domain, klass, finding, client, auth, ident, **more)
        with self.lock:
            self.truths.append(new)

    def transaction(self, c, who, family, sender, recipients, content, user=None, about="", params="",
                    lost=False, **how):
        """On a connection that is there. Recipients with a local part that the server refuses are refused,
        and so is what it doesn't relay; anything else that happens is an error of the test's."""
        start = time.time()
        replies, final = c.mail(sender, recipients, content, params=params, **how)
        client = truth.address(self.lab, who, family)
        refused = [r for r in recipients if self.refuses(r, who, user)]
        for recipient, reply in zip(recipients, replies):
            good = (450, 451, 550, 554) if recipient in refused else (250,)
            assert reply.code in good, "%s to %s: %s" % (who, recipient, reply)
        taken = [r for r in recipients if r not in refused]
        ident = None
        if taken and lost:
            assert final.code >= 400, final
            ident, taken_ident = ANY, None
        elif taken:
            assert final is not None and final.code == 250, "%s to %s: %s" % (who, taken, final)
            ident = self.server.id_of(final)
            assert ident, final
        more = dict(server=self.server.seen(self.lab.server(family)), bytes=self.server.bytes_of(content),
                    earliest=start, about=about)
        for recipient in refused:
            earlier = any(r in taken for r in recipients[:recipients.index(recipient)])
            self.record(sender, truth.domain_of(recipient), "refused", None, client,
                        self.server.auth_of_refused(bool(user)),
                        ident if earlier and self.server.refuses_with_id else None,
                        dict(more, bytes=None, doubtful="rejected RCPT <" in c.helo))
        if not lost:
            for domain in sorted({truth.domain_of(r) for r in taken}):
                klass, finding = truth.judge(self.lab, domain, who, family, bool(user))
                self.record(sender, domain, klass, finding, client, bool(user), ident, more)
            with self.lock:
                self.arrivals += bool(taken)
        return ident

    def refuses(self, recipient, who, user):
        if who == "banned" or any(word in recipient for word in ("nosuchuser", "notnow")):
            return True
        if self.server.refuses_routes and not user and who != "relay" and re.search("[@%!].*@", recipient):
            return True
        here = truth.domain_of(recipient) in self.lab.internet.by_name
        return not here and not user and who != "relay"

    def connect(self, who, family, helo="client.lab-sender.net", tls=False, user=None, **more):
        port = self.server.submission if tls and user else self.lab.smtp_port
        c = mail.Smtp(self.lab.ns[truth.WHERE.get(who, "world")], truth.address(self.lab, who, family),
                      self.lab.server(family), port, helo=helo)
        assert c.banner.code == 220 and c.ehlo.code == 250, (c.banner, c.ehlo)
        if tls:
            assert c.starttls(helo, **more).code == 250
        if user:
            assert c.login(user).code == 235
        return c

    def post(self, who, recipients, family=4, sender=None, subject="lab", headers="", content=None, about="",
             helo="client.lab-sender.net", tls=False, user=None, connection=None, **how):
        """One message on a connection of its own."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        sender = mail.token() if sender is None else sender
        with self.connect(who, family, helo, tls, user, **(connection or {})) as c:
            ident = self.transaction(c, who, family, sender, recipients,
                                     content or self.content(sender, subject, headers), user, about, **how)
            c.leave()
        return ident

    def submit(self, recipients, way, sender=None, subject="lab"):
        """A message from a program on the server's own host."""
        sender = sender or mail.token("local")
        start = time.time()
        ident, refused = self.server.submit(sender, recipients, self.content(sender, subject), way)
        for domain in sorted({truth.domain_of(r) for r in recipients}):
            klass = "refused" if domain in refused else "local"
            more = {"bytes": None} if klass == "refused" else {}
            self.record(sender, domain, klass, None, None, False, None if klass == "refused" else ident,
                        dict(more, server=None, earliest=start, about=way))
        with self.lock:
            self.arrivals += 1

    def bounce_to(self, sender, about):
        """The server will have sent one."""
        self.arrivals += 1
        self.record("", truth.domain_of(sender), "local", None, None, False, ANY,
                    dict(server=None, earliest=time.time(), latest=time.time() + 30, about=about))

    # The whole -----------------------------------------------------------------------------------

    def run(self):
        jobs = []
        for make in (self.matrix, self.mixed, self.refusals, self.logins, self.imitations, self.aliases,
                     self.forms, self.here, self.sessions, self.noise):
            jobs += make()
        self.random.shuffle(jobs)
        mail.in_parallel(lambda job: job(), jobs)
        return self

    def job(self, *args, **how):
        return lambda: self.post(*args, **how)

    def matrix(self):
        """Every kind of door × every kind of client."""
        out = []
        for kind in KINDS:
            for who in WHO:
                if kind == "silent" and (who != "stranger" or not self.server.silent):
                    continue  # each look-up waits long
                domain = self.lab.printer_domain.name if (who, kind) == ("printer", "guard") else self.name(kind)
                out.append(self.job(who, "info@" + domain, self.family(), about="%s to %s" % (who, kind)))
        return out

    def mixed(self):
        """Several recipients over several domains in one message."""
        kinds, out = [k for k in KINDS if k != "silent"], []
        for who in WHO * 2:
            recipients = ["u%d@%s" % (i, self.name(k)) for i, k in enumerate(self.random.sample(kinds, 5))]
            recipients.append("again@" + recipients[0].split("@")[1].upper())
            if who == "relay":
                recipients.append("x@not-hosted.net")
            out.append(self.job(who, recipients, self.family(), about="several domains"))
        many = ["u%d@%s" % (i, self.name("acme", i % 3)) for i in range(100)]
        return out + [self.job("stranger", many, about="many recipients")]

    def refusals(self):
        out = []
        for who in ("stranger", "acme", "mta", "relay", "monitor", "guard_out"):
            for kind in ("acme", "guard", "self", "null"):
                word = self.random.choice(("nosuchuser", "notnow"))
                out.append(self.job(who, "%s@%s" % (word, self.name(kind)), self.family(), about="no such user"))
        for who in ("stranger", "mta", "guard_out"):
            for family in self.lab.families:
                out.append(self.job(who, "x@not-hosted.net", family, about="relaying denied"))
        out.append(self.job("banned", "info@" + self.name("self"), self.family()))
        good, bad = self.name("acme", 0), self.name("acme", 2)
        for order in (["a@" + good, "nosuchuser@" + bad], ["nosuchuser@" + bad, "a@" + good],
                      ["nosuchuser@" + good, "a@" + good], ["x@not-hosted.net", "a@" + good, "b@" + bad]):
            for pipelining in (True, False):
                out.append(self.job("stranger", order, self.family(), pipelining=pipelining,
                                    about="some refused"))
        for local in ('"nosuchuser> rejected RCPT <z"', '"nosuchuser: from=<a@b.example> to=<c@d.example> helo=<e"',
                      '"nosuchuser x"', '"F=<a@b.example> nosuchuser"'):
            for n, sender in enumerate((None, "", '"f> rejected RCPT <g%d"@lab-sender.net' % next(self.count))):
                out.append(self.job("stranger", "%s@%s" % (local, self.name("acme", n)), sender=sender,
                                    about="hostile refused"))
        return out

    def logins(self):
        out = []
        for kind in ("acme", "guard", "self", "null", "servfail", "nxdomain", "elsewhere"):
            for tls in (False, True):
                out.append(self.job("login", ["info@" + self.name(kind), "x@not-hosted.net"], self.family(),
                                    user="user", tls=tls, about="login"))
        for who in ("monitor", "relay", "acme"):
            out.append(self.job(who, "info@" + self.name("guard"), self.family(), user="user", about="login of " + who))
        out.append(self.job("login", ["nosuchuser@" + self.name("guard"), "x@not-hosted.net"], user="user",
                            about="login, one refused"))
        return out

    def imitations(self):
        out = []
        kinds = itertools.cycle((("stranger", "acme"), ("guard_out", "guard"), ("mta", "self"), ("acme", "both")))

        def add(about, local="info", **how):
            who, kind = next(kinds)
            out.append(self.job(who, "%s@%s" % (local, self.name(kind)), self.family(), about=about, **how))

        sender = lambda local: "%s%d%s@lab-sender.net" % (
            (local[:-1], next(self.count), '"') if local[0] == '"' else (local, next(self.count), ""))
        for text in SUBJECTS:
            add("subject", subject=text)
        for local in SENDERS:
            add("sender", sender=sender(local))
        for local in LOCAL_PARTS:
            add("recipient", local=local)
        for text in HELOS + (JUNK_HELOS if self.server.takes_junk else ()):
            add("helo", helo=text)
        for text in MESSAGE_IDS:
            add("message-id", headers="Message-ID: <%s>\r\n" % text)
        for _ in range(4):
            out.append(self.job("gossip", "info@" + self.name("acme"), about="ident"))
        # All at once, and a refusal.
        helos = JUNK_HELOS if self.server.takes_junk else HELOS
        for i in range(20):
            choose = self.random.choice
            add("all at once", local=choose(LOCAL_PARTS), sender=sender(choose(SENDERS)), subject=choose(SUBJECTS),
                helo=choose(helos), headers="Message-ID: <%s>\r\n" % choose(MESSAGE_IDS))
        for text in helos:
            out.append(self.job("stranger", "nosuchuser@" + self.name("acme"), self.family(), helo=text,
                                about="helo, refused"))
        return out

    def aliases(self):
        out = []
        for local in ALIASES:
            for who, kind in (("stranger", "acme"), ("acme", "acme"), ("mta", "self")):
                out.append(self.job(who, [local + "@" + self.name(kind, 0), "x@" + self.name("guard", 0)],
                                    about="alias"))
                out.append(self.job(who, local + "@" + self.name(kind, 0), about="alias"))
        for local, who, kind in (("fail", "stranger", "acme"), ("fail", "guard_out", "guard")):
            sender = mail.token("bounced")
            out.append(self.job(who, [local + "@" + self.name(kind, 0), "x@" + self.name(kind, 1)], sender=sender,
                                about="fails"))
            self.bounce_to(sender, "bounce")
        out.append(self.job("stranger", "later@" + self.name("acme", 0), about="stays in the queue"))
        out.append(self.job("relay", "later@not-hosted.net", about="stays in the queue"))
        return out

    def forms(self):
        """Other forms of SMTP."""
        out = []
        for who, kind in (("stranger", "acme"), ("guard_out", "guard"), ("mta", "self"), ("stranger", "backup")):
            to = "info@" + self.name(kind)
            out += [
                self.job(who, to, self.family(), sender="", about="null sender"),
                self.job(who, to, self.family(), chunking=True, about="BDAT"),
                self.job(who, to, self.family(), tls=True, about="TLS"),
                self.job(who, to, self.family(), pipelining=False, params=" SIZE=1000 BODY=8BITMIME", about="params"),
                self.job(who, to, self.family(), content=self.content("", body="x" * 70 + "\r\n") * 300, about="big"),
                lambda who=who, to=to: self.old_style(who, to),
            ]
        out.append(self.job("stranger", "info@" + self.name("acme"), tls=True, connection=dict(
            name="x.for-evil.not-hosted.net", certificate=self.server.certificate), about="TLS, certificate"))
        for who in ("stranger", "guard_out"):
            for domain in self.domains["idn"]:
                out.append(self.job(who, "info@" + domain.name, self.family(), about="A-labels"))
                out.append(self.job(who, "info@" + domain.text, self.family(), params=" SMTPUTF8", about="U-labels"))
        out.append(self.job("stranger", "j\u00f6rg@" + self.name("acme"), params=" SMTPUTF8",
                            sender="g\u00fcnter%d@lab-sender.net" % next(self.count), about="UTF-8"))
        return out

    def old_style(self, who, to):
        """HELO instead of EHLO."""
        family, sender = self.family(), mail.token()
        c = mail.Smtp(self.lab.ns[truth.WHERE.get(who, "world")], truth.address(self.lab, who, family),
                      self.lab.server(family), self.lab.smtp_port, greet=False)
        with c:
            assert c.read().code == 220 and c.cmd("HELO old.example").code == 250
            self.transaction(c, who, family, sender, [to], self.content(sender), about="HELO")
            c.leave()

    def here(self):
        """Mail from the server's own host."""
        out = []
        for i, kind in enumerate(("acme", "guard", "self", "null", "backup", "elsewhere")):
            way = ("sendmail", "smtp")[i % 2]
            recipients = ["info@" + self.name(kind), "x@not-hosted.net", "y@" + self.name("mystery")]
            out.append(lambda way=way, r=recipients[:i % 3 + 1]: self.submit(r, way))
            subject = SUBJECTS[i]
            out.append(lambda way=way, r=recipients[:1], s=subject: self.submit(r, way, subject=s))
        sender = '"l H=(x) [9.9.9.9] P=esmtp%d"@lab-sender.net' % next(self.count)
        out.append(lambda: self.submit(["info@" + self.name("acme")], "sendmail", sender))
        for who in ("own", "loopback"):
            for kind in ("acme", "guard", "self", "null", "self-v6only"):
                out.append(self.job(who, "info@" + self.name(kind), 4 if who == "loopback" else self.family(),
                                    about="by SMTP from the server itself"))
        return out

    def sessions(self):
        """Several messages on one connection."""
        def several(who, kinds, user=None):
            family = self.family()
            with self.connect(who, family, user=user) as c:
                for i, kind in enumerate(kinds):
                    sender = mail.token()
                    self.transaction(c, who, family, sender, ["info@" + self.name(kind)], self.content(sender),
                                     user, about="message %d of a session" % (i + 1))
                    if i % 2:
                        c.cmd("RSET")
                c.leave()
        return [lambda who=who, user=user: several(who, ("acme", "self", "guard", "both", "null"), user)
                for who, user in (("stranger", None), ("acme", None), ("guard_out", None), ("login", "user"))]

    def noise(self):
        """What leaves lines in the log but no message."""
        def unfinished(*commands):
            with self.connect("stranger", 4) as c:
                for command in commands:
                    c.cmd(command)
                if self.random.random() < .5:
                    c.leave()
        good = self.name("acme")
        rounds = (
            ("MAIL FROM:<a@lab-sender.net>", "RCPT TO:<info@%s>" % good, "RSET"),
            ("MAIL FROM:<a@lab-sender.net>", "RCPT TO:<info@%s>" % good),
            ("RCPT TO:<info@%s>" % good,), ("MAIL FROM:<bad", "RCPT TO:<worse"), ("VRFY info@" + good, "EXPN x"),
            ("NONSENSE <= a@b.example H=(x) [9.9.9.9] P=esmtp S=1 for c@d.example",), ("AUTH PLAIN AHgAeQ==",),
            ("GET / HTTP/1.0",), ("DATA",), ("EHLO ", "HELO"), ())
        out = [lambda r=r: unfinished(*r) for r in rounds * 2]
        return out + [lambda: self.refused_content()]

    def refused_content(self):
        """Refused after the last byte: there is nothing to say about it."""
        sender = mail.token("content")
        with self.connect("stranger", 4) as c:
            content = self.content(sender, headers="X-Refuse: for x@y.example\r\n")
            self.transaction(c, "stranger", 4, sender, ["info@" + self.name("acme")], content,
                             about="refused content", lost=True)
            c.leave()
