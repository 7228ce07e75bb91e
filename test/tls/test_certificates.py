"""Which certificate a client is shown, and certificates that change while the daemon runs."""
import os
import ssl

from lab import servers
from stage.case import TlsCase, context

# A client that knows one kind of certificate only.
ONLY = {"ecdsa": ["-sigalgs", "ECDSA+SHA256:ECDSA+SHA384"], "rsa": ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"]}


def put(file, text):
    """At once, as certificate tools do."""
    servers.write(file + ".new", text)
    os.rename(file + ".new", file)


class Choice(TlsCase):
    def directory(self, **files):
        """name of a file → certificates in it"""
        where = self.place.new_dir("combined")
        for name, certificates in files.items():
            os.mkdir(os.path.join(where, name))
            servers.write(os.path.join(where, name, "combined.pem"), certificates.text())
        return where, os.path.join(where, "*", "combined.pem")

    def ask(self, daemon, name, *options, **how):
        return self.shown(daemon, *(["-servername", name] if name else ["-noservername"]), *options, **how)

    def test_by_name(self):
        a, b, wild = (self.certificate(*n) for n in (
            ["a.example.net", "mail.a.example.net"], ["b.example.net"], ["*.wild.example.net"]))
        exact = self.certificate("exact.wild.example.net")
        where, glob = self.directory(a=a, b=b, wild=wild)
        # the chain before the key, which is as well
        servers.write(os.path.join(where, "b", "combined.pem"), b.text(key_first=False))
        os.mkdir(os.path.join(where, "x"))
        servers.write(os.path.join(where, "x", "combined.pem"), exact.text())
        d = self.serve(tls={"directory": glob})
        ours = self.place.ours
        for name, want in (
                ("a.example.net", a), ("MAIL.a.Example.NET", a), ("b.example.net", b),
                ("any.wild.example.net", wild), ("exact.wild.example.net", exact),
                ("wild.example.net", ours), ("two.labels.wild.example.net", ours),
                ("elsewhere.example.org", ours), ("host.lab-hosting.net", ours), (None, ours)):
            for version in ("-tls1_2", "-tls1_3"):
                with self.subTest("%s %s" % (name, version)):
                    self.assertEqual(self.ask(d, name, version), want.der)

    def test_first_file_is_the_default_without_certificates(self):
        a, b = self.certificate("a.example.net"), self.certificate("b.example.net")
        _, glob = self.directory(b=b, a=a)
        d = self.serve(tls={"certificates": [], "directory": glob})
        self.assertEqual(self.ask(d, None), a.der)
        self.assertEqual(self.ask(d, "nobody.example.net"), a.der)
        self.assertEqual(self.ask(d, "b.example.net"), b.der)

    def test_kinds_of_keys(self):
        both = {kind: self.certificate("both.example.net", kind=kind) for kind in ONLY}
        rsa = self.certificate("rsa.example.net", kind="rsa")
        ecdsa = self.certificate("ecdsa.example.net")
        _, glob = self.directory(e=both["ecdsa"], r=both["rsa"], only=rsa, other=ecdsa)
        d = self.serve(tls={"directory": glob})
        ours = {"ecdsa": self.place.ours, "rsa": self.place.ours_rsa}
        for kind, options in ONLY.items():
            for version in ("-tls1_2", "-tls1_3"):
                with self.subTest("%s %s" % (kind, version)):
                    self.assertEqual(self.ask(d, "both.example.net", version, *options), both[kind].der)
                    self.assertEqual(self.ask(d, None, version, *options), ours[kind].der)
        # An ECDSA certificate is less work for both: it is shown where the client does not mind.
        self.assertEqual(self.ask(d, "both.example.net"), both["ecdsa"].der)
        self.assertEqual(self.ask(d, "rsa.example.net"), rsa.der)
        self.assertEqual(self.ask(d, "rsa.example.net", *ONLY["rsa"]), rsa.der)
        self.assertEqual(self.ask(d, "ecdsa.example.net", *ONLY["ecdsa"]), ecdsa.der)

    def test_chain_is_shown_whole(self):
        root = self.certificate("Root")
        middle = self.certificate("Middle", issuer=root)
        leaf = self.certificate("a.example.net", issuer=middle)
        with open(middle.cert) as f:
            chain = f.read()
        where, glob = self.directory(a=leaf)
        servers.write(os.path.join(where, "a", "combined.pem"), chain + leaf.text())  # in any order
        cert = servers.write(os.path.join(where, "chain.pem"), leaf.text() + chain)
        for tls in ({"certificates": [{"cert": cert}]}, {"certificates": [], "directory": glob}):
            with self.subTest(str(tls)):
                d = self.serve(tls=tls)
                self.assertEqual(self.shown(d), leaf.der)
                _, out = self.s_client(d, "-CAfile", root.cert, "-verify_hostname", "a.example.net")
                self.assertIn("Verify return code: 0 (ok)", out)

    def test_many_names(self):
        """Hundreds of files, one of them broken."""
        a = self.certificate("a.example.net")
        where = self.place.new_dir("many")
        for i in range(300):
            servers.write(os.path.join(where, "%03d.pem" % i), a.text())
        servers.write(os.path.join(where, "150.pem"), "nothing\n")
        last = self.certificate("last.example.net")
        servers.write(os.path.join(where, "999.pem"), last.text())
        d = self.serve(tls={"directory": os.path.join(where, "*.pem")})
        self.assertEqual(self.ask(d, "last.example.net"), last.der)
        self.assertEqual(self.ask(d, "a.example.net"), a.der)
        self.assertEqual(d.log_text().count("150.pem"), 1)


class Changes(TlsCase):
    slow = 20

    def start_changing(self):
        self.dir = self.place.new_dir("changing")
        self.old, self.new = self.certificate("a.example.net"), self.certificate("a.example.net")
        self.named, self.listed = (os.path.join(self.dir, n) for n in ("named.pem", "found.crt"))
        put(self.named, self.old.text())
        put(self.listed, self.certificate("found.example.net").text())
        return self.serve(tls={"certificates": [{"cert": self.named}],
                               "directory": os.path.join(self.dir, "*.crt")})

    def wait_shown(self, daemon, certificate, name="a.example.net"):
        self.wait("%s shown" % certificate, lambda: self.shown(daemon, "-servername", name) == certificate.der, 20)

    def test_a_new_certificate_is_shown_without_restart(self):
        d = self.start_changing()
        self.assertEqual(self.shown(d), self.old.der)
        c = self.connect_tls(d, self.bot())
        put(self.named, self.new.text())
        self.wait_shown(d, self.new)
        # A session of before goes on.
        _, final = c.mail("before@lab-sender.net", ["u@" + self.name("self")], b"Subject: x\r\n\r\nx\r\n")
        self.assert_code(final, 250)
        # A name more, and one that is gone.
        more = self.certificate("more.example.net", kind="rsa")
        put(os.path.join(self.dir, "more.crt"), more.text())
        self.wait_shown(d, more, "more.example.net")
        os.unlink(self.listed)
        self.wait_shown(d, self.new, "found.example.net")
        self.assertEqual(self.shown(d, "-servername", "more.example.net"), more.der)

    def test_a_broken_file_changes_nothing(self):
        old = {i: self.certificate("n%d.example.net" % i) for i in range(7)}
        new, other = self.certificate("n.example.net"), self.certificate("other.example.net")
        with open(new.cert) as cert, open(other.key) as key:
            cert, other_key = cert.read(), key.read()
        where = self.place.new_dir("breaking")
        files = {i: os.path.join(where, "%d.pem" % i) for i in old}
        for i, file in files.items():
            put(file, old[i].text())
        d = self.serve(tls={"certificates": [{"cert": files[i]} for i in list(files)[:4]],
                            "directory": os.path.join(where, "[456].pem")})
        # cut off, empty, no key, another's key, octets, nothing of the kind, gone
        for i, text in enumerate((new.text()[:-200], "", cert, other_key + cert, "\0\1\2" * 1000, "nothing\n" * 10)):
            put(files[i], text)
        # One that the configuration names.
        os.unlink(files[1])
        for i in range(6):
            self.wait("%s told" % files[i], lambda: files[i] in d.log_text(), 20)
        lines = [li for li in d.log_text().splitlines() if where in li]
        self.assertEqual(len(lines), 6, lines)
        for line in lines:
            self.assertIn("what was read of it before stays in use", line)
        self.assertNotIn("PRIVATE KEY", d.log_text())
        for i in old:
            self.assertEqual(self.shown(d, "-servername", "n%d.example.net" % i), old[i].der)
        self.assert_alive(d)
        put(files[0], self.certificate("n0.example.net").text())
        self.wait("repaired", lambda: self.shown(d, "-servername", "n0.example.net") not in (None, old[0].der), 20)
        # Told once, not each time that they are looked at.
        self.assertEqual(len([li for li in d.log_text().splitlines() if where in li]), 6)

    def test_sessions_are_resumed_after_a_change(self):
        d = self.start_changing()
        for highest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(highest.name):
                ctx = context(highest=highest)
                c = self.connect_tls(d, self.bot(), ctx=ctx)
                session = c.sock.session
                was, to = self.shown(d), None
                to = self.new if was == self.old.der else self.old
                put(self.named, to.text())
                self.wait_shown(d, to)
                c = self.connect_tls(d, self.bot(), ctx=ctx, session=session)
                self.assertTrue(c.sock.session_reused)


class AtStart(TlsCase):
    def test_what_the_configuration_names_must_be_usable(self):
        where = self.place.new_dir("broken")
        broken = servers.write(os.path.join(where, "broken.pem"), "nothing\n")
        for row in ({"cert": broken}, {"cert": os.path.join(where, "absent.pem")},
                    {"cert": self.place.ours.cert, "key": self.place.ours_rsa.key}):
            with self.subTest(str(row)):
                conf = self.conf(tls={"certificates": [self.place.ours.conf(), row]})
                status, _, err = conf.run("serve", "-c", conf.file)
                self.assertEqual(status, 78, err)
                self.assertIn(row["cert"], err)
                status, out, err = conf.run("check", "-c", conf.file)
                self.assertEqual(status, 78, out + err)

    def test_an_empty_directory(self):
        where = self.place.new_dir("empty")
        conf = self.conf(tls={"certificates": [], "directory": os.path.join(where, "*.pem")})
        status, _, err = conf.run("serve", "-c", conf.file)
        self.assertEqual(status, 78, err)
        self.assertIn("no certificate can be used", err)
