"""What whole sessions do to mail: logins, pipelining, chunks, sizes, and many at once."""
import base64
import os
import random
import resource
import subprocess
import time

from harness.case import DaemonCase
from lab import mail, paths


TEXT = b"Subject: x\r\n\r\nx\r\n"


class Login(DaemonCase):
    def login_and_send(self, source):
        d = self.serve(source=source)
        self.hear(d)
        bot, domain = self.bot(), self.name("acme", 1)
        c = self.connect(d, bot)
        self.assertTrue(c.offers("AUTH"))
        self.assert_code(c.login(), 235)
        recipients = ["u@" + domain, "u@not-hosted.net"]
        content = mail.message("login@lab-sender.net")
        _, final = c.mail("login-%s@lab-sender.net" % source, recipients[:1], content)
        self.assert_code(final, 250)
        self.assert_delivered("login-%s@lab-sender.net" % source, recipients[:1], content)
        c.cmd("MAIL FROM:<anywhere@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<%s>" % recipients[1]), 250)
        c.cmd("RSET")
        return d, c, bot

    def test_a_user_may_send_anywhere(self):
        self.need_client_source()
        self.login_and_send("client")

    def test_a_user_may_send_anywhere_where_sessions_are_parsed_on(self):
        d, c, bot = self.login_and_send("self")
        events = d.wait_events(2, client=bot)
        self.assertEqual({(e["reason"], e["auth"], e["action"]) for e in events},
                         {("authenticated", True, "pass")})

    def test_login_in_steps(self):
        d = self.serve()
        self.hear(d)
        c = self.connect(d, self.bot())
        self.assert_code(c.cmd("AUTH LOGIN"), 334)
        self.assert_code(c.cmd(base64.b64encode(b"user")), 334)
        self.assert_code(c.cmd(base64.b64encode(b"secret")), 235)
        _, final = c.mail("steps@lab-sender.net", ["u@" + self.name("acme", 1)], b"x\r\n")
        self.assert_code(final, 250)

    def test_a_failed_login_opens_nothing(self):
        d = self.serve()
        self.hear(d)
        c = self.connect(d, self.bot())
        self.assert_code(c.login(password="wrong"), 535)
        self.assert_code(c.cmd("AUTH LOGIN"), 334)
        self.assert_code(c.cmd("*"), 501)
        c.cmd("MAIL FROM:<failed@lab-sender.net>")
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("acme", 1)), 550)

    def test_no_password_is_kept_anywhere(self):
        d = self.serve(source="self")
        secrets = [b"secret", b"S3cr3t-but-wr0ng", b"dXNlcg", base64.b64encode(b"\0user\0secret"),
                   base64.b64encode(b"\0user\0S3cr3t-but-wr0ng"), base64.b64encode(b"secret")]
        c = self.connect(d, self.bot())
        self.assert_code(c.login(password="S3cr3t-but-wr0ng"), 535)
        self.assert_code(c.cmd(b"AUTH LOGIN"), 334)
        self.assert_code(c.cmd(base64.b64encode(b"user")), 334)
        self.assert_code(c.cmd(base64.b64encode(b"S3cr3t-but-wr0ng")), 535)
        c = self.connect(d, self.bot())
        self.assert_code(c.login(), 235)
        _, final = c.mail("kept@lab-sender.net", ["u@" + self.name("acme", 1)], b"x\r\n")
        self.assert_code(final, 250)
        # A line that says it where no AUTH is: neither are peer's bytes the log's.
        self.assert_code(c.cmd(b"AUTH"), 501)
        d.wait_events(1, auth=True)
        d.stop()
        for file in os.listdir(d.conf.dir):
            with open(os.path.join(d.conf.dir, file), "rb") as f:
                text = f.read()
            for word in secrets:
                self.assertNotIn(word, text, file)


class Pipelined(DaemonCase):
    def test_mixed_verdicts_in_order(self):
        d = self.serve()
        self.hear(d)
        one, own, null, dns = (self.name(k, 0) for k in ("acme", "self", "null", "servfail"))
        c = self.connect(d, self.bot())
        lines = ["MAIL FROM:<mixed@lab-sender.net>", "RCPT TO:<a@%s>" % one, "RCPT TO:<b@%s>" % own,
                 "RCPT TO:<c@%s>" % null, "RCPT TO:<d@%s>" % dns, "RCPT TO:<nosuchuser@%s>" % own,
                 "NONSENSE", "RCPT TO:<e@%s>" % self.name("implicit"), "RCPT TO:<broken@>", "DATA"]
        c.send("".join(x + "\r\n" for x in lines).encode())
        codes = [c.read().code for _ in lines]
        self.assertEqual(codes, [250, 550, 250, 556, 451, 550, 500, 250, 501, 354])
        c.send(b"Subject: mixed\r\n\r\nx\r\n.\r\nMAIL FROM:<second@lab-sender.net>\r\nRCPT TO:<a@%s>\r\n"
               b"DATA\r\nRSET\r\nQUIT\r\n" % one.encode())
        self.assertEqual([c.read().code for _ in range(6)], [250, 250, 550, 554, 250, 221])
        self.assert_delivered("mixed@lab-sender.net", ["b@" + own, "e@" + self.name("implicit")],
                              b"Subject: mixed\r\n\r\nx\r\n")
        self.assertIsNone(self.found("second@lab-sender.net"))

    def test_chunks_of_refused_recipients_are_swallowed(self):
        d = self.serve()
        self.hear(d)
        bot, own = self.bot(), self.name("self")
        c = self.connect(d, bot)
        # What is in the chunk looks like commands, and must not become any.
        inside = b"MAIL FROM:<smuggled@lab-sender.net>\r\nRCPT TO:<u@%s>\r\nDATA\r\nx\r\n.\r\n" % own.encode()
        c.send(b"MAIL FROM:<chunks@lab-sender.net>\r\nRCPT TO:<u@%s>\r\n" % self.name("acme").encode()
               + b"BDAT %d\r\n" % len(inside) + inside + b"BDAT 5\r\nQUIT\n"
               + b"BDAT 0 LAST\r\nNOOP\r\n")
        self.assertEqual([c.read().code for _ in range(6)], [250, 550, 554, 554, 554, 250])
        c.cmd("RSET")
        _, final = c.mail("after-chunks@lab-sender.net", ["u@" + own], TEXT, chunking=True)
        self.assert_code(final, 250)
        self.assert_delivered("after-chunks@lab-sender.net", "u@" + own, TEXT)
        self.assertIsNone(self.found("smuggled@lab-sender.net"))

    def test_half_closed_after_quit(self):
        d = self.serve()
        self.hear(d)
        own = self.name("self")
        c = self.connect(d, self.bot(), greet=False)
        c.send(b"EHLO half.lab-sender.net\r\n")
        c.read()
        c.read()
        c.send(b"MAIL FROM:<half@lab-sender.net>\r\nRCPT TO:<u@%s>\r\nRCPT TO:<u@%s>\r\n"
               b"BDAT %d LAST\r\n%sQUIT\r\n" % (own.encode(), self.name("acme").encode(), len(TEXT), TEXT))
        c.sock.shutdown(1)
        self.assertEqual([c.read().code for _ in range(5)], [250, 250, 550, 250, 221])
        self.assertRaises(mail.Closed, c.read)
        self.assert_delivered("half@lab-sender.net", "u@" + own, TEXT)

    def test_bytewise(self):
        d = self.serve()
        self.hear(d)
        own = self.name("self")
        c = self.connect(d, self.bot())
        text = (b"MAIL FROM:<bytewise@lab-sender.net>\r\nRCPT TO:<u@%s>\r\nRCPT TO:<u@%s>\r\nDATA\r\n"
                % (self.name("acme").encode(), own.encode()))
        for i in range(len(text)):
            c.send(text[i:i + 1])
        self.assertEqual([c.read().code for _ in range(4)], [250, 550, 250, 354])
        for i in b"X: y\r\n\r\na\r\n..\r\n.\r\n":
            c.send(bytes([i]))
        self.assert_code(c.read(), 250)
        self.assert_delivered("bytewise@lab-sender.net", "u@" + own, b"X: y\r\n\r\na\r\n.\r\n")


class Sizes(DaemonCase):
    slow = 3

    def big(self):
        """10 MiB of all that a message may hold: dots, empty and long lines, 8 bits."""
        rng = random.Random(5321)
        pool = [rng.randbytes(n).translate(None, b"\r\n\0") for n in range(0, 900, 7)] + [b"", b".", b".."]
        out, size = [b"Subject: big", b""], 0
        while size < 10 << 20:
            out.append(rng.choice(pool))
            size += len(out[-1]) + 2
        return b"\r\n".join(out) + b"\r\n"

    def check_big(self, **how):
        d = self.serve()
        content, recipient = self.big(), "u@" + self.name("self")
        sender, reply = self.send_one(d, self.bot(), recipient, content=content, **how)
        self.assert_code(reply, 250)
        self.assert_delivered(sender, recipient, content)
        self.assertLess(self.place.resident(d.pid), 64 << 10)

    def test_big_message_by_data(self):
        self.check_big()

    def test_big_message_by_chunks(self):
        self.check_big(chunking=True)

    def test_a_thousand_recipients(self):
        d = self.serve()
        self.hear(d)
        own, shut = self.name("self"), self.name("acme")
        good = ["u%d@%s" % (i, own) for i in range(990)]
        mixed = good[:]
        for i in range(10):
            mixed.insert(i * 100, "bad%d@%s" % (i, shut))
        c = self.connect(d, self.bot())
        replies, final = c.mail("thousand@lab-sender.net", mixed, mail.message("t@lab-sender.net"))
        self.assertEqual([r.code for r in replies], [550 if r.startswith("bad") else 250 for r in mixed])
        self.assert_code(final, 250)
        self.assert_delivered("thousand@lab-sender.net", good)
        # One message can't have more, and says so as RFC 5321 4.5.3.1.10 wants it.
        replies, final = c.mail("more@lab-sender.net", good + ["x%d@%s" % (i, own) for i in range(11)], b"x\r\n")
        self.assertEqual([r.code for r in replies], [250] * 1000 + [452])
        self.assert_code(final, 250)

    def test_endless_lines_and_pipelines_are_bounded(self):
        d = self.serve()
        self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)
        before = self.place.resident(d.pid)
        c = self.connect(d, self.bot())
        c.send(b"NOOP " + b"x" * (4 << 20) + b"\r\n")
        self.assert_code(c.read(), 500)
        c.send(b"NOOP\r\n" * 100000)
        # Not read by its client, so not read from it for ever.
        time.sleep(0.5)
        self.assertLess(self.place.resident(d.pid) - before, 12 << 10)
        self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)


class Many(DaemonCase):
    slow = 9
    COUNT = 2000

    def test_idle_connections(self):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2.5 * self.COUNT:
            self.skipTest("too few descriptors permitted")
        self.need_client_source()  # smtp-sink relays for everybody
        d = self.serve(self.sink(), hosted=[])
        self.send_one(d, self.bot(), "u@" + self.name("self"))  # the first door of all takes its pages
        before = self.place.resident(d.pid)
        idle = [self.connect(d, self.bot(), greet=False) for _ in range(self.COUNT)]
        for c in idle:
            self.assert_code(c.read(), 220)
        for c in idle:
            c.send(b"EHLO idle.lab-sender.net\r\n")
        for c in idle:
            self.assert_code(c.read(), 250)
        per_session = (self.place.resident(d.pid) - before) / self.COUNT
        start = time.monotonic()
        _, reply = self.send_one(d, self.bot(), "u@" + self.name("self"))
        self.assert_code(reply, 250)
        self.assertLess(time.monotonic() - start, 2)
        for c in idle:
            c.close()
        self.wait("sessions ended", lambda: len(os.listdir("/proc/%d/fd" % d.pid)) < 100)
        after = self.place.resident(d.pid)
        print("     %d idle sessions: %.1f KiB each; resident %d KiB before, %d KiB after"
              % (self.COUNT, per_session, before, after), flush=True)
        self.assertLess(per_session, 8)
        self.assertLess(after, before + 8 * self.COUNT)

    def test_a_real_load(self):
        """smtp-source, twenty sessions at once; each of its mails is taken, and none is made up."""
        self.need_client_source()
        d = self.serve(self.sink(), hosted=[])
        for reuse in ([], ["-d"]):
            argv = [paths.program("smtp-source"), "-s", "20", "-m", "600", "-l", "4096", "-c", "-f",
                    "load@lab-sender.net", "-t", "u@" + self.name("self"), "-M", "load.lab-sender.net"]
            p = subprocess.run(argv + reuse + ["%s:%d" % (self.place.server, d.port)],
                               env=paths.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=60)
            self.assertEqual(p.returncode, 0, p.stdout[-500:])
        events = d.wait_events(1200)
        self.assertEqual({(e["reply"], e["message_reply"]) for e in events}, {(250, 250)})
