#include <signal.h>
#include <sys/wait.h>
#include "fleet/http_client.h"
#include "fleet/http_server.h"
#include "fleet/limits.h"
#include "libfleet/http_client_sse.h"
#include "test_net_raw.h"
#include "unit.h"

/* The client waits for its answers, so the servers here are processes of their own. */
static struct {
	pid_t pid;
	uint16_t port;
	char base[64];
	struct fleet_http_client *client;
	struct fleet_http_response answer;
	struct fleet_error err;
} t;

static void forked(void (*run)(int fd, const void *arg), int fd, const void *arg)
{
	(void)fflush(NULL);
	t.pid = fork();
	if (t.pid < 0)
		abort();
	if (t.pid == 0) {
		run(fd, arg);
		_exit(0);
	}
}

static void listens(uint16_t port)
{
	t.port = port;
	(void)snprintf(t.base, sizeof(t.base), "http://127.0.0.1:%u", port);
}

static void start_process(void (*run)(int listening, const void *arg), const void *arg)
{
	_cleanup_close_ int listening = -1;
	uint16_t port;

	memset(&t, 0, sizeof(t));
	listening = raw_listen(&port);
	listens(port);
	forked(run, listening, arg);
}

static void client_new(int64_t timeout_ms)
{
	static const char *const headers[] = {"X-Fleet-Client: cli", NULL};
	const struct fleet_http_client_options options = {.base_url = t.base,
		.bearer = "k3y",
		.user_agent = "test/1",
		.headers = headers,
		.timeout_ms = timeout_ms};

	CU_ASSERT_EQUAL_FATAL(fleet_http_client_new(&options, &t.client, &t.err), 0);
}

static void stop(void)
{
	fleet_http_response_done(&t.answer);
	fleet_http_client_free(t.client);
	if (t.pid > 0) {
		(void)kill(t.pid, SIGKILL);
		(void)waitpid(t.pid, NULL, 0);
	}
}

/* Reads one request of each connection and answers it with bytes; "" never answers. */
static void run_raw(int listening, const void *arg)
{
	(void)fcntl(listening, F_SETFL, 0);
	for (;;) {
		int fd = accept(listening, NULL, NULL);
		char request[4096] = "";
		size_t len = 0;
		ssize_t n;

		while (!strstr(request, "\r\n\r\n") && len < sizeof(request) - 1 &&
			(n = recv(fd, request + len, sizeof(request) - 1 - len, 0)) > 0)
			len += (size_t)n;
		if (strlen(arg) == 0)
			(void)pause();
		(void)send(fd, arg, strlen(arg), MSG_NOSIGNAL);
		(void)close(fd);
	}
}

static struct event_base *server_base;

static void handle_mirror(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	struct json_object *obj = json_object_new_object();
	size_t len;

	fleet_json_add_string(obj, "method", fleet_http_method(req));
	fleet_json_add_string(obj, "id", fleet_http_param(req, "id"));
	fleet_json_add_string(obj, "q", fleet_http_query(req, "q"));
	fleet_json_add_string(obj, "auth", fleet_http_header(req, "authorization"));
	fleet_json_add_string(obj, "client", fleet_http_header(req, "x-fleet-client"));
	fleet_json_add_string(obj, "agent", fleet_http_header(req, "user-agent"));
	fleet_json_add_string(obj, "type", fleet_http_header(req, "content-type"));
	fleet_json_add_string(obj, "body", fleet_http_body(req, &len));
	fleet_http_add_header(req, "Link", "</mirror/1>; rel=\"prev\", </mirror/3?q=x%20y>; rel=\"next\"");
	fleet_http_add_header(req, "location", "/api/commands/7");
	fleet_http_reply_json(req, 202, obj);
}

static void handle_problem(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	fleet_http_reply_problem(req, 404, "agent-not-found", NULL, "Agent 'x' not found");
}

static void handle_events(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	static const char text[] =
		": hello\n\nid: 1\nevent: agent\ndata: {\"a\":1}\n\ndata: two\r\ndata: lines\r\n\r\n";
	const char *end = fleet_http_query(req, "end");
	struct fleet_http_stream *stream =
		fleet_http_stream_start(req, 200, "text/event-stream; charset=utf-8", NULL, NULL);

	if (fleet_http_stream_send(stream, text, strlen(text)) < 0)
		abort();
	if (end)
		fleet_http_stream_end(stream);
}

static const struct fleet_http_route routes[] = {
	{"GET", "/mirror/:id", handle_mirror, 0},
	{"POST", "/mirror/:id", handle_mirror, 0},
	{"DELETE", "/mirror/:id", handle_mirror, 0},
	{"GET", "/problem", handle_problem, 0},
	{"GET", "/events", handle_events, 0},
	{0},
};

/* On a port of the kernel's choice, which it says to fd. */
static void run_ours(int fd, const void *arg FLEET_UNUSED)
{
	struct fleet_http_options options = {.address = "127.0.0.1", .routes = routes};
	struct fleet_http_server *server;
	uint16_t port;

	server_base = event_base_new();
	if (fleet_http_server_new(server_base, &options, &server, NULL) < 0)
		_exit(1);
	port = fleet_http_server_port(server);
	if (write(fd, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	(void)event_base_dispatch(server_base);
}

static void start_ours(void)
{
	uint16_t port = 0;
	int fds[2];

	memset(&t, 0, sizeof(t));
	if (pipe2(fds, O_CLOEXEC) < 0)
		abort();
	forked(run_ours, fds[1], NULL);
	(void)close(fds[1]);
	CU_ASSERT_EQUAL_FATAL(read(fds[0], &port, sizeof(port)), sizeof(port));
	(void)close(fds[0]);
	listens(port);
	client_new(5000);
}

static void test_asks_and_is_answered(void)
{
	_cleanup_json_ struct json_object *body = json_object_new_object(), *got = NULL;

	start_ours();
	fleet_json_add_string(body, "appId", "a");
	CU_ASSERT_EQUAL_FATAL(
		fleet_http_call(t.client, "POST", "/mirror/a%2Fb?q=1", body, &t.answer, &t.err), 0);
	CU_ASSERT_EQUAL(t.answer.status, 202);
	CU_ASSERT_STRING_EQUAL(t.answer.content_type, "application/json");
	CU_ASSERT_STRING_EQUAL(t.answer.location, "/api/commands/7");
	CU_ASSERT_STRING_EQUAL(t.answer.next, "/mirror/3?q=x%20y");
	CU_ASSERT_EQUAL(strlen(t.answer.body), t.answer.body_len);
	CU_ASSERT_EQUAL_FATAL(fleet_json_parse(t.answer.body, t.answer.body_len, 65536, &got, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(got, "method"), "POST");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(got, "id"), "a/b");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(got, "q"), "1");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(got, "auth"), "Bearer k3y");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(got, "client"), "cli");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(got, "agent"), "test/1");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(got, "type"), "application/json");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(got, "body"), "{\"appId\":\"a\"}");
	stop();
}

static void test_speaks_every_method(void)
{
	static const struct {
		const char *method, *path;
		int status;
	} table[] = {
		{"GET", "/mirror/1", 202},
		{"POST", "/mirror/1", 202},
		{"DELETE", "/mirror/1", 202},
		{"HEAD", "/mirror/1", 202},
		{"PUT", "/mirror/1", 405},
		{"GET", "/problem", 404},
		{"GET", "/nothing", 404},
	};
	size_t i;

	start_ours();
	for (i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		CU_ASSERT_EQUAL(
			fleet_http_call(t.client, table[i].method, table[i].path, NULL, &t.answer, &t.err),
			0);
		CU_ASSERT_EQUAL(t.answer.status, table[i].status);
		if (strcmp(table[i].method, "HEAD") == 0)
			CU_ASSERT_EQUAL(t.answer.body_len, 0);
		fleet_http_response_done(&t.answer);
	}
	/* whole URLs, but only below the base */
	{
		_cleanup_free_ char *whole = xasprintf("%s/mirror/9", t.base);
		_cleanup_free_ char *stranger = xasprintf("%s9/mirror/9", t.base);

		CU_ASSERT_EQUAL(fleet_http_call(t.client, "GET", whole, NULL, &t.answer, &t.err), 0);
		CU_ASSERT_EQUAL(fleet_http_call(t.client, "GET", stranger, NULL, &t.answer, &t.err), -EINVAL);
		CU_ASSERT_EQUAL(fleet_http_call(t.client, "GET", "mirror", NULL, &t.answer, &t.err), -EINVAL);
		CU_ASSERT_EQUAL(fleet_http_call(t.client, "GET", "/a b", NULL, &t.answer, &t.err), -EINVAL);
		CU_ASSERT_EQUAL(
			fleet_http_call(t.client, "GET", "/a\r\nX: y", NULL, &t.answer, &t.err), -EINVAL);
	}
	stop();
}

struct heard {
	struct fleet_buffer text;
	int count, enough;
};

static bool on_event(const char *event, const char *id, const char *data, void *arg)
{
	struct heard *heard = arg;

	fleet_buffer_printf(&heard->text, "[%s|%s|%s]", event, id, data);
	return ++heard->count != heard->enough;
}

static void test_hears_events(void)
{
	struct heard heard = {.enough = 2};
	const int64_t before = fleet_clock_monotonic_ms();

	start_ours();
	CU_ASSERT_EQUAL(fleet_http_events(t.client, "/events", 0, on_event, &heard, &t.err), 0);
	CU_ASSERT_STRING_EQUAL(heard.text.data, "[agent|1|{\"a\":1}][message|1|two\nlines]");
	heard.enough = 100;
	CU_ASSERT_EQUAL(fleet_http_events(t.client, "/events", fleet_clock_monotonic_ms() + 200, on_event,
				&heard, &t.err),
		-ETIMEDOUT);
	CU_ASSERT_EQUAL(
		fleet_http_events(t.client, "/events?end=1", 0, on_event, &heard, &t.err), -ECONNRESET);
	CU_ASSERT_EQUAL(heard.count, 6);
	CU_ASSERT_EQUAL(fleet_http_events(t.client, "/problem", 0, on_event, &heard, &t.err), -EPROTO);
	CU_ASSERT_STRING_EQUAL(t.err.message, "Agent 'x' not found");
	CU_ASSERT_EQUAL(fleet_http_events(t.client, "/mirror/1", 0, on_event, &heard, &t.err), -EPROTO);
	CU_ASSERT_EQUAL(fleet_http_events(t.client, "/events", before, on_event, &heard, &t.err), -ETIMEDOUT);
	CU_ASSERT_EQUAL(heard.count, 6);
	/* and the client is good for calls as before */
	CU_ASSERT_EQUAL(fleet_http_call(t.client, "GET", "/mirror/1", NULL, &t.answer, &t.err), 0);
	fleet_buffer_done(&heard.text);
	stop();
}

static void test_explains_failures(void)
{
	static const struct {
		const char *bytes;
		int r;
	} table[] = {
		{"", -ETIMEDOUT},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", -ECONNRESET},
		{"SSH-2.0-OpenSSH_9.2\r\n\r\n", -EPROTO},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nshort", -ECONNRESET},
	};
	struct fleet_http_response untouched;
	size_t i;

	for (i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		int r;

		start_process(run_raw, table[i].bytes);
		client_new(300);
		memset(&t.answer, 0x5a, sizeof(t.answer));
		untouched = t.answer;
		r = fleet_http_call(t.client, "GET", "/", NULL, &t.answer, &t.err);
		if (r != table[i].r) {
			printf("# %zu: %d %s\n", i, r, t.err.message);
			CU_FAIL("another error than expected");
		}
		CU_ASSERT_EQUAL(memcmp(&untouched, &t.answer, sizeof(untouched)), 0);
		CU_ASSERT_NOT_EQUAL(t.err.message[0], '\0');
		memset(&t.answer, 0, sizeof(t.answer));
		stop();
	}
}

static void test_does_not_follow_redirects(void)
{
	start_process(
		run_raw, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
	client_new(2000);
	CU_ASSERT_EQUAL(fleet_http_call(t.client, "GET", "/", NULL, &t.answer, &t.err), 0);
	CU_ASSERT_EQUAL(t.answer.status, 302);
	CU_ASSERT_STRING_EQUAL(t.answer.location, "http://127.0.0.1:1/");
	stop();
}

static void test_tells_who_is_not_there(void)
{
	struct fleet_http_client_options options = {.base_url = t.base};
	int fd, r;

	memset(&t, 0, sizeof(t));
	fd = raw_listen(&t.port);
	(void)close(fd);
	(void)snprintf(t.base, sizeof(t.base), "http://127.0.0.1:%u///", t.port);
	client_new(2000);
	CU_ASSERT_EQUAL(fleet_http_call(t.client, "GET", "/", NULL, &t.answer, &t.err), -ECONNREFUSED);
	CU_ASSERT_STRING_EQUAL(t.err.message, "connection refused");
	fleet_http_client_free(TAKE_PTR(t.client));
	options.base_url = "http://no-such-host.invalid";
	options.timeout_ms = 3000;
	CU_ASSERT_EQUAL(fleet_http_client_new(&options, &t.client, &t.err), 0);
	r = fleet_http_call(t.client, "GET", "/", NULL, &t.answer, &t.err);
	CU_ASSERT(
		r == -EHOSTUNREACH || r == -ETIMEDOUT); /* where there is no resolver, that takes its time */
	stop();
}

static void test_refuses_bad_options(void)
{
	static const char *const urls[] = {NULL, "", "host", "ftp://host", "file:///etc/passwd", "http:/host",
		"http://", "http:///x", "http://ho st", "http://host?x=y", "http://host\r\n"};
	struct fleet_http_client_options options = {0};
	size_t i;

	memset(&t, 0, sizeof(t));
	for (i = 0; i < FLEET_ARRAY_LEN(urls); i++) {
		options.base_url = urls[i];
		CU_ASSERT_EQUAL(fleet_http_client_new(&options, &t.client, &t.err), -EINVAL);
	}
	options.base_url = "http://host";
	options.bearer = "a\r\nX: y";
	CU_ASSERT_EQUAL(fleet_http_client_new(&options, &t.client, &t.err), -EINVAL);
	CU_ASSERT_PTR_NULL(t.client);
}

static void test_parses_event_streams(void)
{
	static const struct {
		const char *bytes, *events;
	} table[] = {
		{"data: a\n\n", "[message||a]"},
		{"\xef\xbb\xbf"
		 "data: a\n\n",
			"[message||a]"},
		{"data:a\r\rdata: b\r\n\r\n", "[message||a][message||b]"},
		{"data\n\n", "[message||]"},
		{"event: x\n\ndata: a\n\n", "[message||a]"},
		{"id: 7\ndata: a\n\nevent: e\ndata: b\n\n", "[message|7|a][e|7|b]"},
		{":comment\nretry: 5\nunknown: x\nno-colon\ndata:  a: b\n\n", "[message|| a: b]"},
		{"data: not finished\n", ""},
		{"\n\n\r\n\r\r", ""},
	};
	size_t i, step;

	for (i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		for (step = 1; step < 9; step += 2) {
			struct heard heard = {0};
			struct sse_parser parser = {.on_event = on_event, .arg = &heard};
			const size_t len = strlen(table[i].bytes);
			size_t at;

			for (at = 0; at < len; at += step)
				CU_ASSERT_EQUAL(sse_feed(&parser, table[i].bytes + at,
							len - at < step ? len - at : step),
					0);
			CU_ASSERT_STRING_EQUAL(heard.text.data ? heard.text.data : "", table[i].events);
			sse_done(&parser);
			fleet_buffer_done(&heard.text);
		}
	}
}

static void test_bounds_events(void)
{
	static char chunk[65536];
	struct heard heard = {0};
	struct sse_parser parser = {.on_event = on_event, .arg = &heard};
	int i, r = 0;

	memset(chunk, 'x', sizeof(chunk));
	for (i = 0; i < 1000 && r == 0; i++)
		r = sse_feed(&parser, chunk, sizeof(chunk));
	CU_ASSERT_EQUAL(r, -EMSGSIZE);
	sse_done(&parser);
	parser = (struct sse_parser){.on_event = on_event, .arg = &heard};
	memcpy(chunk, "data: ", 6);
	chunk[sizeof(chunk) - 1] = '\n';
	for (i = 0, r = 0; i < 1000 && r == 0; i++)
		r = sse_feed(&parser, chunk, sizeof(chunk));
	CU_ASSERT_EQUAL(r, -EMSGSIZE);
	CU_ASSERT_EQUAL(heard.count, 0);
	sse_done(&parser);
}

static void test_encodes_urls(void)
{
	static const char *const table[][2] = {{"", ""}, {"agent-1_x.y~z", "agent-1_x.y~z"},
		{"a b/c?d&e", "a%20b%2Fc%3Fd%26e"}, {"\xc3\xa9%", "%C3%A9%25"}};
	size_t i;

	for (i = 0; i < FLEET_ARRAY_LEN(table); i++) {
		_cleanup_free_ char *got = fleet_url_encode(table[i][0]);

		CU_ASSERT_STRING_EQUAL(got, table[i][1]);
	}
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_asks_and_is_answered),
	UNIT_TEST(test_speaks_every_method),
	UNIT_TEST(test_hears_events),
	UNIT_TEST(test_explains_failures),
	UNIT_TEST(test_does_not_follow_redirects),
	UNIT_TEST(test_tells_who_is_not_there),
	UNIT_TEST(test_refuses_bad_options),
	UNIT_TEST(test_parses_event_streams),
	UNIT_TEST(test_bounds_events),
	UNIT_TEST(test_encodes_urls),
	{0},
};

int main(void)
{
	/* The machine's proxies have no part in this. */
	(void)unsetenv("http_proxy");
	(void)unsetenv("all_proxy");
	(void)unsetenv("ALL_PROXY");
	(void)signal(SIGPIPE, SIG_IGN);
	return unit_run((const struct unit_suite[]){{"http_client", tests}, {0}});
}
