/*
 * Encryption of clients' connections with the mail server's own certificates, and of connections to
 * the backend. What is made here is given to conn_secure(), which does the rest.
 *
 * Clients: TLS 1.2 and 1.3; ECDHE with AEAD ciphers (RFC 9325); no renegotiation, no compression,
 * no early data. Sessions are resumed by tickets (RFC 5077, RFC 8446 4.6.1) alone, sealed with a
 * key that is 12 hours old at most and accepted for 12 more. The certificate is chosen by SNI; no
 * or an unknown name gets the default one, never a failure.
 */
#pragma once

#include "conf/tls_conf.h"

#include <stdbool.h>
#include <stdint.h>

#include <openssl/types.h>

struct tls_server;
struct tls_client;

/*
 * Reads the certificates; logs what is wrong with them. conf must outlive it.
 * 0: all is well. 1: made too, but one of conf->certificates can't be used (files of a directory
 * that can't be used are only logged). -ENOENT: no certificate can be used; -ENOMEM.
 */
int tls_server_new(const struct tls_conf *conf, struct tls_server **ret_tls);
/* When all its sessions are gone. NULL: nothing. */
void tls_server_free(struct tls_server *t);
/*
 * Reads again what has changed, and logs each change of a file to the worse once: then what was
 * read of it before stays in use. Any thread, but one at a time; it reads files, so no worker's.
 * Sessions that begin afterwards see the new certificates. 0: nothing is new; 1: something is;
 * -errno: nothing was changed.
 */
int tls_server_refresh(struct tls_server *t);
/* For a client that is to handshake; any thread. NULL: no memory. */
SSL *tls_server_session(struct tls_server *t);

struct tls_server_info {
	size_t certificates; /* usable: a leaf with its key */
	size_t names;        /* for which there is one */
	size_t broken;       /* files that can't be used as they are now */
	size_t expired;
	int64_t first_end; /* seconds since 1970: when the next that is still valid ends; 0: none */
};
/* By the thread that refreshes. */
void tls_server_info(const struct tls_server *t, struct tls_server_info *ret_info);

/*
 * For connections to the backend. ca_file: PEM, the roots that a verified session may lead to, or
 * the backend's own certificate; NULL: the system's. 0; -EINVAL: ca_file can't be used, told;
 * -ENOMEM.
 */
int tls_client_new(const char *ca_file, struct tls_client **ret_tls);
void tls_client_free(struct tls_client *t);
/*
 * verify_name: what the backend's certificate must be for, a name or an address; NULL: any will
 * do. sni: the name asked for, or NULL; an address is not sent. Any thread. The last session with
 * the same two is resumed when the backend agrees. NULL: no memory.
 */
SSL *tls_client_session(struct tls_client *t, const char *verify_name, const char *sni);

/*
 * Why the last call on ssl failed, in words that live as long as the program; it empties this
 * thread's error queue. ssl_error: what SSL_get_error() said; error: the errno of the socket, or 0.
 */
const char *tls_error_text(const SSL *ssl, int ssl_error, int error);
