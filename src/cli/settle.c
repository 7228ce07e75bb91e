/*
 * frontdoor scanners --accept|--deny|--forget NETWORK NAME: written to the state file, where the
 * running daemon finds it within seconds. A network this large opens a door to so many that it can
 * hardly be meant: it is refused.
 */
#include "cli/settle.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "event/flat.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define V4_LEAST (96 + 8)
#define V6_LEAST 16

static const char *const words[] = {
	[SETTLE_ACCEPT] = "accepted",
	[SETTLE_DENY] = "denied",
	[SETTLE_FORGET] = "forgotten",
};

static bool parse_network(const char *text, struct prefix *ret_network)
{
	int r = prefix_parse(sv_from(text), ret_network);

	if (r < 0) {
		fprintf(stderr, "%s: %s; accepted: 192.0.2.0/24, 2001:db8::/32 or an address\n",
			text, r == -ERANGE ? "there are bits set past its length" : "no network");
		return false;
	}
	if (ret_network->bits >= (prefix_has_v4(ret_network) ? V4_LEAST : V6_LEAST))
		return true;
	fprintf(stderr, "%s: too large; accepted: prefixes from /8, of IPv6 from /16\n", text);
	return false;
}

static bool check_name(const char *name)
{
	size_t n = strlen(name);
	bool good = n > 0 && n < PROOF_NAME_MAX;

	for (size_t i = 0; good && i < n; i++)
		good = isgraph((unsigned char)name[i]);
	if (!good)
		fprintf(stderr,
			"'%s': no name of a scanner; accepted: as events and explain show it\n",
			name);
	return good;
}

static void tell(const struct settle_order *o, const struct prefix *network, bool as_before)
{
	char text[ADDR_STRLEN + 4];

	prefix_format(network, text);
	if (o->json) {
		char line[4096];
		struct flat l = { line, 0, sizeof(line) };

		flat_text(&l, "scanner", sv_from(o->scanner));
		flat_word(&l, "network", text);
		flat_word(&l, "settled", words[o->what]);
		fwrite(line, 1, flat_end(&l), stdout);
	} else if (as_before && o->what == SETTLE_FORGET) {
		printf("%s: nothing was settled of %s\n", o->scanner, text);
	} else {
		printf("%s: %s is %s%s\n", o->scanner, text, words[o->what],
		       as_before ? ", as before" : "");
	}
}

/* Does anything speak of a scanner of this name? One that nobody has delivered by yet may still be
 * right: a domain's MX names it. */
static bool is_known(const struct conf *conf, const char *name)
{
	const struct policy *p = &conf->policy;
	struct memory *memory = NULL;
	struct proof *proof = NULL;
	struct proof_state judged;
	struct state_error error;
	bool known = p->catalogue && catalogue_by_id(p->catalogue, sv_from(name));

	for (size_t i = 0; i < p->n_scanners && !known; i++)
		known = strcmp(p->scanners[i].name, name) == 0;
	if (!known && memory_new(&memory) == 0 && proof_new(&proof) == 0 &&
	    state_load(conf->state, memory, proof, &error) == 0) {
		known = memory_scanner_is_heard(memory, name, clock_mono_ms());
		if (!known && proof_judge(proof, name, &p->prove, clock_wall_ms(), &judged) == 0) {
			proof_state_deinit(&judged);
			known = true;
		}
	}
	proof_free(proof);
	memory_free(memory);
	return known;
}

static int write_order(const struct settle_order *o, const char *state,
		       const struct prefix *network)
{
	char text[ADDR_STRLEN + 4];
	struct state_error error;
	struct prefix other;

	switch (state_settle(state, o->scanner, network, o->what, &other, &error)) {
	case SETTLED:
		tell(o, network, false);
		return CLI_DONE;
	case SETTLE_AS_BEFORE:
		tell(o, network, true);
		return CLI_DONE;
	case SETTLE_CONTRADICTS:
		fprintf(stderr, "%s: %s is %s for %s; first: --forget %s %s\n", o->network,
			prefix_format(&other, text),
			words[o->what == SETTLE_ACCEPT ? SETTLE_DENY : SETTLE_ACCEPT], o->scanner,
			text, o->scanner);
		return CLI_USAGE;
	case SETTLE_TOO_MANY:
		fprintf(stderr, "%s: %d networks are settled already; accepted: larger ones\n",
			o->scanner, PROOF_SETTLED);
		return CLI_USAGE;
	default:
		fprintf(stderr, "%s\n", error.text);
		return CLI_FAILED;
	}
}

int settle_run(const struct settle_order *o)
{
	struct prefix network;
	struct conf *conf;
	int status;

	if (!parse_network(o->network, &network) || !check_name(o->scanner))
		return CLI_USAGE;
	if (!o->file) {
		fputs("-c FILE is missing: where the state file is stands there\n", stderr);
		return CLI_USAGE;
	}
	if (conf_load(o->file, stderr, &conf) < 0)
		return CLI_CONFIG;
	if (conf->state) {
		bool known = o->what == SETTLE_FORGET || is_known(conf, o->scanner);

		status = write_order(o, conf->state, &network);
		if (status == CLI_DONE && !known)
			fprintf(stderr,
				"%s: no scanner of this name was seen yet, nor is one configured "
				"or in the catalogue; frontdoor scanners lists all\n",
				o->scanner);
	} else {
		fprintf(stderr, "%s: no state file to write to; accepted: state: FILE\n", o->file);
		status = CLI_CONFIG;
	}
	conf_free(conf);
	return status;
}
