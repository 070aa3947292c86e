#include "agent/report.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "agent/agent_private.h"
#include "fleet/clock.h"
#include "fleet/log.h"

#define BACKLOG      4
#define COMMANDS_MAX 50 /* named one by one */

/* ---- what is told ---- */

void agent_reached(struct agent_reach *reach)
{
	*reach = (struct agent_reach){.since_ms = fleet_clock_wall_ms()};
}

void agent_missed(struct agent_reach *reach, bool was_there, const char *why, int64_t retry_in_ms)
{
	int64_t now = fleet_clock_wall_ms();

	if (was_there)
		reach->since_ms = now;
	reach->retry_ms = retry_in_ms > 0 ? now + retry_in_ms : 0;
	(void)snprintf(reach->why, sizeof(reach->why), "%s", why);
	fleet_text_sanitize(reach->why); /* also a character that was cut in two */
}

static struct json_object *reach_to_json(const struct agent_reach *reach, bool there)
{
	struct json_object *o = json_object_new_object();

	fleet_json_add_bool(o, "connected", there);
	fleet_json_add_time(o, "since", reach->since_ms);
	if (!there) {
		fleet_json_add_string(o, "why", reach->why);
		fleet_json_add_time(o, "retryAt", reach->retry_ms);
	}
	return o;
}

static struct json_object *running_commands(struct agent *a)
{
	_cleanup_json_ struct json_object *all = spool_running(a->spool);
	struct json_object *some = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(all) && i < COMMANDS_MAX; i++)
		json_object_array_add(some, json_object_get(json_object_array_get_idx(all, i)));
	return some;
}

struct json_object *agent_report(struct agent *a)
{
	struct json_object *o = json_object_new_object(), *spool = json_object_new_object();

	fleet_json_add_string(o, "agentId", a->config->agent_id);
	fleet_json_add_string(o, "consoleUrl", a->config->console_url);
	fleet_json_add(o, "hub", reach_to_json(&a->hub_reach, a->registered));
	fleet_json_add(o, "host", reach_to_json(&a->host_reach, a->described));
	fleet_json_add_int(spool, "events", spool_events(a->spool));
	fleet_json_add_int(spool, "results", spool_results(a->spool));
	fleet_json_add_bool(spool, "failing", a->spool_failing);
	fleet_json_add_int(spool, "lostEvents", a->lost_events);
	fleet_json_add(o, "spool", spool);
	fleet_json_add(o, "commands", running_commands(a));
	fleet_json_add_int(o, "pending", (int64_t)a->pending.count);
	if (a->clock_known)
		fleet_json_add_int(o, "clockOffsetMs", a->clock_offset_ms);
	return o;
}

/* ---- the socket ---- */

struct report {
	struct json_object *(*make)(void *arg);
	void *arg;
	char *path; /* owned */
	struct event *listening;
};

/* A connection's buffer holds all of it at once, so that nobody who does not read is waited for. */
static void on_connection(evutil_socket_t fd, short what FLEET_UNUSED, void *arg)
{
	const struct report *r = arg;
	_cleanup_close_ int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	_cleanup_json_ struct json_object *o = NULL;
	const char *text;
	size_t len;

	if (connection < 0)
		return;
	o = r->make(r->arg);
	text = fleet_json_text(o, &len);
	if (send(connection, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		log_debug("who asked for the agent's status did not take it");
}

static int open_socket(const char *path, struct fleet_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (strlen(path) >= sizeof(address.sun_path))
		return fleet_error_set(err, -ENAMETOOLONG, "%s is longer than %zu bytes", path,
			sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path); /* of an agent that is gone: the spool is ours, so no other runs */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot make a socket");
	(void)fchmod(fd, 0600); /* before it has a name: bind takes the mode over */
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
		listen(fd, BACKLOG) < 0)
		return fleet_error_errno(err, -errno, "cannot listen at %s", path);
	return TAKE_FD(fd);
}

struct report *report_new(
	struct event_base *base, const char *data_dir, struct json_object *(*make)(void *arg), void *arg)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", data_dir, REPORT_SOCKET);
	struct fleet_error err = FLEET_ERROR_INIT;
	int fd = open_socket(path, &err);
	struct report *r;

	if (fd < 0) {
		log_debug("`fleet-agent status` will not hear of this agent: %s", err.message);
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->make = make;
	r->arg = arg;
	r->path = TAKE_PTR(path);
	r->listening = event_new(base, fd, EV_READ | EV_PERSIST, on_connection, r);
	if (!r->listening || event_add(r->listening, NULL) < 0)
		abort(); /* out of memory */
	return r;
}

void report_free(struct report *r)
{
	if (!r)
		return;
	(void)close(event_get_fd(r->listening));
	event_free(r->listening);
	(void)unlink(r->path);
	free(r->path);
	free(r);
}
