#include "agent/host/query_child.h"
#include "agent/host/key_policy.h"
#include "agent/host/service.h"
#include "driver/safe_file.h"
#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/query.h"
#include "fleet/text.h"

void query_fail(struct json_object *answer, const char *error_code, const char *fmt, ...)
{
	static const char *const members[] = {"errorCode", "message", "lines", "settings", "left"};
	_cleanup_free_ char *text = NULL, *cut = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	cut = xstrndup(text, FLEET_TEXT_MAX);
	fleet_text_sanitize(cut);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(members); i++)
		json_object_object_del(answer, members[i]);
	fleet_json_add_string(answer, "errorCode", error_code);
	fleet_json_add_string(answer, "message", cut);
}

static size_t text_size(struct json_object *value)
{
	size_t len = 0;

	(void)fleet_json_text(value, &len);
	return len + 1; /* and a comma */
}

/* ---- logs ---- */

static struct json_object *line_to_json(const struct driver_log_line *line)
{
	struct json_object *json = json_object_new_object();

	fleet_json_add_time(json, "time", line->unix_ms);
	if (line->priority >= 0 && line->priority <= 7)
		fleet_json_add_int(json, "priority", line->priority);
	fleet_json_add_string(json, "text", line->text);
	return json;
}

/* As many of the newest as there is room for, oldest first; the others are counted. */
static void add_lines(struct json_object *answer, const struct driver_log_lines *lines)
{
	struct json_object **made = xcalloc(lines->count, sizeof(struct json_object *));
	struct json_object *array = json_object_new_array();
	size_t from = lines->count, room = FLEET_QUERY_ANSWER_MAX;

	while (from > 0) {
		struct json_object *line = line_to_json(&lines->items[from - 1]);
		size_t size = text_size(line);

		if (size > room) {
			json_object_put(line);
			break;
		}
		room -= size;
		made[--from] = line;
	}
	for (size_t i = from; i < lines->count; i++)
		json_object_array_add(array, made[i]);
	free(made);
	fleet_json_add(answer, "lines", array);
	if (from > 0)
		fleet_json_add_int(answer, "left", (int64_t)from);
}

static void read_logs(const struct query_order *order, const struct app *app, struct json_object *args,
	struct json_object *answer)
{
	_cleanup_(driver_log_lines_done) struct driver_log_lines lines = {NULL, 0, 0};
	_cleanup_free_ char *state_dir = NULL;
	const char *since = fleet_json_string(args, "since");
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_call call;
	int64_t since_ms = 0;
	int r = since ? fleet_timestamp_parse(since, &since_ms) : 0;

	if (r >= 0)
		r = service_call(order->env, app, order->deadline_ms, &call, &state_dir, &err);
	if (r >= 0)
		r = driver_service_log_lines(
			&call, (uint32_t)fleet_json_int(args, "lines", 1), since_ms, &lines, &err);
	if (r == -EOPNOTSUPP)
		query_fail(answer, "not-supported", "driver %s cannot tell the log of app '%s'",
			app->service_driver, app->id);
	else if (r < 0)
		query_fail(answer, op_driver_code(r, "service-failed"), "%s", err.message);
	else
		add_lines(answer, &lines);
	fleet_json_add_string(answer, "driver", app->service_driver);
}

/* ---- settings ---- */

static const char *type_name(uint32_t type)
{
	static const char *const names[] = {
		[FLEET_TYPE_STRING] = "string",
		[FLEET_TYPE_INTEGER] = "integer",
		[FLEET_TYPE_NUMBER] = "number",
		[FLEET_TYPE_BOOLEAN] = "boolean",
		[FLEET_TYPE_NULL] = "null",
		[FLEET_TYPE_ARRAY] = "array",
		[FLEET_TYPE_OBJECT] = "object",
	};

	return type < FLEET_ARRAY_LEN(names) && names[type] ? names[type] : "string";
}

/* As it is, line breaks and all, where JSON can hold it; else with a ? for what it cannot. */
static void add_text(struct json_object *to, const char *key, const char *text, size_t len)
{
	_cleanup_free_ char *copy = xcalloc(len + 1, 1);

	memcpy(copy, text, len);
	if (memchr(text, '\0', len) || !fleet_text_is_utf8(text, len)) {
		for (size_t i = 0; i < len; i++) {
			if (!copy[i])
				copy[i] = '?';
		}
		fleet_text_sanitize(copy);
	}
	fleet_json_add_string(to, key, copy);
}

static struct json_object *setting_to_json(const struct app *app, const struct setting *item)
{
	struct json_object *json = json_object_new_object();

	add_text(json, "key", item->path, strlen(item->path));
	fleet_json_add_string(json, "type", type_name(item->type));
	if (key_policy_is_secret(app, item->path))
		fleet_json_add_bool(json, "masked", true);
	else
		add_text(json, "value", item->value, item->value_len);
	return json;
}

/* In the file's order; what there is no room for is counted. */
static void add_settings(struct json_object *answer, const struct app *app, const struct settings *settings)
{
	struct json_object *array = json_object_new_array();
	size_t room = FLEET_QUERY_ANSWER_MAX, i = 0;

	for (; i < settings->count; i++) {
		struct json_object *setting = setting_to_json(app, &settings->items[i]);
		size_t size = text_size(setting);

		if (size > room) {
			json_object_put(setting);
			break;
		}
		room -= size;
		json_object_array_add(array, setting);
	}
	fleet_json_add(answer, "settings", array);
	if (i < settings->count)
		fleet_json_add_int(answer, "left", (int64_t)(settings->count - i));
}

static void read_config(const struct query_order *order, const struct app *app, struct json_object *args,
	struct json_object *answer)
{
	const char *name = fleet_json_string(args, "file");
	const struct app_file *file = app_find_file(app, name);
	_cleanup_(safe_file_done) struct safe_file target = {.dir_fd = -1};
	_cleanup_(safe_content_done) struct safe_content content = {0};
	_cleanup_(settings_done) struct settings settings = SETTINGS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_call call;
	int r;

	if (!file) {
		query_fail(answer, "invalid-settings", "app '%s' declares no config file named '%s'", app->id,
			name ? name : "main");
		return;
	}
	fleet_json_add_string(answer, "file", file->name);
	fleet_json_add_string(answer, "driver", file->driver);
	r = safe_file_open(file->real_path, &target, &err);
	if (r >= 0)
		r = safe_file_read(&target, &content, &err);
	if (r >= 0 && !content.exists)
		r = fleet_error_set(&err, -ENOENT, "%s does not exist", file->path);
	if (r < 0) {
		query_fail(answer, "read-failed", "%s", err.message);
		return;
	}
	fleet_json_add_string(answer, "hash", content.hash);
	fleet_json_add_time(answer, "readAt", fleet_clock_wall_ms());
	r = format_call(order->env, app, file, &call, &err);
	if (r >= 0) {
		call.deadline_ms = order->deadline_ms;
		r = driver_format_read(
			&call, (struct fleet_bytes){content.data, content.len}, &settings, &err);
	}
	if (r < 0)
		query_fail(answer, op_driver_code(r, "parse-failed"), "cannot read %s: %s", file->path,
			err.message);
	else
		add_settings(answer, app, &settings);
}

/* ---- which ---- */

static const struct {
	void (*run)(const struct query_order *order, const struct app *app, struct json_object *args,
		struct json_object *answer);
	unsigned allow;
} queries[] = {
	[FLEET_QUERY_READ_LOGS] = {read_logs, APP_ALLOW_READ_LOGS},
	[FLEET_QUERY_READ_CONFIG] = {read_config, APP_ALLOW_READ_CONFIG},
};
_Static_assert(FLEET_ARRAY_LEN(queries) == FLEET_QUERY_COUNT, "every query has its row");

static void make_answer(const struct query_order *order, struct json_object *answer)
{
	const char *app_id = fleet_json_string(order->payload, "appId");
	const struct app *app = apps_find(order->env->apps, app_id);
	enum fleet_query query;

	if (fleet_query_from_string(fleet_json_string(order->payload, "query"), &query) < 0) {
		query_fail(answer, "not-supported", "this driver host does not know that query");
	} else if (!app) {
		const char *nearest = apps_nearest(order->env->apps, app_id);

		query_fail(answer, "app-not-found", "app '%s' is not declared on this server%s%s%s", app_id,
			nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
	} else if (!(app->allow & queries[query].allow)) {
		query_fail(answer, "not-allowed-by-server",
			"this server's admin does not allow %s of app '%s' (allow in %s)",
			fleet_query_to_string(query), app->id, app->source);
	} else {
		queries[query].run(order, app, fleet_json_object(order->payload, "args"), answer);
	}
}

int query_child_run(int fd, void *arg)
{
	const struct query_order *order = arg;
	_cleanup_json_ struct json_object *answer = json_object_new_object();

	make_answer(order, answer);
	return op_send(fd, answer);
}
