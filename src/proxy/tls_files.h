/*
 * The files that certificates are read from, and what was read of each. Looking again costs a
 * stat() for a file; only one that has changed is read, and one that can't be used then, or is
 * gone though the configuration names it, keeps what was read before. The operator is told once a
 * change. For one thread at a time.
 */
#pragma once

#include "conf/tls_conf.h"
#include "proxy/tls_cert.h"

struct tls_files;

/* Reads nothing yet; conf must outlive it. 0 or -ENOMEM. */
int tls_files_new(const struct tls_conf *conf, struct tls_files **ret_files);
void tls_files_free(struct tls_files *f);
/* ctx: see tls_cert_read(). 0: the certificates are those of before; 1: not so; -ENOMEM: some may
 * not have been looked at. */
int tls_files_read(struct tls_files *f, SSL_CTX *ctx);
/* In the order of the configuration, then those of the directory in the order of their names. A
 * block to free() with views of the certificates; its number may be 0. 0 or -ENOMEM. */
int tls_files_certs(const struct tls_files *f, struct tls_cert ***ret_certs, size_t *ret_n);

struct tls_files_info {
	size_t certs, expired;
	size_t broken;       /* files that can't be used as they are now */
	size_t broken_named; /* those of them that the configuration names */
	int64_t first_end;   /* seconds since 1970, of those not expired; 0: none */
};
void tls_files_info(const struct tls_files *f, struct tls_files_info *ret_info);
