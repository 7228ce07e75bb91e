#include "proxy/conn.h"

#include "certs.h"
#include "proxy/tls.h"
#include "wire.h"

#include <errno.h>
#include <linux/sockios.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct tls_conf conf;
static struct tls_certificate_conf named;
static char named_path[256];
static struct tls_server *server;
static SSL_CTX *client_ctx;

static int setup(void **state)
{
	X509 *x;

	certs_setup();
	x = make_certificate(&(struct made) { .key = EC_A, .names = "DNS:a.example" });
	WRITE("a.pem", KEY(EC_A), CERT(x));
	X509_free(x);
	snprintf(named_path, sizeof(named_path), "%s", in_folder("a.pem"));
	named = (struct tls_certificate_conf) { .cert = named_path };
	conf = (struct tls_conf) { .certificates = &named, .n_certificates = 1 };
	assert_int_equal(tls_server_new(&conf, &server), 0);
	client_ctx = SSL_CTX_new(TLS_client_method());
	return 0;
}

static int teardown(void **state)
{
	SSL_CTX_free(client_ctx);
	tls_server_free(server);
	certs_teardown();
	return 0;
}

static SSL *new_client(int version)
{
	SSL *ssl = SSL_new(client_ctx);

	SSL_set_connect_state(ssl);
	SSL_set_max_proto_version(ssl, version);
	return ssl;
}

static void secure(struct wire *w)
{
	int before = w->side.readies;

	assert_int_equal(conn_secure(&w->side.c, tls_server_session(server)), 0);
	assert_int_equal(w->side.readies, before);
}

static void shake_hands(struct wire *w, int version)
{
	wire_open(w);
	wire_peer_tls(w, new_client(version));
	secure(w);
	wire_until(w, w->side.secured && w->peer.done);
}

#define BOTH_VERSIONS(v) (int v = TLS1_2_VERSION; v <= TLS1_3_VERSION; v++)

static char *much(size_t n, unsigned seed)
{
	char *p = malloc(n + 1);

	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = (char)('!' + (seed >> 24) % 90);
	}
	p[n] = '\0';
	return p;
}

/* ---- the beginning ---- */

static void what_is_queued_goes_out_in_the_clear_first(void **state)
{
	for
		BOTH_VERSIONS(v)
		{
			struct wire w;
			wire_open(&w);
			assert_int_equal(conn_send(&w.side.c, SV("220 go on\r\n")), 0);
			secure(&w);
			side_send(&w, "for TLS only");
			wire_until(&w, w.peer.n_in >= 11);
			wire_rest(&w);
			assert_string_equal(w.peer.in, "220 go on\r\n");
			assert_int_equal(w.side.readies, 0);
			w.peer.n_in = 0;
			wire_peer_tls(&w, new_client(v));
			wire_until(&w, w.side.secured && w.peer.n_in == 12);
			assert_string_equal(w.peer.in, "for TLS only");
			wire_rest(&w);
			wire_close(&w);
		}
}

static void more_than_the_socket_takes_goes_out_in_the_clear_first(void **state)
{
	enum { N = 3000000 };
	char *text = much(N, 1);
	struct wire w;

	for (int flushed = 0; flushed < 2; flushed++) {
		wire_open(&w);
		w.peer.deaf = true;
		/* the first with as much as goes at once out already */
		assert_int_equal(conn_send(&w.side.c, (struct sv) { text, N }), 0);
		if (flushed)
			assert_int_equal(conn_flush(&w.side.c), 1);
		assert_true(buf_len(&w.side.c.out) > 0);
		secure(&w);
		assert_int_equal(conn_send(&w.side.c, SV("for TLS only")), 0);
		assert_int_equal(conn_flush(&w.side.c), 1);
		wire_rest(&w);
		w.peer.deaf = false;
		wire_until(&w, w.peer.n_in >= N);
		wire_rest(&w);
		assert_int_equal(w.peer.n_in, N);
		assert_memory_equal(w.peer.in, text, N);
		w.peer.n_in = 0;
		wire_peer_tls(&w, new_client(TLS1_3_VERSION));
		wire_until(&w, w.side.secured && w.peer.n_in == 12);
		assert_string_equal(w.peer.in, "for TLS only");
		wire_close(&w);
	}
	free(text);
}

/* The same as a client, which begins to speak by itself. */
static void a_client_begins_when_its_words_in_the_clear_are_out(void **state)
{
	enum { N = 3000000 };
	char *text = much(N, 9);
	struct tls_client *t;
	struct wire w;

	assert_int_equal(tls_client_new(NULL, &t), 0);
	wire_open(&w);
	w.peer.deaf = true;
	assert_int_equal(conn_send(&w.side.c, (struct sv) { text, N }), 0);
	assert_int_equal(conn_flush(&w.side.c), 1);
	assert_int_equal(conn_secure(&w.side.c, tls_client_session(t, NULL, NULL)), 0);
	assert_int_equal(conn_send(&w.side.c, SV("EHLO me\r\n")), 0);
	assert_int_equal(conn_flush(&w.side.c), 1);
	wire_rest(&w);
	/* there is room again, which the session makes use of before the loop has told */
	w.peer.deaf = false;
	w.peer.at_once = 1000; /* so that none of TLS is taken for words */
	for (int i = 0; i < 100; i++)
		peer_step(&w);
	assert_int_equal(conn_flush(&w.side.c), 1);
	assert_int_equal(conn_send(&w.side.c, (struct sv) { text, 20000 }), 0);
	wire_until(&w, w.peer.n_in >= N - N % 1000);
	assert_int_equal(w.peer.n_in, N);
	assert_memory_equal(w.peer.in, text, N);
	w.peer.n_in = 0;
	wire_peer_tls(&w, tls_server_session(server));
	wire_until(&w, w.side.secured && w.peer.n_in == 20009);
	assert_memory_equal(w.peer.in, "EHLO me\r\n", 9);
	assert_memory_equal(w.peer.in + 9, text, 20000);
	wire_close(&w);
	tls_client_free(t);
	free(text);
}

static void the_session_hears_nothing_until_it_is_secured(void **state)
{
	struct wire w;

	wire_open(&w);
	secure(&w);
	wire_peer_tls(&w, new_client(TLS1_3_VERSION));
	w.peer.at_once = 1;
	char octet;
	assert_int_equal(conn_flush(&w.side.c), 0);
	char *text = much(20000, 10);
	assert_int_equal(conn_send(&w.side.c, (struct sv) { text, 10000 }), 0);
	for (int i = 0; i < 10000 && !w.side.secured; i++) {
		assert_int_equal(w.side.readies, 0);
		peer_step(&w);
		assert_int_equal(conn_read(&w.side.c, &octet, 1), -EAGAIN);
		assert_int_equal(conn_flush(&w.side.c), 1);
		if (i == 100)
			assert_int_equal(conn_send(&w.side.c, (struct sv) { text + 10000, 10000 }),
					 0);
		poller_turn(&w.poller, false);
	}
	assert_int_equal(w.side.readies, 1);
	w.peer.at_once = 0;
	wire_until(&w, w.peer.n_in == 20000);
	assert_memory_equal(w.peer.in, text, 20000);
	free(text);
	wire_close(&w);
}

static void who_does_not_speak_tls(void **state)
{
	const struct sv words[] = {
		SV("EHLO client.example\r\nMAIL FROM:<>\r\n"),
		SV("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
		SV("\x80\x2e\x01\x03\x01 an old client's hello, as it might look in SSL 2, or not"),
		SV("\x16\x03\x01\xff\xff too long a record"),
		SV("\x17\x03\x03\x00\x02hi not the turn for data"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		for (int early = 0; early < 2; early++) {
			struct wire w;
			wire_open(&w);
			/* by the peer's words waiting in the socket when it begins, or later */
			if (early)
				peer_send(&w, words[i].p, words[i].n);
			w.side.c.reading = !early;
			conn_arm(&w.side.c);
			wire_step(&w);
			secure(&w);
			w.side.c.reading = true;
			if (!early)
				peer_send(&w, words[i].p, words[i].n);
			wire_until(&w, w.side.broken);
			assert_false(w.side.secured);
			assert_int_equal(w.side.error, -EPROTO);
			assert_non_null(conn_tls_error(&w.side.c));
			assert_int_equal(conn_send(&w.side.c, SV("x")), -EPROTO);
			assert_int_equal(w.side.readies, 1);
			wire_rest(&w);
			/* nothing in the clear but an alert, if that */
			assert_true(w.peer.n_in == 0 || w.peer.in[0] == 0x15);
			wire_close(&w);
		}
}

static void who_goes_while_shaking_hands(void **state)
{
	struct wire w;

	/* after each octet that it could have sent */
	for (size_t octets = 0; octets < 400; octets += octets < 20 ? 1 : 37) {
		wire_open(&w);
		wire_peer_tls(&w, new_client(TLS1_3_VERSION));
		secure(&w);
		w.peer.at_once = octets < 20 ? 1 : 37;
		for (size_t n = 0; n < octets; n += w.peer.at_once)
			wire_step(&w);
		if (w.side.secured) {
			wire_close(&w);
			break;
		}
		peer_close(&w);
		wire_until(&w, w.side.broken);
		assert_false(w.side.secured);
		assert_string_equal(conn_tls_error(&w.side.c), "the peer ended the connection");
		wire_rest(&w);
		wire_close(&w);
	}
}

static void closed_while_shaking_hands(void **state)
{
	struct wire w;

	for (int steps = 0; steps < 12; steps++) {
		wire_open(&w);
		wire_peer_tls(&w, new_client(TLS1_2_VERSION));
		secure(&w);
		w.peer.at_once = 100;
		for (int i = 0; i < steps; i++)
			wire_step(&w);
		side_close(&w);
		for (int i = 0; i < 30; i++)
			wire_step(&w);
		assert_true(w.peer.eof);
		assert_int_equal(w.side.secures, w.side.secured);
		wire_close(&w);
	}
}

/* ---- octets ---- */

static void what_waits_inside_is_reported(void **state)
{
	char *text = much(40000, 2);

	for
		BOTH_VERSIONS(v)
		{
			struct wire w;
			shake_hands(&w, v);
			/* nothing comes from the socket any more after the first of 4,000 reads */
			w.side.at_once = 10;
			peer_send(&w, text, 40000);
			wire_until(&w, w.side.n_in == 40000);
			assert_memory_equal(w.side.in, text, 40000);
			wire_rest(&w);
			wire_close(&w);
		}
	free(text);
}

static void who_paused_reading_goes_on_without_the_socket(void **state)
{
	char *text = much(16000, 3);

	for
		BOTH_VERSIONS(v)
		{
			struct wire w;
			shake_hands(&w, v);
			w.side.at_once = 1000;
			w.side.limit = 1000;
			peer_send(&w, text, 16000);
			while (w.side.n_in < 16000) {
				wire_until(&w, w.side.n_in == w.side.limit);
				wire_rest(&w);
				assert_int_equal(w.side.n_in, w.side.limit);
				w.side.limit += 1000;
				w.side.c.reading = true;
				conn_arm(&w.side.c);
			}
			assert_memory_equal(w.side.in, text, 16000);
			wire_close(&w);
		}
	free(text);
}

static void a_paused_session_is_not_called(void **state)
{
	struct wire w;

	shake_hands(&w, TLS1_3_VERSION);
	wire_rest(&w);
	w.side.c.reading = false;
	conn_arm(&w.side.c);
	int before = w.side.readies;
	peer_send(&w, "hello", 5);
	wire_rest(&w);
	assert_int_equal(w.side.readies, before);
	/* pausing between the report and its coming */
	w.side.at_once = 1;
	w.side.limit = 2;
	w.side.c.reading = true;
	conn_arm(&w.side.c);
	wire_until(&w, w.side.n_in == 2);
	wire_rest(&w);
	w.side.limit = 0;
	w.side.c.reading = true;
	conn_arm(&w.side.c);
	w.side.c.reading = false;
	conn_arm(&w.side.c);
	wire_rest(&w);
	assert_int_equal(w.side.n_in, 2);
	w.side.c.reading = true;
	conn_arm(&w.side.c);
	wire_until(&w, w.side.n_in == 5);
	wire_close(&w);
}

static void what_came_with_the_handshake_is_reported(void **state)
{
	struct wire w;

	/* a client that talks with its last flight: all of it may be inside at the end */
	wire_open(&w);
	wire_peer_tls(&w, new_client(TLS1_3_VERSION));
	secure(&w);
	while (!w.peer.done) {
		w.peer.at_once = 0;
		wire_step(&w);
	}
	wire_close(&w);

	wire_open(&w);
	SSL *ssl = new_client(TLS1_3_VERSION);
	wire_peer_tls(&w, ssl);
	secure(&w);
	/* by hand: its flight and its data go in one piece */
	char flight[8192], *data;
	for (int i = 0; i < 100 && !SSL_is_init_finished(ssl); i++) {
		poller_turn(&w.poller, false);
		ssize_t n = recv(w.peer.fd, flight, sizeof(flight), MSG_DONTWAIT);
		if (n > 0)
			BIO_write(w.peer.from_wire, flight, (int)n);
		if (SSL_do_handshake(ssl) == 1)
			assert_int_equal(SSL_write(ssl, "EHLO me\r\n", 9), 9);
		n = BIO_get_mem_data(w.peer.to_wire, &data);
		if (n > 0)
			assert_int_equal(send(w.peer.fd, data, (size_t)n, 0), n);
		(void)BIO_reset(w.peer.to_wire);
	}
	w.peer.done = true;
	wire_until(&w, w.side.n_in == 9);
	wire_rest(&w);
	wire_close(&w);
}

static void much_both_ways_at_any_pace(void **state)
{
	enum { N = 3000000 };
	char *down = much(N, 4), *up = much(N, 5);
	const struct {
		size_t peer, side;
	} paces[] = { { 0, 0 }, { 5000, 0 }, { 0, 3000 }, { 70000, 16384 } };

	for
		BOTH_VERSIONS(v)
	for (size_t i = 0; i < ARRAY_SIZE(paces); i++) {
		struct wire w;
		shake_hands(&w, v);
		w.peer.at_once = paces[i].peer;
		w.side.at_once = paces[i].side;
		w.peer.deaf = true;
		/* by small ones that are queued and large ones that go out at once */
		for (size_t n = 0, piece = 1; n < N; n += piece, piece = n % 50021 + 1) {
			if (piece > N - n)
				piece = N - n;
			assert_int_equal(conn_send(&w.side.c, (struct sv) { down + n, piece }), 0);
		}
		conn_arm(&w.side.c);
		wire_rest(&w);
		peer_send(&w, up, N);
		w.peer.deaf = false;
		wire_until(&w, w.peer.n_in == N && w.side.n_in == N);
		assert_memory_equal(w.peer.in, down, N);
		assert_memory_equal(w.side.in, up, N);
		assert_int_equal(buf_len(&w.side.c.out), 0);
		wire_rest(&w);
		wire_close(&w);
	}
	free(down);
	free(up);
}

static void the_queue_has_its_cap(void **state)
{
	struct wire w;
	char *text = much(100000, 6);
	int r = 0;

	shake_hands(&w, TLS1_3_VERSION);
	w.peer.deaf = true;
	w.side.c.out.max = 1000000;
	for (int i = 0; i < 1000 && r == 0; i++)
		r = conn_send(&w.side.c, (struct sv) { text, 100000 });
	assert_int_equal(r, -ENOBUFS);
	assert_true(buf_len(&w.side.c.out) <= 1000000);
	free(text);
	wire_close(&w);
}

static void key_updates(void **state)
{
	struct wire w;

	shake_hands(&w, TLS1_3_VERSION);
	for (int i = 0; i < 50; i++) {
		SSL_key_update(w.peer.ssl,
			       i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
		peer_send(&w, "x", 1);
		side_send(&w, "y");
		if (i % 5 == 0)
			wire_rest(&w);
	}
	wire_until(&w, w.side.n_in == 50 && w.peer.n_in == 50);
	wire_rest(&w);
	wire_close(&w);
}

/* ---- ends ---- */

static void an_end_without_close_notify_is_an_end(void **state)
{
	char wire_octets[4096], *data;

	for
		BOTH_VERSIONS(v)
	for (int cut = 0; cut < 2; cut++) {
		struct wire w;
		shake_hands(&w, v);
		wire_rest(&w);
		peer_send(&w, "QUIT\r\n", 6);
		if (cut) {
			/* and a record that is not complete */
			wire_until(&w, w.side.n_in == 6);
			SSL_write(w.peer.ssl, "cut off", 7);
			long n = BIO_get_mem_data(w.peer.to_wire, &data);
			memcpy(wire_octets, data, (size_t)n);
			(void)BIO_reset(w.peer.to_wire);
			assert_int_equal(send(w.peer.fd, wire_octets, (size_t)n - 1, 0), n - 1);
		} else {
			wire_step(&w);
		}
		peer_close(&w);
		wire_until(&w, w.side.eof);
		assert_string_equal(w.side.in, "QUIT\r\n");
		assert_int_equal(w.side.error, 0);
		assert_null(conn_tls_error(&w.side.c));
		wire_rest(&w);
		wire_close(&w);
	}
}

static void an_end_with_close_notify_is_one_too(void **state)
{
	for
		BOTH_VERSIONS(v)
	for (size_t at_once = 0; at_once <= 4; at_once += 2) {
		struct wire w;
		shake_hands(&w, v);
		wire_rest(&w);
		w.side.at_once = at_once;
		/* in one piece, and the socket stays open */
		peer_send(&w, "QUIT\r\n", 6);
		assert_int_equal(SSL_shutdown(w.peer.ssl), 0);
		wire_until(&w, w.side.eof);
		assert_string_equal(w.side.in, "QUIT\r\n");
		wire_rest(&w);
		/* the other direction goes on, where the version allows it */
		if (v == TLS1_3_VERSION) {
			side_send(&w, "221 bye\r\n");
			wire_until(&w, w.peer.n_in == 9);
		}
		wire_close(&w);
	}
}

static void the_peer_is_told_the_end(void **state)
{
	for
		BOTH_VERSIONS(v)
		{
			struct wire w;
			shake_hands(&w, v);
			side_send(&w, "221 bye\r\n");
			side_close(&w);
			wire_until(&w, w.peer.eof);
			wire_step(&w);
			assert_string_equal(w.peer.in, "221 bye\r\n");
			assert_true(w.peer.notified);
			wire_close(&w);
		}
}

static void not_when_octets_are_owed(void **state)
{
	struct wire w;

	for (size_t n = 100; n <= 3000000; n += 2999900) {
		char *text = much(n, 7);
		shake_hands(&w, TLS1_3_VERSION);
		wire_rest(&w);
		w.peer.deaf = true;
		assert_int_equal(conn_send(&w.side.c, (struct sv) { text, n }), 0);
		assert_true(buf_len(&w.side.c.out) > 0);
		side_close(&w);
		w.peer.deaf = false;
		wire_until(&w, w.peer.eof);
		wire_step(&w);
		assert_false(w.peer.notified);
		wire_close(&w);
		free(text);
	}
}

static void only_our_direction_ends(void **state)
{
	for
		BOTH_VERSIONS(v)
		{
			struct wire w;
			shake_hands(&w, v);
			side_send(&w, "221 bye\r\n");
			for (int i = 0; i < 3; i++)
				conn_shutdown_write(&w.side.c);
			conn_arm(&w.side.c);
			wire_until(&w, w.peer.eof);
			assert_string_equal(w.peer.in, "221 bye\r\n");
			assert_true(w.peer.notified);
			wire_rest(&w);
			if (v == TLS1_3_VERSION) {
				peer_send(&w, "more", 4);
				wire_until(&w, w.side.n_in == 4);
			}
			SSL_shutdown(w.peer.ssl);
			wire_until(&w, w.side.eof);
			assert_int_equal(w.side.error, 0);
			wire_rest(&w);
			wire_close(&w);
		}
}

static void our_direction_ends_when_the_socket_takes_it(void **state)
{
	struct wire w;
	size_t sent = 0;
	int room, queued;

	/* all is out, and the socket full: close_notify finds no room */
	shake_hands(&w, TLS1_3_VERSION);
	wire_rest(&w);
	w.peer.deaf = true;
	socklen_t len = sizeof(room);
	assert_int_equal(getsockopt(w.side.c.fd, SOL_SOCKET, SO_SNDBUF, &room, &len), 0);
	for (queued = 0; queued < room; sent++) {
		assert_int_equal(conn_send(&w.side.c, SV("x")), 0);
		assert_int_equal(conn_flush(&w.side.c), 0);
		assert_int_equal(ioctl(w.side.c.fd, SIOCOUTQ, &queued), 0);
	}
	conn_shutdown_write(&w.side.c);
	conn_arm(&w.side.c);
	wire_step(&w);
	w.peer.deaf = false;
	wire_until(&w, w.peer.eof);
	assert_int_equal(w.peer.n_in, sent);
	assert_true(w.peer.notified);
	wire_rest(&w);
	wire_close(&w);
}

static void in_the_clear_too(void **state)
{
	struct wire w;

	wire_open(&w);
	side_send(&w, "221 bye\r\n");
	conn_shutdown_write(&w.side.c);
	conn_shutdown_write(&w.side.c);
	wire_until(&w, w.peer.eof);
	assert_string_equal(w.peer.in, "221 bye\r\n");
	peer_send(&w, "more", 4);
	wire_until(&w, w.side.n_in == 4);
	assert_false(conn_is_secure(&w.side.c));
	assert_null(conn_tls_error(&w.side.c));
	wire_close(&w);
}

static void last_words_are_read_though_nothing_can_be_sent(void **state)
{
	for
		BOTH_VERSIONS(v)
		{
			struct wire w;
			shake_hands(&w, v);
			wire_rest(&w);
			w.side.no_flush = true;
			w.side.c.reading = false;
			conn_arm(&w.side.c);
			peer_send(&w, "421 too many\r\n", 14);
			wire_step(&w);
			peer_close(&w);
			assert_int_equal(conn_send(&w.side.c, SV("MAIL FROM:<>\r\n")), 0);
			assert_int_equal(conn_flush(&w.side.c), -EPIPE);
			w.side.c.reading = true;
			conn_arm(&w.side.c);
			wire_until(&w, w.side.eof || w.side.error);
			assert_string_equal(w.side.in, "421 too many\r\n");
			assert_null(conn_tls_error(&w.side.c));
			wire_close(&w);
		}
}

static void rubbish_breaks_it_after_what_was_good(void **state)
{
	const struct sv rubbish =
		SV("\x17\x03\x03\x00\x20 neither sealed nor of that length at all");
	struct wire w;

	for (int paused = 0; paused < 2; paused++) {
		shake_hands(&w, TLS1_3_VERSION);
		wire_rest(&w);
		w.side.limit = paused ? 5 : 0;
		w.side.at_once = paused ? 5 : 0;
		/* in one piece */
		SSL_write(w.peer.ssl, "hello", 5);
		BIO_write(w.peer.to_wire, rubbish.p, (int)rubbish.n);
		wire_until(&w, w.side.n_in == 5);
		wire_rest(&w);
		if (paused) {
			assert_int_equal(w.side.error, 0);
			w.side.limit = 0;
			w.side.c.reading = true;
			conn_arm(&w.side.c);
		}
		wire_until(&w, w.side.error);
		assert_int_equal(w.side.error, -EPROTO);
		assert_non_null(conn_tls_error(&w.side.c));
		assert_true(conn_is_secure(&w.side.c));
		wire_rest(&w);
		/* told once: by that error, or before it when nobody was reading */
		assert_int_equal(w.side.broken, !paused);
		assert_int_equal(conn_send(&w.side.c, SV("x")), -EPROTO);
		wire_close(&w);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_queued_goes_out_in_the_clear_first),
		TEST(more_than_the_socket_takes_goes_out_in_the_clear_first),
		TEST(a_client_begins_when_its_words_in_the_clear_are_out),
		TEST(the_session_hears_nothing_until_it_is_secured),
		TEST(who_does_not_speak_tls),
		TEST(who_goes_while_shaking_hands),
		TEST(closed_while_shaking_hands),
		TEST(what_waits_inside_is_reported),
		TEST(who_paused_reading_goes_on_without_the_socket),
		TEST(a_paused_session_is_not_called),
		TEST(what_came_with_the_handshake_is_reported),
		TEST(much_both_ways_at_any_pace),
		TEST(the_queue_has_its_cap),
		TEST(key_updates),
		TEST(an_end_without_close_notify_is_an_end),
		TEST(an_end_with_close_notify_is_one_too),
		TEST(the_peer_is_told_the_end),
		TEST(not_when_octets_are_owed),
		TEST(only_our_direction_ends),
		TEST(our_direction_ends_when_the_socket_takes_it),
		TEST(in_the_clear_too),
		TEST(last_words_are_read_though_nothing_can_be_sent),
		TEST(rubbish_breaks_it_after_what_was_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
