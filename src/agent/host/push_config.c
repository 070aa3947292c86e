#include "agent/host/before.h"
#include "agent/host/changes.h"
#include "agent/host/config_outside.h"
#include "agent/host/key_policy.h"
#include "agent/host/push.h"
#include "agent/host/push_diff.h"
#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/log.h"

/* What the console asked for, with types decided; texts owned. */
struct edits {
	struct fleet_edit *items;
	char **values;
	size_t count;
};

static void edits_done(struct edits *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->values[i]);
	free(e->values);
	free(e->items);
}

static struct fleet_bytes bytes_of(const char *data, size_t len)
{
	return (struct fleet_bytes){.data = data, .len = len};
}

void push_init(struct push *p, struct op *op, const struct app_file *file)
{
	_cleanup_free_ char *key = safe_file_key(file->real_path);

	*p = (struct push){.op = op, .file = file, .target = {.dir_fd = -1}};
	p->apps = xcalloc(op->env->apps->count, sizeof(*p->apps));
	p->apps[p->app_count++] = (struct app_before){.app = op->app};
	for (size_t i = 0; i < op->env->apps->count; i++) {
		const struct app *app = op->env->apps->items[i];

		for (size_t f = 0; app != op->app && f < app->file_count; f++) {
			_cleanup_free_ char *other = safe_file_key(app->files[f].real_path);

			if (strcmp(key, other) != 0)
				continue;
			p->apps[p->app_count++] = (struct app_before){.app = app};
			break;
		}
	}
}

void push_done(struct push *p)
{
	safe_file_done(&p->target);
	safe_content_done(&p->before);
	safe_content_done(&p->after);
	free(p->note);
	free(p->apps);
}

/* ---- read ---- */

static void keep_note(const char *text, void *arg)
{
	struct push *p = arg;

	if (!p->note)
		p->note = xstrdup(text);
}

int push_read_settings(
	struct push *p, const struct safe_content *content, struct settings *ret, struct fleet_error *err)
{
	struct driver_call call;
	int r = format_call(p->op->env, p->op->app, p->file, &call, err);

	if (r < 0)
		return r;
	call.note = keep_note;
	call.arg = p;
	r = driver_format_read(&call, bytes_of(content->data, content->len), ret, err);
	if (r == -EINVAL && !content->exists)
		return 0; /* to this format nothing at all is malformed; a file that is not there says nothing
			   */
	return r < 0 ? fleet_error_wrap(err, "cannot read %s with %s", p->file->path, p->file->driver) : 0;
}

/* A push that may create the file may also create the directory, as a unit's first drop-in needs it. A dry
 * run takes it as empty. */
static int open_now(struct push *p, struct fleet_error *err)
{
	int r = safe_file_open(p->file->real_path, &p->target, err);

	if (r == -ENOENT && p->file->create) {
		if (fleet_json_bool(p->op->args, "dryRun", false)) {
			p->before.data = xstrdup("");
			safe_content_hash("", 0, p->before.hash);
			return 0;
		}
		r = safe_file_make_directory(p->file->real_path, err);
		if (r >= 0)
			r = safe_file_open(p->file->real_path, &p->target, err);
	}
	return r < 0 ? r : safe_file_read(&p->target, &p->before, err);
}

static int read_now(struct push *p, struct settings *ret)
{
	const char *expected = fleet_json_string(p->op->args, "expectHash");
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	r = open_now(p, &err);
	if (r < 0) {
		op_fail(p->op, "write-failed", "%s", err.message);
		return r;
	}
	if (!p->before.exists && !p->file->create) {
		op_fail(p->op, "write-failed",
			"%s does not exist, and its declaration does not let a push create it",
			p->file->path);
		return -ENOENT;
	}
	if (expected && strcmp(expected, p->before.hash) != 0) {
		op_fail(p->op, "hash-mismatch",
			"%s has changed since it was looked at: its hash is %s now, not %s. Nothing was "
			"done; look at "
			"it again, and push with the hash that it has then",
			p->file->path, p->before.hash, expected);
		return -ESTALE;
	}
	r = push_read_settings(p, &p->before, ret, &err);
	if (r < 0)
		op_fail(p->op, op_driver_code(r, "parse-failed"), "%s", err.message);
	else
		op_learn_secrets(p->op, ret);
	return r;
}

/* ---- decide ---- */

static int decide_one(struct push *p, const struct settings *now, struct json_object *edit, struct edits *to,
	struct fleet_error *err)
{
	static const struct {
		const char *word;
		enum settings_mode mode;
	} modes[] = {{"auto", SETTINGS_AUTO}, {"string", SETTINGS_STRING}, {"json", SETTINGS_JSON}};
	const char *key = fleet_json_string(edit, "key"), *word = fleet_json_string(edit, "mode");
	struct fleet_edit *item = &to->items[to->count];
	struct json_object *value = NULL;
	enum settings_mode mode = SETTINGS_AUTO;
	const char *text;
	int r;

	r = key_policy_check(p->op->app, p->file, key, err);
	if (r < 0)
		return r;
	item->path = bytes_of(key, strlen(key));
	if (str_equal(fleet_json_string(edit, "op"), "unset")) {
		item->kind = FLEET_EDIT_UNSET;
		to->count++;
		return 0;
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(modes); i++) {
		if (str_equal(word, modes[i].word))
			mode = modes[i].mode;
	}
	(void)json_object_object_get_ex(edit, "value", &value); /* NULL is JSON's null */
	if (mode != SETTINGS_JSON && json_object_is_type(value, json_type_string)) {
		text = json_object_get_string(value);
		if (strlen(text) != (size_t)json_object_get_string_len(value))
			return fleet_error_set(err, -EINVAL, "%s: a value must not hold a NUL", key);
	} else {
		text = value ? fleet_json_text(value, NULL) : "null";
	}
	r = settings_decide(now, key, text, mode, &item->type, &to->values[to->count], err);
	if (r < 0)
		return r;
	item->kind = FLEET_EDIT_SET;
	item->value = bytes_of(to->values[to->count], strlen(to->values[to->count]));
	to->count++;
	return 0;
}

static int decide_edits(struct push *p, const struct settings *now, struct edits *ret)
{
	struct json_object *list = fleet_json_array(p->op->args, "edits");
	size_t n = list ? json_object_array_length(list) : 0;
	struct fleet_error err = FLEET_ERROR_INIT;

	ret->items = xcalloc(n, sizeof(*ret->items));
	ret->values = xcalloc(n, sizeof(*ret->values));
	for (size_t i = 0; i < n; i++) {
		int r = decide_one(p, now, json_object_array_get_idx(list, i), ret, &err);

		if (r < 0) {
			op_fail(p->op, r == -EACCES ? "not-allowed-by-server" : "invalid-settings", "%s",
				err.message);
			return r;
		}
	}
	return 0;
}

/* ---- edit, and prove it ---- */

static int make_edited(struct push *p, const struct settings *now, struct settings *ret_expected)
{
	_cleanup_(edits_done) struct edits edits = {0};
	_cleanup_buffer_ struct fleet_buffer bytes = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_call call;
	int r;

	r = decide_edits(p, now, &edits);
	if (r < 0)
		return r;
	r = settings_apply(now, edits.items, edits.count, ret_expected, &err);
	if (r < 0) {
		op_fail(p->op, "invalid-settings", "%s", err.message);
		return r;
	}
	r = format_call(p->op->env, p->op->app, p->file, &call, &err);
	if (r >= 0)
		r = driver_format_edit(&call, bytes_of(p->before.data, p->before.len), edits.items,
			(uint32_t)edits.count, &bytes, &err);
	if (r >= 0 && bytes.len > FLEET_CONFIG_FILE_MAX)
		r = fleet_error_set(&err, -EFBIG, "%s would be %zu bytes long, at most %u are handled",
			p->file->path, bytes.len, FLEET_CONFIG_FILE_MAX);
	if (r < 0) {
		op_fail(p->op, op_driver_code(r, "invalid-settings"), "cannot change %s with %s: %s",
			p->file->path, p->file->driver, err.message);
		return r;
	}
	p->after.data = fleet_buffer_take(&bytes, &p->after.len);
	return 0;
}

static int make_restored(struct push *p, const char *command_id)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = before_load(
		p->op->env->state_dir, command_id, p->op->app->id, p->file->name, &p->after, &err);

	if (r >= 0 && !p->after.exists)
		r = fleet_error_set(&err, -EINVAL,
			"%s did not exist before command %s; a restore does not remove files", p->file->path,
			command_id);
	if (r < 0)
		op_fail(p->op, "invalid-settings", "%s", err.message);
	return r;
}

/* The driver's word about its own edit is not taken: what the new bytes say must be what the edits make of
 * the old. */
static int prove(struct push *p, const struct settings *expected, struct settings *ret_after)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_call call;
	int r;

	r = format_call(p->op->env, p->op->app, p->file, &call, &err);
	if (r >= 0) {
		r = driver_format_check(&call, bytes_of(p->after.data, p->after.len), &err);
		if (r == -EOPNOTSUPP)
			r = 0; /* a driver need not have one */
	}
	if (r < 0) {
		op_fail(p->op, op_driver_code(r, "parse-failed"), "the new %s would not be valid: %s",
			p->file->path, err.message);
		return r;
	}
	r = push_read_settings(p, &p->after, ret_after, &err);
	if (r < 0) {
		op_fail(p->op, op_driver_code(r, "parse-failed"), "the new bytes do not read back: %s",
			err.message);
		return r;
	}
	op_learn_secrets(p->op, ret_after);
	r = expected ? settings_compare(expected, ret_after, &err) : 0;
	if (r < 0)
		op_fail(p->op, "driver-failed",
			"driver %s did not make exactly the change asked for, so nothing was written: %s",
			p->file->driver, err.message);
	return r;
}

static int check_key(const char *key, void *arg, struct fleet_error *err)
{
	const struct push *p = arg;

	return key_policy_check(p->op->app, p->file, key, err);
}

static bool is_same(const struct push *p)
{
	return p->before.exists && p->before.len == p->after.len &&
	       memcmp(p->before.data, p->after.data, p->after.len) == 0;
}

/* Everything up to the new bytes, proven, in p->after. Past it nothing has changed anywhere. */
static int prepare(struct push *p, size_t *ret_changed)
{
	_cleanup_(settings_done) struct settings now = SETTINGS_INIT, expected = SETTINGS_INIT,
						 after = SETTINGS_INIT;
	const char *restore_of = fleet_json_string(p->op->args, "restoreOf");
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	if (op_begin(p->op, "read", NULL, &err) < 0)
		return op_fail(p->op, "internal", "%s", err.message), -EPIPE;
	r = read_now(p, &now);
	if (r < 0)
		return r;
	op_end_step(p->op, true, p->note);
	if (op_begin(p->op, "edit", NULL, &err) < 0)
		return op_fail(p->op, "internal", "%s", err.message), -EPIPE;
	r = restore_of ? make_restored(p, restore_of) : make_edited(p, &now, &expected);
	if (r < 0)
		return r;
	p->after.exists = true;
	safe_content_hash(p->after.data, p->after.len, p->after.hash);
	if (op_begin(p->op, "check", NULL, &err) < 0)
		return op_fail(p->op, "internal", "%s", err.message), -EPIPE;
	r = prove(p, restore_of ? NULL : &expected, &after);
	if (r < 0)
		return r;
	r = changes_add(p->op->result, p->op->app, &now, &after, check_key, p, ret_changed, &err);
	if (r < 0)
		op_fail(p->op, "not-allowed-by-server", "%s", err.message);
	else if (fleet_json_bool(p->op->args, "dryRun", false))
		push_diff_add(p, &now, &after);
	else if (!is_same(p) && config_outside_expect(p, &now, &after, &err) < 0)
		log_warn("what becomes of %s may be taken for somebody else's change: %s", p->file->path,
			err.message);
	return r;
}

/* ---- write ---- */

int push_look(struct push *p, struct fleet_error *err)
{
	for (size_t i = 0; i < p->app_count; i++) {
		struct app_before *a = &p->apps[i];
		int r = service_status(p->op, a->app, &a->before, err);

		if (r < 0)
			return fleet_error_wrap(
				err, "cannot tell how app '%s' stands, so nothing was written", a->app->id);
		a->was_good = service_is_good(&a->before);
		a->was_stopped = a->before.state == FLEET_STATE_STOPPED;
	}
	if (p->apps[0].before.pid > 0)
		fleet_json_add_int(p->op->result, "previousPid", p->apps[0].before.pid);
	return 0;
}

struct json_object *push_record(const struct push *p)
{
	struct json_object *record = json_object_new_object(), *apps = json_object_new_array();

	fleet_json_add_string(record, "file", p->file->name);
	fleet_json_add_string(record, "path", p->file->real_path);
	fleet_json_add_string(record, "before", p->before.hash);
	fleet_json_add_string(record, "after", p->after.hash);
	fleet_json_add_bool(record, "existed", p->before.exists);
	fleet_json_add(record, "apps", apps);
	for (size_t i = 0; i < p->app_count; i++)
		app_record_add(apps, &p->apps[i]);
	return record;
}

static int write_file(struct push *p)
{
	_cleanup_json_ struct json_object *record = push_record(p);
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	r = before_save(
		p->op->env->state_dir, p->op->command_id, p->op->app->id, p->file->name, &p->before, &err);
	if (r < 0) {
		op_fail(p->op, "write-failed", "cannot keep the file as it was, so nothing was written: %s",
			err.message);
		return r;
	}
	r = op_begin(p->op, "write", record, &err);
	if (r < 0) {
		op_fail(p->op, "internal", "%s", err.message);
		return r;
	}
	r = safe_file_replace(&p->target, &p->before, p->after.data, p->after.len, p->op->command_id, &err);
	if (r < 0) {
		struct fleet_error undo = FLEET_ERROR_INIT;

		/* a rename whose sync failed leaves something to put back; else the file is not what we
		 * wrote: -ESTALE */
		if (push_put_back(p, &undo) < 0 && undo.code != -ESTALE)
			log_error("%s", undo.message);
		op_fail(p->op, r == -ESTALE ? "hash-mismatch" : "write-failed", "%s", err.message);
	}
	return r;
}

void op_push_config(struct op *op)
{
	const char *name = fleet_json_string(op->args, "file");
	const struct app_file *file = app_find_file(op->app, name);
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_(push_done) struct push p = {.target = {.dir_fd = -1}};
	size_t changed = 0;
	int r;

	if (!file) {
		op_fail(op, "invalid-settings", "app '%s' declares no config file named '%s'", op->app->id,
			name ? name : "main");
		return;
	}
	push_init(&p, op, file);
	fleet_json_add_string(op->result, "file", file->name);
	if (prepare(&p, &changed) < 0)
		return;
	fleet_json_add_string(op->result, "hash", p.before.hash); /* until the file is another */
	if (is_same(&p)) {
		op_succeed(op, "nothing to change: %s says that already; nothing was restarted", file->path);
		return;
	}
	if (fleet_json_bool(op->args, "dryRun", false)) {
		op_succeed(op, "dry run: %zu setting%s would change; nothing was written", changed,
			changed == 1 ? "" : "s");
		return;
	}
	r = push_look(&p, &err);
	if (r < 0)
		op_fail(op, op_driver_code(r, "service-failed"), "%s", err.message);
	else
		r = write_file(&p);
	if (r >= 0) {
		json_object_object_del(op->result, "hash");
		fleet_json_add_string(op->result, "hash", p.after.hash);
		push_apply(&p);
	}
	config_outside_settle(&p);
}
