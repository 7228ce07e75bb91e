"""Certificates for the lab's servers, made anew in each run; by openssl(1), as Python makes none."""
import os
import ssl
import subprocess


def certificate(path, name):
    """A PEM file with the key and a certificate of its own signature. Returns path."""
    with open(path, "w") as f:
        os.chmod(path, 0o600)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "30", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:" + name,
                        "-keyout", "-"], stdout=f, stderr=subprocess.DEVNULL, check=True)
    return path


def shown(path):
    """The certificate of such a file as a client's SSLSocket.getpeercert(True) gives it."""
    with open(path) as f:
        text = f.read()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE"):])
