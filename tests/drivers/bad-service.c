/* A service role that misbehaves for the apps whose option `act` says so. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "zoo.h"

static int32_t act(const struct fleet_host *host, struct fleet_driver_error *err)
{
	const char *what = fleet_driver_option(host, "act", "");

	if (strcmp(what, "crash") == 0)
		(void)raise(SIGSEGV);
	if (strcmp(what, "hang") == 0) {
		for (;;)
			(void)pause();
	}
	if (strcmp(what, "exit") == 0)
		exit(0);
	if (strcmp(what, "close-pipe") == 0)
		(void)close(3);
	if (strcmp(what, "fail") == 0)
		return fleet_driver_fail(err, -EIO, 0, 0, "exited with status 1");
	/* a process that would outlive the call */
	if (strcmp(what, "background") == 0 && fork() == 0) {
		for (;;)
			(void)pause();
	}
	return 0;
}

static int32_t status(const struct fleet_host *host, struct fleet_status *ret, struct fleet_driver_error *err)
{
	int32_t r = act(host, err);

	if (r < 0)
		return r;
	ret->state = strcmp(fleet_driver_option(host, "act", ""), "state") == 0 ? 99 : FLEET_STATE_RUNNING;
	ret->pid = 4127;
	(void)snprintf(ret->message, sizeof(ret->message), "app %s", host->app_id);
	memset(ret->instance, 'i', sizeof(ret->instance)); /* no NUL: the host has to cope */
	return 0;
}

static int32_t stop(const struct fleet_host *host, struct fleet_driver_error *err)
{
	int32_t r = host->progress(host, 10, "stopping");

	return r < 0 ? r : act(host, err);
}

static int32_t start(const struct fleet_host *host, struct fleet_driver_error *err)
{
	(void)err;
	return host->progress(host, 900, "starting");
}

static int32_t logs(const struct fleet_host *host, uint32_t lines, int64_t since_unix_ms,
	struct fleet_sink *out, struct fleet_driver_error *err)
{
	uint32_t n = strcmp(fleet_driver_option(host, "act", ""), "flood") == 0 ? lines + 1 : lines;

	(void)err;
	for (uint32_t i = 0; i < n; i++) {
		int32_t r =
			host->emit_line(out, since_unix_ms + i, 6, (struct fleet_bytes){"a\x1b[1mline", 9});

		if (r < 0)
			return r;
	}
	return 0;
}

static int32_t version(const struct fleet_host *host, struct fleet_sink *out, struct fleet_driver_error *err)
{
	(void)err;
	return host->emit(out, "2.1.0", 5);
}

static int32_t last_end(const struct fleet_host *host, int64_t since_unix_ms, struct fleet_sink *out,
	struct fleet_driver_error *err)
{
	if (since_unix_ms > 1000)
		return fleet_driver_fail(err, -ENOENT, 0, 0, "it has not failed since then");
	return strcmp(fleet_driver_option(host, "act", ""), "flood") == 0
		       ? host->emit(out, (char[300]){"x"}, 300)
		       : host->emit(out, "killed by \x1b[1mSIGKILL", 21);
}

static const struct fleet_service_ops ops = {.size = sizeof(ops),
	.status = status,
	.start = start,
	.stop = stop,
	.version = version,
	.logs = logs,
	.last_end = last_end};
FLEET_DRIVER_DEFINE("bad-service", .version = "1", .summary = "Misbehaves by option", .service = &ops);
