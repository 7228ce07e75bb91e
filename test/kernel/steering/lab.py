"""Three network namespaces (world, gw, mail), a mail server that tells which addresses it sees, clients, and the daemon."""
import ctypes
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[3]
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
TIMEOUT = 5
CLIENT = {4: "198.18.0.7", 6: "2001:db8:1::7"}
SERVER = {4: "203.0.113.25", 6: "2001:db8:3::25"}
OTHER = {4: "203.0.113.26", 6: "2001:db8:3::26"}  # the mail host's, but not in server_addresses
TRUSTED = {4: "198.18.0.8", 6: "2001:db8:1::8"}  # goes straight, in the kernel
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
CONF = """\
listeners:
  - name: smtp
    mode: tproxy
    bind: ["127.0.0.1:2525", "[::1]:2525"]
    backend: original
    fail: %(fail)s
%(more)sserver_addresses: [%(servers)s]
tls: {hide: true}
user: root
"""
DAEMON_CONF = """\
listeners:
  - {name: smtp, mode: tproxy, bind: ["127.0.0.1:2525", "[::1]:2525"], backend: original, fail: %(fail)s}
server_addresses: [%(servers)s]
trusted: [%(trusted)s]
resolver: {servers: ["127.0.0.1:53"]}
tls: {hide: true}
events: {json: %(events)s}
user: %(user)s
"""
# A second listener: bind 2587 for users' port.
USERS = """\
  - name: users
    mode: tproxy
    bind: %(bind)s
    port: %(port)d
    require_auth: true
    fail: %(fail)s
"""
BOTH = '["127.0.0.1:2587", "[::1]:2587"]'
# All that are settings; the others are counters.
SYSCTLS = "sysctl -a -r '^net[.](ipv[46]|netfilter|bridge|core)[.]' 2>/dev/null | grep -v conntrack_count | sort"


def sh(*argv, check=True, text=None):
    p = subprocess.run(argv, input=text, capture_output=True, text=True)
    if check and p.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {p.returncode}: {p.stderr.strip()}")
    return p


class Namespace:
    def __init__(self, name):
        self.name = f"fdk{os.getpid()}-{name}"
        sh("ip", "netns", "add", self.name)
        self.fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        self.run("ip", "link", "set", "lo", "up")
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)  # addresses are there at once, and don't change later

    def run(self, *argv, check=True, text=None):
        return sh("ip", "netns", "exec", self.name, *argv, check=check, text=text)

    def sysctl(self, key, value):
        with self, open("/proc/sys/" + key.replace(".", "/"), "w") as f:
            f.write(str(value))

    # Sockets belong to the namespace that their thread was in when they were made.
    def __enter__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if LIBC.setns(self.fd, CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")

    def __exit__(self, *_):
        LIBC.setns(self.home, CLONE_NEWNET)
        os.close(self.home)

    def delete(self):
        os.close(self.fd)
        sh("ip", "netns", "del", self.name, check=False)


class MailServer:
    """Tells each client "PEER LOCAL", then gives back what it gets."""

    def __init__(self, ns, ports=(25, 26, 465, 587)):
        self.listeners = []
        with ns:
            for family in (4, 6):
                for port in ports:
                    s = socket.socket(FAMILY[family], socket.SOCK_STREAM)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == 6:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    s.bind(("", port))
                    s.listen(64)
                    self.listeners.append(s)
        for s in self.listeners:
            threading.Thread(target=self.accept, args=(s,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    @staticmethod
    def serve(s):
        try:
            s.sendall(f"{s.getpeername()[0]} {s.getsockname()[0]}\n".encode())
            while data := s.recv(65536):
                s.sendall(data)
        except OSError:
            pass
        finally:
            s.close()

    def close(self):
        for s in self.listeners:
            s.shutdown(socket.SHUT_RDWR)
            s.close()


class SmtpServer(MailServer):
    """As much SMTP as tells that one is there, with a keyword that frontdoor takes out."""

    @staticmethod
    def serve(s):
        try:
            s.sendall(b"220 mail.test ESMTP\r\n")
            for line in s.makefile("rb"):
                if line.upper().startswith(b"QUIT"):
                    break
                s.sendall(b"250-mail.test\r\n250-PRDR\r\n250 HELP\r\n" if line.upper().startswith(b"EHLO")
                          else b"250 done\r\n")
        except OSError:
            pass
        finally:
            s.close()


class SmtpClient:
    """steered: by what it is greeted with. TimeoutError: somebody holds it without a word."""

    def __init__(self, ns, family, source=None, to=None):
        with ns:
            self.s = socket.socket(FAMILY[family], socket.SOCK_STREAM)
        self.s.settimeout(TIMEOUT)
        self.s.bind(((source or CLIENT)[family], 0))
        self.s.connect((to or SERVER[family], 25))
        self.file = self.s.makefile("rb")
        self.greeting = self.reply()
        self.steered = b"PRDR" not in self.ask(b"EHLO client.test\r\n")

    def reply(self):
        lines = []
        while not lines or lines[-1][3:4] == b"-":
            lines.append(self.file.readline())
            if not lines[-1].endswith(b"\n"):
                raise AssertionError(f"connection ended after {lines}")
        return b"".join(lines)

    def ask(self, command):
        self.s.sendall(command)
        return self.reply()

    def close(self):
        self.file.close()
        self.s.close()


class Client:
    def __init__(self, ns, family, to, port=25, source=None):
        with ns:
            self.s = socket.socket(FAMILY[family], socket.SOCK_STREAM)
        self.s.settimeout(TIMEOUT)
        self.s.bind((source or CLIENT[family], 0))
        self.s.connect((to, port))
        self.file = self.s.makefile("rb")
        first = self.line()
        self.via = self.listener = None
        if first.startswith("via "):
            _, self.via, self.listener = first.split()
            first = self.line()
        self.seen = first.split()  # by the mail server: [peer, local]

    def line(self):
        text = self.file.readline().decode()
        if not text.endswith("\n"):
            raise AssertionError(f"connection ended after {text!r}")
        return text.strip()

    def echo(self, data=b"still there\n"):
        threading.Thread(target=self.s.sendall, args=(data,), daemon=True).start()
        got = self.file.read(len(data))
        if got != data:
            raise AssertionError(f"echo of {len(data)} octets differs")

    def close(self):
        self.file.close()
        self.s.close()


class Lab:
    def __init__(self, build):
        self.frontdoor = str(build / "frontdoor")
        self.echo = str(build / "test/kernel/tproxy_echo")
        self.dir = tempfile.mkdtemp(prefix="fdk")
        self.world, self.gw, self.mail = Namespace("world"), Namespace("gw"), Namespace("mail")
        self.proxies = {}
        self.link(self.world, self.gw, "198.18.0.1/24", "2001:db8:1::1/64", CLIENT[4] + "/24", CLIENT[6] + "/64")
        self.link(self.mail, self.gw, "203.0.113.1/24", "2001:db8:3::1/64", SERVER[4] + "/24", SERVER[6] + "/64")
        self.mail.run("ip", "addr", "add", OTHER[4] + "/24", "dev", "eth0")
        self.mail.run("ip", "addr", "add", OTHER[6] + "/64", "dev", "eth0", "nodad")
        self.gw.sysctl("net.ipv4.ip_forward", 1)
        self.gw.sysctl("net.ipv6.conf.all.forwarding", 1)
        for family, length in ((4, 24), (6, 64)):
            self.world.run("ip", "addr", "add", f"{TRUSTED[family]}/{length}", "dev", "eth0",
                           *(["nodad"] if family == 6 else []))
        self.server = MailServer(self.mail)
        self.daemon = None

    def link(self, ns, gw, gw4, gw6, own4, own6):
        far = "to-" + ns.name.split("-")[1]
        ns.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", far, "netns", gw.name)
        for n, dev, v4, v6 in ((ns, "eth0", own4, own6), (gw, far, gw4, gw6)):
            n.run("ip", "link", "set", dev, "up")
            n.run("ip", "addr", "add", v4, "dev", dev)
            n.run("ip", "addr", "add", v6, "dev", dev, "nodad")
        ns.run("ip", "route", "add", "default", "via", gw4.split("/")[0])
        ns.run("ip", "-6", "route", "add", "default", "via", gw6.split("/")[0])

    def conf(self, fail="open", servers=f'{SERVER[4]}, "{SERVER[6]}"', more=""):
        path = os.path.join(self.dir, "frontdoor.yaml")
        pathlib.Path(path).write_text(CONF % {"fail": fail, "servers": servers, "more": more})
        return path

    def conf_users(self, port=587, fail="open", bind=BOTH):
        return self.conf(more=USERS % {"port": port, "fail": fail, "bind": bind})

    def daemon_conf(self, fail="open", user="root", trusted=None, servers=f'{SERVER[4]}, "{SERVER[6]}"'):
        path = os.path.join(self.dir, "daemon.yaml")
        trusted = trusted if trusted is not None else f'{TRUSTED[4]}, "{TRUSTED[6]}"'
        pathlib.Path(path).write_text(DAEMON_CONF % {
            "fail": fail, "servers": servers, "trusted": trusted, "user": user, "events": os.path.join(self.dir, f"{user}.jsonl")})
        return path

    def speak_smtp(self):
        self.server.close()
        self.server = SmtpServer(self.mail, ports=(25,))

    def start_daemon(self, ns, *argv):
        self.daemon_log = os.path.join(self.dir, "daemon.log")
        with open(self.daemon_log, "wb") as log:
            self.daemon = subprocess.Popen(["ip", "netns", "exec", ns.name, self.frontdoor, "serve", *argv],
                                           stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)

    def log(self):
        return pathlib.Path(self.daemon_log).read_text()

    def stop_daemon(self, how=signal.SIGTERM):
        if not self.daemon:
            return None
        self.daemon.send_signal(how)
        if how != signal.SIGKILL:
            self.daemon.send_signal(signal.SIGCONT)
        status = self.daemon.wait(30)
        self.daemon = None
        return status

    def net(self, ns, *argv, check=True):
        return ns.run(self.frontdoor, "net", *argv, check=check)

    def start_proxy(self, ns, *ports):
        for port in ports or (2525,):
            p = subprocess.Popen(["ip", "netns", "exec", ns.name, self.echo, str(port)], stdout=subprocess.PIPE)
            self.proxies[port] = p
            assert p.stdout.readline() == b"ready\n"

    def stop_proxy(self, *ports):
        for port in ports or list(self.proxies):
            p = self.proxies.pop(port)
            p.kill()
            p.wait()
            p.stdout.close()

    def state(self, ns):
        return "\n".join(
            ns.run(*argv).stdout
            for argv in (["nft", "list", "ruleset"], ["ip", "rule"], ["ip", "-6", "rule"],
                         ["ip", "route", "show", "table", "all"], ["ip", "-6", "route", "show", "table", "all"],
                         ["ip", "-br", "addr"], ["sh", "-c", SYSCTLS]))

    def rules(self, ns):
        """Ours; without what the heartbeat changes."""
        text = self.state(ns)
        return re.sub(r"set alive \{.*?\n\t\}", "", text, flags=re.S)

    def filtered(self):
        """Seccomp of /proc/PID/status: a sanitizer's calls are in no list."""
        return "0" if b"__asan_init" in pathlib.Path(self.frontdoor).read_bytes() else "2"

    def reset(self):
        self.stop_proxy()
        self.stop_daemon(signal.SIGKILL)
        if isinstance(self.server, SmtpServer):
            self.server.close()
            self.server = MailServer(self.mail)
        for ns in (self.gw, self.mail):
            self.net(ns, "down", check=False)

    def close(self):
        self.stop_proxy()
        self.server.close()
        for ns in (self.world, self.gw, self.mail):
            ns.delete()
        sh("rm", "-rf", self.dir)
