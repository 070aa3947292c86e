#include "agent/host/update_tree.h"
#include <fcntl.h>
#include <linux/fs.h>
#include "agent/host/beneath.h"
#include "agent/host/extract.h"
#include "agent/host/hash_stream.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define MARKER_MAX 4096
#define NOTE_NAME  "previous.json"
#define LEFT_MAX   9

void (*tree_step_hook)(const char *step);

void tree_at_step(const char *step)
{
	if (tree_step_hook)
		tree_step_hook(step);
}

/* ---- the place and the room beside it ---- */

static int look_at(struct tree *t, int as_file, struct fleet_error *err)
{
	struct stat st;

	if (fstatat(t->parent_fd, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT || as_file < 0)
			return fleet_error_errno(err, -errno, "cannot look at %s", t->path);
		t->is_file = as_file > 0;
		return 0;
	}
	if (S_ISLNK(st.st_mode))
		return fleet_error_set(err, -ELOOP,
			"%s is a link, which an update would replace by what it unpacks; declare where it "
			"leads to",
			t->path);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return fleet_error_set(err, -EINVAL, "%s is neither a directory nor a file", t->path);
	t->is_file = S_ISREG(st.st_mode);
	return 0;
}

/* Ours alone, whoever else may write beside it. */
static int open_work(struct tree *t, struct fleet_error *err)
{
	_cleanup_free_ char *name = xasprintf(".%s.fleet", t->name);
	struct stat st;

	if (mkdirat(t->parent_fd, name, 0700) < 0 && errno != EEXIST)
		return fleet_error_errno(err, -errno, "cannot make %s beside %s", name, t->path);
	t->work_fd = beneath_open(t->parent_fd, name, O_RDONLY | O_DIRECTORY);
	if (t->work_fd < 0)
		return fleet_error_errno(err, t->work_fd, "cannot open %s beside %s", name, t->path);
	if (fstat(t->work_fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077))
		return fleet_error_set(
			err, -EPERM, "%s beside %s is not this program's own; remove it", name, t->path);
	return 0;
}

int tree_open(const char *path, int as_file, struct tree *ret, struct fleet_error *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
	struct tree t = {.path = xstrdup(path), .name = xstrdup(slash + 1), .parent_fd = -1, .work_fd = -1};
	int r = 0;

	t.parent_fd = beneath_open_absolute(dir);
	if (t.parent_fd == -ELOOP)
		r = fleet_error_set(err, -ELOOP, "a part of %s is a link; declare where it leads to", dir);
	else if (t.parent_fd < 0)
		r = fleet_error_errno(err, t.parent_fd, "cannot open the directory %s", dir);
	if (r >= 0)
		r = look_at(&t, as_file, err);
	if (r >= 0)
		r = open_work(&t, err);
	if (r < 0)
		tree_done(&t);
	else
		*ret = t;
	return r;
}

void tree_done(struct tree *t)
{
	if (t->parent_fd >= 0)
		(void)close(t->parent_fd); /* directories: nothing to save */
	if (t->work_fd >= 0)
		(void)close(t->work_fd);
	free(t->path);
	free(t->name);
	*t = (struct tree)TREE_INIT;
}

void tree_tidy(const struct tree *t)
{
	_cleanup_free_ char *name = xasprintf(".%s.fleet", t->name);

	if (unlinkat(t->parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != ENOENT)
		log_debug("%s beside %s stays: %m", name, t->path);
}

static int where(const struct tree *t, const char *in_work, const char **ret_name)
{
	*ret_name = in_work ? in_work : t->name;
	return in_work ? t->work_fd : t->parent_fd;
}

bool tree_exists(const struct tree *t, const char *in_work)
{
	const char *name;
	int dir = where(t, in_work, &name);
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- which one is it ---- */

static struct json_object *read_json(int dir_fd, const char *path)
{
	_cleanup_close_ int fd = beneath_open(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	struct json_object *json = NULL;
	size_t len = 0;

	if (fd < 0 || fleet_file_read_fd(fd, path, MARKER_MAX, &text, &len, NULL) < 0 ||
		fleet_json_parse(text, len, MARKER_MAX, &json, NULL) < 0)
		return NULL;
	return json;
}

uint64_t tree_number(const struct tree *t, const char *in_work)
{
	const char *name;
	int dir = where(t, in_work, &name);
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_ino;
}

static bool has_mark(const struct tree *t, const char *id, const char *sha256)
{
	_cleanup_json_ struct json_object *marker = NULL;
	_cleanup_free_ char *path = NULL;

	if (t->is_file) {
		char hash[FLEET_SHA256_HEX];

		return tree_hash_file(t, NULL, hash, NULL) == 0 && str_equal(hash, sha256);
	}
	path = xasprintf("%s/" EXTRACT_MARKER, t->name);
	marker = read_json(t->parent_fd, path);
	return marker && str_equal(fleet_json_string(marker, "commandId"), id);
}

bool tree_is_exchanged(const struct tree *t, uint64_t old, const char *id, const char *sha256)
{
	if (old && tree_number(t, TREE_NEW) == old)
		return true;
	if (old && tree_number(t, NULL) == old)
		return false;
	return has_mark(t, id, sha256);
}

static int write_json(int dir_fd, const char *name, struct json_object *json, mode_t mode)
{
	size_t len;
	const char *text = fleet_json_text(json, &len);
	_cleanup_close_ int fd = -1;
	ssize_t n;
	int r = beneath_remove(dir_fd, name); /* a directory, where the app's user made one of it */

	if (r < 0)
		return r;
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n != (ssize_t)len)
		r = n < 0 ? -errno : -ENOSPC;
	else if (fchmod(fd, mode) < 0 || FLEET_FAILS("tree.note") || fsync(fd) < 0)
		r = -errno;
	return r < 0 ? r : beneath_sync(dir_fd);
}

int tree_mark(const struct tree *t, const char *in_work, const char *id, const char *version,
	struct fleet_error *err)
{
	const char *name;
	int dir = where(t, in_work, &name), r;
	_cleanup_json_ struct json_object *marker = json_object_new_object();
	_cleanup_close_ int fd = -1;

	if (t->is_file)
		return 0; /* its hash tells */
	fd = beneath_open(dir, name, O_RDONLY | O_DIRECTORY);
	fleet_json_add_string(marker, "commandId", id);
	fleet_json_add_string(marker, "version", version);
	fleet_json_add_time(marker, "at", fleet_clock_wall_ms());
	r = fd < 0 ? fd : write_json(fd, EXTRACT_MARKER, marker, 0644);
	return r < 0 ? fleet_error_errno(err, r, "cannot mark the release beside %s", t->path) : 0;
}

int tree_hash_file(
	const struct tree *t, const char *in_work, char ret[FLEET_SHA256_HEX], struct fleet_error *err)
{
	const char *name;
	int dir = where(t, in_work, &name);
	_cleanup_close_ int fd = beneath_open(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_(hash_stream_freep) struct hash_stream *hash = NULL;
	_cleanup_free_ char *block = xmalloc(65536);
	unsigned char unused[HASH_BLAKE2B_LEN];
	ssize_t n;

	if (fd < 0)
		return fleet_error_errno(err, fd, "cannot read %s", name);
	hash = hash_stream_new();
	while ((n = read(fd, block, 65536)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fleet_error_errno(err, -errno, "cannot read %s", name);
		hash_stream_add(hash, block, (size_t)n);
	}
	hash_stream_end(hash, ret, unused);
	return 0;
}

struct json_object *tree_previous_note(const struct tree *t)
{
	return read_json(t->work_fd, NOTE_NAME);
}

int tree_note_previous(const struct tree *t, const char *version, const char *id, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *note = json_object_new_object();
	int r;

	fleet_json_add_string(note, "version", version);
	fleet_json_add_string(note, "commandId", id);
	r = write_json(t->work_fd, NOTE_NAME, note, 0600);
	return r < 0 ? fleet_error_errno(err, r, "cannot note which version is kept of %s", t->path) : 0;
}

void tree_forget_note(const struct tree *t)
{
	if (unlinkat(t->work_fd, NOTE_NAME, 0) < 0 && errno != ENOENT)
		log_warn("cannot remove " NOTE_NAME " beside %s: %m", t->path);
}

/* ---- moving ---- */

static int sync_both(const struct tree *t, struct fleet_error *err)
{
	int r = FLEET_FAILS("tree.sync") ? -errno : beneath_sync(t->parent_fd);

	if (r >= 0)
		r = beneath_sync(t->work_fd);
	return r < 0 ? fleet_error_errno(err, r, "cannot sync what was moved at %s", t->path) : 0;
}

static int move(const struct tree *t, int from_fd, const char *from, int to_fd, const char *to,
	struct fleet_error *err)
{
	tree_at_step("exchange-part");
	if (FLEET_FAILS("tree.move"))
		return fleet_error_errno(err, -errno, "cannot move %s (%s to %s)", t->path, from, to);
	if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) < 0 &&
		!((errno == EINVAL || errno == ENOSYS) &&
			faccessat(to_fd, to, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
			renameat(from_fd, from, to_fd, to) == 0))
		return fleet_error_errno(err, -errno, "cannot move %s (%s to %s)", t->path, from, to);
	return sync_both(t, err);
}

static int exchange_in_parts(const struct tree *t, struct fleet_error *err)
{
	int r = move(t, t->parent_fd, t->name, t->work_fd, TREE_OLD, err);

	if (r >= 0)
		r = move(t, t->work_fd, TREE_NEW, t->parent_fd, t->name, err);
	return r < 0 ? r : move(t, t->work_fd, TREE_OLD, t->work_fd, TREE_NEW, err);
}

int tree_exchange(const struct tree *t, struct fleet_error *err)
{
	int r;

	tree_at_step("exchange");
	if (!FLEET_FAILS("tree.exchange") &&
		renameat2(t->parent_fd, t->name, t->work_fd, TREE_NEW, RENAME_EXCHANGE) == 0) {
		tree_at_step("exchanged");
		FLEET_FAILPOINT("tree.exchanged");
		return sync_both(t, err);
	}
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EXDEV)
		return fleet_error_errno(err, -errno, "cannot put the release into the place of %s", t->path);
	r = exchange_in_parts(t, err);
	if (r < 0) { /* all or nothing, as with the one step */
		struct fleet_error again = FLEET_ERROR_INIT;

		if (tree_settle(t, &again) < 0)
			log_error("%s", again.message);
	}
	return r;
}

int tree_exchange_back(const struct tree *t, struct fleet_error *err)
{
	return tree_exists(t, NULL) ? tree_exchange(t, err)
				    : move(t, t->work_fd, TREE_NEW, t->parent_fd, t->name, err);
}

int tree_settle(const struct tree *t, struct fleet_error *err)
{
	if (!tree_exists(t, TREE_OLD))
		return 0;
	if (!tree_exists(t, NULL))
		return move(t, t->work_fd, TREE_OLD, t->parent_fd, t->name, err);
	if (!tree_exists(t, TREE_NEW))
		return move(t, t->work_fd, TREE_OLD, t->work_fd, TREE_NEW, err);
	return tree_set_aside(t, TREE_OLD, err); /* none of our states: nothing is thrown away */
}

int tree_remove(const struct tree *t, const char *in_work, struct fleet_error *err)
{
	int r;

	if (!tree_exists(t, in_work))
		return 0;
	tree_at_step("remove");
	r = FLEET_FAILS("tree.remove") ? -errno : beneath_remove(t->work_fd, in_work);
	return r < 0 ? fleet_error_errno(err, r, "cannot remove '%s' beside %s", in_work, t->path) : 0;
}

int tree_keep(const struct tree *t, const char *from, const char *to, struct fleet_error *err)
{
	int r;

	if (!tree_exists(t, from))
		return 0;
	r = tree_remove(t, to, err);
	if (r < 0)
		return r;
	tree_at_step("keep");
	if (FLEET_FAILS("tree.keep") || renameat(t->work_fd, from, t->work_fd, to) < 0)
		return fleet_error_errno(err, -errno, "cannot keep '%s' beside %s", from, t->path);
	return sync_both(t, err);
}

int tree_begin_moving(const struct tree *t, struct fleet_error *err)
{
	int r = 0;

	if (FLEET_FAILS("tree.moving") || (mkdirat(t->work_fd, TREE_MOVING, 0700) < 0 && errno != EEXIST))
		r = -errno;
	else
		r = beneath_sync(t->work_fd);
	return r < 0 ? fleet_error_errno(err, r, "cannot note beside %s that it is to be moved", t->path) : 0;
}

void tree_end_moving(const struct tree *t)
{
	if (unlinkat(t->work_fd, TREE_MOVING, AT_REMOVEDIR) < 0 && errno != ENOENT)
		log_warn("cannot remove '" TREE_MOVING "' beside %s: %m", t->path);
}

int tree_set_aside(const struct tree *t, const char *in_work, struct fleet_error *err)
{
	char name[16] = TREE_LEFT;

	if (!tree_exists(t, in_work))
		return 0;
	for (int i = 2; i <= LEFT_MAX && tree_exists(t, name); i++)
		(void)snprintf(name, sizeof(name), TREE_LEFT ".%d", i); /* fits */
	if (tree_exists(t, name))
		return fleet_error_set(err, -ENFILE,
			"what %d operations could not put in order lies in .%s.fleet beside %s (" TREE_LEFT
			" to %s): take out what is still wanted, and remove them",
			LEFT_MAX, t->name, t->path, name);
	if (FLEET_FAILS("tree.aside") || renameat(t->work_fd, in_work, t->work_fd, name) < 0)
		return fleet_error_errno(err, -errno, "cannot set '%s' beside %s aside", in_work, t->path);
	log_warn("what an operation could not put in order lies in .%s.fleet/%s beside %s", t->name, name,
		t->path);
	return sync_both(t, err);
}
