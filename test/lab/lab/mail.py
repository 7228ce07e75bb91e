"""SMTP clients and the scanners' relay, in plain sockets: what is said on the wire is what the test
wants to say, and each reply is kept."""
import base64
import itertools
import socket
import ssl
import threading

from .dns import DnsError

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
_count = itertools.count(1)


def token(word="m"):
    """An envelope sender of its own for each message: how it is found again in Exim's log."""
    return "%s-%d@lab-sender.net" % (word, next(_count))


def message(sender, subject="lab", body=b"Hello.\r\n"):
    return b"From: <%s>\r\nSubject: %s\r\n\r\n%s" % (sender.encode(), subject.encode(), body)


def virus(sender):
    """A mail as worms send it: the EICAR test file, attached."""
    return (b"From: <%s>\r\nTo: you\r\nSubject: Your invoice\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n"
            b"See attachment.\r\n--x\r\nContent-Type: application/octet-stream; name=invoice.exe\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--x--\r\n" % (
                sender.encode(), base64.b64encode(EICAR)))


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[-1][:3]) if lines and lines[-1][:3].isdigit() else 0

    @property
    def text(self):
        return "\n".join(self.lines)

    def __repr__(self):
        return "Reply(%r)" % self.text


class Closed(Exception):
    """The server closed the connection, or never answered it."""


def dial(ns, source, dest, port=25, timeout=30.0, source_port=0):
    family = socket.AF_INET6 if ":" in dest else socket.AF_INET
    with ns:
        s = socket.socket(family, socket.SOCK_STREAM)
    try:
        s.settimeout(timeout)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            s.bind((source, source_port))
        s.connect((dest, port))
    except BaseException:
        s.close()
        raise
    return s


class Smtp:
    """One connection. Commands as bytes or text without CRLF; a closed one raises Closed."""

    def __init__(self, ns, source, dest, port=25, timeout=30.0, helo="client.lab-sender.net", greet=True,
                 source_port=0):
        try:
            self.sock = dial(ns, source, dest, port, timeout, source_port)
        except OSError as e:
            raise Closed(str(e)) from None
        self.rest, self.helo = b"", helo
        self.banner = self.ehlo = None
        if greet:
            self.banner = self.read()
            if self.banner.code == 220:
                self.ehlo = self.cmd("EHLO " + helo)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Closed(str(e)) from None

    def line(self):
        while b"\n" not in self.rest:
            try:
                new = self.sock.recv(65536)
            except OSError as e:
                raise Closed(str(e)) from None
            if not new:
                raise Closed("closed by the server")
            self.rest += new
        got, self.rest = self.rest.split(b"\n", 1)
        return got.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def read(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return Reply(lines)

    def cmd(self, command):
        self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.read()

    def offers(self, keyword):
        return self.ehlo is not None and any(
            line[4:].split(" ")[0].upper() == keyword for line in self.ehlo.lines[1:])

    def starttls(self, helo="client.lab-sender.net", name=None, certificate=None):
        """name: for SNI; certificate: a PEM file of our own with its key."""
        reply = self.cmd("STARTTLS")
        if reply.code != 220:
            raise Closed("STARTTLS: %s" % reply.text)
        self.secure(name, certificate)
        self.ehlo = self.cmd("EHLO " + helo)
        return self.ehlo

    def secure(self, name=None, certificate=None):
        """The handshake alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=name, suppress_ragged_eofs=False)
        except OSError as e:
            raise Closed(str(e)) from None

    def login(self, user="user", password="secret"):
        return self.cmd("AUTH PLAIN " + base64.b64encode(
            b"\0" + user.encode() + b"\0" + password.encode()).decode())

    def mail(self, sender, recipients, content, pipelining=True, chunking=False, params=""):
        """One transaction. Returns (reply per recipient, reply to the message or None)."""
        start = ["MAIL FROM:<%s>%s" % (sender, params)] + ["RCPT TO:<%s>" % r for r in recipients]
        if pipelining and self.offers("PIPELINING"):
            self.send("".join(c + "\r\n" for c in start).encode())
            replies = [self.read() for _ in start]
        else:
            replies = [self.cmd(c) for c in start]
        if replies[0].code != 250:
            return [replies[0]] * len(recipients), None
        if not any(r.code in (250, 251) for r in replies[1:]):
            self.cmd("RSET")
            return replies[1:], None
        return replies[1:], self.content(content, chunking)

    def content(self, content, chunking=False):
        if chunking:
            half = len(content) // 2
            self.send(b"BDAT %d\r\n" % half + content[:half]
                      + b"BDAT %d LAST\r\n" % (len(content) - half) + content[half:])
            first = self.read()
            return self.read() if first.code == 250 else first
        reply = self.cmd("DATA")
        if reply.code != 354:
            return reply
        body = content.replace(b"\r\n.", b"\r\n..")
        if body.startswith(b"."):
            body = b"." + body
        self.send(body + (b"" if body.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.read()

    def leave(self):
        """QUIT without waiting: Exim holds its last reply back for 0.2 s."""
        try:
            self.send(b"QUIT\r\n")
        except Closed:
            pass


def deliver(ns, source, dest, recipients, sender=None, content=None, port=25, user=None, **how):
    """A message on a connection of its own: (sender, replies, final). final is None when no
    recipient was taken; a lost connection is a Reply with code 0."""
    sender = sender or token()
    lost = Reply([])
    try:
        with Smtp(ns, source, dest, port) as c:
            if c.banner.code != 220 or c.ehlo.code != 250:
                return sender, [c.banner if c.banner.code != 220 else c.ehlo] * len(recipients), None
            if user and c.login(user).code != 235:
                return sender, [lost] * len(recipients), None
            replies, final = c.mail(sender, recipients, content or message(sender), **how)
            c.leave()
            return sender, replies, final
    except Closed as e:
        lost.lines = [str(e)]
        return sender, [lost] * len(recipients), None


def in_parallel(work, items, threads=8):
    """[work(item) ...], in order, by several threads."""
    items = list(items)
    out = [None] * len(items)
    todo = iter(range(len(items)))
    lock, errors = threading.Lock(), []

    def run():
        while not errors:
            with lock:
                i = next(todo, None)
            if i is None:
                return
            try:
                out[i] = work(items[i])
            except BaseException as e:  # shown by the caller
                errors.append(e)

    team = [threading.Thread(target=run) for _ in range(min(threads, len(items)))]
    for t in team:
        t.start()
    for t in team:
        t.join()
    if errors:
        raise errors[0]
    return out


class Mta:
    """A real mail server as a client: obeys MX, keeps what was deferred, and looks the MX up again
    when it tries again."""

    def __init__(self, ns, source, resolver, port=25):
        self.ns, self.source, self.resolver, self.port = ns, source, resolver, port
        self.queue = []  # (sender, recipient, content)
        self.bounced = []
        self.trail = []  # (recipient, server, code), in order

    def submit(self, recipient, content=None, stale=None):
        """stale: addresses that our cache still holds for the domain."""
        sender = token("mta")
        self.queue.append((sender, recipient, content or message(sender)))
        self.run(stale)
        return sender

    def run(self, stale=None):
        todo, self.queue = self.queue, []
        for item in todo:
            if not self._try(item, stale):
                self.queue.append(item)

    def _try(self, item, stale):
        sender, recipient, content = item
        try:
            hosts = stale or self.resolver.mail_hosts(recipient.rsplit("@", 1)[1])
        except DnsError:
            return False
        family = ":" in self.source
        for host in [h for h in hosts if (":" in h) == family]:
            _, replies, final = deliver(self.ns, self.source, host, [recipient], sender, content, self.port)
            code = final.code if final else replies[0].code
            self.trail.append((recipient, host, code))
            if 200 <= code < 300:
                return True
            if code >= 500:
                self.bounced.append(item)
                return True
            if code:
                return False
        return False


class Sink:
    """Takes mail by SMTP or LMTP, and throws it away."""

    OFFERS = ("8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    REFUSED = ((b"later@", "450 4.2.0 come later"), (b"fail@", "550 5.1.1 no such thing"))

    def __init__(self, ns, address, port=25):
        if isinstance(address, str) and address.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(address)
        else:
            with ns:
                self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind((address, port))
        self.socket.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def keep(self, sender, recipients, lines):
        """A message: arguments of MAIL FROM: and RCPT TO:, lines as on the wire."""

    def _accept(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        conn.settimeout(30)
        try:
            with conn, conn.makefile("rb") as f:
                self._talk(f, lambda text: conn.sendall(text.encode() + b"\r\n"))
        except OSError:
            pass

    def _talk(self, f, say):
        lmtp, sender, recipients = False, "", []
        say("220 sink")
        for line in iter(f.readline, b""):
            verb = line[:4].upper()
            if verb == b"MAIL":
                sender, recipients = _argument(line), []
                say("250 2.0.0 ok")
            elif verb == b"RCPT":
                bad = [words for word, words in self.REFUSED if word in line]
                recipients += [] if bad else [_argument(line)]
                say(bad[0] if bad else "250 2.1.5 ok")
            elif verb == b"DATA":
                say("354 go on")
                self.keep(sender, recipients, _content(f))
                for _ in range(len(recipients) if lmtp else 1):
                    say("250 2.0.0 ok")
                recipients = []
            elif verb == b"QUIT":
                say("221 bye")
                return
            elif verb in (b"EHLO", b"LHLO"):
                lmtp = verb == b"LHLO"
                say("250-sink\r\n250-" + "\r\n250-".join(self.OFFERS[:-1]) + "\r\n250 " + self.OFFERS[-1])
            else:
                recipients = [] if verb in (b"RSET", b"HELO") else recipients
                say("250 2.0.0 ok")


def _argument(line):
    """What MAIL FROM: or RCPT TO: says."""
    return line.split(b":", 1)[1].decode("utf-8", "surrogateescape").strip()


def _content(f):
    """Lines until the end of data, as they are on the wire."""
    lines = []
    for line in iter(f.readline, b""):
        if line == b".\r\n":
            return lines
        lines.append(line)
    raise OSError("no end of data")


class Scanner:
    """A mail filter: takes mail at its MX addresses and carries it to the mail server from its
    egress addresses; answers what the mail server answered. It throws EICAR away, as it should."""

    def __init__(self, ns, listen, egress, dest, port=25, dest_port=25):
        self.ns, self.egress, self.dest, self.dest_port = ns, egress, dest, dest_port
        self.caught, self.carried = 0, 0
        self.turn = itertools.count()
        self.sockets = []
        for address in listen:
            with ns:
                s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
            s.listen(64)
            self.sockets.append(s)
            threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def stop(self):
        for s in self.sockets:
            s.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept(), which else keeps the port
            s.close()

    def _accept(self, s):
        while True:
            try:
                conn, _ = s.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def source(self, family):
        mine = [a for a in self.egress if (":" in a) == (family == 6)]
        return mine[next(self.turn) % len(mine)]

    def deliver(self, recipients, sender=None, content=None, family=4, **how):
        """Mail that passed the filter, to the mail server."""
        dest = next(a for a in self.dest if (":" in a) == (family == 6))
        self.carried += 1
        return deliver(self.ns, self.source(family), dest, recipients, sender, content,
                       self.dest_port, **how)

    def _serve(self, conn):
        family = 6 if conn.family == socket.AF_INET6 else 4
        conn.settimeout(30)
        f = conn.makefile("rwb", 0)
        say = lambda text: f.write(text.encode() + b"\r\n")
        sender, recipients = "", []
        try:
            say("220 scanner ESMTP")
            for line in iter(f.readline, b""):
                verb = line[:4].upper()
                text = line.decode("utf-8", "surrogateescape")
                if verb in (b"EHLO", b"HELO", b"RSET", b"NOOP"):
                    recipients = []
                    say("250 scanner")
                elif verb == b"MAIL":
                    sender = text.split("<", 1)[1].split(">")[0]
                    say("250 ok")
                elif verb == b"RCPT":
                    recipients.append(text.split("<", 1)[1].split(">")[0])
                    say("250 ok")
                elif verb == b"DATA":
                    say("354 go on")
                    body = b"".join(iter(f.readline, b".\r\n")).replace(b"\r\n..", b"\r\n.")
                    say(self._judge(sender, recipients, body, family))
                elif verb == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("500 what?")
        except OSError:
            pass
        finally:
            conn.close()

    def _judge(self, sender, recipients, body, family):
        if base64.b64encode(EICAR) in body:
            self.caught += 1
            return "550 5.7.1 virus found"
        _, replies, final = self.deliver(recipients, sender, body, family)
        worst = final if final else replies[0]
        return worst.lines[-1] if worst.lines else "451 4.4.1 mail server does not answer"


class Worm:
    """A virus's own bulk client: guesses names of a domain, believes no MX, never tries again,
    pipelines. Each attempt is (domain, name that led there, address, reply)."""

    def __init__(self, ns, sources, resolver, servers, port=25, names=("", "www", "mail"), dest_port=None):
        self.ns, self.sources, self.resolver = ns, sources, resolver
        self.servers, self.port, self.names = set(servers), port, names
        self.attempts = []
        self.accepted = []  # recipients of messages that the server took
        self.transcript = []

    def guess(self, domain):
        """(name, address) of the first guessed name that answers at all, or None."""
        family = 6 if ":" in self.sources[0] else 4
        for name in self.names:
            host = "%s.%s" % (name, domain) if name else domain
            try:
                found = self.resolver.addresses(host, family)
            except DnsError:
                continue
            found = [a for a in found if a in self.servers]
            if found:
                return host, found[0]
        return None

    def run(self, domains, threads=8, batch=4):
        """Guesses, then sends: several recipients a message, all on their domains' own server."""
        doors = in_parallel(lambda d: (d, self.guess(d)), domains, threads)
        doors = [(d, g) for d, g in doors if g]
        groups = {}
        for d, (host, address) in doors:
            groups.setdefault(address, []).append((d, host))
        jobs = [(address, rows[i:i + batch]) for address, rows in groups.items()
                for i in range(0, len(rows), batch)]
        in_parallel(lambda job: self._send(*job[1], job[0]), list(enumerate(jobs)), threads)
        return self

    def _send(self, address, rows, n):
        source = self.sources[n % len(self.sources)]
        recipients = ["info@" + d for d, _ in rows]
        sender = token("worm")
        _, replies, final = deliver(self.ns, source, address, recipients, sender, virus(sender), self.port)
        taken = final is not None and final.code == 250
        for (domain, host), recipient, reply in zip(rows, recipients, replies):
            self.attempts.append((domain, host, address, reply))
            if taken and reply.code == 250:
                self.accepted.append(recipient)


