#include <ctype.h>
#include <time.h>
#include "cli/format.h"
#include "fleet/clock.h"

static struct short_text FLEET_PRINTF(1, 2) short_text(const char *fmt, ...)
{
	struct short_text t;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(
		t.text, sizeof(t.text), fmt, ap); /* cut where a text from outside is longer than sense */
	va_end(ap);
	return t;
}

const char *format_field(struct json_object *obj, const char *key)
{
	const char *text = fleet_json_string(obj, key);

	return text ? text : "?";
}

struct short_text format_status(const char *status)
{
	struct short_text t = short_text("%s", str_empty(status) ? "unknown" : status);

	t.text[0] = (char)toupper((unsigned char)t.text[0]);
	return t;
}

struct short_text format_id(const char *command_id)
{
	size_t len = command_id ? strlen(command_id) : 0;

	return short_text("%s", len > 6 ? command_id + len - 6 : len ? command_id : "?");
}

struct short_text format_duration(int64_t ms)
{
	struct short_text t = {""};

	fleet_duration_format(ms, t.text, sizeof(t.text));
	return t;
}

struct short_text format_since(const char *time)
{
	int64_t at, passed;

	if (!time || fleet_timestamp_parse(time, &at) < 0)
		return short_text("%s", "");
	passed = fleet_clock_wall_ms() - at;
	return format_duration(passed < 1000 ? 0 : passed / 1000 * 1000);
}

struct short_text format_ago(const char *time)
{
	struct short_text since = format_since(time);

	if (!since.text[0])
		return since;
	if (str_starts(since.text, "0 "))
		return short_text("now");
	return short_text("%.60s ago", since.text);
}

static bool local_time(const char *time, struct tm *ret)
{
	int64_t at;
	time_t seconds;

	if (!time || fleet_timestamp_parse(time, &at) < 0)
		return false;
	seconds = (time_t)(at / 1000);
	return localtime_r(&seconds, ret) != NULL;
}

struct short_text format_clock(const char *time)
{
	struct short_text t = {""};
	time_t now_seconds = (time_t)(fleet_clock_wall_ms() / 1000);
	struct tm at, now;
	bool today;

	if (!local_time(time, &at))
		return t;
	today = localtime_r(&now_seconds, &now) && now.tm_year == at.tm_year && now.tm_yday == at.tm_yday;
	(void)strftime(t.text, sizeof(t.text), today ? "%H:%M" : "%Y-%m-%d %H:%M", &at); /* fits */
	return t;
}

struct short_text format_date(const char *time)
{
	struct short_text t = {""};
	struct tm at;

	if (local_time(time, &at))
		(void)strftime(t.text, sizeof(t.text), "%Y-%m-%d %H:%M:%S", &at); /* fits */
	return t;
}

struct short_text format_megabytes(int64_t bytes)
{
	return short_text("%lld", (long long)((bytes + (1 << 19)) >> 20));
}

struct short_text format_size(int64_t bytes)
{
	static const char *const units[] = {"KB", "MB", "GB"};
	double size = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024)
		return short_text("%lld byte%s", (long long)bytes, bytes == 1 ? "" : "s");
	for (; size >= 1023.95 && unit + 1 < FLEET_ARRAY_LEN(units); unit++)
		size /= 1024;
	return short_text("%.1f %s", size, units[unit]);
}

struct short_text format_gigabytes(int64_t bytes)
{
	return short_text("%.1f GB", (double)bytes / (double)(1 << 30));
}

struct short_text format_count(size_t count, const char *one)
{
	return short_text("%zu %s%s", count, one, count == 1 ? "" : "s");
}
