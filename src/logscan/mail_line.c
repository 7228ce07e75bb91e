#include "logscan/mail_line.h"

#include "base/clock.h"
#include "event/flat.h"

#include <inttypes.h>

#define LINE_SIZE (16 * (FLAT_QUOTED + 64))

static const char *finding_word(const struct mail_line *m)
{
	return m->finding < FINDING_COUNT ? finding_name(m->finding) : NULL;
}

static const char *reason_word(const struct mail_line *m)
{
	return m->reason < REASON_COUNT ? reason_name(m->reason) : NULL;
}

static const char *address_word(const struct addr *a, char *text)
{
	return a ? addr_format(a, text) : NULL;
}

static void write_json(FILE *out, const struct mail_line *m)
{
	char line[LINE_SIZE], text[ADDR_STRLEN];
	struct flat l = { line, 0, sizeof(line) };

	flat_word(&l, "time", clock_rfc3339(m->time_ms, text));
	flat_text(&l, "id", m->id);
	flat_word(&l, "client", address_word(m->client, text));
	flat_word(&l, "server", address_word(m->server, text));
	flat_string(&l, "sender", m->sender);
	flat_string(&l, "rcpt_domain", sv_from(m->rcpt_domain));
	flat_word(&l, "class", mail_class_name(m->class));
	flat_word(&l, "finding", finding_word(m));
	flat_word(&l, "reason", reason_word(m));
	if (m->class == CLASS_REFUSED)
		flat_word(&l, "bytes", NULL);
	else
		flat_number(&l, "bytes", m->bytes);
	flat_bool(&l, "auth", m->authenticated);
	fwrite(line, 1, flat_end(&l), out);
}

void csv_text(FILE *out, struct sv text)
{
	char quoted[FLAT_QUOTED];
	bool quote = false;

	text = flat_clean(text, quoted);
	for (size_t i = 0; i < text.n; i++)
		quote = quote || text.p[i] == '"' || text.p[i] == ',';
	if (quote)
		fputc('"', out);
	if (text.n > 0 && strchr("=+-@", text.p[0]))
		fputc('\'', out);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"')
			fputc('"', out);
		fputc(text.p[i], out);
	}
	if (quote)
		fputc('"', out);
}

static void csv_word(FILE *out, const char *word)
{
	fputc(',', out);
	if (word)
		fputs(word, out);
}

static void write_csv(FILE *out, const struct mail_line *m)
{
	char text[ADDR_STRLEN];

	fputs(clock_rfc3339(m->time_ms, text), out);
	fputc(',', out);
	csv_text(out, m->id);
	csv_word(out, address_word(m->client, text));
	csv_word(out, address_word(m->server, text));
	fputc(',', out);
	csv_text(out, m->sender);
	fputc(',', out);
	csv_text(out, sv_from(m->rcpt_domain));
	csv_word(out, mail_class_name(m->class));
	csv_word(out, finding_word(m));
	csv_word(out, reason_word(m));
	if (m->class == CLASS_REFUSED)
		fputc(',', out);
	else
		fprintf(out, ",%" PRIu64, m->bytes);
	csv_word(out, m->authenticated ? "true\n" : "false\n");
}

static void write_text(FILE *out, const struct mail_line *m)
{
	char text[ADDR_STRLEN], client[ADDR_STRLEN], sender[FLAT_QUOTED], domain[FLAT_QUOTED];
	struct sv from = flat_clean(m->sender, sender);
	struct sv to = flat_clean(sv_from(m->rcpt_domain), domain);

	fprintf(out, "%.19s  %-13s  %-15s  " SV_FMT "  <" SV_FMT ">\n",
		clock_rfc3339(m->time_ms, text), mail_class_name(m->class),
		m->client ? addr_format(m->client, client) : "-", SV_ARG(to), SV_ARG(from));
}

void mail_line_head(FILE *out, enum mail_format format)
{
	if (format == MAIL_CSV)
		fputs("time,id,client,server,sender,rcpt_domain,class,finding,reason,bytes,auth\n",
		      out);
}

void mail_line_write(FILE *out, enum mail_format format, const struct mail_line *m)
{
	switch (format) {
	case MAIL_JSON:
		write_json(out, m);
		break;
	case MAIL_CSV:
		write_csv(out, m);
		break;
	case MAIL_TEXT:
		write_text(out, m);
		break;
	}
}
