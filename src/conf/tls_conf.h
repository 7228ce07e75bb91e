/* Where the certificates are that clients are shown (`tls:` in the configuration). */
#pragma once

#include <stddef.h>

struct tls_certificate_conf {
	char *cert; /* file: the leaf, then its chain */
	char *key;  /* NULL: it is in cert */
	int line;   /* in the configuration, for messages; 0: unknown */
};

struct tls_conf {
	struct tls_certificate_conf *certificates;
	size_t n_certificates;
	char *directory; /* glob of files with key, leaf and chain in any order; NULL: none */
	int directory_line;
};
