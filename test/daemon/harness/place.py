"""Where the cases run: addresses, DNS and a mail server for each process of the runner.

Everything is on loopback addresses that tell who is who, as in the lab's loopback plan. Where the
machine permits, all of that is a network namespace of our own: ports below 1024 are free there, and
nothing that is started outlives the run.
"""
import dataclasses
import itertools
import ipaddress
import os
import socket
import subprocess

from lab import isolate, net, servers, zones
from lab.exim_log import EximLog

from . import backends, providers

# What the lab's Exim doesn't log: each connection, and recipients of messages that never came. Nor
# does it like as many transactions without a message as some cases make.
servers.EXIM_SETTINGS["main"] = servers.EXIM_SETTINGS["main"].replace(
    "log_selector = ", "log_selector = +smtp_connection +smtp_incomplete_transaction ")
servers.EXIM_CONF = servers.EXIM_CONF.replace(
    "recipients_max = 2000", "recipients_max = 3000\nsmtp_accept_max_nonmail = 10000")

MANY = 24  # enough domains at one address for the safeguard against not knowing our own
FEW = 4
CUT_OFF = "cut-off.com"


class Doors(providers.WithProviders):
    """A few domains of each kind, called by it: acme-0.com, acme-1.com, ..."""

    def _domains(self, count):
        out = []
        for kind in zones.KINDS:
            for i in range(MANY if kind == "mystery" else FEW):
                text = "%s-%d.com" % ("bücher" if kind == "idn" else kind, i)
                text = "mail-in." + text if kind == "cname" else text
                out.append(zones.Domain(text.encode("idna").decode(), kind, text))
        out.append(zones.Domain(CUT_OFF, "acme", CUT_OFF))
        for d in out:
            self._choose(d)
        return out

    def zones(self):
        """cut-off.com's own name server can't be reached, though the resolver knows the answers."""
        z = super().zones()
        z[CUT_OFF] = "".join(line.replace("ns1.labdns", "silent.labdns") + "\n"
                             for line in z[CUT_OFF].splitlines() if "NS ns2" not in line)
        return z


class _OnTwoPorts:
    """The zones as NSD is to serve them: on port 53 as well, where authoritative servers are."""

    def __init__(self, internet):
        self.write = internet.write
        self.plan = dataclasses.replace(internet.plan, nsd=internet.plan.nsd + [
            a + "@53" for a in internet.plan.nsd])


def free_port(address, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def _can(try_it):
    try:
        try_it()
        return True
    except OSError:
        return False


def _be_transparent():
    with socket.socket(socket.AF_INET) as s:
        s.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_TRANSPARENT", 19), 1)


def _bind_53():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((zones.LOOPBACK.nsd[0], 53))


class Place:
    def __init__(self, directory, daemon):
        self.dir, self.daemon = directory, daemon
        self.plan = dataclasses.replace(zones.LOOPBACK, nsd=zones.LOOPBACK.nsd[:1])
        self.internet = Doors(self.plan)
        self.host = net.Host("host")
        self.started = []
        self._exim = self._proxy_exim = self._postfix = None
        self._count = itertools.count()
        self.bots = itertools.count(1)
        self.can_be_client = self.has_53 = False
        self.server, self.backend = self.plan.server[0], self.plan.backend[0]

    def prepare(self):
        """Before anything is started: a namespace of our own has neither loopback nor storage."""
        if isolate.way() != "loopback":
            self.host.ip("link set lo up")
            net.host_settings(self.host)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self.dir], check=True)
        self.can_be_client = _can(_be_transparent)
        self.has_53 = _can(_bind_53)

    def start_shared(self):
        """What all processes of the runner use, started by the one that they are forked from."""
        self.start_dns()

    def start_threads(self):
        """Threads of that process: not before the others are forked from it."""
        self.start_bad_dns()

    def start_dns(self):
        os.mkdir(self.path("dns"))
        nsd_port = free_port(self.plan.nsd[0])
        port = free_port(self.plan.unbound)
        zone_server = _OnTwoPorts(self.internet) if self.has_53 else self.internet
        self.started.append(servers.nsd(self.host, self.path("dns"), zone_server, nsd_port))
        self.nsd_port = nsd_port
        self.started.append(servers.unbound(self.host, self.path("dns"), self.internet, port, nsd_port))
        self.resolver = "%s:%d" % (self.plan.unbound, port)

    def start_bad_dns(self):
        for address, rcode in ((self.plan.broken, 2), (self.plan.lame, 5)):
            self.started.append(servers.BadNameserver(self.host, address, rcode, self.nsd_port))

    def enter_process(self, number):
        """In a process of the runner: what it starts is its own, and so are its bots."""
        self.started = []
        self.number = number
        self.dir = self.path("process-%d" % number)
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        self.bots = itertools.count(1 + number * 4000)

    def close(self):
        for server in reversed(self.started):
            server.stop()
        self.started = []

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def new_dir(self, word):
        path = self.path("%s-%d" % (word, next(self._count)))
        os.mkdir(path)
        os.chmod(path, 0o755)
        return path

    # Who is there ----------------------------------------------------------------------------

    @property
    def exim(self):
        """This process's mail server, for all of its cases."""
        if not self._exim:
            self._exim = self.new_exim()
        return self._exim

    def new_exim(self, relay=(), port=None):
        """One more; relay: addresses that it relays for."""
        directory = self.new_dir("exim")
        exim = servers.Exim(self.host, directory, [d.name for d in self.internet.domains],
                            [self.backend], list(relay) or [self.plan.relay[0]],
                            port or free_port(self.backend))
        exim.log = EximLog(directory)
        self.started.append(exim)
        return exim

    @property
    def postfix(self):
        """This process's Postfix, started when a case first asks for it: where backends.possible()."""
        if not self._postfix:
            self._postfix = backends.Postfix(self, free_port)
            self.started.append(self._postfix)
        return self._postfix

    @property
    def proxy_exim(self):
        """An Exim that wants a PROXY header, as postfix."""
        if not self._proxy_exim:
            self._proxy_exim = backends.ProxyExim(self, self.new_dir("exim"), free_port(self.backend))
            self.started.append(self._proxy_exim)
        return self._proxy_exim

    def own(self, *addresses):
        """Makes them addresses of an interface, which Postfix, and everybody in IPv6, needs them to be."""
        self.host.ip(*("addr replace %s/%s dev lo" % (a, "128 nodad" if ":" in a else "32") for a in addresses))

    def bot(self):
        """An address that nobody has used yet, without a name."""
        network = ipaddress.ip_network(self.plan.bots[0])
        return str(network[next(self.bots) + 256])

    def domain(self, kind, i=0):
        return self.internet.by_kind[kind][i].name

    def resident(self, pid):
        """KiB of memory."""
        with open("/proc/%d/status" % pid) as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])

    def backlog(self, port):
        """Connections to a port of this machine that wait to be accepted."""
        with open("/proc/self/net/tcp") as f:
            return sum(int(col[4].partition(":")[2], 16) for col in map(str.split, f.read().splitlines()[1:])
                       if col[3] == "0A" and int(col[1].partition(":")[2], 16) == port)

    def connections(self, port, client=None):
        """Established connections to a port of this machine (from that address)."""
        found = []
        with open("/proc/self/net/tcp") as f:
            for row in f.read().splitlines()[1:]:
                col = row.split()
                if col[3] != "01" or int(col[1].partition(":")[2], 16) != port:
                    continue
                peer = socket.inet_ntoa(bytes.fromhex(col[2][:8])[::-1])
                if client in (None, peer):
                    found.append(peer)
        return found

