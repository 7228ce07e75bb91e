/*
 * HTTP for machines that watch this one: GET and HEAD of a few paths. Not for the world: no TLS, no
 * passwords; bind it to loopback or a management network.
 *
 * libmicrohttpd, driven by the main thread's loop. Connections, their memory and their time are
 * bounded.
 */
#pragma once

#include "base/addr.h"
#include "base/buf.h"

#include <uv.h>

#define HTTP_CLIENTS      32
#define HTTP_TIME_SECONDS 10
#define HTTP_MEMORY       (16 * 1024) /* of a connection, without the page */

struct http;

/* Fills page. accept: the client's Accept header, "" without. Returns the status, 200, 404, ...;
 * type: static. */
typedef int (*http_page_fn)(void *user, const char *path, const char *accept, struct buf *page,
			    const char **ret_type);

/* 0, -errno. */
int http_bind(const struct endpoint *at, struct http **ret_http);
int http_start(struct http *h, uv_loop_t *loop, http_page_fn page, void *user);
/* Ends what is under way; handles close in the loop. */
void http_end(struct http *h);
void http_free(struct http *h);
