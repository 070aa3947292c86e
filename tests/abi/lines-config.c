/* A driver of ABI 1.0, built against the header as it was released with it: what third parties have installed. It uses
 * every member that 1.0 has on both sides. Lines `name=value`, nothing else. */
#include <errno.h>
#include <stdlib.h>
#include <fleet/driver.h>

static int32_t init(const struct fleet_host *host, struct fleet_driver_error *err)
{
	if (host->abi_major != FLEET_DRIVER_ABI_MAJOR || !FLEET_CAN(host, emit_line) || host->state_dir)
		return fleet_driver_fail(err, -EPROTO, 0, 0, "the host is not as ABI 1.0 has it");
	fleet_log(host, FLEET_LOG_LEVEL_DEBUG, "%u options for %s", (unsigned)host->option_count, host->app_id);
	return 0;
}

static int32_t walk(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *sink,
	struct fleet_driver_error *err)
{
	uint32_t number = 1;

	for (uint64_t at = 0; at < in.len; number++) {
		const char *line = in.data + at, *lf = memchr(line, '\n', in.len - at);
		uint64_t len = lf ? (uint64_t)(lf - line) : in.len - at;
		const char *equals = memchr(line, '=', len);
		int32_t r = 0;

		if (!equals || equals == line)
			return fleet_driver_fail(err, -EINVAL, number, 1, "a line is name=value");
		for (uint64_t i = 0; i < len; i++) {
			if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] > 0x7e ||
				(line + i < equals && strchr(".[\\", line[i])))
				return fleet_driver_fail(err, -EINVAL, number, (uint32_t)i + 1, "not allowed here");
		}
		if (equals - line > 200)
			return fleet_driver_fail(err, -EINVAL, number, 1, "a name has at most 200 letters");
		if (sink)
			r = host->emit_setting(sink, (struct fleet_bytes){line, (uint64_t)(equals - line)},
				(struct fleet_bytes){equals + 1, len - (uint64_t)(equals - line) - 1}, FLEET_TYPE_STRING);
		if (r < 0)
			return r;
		at += len + (lf ? 1 : 0);
	}
	return 0;
}

static int32_t check(const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	return walk(host, in, NULL, err);
}

/* Changes values that are there, one edit a call. */
static int32_t edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits, uint32_t n,
	struct fleet_sink *out, struct fleet_driver_error *err)
{
	int32_t r = walk(host, in, NULL, err);
	const struct fleet_edit *e = &edits[0];

	if (r < 0)
		return r;
	if (n != 1 || e->kind != FLEET_EDIT_SET || e->type != FLEET_TYPE_STRING || host->remaining_ms(host) <= 0)
		return fleet_driver_fail(err, -EINVAL, 0, 0, "one value at a time can be set");
	for (uint64_t i = 0; i < e->value.len; i++) {
		if ((unsigned char)e->value.data[i] < 0x20 || (unsigned char)e->value.data[i] > 0x7e)
			return fleet_driver_fail(err, -EINVAL, 0, 0, "a value is one line of ASCII");
	}
	for (uint64_t at = 0; at < in.len;) {
		const char *line = in.data + at, *lf = memchr(line, '\n', in.len - at);
		uint64_t len = lf ? (uint64_t)(lf - line) : in.len - at;

		if (len > e->path.len && line[e->path.len] == '=' && memcmp(line, e->path.data, e->path.len) == 0) {
			uint64_t value = at + e->path.len + 1;

			r = host->emit(out, in.data, value);
			if (r == 0)
				r = host->emit(out, e->value.data, e->value.len);
			return r < 0 ? r : host->emit(out, in.data + at + len, in.len - at - len);
		}
		at += len + (lf ? 1 : 0);
	}
	return fleet_driver_fail(err, -EINVAL, 0, 0, "there is no such name");
}

static const struct fleet_format_ops format = {
	.size = sizeof(format),
	.flags = FLEET_FORMAT_TEXT_ONLY,
	.read = walk,
	.edit = edit,
	.check = check,
	.init = init,
};
FLEET_DRIVER_DEFINE("lines-config", .version = "1.0", .summary = "Lines of name=value", .format = &format);
