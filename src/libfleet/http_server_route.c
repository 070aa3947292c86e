/* Which handler a path belongs to. The table is searched from its top: the first that fits wins. Segments
 * are compared after decoding, so that an encoded slash is a part of a name and no separator. */
#include <event2/http.h>
#include "fleet/buffer.h"
#include "http_server_internal.h"

static void drop_params(struct fleet_http_request *req)
{
	while (req->param_count > 0) {
		struct fleet_http_pair *p = &req->params[--req->param_count];

		free(p->name);
		free(p->value);
	}
}

static void add_param(struct fleet_http_request *req, const char *name, size_t name_len, char *takes_value)
{
	if (req->param_count == FLEET_HTTP_PARAMS_MAX) {
		free(takes_value);
		return;
	}
	req->params[req->param_count].name = xstrndup(name, name_len);
	req->params[req->param_count++].value = takes_value;
}

/* 1 fits, 0 does not, -EINVAL fits but for a segment that does not decode. */
static int match(struct fleet_http_request *req, const char *pattern, const char *path)
{
	drop_params(req);
	for (;;) {
		size_t pattern_len, path_len;
		_cleanup_free_ char *segment = NULL;

		pattern += *pattern == '/';
		path += *path == '/';
		if (strcmp(pattern, "*") == 0) {
			if (fleet_http_decode(path, strlen(path), false, &segment) < 0)
				return -EINVAL;
			add_param(req, "*", 1, TAKE_PTR(segment));
			return 1;
		}
		pattern_len = strcspn(pattern, "/");
		path_len = strcspn(path, "/");
		if (fleet_http_decode(path, path_len, false, &segment) < 0)
			return -EINVAL;
		if (pattern[0] == ':') {
			if (!*segment)
				return 0;
			add_param(req, pattern + 1, pattern_len - 1, TAKE_PTR(segment));
		} else if (strlen(segment) != pattern_len || strncmp(segment, pattern, pattern_len) != 0) {
			return 0;
		}
		pattern += pattern_len;
		path += path_len;
		if (!*pattern || !*path)
			return !*pattern && !*path;
	}
}

static bool method_fits(const struct fleet_http_request *req, const char *method)
{
	return strcmp(req->method, method) == 0 || (fleet_http_is_head(req) && strcmp(method, "GET") == 0);
}

int fleet_http_route_find(
	struct fleet_http_request *req, const struct fleet_http_route **ret_route, char **ret_allow)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req->evreq));
	_cleanup_buffer_ struct fleet_buffer allow = FLEET_BUFFER_INIT;
	const struct fleet_http_route *route;

	if (str_empty(path))
		path = "/";
	for (route = req->server->routes; route->method; route++) {
		const int r = match(req, route->pattern, path);

		if (r < 0)
			return 400;
		if (r == 0)
			continue;
		if (method_fits(req, route->method)) {
			*ret_route = route;
			return 0;
		}
		if (allow.data && strstr(allow.data, route->method))
			continue;
		fleet_buffer_printf(&allow, "%s%s", allow.len > 0 ? ", " : "", route->method);
		if (strcmp(route->method, "GET") == 0)
			fleet_buffer_add_string(&allow, ", HEAD");
	}
	drop_params(req);
	if (allow.len == 0)
		return 404;
	*ret_allow = fleet_buffer_take(&allow, NULL);
	return 405;
}
