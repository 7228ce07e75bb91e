"""The whole lab: networks and servers, by mode.

                     world (clients, 198.18.0.0/15)
                       |
    scan1 (acme) --- gw --- mail (Exim, 203.0.113.25)
    scan2 (guard) ---+ \\
                        dns (NSD, Unbound)

mode gateway: frontdoor in gw. same-host: frontdoor in mail. listen: frontdoor in gw, which then has
the server address itself, and Exim is behind it at the backend address. direct: no frontdoor.
"""
import ipaddress
import os
import shutil
import subprocess
import tempfile
import time

from . import dns, isolate, mail, net, servers, zones
from .exim_log import EximLog

MODES = ("direct", "gateway", "same-host", "listen")
NAMES = ("world", "gw", "mail", "scan1", "scan2", "dns")


class Lab:
    """As a context manager: set up on entering, everything ended and removed on leaving."""

    def __init__(self, mode="gateway", keep=None, count=zones.COUNT, internet=None):
        assert mode in MODES, mode
        self.mode, self.keep = mode, keep
        self.loopback = isolate.way() == "loopback"
        self.plan = zones.LOOPBACK if self.loopback else zones.PUBLIC
        self.internet = internet or zones.Internet(self.plan, count)
        self.dir = tempfile.mkdtemp(prefix="frontdoor-lab-")
        os.chmod(self.dir, 0o755)
        self.started = []
        self.ns = {}
        self.relays = []
        self.printer_domain = self.internet.by_kind["guard"][1]  # has a row domains.allow
        self.defer_domain = self.internet.by_kind["acme"][1]  # has action: defer

    def __enter__(self):
        try:
            self._storage()
            self._networks()
            self._servers()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for relay in self.relays:
            relay.stop()
        for server in reversed(self.started):
            server.stop()
        self.started, self.relays = [], []
        if self.keep:
            shutil.copytree(self.dir, os.path.join(self.keep, self.mode), dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("zones", "spool", "dovecot", "*.sock"))
        for ns in self.ns.values():
            ns.close()
        if not self.loopback:
            subprocess.run(["umount", "-l", self.dir], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def _storage(self):
        # Exim syncs each message to disk; memory makes the lab three times as fast, and what is
        # mounted here is gone with the mount namespace.
        if not self.loopback:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self.dir], check=True)
        for d in ("dns", "exim", "frontdoor"):
            os.mkdir(self.path(d))

    def _networks(self):
        if self.loopback:
            host = net.Host("host")
            self.ns = {n: host for n in NAMES}
            return
        self.ns = {n: net.Namespace(n) for n in NAMES}
        for ns in self.ns.values():
            net.host_settings(ns)
        world, gw, mail, scan1, scan2, dns = (self.ns[n] for n in NAMES)
        net.router(gw)
        for ns, dev in ((world, "world0"), (mail, "mail0"), (scan1, "scan10"), (scan2, "scan20"),
                        (dns, "dns0")):
            net.connect(gw, ns, dev, "eth0")
        links = {  # device of gw: our address there, the other's, its networks
            "world0": (world, ("192.0.2.1/30", "2001:db8:1::1/64"),
                       ("192.0.2.2/30", "2001:db8:1::2/64")),
            "mail0": (mail, ("203.0.113.1/24", "2001:db8:25::1/64"),
                      ("203.0.113.26/24", "2001:db8:25::26/64")),
            "scan10": (scan1, ("198.51.100.1/25", "2001:db8:a::1/64"),
                       ["%s/%d" % (a, 64 if ":" in a else 25) for a in self.plan.acme]),
            "scan20": (scan2, ("198.51.100.129/25", "2001:db8:b::1/64"),
                       ["%s/%d" % (a, 64 if ":" in a else 25)
                        for a in self.plan.guard + self.plan.guard_out]),
            "dns0": (dns, ("192.0.2.65/26", "2001:db8:53::1/64"),
                     ["%s/26" % a for a in self.plan.nsd + [
                         self.plan.unbound, self.plan.broken, self.plan.lame, self.plan.silent]]
                     + ["2001:db8:53::67/64"]),
        }
        for dev, (ns, ours, theirs) in links.items():
            net.addresses(gw, dev, *ours)
            net.addresses(ns, "eth0", *theirs)
            net.routes(ns, *("default via " + a.split("/")[0] for a in ours))
        # Any address of these networks is one of the world's: clients just bind to it.
        net.routes(gw, "198.18.0.0/15 via 192.0.2.2", "2001:db8:1000::/36 via 2001:db8:1::2",
                   "2001:db8:1c8::/48 via 2001:db8:1::2", "2001:db8:1fa::/48 via 2001:db8:1::2")
        net.routes(world, "local 198.18.0.0/16 dev lo", "local 198.19.192.0/18 dev lo",
                   "local 2001:db8:1000::/36 dev lo",
                   "local 2001:db8:1c8::/48 dev lo", "local 2001:db8:1fa::/48 dev lo")
        world.sysctl(ipv6__ip_nonlocal_bind=1)
        self._place_server(gw, mail)

    def _place_server(self, gw, mail):
        if self.mode == "listen":
            net.addresses(gw, "lo", *("%s/%d" % (a, 128 if ":" in a else 32) for a in self.plan.server))
        else:
            net.addresses(mail, "eth0", *("%s/%d" % (a, 64 if ":" in a else 24) for a in self.plan.server))

    def _servers(self):
        net_dns = self.ns["dns"]
        nsd_port, port = (5300, 5301) if self.loopback else (53, 53)
        self.nsd = servers.nsd(net_dns, self.path("dns"), self.internet, nsd_port)
        self.started.append(self.nsd)
        for address, rcode in ((self.plan.broken, 2), (self.plan.lame, 5)):
            self.relays.append(servers.BadNameserver(net_dns, address, rcode, nsd_port))
        self.unbound = servers.unbound(net_dns, self.path("dns"), self.internet, port, nsd_port)
        self.started.append(self.unbound)
        self.dns_port = nsd_port
        self.resolver = "%s:%d" % (self.plan.unbound, port)
        self.smtp_port = 2525 if self.loopback else 25
        self.exim_port = 2526 if self.loopback and self.mode == "listen" else self.smtp_port
        interfaces = list(self.plan.backend)
        if self.mode != "listen":
            interfaces += self.plan.server
        self.exim = servers.Exim(self.ns["mail"], self.path("exim"),
                                 [d.name for d in self.internet.domains], interfaces,
                                 self.plan.relay, self.exim_port)
        self.started.append(self.exim)
        self.log = EximLog(self.path("exim"))
        self.acme = self._scanner("scan1", self.plan.acme, self.plan.acme)
        self.guard = self._scanner("scan2", self.plan.guard, self.plan.guard_out)

    def _scanner(self, where, ingress, egress):
        relay = mail.Scanner(self.ns[where], ingress, egress, self.plan.server, self.smtp_port,
                             self.smtp_port)
        self.relays.append(relay)
        return relay

    def stub(self, where="world"):
        """A stub resolver for clients in that namespace."""
        return dns.Resolver(self.ns[where], self.resolver)

    @property
    def gateway_address(self):
        """What a listener with source: self comes from, as the mail server sees it."""
        return "127.0.0.1" if self.loopback else "203.0.113.1"

    @property
    def families(self):
        return (4,) if self.loopback else (4, 6)

    def quiet(self, seconds=30.0):
        """Waits until nobody asks the resolver any more: frontdoor has looked its doors up."""
        def asked():
            with self.ns["dns"], open("/proc/thread-self/net/snmp") as f:
                rows = [line.split() for line in f if line.startswith("Udp:")]
            return int(dict(zip(*rows))["InDatagrams"])
        end, calm, last = time.monotonic() + seconds, 0, asked()
        while calm < 8 and time.monotonic() < end:
            time.sleep(0.1)
            now = asked()
            calm = calm + 1 if now - last < 20 else 0
            last = now

    def client(self, who, family=4):
        return self.plan.v(who, family)

    def bots(self, n, family=4, ipv6_prefix=64):
        """n addresses of different networks of the world."""
        net = ipaddress.ip_network(self.plan.all("bots", family)[0])
        step = 259 if family == 4 else 1 << (128 - ipv6_prefix)
        return [str(net[(i + 1) * step % net.num_addresses]) for i in range(n)]

    def server(self, family=4):
        """The address that the world knows."""
        return self.plan.v("server", family)

    def send(self, source, recipients, family=4, **how):
        """One message from a client in the world to the server address."""
        if isinstance(recipients, str):
            recipients = [recipients]
        return mail.deliver(self.ns["world"], source, self.server(family), recipients,
                            port=self.smtp_port, **how)
