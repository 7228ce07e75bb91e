"""Where bench/run and bench/tls run: a network namespace of their own, servers unpacked below build/, a DNS of a few
names, and what the contestants' processes cost."""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SERVERS = ROOT / "build/servers"
TICK = os.sysconf("SC_CLK_TCK")
CPUCLOCK_SCHED = 2

SINK, DNS = 2600, 5353
PASS_TO = "u@ours-bench.net"

ZONES = {
    "ours-bench.net": "@ MX 10 mx\nmx A 127.0.0.1\n",
    "scanned-bench.net": "@ A 127.0.0.1\n@ MX 10 mx.scanner-bench.net.\n",
    "scanner-bench.net": "mx A 192.0.2.10\n",
    "127.in-addr.arpa": "1.0.0 PTR client.ours-bench.net.\n",
}

NSD_CONF = """\
server:
	ip-address: 127.0.0.1
	port: %(dns)d
	username: ""
	chroot: ""
	zonesdir: "%(dir)s"
	pidfile: ""
	database: ""
	zonelistfile: "%(dir)s/nsd.zones"
	xfrdfile: ""
	xfrdir: "%(dir)s"
	server-count: 1
	rrl-ratelimit: 0
remote-control:
	control-enable: no
"""


class Trouble(Exception):
    pass


def program(name):
    for folder in ("sbin", "bin"):
        path = SERVERS / "root/usr" / folder / name
        if path.exists():
            return str(path)
    raise Trouble(f"{name} is not below {SERVERS}")


def library(name):
    for folder in (SERVERS / "lib-path").read_text().strip().split(":"):
        if os.path.exists(f"{folder}/{name}"):
            return f"{folder}/{name}"
    raise Trouble(f"{name} is missing")


def environment(**more):
    return {**os.environ, "LD_LIBRARY_PATH": (SERVERS / "lib-path").read_text().strip(), **more}


def own_network():
    """A namespace of our own, where every port is free and nothing of the machine is met."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(0x40000000) != 0:  # CLONE_NEWNET
        raise Trouble("needs root: for a network namespace, and to connect from the client's address")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{os.cpu_count()} processors ({model}), Linux {os.uname().release}"


class Process:
    """A server of the bench, with its children in a session of its own; ended by its number."""

    def __init__(self, folder, name, argv, port, env=None, uid=None, cpus=None):
        self.log = folder / f"{name}.log"
        self.name = name
        self.port = port

        def prepare():
            if cpus:
                os.sched_setaffinity(0, cpus)
            if uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)

        self.how = {"args": argv, "cwd": folder, "env": env, "preexec_fn": prepare}
        self.start()

    def start(self):
        with open(self.log, "wb") as out:
            self.child = subprocess.Popen(stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                                          **self.how)
        try:
            self.wait_for(self.port)
        except BaseException:
            self.stop()
            raise

    def wait_for(self, port):
        end = time.monotonic() + 15
        while time.monotonic() < end:
            if self.child.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        lines = self.log.read_text(errors="replace").splitlines()
        state = "does not listen" if self.child.poll() is None else f"ended with {self.child.returncode}"
        raise Trouble(f"{self.name} {state}: {lines[-1] if lines else 'no message'}")

    def _stats(self):
        """Of each of its processes: what /proc/PID/stat says after the name."""
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:  # has just ended
                continue
            if int(fields[3]) == self.child.pid:
                yield stat.parent, fields

    def cpu(self):
        """Seconds used so far, by all threads and by children, also those that have ended."""
        total = 0
        for folder, fields in self._stats():
            try:
                # clock_getcpuclockid(3), which Python lacks: in nanoseconds, where stat counts ticks of 10 ms.
                total += time.clock_gettime(~int(folder.name) << 3 | CPUCLOCK_SCHED)
            except OSError:  # has just ended: its parent's, from now on
                continue
            total += sum(int(n) for n in fields[13:15]) / TICK
        return total

    def memory(self):
        """Octets resident, what is shared counted by halves, thirds, ..."""
        total = 0
        for folder, _ in self._stats():
            rollup = (folder / "smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
        return total

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()


class Place:
    """A folder and what runs there. missing: name of a contestant that could not be started → why."""

    def __init__(self, build):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fdbench"))
        self.build = build
        self.running = {}
        self.missing = {}

    def write(self, name, text):
        (self.dir / name).write_text(text)
        return str(self.dir / name)

    def start(self, name, *args, **kwargs):
        self.running[name] = Process(self.dir, name, *args, **kwargs)

    def start_sink(self, name="sink", port=SINK, options=(), cpus=None):
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.start(name, [program("smtp-sink"), *user, *options, f"127.0.0.1:{port}", "4096"], port, env=environment(),
                   cpus=cpus)

    def start_dns(self, cpus=None):
        zones = ""
        for name, records in ZONES.items():
            head = f"$ORIGIN {name}.\n$TTL 3600\n@ SOA ns.ours-bench.net. root.ours-bench.net. 1 3600 600 86400 300\n"
            self.write(name + ".zone", head + "@ NS ns.ours-bench.net.\n" + records)
            zones += f'zone:\n\tname: "{name}"\n\tzonefile: "{name}.zone"\n'
        conf = self.write("nsd.conf", NSD_CONF % {"dns": DNS, "dir": self.dir} + zones)
        self.start("nsd", [program("nsd"), "-d", "-c", conf], DNS, env=environment(), cpus=cpus)

    def start_frontdoor(self, text, port, cpus=None, name="frontdoor"):
        frontdoor = self.build / "frontdoor"
        if not frontdoor.exists():
            raise Trouble(f"{frontdoor} is missing: make")
        self.write("hosted", "ours-bench.net\nscanned-bench.net\n")
        conf = self.write(f"{name}.yaml", text)
        self.start(name, [str(frontdoor), "serve", "-c", conf], port, cpus=cpus)

    def close(self):
        for process in self.running.values():
            process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
