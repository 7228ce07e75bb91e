#include "dns/wire.h"

#include <errno.h>

enum {
	HEADER_SIZE = 12,
	CLASS_IN = 1,
	TYPE_OPT = 41,
	RCODE_NOERROR = 0,
	RCODE_NXDOMAIN = 3,
	MAX_CHAIN = 16,
	MAX_JUMPS = 127, /* as many as a name can have labels */

	TTL_MIN = 60,
	TTL_MAX = 24 * 3600,
	TTL_MAX_NEGATIVE = 3600,
	TTL_FAILED = 10,
};

struct cursor {
	const uint8_t *data;
	size_t len;
	size_t at;
};

struct rr {
	char owner[WIRE_NAME_SIZE];
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	size_t rdata; /* offsets */
	size_t end;
};

struct sections {
	size_t answer, authority; /* offsets of their first records */
	uint16_t n_answer, n_authority, n_additional;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* RFC 2181 8: a TTL with the top bit set counts as 0. */
static uint32_t get_ttl(const uint8_t *p)
{
	uint32_t ttl = get32(p);

	return ttl >> 31 ? 0 : ttl;
}

static char name_char(uint8_t b)
{
	if (b <= ' ' || b >= 0x7f || b == '.' || b == '\\')
		return '\\';
	return ascii_lower((char)b);
}

/*
 * RFC 1035 4.1.4. A pointer must point before the name it is in: that is what every server writes,
 * and it rules out loops. 0 or -EBADMSG; the cursor is past the name then.
 */
static int read_name(struct cursor *c, char *out)
{
	size_t at = c->at, lowest = c->at, end = 0, n = 0;
	int jumps = 0;

	for (;;) {
		if (at >= c->len)
			return -EBADMSG;
		uint8_t b = c->data[at];
		if (b == 0)
			break;
		if ((b & 0xc0) == 0xc0) {
			if (at + 2 > c->len || jumps++ == MAX_JUMPS)
				return -EBADMSG;
			size_t to = get16(c->data + at) & 0x3fff;
			if (to >= lowest)
				return -EBADMSG;
			if (!end)
				end = at + 2;
			at = lowest = to;
			continue;
		}
		if (b & 0xc0 || at + 1 + b > c->len)
			return -EBADMSG;
		/* 255 on the wire: a length byte for each label and one for the root */
		if (n + b + 2 > 255)
			return -EBADMSG;
		for (size_t i = 0; i < b; i++)
			out[n++] = name_char(c->data[at + 1 + i]);
		out[n++] = '.';
		at += 1u + b;
	}
	out[n ? n - 1 : 0] = '\0';
	c->at = end ? end : at + 1;
	return 0;
}

static int read_rr(struct cursor *c, struct rr *rr)
{
	if (read_name(c, rr->owner) < 0 || c->len - c->at < 10)
		return -EBADMSG;
	const uint8_t *p = c->data + c->at;
	rr->type = get16(p);
	rr->class = get16(p + 2);
	rr->ttl = get_ttl(p + 4);
	rr->rdata = c->at + 10;
	rr->end = rr->rdata + get16(p + 8);
	if (rr->end > c->len)
		return -EBADMSG;
	c->at = rr->end;
	return 0;
}

/* A name in the RDATA of rr, from offset at on, which must fill it to the end. */
static int rdata_name(const struct cursor *c, const struct rr *rr, size_t at, char *out)
{
	struct cursor in = { c->data, c->len, at };

	if (at > rr->end || read_name(&in, out) < 0 || in.at != rr->end)
		return -EBADMSG;
	return 0;
}

/* RFC 1035 3.3.14: strings, each with its length in front. They are put behind the text of a that
 * is in use; keep_record() takes it into use. */
static int parse_text(const uint8_t *p, size_t size, struct wire_answer *a, struct wire_record *rec)
{
	size_t n = a->text_n;

	rec->text_at = a->text_n;
	for (size_t at = 0; at < size;) {
		size_t len = p[at];
		if (len > size - at - 1 || len > sizeof(a->text) - n)
			return -EBADMSG;
		memcpy(a->text + n, p + at + 1, len);
		n += len;
		at += 1 + len;
	}
	rec->text_n = (uint16_t)(n - a->text_n);
	return size > 0 ? 0 : -EBADMSG;
}

static int parse_record(const struct cursor *c, const struct rr *rr, struct wire_answer *a,
			struct wire_record *rec)
{
	size_t size = rr->end - rr->rdata;
	const uint8_t *p = c->data + rr->rdata;

	switch ((enum wire_type)rr->type) {
	case WIRE_A:
		if (size != 4)
			return -EBADMSG;
		rec->addr = addr_from_v4(p);
		return 0;
	case WIRE_AAAA:
		if (size != 16)
			return -EBADMSG;
		rec->addr = addr_from_v6(p);
		return 0;
	case WIRE_MX:
		if (size < 3)
			return -EBADMSG;
		rec->preference = get16(p);
		return rdata_name(c, rr, rr->rdata + 2, rec->name);
	case WIRE_NS:
	case WIRE_PTR:
	case WIRE_CNAME:
		return rdata_name(c, rr, rr->rdata, rec->name);
	case WIRE_TXT:
		return parse_text(p, size, a, rec);
	case WIRE_SOA:
		break;
	}
	return -EBADMSG;
}

/* Half of the room is for SPF records only: a name may have any number of others. */
static void keep_text(struct wire_answer *a, const struct wire_record *rec)
{
	struct sv text = { a->text + rec->text_at, rec->text_n };
	bool spf = sv_starts_nocase(text, SV("v=spf1"));

	if (a->n >= (spf ? WIRE_MAX_RECORDS : WIRE_MAX_RECORDS / 2)) {
		a->more = true;
		return;
	}
	a->records[a->n++] = *rec;
	a->text_n = (uint16_t)(a->text_n + rec->text_n);
}

/* When there is no room, the MX record of worst preference makes it. */
static void keep_record(struct wire_answer *a, const struct wire_record *rec, enum wire_type type)
{
	struct wire_record *worst = NULL;

	if (type == WIRE_TXT) {
		keep_text(a, rec);
		return;
	}
	if ((type == WIRE_A || type == WIRE_AAAA) && a->n_addrs < WIRE_MAX_ADDRS)
		a->addrs[a->n_addrs++] = rec->addr;
	if (a->n < WIRE_MAX_RECORDS) {
		a->records[a->n++] = *rec;
		return;
	}
	a->more = true;
	if (type != WIRE_MX)
		return;
	for (size_t i = 0; i < a->n; i++)
		if (!worst || a->records[i].preference > worst->preference)
			worst = &a->records[i];
	if (rec->preference < worst->preference)
		*worst = *rec;
}

static uint32_t min_ttl(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* One link: the records that canonical owns, or else its CNAME. 1: canonical is another name now;
 * 0: it stays; -EBADMSG. */
static int follow_chain(const struct cursor *msg, const struct sections *s, enum wire_type type,
			struct wire_answer *a)
{
	struct cursor c = { msg->data, msg->len, s->answer };
	struct wire_record rec = { 0 };
	char target[WIRE_NAME_SIZE];
	uint32_t target_ttl = 0;
	bool cname = false;
	struct rr rr;

	for (unsigned int i = 0; i < s->n_answer; i++) {
		if (read_rr(&c, &rr) < 0)
			return -EBADMSG;
		if (rr.class != CLASS_IN || strcmp(rr.owner, a->canonical) != 0)
			continue;
		if (rr.type == type) {
			if (parse_record(&c, &rr, a, &rec) < 0)
				return -EBADMSG;
			keep_record(a, &rec, type);
			a->records_ttl = min_ttl(a->records_ttl, rr.ttl);
		} else if (rr.type == WIRE_CNAME && !cname) {
			if (parse_record(&c, &rr, a, &rec) < 0)
				return -EBADMSG;
			memcpy(target, rec.name, sizeof(target));
			target_ttl = rr.ttl;
			cname = true;
		}
	}
	if (a->n || !cname)
		return 0;
	memcpy(a->canonical, target, sizeof(target));
	a->ttl = min_ttl(a->ttl, target_ttl);
	return 1;
}

/* RFC 2308 5: the lesser of the SOA's own TTL and its MINIMUM. */
static int negative_ttl(const struct cursor *msg, const struct rr *rr, uint32_t *ret_ttl)
{
	struct cursor c = { msg->data, msg->len, rr->rdata };
	char name[WIRE_NAME_SIZE];

	if (read_name(&c, name) < 0 || read_name(&c, name) < 0 || c.at > rr->end ||
	    rr->end - c.at != 20)
		return -EBADMSG;
	*ret_ttl = min_ttl(rr->ttl, get_ttl(msg->data + c.at + 16));
	return 0;
}

/* What the sections after the answers say; all of them are walked, so that a message that is cut
 * anywhere is malformed. */
static int read_rest(const struct cursor *msg, const struct sections *s, bool *ret_soa,
		     bool *ret_ns, uint32_t *ret_ttl, unsigned int *ret_rcode_high)
{
	struct cursor c = { msg->data, msg->len, s->authority };
	struct rr rr;

	for (unsigned int i = 0; i < (unsigned int)s->n_authority + s->n_additional; i++) {
		if (read_rr(&c, &rr) < 0)
			return -EBADMSG;
		if (i >= s->n_authority) {
			/* RFC 6891 6.1.3: the upper bits of the RCODE are in the TTL field */
			if (rr.type == TYPE_OPT)
				*ret_rcode_high = msg->data[rr.rdata - 6];
		} else if (rr.class == CLASS_IN && rr.type == WIRE_SOA) {
			if (negative_ttl(msg, &rr, ret_ttl) < 0)
				return -EBADMSG;
			*ret_soa = true;
		} else if (rr.class == CLASS_IN && rr.type == WIRE_NS) {
			*ret_ns = true;
		}
	}
	return 0;
}

/* Header and question: 0 when this is an answer to it, and complete. */
static int read_head(struct cursor *c, const char *name, enum wire_type type, struct sections *s)
{
	char asked[WIRE_NAME_SIZE];
	const uint8_t *p = c->data;

	if (c->len < HEADER_SIZE)
		return -EBADMSG;
	/* QR set, OPCODE 0, TC clear, one question */
	if ((p[2] & 0x80) == 0 || (p[2] & 0x78) != 0 || (p[2] & 0x02) != 0 || get16(p + 4) != 1)
		return -EBADMSG;
	s->n_answer = get16(p + 6);
	s->n_authority = get16(p + 8);
	s->n_additional = get16(p + 10);
	c->at = HEADER_SIZE;
	if (read_name(c, asked) < 0 || c->len - c->at < 4)
		return -EBADMSG;
	if (strcmp(asked, name) != 0 || get16(p + c->at) != type ||
	    get16(p + c->at + 2) != CLASS_IN)
		return -EBADMSG;
	c->at += 4;
	s->answer = c->at;
	return 0;
}

static int skip_answers(struct cursor *c, struct sections *s)
{
	struct rr rr;

	for (unsigned int i = 0; i < s->n_answer; i++)
		if (read_rr(c, &rr) < 0)
			return -EBADMSG;
	s->authority = c->at;
	return 0;
}

static int parse(const uint8_t *data, size_t len, const char *name, enum wire_type type,
		 struct wire_answer *a)
{
	struct cursor c = { data, len, 0 };
	struct sections s = { 0 };
	bool soa = false, ns = false;
	unsigned int rcode_high = 0, rcode;
	uint32_t soa_ttl = 0;
	int links = 0, r;

	if (read_head(&c, name, type, &s) < 0 || skip_answers(&c, &s) < 0 ||
	    read_rest(&c, &s, &soa, &ns, &soa_ttl, &rcode_high) < 0)
		return -EBADMSG;
	rcode = rcode_high << 4 | (data[3] & 0x0f);
	if (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN)
		return -EBADMSG;
	a->aa = data[2] & 0x04;

	while ((r = follow_chain(&c, &s, type, a)) > 0)
		if (++links > MAX_CHAIN)
			return -ELOOP;
	if (r < 0)
		return r;

	/* RFC 6604: the RCODE is about the end of the chain */
	if (a->n) {
		if (rcode != RCODE_NOERROR)
			return -EBADMSG;
		a->status = DNS_OK;
		a->ttl = min_ttl(a->ttl, a->records_ttl);
		return 0;
	}
	/* RFC 2308 2.2: NS without SOA is a referral, so this server doesn't know */
	a->dangling = links > 0 && !soa && rcode == RCODE_NOERROR;
	if (!a->dangling && !soa && ns && rcode == RCODE_NOERROR)
		return -EBADMSG;
	a->status = rcode == RCODE_NXDOMAIN ? DNS_NXDOMAIN : DNS_NODATA;
	if (!a->dangling)
		a->ttl = min_ttl(a->ttl, soa ? soa_ttl : 0);
	return 0;
}

void wire_answer_none(enum dns_status status, const char *name, struct wire_answer *ret_answer)
{
	size_t n = strnlen(name, WIRE_NAME_SIZE - 1);

	/* not all of it: the records are large, and only n of them are ever looked at */
	memset(ret_answer, 0, offsetof(struct wire_answer, records));
	ret_answer->status = status;
	memcpy(ret_answer->canonical, name, n);
}

void wire_parse(const uint8_t *data, size_t len, const char *name, enum wire_type type,
		struct wire_answer *ret_answer)
{
	wire_answer_none(DNS_FAILED, name, ret_answer);
	ret_answer->ttl = ret_answer->records_ttl = UINT32_MAX;
	if (parse(data, len, name, type, ret_answer) < 0)
		wire_answer_none(DNS_FAILED, name, ret_answer);
	if (ret_answer->n == 0)
		ret_answer->records_ttl = 0;
}

uint32_t wire_answer_lifetime(const struct wire_answer *answer)
{
	uint32_t max = answer->status == DNS_OK ? TTL_MAX : TTL_MAX_NEGATIVE;

	if (answer->status == DNS_FAILED)
		return TTL_FAILED;
	if (answer->ttl < TTL_MIN)
		return TTL_MIN;
	return min_ttl(answer->ttl, max);
}

bool wire_name_is_askable(const char *name)
{
	size_t n = strlen(name);
	const char *dot = strrchr(name, '.');
	bool number = true;

	if (n == 0 || n > 253 || memchr(name, '\\', n))
		return false;
	for (const char *p = dot ? dot + 1 : name; *p; p++)
		number = number && ascii_is_digit(*p);
	return !number;
}
