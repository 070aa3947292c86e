/* Where a request comes from: of the headers that a page's script cannot choose. */
#include <strings.h>

#include "console/auth.h"

bool auth_origin_is_own(const char *origin, const char *host)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; host && i < FLEET_ARRAY_LEN(schemes); i++) {
		if (str_starts(origin, schemes[i]))
			return strcasecmp(origin + strlen(schemes[i]), host) == 0;
	}
	return false; /* "null", a file, an extension */
}

bool auth_host_is_local(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; host && i < FLEET_ARRAY_LEN(names); i++) {
		size_t len = strlen(names[i]);

		if (strncasecmp(host, names[i], len) == 0 && (!host[len] || host[len] == ':'))
			return true;
	}
	return false;
}

static bool is_write(const struct fleet_http_request *req)
{
	const char *method = fleet_http_method(req);

	return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
}

/* SameSite=Strict alone does not do: another port of this host, or another name of this domain, is the same
 * site. Browsers send Origin with every write, and the newer ones Sec-Fetch-Site with everything ("none": the
 * address was typed). */
const char *auth_origin_fault(const struct fleet_http_request *req, bool tls, bool by_cookie)
{
	const char *origin = fleet_http_header(req, "Origin"),
		   *site = fleet_http_header(req, "Sec-Fetch-Site");
	bool elsewhere = site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;

	/* Whoever stands in between can serve a page of this very name, by http. */
	if (is_write(req) && origin &&
		(!auth_origin_is_own(origin, fleet_http_header(req, "Host")) ||
			(tls && !str_starts(origin, "https://"))))
		return "a page from elsewhere may change nothing here (Origin)";
	if (is_write(req) && elsewhere)
		return "a page from elsewhere may change nothing here (Sec-Fetch-Site)";
	if (is_write(req) && by_cookie && !origin)
		return "with a cookie, a change needs the Origin that browsers send: programs use a key";
	if (by_cookie && elsewhere)
		return "a page from elsewhere may ask nothing here with this browser's cookie "
		       "(Sec-Fetch-Site)";
	return NULL;
}
