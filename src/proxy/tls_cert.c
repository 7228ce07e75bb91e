#include "proxy/tls_cert.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define CERTS_MAX 32 /* in one file */
#define DEPTH_MAX 10 /* of a chain */
#define NAME_MAX_ 253
#define DIGEST    32

struct tls_link {
	struct tls_link *next;
	_Atomic unsigned refs;
	X509 *x509;
	char digest[DIGEST];
};

/* ---- intermediate certificates ---- */

static void link_unref(struct tls_link *l)
{
	if (atomic_fetch_sub(&l->refs, 1) > 1)
		return;
	X509_free(l->x509);
	free(l);
}

void tls_pool_init(struct tls_pool *pool)
{
	*pool = (struct tls_pool) { 0 };
	map_init(&pool->by_digest);
}

void tls_pool_deinit(struct tls_pool *pool)
{
	map_deinit(&pool->by_digest, NULL);
	for (struct tls_link *l = pool->links, *next; l; l = next) {
		next = l->next;
		link_unref(l);
	}
	pool->links = NULL;
}

void tls_pool_sweep(struct tls_pool *pool)
{
	for (struct tls_link **at = &pool->links, *l; (l = *at);) {
		if (atomic_load(&l->refs) > 1) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		map_remove(&pool->by_digest, (struct sv) { l->digest, DIGEST });
		link_unref(l);
	}
}

static int pool_add(struct tls_pool *pool, const char *digest, X509 *x509,
		    struct tls_link **ret_link)
{
	struct tls_link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	memcpy(l->digest, digest, DIGEST);
	if (map_put(&pool->by_digest, (struct sv) { l->digest, DIGEST }, l, NULL) < 0) {
		free(l);
		return -ENOMEM;
	}
	X509_up_ref(x509);
	l->x509 = x509;
	l->refs = 1;
	l->next = pool->links;
	pool->links = l;
	*ret_link = l;
	return 0;
}

/* ---- PEM ---- */

/* What one reading needs. */
struct reading {
	struct tls_pool *pool;
	struct found {
		X509 *x509;
		struct tls_link *link; /* when the pool has it; not counted */
		char digest[DIGEST];
		unsigned char *der;
		long len;
		bool used;
	} certs[CERTS_MAX];
	size_t n_certs;
	unsigned char *key_der;
	long key_len;
	int key_id;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
	const char *why;
};

static void reading_deinit(struct reading *r)
{
	for (size_t i = 0; i < r->n_certs; i++) {
		X509_free(r->certs[i].x509);
		OPENSSL_free(r->certs[i].der);
	}
	if (r->key_der)
		OPENSSL_clear_free(r->key_der, (size_t)r->key_len);
	EVP_PKEY_free(r->key);
	sk_X509_free(r->chain);
}

static int unusable(struct reading *r, const char *why)
{
	r->why = why;
	return -EINVAL;
}

static int ssl_says(struct reading *r, const char *otherwise)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	return unusable(r, reason ? reason : otherwise);
}

/* Takes der over, unless it fails. */
static int take_cert(struct reading *r, unsigned char *der, long len)
{
	struct found *c = &r->certs[r->n_certs];
	const unsigned char *p = der;

	if (r->n_certs == CERTS_MAX)
		return unusable(r, "more than 32 certificates in one file");
	*c = (struct found) { .len = len };
	if (EVP_Digest(der, (size_t)len, (unsigned char *)c->digest, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	c->link = map_get(&r->pool->by_digest, (struct sv) { c->digest, DIGEST });
	if (c->link) {
		c->x509 = c->link->x509;
		X509_up_ref(c->x509);
	} else if (!(c->x509 = d2i_X509(NULL, &p, len))) {
		return unusable(r, "a certificate in it can't be read");
	}
	c->der = der;
	r->n_certs++;
	return 0;
}

static int pkcs8_key_id(const unsigned char *der, long len)
{
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, len);
	const ASN1_OBJECT *algorithm;
	int id = NID_undef;

	if (info && PKCS8_pkey_get0(&algorithm, NULL, NULL, NULL, info) == 1)
		id = OBJ_obj2nid(algorithm);
	PKCS8_PRIV_KEY_INFO_free(info);
	return id;
}

/* Takes der over, unless it fails. */
static int take_key(struct reading *r, const char *name, const char *header, unsigned char *der,
		    long len)
{
	if (strcmp(name, "ENCRYPTED PRIVATE KEY") == 0 || strstr(header, "ENCRYPTED"))
		return unusable(r,
				"the key is protected by a passphrase; accepted: one that isn't");
	if (r->key_der)
		return unusable(r, "more than one private key");
	/* d2i_AutoPrivateKey() would try every kind there is: that takes four times as long */
	if (strcmp(name, "PRIVATE KEY") == 0)
		r->key_id = pkcs8_key_id(der, len);
	else if (strcmp(name, "RSA PRIVATE KEY") == 0)
		r->key_id = EVP_PKEY_RSA;
	else if (strcmp(name, "EC PRIVATE KEY") == 0)
		r->key_id = EVP_PKEY_EC;
	else
		r->key_id = NID_undef;
	r->key_der = der;
	r->key_len = len;
	return 0;
}

static bool ends_with(const char *s, const char *tail)
{
	return sv_ends_nocase(sv_from(s), sv_from(tail));
}

/* Other things that are in such files (DH and EC parameters, text) are passed over. */
static int read_pem(struct reading *r, struct sv text, bool want_certs, bool want_key)
{
	BIO *bio = text.n ? BIO_new_mem_buf(text.p, (int)text.n) : NULL;
	char *name, *header;
	unsigned char *der;
	long len;
	int ret = 0;

	if (!bio)
		return text.n ? -ENOMEM : unusable(r, "it is empty");
	ERR_clear_error();
	while (ret == 0 && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
		bool cert = strcmp(name, PEM_STRING_X509) == 0 ||
			    strcmp(name, PEM_STRING_X509_OLD) == 0;
		bool key = ends_with(name, "PRIVATE KEY");
		size_t before = r->n_certs;
		const unsigned char *key_before = r->key_der;

		if (cert && want_certs)
			ret = take_cert(r, der, len);
		else if (key && want_key)
			ret = take_key(r, name, header, der, len);
		if (r->n_certs == before && r->key_der == key_before)
			OPENSSL_clear_free(der, (size_t)len);
		OPENSSL_free(name);
		OPENSSL_free(header);
	}
	if (ret == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		ret = unusable(r, "it is no proper PEM, or was cut off");
	BIO_free(bio);
	return ret;
}

/* ---- leaf, chain and names ---- */

static int64_t end_of(const X509 *x)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm);
}

/* Of several for the same key, as after a renewal, the one that lives longest. */
static struct found *find_leaf(struct reading *r)
{
	struct found *leaf = NULL;

	for (size_t i = 0; i < r->n_certs; i++) {
		struct found *c = &r->certs[i];
		EVP_PKEY *public_key = X509_get0_pubkey(c->x509);
		if (public_key && EVP_PKEY_eq(public_key, r->key) == 1 &&
		    (!leaf || end_of(c->x509) > end_of(leaf->x509)))
			leaf = c;
	}
	if (leaf)
		leaf->used = true;
	return leaf;
}

static struct found *find_issuer(struct reading *r, X509 *of)
{
	for (size_t i = 0; i < r->n_certs; i++) {
		struct found *c = &r->certs[i];
		if (!c->used && X509_check_issued(c->x509, of) == X509_V_OK)
			return c;
	}
	return NULL;
}

/* Roots are left out: who trusts one has it. They are put into the pool all the same, so that the
 * next file's need not be parsed. */
static int find_chain(struct reading *r, struct found *leaf, struct found *chain[DEPTH_MAX],
		      size_t *ret_n)
{
	size_t n = 0;

	r->chain = sk_X509_new_null();
	if (!r->chain)
		return -ENOMEM;
	for (struct found *c = leaf; n < DEPTH_MAX && X509_self_signed(c->x509, 0) != 1;) {
		c = find_issuer(r, c->x509);
		if (!c)
			break;
		c->used = true;
		if (!c->link && pool_add(r->pool, c->digest, c->x509, &c->link) < 0)
			return -ENOMEM;
		if (X509_self_signed(c->x509, 0) == 1)
			break;
		if (sk_X509_push(r->chain, c->x509) <= 0)
			return -ENOMEM;
		chain[n++] = c;
	}
	*ret_n = n;
	return 0;
}

static bool is_name(struct sv v)
{
	if (v.n == 0 || v.n > NAME_MAX_ || v.p[0] == '.')
		return false;
	for (size_t i = 0; i < v.n; i++) {
		char c = v.p[i];
		bool wildcard = c == '*' && i == 0 && v.n > 2 && v.p[1] == '.';
		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '.' && c != '-' && c != '_' &&
		    !wildcard)
			return false;
	}
	return true;
}

static int add_name(struct tls_cert *cert, size_t *len, const ASN1_STRING *s)
{
	struct sv v = { (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) };

	if (v.n > 0 && v.p[v.n - 1] == '.')
		v.n--;
	if (!is_name(v))
		return 0;
	char *names = realloc(cert->names, *len + v.n + 1);
	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < v.n; i++)
		names[*len + i] = ascii_lower(v.p[i]);
	names[*len + v.n] = '\0';
	cert->names = names;
	cert->n_names++;
	*len += v.n + 1;
	return 0;
}

/* RFC 6125 6.4.4: the common name counts only where there is no other. */
static int read_names(struct tls_cert *cert, X509 *x)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	size_t len = 0, n = 0;
	int r = 0;

	for (int i = 0; r == 0 && i < sk_GENERAL_NAME_num(san); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(san, i);
		if (name->type != GEN_DNS)
			continue;
		n++;
		r = add_name(cert, &len, name->d.dNSName);
	}
	GENERAL_NAMES_free(san);
	if (r < 0 || n > 0)
		return r;
	const X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, -1);
	if (at < 0)
		return 0;
	return add_name(cert, &len, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static int kind_of(int key_id, enum tls_key *ret_key)
{
	static const struct {
		int id;
		enum tls_key key;
	} kinds[] = {
		{ EVP_PKEY_RSA, TLS_KEY_RSA },     { EVP_PKEY_RSA_PSS, TLS_KEY_RSA_PSS },
		{ EVP_PKEY_EC, TLS_KEY_ECDSA },    { EVP_PKEY_ED25519, TLS_KEY_ED25519 },
		{ EVP_PKEY_ED448, TLS_KEY_ED448 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].id == key_id) {
			*ret_key = kinds[i].key;
			return 0;
		}
	return -EINVAL;
}

/* ---- reading ---- */

static unsigned char *copy(const unsigned char *p, long n)
{
	unsigned char *to = malloc((size_t)n);

	if (to)
		memcpy(to, p, (size_t)n);
	return to;
}

static int make_cert(struct reading *r, enum tls_key key, const struct found *leaf,
		     struct found **chain, size_t n_chain, struct tls_cert **ret_cert)
{
	static _Atomic uint32_t last_serial;
	struct tls_cert *cert = calloc(1, sizeof(*cert) + n_chain * sizeof(struct tls_link *));

	if (!cert)
		return -ENOMEM;
	cert->refs = 1;
	cert->serial = atomic_fetch_add(&last_serial, 1);
	cert->key = key;
	cert->key_id = r->key_id;
	cert->not_after = end_of(leaf->x509);
	cert->alone.by_key[key] = cert;
	cert->leaf_len = (uint32_t)leaf->len;
	cert->leaf_der = copy(leaf->der, leaf->len);
	cert->key_len = (uint32_t)r->key_len;
	cert->key_der = copy(r->key_der, r->key_len);
	for (; cert->n_links < n_chain; cert->n_links++) {
		cert->links[cert->n_links] = chain[cert->n_links]->link;
		atomic_fetch_add(&cert->links[cert->n_links]->refs, 1);
	}
	if (!cert->leaf_der || !cert->key_der || read_names(cert, leaf->x509) < 0) {
		tls_cert_unref(cert);
		return -ENOMEM;
	}
	*ret_cert = cert;
	return 0;
}

static int read_key(struct reading *r, enum tls_key *ret_key)
{
	const unsigned char *p = r->key_der;

	if (!r->key_der)
		return unusable(r, "there is no private key in it");
	if (kind_of(r->key_id, ret_key) < 0)
		return unusable(
			r, "the key is of no accepted kind; accepted: RSA, ECDSA, Ed25519, Ed448");
	r->key = d2i_PrivateKey(r->key_id, NULL, &p, r->key_len);
	return r->key ? 0 : unusable(r, "the key can't be read");
}

/* What a handshake would refuse to show (too weak a key or signature) is found out here. */
static int try_out(struct reading *r, const struct found *leaf, SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);
	int ret = 0;

	if (!ssl)
		return -ENOMEM;
	ERR_clear_error();
	if (SSL_use_cert_and_key(ssl, leaf->x509, r->key, r->chain, 1) != 1)
		ret = ssl_says(r, "OpenSSL does not take it");
	SSL_free(ssl);
	return ret;
}

static int read_all(struct reading *r, struct sv certs, struct sv key, SSL_CTX *ctx,
		    struct tls_cert **ret_cert)
{
	struct found *chain[DEPTH_MAX];
	enum tls_key kind = TLS_KEY_RSA;
	bool same = certs.p == key.p;
	size_t n_chain = 0;
	int ret = read_pem(r, certs, true, same);

	if (ret == 0 && !same)
		ret = read_pem(r, key, false, true);
	if (ret == 0)
		ret = read_key(r, &kind);
	if (ret < 0)
		return ret;
	if (r->n_certs == 0)
		return unusable(r, "there is no certificate in it");
	struct found *leaf = find_leaf(r);
	if (!leaf)
		return unusable(r, "the key belongs to no certificate in it");
	ret = find_chain(r, leaf, chain, &n_chain);
	if (ret == 0)
		ret = try_out(r, leaf, ctx);
	if (ret == 0)
		ret = make_cert(r, kind, leaf, chain, n_chain, ret_cert);
	return ret;
}

int tls_cert_read(struct sv certs, struct sv key, struct tls_pool *pool, SSL_CTX *ctx,
		  struct tls_cert **ret_cert, const char **ret_why)
{
	struct reading r = { .pool = pool };
	int ret = read_all(&r, certs, key, ctx, ret_cert);

	if (ret == -EINVAL)
		*ret_why = r.why;
	reading_deinit(&r);
	ERR_clear_error();
	return ret;
}

struct tls_cert *tls_cert_ref(struct tls_cert *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void tls_cert_unref(struct tls_cert *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	for (size_t i = 0; i < c->n_links; i++)
		link_unref(c->links[i]);
	if (c->key_der)
		OPENSSL_cleanse(c->key_der, c->key_len);
	free(c->key_der);
	free(c->leaf_der);
	free(c->names);
	free(c);
}

/* ---- for the handshake ---- */

int tls_cert_open(const struct tls_cert *c, struct tls_open *ret_open)
{
	const unsigned char *leaf = c->leaf_der, *key = c->key_der;
	struct tls_open o = {
		.leaf = d2i_X509(NULL, &leaf, c->leaf_len),
		.key = d2i_PrivateKey(c->key_id, NULL, &key, c->key_len),
		.chain = sk_X509_new_null(),
	};
	bool ok = o.leaf && o.key && o.chain;

	for (size_t i = 0; ok && i < c->n_links; i++) {
		ok = sk_X509_push(o.chain, c->links[i]->x509) > 0;
		if (ok)
			X509_up_ref(c->links[i]->x509);
	}
	if (!ok) {
		tls_open_deinit(&o);
		return -ENOMEM;
	}
	*ret_open = o;
	return 0;
}

void tls_open_deinit(struct tls_open *o)
{
	X509_free(o->leaf);
	EVP_PKEY_free(o->key);
	sk_X509_pop_free(o->chain, X509_free);
	*o = (struct tls_open) { 0 };
}
