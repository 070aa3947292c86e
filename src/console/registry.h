/* Who is in the fleet and what was last heard of them: kept in memory as GET /api/agents shows it, loaded
 * from the store at start (everybody offline), saved behind. An agent is offline at once when its connection
 * ends and after three missed heartbeats otherwise. Knows no connection: the hub tells it what happened and
 * when. Event loop only. */
#ifndef CONSOLE_REGISTRY_H
#define CONSOLE_REGISTRY_H
#include "console/events.h"
#include "console/id_table.h"
#include "console/store.h"

/* Both clocks at one moment, so that tests can tell the time. */
struct registry_time {
	int64_t monotonic_ms, wall_ms;
};
struct registry_time registry_now(void);

#define REGISTRY_MISSED_HEARTBEATS 3
#define REGISTRY_INTERVAL_MIN_MS   5000  /* quicker heartbeats are not held to their own pace */
#define REGISTRY_INTERVAL_FIRST_MS 10000 /* until the agent's own pace is known */
#define REGISTRY_GAPS              3 /* that make it known: one more heartbeat between two changes little */
#define REGISTRY_INTERVAL_MAX_MS   600000
#define REGISTRY_SAVE_EVERY_MS     5000

struct agent {
	char *id; /* owned */
	bool online;
	struct json_object *doc; /* owned: as GET /api/agents/:id shows it */
	int64_t heard_ms;        /* monotonic: last register or heartbeat */
	int64_t beat_ms;         /* monotonic: last periodic heartbeat of this connection; 0 none yet */
	int64_t interval_ms;     /* between its heartbeats, as configured or observed */
	int64_t gaps_ms[REGISTRY_GAPS]; /* the newest; gap_count % REGISTRY_GAPS is the oldest */
	uint64_t gap_count;
	bool unsaved;
};
struct registry {
	struct id_table agents; /* struct agent, owned */
	struct store *store;    /* borrowed */
	struct events *events;  /* borrowed */
	int64_t heartbeat_interval_ms;
	int64_t saved_ms; /* monotonic */
};

/* What a registration changed. */
struct registration {
	struct agent *agent; /* borrowed */
	bool is_new, other_version, other_machine;
	bool other_spool;   /* the old spool is lost, with whatever waited in it */
	int64_t offline_ms; /* since it was last seen; 0 for a new one or one that was online */
};

/* heartbeat_interval_ms: as configured; 0: each agent's own pace is learned. */
void registry_init(
	struct registry *registry, struct store *store, struct events *events, int64_t heartbeat_interval_ms);
/* Synchronous: before the loop runs. */
int registry_load(struct registry *registry, struct fleet_error *err) FLEET_MUST_CHECK;
void registry_done(struct registry *registry);

struct agent *registry_get(const struct registry *registry, const char *agent_id); /* borrowed; NULL */
/* The nearest id to a mistyped one, or NULL. Borrowed. */
const char *registry_suggest(const struct registry *registry, const char *agent_id);
/* The app as last heard, or NULL; borrowed. */
struct json_object *agent_app(const struct agent *agent, const char *app_id);
const char *agent_suggest_app(const struct agent *agent, const char *app_id); /* borrowed; NULL */

/* message: a checked `register`. -ENOSPC where the registry is full. */
int registry_register(struct registry *registry, const char *agent_id, struct json_object *message,
	struct registry_time now, struct registration *ret) FLEET_MUST_CHECK;
/* message: a checked `heartbeat`. */
void registry_heartbeat(struct registry *registry, struct agent *agent, struct json_object *message,
	struct registry_time now);
/* Anything came from it, a ping for instance. It counts only while the agent's pace is not known: who beats
 * once a minute must live to its third heartbeat. */
void registry_alive(const struct registry *registry, struct agent *agent, struct registry_time now);
void registry_offline(struct registry *registry, struct agent *agent);
/* Forgets it, and says so to whoever listens to events; the store is told by whoever decides that. */
void registry_remove(struct registry *registry, const char *agent_id);
/* Once a second: tells who has missed their heartbeats (the callee ends the connection and calls
 * registry_offline), and saves what is unsaved. */
void registry_tick(struct registry *registry, struct registry_time now,
	void (*missed)(struct agent *agent, int64_t silent_ms, void *arg), void *arg);
/* Hands everything unsaved to the store. */
void registry_flush(struct registry *registry);

#endif
