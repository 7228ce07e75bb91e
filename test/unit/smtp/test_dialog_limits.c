/* Much of everything: the dialog's caps, and that nothing is lost below them. */
#include "dialog/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void pass_all(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path)
{
	owner_verdict(r, &(struct dialog_verdict) { .kind = DIALOG_PASS });
}

static void refuse_all(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path)
{
	owner_verdict(r, &(struct dialog_verdict) { DIALOG_REFUSE, SV("550 5.7.1 no\r\n") });
}

static void none_yet(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path)
{
}

static void tag_by_domain(struct owner *o, struct owner_rcpt *r, const struct smtp_path *path)
{
	struct sv domain = { path->domain, path->domain_len };

	owner_verdict(r, &(struct dialog_verdict) { DIALOG_TAG, .domain = domain, .mx = domain });
}

static void say_client(struct owner *o, const char *text)
{
	owner_client(o, sv_from(text));
}

static void say_backend(struct owner *o, const char *text)
{
	owner_backend(o, sv_from(text));
}

static void begin(struct owner *o, owner_judge_fn judge)
{
	owner_start(o, (struct dialog_conf) { 0 }, judge, NULL);
	o->lazy = true;
	say_backend(o, CALM);
	say_client(o, "EHLO c.net\r\n");
	say_backend(o, EHLO_REPLY);
	say_client(o, "MAIL FROM:<s@c.net>\r\n");
	say_backend(o, "250 s\r\n");
}

static size_t count(const struct buf *all, const char *word)
{
	struct sv in = buf_view(all);
	size_t n = 0, len = strlen(word);

	for (size_t i = 0; i + len <= in.n; i++)
		n += memcmp(in.p + i, word, len) == 0;
	return n;
}

static void test_queue_cap(void **state)
{
	struct owner o;
	struct buf many;

	begin(&o, pass_all);
	buf_init(&many, 1 << 20);
	for (int i = 0; i < 3 * DIALOG_QUEUE_MAX; i++)
		assert_int_equal(buf_add_sv(&many, i % 3 ? SV("NOOP\r\n") : SV("FOO\r\n")), 0);
	owner_client(&o, buf_view(&many));
	/* the first FOO was answered at once; then as many as may be owed */
	size_t passed = count(&o.to_backend, "NOOP");
	assert_in_range(passed, DIALOG_QUEUE_MAX / 2, DIALOG_QUEUE_MAX);
	assert_true(buf_len(&o.client_in) > 0);
	for (int i = 0; i < 2 * DIALOG_QUEUE_MAX; i++)
		say_backend(&o, "250 n\r\n");
	assert_int_equal(count(&o.to_client, "250 n\r\n"), 2 * DIALOG_QUEUE_MAX);
	assert_int_equal(count(&o.to_client, "500 5.5.1"), DIALOG_QUEUE_MAX);
	assert_int_equal(buf_len(&o.client_in), 0);
	buf_deinit(&many);
	owner_end(&o);
}

static void test_recipients_waiting_cap(void **state)
{
	struct owner o;
	char line[64];
	int n = 0;

	begin(&o, none_yet);
	for (int i = 0; i < DIALOG_QUEUE_MAX + 10; i++) {
		sprintf(line, "RCPT TO:<u%d@b.net>\r\n", i);
		say_client(&o, line);
	}
	for (struct owner_rcpt *r = o.rcpts; r; r = r->next)
		n++;
	assert_int_equal(n, DIALOG_QUEUE_MAX);
	assert_int_equal(dialog_waits_for(&o.d), DIALOG_WAIT_VERDICT);
	/* each answered makes room for one more */
	for (struct owner_rcpt *r = o.rcpts; r; r = r->next)
		refuse_all(&o, r, NULL);
	assert_int_equal(count(&o.to_client, "550 5.7.1"), DIALOG_QUEUE_MAX + 10);
	owner_end(&o);
}

static void test_recipients_cap(void **state)
{
	struct owner o;
	char line[64];

	begin(&o, pass_all);
	for (int i = 0; i < DIALOG_RCPTS_MAX + 5; i++) {
		sprintf(line, "RCPT TO:<u%d@b.net>\r\n", i);
		say_client(&o, line);
		if (i < DIALOG_RCPTS_MAX)
			say_backend(&o, "250 r\r\n");
	}
	assert_int_equal(count(&o.to_client, "250 r\r\n"), DIALOG_RCPTS_MAX);
	assert_int_equal(count(&o.to_client, "452 4.5.3 Too many recipients\r\n"), 5);
	say_client(&o, "DATA\r\n");
	say_backend(&o, "354 go\r\n");
	say_client(&o, "x\r\n.\r\n");
	say_backend(&o, "250 q\r\n");
	for (struct owner_rcpt *r = o.rcpts; r; r = r->next)
		assert_true(r->n_ends == 1 && r->code == 250 && r->octets == 3);
	/* the next message has room again */
	say_client(&o, "MAIL FROM:<s@c.net>\r\nRCPT TO:<u@b.net>\r\n");
	assert_int_equal(count(&o.to_backend, "RCPT TO:<u@b.net>\r\n"), 1);
	owner_end(&o);
}

static void test_hundreds_of_chunks(void **state)
{
	struct owner o;
	struct buf all;

	begin(&o, pass_all);
	say_client(&o, "RCPT TO:<u@b.net>\r\n");
	say_backend(&o, "250 r\r\n");
	buf_init(&all, 1 << 20);
	for (int i = 0; i < 600; i++)
		assert_int_equal(buf_add_sv(&all, SV("BDAT 6\r\nQUIT\r\n")), 0);
	assert_int_equal(buf_add_sv(&all, SV("BDAT 0 LAST\r\n")), 0);
	owner_client(&o, buf_view(&all));
	/* one at a time: no chunk before the one before it was taken */
	for (int i = 0; i < 600; i++) {
		assert_int_equal(count(&o.to_backend, "BDAT 6\r\n"), i + 1);
		say_backend(&o, "250 c\r\n");
	}
	assert_int_equal(count(&o.to_backend, "BDAT 0 LAST\r\n"), 1);
	say_backend(&o, "250 q\r\n");
	assert_int_equal(count(&o.to_client, "250 c\r\n"), 600);
	assert_int_equal(count(&o.to_client, "250 q\r\n"), 1);
	assert_int_equal(o.rcpts->octets, 3600);
	assert_int_equal(o.rcpts->code, 250);
	buf_deinit(&all);
	owner_end(&o);
}

static void test_hundreds_of_refused_chunks(void **state)
{
	struct owner o;

	begin(&o, refuse_all);
	say_client(&o, "RCPT TO:<u@b.net>\r\n");
	for (int i = 0; i < 600; i++)
		say_client(&o, i % 2 ? "BDAT 6\r\nQUIT\r\n" : "BDAT 0\r\n");
	assert_int_equal(count(&o.to_client, NO_RCPTS), 600);
	assert_int_equal(count(&o.to_backend, "BDAT"), 0);
	say_client(&o, "NOOP\r\n");
	assert_int_equal(count(&o.to_backend, "NOOP\r\n"), 1);
	owner_end(&o);
}

static void large_chunk_in_pieces(bool carries)
{
	struct owner o;
	char *octets = calloc(1, 100 * 1000);

	assert_non_null(octets);
	begin(&o, pass_all);
	o.carries = carries;
	say_client(&o, "RCPT TO:<u@b.net>\r\n");
	say_backend(&o, "250 r\r\n");
	say_client(&o, "BDAT 1000000 LAST\r\n");
	size_t before = buf_len(&o.to_backend);
	for (int i = 0; i < 10; i++)
		owner_client(&o, (struct sv) { octets, 100 * 1000 });
	assert_int_equal(buf_len(&o.to_backend) - before, 1000 * 1000);
	assert_int_equal(dialog_waits_for(&o.d), DIALOG_WAIT_BACKEND_FINAL);
	say_backend(&o, "250 q\r\n");
	assert_int_equal(o.rcpts->octets, 1000 * 1000);
	assert_int_equal(o.carried, carries ? 1000 * 1000 : 0);
	free(octets);
	owner_end(&o);
}

static void test_large_chunk_in_pieces(void **state)
{
	large_chunk_in_pieces(false);
	large_chunk_in_pieces(true);
}

static void test_long_lines(void **state)
{
	struct owner o;
	char *text = malloc(20000);

	assert_non_null(text);
	begin(&o, pass_all);
	size_t before = buf_len(&o.to_backend);
	memset(text, 'x', 20000);
	memcpy(text, "NOOP ", 5);
	for (int i = 0; i < 4; i++)
		owner_client(&o, (struct sv) { text, 19000 });
	say_client(&o, "\r\n");
	assert_int_equal(count(&o.to_client, "500 5.5.2 Line too long\r\n"), 1);
	assert_int_equal(buf_len(&o.to_backend), before);

	/* AUTH may be longer (RFC 4954 4) */
	memcpy(text, "AUTH PLAIN ", 11);
	memcpy(text + SMTP_AUTH_LINE_MAX - 2, "\r\n", 2);
	owner_client(&o, (struct sv) { text, SMTP_AUTH_LINE_MAX });
	assert_int_equal(buf_len(&o.to_backend), before + SMTP_AUTH_LINE_MAX);
	say_backend(&o, "334 \r\n");
	memset(text, 'x', 20000);
	memcpy(text + SMTP_AUTH_LINE_MAX - 2, "\r\n", 2);
	owner_client(&o, (struct sv) { text, SMTP_AUTH_LINE_MAX });
	assert_int_equal(buf_len(&o.to_backend), before + 2 * SMTP_AUTH_LINE_MAX);
	say_backend(&o, "334 \r\n");
	text[SMTP_AUTH_LINE_MAX - 2] = 'x';
	owner_client(&o, (struct sv) { text, SMTP_AUTH_LINE_MAX });
	say_backend(&o, "501 cancelled\r\n");
	assert_int_equal(count(&o.to_backend, "\r\n*\r\n"), 1);
	owner_client(&o, SV("rest of it\r\nNOOP\r\n"));
	assert_int_equal(count(&o.to_backend, "\r\nNOOP\r\n"), 1);
	free(text);
	owner_end(&o);
}

/* What goes on as it stands is no longer than every server takes. */
static void test_plain_lines(void **state)
{
	static const char *const verbs[] = { "NOOP ", "VRFY ", "HELP ", "EHLO ", "HELO " };
	char line[SMTP_PLAIN_LINE_MAX + 2];
	struct owner o;

	begin(&o, pass_all);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		size_t before = buf_len(&o.to_backend);
		memset(line, 'x', sizeof(line));
		memcpy(line, verbs[i], 5);
		memcpy(line + SMTP_PLAIN_LINE_MAX - 1, "\r\n", 3);
		say_client(&o, line);
		assert_int_equal(count(&o.to_client, "501 5.5.4 "), i + 1);
		assert_int_equal(buf_len(&o.to_backend), before);
		memcpy(line + SMTP_PLAIN_LINE_MAX - 2, "\r\n", 3);
		say_client(&o, line);
		say_backend(&o, "250 ok\r\n");
		assert_int_equal(buf_len(&o.to_backend), before + SMTP_PLAIN_LINE_MAX);
	}
	owner_end(&o);
}

static void test_longest_commands(void **state)
{
	struct owner o;
	char line[SMTP_COMMAND_LINE_MAX + 1], local[PATH_LOCAL_MAX + 1];

	/* all octets quoted: the line grows in the rebuilding */
	begin(&o, pass_all);
	memset(local, '"', PATH_LOCAL_MAX);
	int n = sprintf(line, "RCPT TO:<\"");
	for (int i = 0; i < PATH_LOCAL_MAX; i++)
		n += sprintf(line + n, "\\\"");
	n += sprintf(line + n, "\"@b.net> ORCPT=rfc822;");
	memset(line + n, 'x', sizeof(line) - (size_t)n);
	memcpy(line + SMTP_COMMAND_LINE_MAX - 2, "\r\n", 3);
	say_client(&o, line);
	assert_int_equal(count(&o.to_client, "501"), 0);
	assert_int_equal(count(&o.to_backend, "ORCPT=rfc822;xxx"), 1);
	say_backend(&o, "250 r\r\n");
	assert_int_equal(o.rcpts->reply, 250);
	owner_end(&o);
}

static void test_endless_reply(void **state)
{
	struct owner o;
	int n = 0;

	begin(&o, pass_all);
	say_client(&o, "NOOP\r\n");
	while (o.open && n++ < 100000)
		say_backend(&o, "250-and so on\r\n");
	assert_in_range(n, 1, REPLY_LINES_MAX + 1);
	assert_int_equal(o.state, DIALOG_CLOSING);
	assert_int_equal(count(&o.to_client, NO_REPLY), 1);
	owner_end(&o);
}

/* The header has a cap, and its lines stay below RFC 5322's 998 octets. */
static void test_tag_cap(void **state)
{
	struct owner o;
	char line[128];
	size_t taken = 0, longest = 0, at = 0;

	begin(&o, tag_by_domain);
	for (int i = 0; i < 100; i++) {
		sprintf(line, "RCPT TO:<u@d%02d.a-domain-name-of-some-length.example>\r\n", i);
		say_client(&o, line);
		if (count(&o.to_backend, "RCPT") > taken) {
			taken++;
			say_backend(&o, "250 r\r\n");
		}
	}
	assert_in_range(taken, 10, 99);
	assert_int_equal(count(&o.to_client, "452 4.5.3"), 100 - taken);
	/* a domain that is in it needs no more room */
	say_client(&o, "RCPT TO:<v@d00.a-domain-name-of-some-length.example>\r\n");
	assert_int_equal(count(&o.to_backend, "RCPT"), taken + 1);
	say_backend(&o, "250 r\r\n");
	size_t before = buf_len(&o.to_backend);
	say_client(&o, "DATA\r\n");
	say_backend(&o, "354 go\r\n");
	struct sv out = buf_view(&o.to_backend);
	assert_in_range(out.n - before, 1, DIALOG_TAG_MAX + 6);
	for (size_t i = before; i < out.n; i++) {
		at = out.p[i] == '\n' ? 0 : at + 1;
		longest = at > longest ? at : longest;
	}
	assert_in_range(longest, 1, 998);
	owner_end(&o);
}

static void test_many_messages(void **state)
{
	struct owner o;

	begin(&o, pass_all);
	say_client(&o, "RSET\r\n");
	say_backend(&o, "250 x\r\n");
	for (int i = 0; i < 300; i++) {
		say_client(&o, "MAIL FROM:<s@c.net>\r\nRCPT TO:<u@b.net>\r\nDATA\r\n");
		say_backend(&o, "250 s\r\n250 r\r\n354 go\r\n");
		say_client(&o, "x\r\n.\r\n");
		say_backend(&o, "250 queued\r\n");
	}
	assert_int_equal(count(&o.to_client, "250 queued\r\n"), 300);
	for (struct owner_rcpt *r = o.rcpts; r; r = r->next)
		assert_true(r->n_ends == 1 && r->code == 250 && r->octets == 3);
	assert_false(dialog_is_busy(&o.d));
	owner_end(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_cap),
		cmocka_unit_test(test_recipients_waiting_cap),
		cmocka_unit_test(test_recipients_cap),
		cmocka_unit_test(test_hundreds_of_chunks),
		cmocka_unit_test(test_hundreds_of_refused_chunks),
		cmocka_unit_test(test_large_chunk_in_pieces),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_plain_lines),
		cmocka_unit_test(test_longest_commands),
		cmocka_unit_test(test_endless_reply),
		cmocka_unit_test(test_tag_cap),
		cmocka_unit_test(test_many_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
