#include "event/event.h"

#include <string.h>

void event_copy(char *out, size_t size, const char *text)
{
	size_t len = text ? min_size(strlen(text), size - 1) : 0;

	if (len > 0)
		memcpy(out, text, len);
	out[len] = '\0';
}

void event_rcpt_decided(struct event_rcpt *e, const struct decision *d)
{
	e->door = d->door;
	e->door_known = d->door_known;
	e->door_name = d->door == DOOR_SELF || d->door == DOOR_BACKUP ? "mx" : NULL;
	e->grade = d->grade;
	e->finding = d->finding;
	e->action = d->action;
	e->wanted = d->wanted;
	e->restraint = d->restraint;
	e->reason = d->reason;
	event_copy(e->scanner, sizeof(e->scanner), d->scanner);
	event_copy(e->mx, sizeof(e->mx), d->mx);
}
