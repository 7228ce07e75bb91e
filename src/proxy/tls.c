#include "proxy/tls.h"

#include "base/base.h"
#include "base/log.h"
#include "proxy/tls_files.h"
#include "proxy/tls_store.h"
#include "proxy/tls_ticket.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Mozilla's intermediate configuration, version 5.7, without finite-field Diffie-Hellman, whose
 * exchange costs a server ten times that of an elliptic curve. Which of these a client prefers is
 * its own choice: it knows whether it has AES in hardware. */
#define CIPHERS                                                                                    \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

struct tls_server {
	SSL_CTX *ctx;
	struct tls_tickets *tickets;
	struct tls_files *files;
	pthread_mutex_t lock;    /* of store, for the moment that a reference takes */
	struct tls_store *store; /* NULL: not read yet */
	bool stale;              /* files has other certificates than store */
};

struct tls_client {
	SSL_CTX *ctx;
	pthread_mutex_t lock; /* of what follows */
	bool known;           /* what the last session was for */
	char *verify_name, *sni;
	uintptr_t pair; /* counts the changes of these two */
	SSL_SESSION *session;
};

/* What both sides have in common. */
static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx)
		return NULL;
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, 0) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	/* an end without close_notify is an end: SMTP says itself what is complete */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* header and body of a record by one system call */
	SSL_CTX_set_read_ahead(ctx, 1);
	return ctx;
}

/* ---- clients ---- */

static struct tls_store *current_store(struct tls_server *t)
{
	pthread_mutex_lock(&t->lock);
	struct tls_store *s = tls_store_ref(t->store);
	pthread_mutex_unlock(&t->lock);
	return s;
}

static int choose_certificate(SSL *ssl, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct tls_store *store = current_store(arg);

	SSL_certs_clear(ssl);
	int r = tls_store_show(store, name ? sv_from(name) : SV(""), ssl);
	tls_store_unref(store);
	return r == 0;
}

/* RFC 6066 3: the server says that it has made use of the name, whatever that led to. */
static int on_servername(SSL *ssl, int *alert, void *arg)
{
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK
								  : SSL_TLSEXT_ERR_NOACK;
}

static int make_server_ctx(struct tls_server *t)
{
	static const unsigned char context[] = "frontdoor";

	t->ctx = new_ctx(TLS_server_method());
	if (!t->ctx)
		return -ENOMEM;
	/* whatever the system's openssl.cnf says: what weakens sessions is not left to it */
	SSL_CTX_set_security_level(t->ctx, 2);
	if (SSL_CTX_set_cipher_list(t->ctx, CIPHERS) != 1 ||
	    SSL_CTX_set1_groups_list(t->ctx, GROUPS) != 1 ||
	    SSL_CTX_set_session_id_context(t->ctx, context, sizeof(context) - 1) != 1)
		return -EINVAL;
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_cert_cb(t->ctx, choose_certificate, t);
	SSL_CTX_set_tlsext_servername_callback(t->ctx, on_servername);
	return tls_tickets_use(t->tickets, t->ctx);
}

/* From the files as they were read last. -ENOENT: none can be used. */
static int make_store(struct tls_server *t)
{
	struct tls_store *store = NULL, *old;
	struct tls_cert **certs;
	size_t n;

	int r = tls_files_certs(t->files, &certs, &n);
	if (r < 0)
		return r;
	r = n > 0 ? tls_store_new(certs, n, &store) : -ENOENT;
	free(certs);
	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	old = t->store;
	t->store = store;
	pthread_mutex_unlock(&t->lock);
	tls_store_unref(old);
	t->stale = false;
	return 0;
}

int tls_server_refresh(struct tls_server *t)
{
	tls_tickets_tick(t->tickets);
	int r = tls_files_read(t->files, t->ctx);
	/* some may have been read before memory ran out: with the next time */
	t->stale |= r != 0;
	if (r < 0 || !t->stale)
		return r;
	bool first = !t->store;
	r = make_store(t);
	if (r < 0)
		return r;
	if (!first)
		log_info("certificates=%zu names=%zu changed files were read",
			 tls_store_certs(t->store), tls_store_names(t->store));
	return 1;
}

int tls_server_new(const struct tls_conf *conf, struct tls_server **ret_tls)
{
	struct tls_server *t = calloc(1, sizeof(*t));
	struct tls_files_info info;

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	int r = tls_tickets_new(&t->tickets);
	if (r == 0)
		r = make_server_ctx(t);
	if (r == 0)
		r = tls_files_new(conf, &t->files);
	if (r == 0)
		r = tls_server_refresh(t);
	if (r >= 0 && !t->store)
		r = -ENOENT;
	if (r < 0) {
		tls_server_free(t);
		return r;
	}
	tls_files_info(t->files, &info);
	*ret_tls = t;
	return info.broken_named > 0;
}

void tls_server_free(struct tls_server *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	tls_store_unref(t->store);
	tls_files_free(t->files);
	tls_tickets_free(t->tickets);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

SSL *tls_server_session(struct tls_server *t)
{
	SSL *ssl = SSL_new(t->ctx);

	if (ssl)
		SSL_set_accept_state(ssl);
	return ssl;
}

void tls_server_info(const struct tls_server *t, struct tls_server_info *ret_info)
{
	struct tls_files_info info;

	tls_files_info(t->files, &info);
	*ret_info = (struct tls_server_info) {
		.certificates = info.certs,
		.names = tls_store_names(t->store),
		.broken = info.broken,
		.expired = info.expired,
		.first_end = info.first_end,
	};
}

/* ---- the backend ---- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* A TLS 1.3 backend sends tickets after the handshake, so this comes from within any read. OpenSSL
 * writes into the session of a connection (when it ends badly, when it is resumed), so what threads
 * share are copies. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_client *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	SSL_SESSION *old = SSL_SESSION_is_resumable(session) ? SSL_SESSION_dup(session) : NULL;

	if (!old)
		return 0;
	pthread_mutex_lock(&t->lock);
	if ((uintptr_t)SSL_get_app_data(ssl) == t->pair) {
		SSL_SESSION *mine = old;
		old = t->session;
		t->session = mine;
	}
	pthread_mutex_unlock(&t->lock);
	SSL_SESSION_free(old);
	return 0; /* the original is not kept */
}

static const char *reason_of(unsigned long code)
{
	if (ERR_SYSTEM_ERROR(code))
		return strerrordesc_np(ERR_GET_REASON(code));
	return ERR_reason_error_string(code);
}

static int load_roots(SSL_CTX *ctx, const char *ca_file)
{
	char path[512];

	if (!ca_file)
		return SSL_CTX_set_default_verify_paths(ctx) == 1 ? 0 : -ENOMEM;
	ERR_clear_error();
	if (SSL_CTX_load_verify_file(ctx, ca_file) == 1) {
		/* the backend's own certificate, or an intermediate one, may be what is trusted */
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
		return 0;
	}
	const char *why = reason_of(ERR_peek_error());
	log_error("file=%s error=\"%s\" no certificates to verify the backend with",
		  log_quote(sv_from(ca_file), path, sizeof(path)), why ? why : "can't be read");
	ERR_clear_error();
	return -EINVAL;
}

int tls_client_new(const char *ca_file, struct tls_client **ret_tls)
{
	struct tls_client *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->ctx = new_ctx(TLS_client_method());
	int r = t->ctx && SSL_CTX_set_app_data(t->ctx, t) == 1 ? load_roots(t->ctx, ca_file)
							       : -ENOMEM;
	if (r < 0) {
		tls_client_free(t);
		return r;
	}
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(t->ctx, on_new_session);
	*ret_tls = t;
	return 0;
}

void tls_client_free(struct tls_client *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	SSL_SESSION_free(t->session);
	free(t->verify_name);
	free(t->sni);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool is_address(const char *name)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);

	ASN1_OCTET_STRING_free(ip);
	return ip != NULL;
}

static bool set_verify(SSL *ssl, const char *name)
{
	if (!name) {
		/* whoever it is: better a weak cipher or key than none, as with any MTA that
		 * encrypts where it can (RFC 7435) */
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		SSL_set_security_level(ssl, 0);
		return true;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	return SSL_set1_host(ssl, name) == 1;
}

/* Under the lock: sessions of before are not for these names. */
static void change_pair(struct tls_client *t, const char *verify_name, const char *sni)
{
	SSL_SESSION_free(t->session);
	t->session = NULL;
	free(t->verify_name);
	free(t->sni);
	t->verify_name = verify_name ? strdup(verify_name) : NULL;
	t->sni = sni ? strdup(sni) : NULL;
	t->known = (!verify_name || t->verify_name) && (!sni || t->sni);
	t->pair++;
}

/* A copy of the last session with such a backend, or NULL, and the number of this pair of names. */
static SSL_SESSION *last_session(struct tls_client *t, const char *verify_name, const char *sni,
				 uintptr_t *ret_pair)
{
	SSL_SESSION *copy = NULL;

	pthread_mutex_lock(&t->lock);
	if (!t->known || !same_text(t->verify_name, verify_name) || !same_text(t->sni, sni))
		change_pair(t, verify_name, sni);
	if (t->session)
		copy = SSL_SESSION_dup(t->session);
	*ret_pair = t->known ? t->pair : 0;
	pthread_mutex_unlock(&t->lock);
	return copy;
}

SSL *tls_client_session(struct tls_client *t, const char *verify_name, const char *sni)
{
	SSL *ssl = SSL_new(t->ctx);
	uintptr_t pair;

	if (!ssl)
		return NULL;
	SSL_set_connect_state(ssl);
	if (sni && (is_address(sni) || !*sni))
		sni = NULL;
	if (!set_verify(ssl, verify_name) || (sni && SSL_set_tlsext_host_name(ssl, sni) != 1)) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_SESSION *last = last_session(t, verify_name, sni, &pair);
	SSL_set_app_data(ssl, (void *)pair);
	if (last)
		(void)SSL_set_session(ssl, last);
	SSL_SESSION_free(last);
	return ssl;
}

/* ---- words ---- */

const char *tls_error_text(const SSL *ssl, int ssl_error, int error)
{
	static const struct {
		int reason;
		const char *text;
	} clearer[] = {
		{ SSL_R_UNSUPPORTED_PROTOCOL, "the peer has no TLS 1.2 or later" },
		{ SSL_R_VERSION_TOO_LOW, "the peer has no TLS 1.2 or later" },
		{ SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS here" },
		{ SSL_R_PACKET_LENGTH_TOO_LONG, "the peer does not speak TLS here" },
		{ SSL_R_NO_SHARED_CIPHER, "the peer has no cipher that we accept" },
	};
	unsigned long code = ERR_peek_error();
	const char *text = NULL;

	if (ssl_error == SSL_ERROR_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		text = X509_verify_cert_error_string(SSL_get_verify_result(ssl));
	for (size_t i = 0; ssl_error == SSL_ERROR_SSL && !text && i < ARRAY_SIZE(clearer); i++)
		if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == clearer[i].reason)
			text = clearer[i].text;
	if (!text && ssl_error == SSL_ERROR_SSL)
		text = reason_of(code);
	if (!text && error)
		text = strerrordesc_np(error);
	ERR_clear_error();
	return text ? text : "the peer ended the connection";
}
