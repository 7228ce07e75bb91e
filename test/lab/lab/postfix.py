"""A real Postfix with Dovecot's authentication, from their unpacked packages; needs root, as Postfix's
master does."""
import glob
import os
import subprocess

from . import paths, servers

POSTFIX_UID, POSTDROP_GID = 61026, 61027  # any numbers that nobody has

MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {dir}
mail_owner = postfix
setgid_group = postdrop
default_privs = nobody
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
export_environment = $import_environment
myhostname = host.lab-hosting.net
inet_interfaces = {interfaces}
mydestination = $myhostname
mynetworks = {relay}
relayhost = [{next_hop}]
smtputf8_enable = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {dir}/auth.sock
smtpd_tls_security_level = may
smtpd_tls_chain_files = {certificate}
smtpd_tls_ask_ccert = yes
smtpd_tls_loglevel = 1
smtpd_relay_restrictions = permit_sasl_authenticated permit_mynetworks reject_unauth_destination
smtpd_recipient_restrictions = {restrictions}
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
smtpd_recipient_overshoot_limit = 2000
in_flow_delay = 0
alias_maps =
alias_database =
virtual_mailbox_domains = texthash:{dir}/domains
virtual_mailbox_base = {dir}/store
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_alias_maps = regexp:{dir}/aliases
transport_maps = regexp:{dir}/transports
header_checks = regexp:{dir}/headers
{more}
"""
MASTER = """\
{port} inet n - n - - smtpd
587 inet n - n - - smtpd -o syslog_name=$syslog_name_of_587
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
cat unix - n n - - pipe flags=R user=nobody argv=/bin/cat
"""
# What its parts expect of directories: (name, owner, group, mode).
QUEUES = [(d, "postfix", "root", 0o700) for d in (
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")] + [
    ("maildrop", "postfix", "postdrop", 0o1730), ("public", "postfix", "postdrop", 0o2710),
    ("pid", "root", "root", 0o755)]

DOVECOT = """\
base_dir = {dir}/dovecot
libexec_dir = {root}/usr/lib/dovecot
protocols =
ssl = no
log_path = {dir}/dovecot.log
auth_mechanisms = plain login cram-md5
auth_failure_delay = 0
disable_plaintext_auth = no
default_internal_user = mail
default_internal_group = mail
default_login_user = nobody
import_environment = LD_LIBRARY_PATH
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {dir}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home=/
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {dir}/auth.sock {{
    mode = 0666
  }}
}}
"""


class Postfix(servers.Server):
    """dir/maillog is its log; mail for the hosted domains goes to dir/store. Tables beside main.cf: text.
    services: more lines of master.cf."""

    def __init__(self, ns, directory, interfaces, relay, next_hop, certificate, restrictions, tables, more="",
                 zone="UTC", port=25, services=""):
        self.dir, self.port = directory, port
        self.maillog = os.path.join(directory, "maillog")
        root = os.path.join(paths.SERVERS, "root")
        ids = {"root": 0, "postfix": POSTFIX_UID, "postdrop": POSTDROP_GID, "nobody": 65534}
        os.mkdir(directory, 0o755)
        for name, owner, group, mode in [("spool", "root", "root", 0o755), ("data", "postfix", "postfix", 0o700),
                                         ("store", "postfix", "postfix", 0o755)] + [
                                             ("spool/" + q[0],) + q[1:] for q in QUEUES]:
            path = os.path.join(directory, name)
            os.mkdir(path)
            os.chown(path, ids[owner], ids[group])
            os.chmod(path, mode)
        for name, text in tables.items():
            servers.write(os.path.join(directory, name), text)
        fill = dict(dir=directory, root=root, uid=POSTFIX_UID, port=port, interfaces=", ".join(interfaces),
                    relay=" ".join("[%s]" % a if ":" in a else a for a in relay), next_hop=next_hop,
                    certificate=certificate, restrictions=restrictions, more=more)
        servers.write(os.path.join(directory, "main.cf"), MAIN.format(**fill))
        servers.write(os.path.join(directory, "master.cf"), (MASTER + services).format(**fill))
        servers.write(os.path.join(directory, "users"), "user:secret\n")
        users = {k: v for k, v in ids.items() if k != "postdrop"}
        self.env = paths.environment(
            MAIL_CONFIG=directory, TZ=zone, LD_PRELOAD=paths.library("libnss_wrapper.so"),
            NSS_WRAPPER_PASSWD=servers.write(os.path.join(directory, "passwd"), "".join(
                "%s:x:%d:%d::/:/bin/sh\n" % (u, i, i) for u, i in users.items())),
            NSS_WRAPPER_GROUP=servers.write(os.path.join(directory, "group"), "".join(
                "%s:x:%d:\n" % (u, i) for u, i in ids.items())))
        self._sendmail()
        self.dovecot = self._dovecot(ns, servers.write(os.path.join(directory, "dovecot.conf"), DOVECOT.format(**fill)))
        master = os.path.join(root, "usr/lib/postfix/sbin/master")
        super().__init__(ns, "postfix", [master, "-d"], os.path.join(directory, "master.log"),
                         lambda: ns.listens(port, interfaces[0]) and os.path.exists(self.maillog),
                         env=self.env, before=os.setsid)

    def stop(self, *how):
        status = super().stop(*how)
        self.dovecot.stop()
        return status

    def _dovecot(self, ns, conf):
        # doveconf has its own path compiled in; called first, it hands the configuration on. Its users are
        # ones that every Debian has.
        bin_path, lib = (os.path.join(paths.SERVERS, "root", d) for d in ("usr/bin", "usr/lib/dovecot"))
        env = paths.environment()
        env["LD_LIBRARY_PATH"] += ":%s/modules/old-stats" % lib
        argv = [os.path.join(bin_path, "doveconf"), "-c", conf, "-m", "master", "-e", paths.program("dovecot"), "-F",
                "-c", conf]
        return servers.Server(ns, "dovecot", argv, os.path.join(self.dir, "dovecot.out"),
                              lambda: os.path.exists(os.path.join(self.dir, "auth.sock")), env=env)

    def _sendmail(self):
        """Exim's package has a program of that name too: which one lies unpacked is chance."""
        deb = glob.glob(os.path.join(paths.SERVERS, "debs", "postfix_*.deb"))[0]
        self.sendmail = os.path.join(self.dir, "sendmail")
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as p, \
                open(self.sendmail, "wb") as out:
            subprocess.run(["tar", "-xO", "./usr/sbin/sendmail"], stdin=p.stdout, stdout=out, check=True)
        os.chmod(self.sendmail, 0o755)

    def command(self, *args, **how):
        return self.ns.popen([self.sendmail] + list(args), env=self.env, **how)
