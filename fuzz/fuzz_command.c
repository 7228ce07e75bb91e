/* One command line, and what its arguments are to each grammar. A path that was taken must come out
 * the same when it is written and read again. */
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const struct smtp_path *path, bool utf8)
{
	struct sv domains[PATH_ROUTES_MAX];
	struct smtp_path again;
	char wire[PATH_WIRE_MAX];
	size_t used;
	size_t n = path_write(path, wire);

	INVARIANT(n <= PATH_WIRE_MAX);
	INVARIANT(text_is_clean((struct sv) { wire, n }, utf8));
	INVARIANT(path_parse((struct sv) { wire, n }, utf8, &again, &used) == 0);
	INVARIANT(used == n && again.kind == path->kind);
	INVARIANT(sv_eq((struct sv) { again.local, again.local_len },
			(struct sv) { path->local, path->local_len }));
	INVARIANT(sv_eq((struct sv) { again.domain, again.domain_len },
			(struct sv) { path->domain, path->domain_len }));

	int routes = path_routes(path, domains);
	INVARIANT(routes <= PATH_ROUTES_MAX);
	for (int i = 0; i < routes; i++)
		INVARIANT(domain_is_valid(domains[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv line = { (const char *)data, size };
	struct command command;
	struct smtp_path path;
	struct sv params;
	uint64_t octets;
	size_t used;
	bool flag;

	for (int utf8 = 0; utf8 < 2; utf8++) {
		if (path_parse(line, utf8, &path, &used) == 0) {
			INVARIANT(used <= size);
			check_path(&path, utf8);
		}
	}
	if (command_parse(line, &command) != COMMAND_OK)
		return 0;
	if (command_mail(command.args, &path, &params, &flag) == COMMAND_OK) {
		check_path(&path, flag);
		INVARIANT(text_is_clean(params, false));
	}
	for (int utf8 = 0; utf8 < 2; utf8++) {
		if (command_rcpt(command.args, utf8, &path, &params) == COMMAND_OK) {
			INVARIANT(path.kind != PATH_NULL);
			check_path(&path, utf8);
			INVARIANT(text_is_clean(params, utf8));
		}
	}
	if (command_bdat(command.args, &octets, &flag) == COMMAND_OK)
		INVARIANT(octets <= INT64_MAX);
	return 0;
}
