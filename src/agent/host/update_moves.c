#include "agent/host/update_moves.h"
#include <fcntl.h>
#include "agent/host/beneath.h"
#include "agent/host/extract.h"
#include "fleet/failpoint.h"
#include "fleet/limits.h"

#define RELEASE_SUFFIX ".release"

/* ---- which ---- */

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

/* Not what another entry carries along anyway; one below this one is replaced by it. */
static void add(struct moves *m, const char *path, bool config)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->count; i++) {
		if (is_below(path, m->items[i].path))
			return;
	}
	for (size_t i = 0; i < m->count; i++) {
		if (is_below(m->items[i].path, path))
			free(m->items[i].path);
		else
			m->items[kept++] = m->items[i];
	}
	m->count = kept;
	m->items = xreallocarray(m->items, m->count + 1, sizeof(*m->items));
	m->items[m->count++] = (struct move){.path = xstrdup(path), .config = config};
}

/* A file's path within the tree; NULL: it is not below it. Borrowed. */
static const char *within(const struct tree *t, const char *path)
{
	size_t len = strlen(t->path);

	return is_below(path, t->path) && path[len] ? path + len + 1 : NULL;
}

/* Where the way to a config leads out of the tree by a link, that link: the app reads through it, and no
 * release knows of it. Owned; NULL where none does. */
static char *link_out(const struct tree *t, const struct app_file *file)
{
	const char *path = within(t, file->path);
	size_t len = 0;

	while (path && !within(t, file->real_path) && path[len]) {
		_cleanup_free_ char *below = NULL;
		struct stat st;

		len += strspn(path + len, "/");
		len += strcspn(path + len, "/");
		below = xasprintf("%s/%.*s", t->name, (int)len, path);
		if (beneath_stat(t->parent_fd, below, &st) < 0)
			return NULL;
		if (S_ISLNK(st.st_mode))
			return xstrndup(path, len);
	}
	return NULL;
}

void moves_collect(const struct tree *t, const struct apps *apps, struct moves *ret)
{
	struct moves m = {0};

	for (size_t i = 0; !t->is_file && i < apps->count; i++) {
		const struct app *app = apps->items[i];

		if (!str_equal(app->binary_path, t->path))
			continue;
		for (size_t k = 0; k < app->preserve.count; k++)
			add(&m, app->preserve.items[k], false);
	}
	/* any app's config below the tree: it is read there, whoever's the program is */
	for (size_t i = 0; !t->is_file && i < apps->count; i++) {
		const struct app *app = apps->items[i];

		for (size_t f = 0; f < app->file_count; f++) {
			const char *path = within(t, app->files[f].real_path);
			_cleanup_free_ char *link = link_out(t, &app->files[f]);

			if (path || link)
				add(&m, path ? path : link, true);
		}
	}
	*ret = m;
}

void moves_done(struct moves *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->items[i].path);
	free(m->items);
	*m = (struct moves){0};
}

bool moves_cover(const struct moves *m, const char *path)
{
	while (str_starts(path, "./"))
		path += 2;
	for (size_t i = 0; i < m->count; i++) {
		if (is_below(path, m->items[i].path))
			return true;
	}
	return false;
}

struct json_object *moves_to_json(const struct moves *m)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < m->count; i++) {
		struct json_object *item = json_object_new_object();

		fleet_json_add_string(item, "path", m->items[i].path);
		fleet_json_add_bool(item, "config", m->items[i].config);
		fleet_json_add_bool(item, "existed", m->items[i].existed);
		json_object_array_add(list, item);
	}
	return list;
}

void moves_from_json(struct json_object *list, struct moves *ret)
{
	size_t count = list ? json_object_array_length(list) : 0;

	*ret = (struct moves){.items = xcalloc(count + 1, sizeof(*ret->items))};
	for (size_t i = 0; i < count; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		const char *path = fleet_json_string(item, "path");

		if (path)
			ret->items[ret->count++] = (struct move){.path = xstrdup(path),
				.config = fleet_json_bool(item, "config", false),
				.existed = fleet_json_bool(item, "existed", false)};
	}
}

/* ---- where ---- */

/* The two trees; new may be missing: -1. */
struct sides {
	int place, new;
};
#define SIDES_INIT                                                                                           \
	{                                                                                                    \
		-1, -1                                                                                       \
	}

static void sides_done(struct sides *s)
{
	if (s->place >= 0)
		(void)close(s->place); /* directories: nothing to save */
	if (s->new >= 0)
		(void)close(s->new);
}

/* What cannot be looked at is not missing: what is in it would be forgotten. */
static int open_sides(const struct tree *t, struct sides *s, struct fleet_error *err)
{
	s->place = beneath_open(t->parent_fd, t->name, O_RDONLY | O_DIRECTORY);
	if (s->place < 0)
		return fleet_error_errno(err, s->place, "cannot open %s", t->path);
	s->new = beneath_open(t->work_fd, TREE_NEW, O_RDONLY | O_DIRECTORY);
	return s->new < 0 && s->new != -ENOENT
		       ? fleet_error_errno(err, s->new, "cannot open '" TREE_NEW "' beside %s", t->path)
		       : 0;
}

/* 1, 0, or why that cannot be told. -ELOOP: it lies beyond a link. */
static int is_there(int dir_fd, const char *path)
{
	struct stat st;
	int r = beneath_stat(dir_fd, path, &st);

	return r >= 0 ? 1 : r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static int cannot_look(const struct tree *t, const struct move *m, int code, struct fleet_error *err)
{
	if (code == -ELOOP)
		return fleet_error_set(err, code, "%s in %s lies beyond a link; preserve where that leads to",
			m->path, t->path);
	return fleet_error_errno(err, code, "cannot look at %s in %s", m->path, t->path);
}

static int each_existing(const struct tree *t, struct moves *m,
	int (*each)(const struct tree *t, const struct moves *m, struct move *one, const struct sides *s,
		int there, struct fleet_error *err),
	struct fleet_error *err)
{
	_cleanup_(sides_done) struct sides s = SIDES_INIT;
	int r = m->count > 0 ? open_sides(t, &s, err) : 0;

	for (size_t i = 0; r >= 0 && i < m->count; i++) {
		int there = is_there(s.place, m->items[i].path);

		r = there < 0 ? cannot_look(t, &m->items[i], there, err)
			      : each(t, m, &m->items[i], &s, there, err);
	}
	return r;
}

static int decide(const struct tree *t FLEET_UNUSED, const struct moves *m FLEET_UNUSED, struct move *one,
	const struct sides *s FLEET_UNUSED, int there, struct fleet_error *err FLEET_UNUSED)
{
	one->existed = there > 0;
	return 0;
}

int moves_decide(const struct tree *t, struct moves *m, struct fleet_error *err)
{
	return each_existing(t, m, decide, err);
}

/* ---- links ---- */

/* Where within the tree a link of it leads to, as it is written; NULL: it is none, or leads elsewhere. Owned.
 */
static char *target_within(const struct tree *t, int dir_fd, const char *path)
{
	const char *name = NULL, *slash = strrchr(path, '/');
	_cleanup_close_ int parent = beneath_open_parent(dir_fd, path, &name);
	char target[FLEET_PATH_LEN_MAX + 1];
	size_t len = strlen(t->path);
	ssize_t n = parent < 0 ? -1 : readlinkat(parent, name, target, sizeof(target) - 1);

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	if (target[0] == '/')
		return is_below(target, t->path) ? xstrdup(target + len + (target[len] == '/')) : NULL;
	if (strstr(target, "..")) /* out of it, mostly */
		return NULL;
	return slash ? xasprintf("%.*s/%s", (int)(slash - path), path, target) : xstrdup(target);
}

/* What a preserved link leads to must not stay behind when the link goes. */
static int check_link(const struct tree *t, const struct moves *m, struct move *one, const struct sides *s,
	int there, struct fleet_error *err)
{
	_cleanup_free_ char *target = there ? target_within(t, s->place, one->path) : NULL;

	if (!target || moves_cover(m, target))
		return 0;
	return fleet_error_set(err, -EINVAL,
		"%s in %s is a link to %s in it, which an update would leave behind; preserve that as well",
		one->path, t->path, target);
}

int moves_check(const struct tree *t, struct moves *m, struct fleet_error *err)
{
	return each_existing(t, m, check_link, err);
}

/* ---- moving ---- */

/* The directories on the way to path, made as they are in the tree that path comes from. */
static int make_way(int to_fd, int from_fd, const char *path)
{
	_cleanup_free_ char *dir = xstrdup(path);

	for (char *slash = strchr(dir, '/'); slash; slash = strchr(slash + 1, '/')) {
		const char *name = NULL;
		_cleanup_close_ int parent = -1, fd = -1;
		struct extract_owner owner;
		struct stat st;
		int r = 0;

		*slash = '\0';
		parent = beneath_open_parent(to_fd, dir, &name);
		if (parent < 0)
			return parent;
		if (!FLEET_FAILS("moves.mkdir") && mkdirat(parent, name, 0700) == 0) {
			fd = beneath_open(parent, name, O_RDONLY | O_DIRECTORY);
			extract_owner_find(from_fd, dir, &owner);
			owner.mask = 0777;
			r = fd < 0 ? fd
			    : beneath_stat(from_fd, dir, &st) < 0
				    ? 0
				    : extract_owner_apply(fd, &owner, st.st_mode);
			extract_owner_done(&owner);
		} else if (errno != EEXIST) {
			r = -errno;
		}
		if (r >= 0)
			r = beneath_sync(parent);
		if (r < 0)
			return r;
		*slash = '/';
	}
	return 0;
}

/* What the release has under that name goes beside it; an empty directory just goes. */
static int set_aside(int parent, const char *name)
{
	_cleanup_free_ char *aside = xasprintf("%s" RELEASE_SUFFIX, name);
	struct stat st;
	int r;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode) && unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return 0;
	r = beneath_remove(parent, aside);
	if (r < 0)
		return r;
	tree_at_step("aside");
	return FLEET_FAILS("moves.aside") || renameat(parent, name, parent, aside) < 0 ? -errno : 0;
}

static int move_one(int from_fd, int to_fd, const char *path)
{
	const char *name = NULL, *same = NULL;
	_cleanup_close_ int from = beneath_open_parent(from_fd, path, &name), to = -1;
	int r;

	if (from < 0)
		return from;
	r = make_way(to_fd, from_fd, path);
	if (r < 0)
		return r;
	to = beneath_open_parent(to_fd, path, &same);
	if (to < 0)
		return to;
	r = set_aside(to, same);
	if (r < 0)
		return r;
	tree_at_step("move");
	if (FLEET_FAILS("moves.rename") || renameat(from, name, to, name) < 0)
		return -errno;
	FLEET_FAILPOINT("moves.renamed");
	r = beneath_sync(to); /* first where it is now: whatever is lost, it is in one of the two */
	return r < 0 ? r : beneath_sync(from);
}

int moves_carry(const struct tree *t, const struct moves *m, struct fleet_error *err)
{
	_cleanup_(sides_done) struct sides s = SIDES_INIT;
	int r = m->count > 0 ? open_sides(t, &s, err) : 0;

	for (size_t i = 0; r >= 0 && i < m->count; i++) {
		if (!m->items[i].existed)
			continue;
		r = move_one(s.place, s.new, m->items[i].path);
		if (r < 0)
			r = fleet_error_errno(
				err, r, "cannot carry over %s of %s", m->items[i].path, t->path);
	}
	return r;
}

/* 1: `new` has what is to return; 0: nothing. */
static int is_due(const struct tree *t, const struct sides *s, const struct move *one, bool ran,
	struct fleet_error *err)
{
	int there;

	if (!one->existed && (one->config || !ran))
		return 0;
	there = is_there(s->place, one->path);
	if (there < 0)
		return cannot_look(t, one, there, err);
	if (there > 0)
		return 0; /* still in the app's place: that in `new` is the release's own */
	there = is_there(s->new, one->path);
	if (there == -ELOOP)
		return 0; /* the release made a link of what it lay in: is_left */
	return there < 0 ? cannot_look(t, one, there, err) : there;
}

/* The release made a link of it, or of what it lies in, and what that leads to is still in `new`. */
static bool is_left(
	const struct tree *t, const struct moves *m, const struct move *one, const struct sides *s)
{
	_cleanup_free_ char *target = NULL;

	if (!one->existed)
		return false;
	if (is_there(s->place, one->path) == 0)
		return is_there(s->new, one->path) == -ELOOP;
	target = target_within(t, s->place, one->path);
	return target && !moves_cover(m, target);
}

int moves_return(const struct tree *t, const struct moves *m, bool ran, struct fleet_error *err)
{
	_cleanup_(sides_done) struct sides s = SIDES_INIT;
	int r = m->count > 0 ? open_sides(t, &s, err) : 0;
	bool left = false;

	for (size_t i = m->count; r >= 0 && s.new >= 0 && i > 0; i--) {
		const struct move *one = &m->items[i - 1];

		r = is_due(t, &s, one, ran, err);
		if (r <= 0)
			continue;
		r = FLEET_FAILS("moves.return") ? -errno : move_one(s.new, s.place, one->path);
		if (r < 0)
			r = fleet_error_errno(err, r, "cannot bring back %s of %s", one->path, t->path);
	}
	for (size_t i = 0; r >= 0 && s.new >= 0 && i < m->count; i++)
		left |= is_left(t, m, &m->items[i], &s);
	return r < 0 ? r : left;
}
