/* What a client asked: target and framing checked, names and values decoded, the body as JSON. */
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include "fleet/encode.h"
#include "fleet/text.h"
#include "fleet/tls.h"
#include "http_server_internal.h"

static const struct {
	enum evhttp_cmd_type type;
	const char *name;
} methods[] = {
	{EVHTTP_REQ_GET, "GET"},
	{EVHTTP_REQ_POST, "POST"},
	{EVHTTP_REQ_HEAD, "HEAD"},
	{EVHTTP_REQ_PUT, "PUT"},
	{EVHTTP_REQ_DELETE, "DELETE"},
	{EVHTTP_REQ_PATCH, "PATCH"},
	{EVHTTP_REQ_OPTIONS, "OPTIONS"},
};

/* NULL for CONNECT, TRACE and what evhttp does not know. */
static const char *method_name(enum evhttp_cmd_type type)
{
	size_t i;

	for (i = 0; i < FLEET_ARRAY_LEN(methods); i++)
		if (methods[i].type == type)
			return methods[i].name;
	return NULL;
}

struct fleet_http_request *fleet_http_request_new(
	struct fleet_http_server *server, struct evhttp_request *evreq)
{
	struct fleet_http_request *req = xcalloc(1, sizeof(*req));
	const char *name = method_name(evhttp_request_get_command(evreq));
	char *address = NULL;
	ev_uint16_t port;

	evhttp_request_own(evreq);
	req->server = server;
	req->evreq = evreq;
	req->evcon = evhttp_request_get_connection(evreq);
	req->method = name ? name : "?";
	evhttp_connection_get_peer(req->evcon, &address, &port);
	req->peer = xstrdup(address ? address : "");
	req->path = xstrdup("");
	req->body = "";
	req->base = server->base;
	LIST_INSERT_HEAD(&server->requests, req, link);
	return req;
}

void fleet_http_request_free(struct fleet_http_request *req)
{
	size_t i;

	if (req->server)
		LIST_REMOVE(req, link);
	if (req->free_context)
		req->free_context(req->context);
	json_object_put(req->json);
	for (i = 0; i < req->param_count; i++) {
		free(req->params[i].name);
		free(req->params[i].value);
	}
	for (i = 0; i < req->query_count; i++) {
		free(req->query[i].name);
		free(req->query[i].value);
	}
	free(req->query);
	free(req->path);
	free(req->peer);
	free(req);
}

struct evhttp_request *fleet_http_request_release(struct fleet_http_request *req)
{
	struct evhttp_request *evreq = TAKE_PTR(req->evreq);

	if (!req->evcon) {
		evhttp_request_free(evreq);
		return NULL;
	}
	evreq->flags &= ~EVHTTP_USER_OWNED;
	fleet_http_conn_on_closed(req->evcon, NULL, NULL);
	return evreq;
}

int fleet_http_decode(const char *text, size_t len, bool plus_is_space, char **ret)
{
	_cleanup_free_ char *out = xmalloc(len + 1);
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			const int high = i + 2 < len ? fleet_hex_value(text[i + 1]) : -1;
			const int low = i + 2 < len ? fleet_hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0')
			return -EINVAL;
		out[n++] = c;
	}
	out[n] = '\0';
	if (!fleet_text_is_utf8(out, n))
		return -EINVAL;
	*ret = TAKE_PTR(out);
	return 0;
}

static bool is_token(const char *name)
{
	const char *p;

	for (p = name; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f ||
			strchr("()<>@,;:\\\"/[]?={}", *p))
			return false;
	return p != name;
}

/* evhttp takes the first Content-Length, ignores a Transfer-Encoding that it does not know and never reads a
 * HEAD's body. Whoever stands between client and us may see another end of the request than evhttp did:
 * whatever is ambiguous is refused. */
static int check_framing(struct fleet_http_request *req, struct fleet_error *err)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(req->evreq);
	const char *length = NULL, *encoding = NULL;
	const struct evkeyval *h;

	TAILQ_FOREACH(h, headers, next)
	{
		if (!is_token(h->key))
			return fleet_error_set(err, 400, "A header's name is not valid");
		if (strcasecmp(h->key, "Content-Length") == 0) {
			if (length)
				return fleet_error_set(err, 400, "There is more than one Content-Length");
			length = h->value;
		} else if (strcasecmp(h->key, "Transfer-Encoding") == 0) {
			if (encoding)
				return fleet_error_set(err, 400, "There is more than one Transfer-Encoding");
			encoding = h->value;
		}
	}
	if (length && (!*length || length[strspn(length, "0123456789")]))
		return fleet_error_set(err, 400, "Content-Length is no number");
	if (encoding && strcasecmp(encoding, "chunked") != 0)
		return fleet_error_set(err, 501, "The only Transfer-Encoding known here is chunked");
	if (encoding && length)
		return fleet_error_set(err, 400, "Content-Length and Transfer-Encoding exclude each other");
	if ((encoding || (length && length[strspn(length, "0")])) &&
		evhttp_request_get_command(req->evreq) == EVHTTP_REQ_HEAD)
		return fleet_error_set(err, 400, "A HEAD request has no body");
	return 0;
}

static int parse_query(struct fleet_http_request *req, const char *text)
{
	while (*text) {
		const size_t len = strcspn(text, "&"), name_len = strcspn(text, "=&");
		const char *value = text + name_len + (name_len < len ? 1 : 0);
		struct fleet_http_pair pair = {NULL, NULL};

		if (len > 0) {
			if (fleet_http_decode(text, name_len, true, &pair.name) < 0)
				return -EINVAL;
			if (fleet_http_decode(value, (size_t)(text + len - value), true, &pair.value) < 0) {
				free(pair.name);
				return -EINVAL;
			}
			req->query = xreallocarray(req->query, req->query_count + 1, sizeof(pair));
			req->query[req->query_count++] = pair;
		}
		text += len;
		text += *text == '&';
	}
	return 0;
}

/* One piece, with a NUL behind it. */
static int take_body(struct fleet_http_request *req, struct fleet_error *err)
{
	struct evbuffer *buf = evhttp_request_get_input_buffer(req->evreq);

	req->body_len = evbuffer_get_length(buf);
	if (evbuffer_add(buf, "", 1) == 0)
		req->body = (const char *)evbuffer_pullup(buf, -1);
	if (req->body)
		return 0;
	req->body_len = 0;
	req->body = "";
	return fleet_error_set(err, 500, "There is no memory for the body");
}

int fleet_http_request_parse(struct fleet_http_request *req, struct fleet_error *err)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req->evreq);
	const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
	char *decoded = NULL;
	int status;

	if (req->evreq->major != 1) {
		req->evreq->major = 1; /* of the answer */
		req->evreq->minor = 1;
		return fleet_error_set(err, 505, "The only version of HTTP known here is 1");
	}
	if (!method_name(evhttp_request_get_command(req->evreq)))
		return fleet_error_set(err, 501, "This method is not known here");
	status = check_framing(req, err);
	if (status != 0)
		return status;
	if (strlen(evhttp_request_get_uri(req->evreq)) > FLEET_URL_LEN_MAX)
		return fleet_error_set(err, 414, "The URL is longer than %d bytes", FLEET_URL_LEN_MAX);
	if (str_empty(path))
		path = "/";
	if (path[0] != '/' && strcmp(path, "*") != 0)
		return fleet_error_set(err, 400, "The path must begin with a slash");
	if (fleet_http_decode(path, strlen(path), false, &decoded) < 0)
		return fleet_error_set(err, 400, "The path is no valid percent-encoded UTF-8");
	free(req->path);
	req->path = decoded;
	if (query && parse_query(req, query) < 0)
		return fleet_error_set(err, 400, "The query is no valid percent-encoded UTF-8");
	return take_body(req, err);
}

bool fleet_http_is_head(const struct fleet_http_request *req)
{
	return strcmp(req->method, "HEAD") == 0;
}

const char *fleet_http_method(const struct fleet_http_request *req)
{
	return req->method;
}

const char *fleet_http_path(const struct fleet_http_request *req)
{
	return req->path;
}

int fleet_http_certificate(
	const struct fleet_http_request *req, struct fleet_x509_facts *ret, struct fleet_error *err)
{
	return req->evcon ? fleet_tls_client_of(evhttp_connection_get_bufferevent(req->evcon), ret, err) : 0;
}

const char *fleet_http_peer(const struct fleet_http_request *req)
{
	return req->peer;
}

static const char *find_pair(const struct fleet_http_pair *pairs, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(pairs[i].name, name) == 0)
			return pairs[i].value;
	return NULL;
}

const char *fleet_http_param(const struct fleet_http_request *req, const char *name)
{
	return find_pair(req->params, req->param_count, name[0] == ':' ? name + 1 : name);
}

const char *fleet_http_query(const struct fleet_http_request *req, const char *name)
{
	return find_pair(req->query, req->query_count, name);
}

const char *fleet_http_header(const struct fleet_http_request *req, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(req->evreq), name);
}

const char *fleet_http_body(const struct fleet_http_request *req, size_t *ret_len)
{
	*ret_len = req->body_len;
	return req->body;
}

void fleet_http_set_context(struct fleet_http_request *req, void *takes_context, void (*free_fn)(void *))
{
	if (req->free_context)
		req->free_context(req->context);
	req->context = takes_context;
	req->free_context = free_fn;
}

void *fleet_http_context(const struct fleet_http_request *req)
{
	return req->context;
}

static bool is_json_type(const char *type)
{
	const size_t len = type ? strcspn(type, "; \t") : 0;

	return len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0;
}

/* "$.settings.x: must be ..." names the member at fault; the answer says it in a member of its own too. */
static struct json_object *field_at_fault(const char *message)
{
	const char *end = strstr(message, ": ");
	struct json_object *extra;
	_cleanup_free_ char *field = NULL;

	if (message[0] != '$' || !end)
		return NULL;
	message += message[1] == '.' ? 2 : 1;
	if (message >= end)
		return NULL;
	field = xstrndup(message, (size_t)(end - message));
	extra = json_object_new_object();
	fleet_json_add_string(extra, "field", field);
	return extra;
}

struct json_object *fleet_http_json_body(
	struct fleet_http_request *req, const struct fleet_json_field *fields)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *type = fleet_http_header(req, "Content-Type"), *body;
	struct json_object *obj = NULL;
	size_t len;
	int r;

	if (!is_json_type(type)) {
		fleet_http_reply_problem(req, 415, "unsupported-media-type", NULL,
			"The body must be JSON: send it with Content-Type: application/json");
		return NULL;
	}
	body = fleet_http_body(req, &len);
	r = fleet_json_parse(body, len, FLEET_HTTP_BODY_MAX, &obj, &err);
	if (r == -E2BIG) {
		fleet_http_reply_problem(
			req, 413, "too-large", NULL, "The body is larger than %u bytes", FLEET_HTTP_BODY_MAX);
		return NULL;
	}
	if (r < 0) {
		fleet_http_reply_problem(
			req, 400, "invalid-request", NULL, "The body cannot be read: %s", err.message);
		return NULL;
	}
	if (!json_object_is_type(obj, json_type_object)) {
		json_object_put(obj);
		fleet_http_reply_problem(req, 400, "invalid-request", NULL, "The body must be a JSON object");
		return NULL;
	}
	json_object_put(req->json);
	req->json = obj;
	if (fields && fleet_json_check_strict(obj, fields, "$", &err) < 0) {
		fleet_http_reply_problem(
			req, 400, "invalid-request", field_at_fault(err.message), "%s", err.message);
		return NULL;
	}
	return obj;
}
