/*
 * Exim 4.96's main log with the log_selector of a hoster: +pid +incoming_interface +incoming_port
 * +received_recipients +received_sender +subject.
 */
#include "log_maker.h"

#include <time.h>

static void set_second(struct out *o, int64_t at)
{
	struct tm tm;
	time_t t = (time_t)at;

	gmtime_r(&t, &tm);
	o->second = (uint32_t)at;
	o->stamp_len = strftime(o->stamp, sizeof(o->stamp), "%Y-%m-%d %H:%M:%S [", &tm);
}

static void put_start(struct out *o, unsigned pid)
{
	put(o, (struct text) { o->stamp, o->stamp_len });
	put_number(o, pid);
	PUT(o, "] ");
}

static void put_id(struct out *o, const struct mail *m)
{
	put(o, (struct text) { m->id, m->id_len });
}

static void begin_line(struct out *o, const struct mail *m, unsigned pid)
{
	put_start(o, pid);
	put_id(o, m);
	*o->p++ = ' ';
}

static void base62(char *at, uint64_t v, int digits)
{
	static const char set[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	for (int i = digits - 1; i >= 0; i--, v /= 62)
		at[i] = set[v % 62];
}

/* "1tAbCd-0003Dh-2X": the second, the process, a fraction of the second. */
static void make_id(struct out *o, struct mail *m)
{
	o->micro = (o->micro + 37) % 1900000; /* the next process, as it were */
	m->pid = 1000 + o->micro;
	base62(m->id, o->second, 6);
	m->id[6] = '-';
	base62(m->id + 7, m->pid, 6);
	m->id[13] = '-';
	base62(m->id + 14, rng_below(&m->rng, 2000), 2);
	m->id_len = 16;
}

/* "H=name (helo) [ip]:port I=[server]:25" */
static void put_host(struct out *o, const struct client *c, struct rng *r, const char *port)
{
	bool same = c->name.n == c->helo.n && memcmp(c->name.p, c->helo.p, c->name.n) == 0;

	PUT(o, "H=");
	put(o, c->name);
	if (!same && c->helo.n > 0) {
		if (c->name.n > 0)
			*o->p++ = ' ';
		*o->p++ = '(';
		put(o, c->helo);
		*o->p++ = ')';
	}
	PUT(o, " [");
	put(o, c->ip);
	PUT(o, "]:");
	put_number(o, 1025 + rng_below(r, 64000));
	PUT(o, " I=[");
	if (c->ip.n == 9 && memcmp(c->ip.p, "127.0.0.1", 9) == 0)
		put(o, c->ip);
	else
		put(o, c->v6 ? TEXT(SERVER_V6) : TEXT(SERVER_V4));
	PUT(o, "]:");
	put(o, (struct text) { port, strlen(port) });
}

static void put_tls(struct out *o, struct rng *r)
{
	PUT(o, " X=");
	if (rng_permille(r, 800))
		PUT(o, "TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256");
	else
		PUT(o, "TLS1.2:ECDHE_SECP256R1__RSA_SHA256__AES_128_GCM:128");
	PUT(o, " CV=no");
}

static void put_sender(struct out *o, const struct mail *m)
{
	if (m->sender.domain.n == 0)
		PUT(o, "<>");
	else
		put_address(o, &m->sender);
}

/* From S= to the end, which all arrivals have. */
static void put_envelope(struct out *o, const struct mail *m)
{
	PUT(o, " S=");
	put_number(o, m->size);
	PUT(o, " id=");
	put_message_id(o, m);
	PUT(o, " T=\"");
	if (m->way == BY_BOUNCE)
		PUT(o, "Mail delivery failed: returning message to sender");
	else
		put_subject(o, m->words);
	PUT(o, "\" from <");
	if (m->sender.domain.n > 0)
		put_address(o, &m->sender);
	PUT(o, "> for");
	for (unsigned i = 0; i < m->n_rcpts; i++) {
		*o->p++ = ' ';
		put_address(o, &m->rcpts[i].to);
	}
	end_line(o);
}

static void begin(struct out *o, struct mail *m)
{
	make_id(o, m);
	if (m->way != BY_WORLD || !m->tls || m->sender.domain.n == 0 || !rng_permille(&m->rng, 200))
		return;
	begin_line(o, m, m->pid);
	PUT(o, "DKIM: d=");
	put(o, m->sender.domain);
	PUT(o, " s=s2048 c=relaxed/relaxed a=rsa-sha256 b=2048 [verification succeeded]");
	end_line(o);
}

static void arrive(struct out *o, struct mail *m)
{
	bool login = m->way == BY_LOGIN;

	begin_line(o, m, m->pid);
	PUT(o, "<= ");
	put_sender(o, m);
	if (m->way == BY_HAND) {
		PUT(o, " U=");
		put(o, m->sender.local);
		PUT(o, " P=local");
	} else {
		*o->p++ = ' ';
		put_host(o, m->client, &m->rng, login ? m->size % 2 ? "465" : "587" : "25");
		PUT(o, " P=esmtp");
		put(o, login ? TEXT("sa") : m->tls ? TEXT("s") : TEXT(""));
		if (m->tls)
			put_tls(o, &m->rng);
		if (login) {
			PUT(o, " A=dovecot_plain:");
			put_address(o, &m->login);
		}
		if (m->chunking)
			PUT(o, " K");
	}
	put_envelope(o, m);
}

static void bounce(struct out *o, const struct mail *failed, struct mail *m)
{
	make_id(o, m);
	begin_line(o, m, m->pid);
	PUT(o, "<= <> R=");
	put_id(o, failed);
	PUT(o, " U=Debian-exim P=local");
	put_envelope(o, m);
}

static void put_next_hop(struct out *o, const struct remote *remote)
{
	PUT(o, " R=dnslookup T=remote_smtp");
	if (!remote)
		return;
	PUT(o, " H=");
	put(o, remote->mx);
	PUT(o, " [");
	put(o, remote->ip);
	*o->p++ = ']';
}

static void put_recipient(struct out *o, const struct rcpt *to)
{
	if (to->forward.n > 0) {
		put(o, to->forward);
		*o->p++ = '@';
		put(o, to->remote->domain);
		PUT(o, " <");
		put_address(o, &to->to);
		*o->p++ = '>';
	} else if (to->remote || to->lmtp) {
		put_address(o, &to->to);
	} else {
		put(o, to->to.local);
		PUT(o, " <");
		put_address(o, &to->to);
		*o->p++ = '>';
	}
}

static void put_sent(struct out *o, const struct mail *m, const struct rcpt *to)
{
	if (to->remote) {
		put_next_hop(o, to->remote);
		PUT(o, " X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes"
		       " C=\"250 2.0.0 OK  ");
		put_number(o, o->second);
		*o->p++ = ' ';
		put_hex(o, m->words, 16);
		PUT(o, " - gsmtp\"");
	} else if (to->lmtp) {
		PUT(o, " R=virtual_user T=dovecot_lmtp C=\"250 2.0.0 <");
		put_address(o, &to->to);
		PUT(o, "> ");
		put_hex(o, m->words, 12);
		PUT(o, " Saved\"");
	} else {
		PUT(o, " R=virtual_user T=virtual_userdelivery");
	}
}

static void deliver(struct out *o, struct mail *m, const struct rcpt *to, bool again)
{
	bool later = to->deferred && !again;

	begin_line(o, m, m->pid + 3);
	put(o, later ? TEXT("== ") : to->fails ? TEXT("** ") : TEXT("=> "));
	put_recipient(o, to);
	if (later && to->remote) {
		PUT(o, " R=dnslookup T=remote_smtp defer (110): Connection timed out H=");
		put(o, to->remote->mx);
		PUT(o, " [");
		put(o, to->remote->ip);
		*o->p++ = ']';
	} else if (later) {
		PUT(o, " R=virtual_user T=dovecot_lmtp defer (-46): LMTP error after RCPT TO:<");
		put_address(o, &to->to);
		PUT(o, ">: 451 4.3.0 try again later");
	} else if (to->fails && to->remote) {
		put_next_hop(o, to->remote);
		PUT(o, ": SMTP error from remote mail server after RCPT TO:<");
		put_address(o, &to->to);
		PUT(o, ">: 550 5.1.1 unknown user");
	} else if (to->fails) {
		PUT(o, " R=virtual_user T=virtual_userdelivery: mailbox is full (over quota)");
	} else {
		put_sent(o, m, to);
	}
	end_line(o);
}

static void done(struct out *o, struct mail *m)
{
	begin_line(o, m, m->pid);
	PUT(o, "Completed");
	end_line(o);
}

static void refuse(struct out *o, struct mail *m)
{
	static const struct text why[] = {
		TEXT(": no such address here"),
		TEXT(": relay not permitted"),
		TEXT(": listed at zen.dnsbl.example (127.0.0.4)"),
		TEXT(": greylisted, please try again in 300 seconds"),
	};

	put_start(o, 1000 + rng_below(&m->rng, 60000));
	put_host(o, m->client, &m->rng, "25");
	if (m->tls)
		put_tls(o, &m->rng);
	PUT(o, " F=<");
	if (m->sender.domain.n > 0)
		put_address(o, &m->sender);
	put(o, m->refusal == 3 ? TEXT("> temporarily rejected RCPT <") : TEXT("> rejected RCPT <"));
	put_address(o, &m->rcpts[0].to);
	*o->p++ = '>';
	put(o, why[m->refusal]);
	end_line(o);
}

static void noise(struct out *o, const struct client *c, struct rng *r)
{
	put_start(o, 1000 + rng_below(r, 60000));
	switch (rng_below(r, 6)) {
	case 0:
		PUT(o, "no host name found for IP address ");
		put(o, c->ip);
		break;
	case 1:
		PUT(o, "dovecot_login authenticator failed for ");
		put_host(o, c, r, "587");
		PUT(o, ": 535 Incorrect authentication data (set_id=info)");
		break;
	case 2:
		PUT(o, "unexpected disconnection while reading SMTP command from ");
		put_host(o, c, r, "25");
		PUT(o, " D=2s");
		break;
	case 3:
		PUT(o, "SMTP protocol synchronization error (input sent without waiting for "
		       "greeting): rejected connection from H=[");
		put(o, c->ip);
		PUT(o, "]:4711 input=\"EHLO x\\r\\nMAIL FROM:<a@b.example>\\r\\n\"");
		break;
	case 4:
		PUT(o, "TLS error on connection from ");
		put_host(o, c, r, "25");
		PUT(o, " (gnutls_handshake): The TLS connection was non-properly terminated.");
		break;
	default:
		PUT(o, "SMTP syntax error in \"GET / HTTP/1.1\" ");
		put_host(o, c, r, "25");
		PUT(o, " unrecognized command");
		break;
	}
	end_line(o);
}

const struct format format_exim = {
	set_second, begin, arrive, bounce, deliver, done, refuse, noise
};
