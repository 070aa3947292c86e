#include <fcntl.h>
#include <sys/stat.h>
#include "driver/describe.h"
#include "driver/registry.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

/* Who else could have written it? Only root's word counts when the driver will run with root's rights. */
static const char *unsafe(const struct stat *st)
{
	if (geteuid() != 0)
		return NULL;
	if (st->st_uid != 0)
		return "it does not belong to root";
	if ((st->st_mode & S_IWOTH) || ((st->st_mode & S_IWGRP) && st->st_gid != 0))
		return "others than root may write to it (chmod go-w)";
	return NULL;
}

static int check_file(const char *file, struct fleet_error *err)
{
	const char *why;
	struct stat st;

	if (stat(file, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot look at driver file %s", file);
	if (!S_ISREG(st.st_mode))
		return fleet_error_set(err, -EINVAL, "driver file %s is not a regular file", file);
	why = unsafe(&st);
	return why ? fleet_error_set(err, -EPERM, "driver file %s cannot be trusted: %s", file, why) : 0;
}

/* Fills the rest of an item that has its name and file. */
static void look_at(struct driver_info *item)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_info about = {0};
	struct driver_call call = {
		.driver = item->name,
		.file = item->file,
		.app_id = "",
		.deadline_ms = fleet_clock_monotonic_ms() + FLEET_DRIVER_CALL_MS,
	};
	int r = check_file(item->file, &err);

	if (r == 0)
		r = driver_describe(&call, &about, &err);
	if (r < 0) {
		item->error = xstrdup(err.message);
	} else {
		item->version = TAKE_PTR(about.version);
		item->summary = TAKE_PTR(about.summary);
		item->roles = about.roles;
	}
	free(about.name); /* equal to the file's, the loader saw to it */
	free(about.version);
	free(about.summary);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct driver_info *)a)->name, ((const struct driver_info *)b)->name);
}

/* Every NAME.so in the directory whose NAME can be one. */
static int list(const char *dir, struct driver_registry *r, struct fleet_error *err)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	const char *why;
	struct stat st;

	if (!d || fstat(dirfd(d), &st) < 0)
		return fleet_error_errno(err, -errno, "cannot open driver directory %s", dir);
	why = unsafe(&st);
	if (why)
		return fleet_error_set(err, -EPERM, "driver directory %s cannot be trusted: %s", dir, why);
	for (;;) {
		_cleanup_free_ char *name = NULL;
		struct dirent *entry;
		size_t len;

		errno = 0;
		entry = readdir(d);
		if (!entry)
			return errno ? fleet_error_errno(err, -errno, "cannot list driver directory %s", dir)
				     : 0;
		len = strlen(entry->d_name);
		if (len <= 3 || strcmp(entry->d_name + len - 3, ".so") != 0)
			continue;
		name = xstrndup(entry->d_name, len - 3);
		if (!fleet_id_is_valid(name))
			continue; /* no driver can be called that */
		if (r->count == FLEET_DRIVERS_MAX)
			return fleet_error_set(err, -E2BIG, "driver directory %s has more than %d drivers",
				dir, FLEET_DRIVERS_MAX);
		r->items = xreallocarray(r->items, r->count + 1, sizeof(*r->items));
		r->items[r->count++] = (struct driver_info){
			.name = TAKE_PTR(name),
			.file = xasprintf("%s/%s", dir, entry->d_name),
		};
	}
}

int driver_registry_load(const char *dir, struct driver_registry *ret, struct fleet_error *err)
{
	struct driver_registry found = {NULL, 0};
	int r;

	if (dir[0] != '/')
		return fleet_error_set(err, -EINVAL, "driver directory %s is not an absolute path", dir);
	r = list(dir, &found, err);
	if (r < 0) {
		driver_registry_done(&found);
		return r;
	}
	if (found.count > 0)
		qsort(found.items, found.count, sizeof(*found.items), by_name);
	for (size_t i = 0; i < found.count; i++)
		look_at(&found.items[i]);
	*ret = found;
	return 0;
}

void driver_registry_done(struct driver_registry *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->items[i].name);
		free(r->items[i].file);
		free(r->items[i].version);
		free(r->items[i].summary);
		free(r->items[i].error);
	}
	free(r->items);
	*r = (struct driver_registry){NULL, 0};
}

const struct driver_info *driver_registry_find(const struct driver_registry *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++) {
		if (strcmp(r->items[i].name, name) == 0)
			return &r->items[i];
	}
	return NULL;
}
