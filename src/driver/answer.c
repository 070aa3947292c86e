#include "driver/answer.h"
#include "driver/json_leaves.h"
#include "driver/keypath.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/log.h"
#include "fleet/text.h"

/* Log and progress lines beside the answer proper. */
#define CHATTER_MAX  (1024u * 1024u)
#define PROGRESS_MAX 1000

static int broken(struct driver_answer *a, struct fleet_error *err, const char *what)
{
	return fleet_error_set(err, -EPROTO, "driver %s broke the rules of its ABI in %s: %s",
		a->calls[0].driver, driver_function_to_string(a->function), what);
}

/* Takes a fixed-size head off the frame. */
static bool take(const char **data, size_t *len, void *out, size_t size)
{
	if (*len < size)
		return false;
	memcpy(out, *data, size);
	*data += size;
	*len -= size;
	return true;
}

static void copy_text(char *out, size_t size, const char *data, size_t len)
{
	size_t n = len < size - 1 ? len : size - 1;

	memcpy(out, data, n);
	out[n] = '\0';
	n = strlen(out);
	if (len >= size) { /* cut: not in the middle of a character */
		while (n > 0 && ((unsigned char)out[n - 1] & 0xc0) == 0x80)
			n--;
		if (n > 0 && (unsigned char)out[n - 1] >= 0xc0)
			n--;
		if (n > 0)
			out[n] = '\0';
	}
	fleet_text_sanitize(out);
}

static int on_stage(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	uint8_t stage;

	if (!take(&data, &len, &stage, 1) || len > 0 || stage >= DRIVER_FN_COUNT)
		return broken(a, err, "an unknown stage");
	a->stage = stage;
	return 0;
}

static int on_about(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	const char *texts[3];
	uint32_t roles;

	if (!a->about || a->about_seen || !take(&data, &len, &roles, sizeof(roles)) || roles < 1 || roles > 3)
		return broken(a, err, "an unexpected description");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(texts); i++) {
		size_t n = strnlen(data, len);

		if (n == len || n > FLEET_TEXT_MAX)
			return broken(a, err, "a malformed description");
		texts[i] = data;
		data += n + 1;
		len -= n + 1;
	}
	if (len > 0 || !fleet_id_is_valid(texts[0]))
		return broken(a, err, "a malformed description");
	a->about_seen = true;
	a->about->roles = roles;
	a->about->name = xstrdup(texts[0]);
	a->about->version = xstrdup(texts[1]);
	a->about->summary = xstrdup(texts[2]);
	fleet_text_sanitize(a->about->version);
	fleet_text_sanitize(a->about->summary);
	return 0;
}

static int on_flags(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	uint32_t flags;

	if (!a->settings || !take(&data, &len, &flags, sizeof(flags)) || len > 0)
		return broken(a, err, "unexpected flags");
	a->settings->text_only = flags & FLEET_FORMAT_TEXT_ONLY;
	return 0;
}

static int on_setting(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	uint32_t type, path_len;
	int r;

	if (!a->settings || !take(&data, &len, &type, sizeof(type)) ||
		!take(&data, &len, &path_len, sizeof(path_len)) || path_len > len)
		return broken(a, err, "an unexpected or malformed setting");
	if (a->settings->text_only && type != FLEET_TYPE_STRING)
		return broken(a, err, "a setting that is no text, in a format that has text only");
	r = settings_add(a->settings, (struct fleet_bytes){data, path_len},
		(struct fleet_bytes){data + path_len, len - path_len}, type);
	if (r == -E2BIG)
		return fleet_error_set(err, -EPROTO,
			"the file has more than %d settings, or a key path longer than %d bytes",
			FLEET_SETTINGS_PER_FILE_MAX, FLEET_KEY_PATH_MAX);
	return r < 0 ? broken(a, err,
			       "a setting with a malformed key path or a value that is not of its type")
		     : 0;
}

static int on_data(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	if (!a->data)
		return broken(a, err, "bytes where none were asked for");
	if (len > FLEET_DRIVER_OUTPUT_MAX - a->data->len)
		return broken(a, err, "too many bytes");
	fleet_buffer_add(a->data, data, len);
	return 0;
}

static int on_line(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	struct driver_log_line line = {0};

	if (!a->lines || !take(&data, &len, &line.unix_ms, sizeof(line.unix_ms)) ||
		!take(&data, &len, &line.priority, sizeof(line.priority)))
		return broken(a, err, "an unexpected or malformed log line");
	if (a->lines->count >= a->lines_max)
		return broken(a, err, "more log lines than were asked for");
	if (line.priority < -1 || line.priority > 7)
		line.priority = -1;
	line.text = xstrndup(data, len);
	fleet_text_sanitize(line.text);
	if (a->lines->count == a->lines->capacity) {
		a->lines->capacity = a->lines->capacity ? a->lines->capacity * 2 : 32;
		a->lines->items =
			xreallocarray(a->lines->items, a->lines->capacity, sizeof(*a->lines->items));
	}
	a->lines->items[a->lines->count++] = line;
	return 0;
}

static int on_status(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	struct wire_status wire;

	if (!a->status || a->status_seen || !take(&data, &len, &wire, sizeof(wire)) || len > 0)
		return broken(a, err, "an unexpected status");
	if (wire.state > FLEET_STATE_DONE)
		return broken(a, err, "an unknown state in its status");
	a->status_seen = true;
	*a->status = (struct driver_status){
		.state = wire.state,
		.pid = wire.pid > 0 ? wire.pid : 0,
		.restarts = wire.restarts,
		.since_unix_ms = wire.since_unix_ms > 0 ? wire.since_unix_ms : 0,
		.memory_bytes = wire.memory_bytes,
	};
	copy_text(a->status->message, sizeof(a->status->message), wire.message,
		strnlen(wire.message, sizeof(wire.message)));
	copy_text(a->status->instance, sizeof(a->status->instance), wire.instance,
		strnlen(wire.instance, sizeof(wire.instance)));
	return 0;
}

static const struct driver_call *current(const struct driver_answer *a)
{
	return &a->calls[a->done < a->count ? a->done : 0];
}

static int on_log(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	static const enum fleet_log_level levels[] = {
		FLEET_LOG_ERROR, FLEET_LOG_WARN, FLEET_LOG_INFO, FLEET_LOG_DEBUG};
	char text[WIRE_LOG_TEXT_MAX + 1];
	int32_t level;

	if (!take(&data, &len, &level, sizeof(level)))
		return broken(a, err, "a malformed log line");
	if (a->logs++ >= FLEET_DRIVER_LOG_LINES_MAX)
		return 0;
	copy_text(text, sizeof(text), data, len);
	fleet_log_write(levels[level < 0    ? 0
				: level > 3 ? 3
					    : level],
		"driver %s, app %s: %s", a->calls[0].driver, current(a)->app_id, text);
	if (current(a)->note && level < FLEET_LOG_LEVEL_DEBUG)
		current(a)->note(text, current(a)->arg);
	return 0;
}

static int on_progress(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	const struct driver_call *call = current(a);
	char text[WIRE_LOG_TEXT_MAX + 1];
	uint32_t percent;

	if (!take(&data, &len, &percent, sizeof(percent)))
		return broken(a, err, "a malformed progress");
	copy_text(text, sizeof(text), data, len);
	if (call->progress && a->steps++ < PROGRESS_MAX)
		call->progress(percent < 100 ? percent : 100, text, call->arg);
	return 0;
}

static int on_result(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err)
{
	struct fleet_error said = FLEET_ERROR_INIT;
	struct wire_result wire;
	char text[sizeof(said.message) / 2];

	if (a->done >= a->count || !take(&data, &len, &wire, sizeof(wire)))
		return broken(a, err, "an unexpected or malformed result");
	if (wire.result > 0 || wire.result < -4095)
		return broken(a, err, "it returned neither 0 nor a negative errno");
	copy_text(text, sizeof(text), data, len);
	if (wire.result == 0 && ((a->status && !a->status_seen) || (a->about && !a->about_seen)))
		return broken(a, err, "a result without an answer");
	if (wire.result < 0 && !*text)
		fleet_error_errno(&said, wire.result, "driver %s failed in %s " DRIVER_SAID_NOTHING,
			a->calls[0].driver, driver_function_to_string(a->function));
	else if (wire.result < 0 && wire.line > 0)
		fleet_error_set(
			&said, wire.result, "%u:%u: %s", wire.line, wire.column > 0 ? wire.column : 1, text);
	else if (wire.result < 0)
		fleet_error_set(&said, wire.result, "%s", text);
	a->result(a, a->done, &said, a->arg);
	a->done++;
	a->status_seen = false;
	return 0;
}

static int on_frame(struct driver_answer *a, char tag, const char *data, size_t len, struct fleet_error *err)
{
	static const struct {
		enum wire_tag tag;
		int (*take)(struct driver_answer *a, const char *data, size_t len, struct fleet_error *err);
	} frames[] = {{WIRE_STAGE, on_stage}, {WIRE_ABOUT, on_about}, {WIRE_FLAGS, on_flags},
		{WIRE_SETTING, on_setting}, {WIRE_DATA, on_data}, {WIRE_LINE, on_line},
		{WIRE_STATUS, on_status}, {WIRE_LOG, on_log}, {WIRE_PROGRESS, on_progress},
		{WIRE_RESULT, on_result}};

	if (a->done >= a->count)
		return broken(a, err, "it went on after the end of its answer");
	for (size_t i = 0; i < FLEET_ARRAY_LEN(frames); i++) {
		if ((char)frames[i].tag == tag)
			return frames[i].take(a, data, len, err);
	}
	return broken(a, err, "an unknown kind of answer");
}

/* Frame heads and fixed parts beside the payload proper: a bound for small frames in number, too. */
static size_t bytes_max(void)
{
	return 2 * (size_t)FLEET_DRIVER_OUTPUT_MAX + CHATTER_MAX;
}

int driver_answer_feed(struct driver_answer *a, const void *data, size_t len, struct fleet_error *err)
{
	size_t at = 0, left;
	int r = 0;

	if (len > bytes_max() - a->total)
		return broken(a, err, "it answered without end");
	a->total += len;
	fleet_buffer_add(&a->pending, data, len);
	while (r == 0 && a->pending.len - at >= WIRE_HEADER) {
		uint32_t size;

		memcpy(&size, a->pending.data + at + 1, sizeof(size));
		if (size > FLEET_DRIVER_OUTPUT_MAX + FLEET_KEY_PATH_MAX)
			return broken(a, err, "an answer that is too long");
		if (size > a->pending.len - at - WIRE_HEADER)
			break;
		r = on_frame(a, a->pending.data[at], a->pending.data + at + WIRE_HEADER, size, err);
		at += WIRE_HEADER + size;
	}
	left = a->pending.len - at;
	if (at > 0 && left > 0)
		memmove(a->pending.data, a->pending.data + at, left);
	fleet_buffer_truncate(&a->pending, left);
	return r;
}

bool driver_answer_is_complete(const struct driver_answer *a)
{
	return a->done == a->count && a->pending.len == 0;
}

void driver_answer_done(struct driver_answer *a)
{
	fleet_buffer_done(&a->pending);
}
