/*
 * The same mail as Postfix 3.7 logs it: with short queue ids and syslog's old time stamps, or with
 * long queue ids and RFC 3339 ones.
 */
#include "log_maker.h"

#include <time.h>

#define TLS_TEXT                                                                                   \
	": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 "         \
	"server-signature RSA-PSS (2048 bits) server-digest SHA256"

static void set_second(struct out *o, int64_t at)
{
	struct tm tm;
	time_t t = (time_t)at;

	gmtime_r(&t, &tm);
	o->second = (uint32_t)at;
	o->micro = 0;
	o->stamp_len = strftime(o->stamp, sizeof(o->stamp), "%b %e %H:%M:%S ", &tm);
}

static void set_second_rfc3339(struct out *o, int64_t at)
{
	struct tm tm;
	time_t t = (time_t)at;

	gmtime_r(&t, &tm);
	o->second = (uint32_t)at;
	o->micro = 0;
	o->stamp_len = strftime(o->stamp, sizeof(o->stamp), "%Y-%m-%dT%H:%M:%S.000000+00:00 ", &tm);
}

/* "TIME host1 postfix/PROGRAM[PID]: " */
static void begin_line(struct out *o, struct text program, unsigned pid)
{
	o->micro += o->micro < 999000 ? 311 : 0;
	put(o, (struct text) { o->stamp, o->stamp_len });
	if (o->stamp[4] == '-')
		for (uint32_t i = 0, v = o->micro; i < 6; i++, v /= 10)
			o->p[-8 - (int)i] = (char)('0' + v % 10);
	PUT(o, "host1 postfix/");
	put(o, program);
	*o->p++ = '[';
	put_number(o, pid);
	PUT(o, "]: ");
}

static void put_id(struct out *o, const struct mail *m)
{
	put(o, (struct text) { m->id, m->id_len });
	PUT(o, ": ");
}

/* The number of a file that no other message has at the time, and microseconds; long ids have the
 * second too, in letters that leave out vowels. */
static void make_id(struct out *o, struct mail *m)
{
	static const char set[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
	static uint32_t inode; /* one file after the other */
	int n;

	inode = (inode + 1) % 500000;
	m->pid = 1000 + inode % 60000;
	if (o->stamp[4] != '-') {
		n = snprintf(m->id, sizeof(m->id), "%05X%X", rng_below(&m->rng, 0xf4240),
			     0x20000 + inode);
		m->id_len = (size_t)n;
		return;
	}
	uint64_t parts[3] = { o->second, rng_below(&m->rng, 1000000), 0x20000 + inode };
	const int digits[3] = { 6, 4, 4 };
	char *p = m->id;

	for (int i = 0; i < 3; i++) {
		if (i == 2)
			*p++ = 'z';
		for (int k = digits[i] - 1; k >= 0; k--, parts[i] /= i == 2 ? 51 : 52)
			p[k] = set[parts[i] % (i == 2 ? 51 : 52)];
		p += digits[i];
	}
	m->id_len = (size_t)(p - m->id);
}

static void put_client(struct out *o, const struct client *c)
{
	put(o, c->name.n > 0 ? c->name : TEXT("unknown"));
	*o->p++ = '[';
	put(o, c->ip);
	*o->p++ = ']';
}

static struct text smtpd(const struct mail *m)
{
	return m->way == BY_LOGIN ? TEXT("submission/smtpd") : TEXT("smtpd");
}

static void put_tls(struct out *o, struct text program, unsigned pid, const struct client *c)
{
	begin_line(o, program, pid);
	PUT(o, "Anonymous TLS connection established from ");
	put_client(o, c);
	PUT(o, TLS_TEXT);
	end_line(o);
}

static void connect_line(struct out *o, struct text program, unsigned pid, const struct client *c)
{
	begin_line(o, program, pid);
	PUT(o, "connect from ");
	put_client(o, c);
	end_line(o);
}

static void begin(struct out *o, struct mail *m)
{
	make_id(o, m);
	if (m->way == BY_HAND) {
		begin_line(o, TEXT("pickup"), 700);
		put_id(o, m);
		PUT(o, "uid=33 from=<");
		put(o, m->sender.local);
		*o->p++ = '>';
		end_line(o);
		return;
	}
	connect_line(o, smtpd(m), m->pid, m->client);
	if (m->tls)
		put_tls(o, smtpd(m), m->pid, m->client);
	begin_line(o, smtpd(m), m->pid);
	put_id(o, m);
	PUT(o, "client=");
	put_client(o, m->client);
	if (m->way == BY_LOGIN) {
		PUT(o, ", sasl_method=PLAIN, sasl_username=");
		put_address(o, &m->login);
	}
	end_line(o);
}

/* What cleanup and the queue manager say of each. */
static void queue(struct out *o, struct mail *m)
{
	begin_line(o, TEXT("cleanup"), 800 + m->pid % 8);
	put_id(o, m);
	PUT(o, "message-id=<");
	put_message_id(o, m);
	*o->p++ = '>';
	end_line(o);
	begin_line(o, TEXT("qmgr"), 701);
	put_id(o, m);
	PUT(o, "from=<");
	if (m->sender.domain.n > 0)
		put_address(o, &m->sender);
	PUT(o, ">, size=");
	put_number(o, m->size);
	PUT(o, ", nrcpt=");
	put_number(o, m->n_rcpts);
	PUT(o, " (queue active)");
	end_line(o);
}

static void arrive(struct out *o, struct mail *m)
{
	queue(o, m);
	if (!m->client)
		return;
	begin_line(o, smtpd(m), m->pid);
	PUT(o, "disconnect from ");
	put_client(o, m->client);
	PUT(o, " ehlo=2 starttls=1 mail=1 rcpt=");
	put_number(o, m->n_rcpts);
	PUT(o, " data=1 quit=1 commands=7");
	end_line(o);
}

static void bounce(struct out *o, const struct mail *failed, struct mail *m)
{
	make_id(o, m);
	begin_line(o, TEXT("bounce"), 900);
	put_id(o, failed);
	PUT(o, "sender non-delivery notification: ");
	put(o, (struct text) { m->id, m->id_len });
	end_line(o);
	queue(o, m);
}

static void put_recipient(struct out *o, const struct rcpt *to)
{
	PUT(o, "to=<");
	if (to->forward.n > 0) {
		put(o, to->forward);
		*o->p++ = '@';
		put(o, to->remote->domain);
		PUT(o, ">, orig_to=<");
	}
	put_address(o, &to->to);
	PUT(o, ">, relay=");
}

static void put_status(struct out *o, const struct mail *m, const struct rcpt *to, bool later)
{
	if (later) {
		PUT(o, ", dsn=4.4.1, status=deferred (");
		if (to->remote)
			PUT(o, "connect to mx: Connection timed out)");
		else
			PUT(o, "451 4.3.0 try again later (in reply to RCPT TO command))");
	} else if (to->fails) {
		PUT(o, ", dsn=5.1.1, status=bounced (host said: 550 5.1.1 <");
		put_address(o, &to->to);
		PUT(o, "> unknown user (in reply to RCPT TO command))");
	} else {
		PUT(o, ", dsn=2.0.0, status=sent (");
		if (!to->remote && !to->lmtp) {
			PUT(o, "delivered to maildir)");
			return;
		}
		PUT(o, "250 2.0.0 ");
		put_hex(o, m->words, 16);
		PUT(o, " Saved)");
	}
}

static void deliver(struct out *o, struct mail *m, const struct rcpt *to, bool again)
{
	bool later = to->deferred && !again;
	struct text program = to->remote ? TEXT("smtp") : TEXT("virtual");

	if (!to->remote && (to->lmtp || to->fails || later))
		program = TEXT("lmtp");
	begin_line(o, program, 1000 + m->pid % 977);
	put_id(o, m);
	put_recipient(o, to);
	if (to->remote && later) {
		PUT(o, "none");
	} else if (to->remote) {
		put(o, to->remote->mx);
		*o->p++ = '[';
		put(o, to->remote->ip);
		PUT(o, "]:25");
	} else {
		put(o, program.p[0] == 'l' ? TEXT("host1[private/dovecot-lmtp]") : TEXT("virtual"));
	}
	PUT(o, ", delay=");
	put_number(o, 1 + (m->words & 3));
	PUT(o, ".4, delays=0.4/0.01/0.3/");
	put_number(o, m->words & 3);
	PUT(o, ".7");
	put_status(o, m, to, later);
	end_line(o);
}

static void done(struct out *o, struct mail *m)
{
	begin_line(o, TEXT("qmgr"), 701);
	put_id(o, m);
	PUT(o, "removed");
	end_line(o);
}

static void refuse(struct out *o, struct mail *m)
{
	static const struct text why[] = {
		TEXT("550 5.1.1 <%>: Recipient address rejected: User unknown in virtual mailbox "
		     "table"),
		TEXT("554 5.7.1 <%>: Relay access denied"),
		TEXT("554 5.7.1 Service unavailable; blocked using zen.dnsbl.example"),
		TEXT("450 4.2.0 <%>: Recipient address rejected: Greylisted"),
	};
	struct text before = why[m->refusal], after = { "", 0 };
	const char *hole = memchr(before.p, '%', before.n);

	m->pid = 1000 + rng_below(&m->rng, 60000);
	connect_line(o, TEXT("smtpd"), m->pid, m->client);
	begin_line(o, TEXT("smtpd"), m->pid);
	PUT(o, "NOQUEUE: reject: RCPT from ");
	put_client(o, m->client);
	PUT(o, ": ");
	if (hole) {
		after = (struct text) { hole + 1, (size_t)(before.p + before.n - hole - 1) };
		before.n = (size_t)(hole - before.p);
	}
	put(o, before);
	if (hole)
		put_address(o, &m->rcpts[0].to);
	put(o, after);
	PUT(o, "; from=<");
	if (m->sender.domain.n > 0)
		put_address(o, &m->sender);
	PUT(o, "> to=<");
	put_address(o, &m->rcpts[0].to);
	PUT(o, "> proto=ESMTP helo=<");
	put(o, m->client->helo);
	*o->p++ = '>';
	end_line(o);
	begin_line(o, TEXT("smtpd"), m->pid);
	PUT(o, "disconnect from ");
	put_client(o, m->client);
	PUT(o, " ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4");
	end_line(o);
}

static void noise(struct out *o, const struct client *c, struct rng *r)
{
	unsigned pid = 1000 + rng_below(r, 60000);

	switch (rng_below(r, 4)) {
	case 0:
		begin_line(o, TEXT("smtpd"), pid);
		PUT(o, "warning: hostname host.example does not resolve to address ");
		put(o, c->ip);
		PUT(o, ": Name or service not known");
		break;
	case 1:
		begin_line(o, TEXT("submission/smtpd"), pid);
		PUT(o, "warning: ");
		put_client(o, c);
		PUT(o, ": SASL LOGIN authentication failed: UGFzc3dvcmQ6");
		break;
	case 2:
		connect_line(o, TEXT("smtpd"), pid, c);
		begin_line(o, TEXT("smtpd"), pid);
		PUT(o, "lost connection after EHLO from ");
		put_client(o, c);
		break;
	default:
		begin_line(o, TEXT("anvil"), 702);
		PUT(o, "statistics: max connection rate 3/60s for (smtp:");
		put(o, c->ip);
		PUT(o, ") at Nov 17 09:28:01");
		break;
	}
	end_line(o);
}

const struct format format_postfix = { set_second, begin, arrive, bounce,
				       deliver,    done,  refuse, noise };
const struct format format_postfix_rfc3339 = {
	set_second_rfc3339, begin, arrive, bounce, deliver, done, refuse, noise
};
