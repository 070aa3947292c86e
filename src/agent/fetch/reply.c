#include "agent/fetch/reply.h"
#include <ctype.h>
#include <curl/curl.h>

#define STRONG_AFTER_S 60 /* RFC 9110 8.8.2.2 */

static void forget(struct reply *r)
{
	free(TAKE_PTR(r->etag));
	free(TAKE_PTR(r->last_modified));
	free(TAKE_PTR(r->date));
	r->range_start = r->range_total = -1;
}

void reply_begin(struct reply *r)
{
	forget(r);
	free(TAKE_PTR(r->location_scheme));
}

void reply_done(struct reply *r)
{
	reply_begin(r);
}

/* Digits from *at on; -1 where there are none, or too many. */
static int64_t number(const char **at)
{
	int64_t value = 0;
	int digits = 0;

	for (; isdigit((unsigned char)**at); (*at)++, digits++) {
		if (digits >= 18)
			return -1;
		value = value * 10 + (**at - '0');
	}
	return digits > 0 ? value : -1;
}

/* "bytes 100-199/200", "bytes 100-199/" and a star. */
static void read_range(struct reply *r, const char *value)
{
	int64_t first, last, total = -1;

	if (strncasecmp(value, "bytes ", 6) != 0)
		return;
	value += 6;
	first = number(&value);
	if (first < 0 || *value++ != '-')
		return;
	last = number(&value);
	if (last < first || *value++ != '/')
		return;
	if (!str_equal(value, "*") && ((total = number(&value)) <= last || *value))
		return;
	r->range_start = first;
	r->range_total = total;
}

static void take(char **to, const char *value)
{
	free(*to);
	*to = xstrdup(value);
}

static void read_location(struct reply *r, const char *value)
{
	size_t len = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-");

	if (len == 0 || len > 32 || value[len] != ':')
		return; /* relative: the scheme stays */
	free(r->location_scheme);
	r->location_scheme = xstrndup(value, len);
}

void reply_header(struct reply *r, const char *data, size_t len)
{
	_cleanup_free_ char *line = xstrndup(data, len);
	char *value = strchr(line, ':'), *end;

	if (str_starts(line, "HTTP/")) {
		forget(r);
		return;
	}
	if (!value)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	for (end = value + strlen(value); end > value && isspace((unsigned char)end[-1]); end--)
		end[-1] = '\0';
	if (strcasecmp(line, "ETag") == 0)
		take(&r->etag, value);
	else if (strcasecmp(line, "Last-Modified") == 0)
		take(&r->last_modified, value);
	else if (strcasecmp(line, "Date") == 0)
		take(&r->date, value);
	else if (strcasecmp(line, "Content-Range") == 0)
		read_range(r, value);
	else if (strcasecmp(line, "Location") == 0)
		read_location(r, value);
}

char *reply_validator(const struct reply *r)
{
	size_t len = r->etag ? strlen(r->etag) : 0;
	time_t modified, said;

	if (r->etag)
		return len >= 2 && len <= 256 && r->etag[0] == '"' && r->etag[len - 1] == '"'
			       ? xstrdup(r->etag)
			       : NULL;
	if (!r->last_modified || !r->date)
		return NULL;
	modified = curl_getdate(r->last_modified, NULL);
	said = curl_getdate(r->date, NULL);
	return modified > 0 && said - modified >= STRONG_AFTER_S ? xstrdup(r->last_modified) : NULL;
}
