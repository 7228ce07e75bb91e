#include "proxy/tls_ticket.h"

#include "base/base.h"
#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#define KEY_MS (TLS_TICKET_SECONDS * INT64_C(1000))

struct ticket_key {
	unsigned char name[16], cipher[32], mac[32];
	int64_t made_ms;
};

struct tls_tickets {
	pthread_mutex_t lock;
	struct ticket_key now, before;
	bool has_before;
};

static int make_key(struct ticket_key *ret_key)
{
	struct ticket_key k = { .made_ms = clock_mono_ms() };
	bool ok = RAND_bytes(k.name, sizeof(k.name)) == 1 &&
		  RAND_priv_bytes(k.cipher, sizeof(k.cipher)) == 1 &&
		  RAND_priv_bytes(k.mac, sizeof(k.mac)) == 1;

	if (ok)
		*ret_key = k;
	OPENSSL_cleanse(&k, sizeof(k));
	return ok ? 0 : -EIO;
}

static void drop_before(struct tls_tickets *t)
{
	OPENSSL_cleanse(&t->before, sizeof(t->before));
	t->has_before = false;
}

/* Under the lock. */
static void rotate(struct tls_tickets *t)
{
	int64_t now = clock_mono_ms();

	if (t->has_before && now - t->before.made_ms >= 2 * KEY_MS)
		drop_before(t);
	if (now - t->now.made_ms < KEY_MS)
		return;
	struct ticket_key old = t->now;
	/* without random numbers the old one goes on: there are none for a handshake either */
	if (make_key(&t->now) == 0) {
		t->before = old;
		t->has_before = true;
		if (now - old.made_ms >= 2 * KEY_MS)
			drop_before(t);
	}
	OPENSSL_cleanse(&old, sizeof(old));
}

int tls_tickets_new(struct tls_tickets **ret_tickets)
{
	struct tls_tickets *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (make_key(&t->now) < 0) {
		free(t);
		return -EIO;
	}
	pthread_mutex_init(&t->lock, NULL);
	*ret_tickets = t;
	return 0;
}

void tls_tickets_free(struct tls_tickets *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

void tls_tickets_tick(struct tls_tickets *t)
{
	pthread_mutex_lock(&t->lock);
	rotate(t);
	pthread_mutex_unlock(&t->lock);
}

/* 0: none has this name; 1: the present one; 2: the one before it. NULL: the present one. */
static int find_key(struct tls_tickets *t, const unsigned char *name, struct ticket_key *ret_key)
{
	int which = 0;

	pthread_mutex_lock(&t->lock);
	rotate(t);
	if (!name || memcmp(name, t->now.name, sizeof(t->now.name)) == 0) {
		*ret_key = t->now;
		which = 1;
	} else if (t->has_before && memcmp(name, t->before.name, sizeof(t->before.name)) == 0) {
		*ret_key = t->before;
		which = 2;
	}
	pthread_mutex_unlock(&t->lock);
	return which;
}

static bool seal_or_open(const struct ticket_key *k, const unsigned char *iv,
			 EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)k->mac,
						  sizeof(k->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
	       EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv, seal) == 1;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int seal)
{
	struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct ticket_key key;
	int which = find_key(t, seal ? NULL : name, &key);

	if (which == 0)
		return 0;
	if (seal) {
		memcpy(name, key.name, sizeof(key.name));
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			which = -1;
	}
	if (which > 0 && !seal_or_open(&key, iv, cipher, mac, seal))
		which = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	/* a client is to use each only once (RFC 8446 C.4): so it gets another */
	if (which == 1 && !seal && SSL_version(ssl) >= TLS1_3_VERSION)
		which = 2;
	return which;
}

int tls_tickets_use(struct tls_tickets *t, SSL_CTX *ctx)
{
	if (SSL_CTX_set_app_data(ctx, t) != 1 ||
	    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 1)
		return -ENOMEM;
	SSL_CTX_set_timeout(ctx, TLS_TICKET_SECONDS);
	/* MTAs rarely use a second one */
	SSL_CTX_set_num_tickets(ctx, 1);
	return 0;
}
