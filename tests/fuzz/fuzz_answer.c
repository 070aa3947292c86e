/* What a call child, whose memory is the driver's too, says to the host. The first byte is the function that
 * was asked for; then come frames, each a line here: its tag, the payload, with \xHH for bytes. The same
 * however they are cut. */
#include "driver/answer.h"
#include "fleet/text.h"
#include "fuzz.h"

struct heard {
	struct fleet_buffer text;
	unsigned results;
};

static void on_result(
	struct driver_answer *a FLEET_UNUSED, size_t index, const struct fleet_error *err, void *arg)
{
	struct heard *heard = arg;

	FUZZ_CHECK(index == heard->results++, "result %zu out of order", index);
	FUZZ_CHECK(err->code <= 0 && (err->code == 0 || *err->message), "a failure without a sentence");
	FUZZ_CHECK(fleet_text_is_utf8(err->message, strlen(err->message)), "a sentence that is not UTF-8");
	fleet_buffer_printf(&heard->text, "%zu: %d %s\n", index, err->code, err->message);
}

static void on_progress(uint32_t percent, const char *text, void *arg)
{
	struct heard *heard = arg;

	FUZZ_CHECK(percent <= 100 && fleet_text_is_utf8(text, strlen(text)), "%u%% %s", percent, text);
	fleet_buffer_printf(&heard->text, "%u%% %s\n", percent, text);
}

static void feed(
	enum driver_function function, const struct fleet_buffer *in, size_t step, struct heard *heard)
{
	const struct driver_call call = {
		.driver = "d", .file = "/d.so", .app_id = "a", .progress = on_progress, .arg = heard};
	const struct driver_call calls[] = {call, call, call};
	struct settings settings = SETTINGS_INIT;
	struct fleet_buffer data = FLEET_BUFFER_INIT;
	struct driver_log_lines lines = {0};
	struct driver_status status = {0};
	struct driver_info about = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_answer a = {.function = function,
		.calls = calls,
		.count = 1,
		.lines_max = 3,
		.result = on_result,
		.arg = heard};
	int r = 0;

	if (function == DRIVER_FN_READ)
		a.settings = &settings;
	if (function == DRIVER_FN_EDIT || function == DRIVER_FN_VERSION || function == DRIVER_FN_LAST_END)
		a.data = &data;
	if (function == DRIVER_FN_LOGS)
		a.lines = &lines;
	if (function == DRIVER_FN_DESCRIBE)
		a.about = &about;
	if (function == DRIVER_FN_STATUS) {
		a.status = &status;
		a.count = FLEET_ARRAY_LEN(calls);
	}
	for (size_t at = 0; at < in->len && r == 0; at += step)
		r = driver_answer_feed(&a, in->data + at, in->len - at < step ? in->len - at : step, &err);
	FUZZ_CHECK(r == 0 || (r == -EPROTO && *err.message), "%d: %s", r, err.message);
	FUZZ_CHECK(heard->results <= a.count, "%u results", heard->results);
	if (r == 0 && driver_answer_is_complete(&a))
		FUZZ_CHECK(heard->results == a.count, "complete with %u results", heard->results);
	fleet_buffer_printf(&heard->text, "%d %s; %zu %d %zu %zu %s %s\n", r, err.message, settings.count,
		settings.text_only, data.len, lines.count, status.message, about.name ? about.name : "-");
	for (size_t i = 0; i < lines.count; i++)
		FUZZ_CHECK(!strpbrk(lines.items[i].text, "\n\r\x1b"), "a log line that is none");
	free(about.name);
	free(about.version);
	free(about.summary);
	settings_done(&settings);
	fleet_buffer_done(&data);
	driver_log_lines_done(&lines);
	driver_answer_done(&a);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A line's payload in *out, with a header that says how long it is. */
static void add_frame(struct fleet_buffer *out, const struct fuzz_text *line)
{
	size_t head = out->len;
	uint32_t len;

	fleet_buffer_add(out, line->data, 1);
	fleet_buffer_add(out, "\0\0\0\0", 4);
	for (size_t i = 1; i < line->len; i++) {
		const char *s = line->data + i;

		if (line->len - i >= 4 && s[0] == '\\' && s[1] == 'x' && digit(s[2]) >= 0 &&
			digit(s[3]) >= 0) {
			fleet_buffer_add(out, &(char){(char)(digit(s[2]) * 16 + digit(s[3]))}, 1);
			i += 3;
		} else {
			fleet_buffer_add(out, s, 1);
		}
	}
	len = (uint32_t)(out->len - head - WIRE_HEADER);
	memcpy(out->data + head + 1, &len, sizeof(len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct fleet_buffer in = FLEET_BUFFER_INIT;
	struct heard at_once = {.text = FLEET_BUFFER_INIT}, piecemeal = {.text = FLEET_BUFFER_INIT};
	struct fuzz_text rest = {(const char *)data + 1, size - 1}, line;
	enum driver_function function;

	if (size == 0)
		return 0;
	function = (enum driver_function)(data[0] % DRIVER_FN_COUNT);
	while (fuzz_next_line(&rest, &line)) {
		if (line.len > 0 && line.data[0] == '!')
			fleet_buffer_add(&in, line.data + 1, line.len - 1); /* as it is */
		else if (line.len > 0)
			add_frame(&in, &line);
	}
	feed(function, &in, SIZE_MAX / 2, &at_once);
	feed(function, &in, 1 + data[0] % 7u, &piecemeal);
	FUZZ_CHECK(at_once.text.len == piecemeal.text.len &&
			   memcmp(at_once.text.data, piecemeal.text.data, at_once.text.len) == 0,
		"at once:\n%s\nin pieces:\n%s", at_once.text.data, piecemeal.text.data);
	fleet_buffer_done(&at_once.text);
	fleet_buffer_done(&piecemeal.text);
	return 0;
}
