#include "driver/call_run.h"
#include "driver/describe.h"
#include "driver/inspect.h"
#include "fleet/limits.h"

static void keep_result(struct driver_answer *a, size_t index, const struct fleet_error *err, void *arg)
{
	(void)index;
	(void)arg;
	a->said = *err;
}

static int run_one(
	const struct driver_request *request, struct driver_answer *answer, struct fleet_error *err)
{
	int r;

	answer->result = keep_result;
	r = driver_call_run(request, answer, err);
	if (r < 0)
		return r; /* it broke down, whatever it may have said before */
	if (answer->said.code < 0 && err)
		*err = answer->said;
	return answer->said.code;
}

int driver_describe(const struct driver_call *call, struct driver_info *ret, struct fleet_error *err)
{
	struct driver_request request = {.function = DRIVER_FN_DESCRIBE, .calls = call, .count = 1};
	struct driver_answer answer = {.about = ret};

	return run_one(&request, &answer, err);
}

int driver_format_read(
	const struct driver_call *call, struct fleet_bytes in, struct settings *ret, struct fleet_error *err)
{
	struct driver_request request = {.function = DRIVER_FN_READ, .calls = call, .count = 1, .in = in};
	struct settings settings = SETTINGS_INIT;
	struct driver_answer answer = {.settings = &settings};
	int r = run_one(&request, &answer, err);

	if (r < 0)
		settings_done(&settings);
	else
		*ret = settings;
	return r;
}

int driver_format_edit(const struct driver_call *call, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t count, struct fleet_buffer *ret, struct fleet_error *err)
{
	struct driver_request request = {.function = DRIVER_FN_EDIT,
		.calls = call,
		.count = 1,
		.in = in,
		.edits = edits,
		.edit_count = count};
	struct fleet_buffer data = FLEET_BUFFER_INIT;
	struct driver_answer answer = {.data = &data};
	int r = run_one(&request, &answer, err);

	if (r < 0)
		fleet_buffer_done(&data);
	else
		*ret = data;
	return r;
}

static int inspect(
	const struct driver_request *request, struct driver_inspection *ret, struct fleet_error *err)
{
	_cleanup_buffer_ struct fleet_buffer data = FLEET_BUFFER_INIT;
	struct driver_answer answer = {.data = &data};
	int r = run_one(request, &answer, err);

	if (r == 0 && data.len != sizeof(*ret))
		r = fleet_error_set(err, -EPROTO, "driver %s spoiled the answer of its own inspection",
			request->calls[0].driver);
	if (r == 0)
		memcpy(ret, data.data, sizeof(*ret));
	return r;
}

int driver_format_inspect(const struct driver_call *call, struct fleet_bytes in,
	const struct fleet_edit *edits, uint32_t count, uint32_t rounds, struct driver_inspection *ret,
	struct fleet_error *err)
{
	struct driver_request request = {.function = DRIVER_FN_INSPECT_FORMAT,
		.calls = call,
		.count = 1,
		.in = in,
		.edits = edits,
		.edit_count = count,
		.rounds = rounds};

	return inspect(&request, ret, err);
}

int driver_service_inspect(const struct driver_call *call, uint32_t rounds, struct driver_inspection *ret,
	struct fleet_error *err)
{
	struct driver_request request = {
		.function = DRIVER_FN_INSPECT_STATUS, .calls = call, .count = 1, .rounds = rounds};

	return inspect(&request, ret, err);
}

int driver_format_check(const struct driver_call *call, struct fleet_bytes in, struct fleet_error *err)
{
	struct driver_request request = {.function = DRIVER_FN_CHECK, .calls = call, .count = 1, .in = in};
	struct driver_answer answer = {0};

	return run_one(&request, &answer, err);
}

int driver_service_do(const struct driver_call *call, enum driver_verb verb, struct fleet_error *err)
{
	static const enum driver_function functions[] = {
		[DRIVER_START] = DRIVER_FN_START,
		[DRIVER_STOP] = DRIVER_FN_STOP,
		[DRIVER_RESTART] = DRIVER_FN_RESTART,
		[DRIVER_RELOAD] = DRIVER_FN_RELOAD,
		[DRIVER_RELOAD_DEFINITIONS] = DRIVER_FN_RELOAD_DEFINITIONS,
	};
	struct driver_request request = {.function = functions[verb], .calls = call, .count = 1};
	struct driver_answer answer = {0};

	return run_one(&request, &answer, err);
}

int driver_service_status(const struct driver_call *call, struct driver_status *ret, struct fleet_error *err)
{
	struct driver_request request = {.function = DRIVER_FN_STATUS, .calls = call, .count = 1};
	struct driver_status status = {0};
	struct driver_answer answer = {.status = &status};
	int r = run_one(&request, &answer, err);

	if (r == 0)
		*ret = status;
	return r;
}

/* An answer of one line. what: "a version". */
static int ask_for_text(const struct driver_request *request, const char *what, size_t max,
	struct fleet_buffer *ret, struct fleet_error *err)
{
	struct fleet_buffer data = FLEET_BUFFER_INIT;
	struct driver_answer answer = {.data = &data};
	int r = run_one(request, &answer, err);

	if (r == 0 && data.len > max)
		r = fleet_error_set(err, -EPROTO, "driver %s gave %s longer than %zu bytes",
			request->calls->driver, what, max);
	if (r < 0) {
		fleet_buffer_done(&data);
		return r;
	}
	fleet_buffer_add(&data, "", 0);
	fleet_text_sanitize(data.data);
	data.len = strlen(data.data);
	*ret = data;
	return r;
}

int driver_service_version(const struct driver_call *call, struct fleet_buffer *ret, struct fleet_error *err)
{
	struct driver_request request = {.function = DRIVER_FN_VERSION, .calls = call, .count = 1};

	return ask_for_text(&request, "a version", FLEET_VERSION_LEN_MAX, ret, err);
}

int driver_service_last_end(const struct driver_call *call, int64_t since_unix_ms, struct fleet_buffer *ret,
	struct fleet_error *err)
{
	struct driver_request request = {
		.function = DRIVER_FN_LAST_END, .calls = call, .count = 1, .since_unix_ms = since_unix_ms};

	return ask_for_text(&request, "an end", FLEET_END_LEN_MAX, ret, err);
}

void driver_log_lines_done(struct driver_log_lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->items[i].text);
	free(lines->items);
	*lines = (struct driver_log_lines){NULL, 0, 0};
}

int driver_service_log_lines(const struct driver_call *call, uint32_t lines, int64_t since_unix_ms,
	struct driver_log_lines *ret, struct fleet_error *err)
{
	struct driver_request request = {.function = DRIVER_FN_LOGS,
		.calls = call,
		.count = 1,
		.lines = lines,
		.since_unix_ms = since_unix_ms};
	struct driver_log_lines got = {NULL, 0, 0};
	struct driver_answer answer = {.lines = &got};
	int r = run_one(&request, &answer, err);

	if (r < 0)
		driver_log_lines_done(&got);
	else
		*ret = got;
	return r;
}

int driver_service_logs(const struct driver_call *call, uint32_t lines, int64_t since_unix_ms,
	struct fleet_buffer *ret, struct fleet_error *err)
{
	struct fleet_buffer text = FLEET_BUFFER_INIT;
	struct driver_log_lines got;
	int r = driver_service_log_lines(call, lines, since_unix_ms, &got, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < got.count; i++) {
		fleet_buffer_add_string(&text, got.items[i].text);
		fleet_buffer_add(&text, "\n", 1);
	}
	driver_log_lines_done(&got);
	*ret = text;
	return 0;
}

struct teller {
	void (*tell)(
		size_t index, const struct driver_status *status, const struct fleet_error *err, void *arg);
	void *arg;
};

static void tell_status(struct driver_answer *a, size_t index, const struct fleet_error *err, void *arg)
{
	const struct teller *t = arg;

	t->tell(index, err->code == 0 ? a->status : NULL, err->code == 0 ? NULL : err, t->arg);
}

void driver_service_status_all(const struct driver_call *calls, size_t count,
	void (*tell)(
		size_t index, const struct driver_status *status, const struct fleet_error *err, void *arg),
	void *arg)
{
	struct driver_request request = {.function = DRIVER_FN_STATUS, .calls = calls, .count = count};
	struct driver_status status = {0};
	struct teller teller = {tell, arg};
	struct driver_answer answer = {.status = &status, .result = tell_status, .arg = &teller};

	if (count > 0 && driver_call_run(&request, &answer, NULL) < 0)
		return; /* whom it concerns has been told */
}
