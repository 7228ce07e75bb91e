"""Cases of both modes: (lab, the daemon's namespace, family)."""
import os

from .lab import CLIENT, Client, MailServer, OTHER, SERVER
from .meet import direct, equal, refused, steered


def case_steered(lab, ns, family):
    lab.net(ns, "up", "-c", lab.conf())
    lab.start_proxy(ns)
    c = steered(lab, family)
    c.echo(os.urandom(3_000_000))
    c.close()


def case_many_at_once(lab, ns, family):
    lab.net(ns, "up", "-c", lab.conf())
    lab.start_proxy(ns)
    clients = [steered(lab, family) for _ in range(60)]
    for c in clients:
        c.echo()
        c.close()


def case_not_ours(lab, ns, family):
    """Another address of the mail host, another port, the mail server's own connections."""
    lab.net(ns, "up", "-c", lab.conf())
    lab.start_proxy(ns)
    direct(lab, family, to=OTHER[family]).close()
    direct(lab, family, port=26).close()
    world = MailServer(lab.world, ports=(25,))
    try:
        c = Client(lab.mail, family, CLIENT[family], source=SERVER[family])
        equal((c.via, c.seen), (None, [SERVER[family], CLIENT[family]]), "the mail server's own mail")
        c.echo(os.urandom(300_000))
        c.close()
    finally:
        world.close()


def case_fail_open(lab, ns, family):
    """Without the daemon connections reach the mail server, and stay there when it comes back."""
    lab.net(ns, "up", "-c", lab.conf())
    before = direct(lab, family)
    before.echo()
    lab.start_proxy(ns)
    before.echo()
    c = steered(lab, family)
    before.echo(os.urandom(300_000))
    lab.stop_proxy()
    direct(lab, family).close()
    before.echo()
    before.close()
    c.close()


def case_fail_closed(lab, ns, family):
    lab.net(ns, "up", "-c", lab.conf(fail="closed"))
    refused(lab, family)
    direct(lab, family, to=OTHER[family]).close()
    lab.start_proxy(ns)
    steered(lab, family).close()


def case_up_again(lab, ns, family):
    """Sessions survive a new table, also one that doesn't steer their destination any more."""
    lab.net(ns, "up", "-c", lab.conf())
    lab.start_proxy(ns)
    c = steered(lab, family)
    lab.net(ns, "up", "-c", lab.conf())
    c.echo(os.urandom(300_000))
    lab.net(ns, "up", "-c", lab.conf(servers=f'{OTHER[4]}, "{OTHER[6]}"'))
    c.echo(os.urandom(300_000))
    direct(lab, family).close()
    c.close()


def case_strict(lab, ns, family):
    """Reverse path filters, and handshakes that end by SYN cookies."""
    key = "net.ipv4.conf.all.rp_filter"
    for n in (lab.gw, lab.mail):
        n.sysctl(key, 1)
        n.sysctl("net.ipv4.tcp_syncookies", 2)
    try:
        lab.net(ns, "up", "-c", lab.conf())
        lab.start_proxy(ns)
        c = steered(lab, family)
        c.echo(os.urandom(300_000))
        c.close()
    finally:
        for n in (lab.gw, lab.mail):
            n.sysctl(key, 0)
            n.sysctl("net.ipv4.tcp_syncookies", 1)


def case_one_family(lab, ns, family):
    """server_addresses of one family: the other is left alone."""
    quoted = f'"{SERVER[family]}"'
    lab.net(ns, "up", "-c", lab.conf())
    lab.net(ns, "up", "-c", lab.conf(servers=quoted))
    equal(lab.net(ns, "show").returncode, 0, "show")
    lab.start_proxy(ns)
    steered(lab, family).close()
    direct(lab, 10 - family).close()
    other = ns.run("ip", f"-{10 - family}", "rule").stdout
    equal("lookup 100" in other, False, "rule of the other family")


def case_ports(lab, ns, family):
    """Each port has its listener, others go straight."""
    lab.net(ns, "up", "-c", lab.conf_users())
    lab.start_proxy(ns, 2525, 2587)
    for port, listener in ((587, 2587), (25, 2525), (587, 2587)):
        c = steered(lab, family, port, listener)
        c.echo(os.urandom(300_000))
        c.close()
    for port in (26, 465):
        direct(lab, family, port=port).close()
    lab.net(ns, "up", "-c", lab.conf_users(port=465))
    steered(lab, family, 465, 2587).close()
    direct(lab, family, port=587).close()


def case_ports_fail_each_for_itself(lab, ns, family):
    lab.net(ns, "up", "-c", lab.conf_users(fail="closed"))
    refused(lab, family, 587)
    direct(lab, family).close()
    direct(lab, family, port=465).close()
    lab.start_proxy(ns, 2587)
    users = steered(lab, family, 587, 2587)
    before = direct(lab, family)
    lab.start_proxy(ns, 2525)
    steered(lab, family).close()
    lab.stop_proxy(2587)
    refused(lab, family, 587)
    steered(lab, family).close()
    lab.start_proxy(ns, 2587)
    steered(lab, family, 587, 2587).close()
    before.echo(os.urandom(300_000))
    before.close()
    users.close()


def case_ports_up_again(lab, ns, family):
    """Sessions stay with their listener when their port is given to another one, or to none."""
    lab.net(ns, "up", "-c", lab.conf_users())
    lab.start_proxy(ns, 2525, 2587)
    sessions = [steered(lab, family), steered(lab, family, 587, 2587)]
    for conf in (lambda: lab.conf_users(port=26), lab.conf, lambda: lab.conf_users(port=465, fail="closed")):
        lab.net(ns, "up", "-c", conf())
        for c in sessions:
            c.echo(os.urandom(300_000))
        direct(lab, family, port=587).close()
    for c in sessions:
        c.close()


def case_port_of_one_family(lab, ns, family):
    """In the other one it goes straight, and stays so for those who are there when that changes."""
    bind = {4: '["127.0.0.1:2587"]', 6: '["[::1]:2587"]'}[family]
    other = 10 - family
    p = lab.net(ns, "up", "-c", lab.conf_users(bind=bind))
    equal(f"IPv{other} addresses, but no tproxy listener for port 587" in p.stderr, True, "warning")
    lab.start_proxy(ns, 2525, 2587)
    steered(lab, family, 587, 2587).close()
    before = direct(lab, other, port=587)
    lab.net(ns, "up", "-c", lab.conf_users())
    before.echo(os.urandom(300_000))
    steered(lab, other, 587, 2587).close()
    before.echo()
    before.close()


MODE_CASES = [case_steered, case_many_at_once, case_not_ours, case_fail_open, case_fail_closed, case_up_again,
              case_strict, case_one_family, case_ports, case_ports_fail_each_for_itself, case_ports_up_again,
              case_port_of_one_family]
