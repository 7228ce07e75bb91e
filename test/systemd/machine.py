"""A Debian 12 with systemd as its process 1, in namespaces: booted, entered, powered off, gone without a trace.

prepare() makes the root that all runs have in common (debootstrap, from the machine's own mirror) below build/; a
Machine is an overlay of it in memory. Whoever makes one has to be the first process of a PID namespace, in mount and
network namespaces of its own: then nothing is left, however the test ends, but for an empty cgroup or two.
"""
import hashlib
import os
import pathlib
import re
import shutil
import stat
import subprocess
import time

SUITE = "bookworm"
# As on a mail server, and no more: what a package of ours needs beyond that, it has to name itself.
PACKAGES = "systemd-sysv dbus adduser cron exim4-daemon-light unbound nftables logrotate iproute2 netbase procps".split()
# Not of a mail server, and of no use here: they would write to hardware, ask the network, or take time.
MASKED = ("apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer exim4-base.timer "
          "getty.target systemd-update-utmp.service systemd-logind.service systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service").split()
# What a boot alone leaves behind, beside what dpkg and adduser keep.
NOT_OURS = re.compile(r"^(var/lib/(dpkg|apt|logrotate|systemd|ucf|exim4|unbound|dbus)|var/cache|var/spool|var/mail|var/tmp|"
                      r"var/log/(dpkg|alternatives|apt|journal|exim4|wtmp|btmp|lastlog|faillog)|"
                      r"etc/(passwd|shadow|group|gshadow|subuid|subgid)-?$|etc/(\.pwd\.lock|machine-id|\.updated|exim4|"
                      r"unbound|mailname|hosts|hostname|resolv\.conf)|var/\.updated|"
                      r"tmp|root|dev|proc|sys|run|etc/ld\.so\.cache|usr/share/info)")


class Impossible(Exception):
    """This machine can't do it, and why."""


def run(*argv, **kwargs):
    return subprocess.run([str(a) for a in argv], check=True, stdin=subprocess.DEVNULL, text=True, **kwargs)


def mirror():
    """Where this machine has its own packages of that suite from."""
    out = run("apt-get", "indextargets", "--format", "$(CREATED_BY) $(SITE) $(REPO_URI) $(CODENAME) $(COMPONENT)",
              stdout=subprocess.PIPE).stdout
    for line in out.splitlines():
        created, *_, uri, codename, component = line.split()
        if (created, codename, component) == ("Packages", SUITE, "main"):
            return uri
    raise Impossible(f"no source of {SUITE} main in apt's configuration")


def prepare(build, deb):
    """The root all runs share, and what the package depends on in it; made when there is none yet, or an older one."""
    depends = run("dpkg-deb", "-f", deb, "Depends", stdout=subprocess.PIPE).stdout
    key = hashlib.sha256(" ".join([SUITE, *PACKAGES, *MASKED, depends]).encode()).hexdigest()[:12]
    root, new = build / f"root-{key}", build / "root.new"
    if root.exists():
        return root
    for program in "debootstrap", "unshare", "nsenter":
        if not shutil.which(program):
            raise Impossible(f"{program} is not installed")
    build.mkdir(parents=True, exist_ok=True)
    with open(build / "debootstrap.log", "w") as log:
        try:
            for old in [new, *build.glob("root-*")]:
                if old.exists():
                    run("rm", "-rf", "--one-file-system", old)
            # What it mounts there goes with the mount namespace, even if it is killed.
            run("unshare", "--mount", "debootstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES), SUITE, new, mirror(),
                stdout=log, stderr=log)
            shutil.copy(deb, new / "root/frontdoor.deb")
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
            plan = run("chroot", new, "apt-get", "-s", "install", "/root/frontdoor.deb", stdout=subprocess.PIPE, env=env).stdout
            more = [w for w in re.findall(r"(?m)^Inst (\S+)", plan) if w != "frontdoor"]
            if more:
                run("chroot", new, "apt-get", "-qy", "install", "--no-install-recommends", *more, stdout=log, stderr=log,
                    env=env)
            (new / "root/frontdoor.deb").unlink()
        except (OSError, subprocess.SubprocessError) as e:
            raise Impossible(f"no root: {e}; {log.name} has all") from None
    for unit in MASKED:
        path = new / "etc/systemd/system" / unit
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/null")
    # None would make each boot the first one, for which systemd enables all there is.
    (new / "etc/machine-id").write_text("f0" * 16 + "\n")
    new.rename(root)
    return root


class Cgroup:
    """A cgroup of this test's own, that systemd takes for the root of all."""

    def __init__(self, folder):
        folder.mkdir()
        try:
            run("mount", "-t", "cgroup2", "cgroup2", folder)
        except subprocess.SubprocessError:
            raise Impossible("no cgroup2 here") from None
        self.name = f"frontdoor-test-{time.monotonic_ns()}"
        # Of runs that were killed: those with a process in them stay, rmdir(2) sees to that.
        for old in folder.glob("frontdoor-test-*"):
            self._remove(old)
        self.path = folder / self.name
        self.path.mkdir()

    def enter(self):
        (self.path / "cgroup.procs").write_text("0")

    @staticmethod
    def _remove(path):
        for top, folders, _ in os.walk(path, topdown=False):
            for name in [os.path.join(top, f) for f in folders] + [top] * (top == str(path)):
                try:
                    os.rmdir(name)
                except OSError:
                    pass

    def remove(self):
        end = time.monotonic() + 10
        while self.path.exists() and time.monotonic() < end:
            self._remove(self.path)
            time.sleep(0.05)


class Machine:
    BOOT = r"""
read go
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm run/old
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
for n in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
	mknod -m 666 dev/"${n%%:*}" c $(echo "${n#*:}" | tr : ' ')
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
hostname mail
mount --make-rprivate /
pivot_root . run/old
umount -l /run/old
rmdir /run/old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb /lib/systemd/systemd --log-target=journal-or-kmsg --show-status=no
"""

    def __init__(self, base, folder):
        self.base, self.folder = base, folder
        # The upper layer can't be an overlay itself, and this machine's root may be one.
        run("mount", "-t", "tmpfs", "tmpfs", folder)
        self.upper, work, self.path = (folder / n for n in ("upper", "work", "root"))
        for f in self.upper, work, self.path:
            f.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={self.upper},workdir={work}", self.path)
        # pivot_root wants a mount of its own
        self.cgroup = Cgroup(folder / "cgroup")
        self.init = self.process = None

    def __truediv__(self, name):
        """A file there. With links in a path outside of it, these are followed out here."""
        return self.path / str(name).lstrip("/")

    def boot(self, connect):
        """connect(pid) when its network namespace is there, and before systemd is."""
        log = open(self.folder / "boot.log", "a")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid", "--fork", "--kill-child",
             "sh", "-ec", self.BOOT, "sh", str(self.path)],
            stdin=subprocess.PIPE, stdout=log, stderr=log, preexec_fn=self.cgroup.enter)
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.init = self._until(lambda: (children.read_text().split() or [None])[0], 10, "no process 1")
        connect(self.init)
        self.process.stdin.write(b"go\n")
        self.process.stdin.close()
        state = self._until(lambda: re.match("running|degraded", self.sh("systemctl is-system-running", status=None)), 60,
                            "systemd does not come up")
        return state[0]

    def _until(self, true, seconds, what):
        end = time.monotonic() + seconds
        while True:
            found = self.process.poll() is None and true()
            if found:
                return found
            if self.process.poll() is not None or time.monotonic() > end:
                jobs = self.process.poll() is None and self.sh("systemctl list-jobs; journalctl -b --no-pager | tail -30", status=None)
                self.end()
                raise Impossible(f"{what}: {(self.folder / 'boot.log').read_text()[-2000:]} {jobs or ''}")
            time.sleep(0.1)

    def argv(self, *argv):
        return ["nsenter", "--target", self.init, "--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid", "--root",
                "--wdns=/", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive",
                *map(str, argv)]

    def run(self, *argv, status=0, timeout=120):
        """What it says on both streams; status None: whatever it is."""
        p = subprocess.run(self.argv(*argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=timeout)
        if status is not None and p.returncode != status:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit {p.returncode}\n{p.stdout}")
        return p.stdout

    def sh(self, text, **kwargs):
        return self.run("sh", "-c", text, **kwargs)

    def show(self, unit, *names):
        """Properties of a unit: one, or a dict of them."""
        out = self.run("systemctl", "show", "-p", ",".join(names), unit)
        found = dict(line.split("=", 1) for line in out.splitlines())
        return found[names[0]] if len(names) == 1 else found

    def power_off(self):
        """As an administrator does. Seconds until it was off."""
        start = time.monotonic()
        self.run("systemctl", "poweroff", status=None)
        try:
            self.process.wait(90)
        finally:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - start

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()  # --kill-child: and process 1, with all of its namespace
            self.process.wait()
        self.cgroup.remove()

    def changed(self):
        """Files and folders that are not as in the root of all runs."""
        found = set()
        for top, folders, files in os.walk(self.upper):
            for name in folders + files:
                path = pathlib.Path(top) / name
                inner = str(path.relative_to(self.upper))
                lower = self.base / inner
                gone = stat.S_ISCHR(path.lstat().st_mode)
                same = os.path.isdir(path) and lower.is_dir() or gone and not os.path.lexists(lower)
                if not NOT_OURS.match(inner) and not same:
                    found.add(inner)
        return found
