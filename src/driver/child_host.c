#include "driver/child_host.h"
#include "driver/keypath.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

static int write_all(struct child_pipe *pipe, const char *data, size_t len)
{
	while (len > 0 && pipe->fd >= 0) {
		ssize_t n = write(pipe->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			pipe->fd = -1;
			return -EPIPE;
		}
		data += n;
		len -= (size_t)n;
	}
	return pipe->fd >= 0 ? 0 : -EPIPE;
}

int child_pipe_flush(struct child_pipe *pipe)
{
	size_t len = pipe->len;

	pipe->len = 0;
	return write_all(pipe, pipe->buffer, len);
}

static void add(struct child_pipe *pipe, const void *data, size_t len)
{
	if (len > sizeof(pipe->buffer) - pipe->len)
		(void)child_pipe_flush(pipe); /* remembered in fd; the parent sees the missing result */
	if (len > sizeof(pipe->buffer)) {
		(void)write_all(pipe, data, len);
		return;
	}
	if (len > 0)
		memcpy(pipe->buffer + pipe->len, data, len);
	pipe->len += len;
}

void child_pipe_frame(struct child_pipe *pipe, enum wire_tag tag, struct fleet_bytes head,
	struct fleet_bytes middle, struct fleet_bytes rest)
{
	uint32_t size = (uint32_t)(head.len + middle.len + rest.len);
	char c = (char)tag;

	add(pipe, &c, 1);
	add(pipe, &size, sizeof(size));
	add(pipe, head.data, head.len);
	add(pipe, middle.data, middle.len);
	add(pipe, rest.data, rest.len);
}

static const struct fleet_bytes nothing = {"", 0};

static int refuse(struct fleet_sink *sink, int error, const char *why)
{
	if (sink->error == 0) {
		sink->error = error;
		(void)snprintf(sink->why, sizeof(sink->why), "%s", why);
	}
	return sink->error;
}

/* Room for another len bytes in an answer of this kind? */
static int admit(struct fleet_sink *sink, enum wire_tag kind, uint64_t len)
{
	if (sink->error < 0)
		return sink->error;
	if (sink->kind != kind)
		return refuse(sink, -EINVAL, "it wrote to the wrong kind of sink");
	if (len > FLEET_DRIVER_OUTPUT_MAX - sink->total)
		return refuse(sink, -E2BIG, CHILD_ANSWER_TOO_LONG);
	sink->total += len;
	return sink->discard || sink->pipe->fd >= 0 ? 0 : refuse(sink, -EPIPE, "its answer's pipe is closed");
}

static void digest_add(struct fleet_sink *sink, struct fleet_bytes bytes)
{
	for (uint64_t i = 0; i < bytes.len; i++)
		sink->digest = (sink->digest ^ (unsigned char)bytes.data[i]) * 1099511628211u; /* FNV-1a */
}

static void send_on(struct fleet_sink *sink, enum wire_tag tag, struct fleet_bytes head,
	struct fleet_bytes middle, struct fleet_bytes rest)
{
	if (!sink->discard) {
		child_pipe_frame(sink->pipe, tag, head, middle, rest);
		return;
	}
	digest_add(sink, head);
	digest_add(sink, middle);
	digest_add(sink, rest);
}

static int32_t on_emit(struct fleet_sink *sink, const void *data, uint64_t len)
{
	int r = admit(sink, WIRE_DATA, len);

	if (r == 0 && len > 0)
		send_on(sink, WIRE_DATA, nothing, nothing, (struct fleet_bytes){data, len});
	return r;
}

static int32_t on_emit_setting(
	struct fleet_sink *sink, struct fleet_bytes path, struct fleet_bytes value, uint32_t type)
{
	uint32_t head[2] = {type, (uint32_t)path.len};
	struct keypath parsed;
	int r;

	if (path.len > FLEET_KEY_PATH_MAX)
		return refuse(sink, -E2BIG, CHILD_PATH_TOO_LONG);
	if (sink->count++ >= FLEET_SETTINGS_PER_FILE_MAX)
		return refuse(sink, -E2BIG, CHILD_TOO_MANY_SETTINGS);
	if (type > FLEET_TYPE_OBJECT || keypath_parse(path.data, path.len, false, &parsed, NULL) < 0)
		return refuse(sink, -EINVAL, "it answered with a malformed key path or type");
	r = admit(sink, WIRE_SETTING, path.len + value.len);
	if (r < 0)
		return r;
	send_on(sink, WIRE_SETTING, (struct fleet_bytes){(const char *)head, sizeof(head)}, path, value);
	return 0;
}

static int32_t on_emit_line(
	struct fleet_sink *sink, int64_t unix_ms, int32_t priority, struct fleet_bytes text)
{
	char head[sizeof(unix_ms) + sizeof(priority)];
	int r = admit(sink, WIRE_LINE, text.len);

	if (r < 0)
		return r;
	memcpy(head, &unix_ms, sizeof(unix_ms));
	memcpy(head + sizeof(unix_ms), &priority, sizeof(priority));
	send_on(sink, WIRE_LINE, (struct fleet_bytes){head, sizeof(head)}, nothing, text);
	return 0;
}

static void on_log(const struct fleet_host *host, int32_t level, const char *text)
{
	struct child_host *h = (struct child_host *)(uintptr_t)host;

	if (h->logs++ >= FLEET_DRIVER_LOG_LINES_MAX)
		return;
	child_pipe_frame(h->pipe, WIRE_LOG, (struct fleet_bytes){(const char *)&level, sizeof(level)},
		nothing, (struct fleet_bytes){text, strnlen(text, WIRE_LOG_TEXT_MAX)});
	(void)child_pipe_flush(h->pipe); /* so that it is there even if the driver crashes next */
}

static int32_t on_progress(const struct fleet_host *host, uint32_t percent, const char *text)
{
	const struct child_host *h = (const struct child_host *)host;

	child_pipe_frame(h->pipe, WIRE_PROGRESS,
		(struct fleet_bytes){(const char *)&percent, sizeof(percent)}, nothing,
		(struct fleet_bytes){text, strnlen(text, WIRE_LOG_TEXT_MAX)});
	return child_pipe_flush(h->pipe);
}

static int64_t on_remaining_ms(const struct fleet_host *host)
{
	int64_t left = ((const struct child_host *)host)->soft_deadline_ms - fleet_clock_monotonic_ms();

	return left > 0 ? left : 0;
}

void child_host_init(struct child_host *h, const struct driver_call *call, struct child_pipe *pipe,
	int64_t soft_deadline_ms)
{
	*h = (struct child_host){
		.host = {.size = sizeof(h->host),
			.abi_major = FLEET_DRIVER_ABI_MAJOR,
			.abi_minor = FLEET_DRIVER_ABI_MINOR,
			.app_id = call->app_id ? call->app_id : "",
			.state_dir = call->state_dir,
			.options = call->options,
			.option_count = call->option_count,
			.log = on_log,
			.emit = on_emit,
			.emit_setting = on_emit_setting,
			.progress = on_progress,
			.remaining_ms = on_remaining_ms,
			.emit_line = on_emit_line},
		.pipe = pipe,
		.soft_deadline_ms = soft_deadline_ms,
	};
}
