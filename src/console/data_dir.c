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

int data_dir_become_owner(const char *dir, struct fleet_error *err)
{
	const struct passwd *user;
	struct stat st;
	int r;

	if (geteuid() != 0)
		return 0;
	if (stat(dir, &st) == 0)
		return become(st.st_uid, st.st_gid, err);
	if (errno != ENOENT)
		return fleet_error_errno(err, -errno, "cannot look at the data directory %s", dir);
	user = getpwnam(CONSOLE_USER);
	r = user ? fleet_mkdir_parents(dir, 0700, err) : 0;
	if (r < 0 || !user)
		return r; /* root's own console makes it itself */
	if (lchown(dir, user->pw_uid, user->pw_gid) < 0)
		return fleet_error_errno(err, -errno, "cannot give %s to the user " CONSOLE_USER, dir);
	return become(user->pw_uid, user->pw_gid, err);
}
