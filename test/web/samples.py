"""Summaries for the page to show, and the figures it has to show of one."""
import datetime
import random

CLASSES = "scanner direct authenticated trusted local self backup elsewhere null dns not-hosted unknown refused".split()
DOOR_NAMES = "mx apex www mail smtp other none unknown".split()
HINTS = "bot bot bot bot sender device monitor scanner-egress unclear".split()
WHY = {
    "bot": "41 domains within 3 minutes, most recipients refused, no message twice",
    "sender": "mail from 3 senders of its own domain over 5 days, to two domains",
    "device": "one sender, shop@order.example, to one domain, every day at the same hours",
    "monitor": "a message of the same size every 5 minutes",
    "scanner-egress": "PTR below acme.example like the MX of 18 of the 19 domains that it delivers for",
    "unclear": "one message",
}


def empty():
    return {
        "version": "0.1.0", "time": "2026-11-25T09:00:00Z", "from": None, "to": None,
        "input": {k: 0 for k in "files lines bytes unparsed unfinished without_arrival outside_filter".split()},
        "received": 0, "mails": 0, "servers": [], "domains_hosted": 0,
        "classes": {c: {"mails": 0, "bytes": 0, "domains": 0, "clients": 0} for c in CLASSES},
        "door_names": {}, "days": [], "domains": [], "domains_more": 0, "networks": [], "networks_more": 0,
        "ptr_domains": [], "scanners": [], "notes": [],
    }


def sample(days=31, domains=120, networks=40, seed=1):
    """A busy server's; the same for the same arguments. The sums don't have to agree: the page shows what it gets."""
    r = random.Random(seed)
    s = empty()
    first = datetime.date(2026, 10, 25)
    dates = [str(first + datetime.timedelta(n)) for n in range(days)]
    s |= {"from": dates[0] + "T00:00:07Z", "to": dates[-1] + "T23:59:41Z", "received": 1204377, "mails": 1251034,
          "servers": ["203.0.113.25", "2001:db8:3::25"], "domains_hosted": 4212, "domains_more": 3871,
          "networks_more": 512,
          "notes": ["the server address 203.0.113.25 was taken from the log itself: confirm it with --server"]}
    s["input"] |= {"files": 31, "lines": 9113207, "bytes": 1530944120, "unparsed": 1873, "unfinished": 12,
                   "without_arrival": 240}
    for c, n in zip(CLASSES, (881234, 61244, 143022, 20311, 41021, 60311, 0, 12, 0, 31, 0, 4011, 39837)):
        s["classes"][c] = {"mails": n, "bytes": n * 41231, "domains": -(-n // 300), "clients": -(-n // 40)}
    s["door_names"] = {"direct": dict(zip(DOOR_NAMES, (0, 39122, 2100, 11022, 211, 12, 6021, 2756))),
                       "self": dict(zip(DOOR_NAMES, (60100, 0, 0, 0, 0, 0, 200, 11)))}
    for n, d in enumerate(dates):
        week = 0.45 if n % 7 in (0, 6) else 1.0
        s["days"].append({
            "day": d, "scanner": int(28000 * week * r.uniform(.9, 1.1)), "direct": int(r.lognormvariate(7.4, .4)),
            "authenticated": int(4600 * week), "self": int(1900 * week), "refused": int(r.lognormvariate(7, .3))})
    if days > 10:
        del s["days"][8]  # no mail at all on that day
    s["domains"] = sorted((domain(r, n, dates) for n in range(domains)), key=lambda d: -d["direct"])
    s["networks"] = [network(r, n, dates) for n in range(networks)]
    for n in s["networks"][1::2]:
        if n["ptr_domain"]:
            row = {k: v for k, v in n.items() if k not in ("network", "days", "example")}
            s["ptr_domains"].append(row | {"networks": 1 + n["clients"] % 2})
    s["scanners"] = [
        {"name": "acme", "grade": "configured", "domains": 1904, "inside": 612033, "outside": 1204, "hours": 744,
         "proof": "proven", "why": "612,033 mails from inside over 31 days"},
        {"name": "mailguard", "grade": "listed", "domains": 211, "inside": 14, "outside": 90, "hours": 12,
         "proof": "wanting", "why": "14 mails from inside, 20 are needed"},
        {"name": "own filter", "grade": "guessed", "domains": 3, "inside": 331, "outside": 2040, "hours": 500,
         "proof": "rival", "why": "198.51.3.0/24 carries 61 % of the mail for 3 of its domains"}]
    return s


def domain(r, n, dates):
    word, zone = r.choice("alpha blue cedar delta east fjord grand ivy juno".split()), r.choice(["", "co."])
    mails = max(3, 40000 // (n + 2))
    direct = int(mails * r.choice([0, .02, .04, .2, .7]) * r.random())
    scanner = r.choice(["acme", "mailguard", "own filter"])
    days = []
    for day in sorted(r.sample(dates, min(len(dates), 9))):
        days.append({"day": day, "mails": mails // 9, "direct": int(direct * r.random() / 5)})
    return {"domain": f"{word}-{n}.{zone}example", "hosted": n % 9 != 8, "door": "scanner", "scanner": scanner,
            "grade": r.choice(["configured", "proven", "listed", "guessed"]),
            "mx": f"mx{n % 3}.{scanner.replace(' ', '-')}.example", "mails": mails, "direct": direct,
            "share": direct / mails, "door_name": r.choice(DOOR_NAMES[1:]),
            "classes": {"scanner": mails - direct, "direct": direct}, "days": days}


def network(r, n, dates):
    hint = r.choice(HINTS)
    name = f"{r.choice('dialup cloud hosting dsl mail'.split())}-{n}.example" if n % 5 else None
    mails, once = 9000 // (n + 1) + 1, n % 3 == 0
    return {"network": f"2001:db8:{n:x}::/48" if n % 8 == 5 else f"198.51.{n}.0/24", "ptr_domain": name,
            "clients": 1 + n % 7, "mails": mails, "bytes": mails * 30011, "domains": 1 + mails // 50,
            "refused": mails // 3 if hint == "bot" else 0, "first": dates[0] + "T10:00:00Z",
            "last": dates[0 if once else -1] + "T12:30:00Z", "days": 1 if once else len(dates), "hint": hint,
            "why": WHY[hint], "example": {
                "client": f"198.51.{n}.7", "client_name": name and f"host7.{name}", "sender": f"info@{name}",
                "rcpt_domain": "alpha-1.example", "id": "1tFxYz-0000000AbCd-2X3k"}}


HOSTILE = [
    "</script><script>window.pwned=1</script>", "<img src=x onerror=window.pwned=2>", "<!--", "<!--<script>", "]]>",
    "&lt;b&gt;&amp;", "\"'><svg onload=window.pwned=3>", "javascript:window.pwned=4", "a\u2028b\u2029c",
    "{{7*7}} ${7*7}", "__proto__", "x" * 300, "<iframe src='http://192.0.2.1/'>", "\U0001f6aa door",
]
# What would not be seen, or turn the text around, and how it is shown.
UNSEEN = {
    "a\u202egnp.exe": r"a\u{202e}gnp.exe",
    "nul\0bel\a esc\x1b[31m": r"nul\u{0}bel\u{7} esc\u{1b}[31m",
    "zero\u200bwidth": r"zero\u{200b}width",
}


def hostile():
    """All texts that strangers choose, hostile, each in every place where it may come."""
    s = sample(days=3, domains=0, networks=0)
    span = {"first": "2026-10-25T00:00:00Z", "last": "2026-10-25T00:00:00Z"}
    for n, text in enumerate([*HOSTILE, *UNSEEN]):
        s["domains"].append({
            "domain": text, "hosted": False, "door": "scanner", "scanner": text, "grade": "guessed", "mx": text,
            "mails": n + 1, "direct": n, "share": 0.5, "door_name": None, "classes": {"direct": n},
            "days": [{"day": "2026-10-25", "mails": 2, "direct": 1}]})
        seen = {"ptr_domain": text, "clients": 1, "mails": n + 1, "bytes": 1, "domains": 1, "refused": 0, "why": text}
        s["networks"].append({
            "network": f"198.51.100.{n}/24", "days": 1, "hint": "unclear", **seen, **span, "example": {
                "client": "198.51.100.1", "client_name": text, "sender": text, "rcpt_domain": text, "id": text}})
        s["ptr_domains"].append({"networks": 1, "hint": text, **seen, **span})
        s["scanners"].append({"name": f"s{n} {text}", "grade": "guessed", "domains": 1, "inside": n, "outside": 1,
                              "hours": 1, "proof": "wanting", "why": text})
    s["notes"] = list(HOSTILE)
    return s


def expected(s):
    """The figures that the page has to show of a summary, {name: value}."""
    want = {k: s[k] for k in ("received", "mails", "domains_hosted")}
    for c, k in (("direct", "mails"), ("direct", "domains"), ("scanner", "mails")):
        want[f"classes.{c}.{k}"] = s["classes"][c][k]
    direct, scanner = (s["classes"][c]["mails"] for c in ("direct", "scanner"))
    want["share"] = direct / max(1, direct + scanner)
    for k in ("files", "lines", "bytes", "unparsed"):
        want[f"input.{k}"] = s["input"][k]
    for k in ("unfinished", "without_arrival", "outside_filter"):
        if s["input"][k]:
            want[f"input.{k}"] = s["input"][k]
    for c, v in s["classes"].items():
        if v["mails"]:
            want |= {f"classes.{c}.{k}": n for k, n in v.items()}
    for c, v in s["door_names"].items():
        want |= {f"door_names.{c}.{k}": n for k, n in v.items()}
    shown = {c for d in s["days"] for c in d if c != "day"}
    for d in s["days"]:
        want |= {f"days.{d['day']}.{c}": d.get(c, 0) for c in shown}
    for d in s["domains"]:
        want |= {f"domains.{d['domain']}.{k}": d[k] for k in ("mails", "direct", "share")}
    for part, key in (("networks", "network"), ("ptr_domains", "ptr_domain")):
        for n in s[part]:
            counts = "clients mails bytes domains refused days networks".split()
            want |= {f"{part}.{n[key]}.{k}": n[k] for k in counts if k in n}
    for n in s["scanners"]:
        want |= {f"scanners.{n['name']}.{k}": n[k] for k in ("domains", "inside", "outside", "hours", "proof")}
    honest = [n["mails"] for n in s["networks"] if n["hint"] in ("scanner-egress", "monitor", "device", "sender")]
    if direct:
        want["honest"] = sum(honest)
    for hint in {n["hint"] for n in s["networks"]}:
        of = [n["mails"] for n in s["networks"] if n["hint"] == hint]
        want |= {f"hints.{hint}.mails": sum(of), f"hints.{hint}.networks": len(of)}
    return want
