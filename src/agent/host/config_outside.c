#include "agent/host/config_outside.h"
#include "agent/host/changes.h"
#include "agent/host/push.h"
#include "agent/host/service.h"
#include "fleet/buffer.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define KEYS_SHOWN_MAX   20
#define SENTENCE_KEYS    600        /* bytes */
#define DETAILS_KEYS_MAX (8 * 1024) /* bytes: the console keeps no longer details */

/* ---- what changed ---- */

struct keys {
	struct json_object *list; /* owned */
	size_t count, bytes;
};

static int add_key(const char *key, void *arg, struct fleet_error *err FLEET_UNUSED)
{
	struct keys *keys = arg;

	keys->bytes += strlen(key) + 3;
	if (keys->count++ < CHANGES_MAX && keys->bytes <= DETAILS_KEYS_MAX)
		fleet_json_append_string(keys->list, key);
	return 0;
}

/* False where it cannot be told. */
static bool find_keys(
	const struct config_version *before, const struct config_version *after, struct keys *ret)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	*ret = (struct keys){.list = json_object_new_array()};
	return before->readable && after->readable &&
	       changes_each(&before->digests, &after->digests, add_key, ret, &err) >= 0;
}

static char *sentence(const struct app *app, const struct app_file *file, const struct config_version *before,
	const struct config_version *after, const struct keys *keys)
{
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	bool is_main = str_equal(file->name, "main");
	size_t shown = 0, listed = keys ? json_object_array_length(keys->list) : 0;

	fleet_buffer_printf(&text, "%s's config%s%s%s %s outside Fleet", app->id, is_main ? "" : " (",
		is_main ? "" : file->name, is_main ? "" : ")",
		!after->exists    ? "was removed"
		: !before->exists ? "was created"
				  : "changed");
	if (!after->exists || !before->exists || (!keys && after->readable))
		return fleet_buffer_take(&text, NULL);
	if (!after->readable) {
		fleet_buffer_printf(&text, ": %s cannot read it as it is now", file->driver);
		return fleet_buffer_take(&text, NULL);
	}
	if (keys->count == 0)
		fleet_buffer_add_string(&text, ": no setting, only what stands around them");
	while (shown < listed && shown < KEYS_SHOWN_MAX && text.len < SENTENCE_KEYS) {
		fleet_buffer_printf(&text, "%s%s", shown ? ", " : ": ",
			json_object_get_string(json_object_array_get_idx(keys->list, shown)));
		shown++;
	}
	if (shown < keys->count)
		fleet_buffer_printf(&text, " and %zu more", keys->count - shown);
	return fleet_buffer_take(&text, NULL);
}

static struct json_object *event_new(const struct config_record *r, const struct app *app,
	const struct app_file *file, const struct config_version *before, const struct config_version *after,
	const struct safe_content *content)
{
	struct json_object *message = json_object_new_object(), *details = json_object_new_object();
	_cleanup_free_ char *text = NULL;
	struct keys keys;
	/* names of keys leave the server where settings may be read */
	bool known = find_keys(before, after, &keys) && (app->allow & APP_ALLOW_READ_CONFIG);

	text = sentence(app, file, before, after, known ? &keys : NULL);
	fleet_json_add_string(message, "k", "outside");
	fleet_json_add_string(message, "eventId", config_record_event_id(r, content).text);
	fleet_json_add_string(message, "appId", app->id);
	fleet_json_add_string(message, "message", text);
	fleet_json_add_bool(details, "outside", true);
	fleet_json_add_string(details, "file", file->name);
	if (known)
		fleet_json_add(details, "keys", json_object_get(keys.list));
	fleet_json_add_string(details, "hash", content->exists ? content->hash : NULL);
	fleet_json_add(message, "details", details);
	json_object_put(keys.list);
	return message;
}

/* Of a push that nobody has taken up to its end: the version that differs least is the one that was there. */
static const struct config_version *version_before(
	const struct config_record *r, const struct config_version *after)
{
	struct keys from_now, from_next;
	bool next = r->has_next && find_keys(&r->now, after, &from_now);

	if (!next)
		return &r->now;
	next = find_keys(&r->next, after, &from_next) && from_next.count < from_now.count;
	json_object_put(from_now.list);
	json_object_put(from_next.list);
	return next ? &r->next : &r->now;
}

int config_outside_meet(struct config_record *record, const struct op_env *env, const struct app *app,
	const struct app_file *file, const struct safe_content *content, const struct settings *settings,
	config_tell *tell, void *arg, struct fleet_error *err)
{
	struct config_version after = {.exists = false};
	_cleanup_json_ struct json_object *message = NULL;
	int r = 0;

	if (config_record_knows(record, content))
		return 0;
	config_version_set(record, &after, content, settings);
	if (!record->is_new) {
		message = event_new(record, app, file, version_before(record, &after), &after, content);
		r = tell(message, arg);
	}
	if (r < 0) {
		config_version_done(&after);
		return fleet_error_set(err, r, "the change of %s cannot be told now", file->path);
	}
	config_version_done(&record->now);
	config_version_done(&record->next);
	record->has_next = false;
	record->now = after;
	return config_record_save(record, env->state_dir, err);
}

/* ---- a push ---- */

static int tell_from_operation(struct json_object *message, void *arg)
{
	return op_tell(arg, message);
}

int config_outside_expect(
	struct push *p, const struct settings *now, const struct settings *after, struct fleet_error *err)
{
	_cleanup_(config_record_done) struct config_record record = CONFIG_RECORD_INIT;
	const char *state_dir = p->op->env->state_dir;
	int r = config_record_open(state_dir, p->file->real_path, &record, err);

	if (r < 0)
		return r;
	/* that cannot be told is a pity; that the push then looked like somebody else's would be worse */
	if (config_outside_meet(&record, p->op->env, p->op->app, p->file, &p->before, now,
		    tell_from_operation, p->op, err) < 0)
		log_warn("%s", err->message);
	config_version_set(
		&record, &record.now, &p->before, now); /* it may have been `next` of an earlier one */
	config_version_set(&record, &record.next, &p->after, after);
	record.has_next = true;
	return config_record_save(&record, state_dir, err);
}

void config_outside_settle(struct push *p)
{
	_cleanup_(config_record_done) struct config_record record = CONFIG_RECORD_INIT;
	_cleanup_(safe_content_done) struct safe_content content = {0};
	_cleanup_(safe_file_done) struct safe_file target = {.dir_fd = -1};
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *state_dir = p->op->env->state_dir;

	if (config_record_open(state_dir, p->file->real_path, &record, &err) < 0 ||
		safe_file_open(p->file->real_path, &target, &err) < 0 ||
		safe_file_read(&target, &content, &err) < 0) {
		log_warn("what %s holds now is not written down: %s", p->file->path, err.message);
		return; /* both versions stay known */
	}
	if (!record.has_next || !config_record_knows(&record, &content))
		return;
	if (str_equal(record.next.hash, content.exists ? content.hash : "")) {
		config_version_done(&record.now);
		record.now = record.next;
		record.next = (struct config_version){.exists = false};
	}
	record.has_next = false;
	if (config_record_save(&record, state_dir, &err) < 0)
		log_warn("what %s holds now is not written down: %s", p->file->path, err.message);
}

/* ---- the child that looks ---- */

static int tell_from_look(struct json_object *message, void *arg)
{
	_cleanup_json_ struct json_object *answer = NULL;
	const int *fd = arg;
	int r = op_send(*fd, message);

	if (r >= 0)
		r = op_receive(*fd, &answer);
	return r < 0 ? r : fleet_json_bool(answer, "ok", false) ? 0 : -EAGAIN;
}

static int read_settings(const struct op_env *env, const struct config_look *look,
	const struct safe_content *content, struct settings *ret, struct fleet_error *err)
{
	struct driver_call call;
	int r;

	if (!content->exists)
		return 0;
	r = format_call(env, look->app, look->file, &call, err);
	return r < 0 ? r
		     : driver_format_read(&call, (struct fleet_bytes){content->data, content->len}, ret, err);
}

static int look_at(const struct op_env *env, const struct config_look *look, int *fd,
	char ret_hash[SAFE_FILE_HASH_LEN + 2], struct fleet_error *err)
{
	_cleanup_(config_record_done) struct config_record record = CONFIG_RECORD_INIT;
	_cleanup_(safe_content_done) struct safe_content content = {0};
	_cleanup_(safe_file_done) struct safe_file target = {.dir_fd = -1};
	_cleanup_(settings_done) struct settings settings = SETTINGS_INIT;
	bool readable = true;
	int r;

	r = config_record_open(env->state_dir, look->file->real_path, &record, err);
	if (r >= 0)
		r = safe_file_open(look->file->real_path, &target, err);
	if (r >= 0)
		r = safe_file_read(&target, &content, err);
	if (r < 0)
		return r;
	if (!config_record_knows(&record, &content)) {
		/* why it cannot is not said: a driver may quote what it stumbles over */
		readable = read_settings(env, look, &content, &settings, NULL) >= 0;
		r = config_outside_meet(&record, env, look->app, look->file, &content,
			readable ? &settings : NULL, tell_from_look, fd, err);
	}
	if (r >= 0)
		(void)snprintf(ret_hash, SAFE_FILE_HASH_LEN + 2, "%s", content.exists ? content.hash : "");
	return r;
}

int config_look_run(int fd, void *arg)
{
	const struct config_look_order *order = arg;

	for (size_t i = 0; i < order->count; i++) {
		_cleanup_json_ struct json_object *message = json_object_new_object();
		char hash[SAFE_FILE_HASH_LEN + 2] = "";
		struct fleet_error err = FLEET_ERROR_INIT;
		int r = look_at(order->env, &order->looks[i], &fd, hash, &err);

		if (r < 0)
			log_debug("%s was not looked at: %s", order->looks[i].file->path, err.message);
		fleet_json_add_string(message, "k", "looked");
		fleet_json_add_int(message, "index", (int64_t)i);
		if (r >= 0)
			fleet_json_add_string(message, "hash", hash);
		else if (r == -EAGAIN)
			fleet_json_add_bool(message, "later", true);
		r = op_send(fd, message);
		if (r < 0)
			return r;
	}
	return 0;
}
