/* The whole agent between a fake console and a fake driver host, on one loop. */
#ifndef TEST_AGENT_SCENE_H
#define TEST_AGENT_SCENE_H
#include <sys/socket.h>
#include <sys/un.h>
#include "agent/agent.h"
#include "fleet/clock.h"
#include "fleet/frame.h"
#include "fleet/log.h"
#include "test_agent_hub.h"
#include "test_agent_loop.h"
#include "unit.h"

static struct event_base *base;
static char dir[40], socket_path[64];
static struct hub hub;
static struct agent *agent;
static struct agent_config config;

/* -- the fake driver host -- */

static struct {
	int listener;
	struct event *accepting;
	struct fleet_frame_link *link;
	bool mute_status;
	struct json_object *frames[HUB_KEEP]; /* owned */
	size_t count;
	int invalid;
} host;

static inline void host_send(struct json_object *takes_message)
{
	size_t len;
	const char *text = fleet_json_text(takes_message, &len);

	if (!host.link || fleet_frame_send(host.link, text, len, -1) < 0)
		printf("# the fake host could not send\n");
	json_object_put(takes_message);
}

static inline struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	CU_ASSERT_EQUAL_FATAL(fleet_json_parse(text, strlen(text), FLEET_MESSAGE_MAX, &o, NULL), 0);
	return o;
}

static inline struct json_object *frame(enum fleet_message_type type, const char *members)
{
	struct json_object *message = fleet_message_new(type), *more = parse(members);

	json_object_object_foreach (more, key, value) {
		fleet_json_add(message, key, json_object_get(value));
	}
	json_object_put(more);
	return message;
}

static inline void host_describe(const char *members)
{
	host_send(frame(FLEET_FRAME_DESCRIPTION, members));
}

static const char described[] = "{\"hostVersion\":\"1\",\"apps\":[{\"id\":\"app-a\"},{\"id\":\"app-b\"}],"
				"\"drivers\":[{\"name\":\"simulated\",\"version\":\"1\",\"roles\":["
				"\"service\"]}],\"problems\":[],\"running\":[]}";

static inline void host_on_frame(struct fleet_frame_link *link FLEET_UNUSED, const char *data, size_t len,
	int fd FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	struct json_object *message = NULL, *status;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_message_parse(data, len, FLEET_AGENT_TO_HOST, &type, &message, &err) < 0) {
		printf("# the agent sent the host: %s\n", err.message);
		host.invalid++;
		json_object_put(message);
		return;
	}
	if (host.count < HUB_KEEP)
		host.frames[host.count++] = json_object_get(message);
	if (type == FLEET_FRAME_HELLO)
		host_describe(described);
	if (type == FLEET_FRAME_STATUS_REQUEST && !host.mute_status) {
		status = frame(FLEET_FRAME_STATUS, "{\"apps\":[{\"id\":\"app-a\",\"status\":\"running\","
						   "\"health\":\"healthy\",\"version\":\"2.0.0\",\"pid\":42},"
						   "{\"id\":\"app-b\",\"status\":\"stopped\"}]}");
		fleet_json_add_string(status, "refId", fleet_json_string(message, "id"));
		host_send(status);
	}
	json_object_put(message);
}

static inline void host_on_closed(
	struct fleet_frame_link *link, const char *why FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	fleet_frame_link_free(link);
	if (host.link == link)
		host.link = NULL;
}

static const struct fleet_frame_events host_frame_events = {.frame = host_on_frame, .closed = host_on_closed};

static inline void host_on_accept(evutil_socket_t listener, short what FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	fleet_frame_link_free(host.link);
	host.link = fleet_frame_link_new(base, fd, &host_frame_events, NULL);
}

static inline void host_start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	host.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	unlink(socket_path);
	CU_ASSERT_EQUAL_FATAL(bind(host.listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(host.listener, 4), 0);
	host.accepting = event_new(base, host.listener, EV_READ | EV_PERSIST, host_on_accept, NULL);
	CU_ASSERT_EQUAL_FATAL(event_add(host.accepting, NULL), 0);
}

static inline void host_stop(void)
{
	if (!host.accepting)
		return;
	event_free(host.accepting);
	host.accepting = NULL;
	close(host.listener);
	unlink(socket_path);
	fleet_frame_link_free(host.link);
	host.link = NULL;
}

static inline void host_forget(void)
{
	for (size_t i = 0; i < host.count; i++)
		json_object_put(host.frames[i]);
	host.count = 0;
}

static inline int host_count(const char *type)
{
	int count = 0;

	for (size_t i = 0; i < host.count; i++)
		count += str_equal(fleet_json_string(host.frames[i], "type"), type);
	return count;
}

static inline struct json_object *host_last(const char *type)
{
	for (size_t i = host.count; i-- > 0;) {
		if (str_equal(fleet_json_string(host.frames[i], "type"), type))
			return host.frames[i];
	}
	return NULL;
}

/* Was this id told to be stored? */
static inline bool host_heard_stored(const char *id)
{
	for (size_t i = 0; i < host.count; i++) {
		struct json_object *ids = fleet_json_array(host.frames[i], "refIds");

		if (str_equal(fleet_json_string(host.frames[i], "type"), "stored") &&
			str_equal(json_object_get_string(json_object_array_get_idx(ids, 0)), id))
			return true;
	}
	return false;
}

/* -- the scene -- */

static inline void agent_start(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = agent_new(base, &config, NULL, &agent, &err);

	if (r < 0)
		printf("# %s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(r, 0);
}

/* As a kill -9 would leave it: nothing said to anybody. */
static inline void agent_kill(void)
{
	agent_free(agent);
	agent = NULL;
}

static inline void scene_begin(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/fleet-unit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	(void)snprintf(socket_path, sizeof(socket_path), "%s/host.sock", dir);
	memset(&hub, 0, sizeof(hub));
	memset(&host, 0, sizeof(host));
	CU_ASSERT_TRUE_FATAL(hub_listen(&hub, base, 0));
	config = (struct agent_config){.agent_id = xstrdup("agent-001"),
		.console_url = xstrdup(hub.url),
		.api_key = xstrdup("secret"),
		.data_dir = xasprintf("%s/data", dir),
		.host_socket = xstrdup(socket_path),
		.labels = json_object_new_object(),
		.heartbeat_ms = 60000};
	fleet_json_add_string(config.labels, "site", "berlin");
}

static inline void scene_end(void)
{
	static const char *const names[] = {
		"data/spool.db", "data/spool.db-wal", "data/spool.db-shm", "data/lock"};
	char path[128];

	agent_kill();
	CU_ASSERT_EQUAL(hub.invalid, 0);
	CU_ASSERT_EQUAL(hub.gaps, 0);
	CU_ASSERT_EQUAL(host.invalid, 0);
	host_stop();
	host_forget();
	hub_done(&hub);
	agent_config_done(&config);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/data", dir);
	rmdir(path);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static inline void scene_with_everybody(void)
{
	scene_begin();
	host_start();
	agent_start();
	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, hub_count(&hub, "heartbeat") >= 1));
}

/* The whole of a program: its suite, on a loop of its own. */
static inline int scene_run(const char *name, const struct unit_test *tests)
{
	int r;

	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	base = event_base_new();
	r = unit_run((const struct unit_suite[]){{name, tests}, {0}});
	event_base_free(base);
	return r;
}

#endif
