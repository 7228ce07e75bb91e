"""Change without loss: a new configuration, a new process, a backend that goes and comes, a rotated log, a full disk.
All under load: every session that is begun is answered to its end, and every message arrives once."""
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

from harness import fakes
from harness.case import DaemonCase
from lab import mail

WHOLE = [220, 250, 250, 250, 354, 250, 221]


class Load:
    """Sessions without end, of some clients at once; each carries one message with a number of its own."""

    def __init__(self, case, daemon, threads=6):
        self.case, self.daemon = case, daemon
        self.address = (case.place.server, daemon.port)
        self.domain = case.name("self")
        self.lock = threading.Lock()
        self.sent, self.wrong, self.stopping = 0, [], False
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join()

    def go_on(self, sessions):
        """Until so many more have begun."""
        until = self.sent + sessions
        self.case.wait("%d sessions" % sessions, lambda: self.sent >= until, 60)

    def _number(self):
        with self.lock:
            self.sent += 1
            return self.sent

    def _run(self):
        while not self.stopping:
            number, codes = self._number(), []
            try:
                self._session(number, codes)
            except OSError as e:
                codes.append(repr(e))
            if codes != WHOLE:
                self.wrong.append((number, codes))

    def _session(self, number, codes):
        with socket.create_connection(self.address, 30, (self.case.bot(), 0)) as s, s.makefile("rb") as f:
            def read():
                line = b"   -"
                while line[3:4] == b"-":
                    line = f.readline()
                codes.append(int(line[:3]) if line else None)
                return codes[-1] and codes[-1] < 400
            if not read():
                return
            for step in ("EHLO client.lab-sender.net", "MAIL FROM:<f@lab-sender.net>", "RCPT TO:<u@%s>" % self.domain,
                         "DATA", "Number: %d\r\n\r\nx\r\n." % number, "QUIT"):
                s.sendall(step.encode() + b"\r\n")
                if not read():
                    return


class Change(DaemonCase):
    slow = 20

    def check(self, load, backend):
        """Nothing was refused, lost or doubled."""
        load.stop()
        self.assertEqual(load.wrong, [])
        arrived = [int(re.match(rb"Number: (\d+)", m).group(1)) for m in backend.messages if m.startswith(b"Number")]
        self.assertEqual(len(arrived), len(set(arrived)), "a message arrived twice")
        self.assertEqual(sorted(arrived), list(range(1, load.sent + 1)))
        return load.sent

    def reload(self, d, say=": reloaded;"):
        n = d.log_text().count(say)
        d.process.send_signal(signal.SIGHUP)
        self.wait("the reload", lambda: d.log_text().count(say) > n)

    # Reload -----------------------------------------------------------------------------------

    def test_reload_under_load(self):
        backend = self.fake()
        d = self.serve(backend)
        self.hear(d)
        old = self.connect(d, self.bot())
        load = Load(self, d)
        for i in range(20):
            d.conf.conf["policy"]["help_url"] = "https://example.org/%d" % i
            d.conf.write()
            self.reload(d)
            load.go_on(100)
        self.assertGreater(self.check(load, backend), 2000)
        # A session goes by what it began with.
        refused = "RCPT TO:<u@%s>" % self.name("acme")
        self.assert_code(old.cmd("MAIL FROM:<>"), 250)
        self.assertNotIn("example.org", old.cmd(refused).text)
        new = self.connect(d, self.bot())
        self.assert_code(new.cmd("MAIL FROM:<>"), 250)
        self.assert_code(new.cmd(refused), 550, "https://example.org/19")

    def test_invalid_file_changes_nothing(self):
        d = self.serve(self.fake())
        self.hear(d)
        before = dict(d.conf.conf)
        missing = os.path.join(d.conf.dir, "missing")
        for change, word in (({"policy": {"action": "refuse"}}, "accepted: observe"),
                             ({"listeners": []}, "listeners"),
                             ({"hosted": [missing]}, missing),
                             ({"events": {"json": missing + "/events"}}, "can't be opened"),
                             ({"tls": {"certificates": [{"cert": missing}]}}, missing)):
            d.conf.conf = {**before, **change}
            d.conf.write()
            self.reload(d, "not reloaded; nothing has changed")
            self.assertIn(word, d.log_text())
        # an address that another process has
        with socket.create_server((self.place.server, 0)) as taken:
            row = dict(before["listeners"][0], bind=["%s:%d" % taken.getsockname()])
            d.conf.conf = {**before, "listeners": [row]}
            d.conf.write()
            self.reload(d, "not reloaded; nothing has changed")
        self.assertIn("can't listen", d.log_text())
        self.assertEqual(self.session(d), WHOLE)
        _, reply = self.send_one(d, self.bot(), "user@" + self.name("acme"))
        self.assert_code(reply, 550)

    def test_backend_that_would_relay_changes_nothing(self):
        """Found out when the reload was answered already: said in the log, counted, and told as an event."""
        d = self.serve(self.fake({"RCPT": "550 5.7.1 no relaying"}), source="self")
        d.conf.conf["listeners"][0]["backend"] = self.conf(self.fake(), source="self").conf["listeners"][0]["backend"]
        d.conf.write()
        self.reload(d, "not reloaded; nothing has changed")
        self.assertIn("would relay for everybody", d.log_text())
        self.wait("the event", lambda: len(d.notes("reload-failed")) == 1)
        self.assertEqual(d.notes("reload"), [])
        self.assertEqual(self.session(d)[:4], [220, 250, 250, 550])

    def test_listeners_come_and_go(self):
        d = self.serve(self.fake())
        other = self.conf(self.fake()).conf["listeners"][0]
        other["name"] = "other"
        first = list(d.conf.conf["listeners"])
        port = int(other["bind"][0].rpartition(":")[2])
        d.conf.conf["listeners"] = first + [other]
        d.conf.write()
        self.reload(d)
        self.wait("the new listener", lambda: self.greets(d, port))
        staying = self.connect(d, self.bot(), port=port)
        d.conf.conf["listeners"] = first
        d.conf.write()
        self.reload(d)
        self.wait("its end", lambda: not self.greets(d, port))
        # its session goes on
        staying.mail("f@lab-sender.net", ["u@" + self.name("self")], b"x\r\n")
        self.assertEqual(self.session(d), WHOLE)

    def greets(self, d, port):
        try:
            with self.connect(d, self.bot(), port=port, greet=False) as c:
                return c.read().code == 220
        except (OSError, mail.Closed):
            return False

    def test_a_reload_while_another_awaits_its_backend(self):
        """The last word counts, at once."""
        d = self.serve(source="self")
        first = list(d.conf.conf["listeners"])
        other = self.conf(self.fake({"banner": fakes.STALL}), source="self").conf["listeners"][0]
        for listeners in (first + [dict(other, name="other")], first):
            d.conf.conf["listeners"] = listeners
            d.conf.conf["policy"]["help_url"] = "https://example.org/%d" % len(listeners)
            d.conf.write()
            d.process.send_signal(signal.SIGHUP)
            if len(listeners) == 2:
                time.sleep(0.5)
                self.assertNotIn("reloaded", d.log_text())
        d.wait_log(": reloaded; listeners=1", 3)
        self.assertNotIn("not reloaded", d.log_text())
        self.hear(d)
        self.assert_code(self.send_one(d, self.bot(), "u@" + self.name("acme"))[1], 550, "https://example.org/1")
        time.sleep(4)  # until the other backend's silence is known: that is no news any more
        self.assertEqual(d.log_text().count("reloaded"), 1)

    def test_hosted_domains_and_restart_only_keys(self):
        d = self.serve(self.fake())
        self.hear(d)
        acme = "user@" + self.name("acme")
        self.assert_code(self.send_one(d, self.bot(), acme)[1], 550)
        with open(d.conf.conf["hosted"][0]) as f:
            rest = [name for name in f if name.strip() != self.name("acme")]
        other = os.path.join(d.conf.dir, "hosted2")
        with open(other, "w") as f:
            f.writelines(rest)
        d.conf.conf["hosted"] = [other]
        d.conf.conf["workers"] = 3
        d.conf.write()
        self.reload(d)
        self.assertIn("workers changes with the next restart only", d.log_text())
        self.assert_code(self.send_one(d, self.bot(), acme)[1], 250)
        d.conf.conf["domains"] = [{"name": self.name("acme")}]
        d.conf.write()
        self.reload(d)
        self.wait("the door is shut", lambda: self.send_one(d, self.bot(), acme)[1].code == 550)

    # Restart ----------------------------------------------------------------------------------

    def successor(self, d, sign=signal.SIGUSR2):
        """The process that takes over; it is ended after the case."""
        n = len(self.pids(d))
        os.kill(self.pids(d)[-1] if n else d.pid, sign)
        self.wait("another process takes over", lambda: len(self.pids(d)) > n, 20)
        return self.pids(d)[-1]

    def pids(self, d):
        return [int(p) for p in re.findall(r"restart: pid=(\d+) takes the sessions", d.log_text())]

    def end_successors(self, d):
        for pid in self.pids(d):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        self.wait("all ends", lambda: not any(map(self.runs, self.pids(d))), 15)

    def runs(self, pid):
        try:
            with open("/proc/%d/stat" % pid) as f:
                return f.read().rpartition(") ")[2][0] != "Z"
        except FileNotFoundError:
            return False

    def test_restart_under_load(self):
        backend = self.fake()
        d = self.serve(backend)
        self.addCleanup(self.end_successors, d)
        long = self.connect(d, self.bot())
        long.cmd("MAIL FROM:<long@lab-sender.net>")
        self.assert_code(long.cmd("RCPT TO:<u@%s>" % self.name("self")), 250)
        self.assert_code(long.cmd("DATA"), 354)
        long.send(b"Subject: long\r\n")
        idle = self.connect(d, self.bot())
        load = Load(self, d)
        for workers in (2, 4, 1, 3, 2, 2):  # sockets are more or fewer than workers
            d.conf.conf["workers"] = workers
            d.conf.write()
            self.successor(d)
            load.go_on(300)
        self.assertGreater(self.check(load, backend), 1800)
        self.assertIsNone(d.process.poll())
        # Neither knows of it.
        self.assert_code(idle.cmd("NOOP"), 250)
        long.send(b"\r\nx\r\n.\r\n")
        self.assert_code(long.read(), 250)
        self.assertIn(b"Subject: long\r\n\r\nx\r\n", backend.messages)
        for c in (idle, long):
            self.assert_code(c.cmd("QUIT"), 221)
        self.assertEqual(d.process.wait(10), 0)
        self.wait("the others but the last end", lambda: sum(map(self.runs, self.pids(d))) == 1)
        # one daemon has it all: its events, in one file
        self.assertEqual(self.session(d), WHOLE)

    def test_restart_and_reload_at_once(self):
        backend = self.fake()
        d = self.serve(backend)
        self.addCleanup(self.end_successors, d)
        load = Load(self, d)
        pid = d.pid
        for _ in range(4):
            os.kill(pid, signal.SIGHUP)
            pid = self.successor(d)
            os.kill(pid, signal.SIGHUP)
            load.go_on(50)
        self.check(load, backend)

    def test_nothing_learned_is_lost_by_restarts(self):
        state = os.path.join(self.place.new_dir("state"), "state.db")
        d = self.serve(self.fake(), state=state, policy={"action": "reject", "prove": {"mails": 500, "hours": 0}})
        self.addCleanup(self.end_successors, d)
        scanner, to = self.place.plan.mystery[0], ["user@" + self.name("mystery")]
        long = []
        for _ in range(3):
            for _ in range(4):
                self.assert_code(self.send_one(d, scanner, to)[1], 250)
            # one that the old process learns when the new one has begun
            long.append(self.connect(d, scanner))
            self.successor(d)
        self.assert_code(self.send_one(d, scanner, to)[1], 250)
        self.end_one(d, self.pids(d)[-1])
        for c in long:  # the last daemon has saved already
            self.assert_code(c.mail("f@lab-sender.net", to, b"x\r\n")[1], 250)
            c.cmd("QUIT")
        self.assertEqual(d.process.wait(10), 0)
        self.wait("all end", lambda: not any(map(self.runs, self.pids(d))), 10)
        db = sqlite3.connect(state)
        self.assertEqual(db.execute("SELECT sum(inside) FROM proof_domain").fetchone(), (16,))
        self.assertEqual(db.execute("SELECT inside FROM proof_scanner").fetchone(), (16,))
        db.close()

    def end_one(self, d, pid):
        os.kill(pid, signal.SIGTERM)
        self.wait("its end", lambda: not self.runs(pid), 10)

    def test_restart_that_fails(self):
        d = self.serve(self.fake())
        good = dict(d.conf.conf)
        d.conf.conf = {**good, "policy": {"action": "refuse"}}
        d.conf.write()
        d.process.send_signal(signal.SIGUSR2)
        d.wait_log("accepted: observe")
        # found out by the new process only
        d.conf.conf = {**good, "events": {"json": os.path.join(d.conf.dir, "missing/events")}}
        d.conf.write()
        d.process.send_signal(signal.SIGUSR2)
        d.wait_log("restart: the new process ended with status 1")
        self.assertEqual(self.session(d), WHOLE)
        d.conf.conf = good
        d.conf.write()
        self.addCleanup(self.end_successors, d)
        self.successor(d)
        self.assertEqual(self.session(d), WHOLE)

    # The backend ------------------------------------------------------------------------------

    def test_backend_down_and_up(self):
        backend = self.fake()
        d = self.serve(backend)
        self.assertEqual(self.session(d), WHOLE)
        backend.stop()
        self.session(d)
        self.assertIn("Connection refused", d.wait_log("is down: new sessions are answered 421"))
        self.assertIn(421, self.session(d))
        # no session is needed for its return
        self.fake(port=backend.port)
        d.wait_log("answers again")
        self.assertEqual(self.session(d), WHOLE)
        for kind in ("backend-down", "backend-up"):
            self.wait(kind, lambda: len(d.notes(kind)) == 1)

    def test_backend_that_accepts_and_is_silent(self):
        """As one that is stopped (SIGSTOP): the kernel goes on taking connections for it."""
        stalled = threading.Event()
        backend = self.fake({"banner": lambda: fakes.STALL if stalled.is_set() else "220 fake.lab-hosting.net ESMTP"})
        d = self.serve(backend, limits={"timeouts": {"backend": "2s"}})
        self.assertEqual(self.session(d), WHOLE)
        stalled.set()
        self.assertEqual(self.session(d)[0], 421)
        self.assertIn('"no greeting"', d.wait_log("is down: new sessions are answered 421"))
        before = len(backend.sessions)
        held = [self.connect(d, self.bot(), greet=False) for _ in range(20)]
        self.assertEqual({c.read().code for c in held}, {421})
        # one a second may try, from its own address
        self.assertLess(len(backend.sessions) - before, 10)
        stalled.clear()
        d.wait_log("answers again")
        self.assertEqual(self.session(d), WHOLE)

    # Files ------------------------------------------------------------------------------------

    def test_rotation(self):
        d = self.serve(self.fake())
        _, reply = self.send_one(d, self.bot(), "user@" + self.name("acme"))
        d.wait_events(1)
        os.rename(d.events_file, d.events_file + ".1")
        # even with a file that can't be served
        with open(d.conf.file, "a") as f:
            f.write("nonsense: [\n")
        self.reload(d, "not reloaded")
        self.wait("the new file", lambda: os.path.exists(d.events_file))
        self.send_one(d, self.bot(), "user@" + self.name("acme"))
        d.wait_events(1)
        with open(d.events_file + ".1") as f:
            self.assertEqual(sum("event" not in json.loads(line) for line in f), 1)

    def test_events_come_and_go(self):
        d = self.serve(self.fake())
        other = os.path.join(d.conf.dir, "other.jsonl")
        self.assertEqual(self.session(d), WHOLE)
        d.wait_events(1)
        for events, there in (({}, 0), ({"json": other}, 1), ({}, 1), ({"json": d.events_file}, 1)):
            d.conf.conf["events"] = events
            d.conf.write()
            self.reload(d)
            self.assertEqual(self.session(d), WHOLE)
            self.assertEqual(os.path.exists(other), bool(there))
        d.wait_events(2)
        with open(other) as f:
            self.assertEqual(sum("event" not in json.loads(line) for line in f), 1)

    def test_folder_out_of_reach(self):
        """Where the daemon is confined to the folders it began with, that is said."""
        d = self.serve(self.fake())
        d.conf.conf["events"] = {"json": os.path.join(self.place.new_dir("elsewhere"), "events.jsonl")}
        d.conf.write()
        d.process.send_signal(signal.SIGHUP)
        self.wait("the reload", lambda: "reloaded" in d.log_text())
        if "not reloaded" in d.log_text():
            self.assertIn("that takes an end and a start", d.log_text())
        self.assertEqual(self.session(d), WHOLE)

    def full_disk(self, size="16k"):
        where = os.path.join(self.place.new_dir("disk"), "full")
        os.mkdir(where)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "none", where],
                                               stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("needs to mount a file system")
        self.addCleanup(subprocess.run, ["umount", "-l", where])
        return where

    def test_full_disk(self):
        where = self.full_disk()
        backend = self.fake()
        conf = self.conf(backend, events={"json": where + "/events.jsonl"})
        d = self.start(conf)
        load = Load(self, d)
        d.wait_log("No space left on device")
        time.sleep(1)
        self.assertGreater(self.check(load, backend), 20)
        # with room again, events are written again, in whole lines
        with open(where + "/events.jsonl", "w"):
            pass
        conf.events_file = d.events_file = where + "/events.jsonl"
        self.assertEqual(self.session(d), WHOLE)
        self.wait("an event", lambda: os.path.getsize(d.events_file) > 10)

    def fill(self, where):
        """To the last octet."""
        with open(where + "/rest", "wb", 0) as f:
            try:
                while f.write(b"x" * 1000):
                    pass
            except OSError:
                pass

    def test_full_disk_of_the_state(self):
        """Mail goes on, a restart too, and what was learned meanwhile is saved when there is room again."""
        where = self.full_disk("512k")
        backend, state = self.fake(), where + "/state.db"
        d = self.serve(backend, state=state, policy={"prove": {"mails": 500, "hours": 0}})
        self.addCleanup(self.end_successors, d)
        self.fill(where)
        scanner, to = self.place.plan.mystery[0], ["user@" + self.name("mystery")]
        for _ in range(4):
            self.assert_code(self.send_one(d, scanner, to)[1], 250)
        long = self.connect(d, scanner)
        load = Load(self, d, 2)
        self.addCleanup(load.stop)
        self.successor(d)
        self.assertIn("full", d.wait_log("what was learned last is not saved"))
        load.go_on(50)
        load.stop()
        self.assertEqual(load.wrong, [])
        os.unlink(where + "/rest")
        self.assert_code(long.mail("f@lab-sender.net", to, b"x\r\n")[1], 250)
        long.cmd("QUIT")
        self.assertEqual(d.process.wait(10), 0)
        self.end_one(d, self.pids(d)[-1])
        db = sqlite3.connect(state)
        self.assertEqual(db.execute("SELECT sum(inside) FROM proof_domain").fetchone(), (5,))
        db.close()

    def test_start_with_a_full_disk(self):
        where = self.full_disk("512k")
        self.fill(where)
        conf = self.conf(self.fake(), state=where + "/state.db", events={"json": where + "/events.jsonl"})
        d = self.start(conf)
        self.assertEqual(self.session(d), WHOLE)
        d.wait_log("No space left on device")
        os.unlink(where + "/rest")
        d.wait_log("state.db.doors is saved again", 20)
        d.stop()
        self.assertEqual([f for f in os.listdir(where) if ".bad" in f], [])
        d.start()
        self.assertNotIn("doors=0 ", d.wait_log("snapshot doors="))

    def test_full_disk_at_the_start_takes_nothing_that_was_known(self):
        where = self.full_disk("512k")
        d = self.serve(self.fake(), state=where + "/state.db", policy={"prove": {"mails": 1, "hours": 0}})
        scanner, to = self.place.plan.mystery[0], ["user@" + self.name("mystery")]
        for _ in range(2):
            self.assert_code(self.send_one(d, scanner, to)[1], 250)
        d.wait_log("proven")
        d.stop()
        self.fill(where)
        d.start()
        log = d.wait_log("snapshot doors=")
        self.assertNotIn("doors=0 ", log)
        self.assertNotIn("no scanner is proven", d.log_text())
        self.assertEqual(self.session(d), WHOLE)

    def test_file_size_limit(self):
        backend = self.fake()
        d = self.serve(backend)
        subprocess.run(["prlimit", "--pid", str(d.pid), "--fsize=4096"], check=True)
        load = Load(self, d)
        d.wait_log("File too large")
        load.go_on(100)
        self.check(load, backend)
