"""The daemon under test: `frontdoor serve` with a configuration of the case's own."""
import copy
import json
import os
import resource
import subprocess
import time

from lab import servers

from .place import free_port


def base_conf(place, directory, port, source):
    """What a case starts from: all is enforced, acme and guard are configured, all are hosted."""
    hosted = servers.write(os.path.join(directory, "hosted"),
                           "".join(d.name + "\n" for d in place.internet.domains))
    return {
        "listeners": [{"name": "smtp", "mode": "listen", "bind": ["%s:%d" % (place.server, port)],
                       "backend": "", "source": source}],
        "server_addresses": [place.server],
        "trusted": [],
        "resolver": {"servers": [place.resolver], "timeout_ms": 500, "confirm": "off"},
        "policy": {"action": "reject"},
        "scanners": [{"name": "acme", "mx": ["*.acme-filter.net"], "egress": ["mx"]},
                     {"name": "guard", "mx": ["*.mx-guard.org"]}],
        "hosted": [hosted],
        "tls": {"hide": True},
        "events": {"json": os.path.join(directory, "events.jsonl")},
        "workers": 2,
        "user": "root",  # directories of the cases are; test_privileges.py has another
    }


def merge(conf, changes):
    """Maps are merged; None takes a key away; anything else replaces."""
    out = copy.deepcopy(conf)
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


class Conf:
    """A configuration file. listener: changes to the only listener; backend: a port, or ADDRESS:PORT."""

    def __init__(self, place, backend, source=None, listener=None, **changes):
        self.place = place
        self.dir = place.new_dir("daemon")
        self.port = free_port(place.server)
        source = source or ("client" if place.can_be_client else "self")
        self.conf = merge(base_conf(place, self.dir, self.port, source), changes)
        if backend:
            backend = backend if isinstance(backend, str) else "%s:%d" % (place.backend, backend)
            for row in self.conf["listeners"]:
                row["backend"] = row["backend"] or backend
        if listener:
            self.conf["listeners"][0] = merge(self.conf["listeners"][0], listener)
        self.file = os.path.join(self.dir, "frontdoor.yaml")
        self.write()
        self.events_file = os.path.join(self.dir, "events.jsonl")

    def write(self):
        """JSON is YAML."""
        servers.write(self.file, json.dumps(self.conf, indent=1, ensure_ascii=False) + "\n")

    def run(self, *argv, timeout=20):
        """A command that ends by itself: (status, its output, its errors)."""
        p = subprocess.run([self.place.daemon] + list(argv), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, text=True)
        return p.returncode, p.stdout, p.stderr


class Daemon(servers.Server):
    """Is ready when it says so. descriptors: its limit of these."""

    def __init__(self, conf, descriptors=None):
        self.conf, self.place, self.port = conf, conf.place, conf.port
        self.events_file = conf.events_file
        self.old_log = 0  # what another daemon has left there

        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        log = os.path.join(conf.dir, "frontdoor.log")
        super().__init__(self.place.host, "frontdoor",
                         [self.place.daemon, "serve", "-c", conf.file], log,
                         lambda: " ready" in self.log_text(), before=limit)

    def start(self):
        self.old_log = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        super().start()

    @property
    def pid(self):
        return self.process.pid

    def log_text(self):
        with open(self.log, errors="replace") as f:
            f.seek(self.old_log)
            return f.read()

    def wait_log(self, text, seconds=10.0):
        servers.wait_for("log has '%s'" % text, lambda: text in self.log_text(), seconds)
        return next(line for line in self.log_text().splitlines() if text in line)

    def events(self, **match):
        """Events about recipients with these fields, as far as they are written."""
        try:
            with open(self.events_file, encoding="utf-8") as f:
                rows = [json.loads(line) for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [e for e in rows if "event" not in e and all(e[k] == v for k, v in match.items())]

    def notes(self, kind):
        with open(self.events_file, encoding="utf-8") as f:
            return [e for e in map(json.loads, f) if e.get("event") == kind]

    def wait_events(self, n=1, seconds=20.0, **match):
        """Exactly n of them, when they are written: many wait for the names of a door."""
        end = time.monotonic() + seconds
        while len(self.events(**match)) < n and time.monotonic() < end:
            time.sleep(0.02)
        found = self.events(**match)
        if len(found) != n:
            raise AssertionError("%d events instead of %d with %s\n%s" % (
                len(found), n, match, "\n".join(map(str, self.events()))))
        return found

    def event(self, **match):
        return self.wait_events(1, **match)[0]
