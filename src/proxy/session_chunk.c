/*
 * The octets of a BDAT chunk are counted, not looked at: they go from the client's socket to the
 * backend's by splice(), without a copy to here and back. The pipe between is the worker's, and
 * empty whenever nothing is under way: what the backend does not take at once is queued as ever, so
 * back pressure and limits are those of other octets.
 *
 * Small chunks are not worth it: two calls and the handling of pages cost as much as a copy.
 */
#include "proxy/session_private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LEAST     (64 * 1024)
#define AT_ONCE   (256 * 1024)
#define PIPE_SIZE (1024 * 1024) /* each packet takes a page of it, however small */

static void close_pipe(struct worker_shared *w)
{
	close(w->pipe[0]);
	close(w->pipe[1]);
	w->pipe[0] = w->pipe[1] = -1;
}

static bool open_pipe(struct worker_shared *w)
{
	if (w->pipe[0] >= 0)
		return true;
	if (pipe2(w->pipe, O_NONBLOCK | O_CLOEXEC) < 0) {
		w->pipe[0] = w->pipe[1] = -1;
		return false;
	}
	/* a smaller one does, too */
	(void)fcntl(w->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
	return true;
}

static bool is_possible(struct session *s)
{
	return s->dialog_open && dialog_untouched(&s->dialog) >= LEAST && !s->client.tls &&
	       !s->backend.tls && s->backend.open && !s->backend.connecting && !s->backend_deaf &&
	       buf_len(&s->client_in) == 0 && conn_flush(&s->backend) == 0;
}

/* What the backend did not take, n octets. */
static bool queue_rest(struct session *s, size_t n)
{
	struct worker_shared *w = s->worker;

	while (n > 0) {
		ssize_t got = read(w->pipe[0], w->scratch, min_size(n, WORKER_SCRATCH));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || session_send(&s->dialog, DIALOG_BACKEND,
					     (struct sv) { w->scratch, (size_t)got }) < 0)
			return false;
		n -= (size_t)got;
	}
	return true;
}

enum chunk_move session_move_chunk(struct session *s)
{
	struct worker_shared *w = s->worker;
	size_t moved = 0;

	if (!is_possible(s) || !open_pipe(w))
		return CHUNK_TO_READ;
	size_t most = min_size(AT_ONCE, (size_t)dialog_untouched(&s->dialog));
	ssize_t n = splice(s->client.fd, NULL, w->pipe[1], NULL, most, SPLICE_F_NONBLOCK);
	if (n <= 0)
		return CHUNK_TO_READ; /* reading will tell why */
	while (moved < (size_t)n) {
		ssize_t r = splice(w->pipe[0], NULL, s->backend.fd, NULL, (size_t)n - moved,
				   SPLICE_F_NONBLOCK);
		if (r <= 0)
			break;
		moved += (size_t)r;
	}
	if (!queue_rest(s, (size_t)n - moved)) {
		close_pipe(w);
		session_end(s);
		return CHUNK_MOVED;
	}
	s->slow_octets += (uint32_t)n;
	dialog_carried(&s->dialog, (uint64_t)n);
	return (size_t)n == most ? CHUNK_MORE : CHUNK_MOVED;
}
