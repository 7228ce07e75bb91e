#include "conf/schema.h"

#include <stdlib.h>

static const struct option_word mode_words[] = {
	{ "listen", LISTENER_LISTEN, false },
	{ "tproxy", LISTENER_TPROXY, false },
	{ 0 },
};

static const struct option_word source_words[] = {
	{ "self", SOURCE_SELF, false },
	{ "client", SOURCE_CLIENT, false },
	{ 0 },
};

static const struct option_word fail_words[] = {
	{ "open", FAIL_OPEN, false },
	{ "closed", FAIL_CLOSED, false },
	{ 0 },
};

static const struct option_word bare_words[] = {
	{ "normalize", BODY_NORMALIZE, false },
	{ "reject", BODY_REJECT, false },
	{ 0 },
};

static const struct option_word tls_words[] = {
	{ "starttls", TLS_STARTTLS, false },
	{ "implicit", TLS_IMPLICIT, false },
	{ 0 },
};

static const struct option_word upstream_tls_words[] = {
	{ "mirror", UPSTREAM_MIRROR, false },
	{ "off", UPSTREAM_OFF, false },
	{ "always", UPSTREAM_ALWAYS, false },
	{ 0 },
};

static const struct option_word send_words[] = {
	{ "none", SEND_NONE, false },
	{ "proxy-v1", SEND_PROXY_V1, false },
	{ "proxy-v2", SEND_PROXY_V2, false },
	{ "xclient", SEND_XCLIENT, false },
	{ 0 },
};

static void read_name(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      void *field)
{
	static const char accepted[] = "1 to 63 letters, digits, '-', '_', '.'";
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	char **name = field;

	if (!reader_is_scalar(r, node, path, accepted))
		return;
	if (node->text.n == 0 || node->text.n > 63 ||
	    strspn(node->text.p, letters) != node->text.n) {
		reader_error(r, node, path, "this is no name; accepted: %s", accepted);
		return;
	}
	free(*name);
	*name = reader_dup(r, node->text);
}

static void read_bind(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      void *field)
{
	struct listener_conf *l = field;

	if (!reader_is_list(r, node, path, "ADDRESS:PORT"))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		struct endpoint e, *slot;

		if (!read_endpoint(r, n, path, true, &e))
			continue;
		slot = reader_grow(r, &l->bind, &l->n_bind, sizeof(*slot));
		if (slot)
			*slot = e;
	}
	if (!node->first)
		reader_error(r, node, path, "an empty list; accepted: at least one ADDRESS:PORT");
}

static void read_backend(struct conf_reader *r, const struct yaml_node *node, const char *path,
			 void *field)
{
	struct listener_conf *l = field;

	if (node->kind == YAML_SCALAR && sv_eq(node->text, SV("original")))
		l->backend_original = true;
	else
		read_endpoint(r, node, path, false, &l->backend);
}

/* "off", or a host name or address. */
static void read_upstream_verify(struct conf_reader *r, const struct yaml_node *node,
				 const char *path, void *field)
{
	static const char accepted[] =
		"off, or the name that the backend's certificate is for, as mail.example.org";
	char **name = field, ascii[256], text[READER_QUOTED];
	struct addr addr;

	if (!reader_is_scalar(r, node, path, accepted))
		return;
	free(*name);
	*name = NULL;
	if (sv_eq(node->text, SV("off")))
		return;
	if (addr_parse(node->text, &addr) < 0 &&
	    (domain_to_ascii(node->text, ascii) < 0 || !memchr(node->text.p, '.', node->text.n))) {
		reader_error(r, node, path, "'%s' is no such name; accepted: %s",
			     reader_quote(node->text, text), accepted);
		return;
	}
	*name = reader_dup(r, node->text);
}

#define IN_CONF(field) offsetof(struct listener_conf, field)

static const struct option listener_options[] = {
	{ "name", OPTION_READ, IN_CONF(name), .read = read_name },
	{ "mode", OPTION_WORD, IN_CONF(mode), .words = mode_words },
	{ "bind", OPTION_READ, 0, .read = read_bind },
	{ "port", OPTION_INT, IN_CONF(port), .min = 1, .max = 65535, .def = 25 },
	{ "backend", OPTION_READ, 0, .read = read_backend },
	{ "source", OPTION_WORD, IN_CONF(source), .words = source_words },
	{ "accept_proxy", OPTION_READ, IN_CONF(accept_proxy), .read = read_prefixes },
	{ "fail", OPTION_WORD, IN_CONF(fail), .words = fail_words },
	{ "tls", OPTION_WORD, IN_CONF(tls), .words = tls_words },
	{ "require_auth", OPTION_BOOL, IN_CONF(require_auth) },
	{ "upstream_tls", OPTION_WORD, IN_CONF(upstream_tls), .words = upstream_tls_words },
	{ "upstream_verify", OPTION_READ, IN_CONF(upstream_verify), .read = read_upstream_verify },
	{ "upstream_ca", OPTION_STRING, IN_CONF(upstream_ca), .min = 1, .max = 4000 },
	{ "bare_newline", OPTION_WORD, IN_CONF(bare_newline), .words = bare_words },
	{ "send", OPTION_WORD, IN_CONF(send), .words = send_words },
	{ "action", OPTION_WORD, IN_CONF(action), .def = ACTION_UNSET, .words = action_words },
};
static const struct schema listener_schema = { listener_options, ARRAY_SIZE(listener_options) };

/* What was not said. In tproxy mode the kernel hands connections to the loopback address. */
static void fill_in(struct conf_reader *r, const struct yaml_node *node, struct listener_conf *l)
{
	static const char *const binds[][2] = {
		[LISTENER_LISTEN] = { "0.0.0.0:2525", "[::]:2525" },
		[LISTENER_TPROXY] = { "127.0.0.1:2525", "[::1]:2525" },
	};

	if (!l->name)
		l->name = reader_dup(r, SV("smtp"));
	for (size_t i = 0; i < 2 && !yaml_get(node, "bind"); i++) {
		struct endpoint *slot = reader_grow(r, &l->bind, &l->n_bind, sizeof(*slot));

		if (slot)
			INVARIANT(endpoint_parse(sv_from(binds[l->mode][i]), slot) == 0);
	}
	if (!yaml_get(node, "source"))
		l->source = l->mode == LISTENER_TPROXY ? SOURCE_CLIENT : SOURCE_SELF;
	if (!yaml_get(node, "backend")) {
		l->backend_original = l->mode == LISTENER_TPROXY;
		if (!l->backend_original)
			INVARIANT(endpoint_parse(SV("127.0.0.1:25"), &l->backend) == 0);
	}
}

static bool binds_meet(const struct listener_conf *a, const struct listener_conf *b)
{
	for (size_t i = 0; i < a->n_bind; i++)
		for (size_t k = 0; k < b->n_bind; k++)
			if (a->bind[i].port != 0 && a->bind[i].port == b->bind[k].port &&
			    addr_eq(&a->bind[i].addr, &b->bind[k].addr))
				return true;
	return false;
}

/* A backend that is the listener again would make each session open another, without end. */
static bool is_own_backend(const struct listener_conf *l)
{
	static const struct addr any6;
	const struct addr any4 = addr_from_v4("\0\0\0");

	for (size_t i = 0; i < l->n_bind; i++) {
		const struct endpoint *b = &l->bind[i];
		bool any = addr_eq(&b->addr, &any4) || addr_eq(&b->addr, &any6);
		if (b->port == l->backend.port && (addr_eq(&b->addr, &l->backend.addr) ||
						   (any && addr_is_loopback(&l->backend.addr))))
			return true;
	}
	return false;
}

/* Clients know by the port whether TLS comes first (RFC 8314 3.3). */
static void check_port(struct conf_reader *r, const struct yaml_node *node,
		       const struct listener_conf *l)
{
	const struct yaml_node *at = yaml_get(node, "port");

	if (l->mode == LISTENER_LISTEN && at)
		reader_error(r, at, "listeners.port",
			     "with mode: listen the port is that of bind; accepted: only with "
			     "mode: tproxy");
	if (l->mode != LISTENER_TPROXY)
		return;
	if (l->port == 465 && l->tls != TLS_IMPLICIT)
		reader_warning(r, at, "listeners.port",
			       "clients of port 465 speak TLS from the first octet; this listener "
			       "needs tls: implicit");
	if (l->port == 25 && l->tls == TLS_IMPLICIT)
		reader_warning(r, yaml_get(node, "tls"), "listeners.tls",
			       "clients of port 25 begin in the clear; this listener needs "
			       "another port, as 465, or tls: starttls");
}

static void check_listener(struct conf_reader *r, const struct yaml_node *node,
			   const struct conf *c, const struct listener_conf *l)
{
	const struct yaml_node *at = yaml_get(node, "backend");

	check_port(r, node, l);
	if (l->mode == LISTENER_TPROXY && !l->backend_original)
		reader_error(r, at ? at : node, "listeners.backend",
			     "with mode: tproxy the backend is where the client went; accepted: "
			     "original");
	if (l->mode == LISTENER_LISTEN && l->backend_original)
		reader_error(r, at ? at : node, "listeners.backend",
			     "'original' needs mode: tproxy; accepted with mode: listen: "
			     "ADDRESS:PORT");
	if (l->mode == LISTENER_LISTEN && !l->backend_original && is_own_backend(l))
		reader_error(r, at ? at : node, "listeners.backend",
			     "this is the listener itself; accepted: the mail server's address");
	/* The one before is in the list already; this is its last. */
	for (size_t i = 0; i + 1 < c->n_listeners; i++) {
		const struct listener_conf *other = &c->listeners[i];

		if (other->name && l->name && strcmp(other->name, l->name) == 0) {
			at = yaml_get(node, "name");
			reader_error(
				r, at ? at : node, "listeners.name",
				"'%s' is the listener of line %d already; accepted: a name for "
				"each",
				l->name, other->line);
		}
		if (binds_meet(other, l)) {
			at = yaml_get(node, "bind");
			reader_error(r, at ? at : node, "listeners.bind",
				     "the listener of line %d has this address already; accepted: "
				     "each once",
				     other->line);
		}
	}
}

void read_listeners(struct conf_reader *r, const struct yaml_node *node, const char *path,
		    void *field)
{
	struct conf *c = field;

	if (!reader_is_list(r, node, path, "listeners"))
		return;
	for (const struct yaml_node *n = node->first; n; n = n->next) {
		struct listener_conf row = { .line = n->line };
		struct listener_conf *slot;
		unsigned before = r->errors;

		reader_defaults(&listener_schema, &row);
		reader_map(r, n, path, &listener_schema, &row);
		fill_in(r, n, &row);
		slot = reader_grow(r, &c->listeners, &c->n_listeners, sizeof(*slot));
		if (!slot) {
			free(row.name);
			free(row.bind);
			free(row.upstream_verify);
			free(row.upstream_ca);
			prefix_set_deinit(&row.accept_proxy);
			return;
		}
		*slot = row;
		if (r->errors == before)
			check_listener(r, n, c, &row);
	}
}
