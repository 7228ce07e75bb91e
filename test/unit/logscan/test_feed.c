/* Lines out of one file: wherever blocks end, whatever compressed it, however it is broken. */
#include "logscan/feed.h"

#include "files.h"
#include "logscan/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static struct feed *open_reader(const char *name, enum feed_mode mode, size_t block)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	struct feed *r;

	assert_true(fd >= 0);
	assert_int_equal(feed_new(fd, mode, block, &r), 0);
	return r;
}

static void expect_line(struct feed *r, struct sv text, bool cut)
{
	struct feed_line line;

	assert_int_equal(feed_line(r, &line), 0);
	assert_int_equal(line.text.n, text.n);
	assert_memory_equal(line.text.p, text.p, text.n);
	assert_int_equal(line.cut, cut);
}

static void expect_end(struct feed *r, int want)
{
	struct feed_line line;

	assert_int_equal(feed_line(r, &line), want);
}

/* Lines shown with | behind each. */
static void test_lines(void **state)
{
	static const struct {
		struct sv text;
		struct sv want;
	} cases[] = {
		{ SV(""), SV("") },
		{ SV("\n"), SV("|") },
		{ SV("\n\n\n"), SV("|||") },
		{ SV("a"), SV("a|") },
		{ SV("a\n"), SV("a|") },
		{ SV("a\nbc\n\nd"), SV("a|bc||d|") },
		{ SV("a\r\nb\r\n\r\nc"), SV("a|b||c|") },
		{ SV("a\rb\r\r\nc\r"), SV("a\rb\r|c\r|") },
		{ SV("\0\0\n\0a\n\0"), SV("\0\0|\0a|\0|") },
		{ SV("\xff\xfe\n\xc3\xa4\x80\n"), SV("\xff\xfe|\xc3\xa4\x80|") },
		{ SV("\x1f\x8b\x08\xe0\nBZh91AY&S\n"), SV("\x1f\x8b\x08\xe0|BZh91AY&S|") },
		{ SV("(\xb5/"), SV("(\xb5/|") },
	};
	static const size_t blocks[] = { 1, 2, 3, 7, 64, 4096 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t kind = 0; kind < ARRAY_SIZE(packers); kind++) {
			files_write("plain", cases[i].text);
			files_pack("plain", "packed", kind);
			for (size_t k = 0; k < ARRAY_SIZE(blocks); k++) {
				struct feed *r = open_reader("packed", FEED_FILE, blocks[k]);
				struct feed_line line;
				char got[64];
				size_t n = 0;

				while (feed_line(r, &line) == 0) {
					assert_false(line.cut);
					memcpy(got + n, line.text.p, line.text.n);
					n += line.text.n;
					got[n++] = '|';
				}
				assert_int_equal(n, cases[i].want.n);
				assert_memory_equal(got, cases[i].want.p, n);
				assert_int_equal(feed_bytes(r), cases[i].text.n);
				expect_end(r, 1);
				feed_free(r);
			}
		}
}

/* A line of n octets before the line "next". */
static void check_long(size_t n, struct sv newline, size_t kind, size_t block)
{
	char *text = malloc(n + 16);
	size_t want = min_size(n, FEED_LINE_MAX);
	struct feed *r;

	assert_non_null(text);
	memset(text, 'x', n);
	memcpy(text + n, newline.p, newline.n);
	memcpy(text + n + newline.n, "next\n", 5);
	files_write("plain", (struct sv) { text, n + newline.n + (newline.n ? 5 : 0) });
	files_pack("plain", "packed", kind);
	r = open_reader("packed", FEED_FILE, block);
	expect_line(r, (struct sv) { text, want }, n > FEED_LINE_MAX);
	if (newline.n)
		expect_line(r, SV("next"), false);
	expect_end(r, 1);
	feed_free(r);
	free(text);
}

static void test_long_lines(void **state)
{
	static const struct sv newlines[] = { SV("\n"), SV("\r\n"), SV("") };
	static const size_t blocks[] = { 1, 4099, FEED_BLOCK };

	for (size_t i = 0; i < ARRAY_SIZE(newlines); i++)
		for (size_t k = 0; k < ARRAY_SIZE(blocks); k++) {
			for (size_t n = FEED_LINE_MAX - 2; n <= FEED_LINE_MAX + 4; n++)
				check_long(n, newlines[i], 0, blocks[k]);
			check_long(FEED_LINE_MAX * 7, newlines[i], 0, blocks[k]);
		}
	check_long(FEED_LINE_MAX * 30, newlines[0], 1, FEED_BLOCK);
	check_long(FEED_LINE_MAX, newlines[1], 2, 4099);
	check_long(FEED_LINE_MAX + 1, newlines[1], 3, 4099);
}

/* Compares with the text, up to where the reader stops; returns how it stopped. */
static int compare(struct feed *r, struct sv text, size_t *ret_n)
{
	struct feed_line line;
	size_t n = 0;
	int result;

	while ((result = feed_line(r, &line)) == 0) {
		const char *newline;

		assert_true(n < text.n);
		newline = memchr(text.p + n, '\n', text.n - n);
		assert_non_null(newline);
		if (line.cut)
			assert_true(line.text.n <= (size_t)(newline - (text.p + n)));
		else
			assert_int_equal(line.text.n, newline - (text.p + n));
		assert_memory_equal(line.text.p, text.p + n, line.text.n);
		n += line.text.n + !line.cut;
	}
	*ret_n = n;
	return result;
}

static void test_many_blocks(void **state)
{
	static const size_t blocks[] = { 1000, 65536, FEED_BLOCK, 1 << 20 };
	struct sv text;
	char *log = files_log(12000, &text.n);

	text.p = log;
	assert_true(text.n > 2 << 20);
	files_write("plain", text);
	for (size_t kind = 0; kind < ARRAY_SIZE(packers); kind++) {
		files_pack("plain", "packed", kind);
		for (size_t k = 0; k < ARRAY_SIZE(blocks); k++) {
			struct feed *r = open_reader("packed", FEED_FILE, blocks[k]);
			size_t n, size;

			free(files_read("packed", &size));
			assert_int_equal(compare(r, text, &n), 1);
			assert_int_equal(n, text.n);
			assert_int_equal(feed_bytes(r), text.n);
			assert_int_equal(feed_done(r), size);
			feed_free(r);
		}
	}
	free(log);
}

static void test_sniff(void **state)
{
	static const struct {
		struct sv start;
		enum unpack_kind want;
	} cases[] = {
		{ SV(""), UNPACK_MORE },
		{ SV("2010-11-17"), UNPACK_NONE },
		{ SV("\x1f\x8b\x08"), UNPACK_MORE },
		{ SV("\x1f\x8b\x08\x08"), UNPACK_GZIP },
		{ SV("\x1f\x8b\x08\x20"), UNPACK_NONE },
		{ SV("\x1f\x8b\x07\x08"), UNPACK_NONE },
		{ SV("\x28\xb5\x2f\xfd"), UNPACK_ZSTD },
		{ SV("\x5a\x2a\x4d\x18"), UNPACK_ZSTD },
		{ SV("\x6a\x2a\x4d\x18"), UNPACK_NONE },
		{ SV("\xfd\x37zXZ"), UNPACK_MORE },
		{ SV("\xfd\x37zXZ\0"), UNPACK_XZ },
		{ SV("BZh9"), UNPACK_MORE },
		{ SV("BZh91AY&SY"), UNPACK_BZIP2 },
		{ SV("BZh91AY&SX"), UNPACK_NONE },
		{ SV("BZhx1AY&SY"), UNPACK_NONE },
		{ SV("BZh1\x17rE8P\x90"), UNPACK_BZIP2 },
		{ SV("PK\x03\x04......"), UNPACK_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(unpack_sniff(cases[i].start), cases[i].want);
}

/* Wherever it is cut: only lines that are there, all that a decoder could know of, one error. */
static void test_cut(void **state)
{
	struct sv text;
	char *log = files_log(3000, &text.n);

	text.p = log;
	files_write("plain", text);
	for (size_t kind = 1; kind < ARRAY_SIZE(packers); kind++) {
		size_t size, n;
		char *packed;

		files_pack("plain", "packed", kind);
		packed = files_read("packed", &size);
		for (size_t i = 1; i <= 20; i++) {
			size_t keep = i < 10 ? size - i : size * (i - 9) / 12;
			struct feed *r;

			files_write("cut", (struct sv) { packed, keep });
			r = open_reader("cut", FEED_FILE, FEED_BLOCK);
			assert_int_equal(compare(r, text, &n), -ENODATA);
			assert_non_null(strstr(feed_error(r), "data is cut off"));
			expect_end(r, -ENODATA);
			if (i < 4) /* only checksums are missing */
				assert_int_equal(n, text.n);
			if (kind == 1 || kind == 3) /* no blocks that are whole or nothing */
				assert_true(n + 2000 > text.n / size * keep / 2);
			feed_free(r);
		}
		free(packed);
	}
	free(log);
}

/* A small log has one block only; what was whole in it is not lost. */
static void test_cut_small(void **state)
{
	struct sv text;
	char *log = files_log(100, &text.n), *packed;
	size_t size, n;
	struct feed *r;

	text.p = log;
	files_write("plain", text);
	files_pack("plain", "packed", 1);
	packed = files_read("packed", &size);
	files_write("cut", (struct sv) { packed, size - 9 });
	r = open_reader("cut", FEED_FILE, FEED_BLOCK);
	assert_int_equal(compare(r, text, &n), -ENODATA);
	assert_true(n > text.n - 200);
	feed_free(r);
	free(packed);
	free(log);
}

/* Wherever a bit is flipped: an error, or the bit did not matter. */
static void test_damaged(void **state)
{
	struct sv text;
	char *log = files_log(300, &text.n);

	text.p = log;
	files_write("plain", text);
	for (size_t kind = 1; kind < ARRAY_SIZE(packers); kind++) {
		size_t size, errors = 0, tried = 0;
		char *packed;

		files_pack("plain", "packed", kind);
		packed = files_read("packed", &size);
		for (size_t at = 12; at < size; at += 31, tried++) {
			struct feed *r;
			struct feed_line line;
			int result;

			packed[at] ^= 4;
			files_write("damaged", (struct sv) { packed, size });
			packed[at] ^= 4;
			r = open_reader("damaged", FEED_FILE, FEED_BLOCK);
			while ((result = feed_line(r, &line)) == 0)
				;
			if (result == 1) {
				feed_free(r);
				r = open_reader("damaged", FEED_FILE, FEED_BLOCK);
				assert_int_equal(compare(r, text, &(size_t) { 0 }), 1);
			} else {
				assert_true(result == -EBADMSG || result == -ENODATA);
				errors++;
			}
			feed_free(r);
		}
		assert_true(tried > 50 && errors > tried * 9 / 10);
		free(packed);
	}
	free(log);
}

/* Packs text, and adds it to the file "all". */
static void add_packed(struct sv text, size_t kind)
{
	size_t n;
	char *p;

	files_write("plain", text);
	files_pack("plain", "packed", kind);
	p = files_read("packed", &n);
	files_append("all", (struct sv) { p, n });
	free(p);
}

/* Streams one after the other, and what else may follow one. */
static void test_concatenated(void **state)
{
	static const struct {
		struct sv tail;
		int want[5]; /* for each kind */
	} tails[] = {
		{ SV(""), { 1, 1, 1, 1, 1 } },
		{ SV("\0\0\0\0"), { 1, 1, -EBADMSG, 1, 1 } },
		{ SV("\0\0junk"), { 1, -EBADMSG, -EBADMSG, -EBADMSG, -EBADMSG } },
		{ SV("junk junk junk\n"), { 1, -EBADMSG, -EBADMSG, -EBADMSG, -EBADMSG } },
	};
	static const size_t blocks[] = { 1, 5, 4096 };

	for (size_t kind = 1; kind < ARRAY_SIZE(packers); kind++)
		for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
			files_write("all", SV(""));
			add_packed(SV("one\ntw"), kind);
			add_packed(SV(""), kind);
			add_packed(SV("o\nthree\n"), kind);
			files_append("all", tails[i].tail);
			for (size_t k = 0; k < ARRAY_SIZE(blocks); k++) {
				struct feed *r = open_reader("all", FEED_FILE, blocks[k]);

				expect_line(r, SV("one"), false);
				expect_line(r, SV("two"), false);
				expect_line(r, SV("three"), false);
				expect_end(r, tails[i].want[kind]);
				feed_free(r);
			}
		}
}

static void test_skippable_frame(void **state)
{
	struct feed *r;

	files_write("all", SV("\x50\x2a\x4d\x18\x04\0\0\0size"));
	add_packed(SV("a\n"), 2);
	r = open_reader("all", FEED_FILE, FEED_BLOCK);
	expect_line(r, SV("a"), false);
	expect_end(r, 1);
	feed_free(r);
}

/* What is compressed twice is made plain once: what comes out is log lines, whatever they are. */
static void test_once(void **state)
{
	size_t n;
	char *p;
	struct feed *r;
	struct feed_line line;

	files_write("plain", SV("a\n"));
	files_pack("plain", "b", 1);
	files_pack("b", "c", 1);
	p = files_read("b", &n);
	r = open_reader("c", FEED_FILE, FEED_BLOCK);
	assert_int_equal(feed_line(r, &line), 0);
	assert_memory_equal(line.text.p, p, line.text.n);
	while (feed_line(r, &line) == 0)
		;
	assert_int_equal(feed_bytes(r), n);
	feed_free(r);
	free(p);
}

static void send(int fd, struct sv text)
{
	assert_int_equal(write(fd, text.p, text.n), text.n);
}

static void test_pipe(void **state)
{
	int ends[2];
	struct feed *r;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(feed_new(ends[0], FEED_PIPE, FEED_BLOCK, &r), 0);
	expect_end(r, -EAGAIN);
	send(ends[1], SV("\x1f")); /* it could become gzip */
	expect_end(r, -EAGAIN);
	send(ends[1], SV("a\nb"));
	expect_line(r,
		    SV("\x1f"
		       "a"),
		    false);
	expect_end(r, -EAGAIN);
	send(ends[1], SV("c\n\nlast"));
	expect_line(r, SV("bc"), false);
	expect_line(r, SV(""), false);
	expect_end(r, -EAGAIN);
	close(ends[1]);
	expect_line(r, SV("last"), false);
	expect_end(r, 1);
	feed_free(r);
}

static void test_compressed_pipe(void **state)
{
	for (size_t kind = 1; kind < ARRAY_SIZE(packers); kind++) {
		int ends[2];
		struct feed *r;
		size_t n;
		char *p;

		files_write("plain", SV("a\nb\n"));
		files_pack("plain", "packed", kind);
		p = files_read("packed", &n);
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		assert_int_equal(feed_new(ends[0], FEED_PIPE, FEED_BLOCK, &r), 0);
		for (size_t i = 0; i < n - 1; i++) {
			struct feed_line line;
			int result;

			send(ends[1], (struct sv) { p + i, 1 });
			while ((result = feed_line(r, &line)) == 0)
				assert_int_equal(line.text.n, 1);
			assert_int_equal(result, -EAGAIN);
		}
		send(ends[1], (struct sv) { p + n - 1, 1 });
		close(ends[1]);
		while (feed_bytes(r) < 4) {
			struct feed_line line;

			assert_int_equal(feed_line(r, &line), 0);
		}
		expect_end(r, 1);
		feed_free(r);
		free(p);
	}
}

static void on_alarm(int signal)
{
}

static void test_signal(void **state)
{
	struct sigaction catch = { .sa_handler = on_alarm }, before;
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { { 0 } };
	int ends[2];
	struct feed *r;

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	send(ends[1], SV("a\nb"));
	assert_int_equal(feed_new(ends[0], FEED_FILE, FEED_BLOCK, &r), 0);
	assert_int_equal(sigaction(SIGALRM, &catch, &before), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	expect_line(r, SV("a"), false);
	expect_end(r, -EINTR);
	expect_end(r, -EINTR);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	sigaction(SIGALRM, &before, NULL);
	send(ends[1], SV("c\n"));
	expect_line(r, SV("bc"), false);
	close(ends[1]);
	expect_end(r, 1);
	feed_free(r);
}

static bool note(struct sv line, void *arg)
{
	char *seen = arg;

	strncat(seen, line.p, line.n);
	strcat(seen, "|");
	return sv_eq(line, SV("stop"));
}

static void test_peek(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		const char *seen;
	} cases[] = {
		{ "", 3, "" },      { "a\r\nb\nc\nd\n", 3, "a|b|c|" }, { "a\nb", 3, "a|b|" },
		{ "a\n", 1, "a|" }, { "a\nstop\nb\n", 9, "a|stop|" },
	};
	static const size_t blocks[] = { 1, 3, FEED_BLOCK };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t kind = 0; kind < ARRAY_SIZE(packers); kind++) {
			files_write("plain", sv_from(cases[i].text));
			files_pack("plain", "packed", kind);
			for (size_t k = 0; k < ARRAY_SIZE(blocks); k++) {
				char seen[64] = "";
				struct feed *r;
				struct feed_line line;

				r = open_reader("packed", FEED_FILE, blocks[k]);
				assert_int_equal(feed_peek(r, cases[i].max, note, seen), 0);
				assert_string_equal(seen, cases[i].seen);
				if (*cases[i].text)
					expect_line(r, SV("a"), false);
				while (feed_line(r, &line) == 0)
					;
				assert_int_equal(feed_bytes(r), strlen(cases[i].text));
				feed_free(r);
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_many_blocks),
		cmocka_unit_test(test_sniff),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_small),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_concatenated),
		cmocka_unit_test(test_skippable_frame),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_compressed_pipe),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_peek),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
