#include "agent/host/outside.h"
#include "fleet/limits.h"

#define QUIET_MS 60000 /* between two sentences about one app */

enum change { SAME, STARTED, STOPPED, FAILED, RESTARTED };

struct known {
	char *app_id;
	bool seen; /* the members below are of an earlier look */
	char status[16], instance[80];
	char reason[300]; /* of a failure that is already followed by a start */
	int64_t pid, restarts, looked_ms;

	bool forgiven;
	uint64_t forgiven_in; /* the look that was under way or over */
	int64_t told_ms;      /* 0: nothing yet */
	unsigned untold;      /* changes since */
	char *untold_text;    /* owned: the newest of them */
};
struct outside {
	struct known *apps;
	size_t count;
	uint64_t look;
	int64_t began_ms; /* the look */
};

struct outside *outside_new(void)
{
	return xcalloc(1, sizeof(struct outside));
}

void outside_free(struct outside *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->count; i++) {
		free(o->apps[i].app_id);
		free(o->apps[i].untold_text);
	}
	free(o->apps);
	free(o);
}

static struct known *find(const struct outside *o, const char *app_id)
{
	for (size_t i = 0; i < o->count; i++) {
		if (str_equal(o->apps[i].app_id, app_id))
			return &o->apps[i];
	}
	return NULL;
}

static struct known *find_or_add(struct outside *o, const char *app_id)
{
	struct known *k = find(o, app_id);

	if (k)
		return k;
	o->apps = xreallocarray(o->apps, o->count + 1, sizeof(*o->apps));
	k = &o->apps[o->count++];
	*k = (struct known){.app_id = xstrdup(app_id)};
	return k;
}

void outside_begin(struct outside *o, int64_t now_ms)
{
	o->look++;
	o->began_ms = now_ms;
}

void outside_forgive(struct outside *o, const char *app_id)
{
	struct known *k = find_or_add(o, app_id);

	k->forgiven = true;
	k->forgiven_in = o->look;
}

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++) {
		if (str_equal(word, *words))
			return true;
	}
	return false;
}

/* Where a service may stay; on its way between them it is looked at again. */
static bool is_at_rest(const char *status)
{
	static const char *const rests[] = {"running", "done", "stopped", "failed", NULL};

	return is_one_of(status, rests);
}

static bool is_up(const char *status)
{
	static const char *const ups[] = {"running", "done", NULL};

	return is_one_of(status, ups);
}

static enum change compare(const struct known *k, struct json_object *app)
{
	const char *status = fleet_json_string(app, "status"), *instance = fleet_json_string(app, "instance");
	bool another = !str_empty(instance) && k->instance[0] && !str_equal(instance, k->instance);
	bool more = fleet_json_int(app, "restarts", 0) > k->restarts;

	if (!k->seen || !is_at_rest(status))
		return SAME;
	if (str_equal(status, "failed"))
		return str_equal(k->status, "failed") && !another && !more ? SAME : FAILED;
	/* what is done was done for its own sake, perhaps by a timer, and may be done again */
	if (str_equal(status, "done") || str_equal(k->status, "done"))
		return SAME;
	if (str_equal(status, "stopped"))
		return is_up(k->status) ? STOPPED : SAME;
	if (!is_up(k->status))
		return STARTED;
	return another || more ? RESTARTED : SAME;
}

bool outside_is_news(const struct outside *o, struct json_object *app, int64_t *ret_since_ms)
{
	const struct known *k = find(o, fleet_json_string(app, "id"));

	if (!k || k->forgiven || compare(k, app) == SAME)
		return false;
	*ret_since_ms = k->looked_ms;
	return true;
}

static char *sentence(const struct known *k, struct json_object *app, enum change change, const char *why)
{
	static const char *const verbs[] = {[STARTED] = "was started",
		[STOPPED] = "was stopped",
		[FAILED] = "failed",
		[RESTARTED] = "restarted"};
	int64_t pid = fleet_json_int(app, "pid", 0), times = fleet_json_int(app, "restarts", 0) - k->restarts;
	const char *message = fleet_json_string(app, "message");
	char pids[80] = "", count[48] = "";

	if (change == FAILED && !str_empty(message))
		why = message; /* it is about this end, and knows of a start limit besides */
	else if (change != FAILED && change != RESTARTED)
		why = NULL; /* that end has been told */
	if (!why && k->reason[0] && change != STOPPED)
		why = k->reason;
	if (change == RESTARTED && k->pid > 0 && pid > 0 && pid != k->pid)
		(void)snprintf(
			pids, sizeof(pids), " (pid %lld, was %lld)", (long long)pid, (long long)k->pid);
	if (change == RESTARTED && times > 1)
		(void)snprintf(count, sizeof(count), " %lld times", (long long)times);
	return xasprintf("%s %s%s outside Fleet%s%s%s", k->app_id, verbs[change], count, pids,
		str_empty(why) ? "" : ": ", str_empty(why) ? "" : why);
}

static void remember(struct known *k, struct json_object *app, int64_t began_ms)
{
	const char *status = fleet_json_string(app, "status"), *instance = fleet_json_string(app, "instance");
	const char *message = fleet_json_string(app, "message");

	if (!is_at_rest(status)) { /* how it ended, before its supervisor starts it again */
		if (!str_empty(message))
			(void)snprintf(k->reason, sizeof(k->reason), "%s", message);
		return;
	}
	(void)snprintf(k->status, sizeof(k->status), "%s", status);
	if (!str_empty(instance))
		(void)snprintf(k->instance, sizeof(k->instance), "%s", instance);
	k->pid = fleet_json_int(app, "pid", 0);
	k->restarts = fleet_json_int(app, "restarts", 0);
	k->reason[0] = '\0';
	k->looked_ms = began_ms; /* what came after, though before the answer, is for the next look */
	k->seen = true;
}

/* Now, or when the minute is over. */
static char *say(struct known *k, char *takes_text, int64_t now_ms)
{
	char *text;

	if (takes_text) {
		free(k->untold_text);
		k->untold_text = takes_text;
		k->untold++;
	}
	if (k->untold == 0 || (k->told_ms > 0 && now_ms - k->told_ms < QUIET_MS && now_ms >= k->told_ms))
		return NULL;
	text = k->untold == 1 ? TAKE_PTR(k->untold_text)
			      : xasprintf("%s (the last of %u such changes)", k->untold_text, k->untold);
	free(TAKE_PTR(k->untold_text));
	k->untold = 0;
	k->told_ms = now_ms;
	return text;
}

char *outside_look(struct outside *o, struct json_object *app, const char *why, int64_t now_ms)
{
	struct known *k = find_or_add(o, fleet_json_string(app, "id"));
	bool ours = k->forgiven;
	enum change change = ours ? SAME : compare(k, app);
	char *text = change == SAME ? NULL : sentence(k, app, change, why);

	if (ours && k->forgiven_in < o->look && is_at_rest(fleet_json_string(app, "status")))
		k->forgiven = false; /* this look began after the command's end */
	remember(k, app, o->began_ms);
	return say(k, text, now_ms);
}
