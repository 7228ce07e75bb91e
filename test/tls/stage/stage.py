"""Where the cases run: the place of test/daemon, with certificates and with mail servers that offer STARTTLS."""
import itertools
import os

from harness.place import Place, free_port
from lab import isolate, mail

from . import backends
from .certs import Certificate

HOST = "host.lab-hosting.net"


class Stage(Place):
    def prepare(self):
        super().prepare()
        self.own_network = isolate.way() != "loopback"
        if self.own_network:
            # Postfix wants its address to be an interface's own; and a backend that isn't on loopback.
            self.far = "198.51.100.26"
            self.host.ip("addr add %s/32 dev lo" % self.backend, "addr add %s/32 dev lo" % self.far)
        os.mkdir(self.path("certs"))
        self.ours = Certificate(self.path("certs"), "ours", [HOST])
        self.ours_rsa = Certificate(self.path("certs"), "ours-rsa", [HOST], "rsa")
        self.theirs = Certificate(self.path("certs"), "theirs", ["backend." + HOST])

    def start_shared(self):
        super().start_shared()
        self.tls_exim = backends.Exim(self, free_port(self.backend), self.theirs)
        self.started.append(self.tls_exim)
        self.tls_postfix = None
        if self.own_network and os.geteuid() == 0:
            self.tls_postfix = backends.Postfix(self, free_port(self.backend), self.theirs)
            self.started.append(self.tls_postfix)

    def enter_process(self, number):
        super().enter_process(number)
        # The mail servers are everybody's: senders of one process must not be another's.
        mail._count = itertools.count(1 + number * 100000)
