"""Filters of the catalogue under their real names, with addresses of ours, and a customer of each.

Each of them receives at one address, and delivers from others; how these can be known differs.
"""
from lab import zones

INBOUND = {  # where they receive
    "mimecast": "127.52.1.10", "proofpoint": "127.52.2.10", "cisco": "127.52.3.10", "essentials": "127.52.4.10",
    "gate": "127.52.5.10", "own": "127.52.6.10"}
EGRESS = {
    "mimecast": "127.52.1.130",  # in an SPF record that another includes
    "mimecast-far": "127.52.11.5",  # an address more of the same
    "proofpoint": "127.52.2.130",  # in that of the tenant alone
    "cisco": "127.52.3.130",  # has a record of its own below the tenant's name
    "cisco-named": "127.52.3.131",  # has none, but a name of the tenant's
    "essentials": "127.52.4.130",  # an address of a host
    "essentials-named": "127.52.4.131",  # known by its name alone
    "essentials-listed": "67.231.144.9",  # a prefix of the catalogue
    "gate": "127.52.5.130",  # a row that says nothing of its egress: by its name
    "own": "127.52.6.130",  # configured
}
TENANT = "hc123-4.iphmx.com"
MX = {  # customer → its MX host
    "by-spf.com": "eu-smtp-inbound-1.mimecast.com",
    "by-tenant.com": "mxa-0011aabb.gslb.pphosted.com",
    "by-exists.com": "mx1." + TENANT,
    "by-host.com": "mx1-us1.ppe-hosted.com",
    "by-default.com": "mx1.activegate-ss.jp.cat-lab.net",
    "bare.com": "in.activegate-ss.jp",
    "by-cname.com": "mx.by-cname.com",
    "by-ptr.com": "mx.by-ptr.com",
    "by-conf.com": "mx.own-filter.net",
    "no-spf.com": "mx.spfless-filter.net",
    "left-out.com": "mx.macro-filter.net",
}


def records():
    """Zone → its records."""
    inbound, out = INBOUND, EGRESS
    z = {
        "mimecast.com": [
            "eu-smtp-inbound-1 A " + inbound["mimecast"],
            '_netblocks TXT "v=spf1 ip4:127.52.99.0/24 -all"',
            'eu._netblocks TXT "v=spf1 include:more._netblocks.mimecast.com ip4:%s -all"' % out["mimecast-far"],
            'more._netblocks TXT "v=spf1 ip4:127.52.1.128/26 ~all"'],
        "pphosted.com": [
            "mxa-0011aabb.gslb A " + inbound["proofpoint"],
            '@ TXT "v=spf1 ip4:127.52.98.0/24 -all"',
            'spf-0011aabb TXT "v=spf1 ip4:127.52.2.128/28 -all"'],
        "iphmx.com": [
            "mx1.hc123-4 A " + inbound["cisco"],
            "%s.spf.hc123-4 A 127.0.0.2" % out["cisco"],
            "esa1.hc123-4 A " + out["cisco-named"]],
        "ppe-hosted.com": [
            "mx1-us1 A " + inbound["essentials"],
            "dispatch-us A " + out["essentials"],
            "out9 A " + out["essentials-named"],
            '_spf-us TXT "v=spf1 ip4:127.52.97.0/24 -all"'],
        "activegate-ss.jp": ["in A " + inbound["gate"], "out A " + out["gate"]],
        "cat-lab.net": ["mx1.activegate-ss.jp A " + inbound["gate"]],
        "own-filter.net": [
            "mx A " + inbound["own"],
            '_spf TXT "v=spf1 ip4:%s ip4:127.52.6.0/25 a:mx.own-filter.net ip4:127.52.9.0/24 '
            'ip4:127.52.10.0/24 ip6:2001:db8:52::/47 -all"' % out["own"]],
        "spfless-filter.net": ["mx A " + inbound["own"]],
        "macro-filter.net": [
            "mx A " + inbound["own"],
            '_spf TXT "v=spf1 exists:%{i}._x.macro-filter.net ip4:127.52.7.0/24 -all"'],
    }
    for name, host in MX.items():
        z[name] = ["@ MX 10 %s." % host]
    z["by-cname.com"].append("mx CNAME eu-smtp-inbound-1.mimecast.com.")
    z["by-ptr.com"].append("mx A " + inbound["mimecast"])
    return z


def pointers():
    return {INBOUND["mimecast"]: "eu-smtp-inbound-1.mimecast.com", EGRESS["cisco-named"]: "esa1." + TENANT,
            EGRESS["essentials-named"]: "out9.ppe-hosted.com", EGRESS["gate"]: "out.activegate-ss.jp"}


class WithProviders(zones.Internet):
    def _infrastructure(self):
        z = super()._infrastructure()
        z.update((name, self._zone(name, *rec)) for name, rec in records().items())
        return z

    def pointers(self):
        return dict(super().pointers(), **pointers())
