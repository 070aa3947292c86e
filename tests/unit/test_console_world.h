/* A whole console on a port of its own, agents that speak to it through our own WebSocket client, and an HTTP
 * client, all on the console's event loop. */
#ifndef TEST_CONSOLE_WORLD_H
#define TEST_CONSOLE_WORLD_H
#include <event2/buffer.h>
#include <event2/http.h>
#include "console/console.h"
#include "fleet/ids.h"
#include "fleet/log.h"
#include "fleet/ws.h"
#include "test_console_fixture.h"

#define HEARD_MAX 64

struct world {
	struct fixture f;
	struct console *console;
	const char *settings; /* console.yaml; NULL: --dev */
	/* the last answer */
	bool answered;
	int status;
	char *body, *location, *link, *content_type, *csp, *cookie, *retry_after;
	struct json_object *json;
};

static inline void world_start(struct world *w)
{
	struct console_config config = {.command_ttl_ms = 600000, .log_level = FLEET_LOG_ERROR};
	struct fleet_error err = FLEET_ERROR_INIT;

	config.dev = !w->settings;
	if (w->settings)
		CU_ASSERT_EQUAL_FATAL(
			console_config_read(&config, w->settings, strlen(w->settings), "t", &err), 0);
	CU_ASSERT_EQUAL_FATAL(console_config_set_listen(&config, "127.0.0.1:0", &err), 0);
	config.data_dir = xasprintf("%s/data", w->f.dir);
	config.web_dir = xasprintf("%s/web", w->f.dir);
	(void)mkdir(config.web_dir, 0700); /* there already after a restart */
	fixture_write_file(config.web_dir, "index.html", "<!doctype html><title>fleet</title>", 0644);
	fixture_write_file(config.web_dir, "app.js", "'use strict';", 0644);
	fixture_write_file(config.web_dir, "secret.key", "no page needs me", 0644);
	if (console_new(&config, &w->console, &err) < 0) {
		printf("# %s\n", err.message);
		CU_FAIL_FATAL("the console does not start");
	}
	w->f.base = w->console->base;
}

static inline struct world *world_new(const char *settings)
{
	struct world *w = xcalloc(1, sizeof(*w));

	(void)snprintf(w->f.dir, sizeof(w->f.dir), "/tmp/fleet-unit-console-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(w->f.dir));
	w->settings = settings;
	world_start(w);
	return w;
}

static inline void world_forget_answer(struct world *w)
{
	free(w->body);
	free(w->location);
	free(w->link);
	free(w->content_type);
	free(w->csp);
	free(w->cookie);
	free(w->retry_after);
	json_object_put(w->json);
	w->body = w->location = w->link = w->content_type = w->csp = w->cookie = w->retry_after = NULL;
	w->json = NULL;
	w->answered = false;
	w->status = 0;
}

static inline void world_free(struct world *w)
{
	console_free(w->console);
	world_forget_answer(w);
	fixture_remove_dir(w->f.dir);
	free(w);
}

/* --- HTTP -------------------------------------------------------------------------------------------- */

static inline void world_on_answer(struct evhttp_request *req, void *arg)
{
	struct world *w = arg;
	struct evkeyvalq *headers;
	struct evbuffer *body;
	size_t len;

	w->answered = true;
	if (!req)
		return;
	headers = evhttp_request_get_input_headers(req);
	body = evhttp_request_get_input_buffer(req);
	len = evbuffer_get_length(body);
	w->status = evhttp_request_get_response_code(req);
	w->body = xcalloc(1, len + 1);
	(void)evbuffer_copyout(body, w->body, len);
	w->location = xstrdup(evhttp_find_header(headers, "Location"));
	w->link = xstrdup(evhttp_find_header(headers, "Link"));
	w->content_type = xstrdup(evhttp_find_header(headers, "Content-Type"));
	w->csp = xstrdup(evhttp_find_header(headers, "Content-Security-Policy"));
	w->cookie = xstrdup(evhttp_find_header(headers, "Set-Cookie"));
	w->retry_after = xstrdup(evhttp_find_header(headers, "Retry-After"));
	w->json = json_tokener_parse(w->body);
}

/* headers: "Name", "value", ... NULL; may be NULL. Returns the status, 0 where none came. */
static inline int world_ask(
	struct world *w, const char *method, const char *path, const char *body, const char *const *headers)
{
	static const struct {
		const char *name;
		enum evhttp_cmd_type type;
	} methods[] = {{"GET", EVHTTP_REQ_GET}, {"POST", EVHTTP_REQ_POST}, {"DELETE", EVHTTP_REQ_DELETE},
		{"PUT", EVHTTP_REQ_PUT}, {"HEAD", EVHTTP_REQ_HEAD}};
	struct evhttp_connection *conn =
		evhttp_connection_base_new(w->f.base, NULL, "127.0.0.1", console_port(w->console));
	struct evhttp_request *req;
	enum evhttp_cmd_type type = EVHTTP_REQ_GET;
	struct evkeyvalq *out;

	world_forget_answer(w);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(methods); i++) {
		if (strcmp(method, methods[i].name) == 0)
			type = methods[i].type;
	}
	req = evhttp_request_new(world_on_answer, w);
	out = evhttp_request_get_output_headers(req);
	for (size_t i = 0; headers && headers[i]; i += 2)
		(void)evhttp_add_header(out, headers[i], headers[i + 1]);
	if (!evhttp_find_header(out, "Host"))
		(void)evhttp_add_header(out, "Host", "localhost");
	if (body) {
		(void)evhttp_add_header(out, "Content-Type", "application/json");
		(void)evbuffer_add(evhttp_request_get_output_buffer(req), body, strlen(body));
	}
	CU_ASSERT_EQUAL(evhttp_make_request(conn, req, type, path), 0);
	CU_ASSERT(fixture_wait(&w->f, fixture_is_set, &w->answered));
	evhttp_connection_free(conn);
	return w->status;
}

static inline int world_get(struct world *w, const char *path)
{
	return world_ask(w, "GET", path, NULL, NULL);
}

static inline int world_post(struct world *w, const char *path, const char *body)
{
	return world_ask(w, "POST", path, body, (const char *[]){"X-Fleet-Client", "cli", NULL});
}

static inline const char *world_text(const struct world *w, const char *key)
{
	return fleet_json_string(w->json, key);
}

/* Of the answer's list; 9999 where it is none. */
static inline size_t world_count(const struct world *w)
{
	return json_object_is_type(w->json, json_type_array) ? json_object_array_length(w->json) : 9999;
}

/* Does GET path, again and again, until `key` of the answer (or of its first element) is value. */
static inline bool world_becomes(struct world *w, const char *path, const char *key, const char *value)
{
	int64_t deadline = fleet_clock_monotonic_ms() + WAIT_MS;

	do {
		struct json_object *at;

		(void)world_get(w, path);
		at = json_object_is_type(w->json, json_type_array) ? json_object_array_get_idx(w->json, 0)
								   : w->json;
		if (at && json_object_object_get_ex(at, key, &at) &&
			str_equal(json_object_get_string(at), value))
			return true;
	} while (fleet_clock_monotonic_ms() < deadline);
	return false;
}

/* --- listeners of events ------------------------------------------------------------------------------- */

struct world_stream {
	struct world *w;
	struct evhttp_connection *conn; /* the listener's to free */
	char text[65536];
	size_t len;
	const char *wanted;
	bool ended;
};

static inline void stream_on_chunk(struct evhttp_request *req, void *arg)
{
	struct world_stream *s = arg;
	struct evbuffer *body = evhttp_request_get_input_buffer(req);
	size_t len = evbuffer_get_length(body);

	CU_ASSERT_FATAL(s->len + len < sizeof(s->text));
	(void)evbuffer_remove(body, s->text + s->len, len);
	s->len += len;
	s->text[s->len] = '\0';
}

static inline void stream_on_end(struct evhttp_request *req, void *arg)
{
	(void)req;
	((struct world_stream *)arg)->ended = true;
}

static inline bool stream_has_wanted(void *arg)
{
	const struct world_stream *s = arg;

	return strstr(s->text, s->wanted) != NULL;
}

/* header: NULL none. */
static inline void stream_open(struct world_stream *s, struct world *w, const char *header, const char *value)
{
	struct evhttp_request *req = evhttp_request_new(stream_on_end, s);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);

	*s = (struct world_stream){.w = w};
	s->conn = evhttp_connection_base_new(w->f.base, NULL, "127.0.0.1", console_port(w->console));
	evhttp_request_set_chunked_cb(req, stream_on_chunk);
	(void)evhttp_add_header(headers, "Host", "localhost");
	if (header)
		(void)evhttp_add_header(headers, header, value);
	CU_ASSERT_EQUAL(evhttp_make_request(s->conn, req, EVHTTP_REQ_GET, "/api/events"), 0);
}

static inline bool stream_hears(struct world_stream *s, const char *wanted)
{
	s->wanted = wanted;
	return fixture_wait(&s->w->f, stream_has_wanted, s);
}

/* --- agents ------------------------------------------------------------------------------------------ */

struct fake_agent {
	struct world *w;
	struct fleet_ws *ws;
	char id[FLEET_ID_MAX + 1], spool_id[FLEET_UUID_LEN + 1];
	bool open, ended;
	struct fleet_ws_end end;
	unsigned heard_count, taken;
	struct json_object *heard[HEARD_MAX];
};

static inline void agent_on_open(struct fleet_ws *ws, void *arg)
{
	(void)ws;
	((struct fake_agent *)arg)->open = true;
}

static inline void agent_on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg)
{
	struct fake_agent *a = arg;
	enum fleet_message_type type;
	struct json_object *message = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	(void)ws;
	if (fleet_message_parse(text, len, FLEET_CONSOLE_TO_AGENT, &type, &message, &err) < 0) {
		printf("# the console said %s: %s\n", text, err.message);
		CU_FAIL("the console's message is at fault");
	}
	CU_ASSERT_FATAL(a->heard_count < HEARD_MAX);
	a->heard[a->heard_count++] = message;
}

static inline void agent_on_closed(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg)
{
	struct fake_agent *a = arg;

	(void)ws;
	a->end = *end;
	a->ended = true;
}

static inline bool agent_is_settled(void *arg)
{
	const struct fake_agent *a = arg;

	return a->open || a->ended;
}

static inline bool agent_is_ended(void *arg)
{
	return ((struct fake_agent *)arg)->ended;
}

/* Connects; key may be NULL. */
static inline void agent_connect(struct fake_agent *a, struct world *w, const char *id, const char *key)
{
	static const struct fleet_ws_events events = {
		.open = agent_on_open, .message = agent_on_message, .closed = agent_on_closed};
	_cleanup_free_ char *url =
		xasprintf("ws://127.0.0.1:%u/api/hub?agentId=%s", console_port(w->console), id);
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_uuid spool = fleet_uuid_new();

	*a = (struct fake_agent){.w = w};
	(void)snprintf(a->id, sizeof(a->id), "%s", id);
	memcpy(a->spool_id, spool.text, sizeof(a->spool_id));
	CU_ASSERT_EQUAL_FATAL(fleet_ws_connect(w->f.base, NULL,
				      &(struct fleet_ws_client_options){
					      .url = url,
					      .subprotocol = FLEET_SUBPROTOCOL,
					      .bearer = key,
					      .timeout_ms = 8000,
				      },
				      &events, a, &a->ws, &err),
		0);
	CU_ASSERT(fixture_wait(&w->f, agent_is_settled, a));
}

static inline void agent_done(struct fake_agent *a)
{
	fleet_ws_free(a->ws);
	for (unsigned i = 0; i < a->heard_count; i++)
		json_object_put(a->heard[i]);
	*a = (struct fake_agent){0};
}

static inline void agent_send_text(struct fake_agent *a, const char *text)
{
	CU_ASSERT_EQUAL(fleet_ws_send(a->ws, text, strlen(text)), 0);
}

static inline void agent_send(struct fake_agent *a, struct json_object *takes_message)
{
	agent_send_text(a, fleet_json_text(takes_message, NULL));
	json_object_put(takes_message);
}

struct awaited {
	struct fake_agent *a;
	const char *type;
};

static inline bool agent_has_heard(void *arg)
{
	const struct awaited *awaited = arg;
	struct fake_agent *a = awaited->a;

	for (; a->taken < a->heard_count; a->taken++) {
		if (str_equal(fleet_json_string(a->heard[a->taken], "type"), awaited->type))
			return true;
	}
	return false;
}

/* The next message of a type; those before it are passed over. Borrowed. */
static inline struct json_object *agent_hear(struct fake_agent *a, const char *type)
{
	if (!fixture_wait(&a->w->f, agent_has_heard, &(struct awaited){a, type})) {
		printf("# %s did not hear %s\n", a->id, type);
		CU_FAIL_FATAL("a message did not come");
	}
	return a->heard[a->taken++];
}

/* A register with app-a and app-b, to be completed and sent. */
static inline struct json_object *agent_register_message(const struct fake_agent *a, const char *version)
{
	struct json_object *m = fleet_message_new(FLEET_MESSAGE_REGISTER), *apps = json_object_new_array();
	_cleanup_free_ char *host = xasprintf("srv-%s", a->id);

	fleet_json_add_string(m, "agentId", a->id);
	fleet_json_add_string(m, "instanceId", a->id);
	fleet_json_add_string(m, "spoolId", a->spool_id);
	fleet_json_add_string(m, "hostname", host);
	fleet_json_add_string(m, "agentVersion", version);
	json_object_array_add(
		apps, json_tokener_parse("{\"id\":\"app-a\",\"status\":\"running\",\"evil\":1}"));
	json_object_array_add(apps, json_tokener_parse("{\"id\":\"app-b\",\"status\":\"failed\"}"));
	fleet_json_add(m, "apps", apps);
	fleet_json_add(m, "labels", json_tokener_parse("{\"env\":\"prod\",\"rack\":\"7\"}"));
	return m;
}

static inline void agent_join(struct fake_agent *a, struct world *w, const char *id)
{
	agent_connect(a, w, id, NULL);
	CU_ASSERT_FATAL(a->open);
	agent_send(a, agent_register_message(a, "1.1.0"));
	(void)agent_hear(a, "registered"); /* that it came is all */
}

static inline void agent_heartbeat(struct fake_agent *a, const char *ref_id)
{
	struct json_object *m = fleet_message_new(FLEET_MESSAGE_HEARTBEAT);

	fleet_json_add_int(m, "seq", 1);
	fleet_json_add_string(m, "refId", ref_id);
	fleet_json_add(
		m, "metrics", json_tokener_parse("{\"cpuPercent\":23.4,\"memoryUsedBytes\":134217728}"));
	fleet_json_add(m, "apps",
		json_tokener_parse("[{\"id\":\"app-a\",\"status\":\"running\",\"version\":\"2.0.0\"}]"));
	agent_send(a, m);
}

#endif
