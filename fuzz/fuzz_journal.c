/* A line of `journalctl -o json`: what is told lies in the parser's own buffer, and a second
 * reading tells the same. */
#include "logscan/journal.h"
#include "logscan/postfix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct sv v, const struct journal *j)
{
	INVARIANT(v.n == 0 || (v.p >= j->text && v.p + v.n <= j->text + j->alloc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv line = { (const char *)data, size };
	struct syslog_line first, second;
	struct entry e = { 0 };
	struct journal j, other;
	struct stamp stamp;

	journal_init(&j);
	journal_init(&other);
	stamp_init(&stamp, 0);
	if (journal_parse(&j, &stamp, line, &first) == 0) {
		check_inside(first.host, &j);
		check_inside(first.program, &j);
		check_inside(first.message, &j);
		INVARIANT(journal_parse(&other, &stamp, line, &second) == 0);
		INVARIANT(first.time_ms == second.time_ms && first.day == second.day);
		INVARIANT(sv_eq(first.host, second.host) && sv_eq(first.program, second.program) &&
			  sv_eq(first.message, second.message));
		postfix_parse(first.program, first.message, &e);
	}
	journal_deinit(&other);
	journal_deinit(&j);
	return 0;
}
