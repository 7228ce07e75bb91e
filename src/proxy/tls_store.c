#include "proxy/tls_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Certificates that are kept ready for handshakes; to open one takes about 0.2 ms. */
#define OPEN_MAX_ 1024
#define NAME_MAX_ 253

struct tls_store {
	_Atomic unsigned refs;
	size_t n;
	struct map names; /* to struct tls_slot: `alone` of a certificate, or one of the list */
	struct own_slot {
		struct own_slot *next;
		struct tls_slot slot;
	} * slots;
	const struct tls_slot *otherwise;
	pthread_mutex_t lock; /* of what follows */
	struct opened {
		const struct tls_cert *cert;
		struct tls_open open;
	} * opened; /* by serial number, modulo OPEN_MAX_ */
	struct tls_cert *certs[];
};

static struct tls_slot *own_slot(struct tls_store *s, const struct tls_slot *like)
{
	struct own_slot *o = malloc(sizeof(*o));

	if (!o)
		return NULL;
	o->slot = *like;
	o->next = s->slots;
	s->slots = o;
	return &o->slot;
}

static int add_name(struct tls_store *s, struct sv name, const struct tls_cert *cert)
{
	struct tls_slot *there = map_get(&s->names, name);

	if (!there)
		return map_put(&s->names, name, (void *)&cert->alone, NULL);
	const struct tls_cert *rival = there->by_key[cert->key];
	if (rival && rival->not_after >= cert->not_after)
		return 0;
	/* a slot that was one certificate's own can't be changed */
	bool alone = false;
	for (size_t i = 0; i < TLS_KEY_COUNT; i++)
		alone |= there->by_key[i] && there == &there->by_key[i]->alone;
	if (alone && !(there = own_slot(s, there)))
		return -ENOMEM;
	there->by_key[cert->key] = cert;
	return alone ? map_put(&s->names, name, there, NULL) : 0;
}

static int add_cert(struct tls_store *s, struct tls_cert *cert)
{
	const char *name = cert->names;

	s->certs[s->n++] = tls_cert_ref(cert);
	for (size_t i = 0; i < cert->n_names; i++, name += strlen(name) + 1)
		if (add_name(s, sv_from(name), cert) < 0)
			return -ENOMEM;
	return 0;
}

int tls_store_new(struct tls_cert *const *certs, size_t n, struct tls_store **ret_store)
{
	struct tls_store *s = calloc(1, sizeof(*s) + n * sizeof(struct tls_cert *));

	INVARIANT(n > 0);
	if (!s)
		return -ENOMEM;
	s->refs = 1;
	map_init(&s->names);
	pthread_mutex_init(&s->lock, NULL);
	s->opened = calloc(OPEN_MAX_, sizeof(*s->opened));
	int r = s->opened ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_cert(s, certs[i]);
	if (r < 0) {
		tls_store_unref(s);
		return r;
	}
	s->otherwise = certs[0]->n_names > 0 ? map_get(&s->names, sv_from(certs[0]->names))
					     : &certs[0]->alone;
	*ret_store = s;
	return 0;
}

struct tls_store *tls_store_ref(struct tls_store *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void tls_store_unref(struct tls_store *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	for (size_t i = 0; s->opened && i < OPEN_MAX_; i++)
		tls_open_deinit(&s->opened[i].open);
	free(s->opened);
	map_deinit(&s->names, NULL);
	for (struct own_slot *o = s->slots, *next; o; o = next) {
		next = o->next;
		free(o);
	}
	for (size_t i = 0; i < s->n; i++)
		tls_cert_unref(s->certs[i]);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const struct tls_slot *tls_store_find(const struct tls_store *s, struct sv name)
{
	char lower[NAME_MAX_ + 1];
	const struct tls_slot *found;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	/* an asterisk is for certificates to have, not to ask for */
	if (name.n == 0 || name.n > NAME_MAX_ || name.p[0] == '*')
		return s->otherwise;
	for (size_t i = 0; i < name.n; i++)
		lower[i] = ascii_lower(name.p[i]);
	found = map_get(&s->names, (struct sv) { lower, name.n });
	if (found)
		return found;
	/* RFC 6125 6.4.3: for one label, the first */
	const char *dot = memchr(lower, '.', name.n);
	if (dot && dot > lower) {
		char *star = (char *)dot - 1;
		*star = '*';
		found = map_get(&s->names, (struct sv) { star, (size_t)(lower + name.n - star) });
	}
	return found ? found : s->otherwise;
}

static int share(const struct tls_open *from, struct tls_open *ret_open)
{
	STACK_OF(X509) *chain = X509_chain_up_ref(from->chain);

	if (!chain)
		return -ENOMEM;
	X509_up_ref(from->leaf);
	EVP_PKEY_up_ref(from->key);
	*ret_open = (struct tls_open) { .leaf = from->leaf, .key = from->key, .chain = chain };
	return 0;
}

static int get_open(struct tls_store *s, const struct tls_cert *cert, struct tls_open *ret_open)
{
	struct opened *at = &s->opened[cert->serial % OPEN_MAX_];
	int r = -ENOENT;

	pthread_mutex_lock(&s->lock);
	if (at->cert == cert)
		r = share(&at->open, ret_open);
	pthread_mutex_unlock(&s->lock);
	if (r != -ENOENT)
		return r;

	struct tls_open fresh, old;
	r = tls_cert_open(cert, ret_open);
	if (r == 0 && share(ret_open, &fresh) == 0) {
		pthread_mutex_lock(&s->lock);
		old = at->open;
		at->open = fresh;
		at->cert = cert;
		pthread_mutex_unlock(&s->lock);
		tls_open_deinit(&old);
	}
	return r;
}

int tls_store_show(struct tls_store *s, struct sv name, SSL *ssl)
{
	const struct tls_slot *slot = tls_store_find(s, name);

	for (size_t i = 0; i < TLS_KEY_COUNT; i++) {
		struct tls_open open;
		if (!slot->by_key[i])
			continue;
		int r = get_open(s, slot->by_key[i], &open);
		if (r < 0)
			return r;
		bool ok = SSL_use_cert_and_key(ssl, open.leaf, open.key, open.chain, 1) == 1;
		tls_open_deinit(&open);
		if (!ok)
			return -ENOMEM;
	}
	return 0;
}

size_t tls_store_names(const struct tls_store *s)
{
	return s->names.n;
}

size_t tls_store_certs(const struct tls_store *s)
{
	return s->n;
}
