"""Who may deliver where: the policy that the daemon is configured with, in words of its own.

A client's address says what it is; the domains' kinds are the lab's (test/lab/lab/zones.py).
"""
import ipaddress
import re

# Networks of clients. Each session has addresses of its own: what was stored is known by them.
BOT, SCANNER, TRUSTED, RELAY = "127.64.0.0/12", "127.80.0.0/12", "127.96.0.0/12", "127.112.0.0/12"
NETWORKS = {"bot": BOT, "fronted": BOT, "scanner": SCANNER, "trusted": TRUSTED, "relay": RELAY}

OPEN = ("self", "implicit", "self-idn")  # anyone may deliver
ACME = ("acme", "both")  # only the scanner, which has acme's egress
OTHERS = ("guard", "idn")  # nobody who comes here


def names(internet, kinds):
    """Of the domains, as in DNS and as people write them (servers' patterns ignore the case of ASCII only)."""
    both = {n for k in kinds for d in internet.by_kind[k] for n in (d.name, d.text)}
    return sorted(both | {re.sub(r"[^\x00-\x7f]", lambda m: m[0].upper(), n) for n in both})


def used(internet):
    return [d for k in OPEN + ACME + OTHERS for d in internet.by_kind[k]]


def hosted(internet):
    return sorted({n for d in internet.domains for n in (d.name, d.text)})


def _pattern(domains):
    """Of local@domain, where the local part may name a domain to route to (it is judged by
    every domain in it). For PCRE and for POSIX alike."""
    any_of = "(%s)" % "|".join(re.escape(d).replace("\\-", "-") for d in domains)
    return "(%s[.]?([^-A-Za-z0-9_.].*)?$|(^|.*[^-A-Za-z0-9_.])%s[.]?!.*$)" % ("^.*[@%]" + any_of, any_of)


def door_patterns(internet):
    return {"acme": _pattern(names(internet, ACME)), "others": _pattern(names(internet, OTHERS))}


class Doors:
    """Asked of each recipient that was stored."""

    def __init__(self, internet):
        self.patterns = {k: re.compile(v, re.I) for k, v in door_patterns(internet).items()}

    def refuses(self, kind, recipient):
        """May a client of that kind (which has not logged in) not deliver there?"""
        if kind == "trusted":
            return False
        return bool(self.patterns["others"].search(recipient)
                    or kind != "scanner" and self.patterns["acme"].search(recipient))


def address(kind, number):
    """The number-th client of its network; 1,000,000 are there."""
    return str(ipaddress.ip_network(NETWORKS[kind])[number % 1000000 + 256])
