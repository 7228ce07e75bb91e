"""Start and stop of NSD, Unbound and Exim from their unpacked packages, with their own small
configurations; each server is a child in a namespace and dies with the lab."""
import os
import signal
import socket
import subprocess
import threading
import time

from . import paths

EXIM_UID = 61025  # what Exim runs as when we are root; any number that nobody has


def wait_for(what, condition, seconds=15.0, process=None):
    end = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None:
            raise RuntimeError("%s: ended with %s" % (what, process.returncode))
        if time.monotonic() > end:
            raise TimeoutError("%s: not ready after %g s" % (what, seconds))
        time.sleep(0.02)


class Server:
    """One running program. log is a file that it writes its standard output and errors to."""

    def __init__(self, ns, name, argv, log, ready, env=None, before=None, seconds=15.0):
        self.name, self.log, self.ns = name, log, ns
        self.how = (argv, before, env, ready, seconds)
        self.start()

    def start(self):
        argv, before, env, ready, seconds = self.how
        with open(self.log, "ab") as out:
            self.process = self.ns.popen(argv, before=before, env=env, stdin=subprocess.DEVNULL,
                                         stdout=out, stderr=out)
        try:
            wait_for(self.name, ready, seconds, self.process)
        except (RuntimeError, TimeoutError) as e:
            self.stop(signal.SIGKILL)
            raise RuntimeError("%s\n%s" % (e, self.tail())) from None

    def tail(self, lines=15):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def stop(self, sig=signal.SIGTERM, seconds=10.0):
        """Returns the exit status; kills what doesn't end in time."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def nsd(ns, directory, internet, port=53):
    """Authoritative for the whole lab Internet."""
    internet.write(os.path.join(directory, "zones"))
    conf = write(os.path.join(directory, "nsd.conf"), """\
server:
%s
	port: %d
	username: ""
	chroot: ""
	zonesdir: "%s"
	pidfile: ""
	database: ""
	zonelistfile: "%s/nsd.zones"
	xfrdfile: ""
	xfrdir: "%s"
	server-count: 1
	rrl-ratelimit: 0
	rrl-whitelist-ratelimit: 0
	verbosity: 1
remote-control:
	control-enable: no
include: "%s/zones/zones.conf"
""" % ("\n".join("\tip-address: %s" % a for a in internet.plan.nsd), port, directory, directory,
       directory, directory))
    first = internet.plan.nsd[0]
    return Server(ns, "nsd", [paths.program("nsd"), "-d", "-c", conf],
                  os.path.join(directory, "nsd.log"), lambda: ns.listens(port, first),
                  env=paths.environment())


def unbound(ns, directory, internet, port=53, nsd_port=53):
    """The recursive resolver: iterates from the lab's own root; asks NSD for everything where that
    isn't on port 53."""
    plan = internet.plan
    hints = write(os.path.join(directory, "root.hints"), "".join(
        ". 3600 NS ns%d.labdns.net.\nns%d.labdns.net. 3600 A %s\n" % (i, i, a)
        for i, a in enumerate(plan.nsd, 1)))
    to = dict(internet.foreign(), **{".": plan.nsd[0]}) if nsd_port != 53 else {}
    forward = "".join('forward-zone:\n\tname: "%s"\n\tforward-addr: %s@%d\n' % (zone, a, nsd_port)
                      for zone, a in to.items())
    conf = write(os.path.join(directory, "unbound.conf"), """\
server:
	interface: %s
	port: %d
	access-control: 0.0.0.0/0 allow
	access-control: ::/0 allow
	username: ""
	chroot: ""
	directory: "%s"
	pidfile: ""
	use-syslog: no
	module-config: "iterator"
	do-not-query-localhost: no
	num-threads: 1
	root-hints: "%s"
	unblock-lan-zones: yes
	local-zone: "in-addr.arpa." nodefault
	local-zone: "2.0.192.in-addr.arpa." nodefault
	local-zone: "100.51.198.in-addr.arpa." nodefault
	local-zone: "113.0.203.in-addr.arpa." nodefault
	local-zone: "127.in-addr.arpa." nodefault
	local-zone: "8.b.d.0.1.0.0.2.ip6.arpa." nodefault
	do-ip6: no
	qname-minimisation: no
	infra-host-ttl: 5
	ratelimit: 0
%sremote-control:
	control-enable: no
""" % (plan.unbound, port, directory, hints, forward))
    return Server(ns, "unbound", [paths.program("unbound"), "-d", "-p", "-c", conf],
                  os.path.join(directory, "unbound.log"), lambda: ns.listens(port, plan.unbound),
                  env=paths.environment())


class BadNameserver:
    """Answers every question with the same rcode; a thread of the lab."""

    def __init__(self, ns, address, rcode, port=53):
        with ns:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.rcode = rcode
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        # A thread that sleeps in recvfrom() would keep the port: shutdown() wakes it.
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _serve(self):
        try:
            while True:
                query, peer = self.socket.recvfrom(4096)
                if len(query) > 16:
                    self.socket.sendto(query[:2] + bytes([0x80 | query[2] & 0x79, self.rcode])
                                       + query[4:6] + bytes(6) + query[12:_question_end(query)], peer)
        except OSError:
            pass


def _question_end(query):
    pos = 12
    while query[pos]:
        pos += query[pos] + 1
    return pos + 5


EXIM_CONF = """\
# Everything that comes in for a hosted domain is kept whole, one file a message.
exim_user = {uid}
exim_group = {gid}
exim_path = {program}
keep_environment = LD_LIBRARY_PATH : LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path =
primary_hostname = host.lab-hosting.net
local_interfaces = <; {interfaces}
daemon_smtp_ports = {port}
{main}
{received}
trusted_users = {uid}
deliver_drop_privilege = true
never_users =
accept_8bitmime = true
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
pipelining_advertise_hosts = *
pipelining_connect_advertise_hosts = *
prdr_enable = true
tls_advertise_hosts = *
message_size_limit = 50M
smtp_accept_max = 300
smtp_accept_queue_per_connection = 0
smtp_accept_reserve = 0
smtp_receive_timeout = 60s
smtp_connect_backlog = 256
recipients_max = 2000
smtp_max_synprot_errors = 20
remote_max_parallel = 1
helo_allow_chars = _
acl_smtp_rcpt = rcpt
acl_smtp_vrfy = accept
acl_smtp_expn = accept
acl_not_smtp = accept
domainlist local_domains = lsearch;{dir}/domains : @
hostlist relay_hosts = <; {relay}

begin acl
{acl}rcpt:
{rcpt}	deny	local_parts = nosuchuser
		message = no such user here
	accept	authenticated = *
	accept	hosts = +relay_hosts
	accept	domains = +local_domains
	deny	message = relay not permitted

begin routers
{routers}store:
	driver = accept
	transport = store

begin transports
store:
	driver = appendfile
	directory = {dir}/store
	directory_file = $message_exim_id
	create_directory
	message_prefix =
	message_suffix =
	batch_max = 10000
	user = {uid}
	group = {gid}
	delivery_date_add = false
	envelope_to_add = false
	return_path_add = false
	quota = 0
{transports}
begin authenticators
plain:
	driver = plaintext
	public_name = PLAIN
	server_prompts = :
	server_condition = ${{if and{{{{eq{{$auth2}}{{user}}}}{{eq{{$auth3}}{{secret}}}}}}}}
	server_set_id = $auth2
	server_advertise_condition = {advertise}
login:
	driver = plaintext
	public_name = LOGIN
	server_prompts = Username:: : Password::
	server_condition = ${{if and{{{{eq{{$auth1}}{{user}}}}{{eq{{$auth2}}{{secret}}}}}}}}
	server_set_id = $auth1
	server_advertise_condition = {advertise}
{authenticators}"""

# What may differ from one start of Exim to the next: pieces of its configuration.
EXIM_SETTINGS = {
    "main": """\
timezone = UTC
log_selector = +incoming_interface +incoming_port +received_recipients +received_sender +subject +pid
host_lookup =
rfc1413_query_timeout = 0s""",
    "acl": "",  # ACLs of its own
    "rcpt": "",  # what comes first in the ACL for RCPT
    "routers": "",
    "transports": "",
    "received": "received_header_text =",  # none: what is stored is what came
    "advertise": "true",  # whether AUTH is offered
    "authenticators": "",
}


class Exim(Server):
    """The mail server behind frontdoor. dir/store has the messages, dir/log/mainlog the log."""

    def __init__(self, ns, directory, domains, interfaces, relay, port=25):
        self.dir, self.port = directory, port
        self.interfaces, self.relay = interfaces, relay
        uid = EXIM_UID if os.geteuid() == 0 else os.geteuid()
        gid = EXIM_UID if os.geteuid() == 0 else os.getegid()
        self.owner = uid, gid
        for sub in ("", "spool", "log", "store"):
            os.makedirs(os.path.join(directory, sub), mode=0o755, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(os.path.join(directory, sub), uid, gid)
        write(os.path.join(directory, "domains"), "".join(d + "\n" for d in domains))
        self.conf = os.path.join(directory, "exim.conf")
        self.configure()
        # Debian's Exim wants its own user to exist; here it does, without touching /etc/passwd.
        env = paths.environment(
            LD_PRELOAD=paths.library("libnss_wrapper.so"),
            NSS_WRAPPER_PASSWD=write(os.path.join(directory, "passwd"),
                                     "root:x:0:0::/:/bin/sh\nDebian-exim:x:%d:%d::/:/bin/sh\n" % (uid, gid)),
            NSS_WRAPPER_GROUP=write(os.path.join(directory, "group"),
                                    "root:x:0:\nDebian-exim:x:%d:\n" % gid))
        env["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"

        def drop():
            os.umask(0o022)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(gid)
                os.setuid(uid)

        super().__init__(ns, "exim", [paths.program("exim4"), "-C", self.conf, "-bdf", "-q1h"],
                         os.path.join(directory, "exim.log"), lambda: ns.listens(port) and self.greets(interfaces[0]),
                         env=env, before=drop)

    def configure(self, **settings):
        """Takes effect at the next start."""
        uid, gid = self.owner
        fill = dict(uid=uid, gid=gid, dir=self.dir, program=paths.program("exim4"), port=self.port,
                    interfaces="; ".join(self.interfaces), relay="; ".join(self.relay))
        pieces = {name: settings.get(name, text).format(**fill) for name, text in EXIM_SETTINGS.items()}
        write(self.conf, EXIM_CONF.format(**fill, **pieces))

    def command(self, *args, **how):
        """As sendmail(1) on the same host: a process of Exim's with these arguments."""
        _, before, env, _, _ = self.how
        return self.ns.popen([paths.program("exim4"), "-C", self.conf] + list(args), before=before,
                             env=env, **how)

    def greets(self, address):
        """Its first answer takes long (a certificate is made); nobody else should wait for it."""
        with self.ns:
            s = socket.socket(socket.AF_INET)
        with s:
            s.settimeout(30)
            try:
                s.connect((address, self.port))
            except ConnectionRefusedError:  # it listens at another address so far
                return False
            s.recv(1000)
            s.sendall(b"EHLO lab\r\n")
            s.recv(4000)
            s.sendall(b"QUIT\r\n")
        return True
