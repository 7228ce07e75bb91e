"""A load balancer in front of the gateway: it names the client, and an address of its own that the client wanted."""
import socket

from lab import mail, servers
from lab.case import LabCase

VIP = "192.0.2.200"  # nobody's


class Balancer(LabCase):
    mode = "gateway"

    @classmethod
    def set_up(cls):
        cls.balancer = cls.lab.client("monitor")
        cls.daemon.stop()
        with open(cls.daemon.conf) as f:
            text = f.read()
        original = "    backend: original\n"
        assert original in text
        servers.write(cls.daemon.conf, text.replace(original, original + "    accept_proxy: [%s]\n" % cls.balancer))
        cls.daemon.start()
        cls.lab.acme.deliver(["info@" + cls.lab.internet.by_kind["acme"][5].name])

    def bring(self, client):
        lab = self.lab
        c = mail.Smtp(lab.ns["world"], self.balancer, lab.server(4), lab.smtp_port, timeout=20, greet=False)
        self.addCleanup(c.close)
        c.send(b"PROXY TCP4 %s %s 41234 25\r\n" % (client.encode(), VIP.encode()))
        self.assert_code(c.read(), 220)
        c.ehlo = c.cmd("EHLO client.lab-sender.net")
        return c

    def test_the_server_is_where_the_connection_went(self):
        lab = self.lab
        sender, recipient = mail.token("balanced"), "info@" + lab.internet.by_kind["acme"][6].name
        c = self.bring(lab.client("acme"))
        _, final = c.mail(sender, [recipient], mail.message(sender))
        self.assert_code(final, 250)
        self.assert_delivered(sender, [recipient], lab.client("acme"), lab.server(4))
        event = [e for e in self.daemon.events()
                 if e.get("client_port") == 41234 and e["client"] == lab.client("acme")][-1]
        self.assertEqual((event["server"], event["action"]), (VIP, "pass"))

    def test_others_are_refused(self):
        lab = self.lab
        c = self.bring(lab.client("stranger"))
        _, final = c.mail(mail.token(), ["info@" + lab.internet.by_kind["self"][0].name], b"x\r\n")
        self.assert_code(final, 250)
        replies, _ = c.mail(mail.token(), ["info@" + lab.internet.by_kind["acme"][6].name], b"x\r\n")
        self.assert_code(replies[0], 550)

    def test_a_client_that_says_so_itself(self):
        c = mail.Smtp(self.lab.ns["world"], self.lab.client("stranger"), self.lab.server(4), self.lab.smtp_port,
                      greet=False)
        self.addCleanup(c.close)
        c.send(b"PROXY TCP4 %s %s 41234 25\r\nEHLO x\r\n" % (self.lab.client("acme").encode(), VIP.encode()))
        said = b""
        try:
            for new in iter(lambda: c.sock.recv(4096), b""):
                said += new
        except ConnectionError:
            pass
        except socket.timeout:
            self.fail("not closed")
        self.assertNotIn(b"250", said)
