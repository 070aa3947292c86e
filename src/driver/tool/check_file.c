/* The .so itself: what can be said before its code runs, and whether the host takes it. */
#include <sys/stat.h>
#include "driver/registry.h"
#include "driver/tool/check.h"
#include "driver/tool/elf_look.h"

static bool check_elf(struct check *c)
{
	struct elf_exports exports = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = elf_look(c->target.file, &exports, &err);

	if (r < 0 && r != -ENODATA) {
		tap_fail(&c->tap, err.message, "the file is a shared object for this machine");
		return false;
	}
	tap_pass(&c->tap, "the file is a shared object for this machine");
	if (r == -ENODATA) {
		tap_skip(&c->tap, err.message, "exactly one symbol fleet_driver_v... is exported");
		return true;
	}
	if (exports.drivers == 1) {
		tap_pass(&c->tap, "exactly one symbol fleet_driver_v... is exported");
	} else {
		_cleanup_free_ char *why =
			exports.drivers == 0
				? xstrdup("there is none; FLEET_DRIVER_DEFINE makes it")
				: xasprintf("there are %u: %s", exports.drivers, exports.driver_names);

		tap_fail(&c->tap, why, "exactly one symbol fleet_driver_v... is exported");
	}
	if (exports.others == 0) {
		tap_pass(&c->tap, "nothing else is exported");
	} else {
		_cleanup_free_ char *why =
			xasprintf("%s could stand in another library's way; build with -fvisibility=hidden",
				exports.other_names);

		tap_fail(&c->tap, why, "nothing else is exported");
	}
	elf_exports_done(&exports);
	return true;
}

/* Not the driver's fault, but the next surprise of whoever installs it. */
static void note_rights(const struct check *c)
{
	struct stat st;

	if (stat(c->target.file, &st) < 0)
		return;
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		tap_note("note: others may write to this file; a host that runs as root refuses it (chmod "
			 "go-w)");
}

bool check_file(struct check *c)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!check_elf(c))
		return false;
	if (tool_target_describe(&c->target, &err) < 0) {
		tap_fail(&c->tap, err.message, "it loads, and its ABI, sizes, name and roles are in order");
		return false;
	}
	tap_pass(&c->tap, "it loads, and its ABI, sizes, name and roles are in order");
	tap_note("%s %s: %s", c->target.name, c->target.version, c->target.summary);
	note_rights(c);
	return true;
}
