#include "logscan/stamp.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define SECOND_MS 1000ll
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

/* Lines of one log may be this much out of order. */
#define SLACK_MS MINUTE_MS

/* The end of the year 9999. */
#define NEWEST_MAX 253402300799999ll

void stamp_init(struct stamp *s, int64_t newest_ms)
{
	if (newest_ms > NEWEST_MAX - 2 * DAY_MS)
		newest_ms = NEWEST_MAX - 2 * DAY_MS;
	*s = (struct stamp) { .newest_ms = newest_ms, .last_ms = INT64_MIN };
	tzset();
}

/* Two digits, up to max; -1: none. */
static int two_digits(const char *p, int max)
{
	unsigned int tens = (unsigned char)p[0] - (unsigned int)'0';
	unsigned int ones = (unsigned char)p[1] - (unsigned int)'0';

	if (tens > 9 || ones > 9 || tens * 10 + ones > (unsigned int)max)
		return -1;
	return (int)(tens * 10 + ones);
}

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days since 1970-01-01, by the years of 400 that the Gregorian calendar repeats; they begin with
 * March here, so that the leap day is the last of a year. year is after 0. */
static int32_t day_from_date(int year, int month, int mday)
{
	int y = year - (month <= 2);
	int era = y / 400;
	int of_era = y - era * 400;
	int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + mday - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool date_is_valid(int year, int month, int mday)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (year < 1970 || month < 1 || month > 12 || mday < 1)
		return false;
	return mday <= days[month - 1] + (month == 2 && is_leap(year));
}

const char *stamp_day(int32_t day, char *out)
{
	/* 0000-03-01 to 9999-12-31 */
	uint32_t z = day < -719468 ? 0 : day > 2932896 ? 3652364 : (uint32_t)(day + 719468);
	uint32_t era = z / 146097, of_era = z % 146097;
	uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint32_t month = (5 * of_year + 2) / 153;
	uint32_t mday = of_year - (153 * month + 2) / 5 + 1;

	month = month < 10 ? month + 3 : month - 9;
	year += era * 400 + (month <= 2);
	snprintf(out, 16, "%04u-%02u-%02u", year % 10000, month % 100, mday % 100);
	return out;
}

static int64_t offset_at(int64_t ms)
{
	time_t t = (time_t)(ms / SECOND_MS);
	struct tm tm;

	return localtime_r(&t, &tm) ? tm.tm_gmtoff * SECOND_MS : 0;
}

/* The one or two times at which local clocks show civil_ms: false when there are two. A time that
 * clocks leap over is read with the offset before. */
static bool local_times(int64_t civil_ms, int64_t *ret_first, int64_t *ret_second)
{
	int64_t before = offset_at(civil_ms - DAY_MS), after = offset_at(civil_ms + DAY_MS);
	int64_t early = civil_ms - before, late = civil_ms - after;

	*ret_first = *ret_second = early;
	if (before == after || offset_at(late) != after)
		return true;
	if (offset_at(early) != before) {
		*ret_first = *ret_second = late;
		return true;
	}
	*ret_second = late;
	return false;
}

/* Of two times the first, unless the log has passed it. */
static int64_t local_time(struct stamp *s, int64_t civil_ms)
{
	int64_t first, second;

	if (local_times(civil_ms, &first, &second))
		return first;
	if (s->last_ms > first + SLACK_MS && s->last_ms <= second + HOUR_MS)
		return second;
	return first;
}

static void hour_look_up(struct stamp_hour *h)
{
	int64_t first, second, last;

	h->has_local = local_times(h->civil_ms, &first, &second) &&
		       local_times(h->civil_ms + HOUR_MS - SECOND_MS, &last, &second) &&
		       last - first == HOUR_MS - SECOND_MS;
	h->local_ms = first;
}

static int64_t hour_to_local(struct stamp *s, const struct stamp_hour *h, int64_t of_hour)
{
	int64_t ms = h->has_local ? h->local_ms + of_hour : local_time(s, h->civil_ms + of_hour);

	s->last_ms = ms;
	return ms;
}

/* ":28:01" as milliseconds; -1: no such time. */
static int64_t minutes_seconds(const char *p)
{
	int minute = two_digits(p + 1, 59), second = two_digits(p + 4, 60);

	if (p[0] != ':' || p[3] != ':' || minute < 0 || second < 0)
		return -1;
	return minute * MINUTE_MS + second * SECOND_MS;
}

/* "2010-11-17 09" or "2010-11-17T09". */
static int dated_hour(struct stamp *s, const char *p, char separator)
{
	struct stamp_hour *h = &s->dated;
	int century, year, month, mday, hour;

	if (memcmp(h->text, p, 13) == 0)
		return p[10] == separator ? 0 : -EINVAL;
	century = two_digits(p, 99);
	year = two_digits(p + 2, 99);
	month = two_digits(p + 5, 12);
	mday = two_digits(p + 8, 31);
	hour = two_digits(p + 11, 23);
	if (century < 0 || year < 0 || p[4] != '-' || p[7] != '-' || p[10] != separator ||
	    hour < 0 || !date_is_valid(century * 100 + year, month, mday))
		return -EINVAL;
	h->day = day_from_date(century * 100 + year, month, mday);
	h->civil_ms = h->day * DAY_MS + hour * HOUR_MS;
	hour_look_up(h);
	memcpy(h->text, p, 13);
	return 0;
}

/* ".123..." at p: the milliseconds; *p moves behind it. */
static int64_t fraction(const char **p, const char *end)
{
	const char *q = *p + 1;
	int64_t ms = 0, unit = 100;

	if (*p == end || **p != '.' || q == end || !ascii_is_digit(*q))
		return 0;
	for (; q < end && ascii_is_digit(*q); q++, unit /= 10)
		ms += (*q - '0') * unit;
	*p = q;
	return ms;
}

/* "+0100", or "+01:00" with colon: the milliseconds east of UTC; false: none there. */
static bool zone(const char *p, const char *end, bool colon, int64_t *ret_east)
{
	int hours, minutes;

	if (end - p < 5 + colon || (*p != '+' && *p != '-') || (colon && p[3] != ':'))
		return false;
	hours = two_digits(p + 1, 23);
	minutes = two_digits(p + 3 + colon, 59);
	if (hours < 0 || minutes < 0)
		return false;
	*ret_east = (hours * HOUR_MS + minutes * MINUTE_MS) * (*p == '-' ? -1 : 1);
	return true;
}

/* "2026-03-01 12:34:56.789" at *p, between between date and time; *p moves behind it. */
static int dated_time(struct stamp *s, const char **p, const char *end, char between,
		      int64_t *ret_of_hour)
{
	int64_t of_hour;

	if (end - *p < 19 || dated_hour(s, *p, between) < 0)
		return -EINVAL;
	of_hour = minutes_seconds(*p + 13);
	if (of_hour < 0)
		return -EINVAL;
	*p += 19;
	*ret_of_hour = of_hour + fraction(p, end);
	return 0;
}

int stamp_exim(struct stamp *s, struct sv line, int64_t *ret_ms, int32_t *ret_day, size_t *ret_n)
{
	const char *p = line.p, *end = line.p + line.n;
	int64_t of_hour, east;

	if (dated_time(s, &p, end, ' ', &of_hour) < 0)
		return -EINVAL;
	if (p < end && *p != ' ')
		return -EINVAL;
	/* What else a line begins with has a letter, a digit or a bracket there. */
	if (end - p >= 6 && zone(p + 1, end, false, &east)) {
		p += 6;
		if (p < end && *p != ' ')
			return -EINVAL;
		*ret_ms = s->dated.civil_ms + of_hour - east;
	} else {
		*ret_ms = hour_to_local(s, &s->dated, of_hour);
	}
	*ret_day = s->dated.day;
	*ret_n = (size_t)(p - line.p);
	return 0;
}

int stamp_rfc3339(struct stamp *s, struct sv line, int64_t *ret_ms, int32_t *ret_day, size_t *ret_n)
{
	const char *p = line.p, *end = line.p + line.n;
	int64_t of_hour, east;

	if (dated_time(s, &p, end, 'T', &of_hour) < 0)
		return -EINVAL;
	if (p < end && *p == 'Z') {
		p++;
		*ret_ms = s->dated.civil_ms + of_hour;
	} else if (zone(p, end, true, &east)) {
		p += 6;
		*ret_ms = s->dated.civil_ms + of_hour - east;
	} else if (p < end && *p != ' ') {
		return -EINVAL;
	} else {
		*ret_ms = hour_to_local(s, &s->dated, of_hour);
	}
	*ret_day = s->dated.day;
	*ret_n = (size_t)(p - line.p);
	return 0;
}

static int month_from_name(const char *p)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (memcmp(names + i * 3, p, 3) == 0)
			return i + 1;
	return 0;
}

/* The latest year with which the hour is not more than a day after the newest. */
static int yearless_hour(struct stamp *s, const char *p)
{
	struct stamp_hour *h = &s->yearless;
	int64_t limit = s->newest_ms + offset_at(s->newest_ms) + DAY_MS;
	int month = month_from_name(p);
	int mday = p[4] == ' ' && ascii_is_digit(p[5]) ? p[5] - '0' : two_digits(p + 4, 31);
	int hour = two_digits(p + 7, 23);
	char text[16];
	int year, oldest;

	if (month == 0 || mday < 1 || hour < 0 || p[3] != ' ' || p[6] != ' ' || limit < 0)
		return -EINVAL;
	stamp_day((int32_t)(limit / DAY_MS), text);
	year = two_digits(text, 99) * 100 + two_digits(text + 2, 99);
	/* 29 February may be of the year before, and no more than that. */
	for (oldest = year - 1; year >= oldest; year--) {
		int32_t day =
			date_is_valid(year, month, mday) ? day_from_date(year, month, mday) : 0;
		if (day == 0 || day * DAY_MS + hour * HOUR_MS > limit)
			continue;
		h->day = day;
		h->civil_ms = h->day * DAY_MS + hour * HOUR_MS;
		hour_look_up(h);
		memcpy(h->text, p, 9);
		return 0;
	}
	return -EINVAL;
}

int stamp_rfc3164(struct stamp *s, struct sv line, int64_t *ret_ms, int32_t *ret_day, size_t *ret_n)
{
	const char *p = line.p;
	int64_t of_hour, ms;

	if (line.n < 15)
		return -EINVAL;
	if ((memcmp(s->yearless.text, p, 9) != 0 || !p[0]) && yearless_hour(s, p) < 0)
		return -EINVAL;
	of_hour = minutes_seconds(p + 9);
	if (of_hour < 0)
		return -EINVAL;
	ms = hour_to_local(s, &s->yearless, of_hour);
	if (ms > s->newest_ms)
		s->newest_ms = ms;
	*ret_ms = ms;
	*ret_day = s->yearless.day;
	*ret_n = 15;
	return 0;
}
