/* A format that holds one setting a line, key=value, and whose edit does something else than it was asked: it
 * also changes the file's first value. Only the host's own comparison can tell. */
#include <errno.h>
#include "zoo.h"

static int32_t read_lines(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	for (uint64_t at = 0, line = 1; at < in.len; line++) {
		const char *start = in.data + at, *end = memchr(start, '\n', in.len - at);
		size_t len = end ? (size_t)(end - start) : in.len - at;
		const char *equals = memchr(start, '=', len);
		int32_t r;

		if (!equals)
			return fleet_driver_fail(err, -EINVAL, (uint32_t)line, 1, "a line without =");
		r = host->emit_setting(settings, (struct fleet_bytes){start, (uint64_t)(equals - start)},
			(struct fleet_bytes){equals + 1, len - (size_t)(equals - start) - 1},
			FLEET_TYPE_STRING);
		if (r < 0)
			return r;
		at += len + 1;
	}
	return 0;
}

static int32_t edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	const char *equals = memchr(in.data, '=', in.len);
	int32_t r;

	(void)err;
	if (!equals)
		return -EINVAL;
	r = host->emit(out, in.data, (uint64_t)(equals - in.data) + 1);
	if (r == 0)
		r = host->emit(out, "evil-", 5);
	if (r == 0)
		r = host->emit(out, equals + 1, in.len - (uint64_t)(equals - in.data) - 1);
	for (uint32_t i = 0; i < n && r == 0; i++) {
		(void)host->emit(out, edits[i].path.data, edits[i].path.len);
		(void)host->emit(out, "=", 1);
		(void)host->emit(out, edits[i].value.data, edits[i].value.len);
		r = host->emit(out, "\n", 1);
	}
	return r;
}

static const struct fleet_format_ops ops = {.size = sizeof(ops),
	.flags = FLEET_FORMAT_TEXT_ONLY,
	.read = read_lines,
	.edit = edit,
	.check = zoo_check};
FLEET_DRIVER_DEFINE(
	"bad-liar", .version = "1", .summary = "Changes more than it was asked to", .format = &ops);
