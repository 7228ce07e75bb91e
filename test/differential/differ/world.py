"""All that runs: a name server and a resolver, one real mail server, frontdoor in front of it."""
import os
import socket
import subprocess
import time

from harness import place as places
from harness.daemon import Conf, Daemon
from lab import mail, servers

from . import backends, rules
from .client import Plain, Tls

ESTABLISHED_OR_CLOSING = {"01", "03", "04", "05", "08", "09", "0B"}


class Place(places.Place):
    """The daemon tests' place, where ports are handed out by number."""

    def free(self):
        return places.free_port(self.backend)


class World:
    """For one process. relay: what stands in front of the server instead of the daemon, as a class."""

    def __init__(self, place, backend, relay=None, tls=False):
        self.place, self.transport = place, Tls if tls else Plain
        self.backend = backends.BACKENDS[backend](place, place.internet, tls)
        place.started.append(self.backend)
        self.doors = rules.Doors(place.internet)
        self.relay = self.daemon = None
        self.clients = 0
        self.hung = set()  # addresses of clients whose session will go on until a time limit
        if relay:
            self.relay = relay(place.server, place.free(), (place.backend, self.backend.port), self.direct)
            self.front_port = self.relay.port
            return
        self.conf = Conf(
            place, self.backend.port, trusted=[rules.TRUSTED], events=None, limits={"errors": 0}, hosted=[self._hosted()],
            tls={"certificates": [{"cert": backends.CERTIFICATE}], "hide": None} if tls else {},
            scanners=[{"name": "acme", "mx": ["*.acme-filter.net"], "egress": ["mx", rules.SCANNER]},
                      {"name": "guard", "mx": ["*.mx-guard.org"], "egress": ["mx"]}])
        self.revive()

    def _hosted(self):
        """No more than what is used: the others' doors would be asked for all the time."""
        return servers.write(self.place.path("hosted"), "".join(d.name + "\n" for d in rules.used(self.place.internet)))

    def revive(self):
        """Starts the daemon (again)."""
        self.daemon = Daemon(self.conf)
        self.front_port = self.daemon.port
        self.pid = self.daemon.pid
        self._prove()

    def _prove(self):
        """Scanners that have never been heard of would have their refusals softened."""
        for kind, source in (("acme", self.place.plan.acme[0]), ("guard", self.place.plan.guard[0])):
            _, replies, final = mail.deliver(
                self.place.host, source, self.place.server,
                ["user@" + d.name for d in self.place.internet.by_kind[kind]], port=self.front_port)
            assert final and final.code == 250, (kind, replies, final)
        # The doors of all domains are looked up before anybody is judged by them.
        for d in rules.used(self.place.internet):
            mail.deliver(self.place.host, "127.63.0.1", self.place.server, ["user@" + d.name], port=self.front_port)
        self.settle()
        self.backend.take()

    def address(self, kind):
        self.clients += 1
        return rules.address(kind, self.clients)

    @property
    def front(self):
        return self.place.server, self.front_port

    @property
    def direct(self):
        return self.place.backend, self.backend.direct

    def alive(self):
        """None, or what is wrong with the daemon."""
        if not self.daemon:
            return None
        if self.daemon.process.poll() is not None:
            return "the daemon ended with %s\n%s" % (self.daemon.process.returncode, self.daemon.tail(60))
        if self.daemon.pid != self.pid:
            return "the daemon is another process"
        return self.complaints()

    def complaints(self):
        text = self.daemon.log_text()
        if any(word in text for word in ("Sanitizer", "runtime error", "assertion")):
            return "the daemon complains\n" + self.daemon.tail(60)
        return None

    def resident(self):
        return self.place.resident(self.pid) if self.daemon else 0

    def settle(self, seconds=2.0):
        """Waits until the backend has no connection any more. Who keeps one so long has been left hanging by it, and
        is not waited for again."""
        end = time.monotonic() + seconds
        while busy := self._busy() - self.hung:
            if time.monotonic() > end:
                self.hung |= busy
                return
            time.sleep(0.01)

    def _busy(self):
        """Clients whose connection a process of the backend still has."""
        ports = {"%04X" % p for p in (self.backend.port, self.backend.direct)}
        out = set()
        with open("/proc/self/net/tcp") as f:
            next(f)
            for row in f:
                col = row.split()
                if col[1].partition(":")[2] in ports and col[3] in ESTABLISHED_OR_CLOSING and col[9] != "0":
                    out.add(socket.inet_ntoa(bytes.fromhex(col[2][:8])[::-1]))
        return out

    def stop(self):
        """None, or what is wrong with the daemon's end."""
        wrong = self.alive()
        if self.daemon and not wrong:
            self.daemon.process.terminate()
            try:
                self.daemon.process.wait(3)
            except subprocess.TimeoutExpired:  # a session that the backend has left hanging
                pass
            status = self.daemon.stop(seconds=10)
            wrong = self.alive_text(status) or self.complaints()
        if self.relay:
            self.relay.stop()
        return wrong

    def alive_text(self, status):
        if status != 0:
            return "the daemon's exit status is %s\n%s" % (status, self.daemon.tail(60))
        return None
