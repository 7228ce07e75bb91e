/*
 * Which certificates a client is shown, by the name that it asks for (SNI, RFC 6066 3): those with
 * that name, else those with a wildcard in the place of its first label, else the default ones,
 * which are those for the first name of the first certificate. Of several for the same name and
 * kind of key, the one that ends last.
 *
 * Immutable and counted: who has a reference may use it while another takes its place.
 */
#pragma once

#include "proxy/tls_cert.h"

struct tls_store;

/* certs: n > 0; it takes references of its own. 0 or -ENOMEM. */
int tls_store_new(struct tls_cert *const *certs, size_t n, struct tls_store **ret_store);
struct tls_store *tls_store_ref(struct tls_store *s);
void tls_store_unref(struct tls_store *s); /* NULL: nothing */

/* name: as the client sent it; empty: it sent none. Never NULL. */
const struct tls_slot *tls_store_find(const struct tls_store *s, struct sv name);
/* Gives them to the handshake. Any thread. 0 or -ENOMEM. */
int tls_store_show(struct tls_store *s, struct sv name, SSL *ssl);
size_t tls_store_names(const struct tls_store *s);
size_t tls_store_certs(const struct tls_store *s);
