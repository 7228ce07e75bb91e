"""A stub resolver as a mail client has one: MX and addresses, no cache."""
import os
import socket
import struct

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "AAAA": 28}


class DnsError(Exception):
    """SERVFAIL, a timeout: nobody knows."""


def _name(data, pos):
    labels, end = [], None
    while data[pos]:
        if data[pos] >= 0xC0:
            end = end or pos + 2
            pos = (data[pos] & 0x3F) << 8 | data[pos + 1]
            continue
        labels.append(data[pos + 1:pos + 1 + data[pos]].decode("latin-1"))
        pos += 1 + data[pos]
    return ".".join(labels).lower(), end or pos + 1


def _record(data, kind, pos, length):
    if kind == 15:
        return struct.unpack_from(">H", data, pos)[0], _name(data, pos + 2)[0]
    if kind in (2, 5, 12):
        return _name(data, pos)[0]
    if kind in (1, 28):
        return socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data[pos:pos + length])
    return data[pos:pos + length]


class Resolver:
    """server is "ADDRESS:PORT"; ns the namespace to ask from."""

    def __init__(self, ns, server, timeout=5.0):
        host, _, port = server.rpartition(":")
        self.ns, self.server, self.timeout = ns, (host, int(port)), timeout

    def ask(self, name, kind):
        """(rcode, records of that type); CNAMEs are followed by the server."""
        ident = os.urandom(2)
        labels = [x for x in name.rstrip(".").split(".") if x]
        query = ident + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + b"".join(
            bytes([len(x)]) + x.encode("ascii") for x in labels) + b"\0" + struct.pack(">HH", TYPES[kind], 1)
        with self.ns:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with s:
            s.settimeout(self.timeout)
            s.connect(self.server)
            s.send(query)
            try:
                data = s.recv(4096)
                while data[:2] != ident:
                    data = s.recv(4096)
            except (socket.timeout, ConnectionError) as e:
                raise DnsError("%s %s: %s" % (name, kind, e)) from None
        flags, _, answers = struct.unpack_from(">HHH", data, 2)
        pos = _name(data, 12)[1] + 4
        found = []
        for _ in range(answers):
            pos = _name(data, pos)[1]
            rtype, _, _, length = struct.unpack_from(">HHIH", data, pos)
            if rtype == TYPES[kind]:
                found.append(_record(data, rtype, pos + 10, length))
            pos += 10 + length
        return flags & 15, found

    def look_up(self, name, kind):
        rcode, found = self.ask(name, kind)
        if rcode not in (0, 3):
            raise DnsError("%s %s: rcode %d" % (name, kind, rcode))
        return found

    def addresses(self, name, family=None):
        out = []
        if family in (None, 4):
            out += self.look_up(name, "A")
        if family in (None, 6):
            out += self.look_up(name, "AAAA")
        return out

    def mail_hosts(self, domain):
        """Addresses to deliver to, best first (RFC 5321 5.1)."""
        mx = sorted(self.look_up(domain, "MX"))
        if mx and mx[0][1] == "":
            return []
        return [a for _, host in (mx or [(0, domain)]) for a in self.addresses(host)]
