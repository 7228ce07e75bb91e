/*
 * The transaction that is under way: its recipients until each has ended, and the class that they
 * share.
 */
#include "smtp/dialog_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Unlinks and ends one recipient; its ops->rcpt_end() has been or will not be called by others. */
static void rcpt_free(struct dialog *d, struct dialog_rcpt **at, int code, uint64_t octets)
{
	struct dialog_private *p = d->p;
	struct dialog_rcpt *rcpt = *at;

	*at = rcpt->next;
	if (!rcpt->next)
		p->rcpts_end = at;
	d->conf.ops->rcpt_end(d, rcpt, code, octets);
	free(rcpt);
}

void dialog_end_rcpt(struct dialog *d, struct dialog_rcpt *rcpt)
{
	struct dialog_rcpt **at = &d->p->rcpts;

	while (*at && *at != rcpt)
		at = &(*at)->next;
	INVARIANT(*at);
	rcpt_free(d, at, 0, 0);
}

/* Recipients that are owed a reply stay: their entry still points to them. */
void dialog_end_rcpts(struct dialog *d, uint32_t transaction, int code, uint64_t octets)
{
	struct dialog_rcpt **at = &d->p->rcpts;

	if (smtp_is_success(code))
		d->errors = 0;
	while (*at) {
		if (transaction == UINT32_MAX ||
		    ((*at)->transaction == transaction && (*at)->answered))
			rcpt_free(d, at, code, octets);
		else
			at = &(*at)->next;
	}
}

void dialog_reset_transaction(struct dialog *d)
{
	struct transaction *t = &d->p->t;

	free(t->tag_domains);
	free(t->tag_mxs);
	free(t->sender_refusal);
	*t = (struct transaction) { .id = t->id + 1 };
	if (t->id == UINT32_MAX)
		t->id = 0;
}

void dialog_abandon_transaction(struct dialog *d)
{
	dialog_end_rcpts(d, d->p->t.id, 0, 0);
	dialog_reset_transaction(d);
}

size_t dialog_tag_header(const struct dialog *d, char *out)
{
	const struct transaction *t = &d->p->t;

	if (t->class == DIALOG_CLASS_PASS)
		return 0;
	int n = snprintf(out, DIALOG_TAG_MAX,
			 "X-Frontdoor: %s; client=%s;\r\n domain=%s;\r\n mx=%s\r\n",
			 t->class == DIALOG_CLASS_SHARED ? "shared-egress" : "direct",
			 d->conf.client, t->tag_domains, t->tag_mxs);
	INVARIANT(n > 0 && n < DIALOG_TAG_MAX);
	return (size_t)n;
}

/* Of each list in the tag header: a line must stay below 998 octets (RFC 5322 2.1.1). */
#define TAG_LIST_MAX 900

/* Adds to a comma list, once. 0; -ENOBUFS: no room. */
static int list_add(char **list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = *list; at && *at; at += strcspn(at, ",") + 1) {
		size_t n = strcspn(at, ",");
		if (n == len && memcmp(at, word, len) == 0)
			return 0;
		if (at[n] == '\0')
			break;
	}
	if ((*list ? strlen(*list) + 1 : 0) + len > TAG_LIST_MAX)
		return -ENOBUFS;
	char *longer = NULL;
	if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list ? "," : "", word) < 0)
		return -ENOMEM;
	free(*list);
	*list = longer;
	return 0;
}

bool dialog_class_admits(struct dialog *d, const struct dialog_entry *e)
{
	struct transaction *t = &d->p->t;

	if (t->pending + t->accepted == 0) {
		free(t->tag_domains);
		free(t->tag_mxs);
		t->tag_domains = t->tag_mxs = NULL;
		t->class = e->class;
	} else if (t->class != e->class) {
		return false;
	}
	return e->class == DIALOG_CLASS_PASS ||
	       (list_add(&t->tag_domains, e->domain) == 0 && list_add(&t->tag_mxs, e->mx) == 0);
}
