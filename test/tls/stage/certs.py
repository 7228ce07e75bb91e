"""Certificates, made by openssl(1)."""
import os
import ssl
import subprocess

KINDS = {"ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}


class Certificate:
    """key, cert: files; whole: a file with both; der: the certificate itself. Self-signed without an
    issuer."""

    def __init__(self, directory, label, names, kind="ecdsa", issuer=None, days=30):
        self.names, self.kind = names, kind
        self.key, self.cert, self.whole = (os.path.join(directory, label + end) for end in (".key", ".pem", ".whole"))
        signer = ["-CA", issuer.cert, "-CAkey", issuer.key] if issuer else []
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", str(days), *KINDS[kind], *signer,
                        "-subj", "/CN=" + names[0], "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names),
                        "-keyout", self.key, "-out", self.cert],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        with open(self.whole, "w") as f:
            f.write(self.text())
        for file in (self.key, self.whole):
            os.chmod(file, 0o644)  # Exim isn't root
        with open(self.cert) as f:
            self.der = ssl.PEM_cert_to_DER_cert(f.read())

    def text(self, key_first=True):
        """Of a combined file."""
        with open(self.key) as key, open(self.cert) as cert:
            return key.read() + cert.read() if key_first else cert.read() + key.read()

    def conf(self):
        """As a row of tls.certificates."""
        return {"cert": self.cert, "key": self.key}

    def __repr__(self):
        return "<%s %s>" % (self.kind, " ".join(self.names))
