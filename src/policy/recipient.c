#include "policy/recipient.h"

static int add_domain(struct recipient *r, struct sv domain)
{
	int e = domain_to_ascii(domain, r->domains[r->n_domains]);

	if (e == 0)
		r->n_domains++;
	return e;
}

int recipient_of(const struct smtp_path *path, struct recipient *ret_recipient)
{
	struct recipient *r = ret_recipient;
	struct sv routes[PATH_ROUTES_MAX];
	int n, e;

	r->n_domains = 0;
	r->shape = path->kind == PATH_POSTMASTER ? RCPT_POSTMASTER : RCPT_NO_DOMAIN;
	if (path->kind != PATH_MAILBOX)
		return 0;
	r->shape = RCPT_DOMAIN;
	n = path_routes(path, routes);
	if (n < 0)
		return n;
	e = add_domain(r, (struct sv) { path->domain, path->domain_len });
	if (e < 0)
		return e;
	/* What is no domain name is a part of a local part that only looked like one. */
	for (int i = 0; i < n; i++)
		(void)add_domain(r, routes[i]);
	return 0;
}
