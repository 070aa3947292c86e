/* What a command holds while it runs, so that no two work on one thing at a time: its app's service; a push
 * also the file, every service that uses it, and the tree that it lies in; an update the tree, and every
 * service that runs from it. */
#include "agent/host/operation.h"
#include "driver/safe_file.h"

static void add_file_keys(const struct host *h, const char *real_path, char **keys, size_t *count)
{
	char *key = safe_file_key(real_path);

	keys[(*count)++] = key;
	for (size_t i = 0; i < h->apps.count; i++) {
		const struct app *app = h->apps.items[i];

		for (size_t f = 0; f < app->file_count && *count < QUEUE_KEYS_MAX; f++) {
			_cleanup_free_ char *other = safe_file_key(app->files[f].real_path);

			if (strcmp(other, key) != 0)
				continue;
			keys[(*count)++] = app_service_key(app); /* it restarts with the file */
			break;
		}
	}
	/* an update moves what lies in its tree, whoever's it is */
	for (size_t i = 0; i < h->apps.count && *count < QUEUE_KEYS_MAX; i++) {
		const char *tree = h->apps.items[i]->binary_path;
		size_t len = tree ? strlen(tree) : 0;

		if (tree && str_starts(real_path, tree) && real_path[len] == '/')
			keys[(*count)++] = safe_file_key(tree);
	}
}

/* The tree that an update replaces, and every service that runs from it. */
static void add_tree_keys(const struct host *h, const struct app *app, char **keys, size_t *count)
{
	keys[(*count)++] = safe_file_key(app->binary_path);
	for (size_t i = 0; i < h->apps.count && *count < QUEUE_KEYS_MAX; i++) {
		const struct app *other = h->apps.items[i];

		if (other != app && str_equal(other->binary_path, app->binary_path))
			keys[(*count)++] = app_service_key(other);
	}
}

void commands_enqueue(struct host *h, struct json_object *payload, bool first)
{
	const struct app *app = apps_find(&h->apps, fleet_json_string(payload, "appId"));
	char **keys = xcalloc(QUEUE_KEYS_MAX + 1, sizeof(*keys));
	size_t count = 0;

	if (app) {
		const char *action = fleet_json_string(payload, "action");
		const struct app_file *file = NULL;

		keys[count++] = app_service_key(app);
		if (app->binary_path &&
			(str_equal(action, "update-app") || str_equal(action, "rollback-app")))
			add_tree_keys(h, app, keys, &count);
		if (str_equal(action, "push-config"))
			file = app_find_file(
				app, fleet_json_string(fleet_json_object(payload, "args"), "file"));
		if (file)
			add_file_keys(h, file->real_path, keys, &count);
	}
	queue_add(&h->queue, fleet_json_string(payload, "commandId"), keys, count, first);
}

void commands_forgive_one(struct host *h, const char *command_id)
{
	for (size_t i = 0; i < h->apps.count; i++) {
		_cleanup_free_ char *key = app_service_key(h->apps.items[i]);

		if (queue_holds(&h->queue, command_id, key))
			status_forgive(h->status, h->apps.items[i]->id);
	}
}

bool commands_work_on(const struct host *h, const struct app *app)
{
	_cleanup_free_ char *key = app_service_key(app);

	for (const struct operation *o = h->operations; o; o = o->next) {
		if (queue_holds(&h->queue, o->id, key))
			return true;
	}
	return false;
}

void commands_forgive(struct host *h)
{
	for (const struct operation *o = h->operations; o; o = o->next)
		commands_forgive_one(h, o->id);
}
