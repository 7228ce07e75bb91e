"""A place of our own to run in: namespaces for network, mounts and processes.

Everything that the lab starts or sets up dies with the lab's first process, however that ends: the
process namespace kills the servers, and namespaces without processes vanish. Nothing has to be
cleaned up, and nothing of the machine is touched.

Three ways, the best one that is permitted:
  root      namespaces made as root
  user      the same inside an unprivileged user namespace
  loopback  none of that: servers on 127.0.0.0/8, high ports; frontdoor in listen mode only
"""
import os
import subprocess
import sys

ENV = "FRONTDOOR_LAB_ISOLATION"
PYTHON = "/usr/bin/python3"

COMMON = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
WAYS = {
    "root": ["unshare"] + COMMON,
    # Not root in there: Exim refuses to be a root that can't become anyone else.
    "user": ["unshare", "--map-user=61025", "--map-group=61025", "--keep-caps"] + COMMON,
}
# A veth pair and a mount are what the lab can't do without; both are tried before anything is shown.
PROBE = "ip link add fdprobe0 type veth peer name fdprobe1 && mount -t tmpfs tmpfs /mnt"


def _works(way):
    try:
        return subprocess.run(WAYS[way] + ["sh", "-c", PROBE], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def best_way():
    """Which of the ways this machine permits."""
    if os.environ.get("PATH", "").find("/sbin") < 0:
        os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    ways = ["root", "user"] if os.geteuid() == 0 else ["user"]
    return next((w for w in ways if _works(w)), "loopback")


def way():
    """The way we run in; None before enter()."""
    return os.environ.get(ENV)


def enter(want=None):
    """Runs this program again inside a place of its own, and doesn't return; inside, returns the way."""
    if way():
        return way()
    found = want or best_way()
    env = dict(os.environ, **{ENV: found, "PYTHONDONTWRITEBYTECODE": "1"})
    argv = [PYTHON, os.path.abspath(sys.argv[0])] + sys.argv[1:]
    if found == "loopback":
        os.execve(PYTHON, argv, env)
    # The shell is the first process of the new process namespace and reaps what Exim's
    # double-forked deliveries leave behind.
    # Not by exec: at the end of a run the terminal's ^C reaches all of them alike.
    os.execvpe("unshare", WAYS[found] + ["sh", "-c", '"$@"; exit $?', "sh"] + argv, env)
