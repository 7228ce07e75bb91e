"""Cases of the daemon with its kernel process: in both modes (lab, the daemon's namespace, family), or (lab)."""
import ctypes
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time

from .lab import CLIENT, LIBC, ROOT, SmtpClient, TRUSTED
from .meet import Transfer, alive, daemons, equal, kernel_process, serving, strange, until


def mail_after(lab, ns, family, fail, how):
    """Hang or death: within five seconds a new connection has its other way."""
    want = {"open": "direct", "closed": "refused"}[fail]
    serving(lab, ns, fail)
    equal(strange(lab, family), "steered", "before")
    transfer = Transfer(lab, family)
    before = SmtpClient(lab.world, family)
    lab.daemon.send_signal(how)
    time.sleep(5)
    for _ in range(3):
        equal(strange(lab, family), want, "five seconds later")
    for _ in range(2):
        c = SmtpClient(lab.world, family, TRUSTED)
        equal(c.steered, False, "trusted client")
        c.close()
    if how == signal.SIGSTOP:
        lab.daemon.send_signal(signal.SIGCONT)
        until("steered again", lambda: strange(lab, family) == "steered")
        equal(before.ask(b"NOOP\r\n")[:3], b"250", "the session that was there before")
    before.close()
    transfer.end()


def case_hang_open(lab, ns, family):
    mail_after(lab, ns, family, "open", signal.SIGSTOP)


def case_hang_closed(lab, ns, family):
    mail_after(lab, ns, family, "closed", signal.SIGSTOP)


def case_death_open(lab, ns, family):
    mail_after(lab, ns, family, "open", signal.SIGKILL)


def case_death_closed(lab, ns, family):
    mail_after(lab, ns, family, "closed", signal.SIGKILL)


def case_all_hang(lab, ns, family):
    """The kernel process hangs too."""
    serving(lab, ns)
    transfer = Transfer(lab, family)
    pids = [lab.daemon.pid] + kernel_process(lab)
    equal(len(pids), 3, "processes")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(5)
        equal(strange(lab, family), "direct", "five seconds later")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    until("steered again", lambda: strange(lab, family) == "steered")
    transfer.end()


class Held:
    """One thread stands still, the others go on: as when it waits for what never comes."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, tid):
        self.tid = tid
        for request in (self.SEIZE, self.INTERRUPT):
            self.ptrace(request)
        os.waitpid(tid, self.WALL)

    def ptrace(self, request):
        if LIBC.ptrace(request, self.tid, None, None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def let_go(self):
        self.ptrace(self.DETACH)


def hold_worker(lab):
    """Which threads are workers is told by what is said when one stands still."""
    for thread in pathlib.Path(f"/proc/{lab.daemon.pid}/task").iterdir():
        if int(thread.name) == lab.daemon.pid:
            continue
        held = Held(int(thread.name))
        for _ in range(25):
            if "kernel=stuck" in lab.log():
                return held
            time.sleep(0.1)
        held.let_go()
    raise AssertionError("no thread is missed")


def case_worker_hangs(lab, ns, family):
    """One worker of several: no heartbeat, though the process is well and the others would answer."""
    serving(lab, ns)
    transfer = Transfer(lab, family)
    held = hold_worker(lab)
    try:
        time.sleep(4)  # it was said at the first beat that was left out
        for _ in range(3):
            equal(strange(lab, family), "direct", "when the last beat is over")
    finally:
        held.let_go()
    until("steered again", lambda: strange(lab, family) == "steered")
    transfer.end()


def case_serve_net(lab, ns, family):
    """Up and down with the daemon; without a trace."""
    before = lab.state(ns)
    lab.speak_smtp()
    lab.start_daemon(ns, "--net", "-c", lab.daemon_conf())
    until("steered", lambda: alive(ns) and strange(lab, family) == "steered")
    equal(lab.stop_daemon(), 0, "exit")
    equal(lab.state(ns), before, "after the end")
    equal(strange(lab, family), "direct", "after the end")


def case_set_changes(lab, ns, family):
    """Sessions go on when the sets change, also those of whom the change is about."""
    serving(lab, ns)
    stranger = SmtpClient(lab.world, family)
    transfer = Transfer(lab, family)
    both = f'{TRUSTED[4]}, "{TRUSTED[6]}", {CLIENT[4]}, "{CLIENT[6]}"'
    for trusted in (both, "", both):
        lab.net(ns, "up", "-c", lab.daemon_conf(trusted=trusted))
        equal(strange(lab, family), "direct" if trusted else "steered", "a new session")
        equal(stranger.ask(b"NOOP\r\n")[:3], b"250", "the steered session")
        for _ in range(30):
            time.sleep(0.02)
            equal(transfer.failure, None, "the session that goes straight")
    stranger.close()
    transfer.end()


DAEMON_CASES = [case_hang_open, case_hang_closed, case_death_open, case_death_closed, case_all_hang, case_worker_hangs,
                case_serve_net, case_set_changes]


def case_kernel_process_dies(lab):
    """It comes again, asks for its rules, and the heart goes on; it has one capability, no open door, no root."""
    ns = lab.gw
    os.chmod(lab.dir, 0o777)
    serving(lab, ns, user="nobody")
    watch, worker = kernel_process(lab)
    for pid in (watch, worker):
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                      if ":\t" in line)
        for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "CapInh"):
            equal(int(status[kind], 16), 1 << 12, f"{kind} (CAP_NET_ADMIN is 12)")
        equal(status["NoNewPrivs"], "1", "no_new_privs")
        equal(status["Seccomp"], lab.filtered(), "seccomp filter")
        equal(set(status["Uid"].split()), {str(pwd.getpwnam("nobody").pw_uid)}, "user")
        links = [os.readlink(f) for f in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        equal([f for f in links if "jsonl" in f], [], "the daemon's files")
    os.kill(worker, signal.SIGKILL)
    until("another one", lambda: len(found := kernel_process(lab)) == 2 and worker not in found)
    time.sleep(5)  # more than the last beat of the former one lasts
    until("heartbeat", lambda: alive(ns))
    equal(strange(lab, 4), "steered", "afterwards")
    equal(lab.log().count("starting it again"), 1, "said")
    lab.stop_daemon(signal.SIGKILL)
    until("its end", lambda: not os.path.exists(f"/proc/{watch}"))


def case_table_comes_and_goes(lab):
    """Said when there is none, when it is there, and when somebody takes it away."""
    ns = lab.gw
    lab.speak_smtp()
    conf = lab.daemon_conf()
    lab.start_daemon(ns, "-c", conf)
    until("absent", lambda: "kernel=absent" in lab.log())
    p = lab.net(ns, "up", "-c", conf)
    equal((p.stdout, p.stderr), ("", ""), "up, tested")
    until("steering", lambda: "kernel=steering" in lab.log())
    lab.net(ns, "down")
    until("absent again", lambda: lab.log().count("kernel=absent") == 2)
    events = pathlib.Path(lab.dir, "root.jsonl").read_text()
    for kind in ("kernel-absent", "kernel-steering"):
        equal(f'"{kind}"' in events, True, kind)


def case_heartbeat_is_cheap(lab):
    """No process each second: what the beats of some seconds cost the kernel process."""
    serving(lab, lab.gw)
    worker = kernel_process(lab)[1]
    stat = lambda: pathlib.Path(f"/proc/{worker}/stat").read_text().rsplit(") ", 1)[1].split()
    until("rules are in place", lambda: stat()[0] == "S")
    before, start = stat(), time.monotonic()
    time.sleep(5)
    after = stat()
    equal(after[13:15], before[13:15], "processor time of children")
    ticks = sum(int(x) for x in after[11:13]) - sum(int(x) for x in before[11:13])
    memory = int(pathlib.Path(f"/proc/{worker}/statm").read_text().split()[1]) * 4
    print(f"      heartbeat: {ticks * 10} ms of processor in {time.monotonic() - start:.0f} s; {memory} KiB resident")


def case_serve_net_rolled_back(lab):
    ns = lab.gw
    lab.speak_smtp()
    ns.run("nft", "add table inet host { chain in { type filter hook input priority 0; tcp dport 25 drop; }; }")
    try:
        before = lab.state(ns)
        lab.start_daemon(ns, "--net", "-c", lab.daemon_conf())
        equal(lab.daemon.wait(30), 1, "exit")
        lab.daemon = None
        equal("does not get through" in lab.log(), True, "said")
        until("as before", lambda: lab.state(ns) == before)
    finally:
        ns.run("nft", "delete", "table", "inet", "host", check=False)


def case_reload_and_restart(lab):
    """The rules follow a reload; the kernel process goes over to the process that takes the sockets, and its end takes
    all away."""
    ns = lab.gw
    before = lab.state(ns)
    lab.speak_smtp()
    lab.start_daemon(ns, "--net", "-c", lab.daemon_conf())
    try:
        until("steered", lambda: alive(ns) and strange(lab, 4) == "steered")
        session, transfer = SmtpClient(lab.world, 4), Transfer(lab, 6)
        lab.daemon_conf(trusted=f'{TRUSTED[4]}, "{TRUSTED[6]}", {CLIENT[4]}')
        lab.daemon.send_signal(signal.SIGHUP)
        until("reloaded", lambda: strange(lab, 4) == "direct")
        equal(strange(lab, 6), "steered", "who was not named")
        lab.daemon_conf()
        lab.daemon.send_signal(signal.SIGHUP)
        until("reloaded again", lambda: strange(lab, 4) == "steered")
        equal(session.ask(b"NOOP\r\n")[:3], b"250", "the session of before")

        former, process = lab.daemon, kernel_process(lab)
        former.send_signal(signal.SIGUSR2)
        until("another daemon", lambda: len(daemons(ns)) == 2)
        equal(session.ask(b"NOOP\r\n")[:3], b"250", "the session of before, when the other daemon is there")
        session.close()
        until("the end of the former", lambda: former.poll() == 0, 40)
        lab.daemon = None
        pid, = daemons(ns)
        time.sleep(5)  # more than the last beat of the former lasts
        equal(alive(ns), True, "heartbeat")
        for family in (4, 6):
            equal(strange(lab, family), "steered", "by the new one")
        equal([os.path.exists(f"/proc/{p}") for p in process], [True, True], "the same kernel process")
        transfer.end()
        os.kill(pid, signal.SIGTERM)
        until("its end", lambda: daemons(ns) == [], 40)
        until("the kernel process's end", lambda: not os.path.exists(f"/proc/{process[0]}"))
        equal(lab.state(ns), before, "afterwards")
    finally:
        for pid in daemons(ns):
            os.kill(pid, signal.SIGKILL)


def case_status(lab):
    """What status says of steering; a reload that brings the first listener in mode tproxy, or takes the last one away."""
    ns = lab.gw
    conf = lab.daemon_conf()
    text = pathlib.Path(conf).read_text() + "control: " + os.path.join(lab.dir, "control.sock") + "\n"
    pathlib.Path(conf).write_text(text)
    status = lambda: json.loads(ns.run(lab.frontdoor, "status", "-c", conf, "--json", check=False).stdout or "{}")
    state = lambda: status().get("kernel", {}).get("state")
    lab.speak_smtp()
    lab.start_daemon(ns, "-c", conf)
    until("absent", lambda: state() == "absent")
    equal("frontdoor net up puts it in place" in ns.run(lab.frontdoor, "status", "-c", conf).stdout, True, "for people")
    lab.net(ns, "up", "-c", conf)
    until("steering", lambda: state() == "steering")
    for process in kernel_process(lab):
        os.kill(process, signal.SIGSTOP)
    until("gone", lambda: state() == "gone", 10)
    for process in kernel_process(lab):
        os.kill(process, signal.SIGCONT)
    until("steering again", lambda: state() == "steering")

    listen = text.replace("mode: tproxy", "mode: listen, source: client").replace("backend: original", "backend: 127.0.0.1:25")
    pathlib.Path(conf).write_text(listen)
    lab.daemon.send_signal(signal.SIGHUP)
    until("said", lambda: "the kernel's rules stay as they were" in lab.log())
    lab.stop_daemon(signal.SIGKILL)
    lab.net(ns, "down")
    lab.start_daemon(ns, "-c", conf)
    until("not wanted", lambda: state() == "not-wanted")
    pathlib.Path(conf).write_text(text)
    lab.daemon.send_signal(signal.SIGHUP)
    until("gone", lambda: state() == "gone")
    equal("starting it again helps" in lab.log(), True, "said")


def case_calls(lab):
    """What the kernel process and nft ask of the kernel, in all that they have to do, is in their list, and what is not
    in it is not asked for."""
    ns, trace = lab.gw, os.path.join(lab.dir, "trace")
    os.chmod(lab.dir, 0o777)
    serving(lab, ns, user="nobody")
    watch, worker = kernel_process(lab)
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", trace, "-p", str(watch), "-p", str(worker)])
    try:
        until("traced", lambda: os.path.exists(trace) and os.path.getsize(trace) > 1000)
        for n, what in enumerate(("ip rule del pref 100", "nft flush ruleset")):
            ns.run("sh", "-e", "-c", what)
            until(what, lambda: lab.log().count("put back") == n + 1)
        for what in (lambda: lab.daemon.send_signal(signal.SIGHUP), lambda: os.kill(worker, signal.SIGKILL)):
            before = os.path.getsize(trace)
            what()
            until("rules", lambda: pathlib.Path(trace).read_text()[before:].count("execve(") >= 2)
        time.sleep(1.5)  # another beat: the rules are in place
        ns.run("nft", "flush", "ruleset")
        until("the other one's work", lambda: lab.log().count("put back") == 3)
        lab.stop_daemon()
        until("its end", lambda: not os.path.exists(f"/proc/{watch}"))
    finally:
        tracer.terminate()
        tracer.wait()
    text = pathlib.Path(trace).read_text()
    called = set(re.findall(r"^\d+ +(\w+)\(", text, re.M))
    source = (ROOT / "src/kernel/limit.c").read_text()
    listed = set(re.findall(r'"(\w+)"', source[:source.index("static const struct sandbox_socket")]))
    equal(called - listed - {"clone", "clone3", "ioctl", "mmap", "mprotect", "socket"}, set(), "called, not in the list")
    equal(called > {"execve", "sendmsg", "socket"}, True, "it was traced")
    if lab.filtered() == "2":
        refused = set(re.findall(r"(\w+)(?:\(.*| resumed>.*)= -1 ENOSYS", text))
        equal(refused - {"clone3"}, set(), "refused")


def case_up_while_it_hangs(lab, how=signal.SIGSTOP):
    """A new table (a tool that sets the host up runs net up again and again) doesn't steer to a daemon that hangs."""
    ns = lab.gw
    conf = serving(lab, ns)
    lab.daemon.send_signal(how)
    time.sleep(5)
    equal(strange(lab, 4), "direct", "it hangs")
    lab.net(ns, "up", "--no-test", "-c", conf)
    time.sleep(5)
    equal(strange(lab, 4), "direct", "five seconds after up")
    lab.daemon.send_signal(signal.SIGCONT)
    until("steered again", lambda: strange(lab, 4) == "steered")
    lab.net(ns, "up", "-c", conf)
    equal(strange(lab, 6), "steered", "up while it works")
