"""How it ends: what is under way is finished and answered, and nothing hinders the next start."""
import os
import re
import signal
import subprocess
import time

from harness import fakes
from harness.case import DaemonCase
from lab import mail


class Ends(DaemonCase):
    def begin(self, d, sender):
        c = self.connect(d, self.bot())
        c.cmd("MAIL FROM:<%s>" % sender)
        self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)
        return c

    def end(self, d, seconds):
        start = time.monotonic()
        d.process.wait(timeout=seconds + 10)
        self.assertEqual(d.process.returncode, 0)
        self.assertLess(time.monotonic() - start, seconds)

    def wait_signal(self, d):
        d.wait_log("letting transactions in progress end")
        time.sleep(0.2)

    def test_transactions_in_progress_are_finished(self):
        d = self.serve()
        idle = [self.connect(d, self.bot()) for _ in range(6)]
        silent = self.connect(d, self.bot(), greet=False)
        self.assert_code(silent.read(), 220)
        early = self.begin(d, "term-early@lab-sender.net")
        late = self.begin(d, "term-late@lab-sender.net")
        self.assert_code(late.cmd("DATA"), 354)
        late.send(b"Subject: late\r\n")
        chunks = self.begin(d, "term-chunks@lab-sender.net")
        chunks.send(b"BDAT 10\r\nX: y\r")
        time.sleep(0.2)
        d.process.send_signal(signal.SIGTERM)
        self.wait_signal(d)
        for c in idle + [silent]:
            self.assert_code(c.read(), 421, "421 4.3.2 ")
            self.assertRaises(mail.Closed, c.read)
        self.assertRaises(mail.Closed, self.connect, d, self.bot())
        self.assertIsNone(d.process.poll())
        # DATA comes only now: the transaction had begun.
        self.assert_code(early.content(b"Subject: early\r\n\r\nx\r\n"), 250)
        late.send(b"\r\nx\r\n.\r\n")
        self.assert_code(late.read(), 250)
        chunks.send(b"\n\r\n90")
        self.assert_code(chunks.read(), 250)
        self.assert_code(chunks.cmd(b"BDAT 2 LAST\r\n"), 250)
        for c in (early, late, chunks):
            self.assert_code(c.read(), 421, "421 4.3.2 ")
            self.assertRaises(mail.Closed, c.read)
        self.end(d, 10)
        own = "u@" + self.name("self")
        self.assert_delivered("term-early@lab-sender.net", own, b"Subject: early\r\n\r\nx\r\n")
        self.assert_delivered("term-late@lab-sender.net", own, b"Subject: late\r\n\r\nx\r\n")
        self.assert_delivered("term-chunks@lab-sender.net", own, b"X: y\r\n\r\n90\r\n")
        self.assertEqual([e["message_reply"] for e in d.events()], [250] * 3)

    def test_a_reply_that_the_backend_owes_is_awaited(self):
        backend = self.fake({".": lambda: time.sleep(2) or "250 taken"})
        d = self.serve(backend)
        c = self.begin(d, "owed@lab-sender.net")
        self.assert_code(c.cmd("DATA"), 354)
        c.send(b"x\r\n.\r\n")
        time.sleep(0.2)
        d.process.send_signal(signal.SIGTERM)
        self.assert_code(c.read(), 250)
        self.assert_code(c.read(), 421, "421 4.3.2 ")
        self.end(d, 10)

    def test_users_finish_what_they_send(self):
        """Relayed as bytes: nobody parses it, but it isn't cut off either."""
        self.need_client_source()
        d = self.serve()
        c = self.connect(d, self.bot())
        self.assert_code(c.login(), 235)
        c.cmd("MAIL FROM:<term-login@lab-sender.net>")
        c.cmd("RCPT TO:<u@%s>" % self.name("self"))
        self.assert_code(c.cmd("DATA"), 354)
        d.process.send_signal(signal.SIGTERM)
        self.wait_signal(d)
        c.send(b"X: y\r\n\r\n.\r\n")
        self.assert_code(c.read(), 250)
        self.assert_code(c.cmd("QUIT"), 221)
        c.close()
        self.end(d, 10)
        self.assert_delivered("term-login@lab-sender.net", "u@" + self.name("self"), b"X: y\r\n\r\n")

    def test_events_that_wait_for_names_are_written(self):
        """The refusal is out; which of the domain's names led here is still being asked for."""
        ns = fakes.NameServer(self.place.plan.unbound, {
            "named.com": [fakes.mx(10, "mx.slow-filter.net")], "www.named.com": [],
            "mx.slow-filter.net": [fakes.a("127.51.0.99")]}, {"www.named.com": 20})
        self.addCleanup(ns.stop)
        d = self.serve(resolver={"servers": [ns.server], "timeout_ms": 5000}, hosted=[],
                       domains=[{"name": "named.com", "action": "defer"}],
                       scanners=[{"name": "slow", "mx": ["*.slow-filter.net"], "egress": ["mx"]}])
        _, reply = self.send_one(d, self.bot(), "u@named.com")
        self.assert_code(reply, 450)
        self.assertEqual(d.events(), [])
        d.process.send_signal(signal.SIGTERM)
        self.end(d, 10)
        self.assert_event(d.event(), reply=450, action="defer", rcpt_domain="named.com")

    def test_tarpits_do_not_hold_it_up(self):
        d = self.serve(policy={"action": "tarpit"})
        self.hear(d)
        for _ in range(4):
            c = self.connect(d, self.bot())
            c.cmd("MAIL FROM:<t@lab-sender.net>")
            c.send(b"RCPT TO:<u@%s>\r\n" % self.name("acme", 1).encode())
        time.sleep(0.5)
        d.process.send_signal(signal.SIGTERM)
        self.end(d, 10)

    def test_signals_before_it_is_ready_wait(self):
        """Log rotation, or a manager's reload, while it still asks its backend what that offers."""
        conf = self.conf(self.fake({"banner": fakes.STALL}), source="self")
        for n in (signal.SIGHUP, signal.SIGUSR2):
            with open(os.path.join(conf.dir, "early.log"), "w+") as log:
                p = subprocess.Popen([self.place.daemon, "serve", "-c", conf.file], stdout=log, stderr=log)
                try:
                    time.sleep(0.5)
                    p.send_signal(n)
                    said = "reloaded" if n == signal.SIGHUP else "takes the sessions"
                    self.wait("that it is done", lambda: said in open(log.name).read(), 20)
                    self.assertIn(" ready", open(log.name).read())
                finally:
                    for pid in [p.pid] + [int(x) for x in re.findall(r"pid=(\d+) takes", open(log.name).read())]:
                        os.kill(pid, signal.SIGTERM)
                    p.wait(20)

    test_signals_before_it_is_ready_wait.slow = 20

    def test_two_signals_end_at_once(self):
        d = self.serve()
        c = self.begin(d, "twice@lab-sender.net")
        self.assert_code(c.cmd("DATA"), 354)
        c.send(b"x\r\n")
        d.process.send_signal(signal.SIGTERM)
        self.wait_signal(d)
        self.assertIsNone(d.process.poll())
        d.process.send_signal(signal.SIGTERM)
        self.end(d, 10)
        self.assertIsNone(self.found("twice@lab-sender.net"))

    def test_what_never_ends_is_cut_off(self):
        """Thirty seconds are enough; a user's idle session can't be told, since it is only relayed."""
        d = self.serve()
        stuck = self.begin(d, "stuck@lab-sender.net")
        self.assert_code(stuck.cmd("DATA"), 354)
        stuck.send(b"x\r\n")
        user = self.connect(d, self.bot())
        self.assert_code(user.login(), 235)
        stuck.sock.settimeout(40)
        start = time.monotonic()
        d.process.send_signal(signal.SIGTERM)
        self.assertRaises(mail.Closed, stuck.read)
        self.assertGreater(time.monotonic() - start, 29)
        self.end(d, 10)
        self.assertIsNone(self.found("stuck@lab-sender.net"))

    test_what_never_ends_is_cut_off.slow = 31

    def test_interrupt_is_as_terminate(self):
        d = self.serve()
        c = self.connect(d, self.bot())
        d.process.send_signal(signal.SIGINT)
        self.assert_code(c.read(), 421, "421 4.3.2 ")
        self.end(d, 10)

    def test_hangup_disturbs_no_transaction(self):
        d = self.serve()
        c = self.begin(d, "hup@lab-sender.net")
        d.process.send_signal(signal.SIGHUP)
        d.wait_log(": reloaded;")
        self.assert_code(c.content(b"x\r\n"), 250)

    def test_killed_and_started_again(self):
        d = self.serve(policy={"action": "tarpit"})
        self.hear(d)
        for _ in range(5):
            self.begin(d, "kill@lab-sender.net")
        stuck = self.connect(d, self.bot())
        stuck.cmd("MAIL FROM:<t@lab-sender.net>")
        stuck.send(b"RCPT TO:<u@%s>\r\n" % self.name("acme", 1).encode())
        self.wait("events are written", lambda: d.notes("start") and d.events())
        d.process.kill()
        d.process.wait()
        again = self.start(d.conf)
        sender, reply = self.send_one(again, self.bot(), "u@" + self.name("self"))
        self.assert_code(reply, 250)
        # Events go on in the same file.
        self.wait("events", lambda: len(again.notes("start")) == 2 and len(again.events()) >= 2)

    def test_stopped_and_started_again_on_the_same_port(self):
        d = self.serve()
        for _ in range(3):
            self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("self"))[1], 250)
            d.process.terminate()
            self.end(d, 10)
            d = self.start(d.conf)
