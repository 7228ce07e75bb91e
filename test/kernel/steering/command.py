"""Cases of the command itself: (lab)."""
import os
import signal
import socket
import subprocess

from .lab import OTHER, SERVER, SmtpServer
from .meet import alive, direct, endpoint, equal, strange, unchanged, until


def case_rolled_back(lab):
    """A packet filter that drops what is steered: no table stays; one that worked before is back."""
    ns = lab.gw
    lab.speak_smtp()
    conf = lab.daemon_conf()
    ns.run("nft", "add table inet host { chain in { type filter hook input priority 0; tcp dport 25 drop; }; }")
    try:
        lab.start_daemon(ns, "-c", conf)
        until("listening", lambda: "ready" in lab.log())
        before = lab.state(ns)
        unchanged(lab, lab.net(ns, "up", "-c", conf, check=False), "does not get through", before)
        equal(strange(lab, 4), "direct", "after it was rolled back")
        lab.net(ns, "up", "--no-test", "-c", lab.conf(servers='192.0.2.1, "2001:db8:7::1"'))
        table = lambda: [line for line in ns.run("nft", "list", "table", "inet", "frontdoor").stdout.splitlines()
                         if "expires" not in line]
        until("alive", lambda: alive(ns))
        former = table()
        p = lab.net(ns, "up", "-c", conf, check=False)
        equal((p.returncode, len(p.stderr.splitlines())), (1, 1), "second time")
        until("alive", lambda: alive(ns))
        equal(table(), former, "the former table")
        ns.run("nft", "delete", "table", "inet", "host")
        p = lab.net(ns, "up", "-c", conf)
        equal((p.stdout, p.stderr), ("", ""), "without the filter")
        equal(strange(lab, 6), "steered", "without the filter")
    finally:
        ns.run("nft", "delete", "table", "inet", "host", check=False)


def case_mail_server_down(lab):
    """Steering works, the mail server doesn't: the test says what it was told."""
    ns = lab.gw
    lab.server.close()
    lab.server = SmtpServer(lab.mail, ports=(26,))
    conf = lab.daemon_conf()
    lab.start_daemon(ns, "-c", conf)
    until("listening", lambda: "ready" in lab.log())
    before = lab.state(ns)
    unchanged(lab, lab.net(ns, "up", "-c", conf, check=False), "421", before)


def case_some_servers(lab):
    """Of several servers one is down: that is said, and no reason not to steer to the others. One that a packet filter
    drops is."""
    ns = lab.gw
    lab.speak_smtp()
    third = {4: "203.0.113.27", 6: "2001:db8:3::27"}
    addresses = ", ".join(f'"{a[f]}"' for a in (SERVER, OTHER, third) for f in (4, 6))
    conf = lab.daemon_conf(servers=addresses)
    lab.start_daemon(ns, "-c", conf)
    until("listening", lambda: "ready" in lab.log())
    p = lab.net(ns, "up", "-c", conf)
    for family in (4, 6):
        equal(endpoint(family, third[family]) in p.stdout, True, f"said: {p.stdout}")
        equal(endpoint(family, OTHER[family]) in p.stdout, False, f"not said: {p.stdout}")
        equal(strange(lab, family), "steered", "the others")
    lab.net(ns, "down")
    for family, ip in ((4, "ip"), (6, "ip6")):
        ns.run("nft", f"add table inet host {{ chain in {{ type filter hook input priority 0; {ip} daddr {OTHER[family]} drop; }}; }}")
        before = lab.state(ns)
        try:
            p = lab.net(ns, "up", "-c", conf, check=False)
            equal(endpoint(family, OTHER[family]) in p.stderr, True, f"said: {p.stderr}")
            unchanged(lab, p, "does not get through", before)
        finally:
            ns.run("nft", "delete", "table", "inet", "host")


def case_no_daemon(lab):
    p = lab.net(lab.gw, "up", "-c", lab.conf())
    equal("no daemon listens at 127.0.0.1:2525: port 25 is not tested" in p.stdout, True, "said")
    equal(lab.net(lab.gw, "show").returncode, 0, "it is up")


def case_check(lab):
    """frontdoor check says what is missing on this host, and nothing where nothing is, also while the daemon runs."""
    ns = lab.gw
    os.chmod(lab.dir, 0o777)
    conf = lab.daemon_conf()
    with open(conf, "a") as f:
        f.write("control: " + os.path.join(lab.dir, "control.sock") + "\n")

    def said(*wrap):
        p = ns.run(*wrap, lab.frontdoor, "check", "-c", conf, check=False)
        equal((p.returncode, p.stderr), (0, ""), "check")
        return [line.split("warning: ", 1)[1] for line in p.stdout.splitlines()
                if "warning: " in line and any(word in line for word in ("net: ", "bind ", "does not have"))]

    def one(words, *wrap):
        lines = said(*wrap)
        equal((len(lines), words in lines[0] if lines else None), (1, True), f"{words}: {lines}")

    without_nft = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /usr/sbin && eval "$1" && shift && "$@"', "sh"]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    equal(said(), [], "nothing is missing")
    lines = said(*nobody, "--inh-caps=-all")
    equal(["does not have CAP_NET_RAW" in lines[0], "CAP_NET_ADMIN is missing" in lines[1], len(lines)], [True, True, 2],
          f"no capabilities: {lines}")
    one("CAP_NET_ADMIN is missing", "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    one("nft is missing", *without_nft, "true")
    one("this kernel does not take the table (nft: Error: Could not process rule: No such file", *without_nft,
        "printf '#!/bin/sh\\necho Error: Could not process rule: No such file or directory; exit 1\\n' >/usr/sbin/nft;"
        "chmod 755 /usr/sbin/nft")
    with ns:
        s = socket.socket()
    with s:
        s.bind(("127.0.0.1", 2525))
        s.listen()
        one("bind 127.0.0.1:2525: another program listens there")
    for do, undo, words in (("ip rule add pref 7 fwmark 0xfb lookup 200", "ip rule del pref 7", "IPv4 rule 7 has fwmark"),
                            ("ip -6 route add 2001:db8:9::/64 dev lo table 100", "ip -6 route flush table 100", "IPv6 routing table 100"),
                            ("sysctl -qw net.ipv4.conf.all.src_valid_mark=1", "sysctl -qw net.ipv4.conf.all.src_valid_mark=0",
                             "src_valid_mark is not 0")):
        ns.run(*do.split())
        one(words)
        ns.run(*undo.split())
    before = lab.state(ns)
    equal(said(), [], "nothing is missing any more")
    equal(lab.state(ns), before, "check has changed nothing")
    lab.speak_smtp()
    lab.start_daemon(ns, "--net", "-c", conf)
    until("steering", lambda: "kernel=steering" in lab.log())
    equal(said(), [], "while the daemon runs")


def case_interrupted(lab):
    """Somebody gives up waiting for a test that can't succeed: nothing untested stays."""
    ns = lab.gw
    lab.speak_smtp()
    conf = lab.daemon_conf()
    ns.run("nft", "add table inet host { chain in { type filter hook input priority 0; tcp dport 25 drop; }; }")
    try:
        lab.start_daemon(ns, "-c", conf)
        until("listening", lambda: "ready" in lab.log())
        before = lab.state(ns)
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            p = subprocess.Popen(["ip", "netns", "exec", ns.name, lab.frontdoor, "net", "up", "-c", conf],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until("the test goes on", lambda: "frontdoor-test" in ns.run("ip", "-br", "link").stdout)
            p.send_signal(how)
            equal(p.wait(30), -how, "its end")
            equal(lab.state(ns), before, f"after signal {how.name}")
            equal(strange(lab, 4), "direct", f"after signal {how.name}")
    finally:
        ns.run("nft", "delete", "table", "inet", "host", check=False)


def case_before_up(lab):
    """Sessions that are there before the first up, when the kernel tracks nothing yet, survive up and down."""
    ns = lab.gw
    clients = [direct(lab, family) for family in (4, 6)]
    lab.start_proxy(ns)
    for argv in (["up", "-c", lab.conf()], ["up", "-c", lab.conf(fail="closed")], ["down"]):
        lab.net(ns, *argv)
        for c in clients:
            c.echo(os.urandom(300_000))
    for c in clients:
        c.close()


def case_no_trace(lab):
    """Between other people's rules."""
    ns = lab.gw
    ns.run("nft", "add table inet other { chain c { type filter hook input priority 0; tcp dport 9 drop; }; }")
    ns.run("ip", "rule", "add", "pref", "50", "fwmark", "0x200/0xff00", "lookup", "200")
    ns.run("ip", "route", "add", "192.0.2.0/24", "dev", "to-world", "table", "200")
    try:
        before = lab.state(ns)
        lab.net(ns, "down")
        equal(lab.state(ns), before, "down without up")
        for conf in (lab.conf, lab.conf_users):
            lab.net(ns, "up", "-c", conf())
        equal(lab.state(ns) == before, False, "up changed nothing")
        equal(lab.net(ns, "show").returncode, 0, "show while up")
        for _ in range(2):
            lab.net(ns, "down")
            equal(lab.state(ns), before, "after down")
        equal(lab.net(ns, "show", check=False).returncode, 1, "show while down")
    finally:
        ns.run("nft", "delete", "table", "inet", "other")
        ns.run("ip", "rule", "del", "pref", "50")
        ns.run("ip", "route", "del", "192.0.2.0/24", "table", "200")


def case_dry_run(lab):
    """Prints what does the same when a shell runs it, and does nothing itself."""
    ns = lab.gw
    before = lab.state(ns)
    up = lab.net(ns, "up", "--dry-run", "-c", lab.conf()).stdout
    equal(lab.state(ns), before, "after up --dry-run")
    ns.run("sh", "-e", text=up)
    by_hand = lab.state(ns)
    down = lab.net(ns, "down", "--dry-run").stdout
    equal(lab.state(ns), by_hand, "after down --dry-run")
    ns.run("sh", "-e", text=down)
    equal(lab.state(ns), before, "down by hand")
    lab.net(ns, "up", "-c", lab.conf())
    equal(lab.state(ns), by_hand, "up, compared with the commands printed")
    again = lab.net(ns, "up", "--dry-run", "-c", lab.conf()).stdout
    equal(again.count("# there already: "), 4, "said to be there already")


def case_not_permitted(lab):
    before = lab.state(lab.gw)
    for verb in (["up", "-c", lab.conf()], ["down"], ["show"]):
        p = lab.gw.run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", lab.frontdoor, "net", *verb,
                       check=False)
        unchanged(lab, p, "CAP_NET_ADMIN", before)


def case_undone_on_failure(lab):
    """Routing goes in before the table; where nft then fails (here: is missing) it is taken away again."""
    before = lab.state(lab.gw)
    p = lab.gw.run("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /usr/sbin 2>/dev/null; "$0" net up -c "$1"',
                   lab.frontdoor, lab.conf(), check=False)
    unchanged(lab, p, "nftables", before)


def case_usage_and_configuration(lab):
    for argv, want in (
        ([], 64), (["sideways", "-c", lab.conf()], 64), (["up", "-c"], 64),
        (["up", "-c", lab.dir + "/absent.yaml"], 78),
        (["up", "-c", lab.conf(servers="")], 78),
    ):
        p = lab.net(lab.gw, *argv, check=False)
        equal(p.returncode, want, " ".join(argv))
        equal(bool(p.stderr), True, "says why")
