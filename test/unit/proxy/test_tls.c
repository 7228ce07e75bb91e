#include "proxy/tls.h"

#include "base/clock.h"
#include "certs.h"
#include "proxy/tls_ticket.h"
#include "wire.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct tls_conf conf;
static struct tls_certificate_conf named[1];
static char named_path[256], directory[256];
static struct tls_server *server;
static SSL_CTX *client_ctx;

/* a.example: RSA, ECDSA and Ed25519; *.b.example: ECDSA; default.example, the default: RSA. */
static int setup(void **state)
{
	const struct {
		const char *file;
		enum made_key key;
		const char *names;
	} files[] = {
		{ "default.pem", RSA_A, "DNS:default.example" },
		{ "d/1", RSA_B, "DNS:a.example" },
		{ "d/2", EC_A, "DNS:a.example" },
		{ "d/3", ED_A, "DNS:a.example" },
		{ "d/4", EC_B, "DNS:*.b.example" },
	};

	certs_setup();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		X509 *x = make_certificate(
			&(struct made) { .key = files[i].key, .names = files[i].names });
		WRITE(files[i].file, KEY(files[i].key), CERT(x));
		X509_free(x);
	}
	snprintf(named_path, sizeof(named_path), "%s", in_folder("default.pem"));
	snprintf(directory, sizeof(directory), "%s", in_folder("d/*"));
	named[0] = (struct tls_certificate_conf) { .cert = named_path, .line = 1 };
	conf = (struct tls_conf) { .certificates = named,
				   .n_certificates = 1,
				   .directory = directory };
	assert_int_equal(tls_server_new(&conf, &server), 0);
	client_ctx = SSL_CTX_new(TLS_client_method());
	return 0;
}

static int teardown(void **state)
{
	clock_fake(-1, -1);
	SSL_CTX_free(client_ctx);
	tls_server_free(server);
	certs_teardown();
	return 0;
}

static SSL *new_client(int version, const char *sni)
{
	SSL *ssl = SSL_new(client_ctx);

	SSL_set_connect_state(ssl);
	if (version) {
		SSL_set_security_level(ssl, 0);
		SSL_set_min_proto_version(ssl, version);
		SSL_set_max_proto_version(ssl, version);
	}
	if (sni)
		SSL_set_tlsext_host_name(ssl, sni);
	return ssl;
}

/* Both begin to handshake. */
static void begin(struct wire *w, SSL *client)
{
	wire_open(w);
	wire_peer_tls(w, client);
	assert_int_equal(conn_secure(&w->side.c, tls_server_session(server)), 0);
	assert_int_equal(w->side.readies, 0);
}

static void shake_hands(struct wire *w, SSL *client)
{
	begin(w, client);
	wire_until(w, w->side.secured && w->peer.done);
}

/* ---- handshakes ---- */

static void whatever_the_version_and_the_pieces(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	static const size_t pieces[] = { 0, 1, 7, 1000 };
	struct wire w;

	for (size_t v = 0; v < ARRAY_SIZE(versions); v++)
		for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
			begin(&w, new_client(versions[v], NULL));
			w.peer.at_once = pieces[p];
			assert_false(conn_is_secure(&w.side.c));
			wire_until(&w, w.side.secured && w.peer.done);
			assert_int_equal(SSL_version(w.peer.ssl), versions[v]);
			side_send(&w, "220 hello\r\n");
			peer_send(&w, "EHLO me\r\n", 9);
			wire_until(&w, w.side.n_in == 9 && w.peer.n_in == 11);
			assert_string_equal(w.side.in, "EHLO me\r\n");
			assert_string_equal(w.peer.in, "220 hello\r\n");
			assert_int_equal(w.side.secures, 1);
			assert_null(conn_tls_error(&w.side.c));
			wire_rest(&w);
			wire_close(&w);
		}
}

static void the_certificate_for_the_name_and_the_clients_abilities(void **state)
{
	const struct {
		const char *sni, *algorithms;
		enum made_key want;
	} cases[] = {
		{ NULL, NULL, RSA_A },
		{ "default.example", NULL, RSA_A },
		{ "unknown.example", NULL, RSA_A },
		{ "\x01\xff..*", NULL, RSA_A },
		{ "a.example", "ECDSA+SHA256", EC_A },
		{ "A.Example", "ed25519", ED_A },
		{ "a.example", "rsa_pss_rsae_sha256:RSA+SHA256", RSA_B },
		{ "a.example", "rsa_pss_rsae_sha256:ECDSA+SHA256", RSA_B },
		{ "x.b.example", NULL, EC_B },
		{ "y.x.b.example", NULL, RSA_A },
	};
	struct wire w;

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			SSL *ssl = new_client(version, cases[i].sni);
			if (cases[i].algorithms)
				assert_int_equal(SSL_set1_sigalgs_list(ssl, cases[i].algorithms),
						 1);
			/* TLS 1.2 goes by the order of ciphers, 1.3 by that of algorithms */
			if (cases[i].want == RSA_B)
				SSL_set_cipher_list(ssl, "ECDHE+aRSA");
			shake_hands(&w, ssl);
			X509 *x = SSL_get0_peer_certificate(w.peer.ssl);
			assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), made_key(cases[i].want)),
					 1);
			wire_close(&w);
		}
}

static void what_is_too_old_is_refused(void **state)
{
	const struct {
		int version;
		const char *ciphers, *why;
	} cases[] = {
		{ TLS1_VERSION, NULL, "the peer has no TLS 1.2 or later" },
		{ TLS1_1_VERSION, NULL, "the peer has no TLS 1.2 or later" },
		{ TLS1_2_VERSION, "AES128-GCM-SHA256", "the peer has no cipher that we accept" },
		{ TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256",
		  "the peer has no cipher that we accept" },
		{ TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256",
		  "the peer has no cipher that we accept" },
		{ TLS1_2_VERSION, "AECDH-AES128-SHA", "the peer has no cipher that we accept" },
	};
	struct wire w;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		SSL *ssl = new_client(cases[i].version, NULL);
		if (cases[i].version < TLS1_2_VERSION)
			SSL_set_cipher_list(ssl, "ALL:@SECLEVEL=0");
		if (cases[i].ciphers)
			assert_int_equal(SSL_set_cipher_list(ssl, cases[i].ciphers), 1);
		begin(&w, ssl);
		wire_until(&w, w.side.broken && w.peer.error);
		assert_false(w.side.secured);
		assert_false(conn_is_secure(&w.side.c));
		assert_int_equal(w.side.error, -EPROTO);
		assert_string_equal(conn_tls_error(&w.side.c), cases[i].why);
		wire_rest(&w);
		wire_close(&w);
	}
}

static void no_renegotiation(void **state)
{
	struct wire w;

	shake_hands(&w, new_client(TLS1_2_VERSION, NULL));
	assert_int_equal(SSL_renegotiate(w.peer.ssl), 1);
	w.peer.done = false;
	wire_until(&w, w.peer.error || w.side.error);
	assert_int_equal(w.side.secures, 1);
	wire_close(&w);
}

static void new_certificates_are_for_new_sessions(void **state)
{
	struct tls_server_info info;
	struct wire w, before;
	const char *text;
	X509 *x = make_certificate(&(struct made) { .key = EC_A, .names = "DNS:new.example" });

	shake_hands(&before, new_client(TLS1_3_VERSION, "default.example"));
	assert_int_equal(tls_server_refresh(server), 0);
	tls_server_info(server, &info);
	assert_int_equal(info.certificates, 5);
	assert_int_equal(info.names, 3);
	WRITE("default.pem", KEY(EC_A), CERT(x));
	write_file("d/4", "broken", 6);
	assert_int_equal(tls_server_refresh(server), 1);
	text = logged();
	assert_int_equal(count_of(text, "\n"), 2);
	assert_non_null(strstr(text, "d/4 error="));
	assert_non_null(strstr(text, "certificates=5 names=3 changed files were read"));
	tls_server_info(server, &info);
	assert_int_equal(info.broken, 1);
	shake_hands(&w, new_client(0, NULL));
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(w.peer.ssl), x), 0);
	wire_close(&w);
	shake_hands(&w, new_client(0, "z.b.example"));
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(SSL_get0_peer_certificate(w.peer.ssl)),
				     made_key(EC_B)),
			 1);
	wire_close(&w);
	side_send(&before, "still here");
	wire_until(&before, before.peer.n_in == 10);
	wire_close(&before);
	X509_free(x);
}

static void what_a_server_begins_with(void **state)
{
	struct tls_server *s = (void *)8;
	struct tls_conf none = { 0 };

	write_file("default.pem", "broken", 6);
	assert_int_equal(tls_server_new(&conf, &s), 1);
	tls_server_free(s);
	assert_non_null(strstr(logged(), "default.pem line=1 error="));
	conf.directory = NULL;
	s = (void *)8;
	assert_int_equal(tls_server_new(&conf, &s), -ENOENT);
	assert_int_equal(tls_server_new(&none, &s), -ENOENT);
	assert_ptr_equal(s, (void *)8);
	tls_server_free(NULL);
}

/* ---- tickets ---- */

/* A session that a full handshake left; with TLS 1.3 it comes after that. */
static SSL_SESSION *get_session(int version, SSL_SESSION *last, bool *ret_resumed)
{
	struct wire w;
	SSL *ssl = new_client(version, "a.example");

	if (last)
		SSL_set_session(ssl, last);
	shake_hands(&w, ssl);
	side_send(&w, "x");
	wire_until(&w, w.peer.n_in == 1);
	*ret_resumed = SSL_session_reused(w.peer.ssl);
	SSL_SESSION *s = SSL_get1_session(w.peer.ssl);
	assert_true(SSL_SESSION_has_ticket(s));
	/* or OpenSSL takes it for unusable */
	SSL_set_shutdown(w.peer.ssl, SSL_SENT_SHUTDOWN);
	wire_close(&w);
	SSL_SESSION_free(last);
	return s;
}

static void sessions_are_resumed_by_tickets(void **state)
{
	bool resumed;

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *s = get_session(version, NULL, &resumed);
		assert_false(resumed);
		for (int i = 0; i < 3; i++) {
			s = get_session(version, s, &resumed);
			assert_true(resumed);
		}
		/* new certificates don't matter to it */
		write_file("d/4", "broken", 6);
		tls_server_refresh(server);
		s = get_session(version, s, &resumed);
		assert_true(resumed);
		SSL_SESSION_free(s);
	}
}

static void their_key_lives_for_half_a_day_and_another_half(void **state)
{
	const int64_t half = TLS_TICKET_SECONDS * INT64_C(1000);
	bool resumed;

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
		for (int ticks = 0; ticks < 2; ticks++) {
			int64_t now = 1000000;
			clock_fake(now, -1);
			tls_server_free(server);
			assert_int_equal(tls_server_new(&conf, &server), 0);
			SSL_SESSION *s = get_session(version, NULL, &resumed);
			/* by the key before, and again, by a ticket of the new one */
			for (int i = 0; i < 3; i++) {
				clock_fake(now += half + 1, -1);
				if (ticks)
					tls_server_refresh(server);
				s = get_session(version, s, &resumed);
				assert_true(resumed);
			}
			clock_fake(now += half, -1);
			if (ticks)
				tls_server_refresh(server);
			clock_fake(now += half, -1);
			s = get_session(version, s, &resumed);
			assert_false(resumed);
			SSL_SESSION_free(s);
		}
}

static void no_key_is_accepted_for_longer_than_a_day(void **state)
{
	const int64_t hour = 60 * 60 * INT64_C(1000);
	bool resumed;

	clock_fake(hour, -1);
	tls_server_free(server);
	assert_int_equal(tls_server_new(&conf, &server), 0);
	SSL_SESSION *s = get_session(TLS1_2_VERSION, NULL, &resumed);
	SSL_SESSION *same = SSL_SESSION_dup(s);
	/* the next key is made late */
	clock_fake(19 * hour, -1);
	s = get_session(TLS1_2_VERSION, s, &resumed);
	assert_true(resumed);
	clock_fake(25 * hour, -1);
	s = get_session(TLS1_2_VERSION, s, &resumed);
	assert_true(resumed);
	same = get_session(TLS1_2_VERSION, same, &resumed);
	assert_false(resumed);
	SSL_SESSION_free(s);
	SSL_SESSION_free(same);
}

static void nobody_elses_ticket_is_taken(void **state)
{
	bool resumed;

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *s = get_session(version, NULL, &resumed);
		tls_server_free(server);
		assert_int_equal(tls_server_new(&conf, &server), 0);
		s = get_session(version, s, &resumed);
		assert_false(resumed);
		SSL_SESSION_free(s);
	}
}

/* ---- the backend ---- */

static SSL_CTX *backend_ctx;
static char backend_name[256];

static int note_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	snprintf(backend_name, sizeof(backend_name), "%s", name ? name : "(none)");
	return SSL_TLSEXT_ERR_OK;
}

static void backend_open(X509 *cert, enum made_key key)
{
	SSL_CTX_free(backend_ctx);
	backend_ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_security_level(backend_ctx, 0);
	SSL_CTX_set_tlsext_servername_callback(backend_ctx, note_name);
	assert_int_equal(SSL_CTX_use_cert_and_key(backend_ctx, cert, made_key(key), NULL, 1), 1);
}

/* Connects to it; the outcome of the handshake is in w. */
static void to_backend(struct wire *w, struct tls_client *t, const char *verify, const char *sni)
{
	SSL *ssl = SSL_new(backend_ctx);

	SSL_set_accept_state(ssl);
	strcpy(backend_name, "(none)");
	wire_open(w);
	wire_peer_tls(w, ssl);
	assert_int_equal(conn_secure(&w->side.c, tls_client_session(t, verify, sni)), 0);
	wire_until(w, (w->side.secured && w->peer.done) || w->side.broken);
	if (w->side.secured) {
		peer_send(w, "220 backend\r\n", 13);
		wire_until(w, w->side.n_in == 13);
	}
}

static void any_backend_will_do_unless_told(void **state)
{
	struct tls_client *t;
	struct wire w;
	X509 *weak = make_certificate(&(struct made) { .key = RSA_WEAK, .cn = "x", .days = -9 });

	backend_open(weak, RSA_WEAK);
	assert_int_equal(tls_client_new(NULL, &t), 0);
	to_backend(&w, t, NULL, NULL);
	assert_true(w.side.secured);
	assert_string_equal(backend_name, "(none)");
	wire_close(&w);
	to_backend(&w, t, NULL, "mx.example.org");
	assert_true(w.side.secured);
	assert_string_equal(backend_name, "mx.example.org");
	wire_close(&w);
	/* addresses are no names */
	to_backend(&w, t, NULL, "192.0.2.1");
	assert_string_equal(backend_name, "(none)");
	wire_close(&w);
	to_backend(&w, t, NULL, "2001:db8::1");
	assert_string_equal(backend_name, "(none)");
	wire_close(&w);
	to_backend(&w, t, "mx.example.org", NULL);
	assert_true(w.side.broken);
	wire_close(&w);
	/* its signatures by SHA-1 */
	SSL_CTX_set_max_proto_version(backend_ctx, TLS1_2_VERSION);
	assert_int_equal(SSL_CTX_set1_sigalgs_list(backend_ctx, "RSA+SHA1"), 1);
	to_backend(&w, t, NULL, NULL);
	assert_true(w.side.secured);
	wire_close(&w);
	SSL_CTX_set_max_proto_version(backend_ctx, TLS1_1_VERSION);
	to_backend(&w, t, NULL, NULL);
	assert_true(w.side.broken);
	wire_close(&w);
	tls_client_free(t);
	X509_free(weak);
}

static void a_verified_backend_has_the_name_and_the_root(void **state)
{
	X509 *root = make_certificate(&(struct made) { .key = RSA_B, .cn = "Root", .ca = true });
	X509 *leaf = make_certificate(&(struct made) {
		.key = EC_A,
		.names = "DNS:mx.example.org,DNS:*.wild.example,IP:192.0.2.1,IP:2001:db8::1",
		.issuer = root,
		.issuer_key = RSA_B });
	X509 *self =
		make_certificate(&(struct made) { .key = EC_B, .names = "DNS:mx.example.org" });
	X509 *past = make_certificate(
		&(struct made) { .key = EC_B, .names = "DNS:mx.example.org", .days = -2 });
	const struct {
		X509 *shown;
		enum made_key key;
		const char *roots, *name, *error; /* error: NULL: none */
	} cases[] = {
		{ leaf, EC_A, "root.pem", "mx.example.org", NULL },
		{ leaf, EC_A, "root.pem", "MX.Example.Org", NULL },
		{ leaf, EC_A, "root.pem", "a.wild.example", NULL },
		{ leaf, EC_A, "root.pem", "192.0.2.1", NULL },
		{ leaf, EC_A, "root.pem", "2001:db8::1", NULL },
		{ leaf, EC_A, "root.pem", "192.0.2.2", "IP address mismatch" },
		{ leaf, EC_A, "root.pem", "other.example.org", "hostname mismatch" },
		{ leaf, EC_A, "root.pem", "example.org", "hostname mismatch" },
		{ leaf, EC_A, "self.pem", "mx.example.org",
		  "unable to get local issuer certificate" },
		{ leaf, EC_A, "leaf.pem", "mx.example.org", NULL },
		{ leaf, EC_A, NULL, "mx.example.org", "unable to get local issuer certificate" },
		{ self, EC_B, "self.pem", "mx.example.org", NULL },
		{ self, EC_B, "root.pem", "mx.example.org", "self-signed certificate" },
		{ past, EC_B, "past.pem", "mx.example.org", "certificate has expired" },
	};
	struct wire w;

	WRITE("root.pem", CERT(root));
	WRITE("self.pem", CERT(self));
	WRITE("leaf.pem", CERT(leaf));
	WRITE("past.pem", CERT(past));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_client *t;
		assert_int_equal(
			tls_client_new(cases[i].roots ? in_folder(cases[i].roots) : NULL, &t), 0);
		backend_open(cases[i].shown, cases[i].key);
		for (int again = 0; again < 2; again++) {
			to_backend(&w, t, cases[i].name, NULL);
			if (cases[i].error)
				assert_string_equal(conn_tls_error(&w.side.c), cases[i].error);
			assert_int_equal(w.side.secured, cases[i].error == NULL);
			wire_close(&w);
		}
		tls_client_free(t);
	}
	X509_free(root);
	X509_free(leaf);
	X509_free(self);
	X509_free(past);
}

static void roots_that_cannot_be_read(void **state)
{
	struct tls_client *t;

	assert_int_equal(tls_client_new(in_folder("none.pem"), &t), -EINVAL);
	assert_non_null(strstr(logged(), "none.pem error=\"No such file or directory\""));
	write_file("empty.pem", "hm", 2);
	assert_int_equal(tls_client_new(in_folder("empty.pem"), &t), -EINVAL);
	assert_non_null(strstr(logged(), "empty.pem error="));
}

static bool is_resumed(struct tls_client *t, const char *verify, const char *sni)
{
	struct wire w;

	to_backend(&w, t, verify, sni);
	assert_true(w.side.secured);
	bool resumed = SSL_session_reused(w.peer.ssl);
	wire_close(&w);
	return resumed;
}

static void sessions_with_the_backend_are_resumed(void **state)
{
	X509 *x = make_certificate(&(struct made) { .key = EC_A, .names = "DNS:mx.example.org" });

	WRITE("x.pem", CERT(x));
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct tls_client *t;
		assert_int_equal(tls_client_new(in_folder("x.pem"), &t), 0);
		backend_open(x, EC_A);
		SSL_CTX_set_max_proto_version(backend_ctx, version);
		assert_false(is_resumed(t, NULL, "mx.example.org"));
		for (int i = 0; i < 3; i++)
			assert_true(is_resumed(t, NULL, "mx.example.org"));
		/* what was not verified must not pass for it */
		assert_false(is_resumed(t, "mx.example.org", "mx.example.org"));
		assert_true(is_resumed(t, "mx.example.org", "mx.example.org"));
		assert_false(is_resumed(t, "mx.example.org", NULL));
		assert_true(is_resumed(t, "mx.example.org", NULL));
		assert_false(is_resumed(t, NULL, NULL));
		/* the backend has restarted, and knows nothing of it */
		backend_open(x, EC_A);
		SSL_CTX_set_max_proto_version(backend_ctx, version);
		assert_false(is_resumed(t, NULL, NULL));
		assert_true(is_resumed(t, NULL, NULL));
		tls_client_free(t);
	}
	X509_free(x);
}

/* ---- several threads ---- */

static _Atomic bool threads_stop;

/* Its handshakes, in memory. */
static void *handshakes(void *arg)
{
	static const char *const names[] = { "a.example", "x.b.example", "default.example",
					     "none" };
	struct tls_client *backend = arg;
	intptr_t n = 0;

	for (; !atomic_load(&threads_stop) || n < 20; n++) {
		SSL *s = tls_server_session(server);
		SSL *c = tls_client_session(backend, NULL, names[n % 4]);
		BIO *a, *b;
		BIO_new_bio_pair(&a, 0, &b, 0);
		SSL_set_bio(s, a, a);
		SSL_set_bio(c, b, b);
		char octet = 'x';
		for (int i = 0; i < 20 && SSL_read(c, &octet, 1) != 1; i++)
			if (SSL_do_handshake(s) == 1)
				SSL_write(s, &octet, 1);
		if (!SSL_is_init_finished(s) || !SSL_is_init_finished(c))
			n = -1000000;
		SSL_shutdown(c);
		SSL_shutdown(s);
		SSL_free(c);
		SSL_free(s);
	}
	return (void *)n;
}

static void certificates_change_while_threads_shake_hands(void **state)
{
	struct tls_client *backend;
	pthread_t threads[3];
	void *n;

	X509 *x = make_certificate(&(struct made) { .key = EC_B, .names = "DNS:*.b.example" });
	assert_int_equal(tls_client_new(NULL, &backend), 0);
	atomic_store(&threads_stop, false);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, handshakes, backend), 0);
	for (int i = 0; i < 40; i++) {
		char text[32];
		snprintf(text, sizeof(text), "# %d\n", i);
		WRITE("d/4", TEXT(text), KEY(EC_B), CERT(x));
		assert_int_equal(tls_server_refresh(server), 1);
		usleep(1000);
	}
	atomic_store(&threads_stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], &n);
		assert_true((intptr_t)n > 0);
	}
	tls_client_free(backend);
	X509_free(x);
}

static int close_backend(void **state)
{
	SSL_CTX_free(backend_ctx);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whatever_the_version_and_the_pieces),
		TEST(the_certificate_for_the_name_and_the_clients_abilities),
		TEST(what_is_too_old_is_refused),
		TEST(no_renegotiation),
		TEST(new_certificates_are_for_new_sessions),
		TEST(what_a_server_begins_with),
		TEST(sessions_are_resumed_by_tickets),
		TEST(their_key_lives_for_half_a_day_and_another_half),
		TEST(no_key_is_accepted_for_longer_than_a_day),
		TEST(nobody_elses_ticket_is_taken),
		TEST(any_backend_will_do_unless_told),
		TEST(a_verified_backend_has_the_name_and_the_root),
		TEST(roots_that_cannot_be_read),
		TEST(sessions_with_the_backend_are_resumed),
		TEST(certificates_change_while_threads_shake_hands),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, close_backend);
}
