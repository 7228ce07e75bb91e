/*
 * The keys that session tickets are sealed with: one seals for 12 hours, and is accepted for 12
 * more. They are made here and kept nowhere else: after a restart clients handshake in full.
 */
#pragma once

#include <openssl/types.h>

#define TLS_TICKET_SECONDS (12 * 60 * 60)

struct tls_tickets;

/* 0; -ENOMEM; -EIO: no random numbers. */
int tls_tickets_new(struct tls_tickets **ret_tickets);
void tls_tickets_free(struct tls_tickets *t); /* NULL: nothing */
/* Makes ctx use them, and must outlive it. 0 or -ENOMEM. */
int tls_tickets_use(struct tls_tickets *t, SSL_CTX *ctx);
/* Lets keys go whose time is over, also when no client comes. Any thread. */
void tls_tickets_tick(struct tls_tickets *t);
