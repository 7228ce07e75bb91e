#include "dns/facts.h"

#include <errno.h>
#include <idn2.h>
#include <stdlib.h>

/* Lays out one block: first called without memory to count, then with it. */
struct layout {
	char *base; /* NULL: only count */
	size_t used;
};

static void *layout_take(struct layout *l, size_t size, size_t align)
{
	void *at;

	l->used = (l->used + align - 1) / align * align;
	at = l->base ? l->base + l->used : NULL;
	l->used += size;
	return at;
}

static const char *layout_string(struct layout *l, const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = layout_take(l, size, 1);

	if (copy)
		memcpy(copy, s, size);
	return copy;
}

static const struct addr *layout_addrs(struct layout *l, const struct addr *addrs, size_t n)
{
	struct addr *copy = layout_take(l, n * sizeof(*copy), _Alignof(struct addr));

	if (copy && n)
		memcpy(copy, addrs, n * sizeof(*copy));
	return copy;
}

const char facts_ptr_failed[] = "";

static const char *layout_ptr(struct layout *l, const char *ptr)
{
	if (ptr == facts_ptr_failed)
		return ptr;
	return ptr && ptr[0] ? layout_string(l, ptr) : "";
}

static void layout_host(struct layout *l, const struct dns_host *from, struct dns_host *to)
{
	struct dns_host host = *from;

	host.addrs = layout_addrs(l, from->addrs, from->n_addrs);
	host.name = layout_string(l, from->name);
	host.ptr = layout_ptr(l, from->ptr);
	/* one string for both, as nearly always */
	if (strcmp(from->name, from->canonical) == 0)
		host.canonical = host.name;
	else
		host.canonical = layout_string(l, from->canonical);
	if (to)
		*to = host;
}

static struct domain_facts *layout_domain(struct layout *l, const struct domain_facts *from)
{
	struct domain_facts *to = layout_take(l, sizeof(*to), _Alignof(struct domain_facts));
	struct dns_host *hosts =
		layout_take(l, from->n_hosts * sizeof(*hosts), _Alignof(struct dns_host));
	struct dns_host *former =
		layout_take(l, from->n_former * sizeof(*former), _Alignof(struct dns_host));
	const char *domain;

	for (size_t i = 0; i < from->n_hosts; i++)
		layout_host(l, &from->hosts[i], hosts ? &hosts[i] : NULL);
	for (size_t i = 0; i < from->n_former; i++)
		layout_host(l, &from->former[i], former ? &former[i] : NULL);
	domain = layout_string(l, from->domain);
	if (to) {
		*to = *from;
		to->hosts = hosts;
		to->hosts_serial = 0;
		to->former = former;
		to->domain = domain;
	}
	return to;
}

struct domain_facts *facts_copy(const struct domain_facts *templ)
{
	struct layout l = { 0 };

	layout_domain(&l, templ);
	l = (struct layout) { .base = malloc(l.used) };
	return l.base ? layout_domain(&l, templ) : NULL;
}

static struct client_names *layout_client(struct layout *l, const struct client_names *from)
{
	struct client_names *to = layout_take(l, sizeof(*to), _Alignof(struct client_names));
	const char **names = layout_take(l, from->n * sizeof(*names), _Alignof(const char *));

	for (size_t i = 0; i < from->n; i++) {
		const char *name = layout_string(l, from->names[i]);
		if (names)
			names[i] = name;
	}
	if (to) {
		*to = *from;
		to->names = names;
	}
	return to;
}

struct client_names *client_names_copy(const struct client_names *templ)
{
	struct layout l = { 0 };

	layout_client(&l, templ);
	l = (struct layout) { .base = malloc(l.used) };
	return l.base ? layout_client(&l, templ) : NULL;
}

static struct door_names *layout_names(struct layout *l, const struct door_names *from)
{
	struct door_names *to = layout_take(l, sizeof(*to), _Alignof(struct door_names));

	if (to)
		*to = *from;
	for (size_t i = 0; i < DOOR_NAME_COUNT; i++) {
		const struct addr *addrs = layout_addrs(l, from->addrs[i], from->n[i]);
		if (to)
			to->addrs[i] = addrs;
	}
	return to;
}

struct door_names *door_names_copy(const struct door_names *templ)
{
	struct layout l = { 0 };

	layout_names(&l, templ);
	l = (struct layout) { .base = malloc(l.used) };
	return l.base ? layout_names(&l, templ) : NULL;
}

static struct egress_source *layout_source(struct layout *l, const struct egress_source *from)
{
	struct egress_source *to = layout_take(l, sizeof(*to), _Alignof(struct egress_source));
	struct addr_range *ranges =
		layout_take(l, from->set.n * sizeof(*ranges), _Alignof(struct addr_range));
	const char *key = layout_string(l, from->key);
	const char *left_out =
		from->left_out && from->left_out[0] ? layout_string(l, from->left_out) : "";

	if (!to)
		return NULL;
	if (from->set.n)
		memcpy(ranges, from->set.ranges, from->set.n * sizeof(*ranges));
	*to = *from;
	to->key = key;
	to->left_out = left_out;
	to->set = (struct prefix_set) { .ranges = ranges, .n = from->set.n, .sealed = true };
	return to;
}

struct egress_source *egress_source_copy(const struct egress_source *templ)
{
	struct layout l = { 0 };

	layout_source(&l, templ);
	l = (struct layout) { .base = malloc(l.used) };
	return l.base ? layout_source(&l, templ) : NULL;
}

void facts_free(void *facts)
{
	free(facts);
}

static bool is_label_char(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_';
}

/* Letters, digits, hyphen and underscore in labels of 1 to 63 bytes, 253 in all, wherever the
 * hyphens are: DNS knows names that the host name rules do not, and is to be asked, not guessed. */
static int ascii_domain(struct sv domain, char *out)
{
	size_t label = 0;

	if (domain.n && domain.p[domain.n - 1] == '.')
		domain.n--;
	if (domain.n == 0 || domain.n > 253)
		return -EINVAL;
	for (size_t i = 0; i <= domain.n; i++) {
		if (i == domain.n || domain.p[i] == '.') {
			if (label == 0 || label > 63)
				return -EINVAL;
			label = 0;
		} else if (is_label_char(domain.p[i])) {
			label++;
		} else {
			return -EINVAL;
		}
	}
	for (size_t i = 0; i < domain.n; i++)
		out[i] = ascii_lower(domain.p[i]);
	out[domain.n] = '\0';
	return 0;
}

int domain_to_ascii(struct sv domain, char *out)
{
	char u8[1024]; /* 253 characters of up to 4 bytes */
	char *ascii = NULL;
	bool plain = true;
	int r;

	for (size_t i = 0; i < domain.n; i++) {
		if (domain.p[i] == '\0')
			return -EINVAL;
		plain = plain && !((unsigned char)domain.p[i] & 0x80);
	}
	/* A-labels are taken as they are: IDNA2008 disallows some that exist */
	if (plain)
		return ascii_domain(domain, out);
	if (domain.n >= sizeof(u8))
		return -EINVAL;
	memcpy(u8, domain.p, domain.n);
	u8[domain.n] = '\0';
	if (idn2_to_ascii_8z(u8, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return -EINVAL;
	r = ascii_domain(sv_from(ascii), out);
	idn2_free(ascii);
	return r;
}
