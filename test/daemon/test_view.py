"""What the operator and his machines see: control socket, status, top, metrics, the service manager."""
import fcntl
import json
import os
import re
import resource
import signal
import socket
import stat
import struct
import subprocess
import termios
import threading
import time
import urllib.error
import urllib.request

from harness.case import DaemonCase
from harness.place import free_port
from harness.talk import TLS
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

OPEN = "application/openmetrics-text; version=1.0.0"


class ViewCase(DaemonCase):
    def view_conf(self, backend=None, **changes):
        conf = self.conf(backend, control="/placeholder", http="127.0.0.1:%d" % free_port("127.0.0.1"), **changes)
        conf.conf["control"] = self.socket = os.path.join(conf.dir, "control.sock")
        conf.write()
        self.url = "http://%s/" % conf.conf["http"]
        return conf

    def watch(self, **changes):
        return self.start(self.view_conf(**changes))

    def command(self, daemon, *argv, status=0):
        got, out, err = daemon.conf.run(argv[0], "-c", daemon.conf.file, *argv[1:])
        self.assertEqual(got, status, out + err)
        return out if status == 0 else err

    def status(self, daemon):
        return json.loads(self.command(daemon, "status", "--json"))

    def get(self, path, accept=None):
        request = urllib.request.Request(self.url + path, headers={"Accept": accept} if accept else {})
        with urllib.request.urlopen(request, timeout=10) as r:
            return r.headers["Content-Type"], r.read().decode()

    def ask(self, octets):
        """What comes back for these on the control socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.socket)
            try:
                s.sendall(octets)
                return b"".join(iter(lambda: s.recv(65536), b""))
            except ConnectionError:
                return b""

    def traffic(self, daemon):
        """One by the front door, two by the back door that are refused."""
        self.hear(daemon)
        for _ in range(2):
            _, reply = self.send_one(daemon, self.bot(), "user@" + self.name("acme"))
            self.assert_code(reply, 550)
        daemon.wait_events(3)


class Control(ViewCase):
    def test_status_counts_what_happened(self):
        daemon = self.watch()
        self.traffic(daemon)
        s = self.status(daemon)
        self.assertEqual(s["pid"], daemon.pid)
        self.assertEqual(s["verdicts"]["finding"]["pass"], 1)
        self.assertEqual(s["verdicts"]["finding"]["direct"], 2)
        self.assertEqual(s["verdicts"]["action"], {"pass": 1, "reject": 2})
        self.assertEqual(s["verdicts"]["reason"], {"ingress": 1, "not-egress": 2})
        self.assertEqual(s["listeners"][0]["name"], "smtp")
        self.assertEqual(s["listeners"][0]["verdicts"]["all"], 3)
        self.assertEqual(s["sessions"]["all"], 3)
        self.assertTrue(s["heartbeat"])
        self.assertEqual(s["kernel"], {"state": "not-wanted", "text": ""})
        self.assertGreater(s["doors"]["hosted"], 0)
        self.assertGreater(s["dns"]["lookups"], 0)
        self.assertEqual(s["events"]["dropped"], 0)
        self.assertIn("c_ares", s["versions"])

    def test_open_sessions_are_counted_while_they_last(self):
        daemon = self.watch()
        c = self.connect(daemon, self.bot())
        self.assertEqual(self.status(daemon)["sessions"], {"open": 1, "all": 1})
        c.cmd("QUIT")
        c.close()
        self.wait("the session to end", lambda: self.status(daemon)["sessions"]["open"] == 0)

    def test_status_for_people(self):
        daemon = self.watch()
        self.traffic(daemon)
        text = self.command(daemon, "status")
        for words in ("every worker answers", "not-egress 2", "pass 1, direct 2", "reject 2", "hosted domains"):
            self.assertIn(words, text)

    def screen(self, daemon, lines, columns):
        """What top shows on such a terminal, as lines; then the daemon goes, and it says so."""
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        p = subprocess.Popen([self.place.daemon, "top", "--socket", self.socket, "--interval", "0.2"],
                             stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE, text=True)
        os.close(slave)
        text = b""
        while text.count(b"\x1b[H\x1b[2J") < 3:
            text += os.read(master, 65536)
        daemon.stop()
        threading.Timer(10, p.kill).start()
        try:
            while os.read(master, 65536):
                pass
        except OSError:
            pass
        os.close(master)
        err = p.stderr.read()
        p.stderr.close()
        self.assertEqual((p.wait(), err.count("\n")), (1, 1), err)
        text = text.split(b"\x1b[H\x1b[2J")[2].decode()
        return re.sub(r"\x1b\[\d+m", "", text).replace("\r", "").split("\n")

    def test_top_on_terminals_of_all_sizes(self):
        for lines, columns in ((24, 80), (5, 40), (50, 200), (2, 10), (1, 1)):
            with self.subTest((lines, columns)):
                daemon = self.watch()
                self.traffic(daemon)
                seen = self.screen(daemon, lines, columns)
                self.assertLessEqual(len(seen), max(lines, 2) if lines > 1 else 50)
                self.assertLessEqual(max(map(len, seen)), columns)
                if columns >= 80:
                    self.assertIn(self.name("acme"), "".join(seen))

    def test_a_mail_server_that_is_down_is_seen(self):
        backend = self.fake()
        daemon = self.start(self.view_conf(backend))
        self.session(daemon)
        self.assertEqual(self.status(daemon)["backends_down"], 0)
        self.assertIn("\nfrontdoor_backends_down 0\n", self.get("metrics")[1])
        backend.stop()
        self.session(daemon)
        daemon.wait_log("is down")
        self.assertEqual(self.status(daemon)["backends_down"], 1)
        self.assertIn("\nfrontdoor_backends_down 1\n", self.get("metrics")[1])
        self.assertIn("1 MAIL SERVERS DON'T ANSWER", self.command(daemon, "status"))

    def test_top_names_clients_and_domains(self):
        daemon = self.watch()
        self.traffic(daemon)
        top = json.loads(self.command(daemon, "top", "--json"))
        self.assertEqual([(d["name"], d["count"]) for d in top["domains"]], [(self.name("acme"), 2)])
        self.assertEqual(sum(c["count"] for c in top["clients"]), 2)
        self.assertEqual(set(top["rates"]), {"sessions", "recipients", "direct", "refused", "lookups"})
        text = self.command(daemon, "top", "--once")
        self.assertIn(self.name("acme"), text)

    def test_reload_takes_a_file_or_says_why_not(self):
        daemon = self.watch()
        self.hear(daemon)
        self.assertEqual(self.send_one(daemon, self.bot(), "user@" + self.name("acme"))[1].code, 550)
        conf = daemon.conf
        conf.conf["policy"]["action"] = "observe"
        conf.write()
        self.assertTrue(self.command(daemon, "reload"))
        self.assertEqual(self.send_one(daemon, self.bot(), "user@" + self.name("acme"))[1].code, 250)
        self.assertEqual(self.status(daemon)["action"], "observe")
        self.assertEqual(self.status(daemon)["counters"]["reloads"], 1)
        conf.conf["policy"]["action"] = "dance"
        conf.write()
        status, _, err = conf.run("reload", "--socket", self.socket)
        self.assertEqual(status, 1)
        self.assertRegex(err, r"frontdoor.yaml:\d+:\d+: policy.action: 'dance'")
        self.assertEqual(self.send_one(daemon, self.bot(), "user@" + self.name("acme"))[1].code, 250)

    def test_reload_with_a_certificate_that_cannot_be_served(self):
        """Nothing changes, and whoever asked is told which file it was and why."""
        daemon = self.watch(tls=TLS)
        conf, good = daemon.conf, daemon.conf.conf["tls"]["certificates"][0]["cert"]
        key, junk = (os.path.join(conf.dir, name) for name in ("other.key", "junk.pem"))
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", key], check=True, capture_output=True)
        with open(junk, "w") as f:
            f.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        for cert, words in (({"cert": good, "key": key}, "key"), ({"cert": junk}, "junk.pem"),
                            ({"cert": good, "key": junk}, "junk.pem"), ({"cert": key}, "other.key")):
            conf.conf["tls"] = {"hide": False, "certificates": [cert]}
            conf.write()
            err = self.command(daemon, "reload", status=1)
            self.assertRegex(err, r"certificate=\S+ .*error=")
            self.assertIn(words, err)
            self.assertIn("not reloaded; nothing has changed", err)
            # the same in the log, once
            self.assertEqual(daemon.log_text().count(err.splitlines()[0].partition("certificate=")[2]), 1)
            c = self.connect(daemon, self.bot())
            c.starttls()
            self.assert_code(c.cmd("NOOP"), 250)
        self.assertEqual(self.status(daemon)["counters"]["reloads_failed"], 4)

    def test_restart_hands_socket_and_metrics_over(self):
        daemon = self.watch()
        self.hear(daemon)
        old = daemon.pid
        self.assertTrue(self.command(daemon, "restart"))
        self.addCleanup(lambda: self.end_other(old))
        self.wait("the new one", lambda: self.status(daemon)["pid"] != old)
        self.assertEqual(self.get("health")[1], "ok\n")
        self.assertEqual(self.status(daemon)["verdicts"]["all"], 0)
        self.hear(daemon)
        self.assertEqual(self.status(daemon)["verdicts"]["all"], 1)

    def end_other(self, old):
        """The process that has taken over is nobody's child here."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            s.sendall(b'{"do": "status"}\n')
            pid = json.loads(b"".join(iter(lambda: s.recv(65536), b"")))["pid"]
        if pid != old:
            os.kill(pid, signal.SIGTERM)
            self.wait("its end", lambda: not os.path.exists(self.socket))

    def test_no_daemon_is_one_clear_line(self):
        conf = self.view_conf()
        for command in ("status", "top", "reload", "restart"):
            status, out, err = conf.run(command, "-c", conf.file)
            self.assertEqual((status, out), (1, ""), command)
            self.assertEqual(err.count("\n"), 1)
            self.assertIn("not running", err)
            self.assertIn(self.socket, err)

    def test_wrong_use_and_wrong_configuration(self):
        conf = self.view_conf()
        self.assertEqual(conf.run("status", "--once")[0], 64)
        self.assertEqual(conf.run("top", "--interval", "0")[0], 64)
        conf.conf["control"] = ["a", "list"]
        conf.write()
        self.assertEqual(conf.run("status", "-c", conf.file)[0], 78)

    def test_the_socket_is_for_owner_and_group_and_goes_at_the_end(self):
        daemon = self.watch()
        self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o660)
        daemon.stop()
        self.assertFalse(os.path.exists(self.socket))
        self.assertEqual([f for f in os.listdir(daemon.conf.dir) if f.startswith("control")], [])

    def test_a_socket_left_behind_is_replaced(self):
        daemon = self.watch()
        daemon.process.kill()
        daemon.process.wait()
        self.assertTrue(os.path.exists(self.socket))
        daemon.start()
        self.assertEqual(self.status(daemon)["pid"], daemon.pid)

    def test_what_is_no_socket_is_left_alone(self):
        conf = self.view_conf()
        with open(self.socket, "w") as f:
            f.write("mine")
        daemon = self.start(conf)
        daemon.wait_log("can't be made; going without")
        self.hear(daemon)  # mail goes on
        with open(self.socket) as f:
            self.assertEqual(f.read(), "mine")

    def test_a_second_daemon_does_not_take_it_away(self):
        daemon = self.watch()
        other = self.conf(control=self.socket)
        second = self.start(other)
        second.wait_log("another process answers there")
        self.assertEqual(self.status(daemon)["pid"], daemon.pid)

    def test_hostile_requests(self):
        daemon = self.watch()
        for octets in (b"\n", b"{}\n", b"[]\n", b"nonsense\n", b'{"do": 1}\n', b'{"do": "dance"}\n',
                       b'{"do": "status", "do": "top"}\n', b"\xff\x00\xfe\n", b"[" * 4000 + b"\n",
                       b"x" * 100000):
            answer = self.ask(octets)
            if not answer and len(octets) > 4096:
                continue  # reset with octets of ours unread: refused, too
            self.assertFalse(json.loads(answer)["ok"], octets[:50])
            self.assertEqual(answer.count(b"\n"), 1)
        self.assertTrue(self.status(daemon)["ok"])

    slow = 6

    def test_silent_clients_keep_nobody_out_for_long(self):
        daemon = self.watch()
        silent = []
        for _ in range(40):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(0.2)
            self.addCleanup(s.close)
            try:
                s.connect(self.socket)
            except (BlockingIOError, socket.timeout):
                pass
            silent.append(s)
        self.hear(daemon)  # mail goes on
        self.wait("a place to get free", lambda: daemon.conf.run(
            "status", "-c", daemon.conf.file)[0] == 0, 15)


class Metrics(ViewCase):
    def samples(self, families):
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}

    def check(self, samples):
        labels = {"listener": "smtp", "finding": "direct", "reason": "not-egress", "action": "reject"}
        self.assertEqual(samples["frontdoor_verdicts_total", tuple(sorted(labels.items()))], 2)
        self.assertEqual(samples["frontdoor_sessions_total", ()], 3)
        self.assertEqual(samples["frontdoor_verdict_seconds_count", ()], 3)
        self.assertEqual(samples["frontdoor_heartbeat", ()], 1)
        self.assertEqual(samples["frontdoor_listener_open", (("listener", "smtp"),)], 1)
        self.assertGreater(samples["process_resident_memory_bytes", ()], 1000000)

    def test_openmetrics_as_its_own_client_reads_it(self):
        daemon = self.watch()
        self.traffic(daemon)
        kind, text = self.get("metrics", OPEN + ",text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        self.assertEqual(kind, OPEN + "; charset=utf-8")
        self.assertTrue(text.endswith("\n# EOF\n"))
        self.check(self.samples(parse_open(text)))

    def test_prometheus_text_without_being_asked_for_more(self):
        daemon = self.watch()
        self.traffic(daemon)
        for accept in (None, "text/plain", "application/openmetrics-text;q=0, text/plain"):
            kind, text = self.get("metrics", accept)
            self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8")
            self.assertNotIn("# EOF", text)
            self.check(self.samples(parse_plain(text)))

    def test_health_and_what_is_not_there(self):
        self.watch()
        self.assertEqual(self.get("health")[1], "ok\n")
        self.assertIn("/metrics", self.get("")[1])
        for path, method, code in (("nothing", "GET", 404), ("metrics/..", "GET", 404), ("metrics", "POST", 405)):
            request = urllib.request.Request(self.url + path, method=method, data=b"x" if method == "POST" else None)
            with self.assertRaises(urllib.error.HTTPError) as e:
                urllib.request.urlopen(request, timeout=10)
            self.assertEqual(e.exception.code, code)

    def test_hostile_http(self):
        daemon = self.watch()
        host, port = daemon.conf.conf["http"].split(":")
        for octets in (b"\0" * 100 + b"\r\n\r\n", b"GET " + b"/" * 60000 + b" HTTP/1.1\r\n\r\n",
                       b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 20000, b"GET /metrics HTTP/9.9\r\n\r\n"):
            with socket.create_connection((host, int(port)), 10) as s:
                try:
                    s.sendall(octets)
                    s.recv(1)
                except (ConnectionError, TimeoutError):
                    pass
        idle = [socket.create_connection((host, int(port)), 10) for _ in range(20)]
        self.assertEqual(self.get("health")[1], "ok\n")
        self.hear(daemon)
        for s in idle:
            s.close()

    def ticks(self, d):
        with open("/proc/%d/stat" % d.pid) as f:
            col = f.read().rpartition(")")[2].split()
        return int(col[11]) + int(col[12])

    def test_no_descriptor_is_left_for_those_who_ask(self):
        """They wait, or are sent away; nothing spins meanwhile, and afterwards all is as before."""
        daemon = self.watch()
        host, port = daemon.conf.conf["http"].split(":")
        used = set(map(int, os.listdir("/proc/%d/fd" % daemon.pid)))
        free = min(set(range(len(used) + 1)) - used)
        soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (free, hard))
        asking = [socket.create_connection((host, int(port)), 10) for _ in range(3)]
        local = socket.socket(socket.AF_UNIX)
        local.connect(self.socket)
        before = self.ticks(daemon)
        time.sleep(2)
        self.assertLess(self.ticks(daemon) - before, 40)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        for s in asking + [local]:
            s.close()
        self.wait("an answer", lambda: self.get("health")[1] == "ok\n")
        self.assertTrue(self.status(daemon)["ok"])

    def test_an_address_that_is_taken_is_no_reason_not_to_serve_mail(self):
        conf = self.view_conf()
        host, port = conf.conf["http"].split(":")
        with socket.create_server((host, int(port))):
            daemon = self.start(conf)
            daemon.wait_log("can't listen; going without")
            self.hear(daemon)


class Manager(ViewCase):
    """A service manager: a datagram socket that hears what sd_notify(3) describes."""

    def manager(self, **env):
        self.hears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.hears.close)
        path = os.path.join(self.place.new_dir("manager"), "notify")
        self.hears.bind(path)
        self.hears.settimeout(8)
        for key, value in dict(env, NOTIFY_SOCKET=path).items():
            os.environ[key] = value
            self.addCleanup(os.environ.pop, key, None)

    def next(self, word):
        while True:
            lines = self.hears.recv(4096).decode().splitlines()
            if any(line.startswith(word) for line in lines):
                return lines

    def silence(self, seconds):
        """What is heard in that time, after what was on its way has been read."""
        end, heard = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            self.hears.settimeout(left)
            try:
                heard += self.hears.recv(4096).decode().splitlines()
            except (socket.timeout, BlockingIOError):
                break
        self.hears.settimeout(8)
        return heard

    def test_ready_alive_and_stopping(self):
        self.manager(WATCHDOG_USEC="3000000")
        daemon = self.watch()
        self.assertIn("READY=1", self.next("READY="))
        self.next("WATCHDOG=1")
        self.next("STATUS=")
        daemon.process.send_signal(signal.SIGHUP)
        reloading = self.next("RELOADING=1")
        self.assertRegex(" ".join(reloading), r"MONOTONIC_USEC=\d+")
        self.next("READY=1")
        daemon.process.send_signal(signal.SIGTERM)
        self.next("STOPPING=1")

    def test_no_watchdog_where_nobody_wants_it(self):
        self.manager()
        self.watch()
        self.next("READY=")
        self.assertNotIn("WATCHDOG=1", self.silence(2.5))




del ViewCase
