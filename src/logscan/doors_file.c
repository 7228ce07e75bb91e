/* A file of DNS records is read here; what its records say of a door is in doors_answer.c. */
#include "logscan/doors_private.h"

#include "base/log.h"
#include "base/map.h"
#include "dns/spf.h"
#include "dns/wire.h"

#include <errno.h>
#include <stdlib.h>

static const char *const type_names[] = {
	[TYPE_MX] = "MX",
	[TYPE_A] = "A",
	[TYPE_AAAA] = "AAAA",
	[TYPE_TXT] = "TXT",
	[TYPE_CNAME] = "CNAME",
	[TYPE_PTR] = "PTR",
	[TYPE_NXDOMAIN] = "NXDOMAIN",
	[TYPE_NODATA] = "NODATA",
	[TYPE_SERVFAIL] = "SERVFAIL",
};

void doors_file_free(struct doors_file *f)
{
	if (!f)
		return;
	index_deinit(&f->index);
	free(f->names);
	free(f->records);
	free(f->strings);
	free(f);
}

/* ---- reading ---- */

static bool same_name(const void *user, uint32_t at, const void *key)
{
	const struct doors_file *f = user;

	return strcmp(f->strings + f->names[at].string, key) == 0;
}

uint32_t doors_file_find(const struct doors_file *f, const char *name)
{
	return index_find(&f->index, map_hash(sv_from(name)), same_name, f, name);
}

static int grow(void *array, size_t n, size_t *alloc, size_t size)
{
	void **rows = array;
	void *p;

	if (n <= *alloc)
		return 0;
	*alloc = n + n / 2 + 64;
	p = reallocarray(*rows, *alloc, size);
	if (!p)
		return -ENOMEM;
	*rows = p;
	return 0;
}

static int add_string(struct doors_file *f, const char *s, uint32_t *ret_at)
{
	size_t n = strlen(s) + 1;

	if (f->n_strings + n > UINT32_MAX ||
	    grow(&f->strings, f->n_strings + n, &f->alloc_strings, 1) < 0)
		return -ENOMEM;
	memcpy(f->strings + f->n_strings, s, n);
	*ret_at = (uint32_t)f->n_strings;
	f->n_strings += n;
	return 0;
}

static int add_name(struct doors_file *f, const char *name, uint32_t *ret_at)
{
	uint32_t at = doors_file_find(f, name), string;

	if (at == INDEX_NONE) {
		at = (uint32_t)f->n_names;
		if (grow(&f->names, f->n_names + 1, &f->alloc_names, sizeof(*f->names)) < 0 ||
		    add_string(f, name, &string) < 0 ||
		    index_add(&f->index, map_hash(sv_from(name)), at) < 0)
			return -ENOMEM;
		f->names[f->n_names++] = (struct name) { string, INDEX_NONE };
	}
	*ret_at = at;
	return 0;
}

static bool same_record(const struct doors_file *f, const struct record *have,
			const struct record *record, const char *target)
{
	if (have->type != record->type || have->preference != record->preference)
		return false;
	return target ? strcmp(f->strings + have->name, target) == 0
		      : addr_eq(&have->addr, &record->addr);
}

/* Once: what is written of many domains has the addresses of their common MX hosts many times. */
static int add_record(struct doors_file *f, const char *owner, const struct record *record,
		      const char *target)
{
	struct record r = *record;
	uint32_t at;

	if (add_name(f, owner, &at) < 0)
		return -ENOMEM;
	for (uint32_t i = f->names[at].records; i != INDEX_NONE; i = f->records[i].next)
		if (same_record(f, &f->records[i], record, target))
			return 0;
	if (grow(&f->records, f->n_records + 1, &f->alloc_records, sizeof(*f->records)) < 0 ||
	    (target && add_string(f, target, &r.name) < 0))
		return -ENOMEM;
	r.next = f->names[at].records;
	f->names[at].records = (uint32_t)f->n_records;
	f->records[f->n_records++] = r;
	return 0;
}

static void skip_blanks(struct sv *line)
{
	while (line->n > 0 && (line->p[0] == ' ' || line->p[0] == '\t'))
		*line = (struct sv) { line->p + 1, line->n - 1 };
}

/* The next word of *line; empty at its end. */
static struct sv word(struct sv *line)
{
	size_t n = 0;
	struct sv w;

	skip_blanks(line);
	while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
		n++;
	w = (struct sv) { line->p, n };
	*line = (struct sv) { line->p + n, line->n - n };
	return w;
}

/* A name in lower case without its last dot, into out[WIRE_NAME_SIZE]. */
static int read_name(struct sv w, char *out)
{
	if (w.n > 0 && w.p[w.n - 1] == '.')
		w.n--;
	if (w.n >= WIRE_NAME_SIZE || memchr(w.p, '\0', w.n))
		return -EINVAL;
	for (size_t i = 0; i < w.n; i++)
		out[i] = ascii_lower(w.p[i]);
	out[w.n] = '\0';
	return 0;
}

static size_t find_type(struct sv w)
{
	size_t type = 0;

	while (type < ARRAY_SIZE(type_names) && !sv_eq_nocase(w, sv_from(type_names[type])))
		type++;
	return type;
}

static const char *read_failed(struct sv w, struct record *r)
{
	size_t type = w.n ? find_type(w) : TYPE_ANY;

	if (w.n > 0 && type > TYPE_TXT && type != TYPE_PTR)
		return "no type; accepted: NAME SERVFAIL [MX|A|AAAA|TXT|PTR]";
	r->preference = (uint16_t)type;
	return NULL;
}

/* The octet after a backslash (RFC 1035 5.1), which stands at v.p[i]: itself, or three digits.
 * Returns the position behind it. */
static size_t read_escape(struct sv v, size_t i, char *ret_octet)
{
	uint64_t octet;

	if (i + 3 < v.n && sv_to_u64((struct sv) { v.p + i + 1, 3 }, 255, &octet) == 0) {
		*ret_octet = (char)octet;
		return i + 4;
	}
	*ret_octet = i + 1 < v.n ? v.p[i + 1] : '\\';
	return i + 2;
}

/* Where the comment of a line begins, or its end. */
static size_t comment(struct sv line)
{
	bool quoted = false;

	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '\\' && quoted)
			i++;
		else if (line.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && (line.p[i] == ';' || line.p[i] == '#'))
			return i;
	}
	return line.n;
}

/* One string, quoted or a word; *at is the end of what is in out. false: it has no end. */
static bool read_string(struct sv *rest, char *out, size_t *at)
{
	bool quoted = rest->p[0] == '"';
	size_t i = quoted;

	while (i < rest->n &&
	       (quoted ? rest->p[i] != '"' : rest->p[i] != ' ' && rest->p[i] != '\t')) {
		char octet = rest->p[i];

		i = octet == '\\' ? read_escape(*rest, i, &octet) : i + 1;
		if (octet) /* no record that counts has one */
			out[(*at)++] = octet;
	}
	if (quoted && i++ >= rest->n)
		return false;
	i = min_size(i, rest->n);
	*rest = (struct sv) { rest->p + i, rest->n - i };
	return true;
}

/* All strings of a record as one, into text, which has room for rest and a NUL. */
static bool read_strings(struct sv rest, char *text)
{
	size_t n = 0;

	skip_blanks(&rest);
	if (rest.n == 0)
		return false;
	for (; rest.n > 0; skip_blanks(&rest))
		if (!read_string(&rest, text, &n))
			return false;
	text[n] = '\0';
	return true;
}

/* Only SPF records are kept; of others their name. */
static const char *read_text(struct doors_file *f, struct sv rest, const char *owner,
			     struct record *r)
{
	char *text = malloc(rest.n + 1);
	const char *fault = NULL;
	uint32_t at;
	int res = 0;

	if (!text)
		return "";
	if (!read_strings(rest, text))
		fault = "no text; accepted: NAME TXT \"v=spf1 ...\" [\"...\"]";
	else if (spf_is_record(sv_from(text)))
		res = add_record(f, owner, r, text);
	else
		res = add_name(f, owner, &at);
	free(text);
	return res < 0 ? "" : fault;
}

static const char *read_data(struct sv *rest, struct record *r, char *target)
{
	uint64_t preference;

	switch ((enum file_type)r->type) {
	case TYPE_MX:
		if (sv_to_u64(word(rest), UINT16_MAX, &preference) < 0)
			return "no preference; accepted: NAME MX NUMBER HOST";
		r->preference = (uint16_t)preference;
		break;
	case TYPE_A:
	case TYPE_AAAA:
		if (addr_parse(word(rest), &r->addr) < 0 ||
		    addr_is_v4(&r->addr) != (r->type == TYPE_A))
			return "no address of that family; accepted: NAME A 192.0.2.1, "
			       "NAME AAAA 2001:db8::1";
		return NULL;
	case TYPE_NXDOMAIN:
	case TYPE_NODATA:
		return NULL;
	case TYPE_SERVFAIL:
		return read_failed(word(rest), r);
	case TYPE_TXT: /* read_text() */
	case TYPE_CNAME:
	case TYPE_PTR:
	case TYPE_ANY:
		break;
	}
	struct sv name = word(rest);

	return name.n == 0 || read_name(name, target) < 0 ? "no name; accepted: NAME TYPE HOST"
							  : NULL;
}

/* NULL, or what is wrong; "" : no memory. */
static const char *read_line(struct doors_file *f, struct sv line)
{
	static const char accepted[] =
		"no record; accepted: NAME [TTL] [IN] "
		"MX|A|AAAA|TXT|CNAME|PTR DATA, NAME NXDOMAIN|NODATA|SERVFAIL";
	char owner[WIRE_NAME_SIZE], target[WIRE_NAME_SIZE] = "";
	struct record r = { 0 };
	uint64_t ttl;
	const char *fault;
	size_t type;
	struct sv w;

	line.n = comment(line);
	w = word(&line);
	if (w.n == 0)
		return NULL;
	if (read_name(w, owner) < 0)
		return "no name; accepted: up to 255 octets";
	w = word(&line);
	if (sv_to_u64(w, UINT32_MAX, &ttl) == 0)
		w = word(&line);
	if (sv_eq_nocase(w, SV("IN")))
		w = word(&line);
	type = find_type(w);
	if (type == ARRAY_SIZE(type_names))
		return accepted;
	r.type = (uint8_t)type;
	if (type == TYPE_TXT)
		return read_text(f, line, owner, &r);
	fault = read_data(&line, &r, target);
	if (fault)
		return fault;
	if (word(&line).n > 0)
		return accepted;
	bool named = type == TYPE_MX || type == TYPE_CNAME || type == TYPE_PTR;

	return add_record(f, owner, &r, named ? target : NULL) < 0 ? "" : NULL;
}

static int read_file(struct doors_file *f, const char *file, FILE *in, FILE *err)
{
	CLEANUP(cleanup_free) char *line = NULL;
	size_t alloc = 0, number = 0;
	ssize_t n;
	int r = 0;

	while ((n = getline(&line, &alloc, in)) >= 0) {
		struct sv v = { line, (size_t)n };
		const char *fault;

		number++;
		while (v.n > 0 && (v.p[v.n - 1] == '\n' || v.p[v.n - 1] == '\r'))
			v.n--;
		fault = read_line(f, v);
		if (!fault)
			continue;
		if (!*fault)
			return -ENOMEM;
		fprintf(err, "%s:%zu: %s\n", file, number, fault);
		r = -EINVAL;
	}
	if (ferror(in)) {
		r = -errno;
		fprintf(err, "%s: %s\n", file, strerror(errno));
	}
	return r;
}

int doors_open_file(const char *file, FILE *err, struct doors **ret_doors)
{
	struct doors *d = calloc(1, sizeof(*d));
	FILE *in;
	int r = -ENOMEM;

	if (!d || !(d->file = calloc(1, sizeof(*d->file)))) {
		free(d);
		return r;
	}
	in = fopen(file, "re");
	if (in) {
		r = read_file(d->file, file, in, err);
		fclose(in);
	} else {
		r = -errno;
		fprintf(err, "%s: %s\n", file, strerror(errno));
	}
	if (r < 0)
		doors_close(d);
	else
		*ret_doors = d;
	return r;
}
