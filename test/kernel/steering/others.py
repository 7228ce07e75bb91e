"""Cases of what others do on the host: (lab)."""
import os
import signal
import socket
import time

from .lab import CLIENT, Client, MailServer, Namespace, SmtpClient
from .meet import alive, direct, endpoint, equal, serving, strange, unchanged, until

BOX = {4: "172.18.0.5", 6: "fd00:18::5"}
HOST = {4: "198.18.0.1", 6: "2001:db8:1::1"}  # the gateway's, as the world knows it


class Containers:
    """A mail server in a container behind a bridge of the gateway, as container engines do it: routed, and its port 25
    published at the host's addresses."""

    def __init__(self, lab):
        self.gw, self.box = lab.gw, Namespace("box")
        run = self.gw.run
        run("ip", "link", "add", "br0", "type", "bridge")
        self.box.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "to-box", "netns", self.gw.name)
        run("ip", "link", "set", "to-box", "master", "br0")
        for ns, dev, v4, v6 in ((self.gw, "br0", "172.18.0.1/16", "fd00:18::1/64"),
                                (self.box, "eth0", BOX[4] + "/16", BOX[6] + "/64")):
            ns.run("ip", "link", "set", dev, "up")
            ns.run("ip", "addr", "add", v4, "dev", dev)
            ns.run("ip", "addr", "add", v6, "dev", dev, "nodad")
        run("ip", "link", "set", "to-box", "up")
        self.box.run("ip", "route", "add", "default", "via", "172.18.0.1")
        self.box.run("ip", "-6", "route", "add", "default", "via", "fd00:18::1")
        self.server = MailServer(self.box)
        run("nft", "-f", "-", text="".join(f"""
            table {ip} engine {{
              chain pre {{ type nat hook prerouting priority dstnat; {ip} daddr {HOST[n]} tcp dport 25 dnat to {to} ; }}
              chain post {{ type nat hook postrouting priority srcnat; {ip} saddr {net} oifname != "br0" masquerade ; }}
            }}""" for ip, n, to, net in (("ip", 4, BOX[4] + ":25", "172.18.0.0/16"),
                                         ("ip6", 6, f"[{BOX[6]}]:25", "fd00:18::/64"))))

    def close(self):
        self.server.close()
        for family in ("ip", "ip6"):
            self.gw.run("nft", "delete", "table", family, "engine")
        self.gw.run("ip", "link", "del", "br0")
        self.box.delete()


def case_containers(lab):
    ns, there = lab.gw, Containers(lab)
    try:
        before = lab.state(ns)
        addresses = ", ".join(f'"{a}"' for a in [*BOX.values(), *HOST.values()])
        ways = [(family, to) for family in (4, 6) for to in (BOX[family], HOST[family])]

        def meets(family, to, via):
            c = Client(lab.world, family, to)
            equal(c.via, endpoint(family, BOX[family]) if via else None, f"steered to {to}")
            equal(c.seen, [CLIENT[family], BOX[family]], "addresses that the mail server sees")
            c.echo(os.urandom(300_000))
            return c

        for way in ways:
            meets(*way, False).close()
        lab.start_proxy(ns)
        p = lab.net(ns, "up", "-c", lab.conf(servers=addresses))
        equal((p.stdout, p.stderr), ("", ""), "tested")
        for _ in range(2):
            held = [meets(*way, True) for way in ways]
            lab.net(ns, "up", "-c", lab.conf(servers=addresses))
            for c in held:
                c.echo(os.urandom(300_000))
                c.close()
        lab.stop_proxy()
        for way in ways:
            meets(*way, False).close()
        lab.net(ns, "down")
        equal(lab.state(ns), before, "after down")
    finally:
        there.close()


def case_containers_beside(lab):
    """A container on the mail server's bridge, by the published port: the answer goes over the bridge, so it is not
    steered. Found out by up, and by the kernel process when the engine comes later."""
    ns, there, box = lab.gw, Containers(lab), Namespace("beside")
    own = {4: "172.18.0.6", 6: "fd00:18::6"}

    def filtered(on):
        for ip in ("ip", "ip6"):
            ns.sysctl(f"net.bridge.bridge-nf-call-{ip}tables", on)

    def meets(family, to):
        c = Client(box, family, to, source=own[family])
        equal((c.via, c.seen), (None, [own[family], BOX[family]]), f"beside, to {to}")
        c.echo(os.urandom(300_000))
        c.close()

    try:
        box.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "to-beside", "netns", ns.name)
        ns.run("ip", "link", "set", "to-beside", "master", "br0", "up")
        box.run("ip", "link", "set", "eth0", "up")
        for family, length in ((4, 16), (6, 64)):
            box.run("ip", "addr", "add", f"{own[family]}/{length}", "dev", "eth0", *(["nodad"] if family == 6 else []))
            box.run("ip", f"-{family}", "route", "add", "default", "via", {4: "172.18.0.1", 6: "fd00:18::1"}[family])
        conf = lab.conf(servers=", ".join(f'"{a}"' for a in [*BOX.values(), *HOST.values()]))
        filtered(1)
        for family in (4, 6):
            meets(family, HOST[family])
        lab.start_proxy(ns)
        lab.net(ns, "up", "-c", conf)
        for family in (4, 6):
            meets(family, HOST[family])
            meets(family, BOX[family])
            c = Client(lab.world, family, HOST[family])
            equal(c.via, endpoint(family, BOX[family]), "the world is steered")
            c.close()
        filtered(0)
        lab.net(ns, "up", "-c", conf)
        equal("172.18.0.0" in ns.run("nft", "list", "set", "inet", "frontdoor", "scanners").stdout, False, "not filtered")
        lab.stop_proxy()
        lab.net(ns, "down")
        lab.start_daemon(ns, "--net", "--no-test", "-c", lab.daemon_conf(servers=", ".join(f'"{a}"' for a in BOX.values())))
        until("heartbeat", lambda: alive(ns))
        filtered(1)
        until("seen", lambda: "172.18.0.0/16" in ns.run("nft", "list", "set", "inet", "frontdoor", "scanners").stdout, 15)
        equal("fd00:18::/64" in ns.run("nft", "list", "set", "inet", "frontdoor", "scanners6").stdout, True, "IPv6 too")
        equal(alive(ns), True, "heartbeat")
    finally:
        filtered(0)
        lab.stop_daemon(signal.SIGKILL)
        there.close()
        box.delete()


def case_other_hands(lab):
    """Another program takes away what is ours: nft flush ruleset (systemctl restart nftables), foreign rules and routes
    (systemd-networkd's restart). It is put back and said; net down afterwards is still the last word."""
    ns = lab.gw
    before = lab.state(ns)
    serving(lab, ns)
    session = SmtpClient(lab.world, 4)
    for n, what in enumerate(("nft flush ruleset", "ip rule del pref 100", "ip -6 rule del pref 100",
                              "ip route flush table 100", "ip -6 route flush table 100",
                              "ip rule del pref 100; ip -6 route flush table 100; nft flush ruleset",
                              "ip link set lo down; ip link set lo up")):
        there = lab.rules(ns)
        ns.run("sh", "-e", "-c", what)
        until(f"put back after {what}", lambda: lab.rules(ns) == there)
        until(f"said after {what}", lambda: lab.log().count("put back") == n + 1)
        for family in (4, 6):
            equal(strange(lab, family), "steered", f"after {what}")
        equal(session.ask(b"NOOP\r\n")[:3], b"250", f"the session of before, after {what}")
    session.close()
    for _ in range(5):
        lab.net(ns, "down")
        for _ in range(4):
            equal(lab.state(ns), before, "after down")
            time.sleep(0.3)
        lab.net(ns, "up", "--no-test", "-c", lab.daemon_conf())
    equal(lab.log().count("starting it again"), 0, "the kernel process stays the same")


def case_marks_of_others(lab):
    """Somebody marks packets for traffic shaping, as all the examples do: with 1 and upwards."""
    ns = lab.gw
    ns.run("nft", "add table inet shaper { chain c { type filter hook prerouting priority mangle; tcp dport 26 meta mark set 1; }; }")
    try:
        lab.net(ns, "up", "-c", lab.conf())
        for family in (4, 6):
            direct(lab, family, port=26).close()
        lab.net(ns, "down")
        for rule in ("meta mark set 0xfb", "meta mark set meta mark and 0xffffff00 or 0xfb", "ct mark set 0x1fd"):
            ns.run("nft", f"add rule inet shaper c tcp dport 9 {rule}")
            before = lab.state(ns)
            unchanged(lab, lab.net(ns, "up", "-c", lab.conf(), check=False), "table inet shaper has a rule", before)
            ns.run("nft", "flush", "chain", "inet", "shaper", "c")
    finally:
        ns.run("nft", "delete", "table", "inet", "shaper")


def case_reverse_path_by_mark(lab):
    """src_valid_mark (wg-quick sets it): the kernel looks for the way back with the packet's mark, and drops what is
    steered. So nothing is, also when it is set later."""
    ns, key = lab.gw, "net.ipv4.conf.all.src_valid_mark"
    ns.sysctl(key, 1)
    try:
        before = lab.state(ns)
        for argv in ([], ["--no-test"]):
            unchanged(lab, lab.net(ns, "up", *argv, "-c", lab.conf(), check=False), "src_valid_mark", before)
        ns.sysctl(key, 0)
        serving(lab, ns)
        equal(strange(lab, 4), "steered", "without it")
        session = SmtpClient(lab.world, 6)
        ns.sysctl(key, 1)
        until("said", lambda: "src_valid_mark is not 0" in lab.log())
        for family in (4, 6):
            equal(strange(lab, family), "direct", "with it")
        equal(session.ask(b"NOOP\r\n")[:3], b"250", "the session of before")
        session.close()
        ns.sysctl(key, 0)
        until("steered again", lambda: strange(lab, 4) == "steered")
    finally:
        ns.sysctl(key, 0)


def case_taken_by_programs(lab):
    """A listener's port, and the table's name."""
    ns = lab.gw
    with ns:
        s = socket.socket()
    s.bind(("127.0.0.1", 2525))
    s.listen()
    before = lab.state(ns)
    try:
        unchanged(lab, lab.net(ns, "up", "-c", lab.conf(), check=False), "listens at 127.0.0.1:2525", before)
    finally:
        s.close()
    ns.run("nft", "add", "table", "inet", "frontdoor")
    before = lab.state(ns)
    unchanged(lab, lab.net(ns, "up", "-c", lab.conf(), check=False), "not made by frontdoor net", before)
    unchanged(lab, lab.net(ns, "down", check=False), "not made by frontdoor net", before)
    ns.run("nft", "delete", "table", "inet", "frontdoor")


def case_taken(lab):
    ns = lab.gw
    for add, delete, words in (
        ("rule add pref 7 fwmark 0xfb lookup 200", "rule del pref 7", "fwmark 0xfb/0xffffffff"),
        ("-6 rule add pref 7 fwmark 0x3/0x3 lookup 200", "-6 rule del pref 7", "fwmark 0x3/0x3"),
        ("rule add pref 7 from 192.0.2.1 lookup 100", "rule del pref 7", "looks up table 100"),
        ("route add 192.0.2.0/24 dev to-world table 100", "route del 192.0.2.0/24 table 100", "table 100"),
        ("-6 route add 2001:db8:9::/64 dev to-world table 100", "-6 route del 2001:db8:9::/64 table 100", "table 100"),
    ):
        ns.run("ip", *add.split())
        try:
            before = lab.state(ns)
            unchanged(lab, lab.net(ns, "up", "-c", lab.conf(), check=False), words, before)
        finally:
            ns.run("ip", *delete.split())
