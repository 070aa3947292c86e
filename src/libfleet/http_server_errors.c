/* evhttp answers what it cannot parse, and bodies past the bound, with HTML pages of its own and offers no
 * hook before 2.2. They are recognised in the connection's output, before a byte is written, and replaced by
 * problem+json, so that a client of the API meets one form of error. A page that is not recognised passes
 * as it is. */
#include "fleet/tls.h"
#include "http_server_internal.h"

#define PAGE_MAX 1024 /* evhttp's pages are some 300 bytes */

static const struct {
	int status;
	const char *kind, *title, *detail;
} problems[] = {
	{400, "invalid-request", "Invalid request",
		"The request is no valid HTTP/1.1, or its headers are too long"},
	{413, "too-large", "Too large", "The body is longer than 1 MiB, or its chunks are malformed"},
	{417, "invalid-request", "Invalid request", "The only expectation known here is 100-continue"},
};
_Static_assert(FLEET_HTTP_BODY_MAX == 1024 * 1024, "the sentence above names the bound");

static bool is_page(const char *text, size_t len)
{
	static const char type[] = "\r\nContent-Type: text/html\r\n",
			  head[] = "\r\n\r\n<HTML><HEAD>\n<TITLE>", tail[] = "</BODY></HTML>\n";

	return len > sizeof(tail) && strncmp(text, "HTTP/1.", 7) == 0 && strstr(text, type) &&
	       strstr(text, head) && strcmp(text + len - strlen(tail), tail) == 0;
}

/* A 100 that was asked for may still wait in front of the page. */
static char *after_continue(char *text)
{
	char *end;

	if (strncmp(text, "HTTP/1.", 7) != 0 || strncmp(text + 8, " 100 ", 5) != 0)
		return text;
	end = strstr(text, "\r\n\r\n");
	return end ? end + 4 : text;
}

static void rewrite_page(struct evbuffer *out)
{
	_cleanup_free_ char *body = NULL;
	char text[PAGE_MAX + 1], *page;
	size_t i, len = evbuffer_get_length(out);
	ev_ssize_t got;
	int status;

	if (len > PAGE_MAX)
		return;
	got = evbuffer_copyout(out, text, PAGE_MAX);
	if (got < 0)
		return;
	text[got] = '\0';
	page = after_continue(text);
	if (!is_page(page, strlen(page)))
		return;
	status = (int)strtol(page + strlen("HTTP/1.1 "), NULL, 10);
	for (i = 0; i < FLEET_ARRAY_LEN(problems); i++)
		if (problems[i].status == status)
			break;
	if (i == FLEET_ARRAY_LEN(problems))
		return;
	body = xasprintf("{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"}",
		problems[i].kind, problems[i].title, status, problems[i].detail);
	if (evbuffer_drain(out, len) < 0)
		return;
	/* Where these fail there is no memory, and the client gets no answer. */
	(void)evbuffer_add(out, text, (size_t)(page - text));
	(void)evbuffer_add_printf(out,
		"HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		status, fleet_http_status_text(status), strlen(body), body);
}

static void on_tls_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg FLEET_UNUSED)
{
	if (info->n_added > 0)
		rewrite_page(out);
}

static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg FLEET_UNUSED)
{
	if (info->n_added == 0)
		return;
	/* A socket's bufferevent keeps its output's beginning frozen, and so unreadable, whenever it does not
	 * write. One with TLS never does, and could not write from a frozen one. */
	(void)evbuffer_unfreeze(out, 1); /* cannot fail */
	rewrite_page(out);
	(void)evbuffer_freeze(out, 1); /* likewise */
}

void fleet_http_error_pages_watch(struct bufferevent *bev)
{
	(void)evbuffer_add_cb(bufferevent_get_output(bev), fleet_tls_is_on(bev) ? on_tls_output : on_output,
		NULL); /* else the pages stay HTML */
}
