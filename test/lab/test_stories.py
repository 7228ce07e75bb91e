"""What the design promises beside the doors themselves, with real clients, in every mode."""
import base64
import signal
import threading
import time

from lab import dns, mail, paths
from lab.case import LabCase
from lab.zones import KINDS


def python_client(code):
    return ["/usr/bin/python3", "-c", code]


class Stories:
    @classmethod
    def set_up(cls):
        lab = cls.lab
        for name, scanner in (("acme", lab.acme), ("guard", lab.guard)):
            _, replies, final = scanner.deliver(["info@" + lab.internet.by_kind[name][5].name])
            assert final is not None and final.code == 250, replies

    def name(self, kind, n=2):
        return self.lab.internet.by_kind[kind][n].name

    def send(self, who, recipients, family=4, **how):
        return self.lab.send(self.lab.client(who, family), recipients, family, **how)

    # Bulk -------------------------------------------------------------------------------------

    def test_worm_gets_nothing_in_and_scanners_everything(self):
        lab = self.lab
        for family in lab.families:
            with self.subTest("IPv%d" % family):
                domains = [d.name for k in ("acme", "guard", "both") for d in lab.internet.by_kind[k][10:90]]
                worm = mail.Worm(lab.ns["world"], lab.bots(10, family), lab.stub(), lab.plan.server,
                                 lab.smtp_port).run(domains)
                self.assertGreater(len(worm.attempts), 100)
                self.assertEqual({r.code for _, _, _, r in worm.attempts}, {550})
                self.assertEqual(worm.accepted, [])
                sent = mail.in_parallel(
                    lambda d: (d, (lab.acme if d.kind == "acme" else lab.guard).deliver(
                        ["info@" + d.name], family=family)),
                    [lab.internet.by_name[n] for n in domains])
                for d, (sender, replies, final) in sent:
                    self.assertEqual(final and final.code, 250, "%s: %s" % (d.name, replies))
                    self.assert_delivered(sender, ["info@" + d.name])
        self.assertFalse([m for m in lab.log.settle().messages.values() if m.sender.startswith("worm")])

    def test_worm_whose_mx_look_up_fails_falls_back_to_the_address(self):
        lab = self.lab
        d = next(d for d in lab.internet.by_kind["guard"][2:] if "" in d.backdoors)
        broken = dns.Resolver(lab.ns["world"], "%s:%d" % (lab.plan.broken, lab.dns_port))
        with self.assertRaises(dns.DnsError):
            broken.mail_hosts(d.name)
        address = lab.stub().addresses(d.name, 4)[0]
        self.assertEqual(address, lab.server(4))
        sender, replies, final = lab.send(lab.bots(1)[0], "info@" + d.name)
        self.assert_code(replies[0], 550, "5.7.1")
        self.assert_not_delivered(sender)

    def test_mta_with_stale_mx_comes_in_by_the_front_door_on_retry(self):
        lab = self.lab
        to = "info@" + lab.defer_domain.name
        mta = mail.Mta(lab.ns["world"], lab.client("mta"), lab.stub(), lab.smtp_port)
        sender = mta.submit(to, stale=[lab.server(4)])
        self.assertEqual((len(mta.queue), mta.trail[-1][1:]), (1, (lab.server(4), 450)))
        self.assert_not_delivered(sender)
        mta.run()
        self.assertEqual((mta.queue, mta.bounced), ([], []))
        self.assertEqual(mta.trail[-1][1:], (lab.plan.v("acme", 4), 250))
        self.assert_delivered(sender, [to])

    # Recipients -------------------------------------------------------------------------------

    def test_verdicts_are_for_each_recipient(self):
        good = ["info@" + self.name("self"), "info@" + self.name("mystery"), "info@" + self.name("backup")]
        bad = ["info@" + self.name("acme"), "info@" + self.name("guard")]
        order = [bad[0], good[0], good[1], bad[1], good[2]]
        for pipelining in (True, False):
            with self.subTest("pipelining %s" % pipelining):
                sender, replies, final = self.send("stranger", order, pipelining=pipelining)
                self.assertEqual([r.code for r in replies], [550, 250, 250, 550, 250])
                self.assert_code(final, 250)
                self.assert_delivered(sender, good)

    def test_bare_postmaster_passes(self):
        sender, replies, final = self.send("stranger", "postmaster")
        self.assert_code(final, 250)
        self.assertIsNotNone(self.found(sender))

    def test_domains_hidden_in_the_local_part_are_judged(self):
        for to in ("info%%%s@%s" % (self.name("acme"), self.name("self")),
                   '"info@%s"@%s' % (self.name("acme"), self.name("self")),
                   "%s!info@%s" % (self.name("acme"), self.name("self")),
                   "@%s:info@%s" % (self.name("self"), self.name("acme"))):
            with self.subTest(to):
                sender, replies, final = self.send("stranger", to)
                self.assert_code(replies[0], 550, "5.7.1")
                self.assert_not_delivered(sender)

    def test_address_literals_are_refused(self):
        for to in ("info@[%s]" % self.lab.server(4), "info"):
            with self.subTest(to):
                sender, replies, final = self.send("stranger", to)
                self.assert_code(replies[0], 550, "5.1.3")

    def test_unicode_recipients_are_judged_as_their_a_labels(self):
        d = self.lab.internet.by_kind["idn"][2]
        with self.connect("stranger") as c:
            self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net> SMTPUTF8"), 250)
            self.assert_code(c.cmd("RCPT TO:<info@%s>" % d.text), 550, "5.7.1")
        sender, replies, final = self.lab.guard.deliver(["info@" + d.name])
        self.assert_code(final, 250)

    def test_case_and_trailing_dots_do_not_matter(self):
        name = self.name("acme")
        for to in ("info@" + name.upper(), "INFO@" + name.title()):
            with self.subTest(to):
                _, replies, _ = self.send("stranger", to)
                self.assert_code(replies[0], 550, "5.7.1")

    # Who may --------------------------------------------------------------------------------

    def test_relay_client_passes_for_domains_not_hosted(self):
        if self.mode == "listen":
            # The backend sees frontdoor's address there, so it can't know the client's; it must
            # not relay for everybody either.
            _, replies, _ = self.send("relay", "x@not-hosted.net")
            self.assert_code(replies[0], 550, "relay not permitted")
            return
        for family in self.lab.families:
            with self.subTest("IPv%d" % family):
                sender, replies, final = self.send("relay", "x@not-hosted.net", family)
                self.assert_code(final, 250)
                self.assert_delivered(sender, ["x@not-hosted.net"], self.lab.client("relay", family))

    def test_strangers_are_refused_by_the_backend_for_domains_not_hosted(self):
        _, replies, _ = self.send("stranger", "x@not-hosted.net")
        self.assert_code(replies[0], 550, "relay not permitted")

    def test_backend_judges_its_own_users(self):
        sender, replies, final = self.send("stranger", ["nosuchuser@" + self.name("self")])
        self.assert_code(replies[0], 550, "no such user here")

    def test_users_who_log_in_pass(self):
        for to in ("info@" + self.name("acme"), "x@not-hosted.net"):
            with self.subTest(to):
                sender, replies, final = self.send("stranger", to, user="user")
                self.assert_code(final, 250)
                m = self.assert_delivered(sender, [to])
                self.assertEqual(m.auth, "plain:user")

    def test_a_failed_login_opens_nothing(self):
        with self.connect("stranger") as c:
            self.assert_code(c.login(password="wrong"), 535)
            self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
            self.assert_code(c.cmd("RCPT TO:<info@%s>" % self.name("acme")), 550, "5.7.1")

    def test_login_dialogue_passes(self):
        with self.connect("stranger") as c:
            self.assert_code(c.cmd("AUTH LOGIN"), 334)
            self.assert_code(c.cmd(base64.b64encode(b"user")), 334)
            self.assert_code(c.cmd(base64.b64encode(b"secret")), 235)
            self.assert_code(c.cmd("MAIL FROM:<a@lab-sender.net>"), 250)
            self.assert_code(c.cmd("RCPT TO:<info@%s>" % self.name("acme")), 250)

    def test_monitor_and_printer(self):
        domain = self.lab.printer_domain.name
        for who, to, code in (("monitor", "info@" + self.name("acme"), 250),
                              ("printer", "scan@" + domain, 250),
                              ("printer", "scan@" + self.name("guard"), 550)):
            with self.subTest("%s to %s" % (who, to)):
                sender, replies, final = self.send(who, to)
                self.assert_code(replies[0], code)
                if code == 250:
                    self.assert_delivered(sender, [to])

    # SMTP ---------------------------------------------------------------------------------------

    def connect(self, who, family=4):
        return mail.Smtp(self.lab.ns["world"], self.lab.client(who, family), self.lab.server(family),
                         self.lab.smtp_port)

    def test_ehlo_is_cut_down(self):
        with self.connect("stranger") as c:
            offered = {line[4:].split(" ")[0] for line in c.ehlo.lines[1:]}
            self.assertEqual(offered, {"SIZE", "8BITMIME", "DSN", "PIPELINING", "AUTH", "CHUNKING",
                                       "SMTPUTF8", "HELP", "VRFY"})
            for verb in ("XCLIENT ADDR=1.2.3.4", "ETRN x", "FROBNICATE"):
                self.assertIn(c.cmd(verb).code, (500, 502), verb)
            self.assertIn(c.cmd("STARTTLS").code, (500, 502))

    def test_refused_transactions_never_get_to_data(self):
        with self.connect("stranger") as c:
            c.send(b"MAIL FROM:<a@lab-sender.net>\r\nRCPT TO:<info@%s>\r\nDATA\r\nQUIT\r\n"
                   % self.name("acme").encode())
            self.assertEqual([c.read().code for _ in range(4)], [250, 550, 554, 221])

    def test_refused_chunks_are_swallowed_to_the_byte(self):
        content = b"RSET\r\nMAIL FROM:<evil@x.net>\r\nRCPT TO:<info@%s>\r\n" % self.name("self").encode()
        with self.connect("stranger") as c:
            c.send(b"MAIL FROM:<a@lab-sender.net>\r\nRCPT TO:<info@%s>\r\nBDAT %d\r\n%sBDAT %d LAST\r\n%sNOOP\r\n"
                   % (self.name("acme").encode(), len(content), content, len(content), content))
            codes = [c.read().code for _ in range(5)]
            self.assertEqual((codes[:2], codes[4]), ([250, 550], 250))
            self.assertTrue(all(500 <= x < 600 for x in codes[2:4]), codes)
        self.assert_not_delivered("evil@x.net")

    def test_chunked_mail_is_stored_as_sent(self):
        to = "info@" + self.name("self")
        sender = mail.token()
        content = mail.message(sender, body=b".\r\nlone dot, and bytes \xe4\xf6\xfc\r\n" * 50)
        _, replies, final = self.send("stranger", to, sender=sender, content=content, chunking=True)
        self.assert_code(final, 250)
        self.assert_delivered(sender, [to], content=content)

    def test_a_slow_domain_holds_up_only_its_own_session(self):
        with self.connect("stranger") as slow, self.connect("monitor") as fast:
            slow.cmd("MAIL FROM:<a@lab-sender.net>")
            slow.send(b"RCPT TO:<info@%s>\r\n" % self.name("silent", 0).encode())
            start = time.monotonic()
            fast.cmd("MAIL FROM:<b@lab-sender.net>")
            _, replies, final = self.send("stranger", "info@" + self.name("self"))
            self.assert_code(final, 250)
            self.assertLess(time.monotonic() - start, 1.5)
            self.assert_code(slow.read(), 451, "4.4.3")

    # Real clients -------------------------------------------------------------------------------

    def program(self, where, argv, code):
        p = self.lab.ns[where].run(argv, check=False, env=paths.environment())
        self.assertEqual(p.returncode, code, p.out)
        return p.out

    def test_swaks(self):
        for family in self.lab.families:
            for who, ns, code in (("stranger", "world", 24), ("acme", "scan1", 0)):
                with self.subTest("%s, IPv%d" % (who, family)):
                    sender, to = mail.token(), "info@" + self.name("acme")
                    self.program(ns, [
                        "perl", paths.program("swaks"), "--server", self.lab.server(family), "-%d" % family,
                        "--port", str(self.lab.smtp_port), "--local-interface", self.lab.client(who, family),
                        "--from", sender, "--to", to, "--pipeline", "--timeout", "30"], code)
                    if code:
                        self.assert_not_delivered(sender)
                    else:
                        self.assert_delivered(sender, [to])

    def test_smtp_source(self):
        # It can't choose its address: the namespace's own is acme's MX in scan1, a stranger's in world.
        if self.lab.loopback:
            self.skipTest("needs namespaces")
        for family in self.lab.families:
            server = "[%s]:25" % self.lab.server(family) if family == 6 else self.lab.server(4) + ":25"
            for ns, kind, taken in (("world", "acme", 0), ("world", "self", 20), ("scan1", "acme", 20)):
                with self.subTest("%s to %s, IPv%d" % (ns, kind, family)):
                    sender = mail.token("source")
                    p = self.lab.ns[ns].run(
                        [paths.program("smtp-source"), "-s", "4", "-m", "20", "-f", sender, "-N",
                         "-t", "info@" + self.name(kind), server], check=False, env=paths.environment())
                    self.assertEqual(p.returncode == 0, taken > 0, p.out)
                    got = [m for m in self.lab.log.settle().messages.values() if m.sender == sender]
                    self.assertEqual(len(got), taken, p.out)

    def test_smtplib(self):
        code = """
import smtplib, sys
c = smtplib.SMTP(%r, %d, source_address=(%r, 0), timeout=30)
try:
    c.sendmail(%r, [%r], "Subject: smtplib\\n\\ntext\\n")
except smtplib.SMTPRecipientsRefused as e:
    sys.exit(list(e.recipients.values())[0][0] // 10)
c.quit()
"""
        for family in self.lab.families:
            for who, ns, status in (("stranger", "world", 55), ("guard_out", "scan2", 0)):
                with self.subTest("%s, IPv%d" % (who, family)):
                    sender, to = mail.token(), "info@" + self.name("guard")
                    self.program(ns, python_client(code % (
                        self.lab.server(family), self.lab.smtp_port, self.lab.client(who, family), sender, to)), status)

    # The daemon itself, last: these stop it ------------------------------------------------------

    def test_z1_explain_agrees(self):
        d = self.lab.internet.by_kind["acme"][2]
        p = self.daemon.explain(self.lab.client("stranger"), self.lab.server(4), "info@" + d.name)
        self.assertEqual(p.returncode, 0, p.out)
        for word in (d.name, "mx1.acme-filter.net", "acme", "configured", "scanner"):
            self.assertIn(word, p.out)

    def test_z2_transaction_in_progress_outlives_sigterm(self):
        to, sender = "info@" + self.name("self"), mail.token()
        with self.connect("stranger") as c, self.connect("monitor"):
            self.assert_code(c.cmd("MAIL FROM:<%s>" % sender), 250)
            self.assert_code(c.cmd("RCPT TO:<%s>" % to), 250)
            self.assert_code(c.cmd("DATA"), 354)
            c.send(b"Subject: half\r\n\r\nfirst half\r\n")
            ended = []
            t = threading.Thread(target=lambda: ended.append(self.daemon.stop(signal.SIGTERM, 30)))
            t.start()
            time.sleep(0.5)
            c.send(b"second half\r\n.\r\n")
            self.assert_code(c.read(), 250)
        t.join()
        self.assertEqual(ended, [0])
        self.assert_delivered(sender, [to], content=b"Subject: half\r\n\r\nfirst half\r\nsecond half\r\n")
        self.daemon.start()
        _, replies, final = self.send("stranger", to)
        self.assert_code(final, 250)

    def test_z3_killed_daemon_fails_open(self):
        if self.mode == "listen":
            return  # there is no way around a listener
        to = "info@" + self.name("acme")
        self.daemon.kill()
        for family in self.lab.families:
            with self.subTest("IPv%d" % family):
                sender, replies, final = self.send("stranger", to, family)
                self.assert_code(final, 250)
                self.assert_delivered(sender, [to], self.lab.client("stranger", family), self.lab.server(family))
        self.daemon.start()
        self.lab.acme.deliver([to])
        _, replies, _ = self.send("stranger", to)
        self.assert_code(replies[0], 550)

    def test_z4_backend_down_is_421(self):
        self.lab.exim.stop()
        try:
            with self.connect("stranger") as c:
                self.assertEqual(c.banner.code, 421)
        except mail.Closed:
            self.assertNotEqual(self.mode, "listen", "listen mode must say 421")
        finally:
            self.lab.exim.start()
        # it is probed once a second
        end, final = time.monotonic() + 10, None
        while not final and time.monotonic() < end:
            _, replies, final = self.send("stranger", "info@" + self.name("self"))
            time.sleep(0.2)
        self.assert_code(final, 250)

    def test_z5_net_down_leaves_nothing(self):
        if self.mode == "listen":
            return
        self.daemon.stop()
        self.daemon.net_down()
        where = self.daemon.where
        left = where.run(["sh", "-c", "nft list ruleset; ip rule show; ip -6 rule show; "
                          "ip route show table 100; ip -6 route show table 100"], check=False).out
        for word in ("frontdoor", "fwmark", "lookup 100"):
            self.assertNotIn(word, left)
        sender, replies, final = self.send("stranger", "info@" + self.name("acme"))
        self.assert_code(final, 250)
        self.assert_delivered(sender, ["info@" + self.name("acme")])


class GatewayStories(Stories, LabCase):
    mode = "gateway"

    def test_ports_of_clients_and_of_our_own_connections_may_meet(self):
        """A client's connection C:p to the server and our own C:p to it, for another session of that client, look
        alike to the kernel's connection tracking. These clients use the ports that we choose from."""
        lab, client = self.lab, self.lab.client("relay")  # never refused: its sessions reach the server
        held = [mail.Smtp(lab.ns["world"], client, lab.server(4), lab.smtp_port, timeout=10.0, source_port=port)
                for port in range(2000, 2240)]
        try:
            for _ in range(200):
                with mail.Smtp(lab.ns["world"], client, lab.server(4), lab.smtp_port, timeout=10.0) as s:
                    self.assert_code(s.cmd("NOOP"), 250)
            for s in held:
                self.assert_code(s.cmd("NOOP"), 250)
        finally:
            for s in held:
                s.close()


class SameHostStories(Stories, LabCase):
    mode = "same-host"


class ListenStories(Stories, LabCase):
    mode = "listen"


class ObserveOnly(LabCase):
    """Without a word about the action nothing is refused, and the events say what would have been."""

    mode = "gateway"
    conf = {"action": "observe"}

    def test_everything_passes_and_is_seen(self):
        lab = self.lab
        for scanner, kind in ((lab.acme, "acme"), (lab.guard, "guard")):
            scanner.deliver(["info@" + lab.internet.by_kind[kind][5].name])
        for kind in KINDS:
            if KINDS[kind].door == "dns":
                continue
            d = lab.internet.by_kind[kind][0]
            with self.subTest(kind):
                sender, replies, final = lab.send(lab.client("stranger"), "info@" + d.name)
                self.assert_code(final, 250)
                self.assert_delivered(sender, ["info@" + d.name])
                event = [e for e in self.daemon.events() if e.get("rcpt_domain") == d.name][-1]
                self.assertEqual(event["door"], KINDS[kind].door)
                self.assertEqual(event["action"], "observe" if event["finding"] != "pass" else "pass")

    def test_dns_trouble_passes(self):
        d = self.lab.internet.by_kind["servfail"][0]
        _, replies, final = self.lab.send(self.lab.client("stranger"), "info@" + d.name)
        self.assert_code(final, 250)


class Actions(LabCase):
    """Each action, chosen for a domain."""

    mode = "gateway"

    @classmethod
    def settings(cls, lab):
        return {"rows": ["name: %s, action: %s" % (lab.internet.by_kind["acme"][n].name, action)
                         for action, n in cls.ROWS.items()]}

    ROWS = {"observe": 10, "tag": 11, "defer": 12, "reject": 13, "tarpit": 14}

    @classmethod
    def set_up(cls):
        cls.lab.acme.deliver(["info@" + cls.lab.internet.by_kind["acme"][5].name])

    def to(self, action):
        return "info@" + self.lab.internet.by_kind["acme"][self.ROWS[action]].name

    def event(self, action):
        name = self.to(action).split("@")[1]
        return [e for e in self.daemon.events() if e.get("rcpt_domain") == name][-1]

    def test_observe(self):
        sender, _, final = self.lab.send(self.lab.client("stranger"), self.to("observe"))
        self.assert_code(final, 250)
        self.assert_delivered(sender, [self.to("observe")])
        self.assertEqual((self.event("observe")["finding"], self.event("observe")["action"]), ("direct", "observe"))

    def test_tag(self):
        for chunking in (False, True):
            with self.subTest("chunking %s" % chunking):
                sender = mail.token()
                content = b"X-Frontdoor: forged\r\n" + mail.message(sender)
                _, _, final = self.lab.send(self.lab.client("stranger"), self.to("tag"), sender=sender,
                                            content=content, chunking=chunking)
                self.assert_code(final, 250)
                got = self.assert_delivered(sender, [self.to("tag")]).content
                header, _, rest = got.partition(b"X-Frontdoor: forged\n")
                self.assertEqual(b"X-Frontdoor: forged\r\n" + rest.replace(b"\n", b"\r\n"), content)
                self.assertEqual(" ".join(header.decode().split()),
                                 "X-Frontdoor: direct; client=%s; domain=%s; mx=mx1.acme-filter.net" % (
                                     self.lab.client("stranger"), self.to("tag").split("@")[1]))

    def test_tag_and_pass_do_not_share_a_message(self):
        plain = "info@" + self.lab.internet.by_kind["self"][0].name
        sender, replies, final = self.lab.send(self.lab.client("stranger"), [plain, self.to("tag")])
        self.assertEqual([r.code for r in replies], [250, 452])
        self.assert_delivered(sender, [plain])

    def test_defer(self):
        _, replies, _ = self.lab.send(self.lab.client("stranger"), self.to("defer"))
        self.assert_code(replies[0], 450, "4.7.1")

    def test_reject(self):
        _, replies, _ = self.lab.send(self.lab.client("stranger"), self.to("reject"))
        self.assert_code(replies[0], 550, "5.7.1")

    def test_tarpit(self):
        with mail.Smtp(self.lab.ns["world"], self.lab.client("stranger"), self.lab.server(4)) as c:
            c.cmd("MAIL FROM:<a@lab-sender.net>")
            c.send(b"RCPT TO:<%s>\r\n" % self.to("tarpit").encode())
            end, got = time.monotonic() + 4, b""
            while time.monotonic() < end:
                c.sock.settimeout(max(0.01, end - time.monotonic()))
                try:
                    new = c.sock.recv(1000)
                except OSError:
                    break
                self.assertLessEqual(len(new), 2, "in drops, please: %r" % new)
                got += new
        self.assertTrue(got and b"550 5.7.1".startswith(got[:9]), got)


class Startup(LabCase):
    """The doors of 5,000 hosted domains are looked up at the start; mail doesn't wait for that."""

    mode = "gateway"
    quiet = False

    def test_mail_is_judged_while_all_doors_are_looked_up(self):
        lab = self.lab
        domains = lab.internet.by_kind["self"][-40:] + lab.internet.by_kind["mystery"][-20:]
        start = time.monotonic()
        sent = mail.in_parallel(lambda d: lab.send(lab.client("stranger"), "info@" + d.name), domains, 4)
        refused = [replies[0].text for _, replies, final in sent if final is None]
        self.assertEqual(refused, [])
        self.assertLess(time.monotonic() - start, 5)


class LearnedDomains(LabCase):
    """Without a hosted file: a domain is hosted once the backend took its mail by its front door."""

    mode = "gateway"
    conf = {"hosted": False}

    def test_enforced_only_when_learned(self):
        lab = self.lab
        a, b = lab.internet.by_kind["acme"][2], lab.internet.by_kind["acme"][3]
        send = lambda d: lab.send(lab.client("stranger"), "info@" + d.name)[1][0].code
        self.assertEqual(send(a), 250)
        _, _, final = lab.acme.deliver(["info@" + a.name])
        self.assert_code(final, 250)
        self.assertEqual((send(a), send(b)), (550, 250))


class Confirmation(LabCase):
    """A 5xx needs the domain's authoritative servers; where they can't be asked it is a 4xx."""

    mode = "gateway"

    def test_unreachable_authoritative_servers_make_it_a_450(self):
        lab = self.lab
        lab.acme.deliver(["info@" + lab.internet.by_kind["acme"][5].name])
        d = lab.internet.by_kind["acme"][6]
        gw = lab.ns["gw"]
        nsd = [a + "/32" for a in lab.plan.nsd]
        gw.ip(*("route add unreachable " + a for a in nsd))
        try:
            _, replies, _ = lab.send(lab.client("stranger"), "info@" + d.name)
            self.assert_code(replies[0], 450, "4.7.1")
        finally:
            gw.ip(*("route del unreachable " + a for a in nsd))
        d = lab.internet.by_kind["acme"][7]
        _, replies, _ = lab.send(lab.client("stranger"), "info@" + d.name)
        self.assert_code(replies[0], 550, "5.7.1")


class ProvenByLogs(LabCase):
    """A scanner that nobody configured: what the mail server's log proves of it shuts its doors."""

    mode = "gateway"

    @classmethod
    def settings(cls, lab):
        return {"extra": "state: %s\n" % lab.path("frontdoor", "state.db")}

    def log(self, domains):
        """Exim's log of three days of mail from the scanner for its domains."""
        lab, start = self.lab, time.time() - 3 * 86400
        path = lab.path("frontdoor", "old-mainlog")
        with open(path, "w") as f:
            for i in range(60):
                f.write("%s 1xW3BL-0000Tz-%02d <= m@lab-sender.net H=(x) [%s] I=[%s]:25 P=esmtp S=9 for u@%s\n" % (
                    time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(start + i * 3600)), i,
                    lab.plan.mystery[i % len(lab.plan.mystery)], lab.server(4), domains[i % len(domains)]))
        return path

    def test_logs_prove_a_scanner(self):
        lab, domains = self.lab, [d.name for d in self.lab.internet.by_kind["mystery"][:3]]
        to = "info@" + lab.internet.by_kind["mystery"][5].name
        send = lambda: lab.send(lab.client("stranger"), to)[1][0]
        self.assert_code(send(), 250)
        for _ in range(2):
            p = self.daemon.cli("logs", "-c", self.daemon.conf, "--learn", "--summary", self.log(domains))
            self.assertIn("learned of 1 scanners", p.out)
        self.daemon.stop()
        self.daemon.start()
        self.assert_code(send(), 550, "5.7.1", to.partition("@")[2])
        out = self.daemon.explain(lab.client("stranger"), lab.server(4), to).out
        self.assertIn("proven: 60 messages over", out)
