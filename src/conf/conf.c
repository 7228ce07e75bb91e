#include "conf/conf.h"

#include "conf/schema.h"

#include <errno.h>
#include <stdlib.h>

#define SMTPS_PORT 465 /* RFC 8314 7.3 */

#define CONF_FILE_MAX (64 * 1024 * 1024)

static void trust_loopback(struct conf_reader *r, struct policy *policy)
{
	static const char *const loopback[] = { "127.0.0.0/8", "::1/128" };

	for (size_t i = 0; i < ARRAY_SIZE(loopback); i++) {
		struct prefix p;

		INVARIANT(prefix_parse(sv_from(loopback[i]), &p) == 0);
		if (prefix_set_add(&policy->trusted, &p) < 0)
			r->no_memory = true;
	}
	prefix_set_seal(&policy->trusted);
}

static struct conf *conf_new(struct conf_reader *r)
{
	struct conf *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	map_init(&c->policy.domains);
	prefix_set_init(&c->policy.trusted);
	prefix_set_init(&c->policy.server_addresses);
	reader_defaults(&conf_schema, c);
	trust_loopback(r, &c->policy);
	c->policy.generation = policy_next_generation();
	c->policy.catalogue = catalogue_shipped();
	if (!c->policy.catalogue)
		r->no_memory = true;
	c->policy.confirm = true;
	c->policy.prove.rival = 0.1;
	c->policy.enforce.max_rejections = 2000;
	c->policy.help_url = reader_dup(r, SV(""));
	c->file = reader_dup(r, sv_from(r->file));
	return c;
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	free(c->file);
	for (size_t i = 0; i < c->n_listeners; i++) {
		free(c->listeners[i].name);
		free(c->listeners[i].bind);
		free(c->listeners[i].upstream_verify);
		free(c->listeners[i].upstream_ca);
		prefix_set_deinit(&c->listeners[i].accept_proxy);
	}
	for (size_t i = 0; i < c->tls.n_certificates; i++) {
		free(c->tls.certificates[i].cert);
		free(c->tls.certificates[i].key);
	}
	free(c->tls.certificates);
	free(c->tls.directory);
	free(c->listeners);
	free((char *)c->policy.help_url);
	free(c->policy.enforce.complaints);
	prefix_set_deinit(&c->policy.trusted);
	prefix_set_deinit(&c->policy.server_addresses);
	for (size_t i = 0; i < c->policy.n_scanners; i++)
		scanner_deinit(&c->policy.scanners[i]);
	free(c->policy.scanners);
	map_deinit(&c->policy.domains, domain_policy_free);
	catalogue_free(c->catalogue);
	for (size_t i = 0; i < c->n_catalogue_files; i++)
		free(c->catalogue_files[i]);
	free(c->catalogue_files);
	free(c->resolvers);
	for (size_t i = 0; i < c->n_hosted; i++)
		free(c->hosted[i]);
	free(c->hosted);
	free(c->events_json);
	free(c->state);
	free(c->user);
	free(c->control);
	free(c);
}

const char *conf_control(const struct conf *c)
{
	if (!c->control)
		return CONTROL_DEFAULT;
	return strcmp(c->control, "none") == 0 ? NULL : c->control;
}

bool conf_has_tls(const struct conf *c)
{
	return c->tls.n_certificates > 0 || c->tls.directory;
}

bool listener_backend_is_tls(const struct listener_conf *l)
{
	return l->upstream_tls != UPSTREAM_OFF && l->tls == TLS_IMPLICIT &&
	       (l->backend_original || l->backend.port == SMTPS_PORT);
}

static void read_document(struct conf_reader *r, const struct yaml_node *root, struct conf *c)
{
	reader_map(r, root, "", &conf_schema, c);
	if (r->errors == 0 && c->n_listeners == 0)
		reader_error(r, root, "listeners",
			     "there is none; accepted: a list of at least one listener");
}

/* Connections to other addresses are dropped: without any, the listener would serve nobody. */
static void check_tproxy(struct conf_reader *r, const struct conf *c)
{
	for (size_t i = 0; i < c->n_listeners; i++) {
		const struct listener_conf *l = &c->listeners[i];
		if (l->mode != LISTENER_TPROXY || c->policy.server_addresses_given)
			continue;
		fprintf(r->err,
			"%s:%d:1: listener %s: mode: tproxy needs server_addresses; accepted: the "
			"addresses or prefixes that the world reaches the mail server by\n",
			r->file, l->line, l->name);
		r->errors++;
	}
}

static void listener_error(struct conf_reader *r, const struct listener_conf *l, const char *text)
{
	fprintf(r->err, "%s:%d:1: listener %s: %s\n", r->file, l->line, l->name, text);
	r->errors++;
}

/* A listener and the certificates, which stand in another part of the file. */
static void check_tls(struct conf_reader *r, const struct conf *c)
{
	bool has_tls = conf_has_tls(c);

	for (size_t i = 0; i < c->n_listeners; i++) {
		const struct listener_conf *l = &c->listeners[i];
		if (l->tls == TLS_IMPLICIT && !has_tls)
			listener_error(r, l,
				       "tls: implicit needs certificates; accepted: with "
				       "tls.certificates or tls.directory");
		if (l->require_auth && !has_tls && !c->tls_hide)
			listener_error(
				r, l,
				"require_auth can't hold while the backend's STARTTLS passes "
				"by; accepted: with tls.certificates, tls.directory or "
				"tls.hide: true");
		if (l->upstream_verify && l->upstream_tls == UPSTREAM_OFF)
			listener_error(r, l,
				       "upstream_verify has nothing to verify with upstream_tls: "
				       "off; accepted: mirror, always");
	}
}

int conf_load_text(const char *name, struct sv text, FILE *err, struct conf **ret_conf)
{
	struct conf_reader r = { .file = name, .err = err };
	struct yaml_node *root = NULL;
	struct yaml_error error;
	struct conf *c;
	int e = yaml_parse(text, &root, &error);

	if (e < 0) {
		if (e == -EINVAL)
			fprintf(err, "%s:%d:%d: %s\n", name, error.line, error.column, error.text);
		return e;
	}
	c = conf_new(&r);
	if (c)
		read_document(&r, root, c);
	if (c && r.errors == 0)
		check_tproxy(&r, c);
	if (c && r.errors == 0)
		check_tls(&r, c);
	yaml_free(root);
	if (!c || r.no_memory)
		e = -ENOMEM;
	else if (r.errors > 0)
		e = -EINVAL;
	if (e < 0) {
		if (e == -ENOMEM)
			fprintf(err, "%s: out of memory\n", name);
		conf_free(c);
		return e;
	}
	*ret_conf = c;
	return 0;
}

int conf_load(const char *file, FILE *err, struct conf **ret_conf)
{
	char *text;
	size_t n;
	int r = conf_read_file(file, CONF_FILE_MAX, &text, &n);

	if (r < 0) {
		fprintf(err, "%s: %s\n", file, strerror(-r));
		return r;
	}
	r = conf_load_text(file, (struct sv) { text, n }, err, ret_conf);
	free(text);
	return r;
}

/* The domain that a line of a hosted file names, by the common formats of mail servers; n == 0:
 * none. */
static struct sv hosted_name(struct sv line)
{
	const char *end;

	line = sv_list_line(line);
	end = line.n ? memchr(line.p, ':', line.n) : NULL;
	if (end)
		line.n = (size_t)(end - line.p);
	while (line.n > 0 && strchr(" \t", line.p[line.n - 1]))
		line.n--;
	if (sv_starts_nocase(line, SV("*.")))
		line = (struct sv) { line.p + 2, line.n - 2 };
	return line;
}

static int load_hosted_file(const char *file, struct memory *memory, FILE *err)
{
	CLEANUP(cleanup_free) char *line = NULL;
	size_t alloc = 0;
	ssize_t n;
	int number = 0, wrong = 0, r = 0;
	FILE *f = fopen(file, "re");

	if (!f) {
		r = -errno;
		fprintf(err, "%s: %s\n", file, strerror(-r));
		return r;
	}
	while (r >= 0 && (n = getline(&line, &alloc, f)) >= 0) {
		struct sv name = hosted_name((struct sv) { line, (size_t)n });
		char ascii[256];

		number++;
		if (name.n == 0)
			continue;
		if (domain_to_ascii(name, ascii) < 0) {
			if (wrong++ < 5)
				fprintf(err,
					"%s:%d:1: warning: no domain name, left out; accepted: a "
					"domain on each line\n",
					file, number);
			continue;
		}
		r = memory_hosted_add(memory, sv_from(ascii));
	}
	if (wrong > 5)
		fprintf(err, "%s: warning: %d lines in all are no domain names\n", file, wrong);
	if (r >= 0 && ferror(f))
		r = -EIO;
	if (r < 0)
		fprintf(err, "%s:%d:1: %s\n", file, number, strerror(-r));
	fclose(f);
	return r < 0 ? r : 0;
}

int conf_load_hosted(const struct conf *c, struct memory *memory, FILE *err)
{
	int r = 0;

	for (size_t i = 0; i < c->n_hosted; i++) {
		int e = load_hosted_file(c->hosted[i], memory, err);

		if (e < 0)
			r = e;
	}
	return r;
}
