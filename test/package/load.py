"""Mail all the time: clients that count what was accepted, and a backend that counts what arrived."""
import itertools
import socket
import threading
import time


class Backend:
    """Takes every message, and knows it by its Subject; expects the PROXY protocol's line first."""

    def __init__(self, port):
        self.all, self.messages, self.lock = [], set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=200)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            s, _ = self.listener.accept()
            threading.Thread(target=self._session, args=(s,), daemon=True).start()

    def _session(self, s):
        with s, s.makefile("rwb") as f:
            def say(text):
                f.write(text.encode() + b"\r\n")
                f.flush()
            try:
                f.readline()
                say("220 backend.lab ESMTP")
                for line in f:
                    word = line[:4].upper().strip()
                    if word == b"EHLO":
                        say("250-backend.lab\r\n250 PIPELINING")
                    elif word == b"DATA":
                        say("354 go on")
                        self._message(f)
                        say("250 2.0.0 taken")
                    elif word == b"RCPT" and b"@domain.lab>" not in line:
                        say("550 5.7.1 no relaying")  # frontdoor asks that before it takes mail
                    elif word == b"QUIT":
                        say("221 bye")
                        return
                    else:
                        say("250 ok")
            except OSError:
                pass

    def _message(self, f):
        subject = None
        for line in f:
            if line == b".\r\n":
                with self.lock:
                    self.all.append(subject)
                    self.messages.add(subject)
                return
            if line.startswith(b"Subject: "):
                subject = line[9:].strip().decode()


class Clients:
    """So many at a time, a connection for each message, until end(). again: what fails is tried again, as a mail server
    does; each failure is in `interrupted` then, and an error only if it lasts."""

    NUMBER = itertools.count(1)

    def __init__(self, port, many, host="127.0.0.1", source=None, rcpt="b@domain.lab", again=False):
        self.name = f"load{next(self.NUMBER)}"
        self.to, self.source, self.rcpt, self.again = (host, port), source, rcpt, again
        self.accepted, self.errors, self.interrupted, self.lock = set(), [], [], threading.Lock()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(i,), daemon=True) for i in range(many)]
        for t in self.threads:
            t.start()

    @property
    def count(self):
        return len(self.accepted)

    def wait(self, count, seconds=60):
        """Until so many were accepted."""
        end = time.monotonic() + seconds
        while self.count < count and not self.errors and time.monotonic() < end:
            time.sleep(0.01)

    def end(self):
        self.ending.set()
        for t in self.threads:
            t.join(60)

    def _work(self, number):
        n = 0
        while not self.ending.is_set():
            n += 1
            subject = f"{self.name}-{number}-{n}"
            for left in range(60 if self.again else 1, 0, -1):
                try:
                    self._mail(subject, slow=n % 4 == 0)
                    break
                except (OSError, ValueError) as e:
                    with self.lock:
                        (self.interrupted if left > 1 else self.errors).append(f"{number}-{n}: {e!r}")
                    if left > 1:
                        time.sleep(0.2)

    def _mail(self, subject, slow):
        source = (self.source, 0) if self.source else None
        with socket.create_connection(self.to, timeout=60, source_address=source) as s, s.makefile("rb") as f:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def expect(code):
                while True:
                    line = f.readline()
                    if not line.startswith(code):
                        raise ValueError(f"{code.decode()} expected, got {line!r}")
                    if line[3:4] != b"-":
                        return
            expect(b"220")
            for line, code in (("EHLO client.lab", b"250"), ("MAIL FROM:<a@client.lab>", b"250"),
                               (f"RCPT TO:<{self.rcpt}>", b"250"), ("DATA", b"354")):
                s.sendall(line.encode() + b"\r\n")
                expect(code)
            s.sendall(f"Subject: {subject}\r\n\r\n".encode())
            if slow:  # in the middle of a message when the new process comes
                time.sleep(0.3)
            s.sendall(b"text\r\n.\r\n")
            expect(b"250")
            with self.lock:
                self.accepted.add(subject)
            # The message is in: what becomes of the goodbye is no failure to one who tries again.
            try:
                s.sendall(b"QUIT\r\n")
                expect(b"221")
            except (OSError, ValueError) as e:
                with self.lock:
                    (self.interrupted if self.again else self.errors).append(f"goodbye: {e!r}")
