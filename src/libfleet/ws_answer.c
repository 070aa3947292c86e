/* The server's answer to an upgrade (RFC 6455 4.1, the client's checks). */
#include <ctype.h>
#include <strings.h>
#include "fleet/json.h"
#include "ws_connect.h"
#include "ws_internal.h"

struct answer_text {
	char *text; /* the header block, NUL-terminated, lines cut at their ends; owned */
	size_t len; /* with the empty line */
	int status;
	const char *status_text;
};

static void refuse(struct ws_answer *ret, int status, const char *fmt, ...) FLEET_PRINTF(3, 4);
static void refuse(struct ws_answer *ret, int status, const char *fmt, ...)
{
	va_list ap;

	ret->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(ret->reason, sizeof(ret->reason), fmt, ap); /* cut where it does not fit */
	va_end(ap);
	fleet_text_sanitize(ret->reason);
}

/* The value of the header, or NULL; again to be called with the last one for the next. Case of the name does
 * not matter. Lines are NUL-separated, an empty one is last. */
static const char *find_header(const struct answer_text *a, const char *name, const char *after)
{
	const size_t len = strlen(name);
	const char *line = after ? after : a->text;

	for (line += strlen(line) + 1; line < a->text + a->len && *line; line += strlen(line) + 1)
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	return NULL;
}

static bool header_has_token(const struct answer_text *a, const char *name, const char *token)
{
	const char *value;

	for (value = find_header(a, name, NULL); value; value = find_header(a, name, value))
		if (ws_has_token(value, token))
			return true;
	return false;
}

/* Cuts the lines: "\r\n" becomes two NULs, of which the first ends the line and the second is skipped over.
 */
static void cut_lines(struct answer_text *a)
{
	char *from = a->text, *to = a->text;
	const char *end = a->text + a->len;

	for (; from < end; from++) {
		if (*from == '\0')
			*to++ = '?';
		else if (from[0] == '\r' && from[1] == '\n')
			continue;
		else if (*from != '\n')
			*to++ = *from;
		else {
			while (to > a->text && (to[-1] == ' ' || to[-1] == '\t'))
				to--;
			*to++ = '\0';
		}
	}
	a->len = (size_t)(to - a->text);
	*to = '\0';
}

static bool parse_status(struct answer_text *a)
{
	const char *p = a->text;

	if (!str_starts(p, "HTTP/1.") || !isdigit((unsigned char)p[7]) || p[8] != ' ' ||
		!isdigit((unsigned char)p[9]) || !isdigit((unsigned char)p[10]) ||
		!isdigit((unsigned char)p[11]) || (p[12] && p[12] != ' '))
		return false;
	a->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
	a->status_text = p[12] ? p + 13 : "";
	return true;
}

static enum ws_answer_kind judge_101(
	const struct answer_text *a, const char *accept, const char *subprotocol, struct ws_answer *ret)
{
	const char *value = find_header(a, "Sec-WebSocket-Accept", NULL);
	const char *chosen = find_header(a, "Sec-WebSocket-Protocol", NULL);

	if (!header_has_token(a, "Upgrade", "websocket") || !header_has_token(a, "Connection", "upgrade"))
		refuse(ret, 0, "the server switched to another protocol than WebSocket");
	else if (!str_equal(value, accept))
		refuse(ret, 0,
			"the server's Sec-WebSocket-Accept does not belong to our key: something between us "
			"answers");
	else if (find_header(a, "Sec-WebSocket-Extensions", NULL))
		refuse(ret, 0, "the server chose an extension that was not offered");
	else if (subprotocol && !str_equal(chosen, subprotocol))
		refuse(ret, 0, "the server does not speak %s", subprotocol);
	else if (!subprotocol && chosen)
		refuse(ret, 0, "the server chose a subprotocol that was not offered");
	else
		return WS_ANSWER_OPEN;
	return WS_ANSWER_REFUSED;
}

/* The detail of a problem+json, sanitized; owned, NULL where there is none. */
static char *problem_detail(const struct answer_text *a, const char *body, size_t len)
{
	_cleanup_json_ struct json_object *problem = NULL;
	const char *type = find_header(a, "Content-Type", NULL);

	if (!type || strncasecmp(type, "application/problem+json", strlen("application/problem+json")) != 0 ||
		fleet_json_parse(body, len, WS_REFUSAL_MAX, &problem, NULL) < 0 ||
		!json_object_is_type(problem, json_type_object))
		return NULL;
	return xstrdup(fleet_json_string(problem, "detail"));
}

static enum ws_answer_kind judge_refusal(
	const struct answer_text *a, struct evbuffer *input, bool at_end, struct ws_answer *ret)
{
	const char *length = find_header(a, "Content-Length", NULL),
		   *location = find_header(a, "Location", NULL);
	const size_t have = evbuffer_get_length(input) - ret->head_len;
	_cleanup_free_ char *all = NULL, *detail = NULL;
	unsigned long long want = length ? strtoull(length, NULL, 10) : WS_REFUSAL_MAX;
	size_t len;

	if (want > WS_REFUSAL_MAX || a->status < 200 || a->status == 204 || a->status == 304 ||
		header_has_token(a, "Transfer-Encoding", "chunked"))
		want = 0; /* the status must do */
	if (have < want && !at_end)
		return WS_ANSWER_MORE;
	len = ret->head_len + (have < want ? have : (size_t)want);
	all = xmalloc(len + 1);
	if (evbuffer_copyout(input, all, len) == (ev_ssize_t)len) {
		all[len] = '\0';
		detail = problem_detail(a, all + ret->head_len, len - ret->head_len);
	}
	if (!str_empty(detail))
		refuse(ret, a->status, "%s", detail);
	else if (location)
		refuse(ret, a->status, "HTTP %d %s: the server sends us to %s", a->status, a->status_text,
			location);
	else
		refuse(ret, a->status, "HTTP %d %s", a->status, a->status_text);
	return WS_ANSWER_REFUSED;
}

enum ws_answer_kind ws_answer_read(struct evbuffer *input, bool at_end, const char *accept,
	const char *subprotocol, struct ws_answer *ret)
{
	const struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	struct answer_text a = {0};
	enum ws_answer_kind kind;
	_cleanup_free_ char *text = NULL;

	memset(ret, 0, sizeof(*ret));
	if (end.pos < 0 || end.pos > (ev_ssize_t)FLEET_HTTP_HEADERS_MAX) {
		if (!at_end && evbuffer_get_length(input) <= FLEET_HTTP_HEADERS_MAX)
			return WS_ANSWER_MORE;
		if (at_end)
			refuse(ret, 0, "the server did not finish its answer to the handshake");
		else
			refuse(ret, 0, "the server's answer to the handshake is no HTTP, or too long");
		return WS_ANSWER_REFUSED;
	}
	ret->head_len = (size_t)end.pos + 4;
	a.len = ret->head_len - 2;
	a.text = text = xcalloc(1, ret->head_len + 1);
	(void)evbuffer_copyout(input, text, a.len); /* it is there */
	cut_lines(&a);
	if (!parse_status(&a)) {
		refuse(ret, 0, "the server's answer to the handshake is no HTTP");
		return WS_ANSWER_REFUSED;
	}
	if (a.status != 101)
		return judge_refusal(&a, input, at_end, ret);
	kind = judge_101(&a, accept, subprotocol, ret);
	if (kind == WS_ANSWER_OPEN)
		(void)evbuffer_drain(input, ret->head_len); /* likewise */
	return kind;
}
