"""Servers that fail as real ones can't be made to: a mail server that follows a script, and a name
server that answers late and counts."""
import collections
import socket
import struct
import threading
import time
import types

STALL = "stall"  # never answers
STUCK = "stuck"  # does not even read any more
CLOSE = "close"  # closes the connection instead of answering
RESET = "reset"  # the same, and all that is under way is lost
EHLO = "250-fake.lab-hosting.net\r\n250-SIZE 1000000\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME"


class MailServer:
    """replies: step → text without CRLF, bytes to send as they are, STALL, STUCK, CLOSE, or a function that returns one of
    these or yields some of them in turn.

    Steps are "banner", the verbs, "chunk" (before the octets of a BDAT), "body" (the first line after 354) and
    "." (the end of a message).
    """

    def __init__(self, address, replies=None, port=0):
        self.replies = {"banner": "220 fake.lab-hosting.net ESMTP", "EHLO": EHLO, "HELO": "250 fake",
                        "DATA": "354 go on", "QUIT": "221 bye", "body": None, "chunk": None, ".": "250 taken"}
        self.replies.update(replies or {})
        self.sessions = []  # of each connection: [peer, commands...]
        self.messages = []
        self.socket = socket.socket(socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        self.open = []
        self.stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.stopped.set()
        for s in [self.socket] + self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def commands(self, client):
        """Of all sessions of that client."""
        return [c for s in self.sessions if s[0] == client for c in s[1:]]

    def _accept(self):
        while True:
            try:
                s, peer = self.socket.accept()
            except OSError:
                return
            self.open.append(s)
            session = [peer[0]]
            self.sessions.append(session)
            threading.Thread(target=self._serve, args=(s, session), daemon=True).start()

    def _serve(self, s, session):
        f = s.makefile("rb")
        try:
            self._say(s, "banner")
            # f may become another one.
            for line in iter(lambda: f.readline(), b""):
                session.append(line.decode("latin-1").rstrip("\r\n"))
                verb = session[-1].split(" ")[0].upper()
                if verb == "BDAT":
                    self._say(s, "chunk")
                    self.messages.append(f.read(int(session[-1].split(" ")[1])))
                if verb == "STARTTLS":
                    s, f = self.starttls(s, f, session)
                elif self._say(s, verb) == "354" and self._body(s, f):
                    self._say(s, ".")
                if verb == "QUIT":
                    break
        except (OSError, ValueError, ConnectionError):
            pass
        finally:
            f.close()
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def starttls(self, s, f, session):
        """The socket and its file from now on. This one has no TLS."""
        self._say(s, "STARTTLS")
        return s, f

    def _body(self, s, f):
        message = b""
        for line in iter(f.readline, b""):
            if line == b".\r\n":
                self.messages.append(message)
                return True
            if not message:
                self._say(s, "body")
            message += line
        return False

    def _say(self, s, step):
        what = self.replies.get(step, "250 ok")
        what = what() if callable(what) else what
        said = ""
        for part in what if isinstance(what, types.GeneratorType) else (what,):
            said = self._say_one(s, part)
        return said

    def _say_one(self, s, what):
        """The code that was said."""
        if what is None:
            return ""
        if what == STUCK:
            self.stopped.wait()
        if what == STALL:
            while s.recv(65536):
                pass
        if what == RESET:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        if what in (STALL, STUCK, CLOSE, RESET):
            raise ConnectionError
        s.sendall(what if isinstance(what, bytes) else what.encode() + b"\r\n")
        return what[:3] if isinstance(what, str) else what[:3].decode("latin-1")


def _encode(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x) + b"\0"


def mx(preference, host):
    return (15, struct.pack(">H", preference) + _encode(host))


def a(address):
    return (1, socket.inet_aton(address))


def txt(text):
    parts = [text[i:i + 255].encode() for i in range(0, len(text), 255)]
    return (16, b"".join(bytes([len(p)]) + p for p in parts))


class NameServer:
    """records: name → list of mx(), a(), txt(); they may change. What isn't there does not exist. delay: name →
    seconds. ttl: of what is said from then on."""

    ttl = 300

    def __init__(self, address, records, delay=None):
        self.records, self.delay = records, delay or {}
        self.asked = collections.Counter()  # (name, type) → times
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.server = "%s:%d" % (address, self.socket.getsockname()[1])
        self.stopped = False
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        self.stopped = True
        self.socket.close()

    def _serve(self):
        while not self.stopped:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            labels, pos = [], 12
            while query[pos]:
                labels.append(query[pos + 1:pos + 1 + query[pos]].decode("latin-1").lower())
                pos += 1 + query[pos]
            name, kind = ".".join(labels), struct.unpack_from(">H", query, pos + 1)[0]
            self.asked[name, kind] += 1
            answer = self._answer(query[:pos + 5], name, kind)
            if self.delay.get(name):
                threading.Thread(target=self._later, args=(self.delay[name], answer, peer),
                                 daemon=True).start()
            else:
                self._send(answer, peer)

    def _answer(self, question, name, kind):
        found = [data for t, data in self.records.get(name, []) if t == kind]
        rcode = 0 if name in self.records else 3
        return (question[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, len(found), 0, 0) + question[12:]
                + b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl, len(d)) + d for d in found))

    def _later(self, seconds, answer, peer):
        time.sleep(seconds)
        self._send(answer, peer)

    def _send(self, answer, peer):
        try:
            self.socket.sendto(answer, peer)
        except OSError:
            pass
