"""What a client meets, and what cases ask for."""
import difflib
import pathlib
import socket
import threading
import time

from .lab import CLIENT, Client, SERVER, SmtpClient, TIMEOUT, TRUSTED


def equal(got, want, what):
    if got != want and isinstance(got, str) and "\n" in got:
        lines = difflib.unified_diff(want.splitlines(), got.splitlines(), "expected", "got", n=0, lineterm="")
        raise AssertionError("\n  ".join([what + ":", *list(lines)[2:20]]))
    if got != want:
        raise AssertionError(f"{what}: {got!r}, expected {want!r}")


def endpoint(family, address, port=25):
    return f"{address}:{port}" if family == 4 else f"[{address}]:{port}"


def steered(lab, family, port=25, listener=2525):
    c = Client(lab.world, family, SERVER[family], port)
    equal(c.via, endpoint(family, SERVER[family], port), "original destination")
    equal(c.listener, str(listener), "listener")
    equal(c.seen, [CLIENT[family], SERVER[family]], "addresses that the mail server sees")
    return c


def direct(lab, family, to=None, port=25):
    c = Client(lab.world, family, to or SERVER[family], port)
    equal(c.via, None, "not steered")
    equal(c.seen, [CLIENT[family], to or SERVER[family]], "addresses that the mail server sees")
    return c


def refused(lab, family, port=25):
    try:
        Client(lab.world, family, SERVER[family], port).close()
    except ConnectionRefusedError:
        return
    raise AssertionError(f"connected to port {port} without the daemon")


def until(what, fn, seconds=TIMEOUT):
    """Asks again until it is so. What has a time in its promise is measured by its caller."""
    end = time.monotonic() + seconds
    while not fn():
        if time.monotonic() > end:
            raise AssertionError(f"never came about: {what}")
        time.sleep(0.1)


def alive(ns):
    text = ns.run("nft", "list", "set", "inet", "frontdoor", "alive", check=False).stdout
    return "expires" in text


def kernel_process(lab):
    """[the one that watches, the one that works]"""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.read_text().split(" (", 1)
        except OSError:
            continue
        name, rest = rest.rsplit(") ", 1)
        if name in ("fd-kernel", "fd-kernel-watch"):
            found.append((int(pid), int(rest.split()[1])))
    watch = [p for p, parent in found if parent == lab.daemon.pid]
    return watch + [p for p, parent in found if parent in watch]


def serving(lab, ns, fail="open", user="root"):
    lab.speak_smtp()
    conf = lab.daemon_conf(fail, user)
    lab.net(ns, "up", "-c", conf)
    lab.start_daemon(ns, "-c", conf)
    until("heartbeat", lambda: alive(ns))
    return conf


class Transfer(threading.Thread):
    """A trusted client's session that never pauses."""

    def __init__(self, lab, family):
        super().__init__(daemon=True)
        self.client = SmtpClient(lab.world, family, TRUSTED)
        equal(self.client.steered, False, "a trusted client's session is steered")
        self.n, self.longest, self.failure, self.over = 0, 0.0, None, False
        self.start()

    def run(self):
        try:
            while not self.over:
                start = time.monotonic()
                equal(self.client.ask(b"NOOP\r\n"), b"250 done\r\n", "reply")
                self.longest = max(self.longest, time.monotonic() - start)
                self.n += 1
                time.sleep(0.01)
        except Exception as e:
            self.failure = e

    def end(self):
        self.over = True
        self.join()
        self.client.close()
        equal(self.failure, None, "the trusted client's transfer")
        equal(self.n > 100, True, f"{self.n} replies")
        if self.longest > 1:
            raise AssertionError(f"a reply to a trusted client took {self.longest:.1f} s")


def strange(lab, family):
    """What a stranger meets now: steered, direct, refused, or nothing."""
    try:
        c = SmtpClient(lab.world, family)
    except ConnectionRefusedError:
        return "refused"
    except (TimeoutError, socket.timeout):
        return "nothing"
    c.close()
    return "steered" if c.steered else "direct"


def unchanged(lab, p, words, before):
    equal(p.returncode, 1, "exit")
    equal(len(p.stderr.splitlines()), 1, "lines on stderr")
    if words not in p.stderr:
        raise AssertionError(f"{p.stderr.strip()!r} doesn't say {words!r}")
    equal(lab.state(lab.gw), before, "nothing changed")


def daemons(ns):
    """Processes that serve; the kernel process's two have other names."""
    found = []
    for p in ns.run("ip", "netns", "pids", ns.name).stdout.split():
        try:
            name = pathlib.Path(f"/proc/{p}/comm").read_text()
        except OSError:
            continue  # it has ended meanwhile
        if name == "frontdoor\n":
            found.append(int(p))
    return found
