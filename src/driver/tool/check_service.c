/* The service role, as far as it can be tried without touching any service: what only asks. */
#include "driver/inspect.h"
#include "driver/tool/check.h"
#include "fleet/clock.h"
#include "fleet/text.h"

#define ROUNDS    50
#define LOG_LINES 10

static void check_inspection(struct check *c)
{
	static const struct {
		uint32_t bit;
		const char *what;
	} faults[] = {{DRIVER_SEEN_OVERRUN, "it writes past the end of a structure that it is to fill"},
		{DRIVER_SEEN_SIZE, "it changes the size in a structure that it is to fill"},
		{DRIVER_SEEN_UNTERMINATED,
			"a status's message or instance, or an error's message, has no NUL at its end"},
		{DRIVER_SEEN_POSITIVE_RESULT, "it returns neither 0 nor a negative errno"}};
	struct driver_call call = tool_target_call(&c->target);
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_inspection seen;
	struct verdict v = {0};

	if (driver_service_inspect(&call, ROUNDS, &seen, &err) < 0) {
		verdict_fail(&v, "%s", err.message);
	} else {
		for (size_t i = 0; i < FLEET_ARRAY_LEN(faults); i++) {
			if (seen.seen & faults[i].bit)
				verdict_fail(&v, "%s", faults[i].what);
		}
		if (seen.leaked_bytes_per_round >= 16)
			verdict_fail(&v, "it leaks %lld bytes with each status",
				(long long)seen.leaked_bytes_per_round);
		if (seen.rounds < ROUNDS)
			tap_note("only %u calls of status fit into the time of one", seen.rounds);
		verdict_hold(&v);
	}
	verdict_tell(
		&v, &c->tap, "", "%d calls of status in one process: no leak, nothing overwritten", ROUNDS);
}

static void check_instance(struct check *c)
{
	static const char name[] = "status keeps its instance while nothing starts";
	struct driver_call call = tool_target_call(&c->target);
	struct driver_status first = {0}, second = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = driver_service_status(&call, &first, &err);

	if (r == 0) {
		call = tool_target_call(&c->target);
		r = driver_service_status(&call, &second, &err);
	}
	if (r < 0)
		tap_skip(&c->tap, err.message, name);
	else if (first.restarts == second.restarts && !str_equal(first.instance, second.instance))
		tap_fail(&c->tap,
			"two statuses in a row name different instances, as if it had been started anew",
			name);
	else if (!*first.instance && first.state == FLEET_STATE_RUNNING)
		tap_skip(&c->tap,
			"a running service without an instance: a push or update cannot tell whether it was "
			"started anew",
			name);
	else
		tap_pass(&c->tap, name);
}

/* status of whatever service_name says: an answer or an error, within its time. */
static void check_status(struct check *c, const char *service, const char *name)
{
	struct fleet_option *options = xcalloc(c->target.option_count + 1, sizeof(*options));
	struct driver_call call = tool_target_call(&c->target);
	struct driver_status status = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t began = fleet_clock_monotonic_ms();
	char took[32];
	int r;

	for (uint32_t i = 0; i < c->target.option_count; i++)
		options[i] = c->target.options[i];
	options[c->target.option_count] = (struct fleet_option){.key = "service_name", .value = service};
	if (service) {
		call.options = options;
		call.option_count++;
	}
	r = driver_service_status(&call, &status, &err);
	fleet_duration_format(fleet_clock_monotonic_ms() - began, took, sizeof(took));
	if (r == -EFAULT || r == -ETIMEDOUT || r == -ENODATA || r == -EPROTO) {
		tap_fail(&c->tap, err.message, "%s", name);
	} else if (r == 0 && service && status.state != FLEET_STATE_UNKNOWN) {
		tap_skip(&c->tap,
			"it has a status for a service that cannot exist; where services are known by name, "
			"that "
			"is to be an error (-ENOENT)",
			"%s", name);
	} else {
		if (r < 0)
			check_sentence(c, "status", check_bytes("", 0), NULL, 0, &err);
		tap_pass(&c->tap, "%s", name);
		tap_note("%s, in %s", r < 0 ? err.message : "it has a status", took);
	}
	free(options);
}

static void check_line(struct check *c, const char *name, const struct fleet_buffer *line, int r,
	const struct fleet_error *err)
{
	if (r == -EFAULT || r == -ETIMEDOUT || r == -ENODATA || r == -EPROTO)
		tap_fail(&c->tap, err->message, "%s", name);
	else if (r < 0)
		tap_skip(&c->tap, err->message, "%s", name);
	else if (memchr(line->data, '?', line->len) || !fleet_text_is_utf8(line->data, line->len))
		tap_fail(&c->tap, "it has control characters in it, or bytes that are no UTF-8", "%s", name);
	else
		tap_pass(&c->tap, "%s", name);
}

static void check_version(struct check *c)
{
	_cleanup_buffer_ struct fleet_buffer version = FLEET_BUFFER_INIT;
	struct driver_call call = tool_target_call(&c->target);
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = driver_service_version(&call, &version, &err);

	check_line(c, "version is one line of text", &version, r, &err);
}

static void check_last_end(struct check *c)
{
	_cleanup_buffer_ struct fleet_buffer end = FLEET_BUFFER_INIT;
	struct driver_call call = tool_target_call(&c->target);
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = driver_service_last_end(&call, 0, &end, &err);

	check_line(c, "last_end is one line of text", &end, r, &err);
}

/* Nothing has been logged that soon. */
static void check_logs_since(struct check *c, struct verdict *v)
{
	struct driver_log_lines lines = {NULL, 0, 0};
	struct driver_call call = tool_target_call(&c->target);
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t tomorrow = fleet_clock_wall_ms() + 24 * 60 * 60 * 1000;
	int r = driver_service_log_lines(&call, LOG_LINES, tomorrow, &lines, &err);

	if (r < 0)
		verdict_fail(v, "since a time when there is nothing yet: %s", err.message);
	for (size_t i = 0; i < lines.count; i++) {
		if (lines.items[i].unix_ms > 0 && lines.items[i].unix_ms < tomorrow)
			verdict_fail(v, "line %zu is older than it was asked for", i + 1);
	}
	driver_log_lines_done(&lines);
}

static void check_logs(struct check *c)
{
	static const char name[] = "logs keeps to the number of lines and to their age, oldest first";
	struct driver_log_lines lines = {NULL, 0, 0};
	struct driver_call call = tool_target_call(&c->target);
	struct fleet_error err = FLEET_ERROR_INIT;
	struct verdict v = {0};
	int r = driver_service_log_lines(&call, LOG_LINES, 0, &lines, &err);

	if (r == -EFAULT || r == -ETIMEDOUT || r == -ENODATA || r == -EPROTO)
		verdict_fail(&v, "%s", err.message);
	else if (r < 0)
		verdict_refuse(&v, err.message);
	else
		verdict_hold(&v);
	for (size_t i = 1; i < lines.count; i++) {
		if (lines.items[i].unix_ms > 0 && lines.items[i].unix_ms < lines.items[i - 1].unix_ms)
			verdict_fail(&v, "line %zu is older than the one before it", i + 1);
	}
	driver_log_lines_done(&lines);
	if (r == 0)
		check_logs_since(c, &v);
	verdict_tell(&v, &c->tap, "", name);
}

void check_service(struct check *c, const char *exercise)
{
	struct fleet_option *options = NULL;
	const struct fleet_option *given = c->target.options;
	uint32_t count = c->target.option_count;

	if (exercise) {
		options = xcalloc(count + 1, sizeof(*options));
		for (uint32_t i = 0; i < count; i++)
			options[i] = given[i];
		options[count] = (struct fleet_option){.key = "service_name", .value = exercise};
		c->target.options = options;
		c->target.option_count = count + 1;
	}
	check_status(c, NULL, "status answers in time");
	if (!exercise)
		check_status(c, "fleet-check-no-such-thing.service",
			"status of a service that does not exist is an error, in time");
	check_inspection(c);
	check_instance(c);
	check_version(c);
	check_last_end(c);
	check_logs(c);
	if (exercise)
		check_exercise(c);
	else
		tap_skip(&c->tap, "nothing is started or stopped without --exercise SERVICE",
			"start, stop and restart");
	c->target.options = given;
	c->target.option_count = count;
	free(options);
}
