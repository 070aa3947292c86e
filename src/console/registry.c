#include "console/registry.h"

#include "fleet/clock.h"
#include "fleet/log.h"
#include "fleet/text.h"

/* Members of hub messages that the registry keeps and shows; whatever else an agent says is left out. */
static const char *const register_members[] = {"hostname", "instanceId", "bootId", "spoolId", "agentVersion",
	"os", "labels", "drivers", "problems", "clockOffsetMs"};
static const char *const app_members[] = {"id", "status", "health", "healthMessage", "healthSince", "version",
	"pid", "since", "memoryBytes", "restarts", "files", "message", "hold"};

struct registry_time registry_now(void)
{
	return (struct registry_time){fleet_clock_monotonic_ms(), fleet_clock_wall_ms()};
}

void registry_init(
	struct registry *registry, struct store *store, struct events *events, int64_t heartbeat_interval_ms)
{
	*registry = (struct registry){
		.store = store, .events = events, .heartbeat_interval_ms = heartbeat_interval_ms};
}

static void agent_free(struct agent *agent)
{
	json_object_put(agent->doc);
	free(agent->id);
	free(agent);
}

void registry_done(struct registry *registry)
{
	for (size_t i = 0; i < registry->agents.count; i++)
		agent_free(registry->agents.entries[i].value);
	id_table_done(&registry->agents);
}

static struct agent *agent_add(struct registry *registry, const char *agent_id, struct json_object *takes_doc)
{
	struct agent *agent = xcalloc(1, sizeof(*agent));

	agent->id = xstrdup(agent_id);
	agent->doc = takes_doc;
	id_table_add(&registry->agents, agent->id, agent);
	return agent;
}

static void load_one(const char *agent_id, struct json_object *doc, void *arg)
{
	struct registry *registry = arg;

	if (registry_get(registry, agent_id))
		return;
	json_object_object_del(doc, "connectedSince");
	fleet_json_add_bool(doc, "isOnline", false);
	(void)agent_add(registry, agent_id, json_object_get(doc)); /* nothing more to note */
}

int registry_load(struct registry *registry, struct fleet_error *err)
{
	return store_agents_load(registry->store, load_one, registry, err);
}

struct agent *registry_get(const struct registry *registry, const char *agent_id)
{
	return id_table_get(&registry->agents, agent_id);
}

const char *registry_suggest(const struct registry *registry, const char *agent_id)
{
	_cleanup_free_ const char **ids = xcalloc(registry->agents.count, sizeof(*ids));

	for (size_t i = 0; i < registry->agents.count; i++)
		ids[i] = registry->agents.entries[i].id;
	return fleet_text_nearest(agent_id, ids, registry->agents.count);
}

struct json_object *agent_app(const struct agent *agent, const char *app_id)
{
	struct json_object *apps = fleet_json_array(agent->doc, "apps");

	for (size_t i = 0; apps && i < json_object_array_length(apps); i++) {
		struct json_object *app = json_object_array_get_idx(apps, i);

		if (str_equal(fleet_json_string(app, "id"), app_id))
			return app;
	}
	return NULL;
}

const char *agent_suggest_app(const struct agent *agent, const char *app_id)
{
	struct json_object *apps = fleet_json_array(agent->doc, "apps");
	_cleanup_free_ const char **ids = NULL;
	size_t count = 0;

	if (!apps)
		return NULL;
	ids = xcalloc(json_object_array_length(apps), sizeof(*ids));
	for (size_t i = 0; i < json_object_array_length(apps); i++) {
		const char *id = fleet_json_string(json_object_array_get_idx(apps, i), "id");

		if (id)
			ids[count++] = id;
	}
	return fleet_text_nearest(app_id, ids, count);
}

static struct json_object *copy_apps(struct json_object *apps)
{
	struct json_object *copy = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(apps); i++) {
		struct json_object *from = json_object_array_get_idx(apps, i), *to = json_object_new_object();

		for (size_t m = 0; m < FLEET_ARRAY_LEN(app_members); m++)
			fleet_json_add(
				to, app_members[m], json_object_get(fleet_json_get(from, app_members[m])));
		json_object_array_add(copy, to);
	}
	return copy;
}

static void publish(struct registry *registry, struct agent *agent)
{
	agent->unsaved = true;
	events_publish(registry->events, "agent", agent->doc);
}

static void save(struct registry *registry, struct agent *agent)
{
	store_agent_save(registry->store, agent->id, agent->doc);
	agent->unsaved = false;
}

static bool differs(struct json_object *doc, struct json_object *message, const char *key)
{
	return !str_equal(fleet_json_string(doc, key), fleet_json_string(message, key));
}

static int64_t offline_since(const struct agent *agent, int64_t wall_ms)
{
	const char *text = fleet_json_string(agent->doc, "lastSeen");
	int64_t seen_ms;

	if (agent->online || !text || fleet_timestamp_parse(text, &seen_ms) < 0 || seen_ms > wall_ms)
		return 0;
	return wall_ms - seen_ms;
}

int registry_register(struct registry *registry, const char *agent_id, struct json_object *message,
	struct registry_time now, struct registration *ret)
{
	struct agent *agent = registry_get(registry, agent_id);
	struct registration registration = {.is_new = !agent};
	struct json_object *apps = fleet_json_array(message, "apps");

	if (!agent) {
		if (registry->agents.count >= FLEET_AGENTS_MAX)
			return -ENOSPC;
		agent = agent_add(registry, agent_id, json_object_new_object());
		fleet_json_add_string(agent->doc, "agentId", agent_id);
	} else {
		registration.other_version = differs(agent->doc, message, "agentVersion");
		registration.other_machine = differs(agent->doc, message, "instanceId");
		registration.other_spool = differs(agent->doc, message, "spoolId");
		registration.offline_ms = offline_since(agent, now.wall_ms);
	}
	registration.agent = agent;
	for (size_t m = 0; m < FLEET_ARRAY_LEN(register_members); m++) {
		json_object_object_del(agent->doc, register_members[m]);
		fleet_json_add(agent->doc, register_members[m],
			json_object_get(fleet_json_get(message, register_members[m])));
	}
	if (apps)
		json_object_object_add(agent->doc, "apps", copy_apps(apps));
	if (!agent->online) {
		fleet_json_add_time(agent->doc, "connectedSince", now.wall_ms);
		agent->beat_ms = 0;
		agent->gap_count = 0;
		agent->interval_ms = registry->heartbeat_interval_ms ? registry->heartbeat_interval_ms
								     : REGISTRY_INTERVAL_FIRST_MS;
	}
	agent->online = true;
	agent->heard_ms = now.monotonic_ms;
	fleet_json_add_bool(agent->doc, "isOnline", true);
	fleet_json_add_time(agent->doc, "lastSeen", now.wall_ms);
	publish(registry, agent);
	save(registry, agent);
	*ret = registration;
	return 0;
}

static bool pace_is_known(const struct registry *registry, const struct agent *agent)
{
	return registry->heartbeat_interval_ms || agent->gap_count >= REGISTRY_GAPS;
}

/* The pace is that of heartbeats nobody asked for: the longest of the last gaps between them. */
static void learn_interval(const struct registry *registry, struct agent *agent, int64_t monotonic_ms)
{
	int64_t longest = REGISTRY_INTERVAL_MIN_MS;

	if (agent->beat_ms)
		agent->gaps_ms[agent->gap_count++ % REGISTRY_GAPS] = monotonic_ms - agent->beat_ms;
	agent->beat_ms = monotonic_ms;
	if (registry->heartbeat_interval_ms || !pace_is_known(registry, agent))
		return;
	for (size_t i = 0; i < REGISTRY_GAPS; i++) {
		if (agent->gaps_ms[i] > longest)
			longest = agent->gaps_ms[i];
	}
	agent->interval_ms = longest > REGISTRY_INTERVAL_MAX_MS ? REGISTRY_INTERVAL_MAX_MS : longest;
}

void registry_alive(const struct registry *registry, struct agent *agent, struct registry_time now)
{
	if (agent->online && !pace_is_known(registry, agent))
		agent->heard_ms = now.monotonic_ms;
}

void registry_heartbeat(
	struct registry *registry, struct agent *agent, struct json_object *message, struct registry_time now)
{
	struct json_object *metrics = fleet_json_object(message, "metrics"),
			   *apps = fleet_json_array(message, "apps");

	if (!fleet_json_string(message, "refId"))
		learn_interval(registry, agent, now.monotonic_ms);
	agent->heard_ms = now.monotonic_ms;
	fleet_json_add_time(agent->doc, "lastSeen", now.wall_ms);
	if (metrics) {
		json_object_object_add(agent->doc, "metrics", json_object_get(metrics));
		store_heartbeat_add(registry->store, agent->id, now.wall_ms, metrics);
	}
	if (apps)
		json_object_object_add(agent->doc, "apps", copy_apps(apps));
	publish(registry, agent);
}

void registry_offline(struct registry *registry, struct agent *agent)
{
	if (!agent->online)
		return;
	agent->online = false;
	json_object_object_del(agent->doc, "connectedSince");
	fleet_json_add_bool(agent->doc, "isOnline", false);
	publish(registry, agent);
	save(registry, agent);
}

void registry_remove(struct registry *registry, const char *agent_id)
{
	struct agent *agent = id_table_remove(&registry->agents, agent_id);

	if (!agent)
		return;
	fleet_json_add_bool(agent->doc, "removed", true);
	publish(registry, agent);
	agent_free(agent);
}

void registry_tick(struct registry *registry, struct registry_time now,
	void (*missed)(struct agent *agent, int64_t silent_ms, void *arg), void *arg)
{
	for (size_t i = 0; i < registry->agents.count; i++) {
		struct agent *agent = registry->agents.entries[i].value;
		int64_t silent_ms = now.monotonic_ms - agent->heard_ms;

		if (agent->online && silent_ms > REGISTRY_MISSED_HEARTBEATS * agent->interval_ms)
			missed(agent, silent_ms, arg);
	}
	if (now.monotonic_ms - registry->saved_ms >= REGISTRY_SAVE_EVERY_MS) {
		registry->saved_ms = now.monotonic_ms;
		registry_flush(registry);
	}
}

void registry_flush(struct registry *registry)
{
	for (size_t i = 0; i < registry->agents.count; i++) {
		struct agent *agent = registry->agents.entries[i].value;

		if (agent->unsaved)
			save(registry, agent);
	}
}
