#include "proxy/sockets.h"

#include "base/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

#define BACKLOG       4096
#define INHERITED_MAX 65536

struct listen_socket {
	_Atomic int refs;
	int fd;
};

static const char *const mode_words[] = {
	[LISTENER_LISTEN] = "listen", [LISTENER_TPROXY] = "tproxy"
};

/* ---- sets ---- */

/* Takes fd over, and closes it on failure. */
static struct listen_socket *socket_new(int fd)
{
	struct listen_socket *s = malloc(sizeof(*s));

	if (!s) {
		close(fd);
		return NULL;
	}
	s->refs = 1;
	s->fd = fd;
	return s;
}

static void socket_unref(struct listen_socket *s)
{
	if (atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	close(s->fd);
	free(s);
}

static struct sockets *set_new(void)
{
	struct sockets *s = calloc(1, sizeof(*s));

	if (s)
		s->refs = 1;
	return s;
}

/* Takes the reference of row->socket over, in any case. */
static int set_add(struct sockets *s, const struct socket_row *row)
{
	struct socket_row *rows = realloc(s->rows, (s->n + 1) * sizeof(*rows));

	if (!rows) {
		socket_unref(row->socket);
		return -ENOMEM;
	}
	s->rows = rows;
	s->rows[s->n] = *row;
	s->rows[s->n++].fd = row->socket->fd;
	return 0;
}

struct sockets *sockets_ref(struct sockets *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void sockets_unref(struct sockets *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		socket_unref(s->rows[i].socket);
	free(s->rows);
	free(s);
}

bool sockets_has(const struct sockets *s, int fd)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->rows[i].fd == fd)
			return true;
	return false;
}

/* ---- binding ---- */

/* Takes connections to other hosts' addresses; they inherit the mark. */
static int set_transparent(int fd, int family)
{
	uint32_t mark = MARK_CLIENT;
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -1;
	if (family == AF_INET)
		return setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof(one));
	return setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof(one));
}

static int bind_to(const struct socket_row *row, bool shared, int *ret_fd)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&row->bind, false, &sa);
	int one = 1;

	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int r = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (r == 0 && shared)
		r = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (r == 0 && sa.ss_family == AF_INET6)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (r == 0 && row->mode == LISTENER_TPROXY)
		r = set_transparent(fd, sa.ss_family);
	if (r == 0)
		r = bind(fd, (struct sockaddr *)&sa, len);
	if (r < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int listen_on(const struct socket_row *row, bool shared, int *ret_fd)
{
	int r = bind_to(row, shared, ret_fd);

	if (r < 0 || listen(*ret_fd, BACKLOG) == 0)
		return r;
	r = -errno;
	close(*ret_fd);
	return r;
}

int sockets_try(const struct listener_conf *l, size_t bind)
{
	struct socket_row row = { .bind = l->bind[bind], .mode = l->mode };
	int fd, r = row.bind.port == 0 ? 1 : bind_to(&row, false, &fd);

	if (r == 0)
		close(fd);
	return r < 0 ? r : 0;
}

/* The workers share a port; so would another frontdoor, with half of the clients each. Where a
 * socket of our own has the port there is no telling. */
static int claim(const struct socket_row *row, const struct sockets *former)
{
	int fd = -1;

	for (size_t i = 0; former && i < former->n; i++)
		if (former->rows[i].bind.port == row->bind.port)
			return 0;
	if (row->bind.port == 0)
		return 0;
	int r = listen_on(row, false, &fd);
	if (r == 0)
		close(fd);
	return r;
}

static bool same_address(const struct socket_row *a, const struct socket_row *b)
{
	return a->bind.port == b->bind.port && addr_eq(&a->bind.addr, &b->bind.addr);
}

/* What another process or configuration had: all of its sockets, since connections wait on each. */
static int take_former(struct sockets *s, struct socket_row *row, const struct sockets *former)
{
	int r = 0;

	for (size_t i = 0; former && i < former->n && r == 0; i++) {
		const struct socket_row *was = &former->rows[i];
		if (was->mode != row->mode || !same_address(was, row))
			continue;
		atomic_fetch_add(&was->socket->refs, 1);
		row->socket = was->socket;
		r = set_add(s, row);
		row->slot++;
	}
	return r;
}

/* A worker more than sockets: two accept from one. (A socket bound later is no way: that may need
 * a privilege that was dropped.) */
static int share(struct sockets *s, struct socket_row *row, size_t first, int workers)
{
	size_t had = s->n - first;
	int r = 0;

	for (; row->slot < workers && r == 0; row->slot++) {
		int fd = fcntl(s->rows[first + (size_t)row->slot % had].fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return -errno;
		row->socket = socket_new(fd);
		r = row->socket ? set_add(s, row) : -ENOMEM;
	}
	return r;
}

static int bind_new(struct sockets *s, struct socket_row *row, int workers,
		    const struct sockets *former)
{
	int r = claim(row, former), fd = -1;

	for (; row->slot < workers && r == 0; row->slot++) {
		r = listen_on(row, true, &fd);
		if (r < 0)
			break;
		row->socket = socket_new(fd);
		r = row->socket ? set_add(s, row) : -ENOMEM;
	}
	return r;
}

static int open_address(struct sockets *s, struct socket_row *row, int workers,
			const struct sockets *former)
{
	size_t first = s->n;

	for (size_t i = 0; i < s->n; i++)
		if (row->bind.port != 0 && same_address(&s->rows[i], row))
			return -EADDRINUSE;
	int r = take_former(s, row, former);
	if (r < 0)
		return r;
	return s->n > first ? share(s, row, first, workers) : bind_new(s, row, workers, former);
}

int sockets_open(const struct conf *conf, int workers, const struct sockets *former,
		 struct buf *ret_why, struct sockets **ret_sockets)
{
	struct sockets *s = set_new();
	char where[ADDR_STRLEN + 8];

	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_listeners; i++)
		for (size_t k = 0; k < conf->listeners[i].n_bind; k++) {
			const struct listener_conf *l = &conf->listeners[i];
			struct socket_row row = { .bind = l->bind[k],
						  .mode = l->mode,
						  .listener = i };
			int r = open_address(s, &row, workers, former);
			if (r == 0)
				continue;
			(void)buf_printf(ret_why, "listener=%s bind=%s error=\"%s\" can't listen\n",
					 l->name, endpoint_format(&l->bind[k], where),
					 strerror(-r));
			sockets_unref(s);
			return 1;
		}
	*ret_sockets = s;
	return 0;
}

/* ---- other processes ---- */

char *sockets_describe(const struct sockets *s, int first)
{
	char where[ADDR_STRLEN + 8];
	struct buf text;
	int r = 0;

	buf_init(&text, INHERITED_MAX * 80);
	for (size_t i = 0; i < s->n && r == 0; i++)
		r = buf_printf(&text, "%s%d %s %s", i ? "," : "", first + (int)i,
			       mode_words[s->rows[i].mode],
			       endpoint_format(&s->rows[i].bind, where));
	char *copy = r == 0 ? sv_dup(buf_view(&text)) : NULL;
	buf_deinit(&text);
	return copy;
}

static bool listens(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

/* "FD MODE ADDRESS". 0; -EINVAL, -ENOMEM. */
static int inherit_one(struct sockets *s, char *text)
{
	struct socket_row row = { .mode = LISTENER_LISTEN };
	const char *number = strsep(&text, " "), *mode = strsep(&text, " ");
	uint64_t value;

	if (!text || sv_to_u64(sv_from(number), INT_MAX, &value) < 0 || value < 3 ||
	    endpoint_parse(sv_from(text), &row.bind) < 0)
		return -EINVAL;
	int fd = (int)value;
	if (strcmp(mode, mode_words[LISTENER_TPROXY]) == 0)
		row.mode = LISTENER_TPROXY;
	else if (strcmp(mode, mode_words[LISTENER_LISTEN]) != 0)
		return -EINVAL;
	if (!listens(fd))
		return 0;
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	row.socket = socket_new(fd);
	return row.socket ? set_add(s, &row) : -ENOMEM;
}

int sockets_inherit(const char *text, struct sockets **ret_sockets)
{
	struct sockets *s = set_new();
	char *copy = strdup(text), *at = copy, *one;
	int r = s && copy ? 0 : -ENOMEM;

	while (r == 0 && (one = strsep(&at, ",")))
		r = inherit_one(s, one);
	free(copy);
	if (r < 0) {
		sockets_unref(s);
		return r;
	}
	*ret_sockets = s;
	return 0;
}
