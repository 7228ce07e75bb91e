#include "certs.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/dsa.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* ---- keys and certificates ---- */

static EVP_PKEY *make_dsa(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
	EVP_PKEY *params = NULL, *key = NULL;

	assert_int_equal(EVP_PKEY_paramgen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_dsa_paramgen_bits(ctx, 1024), 1);
	assert_int_equal(EVP_PKEY_paramgen(ctx, &params), 1);
	EVP_PKEY_CTX_free(ctx);
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, params, NULL);
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(params);
	return key;
}

static EVP_PKEY *made_keys[MADE_KEYS];

static void free_keys(void)
{
	for (size_t i = 0; i < MADE_KEYS; i++)
		EVP_PKEY_free(made_keys[i]);
}

EVP_PKEY *made_key(enum made_key which)
{
	static bool registered;
	EVP_PKEY *key = made_keys[which];

	if (!registered)
		atexit(free_keys);
	registered = true;
	if (key)
		return key;
	switch (which) {
	case RSA_A:
	case RSA_B:
		key = EVP_RSA_gen(2048);
		break;
	case RSA_WEAK:
		key = EVP_RSA_gen(1024);
		break;
	case EC_A:
	case EC_B:
	case EC_CA:
		key = EVP_EC_gen("P-256");
		break;
	case ED_A:
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		break;
	case DSA_A:
		key = make_dsa();
		break;
	case MADE_KEYS:
		break;
	}
	assert_non_null(key);
	made_keys[which] = key;
	return key;
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

X509 *make_certificate(const struct made *m)
{
	static long serial;
	X509 *x = X509_new();
	EVP_PKEY *signer = made_key(m->issuer ? m->issuer_key : m->key);
	int id = EVP_PKEY_get_base_id(signer);
	X509_NAME *subject = X509_get_subject_name(x);

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -400L * 86400);
	X509_gmtime_adj(X509_getm_notAfter(x), (m->days ? m->days : 90) * 86400L);
	X509_set_pubkey(x, made_key(m->key));
	if (m->cn)
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
					   (const unsigned char *)m->cn, -1, -1, 0);
	X509_set_issuer_name(x, m->issuer ? X509_get_subject_name(m->issuer) : subject);
	if (m->names)
		add_extension(x, NID_subject_alt_name, m->names);
	if (m->ca)
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(x, signer, id == EVP_PKEY_ED25519 ? NULL : EVP_sha256()) > 0);
	return x;
}

char *pem_of(const struct piece *pieces, size_t *ret_n)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	int ok = 1;

	for (const struct piece *p = pieces; p->kind != PIECE_END; p++) {
		switch (p->kind) {
		case PIECE_CERT:
			ok &= PEM_write_bio_X509(bio, p->cert);
			break;
		case PIECE_KEY:
			ok &= PEM_write_bio_PrivateKey(bio, made_key(p->key), NULL, NULL, 0, NULL,
						       NULL);
			break;
		case PIECE_KEY_OLD:
			ok &= PEM_write_bio_PrivateKey_traditional(bio, made_key(p->key), NULL,
								   NULL, 0, NULL, NULL);
			break;
		case PIECE_KEY_LOCKED:
			ok &= PEM_write_bio_PKCS8PrivateKey(
				bio, made_key(p->key), EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
			break;
		case PIECE_TEXT:
			ok &= BIO_puts(bio, p->text) >= 0;
			break;
		case PIECE_END:
			break;
		}
	}
	assert_int_equal(ok, 1);
	long n = BIO_get_mem_data(bio, &data);
	char *text = malloc((size_t)n + 1);
	memcpy(text, data, (size_t)n);
	text[n] = '\0';
	if (ret_n)
		*ret_n = (size_t)n;
	BIO_free(bio);
	return text;
}

/* ---- files ---- */

static char folder[] = "/tmp/frontdoor-tls-XXXXXX";
static int stderr_before, log_file;
static off_t log_read;

void certs_setup(void)
{
	char log_name[] = "/tmp/frontdoor-tls-log-XXXXXX";

	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	log_file = mkstemp(log_name);
	assert_true(log_file >= 0);
	unlink(log_name);
	stderr_before = dup(STDERR_FILENO);
	dup2(log_file, STDERR_FILENO);
	log_read = 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void certs_teardown(void)
{
	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	close(log_file);
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *in_folder(const char *name)
{
	static char paths[16][256];
	static size_t next;
	char *path = paths[next++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

void write_file(const char *name, const char *text, size_t n)
{
	static time_t stamp = 1000000;
	const char *path = in_folder(name);
	char parent[256];

	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	(void)mkdir(parent, 0700);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	stamp++;
	struct timespec times[2] = { { stamp, 0 }, { stamp, 0 } };
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

void write_pieces(const char *name, const struct piece *pieces)
{
	size_t n;
	char *text = pem_of(pieces, &n);

	write_file(name, text, n);
	free(text);
}

const char *logged(void)
{
	static char text[65536];
	ssize_t n = pread(log_file, text, sizeof(text) - 1, log_read);

	assert_true(n >= 0);
	log_read += n;
	text[n] = '\0';
	return text;
}

size_t count_of(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}
