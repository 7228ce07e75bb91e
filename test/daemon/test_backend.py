"""A backend that fails at any step: the client hears 421 or the backend's own words, never a 2xx for
mail that was not taken, and nobody else is held up."""
import socket
import time

from harness import fakes
from harness.case import DaemonCase
from lab import mail


class Faults(DaemonCase):
    def test_backend_that_closes_at_each_step(self):
        """Each row: step where it closes, what the client hears of the session."""
        backend = self.fake()
        d = self.serve(backend)
        table = (("banner", [421]), ("EHLO", [220, 421]), ("MAIL", [220, 250, 421]),
                 ("RCPT", [220, 250, 250, 421]), ("DATA", [220, 250, 250, 250, 421]),
                 ("body", [220, 250, 250, 250, 354, 421]), (".", [220, 250, 250, 250, 354, 421]))
        whole = dict(backend.replies)
        for step, wanted in table:
            with self.subTest(step):
                backend.replies = dict(whole, **{step: fakes.CLOSE})
                bot = self.bot()
                self.assertEqual(self.session(d, bot), wanted + [None])
        backend.replies = whole
        self.assertEqual(self.session(d), [220, 250, 250, 250, 354, 250, 221])

    def test_lost_reply_to_the_message_is_told_in_the_event(self):
        backend = self.fake({".": fakes.CLOSE})
        d = self.serve(backend)
        bot = self.bot()
        self.assertEqual(self.session(d, bot)[-2:], [421, None])
        # The backend has the message, the client doesn't know it: it will send it again.
        self.assertEqual(backend.messages, [b"x\r\n"])
        self.assert_event(d.event(client=bot), reply=250, message_reply=None)

    def test_backend_that_closes_after_chunks(self):
        d = self.serve(self.fake({"BDAT": fakes.CLOSE}))
        self.assertEqual(self.session(d, chunking=True), [220, 250, 250, 250, 421, None])

    def test_what_the_backend_says_is_passed_on(self):
        backend = self.fake()
        d = self.serve(backend)
        whole = dict(backend.replies)
        table = (("banner", "421 4.3.2 not now", [421, None]), ("banner", "554 5.3.2 never", [554, None]),
                 ("EHLO", "502 5.5.1 no", [220, 502, 221]),
                 ("MAIL", "452 4.3.1 no room", [220, 250, 452, 221]),
                 ("RCPT", "550 5.1.1 no such", [220, 250, 250, 550, 221]),
                 ("DATA", "451 4.3.0 disk", [220, 250, 250, 250, 451, 221]),
                 (".", "451 4.3.0 disk", [220, 250, 250, 250, 354, 451, 221]),
                 (".", "554 5.6.0 virus", [220, 250, 250, 250, 354, 554, 221]))
        for step, says, wanted in table:
            with self.subTest("%s: %s" % (step, says)):
                backend.replies = dict(whole, **{step: says})
                self.assertEqual(self.session(d), wanted)

    def test_garbage(self):
        backend = self.fake()
        d = self.serve(backend)
        whole = dict(backend.replies)
        for step in ("banner", "EHLO", "MAIL", "RCPT", ".", "DATA"):
            for junk in ("HTTP/1.1 400 Bad Request", "25", "250-a\r\n251 b", "999 what", "\x00\x01"):
                with self.subTest("%s: %r" % (step, junk)):
                    backend.replies = dict(whole, **{step: junk})
                    codes = self.session(d)
                    self.assertEqual(codes[-2:], [421, None], codes)

    def answered_in_the_message(self, early):
        """What the client hears in the end, when the backend says that after the first line."""
        d = self.serve(self.fake({"body": early}))
        c = self.connect(d, self.bot())
        c.cmd("MAIL FROM:<e@lab-sender.net>")
        c.cmd("RCPT TO:<u@%s>" % self.name("self"))
        self.assert_code(c.cmd("DATA"), 354)
        c.send(b"x\r\n")
        time.sleep(0.3)
        c.send(b"y\r\n.\r\n")
        return c.read()

    def test_success_before_the_end_of_the_message_is_none(self):
        reply = self.answered_in_the_message("250 taken already")
        self.assertIn(reply.code, (421, 451), reply.text)

    def test_early_refusal_is_told_at_the_end(self):
        self.assert_code(self.answered_in_the_message("552 5.3.4 too big"), 552, "too big")

    def test_backend_that_stalls(self):
        for step in ("banner", "EHLO", "MAIL", "RCPT", "DATA", "."):
            with self.subTest(step):
                backend = self.fake()
                d = self.serve(backend)
                whole = dict(backend.replies)
                backend.replies = dict(whole, **{step: fakes.STALL})
                clients = [self.connect(d, self.bot(), greet=False) for _ in range(4)]
                for c in clients:
                    c.send(b"EHLO s.lab-sender.net\r\nMAIL FROM:<s@lab-sender.net>\r\nRCPT TO:<u@%s>\r\n"
                           b"DATA\r\n" % self.name("self").encode())
                time.sleep(0.3)
                if step == ".":
                    for c in clients:
                        c.send(b"x\r\n.\r\n")
                    time.sleep(0.2)
                backend.replies = whole
                # Both workers have stalled sessions; others are served by them.
                for _ in range(4):
                    self.assertEqual(self.session(d), [220, 250, 250, 250, 354, 250, 221])
                for c in clients[1:]:
                    self.abort(c)
                self.wait("the backend's connections are closed",
                          lambda: len(self.place.connections(backend.port)) <= 1)
                backend.stop()
                got = []
                try:
                    while True:
                        got.append(clients[0].read().code)
                except mail.Closed:
                    pass
                self.assertEqual(got[-1:], [421], got)

    def test_backend_that_does_not_read(self):
        """A slow backend slows its client down; what waits between them is bounded."""
        backend = self.fake()
        whole = dict(backend.replies)
        d = self.serve(backend)
        self.send_one(d, self.bot(), "u@" + self.name("self"))  # the first door of all takes its pages
        backend.replies = dict(whole, body=lambda: time.sleep(3) or fakes.CLOSE)
        before = self.place.resident(d.pid)
        clients = []
        for _ in range(5):
            c = self.connect(d, self.bot())
            c.cmd("MAIL FROM:<e@lab-sender.net>")
            c.cmd("RCPT TO:<u@%s>" % self.name("self"))
            self.assert_code(c.cmd("DATA"), 354)
            c.sock.settimeout(0.2)
            sent = 0
            try:
                while sent < 64 << 20:
                    sent += c.sock.send(b"x" * 998 + b"\r\n")
            except socket.timeout:
                pass
            clients.append(sent)
        self.assertLess(max(clients), 40 << 20)
        # Beside what the kernel holds; a sanitizer keeps some of what was freed.
        self.assertLess(self.place.resident(d.pid) - before, 5 * 4096)
