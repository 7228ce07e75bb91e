#include "logscan/learn.h"

#include "policy/decide.h"

#include <errno.h>
#include <stdlib.h>

/* Mail that a verdict of one domain is about, and that says something about its scanner. */
static bool is_of_use(const struct book *b, const struct flow *f)
{
	/* of a recipient that names several domains the class may be another one's */
	return f->judged && f->kind == FLOW_WORLD && b->domains[f->domain].n_routes == 0 &&
	       (f->class == CLASS_SCANNER || f->class == CLASS_DIRECT) &&
	       b->domains[b->domains[f->domain].base].facts;
}

int learn_names(struct judge *j, struct book *b)
{
	uint32_t *clients = NULL;
	size_t n = 0, alloc = 0;
	int r;

	for (size_t i = 0; i < b->n_flows; i++) {
		const struct flow *f = &b->flows[i];

		__builtin_prefetch(book_client_ahead(b, i));
		if (!is_of_use(b, f) || f->class != CLASS_DIRECT || b->clients[f->client].names)
			continue;
		if (n == alloc) {
			size_t more = alloc ? 2 * alloc : 1024;
			uint32_t *grown = reallocarray(clients, more, sizeof(*clients));

			if (!grown) {
				free(clients);
				return -ENOMEM;
			}
			clients = grown;
			alloc = more;
		}
		clients[n++] = f->client;
	}
	r = n > 0 ? judge_clients(j, b, clients, n) : 0;
	free(clients);
	return r;
}

/* From inside: of the scanner that let it in. From outside: of each scanner of the door. */
static int learn_flow(struct proof *p, const struct book *b, const struct judge *j,
		      const struct flow *f)
{
	const struct book_client *c = &b->clients[f->client];
	uint32_t domain = b->domains[f->domain].base;
	struct decide_facts facts = judge_facts(j, b, f, domain);
	char name[DECISION_NAME_MAX];
	struct proof_mail m = {
		.scanner = name,
		.domain = b->domains[domain].name,
		.client = c->addr,
		.inside = f->class == CLASS_SCANNER,
		.names = c->names,
		.messages = f->mails,
		.first_ms = f->first_ms,
		.last_ms = f->last_ms,
	};
	const struct catalogue *catalogue = facts.policy->catalogue;
	int host = -1, r = 0;

	while (r >= 0 && door_next_scanner(&facts, &host, name)) {
		if (m.inside && strcmp(name, book_string(b, f->scanner)) != 0)
			continue;
		m.mx_host = facts.dns->hosts[host].name;
		m.row = catalogue ? catalogue_by_id(catalogue, sv_from(name)) : NULL;
		r = proof_add(p, &m);
	}
	return r < 0 ? r : 0;
}

int learn_take(struct proof *p, const struct book *b, const struct judge *j)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n_flows; i++) {
		const struct flow *f = &b->flows[i];

		__builtin_prefetch(book_client_ahead(b, i));
		/* whom only the MX set of before let in says nothing about the new one */
		if (is_of_use(b, f) && (f->class == CLASS_DIRECT || f->inside))
			r = learn_flow(p, b, j, f);
	}
	return r;
}
