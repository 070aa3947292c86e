#include "agent/host/unit_facts.h"
#include <sys/stat.h>
#include "agent/host/run_program.h"

#define SYSTEMCTL_MS 3000
#define MARGIN_MS    10000 /* past systemd's own limit: its verdict is better than ours */

bool unit_facts_apply(const struct app *app)
{
	struct stat st;

	return str_equal(app->service_driver, "systemd-unit") && stat("/run/systemd/system", &st) == 0 &&
	       S_ISDIR(st.st_mode);
}

int64_t unit_facts_span_ms(const char *text)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {{"y", 31557600000.0}, {"month", 2629800000.0}, {"w", 604800000.0}, {"d", 86400000.0},
		{"h", 3600000.0}, {"min", 60000.0}, {"s", 1000.0}, {"ms", 1.0}, {"us", 0.001}};
	double ms = 0;

	if (strcmp(text, "infinity") == 0)
		return INT64_MAX;
	if (strcmp(text, "0") == 0)
		return 0;
	if (!*text)
		return -1;
	while (*text) {
		char *end = NULL;
		double number = strtod(text, &end);
		size_t i = 0, len = strcspn(end, " ");

		if (end == text || number < 0)
			return -1;
		while (i < FLEET_ARRAY_LEN(units) &&
			!(strlen(units[i].unit) == len && strncmp(end, units[i].unit, len) == 0))
			i++;
		if (i == FLEET_ARRAY_LEN(units))
			return -1;
		ms += number * units[i].ms;
		text = end + len;
		text += strspn(text, " ");
	}
	return ms < (double)(INT64_MAX / 2) ? (int64_t)ms : INT64_MAX;
}

static bool is_root(const char *name)
{
	return !*name || strcmp(name, "root") == 0 || strspn(name, "0") == strlen(name);
}

void unit_facts_parse(const char *text, struct unit_facts *ret)
{
	struct unit_facts facts = {.start_ms = -1, .stop_ms = -1};
	char uid[64] = "", gid[64] = "", start[64] = "", stop[64] = "", dynamic[8] = "";
	const struct {
		const char *key;
		char *value;
		size_t size;
	} wanted[] = {{"User=", facts.user, sizeof(facts.user)}, {"Group=", facts.group, sizeof(facts.group)},
		{"SupplementaryGroups=", facts.groups, sizeof(facts.groups)}, {"UID=", uid, sizeof(uid)},
		{"GID=", gid, sizeof(gid)}, {"DynamicUser=", dynamic, sizeof(dynamic)},
		{"TimeoutStartUSec=", start, sizeof(start)}, {"TimeoutStopUSec=", stop, sizeof(stop)}};

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		for (size_t i = 0; i < FLEET_ARRAY_LEN(wanted); i++) {
			const char *value = line + strlen(wanted[i].key);

			if (str_starts(line, wanted[i].key) && strcspn(value, "\n") < wanted[i].size)
				snprintf(wanted[i].value, wanted[i].size, "%.*s", (int)strcspn(value, "\n"),
					value);
		}
	}
	if (strcmp(dynamic, "yes") == 0) { /* it has a user while it runs, and a number is what it has then */
		bool known = *uid && strspn(uid, "0123456789") == strlen(uid);

		snprintf(facts.user, sizeof(facts.user), "%s", known ? uid : "");
		snprintf(facts.group, sizeof(facts.group), "%s",
			known && *gid && strspn(gid, "0123456789") == strlen(gid) ? gid : "");
	}
	if (is_root(facts.user))
		facts.user[0] = facts.group[0] = facts.groups[0] = '\0';
	facts.start_ms = unit_facts_span_ms(start);
	facts.stop_ms = unit_facts_span_ms(stop);
	*ret = facts;
}

int unit_facts_read(const struct app *app, struct unit_facts *ret, struct fleet_error *err)
{
	static char program[] = "/usr/bin/systemctl", verb[] = "show",
		    what[] = "--property=User,Group,SupplementaryGroups,UID,GID,DynamicUser,"
			     "TimeoutStartUSec,TimeoutStopUSec",
		    end[] = "--";
	char *argv[] = {program, verb, what, end, app->service_name, NULL};
	struct program_end done;
	int r = program_run(argv, false, SYSTEMCTL_MS, &done, err);

	if (r < 0)
		return r;
	if (done.status != 0)
		return fleet_error_set(err, -EIO, "systemctl does not tell of %s: %.*s", app->service_name,
			(int)strcspn(done.err.text, "\n"), done.err.text);
	unit_facts_parse(done.out.text, ret);
	return 0;
}

int64_t unit_facts_timeout_ms(const struct app *app)
{
	struct unit_facts facts;
	int64_t ms;

	if (app->timeout_ms > 0)
		return app->timeout_ms;
	if (!unit_facts_apply(app) || unit_facts_read(app, &facts, NULL) < 0 || facts.start_ms < 0 ||
		facts.stop_ms < 0)
		return APP_TIMEOUT_MS;
	if (facts.start_ms > APP_TIMEOUT_MAX_MS || facts.stop_ms > APP_TIMEOUT_MAX_MS)
		return APP_TIMEOUT_MAX_MS;
	ms = facts.start_ms + facts.stop_ms + MARGIN_MS;
	return ms < APP_TIMEOUT_MAX_MS ? ms : APP_TIMEOUT_MAX_MS;
}
