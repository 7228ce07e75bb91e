"""What must become of each client at each kind of door, by the tables of the design; not by what the
daemon does."""
from .zones import FOREIGN, KINDS

# Who delivers: a name of the address plan. guard_out is guard's egress, acme delivers from its MX.
CLIENTS = ("stranger", "home", "liar", "nameless", "mta", "monitor", "printer", "acme", "guard_out")
CONFIGURED = ("acme", "guard")


def code(lab, domain, who, family=4):
    """Reply to RCPT; 250 where frontdoor must not refuse."""
    kind = domain.kind
    scanners = KINDS[kind].scanners
    if who == "monitor" or (who == "printer" and domain is lab.printer_domain):
        return 250
    if kind in FOREIGN:
        return 451
    if kind == "null":
        return 556
    if KINDS[kind].door != "scanner" or not set(scanners) <= set(CONFIGURED):
        return 250  # anyone, or only observed
    if who == "acme" and "acme" in scanners:
        # acme's egress is the addresses of the door's own MX hosts, and this one has none in IPv4.
        return 550 if kind == "v6only" and family == 4 else 250
    if who == "guard_out" and "guard" in scanners:
        return 250
    if domain is lab.defer_domain:
        return 450
    if who == "nameless" and "guard" in scanners:
        return 451
    return 550


ENHANCED = {450: "4.7.1", 451: "4.4.3", 550: "5.7.1", 556: "5.1.10"}


def finding(lab, domain, who, family=4):
    """finding of the event."""
    c = code(lab, domain, who, family)
    if c != 250:
        return {450: "direct", 550: "direct", 556: "null", 451: "dns"}[c]
    if who == "monitor" or (who == "printer" and domain is lab.printer_domain):
        return "pass"
    if who == "nameless" and domain.kind in ("mystery", "vanity"):
        return "dns"  # its name might have let it in; observed too, as the scanner is a guess
    if domain.kind == "mystery" or (domain.kind == "vanity" and who != "acme") or domain.kind == "elsewhere":
        return "direct"  # and only observed
    return "pass"
