"""What each action does to mail that goes past the MX: to the client, to the backend, to the event."""
import socket
import time

from harness.case import DaemonCase, on_the_wire
from harness.place import free_port
from lab import mail

MX = "mx1.acme-filter.net"


class Actions(DaemonCase):
    def test_observe_passes_and_says_so(self):
        d = self.serve(policy={"action": "observe"})
        bot, domain = self.bot(), self.name("acme", 1)
        content = mail.message("x@lab-sender.net", body=b"Hello.\r\n.dot\r\n\r\n")
        sender, reply = self.send_one(d, bot, "user@" + domain, content=content)
        self.assert_code(reply, 250)
        self.assert_delivered(sender, "user@" + domain, content, bot)
        self.assert_event(d.event(client=bot), rcpt_domain=domain, finding="direct", action="observe",
                          wanted="observe", reason="not-egress", door="scanner", grade="configured",
                          scanner="acme", mx=MX, reply=250, message_reply=250, restraint=None,
                          bytes=on_the_wire(content), server=self.place.server, auth=False, tls=False,
                          helo="client.lab-sender.net", listener="smtp")

    def test_the_scanner_passes(self):
        d = self.serve()
        for source, kind, reason in ((self.acme, "acme", "ingress"),
                                     (self.place.plan.guard_out[0], "guard", "ptr")):
            sender, reply = self.send_one(d, source, "user@" + self.name(kind, 1))
            self.assert_code(reply, 250)
            self.assert_delivered(sender, "user@" + self.name(kind, 1), client=source)
            self.assert_event(d.event(client=source), finding="pass", action="pass", reason=reason,
                              scanner=kind, reply=250, message_reply=250)

    def check_tag(self, **how):
        d = self.serve(policy={"action": "tag"})
        bot, domain = self.bot(), self.name("acme", 1)
        spoofed = (b"X-Frontdoor: pass; client=192.0.2.1\r\nFrom: <x@lab-sender.net>\r\nSubject: tag\r\n"
                   b"X-Frontdoor: again\r\n\r\n.\r\n..\r\nBody\r\n")
        sender, reply = self.send_one(d, bot, "user@" + domain, content=spoofed, **how)
        self.assert_code(reply, 250)
        header = b"X-Frontdoor: direct; client=%s;\r\n domain=%s;\r\n mx=%s\r\n" % (
            bot.encode(), domain.encode(), MX.encode())
        self.assert_delivered(sender, "user@" + domain, header + spoofed, bot)
        self.assert_event(d.event(client=bot), finding="direct", action="tag", reply=250,
                          message_reply=250,
                          bytes=len(spoofed) if how else on_the_wire(spoofed))

    def test_tag_puts_one_header_on_top_of_data(self):
        self.check_tag()

    def test_tag_puts_one_header_on_top_of_chunks(self):
        self.check_tag(chunking=True)

    def test_tag_names_all_domains_and_keeps_others_apart(self):
        d = self.serve(policy={"action": "tag"})
        bot = self.bot()
        one, two, own = self.name("acme", 1), self.name("guard", 2), self.name("self", 0)
        recipients = ["a@" + one, "b@" + one, "c@" + own, "d@" + two]
        sender, replies, final = self.send(d, bot, recipients)
        self.assertEqual([r.code for r in replies], [250, 250, 452, 250])
        self.assert_code(replies[2], 452, "452 4.5.3 ")
        self.assert_code(final, 250)
        m = self.assert_delivered(sender, [recipients[0], recipients[1], recipients[3]])
        head = m.content.split(b"\n\n")[0].decode()
        self.assertEqual(head.count("X-Frontdoor:"), 1)
        self.assertIn("\n domain=%s,%s;\n mx=%s,in1.mx-guard.org\n" % (one, two, MX), head)
        # The one that was sent away comes again by itself, and untagged.
        sender, reply = self.send_one(d, bot, recipients[2])
        self.assert_code(reply, 250)
        self.assertNotIn(b"X-Frontdoor", self.assert_delivered(sender, recipients[2]).content)

    def test_defer(self):
        d = self.serve(policy={"action": "defer"})
        self.hear(d)
        bot, domain = self.bot(), self.name("acme", 1)
        _, reply = self.send_one(d, bot, "defer-me@" + domain)
        self.assertRegex(reply.text, r"^450 4\.7\.1 %s takes mail at its MX, %s; delivery to %s is "
                         r"deferred \([a-z2-7]{12}\)$" % (domain, MX, self.place.server))
        self.assert_event(d.event(client=bot), finding="direct", action="defer", wanted="defer",
                          restraint=None, reply=450, message_reply=None, rcpt_domain=domain)
        self.assert_never_heard_of("defer-me@")

    def test_reject(self):
        url = "https://help.lab-hosting.net/front-door"
        d = self.serve(policy={"action": "reject", "help_url": url})
        self.hear(d)
        bot, domain = self.bot(), self.name("acme", 1)
        _, reply = self.send_one(d, bot, "reject-me@" + domain)
        ident = self.assert_refused(reply, domain, MX, url)
        self.assert_event(d.event(client=bot), id=ident, finding="direct", action="reject",
                          wanted="reject", restraint=None, reply=550, message_reply=None, bytes=0)
        self.assert_never_heard_of("reject-me@")

    def test_data_after_refusals_only(self):
        """And the session goes on, in step, with mail that may pass."""
        d = self.serve()
        self.hear(d)
        bot = self.bot()
        c = self.connect(d, bot)
        self.assert_code(c.cmd("MAIL FROM:<after-refusal@lab-sender.net>"), 250)
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme")), 550)
        self.assert_code(c.cmd("DATA"), 554, "554 5.5.1 ")
        own = "u@" + self.name("self")
        self.assert_code(c.cmd("RCPT TO:<%s>" % own), 250)
        self.assert_code(c.content(mail.message("x@lab-sender.net")), 250)
        self.assert_delivered("after-refusal@lab-sender.net", own)

    def test_the_event_names_the_door(self):
        d = self.serve(policy={"action": "observe"})
        for kind in ("acme", "guard"):
            for row in self.place.internet.by_kind[kind]:
                bot = self.bot()
                self.send_one(d, bot, "user@" + row.name)
                words = ["apex" if n == "" else n for n in row.backdoors] or ["none"]
                with self.subTest(row.name):
                    self.assertEqual(d.event(client=bot)["door_name"], words[0])


class Tarpit(DaemonCase):
    slow = 6

    def open_tarpit(self, d, sender, recipient):
        bot = self.bot()
        c = self.connect(d, bot)
        self.assert_code(c.cmd("MAIL FROM:<%s>" % sender), 250)
        c.send(b"RCPT TO:<%s>\r\n" % recipient.encode())
        return c, bot

    def test_tarpit_is_slow_and_costs_no_backend(self):
        d = self.serve(policy={"action": "tarpit"})
        self.hear(d)
        domain = self.name("acme", 1)
        c, bot = self.open_tarpit(d, "tarpit@lab-sender.net", "drip-me@" + domain)
        start, got = time.monotonic(), []
        c.sock.settimeout(0.25)
        while time.monotonic() - start < 4.2:
            try:
                got.append(c.sock.recv(1))
            except socket.timeout:
                continue
        self.assertIn(len(got), (3, 4, 5), got)
        self.assertTrue(b"550 5.7".startswith(b"".join(got)), got)
        self.assertEqual(self.place.connections(self.exim.port, bot), [])
        _, reply = self.send_one(d, self.bot(), "user@" + self.name("self"))
        self.assert_code(reply, 250)
        self.assert_event(d.event(client=bot), finding="direct", action="tarpit", reply=550)
        self.assert_never_heard_of("drip-me@")
        # What it says meanwhile is nobody's, and its going is noticed.
        c.send(b"RSET\r\nQUIT\r\n")
        c.close()

    def test_tarpit_leaves_descriptors_for_others(self):
        """More than there are descriptors, in the end; at no time more than may have a session."""
        d = self.serve(descriptors=300, policy={"action": "tarpit"})
        self.hear(d)
        for batch in (120, 50, 50, 50, 50):
            clients = [self.open_tarpit(d, "t@lab-sender.net", "u@" + self.name("acme", 1))[0]
                       for _ in range(batch)]
            for c in clients:
                c.sock.settimeout(5)
                self.assertEqual(c.sock.recv(1), b"5")
            start = time.monotonic()
            _, reply = self.send_one(d, self.bot(), "user@" + self.name("self"))
            self.assert_code(reply, 250)
            self.assertLess(time.monotonic() - start, 3)
            # Those that found no place in the tarpit were told all at once, and are let go.
            time.sleep(6)
        self.assertNotIn("can't accept", d.log_text())

    def test_tarpit_waits_while_mail_is_on_its_way(self):
        """Beside a permitted recipient the refusal comes at once: mail is more than revenge."""
        d = self.serve(policy={"action": "tarpit"})
        self.hear(d)
        own = "u@" + self.name("self")
        start = time.monotonic()
        sender, replies, final = self.send(d, self.bot(), [own, "u@" + self.name("acme", 1)])
        self.assertEqual([r.code for r in replies], [250, 550])
        self.assert_code(final, 250)
        self.assertLess(time.monotonic() - start, 3)
        self.assert_delivered(sender, own)


class Overrides(DaemonCase):
    def test_of_a_domain(self):
        d = self.serve(domains=[{"name": self.name("acme", 1), "action": "observe"},
                                {"name": self.name("acme", 2), "action": "defer"}])
        self.hear(d)
        for i, code, action in ((0, 550, "reject"), (1, 250, "observe"), (2, 450, "defer")):
            bot, domain = self.bot(), self.name("acme", i)
            with self.subTest(domain):
                _, reply = self.send_one(d, bot, "user@" + domain)
                self.assert_code(reply, code)
                self.assert_event(d.event(client=bot), action=action, wanted=action)

    def test_of_a_scanner_and_domain_before_it(self):
        d = self.serve(scanners=[
            {"name": "acme", "mx": ["*.acme-filter.net"], "egress": ["mx"], "action": "defer"},
            {"name": "guard", "mx": ["*.mx-guard.org"]}],
            domains=[{"name": self.name("acme", 1), "action": "reject"}])
        self.hear(d)
        self.hear(d, "guard")
        for kind, i, code in (("acme", 0, 450), ("guard", 0, 550), ("acme", 1, 550)):
            with self.subTest(self.name(kind, i)):
                _, reply = self.send_one(d, self.bot(), "user@" + self.name(kind, i))
                self.assert_code(reply, code)

    def test_of_a_listener(self):
        conf = self.conf()
        other = free_port(self.place.server)
        rows = [dict(conf.conf["listeners"][0]),
                dict(conf.conf["listeners"][0], name="mild", action="observe",
                     bind=["%s:%d" % (self.place.server, other)])]
        rows[0]["bind"] = ["%s:%d" % (self.place.server, free_port(self.place.server))]
        d = self.serve(listeners=rows)
        d.port = int(rows[0]["bind"][0].rpartition(":")[2])
        self.hear(d)
        for port, listener, code in ((d.port, "smtp", 550), (other, "mild", 250)):
            bot = self.bot()
            with self.subTest(listener):
                _, reply = self.send_one(d, bot, "user@" + self.name("acme", 1), port=port)
                self.assert_code(reply, code)
                self.assert_event(d.event(client=bot), listener=listener)

    def test_guessed_scanner_is_only_observed(self):
        d = self.serve()
        self.hear(d, "mystery")
        bot = self.bot()
        sender, reply = self.send_one(d, bot, "user@" + self.name("mystery", 1))
        self.assert_code(reply, 250)
        self.assert_delivered(sender, "user@" + self.name("mystery", 1))
        self.assert_event(d.event(client=bot), finding="direct", action="observe", wanted="reject",
                          restraint="guessed", grade="guessed", scanner="mystery-scan.com")

    def test_guessed_action(self):
        d = self.serve(policy={"guessed_action": "reject"})
        _, reply = self.send_one(d, self.bot(), "user@" + self.name("mystery", 1))
        self.assert_code(reply, 450)
        self.hear(d, "mystery")
        _, reply = self.send_one(d, self.bot(), "user@" + self.name("mystery", 1))
        self.assert_refused(reply, self.name("mystery", 1), "mx.mystery-scan.com")
