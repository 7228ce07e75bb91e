#!/usr/bin/python3
"""The worst mail server to stand in front of: stage/lenient.py ADDRESS PORT FILE

CR, LF and CRLF end its lines, and a dot on such a line ends a message, so that every attack that any server
ever fell for works here. It takes all mail. FILE gets a line of JSON for each command and each message.
"""
import json
import re
import socketserver
import sys
import threading

EHLO = b"250-lenient.lab-hosting.net\r\n250-SIZE 50000000\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 CHUNKING"
END = re.compile(rb"[\r\n]")


class Session(socketserver.BaseRequestHandler):
    def setup(self):
        self.rest, self.at, self.after_cr = b"", 0, False
        self.sender, self.recipients, self.chunks, self.out = "", [], b"", []

    def more(self):
        if self.out:
            self.request.sendall(b"".join(self.out))
            self.out = []
        new = self.request.recv(65536)
        if not new:
            raise EOFError
        self.rest, self.at = self.rest[self.at:] + new, 0

    def line(self):
        look = self.at
        while True:
            if self.after_cr and self.at < len(self.rest):
                self.at += self.rest[self.at] == 10
                self.after_cr, look = False, self.at
            end = END.search(self.rest, look)
            if end:
                line = self.rest[self.at:end.start()]
                self.after_cr = end.group() == b"\r"
                self.at = end.end()
                return line
            known = len(self.rest) - self.at
            self.more()
            look = known

    def octets(self, n):
        if self.after_cr:
            while self.at == len(self.rest):
                self.more()
            self.at += self.rest[self.at] == 10
            self.after_cr = False
        while len(self.rest) - self.at < n:
            self.more()
        self.at += n
        return self.rest[self.at - n:self.at]

    def say(self, text):
        self.out.append(text + b"\r\n")

    def tell(self, **row):
        self.server.tell(client=self.client_address[0], **row)

    def take(self, content):
        self.tell(sender=self.sender, recipients=self.recipients, content=content.decode("latin-1"))
        self.sender, self.recipients, self.chunks = "", [], b""
        self.say(b"250 2.0.0 taken")

    def data(self):
        self.say(b"354 go on")
        lines = []
        for line in iter(self.line, b"."):
            lines.append(line[line.startswith(b"."):] + b"\n")
        self.take(b"".join(lines))

    def bdat(self, words):
        octets = self.octets(int(words[1]))
        if not self.recipients:
            self.say(b"503 5.5.1 recipient first")
            return
        self.chunks += octets
        if len(words) > 2:
            self.take(self.chunks.replace(b"\r\n", b"\n"))
        else:
            self.say(b"250 2.0.0 chunk")

    def command(self, line):
        self.tell(command=line.decode("latin-1"))
        words = line.split() or [b""]
        verb = words[0].upper()
        address = re.search(rb"<(.*?)>", line)
        address = address.group(1).decode("latin-1") if address else ""
        if verb == b"DATA":
            if self.recipients and not self.chunks:
                self.data()
            else:
                self.say(b"503 5.5.1 not now")
        elif verb == b"BDAT":
            self.bdat(words)
        elif verb == b"QUIT":
            self.say(b"221 2.0.0 bye")
            raise EOFError
        elif verb in (b"EHLO", b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP", b"VRFY"):
            if verb == b"MAIL":
                self.sender = address
            if verb == b"RCPT":
                self.recipients = self.recipients + [address]
            elif verb not in (b"NOOP", b"VRFY"):
                self.recipients, self.chunks = [], b""
            self.say(EHLO if verb == b"EHLO" else b"250 2.0.0 ok")
        else:
            self.say(b"500 5.5.1 what?")

    def handle(self):
        self.say(b"220 lenient.lab-hosting.net ESMTP")
        try:
            while True:
                self.command(self.line())
        except (EOFError, OSError, ValueError):
            pass
        try:
            self.request.sendall(b"".join(self.out))
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 256

    def __init__(self, address, port, path):
        self.file, self.lock = open(path, "a", encoding="ascii"), threading.Lock()
        super().__init__((address, port), Session)

    def tell(self, **row):
        with self.lock:
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()


if __name__ == "__main__":
    Server(sys.argv[1], int(sys.argv[2]), sys.argv[3]).serve_forever()
