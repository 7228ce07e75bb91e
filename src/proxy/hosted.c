#include "proxy/hosted.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What tells one content of a file from another. */
struct look {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

/* A set of names: a million of them should not cost as much as their doors. */
struct names {
	uint64_t *hashes; /* sorted */
	size_t n, alloc;
};

struct hosted_file {
	struct look loaded, last;
	struct names names;
	struct memory *fresh; /* what was read, until it counts */
	bool warned;
};

struct hosted {
	const struct conf *conf;
	struct memory *memory;
	FILE *err;                 /* of hosted_read() */
	struct hosted_file *files; /* conf->n_hosted */
};

/* ---- names ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool names_have(const struct names *names, uint64_t hash)
{
	return names->n && bsearch(&hash, names->hashes, names->n, sizeof(*names->hashes), compare);
}

static int names_add(struct names *names, uint64_t hash)
{
	if (names->n == names->alloc) {
		size_t alloc = names->alloc ? 2 * names->alloc : 256;
		uint64_t *more = realloc(names->hashes, alloc * sizeof(*more));

		if (!more)
			return -ENOMEM;
		names->hashes = more;
		names->alloc = alloc;
	}
	names->hashes[names->n++] = hash;
	return 0;
}

static int add_name(void *names, const char *domain)
{
	return names_add(names, map_hash(sv_from(domain)));
}

static void names_sort(struct names *names)
{
	if (names->n)
		qsort(names->hashes, names->n, sizeof(*names->hashes), compare);
}

static void names_free(struct names *names)
{
	free(names->hashes);
	*names = (struct names) { 0 };
}

/* ---- one file ---- */

static bool look_at(const char *file, struct look *ret_look)
{
	struct stat st;

	if (stat(file, &st) < 0)
		return false;
	memset(ret_look, 0, sizeof(*ret_look)); /* padding too: it is compared as a whole */
	ret_look->dev = st.st_dev;
	ret_look->ino = st.st_ino;
	ret_look->size = st.st_size;
	ret_look->mtime = st.st_mtim;
	ret_look->ctime = st.st_ctim;
	return true;
}

static bool same_look(const struct look *a, const struct look *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* What the i-th file names now, in a memory of its own; and the same as a set. What is wrong in it
 * is said to stderr, as at the start. */
static int read_file(const struct hosted *h, size_t i, struct memory **ret_memory,
		     struct names *ret_names)
{
	struct conf one = *h->conf;
	struct names names = { 0 };
	struct memory *m;
	int r = memory_new(&m);

	if (r < 0)
		return r;
	one.hosted = &h->conf->hosted[i];
	one.n_hosted = 1;
	r = conf_load_hosted(&one, m, h->err);
	if (r == 0)
		r = memory_hosted_each(m, add_name, &names);
	if (r < 0) {
		memory_free(m);
		names_free(&names);
		return r;
	}
	names_sort(&names);
	*ret_memory = m;
	*ret_names = names;
	return 0;
}

static void warn_once(struct hosted *h, size_t i, const char *what)
{
	if (!h->files[i].warned)
		log_warning("hosted=%s %s; what it named before stays hosted", h->conf->hosted[i],
			    what);
	h->files[i].warned = true;
}

/* ---- what changes ---- */

struct update {
	struct hosted *h;
	struct resolver *resolver;
	const struct hosted *former;
	const struct names *before, *gone;
	size_t added, removed;
	char **names; /* to be removed */
	size_t n, alloc;
};

static bool any_names(const struct hosted *h, uint64_t hash)
{
	for (size_t i = 0; i < h->conf->n_hosted; i++)
		if (names_have(&h->files[i].names, hash))
			return true;
	return false;
}

static int add_domain(void *user, const char *domain)
{
	struct update *u = user;
	int r = memory_hosted_add(u->h->memory, sv_from(domain));

	uint64_t hash = map_hash(sv_from(domain));

	if (r < 0 || (u->before && names_have(u->before, hash)) ||
	    (u->former && any_names(u->former, hash)))
		return r < 0 ? r : 0;
	u->added++;
	return u->resolver ? resolver_keep(u->resolver, domain) : 0;
}

static int collect_gone(void *user, const char *domain)
{
	struct update *u = user;

	if (!names_have(u->gone, map_hash(sv_from(domain))))
		return 0;
	if (u->n == u->alloc) {
		size_t alloc = u->alloc ? 2 * u->alloc : 64;
		char **more = realloc(u->names, alloc * sizeof(*more));

		if (!more)
			return -ENOMEM;
		u->names = more;
		u->alloc = alloc;
	}
	u->names[u->n] = sv_dup(sv_from(domain));
	return u->names[u->n] ? (int)(u->n++, 0) : -ENOMEM;
}

static void remove_domains(struct update *u)
{
	for (size_t k = 0; k < u->n; k++) {
		/* a row of domains: makes it hosted as well */
		if (!map_get(&u->h->conf->policy.domains, sv_from(u->names[k]))) {
			(void)memory_hosted_remove(u->h->memory, u->names[k]);
			(void)resolver_release(u->resolver, u->names[k]);
			u->removed++;
		}
		free(u->names[k]);
	}
	free(u->names);
}

/* Named by the i-th file before, and by none now. */
static int find_gone(const struct hosted *h, size_t i, const struct names *now,
		     struct names *ret_gone)
{
	const struct names *before = &h->files[i].names;
	int r = 0;

	for (size_t k = 0; k < before->n && r == 0; k++) {
		bool elsewhere = names_have(now, before->hashes[k]);

		for (size_t o = 0; o < h->conf->n_hosted && !elsewhere; o++)
			elsewhere = o != i && names_have(&h->files[o].names, before->hashes[k]);
		if (!elsewhere)
			r = names_add(ret_gone, before->hashes[k]);
	}
	return r;
}

static int apply(struct hosted *h, size_t i, struct memory *m, const struct names *now,
		 struct resolver *resolver)
{
	struct names gone = { 0 };
	struct update u = {
		.h = h, .resolver = resolver, .before = &h->files[i].names, .gone = &gone
	};
	int r = memory_hosted_each(m, add_domain, &u);

	if (r == 0)
		r = find_gone(h, i, now, &gone);
	if (r == 0 && gone.n > 0)
		r = memory_hosted_each(h->memory, collect_gone, &u);
	remove_domains(&u);
	names_free(&gone);
	if (r == 0)
		log_info("hosted=%s names=%zu new=%zu gone=%zu read again", h->conf->hosted[i],
			 now->n, u.added, u.removed);
	return r;
}

static void read_again(struct hosted *h, size_t i, struct resolver *resolver)
{
	struct hosted_file *f = &h->files[i];
	struct names now;
	struct memory *m;
	int r = read_file(h, i, &m, &now);

	if (r < 0) {
		warn_once(h, i, strerror(-r));
		return;
	}
	if (now.n == 0 && f->names.n > 0) {
		warn_once(h, i, "names no domain any more");
		names_free(&now);
	} else if ((r = apply(h, i, m, &now, resolver)) < 0) {
		warn_once(h, i, strerror(-r));
		names_free(&now);
	} else {
		names_free(&f->names);
		f->names = now;
		f->warned = false;
	}
	memory_free(m);
}

void hosted_poll(struct hosted *h, struct resolver *resolver)
{
	for (size_t i = 0; i < h->conf->n_hosted; i++) {
		struct hosted_file *f = &h->files[i];
		struct look now;

		if (!look_at(h->conf->hosted[i], &now)) {
			warn_once(h, i, strerror(errno));
			f->loaded = (struct look) { 0 }; /* even the same file is news then */
			continue;
		}
		if (!same_look(&now, &f->loaded) && same_look(&now, &f->last)) {
			f->loaded = now;
			read_again(h, i, resolver);
		}
		f->last = now;
	}
}

/* ---- beginning and end ---- */

static int read_first(struct hosted *h, size_t i)
{
	/* Should it change while it is read, it is read again. */
	bool looked = look_at(h->conf->hosted[i], &h->files[i].loaded);
	int r = read_file(h, i, &h->files[i].fresh, &h->files[i].names);

	if (r < 0)
		return r;
	if (!looked)
		h->files[i].loaded = (struct look) { 0 };
	h->files[i].last = h->files[i].loaded;
	return r;
}

static int take_fresh(struct hosted *h, struct update *u)
{
	int r = 0;

	for (size_t i = 0; i < h->conf->n_hosted && r == 0; i++) {
		r = memory_hosted_each(h->files[i].fresh, add_domain, u);
		memory_free(h->files[i].fresh);
		h->files[i].fresh = NULL;
	}
	h->err = stderr;
	return r;
}

int hosted_take(struct hosted *h, const struct hosted *former, struct resolver *resolver)
{
	struct names gone = { 0 };
	struct update u = { .h = h, .resolver = resolver, .former = former, .gone = &gone };
	int r = take_fresh(h, &u);

	for (size_t i = 0; i < former->conf->n_hosted && r == 0; i++) {
		const struct names *names = &former->files[i].names;
		for (size_t k = 0; k < names->n && r == 0; k++)
			if (!any_names(h, names->hashes[k]))
				r = names_add(&gone, names->hashes[k]);
	}
	names_sort(&gone);
	if (r == 0 && gone.n > 0)
		r = memory_hosted_each(h->memory, collect_gone, &u);
	remove_domains(&u);
	names_free(&gone);
	return r;
}

int hosted_new(const struct conf *conf, struct memory *memory, struct hosted **ret_hosted)
{
	struct hosted *h;
	int r = hosted_read(conf, memory, stderr, &h);

	if (r < 0)
		return r;
	r = take_fresh(h, &(struct update) { .h = h });
	if (r < 0) {
		hosted_free(h);
		return r;
	}
	*ret_hosted = h;
	return 0;
}

int hosted_read(const struct conf *conf, struct memory *memory, FILE *err,
		struct hosted **ret_hosted)
{
	struct hosted *h = calloc(1, sizeof(*h));
	int r = 0;

	if (!h)
		return -ENOMEM;
	*h = (struct hosted) { .conf = conf,
			       .memory = memory,
			       .err = err,
			       .files = calloc(conf->n_hosted + 1, sizeof(*h->files)) };
	if (!h->files)
		r = -ENOMEM;
	/* all of them, so that all that is wrong is told at once */
	for (size_t i = 0; h->files && i < conf->n_hosted; i++) {
		int e = read_first(h, i);

		if (e < 0)
			r = e;
	}
	if (r < 0) {
		hosted_free(h);
		return r;
	}
	*ret_hosted = h;
	return 0;
}

void hosted_free(struct hosted *h)
{
	if (!h)
		return;
	for (size_t i = 0; h->files && i < h->conf->n_hosted; i++) {
		names_free(&h->files[i].names);
		if (h->files[i].fresh)
			memory_free(h->files[i].fresh);
	}
	free(h->files);
	free(h);
}
