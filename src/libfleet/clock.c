#include <time.h>
#include "fleet/clock.h"

#define DAY_MS       (INT64_C(86400) * 1000)
#define DURATION_MAX (365 * DAY_MS)

static int64_t read_clock(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t fleet_clock_monotonic_ms(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t fleet_clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar, and back. Years begin in March here,
 * so that the leap day is the last. */
static int64_t days_from_date(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int day_of_year = (int)(day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100));
	int month = (5 * day_of_year + 2) / 153; /* 0 is March */

	*ret_day = day_of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

struct fleet_timestamp fleet_timestamp_format(int64_t unix_ms)
{
	const int64_t first = days_from_date(0, 1, 1) * DAY_MS,
		      last = days_from_date(10000, 1, 1) * DAY_MS - 1;
	struct fleet_timestamp t;
	int64_t days, ms, year;
	int month, day;

	if (unix_ms < first)
		unix_ms = first;
	if (unix_ms > last)
		unix_ms = last;
	days = unix_ms / DAY_MS;
	ms = unix_ms % DAY_MS;
	if (ms < 0) {
		days--;
		ms += DAY_MS;
	}
	date_from_days(days, &year, &month, &day);
	snprintf(t.text, sizeof(t.text), "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year % 10000,
		(unsigned)month % 100, (unsigned)day % 100, (unsigned)(ms / 3600000) % 100,
		(unsigned)(ms / 60000 % 60), (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
	return t;
}

struct fleet_timestamp fleet_timestamp_now(void)
{
	return fleet_timestamp_format(fleet_clock_wall_ms());
}

/* Reads exactly count digits; -1 where they are not there. Moves *p on. */
static int digits(const char **p, int count)
{
	int value = 0;

	for (int i = 0; i < count; i++) {
		char c = **p;

		if (c < '0' || c > '9')
			return -1;
		value = value * 10 + (c - '0');
		(*p)++;
	}
	return value;
}

static bool take(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* ".123456": milliseconds, the rest is cut. -1 where no digit follows the point. */
static int fraction(const char **p)
{
	int ms = 0, weight = 100, count = 0;

	if (!take(p, '.'))
		return 0;
	while (**p >= '0' && **p <= '9') {
		ms += (**p - '0') * weight;
		weight /= 10;
		count++;
		(*p)++;
	}
	return count ? ms : -1;
}

/* "Z" or "+02:00", in minutes east. */
static int offset(const char **p, int *ret_minutes)
{
	int sign, hours, minutes;

	if (take(p, 'Z') || take(p, 'z')) {
		*ret_minutes = 0;
		return 0;
	}
	if (take(p, '+'))
		sign = 1;
	else if (take(p, '-'))
		sign = -1;
	else
		return -EINVAL;
	hours = digits(p, 2);
	if (hours < 0 || hours > 23 || !take(p, ':'))
		return -EINVAL;
	minutes = digits(p, 2);
	if (minutes < 0 || minutes > 59)
		return -EINVAL;
	*ret_minutes = sign * (hours * 60 + minutes);
	return 0;
}

int fleet_timestamp_parse(const char *text, int64_t *ret_unix_ms)
{
	int year, month, day, hour, minute, second, ms, east;
	const char *p = text;

	if (!p || (year = digits(&p, 4)) < 0 || !take(&p, '-') || (month = digits(&p, 2)) < 1 || month > 12 ||
		!take(&p, '-') || (day = digits(&p, 2)) < 1 || day > days_in_month(year, month))
		return -EINVAL;
	if (!take(&p, 'T') && !take(&p, 't'))
		return -EINVAL;
	/* second 60: a leap second, which Unix time does not know; it becomes the next second */
	if ((hour = digits(&p, 2)) < 0 || hour > 23 || !take(&p, ':') || (minute = digits(&p, 2)) < 0 ||
		minute > 59 || !take(&p, ':') || (second = digits(&p, 2)) < 0 || second > 60)
		return -EINVAL;
	if ((ms = fraction(&p)) < 0 || offset(&p, &east) < 0 || *p != '\0')
		return -EINVAL;
	*ret_unix_ms = days_from_date(year, month, day) * DAY_MS +
		       ((hour * INT64_C(60) + minute - east) * 60 + second) * 1000 + ms;
	return 0;
}

int fleet_duration_parse(const char *text, int64_t *ret_ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000},
		{"d", DAY_MS}};
	int64_t value = 0;
	const char *p = text;

	if (!p || *p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (*p - '0');
		if (value > DURATION_MAX)
			return -EINVAL;
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(units); i++) {
		if (str_equal(p, units[i].unit)) {
			if (value > DURATION_MAX / units[i].ms)
				return -EINVAL;
			*ret_ms = value * units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}

void fleet_duration_format(int64_t ms, char *out, size_t out_len)
{
	int64_t tenths;

	if (ms < 0)
		ms = 0;
	tenths = ms < 10000 ? (ms + 50) / 100 : 100;
	if (tenths < 100 && tenths % 10 != 0)
		snprintf(out, out_len, "%d.%d s", (int)(tenths / 10), (int)(tenths % 10));
	else if (ms < 120000)
		snprintf(out, out_len, "%d s", (int)((ms + 500) / 1000));
	else if (ms < 120 * INT64_C(60000))
		snprintf(out, out_len, "%d min", (int)(ms / 60000));
	else if (ms < 2 * DAY_MS)
		snprintf(out, out_len, "%d h", (int)(ms / 3600000));
	else
		snprintf(out, out_len, "%lld d", (long long)(ms / DAY_MS));
}
