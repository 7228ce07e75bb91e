#include "conf/schema.h"

#include "policy/share.h"

#include <errno.h>
#include <stdlib.h>

#define DAY_MS (24 * 3600 * 1000LL)

const struct option_word action_words[] = {
	{ "observe", ACTION_OBSERVE, false }, { "tag", ACTION_TAG, false },
	{ "defer", ACTION_DEFER, false },     { "reject", ACTION_REJECT, false },
	{ "tarpit", ACTION_TARPIT, false },   { "scan", ACTION_SCAN, true },
	{ "divert", ACTION_DIVERT, true },    { 0 },
};

static const struct option_word dns_failure_words[] = {
	{ "defer", ACTION_DEFER, false },
	{ "pass", ACTION_PASS, false },
	{ 0 },
};

static const struct option_word unknown_domain_words[] = {
	{ "pass", ACTION_PASS, false },
	{ "defer", ACTION_DEFER, false },
	{ "reject", ACTION_REJECT, false },
	{ 0 },
};

static const struct option_word shared_egress_words[] = {
	{ "pass", ACTION_PASS, false },
	{ "tag", ACTION_TAG, false },
	{ 0 },
};

bool read_prefix(struct conf_reader *r, const struct yaml_node *node, const char *path,
		 struct prefix_set *set)
{
	static const char accepted[] =
		"an address or a prefix, as 192.0.2.0/24 or \"2001:db8::/32\"";
	struct prefix p;
	char text[READER_QUOTED];
	int e;

	if (!reader_is_scalar(r, node, path, accepted))
		return false;
	e = prefix_parse(node->text, &p);
	if (e < 0) {
		reader_error(r, node, path, "'%s' %s; accepted: %s", reader_quote(node->text, text),
			     e == -ERANGE ? "has bits set past its length" : "is no address",
			     accepted);
		return false;
	}
	if (prefix_set_add(set, &p) < 0)
		r->no_memory = true;
	return true;
}

void read_prefixes(struct conf_reader *r, const struct yaml_node *node, const char *path,
		   void *field)
{
	struct prefix_set *set = field;

	if (!reader_is_list(r, node, path, "addresses and prefixes"))
		return;
	prefix_set_deinit(set); /* the default is replaced, not added to */
	for (const struct yaml_node *n = node->first; n; n = n->next)
		read_prefix(r, n, path, set);
	prefix_set_seal(set);
}

bool read_endpoint(struct conf_reader *r, const struct yaml_node *node, const char *path,
		   bool any_port, struct endpoint *ret_endpoint)
{
	static const char accepted[] = "ADDRESS:PORT, as 127.0.0.1:25 or \"[::1]:25\"";
	char text[READER_QUOTED];
	struct endpoint e;

	if (!reader_is_scalar(r, node, path, accepted))
		return false;
	if (endpoint_parse(node->text, &e) < 0 || (e.port == 0 && !any_port)) {
		reader_error(r, node, path, "'%s' is no address with a port; accepted: %s",
			     reader_quote(node->text, text), accepted);
		return false;
	}
	*ret_endpoint = e;
	return true;
}

static void read_http(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      void *field)
{
	(void)read_endpoint(r, node, path, false, field);
}

static void read_server_addresses(struct conf_reader *r, const struct yaml_node *node,
				  const char *path, void *field)
{
	struct policy *policy = &((struct conf *)field)->policy;

	read_prefixes(r, node, path, &policy->server_addresses);
	policy->server_addresses_given = policy->server_addresses.n > 0;
}

static void read_resolvers(struct conf_reader *r, const struct yaml_node *node, const char *path,
			   void *field)
{
	struct conf *c = field;

	if (!reader_is_list(r, node, path, "ADDRESS:PORT"))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		struct endpoint e, *slot;

		if (!read_endpoint(r, n, path, false, &e))
			continue;
		slot = reader_grow(r, &c->resolvers, &c->n_resolvers, sizeof(*slot));
		if (slot)
			*slot = e;
	}
}

static void read_confirm(struct conf_reader *r, const struct yaml_node *node, const char *path,
			 void *field)
{
	static const char accepted[] = "authoritative, off";
	char text[READER_QUOTED];

	if (!reader_is_scalar(r, node, path, accepted))
		return;
	if (sv_eq(node->text, SV("authoritative")))
		*(bool *)field = true;
	else if (sv_eq(node->text, SV("off")))
		*(bool *)field = false;
	else
		reader_error(r, node, path, "'%s' is not known; accepted: %s",
			     reader_quote(node->text, text), accepted);
}

static void read_help_url(struct conf_reader *r, const struct yaml_node *node, const char *path,
			  void *field)
{
	static const char accepted[] = "up to 160 printable ASCII characters without spaces";
	char *copy;

	if (node->kind != YAML_SCALAR) {
		reader_is_scalar(r, node, path, accepted);
		return;
	}
	for (size_t i = 0; i < node->text.n; i++) {
		if (node->text.p[i] > ' ' && node->text.p[i] < 0x7f && node->text.n <= 160)
			continue;
		reader_error(r, node, path, "this can't stand in a reply; accepted: %s", accepted);
		return;
	}
	copy = reader_dup(r, node->text);
	if (!copy)
		return;
	free((char *)*(const char **)field);
	*(const char **)field = copy;
}

static void read_rival(struct conf_reader *r, const struct yaml_node *node, const char *path,
		       void *field)
{
	char *end, text[READER_QUOTED];

	if (!reader_is_scalar(r, node, path, "a share from 0 to 1, as 0.1"))
		return;
	double v = strtod(node->text.p, &end);

	if (*end || end == node->text.p || !(v >= 0 && v <= 1))
		reader_error(r, node, path, "'%s' can't be; accepted: a share from 0 to 1, as 0.1",
			     reader_quote(node->text, text));
	else
		*(double *)field = v;
}

/* "5%", "0.5%", in hundredths of a percent. */
static void read_percent(struct conf_reader *r, const struct yaml_node *node, const char *path,
			 void *field)
{
	static const char accepted[] = "a share from 0% to 100%, as 5% or 0.5%";
	char *end, text[READER_QUOTED];

	if (!reader_is_scalar(r, node, path, accepted))
		return;
	double v = strtod(node->text.p, &end);

	if (end == node->text.p || strcmp(end, "%") != 0 || !(v >= 0 && v <= 100))
		reader_error(r, node, path, "'%s' can't be; accepted: %s",
			     reader_quote(node->text, text), accepted);
	else
		*(int *)field = (int)(v * SHARE_ALL / 100 + 0.5);
}

static void read_enforce_share(struct conf_reader *r, const struct yaml_node *node,
			       const char *path, void *field)
{
	int share = SHARE_ALL - *(int *)field;

	read_percent(r, node, path, &share);
	*(int *)field = SHARE_ALL - share;
}

static void read_hosted(struct conf_reader *r, const struct yaml_node *node, const char *path,
			void *field)
{
	struct conf *c = field;

	if (!reader_is_list(r, node, path, "files"))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		char **slot;

		if (!reader_is_scalar(r, n, path, "a file"))
			continue;
		slot = reader_grow(r, &c->hosted, &c->n_hosted, sizeof(*slot));
		if (slot)
			*slot = reader_dup(r, n->text);
	}
}

static const struct option resolver_options[] = {
	{ "servers", OPTION_READ, 0, .read = read_resolvers },
	{ "timeout_ms", OPTION_INT, offsetof(struct conf, resolver_timeout_ms), .min = 100,
	  .max = 60000, .def = 2000 },
	{ "confirm", OPTION_READ, offsetof(struct conf, policy.confirm), .read = read_confirm },
};
static const struct schema resolver_schema = { resolver_options, ARRAY_SIZE(resolver_options) };

#define IN_POLICY(field) offsetof(struct conf, policy.field)

static const struct option prove_options[] = {
	{ "mails", OPTION_INT, IN_POLICY(prove.mails), .min = 1, .max = 1000000, .def = 20 },
	{ "hours", OPTION_INT, IN_POLICY(prove.hours), .min = 0, .max = 8760, .def = 24 },
	{ "rival", OPTION_READ, IN_POLICY(prove.rival), .read = read_rival },
};
static const struct schema prove_schema = { prove_options, ARRAY_SIZE(prove_options) };

static const struct option enforce_options[] = {
	{ "share", OPTION_READ, IN_POLICY(enforce.spared), .read = read_enforce_share },
	{ "complaints", OPTION_STRING, IN_POLICY(enforce.complaints), .min = 1, .max = 4000 },
	{ "max_rejections", OPTION_READ, IN_POLICY(enforce.max_rejections), .read = read_percent },
};
static const struct schema enforce_schema = { enforce_options, ARRAY_SIZE(enforce_options) };

static const struct option policy_options[] = {
	{ "action", OPTION_WORD, IN_POLICY(action), .def = ACTION_OBSERVE, .words = action_words },
	{ "guessed_action", OPTION_WORD, IN_POLICY(guessed_action), .def = ACTION_OBSERVE,
	  .words = action_words },
	{ "shared_egress", OPTION_WORD, IN_POLICY(shared_egress), .def = ACTION_PASS,
	  .words = shared_egress_words },
	{ "stale_max", OPTION_MS, IN_POLICY(stale_max_ms), .min = 60000, .max = 365 * DAY_MS,
	  .def = 7 * DAY_MS },
	{ "prove", OPTION_MAP, 0, .map = &prove_schema },
	{ "enforce", OPTION_MAP, 0, .map = &enforce_schema },
	{ "on_dns_failure", OPTION_WORD, IN_POLICY(on_dns_failure), .def = ACTION_DEFER,
	  .words = dns_failure_words },
	{ "on_unknown_domain", OPTION_WORD, IN_POLICY(on_unknown_domain), .def = ACTION_PASS,
	  .words = unknown_domain_words },
	{ "strict_backup", OPTION_BOOL, IN_POLICY(strict_backup) },
	{ "help_url", OPTION_READ, IN_POLICY(help_url), .read = read_help_url },
};
static const struct schema policy_schema = { policy_options, ARRAY_SIZE(policy_options) };

static const struct option certificate_options[] = {
	{ "cert", OPTION_STRING, offsetof(struct tls_certificate_conf, cert), .min = 1,
	  .max = 4000 },
	{ "key", OPTION_STRING, offsetof(struct tls_certificate_conf, key), .min = 1, .max = 4000 },
};
static const struct schema certificate_schema = { certificate_options,
						  ARRAY_SIZE(certificate_options) };

static void read_certificates(struct conf_reader *r, const struct yaml_node *node, const char *path,
			      void *field)
{
	struct tls_conf *tls = &((struct conf *)field)->tls;

	if (!reader_is_list(r, node, path, "{cert: FILE, key: FILE}"))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		struct tls_certificate_conf *slot =
			reader_grow(r, &tls->certificates, &tls->n_certificates, sizeof(*slot));

		if (!slot)
			return;
		slot->line = n->line;
		reader_map(r, n, path, &certificate_schema, slot);
		if (n->kind == YAML_MAPPING && !yaml_get(n, "cert"))
			reader_error(
				r, n, path,
				"cert is missing; accepted: {cert: FILE, key: FILE}, key may be "
				"left out when it is in the same file");
	}
}

static void read_directory(struct conf_reader *r, const struct yaml_node *node, const char *path,
			   void *field)
{
	struct tls_conf *tls = &((struct conf *)field)->tls;

	if (!reader_is_scalar(r, node, path, "a pattern of files"))
		return;
	if (node->text.n == 0 || node->text.n > 4000) {
		reader_error(r, node, path,
			     "this names no files; accepted: a pattern, as "
			     "\"/var/lib/tls/*/combined.pem\"");
		return;
	}
	free(tls->directory);
	tls->directory = reader_dup(r, node->text);
	tls->directory_line = node->line;
}

static const struct option tls_options[] = {
	{ "certificates", OPTION_READ, 0, .read = read_certificates },
	{ "directory", OPTION_READ, 0, .read = read_directory },
	{ "hide", OPTION_BOOL, offsetof(struct conf, tls_hide) },
};
static const struct schema tls_schema = { tls_options, ARRAY_SIZE(tls_options) };

static const struct option events_options[] = {
	{ "json", OPTION_STRING, offsetof(struct conf, events_json), .min = 1, .max = 4000 },
	{ "database", OPTION_LATER },
};
static const struct schema events_schema = { events_options, ARRAY_SIZE(events_options) };

/* Maps have offset 0: their rows' offsets are those in struct conf. */
static const struct option conf_options[] = {
	{ "listeners", OPTION_READ, 0, .read = read_listeners },
	{ "server_addresses", OPTION_READ, 0, .read = read_server_addresses },
	{ "trusted", OPTION_READ, IN_POLICY(trusted), .read = read_prefixes },
	{ "resolver", OPTION_MAP, 0, .map = &resolver_schema },
	{ "policy", OPTION_MAP, 0, .map = &policy_schema },
	{ "scanners", OPTION_READ, 0, .read = read_scanners },
	{ "catalogue", OPTION_READ, 0, .read = read_catalogue },
	{ "domains", OPTION_READ, 0, .read = read_domains },
	{ "hosted", OPTION_READ, 0, .read = read_hosted },
	{ "tls", OPTION_MAP, 0, .map = &tls_schema },
	{ "limits", OPTION_MAP, 0, .map = &limits_schema },
	{ "events", OPTION_MAP, 0, .map = &events_schema },
	{ "state", OPTION_STRING, offsetof(struct conf, state), .min = 1, .max = 4000 },
	{ "user", OPTION_STRING, offsetof(struct conf, user), .min = 1, .max = 32 },
	{ "http", OPTION_READ, offsetof(struct conf, http), .read = read_http },
	{ "control", OPTION_STRING, offsetof(struct conf, control), .min = 1, .max = 100 },
	{ "workers", OPTION_INT, offsetof(struct conf, workers), .min = 0, .max = 256 },
};
const struct schema conf_schema = { conf_options, ARRAY_SIZE(conf_options) };
