"""In frontdoor's place, to see that its faults would be found: relays that copy octets, from the client's own
address, and get something wrong."""
import re
import socket
import threading


class Copy:
    """Lets refused recipients through."""

    behind = "front"  # the backend's port: on the direct one its own rules refuse what doors would

    def __init__(self, address, port, front, direct):
        self.port, self.to = port, direct if self.behind == "direct" else front
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def change(self, data):
        return data

    def _accept(self):
        while True:
            try:
                client, peer = self.socket.accept()
            except OSError:
                return
            backend = socket.socket()
            try:
                backend.bind((peer[0], 0))
                backend.connect(self.to)
            except OSError:
                client.close()
                continue
            for a, b, change in ((client, backend, self.change), (backend, client, lambda data: data)):
                threading.Thread(target=self._copy, args=(a, b, change), daemon=True).start()

    @staticmethod
    def _copy(a, b, change):
        try:
            for data in iter(lambda: a.recv(65536), b""):
                b.sendall(change(data))
            b.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (a, b):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Lenient(Copy):
    """Lets bare newlines through."""

    behind = "direct"


class Undot(Copy):
    """Takes a dot too many away."""

    behind = "direct"

    def change(self, data):
        return re.sub(rb"\r\n\.\.(?=[^\r])", b"\r\n.", data)


RELAYS = {"copy": Copy, "lenient": Lenient, "undot": Undot}
