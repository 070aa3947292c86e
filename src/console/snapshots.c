#include "console/snapshots.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

#define ACTOR "console@api" /* nobody asked: the console itself */

struct waiting {
	struct snapshots *owner;
	char *key, *agent_id, *app_id, *file, *hash; /* owned; key: "agent app file" */
	int64_t not_before_ms;                       /* wall */
	bool busy;                                   /* the store or the server is asked about it */
};
struct snapshots {
	struct store *store;
	struct hub *hub;
	struct id_table waiting; /* struct waiting, owned */
	size_t reading;
};

struct snapshots *snapshots_new(struct store *store)
{
	struct snapshots *s = xcalloc(1, sizeof(*s));

	s->store = store;
	return s;
}

void snapshots_start(struct snapshots *s, struct hub *hub)
{
	s->hub = hub;
}

static void forget(struct waiting *w)
{
	(void)id_table_remove(&w->owner->waiting, w->key); /* it is `w` */
	free(w->key);
	free(w->agent_id);
	free(w->app_id);
	free(w->file);
	free(w->hash);
	free(w);
}

void snapshots_free(struct snapshots *s)
{
	if (!s)
		return;
	for (size_t i = s->waiting.count; i > 0; i--)
		forget(s->waiting.entries[i - 1].value);
	id_table_done(&s->waiting);
	free(s);
}

static struct config_file file_of(const struct waiting *w)
{
	return (struct config_file){w->agent_id, w->app_id, w->file};
}

/* --- reading ----------------------------------------------------------------------------------------- */

static void on_answered(struct json_object *result, const char *why, void *arg)
{
	struct waiting *w = arg;
	const struct config_file file = file_of(w);
	const char *hash = fleet_json_string(result, "hash");
	bool whole = fleet_json_int(result, "left", 0) == 0 && !fleet_json_string(result, "errorCode");

	(void)why; /* an agent that is gone registers again, and is seen anew */
	w->owner->reading--;
	if (result)
		store_snapshot_add(w->owner->store, &file, hash ? hash : w->hash, fleet_clock_wall_ms(),
			whole ? fleet_json_array(result, "settings") : NULL);
	forget(w);
}

static void read_one(struct waiting *w)
{
	_cleanup_json_ struct json_object *args = json_object_new_object();

	fleet_json_add_string(args, "file", w->file);
	w->busy = true;
	w->owner->reading++;
	hub_query(w->owner->hub,
		&(struct hub_query_request){
			.query = FLEET_QUERY_READ_CONFIG,
			.agent_id = w->agent_id,
			.app_id = w->app_id,
			.actor = ACTOR,
			.args = args,
		},
		on_answered, w);
}

void snapshots_tick(struct snapshots *s, int64_t wall_ms)
{
	for (size_t i = 0; s->hub && i < s->waiting.count && s->reading < SNAPSHOTS_READING_MAX;) {
		struct waiting *w = s->waiting.entries[i].value;
		size_t before = s->waiting.count;

		/* a clock that was set back must not put it off */
		if (!w->busy &&
			(wall_ms >= w->not_before_ms || w->not_before_ms - wall_ms > SNAPSHOTS_QUIET_MS))
			read_one(w);
		if (s->waiting.count == before)
			i++; /* else it was answered at once, and perhaps others with it */
	}
}

/* --- seeing ------------------------------------------------------------------------------------------ */

static void on_due(int result, int64_t newest_ms, void *arg)
{
	struct waiting *w = arg;

	w->busy = false;
	if (result <= 0) {
		forget(w);
		return;
	}
	w->not_before_ms = newest_ms > 0 ? newest_ms + SNAPSHOTS_QUIET_MS : 0;
	snapshots_tick(w->owner, fleet_clock_wall_ms());
}

static void changed(struct snapshots *s, const struct config_file *file, const char *hash)
{
	_cleanup_free_ char *key = xasprintf("%s %s %s", file->agent_id, file->app_id, file->file);
	struct waiting *w;

	if (id_table_get(&s->waiting, key) || s->waiting.count >= SNAPSHOTS_WAITING_MAX)
		return; /* what is read is what is there then */
	w = xcalloc(1, sizeof(*w));
	*w = (struct waiting){.owner = s,
		.key = TAKE_PTR(key),
		.agent_id = xstrdup(file->agent_id),
		.app_id = xstrdup(file->app_id),
		.file = xstrdup(file->file),
		.hash = xstrdup(hash),
		.busy = true};
	id_table_add(&s->waiting, w->key, w);
	store_snapshot_due(s->store, file, hash, on_due, w);
}

static struct json_object *find_named(struct json_object *array, const char *member, const char *name)
{
	for (size_t i = 0; array && i < json_object_array_length(array); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		if (str_equal(fleet_json_string(item, member), name))
			return item;
	}
	return NULL;
}

void snapshots_see(
	struct snapshots *s, const char *agent_id, struct json_object *before, struct json_object *now)
{
	for (size_t i = 0; now && i < json_object_array_length(now); i++) {
		struct json_object *app = json_object_array_get_idx(now, i);
		const char *app_id = fleet_json_string(app, "id");
		struct json_object *files = fleet_json_array(app, "files");
		struct json_object *old = find_named(before, "id", app_id);

		for (size_t f = 0; files && f < json_object_array_length(files); f++) {
			struct json_object *file = json_object_array_get_idx(files, f);
			const char *name = fleet_json_string(file, "name"),
				   *hash = fleet_json_string(file, "hash");
			struct json_object *was = find_named(fleet_json_array(old, "files"), "name", name);

			if (hash && !str_equal(hash, fleet_json_string(was, "hash")))
				changed(s, &(struct config_file){agent_id, app_id, name}, hash);
		}
	}
}
