/* What a client sends to the HTTP server, over loopback: requests, or what is none. Handlers see decoded
 * text, clients see whole answers, and nothing of a request becomes a header of an answer. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include "fleet/buffer.h"
#include "fleet/http_server.h"
#include "fleet/limits.h"
#include "fleet/text.h"
#include "fleet/ws.h"
#include "fuzz.h"

#define TURNS_MAX 300

static unsigned handled;

static void check_text(const char *what, const char *text)
{
	FUZZ_CHECK(!text || fleet_text_is_utf8(text, strlen(text)), "a %s that is not UTF-8", what);
}

static void on_any(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	struct json_object *answer = json_object_new_object();
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *body;
	size_t len;

	handled++;
	FUZZ_CHECK(fleet_http_path(req)[0] == '/', "the path '%s'", fleet_http_path(req));
	check_text("path", fleet_http_path(req));
	check_text("parameter", fleet_http_param(req, "name"));
	check_text("query", fleet_http_query(req, "q"));
	body = fleet_http_body(req, &len);
	FUZZ_CHECK(body[len] == '\0' && len <= FLEET_HTTP_BODY_MAX, "a body of %zu bytes", len);
	fleet_http_add_header(
		req, "X-Echo", fleet_http_header(req, "X-Echo") ? fleet_http_header(req, "X-Echo") : "");
	fleet_http_add_header(req, "X-Query", fleet_http_query(req, "q") ? fleet_http_query(req, "q") : "");
	if (fleet_ws_check_upgrade(req, &err) < 0)
		check_text("sentence", err.message);
	fleet_json_add_string(answer, "path", fleet_http_path(req));
	fleet_json_add_string(answer, "name", fleet_http_param(req, "name"));
	fleet_http_reply_json(req, 200, answer);
}

static void on_post(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	static const struct fleet_json_field fields[] = {
		{"a", FLEET_JSON_INTEGER, FLEET_JSON_REQUIRED, .min = 0}, {0}};

	handled++;
	if (fleet_http_json_body(req, fields))
		fleet_http_reply_json(req, 202, json_object_new_object());
}

static const struct fleet_http_route routes[] = {{"GET", "/a/:name", on_any, 0},
	{"GET", "/static/*", on_any, 0}, {"POST", "/a", on_post, 0}, {"DELETE", "/a/:name/b", on_any, 0},
	{0}};

static int dial(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	FUZZ_CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "cannot connect");
	/* gone at once when it is closed: a million ports in TIME_WAIT are more than there are */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* True at the end of what comes. */
static bool take(int fd, struct fleet_buffer *answers)
{
	char chunk[16384];

	for (;;) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		if (n < 0)
			return false;
		fleet_buffer_add(answers, chunk, (size_t)n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fleet_http_server *server;
	static struct event_base *base;
	_cleanup_buffer_ struct fleet_buffer answers = FLEET_BUFFER_INIT;
	const struct fleet_http_options options = {.address = "127.0.0.1", .routes = routes};
	bool ended = false;
	int fd;

	if (!server) {
		base = event_base_new();
		FUZZ_CHECK(fleet_http_server_new(base, &options, &server, NULL) == 0, "no server");
	}
	handled = 0;
	fd = dial(fleet_http_server_port(server));
	(void)send(fd, data, size, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	for (int i = 0; i < TURNS_MAX && !ended; i++) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		ended = take(fd, &answers);
	}
	(void)close(fd);
	for (int i = 0; i < 3; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
	/* libevent refuses a nonsensical request in the version that it names, HTTP/-1.1 too */
	FUZZ_CHECK(
		answers.len == 0 || str_starts(answers.data, "HTTP/1.") ||
			(str_starts(answers.data, "HTTP/-") && strstr(answers.data, " 400 Bad Request\r\n")),
		"an answer that is none:\n%s", answers.data);
	FUZZ_CHECK(answers.len == 0 || !memmem(answers.data, answers.len, "\nInjected:", 10),
		"a header came in:\n%s", answers.data);
	FUZZ_CHECK(handled == 0 || answers.len > 0, "%u requests handled, none answered", handled);
	return 0;
}
