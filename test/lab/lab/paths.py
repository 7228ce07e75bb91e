"""Where things are: the tree, the build, the unpacked servers."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.join(ROOT, "build")
SERVERS = os.path.join(BUILD, "servers")
PACKAGES = ["exim4-daemon-heavy", "nsd", "unbound", "postfix", "dovecot-core", "swaks", "libnss-wrapper",
            "libio-socket-inet6-perl"]


def unpack():
    """Unpacks what the lab needs, if it isn't there. Before isolate.enter(): it needs the network."""
    subprocess.run([os.path.join(ROOT, "tools", "unpack-servers"), SERVERS] + PACKAGES, check=True)


def program(name):
    """A program of the unpacked packages."""
    for d in ("usr/sbin", "usr/bin"):
        path = os.path.join(SERVERS, "root", d, name)
        if os.path.exists(path):
            return path
    raise FileNotFoundError("%s: not below %s; run tools/unpack-servers" % (name, SERVERS))


def environment(**more):
    """For programs of the unpacked packages."""
    def read(name):
        with open(os.path.join(SERVERS, name)) as f:
            return f.read().strip()
    return dict(os.environ, LD_LIBRARY_PATH=read("lib-path"), PERL5LIB=read("perl-path"), **more)


def library(name):
    for d in environment()["LD_LIBRARY_PATH"].split(":"):
        if os.path.exists(os.path.join(d, name)):
            return os.path.join(d, name)
    raise FileNotFoundError(name)
