"""Recipients that name several domains, or none: whose door is looked at, and what the backend gets."""
from harness.case import DaemonCase


class Routes(DaemonCase):
    def names(self):
        return {"acme": self.name("acme", 1), "own": self.name("self"), "own2": self.name("self", 1),
                "server": self.place.server, "no": "not-hosted.net", "dns": self.name("servfail")}

    # recipient, code, reason of the event, domain that the event names
    REFUSED = [
        ("user%{acme}@{own}", 550, "not-egress", "acme"),
        ("user%{acme}@{no}", 550, "not-egress", "acme"),
        ("{acme}!user@{own}", 550, "not-egress", "acme"),
        ('"user@{acme}"@{own}', 550, "not-egress", "acme"),
        ('"user@{acme}"@{no}', 550, "not-egress", "acme"),
        (r'"user\@{acme}"@{own}', 550, "not-egress", "acme"),
        ("@{own}:user@{acme}", 550, "not-egress", "acme"),
        ("@{own},@{no}:user@{acme}", 550, "not-egress", "acme"),
        ("@{own}:user%{acme}@{own}", 550, "not-egress", "acme"),
        ("{own}!{acme}!user@{own}", 550, "not-egress", "acme"),
        ("user%{own}%{acme}@{own}", 550, "not-egress", "acme"),
        ("user%{dns}@{own}", 451, "dns-failure", "dns"),
        ("user@{acme}.", 550, "not-egress", "acme"),
        ("user@[{server}]", 550, "literal", None),
        ("user@[IPv6:::1]", 550, "literal", None),
        ("user", 550, "literal", None),
        ("postmaster@[{server}]", 550, "literal", None),
    ]
    # recipient, as the backend gets it, reason of the event
    PASSED = [
        ("user@{own}", "user@{own}", "self"),
        ("USER@{own}", "USER@{own}", "self"),
        ("@{no}:user@{own}", "user@{own}", "self"),
        ("@{acme}:user@{own}", "user@{own}", "self"),
        ("user%{own2}@{own}", "user%{own2}@{own}", "self"),
        ("user%nodot@{own}", "user%nodot@{own}", "self"),
        ("user+100%@{own}", "user+100%@{own}", "self"),
        ('"us er"@{own}', '"us er"@{own}', "self"),
        ('"user"@{own}', "user@{own}", "self"),
    ]

    def daemon(self):
        d = self.serve()
        self.hear(d)
        self.bot_ = self.bot()
        return d, self.connect(d, self.bot_)

    def ask(self, c, recipient, params=""):
        c.cmd("MAIL FROM:<routes@lab-sender.net>" + params)
        reply = c.cmd("RCPT TO:<%s>" % recipient)
        c.cmd("RSET")
        return reply

    def test_all_domains_of_an_address_count(self):
        d, c = self.daemon()
        names = self.names()
        for n, (recipient, code, reason, domain) in enumerate(self.REFUSED, 1):
            with self.subTest(recipient):
                reply = self.ask(c, recipient.format(**names))
                self.assert_code(reply, code)
                event = d.wait_events(n, client=self.bot_)
                row = [e for e in event if e["reason"] == reason and e["reply"] == code]
                self.assertTrue(row, event[-1])
                if reason == "literal":
                    self.assert_code(reply, 550, "550 5.1.3 ")
                else:
                    self.assertIn(names[domain], {e["rcpt_domain"] for e in row})
                    self.assertIn(names[domain], reply.text)

    def test_what_passes_is_rebuilt(self):
        d, _ = self.daemon()
        names = self.names()
        for recipient, wanted, reason in self.PASSED:
            with self.subTest(recipient):
                bot = self.bot()
                sender, reply = self.send_one(d, bot, recipient.format(**names))
                # Exim lets nobody route: its own word about % is no matter here.
                self.assert_code(reply, 250)
                got = self.found(sender)
                self.assertIn(" for %s" % wanted.format(**names), got.line)
                self.assert_event(d.event(client=bot), finding="pass", reason=reason)

    def test_postmaster_in_odd_cases(self):
        d, c = self.daemon()
        for i, recipient in enumerate(("postmaster", "PostMaster", "POSTMASTER", '"postmaster"'), 1):
            with self.subTest(recipient):
                self.assert_code(self.ask(c, recipient), 250)
                self.assertEqual({e["reason"] for e in d.wait_events(i, client=self.bot_)}, {"postmaster"})
        # With a domain it is a recipient as any other.
        self.assert_code(self.ask(c, "postmaster@" + self.name("acme", 1)), 550)

    def test_what_does_not_parse_is_501(self):
        d, c = self.daemon()
        own = self.name("self")
        for recipient in ("", "user@", "@" + own, "user@" + own + "@" + own, "us er@" + own,
                          "user@a..com", "@:user@" + own, '"user@' + own,
                          "user@[1.2.3", "user@" + "a" * 64 + ".com"):
            with self.subTest(recipient):
                self.assert_code(self.ask(c, recipient), 501, "501 5.1.3 ")
        self.written(d)
        self.assertEqual(d.events(client=self.bot_), [])
        self.assert_code(self.ask(c, "user@" + own), 250)

    def test_internationalized_domain(self):
        d, c = self.daemon()
        row = self.place.internet.by_kind["idn"][0]
        self.hear(d, "guard")
        for recipient, params in (("user@" + row.name, ""), ("user@" + row.name.upper(), ""),
                                  ("user@" + row.text, " SMTPUTF8"), ("user@" + row.text.upper(), " SMTPUTF8")):
            with self.subTest(recipient):
                self.assert_code(self.ask(c, recipient, params), 550)
        self.assertEqual({e["rcpt_domain"] for e in d.wait_events(4, client=self.bot_)}, {row.name})
        self.assert_code(self.ask(c, "user@" + row.text), 501)

    def test_literals_pass_where_nothing_is_enforced(self):
        d = self.serve(policy={"action": "observe"})
        bot = self.bot()
        c = self.connect(d, bot)
        reply = self.ask(c, "user@[%s]" % self.place.server)
        # Exim's own word: it takes no literals either.
        self.assertNotIn("5.1.3", reply.text)
        self.assert_event(d.event(client=bot), reason="literal", action="pass", finding="pass")
