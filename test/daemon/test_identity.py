"""Who the client is, where its address can't be kept: told to us by PROXY headers, and told on by us."""
import re
import time

from harness import backends, headers
from harness.talk import ACCEPT, BALANCER, HELLO, TLS, PackedTls, Talk
from lab import mail

TEXT = b"Subject: x\r\n\r\nx\r\n"


class AcceptProxy(Talk):
    def test_the_verdict_is_about_the_client_in_the_header(self):
        d = self.serve(listener=ACCEPT)
        self.hear(d)
        domain, wanted = self.name("acme", 1), "127.25.9.9"
        for form, header in headers.FORMS.items():
            with self.subTest(form):
                bot = self.bot()
                c = self.introduced(d, header(bot, wanted, 2525))
                reply = self.rcpt(c, "u@" + domain)
                self.assert_code(reply, 550, domain, wanted)
                self.assert_event(d.event(client=bot), action="reject", finding="direct", server=wanted,
                                  client_port=2525)
                c = self.introduced(d, header(self.acme, wanted))
                sender = mail.token(form)
                _, final = c.mail(sender, ["u@" + domain], TEXT)
                self.assert_code(final, 250)
                self.assert_delivered(sender, "u@" + domain, TEXT, self.acme)
        self.written(d)
        self.assertEqual(d.events(client=BALANCER), [])

    def test_a_header_in_any_pieces(self):
        d = self.serve(listener=ACCEPT)
        self.hear(d)
        tlvs = b"\x04\0\x30" + b"x" * 48 + b"\x01\0\x04smtp"
        for header in (self.header("v1", self.acme), self.header("v2", self.acme, tlvs=tlvs)):
            for pieces in (1, 7, 15):
                with self.subTest(header[:5], pieces=pieces):
                    c = self.introduced(d, header, pieces=pieces)
                    self.assert_code(self.rcpt(c, "u@" + self.name("acme", 1)), 250)

    def test_a_client_that_does_not_wait(self):
        """All in one packet: what is behind the header is the client's."""
        d = self.serve(listener=ACCEPT)
        self.hear(d)
        own = "u@" + self.name("self")
        for form in headers.FORMS:
            with self.subTest(form):
                sender = mail.token("early")
                c = self.dial(d, BALANCER, self.header(form, self.bot()) + HELLO + b"".join(
                    x.encode() + b"\r\n" for x in ("MAIL FROM:<%s>" % sender, "RCPT TO:<u@%s>" % self.name("acme"),
                                                   "RCPT TO:<%s>" % own, "DATA")))
                self.assertEqual([c.read().code for _ in range(6)], [220, 250, 250, 550, 250, 354])
                c.send(TEXT + b".\r\n")
                self.assert_code(c.read(), 250)
                self.assert_delivered(sender, own, TEXT)

    def test_local_and_unknown_are_the_peer_itself(self):
        d = self.serve(listener=ACCEPT)
        self.hear(d)
        claim = self.header("v1", self.acme)[len(b"PROXY TCP4"):]
        forms = {"UNKNOWN": headers.V1_UNKNOWN, "UNKNOWN with a claim": b"PROXY UNKNOWN" + claim,
                 "LOCAL": headers.V2_LOCAL,
                 "LOCAL with a claim": self.header("v2", self.acme).replace(b"\x21\x11", b"\x20\x11"),
                 "another transport": self.header("v2", self.acme).replace(b"\x21\x11", b"\x21\x12"),
                 "no family": headers.SIGNATURE + b"\x21\0\0\0"}
        for i, (what, header) in enumerate(forms.items()):
            with self.subTest(what):
                peer = "127.40.1.%d" % (1 + i)
                c = self.introduced(d, header, peer)
                self.assert_code(self.rcpt(c, "u@" + self.name("acme", 1)), 550)
                self.assert_event(d.event(client=peer), action="reject")
                c.cmd("RSET")
                sender = mail.token("local")
                _, final = c.mail(sender, ["u@" + self.name("self")], TEXT)
                self.assert_code(final, 250)
                self.assert_delivered(sender, "u@" + self.name("self"), TEXT, peer)

    def test_trust_in_the_peer_is_not_its_clients(self):
        d = self.serve(listener=ACCEPT, trusted=["127.40.0.0/16", self.place.plan.monitor[0]])
        self.hear(d)
        recipient = "u@" + self.name("acme", 1)
        self.assert_code(self.rcpt(self.introduced(d, self.header("v2", self.bot())), recipient), 550)
        self.assert_code(self.rcpt(self.introduced(d, headers.V2_LOCAL), recipient), 250)
        monitor = self.header("v1", self.place.plan.monitor[0])
        self.assert_code(self.rcpt(self.introduced(d, monitor), recipient), 250)

    def test_what_is_no_header_is_closed(self):
        self.need_client_source()
        backend = self.fake()
        d = self.serve(backend, listener=ACCEPT)
        whole = self.header("v2", self.acme)
        for what in (HELLO, b"\r\nQUIT\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"proxy tcp4 ", b"QUIT\r\n",
                     self.header("v1", self.acme)[:-2] + b"\n" + HELLO, b"PROXY TCP4 1.2.3.4\r\n" + HELLO,
                     self.header("v1", self.acme).replace(b"25\r", b"65536\r"), b"PROXY UNKNOWN" + b"x" * 95,
                     whole.replace(b"\x21\x11", b"\x31\x11"), whole.replace(b"\x21\x11", b"\x22\x11"),
                     whole.replace(b"\x21\x11", b"\x21\x41"), whole.replace(b"\0\x0c\x7f", b"\0\x0b\x7f"),
                     headers.SIGNATURE + b"\x21\x11\xff\xff",
                     self.header("v2", self.acme, tlvs=b"\x03\0\x04\0\0\0\0") + HELLO):
            with self.subTest(what):
                start = time.monotonic()
                self.assertEqual(self.hears(self.dial(d, BALANCER, what)), b"")
                # not by the time limit of those who say nothing
                self.assertLess(time.monotonic() - start, 4)
        self.assertIn(BALANCER, d.wait_log("PROXY header"))
        self.assertEqual(backend.commands(BALANCER) + backend.commands(self.acme), [])
        self.assertEqual([s for s in backend.sessions if s[0] in (BALANCER, self.acme)], [])

    def test_a_header_that_does_not_come_is_not_waited_for(self):
        self.need_client_source()
        backend = self.fake()
        d = self.serve(backend, listener=ACCEPT)
        waiting = [self.dial(d, BALANCER, what) for what in (
            b"", self.header("v1", self.acme)[:-1], self.header("v2", self.acme)[:-1], headers.SIGNATURE,
            self.header("v2", self.acme, tlvs=b"\x04\x0f\0" + b"x" * 2000))]
        # Nor does an octet now and then renew the patience.
        slow = self.dial(d, BALANCER, b"PROXY UNKNOWN ")
        start, sent = time.monotonic(), 0
        try:
            while sent < 80 and time.monotonic() - start < 15:
                slow.send(b"x")
                sent += 1
                time.sleep(0.25)
        except mail.Closed:
            pass
        self.assertLess(sent, 80)
        for c in waiting:
            self.assertEqual(self.hears(c), b"")
        self.assertEqual([s for s in backend.sessions if s[0] in (BALANCER, self.acme)], [])

    test_a_header_that_does_not_come_is_not_waited_for.slow = 6

    def test_others_who_begin_with_a_header_are_closed(self):
        self.need_client_source()
        backend = self.fake()
        d = self.serve(backend, listener=ACCEPT)
        for what, data in self.lures():
            for pieces in (0, 1, 5):
                for waits in (False, True):
                    with self.subTest(what, pieces=pieces, waits=waits):
                        bot = self.bot()
                        c = self.dial(d, bot)
                        if waits:
                            self.assert_code(c.read(), 220)
                        try:
                            for at in range(0, len(data), pieces or len(data)):
                                c.send(data[at:at + (pieces or len(data))])
                        except mail.Closed:
                            pass
                        self.check_lured(d, c, bot)
                        self.assertEqual(backend.commands(bot), [])
        self.assertEqual([s for s in backend.sessions if s[0] == self.acme], [])
        self.assertIn("PROXY header", d.wait_log("accept_proxy"))

    def test_without_accept_proxy_nobody_is_believed(self):
        d = self.serve()
        for what, data in self.lures():
            with self.subTest(what, client="any"):
                bot = self.bot()
                self.check_lured(d, self.dial(d, bot, data), bot)
        monitor = self.place.plan.monitor[0]
        d = self.serve(trusted=[monitor])
        for what, data in self.lures():
            with self.subTest(what, client="trusted"):
                self.check_lured(d, self.dial(d, monitor, data), monitor)

    def test_a_header_behind_a_header_is_closed(self):
        self.need_client_source()
        backend = self.fake()
        d = self.serve(backend, listener=ACCEPT, trusted=[self.place.plan.monitor[0]])
        for form in list(headers.FORMS) + ["LOCAL"]:
            for what, data in self.lures():
                for at_once in (True, False):
                    for client in (self.bot(), self.place.plan.monitor[0]):
                        with self.subTest(form, second=what, at_once=at_once, client=client):
                            first = headers.V2_LOCAL if form == "LOCAL" else self.header(form, client)
                            c = self.dial(d, BALANCER, first + (data if at_once else b""))
                            if not at_once:
                                self.assert_code(c.read(), 220)
                                c.send(data)
                            self.check_lured(d, c, client)
                            self.assertEqual(backend.commands(client) + backend.commands(BALANCER), [])

    def test_one_from_ipv6_by_a_balancer_with_ipv4(self):
        """The backend's leg has IPv4 alone; it learns the client by its own header."""
        exim, server = self.place.proxy_exim, "2001:db8:25::25"
        for send in ("proxy-v1", "proxy-v2"):
            d = self.serve(exim, source="self", listener=dict(ACCEPT, send=send),
                           server_addresses=[self.place.server, server])
            for form in headers.FORMS:
                with self.subTest(form, send=send):
                    client, sender = "2001:db8:1080::" + form[1], mail.token("six")
                    c = self.introduced(d, headers.FORMS[form](client, server))
                    _, final = c.mail(sender, ["u@" + self.name("self")], TEXT)
                    self.assert_code(final, 250)
                    m = self.assert_delivered(sender, "u@" + self.name("self"), TEXT, exim=exim)
                    self.assertEqual(m.client, client)
                    self.assert_event(d.event(client=client), server=server)


class Told(Talk):
    """The backend sees our address, and is told the client's."""

    SIX, SIX_SERVER = "2001:db8:1010::10", "2001:db8:25::25"

    def setUp(self):
        if not backends.possible():
            self.skipTest("needs root in a namespace of its own: Postfix")

    def tell(self, send, backend, more=None, **changes):
        """A daemon that listens at an IPv4 and an IPv6 address."""
        place = self.place
        place.own(self.SIX_SERVER, self.SIX, *(a for a in backends.BANNED + backends.DROPPED if ":" in a))
        conf = self.conf(backend, source="self", listener=dict(more or {}, send=send),
                         server_addresses=[place.server, self.SIX_SERVER], **changes)
        conf.conf["listeners"][0]["bind"].append("[%s]:%d" % (self.SIX_SERVER, conf.port))
        conf.write()
        return self.start(conf)

    def server_of(self, client):
        return self.SIX_SERVER if ":" in client else self.place.server

    def client(self, d, address, **how):
        """Its Smtp, and the port that it comes from."""
        c = mail.Smtp(self.place.host, address, self.server_of(address), d.port, timeout=20, **how)
        self.addCleanup(c.close)
        return c, c.sock.getsockname()[1]

    def clients(self):
        return self.bot(), self.SIX

    def sent(self, c, content=TEXT):
        """A message that is taken: its sender."""
        sender = mail.token("told")
        _, final = c.mail(sender, ["u@" + self.name("self")], content)
        self.assert_code(final, 250)
        return sender

    def check_banned(self, d, code, log, line):
        """The mail server refuses by its own rule, in its own words, and logs whom."""
        for client in backends.BANNED:
            with self.subTest("banned " + client):
                c, _ = self.client(d, client)
                self.assert_code(self.rcpt(c, "u@" + self.name("self")), code, backends.BAN)
                self.assert_event(d.event(client=client), finding="pass", action="pass", reply=code)
                self.wait("the ban logged", lambda: log.lines(line % re.escape(client) + ".*" + backends.BAN))


    def over_tls(self, send, backend):
        """(what, whether the backend's leg is encrypted too, a client that is, its address and port)"""
        for tls in ("starttls", "implicit"):
            for upstream in ("mirror", "always", "off"):
                d = self.tell(send, backend, tls=TLS, more={"tls": tls, "upstream_tls": upstream})
                client = self.bot()
                c, port = self.client(d, client, greet=False)
                if tls == "implicit":
                    c.sock = PackedTls(c.sock, b"")
                self.assert_code(c.read(), 220)
                c.ehlo = c.cmd(HELLO[:-2])
                if tls == "starttls":
                    c.starttls()
                self.assert_code(c.ehlo, 250)
                yield "%s, upstream %s" % (tls, upstream), upstream != "off", c, client, port


class ToldExim(Told):
    """By the PROXY protocol: hosts_proxy."""

    def test_exim_by_tls(self):
        exim = self.place.proxy_exim
        for what, encrypted, c, client, port in self.over_tls("proxy-v2", exim):
            with self.subTest(what):
                m = self.assert_delivered(self.sent(c), "u@" + self.name("self"), TEXT, exim=exim)
                self.assertIn("[%s]:%d " % (client, port), m.line)
                self.assertEqual(" X=TLS" in m.line, encrypted, m.line)

    def check(self, send):
        exim = self.place.proxy_exim
        d = self.tell(send, exim)
        self.hear(d)
        for client in self.clients():
            with self.subTest(client):
                c, port = self.client(d, client)
                sender = self.sent(c)
                m = self.assert_delivered(sender, "u@" + self.name("self"), TEXT, exim=exim)
                self.assertEqual(m.client, client)
                self.assertIn("[%s]:%d " % (client, port), m.line)
                # what it would have seen as its own address
                self.assertTrue(exim.log.lines(r"\[%s\].* Warning: external %s %d$" % (
                    re.escape(client), re.escape(self.server_of(client)), d.port)))
                self.assert_event(d.event(client=client), reply=250, server=self.server_of(client))
                # and we go on judging
                self.assert_code(self.rcpt(c, "u@" + self.name("acme")), 550)
        self.check_banned(d, 550, exim.log, r"\[%s\].* rejected RCPT ")
        for client in backends.DROPPED:
            with self.subTest("dropped " + client):
                c, _ = self.client(d, client)
                self.assert_code(c.banner, 550, backends.BAN)

    def test_exim_by_version_1(self):
        self.check("proxy-v1")

    def test_exim_by_version_2(self):
        self.check("proxy-v2")


class ToldPostfix(Told):
    def check_bans(self, d):
        self.check_banned(d, 554, self.place.postfix, r"reject: RCPT from unknown\[%s\]:\d+: 554 ")

    def check_stored(self, sender, client, port, name="unknown", helo="client.lab-sender.net", proto="ESMTP"):
        m = self.place.postfix.stored(sender)
        self.assertEqual(m.client, "%s[%s]:%d" % (name, client, port))
        shown = "IPv6:" + client if ":" in client else client
        self.assertRegex(m.received, r"\Afrom %s \(%s \[%s\]\) (\(using TLS.*\) )?by host\.lab-hosting\.net "
                         r"\(Postfix\) with %s id " % (re.escape(helo), re.escape(name), re.escape(shown), proto))
        self.assertTrue(m.content.endswith(TEXT.replace(b"\r\n", b"\n")), m.content)
        question = self.place.postfix.question(sender)
        believed = {k: question[k] for k in ("client_address", "client_name", "client_port", "helo_name",
                                             "protocol_name", "server_address")}
        self.assertEqual(believed, {
            "client_address": client, "client_name": name, "client_port": str(port), "helo_name": helo,
            "protocol_name": proto.rstrip("AS"), "server_address": self.server_of(client)})
        return question

    def check_over_tls(self, send, service):
        for what, encrypted, c, client, port in self.over_tls(send, self.place.postfix.backends[service]):
            with self.subTest(what):
                self.check_stored(self.sent(c), client, port, proto="ESMTPS" if encrypted else "ESMTP")


class ProxyToPostfix(ToldPostfix):
    """smtpd_upstream_proxy_protocol = haproxy."""

    def check(self, send):
        d = self.tell(send, self.place.postfix.backends["proxy"])
        self.hear(d)
        for client in self.clients():
            with self.subTest(client):
                c, port = self.client(d, client)
                question = self.check_stored(self.sent(c), client, port)
                self.assertEqual(question["server_port"], str(d.port))
                self.assert_code(self.rcpt(c, "u@" + self.name("acme")), 550)
        self.check_bans(d)

    def test_postfix_by_version_1(self):
        self.check("proxy-v1")

    def test_postfix_by_version_2(self):
        self.check("proxy-v2")

    def test_postfix_by_tls(self):
        self.check_over_tls("proxy-v1", "proxy")


class XclientToPostfix(ToldPostfix):
    """smtpd_authorized_xclient_hosts."""

    def tell_postfix(self, **changes):
        d = self.tell("xclient", self.place.postfix.backends["xclient"], **changes)
        self.hear(d)
        return d

    def test_address_port_and_destination(self):
        d = self.tell_postfix()
        for client in self.clients():
            with self.subTest(client):
                c, port = self.client(d, client)
                for keyword in ("XCLIENT", "XFORWARD"):
                    self.assertFalse(c.offers(keyword))
                question = self.check_stored(self.sent(c), client, port)
                self.assertEqual(question["server_port"], str(d.port))
                self.assert_code(self.rcpt(c, "u@" + self.name("acme")), 550)
        self.check_bans(d)

    def test_names(self):
        d = self.tell_postfix()
        plan = self.place.plan
        for who, name in (("mta", "mta.honest-mailer.net"), ("liar", "unknown"), ("nameless", "unknown"),
                          ("stranger", "unknown")):
            client = getattr(plan, who)[0]
            with self.subTest(who):
                c, port = self.client(d, client)
                self.check_stored(self.sent(c), client, port, name)
        # Its own rules know clients by name.
        c, _ = self.client(d, plan.mystery_out[0])
        self.assert_code(self.rcpt(c, "u@" + self.name("self")), 554, backends.BAN)

    def test_helo_is_the_client_s(self):
        d = self.tell_postfix()
        client = self.bot()
        c, port = self.client(d, client, greet=False)
        self.assert_code(c.read(), 220)
        self.assert_code(c.cmd("HELO old.lab-sender.net"), 250)
        self.check_stored(self.sent(c), client, port, helo="old.lab-sender.net", proto="SMTP")
        c.ehlo = c.cmd("EHLO [127.0.0.1]")
        self.check_stored(self.sent(c), client, port, helo="[127.0.0.1]")

    def test_one_greeting_and_pipelining(self):
        d = self.tell_postfix()
        client, own = self.bot(), "u@" + self.name("self")
        sender = mail.token("early")
        c, port = self.client(d, client, greet=False)
        c.send(HELLO + b"MAIL FROM:<%s>\r\nRCPT TO:<u@%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (
            sender.encode(), self.name("acme").encode(), own.encode()))
        self.assertEqual([c.read().code for _ in range(6)], [220, 250, 250, 550, 250, 354])
        c.send(TEXT + b".\r\nQUIT\r\n")
        self.assertEqual([c.read().code for _ in range(2)], [250, 221])
        self.check_stored(sender, client, port)

    def test_a_client_that_was_answered_without_the_backend(self):
        """From its second session on it is greeted by us, and the backend is called when there is mail for it."""
        d = self.tell_postfix()
        client, shut = self.bot(), "u@" + self.name("acme")
        connections = lambda: len(self.place.postfix.lines(r"smtpd\[\d+\]: connect from "))
        before = -1
        while before != connections():
            before = connections()
            c, _ = self.client(d, client)
            self.assert_code(self.rcpt(c, shut), 550)
            c.close()
            time.sleep(0.3)
        c, port = self.client(d, client)
        sender = mail.token("front")
        replies, final = c.mail(sender, [shut, "u@" + self.name("self")], TEXT)
        self.assertEqual([r.code for r in replies], [550, 250])
        self.assert_code(final, 250)
        self.check_stored(sender, client, port)

    def test_users_log_in(self):
        d = self.tell_postfix()
        client = self.bot()
        c, port = self.client(d, client)
        self.assert_code(c.login(), 235)
        sender = self.sent(c)
        self.assertEqual(self.check_stored(sender, client, port, proto="ESMTPA")["sasl_username"], "user")

    def test_xclient_and_tls(self):
        self.check_over_tls("xclient", "xclient")

    def test_where_it_is_not_offered(self):
        d = self.tell("xclient", self.place.postfix.backends["plain"])
        c, _ = self.client(d, self.bot(), greet=False)
        self.assert_code(c.read(), 421, "421 4.3.0 ")
        self.assertIn("warning listener=smtp", d.wait_log("does not offer us XCLIENT"))


class XclientOddities(Talk):
    """Servers that Postfix can't be made to be, such as one that takes it at the start and not later."""

    OFFER = "250-fake\r\n250-XCLIENT %s\r\n250 PIPELINING"

    def check(self, **later):
        replies = {"EHLO": self.OFFER % "NAME ADDR PORT", "XCLIENT": "220 again", "RCPT": "550 no"}
        backend = self.fake({k: lambda k=k: replies[k] for k in replies})
        d = self.serve(backend, source="self", listener={"send": "xclient"})
        self.assert_code(self.dial(d, self.bot()).read(), 220, "again")
        replies.update(later)
        c = self.dial(d, self.bot(), HELLO + b"MAIL FROM:<>\r\n")
        self.assert_code(c.read(), 421, "421 4.3.0 ")
        self.assertIn("warning id=", d.wait_log("does not take the client's address (XCLIENT)"))
        self.assertNotIn("MAIL", str([s for s in backend.sessions[1:]]))

    def test_refused(self):
        for answer in ("501 5.5.4 bad attribute", "503 5.5.1 not now", "502 5.5.2 what", "500 5.5.1 what"):
            with self.subTest(answer):
                self.check(XCLIENT=answer)

    def test_not_offered_any_more(self):
        self.check(EHLO="250-fake\r\n250 PIPELINING")

    def test_without_the_attribute_that_counts(self):
        self.check(EHLO=self.OFFER % "NAME PROTO HELO")

    def test_a_client_that_the_backend_does_not_want(self):
        """Its new greeting is about the client: passed on."""
        answer = ["220 again"]
        backend = self.fake({"EHLO": self.OFFER % "ADDR", "XCLIENT": lambda: answer[0], "RCPT": "550 no"})
        d = self.serve(backend, source="self", listener={"send": "xclient"})
        answer[0] = "554 5.7.1 you are not welcome"
        self.assert_code(self.dial(d, self.bot()).read(), 554, "you are not welcome")

    def test_only_what_is_offered_is_said(self):
        backend = self.fake({"EHLO": self.OFFER % "ADDR PORT", "XCLIENT": "220 second.lab-hosting.net",
                             "RCPT": "550 no"})
        d = self.serve(backend, source="self", listener={"send": "xclient"})
        bot = self.bot()
        c = self.dial(d, bot)
        self.assert_code(c.read(), 220, "second.lab-hosting.net")
        port = c.sock.getsockname()[1]
        said = [x for s in backend.sessions for x in s if x.startswith("XCLIENT")]
        self.assertIn("XCLIENT ADDR=%s PORT=%d" % (bot, port), said)
