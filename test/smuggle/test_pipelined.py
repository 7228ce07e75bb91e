"""What is sent too early: behind DATA, the end of data, chunks, STARTTLS, AUTH and QUIT. Each is one write, and
again octet by octet where that matters."""
import base64

from harness import fakes
from lab import mail
from stage import matrix, wire

LOGIN = base64.b64encode(b"\0user\0secret")
WRONG = base64.b64encode(b"\0user\0wrong")
USER, SECRET = base64.b64encode(b"user"), base64.b64encode(b"secret")
MESSAGE = b"X-Token: {token}\r\n\r\n{inside}{inside}x\r\n.\r\n"
# name: (octets behind EHLO, codes, messages: {outer or smuggled: recipients}); {inside} is a transaction to the shut
# and to the free domain, with its dot stuffed where it is text.
OUTER, LOST = {"outer": ["user"]}, {}
BOTH = {"outer": ["user"], "smuggled": ["free"]}
INSIDE = [250, 550, 250, 354, 250]  # replies to a transaction
SHUT_ONLY = b"MAIL FROM:<{outer}>\r\nRCPT TO:<{shut}>\r\n"
START = b"MAIL FROM:<{outer}>\r\nRCPT TO:<{user}>\r\n"
CASES = {
    "message with DATA": (START + b"DATA\r\n" + MESSAGE + b"QUIT\r\n", [250, 250, 354, 250, 221], OUTER),
    "message with DATA, RSET behind": (START + b"DATA\r\n" + MESSAGE + b"RSET\r\nQUIT\r\n", [250, 250, 354, 250, 250, 221], OUTER),
    "transaction behind the end": (START + b"DATA\r\nx: y\r\n.\r\n{raw}QUIT\r\n", [250, 250, 354, 250] + INSIDE + [221], BOTH),
    "RSET before DATA": (START + b"RSET\r\nDATA\r\n{raw}QUIT\r\n", [250, 250, 250, 503] + INSIDE + [221], {"smuggled": ["free"]}),
    # Nobody is left to get it: the octets of the message are commands, by the client's own doing.
    "DATA for the shut": (SHUT_ONLY + b"DATA\r\nRSET\r\n{raw}QUIT\r\n", [250, 550, 554, 250] + INSIDE + [221], {"smuggled": ["free"]}),
    "DATA for the unknown": (b"MAIL FROM:<{outer}>\r\nRCPT TO:<nosuchuser@{domain}>\r\nDATA\r\nRSET\r\n{raw}QUIT\r\n",
                             [250, 550, (503, 554), 250] + INSIDE + [221], {"smuggled": ["free"]}),
    "transaction behind a chunk": (START + b"BDAT 4 LAST\r\nx: y{raw}QUIT\r\n", [250, 250, 250] + INSIDE + [221], BOTH),
    "RSET behind a chunk": (START + b"BDAT 4\r\nx: yRSET\r\n{raw}QUIT\r\n", [250, 250, 250, 250] + INSIDE + [221],
                            {"smuggled": ["free"]}),
    "DATA behind a chunk": (START + b"BDAT 6\r\nx: y\r\nDATA\r\nRSET\r\n{raw}QUIT\r\n",
                            [250, 250, 250, (503, 554), 250] + INSIDE + [221], {"smuggled": ["free"]}),
    "transaction behind STARTTLS": (b"STARTTLS\r\n{raw}QUIT\r\n", [502] + INSIDE + [221], {"smuggled": ["free"]}),
    "transaction behind QUIT": (START + b"QUIT\r\n{raw}", [250, 250, 221], LOST),
    "transaction behind a message and QUIT": (START + b"DATA\r\nx: y\r\n.\r\nQUIT\r\n{raw}", [250, 250, 354, 250, 221], OUTER),
    "transaction behind EHLO": (b"EHLO again.lab-sender.net\r\n{raw}QUIT\r\n", [250] + INSIDE + [221], {"smuggled": ["free"]}),
    "EHLO in a transaction": (START + b"EHLO again.lab-sender.net\r\nDATA\r\nRSET\r\n{raw}QUIT\r\n",
                              [250, 250, 250, (503, 554), 250] + INSIDE + [221], {"smuggled": ["free"]}),
    "transaction behind AUTH that fails": (b"AUTH PLAIN %s\r\n{raw}QUIT\r\n" % WRONG, [535] + INSIDE + [221], {"smuggled": ["free"]}),
    "transaction behind AUTH of a kind that there isn't": (b"AUTH NONSENSE\r\n{raw}QUIT\r\n", [(504, 535, 503)] + INSIDE + [221],
                                                          {"smuggled": ["free"]}),
    "transaction behind AUTH in steps that fails": (b"AUTH LOGIN\r\n%s\r\n%s\r\n{raw}QUIT\r\n" % (USER, USER),
                                                    [334, 334, 535] + INSIDE + [221], {"smuggled": ["free"]}),
    "a command as answer to AUTH": (b"AUTH LOGIN\r\nRCPT TO:<{shut}>\r\n{raw}QUIT\r\n",
                                    [334, (501, 535)] + INSIDE + [221], {"smuggled": ["free"]}),
    "cancelled AUTH": (b"AUTH LOGIN\r\n*\r\n{raw}QUIT\r\n", [334, 501] + INSIDE + [221], {"smuggled": ["free"]}),
}
EXIM = {  # closes the connection at RSET when the header has not ended
    "RSET behind a chunk": CASES["RSET behind a chunk"][:1] + ([250, 250, 250, 421], LOST),
}
# After that the session may do as it likes.
USERS = {
    "transaction behind AUTH": (b"AUTH PLAIN %s\r\n{raw}QUIT\r\n" % LOGIN, [235, 250, 250, 250, 354, 250, 221],
                                {"smuggled": ["free", "shut"]}),
    "transaction behind AUTH in steps": (b"AUTH LOGIN\r\n%s\r\n%s\r\n{raw}QUIT\r\n" % (USER, SECRET),
                                         [334, 334, 235, 250, 250, 250, 354, 250, 221], {"smuggled": ["free", "shut"]}),
}


class Cell(matrix.Cell):
    def __init__(self, case, backend, way, name, row, packets, fronted=False):
        super().__init__(case, backend, way)
        self.fronted = fronted
        self.name, (octets, self.codes, messages) = name, row
        raw = self.transaction()
        names = {"outer": self.sender, "smuggled": self.smuggled, "user": self.recipient, "shut": self.shut,
                 "free": self.free, "token": self.token, "domain": case.name("self")}
        self.messages = sorted((names[m], sorted(names[r] for r in rcpts)) for m, rcpts in messages.items())
        octets = octets.replace(b"{raw}", raw).replace(b"{inside}", raw.replace(b"\r\n.", b"\r\n.."))
        for word, value in names.items():
            octets = octets.replace(b"{%s}" % word.encode(), value.encode())
        self.pieces = wire.cut(octets, packets, range(len(octets)), ())

    def session(self, stage, way):
        if self.fronted:
            # A session of nothing but a refusal: the next one is greeted without the backend.
            with wire.open_session(stage, way, self.client) as c:
                wire.send(c, [wire.envelope(self.sender, [self.shut]) + b"QUIT\r\n"])
                self.case.assertEqual(wire.read_all(c).codes, [250, 550, 221])
        with wire.open_session(stage, way, self.client) as c:
            wire.send(c, self.pieces)
            wire.half_close(c)
            return wire.read_all(c)

    def faults(self):
        faults = []
        if sorted((m.sender, m.recipients) for m in self.stored) != self.messages:
            faults.append("messages")
        if not (len(self.codes) == len(self.told.codes) and all(
                got in want if isinstance(want, tuple) else got == want
                for got, want in zip(self.told.codes, self.codes))):
            faults.append("replies")
        return faults


class Pipelined(matrix.Matrix):
    def behind(self, backend):
        self.need(backend)
        cases = dict(CASES)
        if backend == "lenient":  # which knows no users
            cases = {name: row for name, row in cases.items() if "AUTH" not in name and "unknown" not in name}
        elif self.place.can_be_client:
            cases.update(USERS)
        if backend == "exim":
            cases.update(EXIM)
        for way, packets, fronted in (("normalize", "whole", False), ("reject", "octets", False),
                                      ("normalize", "whole", True), ("normalize", "octets", True)):
            self.assert_no_faults(self.play(backend, [Cell(self, backend, way, n, row, packets, fronted)
                                                      for n, row in cases.items()]))

    def test_copied_turns_red(self):
        cells = self.play("lenient", [Cell(self, "lenient", "copied", n, CASES[n], "whole") for n in (
            "transaction behind the end", "transaction behind a chunk", "DATA for the shut", "transaction behind STARTTLS")])
        self.assertTrue(all("messages" in c.faults() for c in cells), [(c.name, c.faults()) for c in cells])


for _backend in ("exim", "postfix", "lenient"):
    matrix.generate(Pipelined, "behind", Pipelined.behind, _backend)


class PassedOn(matrix.Matrix):
    """STARTTLS that is the backend's own: what a client said before it is no part of what it says in it."""

    def test_read_ahead_of_starttls_is_lost(self):
        backend = self.fake({"EHLO": fakes.EHLO.replace("250 8BITMIME", "250-8BITMIME\r\n250 STARTTLS"), "STARTTLS": "220 go"})
        d = self.serve(backend, tls={"hide": False})
        client = self.bot()
        with self.connect(d, client) as c:
            c.send(b"STARTTLS\r\nMAIL FROM:<early@lab-sender.net>\r\n")
            self.assert_code(c.read(), 220)
            c.send(b"NOOP\r\n")  # for a handshake
            self.assert_code(c.read(), 250)
        self.assertEqual(backend.commands(client)[1:], ["STARTTLS", "NOOP"])

    def test_what_the_backend_says_behind_its_220_is_lost(self):
        backend = self.fake({"EHLO": fakes.EHLO.replace("250 8BITMIME", "250-8BITMIME\r\n250 STARTTLS"),
                             "STARTTLS": "220 go\r\n250 injected"})
        d = self.serve(backend, tls={"hide": False})
        with self.connect(d, self.bot()) as c:
            self.assert_code(c.cmd("STARTTLS"), 220)
            c.send(b"NOOP\r\n")
            self.assertEqual(c.read().text, "250 ok")
