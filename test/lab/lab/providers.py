"""Filters of the catalogue, rebuilt: zones under the very names that rows of data/providers.tsv have, addresses and
networks of the lab's own. They receive mail at one place and deliver it from another, as nearly all do."""
import ipaddress
import os
from dataclasses import dataclass, field

from . import mail, net, paths, zones

TTL = 3600
CUSTOMERS = 12
TENANT, OTHER_TENANT = "00112233", "0099aabb"
ALLOCATION = "hc1234-56"


@dataclass
class Filter:
    """One provider, or one tenant of it where that matters."""
    name: str
    row: str  # id in data/providers.tsv
    n: int  # its networks: 198.19.n.0/24 and 2001:db8:3n::/48 to receive, 198.19.(100+n).0/24 and 2001:db8:4n::/48
    mx: tuple  # host names
    hosts: tuple  # last parts of its egress addresses, both families
    relay: object = None
    ns: object = None

    def ingress(self, family):
        return ("198.19.%d.10" if family == 4 else "2001:db8:3%02d::10") % self.n

    def out(self, host, family):
        return "198.19.%d.%d" % (100 + self.n, host) if family == 4 else "2001:db8:4%02d::%x" % (self.n, host)

    @property
    def egress(self):
        return [self.out(h, f) for h in self.hosts for f in (4, 6)]

    @property
    def network(self):
        """What an operator would accept."""
        return "198.19.%d.0/24" % (100 + self.n)


def filters():
    return {f.name: f for f in (
        # Its SPF record: includes in includes, a:, mx:, redirect=; no address has a name.
        Filter("nested", "symantec-cloud", 11, ("cluster1.eu.messagelabs.com", "cluster1a.eu.messagelabs.com"), (20, 30, 40, 50)),
        # Names of hosts with so many addresses that the answer doesn't fit a datagram.
        Filter("hosts", "spamtitan", 12, ("mx1.eu.spamtitan.com",), (1, 100, 200, 250)),
        # By the names of its addresses only, and only those of the tenant.
        Filter("tenant", "proofpoint", 13, ("mx0a-%s.pphosted.com" % TENANT, "mx0b-%s.pphosted.com" % TENANT), (20, 21)),
        # A second tenant of the same provider, with an SPF record of its own.
        Filter("other", "proofpoint", 14, ("mx0a-%s.pphosted.com" % OTHER_TENANT,), (30,)),
        # By a question about each address: is there an A record of ADDRESS.spf.ALLOCATION?
        Filter("asked", "cisco-ces", 16, ("mx1.%s.iphmx.com" % ALLOCATION, "mx2.%s.iphmx.com" % ALLOCATION), (40, 41)),
        # Delivers from a network that its row doesn't have, and whose names are of another domain.
        Filter("moved", "mailroute", 15, ("mail.mailroute.net",), (60, 61)),
    )}


@dataclass
class Customer(zones.Domain):
    filter: str = ""
    door = "scanner"
    mail_ttl: int = field(default=TTL)


class Internet(zones.Internet):
    """The ordinary one, smaller, and the filters with their customers. broken: the nested SPF record has lost a network."""

    def __init__(self, plan=zones.PUBLIC, broken=False, count=200):
        self.filters, self.broken = filters(), broken
        super().__init__(plan, count)

    def _domains(self, count):
        out = super()._domains(count)
        for f in self.filters.values():
            for i in range(CUSTOMERS):
                name = "%s-customer-%02d.com" % (f.name, i)
                out.append(Customer(name, "customer", name, ("", "mail"), filter=f.name))
                self.move(out[-1], f.name)
        return out

    def move(self, customer, name):
        """Its MX names this filter from now on."""
        customer.filter = name
        customer.mx = [(10 * i, host) for i, host in enumerate(self.filters[name].mx, 1)]

    def customers(self, name):
        return [d for d in self.domains if isinstance(d, Customer) and d.filter == name]

    def _infrastructure(self):
        z = super()._infrastructure()
        z.update({zone: self._zone(zone, *rows) for zone, rows in self._filter_zones().items()})
        return z

    def _both(self, name, f, *hosts):
        return self._addr(name, [f.out(h, family) for h in hosts for family in (4, 6)])

    def _filter_zones(self):
        f = self.filters
        z = {"messagelabs.com": self._nested(f["nested"]), "spamtitan.com": self._hosts(f["hosts"]),
             "iphmx.com": self._asked(f["asked"]),
             "pphosted.com": self._tenants(f["tenant"], f["other"]), "mailroute.net": [],
             "relay-parcel.net": self._both("out60", f["moved"], 60) + self._both("out61", f["moved"], 61)}
        for x in f.values():
            zone = ".".join(x.mx[0].split(".")[-2:])
            for host in x.mx:
                z[zone] += self._addr(host + ".", [x.ingress(4), x.ingress(6)])
        return z

    def _nested(self, f):
        text = lambda name, spf: '%s TXT "v=spf1 %s"' % (name, spf)
        first = "192.0.2.128" if self.broken else f.out(20, 4)
        return [text("spf", "include:nets1.spf.messagelabs.com include:nets2.spf.messagelabs.com ~all"),
                text("nets1.spf", "ip4:%s/30 include:deep.spf.messagelabs.com -all" % first),
                text("deep.spf", "ip6:%s/124 a:out.messagelabs.com -all" % f.out(16, 6)),
                text("nets2.spf", "mx:pool.messagelabs.com include:more.spf.messagelabs.com ?all"),
                text("more.spf", "redirect=last.spf.messagelabs.com"),
                'last.spf TXT "v=spf1 ip4:%s" " ip6:%s -all"' % (f.out(50, 4), f.out(50, 6)),
                "pool MX 10 pool1"] + self._both("out", f, 30) + self._both("pool1", f, 40)

    def _hosts(self, f):
        # What its two SPF names permit is for its customers' own mail: nothing comes from there.
        spf = ['%s TXT "v=spf1 ip4:198.19.212.0/28 -all"' % name for name in ("_spf", "_spf_cd")]
        return spf + self._both("cloud-out-c", f, *range(1, 201)) + self._both("cloud-out-d", f, 250)

    def _tenants(self, one, other):
        return (self._both("mx0c-" + TENANT, one, 20) + self._both("mx0d-" + TENANT, one, 21) + [
            'spf-%s TXT "v=spf1 ip4:%s ip6:%s -all"' % (OTHER_TENANT, other.out(30, 4), other.out(30, 6))])

    def _asked(self, f):
        macro = lambda a: ".".join(ipaddress.ip_address(a).exploded.replace(":", "")) if ":" in a else a  # RFC 7208 7.3
        return ["%s.spf.%s A 127.0.0.2" % (macro(a), ALLOCATION) for a in f.egress]

    def pointers(self):
        out = super().pointers()
        one, moved = self.filters["tenant"], self.filters["moved"]
        for family in (4, 6):
            for letter, host in (("c", 20), ("d", 21)):
                out[one.out(host, family)] = "mx0%s-%s.pphosted.com" % (letter, TENANT)
            for host in moved.hosts:
                out[moved.out(host, family)] = "out%d.relay-parcel.net" % host
        return out

    # In the lab -------------------------------------------------------------------------------

    def join(self, lab):
        """Networks and relays."""
        for f in self.filters.values():
            f.ns = lab.ns[f.name] = net.Namespace(f.name)
            net.host_settings(f.ns)
            gw, dev = lab.ns["gw"], "filter%d" % f.n
            net.connect(gw, f.ns, dev, "eth0")
            net.addresses(gw, dev, "198.19.%d.1/24" % f.n, "2001:db8:3%02d::1/48" % f.n)
            net.addresses(f.ns, "eth0", "%s/24" % f.ingress(4), "%s/48" % f.ingress(6),
                          *(a + ("/128" if ":" in a else "/32") for a in f.egress))
            net.routes(f.ns, "default via 198.19.%d.1" % f.n, "default via 2001:db8:3%02d::1" % f.n)
            net.routes(gw, "198.19.%d.0/24 dev %s" % (100 + f.n, dev), "2001:db8:4%02d::/48 dev %s" % (f.n, dev))
            f.relay = mail.Scanner(f.ns, [f.ingress(4), f.ingress(6)], f.egress, lab.plan.server)
            lab.relays.append(f.relay)

    def published(self, lab):
        """What the zones say now is what the world hears: name servers and caches begin anew."""
        self.write(lab.path("dns", "zones"))
        for server in (lab.nsd, lab.unbound):
            server.stop()
        for server in (lab.nsd, lab.unbound):
            server.start()

    def silence(self, lab, silent=True):
        """What is sent to the name servers gets lost on the way."""
        for address in lab.plan.nsd + [lab.plan.unbound]:
            lab.ns["gw"].ip("neigh %s %s dev dns0" % (
                "replace" if silent else "del", address + (" lladdr 02:00:00:00:00:01 nud permanent" if silent else "")))


def row(ident):
    """A row of the catalogue: column → text."""
    with open(os.path.join(paths.ROOT, "data", "providers.tsv")) as f:
        head = f.readline().rstrip("\n").split("\t")
        return next(dict(zip(head, cells)) for cells in (line.rstrip("\n").split("\t") for line in f) if cells[0] == ident)
