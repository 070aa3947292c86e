#include "fleet/http_client.h"
#include <ctype.h>
#include <curl/curl.h>
#include <strings.h>
#include "fleet/clock.h"
#include "fleet/limits.h"
#include "http_client_sse.h"

#define CONNECT_MS 10000

struct fleet_http_client {
	CURL *curl; /* kept, and with it the connection */
	char *base; /* without the slash at its end */
	struct curl_slist *headers;
	char *ca_file;
	char *user_agent;
	int64_t timeout_ms;
};

/* One request under way. */
struct exchange {
	CURL *curl;
	struct fleet_buffer body;
	char *location, *next;
	struct sse_parser *events; /* NULL: everything goes to body */
	bool plain;                /* http:// */
	int failed;                /* what a callback of ours ended it with */
	char message[CURL_ERROR_SIZE];
};

void fleet_http_response_done(struct fleet_http_response *r)
{
	free(r->body);
	free(r->content_type);
	free(r->location);
	free(r->next);
	memset(r, 0, sizeof(*r));
}

static bool is_one_line(const char *text)
{
	for (; text && *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static void add_header(struct fleet_http_client *client, const char *text)
{
	struct curl_slist *list = curl_slist_append(client->headers, text);

	if (!list)
		abort(); /* out of memory, as in xmalloc */
	client->headers = list;
}

static int check_options(const struct fleet_http_client_options *options, struct fleet_error *err)
{
	const char *url = options->base_url;
	size_t i;

	if (!url || (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0) ||
		!is_one_line(url) || strlen(url) > FLEET_URL_LEN_MAX || strpbrk(url, " ?#") ||
		!strchr(url, '/')[2] || strchr(url, '/')[2] == '/')
		return fleet_error_set(err, -EINVAL,
			"'%.200s' is no URL of a console: http://host[:port] is expected", url ? url : "");
	if (!is_one_line(options->bearer) || !is_one_line(options->user_agent))
		return fleet_error_set(err, -EINVAL, "the API key or the user agent has a control character");
	for (i = 0; options->headers && options->headers[i]; i++)
		if (!is_one_line(options->headers[i]))
			return fleet_error_set(err, -EINVAL, "a header has a control character");
	return 0;
}

int fleet_http_client_new(const struct fleet_http_client_options *options, struct fleet_http_client **ret,
	struct fleet_error *err)
{
	struct fleet_http_client *client;
	_cleanup_free_ char *bearer = NULL;
	size_t i, len;
	int r = check_options(options, err);

	if (r < 0)
		return r;
	client = xcalloc(1, sizeof(*client));
	client->curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
	if (!client->curl) {
		free(client);
		return fleet_error_set(err, -ENOMEM, "libcurl does not start");
	}
	client->base = xstrdup(options->base_url);
	for (len = strlen(client->base); client->base[len - 1] == '/'; len--)
		client->base[len - 1] = '\0';
	client->ca_file = xstrdup(options->ca_file);
	client->user_agent = xstrdup(options->user_agent);
	client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : FLEET_HTTP_TIMEOUT_S * 1000;
	add_header(client, "Expect:"); /* no round trip before a body of some hundred bytes */
	if (options->bearer) {
		bearer = xasprintf("Authorization: Bearer %s", options->bearer);
		add_header(client, bearer);
	}
	for (i = 0; options->headers && options->headers[i]; i++)
		add_header(client, options->headers[i]);
	*ret = client;
	return 0;
}

void fleet_http_client_free(struct fleet_http_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	curl_slist_free_all(client->headers);
	free(client->base);
	free(client->ca_file);
	free(client->user_agent);
	free(client);
	curl_global_cleanup();
}

static long status_of(CURL *curl)
{
	long status = 0;

	if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
		return 0;
	return status;
}

static const char *content_type_of(CURL *curl)
{
	const char *type = NULL;

	if (curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type) != CURLE_OK)
		return NULL;
	return type;
}

static bool type_is(const char *content_type, const char *type)
{
	const size_t len = strlen(type);

	return content_type && strncasecmp(content_type, type, len) == 0 &&
	       (!content_type[len] || strchr("; \t", content_type[len]));
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	const size_t len = size * count;

	if (x->events && status_of(x->curl) == 200 &&
		type_is(content_type_of(x->curl), "text/event-stream")) {
		x->failed = sse_feed(x->events, data, len);
	} else if (len > FLEET_HTTP_RESPONSE_MAX - x->body.len) {
		x->failed = -E2BIG;
	} else {
		fleet_buffer_add(&x->body, data, len);
	}
	return x->failed < 0 ? 0 : len;
}

/* `<URL>; rel="next", <URL>; rel="prev"` (RFC 8288); owned, NULL where there is no next. */
static char *link_next(const char *value)
{
	while ((value = strchr(value, '<'))) {
		const char *end = strchr(value, '>'), *params, *stop, *rel;

		if (!end)
			return NULL;
		params = end + 1;
		stop = strchr(params, '<');
		rel = strstr(params, "rel=");
		if (rel && (!stop || rel < stop)) {
			rel += 4;
			rel += *rel == '"';
			if (strncmp(rel, "next", 4) == 0 && (!rel[4] || strchr("\";, \t", rel[4])))
				return xstrndup(value + 1, (size_t)(end - value - 1));
		}
		value = params;
	}
	return NULL;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	const size_t len = size * count;
	_cleanup_free_ char *line = xstrndup(data, len);
	char *value = strchr(line, ':'), *end;

	if (str_starts(line, "HTTP/")) { /* another answer begins: what came was a 100 */
		free(TAKE_PTR(x->location));
		free(TAKE_PTR(x->next));
	}
	if (!value)
		return len;
	*value++ = '\0';
	value += strspn(value, " \t");
	for (end = value + strlen(value); end > value && isspace((unsigned char)end[-1]); end--)
		end[-1] = '\0';
	if (strcasecmp(line, "Location") == 0 && !x->location)
		x->location = xstrdup(value);
	else if (strcasecmp(line, "Link") == 0 && !x->next)
		x->next = link_next(value);
	return len;
}

static void exchange_done(struct exchange *x)
{
	fleet_buffer_done(&x->body);
	free(x->location);
	free(x->next);
}

/* Owned; NULL: the path is none, or leaves base_url (whose key would go along). */
static char *url_of(const struct fleet_http_client *client, const char *path)
{
	const size_t len = strlen(client->base);

	if (!path || !is_one_line(path) || strchr(path, ' ') || strlen(path) > 2 * FLEET_URL_LEN_MAX)
		return NULL;
	if (path[0] == '/')
		return xasprintf("%s%s", client->base, path);
	if (strncmp(path, client->base, len) == 0 && (path[len] == '/' || path[len] == '?' || !path[len]))
		return xstrdup(path);
	return NULL;
}

static void setup(struct fleet_http_client *client, struct exchange *x, const char *url, long timeout_ms)
{
	CURL *curl = client->curl;

	x->plain = strncasecmp(url, "http://", 7) == 0;
	curl_easy_reset(curl); /* options go, the connection stays */
	/* None of these can fail but for want of memory, which the request would tell. */
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, x->message);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
	if (client->user_agent)
		(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, client->user_agent);
	(void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (client->ca_file) { /* these, and not also the system's */
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
		(void)curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	}
}

/* What went wrong, in one sentence that follows "Cannot reach URL: ". */
static int explain(struct exchange *x, CURLcode code, struct fleet_error *err)
{
	curl_off_t us = 0;
	long os = 0;
	_cleanup_free_ char *text = NULL;

	if (x->failed == -E2BIG)
		return fleet_error_set(
			err, -E2BIG, "the answer is longer than %u bytes", FLEET_HTTP_RESPONSE_MAX);
	if (x->failed < 0)
		return fleet_error_errno(err, x->failed, "the answer cannot be read");
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return fleet_error_set(err, -EHOSTUNREACH, "the host's name is not known (%s)", x->message);
	case CURLE_COULDNT_CONNECT:
		if (curl_easy_getinfo(x->curl, CURLINFO_OS_ERRNO, &os) != CURLE_OK || os == 0)
			os = ECONNREFUSED;
		text = xstrdup(strerror((int)os));
		text[0] = (char)tolower((unsigned char)text[0]); /* it stands within a sentence */
		return fleet_error_set(err, -(int)os, "%s", text);
	case CURLE_OPERATION_TIMEDOUT:
		if (curl_easy_getinfo(x->curl, CURLINFO_TOTAL_TIME_T, &us) != CURLE_OK)
			us = 0;
		return fleet_error_set(err, -ETIMEDOUT, "no answer after %.1f s", (double)us / 1e6);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return fleet_error_set(
			err, -ECONNRESET, "the connection broke before the answer was complete");
	case CURLE_PEER_FAILED_VERIFICATION:
		return fleet_error_set(
			err, -EKEYREJECTED, "the server's certificate is not trusted (%s)", x->message);
	case CURLE_SSL_CACERT_BADFILE:
		return fleet_error_set(err, -EKEYREJECTED,
			"the authorities that its certificate is to be compared with cannot be read (%s)",
			x->message);
	case CURLE_SSL_CONNECT_ERROR:
		return fleet_error_set(
			err, -EPROTO, "no TLS connection could be made (%s); is it http://?", x->message);
	case CURLE_URL_MALFORMAT:
		return fleet_error_set(err, -EINVAL, "the URL is not valid: %s", x->message);
	case CURLE_UNSUPPORTED_PROTOCOL: /* so an answer is called that looks like HTTP/0.9 */
	case CURLE_WEIRD_SERVER_REPLY:
		return fleet_error_set(err, -EPROTO, "what answers there does not speak HTTP%s",
			x->plain ? "; is it https://?" : "");
	default:
		return fleet_error_set(
			err, -EPROTO, "%s", x->message[0] ? x->message : curl_easy_strerror(code));
	}
}

int fleet_http_call(struct fleet_http_client *client, const char *method, const char *path,
	struct json_object *body, struct fleet_http_response *ret, struct fleet_error *err)
{
	size_t len = 0;
	const char *text = body ? fleet_json_text(body, &len) : NULL;

	return fleet_http_send(client, method, path, "application/json", text, len, ret, err);
}

int fleet_http_send(struct fleet_http_client *client, const char *method, const char *path,
	const char *content_type, const void *text, size_t len, struct fleet_http_response *ret,
	struct fleet_error *err)
{
	struct exchange x = {.curl = client->curl};
	_cleanup_free_ char *url = url_of(client, path), *type = xasprintf("Content-Type: %s", content_type);
	struct curl_slist *headers = NULL;
	CURLcode code;
	int r = 0;

	if (!url)
		return fleet_error_set(
			err, -EINVAL, "'%.200s' is no path below %s", path ? path : "", client->base);
	setup(client, &x, url, (long)client->timeout_ms);
	if (strcmp(method, "HEAD") == 0)
		(void)curl_easy_setopt(client->curl, CURLOPT_NOBODY, 1L); /* as in setup */
	else
		(void)curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
	if (text || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		struct curl_slist *h;

		(void)curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
		(void)curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, text ? text : "");
		headers = curl_slist_append(NULL, text ? type : "Content-Type:");
		for (h = client->headers; headers && h; h = h->next)
			if (!curl_slist_append(headers, h->data))
				abort(); /* out of memory, as in xmalloc */
		(void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
	}
	code = curl_easy_perform(client->curl);
	if (code != CURLE_OK) {
		r = explain(&x, code, err);
	} else {
		memset(ret, 0, sizeof(*ret));
		ret->status = (int)status_of(client->curl);
		ret->content_type = xstrdup(content_type_of(client->curl));
		ret->location = TAKE_PTR(x.location);
		ret->next = TAKE_PTR(x.next);
		ret->body = fleet_buffer_take(&x.body, &ret->body_len);
	}
	curl_slist_free_all(headers);
	exchange_done(&x);
	return r;
}

static int refused_stream(const struct exchange *x, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *problem = NULL;
	const char *detail = NULL;

	if (type_is(content_type_of(x->curl), "application/problem+json") &&
		fleet_json_parse(x->body.data ? x->body.data : "", x->body.len, FLEET_MESSAGE_MAX, &problem,
			NULL) == 0 &&
		json_object_is_type(problem, json_type_object))
		detail = fleet_json_string(problem, "detail");
	if (!str_empty(detail))
		return fleet_error_set(err, -EPROTO, "%s", detail);
	return fleet_error_set(
		err, -EPROTO, "the server answered %ld instead of a stream of events", status_of(x->curl));
}

int fleet_http_events(struct fleet_http_client *client, const char *path, int64_t deadline_ms,
	bool (*on_event)(const char *event, const char *id, const char *data, void *arg), void *arg,
	struct fleet_error *err)
{
	struct sse_parser parser = {.on_event = on_event, .arg = arg};
	struct exchange x = {.curl = client->curl, .events = &parser};
	_cleanup_free_ char *url = url_of(client, path);
	int64_t left = deadline_ms == 0 ? 0 : deadline_ms - fleet_clock_monotonic_ms();
	struct curl_slist *headers;
	CURLcode code;
	int r;

	if (!url)
		return fleet_error_set(
			err, -EINVAL, "'%.200s' is no path below %s", path ? path : "", client->base);
	if (deadline_ms != 0 && left <= 0)
		return fleet_error_set(err, -ETIMEDOUT, "the time is over");
	setup(client, &x, url, (long)left);
	headers = curl_slist_append(NULL, "Accept: text/event-stream");
	if (!headers)
		abort();                                                   /* out of memory, as in xmalloc */
	headers->next = client->headers;                                   /* borrowed for this request */
	(void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers); /* as in setup */
	code = curl_easy_perform(client->curl);
	headers->next = NULL;
	curl_slist_free_all(headers);
	if (x.failed == -ECANCELED)
		r = 0; /* on_event has what it wanted */
	else if (code == CURLE_OPERATION_TIMEDOUT && deadline_ms != 0)
		r = fleet_error_set(err, -ETIMEDOUT, "the time is over");
	else if (code != CURLE_OK)
		r = explain(&x, code, err);
	else if (status_of(client->curl) != 200 ||
		 !type_is(content_type_of(client->curl), "text/event-stream"))
		r = refused_stream(&x, err);
	else
		r = fleet_error_set(err, -ECONNRESET, "the server ended the stream of events");
	sse_done(&parser);
	exchange_done(&x);
	return r;
}

char *fleet_url_encode(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = xmalloc(3 * strlen(text) + 1), *p = out;

	for (; *text; text++) {
		const unsigned char c = (unsigned char)*text;

		if (c < 0x80 && (isalnum(c) || strchr("-._~", c))) {
			*p++ = *text;
		} else {
			*p++ = '%';
			*p++ = hex[c >> 4];
			*p++ = hex[c & 15];
		}
	}
	*p = '\0';
	return out;
}
