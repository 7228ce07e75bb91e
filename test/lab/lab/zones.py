"""The lab's Internet on paper: address plan, 5,000 domains of all kinds, and their zone files.

One fixed seed: the same domains in every run. Nothing here does network I/O.
"""
import ipaddress
import os
import random
from collections import namedtuple
from dataclasses import dataclass, field

SEED = 5321
COUNT = 5000
TTL = 3600


@dataclass
class Plan:
    """Who has which address. Documentation and benchmark ranges, as they aren't private: behind
    private addresses frontdoor enforces nothing."""
    server: list  # the address that the world knows the mail server by
    backend: list  # a second one of the same host, for listen mode
    acme: list  # acme-filter.net: one address to receive at and to deliver from
    guard: list  # mx-guard.org: receives here ...
    guard_out: list  # ... and delivers from there
    mystery: list  # a scanner that nobody configured
    mystery_out: list
    web: list  # where www names lead that are no back door; also the mail host of "elsewhere"
    nsd: list
    unbound: str
    broken: str  # a DNS server that answers SERVFAIL to all
    lame: str  # one that answers REFUSED
    silent: str  # an address without a DNS server
    stranger: list  # client without a name
    home: list  # home computer: forward-confirmed generic name below mx-guard.org
    liar: list  # its PTR claims to be mx-guard.org's, but no address leads back
    nameless: list  # its reverse zone doesn't answer
    monitor: list  # in trusted
    printer: list  # in domains.allow of one domain
    relay: list  # relayed for by address
    mta: list  # a real mail server, with a name of its own
    bots: list  # networks to send from, many addresses

    def v(self, who, family):
        """The address of that family; the first one, if it has several."""
        return next(a for a in getattr(self, who) if (":" in a) == (family == 6))

    def all(self, who, family):
        return [a for a in getattr(self, who) if (":" in a) == (family == 6)]


PUBLIC = Plan(
    server=["203.0.113.25", "2001:db8:25::25"], backend=["203.0.113.26", "2001:db8:25::26"],
    acme=["198.51.100.10", "2001:db8:a::10"],
    guard=["198.51.100.138", "198.51.100.139", "2001:db8:b::138", "2001:db8:b::139"],
    guard_out=["198.51.100.150", "198.51.100.151", "198.51.100.152", "2001:db8:b::150",
               "2001:db8:b::151", "2001:db8:b::152"],
    mystery=["198.19.250.10", "2001:db8:1fa::10"],
    mystery_out=["198.19.250.20", "2001:db8:1fa::20"],
    web=["198.19.200.80", "2001:db8:1c8::80"],
    nsd=["192.0.2.66", "192.0.2.68"], unbound="192.0.2.67",
    broken="192.0.2.70", lame="192.0.2.71", silent="192.0.2.72", stranger=["198.18.10.10", "2001:db8:1010::10"],
    home=["198.18.77.7", "2001:db8:1077::7"], liar=["198.18.66.66", "2001:db8:1066::66"],
    nameless=["198.18.99.9", "2001:db8:1099::9"], monitor=["198.18.9.9", "2001:db8:1009::9"],
    printer=["198.18.8.8", "2001:db8:1008::8"], relay=["198.18.7.7", "2001:db8:1007::7"],
    mta=["198.18.50.50", "2001:db8:1050::50"], bots=["198.18.128.0/17", "2001:db8:1080::/41"])

# Everything on one machine's loopback network; the clients keep apart by their source address.
LOOPBACK = Plan(
    server=["127.25.0.25"], backend=["127.25.0.26"], acme=["127.51.0.10"],
    guard=["127.51.1.138", "127.51.1.139"], guard_out=["127.51.1.150", "127.51.1.151"],
    mystery=["127.19.250.10"], mystery_out=["127.19.250.20"], web=["127.19.200.80"],
    nsd=["127.53.0.66"], unbound="127.53.0.67",
    broken="127.53.0.70", lame="127.53.0.71", silent="127.53.0.72", stranger=["127.18.10.10"], home=["127.18.77.7"], liar=["127.18.66.66"], nameless=["127.18.99.9"],
    monitor=["127.18.9.9"], printer=["127.18.8.8"], relay=["127.18.7.7"], mta=["127.18.50.50"],
    bots=["127.18.128.0/17"])

# kind: (share, door as frontdoor names it, scanners that the MX names)
Kind = namedtuple("Kind", "share door scanners")
KINDS = {
    "acme": Kind(1500, "scanner", ("acme",)),
    "guard": Kind(1500, "scanner", ("guard",)),
    "self": Kind(800, "self", ()),
    "mystery": Kind(200, "scanner", ("mystery",)),
    "implicit": Kind(150, "self", ()),
    "backup": Kind(100, "backup", ("acme",)),
    "elsewhere": Kind(100, "elsewhere", ()),
    "both": Kind(100, "scanner", ("acme", "guard")),  # several MX hosts with several addresses
    "idn": Kind(100, "scanner", ("guard",)),
    "self-idn": Kind(40, "self", ()),
    "null": Kind(60, "null", ()),
    "cname-mx": Kind(60, "scanner", ("acme",)),  # the MX target is an alias
    "cname": Kind(40, "scanner", ("guard",)),  # the domain itself is an alias (a subdomain, so)
    "v6only": Kind(60, "scanner", ("acme",)),
    "self-v6only": Kind(30, "self", ()),
    "vanity": Kind(40, "scanner", ("vanity",)),  # MX named in the domain, a scanner's address
    "nxdomain": Kind(60, "unknown", ()),
    "nodata": Kind(30, "unknown", ()),
    "servfail": Kind(12, "dns", ()),  # delegated to a server that is in trouble
    "lame": Kind(12, "dns", ()),  # delegated to a server that knows nothing of it
    "silent": Kind(6, "dns", ()),  # delegated to a server that isn't there
}
# Kinds whose zones aren't NSD's, and the name server that they are delegated to.
FOREIGN = {"servfail": "broken", "lame": "lame", "silent": "silent"}

_FIRST = """amber apple arrow aspen autumn azure bamboo birch bluebird bright brook canyon cedar cherry
citrus clear clever cloud clover copper coral crystal daisy dawn delta dune eagle early east elder
ember ever fern field first forest fresh garden gentle gold granite green harbor hazel hidden high
honey indigo iron island ivory jade juniper lake laurel lemon lilac linden little lucky lunar maple
meadow mellow mill mint misty modern morning noble north oak ocean olive orchard""".split()
_SECOND = """academy agency archive bakery bank bikes books boats bridge builders cafe camera carpets
catering ceramics chapel choir cinema clinic coffee college cycles dairy dance dental design diner
farm films fitness flowers foods forge foundry gallery garage gardens glass guitars hardware hotel
house instruments invest joinery kitchen labs law legal library lights logistics market media mills
motors museum music nursery optics paper parish pharmacy photo pizza plumbing pottery press print
radio realty roofing school skiing""".split()
_UMLAUT = "äcker bücher bäume gärten hütten käse küche möbel mühle öfen schlösser täler türen übersee".split()
_TLDS = ["com", "net", "org", "info"]
NAMESERVERS = ("ns1.labdns.net", "ns2.labdns.net")
BACKDOOR_NAMES = ("", "www", "mail", "smtp")


@dataclass
class Domain:
    name: str  # as in DNS: A-labels
    kind: str
    text: str  # as people write it; the same but for IDN
    backdoors: tuple = ()  # which of BACKDOOR_NAMES lead to the mail server
    mx: list = field(default_factory=list)

    @property
    def door(self):
        return KINDS[self.kind].door

    @property
    def scanners(self):
        return KINDS[self.kind].scanners

    @property
    def tld(self):
        return self.name.rsplit(".", 1)[1]


class Internet:
    """All domains, by kind and by name, and their zones as text."""

    def __init__(self, plan=PUBLIC, count=COUNT, ttl=TTL, seed=SEED):
        self.plan = plan
        self.ttl = ttl
        self.rng = random.Random(seed)
        self.domains = self._domains(count)
        self.by_name = {d.name: d for d in self.domains}
        self.by_kind = {k: [d for d in self.domains if d.kind == k] for k in KINDS}

    def _domains(self, count):
        total = sum(k.share for k in KINDS.values())
        kinds = [k for k, v in KINDS.items() for _ in range(max(1, v.share * count // total))]
        kinds += ["acme"] * (count - len(kinds))
        names = ["%s-%s" % (a, b) for a in _FIRST for b in _SECOND]
        self.rng.shuffle(names)
        self.rng.shuffle(kinds)
        out = []
        for kind, name in zip(kinds, names):
            text = name
            if kind.endswith("idn"):
                text = self.rng.choice(_UMLAUT) + "-" + name
            tld = self.rng.choice(_TLDS)
            text += "." + tld
            ascii_name = text.encode("idna").decode()
            if kind == "cname":
                text = "mail-in." + text
                ascii_name = "mail-in." + ascii_name
            out.append(Domain(ascii_name, kind, text))
        for d in out:
            self._choose(d)
        return out

    def _choose(self, d):
        """The back doors: the names of a domain that lead to the mail server all the same."""
        if d.kind in ("nxdomain", "nodata", "cname") or d.kind in FOREIGN:
            return
        doors = [n for n, share in zip(BACKDOOR_NAMES, (.45, .4, .7, .3)) if self.rng.random() < share]
        if d.kind in ("implicit", "elsewhere"):
            doors = [n for n in doors if n != ""]
        d.backdoors = tuple(doors)
        d.mx = self._mx(d)

    def _mx(self, d):
        acme, guard = "mx1.acme-filter.net", ["in1.mx-guard.org", "in2.mx-guard.org"]
        own = "mail." + d.name
        return {
            "acme": [(10, acme)],
            "guard": [(10, guard[0]), (20, guard[1])],
            "idn": [(10, guard[0]), (10, guard[1])],
            "both": [(10, acme), (20, guard[0]), (20, guard[1])],
            "mystery": [(10, "mx.mystery-scan.com")],
            "backup": [(10, acme), (50, "host.lab-hosting.net")],
            "self": [(10, own)],
            "self-idn": [(10, "host.lab-hosting.net")],
            "self-v6only": [(10, "host6.lab-hosting.net")],
            "null": [(0, ".")],
            "cname-mx": [(10, "mx." + d.name)],
            "v6only": [(10, "mx6.acme-filter.net")],
            "vanity": [(10, "mx." + d.name)],
        }.get(d.kind, [])

    # Zones ------------------------------------------------------------------------------------

    def _addr(self, name, addrs):
        return ["%s %s %s" % (name, "AAAA" if ":" in a else "A", a) for a in addrs]

    def _zone(self, name, *records):
        dot = "" if name == "." else "."
        head = ["$ORIGIN %s%s" % (name, dot), "$TTL %d" % self.ttl,
                "@ SOA ns1.labdns.net. hostmaster.labdns.net. 1 7200 3600 1209600 300"]
        head += ["@ NS %s." % n for n in NAMESERVERS]
        return "\n".join(head + list(records)) + "\n"

    def _domain_zone(self, d):
        rec = ["@ MX %d %s" % (p, h if h == "." else h + ".") for p, h in d.mx]
        if d.kind == "cname":
            # The alias is a name below the zone's apex, which can't be one itself.
            return self._zone(d.name.split(".", 1)[1], "mail-in CNAME %s." % self.alias_target.name)
        web, server = self.plan.web, self.plan.server
        for n in BACKDOOR_NAMES:
            if d.kind == "nodata" or (n == "" and d.kind == "null"):
                continue
            here = n in d.backdoors or (n == "" and d.kind == "implicit") or (
                n == "mail" and d.kind == "self")
            if here or n in ("", "www"):
                rec += self._addr(n or "@", server if here else web)
        if d.kind == "nodata":
            rec += ['@ TXT "neither MX nor address"']
        if d.kind == "cname-mx":
            rec += ["mx CNAME mx1.acme-filter.net."]
        if d.kind == "vanity":
            rec += self._addr("mx", self.plan.acme)
        return self._zone(d.name, *rec)

    @property
    def alias_target(self):
        return self.by_kind["guard"][0]

    def _infrastructure(self):
        p = self.plan
        split = lambda addrs, i: [a for a in addrs if a in (p.all("guard", 4) + [None] * 2)[i:i + 1]
                                  + (p.all("guard", 6) + [None] * 2)[i:i + 1]]
        ns = p.nsd + [p.nsd[0]]
        z = {
            "labdns.net": self._addr("ns1", ns[:1]) + self._addr("ns2", ns[1:2])
            + self._foreign_servers("") + self._addr("resolver", [p.unbound]),
            "acme-filter.net": self._addr("@", p.web) + self._addr("mx1", p.acme)
            + self._addr("mx6", [a for a in p.acme if ":" in a]),
            "mx-guard.org": self._addr("@", p.web) + self._addr("in1", split(p.guard, 0))
            + self._addr("in2", split(p.guard, 1)),
            "mystery-scan.com": self._addr("@", p.web) + self._addr("mx", p.mystery)
            + self._addr("out", p.mystery_out),
            "lab-hosting.net": self._addr("@", p.web) + self._addr("host", p.server)
            + self._addr("host6", [a for a in p.server if ":" in a])
            + self._addr("backend", p.backend),
            "honest-mailer.net": self._addr("@", p.web) + self._addr("mta", p.mta)
            + ["@ MX 10 mta"],
            "not-hosted.net": self._addr("@", p.web) + ["@ MX 10 mx.mystery-scan.com."],
        }
        for family in (4, 6):
            for i, a in enumerate(p.all("guard_out", family), 1):
                z["mx-guard.org"] += self._addr("out%d" % i, [a])
            for a in p.all("home", family):
                z["mx-guard.org"] += self._addr(generic_label(a) + ".dyn", [a])
        return {name: self._zone(name, *rec) for name, rec in z.items()}

    def pointers(self):
        """address → name of its PTR record."""
        p = self.plan
        out = {}
        for a in p.acme:
            out[a] = "mx1.acme-filter.net"
        for family in (4, 6):
            for i, a in enumerate(p.all("guard_out", family), 1):
                out[a] = "out%d.mx-guard.org" % i
        for a in p.home:
            out[a] = generic_label(a) + ".dyn.mx-guard.org"
        for a in p.liar:
            out[a] = "out1.mx-guard.org"
        for a in p.mystery_out:
            out[a] = "out.mystery-scan.com"
        for a in p.mta:
            out[a] = "mta.honest-mailer.net"
        return out

    def zones(self):
        """Zone name → zone file text: root, TLDs, reverse trees and every domain's own."""
        z = self._infrastructure()
        for d in self.domains:
            if d.kind not in FOREIGN and d.kind != "nxdomain":
                name = d.name.split(".", 1)[1] if d.kind == "cname" else d.name
                z[name] = self._domain_zone(d)
        for tld in _TLDS:
            rec = ["%s. NS %s." % (n, h) for n in z if n.endswith("." + tld) for h in NAMESERVERS]
            rec += ["%s. NS %s.labdns.net." % (d.name, FOREIGN[d.kind]) for d in self.domains
                    if d.kind in FOREIGN and d.tld == tld]
            if tld == "net":
                rec += self._glue()
            z[tld] = self._zone(tld, *rec)
        z["in-addr.arpa"], z["ip6.arpa"] = self._reverse()
        rec = ["%s. NS %s." % (n, h) for n in _TLDS + ["in-addr.arpa", "ip6.arpa"] for h in NAMESERVERS]
        z["."] = self._zone(".", *(rec + self._glue()))
        return z

    def _glue(self):
        ns = self.plan.nsd + [self.plan.nsd[0]]
        return (self._addr("ns1.labdns.net.", ns[:1]) + self._addr("ns2.labdns.net.", ns[1:2])
                + self._foreign_servers(".labdns.net."))

    def _foreign_servers(self, suffix):
        return [line for who in FOREIGN.values()
                for line in self._addr(who + suffix, [getattr(self.plan, who)])]

    def nameless_zones(self):
        return [ipaddress.ip_address(a).reverse_pointer.split(".", 1)[1] for a in self.plan.nameless]

    def foreign(self):
        """Zone name → address of its name server, for the zones that aren't NSD's."""
        out = {d.name: getattr(self.plan, FOREIGN[d.kind]) for d in self.domains if d.kind in FOREIGN}
        out.update((z, self.plan.broken) for z in self.nameless_zones())
        return out

    def _reverse(self):
        v4, v6 = [], []
        for a, name in self.pointers().items():
            (v6 if ":" in a else v4).append("%s. PTR %s." % (
                ipaddress.ip_address(a).reverse_pointer, name))
        for a, zone in zip(self.plan.nameless, self.nameless_zones()):
            (v6 if ":" in a else v4).append("%s. NS broken.labdns.net." % zone)
        return self._zone("in-addr.arpa", *v4), self._zone("ip6.arpa", *v6)

    def write(self, directory):
        """Zone files, and zones.conf with a zone: clause for each, for NSD to include."""
        os.makedirs(directory, exist_ok=True)
        conf = []
        for name, text in self.zones().items():
            file = os.path.join(directory, "root.zone" if name == "." else name + ".zone")
            with open(file, "w") as f:
                f.write(text)
            conf.append('zone:\n\tname: "%s"\n\tzonefile: "%s"\n' % (name, file))
        with open(os.path.join(directory, "zones.conf"), "w") as f:
            f.write("".join(conf))


def generic_label(address):
    """A name that spells the address out, as providers give to their customers."""
    a = ipaddress.ip_address(address)
    return a.exploded.replace(":", "-").replace(".", "-")
