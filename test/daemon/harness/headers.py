"""PROXY protocol headers as load balancers send them, made apart from the program under test."""
import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1_UNKNOWN = b"PROXY UNKNOWN\r\n"
V2_LOCAL = SIGNATURE + b"\x20\0\0\0"


def v1(source, destination, port=41234, to_port=25):
    return b"PROXY TCP%d %s %s %d %d\r\n" % (6 if ":" in source else 4, source.encode(), destination.encode(), port,
                                           to_port)


def v2(source, destination, port=41234, to_port=25, tlvs=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    block = socket.inet_pton(family, source) + socket.inet_pton(family, destination) + struct.pack(
        ">HH", port, to_port) + tlvs
    return SIGNATURE + struct.pack(">BBH", 0x21, 0x21 if ":" in source else 0x11, len(block)) + block


FORMS = {"v1": v1, "v2": v2}
