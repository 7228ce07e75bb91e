"""The client: plays a case to an address, and keeps what was said to it."""
import re
import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass

QUIET = 0.6  # seconds without an answer after which nothing more is expected; Exim may hold replies back for 0.2
WAIT = 0.15  # of a step "wait"
FRUITLESS = 10  # of these without a reply are enough; the others are not waited for
PATIENCE = 5.0  # seconds without an octet after which a session that should end does not


@dataclass
class Heard:
    data: bytes = b""
    told: int = -1  # how much of it came before we closed for sending; what a server says to that is its own
    ended: str = ""  # closed, reset, refused; "": did not end

    def count(self):
        """The codes before our end, whatever else is wrong."""
        told = self.data if self.told < 0 else self.data[:self.told]
        return [int(code) for code in re.findall(rb"(?m)^(\d\d\d)(?!-)", told)]

    def broken(self):
        """The server went without a farewell, and we had not closed: its replies say nothing of what it would accept."""
        return self.ended in ("closed", "reset") and self.told < 0 and self.count()[-1:] not in ([221], [421], [521])

    def replies(self):
        """Codes in order; raises ValueError at what is no reply."""
        codes, lines = [], self.data.split(b"\r\n")
        if lines.pop() != b"":
            raise ValueError("the last reply has no end: %r" % self.data[-100:])
        before = None
        for line in lines:
            ok = line[:3].isdigit() and line[:1] in b"2345" and line[3:4] in (b" ", b"-", b"")
            if not ok or b"\n" in line or b"\r" in line or b"\0" in line:
                raise ValueError("no reply: %r" % line[:200])
            if before not in (None, line[:3]):
                raise ValueError("a reply with two codes: %r" % line[:200])
            before = line[:3] if line[3:4] == b"-" else None
            if before is None:
                codes.append(int(line[:3]))
        if before:
            raise ValueError("a reply without its last line")
        return codes


class Connection:
    """What Plain and Tls have: nothing blocks but say() and hear()."""

    greeted = False  # the banner is still to come

    def say(self, data):
        """All of it."""
        end = time.monotonic() + PATIENCE
        while data:
            if time.monotonic() > end:
                raise TimeoutError("it does not take what is sent")
            if self.ready(True, 0.2)[1]:
                data = data[self.send(data):]

    def hear(self, seconds=PATIENCE, size=65536):
        """What comes next; b"": the end; raises TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.ready(False, 0.2)[0]:
                new = self.recv(size)
                if new is not None:
                    return new
        raise TimeoutError("nothing came")


class Plain(Connection):
    """Without TLS."""

    def __init__(self, source, dest):
        self.sock = socket.socket(socket.AF_INET)
        self.sock.settimeout(PATIENCE)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((source, 0))
        self.sock.connect(dest)
        self.sock.setblocking(False)

    def ready(self, sending, seconds):
        """(can be read, can be written)"""
        p = select.poll()
        p.register(self.sock, select.POLLIN | (select.POLLOUT if sending else 0))
        events = sum(e for _, e in p.poll(seconds * 1000))
        return events & ~select.POLLOUT, events & select.POLLOUT

    def send(self, data):
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def recv(self, size=65536):
        """None: nothing now; b"": the end."""
        try:
            return self.sock.recv(size)
        except BlockingIOError:
            return None

    def shut(self):
        self.sock.shutdown(socket.SHUT_WR)

    def abort(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class Tls(Connection):
    """STARTTLS has been done before the case is played; the certificate is no matter here."""

    greeted = True

    def __init__(self, source, dest):
        self.raw = Plain(source, dest)
        self.abort, self.close = self.raw.abort, self.raw.close
        self.got, self.out, self.unsent = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        # Half of the clients are older ones.
        if source[-1] in "13579":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.tls = context.wrap_bio(self.got, self.out)
        try:
            self._before(b"", b"220")
            self._before(b"EHLO before.tls\r\n", b"250")
            self._before(b"STARTTLS\r\n", b"220")
            self._handshake()
        except BaseException:
            self.close()
            raise

    def _before(self, command, code):
        self.raw.say(command)
        text = b""
        while not re.search(rb"(?m)^\d\d\d .*\n\Z", text):
            new = self.raw.hear(size=1)  # not an octet of the handshake
            if not new:
                raise ConnectionError("closed before TLS: %r" % text)
            text += new
        if text[:3] != code:
            raise ConnectionError("before TLS: %r" % text)

    def _handshake(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                self.tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
            self.raw.ready(bool(self.unsent), 0.2)
            self._take()
        raise TimeoutError("no end of the handshake")

    def _flush(self):
        self.unsent += self.out.read()
        if self.unsent:
            self.unsent = self.unsent[self.raw.send(self.unsent):]

    def _take(self):
        data = self.raw.recv()
        if data == b"":
            self.got.write_eof()
        elif data:
            self.got.write(data)

    def ready(self, sending, seconds):
        return self.raw.ready(sending or bool(self.unsent), seconds)

    def send(self, data):
        self._flush()
        if self.unsent:
            return 0
        sent = self.tls.write(data[:16384])
        self._flush()
        return sent

    def recv(self, size=65536):
        self._take()
        data = b""
        try:
            while new := self.tls.read(size):  # what is left behind would not make the connection readable again
                data += new
        except ssl.SSLWantReadError:
            self._flush()
            return data or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        return data

    def shut(self):
        """close_notify, and the end of the connection below it."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:  # the other's close_notify is still to come
            pass
        self._flush()
        self.raw.shut()


class Player:
    """expected: replies that there should be; as long as there are fewer, quiet is no sign of the end."""

    def __init__(self, case, conn, expected=1):
        self.case, self.conn, self.heard = case, conn, Heard()
        self.expected = expected
        self.last = time.monotonic()  # when an octet went either way
        self.fruitless = 0
        self.deaf = False  # it takes no more

    def run(self):
        try:
            self._steps()
            if self.case.end == "abort" and not self.heard.ended:
                self.conn.abort()
                self.heard.ended = "aborted"
                return self.heard
            if self.case.end == "quiet":
                self.last = time.monotonic()
                while not self.heard.ended and time.monotonic() < self.last + (
                        QUIET if self._replies() >= self.expected else QUIET * 6):
                    self._pump(0.02)
            if not self.heard.ended:
                self.heard.told = len(self.heard.data)
            self._shut()
            self.last = time.monotonic()
            while not self.heard.ended and time.monotonic() < self.last + PATIENCE:
                self._pump(0.2)
        finally:
            self.conn.close()
        return self.heard

    def _steps(self):
        waiting = b""
        for step in self.case.steps:
            if step[0] == "send":
                waiting += step[1]
                continue
            self._send(waiting)
            waiting = b""
            if step[0] == "wait" and self.fruitless >= FRUITLESS:
                continue
            had, until = len(self.heard.data), time.monotonic() + (WAIT if step[0] == "wait" else step[1] / 1000)
            while not self.heard.ended and time.monotonic() < until:
                if step[0] == "wait" and len(self.heard.data) > had:
                    break
                self._pump(0.005)
            self.fruitless += step[0] == "wait" and len(self.heard.data) == had
        self._send(waiting)

    def _send(self, data):
        size = self.case.pieces or len(data)
        for at in range(0, len(data), size or 1):
            piece = data[at:at + size]
            while piece and not (self.heard.ended or self.deaf) and time.monotonic() < self.last + PATIENCE:
                sent = self._pump(0.2, piece)
                piece = piece[sent:]

    def _replies(self):
        return len(self.heard.count())

    def _shut(self):
        try:
            self.conn.shut()
        except OSError:
            pass

    def _pump(self, seconds, data=b""):
        """Reads what is there; sends what is taken; how many octets were."""
        readable, writable = self.conn.ready(bool(data), seconds)
        if readable:
            try:
                new = self.conn.recv()
            except OSError:
                self.heard.ended = "reset"
                return 0
            if new == b"":
                self.heard.ended = "closed"
                return 0
            if new:
                self.heard.data += new
                self.last = time.monotonic()
        if writable and data:
            try:
                sent = self.conn.send(data)
                self.last = time.monotonic()
                return sent
            except OSError:
                self.deaf = True  # its last words may still be there
        return 0


def play(case, source, dest, transport=Plain, expected=1):
    try:
        conn = transport(source, dest)
    except OSError as e:
        return Heard(ended="refused: %s" % e)
    return Player(case, conn, expected).run()
