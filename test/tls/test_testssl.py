"""testssl.sh, which knows what has been wrong with TLS anywhere: nothing that it looks at may be.

By default what is quick, in two cases that run at once; TESTSSL=full: all of it, TESTSSL=off: nothing.
Debian's version neither tries STARTTLS injection (test_injection.py does) nor gives a grade; what the SSL Labs
Server Rating Guide (2009q) says of the protocols, keys and ciphers that it found is printed.
"""
import collections
import json
import os
import re
import ssl

from lab import paths
from stage.case import TlsCase
from stage.stage import HOST

MODE = os.environ.get("TESTSSL", "short")
ROOT = os.path.join(paths.SERVERS, "root")
CIPHERS = ["-p", "-s", "-f"]
# Those about ciphers that -s does not find are left out: they take long.
HOLES = ["-H", "-I", "-BB", "-R", "-C", "-O", "-Z", "-F", "-D", "-J", "-A"]
FOUND = {  # what must have been looked at
    "ciphers": "SSLv2 SSLv3 TLS1 TLS1_1 TLS1_2 TLS1_3 PFS cipherlist_NULL cipherlist_aNULL cipherlist_EXPORT "
               "cipherlist_LOW cipherlist_3DES_IDEA cipherlist_AVERAGE cipherlist_STRONG",
    "holes": "heartbleed CCS ROBOT secure_renego secure_client_renego CRIME_TLS POODLE_SSL fallback_SCSV FREAK DROWN "
             "LOGJAM BEAST",
    "full": "SWEET32 LUCKY13 RC4 cert_chain_of_trust protocol_negotiated sessionresumption_ticket TLS_session_ticket",
}
FINE = {"OK", "INFO"}
NOT_OURS = {
    "engine_problem",  # this machine's openssl has no GOST
    "cipher_order",  # the client's: all that are offered are good, and it knows whether it has AES in hardware
    "cert_revocation",  # of a certificate made for the test
}


def grade(findings):
    """By the guide, 3 to 5: the mean of the best and the worst for protocols and ciphers."""
    def offered(name):
        return findings[name]["finding"].startswith("offered")
    protocols = [score for name, score in (("SSLv2", 0), ("SSLv3", 80), ("TLS1", 90), ("TLS1_1", 95), ("TLS1_2", 100),
                                           ("TLS1_3", 100)) if offered(name)]
    # 256 and 384 bits of an elliptic curve are as 3072 and 7680 of RSA; RSA keys here have 2048
    key = 90
    bits = [256 if re.search("256(?!$)|CHACHA20", c) else 128 for c in findings["PFS_ciphers"]["finding"].split()]
    ciphers = [{128: 80, 256: 100}[b] for b in bits]
    score = 0.3 * (max(protocols) + min(protocols)) / 2 + 0.3 * key + 0.4 * (max(ciphers) + min(ciphers)) / 2
    letter = next(x for least, x in ((80, "A"), (65, "B"), (50, "C"), (35, "D"), (20, "E"), (0, "F")) if score >= least)
    return "%s (%d)" % (min("B" if offered("TLS1") or offered("TLS1_1") else "A", letter, key=lambda x: -ord(x)), score)


class TestSsl(TlsCase):
    slow = 60

    def look(self, port, options, ca):
        """id → finding"""
        file = os.path.join(self.place.new_dir("testssl"), "findings.json")
        status, out = self.run_program(
            ["bash", ROOT + "/usr/bin/testssl", "--starttls", "smtp", "--nodns", "none", "--warnings", "off",
             "--color", "0", "--quiet", "--jsonfile", file, "--add-ca", ca, "--ip", self.place.server, *options,
             "%s:%d" % (HOST, port)],
            env={**paths.environment(), "TESTSSL_INSTALL_DIR": ROOT + "/etc/testssl",
                 "PATH": os.environ["PATH"] + ":" + ROOT + "/usr/bin"}, seconds=900)
        self.assertTrue(os.path.exists(file), out)
        with open(file) as f:
            return {row["id"]: row for row in json.load(f)}, out

    @staticmethod
    def bad(findings):
        return ["%s: %s: %s" % (i, row["severity"], row["finding"]) for i, row in findings.items()
                if row["severity"] not in FINE and i.split(" ")[0] not in NOT_OURS]

    def check(self, options, *parts):
        root = self.certificate("Root", days=300)
        ours = [self.certificate(HOST, kind=kind, issuer=root, days=200) for kind in ("ecdsa", "rsa")]
        d = self.serve(tls={"certificates": [c.conf() for c in ours]})
        findings, out = self.look(d.port, options, root.cert)
        for part in parts:
            self.assertEqual([i for i in FOUND[part].split() if i not in findings and i + " <cert#1>" not in findings],
                             [], out)
        self.assertEqual(self.bad(findings), [], out)
        for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
            if "ciphers" in parts:
                self.assertEqual(findings[old]["finding"], "not offered")
        count = collections.Counter(row["severity"] for row in findings.values())
        text = ", ".join("%d %s" % (n, severity) for severity, n in count.most_common())
        if "ciphers" in parts:
            text += "; grade by the SSL Labs guide: " + grade(findings)
        print("     testssl.sh, %s: %s" % (" and ".join(parts), text), flush=True)

    if MODE == "short":
        def test_protocols_and_ciphers(self):
            self.check(CIPHERS, "ciphers")

        def test_known_holes(self):
            self.check(HOLES, "holes")

    if MODE == "full":
        def test_everything(self):
            self.check([], "ciphers", "holes", "full")

    if MODE != "off":
        def test_it_would_tell(self):
            """A server that takes TLS 1.0 is found out."""
            backend = self.fake_tls(address=self.place.server)
            backend.context.minimum_version = ssl.TLSVersion.TLSv1
            backend.context.set_ciphers("ALL:@SECLEVEL=0")
            findings, out = self.look(backend.port, ["-p"], self.place.ours.cert)
            self.assertIn("TLS1: ", " ".join(self.bad(findings)), out)
