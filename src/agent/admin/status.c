/* `status`: what the agent says of itself over its own socket, what the driver host says over its, and where
 * one of them is silent, what systemd says of it. */
#include "agent/admin/admin.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "agent/admin/host_ask.h"
#include "agent/admin/systemctl.h"
#include "agent/config.h"
#include "agent/report.h"
#include "fleet/buffer.h"
#include "fleet/clock.h"

#define AGENT_MS       3000
#define HOST_MS        15000 /* drivers that hang are waited for */
#define REPORT_MAX     (256u * 1024u)
#define COMMANDS_SHOWN 20

struct view {
	struct json_object *agent, *host, *apps; /* owned; NULL: not known */
	struct fleet_error agent_why, host_why;
};

static void view_done(struct view *v)
{
	json_object_put(v->agent);
	json_object_put(v->host);
	json_object_put(v->apps);
}

/* ---- asking ---- */

static int read_report(int fd, struct json_object **ret, struct fleet_error *err)
{
	int64_t until = fleet_clock_monotonic_ms() + AGENT_MS;
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	char chunk[4096];
	ssize_t n = 1;

	while (n > 0 && text.len < REPORT_MAX) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until - fleet_clock_monotonic_ms();

		if (left <= 0)
			return fleet_error_set(err, -ETIMEDOUT, "it does not answer; is it stuck?");
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(fd, chunk, sizeof(chunk), 0);
		if (n > 0)
			fleet_buffer_add(&text, chunk, (size_t)n);
	}
	if (!text.data)
		return fleet_error_set(err, -ENODATA, "it closed the connection");
	return fleet_json_parse(text.data, text.len, REPORT_MAX, ret, err);
}

static int ask_agent(const struct admin *a, struct json_object **ret, struct fleet_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_free_ char *path = xasprintf("%s/" REPORT_SOCKET, a->data_dir);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return fleet_error_set(err, -ENAMETOOLONG, "cannot ask it at %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return read_report(fd, ret, err);
	if (errno == EACCES)
		return fleet_error_set(err, -EACCES, "only root may ask it");
	if (errno == ENOENT || errno == ECONNREFUSED)
		return fleet_error_set(err, -errno, "it does not run");
	return fleet_error_errno(err, -errno, "cannot ask it at %s", path);
}

static int ask_host(const struct admin *a, struct view *v, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *inspect = fleet_message_new(FLEET_FRAME_INSPECT),
					  *request = fleet_message_new(FLEET_FRAME_STATUS_REQUEST);
	_cleanup_close_ int fd = -1;
	int r = host_ask_connect(a->host_socket, &fd, err);

	if (r >= 0)
		r = host_ask_one(fd, inspect, FLEET_FRAME_INSPECTION, HOST_MS, &v->host, err);
	if (r >= 0)
		r = host_ask_one(fd, request, FLEET_FRAME_STATUS, HOST_MS, &v->apps, err);
	return r;
}

/* ---- words ---- */

static void line(const char *name, const char *fmt, ...) FLEET_PRINTF(2, 3);
static void line(const char *name, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	admin_say(stdout, "%-9s %s", name, text);
}

struct words {
	char text[96];
};

/* " for 3 h", or "" where the time is not known. */
static struct words since(struct json_object *o, const char *key)
{
	struct words w = {""};
	char length[32];
	int64_t at;

	if (fleet_timestamp_parse(fleet_json_string(o, key) ? fleet_json_string(o, key) : "", &at) < 0)
		return w;
	fleet_duration_format(
		fleet_clock_wall_ms() > at ? fleet_clock_wall_ms() - at : 0, length, sizeof(length));
	(void)snprintf(w.text, sizeof(w.text), " for %s", length);
	return w;
}

static const char *or_unknown(const char *text)
{
	return text ? text : "unknown";
}

/* Of a part that does not answer: what systemd makes of it. */
static void tell_silent(const char *name, const char *unit, const struct fleet_error *why)
{
	_cleanup_free_ char *shown = NULL, *active = NULL, *text = NULL;

	line(name, "%s", why->message);
	if (systemctl_show(unit, "ActiveState,StatusText", &shown, NULL) < 0)
		return;
	active = systemctl_value(shown, "ActiveState", 0);
	text = systemctl_value(shown, "StatusText", 0);
	if (active)
		line("", "systemd: %s is %s%s%s", unit, active, text ? ": " : "", text ? text : "");
}

/* ---- the agent ---- */

static void tell_reach(const char *name, const char *what, struct json_object *reach)
{
	const char *why = fleet_json_string(reach, "why");
	int64_t retry = 0, now = fleet_clock_wall_ms();

	if (fleet_json_bool(reach, "connected", false)) {
		line(name, "%s: connected%s", what, since(reach, "since").text);
		return;
	}
	line(name, "%s: not connected%s: %s", what, since(reach, "since").text, or_unknown(why));
	if (fleet_json_string(reach, "retryAt") &&
		fleet_timestamp_parse(fleet_json_string(reach, "retryAt"), &retry) == 0 && retry > now)
		line("", "next attempt in %lld s", (long long)((retry - now + 999) / 1000));
}

static void tell_spool(struct json_object *agent)
{
	struct json_object *spool = fleet_json_object(agent, "spool");
	int64_t lost = fleet_json_int(spool, "lostEvents", 0),
		offset = fleet_json_int(agent, "clockOffsetMs", 0);

	line("Spool", "%lld audit events and %lld results wait for the console",
		(long long)fleet_json_int(spool, "events", 0),
		(long long)fleet_json_int(spool, "results", 0));
	if (fleet_json_bool(spool, "failing", false))
		line("", "it takes nothing more: the disk or the spool is full");
	if (lost > 0)
		line("", "%lld events of the agent itself are lost", (long long)lost);
	if (fleet_json_int(agent, "pending", 0) > 0)
		line("", "%lld commands wait for the driver host",
			(long long)fleet_json_int(agent, "pending", 0));
	if (offset > 60000 || offset < -60000)
		line("Clock", "differs from the console's by %lld s: commands may be taken for expired",
			(long long)(offset / 1000));
}

static bool tell_agent(const struct admin *a, const struct view *v)
{
	struct json_object *agent = v->agent, *hub = fleet_json_object(agent, "hub");
	const char *unconfigured = fleet_json_string(agent, "unconfigured"),
		   *id = fleet_json_string(agent, "agentId");

	if (!agent) {
		tell_silent("Agent", "fleet-agent.service", &v->agent_why);
		line("", "its settings: %s", a->env_file);
		return false;
	}
	line("Agent", "%s, version %s, pid %lld%s", id ? id : "(no id yet)",
		or_unknown(fleet_json_string(agent, "version")), (long long)fleet_json_int(agent, "pid", 0),
		since(agent, "startedAt").text);
	if (unconfigured) {
		line("", "not configured: %s. Then: systemctl restart fleet-agent", unconfigured);
		return false;
	}
	tell_reach("Console", or_unknown(fleet_json_string(agent, "consoleUrl")), hub);
	tell_spool(agent);
	return fleet_json_bool(hub, "connected", false) &&
	       !fleet_json_bool(fleet_json_object(agent, "spool"), "failing", false);
}

/* ---- the driver host ---- */

static void tell_app(struct json_object *app)
{
	const char *status = fleet_json_string(app, "status"), *health = fleet_json_string(app, "health"),
		   *version = fleet_json_string(app, "version"), *message = fleet_json_string(app, "message"),
		   *why = fleet_json_string(app, "healthMessage");
	struct json_object *hold = fleet_json_object(app, "hold");
	int64_t pid = fleet_json_int(app, "pid", 0);
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;

	fleet_buffer_printf(&text, "%s", or_unknown(status));
	if (health && !str_equal(health, "unknown"))
		fleet_buffer_printf(&text, ", %s", health);
	fleet_buffer_add_string(&text, since(app, "since").text);
	if (version)
		fleet_buffer_printf(&text, ", version %s", version);
	if (pid > 0)
		fleet_buffer_printf(&text, ", pid %lld", (long long)pid);
	admin_say(stdout, "  %-20s %s", fleet_json_string(app, "id"), text.data);
	if (why && str_equal(health, "unhealthy"))
		admin_say(stdout, "  %-20s %s", "", why);
	if (message)
		admin_say(stdout, "  %-20s %s", "", message);
	if (hold)
		admin_say(stdout, "  %-20s held until %s by %s: %s", "", fleet_json_string(hold, "until"),
			fleet_json_string(hold, "by"), or_unknown(fleet_json_string(hold, "reason")));
}

static size_t tell_apps(const struct view *v)
{
	struct json_object *apps = fleet_json_array(v->apps, "apps");
	size_t count = apps ? json_object_array_length(apps) : 0;

	line("Apps", count ? "%zu" : "none are declared", count);
	for (size_t i = 0; i < count; i++)
		tell_app(json_object_array_get_idx(apps, i));
	return count;
}

static bool tell_drivers(struct json_object *host)
{
	struct json_object *drivers = fleet_json_array(host, "drivers");
	_cleanup_buffer_ struct fleet_buffer good = FLEET_BUFFER_INIT;
	bool well = true;

	for (size_t i = 0; drivers && i < json_object_array_length(drivers); i++) {
		struct json_object *d = json_object_array_get_idx(drivers, i);

		if (!fleet_json_string(d, "error"))
			fleet_buffer_printf(
				&good, "%s%s", good.len ? ", " : "", fleet_json_string(d, "name"));
	}
	line("Drivers", "%s", good.data ? good.data : "none");
	for (size_t i = 0; drivers && i < json_object_array_length(drivers); i++) {
		struct json_object *d = json_object_array_get_idx(drivers, i);

		if (!fleet_json_string(d, "error"))
			continue;
		line("", "%s cannot be used: %s", fleet_json_string(d, "name"),
			fleet_json_string(d, "error"));
		well = false;
	}
	return well;
}

static bool tell_problems(struct json_object *host)
{
	struct json_object *problems = fleet_json_array(host, "problems");
	size_t count = problems ? json_object_array_length(problems) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *p = json_object_array_get_idx(problems, i);

		line(i == 0 ? "Problems" : "", "%s:%lld: %s", or_unknown(fleet_json_string(p, "file")),
			(long long)fleet_json_int(p, "line", 0), fleet_json_string(p, "message"));
	}
	return count == 0;
}

static void tell_commands(struct json_object *host)
{
	struct json_object *commands = fleet_json_array(host, "commands");
	size_t count = commands ? json_object_array_length(commands) : 0;

	if (count == 0)
		line("Commands", "none in hand");
	for (size_t i = 0; i < count && i < COMMANDS_SHOWN; i++) {
		struct json_object *c = json_object_array_get_idx(commands, i);
		const char *step = fleet_json_string(c, "step");

		line(i == 0 ? "Commands" : "", "%s of %s by %s%s, %s%s (%s)",
			or_unknown(fleet_json_string(c, "action")), or_unknown(fleet_json_string(c, "appId")),
			or_unknown(fleet_json_string(c, "actor")), since(c, "issuedAt").text,
			fleet_json_bool(c, "begun", false) ? "at step " : "waits",
			fleet_json_bool(c, "begun", false) ? (step ? step : "start") : "",
			fleet_json_string(c, "commandId"));
	}
	if (count > COMMANDS_SHOWN)
		line("", "and %zu more", count - COMMANDS_SHOWN);
}

static bool tell_host(const struct view *v)
{
	struct json_object *host = v->host, *keys = fleet_json_array(host, "keyIds");
	int64_t unsent = fleet_json_int(host, "unsentEvents", 0);
	bool well;

	if (!host) {
		tell_silent("Host", "fleet-driver-host.service", &v->host_why);
		return false;
	}
	line("Host", "version %s, %s", or_unknown(fleet_json_string(host, "hostVersion")),
		fleet_json_bool(host, "agentConnected", false) ? "the agent listens" : "no agent listens");
	if (unsent > 0)
		line("", "%lld audit events wait for the agent", (long long)unsent);
	if (!keys || json_object_array_length(keys) == 0)
		line("Keys", "none is known: no command of the console can be obeyed yet");
	for (size_t i = 0; keys && i < json_object_array_length(keys); i++)
		line(i == 0 ? "Keys" : "", "%s", json_object_get_string(json_object_array_get_idx(keys, i)));
	well = tell_drivers(host);
	well = tell_problems(host) && well;
	tell_commands(host);
	if (v->apps)
		tell_apps(v);
	else
		line("Apps", "how they are is not known: %s", v->host_why.message);
	return well && v->apps;
}

int admin_status(const struct admin *a)
{
	_cleanup_(view_done) struct view v = {.agent_why = FLEET_ERROR_INIT, .host_why = FLEET_ERROR_INIT};
	bool agent_well, host_well;

	if (ask_agent(a, &v.agent, &v.agent_why) < 0)
		v.agent = NULL;
	if (ask_host(a, &v, &v.host_why) < 0 && v.host)
		json_object_put(TAKE_PTR(v.apps));
	if (a->json) {
		_cleanup_json_ struct json_object *o = json_object_new_object();

		fleet_json_add(o, "agent", json_object_get(v.agent));
		fleet_json_add(o, "host", json_object_get(v.host));
		fleet_json_add(o, "apps", json_object_get(fleet_json_array(v.apps, "apps")));
		fleet_json_add_string(o, "agentError", v.agent ? NULL : v.agent_why.message);
		fleet_json_add_string(o, "hostError", v.host && v.apps ? NULL : v.host_why.message);
		puts(fleet_json_text(o, NULL));
		return v.agent && v.host && v.apps ? ADMIN_OK : ADMIN_FAILED;
	}
	agent_well = tell_agent(a, &v);
	host_well = tell_host(&v);
	return agent_well && host_well ? ADMIN_OK : ADMIN_FAILED;
}
