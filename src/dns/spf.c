#include "dns/spf.h"

static const struct {
	struct sv name;
	enum spf_kind kind;
	enum { NO_DOMAIN, MAY_HAVE_DOMAIN, NEEDS_DOMAIN, NEEDS_NETWORK } value;
	bool cidr; /* 5.6: dual-cidr-length */
} mechanisms[] = {
	{ { "all", 3 }, SPF_ALL, NO_DOMAIN, false },
	{ { "include", 7 }, SPF_INCLUDE, NEEDS_DOMAIN, false },
	{ { "a", 1 }, SPF_A, MAY_HAVE_DOMAIN, true },
	{ { "mx", 2 }, SPF_MX, MAY_HAVE_DOMAIN, true },
	{ { "ptr", 3 }, SPF_PTR, MAY_HAVE_DOMAIN, false },
	{ { "ip4", 3 }, SPF_IP4, NEEDS_NETWORK, false },
	{ { "ip6", 3 }, SPF_IP6, NEEDS_NETWORK, false },
	{ { "exists", 6 }, SPF_EXISTS, NEEDS_DOMAIN, false },
};

static const struct sv version = { "v=spf1", 6 };

bool spf_is_record(struct sv text)
{
	return sv_starts_nocase(text, version) && (text.n == version.n || text.p[version.n] == ' ');
}

struct sv spf_terms(struct sv record)
{
	return (struct sv) { record.p + version.n, record.n - version.n };
}

static struct sv from(struct sv v, size_t at)
{
	return (struct sv) { v.p + at, v.n - at };
}

static size_t find(struct sv v, const char *any)
{
	size_t i = 0;

	while (i < v.n && (v.p[i] == '\0' || !strchr(any, v.p[i])))
		i++;
	return i;
}

/* The digits between a slash and the end of v. */
static int read_bits(struct sv v, uint8_t max, uint8_t *ret_bits)
{
	uint64_t bits;

	if (v.n > 3 || sv_to_u64(v, max, &bits) < 0)
		return -1;
	*ret_bits = (uint8_t)bits;
	return 0;
}

/* "/24", "//64", "/24//64" (5.6), or nothing. */
static int read_cidr(struct sv v, struct spf_term *t)
{
	size_t six = 0;

	while (six < v.n && !(v.p[six] == '/' && six + 1 < v.n && v.p[six + 1] == '/'))
		six++;
	if (six < v.n && read_bits(from(v, six + 2), 128, &t->bits6) < 0)
		return -1;
	v.n = six;
	return v.n ? read_bits(from(v, 1), 32, &t->bits4) : 0;
}

/* Where the domain ends: at a slash that is in no macro (7.1: a macro may have one as delimiter).
 */
static size_t domain_end(struct sv v)
{
	bool macro = false;
	size_t i;

	for (i = 0; i < v.n && (macro || v.p[i] != '/'); i++) {
		if (v.p[i] == '{' && i && v.p[i - 1] == '%')
			macro = true;
		else if (v.p[i] == '}')
			macro = false;
	}
	return i;
}

static void set_domain(struct spf_term *t, struct sv domain)
{
	t->domain = domain;
	t->macros = domain.n && memchr(domain.p, '%', domain.n);
}

static struct addr masked(const struct addr *a, uint8_t bits)
{
	struct addr out = *a;

	for (unsigned int i = bits; i < 128; i++)
		out.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return out;
}

static int read_network(struct sv v, bool v4, struct spf_term *t)
{
	size_t slash = find(v, "/");
	struct addr a;
	uint8_t bits = v4 ? 32 : 128;

	if (addr_parse((struct sv) { v.p, slash }, &a) < 0)
		return -1;
	/* an IPv4-mapped address is one of ip6, too */
	if (v4 ? !addr_is_v4(&a) || memchr(v.p, ':', slash) : !memchr(v.p, ':', slash))
		return -1;
	if (slash < v.n && read_bits(from(v, slash + 1), bits, &bits) < 0)
		return -1;
	bits = (uint8_t)(bits + (v4 ? 96 : 0));
	t->prefix = (struct prefix) { masked(&a, bits), bits };
	return 0;
}

static int read_mechanism(struct sv v, struct spf_term *t)
{
	size_t end = find(v, ":/"), i = 0;
	bool colon = end < v.n && v.p[end] == ':';
	struct sv value = from(v, end + (colon ? 1 : 0));

	while (i < ARRAY_SIZE(mechanisms) &&
	       !sv_eq_nocase((struct sv) { v.p, end }, mechanisms[i].name))
		i++;
	if (i == ARRAY_SIZE(mechanisms))
		return -1;
	t->kind = mechanisms[i].kind;
	if (mechanisms[i].value == NO_DOMAIN)
		return end == v.n ? 0 : -1;
	if (mechanisms[i].value == NEEDS_NETWORK)
		return colon ? read_network(value, t->kind == SPF_IP4, t) : -1;
	size_t n = colon ? domain_end(value) : 0;

	set_domain(t, (struct sv) { value.p, n });
	if (n == 0 && (colon || mechanisms[i].value == NEEDS_DOMAIN))
		return -1;
	if (mechanisms[i].cidr)
		return read_cidr(from(value, n), t);
	return n == value.n ? 0 : -1;
}

/* 4.6.1: name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ) */
static bool is_modifier_name(struct sv v)
{
	if (v.n == 0 || !ascii_is_alpha(v.p[0]))
		return false;
	for (size_t i = 1; i < v.n; i++)
		if (!ascii_is_alpha(v.p[i]) && !ascii_is_digit(v.p[i]) &&
		    (v.p[i] == '\0' || !strchr("-_.", v.p[i])))
			return false;
	return true;
}

static int read_modifier(struct sv v, size_t equals, struct spf_term *t)
{
	struct sv name = { v.p, equals }, value = from(v, equals + 1);

	if (!is_modifier_name(name))
		return -1;
	if (!sv_eq_nocase(name, SV("redirect"))) {
		t->kind = SPF_OTHER;
		return 0;
	}
	t->kind = SPF_REDIRECT;
	set_domain(t, value);
	return value.n ? 0 : -1;
}

static int read_term(struct sv v, struct spf_term *t)
{
	size_t at = find(v, ":/=");

	if (at < v.n && v.p[at] == '=')
		return read_modifier(v, at, t);
	if (strchr("+-~?", v.p[0])) {
		t->qualifier = v.p[0];
		v = from(v, 1);
	}
	return read_mechanism(v, t);
}

bool spf_next(struct sv *rest, struct spf_term *ret_term)
{
	struct spf_term t = { .qualifier = '+', .bits4 = 32, .bits6 = 128 };
	size_t n;

	while (rest->n && rest->p[0] == ' ')
		*rest = from(*rest, 1);
	if (rest->n == 0)
		return false;
	n = find(*rest, " ");
	t.text = (struct sv) { rest->p, n };
	*rest = from(*rest, n);
	/* there may be any octet but a space, and strchr() finds a NUL */
	if (t.text.p[0] == '\0' || read_term(t.text, &t) < 0)
		t = (struct spf_term) { .kind = SPF_BAD, .qualifier = '+', .text = t.text };
	*ret_term = t;
	return true;
}
