/*
 * The clients are a table of hashes, one slot each, overwritten by who comes later: being forgotten
 * costs a client's next session a connection to the backend, no more.
 */
#include "proxy/front.h"

#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FRONT_SLOTS       65536
#define FRONT_REMEMBER_MS (3600 * 1000LL)

struct front {
	_Atomic int refs;
	struct {
		_Atomic uint64_t key;
		_Atomic int64_t until_ms;
	} slots[FRONT_SLOTS];
	pthread_mutex_t lock;
	char *host; /* of the banner */
	size_t host_len;
	/* the EHLO reply without its first line, in the clear and encrypted; NULL: not learned yet
	 */
	char *keywords[2];
	size_t keywords_len[2];
};

int front_new(struct front **ret_front)
{
	struct front *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->refs = 1;
	pthread_mutex_init(&f->lock, NULL);
	*ret_front = f;
	return 0;
}

struct front *front_ref(struct front *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void front_free(struct front *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f->host);
	free(f->keywords[0]);
	free(f->keywords[1]);
	free(f);
}

/* An IPv4 address, or the /64 of an IPv6 one. */
static uint64_t client_key(const struct addr *client)
{
	return map_hash((struct sv) { (const char *)client->b, addr_is_v4(client) ? 16 : 8 }) | 1;
}

void front_note(struct front *f, const struct addr *client, bool only_refused, int64_t now_ms)
{
	uint64_t key = client_key(client);
	size_t i = key >> 8 & (FRONT_SLOTS - 1);

	if (only_refused) {
		atomic_store_explicit(&f->slots[i].until_ms, now_ms + FRONT_REMEMBER_MS,
				      memory_order_relaxed);
		atomic_store_explicit(&f->slots[i].key, key, memory_order_relaxed);
	} else if (atomic_load_explicit(&f->slots[i].key, memory_order_relaxed) == key) {
		atomic_store_explicit(&f->slots[i].key, 0, memory_order_relaxed);
	}
}

static void learn(struct front *f, char **at, size_t *at_len, struct sv text)
{
	pthread_mutex_lock(&f->lock);
	if (!*at || !sv_eq((struct sv) { *at, *at_len }, text)) {
		char *copy = sv_dup(text);
		if (copy) {
			free(*at);
			*at = copy;
			*at_len = text.n;
		}
	}
	pthread_mutex_unlock(&f->lock);
}

void front_learn_banner(struct front *f, struct sv banner)
{
	struct sv host = { banner.p + 4, 0 };

	while (host.n + 4 < banner.n && !strchr(" \r\n", host.p[host.n]))
		host.n++;
	if (host.n > 0 && host.n <= 255)
		learn(f, &f->host, &f->host_len, host);
}

void front_learn_ehlo(struct front *f, bool tls, struct sv ehlo)
{
	const char *first = ehlo.n ? memchr(ehlo.p, '\n', ehlo.n) : NULL;

	/* a single line has no keywords to learn */
	if (first && ehlo.p[3] == '-')
		learn(f, &f->keywords[tls], &f->keywords_len[tls],
		      (struct sv) { first + 1, ehlo.n - (size_t)(first + 1 - ehlo.p) });
}

static size_t put(char *at, struct sv text)
{
	memcpy(at, text.p, text.n);
	return text.n;
}

/* The EHLO reply of one kind into at; its length, 0: not learned. */
static size_t put_ehlo(const struct front *f, bool tls, char *at)
{
	size_t n = 0;

	if (!f->keywords[tls])
		return 0;
	n += put(at + n, SV("250-"));
	n += put(at + n, (struct sv) { f->host, f->host_len });
	n += put(at + n, SV("\r\n"));
	n += put(at + n, (struct sv) { f->keywords[tls], f->keywords_len[tls] });
	return n;
}

static bool make_words(const struct front *f, struct front_words *ret_words)
{
	size_t n = 3 * (f->host_len + 16) + f->keywords_len[0] + f->keywords_len[1];
	char *at = malloc(n);
	struct front_words w = { .block = at };

	if (!at)
		return false;
	w.banner.p = at;
	at += put(at, SV("220 "));
	at += put(at, (struct sv) { f->host, f->host_len });
	at += put(at, SV(" ESMTP\r\n"));
	w.banner.n = (size_t)(at - w.banner.p);
	w.ehlo = (struct sv) { at, put_ehlo(f, false, at) };
	at += w.ehlo.n;
	w.ehlo_tls = (struct sv) { at, put_ehlo(f, true, at) };
	*ret_words = w;
	return true;
}

bool front_wanted(struct front *f, const struct addr *client, bool tls, int64_t now_ms,
		  struct front_words *ret_words)
{
	uint64_t key = client_key(client);
	size_t i = key >> 8 & (FRONT_SLOTS - 1);
	bool wanted = false;

	if (atomic_load_explicit(&f->slots[i].key, memory_order_relaxed) != key ||
	    atomic_load_explicit(&f->slots[i].until_ms, memory_order_relaxed) < now_ms)
		return false;
	pthread_mutex_lock(&f->lock);
	if (f->host && f->keywords[tls])
		wanted = make_words(f, ret_words);
	pthread_mutex_unlock(&f->lock);
	return wanted;
}
