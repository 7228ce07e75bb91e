#include "dns/wire.h"

#include "cm.h"
#include "msg.h"

#include <stdio.h>
#include <stdlib.h>

enum { ANSWER = MSG_QR | MSG_RD | MSG_RA };

/* One case: what make() writes as the answer to NAME and type gives this. */
struct row {
	const char *label;
	void (*make)(struct msg *m);
	enum wire_type type;
	enum dns_status status;
	uint32_t ttl;
	const char *canonical; /* NULL: the name itself */
	const char *records;   /* "10:name,20:name", "addr,addr" or "name,name" */
	bool aa, dangling;
};

#define NAME "d.lab.net"

static void ask(struct msg *m, uint16_t flags, enum wire_type type)
{
	msg_begin(m, 7, (uint16_t)(ANSWER | flags), NAME, (uint16_t)type);
}

static void mx_two(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_mx(m, NAME, 300, 10, "MX1.Filter.Net");
	msg_mx(m, "D.LAB.net", 200, 20, "mx2.filter.net");
	msg_opt(m, 0);
}
static void mx_aa(struct msg *m)
{
	ask(m, MSG_AA, WIRE_MX);
	msg_mx(m, NAME, 300, 0, "");
}
static void mx_cname(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	/* records before the links that lead to them */
	msg_mx(m, "c.lab.net", 300, 10, "mx.filter.net");
	msg_name(m, MSG_ANSWER, "b.lab.net", WIRE_CNAME, 100, "c.lab.net");
	msg_name(m, MSG_ANSWER, NAME, WIRE_CNAME, 900, "b.lab.net");
	msg_mx(m, "other.lab.net", 1, 10, "not.asked.for");
}
static void cname_loop(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_name(m, MSG_ANSWER, NAME, WIRE_CNAME, 100, "b.lab.net");
	msg_name(m, MSG_ANSWER, "b.lab.net", WIRE_CNAME, 100, NAME);
}
static void cname_beside(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_name(m, MSG_ANSWER, NAME, WIRE_CNAME, 100, "b.lab.net");
	msg_mx(m, NAME, 300, 10, "mx.filter.net");
	msg_mx(m, "b.lab.net", 300, 10, "not.asked.for");
}
static void cname_dangling(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_name(m, MSG_ANSWER, NAME, WIRE_CNAME, 100, "b.other.net");
}
static void cname_referral(struct msg *m)
{
	cname_dangling(m);
	msg_name(m, MSG_AUTHORITY, "other.net", WIRE_NS, 100, "ns.other.net");
}
static void cname_nodata(struct msg *m)
{
	cname_dangling(m);
	msg_soa(m, "other.net", 1000, 500);
}
static void cname_nxdomain(struct msg *m)
{
	ask(m, 3, WIRE_MX);
	msg_name(m, MSG_ANSWER, NAME, WIRE_CNAME, 100, "b.other.net");
	msg_soa(m, "other.net", 1000, 50);
}
static void nodata(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_soa(m, "lab.net", 1000, 400);
}
static void nodata_soa_ttl(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_soa(m, "lab.net", 30, 400);
}
static void nodata_bare(struct msg *m)
{
	ask(m, 0, WIRE_MX);
}
static void nxdomain(struct msg *m)
{
	ask(m, 3, WIRE_MX);
	msg_soa(m, "lab.net", 1000, 400);
}
static void referral(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_name(m, MSG_AUTHORITY, "lab.net", WIRE_NS, 100, "ns.lab.net");
}
static void servfail(struct msg *m)
{
	ask(m, 2, WIRE_MX);
}
static void refused(struct msg *m)
{
	ask(m, 5, WIRE_MX);
}
static void badvers(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_soa(m, "lab.net", 1000, 400);
	msg_opt(m, 1);
}
static void truncated(struct msg *m)
{
	ask(m, MSG_TC, WIRE_MX);
	msg_mx(m, NAME, 300, 10, "mx.filter.net");
}
static void records_and_nxdomain(struct msg *m)
{
	ask(m, 3, WIRE_MX);
	msg_mx(m, NAME, 300, 10, "mx.filter.net");
}
static void not_an_answer(struct msg *m)
{
	mx_two(m);
	m->b[2] &= 0x7f;
}
static void other_opcode(struct msg *m)
{
	mx_two(m);
	m->b[2] |= 0x28;
}
static void other_name(struct msg *m)
{
	msg_begin(m, 7, ANSWER, "e.lab.net", WIRE_MX);
	msg_mx(m, NAME, 300, 10, "mx.filter.net");
}
static void other_type(struct msg *m)
{
	msg_begin(m, 7, ANSWER, NAME, WIRE_A);
	msg_mx(m, NAME, 300, 10, "mx.filter.net");
}
static void other_class(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_MX, 3, 300, "\0\12\1a", 5);
	msg_soa(m, "lab.net", 1000, 400);
}
static void no_question(struct msg *m)
{
	mx_two(m);
	m->b[5] = 0;
}
static void a_two(struct msg *m)
{
	ask(m, 0, WIRE_A);
	msg_addr(m, NAME, 300, "192.0.2.1");
	msg_addr(m, NAME, 400, "192.0.2.2");
	msg_addr(m, NAME, 1, "2001:db8::1"); /* of another type: not asked for */
}
static void a_short(struct msg *m)
{
	ask(m, 0, WIRE_A);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_A, 1, 300, "\1\2\3", 3);
}
static void aaaa_one(struct msg *m)
{
	ask(m, 0, WIRE_AAAA);
	msg_addr(m, NAME, 0x80000001u, "2001:db8::1");
}
static void aaaa_long(struct msg *m)
{
	ask(m, 0, WIRE_AAAA);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_AAAA, 1, 300, "12345678901234567", 17);
}
static void mx_short(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_MX, 1, 300, "\0\12", 2);
}
static void mx_tail(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_MX, 1, 300, "\0\12\1a\0xx", 7);
}
static void mx_label_past(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_MX, 1, 300, "\0\12\77a", 4);
}
static void mx_pointer(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	/* "mx" and a pointer to "lab.net" in the question */
	msg_raw(m, MSG_ANSWER, NAME, WIRE_MX, 1, 300, "\0\12\2mx\300\16", 7);
}
static void mx_pointer_self(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	/* question: 12 + 11 + 4 bytes; owner 11, fixed 10, preference 2: the name is at 50 */
	msg_raw(m, MSG_ANSWER, NAME, WIRE_MX, 1, 300, "\0\12\300\62", 4);
}
static void mx_pointer_forward(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_MX, 1, 300, "\0\12\300\64", 4);
	msg_mx(m, NAME, 300, 10, "mx.filter.net");
}
static void mx_odd_bytes(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_MX, 1, 300, "\0\12\4a\\ \377\3b.c\0", 12);
}
static void ptr_two(struct msg *m)
{
	ask(m, 0, WIRE_PTR);
	msg_name(m, MSG_ANSWER, NAME, WIRE_PTR, 300, "a.filter.net");
	msg_name(m, MSG_ANSWER, NAME, WIRE_PTR, 300, "b.filter.net");
}
static void txt_strings(struct msg *m)
{
	ask(m, 0, WIRE_TXT);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_TXT, 1, 300, "\6v=spf1\0\5 -all", 14);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_TXT, 1, 200, "\5other", 6);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_TXT, 1, 300, "\0", 1);
}
static void txt_cut(struct msg *m)
{
	ask(m, 0, WIRE_TXT);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_TXT, 1, 300, "\7v=spf1", 7);
}
static void txt_empty(struct msg *m)
{
	ask(m, 0, WIRE_TXT);
	msg_raw(m, MSG_ANSWER, NAME, WIRE_TXT, 1, 300, "", 0);
}
static void soa_short(struct msg *m)
{
	ask(m, 0, WIRE_MX);
	msg_raw(m, MSG_AUTHORITY, "lab.net", WIRE_SOA, 1, 300, "\0\0abcdefghijklmnopqrs", 21);
}

static const struct row rows[] = {
	{ "mx", mx_two, WIRE_MX, DNS_OK, 200, NULL, "10:mx1.filter.net,20:mx2.filter.net" },
	{ "null mx", mx_aa, WIRE_MX, DNS_OK, 300, NULL, "0:", .aa = true },
	{ "chain", mx_cname, WIRE_MX, DNS_OK, 100, "c.lab.net", "10:mx.filter.net" },
	{ "chain loop", cname_loop, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "cname beside records", cname_beside, WIRE_MX, DNS_OK, 300, NULL, "10:mx.filter.net" },
	{ "chain dangling", cname_dangling, WIRE_MX, DNS_NODATA, 100, "b.other.net", "",
	  .dangling = true },
	{ "chain, referral", cname_referral, WIRE_MX, DNS_NODATA, 100, "b.other.net", "",
	  .dangling = true },
	{ "chain, nodata", cname_nodata, WIRE_MX, DNS_NODATA, 100, "b.other.net", "" },
	{ "chain, nxdomain", cname_nxdomain, WIRE_MX, DNS_NXDOMAIN, 50, "b.other.net", "" },
	{ "nodata, minimum", nodata, WIRE_MX, DNS_NODATA, 400, NULL, "" },
	{ "nodata, soa ttl", nodata_soa_ttl, WIRE_MX, DNS_NODATA, 30, NULL, "" },
	{ "nodata without soa", nodata_bare, WIRE_MX, DNS_NODATA, 0, NULL, "" },
	{ "nxdomain", nxdomain, WIRE_MX, DNS_NXDOMAIN, 400, NULL, "" },
	{ "referral", referral, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "servfail", servfail, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "refused", refused, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "badvers", badvers, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "truncated", truncated, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "records and nxdomain", records_and_nxdomain, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "no answer", not_an_answer, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "other opcode", other_opcode, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "other name", other_name, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "other type", other_type, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "other class", other_class, WIRE_MX, DNS_NODATA, 400, NULL, "" },
	{ "no question", no_question, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "a", a_two, WIRE_A, DNS_OK, 300, NULL, "192.0.2.1,192.0.2.2" },
	{ "a of 3 bytes", a_short, WIRE_A, DNS_FAILED, 0, NULL, "" },
	{ "aaaa, ttl with top bit", aaaa_one, WIRE_AAAA, DNS_OK, 0, NULL, "2001:db8::1" },
	{ "aaaa of 17 bytes", aaaa_long, WIRE_AAAA, DNS_FAILED, 0, NULL, "" },
	{ "mx without name", mx_short, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "mx with a tail", mx_tail, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "mx label past the end", mx_label_past, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "mx compressed", mx_pointer, WIRE_MX, DNS_OK, 300, NULL, "10:mx.lab.net" },
	{ "mx pointer to itself", mx_pointer_self, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "mx pointer forward", mx_pointer_forward, WIRE_MX, DNS_FAILED, 0, NULL, "" },
	{ "mx with odd bytes", mx_odd_bytes, WIRE_MX, DNS_OK, 300, NULL, "10:a\\\\\\.b\\c" },
	{ "ptr", ptr_two, WIRE_PTR, DNS_OK, 300, NULL, "a.filter.net,b.filter.net" },
	{ "txt", txt_strings, WIRE_TXT, DNS_OK, 200, NULL, "v=spf1 -all,other," },
	{ "txt string past the end", txt_cut, WIRE_TXT, DNS_FAILED, 0, NULL, "" },
	{ "txt without string", txt_empty, WIRE_TXT, DNS_FAILED, 0, NULL, "" },
	{ "soa short", soa_short, WIRE_MX, DNS_FAILED, 0, NULL, "" },
};

static void format_records(const struct wire_answer *a, enum wire_type type, char *out, size_t size)
{
	char text[ADDR_STRLEN];
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < a->n; i++) {
		const struct wire_record *r = &a->records[i];
		const char *comma = i ? "," : "";
		if (type == WIRE_MX)
			n += (size_t)snprintf(out + n, size - n, "%s%u:%s", comma, r->preference,
					      r->name);
		else if (type == WIRE_TXT)
			n += (size_t)snprintf(out + n, size - n, "%s" SV_FMT, comma,
					      SV_ARG(wire_text(a, i)));
		else if (type == WIRE_PTR)
			n += (size_t)snprintf(out + n, size - n, "%s%s", comma, r->name);
		else
			n += (size_t)snprintf(out + n, size - n, "%s%s", comma,
					      addr_format(&r->addr, text));
	}
}

static void test_rows(void **state)
{
	static struct msg m;
	static struct wire_answer a;
	char records[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		row->make(&m);
		wire_parse(m.b, m.n, NAME, row->type, &a);
		format_records(&a, row->type, records, sizeof(records));
		if (a.status != row->status || a.ttl != row->ttl || a.aa != row->aa ||
		    a.dangling != row->dangling || strcmp(records, row->records) != 0 ||
		    strcmp(a.canonical, row->canonical ? row->canonical : NAME) != 0)
			fail_msg("%s: status %d ttl %u aa %d dangling %d %s: %s", row->label,
				 a.status, a.ttl, a.aa, a.dangling, a.canonical, records);
	}
}

/* A name may have any number of texts: those about mail are found among them. */
static void test_many_texts(void **state)
{
	static struct msg m;
	static struct wire_answer a;
	uint8_t other[201] = { 200 };
	size_t spf = 0;

	(void)state;
	memset(other + 1, 'x', 200);
	ask(&m, 0, WIRE_TXT);
	for (int i = 0; i < 200; i++)
		msg_raw(&m, MSG_ANSWER, NAME, WIRE_TXT, 1, 300, other, sizeof(other));
	msg_raw(&m, MSG_ANSWER, NAME, WIRE_TXT, 1, 300, "\6V=SPF1", 7);
	msg_raw(&m, MSG_ANSWER, NAME, WIRE_TXT, 1, 300, "\12v=spf1 -al\1l", 13);
	wire_parse(m.b, m.n, NAME, WIRE_TXT, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_true(a.more);
	for (size_t i = 0; i < a.n; i++)
		spf += sv_starts_nocase(wire_text(&a, i), SV("v=spf1"));
	assert_int_equal(spf, 2);
	assert_true(sv_eq(wire_text(&a, a.n - 1), SV("v=spf1 -all")));
}

/* A message cut anywhere is no answer. From a block of its exact size, for the sanitizers. */
static void test_cut(void **state)
{
	static struct msg m;
	static struct wire_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rows[i].make(&m);
		for (size_t n = 0; n < m.n; n++) {
			uint8_t *exact = malloc(n ? n : 1);
			memcpy(exact, m.b, n);
			wire_parse(exact, n, NAME, rows[i].type, &a);
			free(exact);
			if (a.status != DNS_FAILED)
				fail_msg("%s cut at %zu: status %d", rows[i].label, n, a.status);
		}
	}
}

/* Any byte wrong: nothing is read past the end (sanitizers), and the answer stays in its bounds. */
static void test_flipped(void **state)
{
	static struct msg m;
	static struct wire_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rows[i].make(&m);
		for (size_t at = 0; at < m.n; at++)
			for (unsigned int bit = 0; bit < 8; bit++) {
				m.b[at] ^= (uint8_t)(1 << bit);
				wire_parse(m.b, m.n, NAME, rows[i].type, &a);
				m.b[at] ^= (uint8_t)(1 << bit);
				assert_true(a.n <= WIRE_MAX_RECORDS);
				assert_true((a.n > 0) == (a.status == DNS_OK));
			}
	}
}

static void test_long_chain(void **state)
{
	static struct msg m;
	static struct wire_answer a;
	char from[64], to[64];

	(void)state;
	for (int links = 16; links <= 17; links++) {
		ask(&m, 0, WIRE_A);
		snprintf(from, sizeof(from), "%s", NAME);
		for (int i = 0; i < links; i++) {
			snprintf(to, sizeof(to), "link%d.lab.net", i);
			msg_name(&m, MSG_ANSWER, from, WIRE_CNAME, 100, to);
			memcpy(from, to, sizeof(from));
		}
		msg_addr(&m, from, 300, "192.0.2.1");
		wire_parse(m.b, m.n, NAME, WIRE_A, &a);
		assert_int_equal(a.status, links == 16 ? DNS_OK : DNS_FAILED);
	}
}

static void test_many_mx(void **state)
{
	static struct msg m;
	static struct wire_answer a;
	char name[64];

	(void)state;
	ask(&m, 0, WIRE_MX);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "mx%d.lab.net", i);
		msg_mx(&m, NAME, 300, (uint16_t)(100 - i), name);
	}
	wire_parse(m.b, m.n, NAME, WIRE_MX, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_int_equal(a.n, WIRE_MAX_RECORDS);
	assert_true(a.more);
	for (size_t i = 0; i < a.n; i++)
		assert_true(a.records[i].preference <= WIRE_MAX_RECORDS);
}

/* 255 bytes on the wire are a name, 256 are none (RFC 1035 2.3.4). */
static void test_long_name(void **state)
{
	static struct msg m;
	static struct wire_answer a;
	char name[300];

	(void)state;
	for (size_t last = 61; last <= 62; last++) {
		memset(name, 'a', sizeof(name));
		name[63] = name[127] = name[191] = '.';
		name[192 + last] = '\0';
		ask(&m, 0, WIRE_MX);
		msg_mx(&m, NAME, 300, 1, name);
		wire_parse(m.b, m.n, NAME, WIRE_MX, &a);
		assert_int_equal(a.status, last == 61 ? DNS_OK : DNS_FAILED);
		if (last == 61)
			assert_string_equal(a.records[0].name, name);
	}
}

static void test_lifetime(void **state)
{
	static const struct {
		enum dns_status status;
		uint32_t ttl, lifetime;
	} cases[] = {
		{ DNS_OK, 0, 60 },       { DNS_OK, 61, 61 },          { DNS_OK, 1000000, 86400 },
		{ DNS_NODATA, 0, 60 },   { DNS_NODATA, 86400, 3600 }, { DNS_NXDOMAIN, 1800, 1800 },
		{ DNS_FAILED, 500, 10 },
	};
	static struct wire_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wire_answer_none(cases[i].status, NAME, &a);
		a.ttl = cases[i].ttl;
		assert_int_equal(wire_answer_lifetime(&a), cases[i].lifetime);
	}
}

static void test_askable(void **state)
{
	static const struct {
		const char *name;
		bool askable;
	} cases[] = {
		{ "mx.lab.net", true },       { "lab", true },        { "_dmarc.lab.net", true },
		{ "1.2.in-addr.arpa", true }, { "192.0.2.1", false }, { "", false },
		{ "a\\b.lab.net", false },    { "7", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (wire_name_is_askable(cases[i].name) != cases[i].askable)
			fail_msg("%s", cases[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),       cmocka_unit_test(test_many_texts),
		cmocka_unit_test(test_cut),        cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_long_chain), cmocka_unit_test(test_many_mx),
		cmocka_unit_test(test_long_name),  cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_askable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
