#include "proxy/tarpit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct drip {
	struct drip *next;
	int fd;
	uint32_t at, len;
	char text[];
};

struct tarpit {
	struct drip *drips;
	size_t n, max;
};

int tarpit_new(size_t max, struct tarpit **ret_tarpit)
{
	struct tarpit *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->max = max;
	*ret_tarpit = t;
	return 0;
}

void tarpit_free(struct tarpit *t)
{
	if (!t)
		return;
	for (struct drip *d = t->drips, *next; d; d = next) {
		next = d->next;
		close(d->fd);
		free(d);
	}
	free(t);
}

int tarpit_add(struct tarpit *t, int fd, struct sv text)
{
	if (t->n >= t->max)
		return -ENOSPC;
	struct drip *d = malloc(sizeof(*d) + text.n);
	if (!d)
		return -ENOMEM;
	*d = (struct drip) { .next = t->drips, .fd = fd, .len = (uint32_t)text.n };
	memcpy(d->text, text.p, text.n);
	t->drips = d;
	t->n++;
	return 0;
}

/* What the client says meanwhile is thrown away; true when it has gone. */
static bool is_gone(int fd)
{
	char ignored[512];
	ssize_t n = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void tarpit_tick(struct tarpit *t)
{
	for (struct drip **at = &t->drips, *d; (d = *at);) {
		bool done = is_gone(d->fd);
		if (!done) {
			ssize_t n = send(d->fd, d->text + d->at, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n > 0)
				d->at++;
			done = d->at == d->len || (n < 0 && errno != EAGAIN && errno != EINTR);
		}
		if (!done) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		close(d->fd);
		free(d);
		t->n--;
	}
}

size_t tarpit_count(const struct tarpit *t)
{
	return t->n;
}
