"""Who is measured by bench/run: frontdoor in several settings, HAProxy and nginx that copy, the cheapest loop that copies,
Exim that refuses, and the servers behind them."""
import os
import subprocess
import time

from place import DNS, SERVERS, SINK, Place, Process, Trouble, environment, library, program

PACKAGES = ["postfix", "haproxy", "nginx", "libnginx-mod-stream", "libnginx-mod-mail", "stunnel4", "exim4-daemon-heavy", "nsd",
            "libnss-wrapper"]
EXIM_UID = 61025  # any number that nobody has

REFUSING_SINK, HAPROXY, FRONTDOOR, EXIM, NGINX, COPIER = 2601, 2602, 2603, 2604, 2605, 2606
# The same in front of a sink that takes BDAT.
CHUNK_SINK, CHUNK_HAPROXY, CHUNK_FRONTDOOR, CHUNK_NGINX, CHUNK_COPIER, CHUNK_SPLICER = 2620, 2621, 2622, 2623, 2624, 2625
ONE_WORKER, TWO_WORKERS, TARPIT, IDLE = 2630, 2631, 2632, 2633
REFUSE_TO = "u@scanned-bench.net"

LISTENER = """\
  - {name: p%(port)d, mode: listen, bind: ["127.0.0.1:%(port)d"], backend: "127.0.0.1:%(sink)d", source: client}
"""
# The load comes from one address: no limit for a client may be what is measured.
FRONTDOOR_CONF = """\
listeners:
%(listeners)sserver_addresses: [127.0.0.1]
trusted: []
resolver: {servers: ["127.0.0.1:%(dns)d"], confirm: off}
policy: {action: %(action)s}
scanners:
  - {name: bench, mx: ["*.scanner-bench.net"], egress: [mx]}
hosted: [%(dir)s/hosted]
tls: {hide: true}
limits: {connections: 0, per_client: 0, per_client_rate: 0, commands: 0, errors: 0, min_rate: 0}
control: none
user: root
events: {json: %(dir)s/events-%(name)s.jsonl}
%(more)s"""

ROAD_CONF = """\
listeners:
  - {name: smtp, mode: tproxy, bind: ["127.0.0.1:2640"], backend: original, fail: open}
server_addresses: [%(server)s]
trusted: [%(trusted)s]
resolver: {servers: ["127.0.0.1:%(dns)d"], confirm: off}
policy: {action: reject}
hosted: [%(dir)s/hosted]
tls: {hide: true}
limits: {connections: 0, per_client: 0, per_client_rate: 0, commands: 0, errors: 0, min_rate: 0}
control: none
user: root
events: {json: %(dir)s/events-road.jsonl}
"""

HAPROXY_CONF = """\
global
	maxconn 8000
defaults
	mode tcp
	timeout connect 5s
	timeout client 60s
	timeout server 60s
listen smtp
	bind 127.0.0.1:%(port)d
	server sink 127.0.0.1:%(sink)d
listen chunks
	bind 127.0.0.1:%(chunk_port)d
	server sink 127.0.0.1:%(chunk_sink)d
"""

NGINX_CONF = """\
daemon off;
worker_processes auto;
error_log stderr crit;
pid %(dir)s/nginx.pid;
load_module %(modules)s/ngx_stream_module.so;
events { worker_connections 16384; }
stream {
	tcp_nodelay on;
	server {
		listen 127.0.0.1:%(port)d backlog=8192;
		proxy_pass 127.0.0.1:%(sink)d;
	}
	server {
		listen 127.0.0.1:%(chunk_port)d;
		proxy_pass 127.0.0.1:%(chunk_sink)d;
	}
}
"""

EXIM_CONF = """\
exim_user = %(uid)d
exim_group = %(uid)d
exim_path = %(program)s
keep_environment = LD_LIBRARY_PATH : LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
spool_directory = %(dir)s/exim
log_file_path = %(dir)s/exim/%%slog
pid_file_path =
primary_hostname = bench.invalid
local_interfaces = 127.0.0.1
daemon_smtp_ports = %(port)d
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
smtp_accept_max = 0
smtp_accept_reserve = 0
smtp_connect_backlog = 256
acl_smtp_rcpt = rcpt
begin acl
rcpt:
	deny	domains = scanned-bench.net
		message = takes mail at its MX
	accept
begin routers
none:
	driver = accept
	transport = none
begin transports
none:
	driver = appendfile
	file = /dev/null
"""


class Bench(Place):
    def start_haproxy(self):
        conf = self.write("haproxy.cfg", HAPROXY_CONF % {"port": HAPROXY, "sink": SINK, "chunk_port": CHUNK_HAPROXY,
                                                         "chunk_sink": CHUNK_SINK})
        self.start("haproxy", [program("haproxy"), "-db", "-f", conf], HAPROXY, env=environment())

    def start_nginx(self):
        conf = self.write("nginx.conf", NGINX_CONF % {"dir": self.dir, "port": NGINX, "sink": SINK, "chunk_port": CHUNK_NGINX,
                                                      "chunk_sink": CHUNK_SINK,
                                                      "modules": SERVERS / "root/usr/lib/nginx/modules"})
        self.start("nginx", [program("nginx"), "-p", self.dir, "-c", conf], NGINX, env=environment())

    def start_exim(self):
        uid = EXIM_UID if os.geteuid() == 0 else None
        folder = self.dir / "exim"
        folder.mkdir()
        os.chmod(self.dir, 0o755)
        if uid:
            os.chown(folder, uid, uid)
        conf = self.write("exim.conf", EXIM_CONF % {"uid": uid or os.geteuid(), "program": program("exim4"),
                                                    "dir": self.dir, "port": EXIM})
        # Debian's Exim wants its own user to exist; here it does, without touching /etc/passwd.
        env = environment(
            PATH="/usr/sbin:/usr/bin:/sbin:/bin",
            LD_PRELOAD=library("libnss_wrapper.so"),
            NSS_WRAPPER_PASSWD=self.write("passwd", f"root:x:0:0::/:/bin/sh\nDebian-exim:x:{uid}:{uid}::/:/bin/sh\n"),
            NSS_WRAPPER_GROUP=self.write("group", f"root:x:0:\nDebian-exim:x:{uid}:\n"))
        self.start("exim", [program("exim4"), "-C", conf, "-bdf"], EXIM, env=env, uid=uid)

    def start_copiers(self):
        copier = str(self.build / "bench/copier")
        for name, port, sink, options in (("copier", COPIER, SINK, []), ("chunk-copier", CHUNK_COPIER, CHUNK_SINK, []),
                                          ("splicer", CHUNK_SPLICER, CHUNK_SINK, ["--splice"])):
            self.start(name, [copier, *options, "127.0.0.1", str(port), str(sink)], port)

    def start_daemon(self, name, ports, action="reject", more=""):
        """frontdoor with a listener for each of {port: sink}."""
        listeners = "".join(LISTENER % {"port": p, "sink": s} for p, s in ports.items())
        conf = FRONTDOOR_CONF % {"listeners": listeners, "dns": DNS, "dir": self.dir, "action": action, "name": name, "more": more}
        self.start_frontdoor(conf, next(iter(ports)), name=name)

    def start_all(self):
        self.start_sink(options=["-m", "8000"])
        self.start_sink("refusing-sink", REFUSING_SINK, ["-f", "RCPT"])
        self.start("chunk-sink", [str(self.build / "bench/chunk_sink"), "127.0.0.1", str(CHUNK_SINK)], CHUNK_SINK)
        self.start_dns()
        for name, fn in (("haproxy", self.start_haproxy), ("nginx", self.start_nginx), ("exim", self.start_exim),
                         ("copier", self.start_copiers),
                         ("frontdoor", lambda: self.start_daemon("frontdoor", {FRONTDOOR: SINK, CHUNK_FRONTDOOR: CHUNK_SINK})),
                         ("1 worker", lambda: self.start_daemon("1 worker", {ONE_WORKER: SINK}, more="workers: 1\n")),
                         ("2 workers", lambda: self.start_daemon("2 workers", {TWO_WORKERS: SINK}, more="workers: 2\n"))):
            try:
                fn()
            except Trouble as e:
                self.missing[name] = str(e)


class Road:
    """A client, a gateway (the bench's own namespace) and a mail server, by veth; frontdoor steers at the gateway."""

    CLIENT, SERVER = "198.51.100.7", "203.0.113.25"

    def __init__(self, bench):
        self.bench = bench
        self.holders = [subprocess.Popen(["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL) for _ in range(2)]
        self.daemon = self.sink = None
        self.filtered = False
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def inside(self, i, *argv):
        return ["nsenter", "-t", str(self.holders[i].pid), "-n", *argv]

    def build(self):
        own = os.readlink("/proc/self/ns/net")
        for i, (gate, address) in enumerate((("198.51.100.1", self.CLIENT), ("203.0.113.1", self.SERVER))):
            pid = self.holders[i].pid
            while os.readlink(f"/proc/{pid}/ns/net") == own:  # not there yet
                time.sleep(0.01)
            for argv in (["ip", "link", "add", f"road{i}", "type", "veth", "peer", "name", "eth0", "netns", str(pid)],
                         ["ip", "address", "add", f"{gate}/24", "dev", f"road{i}"], ["ip", "link", "set", f"road{i}", "up"],
                         self.inside(i, "ip", "address", "add", f"{address}/24", "dev", "eth0"),
                         self.inside(i, "ip", "link", "set", "eth0", "up"), self.inside(i, "ip", "link", "set", "lo", "up"),
                         self.inside(i, "ip", "route", "add", "default", "via", gate)):
                subprocess.run(argv, check=True, capture_output=True)
        subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        self.sink = subprocess.Popen(self.inside(1, program("smtp-sink"), "-u", "nobody", "-m", "8000", f"{self.SERVER}:25", "1024"),
                                     env=environment(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def steer(self, trusted):
        """frontdoor in the path."""
        bench = self.bench
        conf = bench.write("road.yaml", ROAD_CONF % {"server": self.SERVER, "trusted": trusted, "dns": DNS, "dir": bench.dir})
        self.daemon = Process(bench.dir, "road", [str(bench.build / "frontdoor"), "serve", "--net", "-c", conf], 2640)
        end = time.monotonic() + 20
        while not subprocess.run(["nft", "list", "table", "inet", "frontdoor"], capture_output=True).returncode == 0:
            if time.monotonic() > end or self.daemon.child.poll() is not None:
                raise Trouble("frontdoor serve --net: " + (bench.dir / "road.log").read_text()[-300:])
            time.sleep(0.05)
        time.sleep(1)

    def filter(self):
        """What a host with any stateful packet filter has."""
        self.filtered = True
        subprocess.run(["nft", "add table inet filter { chain c { type filter hook prerouting priority 0; "
                        "ct state established accept; }; }"], check=True)

    def let_go(self):
        if self.filtered:
            self.filtered = False
            subprocess.run(["nft", "delete", "table", "inet", "filter"], check=True)
        if self.daemon:
            self.daemon.stop()
            self.daemon = None

    def close(self):
        self.let_go()
        for p in (self.sink, *self.holders):
            if p:
                p.kill()
                p.wait()
