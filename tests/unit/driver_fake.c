#include "driver_fake.h"

static void on_log(const struct fleet_host *host, int32_t level, const char *text)
{
	(void)host;
	printf("# log %d: %s\n", level, text);
}

static int32_t on_emit(struct fleet_sink *sink, const void *data, uint64_t len)
{
	fleet_buffer_add(&sink->data, data, len);
	return 0;
}

static int32_t on_emit_setting(
	struct fleet_sink *sink, struct fleet_bytes path, struct fleet_bytes value, uint32_t type)
{
	int r = settings_add(&sink->settings, path, value, type);

	if (r < 0)
		sink->error = r;
	return r;
}

static int32_t on_progress(const struct fleet_host *host, uint32_t percent, const char *text)
{
	(void)text;
	((struct fake_host *)(uintptr_t)host)->progress_calls++;
	return percent <= 100 ? 0 : -EINVAL;
}

static int64_t on_remaining_ms(const struct fleet_host *host)
{
	return ((const struct fake_host *)host)->remaining_ms;
}

static int32_t on_emit_line(
	struct fleet_sink *sink, int64_t unix_ms, int32_t priority, struct fleet_bytes text)
{
	struct fake_line *line;

	if (sink->line_count == FLEET_ARRAY_LEN(sink->lines))
		return -E2BIG;
	line = &sink->lines[sink->line_count++];
	line->unix_ms = unix_ms;
	line->priority = priority;
	(void)snprintf(line->text, sizeof(line->text), "%.*s", (int)text.len, text.data);
	return 0;
}

void fake_host_init(
	struct fake_host *h, const char *state_dir, const struct fleet_option *options, uint32_t count)
{
	*h = (struct fake_host){.host = {.size = sizeof(h->host),
					.abi_major = FLEET_DRIVER_ABI_MAJOR,
					.abi_minor = FLEET_DRIVER_ABI_MINOR,
					.app_id = "app",
					.state_dir = state_dir,
					.options = options,
					.option_count = count,
					.log = on_log,
					.emit = on_emit,
					.emit_setting = on_emit_setting,
					.progress = on_progress,
					.remaining_ms = on_remaining_ms,
					.emit_line = on_emit_line},
		.remaining_ms = 10000};
}

void fake_sink_done(struct fleet_sink *sink)
{
	settings_done(&sink->settings);
	fleet_buffer_done(&sink->data);
}
