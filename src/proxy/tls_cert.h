/*
 * A certificate with its key and chain, as read from PEM. A host has thousands, of which few are in
 * use: what is kept is DER, a third of what OpenSSL's objects take; tls_cert_open() makes those.
 * Intermediate certificates are shared by all that have them. Immutable once read, counted; the
 * last one to let go, in whatever thread, frees it and wipes the key.
 */
#pragma once

#include "base/base.h"
#include "base/map.h"

#include <openssl/ssl.h>

/* OpenSSL can show one certificate of each in a handshake; the client's abilities choose. */
enum tls_key { TLS_KEY_RSA, TLS_KEY_RSA_PSS, TLS_KEY_ECDSA, TLS_KEY_ED25519, TLS_KEY_ED448 };
#define TLS_KEY_COUNT 5

struct tls_cert;
struct tls_link;

/* The certificates for one name. */
struct tls_slot {
	const struct tls_cert *by_key[TLS_KEY_COUNT];
};

struct tls_cert {
	_Atomic unsigned refs;
	uint32_t serial; /* no other has it */
	enum tls_key key;
	int64_t not_after; /* seconds since 1970 */
	struct tls_slot alone;
	char *names; /* each ended by NUL; lower case, "*.example.org" for a wildcard */
	size_t n_names;
	int key_id; /* EVP_PKEY_... */
	uint32_t leaf_len, key_len;
	unsigned char *leaf_der, *key_der;
	size_t n_links;
	struct tls_link *links[]; /* from the issuer of the leaf upwards, without the root */
};

/* Intermediate certificates by their SHA-256. For one thread; those in use outlive it. */
struct tls_pool {
	struct map by_digest;
	struct tls_link *links;
};
void tls_pool_init(struct tls_pool *pool);
void tls_pool_deinit(struct tls_pool *pool);
/* Lets go of those that nothing else holds any more. */
void tls_pool_sweep(struct tls_pool *pool);

/*
 * certs: PEM with the certificates; key: PEM with one private key, may be the same text. In any
 * order, among others: the leaf is the one that belongs to the key, the chain is found by issuer.
 * ctx: the server's, that says what is too weak to be shown. 0; -EINVAL: can't be used, ret_why
 * (which lives as long as the program) says why; -ENOMEM.
 */
int tls_cert_read(struct sv certs, struct sv key, struct tls_pool *pool, SSL_CTX *ctx,
		  struct tls_cert **ret_cert, const char **ret_why);
struct tls_cert *tls_cert_ref(struct tls_cert *c);
void tls_cert_unref(struct tls_cert *c); /* NULL: nothing */

/* What a handshake needs; each is the caller's to free. */
struct tls_open {
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
};
/* 0 or -ENOMEM */
int tls_cert_open(const struct tls_cert *c, struct tls_open *ret_open);
void tls_open_deinit(struct tls_open *o);
