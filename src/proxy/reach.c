#include "proxy/reach.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

struct reach {
	const struct conf *conf;
	const struct privileges *p;
	reach_fn *tell;
	void *user;
	size_t n;
};

static void parent_of(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(out, PATH_MAX, ".");
	else
		snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* The first folder on the way that can't be entered; NULL: none. */
static const char *barrier(const char *path, char out[PATH_MAX])
{
	for (const char *p = path; (p = strchr(p + 1, '/'));) {
		snprintf(out, PATH_MAX, "%.*s", (int)(p - path), path);
		if (access(out, X_OK) < 0 && errno == EACCES)
			return out;
	}
	return NULL;
}

static void missing(struct reach *r, const char *key, const char *path, const char *what,
		    const char *accepted)
{
	char line[PATH_MAX + 512], folder[PATH_MAX];
	const char *b = barrier(path, folder);

	if (b)
		snprintf(line, sizeof(line),
			 "%s: %s: user %s can't enter %s; accepted: a folder that this user may "
			 "enter, as with chmod o+x or chgrp",
			 key, path, r->p->user, b);
	else
		snprintf(line, sizeof(line), "%s: %s: user %s can't %s it; accepted: %s", key, path,
			 r->p->user, what, accepted);
	r->tell(r->user, line);
	r->n++;
}

/* What isn't there is somebody else's message. */
static void need_read(struct reach *r, const char *key, const char *path)
{
	if (path && access(path, R_OK) < 0 && errno == EACCES)
		missing(r, key, path, "read",
			"a file that a group of this user may read, as with chgrp and chmod 640");
}

static void need_write(struct reach *r, const char *key, const char *path, bool folder_too)
{
	char folder[PATH_MAX];

	if (!path || strcmp(path, "-") == 0)
		return;
	parent_of(path, folder);
	bool there = access(path, F_OK) == 0 || errno == EACCES;
	if (there && access(path, R_OK | W_OK) < 0 && errno == EACCES)
		missing(r, key, path, "write", "a file that this user owns, as with chown");
	else if ((folder_too || !there) && access(folder, W_OK | X_OK) < 0 && errno == EACCES)
		missing(r, key, folder, "make files in",
			"a folder that this user owns, as with chown");
}

static void need_pattern(struct reach *r, const char *key, const char *pattern)
{
	char fixed[PATH_MAX];
	glob_t found = { 0 };

	if (!pattern)
		return;
	snprintf(fixed, sizeof(fixed), "%.*s", (int)strcspn(pattern, "*?[\\"), pattern);
	parent_of(fixed, fixed);
	need_read(r, key, fixed);
	if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			need_read(r, key, found.gl_pathv[i]);
	globfree(&found);
}

size_t reach_check(const struct conf *conf, const struct privileges *p, reach_fn *tell, void *user)
{
	struct reach r = { .conf = conf, .p = p, .tell = tell, .user = user };

	need_read(&r, "configuration", conf->file);
	for (size_t i = 0; i < conf->n_hosted; i++)
		need_read(&r, "hosted", conf->hosted[i]);
	for (size_t i = 0; i < conf->n_catalogue_files; i++)
		need_read(&r, "catalogue", conf->catalogue_files[i]);
	for (size_t i = 0; i < conf->tls.n_certificates; i++) {
		need_read(&r, "tls.certificates", conf->tls.certificates[i].cert);
		need_read(&r, "tls.certificates", conf->tls.certificates[i].key);
	}
	need_pattern(&r, "tls.directory", conf->tls.directory);
	for (size_t i = 0; i < conf->n_listeners; i++)
		need_read(&r, "upstream_ca", conf->listeners[i].upstream_ca);
	need_read(&r, "enforce.complaints", conf->policy.enforce.complaints);
	need_write(&r, "events.json", conf->events_json, false);
	need_write(&r, "state", conf->state, true); /* SQLite's log lies beside it */
	return r.n;
}

static void print_line(void *user, const char *line)
{
	fprintf(user, "%s\n", line);
}

static void child(const struct conf *conf, const struct privileges *p, int fd)
{
	FILE *to = fdopen(fd, "w");
	int r = to ? privileges_drop(p) : -errno;

	if (r == 0)
		reach_check(conf, p, print_line, to);
	if (to)
		fclose(to);
	_exit(r == 0 ? 0 : 1);
}

int reach_check_as(const struct conf *conf, const struct privileges *p, FILE *out)
{
	char line[PATH_MAX + 512];
	int ends[2], status;

	if (pipe(ends) < 0)
		return -errno;
	fflush(NULL); /* the child has its own copy of what is not written yet */
	pid_t pid = fork();
	if (pid < 0) {
		close(ends[0]);
		close(ends[1]);
		return -errno;
	}
	if (pid == 0) {
		close(ends[0]);
		child(conf, p, ends[1]);
	}
	close(ends[1]);
	FILE *from = fdopen(ends[0], "r");
	while (from && fgets(line, sizeof(line), from))
		fprintf(out, "%s: warning: %s", conf->file, line);
	if (from)
		fclose(from);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}
