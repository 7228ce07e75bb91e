"""Nothing is enforced until frontdoor knows itself and the domain, and nobody can relay through it."""
import re
import ssl

from harness.case import DaemonCase
from harness.place import MANY, free_port
from lab import mail


class Safeguards(DaemonCase):
    def test_never_heard_scanner_defers_until_it_delivers(self):
        d = self.serve()
        bot, domain = self.bot(), self.name("acme", 1)
        _, reply = self.send_one(d, bot, "user@" + domain)
        self.assert_code(reply, 450, "450 4.7.1 ")
        self.assert_event(d.event(client=bot), action="defer", wanted="reject", restraint="never-heard")
        # Mail that the backend refuses proves nothing.
        _, reply = self.send_one(d, self.acme, "nosuchuser@" + domain)
        self.assert_code(reply, 550, "no such user")
        _, reply = self.send_one(d, self.bot(), "user@" + domain)
        self.assert_code(reply, 450)
        self.hear(d)
        _, reply = self.send_one(d, self.bot(), "user@" + domain)
        self.assert_code(reply, 550)

    def test_not_hosted_passes(self):
        self.need_client_source()
        d = self.serve(hosted=[])
        self.hear_of_nothing(d)

    def hear_of_nothing(self, d):
        """The backend judges mail for domains that nobody knows as hosted: it may be relayed."""
        relay, domain = self.place.plan.relay[0], self.name("acme", 1)
        sender, reply = self.send_one(d, relay, "user@" + domain)
        self.assert_code(reply, 250)
        self.assert_delivered(sender, "user@" + domain, client=relay)
        self.assert_event(d.event(client=relay), finding="pass", reason="not-hosted", action="pass")

    def test_relayed_mail_is_never_touched(self):
        """not-hosted.net has its MX at a scanner; to the stranger the backend itself says no."""
        self.need_client_source()
        d = self.serve(policy={"guessed_action": "reject"})
        relay, stranger = self.place.plan.relay[0], self.place.plan.stranger[0]
        c = self.connect(d, relay)
        self.assert_code(c.cmd("MAIL FROM:<r@lab-sender.net>"), 250)
        self.assert_code(c.cmd("RCPT TO:<u@not-hosted.net>"), 250)
        c = self.connect(d, stranger)
        self.assert_code(c.cmd("MAIL FROM:<r@lab-sender.net>"), 250)
        self.assert_code(c.cmd("RCPT TO:<u@not-hosted.net>"), 550, "relay not permitted")
        self.assert_event(d.event(client=stranger), finding="pass", reason="not-hosted", reply=550)

    def test_hosted_is_learned_from_the_own_front_door(self):
        d = self.serve(hosted=[])
        domain, other = self.name("acme", 1), self.name("acme", 2)
        bot = self.bot()
        _, reply = self.send_one(d, bot, "user@" + domain)
        self.assert_code(reply, 250)
        self.assert_event(d.event(client=bot), reason="not-hosted", door="scanner")
        # Refused mail teaches nothing.
        self.assert_code(self.send_one(d, self.acme, "nosuchuser@" + domain)[1], 550)
        self.assert_code(self.send_one(d, self.bot(), "user@" + domain)[1], 250)
        self.assert_code(self.send_one(d, self.acme, "user@" + domain)[1], 250)
        self.assert_code(self.send_one(d, self.bot(), "user@" + domain)[1], 550)
        self.assert_code(self.send_one(d, self.bot(), "user@" + other)[1], 250)

    def test_allow_by_prefix(self):
        printer = self.place.plan.printer[0]
        net = printer.rpartition(".")[0] + ".0/24"
        d = self.serve(domains=[{"name": self.name("acme", 1), "allow": [net]}])
        self.hear(d)
        sender, reply = self.send_one(d, printer, "user@" + self.name("acme", 1))
        self.assert_code(reply, 250)
        self.assert_delivered(sender, "user@" + self.name("acme", 1), client=printer)
        self.assert_event(d.event(client=printer), reason="allowed", action="pass")
        for source, i in ((printer, 2), (self.bot(), 1)):
            self.assert_code(self.send_one(d, source, "user@" + self.name("acme", i))[1], 550)

    def test_allow_by_name(self):
        mta, liar = self.place.plan.mta[0], self.place.plan.liar[0]
        d = self.serve(domains=[{"name": self.name("acme", 1), "allow": ["ptr:honest-mailer.net"]},
                                {"name": self.name("acme", 2), "allow": ["ptr:mx-guard.org"]}])
        self.hear(d)
        self.assert_code(self.send_one(d, mta, "user@" + self.name("acme", 1))[1], 250)
        self.assert_event(d.event(client=mta), reason="allowed")
        self.assert_code(self.send_one(d, mta, "user@" + self.name("acme", 2))[1], 550)
        # Its PTR record says mx-guard.org, but nothing there leads back to it.
        self.assert_code(self.send_one(d, liar, "user@" + self.name("acme", 2))[1], 550)

    def test_names_that_lie_or_spell_the_address_are_no_scanner(self):
        d = self.serve()
        self.hear(d, "guard")
        for who in ("liar", "home"):
            source = getattr(self.place.plan, who)[0]
            with self.subTest(who):
                self.assert_code(self.send_one(d, source, "user@" + self.name("guard", 1))[1], 550)

    def test_trusted_passes(self):
        monitor = self.place.plan.monitor[0]
        d = self.serve(trusted=[monitor])
        self.hear(d)
        sender, reply = self.send_one(d, monitor, "user@" + self.name("acme", 1))
        self.assert_code(reply, 250)
        self.assert_delivered(sender, "user@" + self.name("acme", 1), client=monitor)
        self.assert_code(self.send_one(d, self.bot(), "user@" + self.name("acme", 1))[1], 550)

    def test_trusted_is_parsed_on_where_the_backend_trusts_us(self):
        monitor = self.place.plan.monitor[0]
        d = self.serve(trusted=[monitor], source="self")
        _, reply = self.send_one(d, monitor, "user@" + self.name("acme", 1))
        self.assert_code(reply, 250)
        self.assert_event(d.event(client=monitor), reason="trusted", finding="pass", door=None)
        c = self.connect(d, monitor)
        self.assertFalse(c.offers("PRDR"))

    def test_private_server_address_only_observes(self):
        d = self.serve(server_addresses=None)
        self.hear(d)
        bot = self.bot()
        sender, reply = self.send_one(d, bot, "user@" + self.name("acme", 1))
        self.assert_code(reply, 250)
        self.assert_delivered(sender, "user@" + self.name("acme", 1))
        self.assert_event(d.event(client=bot), finding="direct", action="observe", wanted="reject",
                          restraint="private")


class Identity(DaemonCase):
    slow = 6

    def test_many_domains_at_one_foreign_address(self):
        d = self.serve(policy={"guessed_action": "defer"})
        bot = self.bot()
        c = self.connect(d, bot)
        codes = []
        for i in range(MANY):
            c.cmd("MAIL FROM:<i@lab-sender.net>")
            codes.append(c.cmd("RCPT TO:<user@%s>" % self.name("mystery", i)).code)
            c.cmd("RSET")
        # The 20th tips the scales; its own verdict came before.
        self.assertEqual(codes, [450] * 20 + [250] * (MANY - 20))
        address = self.place.plan.mystery[0]
        events = d.wait_events(MANY, client=bot)
        self.assertEqual({e["restraint"] for e in events if e["action"] == "observe"}, {"identity"})
        line = d.wait_log("server_addresses: [%s]" % address)
        self.assertIn("is this you?", line)
        self.assertEqual(d.log_text().count("is this you?"), 1)
        self.wait("note", lambda: d.notes("identity-doubt"))
        self.assertIn(address, d.notes("identity-doubt")[0]["text"])
        # Of the other doors nothing is sure either.
        self.assert_code(self.send_one(d, self.bot(), "user@" + self.name("acme", 1))[1], 250)

    def test_a_configured_scanner_settles_it(self):
        d = self.serve(scanners=[{"name": "mystery", "mx": ["*.mystery-scan.com"]},
                                 {"name": "acme", "mx": ["*.acme-filter.net"]}])
        c = self.connect(d, self.bot())
        for i in range(MANY):
            c.cmd("MAIL FROM:<i@lab-sender.net>")
            self.assert_code(c.cmd("RCPT TO:<user@%s>" % self.name("mystery", i)), 450)
            c.cmd("RSET")
        self.assert_code(self.send_one(d, self.bot(), "user@" + self.name("acme", 1))[1], 450)


class StartTls(DaemonCase):
    def test_starttls_of_the_backend_only_observes(self):
        d = self.serve(tls={"hide": False})
        d.wait_log("offers STARTTLS: this listener only observes")
        self.hear(d)
        bot = self.bot()
        c = self.connect(d, bot)
        self.assertTrue(c.offers("STARTTLS"))
        _, final = c.mail("clear@lab-sender.net", ["u@" + self.name("acme", 1)], b"x\r\n")
        self.assert_code(final, 250)
        self.assert_event(d.event(client=bot), action="observe", wanted="reject", restraint="starttls")
        self.over_tls(d)

    def over_tls(self, d):
        bot, domain = self.bot(), self.name("acme", 1)
        c = self.connect(d, bot)
        self.assert_code(c.cmd("STARTTLS"), 220)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        c.sock = context.wrap_socket(c.sock)
        self.assertFalse(c.offers("X"))
        c.ehlo = c.cmd("EHLO client.lab-sender.net")
        content = mail.message("tls@lab-sender.net", body=b"secret\r\n" * 5000)
        _, final = c.mail("tls@lab-sender.net", ["u@" + domain], content)
        self.assert_code(final, 250)
        self.assert_delivered("tls@lab-sender.net", "u@" + domain, content, bot)

    def test_hidden_starttls_is_refused_and_all_is_enforced(self):
        d = self.serve()
        self.hear(d)
        c = self.connect(d, self.bot())
        self.assertFalse(c.offers("STARTTLS"))
        self.assert_code(c.cmd("STARTTLS"), 502, "502 5.5.1 ")
        c.cmd("MAIL FROM:<t@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)


class OpenRelay(DaemonCase):
    slow = 8

    def test_backend_that_relays_for_us(self):
        exim = self.place.new_exim(relay=["127.0.0.1"])
        self.addCleanup(exim.stop)
        conf = self.conf(exim, source="self")
        status, out, err = conf.run("serve", "-c", conf.file)
        self.assertEqual((status, out), (78, ""))
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertRegex(err, re.escape(conf.file) + r":\d+: listener smtp: .*relay.*; accepted: ")

    def test_backend_that_does_not(self):
        d = self.serve(source="self")
        sender, reply = self.send_one(d, self.bot(), "user@" + self.name("self"))
        self.assert_code(reply, 250)
        self.assertEqual(self.assert_delivered(sender, "user@" + self.name("self")).client, "127.0.0.1")

    def test_backend_that_can_not_say_yet(self):
        answer = ["451 4.3.0 later"]
        backend = self.fake({"RCPT": lambda: answer[0]})
        d = self.serve(backend, source="self")
        self.assert_code(self.connect(d, self.bot(), greet=False).read(), 421, "421 4.3.0 ")
        answer[0] = "550 5.7.1 no relaying"
        self.wait("the listener serves",
                  lambda: self.connect(d, self.bot(), greet=False).read().code == 220, 12)
        # What opens the listener is the probe, which sends no mail.
        self.assertEqual(backend.messages, [])

    def test_backend_that_starts_to_relay_while_the_probe_waits(self):
        answer = ["451 4.3.0 later"]
        backend = self.fake({"RCPT": lambda: answer[0]})
        d = self.serve(backend, source="self")
        answer[0] = "250 ok"
        self.wait("the end", lambda: d.process.poll() is not None, 12)
        self.assertEqual(d.process.returncode, 78)
        self.assertIn("would relay for everybody", d.log_text())


class BackendDown(DaemonCase):
    slow = 10

    def check(self, source):
        port = free_port(self.place.backend)
        d = self.serve(port, source=source)
        d.wait_log("can't be asked what it offers")
        c = self.connect(d, self.bot(), greet=False)
        self.assert_code(c.read(), 421, "421 4.3.0 ")
        exim = self.place.new_exim(port=port)
        self.addCleanup(exim.stop)

        def up():
            try:
                return self.connect(d, self.bot(), greet=False).read().code == 220
            except mail.Closed:
                return False
        self.wait("served", up, 15)
        d.wait_log("answers")
        sender, reply = self.send_one(d, self.bot(), "user@" + self.name("self"))
        self.assert_code(reply, 250)
        self.assert_delivered(sender, "user@" + self.name("self"), exim=exim)
        exim.stop()
        _, replies, _ = self.send(d, self.bot(), "user@" + self.name("self"))
        self.assertEqual(replies[0].code, 421, replies[0].text)

    def test_backend_down_at_start(self):
        self.need_client_source()
        self.check("client")

    def test_backend_down_at_start_with_our_own_address(self):
        self.check("self")
