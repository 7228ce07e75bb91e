/*
 * Makes the main log of a mail server with thousands of domains, for the bench of `frontdoor logs`
 * and to see that it counts right:
 *
 *     log_maker [--format exim|postfix|rfc3339] [--bytes N[K|M|G]] [--seed N] [--domains N]
 *               [--days N] [--doors FILE] [--truth FILE] [FILE]
 *
 * Of the domains 60 % have one of 60 scanners, 30 % have their MX here, 10 % neither. Of the mail
 * 55 % comes by a scanner, 10 % past it, 15 % from users who logged in, 10 % to domains without a
 * scanner; the rest is local, relayed, refused, or for the odd doors. Busy at noon, quiet at night
 * and on Sundays. rfc3339 is Postfix with such time stamps and long queue ids.
 *
 * --doors FILE gets the DNS of it all, one record a line, as `frontdoor logs --doors` reads them;
 * --truth FILE gets what is in the log, as JSON: mails (messages x recipient domains) and their
 * octets by class. The same options make the same octets.
 */
#include "log_maker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#define START      1794182400 /* 2026-11-09 00:00:00 UTC, a Monday */
#define DAY        86400
#define SLOTS      8192 /* seconds: what happens to a mail next is nearer than that */
#define QUIET      (2 * 3600)
#define OUT_SIZE   (1 << 20)
#define LINE_MOST  8192
#define RETRY_MOST 3600

struct maker {
	const struct format *format;
	uint64_t bytes, seed, number;
	uint32_t n_domains, days;
	const char *doors, *truth_file;
	struct world world;
	struct truth truth;
	struct out out;
	struct slot {
		struct mail *first, **last;
	} slots[SLOTS];
	uint32_t second;
	uint64_t waiting;
	struct mail *unused;
};

static void fail(const char *what)
{
	fprintf(stderr, "log_maker: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- octets ---- */

void out_flush(struct out *o)
{
	for (const char *p = o->start; p < o->p;) {
		ssize_t n = write(o->fd, p, (size_t)(o->p - p));

		if (n < 0 && errno != EINTR)
			fail("write");
		p += n > 0 ? n : 0;
	}
	o->flushed += (uint64_t)(o->p - o->start);
	o->p = o->start;
}

void put_hex(struct out *o, uint64_t v, unsigned digits)
{
	for (unsigned i = digits; i-- > 0; v >>= 4)
		o->p[i] = "0123456789abcdef"[v & 15];
	o->p += digits;
}

void put_address(struct out *o, const struct address *a)
{
	put(o, a->local);
	if (a->tag) {
		*o->p++ = '-';
		put_hex(o, a->tag, 8);
	}
	*o->p++ = '@';
	put(o, a->domain);
}

/* As Exim quotes it. One in a thousand tries to look like what follows it. */
void put_subject(struct out *o, uint64_t words)
{
	static const struct text list[] = {
		TEXT("Re:"),
		TEXT("invoice"),
		TEXT("your"),
		TEXT("order"),
		TEXT("Rechnung"),
		TEXT("meeting"),
		TEXT("on"),
		TEXT("Monday"),
		TEXT("confirmed"),
		TEXT("the"),
		TEXT("report"),
		TEXT("for"),
		TEXT("November"),
		TEXT("20%"),
		TEXT("off"),
		TEXT("delivery"),
		TEXT("update"),
		TEXT("Fwd:"),
		TEXT("gr\\303\\274n"),
		TEXT("newsletter"),
		TEXT("[ticket"),
		TEXT("#4711]"),
		TEXT("password"),
		TEXT("account"),
		TEXT("\\\"quoted\\\""),
		TEXT("from"),
		TEXT("minutes"),
		TEXT("offer"),
		TEXT("AW:"),
		TEXT("schedule"),
		TEXT("photos"),
		TEXT("-"),
	};

	if (words % 1000 == 7) {
		PUT(o, "x\\\" from <a@b.example> for c@d.example H=(e) [192.0.2.1]:25 "
		       "P=local S=1 <= f@g.example");
		return;
	}
	for (uint64_t n = 2 + words % 7; n > 0; n--, words >>= 5) {
		put(o, list[words % 32]);
		if (n > 1)
			*o->p++ = ' ';
	}
}

void put_message_id(struct out *o, const struct mail *m)
{
	put_hex(o, m->words, 16);
	*o->p++ = '.';
	put_hex(o, m->words >> 20, 8);
	*o->p++ = '@';
	put(o, m->sender.domain.n > 0 ? m->sender.domain : TEXT(HOST));
}

static uint64_t written(const struct out *o)
{
	return o->flushed + (uint64_t)(o->p - o->start);
}

/* ---- time ---- */

static struct mail *new_mail(struct maker *m)
{
	struct mail *mail = m->unused;

	if (mail)
		m->unused = mail->next;
	else
		mail = malloc(sizeof(*mail));
	if (!mail)
		fail("memory");
	return mail;
}

static void free_mail(struct maker *m, struct mail *mail)
{
	mail->next = m->unused;
	m->unused = mail;
}

static void later(struct maker *m, struct mail *mail, uint32_t seconds)
{
	struct slot *s = &m->slots[(m->second + seconds) % SLOTS];

	mail->next = NULL;
	*s->last = mail;
	s->last = &mail->next;
	m->waiting++;
}

static void begin(struct maker *m)
{
	struct mail *mail = new_mail(m);

	mail_draw(&m->world, &m->truth, m->seed, m->number++, mail);
	if (mail->client && rng_permille(&mail->rng, 120)) {
		struct crowd bots = m->world.bots;

		m->format->noise(&m->out,
				 &m->world.clients[bots.first + rng_below(&mail->rng, bots.n)],
				 &mail->rng);
	}
	if (mail->way == NOT_TAKEN) {
		m->format->refuse(&m->out, mail);
		free_mail(m, mail);
		return;
	}
	m->format->begin(&m->out, mail);
	later(m, mail, rng_below(&mail->rng, 3));
}

static void send_bounce(struct maker *m, struct mail *failed)
{
	struct mail *mail;

	if (failed->sender.domain.n == 0)
		return;
	mail = new_mail(m);
	mail_draw_bounce(&m->world, &m->truth, failed, mail);
	m->format->bounce(&m->out, failed, mail);
	mail->step = 1;
	later(m, mail, rng_below(&mail->rng, 2));
}

/* Step 0 is its arrival, two for each recipient follow: the first attempt, and a retry. */
static void go_on(struct maker *m, struct mail *mail)
{
	const struct rcpt *to;
	unsigned i;

	if (mail->step == 0) {
		m->format->arrive(&m->out, mail);
		mail->step++;
		later(m, mail, rng_below(&mail->rng, 3));
		return;
	}
	i = (mail->step - 1) / 2;
	if (i == mail->n_rcpts) {
		m->format->done(&m->out, mail);
		free_mail(m, mail);
		return;
	}
	to = &mail->rcpts[i];
	m->format->deliver(&m->out, mail, to, mail->step % 2 == 0);
	if (to->deferred && mail->step % 2 == 1) {
		mail->step++;
		later(m, mail, 300 + rng_below(&mail->rng, RETRY_MOST - 300));
		return;
	}
	mail->step = 2 * i + 3;
	if (to->fails)
		send_bounce(m, mail);
	later(m, mail, rng_permille(&mail->rng, 200));
}

static void run_second(struct maker *m)
{
	struct slot *s = &m->slots[m->second % SLOTS];

	while (s->first) {
		struct mail *mail = s->first;

		s->first = mail->next;
		if (!s->first)
			s->last = &s->first;
		m->waiting--;
		go_on(m, mail);
	}
}

/* How busy an hour is. */
static double weight(uint32_t second)
{
	static const double hours[24] = { 3,  2,  2,  2,  2,  3,  5, 8, 11, 14, 15, 14,
					  13, 14, 15, 14, 13, 11, 9, 8, 7,  6,  5,  4 };
	uint32_t day = second / DAY % 7;

	return hours[second % DAY / 3600] * (day == 6 ? 0.3 : day == 5 ? 0.45 : 1);
}

static void make(struct maker *m)
{
	uint32_t end = m->days * DAY - QUIET;
	double sum = 0, total = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		m->slots[i] = (struct slot) { NULL, &m->slots[i].first };
	for (uint32_t hour = 0; hour < end / 3600; hour++)
		total += weight(hour * 3600) * 3600;
	for (m->second = 0; m->second < end || m->waiting > 0; m->second++) {
		m->format->set_second(&m->out, START + (int64_t)m->second);
		if (m->second < end) {
			sum += weight(m->second);
			while ((double)written(&m->out) < (double)m->bytes * (sum / total))
				begin(m);
		}
		run_second(m);
	}
	out_flush(&m->out);
}

/* ---- truth ---- */

static void write_truth(const struct maker *m, FILE *f)
{
	static const char *const names[CLASS_COUNT] = {
		[CLASS_SCANNER] = "scanner",
		[CLASS_DIRECT] = "direct",
		[CLASS_AUTHENTICATED] = "authenticated",
		[CLASS_TRUSTED] = "trusted",
		[CLASS_LOCAL] = "local",
		[CLASS_SELF] = "self",
		[CLASS_BACKUP] = "backup",
		[CLASS_ELSEWHERE] = "elsewhere",
		[CLASS_NULL] = "null",
		[CLASS_DNS] = "dns",
		[CLASS_NOT_HOSTED] = "not-hosted",
		[CLASS_UNKNOWN] = "unknown",
		[CLASS_REFUSED] = "refused",
	};
	const struct truth *t = &m->truth;

	fprintf(f, "{\"bytes\": %llu, \"lines\": %llu, \"received\": %llu, \"mails\": %llu",
		(unsigned long long)written(&m->out), (unsigned long long)m->out.lines,
		(unsigned long long)t->received, (unsigned long long)t->mails);
	fprintf(f, ", \"servers\": [\"" SERVER_V4 "\", \"" SERVER_V6 "\"],\n \"classes\": {");
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		const struct class_truth *c = &t->classes[i];

		fprintf(f, "%s\n  \"%s\": {\"mails\": %llu, \"bytes\": %llu", i ? "," : "",
			names[i], (unsigned long long)c->mails, (unsigned long long)c->bytes);
		/* Of the others some domains, or clients, are not of this world. */
		if (i != CLASS_AUTHENTICATED && i != CLASS_LOCAL && i != CLASS_NOT_HOSTED &&
		    i != CLASS_REFUSED)
			fprintf(f, ", \"domains\": %llu, \"clients\": %llu",
				(unsigned long long)c->domains, (unsigned long long)c->clients);
		fputc('}', f);
	}
	fputs("}}\n", f);
}

static void write_file(const char *file, const struct maker *m, bool doors)
{
	FILE *f = fopen(file, "w");

	if (!f)
		fail(file);
	if (doors)
		world_write_doors(&m->world, f);
	else
		write_truth(m, f);
	if (ferror(f) || fclose(f) != 0)
		fail(file);
}

/* ---- the command ---- */

static void usage(void)
{
	fputs("usage: log_maker [--format exim|postfix|rfc3339] [--bytes N[K|M|G]] [--seed N]\n"
	      "                 [--domains N] [--days N] [--doors FILE] [--truth FILE] [FILE]\n",
	      stderr);
	exit(64);
}

static uint64_t number(const char *s, uint64_t least, uint64_t most)
{
	static const char units[] = "KMG";
	char *end;
	uint64_t v = strtoull(s, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;

	if (unit)
		v <<= 10 * (unit - units + 1);
	if (end == s || *(end + (unit != NULL)) || v < least || v > most)
		usage();
	return v;
}

static const struct format *format_named(const char *name)
{
	if (strcmp(name, "exim") == 0)
		return &format_exim;
	if (strcmp(name, "postfix") == 0)
		return &format_postfix;
	if (strcmp(name, "rfc3339") != 0)
		usage();
	return &format_postfix_rfc3339;
}

static void options(struct maker *m, int argc, char **argv)
{
	static const struct option list[] = {
		{ "format", required_argument, NULL, 'f' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "seed", required_argument, NULL, 's' },
		{ "domains", required_argument, NULL, 'd' },
		{ "days", required_argument, NULL, 'y' },
		{ "doors", required_argument, NULL, 'o' },
		{ "truth", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", list, NULL)) != -1;) {
		switch (c) {
		case 'f':
			m->format = format_named(optarg);
			break;
		case 'b':
			m->bytes = number(optarg, 1, 1ull << 42);
			break;
		case 's':
			m->seed = number(optarg, 0, UINT64_MAX);
			break;
		case 'd':
			m->n_domains = (uint32_t)number(optarg, 100, 300000);
			break;
		case 'y':
			m->days = (uint32_t)number(optarg, 1, 366);
			break;
		case 'o':
			m->doors = optarg;
			break;
		case 't':
			m->truth_file = optarg;
			break;
		default:
			usage();
		}
	}
	if (argc - optind > 1)
		usage();
	m->out.fd = STDOUT_FILENO;
	if (optind < argc)
		m->out.fd = open(argv[optind], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (m->out.fd < 0)
		fail(argv[optind]);
}

int main(int argc, char **argv)
{
	static struct maker m = {
		.format = &format_exim, .bytes = 1 << 30, .seed = 1, .n_domains = 5000, .days = 14
	};

	options(&m, argc, argv);
	m.out.start = m.out.p = malloc(OUT_SIZE + LINE_MOST);
	if (!m.out.start)
		fail("memory");
	m.out.end = m.out.start + OUT_SIZE;
	world_init(&m.world, m.n_domains, m.seed);
	make(&m);
	if (m.out.fd != STDOUT_FILENO && close(m.out.fd) < 0)
		fail("close");
	if (m.doors)
		write_file(m.doors, &m, true);
	if (m.truth_file)
		write_file(m.truth_file, &m, false);
	while (m.unused) {
		struct mail *next = m.unused->next;

		free(m.unused);
		m.unused = next;
	}
	free(m.out.start);
	world_deinit(&m.world);
	return 0;
}
