#include "agent/origin.h"
#include <ctype.h>

struct origin {
	bool https;
	char host[256]; /* lower case */
	int port;
};

/* *ret_path: within url, behind the authority. -EINVAL for all that is not plainly scheme://host[:port]. */
static int read_origin(const char *url, struct origin *ret, const char **ret_path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
	struct origin o = {.https = strncasecmp(url, "https://", 8) == 0};
	size_t len;
	char *end;
	long port;

	if (!o.https && strncasecmp(url, "http://", 7) != 0)
		return -EINVAL;
	url += o.https ? 8 : 7;
	o.port = o.https ? 443 : 80;
	len = *url == '[' ? strspn(url + 1, "0123456789abcdefABCDEF:.") + 1 : strspn(url, plain);
	if (*url == '[' && url[len++] != ']')
		return -EINVAL;
	if (len == 0 || len >= sizeof(o.host))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		o.host[i] = (char)tolower((unsigned char)url[i]);
	url += len;
	if (*url == ':') {
		errno = 0;
		port = isdigit((unsigned char)url[1]) ? strtol(url + 1, &end, 10) : 0;
		if (port < 1 || port > 65535)
			return -EINVAL;
		o.port = (int)port;
		url = end;
	}
	if (*url && *url != '/')
		return -EINVAL;
	*ret = o;
	*ret_path = url;
	return 0;
}

char *origin_on_console(const char *url, const char *console_url)
{
	struct origin console, other;
	const char *rest, *path = url;
	size_t base;

	if (!console_url || read_origin(console_url, &console, &rest) < 0)
		return NULL;
	base = (size_t)(rest - console_url);
	if (url[0] != '/' && (read_origin(url, &other, &path) < 0 || other.https != console.https ||
				     other.port != console.port || strcmp(other.host, console.host) != 0))
		return NULL;
	if (path[0] != '/' || (path == url && url[1] == '/'))
		return NULL;
	return xasprintf("%.*s%s", (int)base, console_url, path);
}

char *origin_shown(const char *url)
{
	const char *authority = strstr(url, "://"), *end, *at;
	size_t scheme;

	if (!authority)
		return xstrndup(url, strcspn(url, "?#"));
	authority += 3;
	scheme = (size_t)(authority - url);
	end = authority + strcspn(authority, "/?#");
	for (at = end; at > authority && at[-1] != '@';)
		at--;
	return xasprintf("%.*s%.*s", (int)scheme, url, (int)strcspn(at, "?#"), at);
}
