"""The reference for streams that frontdoor may treat otherwise than the backend alone: says the stream to the
backend's direct port one command at a time, by the rules of entitled.py. A model of frontdoor, but a small
one: no pipelining, no doors, no second side."""
import re

from . import entitled
from .client import QUIET, Plain, Tls


SILENCE = 3.0  # seconds after which the backend will not answer any more


class Ended(Exception):
    """The backend has ended the session."""


class Reference:
    """client: its kind; doors: rules.Doors."""

    def __init__(self, stream, source, dest, doors, client="bot", transport=Plain):
        self.ends, self.transport = (source, dest), transport
        self.doors, self.client = doors, client
        self.rest, self.rules = stream, set()
        self.codes = []  # as the client would have heard them; those of rules are 500
        self.conn, self.heard, self.silence = None, b"", SILENCE
        self.session = entitled.Session(transport is Tls)
        self.fronted = client == "fronted"  # the backend has not been needed yet; then what it was told
        self.hello = self.sender = None
        self.relayed = False
        self.hung = False  # the backend owed a reply, and did not give it: it waits for ever, or broke down

    def run(self):
        if entitled.is_proxy_header(self.rest):
            self.rules.add("proxy-header")
            return self
        try:
            self.conn = self.transport(*self.ends)
            if not self.transport.greeted:
                self._reply()
            while self.rest and self._command():
                pass
            self.conn.shut()
            while self.conn.hear(self.silence):
                pass
        except TimeoutError:
            self.hung = True
        except (Ended, OSError):
            pass
        finally:
            if self.conn:
                self.conn.close()
        return self

    # The backend ------------------------------------------------------------------------------

    def _say(self, data):
        self.conn.say(data)

    def _reply(self):
        """(code, the whole reply)"""
        text = b""
        while True:
            while b"\n" not in self.heard:
                new = self.conn.hear(self.silence)
                if not new:
                    self.hung = not self.relayed
                    raise Ended
                self.heard += new
            line, _, self.heard = self.heard.partition(b"\n")
            text += line + b"\n"
            if line[3:4] != b"-":
                break
        code = int(text[:3])
        self.codes.append(code)
        if code == 421:
            raise Ended
        return code, text

    def _rule(self, name, code=500):
        self.rules.add(name)
        if code:
            self.codes.append(code)
        return True

    # The stream -------------------------------------------------------------------------------

    def _line(self):
        """The next line, without its CRLF; None: it is bad and has been dropped; raises Ended: has no end."""
        # A bad line ends at a CRLF too.
        line, end, self.rest = self.rest.partition(b"\r\n")
        if not end:
            if re.search(rb"[\n\0]|\r(?!\Z)", line):
                self._rule("bare-newline")
            raise EOFError
        if re.search(rb"[\r\n\0]", line):
            self._rule("bare-newline")
            return None
        return line

    def _command(self):
        try:
            line = self._line()
        except EOFError:
            return False
        if line is None:
            return True
        verb = re.match(rb"[^ \t]*", line)[0].decode("latin-1").upper()
        rule = self.session.refusal(verb, line)
        if rule == "chunk-size":
            self._rule(rule)
            return False
        if rule:
            return self._rule(rule, 452 if rule == "recipients" else 500)
        sent = entitled.rebuilt(verb, line)
        if sent.upper() != line.upper():
            self._rule("rebuilt", 0)
        if verb == "BDAT":
            return self._chunk(sent)
        if verb == "RCPT" and self.doors.refuses(self.client, entitled.mailbox(sent)):
            if self.session.chunked:
                self.rules.add("door")
            self.codes.append(550)
            return True
        if self.fronted and self._fronted(verb, sent):
            return True
        self._say(sent + b"\r\n")
        code, text = self._reply()
        self.session.heard(verb, code, text)
        if verb == "QUIT":
            return False
        if verb == "DATA" and code == 354:
            return self._body()
        return self._sasl(code) if verb == "AUTH" else True

    def _fronted(self, verb, line):
        """As long as the backend isn't needed: True when the line was answered without it."""
        self.rules.add("fronted")
        if verb in ("EHLO", "HELO", "RSET"):
            self.sender = None
            if verb != "RSET":
                self.hello, self.session.need_hello = line, False
        elif verb == "MAIL":
            self.sender = self.sender or line
        elif verb in ("VRFY", "HELP", "AUTH") or verb == "RCPT" and self.sender:
            self.fronted = False
            for said in (self.hello, self.sender):
                if said:
                    self._say(said + b"\r\n")
                    self.session.heard(said[:4].decode().upper(), *self._reply())
        return self.fronted and verb != "QUIT"

    def _body(self):
        parts = entitled.split_body(self.rest)
        if not parts:
            return False
        body, self.rest = parts
        sent = entitled.normalized(body)
        if sent != body:
            self._rule("bare-in-data", 0)
        self._say(sent + b".\r\n")
        self._reply()
        self.session.reset()
        return True

    def _chunk(self, line):
        size = int(re.search(rb"\d+", line)[0])
        chunk, self.rest = self.rest[:size], self.rest[size:]
        rule = self.session.chunk_refusal()
        if rule:
            self._rule(rule, 503 if len(chunk) == size else 0)
            return len(chunk) == size
        self._say(line + b"\r\n" + chunk)
        if len(chunk) < size:
            return False
        self.session.chunked = True
        code, _ = self._reply()
        if not 200 <= code < 300:
            self.session.failed = True
        elif line.upper().endswith(b"LAST"):
            self.session.reset()
        return True

    def _sasl(self, code):
        while code == 334:
            line, end, self.rest = self.rest.partition(b"\r\n")
            if not end:
                return False
            if len(line) + 2 > entitled.AUTH_MAX or not entitled.clean(line, False):
                self._rule("sasl-line", 0)
                line = b"*"
            self._say(line + b"\r\n")
            code, _ = self._reply()
        if code == 235:  # from here on all is copied
            self.relayed = True
            self._say(self.rest)
            self.rest, self.silence = b"", 2 * QUIET
            try:
                while True:
                    self._reply()
            except TimeoutError:
                self.silence = SILENCE
        return True
