"""Network namespaces, veth pairs, addresses and routes.

A namespace is held by an open descriptor, not by a name in /run/netns: it ends with the process
that made it.
"""
import ctypes
import os
import subprocess
import threading

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_here = threading.local()


def _check(rc, what):
    if rc != 0:
        err = ctypes.get_errno()
        raise OSError(err, "%s: %s" % (what, os.strerror(err)))


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)


class Namespace:
    """As a context manager: the calling thread is inside; sockets made there belong to it."""

    def __init__(self, name):
        self.name = name
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.unshare(CLONE_NEWNET), "unshare")
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
        finally:
            os.close(home)
        self.ip("link set lo up")

    @property
    def path(self):
        return "/proc/%d/fd/%d" % (os.getpid(), self.fd)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self):
        stack = _here.__dict__.setdefault("stack", [])
        stack.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
        return self

    def __exit__(self, *_):
        home = _here.stack.pop()
        _check(_libc.setns(home, CLONE_NEWNET), "setns")
        os.close(home)

    def popen(self, argv, before=None, **kw):
        """A child inside the namespace; before() runs in it just before the program."""

        def prepare():
            die_with_parent()
            _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
            if before:
                before()

        return subprocess.Popen(argv, preexec_fn=prepare, **kw)

    def run(self, argv, check=True, **kw):
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.STDOUT)
        kw.setdefault("text", True)
        timeout = kw.pop("timeout", 60)
        p = self.popen(argv, **kw)
        try:
            out, _ = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            raise
        if check and p.returncode != 0:
            raise RuntimeError("%s: %s: exit %d: %s" % (self.name, " ".join(argv), p.returncode, out))
        p.out = out
        return p

    def ip(self, *lines):
        """Commands of ip(8), one a line, in one batch."""
        p = self.popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
        out, _ = p.communicate("\n".join(lines) + "\n")
        if p.returncode != 0:
            raise RuntimeError("%s: ip: %s\n%s" % (self.name, out, "\n".join(lines)))

    def sysctl(self, **values):
        with self:
            for key, value in values.items():
                with open("/proc/sys/net/" + key.replace("__", "/"), "w") as f:
                    f.write(str(value))

    def listens(self, port, address=None):
        """Is there a TCP listener on this port (and IPv4 or IPv6 address)?"""
        want = None
        if address:
            import ipaddress
            packed = ipaddress.ip_address(address).packed
            want = b"".join(packed[i:i + 4][::-1] for i in range(0, len(packed), 4)).hex().upper()
        with self:
            for table in ("tcp", "tcp6"):
                try:
                    rows = open("/proc/thread-self/net/" + table).read().splitlines()[1:]
                except FileNotFoundError:
                    continue
                for row in rows:
                    col = row.split()
                    host, _, p = col[1].partition(":")
                    if col[3] == "0A" and int(p, 16) == port and want in (None, host):
                        return True
        return False


class Host(Namespace):
    """The machine's own network, for the loopback lab: nothing is made or entered."""

    def __init__(self, name):
        self.name = name
        self.fd = -1

    @property
    def path(self):
        return "/proc/self/ns/net"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def popen(self, argv, before=None, **kw):
        def prepare():
            die_with_parent()
            if before:
                before()

        return subprocess.Popen(argv, preexec_fn=prepare, **kw)


def router(ns):
    ns.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)


def host_settings(ns):
    # rp_filter off: the lab's addresses come by whatever way the test wants. Low ports for all:
    # Exim runs as an ordinary user here.
    ns.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0,
              ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0,
              ipv4__ip_unprivileged_port_start=0, ipv4__ip_local_port_range="10000 65000",
              ipv4__tcp_fin_timeout=5)


def connect(a, b, name_a, name_b):
    """A veth pair between two namespaces."""
    a.ip("link add %s type veth peer name %s netns %s" % (name_a, name_b, b.path),
         "link set %s up" % name_a)
    b.ip("link set %s up" % name_b)


def addresses(ns, dev, *cidrs):
    ns.ip(*("addr add %s dev %s%s" % (c, dev, " nodad" if ":" in c else "") for c in cidrs))


def routes(ns, *specs):
    ns.ip(*("route add " + s for s in specs))
