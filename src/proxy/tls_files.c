#include "proxy/tls_files.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define FILE_MAX (1024 * 1024)
/* A file written again so soon after it was read may look the same to stat(). */
#define YOUNG_MS 2000

struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	int64_t mtime_ns, ctime_ns;
	int error; /* errno of stat(), or 0 */
};

struct tls_file {
	char *path;     /* of the certificates */
	char *key_path; /* NULL: the same */
	int line;       /* in the configuration; 0: from the directory */
	struct stamp stamp, key_stamp;
	uint64_t hash;     /* of the content; 0: not read */
	bool again;        /* whatever the stamp says */
	bool unseen;       /* not in the directory, which can't be trusted at the moment */
	bool expired_told; /* counted in a line about such certificates */
	const char *why;   /* it can't be used as it is now; NULL: it can */
	struct tls_cert *cert;
};

struct tls_files {
	const struct tls_conf *conf;
	struct tls_file *named; /* conf->n_certificates */
	struct tls_file *found; /* in the order of their names */
	size_t n_found;
	bool directory_failed; /* told */
	struct tls_pool pool;
};

/* ---- reading ---- */

static int64_t to_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct stamp stamp_from(const struct stat *st)
{
	return (struct stamp) {
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime_ns = to_ns(st->st_mtim),
		.ctime_ns = to_ns(st->st_ctim),
	};
}

static struct stamp stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct stamp) { .error = errno };
	return stamp_from(&st);
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->error == b->error;
}

static bool is_young(const struct stamp *s)
{
	return s->ctime_ns / 1000000 + YOUNG_MS > clock_wall_ms();
}

struct content {
	char *p;
	size_t n;
};

static void content_deinit(struct content *c)
{
	if (c->p)
		OPENSSL_cleanse(c->p, c->n);
	free(c->p);
}

static const char *error_text(int error)
{
	const char *text = strerrordesc_np(error);

	return text ? text : "can't be read";
}

static int read_fd(int fd, struct stamp *ret_stamp, struct content *ret, const char **ret_why)
{
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) < 0) {
		*ret_why = error_text(errno);
		return -EINVAL;
	}
	*ret_stamp = stamp_from(&st);
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		*ret_why = S_ISREG(st.st_mode) ? "it is larger than 1 MiB" : "it is no file";
		return -EINVAL;
	}
	/* growing meanwhile: then it has another time stamp too, and is read again */
	ret->p = malloc((size_t)st.st_size + 1);
	if (!ret->p)
		return -ENOMEM;
	while (ret->n < (size_t)st.st_size) {
		got = read(fd, ret->p + ret->n, (size_t)st.st_size - ret->n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			*ret_why = error_text(errno);
		if (got <= 0)
			return got < 0 ? -EINVAL : 0;
		ret->n += (size_t)got;
	}
	return 0;
}

static int read_file(const char *path, struct stamp *ret_stamp, struct content *ret,
		     const char **ret_why)
{
	/* not waiting for a writer, should it be a pipe */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		*ret_why = error_text(errno);
		return -EINVAL;
	}
	int r = read_fd(fd, ret_stamp, ret, ret_why);
	close(fd);
	return r;
}

/* ---- one file ---- */

static void tell_broken(const struct tls_file *f)
{
	char path[512], key[512], line[32] = "";
	const char *kept = f->cert ? "can't be used; what was read of it before stays in use"
				   : "can't be used";

	if (f->line)
		snprintf(line, sizeof(line), " line=%d", f->line);
	log_quote(sv_from(f->path), path, sizeof(path));
	if (f->key_path)
		log_warning("certificate=%s key=%s%s error=\"%s\" %s", path,
			    log_quote(sv_from(f->key_path), key, sizeof(key)), line, f->why, kept);
	else
		log_warning("certificate=%s%s error=\"%s\" %s", path, line, f->why, kept);
}

static void broken(struct tls_file *f, const char *why, uint64_t hash)
{
	bool told = f->why && strcmp(f->why, why) == 0 && f->hash == hash;

	f->why = why;
	f->hash = hash;
	if (!told)
		tell_broken(f);
}

/* 1: there is another certificate now */
static int use_content(struct tls_files *files, struct tls_file *f, SSL_CTX *ctx, struct sv certs,
		       struct sv key)
{
	uint64_t hash = map_hash(certs) * 31 + (f->key_path ? map_hash(key) : 1);
	struct tls_cert *cert;
	const char *why;

	if (hash == f->hash)
		return 0;
	int r = tls_cert_read(certs, key, &files->pool, ctx, &cert, &why);
	if (r == -EINVAL) {
		broken(f, why, hash);
		return 0;
	}
	if (r < 0)
		return r;
	tls_cert_unref(f->cert);
	f->cert = cert;
	f->why = NULL;
	f->hash = hash;
	f->expired_told = false;
	return 1;
}

static int read_again(struct tls_files *files, struct tls_file *f, SSL_CTX *ctx)
{
	struct content certs = { 0 }, key = { 0 };
	const char *why = NULL;

	int r = read_file(f->path, &f->stamp, &certs, &why);
	if (r == 0 && f->key_path)
		r = read_file(f->key_path, &f->key_stamp, &key, &why);
	f->again = r < 0 || is_young(&f->stamp) || (f->key_path && is_young(&f->key_stamp));
	struct sv certs_text = { certs.p, certs.n };
	struct sv key_text = f->key_path ? (struct sv) { key.p, key.n } : certs_text;
	if (r == 0)
		r = use_content(files, f, ctx, certs_text, key_text);
	else if (r == -EINVAL)
		broken(f, why, 0);
	content_deinit(&certs);
	content_deinit(&key);
	return r == -EINVAL ? 0 : r;
}

/* 0; 1: there is another certificate now; -ENOMEM. */
static int look_at(struct tls_files *files, struct tls_file *f, SSL_CTX *ctx)
{
	struct stamp now, key_now = { 0 };

	if (f->unseen)
		return 0;
	now = stamp_of(f->path);
	if (f->key_path)
		key_now = stamp_of(f->key_path);
	if (!f->again && same_stamp(&now, &f->stamp) && same_stamp(&key_now, &f->key_stamp))
		return 0;
	f->stamp = now;
	f->key_stamp = key_now;
	if (now.error || key_now.error) {
		f->again = false;
		broken(f, error_text(now.error ? now.error : key_now.error), 0);
		return 0;
	}
	return read_again(files, f, ctx);
}

static void file_deinit(struct tls_file *f)
{
	free(f->path);
	free(f->key_path);
	tls_cert_unref(f->cert);
}

/* ---- the directory ---- */

static _Thread_local bool glob_failed;

static int on_glob_error(const char *path, int error)
{
	/* a pattern with a star for a folder meets plain files too */
	if (error != ENOTDIR && error != ENOENT)
		glob_failed = true;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void tell_directory(struct tls_files *f, const char *why)
{
	char glob_text[512];

	if (!f->directory_failed && why)
		log_warning("directory=%s error=\"%s\"%s",
			    log_quote(sv_from(f->conf->directory), glob_text, sizeof(glob_text)),
			    why, f->n_found > 0 ? " what was read before stays in use" : "");
	f->directory_failed = why != NULL;
}

/* The files that there are now, in the order of their names, as those of before are: what is known
 * of the same ones is taken over. 1: a certificate is gone with its file. */
static int merge(struct tls_files *f, char **paths, size_t n, bool keep)
{
	struct tls_file *merged = calloc(n + f->n_found + 1, sizeof(*merged));
	size_t m = 0, i = 0, k = 0;
	int changed = 0;

	if (!merged)
		return -ENOMEM;
	while (i < n || k < f->n_found) {
		int order = i == n ? 1 : k == f->n_found ? -1 : strcmp(paths[i], f->found[k].path);
		if (order == 0) {
			f->found[k].unseen = false;
			merged[m++] = f->found[k++];
			i++;
		} else if (order < 0) {
			merged[m].path = strdup(paths[i++]);
			if (merged[m].path)
				m++;
		} else if (keep) {
			f->found[k].unseen = true;
			merged[m++] = f->found[k++];
		} else {
			changed |= f->found[k].cert != NULL;
			file_deinit(&f->found[k++]);
		}
	}
	free(f->found);
	f->found = merged;
	f->n_found = m;
	return changed;
}

/* Which files there are now. */
static int list_directory(struct tls_files *f)
{
	glob_t g = { 0 };
	size_t n = 0;

	glob_failed = false;
	int r = glob(f->conf->directory, GLOB_NOSORT, on_glob_error, &g);
	if (r == GLOB_NOSPACE) {
		globfree(&g);
		return -ENOMEM;
	}
	for (size_t i = 0; i < g.gl_pathc; i++) {
		char *path = g.gl_pathv[i];
		if (is_folder(path))
			continue;
		g.gl_pathv[i] = g.gl_pathv[n];
		g.gl_pathv[n++] = path;
	}
	if (n > 0)
		qsort(g.gl_pathv, n, sizeof(*g.gl_pathv), by_name);
	/* all gone at once is a disk that is not mounted rather than a server without domains */
	bool none = n == 0 && !glob_failed;
	tell_directory(f, none          ? "it matches no file"
			  : glob_failed ? "a folder of it can't be read"
					: NULL);
	r = merge(f, g.gl_pathv, n, none || glob_failed);
	globfree(&g);
	return r;
}

/* ---- all ---- */

int tls_files_new(const struct tls_conf *conf, struct tls_files **ret_files)
{
	struct tls_files *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->conf = conf;
	tls_pool_init(&f->pool);
	f->named = calloc(conf->n_certificates + 1, sizeof(*f->named));
	bool ok = f->named != NULL;
	for (size_t i = 0; ok && i < conf->n_certificates; i++) {
		const struct tls_certificate_conf *c = &conf->certificates[i];
		bool apart = c->key && strcmp(c->key, c->cert) != 0;
		f->named[i].path = strdup(c->cert);
		f->named[i].key_path = apart ? strdup(c->key) : NULL;
		f->named[i].line = c->line;
		ok = f->named[i].path && (!apart || f->named[i].key_path);
	}
	if (!ok) {
		tls_files_free(f);
		return -ENOMEM;
	}
	*ret_files = f;
	return 0;
}

void tls_files_free(struct tls_files *f)
{
	if (!f)
		return;
	for (size_t i = 0; f->named && i < f->conf->n_certificates; i++)
		file_deinit(&f->named[i]);
	for (size_t i = 0; i < f->n_found; i++)
		file_deinit(&f->found[i]);
	free(f->named);
	free(f->found);
	tls_pool_deinit(&f->pool);
	free(f);
}

static bool is_expired(const struct tls_file *f)
{
	return f->cert && f->cert->not_after < clock_wall_ms() / 1000;
}

static void note_expired(struct tls_file *f, size_t n, const struct tls_file **first, size_t *count)
{
	for (size_t i = 0; i < n; i++)
		if (is_expired(&f[i]) && !f[i].expired_told) {
			f[i].expired_told = true;
			if ((*count)++ == 0)
				*first = &f[i];
		}
}

static void tell_expired(struct tls_files *f)
{
	const struct tls_file *first = NULL;
	char path[512];
	size_t n = 0;

	note_expired(f->named, f->conf->n_certificates, &first, &n);
	note_expired(f->found, f->n_found, &first, &n);
	if (n > 0)
		log_warning("certificate=%s expired=%zu past the end of validity, used all the "
			    "same%s",
			    log_quote(sv_from(first->path), path, sizeof(path)), n,
			    n > 1 ? " (the first of them)" : "");
}

static int look_at_all(struct tls_files *files, struct tls_file *f, size_t n, SSL_CTX *ctx,
		       int changed)
{
	for (size_t i = 0; i < n; i++) {
		int r = look_at(files, &f[i], ctx);
		if (r < 0)
			return r;
		changed |= r;
	}
	return changed;
}

int tls_files_read(struct tls_files *f, SSL_CTX *ctx)
{
	int r = f->conf->directory ? list_directory(f) : 0;

	if (r >= 0)
		r = look_at_all(f, f->named, f->conf->n_certificates, ctx, r);
	if (r >= 0)
		r = look_at_all(f, f->found, f->n_found, ctx, r);
	tls_pool_sweep(&f->pool);
	tell_expired(f);
	return r;
}

static size_t gather(struct tls_file *f, size_t n, struct tls_cert **to)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		if (f[i].cert)
			to[m++] = f[i].cert;
	return m;
}

int tls_files_certs(const struct tls_files *f, struct tls_cert ***ret_certs, size_t *ret_n)
{
	size_t max = f->conf->n_certificates + f->n_found;
	struct tls_cert **certs = calloc(max + 1, sizeof(struct tls_cert *));

	if (!certs)
		return -ENOMEM;
	size_t n = gather(f->named, f->conf->n_certificates, certs);
	n += gather(f->found, f->n_found, certs + n);
	*ret_certs = certs;
	*ret_n = n;
	return 0;
}

static void add_info(const struct tls_file *f, size_t n, struct tls_files_info *info)
{
	for (size_t i = 0; i < n; i++) {
		info->broken += f[i].why != NULL;
		if (!f[i].cert)
			continue;
		info->certs++;
		if (is_expired(&f[i]))
			info->expired++;
		else if (info->first_end == 0 || f[i].cert->not_after < info->first_end)
			info->first_end = f[i].cert->not_after;
	}
}

void tls_files_info(const struct tls_files *f, struct tls_files_info *ret_info)
{
	*ret_info = (struct tls_files_info) { 0 };
	add_info(f->named, f->conf->n_certificates, ret_info);
	ret_info->broken_named = ret_info->broken;
	add_info(f->found, f->n_found, ret_info);
}
