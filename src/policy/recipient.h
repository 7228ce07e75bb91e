/*
 * The domains by which a recipient is judged: its own, and those that its local part names, since a
 * server may route on by them. The strictest verdict stands. Pure.
 */
#pragma once

#include "policy/decide.h"
#include "smtp/path.h"

#define RECIPIENT_DOMAINS_MAX (1 + PATH_ROUTES_MAX)
#define RECIPIENT_NAME_SIZE   256

struct recipient {
	enum rcpt_shape shape;
	int n_domains; /* 0 unless shape is RCPT_DOMAIN */
	char domains[RECIPIENT_DOMAINS_MAX][RECIPIENT_NAME_SIZE]; /* A-labels, its own first */
};

/* 0; -EINVAL: its domain is no domain name; -E2BIG: the local part names too many. */
int recipient_of(const struct smtp_path *path, struct recipient *ret_recipient);
