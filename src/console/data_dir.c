#include "console/data_dir.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include "fleet/file.h"

#define CONSOLE_USER "fleet-console"

char *data_dir_actor(void)
{
	const struct passwd *user = getpwuid(getuid());

	return user ? xasprintf("%s@console", user->pw_name) : xasprintf("%u@console", (unsigned)getuid());
}

static int become(uid_t uid, gid_t gid, struct fleet_error *err)
{
	if (uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
		return fleet_error_errno(err, -errno, "cannot become the user %u", (unsigned)uid);
	return 0;
}

int data_dir_make(const char *dir, struct fleet_error *err)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam(CONSOLE_USER) : NULL;
	int r;

	if (access(dir, F_OK) == 0)
		return 0;
	r = fleet_mkdir_parents(dir, 0700, err);
	if (r >= 0 && user && lchown(dir, user->pw_uid, user->pw_gid) < 0)
		r = fleet_error_errno(err, -errno, "cannot give %s to the user " CONSOLE_USER, dir);
	return r;
}

int data_dir_become_owner(const char *dir, struct fleet_error *err)
{
	struct stat st;
	int r;

	if (geteuid() != 0)
		return 0;
	r = data_dir_make(dir, err);
	if (r < 0)
		return r;
	if (stat(dir, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot look at the data directory %s", dir);
	return become(st.st_uid, st.st_gid, err);
}
