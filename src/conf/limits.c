#include "conf/schema.h"

#define HOUR_MS (3600 * 1000LL)

/* Octets, or with K, M, G behind. */
static void read_size(struct conf_reader *r, const struct yaml_node *node, const char *path,
		      void *field)
{
	static const char accepted[] = "a number with K, M or G behind it, from 1M to 1024G";
	static const struct {
		char unit;
		int shift;
	} units[] = { { 'K', 10 }, { 'M', 20 }, { 'G', 30 } };
	char text[READER_QUOTED];
	uint64_t v = 0;

	if (!reader_is_scalar(r, node, path, accepted))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		struct sv number = { node->text.p, node->text.n - 1 };

		if (node->text.n < 2 || node->text.p[number.n] != units[i].unit)
			continue;
		if (sv_to_u64(number, UINT64_C(1) << (40 - units[i].shift), &v) == 0)
			v <<= units[i].shift;
		else
			v = 0;
	}
	if (v < UINT64_C(1) << 20)
		reader_error(r, node, path, "'%s' can't be; accepted: %s",
			     reader_quote(node->text, text), accepted);
	else
		*(int64_t *)field = (int64_t)v;
}

#define IN_LIMITS(field) offsetof(struct conf, limits.field)

static const struct option timeouts_options[] = {
	{ "command", OPTION_MS, IN_LIMITS(command_ms), .min = 1000, .max = 24 * HOUR_MS,
	  .def = 5 * 60 * 1000 }, /* RFC 5321 4.5.3.2.7 */
	{ "data", OPTION_MS, IN_LIMITS(data_ms), .min = 1000, .max = 24 * HOUR_MS,
	  .def = 3 * 60 * 1000 }, /* 4.5.3.2.5 */
	{ "backend", OPTION_MS, IN_LIMITS(backend_ms), .min = 1000, .max = 24 * HOUR_MS,
	  .def = 5 * 60 * 1000 }, /* 4.5.3.2.1 to .3 */
	{ "data_start", OPTION_MS, IN_LIMITS(data_start_ms), .min = 1000, .max = 24 * HOUR_MS,
	  .def = 2 * 60 * 1000 }, /* 4.5.3.2.4 */
	{ "final", OPTION_MS, IN_LIMITS(final_ms), .min = 1000, .max = 24 * HOUR_MS,
	  .def = 10 * 60 * 1000 }, /* 4.5.3.2.6 */
};
static const struct schema timeouts_schema = { timeouts_options, ARRAY_SIZE(timeouts_options) };

/* An honest sender is far below each of these; what they stop is a flood. */
static const struct option limits_options[] = {
	{ "connections", OPTION_INT, IN_LIMITS(connections), .min = 0, .max = 1000000 },
	{ "per_client", OPTION_INT, IN_LIMITS(per_client), .min = 0, .max = 1000000, .def = 200 },
	{ "per_client_rate", OPTION_INT, IN_LIMITS(per_client_rate), .min = 0, .max = 1000000,
	  .def = 12000 },
	{ "commands", OPTION_INT, IN_LIMITS(commands), .min = 0, .max = 1000000000, .def = 10000 },
	{ "errors", OPTION_INT, IN_LIMITS(errors), .min = 0, .max = 1000000000, .def = 100 },
	{ "min_rate", OPTION_INT, IN_LIMITS(min_rate), .min = 0, .max = 1000000, .def = 100 },
	{ "memory", OPTION_READ, IN_LIMITS(memory), .read = read_size },
	{ "timeouts", OPTION_MAP, 0, .map = &timeouts_schema },
};
const struct schema limits_schema = { limits_options, ARRAY_SIZE(limits_options) };
