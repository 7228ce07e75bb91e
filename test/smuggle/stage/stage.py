"""Where the attacks are played: three mail servers, and to each of them four ways: directly, through a proxy that
only copies, and through frontdoor with bare newlines normalized or rejected."""
import os
import sys

from harness.daemon import Conf, Daemon
from harness.place import Place, free_port
from lab import isolate, mail, servers

from . import backends

HERE = os.path.dirname(os.path.abspath(__file__))
WAYS = ("direct", "copied", "normalize", "reject")


class Stage(Place):
    def prepare(self):
        super().prepare()
        if isolate.way() != "loopback":
            # Postfix wants its address to be an interface's own.
            self.host.ip("addr add %s/32 dev lo" % self.backend)

    def start_shared(self):
        super().start_shared()
        self.backends = {}
        for kind in backends.KINDS:
            if kind.possible():
                server = kind(self, free_port(self.backend))
                self.started.append(server)
                self.backends[kind.name] = server
        self.ways = {(name, "direct"): (self.backend, server.port) for name, server in self.backends.items()}
        self._start_copier()
        self._start_frontdoor()

    def _start_copier(self):
        pairs = []
        for name, server in self.backends.items():
            port = free_port(self.server)
            self.ways[name, "copied"] = (self.server, port)
            pairs.append("%d=%d" % (port, server.port))
        self.started.append(servers.Server(
            self.host, "copier", [sys.executable, os.path.join(HERE, "copier.py"), self.server, self.backend] + pairs,
            self.path("copier.log"), lambda: all(self.host.listens(int(p.split("=")[0])) for p in pairs)))

    def _start_frontdoor(self):
        source = "client" if self.can_be_client else "self"
        listeners = []
        for name, server in self.backends.items():
            for mode in ("normalize", "reject"):
                port = free_port(self.server)
                self.ways[name, mode] = (self.server, port)
                listeners.append({"name": "%s-%s" % (name, mode), "mode": "listen", "bind": ["%s:%d" % (self.server, port)],
                                  "backend": "%s:%d" % (self.backend, server.port), "source": source,
                                  "bare_newline": mode})
        self.front = Daemon(Conf(self, None, listeners=listeners, limits={"commands": 0, "errors": 0}))
        self.started.append(self.front)
        # acme's scanner is heard of, so that what comes past it is refused for good.
        _, replies, final = mail.deliver(self.host, self.plan.acme[0], self.server, ["user@" + self.domain("acme")],
                                         port=self.ways["exim", "normalize"][1])
        if not final or final.code != 250:
            raise RuntimeError("acme's mail was not taken: %s %s" % (replies, final))

    def busy(self, port, clients):
        """Does the server at that port still hold connections of one of these?"""
        with open("/proc/self/net/tcp") as f:
            for row in f.read().splitlines()[1:]:
                col = row.split()
                # not those that it has closed: FIN-WAIT, TIME-WAIT, CLOSING
                if col[3] in ("01", "03", "08", "09") and int(col[1].partition(":")[2], 16) == port:
                    peer = ".".join(str(b) for b in bytes.fromhex(col[2][:8])[::-1])
                    if peer in clients:
                        return True
        return False
