/* Answers: bytes, JSON, problem+json. Each ends the request, also when nobody is there to read it. */
#include <ctype.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include "http_server_internal.h"

static const struct {
	int status;
	const char *text;
} statuses[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{206, "Partial Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{422, "Unprocessable Content"},
	{426, "Upgrade Required"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
};

const char *fleet_http_status_text(int status)
{
	size_t i;

	for (i = 0; i < FLEET_ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return "Unknown";
}

void fleet_http_timeouts_answering(struct evhttp_connection *evcon, const struct timeval *timeout)
{
	/* Not NULL: an event of libevent's that had a timeout once takes it up again with the next byte. */
	static const struct timeval never = {365 * 24 * 3600, 0};

	(void)bufferevent_set_timeouts(
		evhttp_connection_get_bufferevent(evcon), &never, timeout); /* no failure for sockets */
}

static void timeouts_reading(struct evhttp_connection *evcon, const struct timeval *timeout)
{
	(void)bufferevent_set_timeouts(
		evhttp_connection_get_bufferevent(evcon), timeout, timeout); /* likewise */
}

void fleet_http_add_header(struct fleet_http_request *req, const char *name, const char *value)
{
	if (strpbrk(name, "\r\n:") || strpbrk(value, "\r\n"))
		return;
	(void)evhttp_add_header(
		evhttp_request_get_output_headers(req->evreq), name, value); /* out of memory only */
}

void fleet_http_add_server_headers(struct fleet_http_request *req)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req->evreq);
	const struct fleet_http_pair *h;

	for (h = req->server ? req->server->headers : NULL; h && h->name; h++)
		if (!evhttp_find_header(headers, h->name))
			fleet_http_add_header(req, h->name, h->value);
}

/* The answer was read to its end; the next request on this connection has its time again. */
static void on_answer_sent(struct evhttp_request *evreq, void *arg)
{
	const struct fleet_http_server *server = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(evreq);

	if (evcon)
		timeouts_reading(evcon, &server->timeout);
}

void fleet_http_reply_bytes(
	struct fleet_http_request *req, int status, const char *content_type, const void *data, size_t len)
{
	const bool has_body = status >= 200 && status != 204 && status != 304;
	struct evhttp_connection *evcon = req->evcon;
	const bool is_head = fleet_http_is_head(req);
	struct evbuffer *buf = NULL;
	struct evhttp_request *evreq;
	char length[24];

	if (has_body) {
		(void)snprintf(length, sizeof(length), "%zu", len);
		fleet_http_add_header(req, "Content-Length", length);
		if (content_type)
			fleet_http_add_header(req, "Content-Type", content_type);
	}
	fleet_http_add_server_headers(req);
	evreq = fleet_http_request_release(req);
	if (evreq && has_body && !is_head && len > 0) {
		buf = evbuffer_new();
		if (!buf || evbuffer_add(buf, data, len) < 0) {
			evhttp_connection_free(evcon); /* a short answer would be a wrong one */
			evreq = NULL;
		}
	}
	if (evreq) {
		fleet_http_timeouts_answering(evcon, &req->server->timeout);
		evhttp_request_set_on_complete_cb(evreq, on_answer_sent, req->server);
		evhttp_send_reply(evreq, status, fleet_http_status_text(status), buf);
	}
	if (buf)
		evbuffer_free(buf);
	fleet_http_request_free(req);
}

void fleet_http_reply_json(struct fleet_http_request *req, int status, struct json_object *takes_body)
{
	_cleanup_json_ struct json_object *body = takes_body;
	size_t len;
	const char *text = fleet_json_text(body, &len);

	fleet_http_reply_bytes(req, status, "application/json", text, len);
}

/* "agent-not-found" → "Agent not found" */
static char *title_of(const char *kind)
{
	char *title = xstrdup(kind), *p;

	title[0] = (char)toupper((unsigned char)title[0]);
	for (p = title; *p; p++)
		if (*p == '-')
			*p = ' ';
	return title;
}

void fleet_http_reply_problem(struct fleet_http_request *req, int status, const char *kind,
	struct json_object *extra, const char *fmt, ...)
{
	_cleanup_json_ struct json_object *body = json_object_new_object(), *members = extra;
	_cleanup_free_ char *type = xasprintf("/problems/%s", kind), *title = title_of(kind), *detail = NULL;
	const char *text;
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	detail = xvasprintf(fmt, ap);
	va_end(ap);
	fleet_text_sanitize(detail);
	fleet_json_add_string(body, "type", type);
	fleet_json_add_string(body, "title", title);
	fleet_json_add_int(body, "status", status);
	fleet_json_add_string(body, "detail", detail);
	fleet_json_add_string(body, "instance", str_empty(req->path) ? NULL : req->path);
	if (members) {
		json_object_object_foreach (members, key, value)
			fleet_json_add(body, key, json_object_get(value));
	}
	text = fleet_json_text(body, &len);
	fleet_http_reply_bytes(req, status, "application/problem+json", text, len);
}
