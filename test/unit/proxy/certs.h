/* Certificates made for tests, and files with them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

/* Made when first asked for, kept until the end. */
enum made_key { RSA_A, RSA_B, RSA_WEAK, EC_A, EC_B, EC_CA, ED_A, DSA_A, MADE_KEYS };
EVP_PKEY *made_key(enum made_key which);

struct made {
	enum made_key key;
	const char *cn;    /* NULL: none */
	const char *names; /* "DNS:a.example,IP:192.0.2.1"; NULL: no such extension */
	int days;          /* to the end of validity, may be past; 0: 90 */
	bool ca;
	X509 *issuer; /* NULL: by itself */
	enum made_key issuer_key;
};
X509 *make_certificate(const struct made *m);

/* PEM, one after the other, into a file below the folder that certs_setup() made. Each piece is of
 * the form below. */
struct piece {
	enum { PIECE_END, PIECE_CERT, PIECE_KEY, PIECE_KEY_OLD, PIECE_KEY_LOCKED, PIECE_TEXT } kind;
	X509 *cert;
	enum made_key key;
	const char *text;
};
#define CERT(x)       ((struct piece) { .kind = PIECE_CERT, .cert = (x) })
#define KEY(k)        ((struct piece) { .kind = PIECE_KEY, .key = (k) })
#define KEY_OLD(k)    ((struct piece) { .kind = PIECE_KEY_OLD, .key = (k) })
#define KEY_LOCKED(k) ((struct piece) { .kind = PIECE_KEY_LOCKED, .key = (k) })
#define TEXT(t)       ((struct piece) { .kind = PIECE_TEXT, .text = (t) })
char *pem_of(const struct piece *pieces, size_t *ret_n);
#define PEM(...) pem_of((const struct piece[]) { __VA_ARGS__, { PIECE_END } }, NULL)

/* A new folder; what is written to stderr from now on is kept too. */
void certs_setup(void);
void certs_teardown(void);
/* Its path, good until the sixteenth call from then. */
const char *in_folder(const char *name);
/* With its folders. The time stamp is set far back, so that nothing depends on the clock's steps;
 * each write has its own. */
void write_file(const char *name, const char *text, size_t n);
#define WRITE(name, ...) write_pieces(name, (const struct piece[]) { __VA_ARGS__, { PIECE_END } })
void write_pieces(const char *name, const struct piece *pieces);

/* What was logged since the last call; good until the next. */
const char *logged(void);
size_t count_of(const char *text, const char *what);
