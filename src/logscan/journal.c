#include "logscan/journal.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#define QUARTER_S 900

void journal_init(struct journal *j)
{
	*j = (struct journal) { .quarter = -1 };
}

void journal_deinit(struct journal *j)
{
	free(j->text);
	*j = (struct journal) { 0 };
}

/* Days since 1970-01-01 (proleptic Gregorian); the year begins in March here, so that a leap day
 * is its last. */
static int32_t days_of(int year, int month, int mday)
{
	int y = month < 3 ? year - 1 : year;
	int m = month < 3 ? month + 9 : month - 3;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + mday - 1 - 719468;
}

/* The offsets of all zones are multiples of a quarter of an hour, so a day never begins inside
 * one. */
static int find_day(struct journal *j, int64_t seconds, int32_t *ret_day)
{
	int64_t quarter = seconds / QUARTER_S;
	time_t t = (time_t)seconds;
	struct tm tm;

	if (quarter != j->quarter) {
		if (!localtime_r(&t, &tm))
			return -EINVAL;
		j->day = days_of(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
		j->quarter = quarter;
	}
	*ret_day = j->day;
	return 0;
}

static int reserve(struct journal *j, size_t n)
{
	char *text;

	if (n <= j->alloc)
		return 0;
	text = realloc(j->text, n);
	if (!text)
		return -ENOMEM;
	j->text = text;
	j->alloc = n;
	return 0;
}

/* -1: neither a string nor octets. */
static ssize_t value_len(const json_t *value)
{
	if (json_is_string(value))
		return (ssize_t)json_string_length(value);
	if (!json_is_array(value))
		return -1;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const json_t *octet = json_array_get(value, i);

		if (!json_is_integer(octet) || json_integer_value(octet) < 0 ||
		    json_integer_value(octet) > 255)
			return -1;
	}
	return (ssize_t)json_array_size(value);
}

static struct sv put_value(char *to, const json_t *value, size_t n)
{
	if (json_is_string(value))
		memcpy(to, json_string_value(value), n);
	else
		for (size_t i = 0; i < n; i++)
			to[i] = (char)json_integer_value(json_array_get(value, i));
	return (struct sv) { to, n };
}

static int read_time(const json_t *object, int64_t *ret_ms)
{
	const json_t *value = json_object_get(object, "__REALTIME_TIMESTAMP");
	uint64_t us;

	/* up to the year 9999 */
	if (!json_is_string(value) ||
	    sv_to_u64((struct sv) { json_string_value(value), json_string_length(value) },
		      UINT64_C(253402300799999999), &us) < 0)
		return -EINVAL;
	*ret_ms = (int64_t)(us / 1000);
	return 0;
}

/* Copies the values to j->text; those that are missing become empty, but for the message: there is
 * nothing to say about a line without it, and one that is too long for journalctl is null. */
static int copy_values(struct journal *j, const json_t *object, struct syslog_line *l)
{
	const json_t *program = json_object_get(object, "SYSLOG_IDENTIFIER");
	const json_t *values[] = {
		json_object_get(object, "_HOSTNAME"),
		program ? program : json_object_get(object, "_COMM"),
		json_object_get(object, "MESSAGE"),
	};
	struct sv *const views[] = { &l->host, &l->program, &l->message };
	ssize_t len[ARRAY_SIZE(values)];
	size_t total = 1, at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		len[i] = value_len(values[i]);
		if (len[i] > 0)
			total += (size_t)len[i];
	}
	if (len[2] < 0)
		return -EINVAL;
	if (reserve(j, total) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		*views[i] = (struct sv) { j->text, 0 };
		if (len[i] > 0) {
			*views[i] = put_value(j->text + at, values[i], (size_t)len[i]);
			at += (size_t)len[i];
		}
	}
	return 0;
}

int journal_parse(struct journal *j, struct stamp *stamp, struct sv line,
		  struct syslog_line *ret_line)
{
	struct syslog_line l;
	json_error_t error;
	json_t *object;
	int r;

	if (line.n == 0)
		return -EINVAL;
	object = json_loadb(line.p, line.n, JSON_ALLOW_NUL, &error);
	if (!object)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
	r = read_time(object, &l.time_ms);
	if (r == 0)
		r = find_day(j, l.time_ms / 1000, &l.day);
	if (r == 0)
		r = copy_values(j, object, &l);
	json_decref(object);
	if (r == 0)
		*ret_line = l;
	return r;
}
