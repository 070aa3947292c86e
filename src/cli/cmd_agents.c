#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/table.h"
#include "fleet/clock.h"

static void agent_row(struct table *t, struct json_object *agent)
{
	struct json_object *metrics = fleet_json_object(agent, "metrics");
	struct json_object *apps = fleet_json_array(agent, "apps");
	double cpu = fleet_json_number(metrics, "cpuPercent", -1);
	int64_t memory = fleet_json_int(metrics, "memoryUsedBytes", -1);
	bool online = fleet_json_bool(agent, "isOnline", false);

	table_row(t);
	table_cell(t, 0, fleet_json_string(agent, "agentId"));
	table_cell(t, 1, fleet_json_string(agent, "hostname"));
	table_cell(t, 2, online ? "online" : "offline");
	if (online && cpu >= 0) /* what an offline agent said last is no fact about now */
		table_cellf(t, 3, "%.1f%%", cpu);
	if (online && memory >= 0)
		table_cell(t, 4, format_megabytes(memory).text);
	if (apps)
		table_cellf(t, 5, "%zu", json_object_array_length(apps));
}

int cmd_agents_list(const struct cli_args *args)
{
	static const struct table_column columns[] = {{"AGENT ID", false}, {"HOSTNAME", false},
		{"STATUS", false}, {"CPU", true}, {"MEM (MB)", true}, {"APPS", true}, {0}};
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *agents = NULL;
	_cleanup_(table_done) struct table t = {0};
	bool online_only = cli_args_has(args, "online-only");
	int r = session_open(&s);

	if (r != CLI_OK)
		return r;
	r = session_list(
		&s, online_only ? "/api/agents?status=online" : "/api/agents", NULL, 0, NULL, &agents);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json")) {
		output_json(agents);
		return CLI_OK;
	}
	table_init(&t, columns);
	for (size_t i = 0; i < json_object_array_length(agents); i++)
		agent_row(&t, json_object_array_get_idx(agents, i));
	table_write(&t, "", stdout);
	if (!t.rows)
		output_line(stderr, "No agent%s yet.", online_only ? " is online" : " has registered");
	return CLI_OK;
}

static void app_row(struct table *t, struct json_object *app)
{
	int64_t pid = fleet_json_int(app, "pid", 0);
	int64_t memory = fleet_json_int(app, "memoryBytes", -1);

	table_row(t);
	table_cell(t, 0, fleet_json_string(app, "id"));
	table_cell(t, 1, format_status(fleet_json_string(app, "status")).text);
	table_cell(t, 2, fleet_json_string(app, "health"));
	table_cell(t, 3, fleet_json_string(app, "version"));
	if (pid > 0)
		table_cellf(t, 4, "%lld", (long long)pid);
	if (memory >= 0)
		table_cell(t, 5, format_megabytes(memory).text);
	table_cell(t, 6, format_since(fleet_json_string(app, "since")).text);
}

/* Root on the server has the console's commands wait. */
static void hold_write(struct json_object *app)
{
	struct json_object *hold = fleet_json_object(app, "hold");

	if (hold)
		output_line(stdout, "%s: held until %s by %s: %s", format_field(app, "id"),
			format_clock(fleet_json_string(hold, "until")).text, format_field(hold, "by"),
			format_field(hold, "reason"));
}

static void apps_write(struct json_object *apps)
{
	static const struct table_column columns[] = {{"APP", false}, {"STATUS", false}, {"HEALTH", false},
		{"VERSION", false}, {"PID", true}, {"MEM (MB)", true}, {"SINCE", false}, {0}};
	_cleanup_(table_done) struct table t = {0};
	size_t count = apps ? json_object_array_length(apps) : 0;

	printf("\n");
	if (!count) {
		output_line(stdout, "No apps are declared on this server.");
		return;
	}
	table_init(&t, columns);
	for (size_t i = 0; i < count; i++)
		app_row(&t, json_object_array_get_idx(apps, i));
	table_write(&t, "", stdout);
	for (size_t i = 0; i < count; i++) {
		struct json_object *app = json_object_array_get_idx(apps, i);
		const char *message = fleet_json_string(app, "message");
		const char *health = fleet_json_string(app, "healthMessage");

		if (!str_empty(message))
			output_line(stdout, "%s: %s", format_field(app, "id"), message);
		if (!str_empty(health) && str_equal(fleet_json_string(app, "health"), "unhealthy"))
			output_line(stdout, "%s: %s", format_field(app, "id"), health);
		hold_write(app);
	}
}

static void line(const char *name, const char *value)
{
	if (!str_empty(value))
		output_line(stdout, "%-9s %s", name, value);
}

static void metrics_write(struct json_object *metrics)
{
	struct json_object *disks = fleet_json_array(metrics, "disks");
	double cpu = fleet_json_number(metrics, "cpuPercent", -1);
	int64_t used = fleet_json_int(metrics, "memoryUsedBytes", -1);
	int64_t total = fleet_json_int(metrics, "memoryTotalBytes", -1);
	int64_t uptime = fleet_json_int(metrics, "uptimeSeconds", -1);

	if (cpu >= 0)
		output_line(stdout, "CPU       %.1f%%", cpu);
	if (used >= 0 && total > 0)
		output_line(stdout, "Memory    %s of %s MB", format_megabytes(used).text,
			format_megabytes(total).text);
	if (fleet_json_get(metrics, "load1"))
		output_line(stdout, "Load      %.2f, %.2f, %.2f", fleet_json_number(metrics, "load1", 0),
			fleet_json_number(metrics, "load5", 0), fleet_json_number(metrics, "load15", 0));
	for (size_t i = 0; disks && i < json_object_array_length(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		output_line(stdout, "Disk      %s: %s of %s", format_field(disk, "mount"),
			format_gigabytes(fleet_json_int(disk, "usedBytes", 0)).text,
			format_gigabytes(fleet_json_int(disk, "totalBytes", 0)).text);
	}
	if (uptime >= 0)
		line("Uptime", format_duration(uptime * 1000).text);
}

/* What the admin of the server should look at: drivers that did not load, files of apps.d that were refused.
 */
static void troubles_write(struct json_object *agent)
{
	struct json_object *drivers = fleet_json_array(agent, "drivers");
	struct json_object *problems = fleet_json_array(agent, "problems");

	for (size_t i = 0; drivers && i < json_object_array_length(drivers); i++) {
		struct json_object *driver = json_object_array_get_idx(drivers, i);

		if (fleet_json_string(driver, "error"))
			output_line(stdout, "Driver %s is not usable: %s", format_field(driver, "name"),
				format_field(driver, "error"));
	}
	for (size_t i = 0; problems && i < json_object_array_length(problems); i++) {
		struct json_object *problem = json_object_array_get_idx(problems, i);

		output_line(stdout, "Refused: %s:%lld: %s", format_field(problem, "file"),
			(long long)fleet_json_int(problem, "line", 0), format_field(problem, "message"));
	}
}

/* What an operator has said of it, and until when its certificate holds. */
static void access_write(struct json_object *access)
{
	const char *revoked = fleet_json_string(access, "revokedAt");
	const char *expires = fleet_json_string(access, "credentialExpiresAt");
	const char *rejoin = fleet_json_string(access, "rejoinUntil");

	if (revoked)
		output_line(stdout, "Revoked   %s", format_date(revoked).text);
	else if (expires)
		output_line(stdout, "Joined    %s, certificate until %s",
			format_clock(fleet_json_string(access, "joinedAt")).text, format_clock(expires).text);
	if (rejoin)
		output_line(stdout, "Rejoin    allowed until %s", format_clock(rejoin).text);
}

static void agent_write(struct json_object *agent)
{
	struct json_object *os = fleet_json_object(agent, "os");
	const char *os_name = fleet_json_string(os, "name");
	const char *kernel = fleet_json_string(os, "kernel");
	const char *arch = fleet_json_string(os, "arch");
	bool online = fleet_json_bool(agent, "isOnline", false);
	struct short_text since =
		format_since(fleet_json_string(agent, online ? "connectedSince" : "lastSeen"));

	line("Agent", fleet_json_string(agent, "agentId"));
	output_line(stdout, "Status    %s%s%s", online ? "online" : "offline", since.text[0] ? " for " : "",
		since.text);
	line("Hostname", fleet_json_string(agent, "hostname"));
	if (os_name || kernel)
		output_line(stdout, "OS        %s%s%s%s%s", os_name ? os_name : format_field(os, "id"),
			kernel ? ", kernel " : "", kernel ? kernel : "", arch ? ", " : "", arch ? arch : "");
	line("Version", fleet_json_string(agent, "agentVersion"));
	access_write(fleet_json_object(agent, "access"));
	if (online)
		metrics_write(fleet_json_object(agent, "metrics"));
	troubles_write(agent);
	apps_write(fleet_json_array(agent, "apps"));
}

int cmd_agents_status(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *agent = NULL;
	_cleanup_free_ char *path = NULL;
	struct session_about about = {.agent_id = args->words[0]};
	int r = session_open(&s);

	if (r != CLI_OK)
		return r;
	r = session_agent_path(args->words[0], "", &path);
	if (r != CLI_OK)
		return r;
	r = session_call(&s, "GET", path, NULL, &about, &agent, NULL);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json"))
		output_json(agent);
	else
		agent_write(agent);
	return CLI_OK;
}

int cmd_agents_ping(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *heartbeat = NULL;
	_cleanup_free_ char *path = NULL;
	struct session_about about = {.agent_id = args->words[0]};
	int64_t begun_ms;
	struct json_object *metrics, *apps;
	int r = session_open(&s);

	if (r != CLI_OK)
		return r;
	r = session_agent_path(args->words[0], "/ping", &path);
	if (r != CLI_OK)
		return r;
	begun_ms = fleet_clock_monotonic_ms();
	r = session_call(&s, "POST", path, NULL, &about, &heartbeat, NULL);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json")) {
		output_json(heartbeat);
		return CLI_OK;
	}
	metrics = fleet_json_object(heartbeat, "metrics");
	apps = fleet_json_array(heartbeat, "apps");
	output_line(stdout, "%s answered after %lld ms: CPU %.1f%%, memory %s MB, %s.", args->words[0],
		(long long)(fleet_clock_monotonic_ms() - begun_ms),
		fleet_json_number(metrics, "cpuPercent", 0),
		format_megabytes(fleet_json_int(metrics, "memoryUsedBytes", 0)).text,
		format_count(apps ? json_object_array_length(apps) : 0, "app").text);
	return CLI_OK;
}
