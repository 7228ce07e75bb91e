"""One attack: a session, what the client was told in it, and how its octets were cut into packets."""
import dataclasses
import socket
import time

from lab import mail


@dataclasses.dataclass
class Told:
    replies: list  # after the go-ahead
    note: str = ""  # why it ended otherwise than by the server's leave

    @property
    def codes(self):
        return [r.code for r in self.replies]

    def __str__(self):
        return "%s%s" % (" | ".join(r.text for r in self.replies), self.note and " | " + self.note)


def cut(octets, packets, inside, edges):
    """Pieces: "whole"; "octets": cut at all positions inside; "split": at the edges."""
    at = [0] + sorted({"whole": (), "octets": inside, "split": edges}[packets]) + [len(octets)]
    return [octets[a:b] for a, b in zip(at, at[1:]) if a < b]


def send(c, pieces):
    """Each in a packet of its own: with a pause, or else the kernel may hand several over at once."""
    try:
        for i, piece in enumerate(pieces):
            if i:
                time.sleep(0.0004)
            c.send(piece)
    except mail.Closed:
        pass  # its last words may still be there to read


def half_close(c):
    try:
        c.sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server was faster


def open_session(stage, way, client, timeout=20):
    address, port = way
    return mail.Smtp(stage.host, client, address, port, timeout=timeout)


def read_all(c):
    """All that is said until the server closes."""
    replies = []
    try:
        while True:
            replies.append(c.read())
    except mail.Closed as e:
        return Told(replies, "" if "closed by" in str(e) else str(e))


def envelope(sender, recipients):
    return ("MAIL FROM:<%s>\r\n" % sender + "".join("RCPT TO:<%s>\r\n" % r for r in recipients)).encode()


def by_data(stage, way, client, sender, recipients, pieces):
    """A message by DATA, and all that follows in pieces; then QUIT. Raises mail.Closed before the go-ahead only."""
    with open_session(stage, way, client) as c:
        c.send(envelope(sender, recipients) + b"DATA\r\n")
        codes = [c.read().code for _ in range(len(recipients) + 2)]
        if codes[-1] != 354:
            raise mail.Closed("no go-ahead: %s" % codes)
        send(c, pieces)
        send(c, [b"QUIT\r\n"])
        return read_all(c)


def chunks(pieces):
    """Pieces of a message, each as a chunk."""
    return b"".join(b"BDAT %d%s\r\n%s" % (len(p), b" LAST" if i == len(pieces) - 1 else b"", p)
                    for i, p in enumerate(pieces))


def by_bdat(stage, way, client, sender, recipients, octets, half=False):
    """A session whose message is octets (or pieces): BDAT commands with their chunks. All pipelined; then QUIT.
    half: and no more is sent after that."""
    with open_session(stage, way, client) as c:
        c.send(envelope(sender, recipients))
        codes = [c.read().code for _ in range(len(recipients) + 1)]
        if codes[-1] != 250:
            raise mail.Closed("no recipient: %s" % codes)
        send(c, octets if isinstance(octets, list) else [octets])
        send(c, [b"QUIT\r\n"])
        if half:
            half_close(c)
        return read_all(c)
