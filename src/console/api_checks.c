/* What the bodies of several requests hold, checked in one way. */
#include "console/api.h"

#include <strings.h>

bool api_check_url(struct fleet_http_request *req, const char *field, const char *url)
{
	if (!url)
		return true;
	if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
		return api_refuse(req, field, "must be an http or https URL");
	for (const char *c = url; *c; c++) {
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			return api_refuse(req, field, "holds a space or a control character");
	}
	return true;
}

bool api_check_sha256(struct fleet_http_request *req, const char *field, const char *sha256)
{
	return !sha256 || (strlen(sha256) == 64 && strspn(sha256, "0123456789abcdefABCDEF") == 64) ||
	       api_refuse(req, field, "must be 64 hex digits");
}

bool api_check_plain(struct fleet_http_request *req, const char *field, const char *text)
{
	for (const char *c = text; c && *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return api_refuse(req, field, "holds a control character");
	}
	return true;
}
