/* A service manager of one service, `web`, in a file of its state directory, which keeps every promise of
 * fleet/driver.h but the one that its option `break` names. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include "zoo.h"

static int breaks(const struct fleet_host *host, const char *promise)
{
	return strcmp(fleet_driver_option(host, "break", ""), promise) == 0;
}

struct web {
	int up, starts;
};

static FILE *open_state(const struct fleet_host *host, const char *mode)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/web", host->state_dir);
	return fopen(path, mode);
}

static int32_t load(const struct fleet_host *host, struct web *web, struct fleet_driver_error *err)
{
	FILE *f;

	*web = (struct web){0, 0};
	if (!breaks(host, "any-service") &&
		strcmp(fleet_driver_option(host, "service_name", "web"), "web") != 0)
		return fleet_driver_fail(err, -ENOENT, 0, 0, "there is no such service");
	f = open_state(host, "r");
	if (f) {
		if (fscanf(f, "%d %d", &web->up, &web->starts) != 2)
			*web = (struct web){0, 0};
		(void)fclose(f);
	}
	return 0;
}

static int32_t store(const struct fleet_host *host, const struct web *web, struct fleet_driver_error *err)
{
	FILE *f = open_state(host, "w");

	if (!f || fprintf(f, "%d %d\n", web->up, web->starts) < 0 || fclose(f) != 0)
		return fleet_driver_fail(err, -EIO, 0, 0, "the state cannot be written");
	return 0;
}

static int32_t status(const struct fleet_host *host, struct fleet_status *ret, struct fleet_driver_error *err)
{
	volatile char *leak;
	struct web web;
	int32_t r = load(host, &web, err);

	if (r < 0)
		return r;
	ret->state = web.up == 1   ? FLEET_STATE_RUNNING
		     : web.up == 2 ? FLEET_STATE_STARTING
				   : FLEET_STATE_STOPPED;
	(void)snprintf(ret->instance, sizeof(ret->instance), "start %d", web.starts);
	if (breaks(host, "instance-moves")) {
		struct timespec now;

		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		(void)snprintf(
			ret->instance, sizeof(ret->instance), "%ld%09ld", (long)now.tv_sec, now.tv_nsec);
	}
	if (breaks(host, "leaks") && (leak = malloc(64)) != NULL)
		*leak = 1;
	if (breaks(host, "unknown-state"))
		ret->state = 99;
	if (breaks(host, "overruns"))
		((volatile char *)ret)[sizeof(*ret)] = 0;
	if (breaks(host, "changes-size"))
		ret->size = 4;
	if (breaks(host, "unterminated"))
		memset(ret->instance, 'i', sizeof(ret->instance));
	return breaks(host, "positive") ? 7 : 0;
}

static int32_t start(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct web web;
	int32_t r = load(host, &web, err);

	if (r < 0 || (web.up == 1 && !breaks(host, "starts-again")))
		return r;
	web.up = breaks(host, "returns-early") ? 2 : 1;
	web.starts += !breaks(host, "same-instance");
	return store(host, &web, err);
}

static int32_t stop(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct web web;
	int32_t r = load(host, &web, err);

	if (r == 0 && !web.up && breaks(host, "stop-again-fails"))
		return fleet_driver_fail(err, -EINVAL, 0, 0, "it does not run");
	if (r < 0 || breaks(host, "stop-lies"))
		return r;
	web.up = 0;
	return store(host, &web, err);
}

static int32_t reload(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct web web;
	int32_t r = load(host, &web, err);

	if (r < 0)
		return r;
	web.starts += breaks(host, "reload-restarts");
	return store(host, &web, err);
}

static int32_t version(const struct fleet_host *host, struct fleet_sink *out, struct fleet_driver_error *err)
{
	char text[300];

	(void)err;
	memset(text, '1', sizeof(text));
	if (breaks(host, "long-version"))
		return host->emit(out, text, sizeof(text));
	return breaks(host, "version-lines") ? host->emit(out, "1.0\n2.0", 7) : host->emit(out, "1.0", 3);
}

static int32_t logs(const struct fleet_host *host, uint32_t lines, int64_t since_unix_ms,
	struct fleet_sink *out, struct fleet_driver_error *err)
{
	uint32_t n = breaks(host, "logs-too-many") ? lines + 1 : lines;
	int32_t r = 0;

	(void)err;
	if (since_unix_ms > 0 && !breaks(host, "logs-old"))
		return 0;
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = host->emit_line(out,
			1000000 + (breaks(host, "logs-backwards") ? -(int64_t)i : (int64_t)i), 6,
			(struct fleet_bytes){"a line", 6});
	return r;
}

static int32_t last_end(const struct fleet_host *host, int64_t since_unix_ms, struct fleet_sink *out,
	struct fleet_driver_error *err)
{
	char text[300];

	(void)since_unix_ms;
	(void)err;
	memset(text, 'x', sizeof(text));
	if (breaks(host, "long-end"))
		return host->emit(out, text, sizeof(text));
	return breaks(host, "end-lines") ? host->emit(out, "killed\nby\nwhom", 14)
					 : host->emit(out, "killed", 6);
}

static const struct fleet_service_ops ops = {.size = sizeof(ops),
	.status = status,
	.start = start,
	.stop = stop,
	.reload = reload,
	.version = version,
	.logs = logs,
	.last_end = last_end};
FLEET_DRIVER_DEFINE("bad-manager", .version = "1", .summary = "Breaks a promise by option", .service = &ops);
