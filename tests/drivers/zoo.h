/* What the drivers of the zoo share: a format role whose functions say the same thing about any file, so that
 * each animal has to write its own vice only. */
#ifndef ZOO_H
#define ZOO_H
#include "fleet/driver.h"

#define ZOO_UNUSED __attribute__((unused))

ZOO_UNUSED static int32_t zoo_emit(
	struct fleet_sink *sink, const struct fleet_host *host, const char *path, const char *value)
{
	return host->emit_setting(sink, (struct fleet_bytes){path, strlen(path)},
		(struct fleet_bytes){value, strlen(value)}, FLEET_TYPE_STRING);
}

ZOO_UNUSED static int32_t zoo_read(const struct fleet_host *host, struct fleet_bytes in,
	struct fleet_sink *settings, struct fleet_driver_error *err)
{
	(void)in;
	(void)err;
	return zoo_emit(settings, host, "animal", "quiet");
}

ZOO_UNUSED static int32_t zoo_edit(const struct fleet_host *host, struct fleet_bytes in,
	const struct fleet_edit *edits, uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	(void)edits;
	(void)n;
	(void)err;
	return host->emit(out, in.data, in.len);
}

ZOO_UNUSED static int32_t zoo_check(
	const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	(void)host;
	(void)in;
	(void)err;
	return 0;
}

#endif
