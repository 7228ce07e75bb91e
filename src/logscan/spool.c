#include "logscan/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_MAX 512 /* more than is ever shown */

struct record {
	uint32_t flow;
	uint16_t server, id_len, sender_len;
	bool has_client, authenticated;
	int64_t time_ms;
	uint64_t bytes;
	struct addr client;
};

int spool_open(struct spool *s)
{
	const char *folder = getenv("TMPDIR");
	int fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	*s = (struct spool) { 0 };
	/* Not every file system can do without a name. */
	s->file = fd >= 0 ? fdopen(fd, "w+") : tmpfile();
	if (s->file)
		return 0;
	int r = -errno;

	if (fd >= 0)
		close(fd);
	return r;
}

void spool_close(struct spool *s)
{
	if (s->file)
		fclose(s->file);
	*s = (struct spool) { 0 };
}

void spool_add(struct spool *s, const struct mail *mail, uint32_t flow)
{
	struct record r = {
		.flow = flow,
		.client = mail->client,
		.server = mail->server,
		.id_len = (uint16_t)min_size(mail->id.n, TEXT_MAX),
		.sender_len = (uint16_t)min_size(mail->sender.n, TEXT_MAX),
		.has_client = mail->has_client,
		.authenticated = mail->authenticated,
		.time_ms = mail->time_ms,
		.bytes = mail->bytes,
	};

	if (fwrite(&r, sizeof(r), 1, s->file) != 1 ||
	    (r.id_len > 0 && fwrite(mail->id.p, 1, r.id_len, s->file) != r.id_len) ||
	    (r.sender_len > 0 &&
	     fwrite(mail->sender.p, 1, r.sender_len, s->file) != r.sender_len)) {
		s->error = s->error ? s->error : errno;
		return;
	}
	s->n++;
}

static void write_record(const struct record *r, const char *text, const struct book *b,
			 enum mail_format format, FILE *out)
{
	const struct flow *f = &b->flows[r->flow];
	struct mail_line m = {
		.time_ms = r->time_ms,
		.id = { text, r->id_len },
		.client = r->has_client ? &r->client : NULL,
		.server = r->server ? &b->servers[r->server] : NULL,
		.sender = { text + r->id_len, r->sender_len },
		.rcpt_domain = b->domains[f->verdict_domain].name,
		.class = (enum mail_class)f->class,
		.finding = (enum finding)f->finding,
		.reason = (enum reason)f->reason,
		.bytes = r->bytes,
		.authenticated = r->authenticated,
	};

	mail_line_write(out, format, &m);
}

int spool_flush(struct spool *s, const struct book *b, enum mail_format format, FILE *out)
{
	char text[2 * TEXT_MAX];
	struct record r;

	if (s->error)
		return -s->error;
	if (fflush(s->file) != 0 || fseek(s->file, 0, SEEK_SET) != 0)
		return -errno;
	errno = 0;
	for (uint64_t i = 0; i < s->n; i++) {
		if (fread(&r, sizeof(r), 1, s->file) != 1 ||
		    fread(text, 1, (size_t)r.id_len + r.sender_len, s->file) !=
			    (size_t)r.id_len + r.sender_len)
			return errno ? -errno : -EIO;
		if (b->flows[r.flow].judged)
			write_record(&r, text, b, format, out);
		/* nobody reads on, or there is no room: no need to go through all the rest */
		if (ferror(out))
			return errno ? -errno : -EIO;
	}
	rewind(s->file);
	s->n = 0;
	return ftruncate(fileno(s->file), 0) < 0 ? -errno : 0;
}
