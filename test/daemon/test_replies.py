"""A backend whose replies are none, come early or unasked, or never end; and one that goes away before it has
answered: nobody hears of a success that it did not speak of, and nothing grows."""
import time

from harness import fakes
from harness.case import DaemonCase
from lab import mail

BEFORE = {"banner": [], "EHLO": [220], "MAIL": [220, 250], "RCPT": [220, 250, 250], "DATA": [220, 250, 250, 250],
          "body": [220, 250, 250, 250, 354], ".": [220, 250, 250, 250, 354], "BDAT": [220, 250, 250, 250],
          "chunk": [220, 250, 250, 250]}
BROKEN = [  # no reply in whole or in part
    b"250 ok\n", b"250 ok\r", b"250 o\rk\r\n", b"250 o\nk\r\n", b"250-a\n250 b\r\n", b"250-a\r250 b\r\n", b"250 o\0k\r\n",
    b"250\0ok\r\n", b"250\tok\r\n", b"25O ok\r\n", b"2500 ok\r\n", b" 250 ok\r\n", b"\r\n250 ok\r\n", b"250_ok\r\n",
    b"-250 ok\r\n", b"+250 ok\r\n", b"100 ok\r\n", b"600 ok\r\n", b"000 ok\r\n", b"2\r\n", b"ok\r\n", b"\xff\xfe250 ok\r\n",
    b"250-a\r\n251 b\r\n", b"250-a\r\n550 b\r\n", b"550-a\r\n250 b\r\n", b"250-a\r\n\r\n250 b\r\n", b"250-a\r\nb\r\n250 c\r\n",
    b"354 go\r\n", b"334 \r\n", b"250 " + b"x" * 1100 + b"\r\n", b"250-x\r\n" * 200 + b"250 x\r\n",
]


class Replies(DaemonCase):
    def start_both(self):
        self.backend = self.fake()
        self.whole = dict(self.backend.replies)
        return self.serve(self.backend)

    def play(self, d, step, reply, source=None):
        self.backend.replies = dict(self.whole, **{step: reply})
        return self.session(d, source, chunking=step in ("BDAT", "chunk"))

    def assert_cut_off(self, codes, step):
        self.assertEqual(codes, BEFORE[step] + [421, None])

    def test_broken(self):
        d, steps = self.start_both(), ("banner", "EHLO", "MAIL", "RCPT", "DATA", ".", "BDAT")
        for step in steps:
            for reply in BROKEN:
                if (step, reply[:3]) == ("DATA", b"354"):
                    continue
                # One that waits for the rest of its line goes away in the end.
                said = reply if reply != b"250 ok\r" else lambda: (part for part in (b"250 ok\r", fakes.CLOSE))
                with self.subTest("%s: %r" % (step, reply[:30])):
                    self.assert_cut_off(self.play(d, step, said), step)

    def test_success_for_data(self):
        d = self.start_both()
        for code in ("200 ok", "250 ok", "221 bye", "299 ok"):
            self.assert_cut_off(self.play(d, "DATA", code), "DATA")

    def test_unasked(self):
        """A second reply behind the first one is nobody's, and so is one out of the blue."""
        d, steps = self.start_both(), ("banner", "EHLO", "MAIL", "RCPT", "DATA")
        for step in steps:
            first = self.whole.get(step, "250 ok")
            for more in ("250 and more", "354 and more", "550 and more", "221 and more"):
                with self.subTest("%s: %s" % (step, more)):
                    codes = self.play(d, step, first + "\r\n" + more)
                    self.assertEqual(codes[:len(BEFORE[step])], BEFORE[step])
                    # To DATA that is an early reply: a refusal of the message, which may be told at its end.
                    told = [c for c in codes[len(BEFORE[step]) + 1:] if c]
                    self.assertTrue(told and all(c >= 400 or c == 221 and c is told[-1] for c in told), codes)
                    self.assertIsNone(codes[-1] if 221 not in told else None)

    def test_unasked_while_idle(self):
        d = self.start_both()

        def twice():
            yield "250 ok"
            time.sleep(0.2)
            yield "250 once more"

        for code, more in ((421, twice), (421, lambda: (x for x in ("250 ok", b"x", fakes.CLOSE)))):
            self.backend.replies = dict(self.whole, NOOP=more)
            c = self.connect(d, self.bot())
            self.assert_code(c.cmd("NOOP"), 250)
            self.assert_code(c.read(), code)
            self.assertRaises(mail.Closed, c.read)

    def test_endless(self):
        d, steps = self.start_both(), ("banner", "EHLO", "MAIL", "RCPT", "DATA", "body", ".", "BDAT", "NOOP")
        self.play(d, ".", lambda: iter([b"250 ok\r\n"]))  # the first door of all takes its pages
        before = self.place.resident(d.pid)

        def endless(piece):
            while True:
                yield piece

        for step in steps:
            for piece in (b"250-x\r\n" * 1000, b"x" * 8000, b"250 x\r\n" * 1000, b"250-" + b"x" * 500 + b"\r\n", b"\0" * 8000,
                          b"\r\n" * 4000, b"421 x\r\n" * 1000):
                with self.subTest("%s: %r" % (step, piece[:9])):
                    if step == "NOOP":
                        self.backend.replies = dict(self.whole, NOOP=lambda: endless(piece))
                        c = self.connect(d, self.bot())
                        codes = [c.cmd("NOOP").code]
                        while codes[-1] not in (421, None):
                            codes.append(c.read().code)
                        self.assertLessEqual(len(codes), 2)
                        continue
                    codes = self.play(d, step, lambda: endless(piece))
                    self.assertEqual(codes[:len(BEFORE[step])], BEFORE[step])
                    # The first may be an answer, though that many are none.
                    self.assertIn(codes[len(BEFORE[step]):][-2:], ([421, None], [250, 421], [421, 421]), codes)
        self.wait("the backend's connections are closed", lambda: not self.place.connections(self.backend.port))
        self.assertLess(self.place.resident(d.pid) - before, 4 * 1024)

    def test_gone_before_the_answer(self):
        """The message may be there; its client will hear no success, and send it again."""
        d, steps = self.start_both(), (".", "BDAT")
        parts = (b"", b"2", b"25", b"250", b"250 ", b"250 ok", b"250 ok\r", b"250-ok\r\n", b"250-ok\r\n250", b"250-ok\r\n250 ok\r",
                 b"354 go\r\n", b"550", b"550 no\r")
        for step in steps:
            for end in (fakes.CLOSE, fakes.RESET):
                for part in parts:
                    with self.subTest("%s: %r, %s" % (step, part, end)):
                        bot = self.bot()
                        codes = self.play(d, step, lambda: (x for x in (part, end)), bot)
                        self.assert_cut_off(codes, step)
                        self.assert_event(d.event(client=bot), reply=250, message_reply=None)

    def test_gone_in_the_message(self):
        d, steps = self.start_both(), ("DATA", "body", "chunk")
        for step in steps:
            for end in (fakes.CLOSE, fakes.RESET):
                for part in (b"", b"25", b"250 ok", b"250 ok\r", b"354-go\r\n", b"550 "):
                    with self.subTest("%s: %r, %s" % (step, part, end)):
                        self.assert_cut_off(self.play(d, step, lambda: (x for x in (part, end))), step)

    def test_gone_in_a_large_message(self):
        """The client is sending still; once it has stopped it hears 421, and nothing before."""
        d = self.start_both()
        content = (b"x" * 998 + b"\r\n") * 4000
        for step, head in (("body", b"DATA\r\n"), ("chunk", b"BDAT %d LAST\r\n" % len(content))):
            for end in (fakes.CLOSE, fakes.RESET):
                with self.subTest("%s: %s" % (step, end)):
                    self.backend.replies = dict(self.whole, **{step: end})
                    c = self.connect(d, self.bot())
                    c.cmd("MAIL FROM:<f@lab-sender.net>")
                    self.assert_code(c.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)
                    c.send(head)
                    if step == "body":
                        self.assert_code(c.read(), 354)
                    try:
                        c.send(content + (b".\r\n" if step == "body" else b""))
                    except mail.Closed:
                        pass
                    self.assert_code(c.read(), 421)
                    self.assertRaises(mail.Closed, c.read)

    def test_afterwards_all_is_well(self):
        d = self.start_both()
        for reply in (b"25\r\n", b"250-\r\n1", b"\0", fakes.CLOSE, fakes.RESET):
            self.play(d, ".", reply)
        self.backend.replies = self.whole
        self.assertEqual(self.session(d), [220, 250, 250, 250, 354, 250, 221])
        self.assertEqual(self.session(d, chunking=True), [220, 250, 250, 250, 250, 221])
