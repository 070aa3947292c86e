#include "driver/tool/check.h"
#include <ftw.h>
#include "driver/registry.h"
#include "driver/tool/tool.h"

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* What a service driver keeps between calls goes with the run. */
static void remove_state(const char *dir)
{
	if (nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) < 0)
		tap_note("%s could not be removed: %s", dir, strerror(errno));
}

static int make_state(struct tool_target *t, struct fleet_error *err)
{
	char dir[] = "/tmp/fleet-driver-check.XXXXXX";

	if (!mkdtemp(dir))
		return fleet_error_errno(
			err, -errno, "cannot make a directory %s for the driver's state", dir);
	t->state_dir = xstrdup(dir);
	return 0;
}

static int run(struct check *c, const struct tool_options *options, struct fleet_error *err)
{
	static const char name[] = "every error is a sentence for a person";
	int r;

	if (!check_file(c))
		return 0;
	if (c->target.roles & DRIVER_ROLE_FORMAT)
		check_format(c, options->samples);
	if (c->target.roles & DRIVER_ROLE_SERVICE) {
		r = make_state(&c->target, err); /* not before: the format role keeps no state */
		if (r < 0)
			return r;
		check_service(c, options->exercise);
	}
	verdict_tell(&c->sentences, &c->tap, "it never failed", name);
	return 0;
}

int tool_check(const struct tool_options *options)
{
	struct check c = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	bool good;
	int r;

	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* each result as it comes, also into a pipe */
	r = tool_target_from_path(options->file, options, &c.target, &err);
	if (r == 0)
		r = run(&c, options, &err);
	if (c.target.state_dir)
		remove_state(c.target.state_dir);
	if (r < 0) {
		tool_target_done(&c.target);
		return tool_fail(&err);
	}
	tool_target_done(&c.target);
	good = tap_end(&c.tap);
	return good ? TOOL_DONE : TOOL_FAILED;
}
