#include "proxy/tls_files.h"
#include "proxy/tls_store.h"

#include "base/clock.h"
#include "certs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static SSL_CTX *ctx;

static int setup(void **state)
{
	certs_setup();
	ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_security_level(ctx, 2);
	return 0;
}

static int teardown(void **state)
{
	clock_fake(-1, -1);
	SSL_CTX_free(ctx);
	certs_teardown();
	return 0;
}

/* ---- one certificate ---- */

static struct tls_pool pool;

static int read_cert(const char *certs, const char *key, struct tls_cert **ret, const char **why)
{
	return tls_cert_read(sv_from(certs), sv_from(key), &pool, ctx, ret, why);
}

/* Certificate and key from one text, which is freed. */
static struct tls_cert *read_good(char *pem)
{
	struct tls_cert *c = NULL;
	const char *why = "no reason";

	if (read_cert(pem, pem, &c, &why) != 0)
		fail_msg("%s", why);
	free(pem);
	return c;
}

static void all_orders_of_a_combined_file(void **state)
{
	X509 *root = make_certificate(&(struct made) { .key = RSA_B, .cn = "Root", .ca = true });
	X509 *middle = make_certificate(&(struct made) {
		.key = EC_CA, .cn = "Middle", .ca = true, .issuer = root, .issuer_key = RSA_B });
	X509 *upper = make_certificate(&(struct made) {
		.key = EC_B, .cn = "Upper", .ca = true, .issuer = middle, .issuer_key = EC_CA });
	X509 *leaf = make_certificate(&(struct made) {
		.key = RSA_A, .names = "DNS:a.example", .issuer = upper, .issuer_key = EC_B });
	struct piece p[5] = { CERT(leaf), CERT(upper), CERT(middle), CERT(root), KEY(RSA_A) };
	struct tls_open open;

	tls_pool_init(&pool);
	/* every permutation, by Heap's algorithm */
	for (int c[5] = { 0 }, i = 0, n = 0; i < 5;) {
		if (n++ == 0 || c[i] < i) {
			if (n > 1) {
				int with = i % 2 ? c[i] : 0;
				struct piece swap = p[with];
				p[with] = p[i];
				p[i] = swap;
				c[i]++;
				i = 0;
			}
			struct tls_cert *cert =
				read_good(PEM(p[0], p[1], TEXT("noise\r\n"), p[2], p[3], p[4]));
			assert_int_equal(tls_cert_open(cert, &open), 0);
			assert_int_equal(X509_cmp(open.leaf, leaf), 0);
			assert_int_equal(EVP_PKEY_eq(open.key, made_key(RSA_A)), 1);
			assert_int_equal(sk_X509_num(open.chain), 2);
			assert_int_equal(X509_cmp(sk_X509_value(open.chain, 0), upper), 0);
			assert_int_equal(X509_cmp(sk_X509_value(open.chain, 1), middle), 0);
			tls_open_deinit(&open);
			tls_cert_unref(cert);
		} else {
			c[i++] = 0;
		}
	}
	tls_pool_deinit(&pool);
	X509_free(root);
	X509_free(middle);
	X509_free(upper);
	X509_free(leaf);
}

static void intermediates_are_shared_and_let_go(void **state)
{
	X509 *root = make_certificate(&(struct made) { .key = RSA_B, .cn = "Root", .ca = true });
	X509 *middle = make_certificate(&(struct made) {
		.key = EC_CA, .cn = "M", .ca = true, .issuer = root, .issuer_key = RSA_B });
	struct made m = { .key = EC_A, .issuer = middle, .issuer_key = EC_CA };
	struct tls_cert *certs[2];

	tls_pool_init(&pool);
	for (int i = 0; i < 2; i++) {
		m.names = i ? "DNS:one.example" : "DNS:two.example";
		X509 *leaf = make_certificate(&m);
		certs[i] = read_good(PEM(KEY(EC_A), CERT(middle), CERT(leaf), CERT(root)));
		assert_int_equal(certs[i]->n_links, 1);
		X509_free(leaf);
	}
	assert_ptr_equal(certs[0]->links[0], certs[1]->links[0]);
	assert_int_equal(pool.by_digest.n, 2);
	tls_pool_sweep(&pool);
	assert_int_equal(pool.by_digest.n, 1);
	tls_cert_unref(certs[0]);
	tls_pool_sweep(&pool);
	assert_int_equal(pool.by_digest.n, 1);
	tls_cert_unref(certs[1]);
	tls_pool_sweep(&pool);
	assert_int_equal(pool.by_digest.n, 0);
	assert_null(pool.links);
	tls_pool_deinit(&pool);
	X509_free(middle);
	X509_free(root);
}

static void what_is_refused_says_why(void **state)
{
	X509 *a = make_certificate(&(struct made) { .key = RSA_A, .cn = "a.example" });
	X509 *weak = make_certificate(&(struct made) { .key = RSA_WEAK, .cn = "a.example" });
	X509 *dsa = make_certificate(&(struct made) { .key = DSA_A, .cn = "a.example" });
	char *half = PEM(KEY(RSA_A), CERT(a));
	half[strlen(half) - 40] = '\0';
	char *damaged = PEM(KEY(RSA_A), CERT(a));
	memcpy(strstr(damaged, "BEGIN CERTIFICATE") + 100, "????", 4);
	const struct {
		char *pem;
		const char *why;
	} cases[] = {
		{ strdup(""), "it is empty" },
		{ strdup("nothing of it\n"), "there is no private key in it" },
		{ PEM(CERT(a)), "there is no private key in it" },
		{ PEM(KEY(RSA_A)), "there is no certificate in it" },
		{ PEM(KEY(RSA_B), CERT(a)), "the key belongs to no certificate in it" },
		{ PEM(KEY(EC_A), CERT(a)), "the key belongs to no certificate in it" },
		{ PEM(KEY(RSA_A), KEY(RSA_B), CERT(a)), "more than one private key" },
		{ PEM(KEY_LOCKED(RSA_A), CERT(a)),
		  "the key is protected by a passphrase; accepted: one that isn't" },
		{ PEM(TEXT("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
			   "DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"),
		      CERT(a)),
		  "the key is protected by a passphrase; accepted: one that isn't" },
		{ PEM(TEXT("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n"
			   "-----END RSA PRIVATE KEY-----\n"),
		      CERT(a)),
		  "the key can't be read" },
		{ PEM(TEXT("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		      CERT(a)),
		  "the key is of no accepted kind; accepted: RSA, ECDSA, Ed25519, Ed448" },
		{ PEM(TEXT("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		      KEY(RSA_A)),
		  "a certificate in it can't be read" },
		{ PEM(KEY(DSA_A), CERT(dsa)),
		  "the key is of no accepted kind; accepted: RSA, ECDSA, Ed25519, Ed448" },
		{ PEM(KEY(RSA_WEAK), CERT(weak)), "ee key too small" },
		{ half, "it is no proper PEM, or was cut off" },
		{ damaged, "it is no proper PEM, or was cut off" },
	};

	tls_pool_init(&pool);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_cert *cert;
		const char *why = "used";
		int r = read_cert(cases[i].pem, cases[i].pem, &cert, &why);
		assert_string_equal(why, cases[i].why);
		assert_int_equal(r, -EINVAL);
		free(cases[i].pem);
	}
	tls_pool_deinit(&pool);
	X509_free(a);
	X509_free(weak);
	X509_free(dsa);
}

static void every_beginning_of_a_file_is_refused_or_whole(void **state)
{
	X509 *a = make_certificate(&(struct made) { .key = EC_A, .cn = "a.example" });
	char *pem = PEM(CERT(a), KEY(EC_A));
	size_t n = strlen(pem);

	tls_pool_init(&pool);
	/* the last octet is a newline that nothing needs */
	for (size_t i = 0; i < n - 1; i++) {
		struct tls_cert *cert;
		const char *why;
		assert_int_equal(tls_cert_read((struct sv) { pem, i }, (struct sv) { pem, i },
					       &pool, ctx, &cert, &why),
				 -EINVAL);
	}
	tls_cert_unref(read_good(pem));
	tls_pool_deinit(&pool);
	X509_free(a);
}

static void keys_of_all_kinds_and_forms(void **state)
{
	const struct {
		struct piece key;
		enum tls_key kind;
	} cases[] = {
		{ KEY(RSA_A), TLS_KEY_RSA },    { KEY_OLD(RSA_A), TLS_KEY_RSA },
		{ KEY(EC_A), TLS_KEY_ECDSA },   { KEY_OLD(EC_A), TLS_KEY_ECDSA },
		{ KEY(ED_A), TLS_KEY_ED25519 },
	};

	tls_pool_init(&pool);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		X509 *x = make_certificate(
			&(struct made) { .key = cases[i].key.key, .cn = "a.example" });
		struct tls_open open;
		struct tls_cert *cert =
			read_good(PEM(TEXT("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
					   "-----END EC PARAMETERS-----\n"),
				      cases[i].key, CERT(x)));
		assert_int_equal(cert->key, cases[i].kind);
		assert_int_equal(tls_cert_open(cert, &open), 0);
		assert_int_equal(EVP_PKEY_eq(open.key, made_key(cases[i].key.key)), 1);
		tls_open_deinit(&open);
		tls_cert_unref(cert);
		X509_free(x);
	}
	tls_pool_deinit(&pool);
}

static void of_two_for_the_same_key_the_one_that_ends_last(void **state)
{
	X509 *old = make_certificate(&(struct made) { .key = EC_A, .cn = "old", .days = 5 });
	X509 *renewed = make_certificate(&(struct made) { .key = EC_A, .cn = "new", .days = 80 });

	tls_pool_init(&pool);
	for (int i = 0; i < 2; i++) {
		struct tls_cert *cert =
			read_good(PEM(CERT(i ? old : renewed), CERT(i ? renewed : old), KEY(EC_A)));
		assert_string_equal(cert->names, "new");
		tls_cert_unref(cert);
	}
	tls_pool_deinit(&pool);
	X509_free(old);
	X509_free(renewed);
}

static void names_are_read(void **state)
{
	const struct {
		const char *cn, *san, *want; /* want: joined by blanks */
	} cases[] = {
		{ "mail.example", NULL, "mail.example" },
		{ "Mail.Example", NULL, "mail.example" },
		{ "other.example", "DNS:mail.example,DNS:WWW.example", "mail.example www.example" },
		{ "mail.example", "IP:192.0.2.1", "mail.example" },
		{ NULL, "DNS:*.Example.org,DNS:example.org.", "*.example.org example.org" },
		{ NULL, "DNS:f*.example,DNS:a.*.example,DNS:*,DNS:.example,DNS:good.example",
		  "good.example" },
		{ "Some Organisation", NULL, "" },
		{ NULL, NULL, "" },
		{ "a b.example", "DNS:b\xc3\xbc.example,DNS:_x.example", "_x.example" },
	};

	tls_pool_init(&pool);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		X509 *x = make_certificate(
			&(struct made) { .key = EC_A, .cn = cases[i].cn, .names = cases[i].san });
		struct tls_cert *cert = read_good(PEM(KEY(EC_A), CERT(x)));
		char got[256] = "";
		const char *name = cert->names;
		for (size_t k = 0; k < cert->n_names; k++, name += strlen(name) + 1)
			sprintf(got + strlen(got), "%s%s", k ? " " : "", name);
		assert_string_equal(got, cases[i].want);
		tls_cert_unref(cert);
		X509_free(x);
	}
	tls_pool_deinit(&pool);
}

/* ---- which one for a name ---- */

static struct tls_cert *cert_for(enum made_key key, const char *names, int days)
{
	X509 *x = make_certificate(
		&(struct made) { .key = key, .names = names, .days = days, .cn = "none" });
	struct tls_cert *c = read_good(PEM(KEY(key), CERT(x)));

	X509_free(x);
	return c;
}

static void exact_then_wildcard_then_default(void **state)
{
	struct tls_cert *c[] = {
		cert_for(RSA_A, "DNS:default.example,DNS:also.example", 90),
		cert_for(RSA_B, "DNS:*.example.org", 90),
		cert_for(RSA_A, "DNS:mail.example.org", 90),
		cert_for(RSA_B, "DNS:default.example", 0),
	};
	const struct {
		const char *asked;
		int want;
	} cases[] = {
		{ "default.example", 0 },
		{ "also.example", 0 },
		{ "mail.example.org", 2 },
		{ "MAIL.Example.ORG", 2 },
		{ "mail.example.org.", 2 },
		{ "www.example.org", 1 },
		{ "a.b.example.org", 0 },
		{ "example.org", 0 },
		{ ".example.org", 0 },
		{ "*.example.org", 0 },
		{ "unknown.example", 0 },
		{ "", 0 },
		{ ".", 0 },
		{ "org", 0 },
		{ "x\xff\x01.example.org", 1 },
	};
	struct tls_store *s;
	char name[400];

	assert_int_equal(tls_store_new(c, ARRAY_SIZE(c), &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_ptr_equal(tls_store_find(s, sv_from(cases[i].asked))->by_key[TLS_KEY_RSA],
				 c[cases[i].want]);
	memset(name, 'a', sizeof(name));
	strcpy(name + 300, ".example.org");
	assert_ptr_equal(tls_store_find(s, sv_from(name))->by_key[TLS_KEY_RSA], c[0]);
	assert_int_equal(tls_store_names(s), 4);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		tls_cert_unref(c[i]);
	/* it has references of its own */
	assert_string_equal(tls_store_find(s, SV("also.example"))->by_key[TLS_KEY_RSA]->names,
			    "default.example");
	tls_store_unref(s);
}

static void every_kind_of_key_of_a_name(void **state)
{
	struct tls_cert *c[] = {
		cert_for(RSA_A, "DNS:a.example,DNS:only-rsa.example", 90),
		cert_for(EC_A, "DNS:a.example,DNS:only-ec.example", 90),
		cert_for(ED_A, "DNS:a.example", 90),
		cert_for(EC_B, "DNS:only-ec.example,DNS:b.example", 120),
		cert_for(RSA_B, "DNS:a.example", 30),
	};
	struct tls_store *s;

	assert_int_equal(tls_store_new(c, ARRAY_SIZE(c), &s), 0);
	const struct tls_slot *a = tls_store_find(s, SV("a.example"));
	assert_ptr_equal(a->by_key[TLS_KEY_RSA], c[0]); /* ends later than the other */
	assert_ptr_equal(a->by_key[TLS_KEY_ECDSA], c[1]);
	assert_ptr_equal(a->by_key[TLS_KEY_ED25519], c[2]);
	assert_ptr_equal(tls_store_find(s, SV("nobody.example")), a);
	const struct tls_slot *rsa = tls_store_find(s, SV("only-rsa.example"));
	assert_ptr_equal(rsa->by_key[TLS_KEY_RSA], c[0]);
	assert_null(rsa->by_key[TLS_KEY_ECDSA]);
	const struct tls_slot *ec = tls_store_find(s, SV("only-ec.example"));
	assert_ptr_equal(ec->by_key[TLS_KEY_ECDSA], c[3]);
	assert_null(ec->by_key[TLS_KEY_RSA]);
	tls_store_unref(s);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		tls_cert_unref(c[i]);
}

static void the_one_that_ends_last_whatever_the_order(void **state)
{
	struct tls_cert *older = cert_for(RSA_A, "DNS:a.example", 10);
	struct tls_cert *newer = cert_for(RSA_B, "DNS:a.example", 80);

	for (int swap = 0; swap < 2; swap++) {
		struct tls_cert *c[] = { swap ? newer : older, swap ? older : newer };
		struct tls_store *s;
		assert_int_equal(tls_store_new(c, 2, &s), 0);
		assert_ptr_equal(tls_store_find(s, SV("a.example"))->by_key[TLS_KEY_RSA], newer);
		assert_ptr_equal(tls_store_find(s, SV(""))->by_key[TLS_KEY_RSA], newer);
		tls_store_unref(s);
	}
	tls_cert_unref(older);
	tls_cert_unref(newer);
}

static void a_certificate_without_a_name_can_be_the_default(void **state)
{
	struct tls_cert *c[] = { cert_for(RSA_A, "IP:192.0.2.1", 90) };
	struct tls_store *s;

	X509 *x = make_certificate(&(struct made) { .key = RSA_A });
	tls_cert_unref(c[0]);
	c[0] = read_good(PEM(KEY(RSA_A), CERT(x)));
	X509_free(x);
	assert_int_equal(tls_store_new(c, 1, &s), 0);
	assert_ptr_equal(tls_store_find(s, SV("a.example"))->by_key[TLS_KEY_RSA], c[0]);
	tls_store_unref(s);
	tls_cert_unref(c[0]);
}

/* ---- files ---- */

struct files {
	struct tls_files *files;
	struct tls_conf conf;
	struct tls_certificate_conf named[4];
	char directory[256];
};

static void open_files(struct files *f)
{
	f->conf.certificates = f->named;
	while (f->conf.n_certificates < ARRAY_SIZE(f->named) &&
	       f->named[f->conf.n_certificates].cert)
		f->conf.n_certificates++;
	if (f->directory[0])
		f->conf.directory = f->directory;
	assert_int_equal(tls_files_new(&f->conf, &f->files), 0);
}

/* The first names of all that can be used, joined by blanks. */
static const char *names_in(struct files *f)
{
	static char text[1024];
	struct tls_cert **certs;
	size_t n;

	assert_int_equal(tls_files_certs(f->files, &certs, &n), 0);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		sprintf(text + strlen(text), "%s%s", i ? " " : "", certs[i]->names);
	free(certs);
	return text;
}

static void write_combined(const char *file, enum made_key key, const char *cn)
{
	X509 *x = make_certificate(&(struct made) { .key = key, .cn = cn });

	WRITE(file, KEY(key), CERT(x));
	X509_free(x);
}

static struct tls_files_info info_of(struct files *f)
{
	struct tls_files_info info;

	tls_files_info(f->files, &info);
	return info;
}

static void named_files_first_then_the_directory_in_order(void **state)
{
	struct files f = { .named = { { .cert = (char *)in_folder("z.pem"), .line = 4 },
				      { .cert = (char *)in_folder("pair.crt"),
					.key = (char *)in_folder("pair.key"),
					.line = 5 } } };
	X509 *x = make_certificate(&(struct made) { .key = EC_B, .cn = "pair.example" });

	snprintf(f.directory, sizeof(f.directory), "%s", in_folder("d/*"));
	write_combined("z.pem", EC_A, "z.example");
	WRITE("pair.crt", CERT(x));
	WRITE("pair.key", KEY(EC_B));
	X509_free(x);
	write_combined("d/b", EC_A, "b.example");
	write_combined("d/a", EC_A, "a.example");
	write_combined("d/c", EC_A, "c.example");
	write_file("d/folder/file", "", 0);
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "z.example pair.example a.example b.example c.example");
	assert_string_equal(logged(), "");
	assert_int_equal(info_of(&f).certs, 5);
	assert_int_equal(info_of(&f).broken, 0);
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	tls_files_free(f.files);
}

static void changed_new_and_removed_files_are_seen(void **state)
{
	struct files f = { 0 };

	snprintf(f.directory, sizeof(f.directory), "%s", in_folder("*/combined.pem"));
	write_combined("a/combined.pem", EC_A, "a.example");
	write_combined("b/combined.pem", EC_A, "b.example");
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "a.example b.example");
	write_combined("b/combined.pem", EC_B, "changed.example");
	write_combined("c/combined.pem", EC_A, "c.example");
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "a.example changed.example c.example");
	unlink(in_folder("a/combined.pem"));
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "changed.example c.example");
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	assert_string_equal(logged(), "");
	/* by another file in its place, as most tools do */
	write_combined("new", EC_A, "renamed.example");
	rename(in_folder("new"), in_folder("c/combined.pem"));
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "changed.example renamed.example");
	tls_files_free(f.files);
}

static void a_change_within_the_clocks_step_is_seen(void **state)
{
	struct files f = { .named = { { .cert = (char *)in_folder("a.pem") } } };
	struct timespec same[2] = { { 5000, 0 }, { 5000, 0 } };

	/* same size, inode and mtime: the content tells, or ctime where it is fine enough */
	write_combined("a.pem", EC_A, "one.example");
	utimensat(AT_FDCWD, in_folder("a.pem"), same, 0);
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	write_combined("a.pem", EC_A, "two.example");
	utimensat(AT_FDCWD, in_folder("a.pem"), same, 0);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "two.example");
	/* ctime alone: it is long ago that it was read */
	clock_fake(-1, clock_wall_ms() + 3600 * 1000);
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	write_combined("a.pem", EC_A, "six.example");
	utimensat(AT_FDCWD, in_folder("a.pem"), same, 0);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	/* touched only: nothing is new */
	utimensat(AT_FDCWD, in_folder("a.pem"), NULL, 0);
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	tls_files_free(f.files);
}

static void a_broken_file_keeps_what_was_read(void **state)
{
	struct files f = { .named = { { .cert = (char *)in_folder("a.pem"), .line = 7 } } };
	const char *text;

	snprintf(f.directory, sizeof(f.directory), "%s", in_folder("d/*"));
	write_combined("a.pem", EC_A, "a.example");
	write_combined("d/b", EC_A, "b.example");
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	write_file("a.pem", "half", 4);
	write_file("d/b", "half", 4);
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	assert_string_equal(names_in(&f), "a.example b.example");
	text = logged();
	assert_int_equal(count_of(text, "\n"), 2);
	assert_int_equal(count_of(text,
				  "a.pem line=7 error=\"there is no private key in it\" can't "
				  "be used; what was read of it before stays in use\n"),
			 1);
	assert_int_equal(count_of(text, "/d/b error="), 1);
	assert_int_equal(info_of(&f).broken, 2);
	assert_int_equal(info_of(&f).broken_named, 1);
	/* once a change */
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	assert_string_equal(logged(), "");
	write_file("d/b", "other", 5);
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	assert_int_equal(count_of(logged(), "\n"), 1);
	write_combined("d/b", EC_A, "whole.example");
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "a.example whole.example");
	assert_int_equal(info_of(&f).broken, 1);
	tls_files_free(f.files);
}

static void a_named_file_that_vanishes_keeps_what_was_read(void **state)
{
	struct files f = { .named = { { .cert = (char *)in_folder("a.crt"),
					.key = (char *)in_folder("a.key"),
					.line = 3 } } };
	X509 *x = make_certificate(&(struct made) { .key = EC_A, .cn = "a.example" });

	WRITE("a.crt", CERT(x));
	WRITE("a.key", KEY(EC_A));
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	unlink(in_folder("a.key"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(tls_files_read(f.files, ctx), 0);
	assert_string_equal(names_in(&f), "a.example");
	const char *text = logged();
	assert_int_equal(count_of(text, "\n"), 1);
	assert_non_null(strstr(text, "a.key line=3 error=\"No such file or directory\""));
	/* one file of a pair after the other, as they are renewed */
	WRITE("a.key", KEY(EC_B));
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	assert_non_null(strstr(logged(), "error=\"the key belongs to no certificate in it\""));
	X509_free(x);
	x = make_certificate(&(struct made) { .key = EC_B, .cn = "new.example" });
	WRITE("a.crt", CERT(x));
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "new.example");
	X509_free(x);
	tls_files_free(f.files);
}

static void a_directory_that_is_empty_all_at_once_keeps_all(void **state)
{
	struct files f = { 0 };

	snprintf(f.directory, sizeof(f.directory), "%s", in_folder("d/*.pem"));
	write_combined("d/a.pem", EC_A, "a.example");
	write_combined("d/b.pem", EC_A, "b.example");
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	rename(in_folder("d"), in_folder("unmounted"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(tls_files_read(f.files, ctx), 0);
	assert_string_equal(names_in(&f), "a.example b.example");
	const char *text = logged();
	assert_int_equal(count_of(text, "it matches no file\" what was read before stays in use"),
			 1);
	rename(in_folder("unmounted"), in_folder("d"));
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	unlink(in_folder("d/a.pem"));
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(names_in(&f), "b.example");
	tls_files_free(f.files);
}

static void what_is_no_file_is_refused(void **state)
{
	struct files f = { .named = { { .cert = (char *)in_folder("pipe") },
				      { .cert = (char *)in_folder("folder") },
				      { .cert = (char *)in_folder("large") },
				      { .cert = (char *)in_folder("none") } } };
	assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
	assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
	write_file("large", "", 0);
	assert_int_equal(truncate(in_folder("large"), 2 << 20), 0);
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	const char *text = logged();
	assert_int_equal(count_of(text, "\n"), 4);
	assert_int_equal(count_of(text, "it is no file\" can't be used\n"), 2);
	assert_int_equal(count_of(text, "it is larger than 1 MiB\" can't be used\n"), 1);
	assert_int_equal(info_of(&f).certs, 0);
	assert_int_equal(info_of(&f).broken_named, 4);
	tls_files_free(f.files);
}

static void expired_ones_are_used_and_told_once(void **state)
{
	struct files f = { 0 };
	X509 *past = make_certificate(&(struct made) { .key = EC_A, .cn = "past", .days = -3 });
	X509 *soon = make_certificate(&(struct made) { .key = EC_A, .cn = "soon", .days = 2 });

	snprintf(f.directory, sizeof(f.directory), "%s", in_folder("d/*"));
	WRITE("d/1", KEY(EC_A), CERT(past));
	WRITE("d/2", KEY(EC_A), CERT(past), TEXT("2"));
	WRITE("d/3", KEY(EC_A), CERT(soon));
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	const char *text = logged();
	assert_int_equal(count_of(text, "\n"), 1);
	assert_non_null(strstr(text, "d/1 expired=2 "));
	assert_string_equal(names_in(&f), "past past soon");
	assert_int_equal(info_of(&f).expired, 2);
	assert_true(info_of(&f).first_end > clock_wall_ms() / 1000);
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	assert_string_equal(logged(), "");
	/* while it runs */
	clock_fake(-1, clock_wall_ms() + 3 * INT64_C(86400000));
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	text = logged();
	assert_int_equal(count_of(text, "\n"), 1);
	assert_non_null(strstr(text, "d/3 expired=1 "));
	assert_int_equal(info_of(&f).first_end, 0);
	tls_files_free(f.files);
	X509_free(past);
	X509_free(soon);
}

static void thousands_of_files(void **state)
{
	enum { N = 3000 };
	struct files f = { 0 };
	X509 *root = make_certificate(&(struct made) { .key = RSA_B, .cn = "Root", .ca = true });
	X509 *middle = make_certificate(&(struct made) {
		.key = EC_CA, .cn = "M", .ca = true, .issuer = root, .issuer_key = RSA_B });
	struct tls_cert **certs;
	struct tls_store *s;
	char file[64], names[128];
	size_t n;

	snprintf(f.directory, sizeof(f.directory), "%s", in_folder("*/combined"));
	for (int i = 0; i < N; i++) {
		snprintf(names, sizeof(names), "DNS:d%d.example,DNS:mail.d%d.example", i, i);
		X509 *x = make_certificate(&(struct made) {
			.key = EC_A, .names = names, .issuer = middle, .issuer_key = EC_CA });
		snprintf(file, sizeof(file), "%d/combined", i);
		WRITE(file, KEY(EC_A), CERT(x), CERT(middle));
		X509_free(x);
	}
	open_files(&f);
	assert_int_equal(tls_files_read(f.files, ctx), 1);
	assert_string_equal(logged(), "");
	assert_int_equal(tls_files_certs(f.files, &certs, &n), 0);
	assert_int_equal(n, N);
	assert_int_equal(tls_store_new(certs, n, &s), 0);
	free(certs);
	assert_int_equal(tls_store_names(s), 2 * N);
	for (int i = 0; i < N; i++) {
		snprintf(names, sizeof(names), "mail.d%d.example", i);
		const struct tls_cert *c = tls_store_find(s, sv_from(names))->by_key[TLS_KEY_ECDSA];
		assert_string_equal(c->names, names + 5);
	}
	assert_int_equal(tls_files_read(f.files, ctx), 0);
	tls_files_free(f.files);
	tls_store_unref(s);
	X509_free(root);
	X509_free(middle);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_orders_of_a_combined_file),
		TEST(intermediates_are_shared_and_let_go),
		TEST(what_is_refused_says_why),
		TEST(every_beginning_of_a_file_is_refused_or_whole),
		TEST(keys_of_all_kinds_and_forms),
		TEST(of_two_for_the_same_key_the_one_that_ends_last),
		TEST(names_are_read),
		TEST(exact_then_wildcard_then_default),
		TEST(every_kind_of_key_of_a_name),
		TEST(the_one_that_ends_last_whatever_the_order),
		TEST(a_certificate_without_a_name_can_be_the_default),
		TEST(named_files_first_then_the_directory_in_order),
		TEST(changed_new_and_removed_files_are_seen),
		TEST(a_change_within_the_clocks_step_is_seen),
		TEST(a_broken_file_keeps_what_was_read),
		TEST(a_named_file_that_vanishes_keeps_what_was_read),
		TEST(a_directory_that_is_empty_all_at_once_keeps_all),
		TEST(what_is_no_file_is_refused),
		TEST(expired_ones_are_used_and_told_once),
		TEST(thousands_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
