/* A copy of the database as it is at one moment, while a console writes it. */
#include <fcntl.h>
#include <sys/stat.h>

#include "console/store_internal.h"
#include "console/store_schema.h"

static int secure(const char *path, struct fleet_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fchmod(fd, 0600) < 0 || fsync(fd) < 0)
		return fleet_error_errno(err, -errno, "cannot sync %s", path);
	return 0;
}

int store_backup(const char *dir, const char *target, struct fleet_error *err)
{
	_cleanup_(fleet_db_closep) struct fleet_db *db = NULL;
	_cleanup_free_ char *path = xasprintf("%s/" STORE_FILE, dir);
	sqlite3_stmt *st;
	int r = fleet_db_open_readonly(path, &db, err);

	if (r < 0)
		return r;
	st = fleet_db_statement(db, "VACUUM INTO ?");
	fleet_db_bind_text(st, 1, target);
	r = fleet_db_run(db, st, err);
	return r < 0 ? r : secure(target, err);
}
