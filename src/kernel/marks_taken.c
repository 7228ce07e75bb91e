#include "kernel/marks_taken.h"

#include "base/marks.h"
#include "kernel/nft.h"
#include "kernel/ruleset.h"

#include <stdio.h>
#include <stdlib.h>

#define MARK_SET     " mark set "
#define LINE_LONGEST 512
#define NAME_LONGEST 64

/* The value is the last number: "set 0x1", "set meta mark & 0xffffff00 | 0x1". One that is only a
 * mask sets nothing. */
static bool is_ours(const char *value)
{
	const char *last = NULL;

	for (const char *at = value; (at = strstr(at, "0x")); at += 2)
		last = at;
	if (!last || (last - value >= 2 && last[-2] == '&'))
		return false;
	unsigned long low = strtoul(last, NULL, 16) & MARK_MASK;
	return low == MARK_LOCAL || low == MARK_CLIENT || low == MARK_STEERED ||
	       low == MARK_UPSTREAM;
}

static void look_at_line(const char *line, char *table, bool *ret_taken,
			 char ret_text[MARKS_TEXT_MAX])
{
	const char *set = strstr(line, MARK_SET);
	char family[16], name[NAME_LONGEST];

	if (sscanf(line, "table %15s %63s", family, name) == 2) {
		snprintf(table, NAME_LONGEST + 16, "%s %s", family, name);
		return;
	}
	if (!set || strcmp(table, "inet " RULESET_TABLE) == 0 || !is_ours(set + strlen(MARK_SET)))
		return;
	while (*line == '\t' || *line == ' ')
		line++;
	snprintf(ret_text, MARKS_TEXT_MAX,
		 "table %s has a rule with a mark of frontdoor's (0x%x to 0x%x): %.80s", table,
		 MARK_LOCAL, MARK_UPSTREAM, line);
	*ret_taken = true;
}

bool marks_taken(struct sv ruleset, char ret_text[MARKS_TEXT_MAX])
{
	char line[LINE_LONGEST], table[NAME_LONGEST + 16] = "";
	bool taken = false;

	while (!taken && ruleset.n > 0) {
		const char *end = memchr(ruleset.p, '\n', ruleset.n);
		size_t n = end ? (size_t)(end - ruleset.p) : ruleset.n;

		snprintf(line, sizeof(line), "%.*s", (int)min_size(n, sizeof(line) - 1), ruleset.p);
		look_at_line(line, table, &taken, ret_text);
		n += end != NULL;
		ruleset.p += n;
		ruleset.n -= n;
	}
	return taken;
}

bool marks_taken_here(char ret_text[MARKS_TEXT_MAX])
{
	/* without the elements of sets, which can be millions */
	static const char *const argv[] = { "nft", "-t", "list", "ruleset", NULL };
	CLEANUP(buf_deinit) struct buf text;

	buf_init(&text, NFT_OUTPUT_MAX);
	return nft_run(argv, SV(""), &text) == 0 && marks_taken(buf_view(&text), ret_text);
}
