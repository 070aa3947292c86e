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
			size_t len = strlen(t->path);
			const char *path = app->files[f].real_path;

			if (strncmp(path, t->path, len) == 0 && path[len] == '/')
				add(&m, path + len + 1, true);
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

/* The two trees, either of which may be missing: -1. */
struct sides {
	int place, new;
};

static void open_sides(const struct tree *t, struct sides *s)
{
	s->place = beneath_open(t->parent_fd, t->name, O_RDONLY | O_DIRECTORY);
	s->new = beneath_open(t->work_fd, TREE_NEW, O_RDONLY | O_DIRECTORY);
}

static void close_sides(const struct sides *s)
{
	if (s->place >= 0)
		(void)close(s->place);
	if (s->new >= 0)
		(void)close(s->new);
}

static bool is_there(int dir_fd, const char *path)
{
	struct stat st;

	return dir_fd >= 0 && beneath_stat(dir_fd, path, &st) == 0;
}

void moves_decide(const struct tree *t, struct moves *m)
{
	struct sides s;

	open_sides(t, &s);
	for (size_t i = 0; i < m->count; i++)
		m->items[i].existed = is_there(s.place, m->items[i].path);
	close_sides(&s);
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
	struct sides s;
	int r = 0;

	open_sides(t, &s);
	for (size_t i = 0; r >= 0 && i < m->count; i++) {
		if (!m->items[i].existed)
			continue;
		r = move_one(s.place, s.new, m->items[i].path);
		if (r < 0)
			r = fleet_error_errno(
				err, r, "cannot carry over %s of %s", m->items[i].path, t->path);
	}
	close_sides(&s);
	return r;
}

int moves_return(const struct tree *t, const struct moves *m, bool ran, struct fleet_error *err)
{
	struct sides s;
	int r = 0;

	open_sides(t, &s);
	for (size_t i = m->count; r >= 0 && s.new >= 0 && i > 0; i--) {
		const struct move *one = &m->items[i - 1];

		/* there is still one in the app's place: this one is the release's own */
		if ((!one->existed && (one->config || !ran)) || is_there(s.place, one->path) ||
			!is_there(s.new, one->path))
			continue;
		r = FLEET_FAILS("moves.return") ? -errno : move_one(s.new, s.place, one->path);
		if (r < 0)
			r = fleet_error_errno(err, r, "cannot bring back %s of %s", one->path, t->path);
	}
	close_sides(&s);
	return r;
}
