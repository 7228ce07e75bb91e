/*
 * The control socket: a Unix stream socket, one request and one answer a connection, each a line of
 * JSON. Request: {"do": "status"}; answer: {"ok": true, ...} or {"ok": false, "error": "one line"}.
 *
 * It lives in the loop of the main thread. Who may connect is a matter of the file's mode (0660). A
 * peer can cost no more than CONTROL_CLIENTS connections of CONTROL_REQUEST_MAX octets for
 * CONTROL_TIME_MS.
 */
#pragma once

#include "base/base.h"

#include <jansson.h>
#include <uv.h>

#define CONTROL_CLIENTS     16
#define CONTROL_REQUEST_MAX 4096
#define CONTROL_TIME_MS     5000

struct control;

/* The answer to a request; NULL: no memory. The object is the caller's. */
typedef json_t *(*control_answer_fn)(void *user, const json_t *request);

/*
 * Makes the socket, beside its place (PATH.new); control_start() puts it there. A socket left
 * behind by another process is replaced; when somebody still answers there: -EADDRINUSE, unless
 * takeover. 0, -errno.
 */
int control_bind(const char *path, bool takeover, struct control **ret_control);
int control_start(struct control *c, uv_loop_t *loop, control_answer_fn answer, void *user);
/* No new clients; handles close in the loop. The file goes, unless it is another process's by now.
 */
void control_end(struct control *c);
/* Its handles are closed, or there never were any. */
void control_free(struct control *c);
