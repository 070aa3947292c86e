/* Mounts within an app's tree. The exchange of two directories takes along what is mounted in one of them:
 * after an update such a mount would be with the old version, and the app without it. Below what moves over
 * itself a mount moves along. */
#include "agent/host/update_moves.h"
#include "fleet/file.h"

#define MOUNT_POINT_FIELD 5

/* mountinfo writes blank, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; to++) {
		if (p[0] == '\\' && strspn(p + 1, "01234567") >= 3) {
			*to = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
}

/* Within the line; NULL where it has none. */
static char *mount_point(char *line)
{
	char *save = NULL, *field = strtok_r(line, " ", &save);

	for (int i = 1; field && i < MOUNT_POINT_FIELD; i++)
		field = strtok_r(NULL, " ", &save);
	if (field)
		unescape(field);
	return field;
}

/* Below the tree, or the tree itself: "". NULL: elsewhere. */
static const char *within(const struct tree *t, const char *path)
{
	size_t len = strlen(t->path);

	return str_starts(path, t->path) && (!path[len] || path[len] == '/') ? path + len + (path[len] == '/')
									     : NULL;
}

static bool moves_along(const struct moves *m, const char *name)
{
	_cleanup_free_ char *dir = xstrdup(name);
	char *slash = strrchr(dir, '/');

	if (!slash)
		return false; /* a mount point itself cannot be moved */
	*slash = '\0';
	return moves_cover(m, dir);
}

int moves_check_mounts(const struct tree *t, const struct moves *m, struct fleet_error *err)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;

	if (!f)
		return fleet_error_errno(err, -errno, "cannot read what is mounted in %s", t->path);
	while (getline(&line, &capacity, f) > 0) {
		const char *path = mount_point(line), *name = path ? within(t, path) : NULL;

		if (name && !moves_along(m, name))
			return fleet_error_set(err, -EINVAL,
				"%s is a mount point, which an update would take away with the old version; "
				"mount it elsewhere, or deeper in what is preserved",
				path);
	}
	return ferror(f) ? fleet_error_set(err, -EIO, "cannot read what is mounted in %s", t->path) : 0;
}
