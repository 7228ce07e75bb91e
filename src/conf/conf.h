/*
 * The configuration: one immutable snapshot made from a YAML file. Names and
 * defaults are those of frontdoor.yaml(5), which others rely on: an error is one line
 * "FILE:LINE:COLUMN: what is wrong; what is accepted". What this version can't do is an error too,
 * never silently ignored.
 */
#pragma once

#include "base/addr.h"
#include "conf/limits_conf.h"
#include "conf/tls_conf.h"
#include "policy/memory.h"
#include "policy/policy.h"
#include "smtp/body.h"

#include <stdio.h>

enum listener_mode { LISTENER_LISTEN, LISTENER_TPROXY };
enum listener_source { SOURCE_SELF, SOURCE_CLIENT };
enum listener_fail { FAIL_OPEN, FAIL_CLOSED };
enum listener_tls { TLS_STARTTLS, TLS_IMPLICIT };
enum listener_upstream_tls { UPSTREAM_MIRROR, UPSTREAM_OFF, UPSTREAM_ALWAYS };
enum listener_send { SEND_NONE, SEND_PROXY_V1, SEND_PROXY_V2, SEND_XCLIENT };

struct listener_conf {
	char *name;
	enum listener_mode mode;
	struct endpoint *bind;
	size_t n_bind;
	int port; /* tproxy only: of the server addresses, whose connections this listener takes */
	bool backend_original; /* tproxy only */
	struct endpoint backend;
	enum listener_source source; /* default: self in listen mode, client in tproxy mode */
	enum listener_fail fail;
	enum body_bare bare_newline;
	enum action action; /* ACTION_UNSET: policy.action */
	enum listener_tls tls;
	bool require_auth;
	enum listener_upstream_tls upstream_tls;
	char *upstream_verify; /* name that the backend's certificate must have; NULL: any will do
				*/
	char *upstream_ca;     /* file; NULL: the system's roots */
	struct prefix_set accept_proxy; /* peers that begin with a PROXY header */
	enum listener_send send;        /* how the backend learns the client's address */
	int line;                       /* in the file, for messages */
};

/* Made without being asked for where its directory is there and may be written to. */
#define CONTROL_DEFAULT "/run/frontdoor/control.sock"
/* Where the package has the configuration, and commands that want one look for it without -c. */
#define CONF_DEFAULT "/etc/frontdoor/frontdoor.yaml"

struct conf {
	char *file;
	struct listener_conf *listeners;
	size_t n_listeners;
	struct policy policy;
	struct endpoint *resolvers;
	size_t n_resolvers; /* 0: /etc/resolv.conf */
	int resolver_timeout_ms;
	char **catalogue_files; /* that extend the shipped catalogue */
	size_t n_catalogue_files;
	struct catalogue *catalogue; /* policy.catalogue where they do; NULL: it is the shipped one
				      */
	char **hosted;               /* files */
	size_t n_hosted;
	struct tls_conf tls;
	bool tls_hide;
	struct limits_conf limits;
	char *user;           /* who the daemon runs as when root starts it; NULL: the default */
	char *events_json;    /* NULL: none; "-": standard output */
	char *state;          /* file of what was learned; NULL: none */
	char *control;        /* path of the socket; NULL: CONTROL_DEFAULT; "none" */
	struct endpoint http; /* port 0: none */
	int workers;          /* 0: one for each processor */
};

/* 0; -errno: errors were printed to err, all that could be found, one line each. Warnings too. */
int conf_load(const char *file, FILE *err, struct conf **ret_conf);
/* text as if it were the content of a file called name. */
int conf_load_text(const char *name, struct sv text, FILE *err, struct conf **ret_conf);
void conf_free(struct conf *c);
/* Where the control socket is; NULL: there is none. */
const char *conf_control(const struct conf *c);
/* There are certificates: TLS ends here. */
bool conf_has_tls(const struct conf *c);
/* The backend of that listener speaks TLS from the first octet: port 465 (RFC 8314 3.3), or where
 * the client went. */
bool listener_backend_is_tls(const struct listener_conf *l);
/* Reads the hosted files into memory: a domain a line, '#' comments, "*." and ":..." tails dropped.
 */
int conf_load_hosted(const struct conf *c, struct memory *memory, FILE *err);
