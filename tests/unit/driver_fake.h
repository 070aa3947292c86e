/* A host for drivers that are linked into a test: collects what they emit into settings and bytes, in
 * process, so that thousands of calls cost little. What the real host does to a driver is test_driver_call's
 * matter. */
#ifndef DRIVER_FAKE_H
#define DRIVER_FAKE_H
#include "driver/settings.h"
#include "fleet/buffer.h"

struct fake_line {
	int64_t unix_ms;
	int32_t priority;
	char text[200];
};
struct fleet_sink {
	struct settings settings;
	struct fleet_buffer data;
	struct fake_line lines[64];
	size_t line_count;
	int error;
};
struct fake_host {
	struct fleet_host host; /* first */
	int64_t remaining_ms;
	unsigned progress_calls;
};
#define FAKE_SINK_INIT                                                                                       \
	{                                                                                                    \
		.settings = SETTINGS_INIT                                                                    \
	}

void fake_host_init(
	struct fake_host *h, const char *state_dir, const struct fleet_option *options, uint32_t count);
void fake_sink_done(struct fleet_sink *sink);

#endif
