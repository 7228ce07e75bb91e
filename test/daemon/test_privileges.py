"""Who the daemon is once it serves, what it can do, and what it says of what that user can't reach."""
import glob
import os
import pwd
import re

from harness.case import DaemonCase
from lab import servers

USER = "nobody"
FIRST_FREE = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
CAP_NET_BIND_SERVICE, CAP_NET_RAW = 1 << 10, 1 << 13


def write(file, text):
    with open(file, "w") as f:
        f.write(text)


def status_of(pid):
    """Of each thread: {field: text}."""
    out = []
    for file in glob.glob("/proc/%d/task/*/status" % pid):
        with open(file) as f:
            out.append({k: v.strip() for k, _, v in (line.partition(":") for line in f)})
    return out


class Privileges(DaemonCase):
    def limited(self, daemon, uid, caps):
        threads = status_of(daemon.pid)
        with open("/proc/%d/exe" % daemon.pid, "rb") as f:
            filtered = "0" if b"__asan_init" in f.read() else "2"  # a sanitizer's calls are not in the list
        self.assertGreater(len(threads), 3)
        for t in threads:
            with self.subTest(t["Name"]):
                self.assertEqual(t["Uid"].split(), [str(uid)] * 4)
                self.assertEqual((t["NoNewPrivs"], t["Seccomp"]), ("1", filtered))
                for field in ("CapEff", "CapPrm", "CapAmb"):
                    self.assertEqual(int(t[field], 16), caps, field)
                if os.geteuid() == 0:
                    self.assertEqual(int(t["CapBnd"], 16), caps)

    def need_root(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: becomes another user")

    def conf_of_user(self, **changes):
        """What the user must reach belongs to it; the folders above may be entered."""
        conf = self.conf(**dict({"user": USER}, **changes))
        uid, gid = pwd.getpwnam(USER)[2:4]
        for root, _, files in os.walk(conf.dir):
            for path in [root] + [os.path.join(root, f) for f in files]:
                os.chown(path, uid, gid)
        at = os.path.dirname(conf.dir)
        while at != "/" and not os.stat(at).st_mode & 0o1:
            os.chmod(at, os.stat(at).st_mode | 0o11)
            at = os.path.dirname(at)
        return conf

    def test_nothing_to_keep(self):
        self.limited(self.serve(source="self"), os.geteuid(), 0)

    def test_another_user(self):
        """Mail comes from the client's own address, and events and state are that user's."""
        self.need_root()
        self.need_client_source()
        conf = self.conf_of_user(source="client")
        conf.conf["state"] = os.path.join(conf.dir, "state.db")
        conf.write()
        daemon = self.start(conf)
        uid = pwd.getpwnam(USER).pw_uid
        self.limited(daemon, uid, CAP_NET_RAW)
        sender, replies, final = self.send(daemon, self.acme, "u@" + self.name("acme"))
        self.assert_code(final, 250)
        self.assert_delivered(sender, "u@" + self.name("acme"), client=self.acme)
        daemon.event(action="pass")
        for file in (daemon.events_file, os.path.join(conf.dir, "state.db.doors")):
            if os.path.exists(file):
                self.assertEqual(os.stat(file).st_uid, uid, file)
        self.assertTrue(os.path.exists(daemon.events_file))
        self.assertIn("user=nobody capabilities=\"CAP_NET_RAW\"", daemon.log_text())

    def test_low_port(self):
        """Bound after the change of the user."""
        self.need_root()
        conf = self.conf_of_user(source="self")
        with open(FIRST_FREE) as f:
            first = f.read()
        if int(first) <= 1001:  # our own namespace: the runner opened all of them
            self.addCleanup(write, FIRST_FREE, first)
            write(FIRST_FREE, "1002")
        conf.conf["listeners"][0]["bind"] = ["%s:%d" % (self.place.server, 1001)]
        conf.write()
        self.limited(self.start(conf), pwd.getpwnam(USER).pw_uid, CAP_NET_BIND_SERVICE)

    def test_no_such_user(self):
        self.need_root()
        conf = self.conf(user="no-such-user")
        status, out, err = conf.run("serve", "-c", conf.file)
        self.assertEqual((status, out), (78, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn("%s: user: there is no user no-such-user on this host; accepted:" % conf.file, err)
        status, out, err = conf.run("check", "-c", conf.file)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("warning: user no-such-user is not known on this host", out)

    def test_what_the_user_can_not_reach(self):
        self.need_root()
        conf = self.conf_of_user()
        hosted = conf.conf["hosted"][0]
        closed = os.path.join(conf.dir, "closed")
        os.mkdir(closed, 0o700)
        other = servers.write(os.path.join(closed, "others"), "example.org\n")
        conf.conf["hosted"].append(other)
        conf.write()
        os.chown(hosted, 0, 0)
        os.chmod(hosted, 0o600)
        os.chown(conf.dir, 0, 0)
        said = [r"hosted: %s: user nobody can't read it; accepted: .*chgrp" % re.escape(hosted),
                r"hosted: %s: user nobody can't enter %s; accepted: " % (re.escape(other), re.escape(closed)),
                r"events.json: %s: user nobody can't make files in it; accepted: .*chown" % re.escape(conf.dir)]
        status, out, err = conf.run("check", "-c", conf.file)
        self.assertEqual((status, err), (0, ""))
        for line in said:
            self.assertRegex(out, "(?m)^%s: warning: %s" % (re.escape(conf.file), line))
        status, out, err = conf.run("serve", "-c", conf.file)
        self.assertEqual((status, out), (78, ""), err)
        for line in said:
            self.assertRegex(err, "(?m)^warning %s" % line)
