#include "proxy/sandbox.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE /* Linux 6.2; Debian 12 has the headers of 6.1 */
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

/* What a process says to the program that it executes: the sandbox that both are in. */
#define INHERITED "FRONTDOOR_SANDBOX"

/* ---- paths ---- */

static const struct {
	const char *path;
	enum sandbox_access access;
} system_paths[] = {
	{ "/etc", SANDBOX_READ },
	{ "/usr/share", SANDBOX_READ },
	{ "/usr/local/share", SANDBOX_READ },
	{ "/run/systemd/resolve", SANDBOX_READ },
	{ "/run/frontdoor", SANDBOX_WRITE },
	{ "/proc", SANDBOX_READ },
	{ "/sys/devices/system/cpu", SANDBOX_READ },
	{ "/sys/fs/cgroup", SANDBOX_READ },
	{ "/dev/null", SANDBOX_WRITE },
	{ "/dev/urandom", SANDBOX_READ },
	{ "/usr/lib", SANDBOX_EXECUTE },
	{ "/usr/lib64", SANDBOX_EXECUTE },
	{ "/usr/local/lib", SANDBOX_EXECUTE },
	{ "/lib", SANDBOX_EXECUTE },
	{ "/lib64", SANDBOX_EXECUTE },
};

/* path, made real; what isn't there is left out: another may not be made in its place. */
static int add(struct sandbox_paths *paths, const char *path, enum sandbox_access access)
{
	char *real = realpath(path, NULL);
	struct sandbox_path *items;

	if (!real)
		return errno == ENOMEM ? -ENOMEM : 0;
	for (size_t i = 0; i < paths->n; i++)
		if (paths->items[i].access == access && strcmp(paths->items[i].path, real) == 0) {
			free(real);
			return 0;
		}
	items = reallocarray(paths->items, paths->n + 1, sizeof(*items));
	if (!items) {
		free(real);
		return -ENOMEM;
	}
	paths->items = items;
	items[paths->n++] = (struct sandbox_path) { real, access };
	return 0;
}

static int add_parent(struct sandbox_paths *paths, const char *file, enum sandbox_access access)
{
	const char *slash = strrchr(file, '/');
	char parent[PATH_MAX];

	/* a file in / : the whole tree would be too much */
	if (slash == file)
		return add(paths, file, access);
	if (!slash)
		snprintf(parent, sizeof(parent), ".");
	else
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - file), file);
	return add(paths, parent, access);
}

/* The folder that names file, and the one where it is, when it is a link. */
static int add_file(struct sandbox_paths *paths, const char *file, enum sandbox_access access)
{
	char *real;
	int r;

	if (!file)
		return 0;
	r = add_parent(paths, file, access);
	if (r < 0 || !(real = realpath(file, NULL)))
		return r;
	r = add_parent(paths, real, access);
	free(real);
	return r;
}

/* The part of a pattern in front of its first folder with wildcards: what matches later is below
 * it, and so is what matches now unless that is a link. */
static int add_pattern(struct sandbox_paths *paths, const char *pattern)
{
	char fixed[PATH_MAX];
	glob_t found = { 0 };
	int r;

	snprintf(fixed, sizeof(fixed), "%.*s", (int)strcspn(pattern, "*?[\\"), pattern);
	r = add_parent(paths, fixed, SANDBOX_READ);
	if (r == 0 && glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
			r = add_file(paths, found.gl_pathv[i], SANDBOX_READ);
	globfree(&found);
	return r;
}

static int add_conf(struct sandbox_paths *paths, const struct conf *conf)
{
	int r = add_file(paths, conf->file, SANDBOX_READ);

	for (size_t i = 0; r == 0 && i < conf->n_hosted; i++)
		r = add_file(paths, conf->hosted[i], SANDBOX_READ);
	for (size_t i = 0; r == 0 && i < conf->n_catalogue_files; i++)
		r = add_file(paths, conf->catalogue_files[i], SANDBOX_READ);
	for (size_t i = 0; r == 0 && i < conf->tls.n_certificates; i++) {
		r = add_file(paths, conf->tls.certificates[i].cert, SANDBOX_READ);
		if (r == 0)
			r = add_file(paths, conf->tls.certificates[i].key, SANDBOX_READ);
	}
	for (size_t i = 0; r == 0 && i < conf->n_listeners; i++)
		r = add_file(paths, conf->listeners[i].upstream_ca, SANDBOX_READ);
	if (r == 0 && conf->tls.directory)
		r = add_pattern(paths, conf->tls.directory);
	if (r == 0 && conf->events_json && strcmp(conf->events_json, "-") != 0)
		r = add_file(paths, conf->events_json, SANDBOX_WRITE);
	if (r == 0)
		r = add_file(paths, conf_control(conf), SANDBOX_WRITE);
	if (r == 0)
		r = add_file(paths, conf->policy.enforce.complaints, SANDBOX_READ);
	return r == 0 ? add_file(paths, conf->state, SANDBOX_WRITE) : r;
}

int sandbox_paths_of(const struct conf *conf, struct sandbox_paths *ret_paths)
{
	int r;

	*ret_paths = (struct sandbox_paths) { 0 };
	r = add_conf(ret_paths, conf);
	if (r == 0)
		r = add_file(ret_paths, "/proc/self/exe", SANDBOX_EXECUTE);
	if (r == 0)
		r = add_file(ret_paths, "/etc/resolv.conf", SANDBOX_READ);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_paths); i++)
		r = add(ret_paths, system_paths[i].path, system_paths[i].access);
	return r;
}

void sandbox_paths_deinit(struct sandbox_paths *paths)
{
	for (size_t i = 0; i < paths->n; i++)
		free(paths->items[i].path);
	free(paths->items);
	*paths = (struct sandbox_paths) { 0 };
}

/* ---- Landlock ---- */

#define FS_FILE                                                                                    \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
	 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* Folders are neither made nor removed, and files stay in theirs. */
static const uint64_t rights[] = {
	[SANDBOX_READ] = FS_READ,
	[SANDBOX_EXECUTE] = FS_READ | LANDLOCK_ACCESS_FS_EXECUTE,
	[SANDBOX_WRITE] = FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
			  LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
			  LANDLOCK_ACCESS_FS_MAKE_SOCK,
};

int sandbox_landlock_version(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return r > 0 ? (int)r : 0;
}

/* Each version of Landlock knows more of these. */
static uint64_t handled(int version)
{
	uint64_t all = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1;

	if (version >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		all |= LANDLOCK_ACCESS_FS_TRUNCATE;
	return all;
}

static int add_rule(int set, const struct sandbox_path *path, uint64_t known)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = rights[path->access] & known };
	struct stat st;
	int r = 0, fd = open(path->path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return 0; /* it has gone, or is behind a folder that is not ours to enter */
	rule.parent_fd = fd;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_FILE;
	if (r == 0 && syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		r = -errno;
	close(fd);
	return r;
}

int sandbox_files(const struct sandbox_paths *paths)
{
	int version = sandbox_landlock_version(), r = 0;
	struct landlock_ruleset_attr attr = { .handled_access_fs = handled(version) };

	if (version == 0)
		return -ENOSYS;
	long set = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (set < 0)
		return -errno;
	for (size_t i = 0; r == 0 && i < paths->n; i++)
		r = add_rule((int)set, &paths->items[i], attr.handled_access_fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, set, 0) < 0)
		r = -errno;
	close((int)set);
	return r;
}

/* ---- both ---- */

static void enter_files(const struct conf *conf)
{
	struct sandbox_paths paths;
	int r = sandbox_paths_of(conf, &paths);

	if (r == 0)
		r = sandbox_files(&paths);
	if (r < 0)
		log_warning("error=\"%s\" no Landlock: only the rights of this user limit which "
			    "files can be reached",
			    r == -ENOSYS ? "the kernel has none" : strerror(-r));
	sandbox_paths_deinit(&paths);
}

/* SQLite's large sorts spill to files: where it may write anyway. */
static void set_temporary(const struct conf *conf)
{
	const char *slash = conf->state ? strrchr(conf->state, '/') : NULL;
	char folder[PATH_MAX];

	if (!slash || slash == conf->state)
		return;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - conf->state), conf->state);
	setenv("SQLITE_TMPDIR", folder, 1);
}

void sandbox_enter(const struct conf *conf)
{
	int r;

	set_temporary(conf);
	if (getenv(INHERITED) && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER)
		return;
	enter_files(conf);
	r = sandbox_calls();
	if (r < 0)
		log_warning("error=\"%s\" no seccomp filter: every system call can be made",
			    strerror(-r));
	setenv(INHERITED, "1", 1);
}
