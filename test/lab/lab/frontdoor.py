"""The daemon under test: its configuration for the lab, `net up`, `serve`, its events."""
import json
import os
import signal
import time

from . import paths, servers

# What each mode listens on. In the tproxy modes the kernel steers port 25 to it.
TPROXY_PORT = 2525


def configuration(lab, action="reject", break_egress=False, extra="", hosted=True,
                  policy="", rows=(), scanners=(), tls="hide: true", listeners="",
                  resolver="", fail="open"):
    """YAML. acme and guard are configured, mystery-scan.com is nobody's: guessed. listeners: more of them."""
    plan, listen = lab.plan, lab.mode == "listen"
    quoted = lambda items: "[%s]" % ", ".join('"%s"' % i for i in items)
    if listen:
        bind = ['%s:%d' % (("[%s]" % a) if ":" in a else a, lab.smtp_port) for a in plan.server]
        backend = "\n    backend: %s:%d" % (plan.backend[0], lab.exim_port)
    else:
        bind = ["127.0.0.1:%d" % TPROXY_PORT, "[::1]:%d" % TPROXY_PORT]
        backend = "\n    backend: original"
    printer_domain = lab.printer_domain.name
    guard_egress = '\n    egress: ["192.0.2.254/32"]' if break_egress else ""
    acme_mx = "*.acme-filter.net"
    return """\
listeners:
  - name: smtp
    mode: {mode}
    bind: {bind}{backend}
    fail: {fail}
{listeners}{server_addresses}
trusted: {trusted}
resolver: {{servers: ["{resolver}"], confirm: {confirm}{more}}}
policy: {{action: {action}{policy}}}
scanners:
  - name: acme
    mx: ["{acme_mx}"]
    egress: [mx]
  - name: guard
    mx: ["*.mx-guard.org"]{guard_egress}
{scanners}domains:
  - {{name: {printer_domain}, allow: {printer}}}
  - {{name: {defer_domain}, action: defer}}
{rows}{hosted}tls: {{{tls}}}
events: {{json: {events}}}
limits: {{per_client: 0}}  # one address is many clients here
user: root
{extra}""".format(
        mode="listen" if listen else "tproxy", bind=quoted(bind), backend=backend,
        server_addresses="server_addresses: " + quoted(plan.server),
        trusted=quoted(plan.monitor), resolver=lab.resolver,
        confirm="off" if lab.loopback else "authoritative", action=action, policy=policy,
        rows="".join("  - {%s}\n" % row for row in rows),
        scanners="".join("  - {%s}\n" % row for row in scanners),
        acme_mx=acme_mx, guard_egress=guard_egress, printer_domain=printer_domain,
        printer=quoted(plan.printer), defer_domain=lab.defer_domain.name,
        hosted="hosted: [%s]\n" % lab.path("exim", "domains") if hosted else "",
        events=lab.path("frontdoor", "events.jsonl"), extra=extra, tls=tls, listeners=listeners, more=resolver, fail=fail)


class Frontdoor(servers.Server):
    """Runs where the lab's mode wants it; start() and stop() can be repeated."""

    def __init__(self, lab, program=None, env=None, **conf):
        self.lab = lab
        self.program = os.path.abspath(program or os.path.join(paths.BUILD, "frontdoor"))
        self.where = lab.ns["mail" if lab.mode == "same-host" else "gw"]
        self.conf = lab.path("frontdoor", "frontdoor.yaml")
        self.events_file = lab.path("frontdoor", "events.jsonl")
        servers.write(self.conf, configuration(lab, **conf))
        self.net = False
        listen = lab.mode == "listen"
        port = lab.smtp_port if listen else TPROXY_PORT
        address = lab.plan.server[0] if listen else "127.0.0.1"
        super().__init__(self.where, "frontdoor", [self.program, "serve", "-c", self.conf],
                         lab.path("frontdoor", "frontdoor.log"),
                         lambda: self.where.listens(port, address), env=env)

    def start(self):
        super().start()
        if self.lab.mode != "listen" and not self.net:
            self.cli("net", "up", "-c", self.conf)
            self.net = True

    def net_down(self):
        self.cli("net", "down", "-c", self.conf)
        self.net = False

    def cli(self, *args, check=True):
        return self.where.run([self.program] + list(args), check=check)

    def kill(self):
        self.stop(signal.SIGKILL)

    def explain(self, client, server, *recipients):
        return self.cli("explain", "-c", self.conf, "--client", client, "--server", server,
                        *recipients, check=False)

    def events(self):
        """Typed events so far, oldest first; the daemon lets lines come together for a moment before it writes."""
        size = -1
        while size != (size := os.path.getsize(self.events_file) if os.path.exists(self.events_file) else 0):
            time.sleep(0.25)
        try:
            with open(self.events_file) as f:
                return [json.loads(line) for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []

