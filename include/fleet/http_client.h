/* HTTP requests that wait for their answer (libcurl's easy interface), for programs that do one thing and
 * exit: fleetctl. Not for an event loop. POSIX only. */
#ifndef FLEET_HTTP_CLIENT_H
#define FLEET_HTTP_CLIENT_H
#include "fleet/json.h"

struct fleet_http_client;
struct fleet_http_client_options {
	const char *base_url; /* http(s)://host[:port], no trailing slash needed */
	const char *bearer;   /* NULL: no Authorization header */
	const char *user_agent;
	const char *const *headers; /* "X-Fleet-Client: cli"; NULL-terminated; may be NULL */
	const char *ca_file;        /* NULL: the system's */
	int64_t timeout_ms;         /* per request; 0: 30 s */
};
struct fleet_http_response {
	int status;
	char *body; /* owned, NUL-terminated */
	size_t body_len;
	char *content_type; /* owned, may be NULL */
	char *location;     /* owned, may be NULL */
	char *next;         /* owned: the URL of Link rel="next"; NULL where there is no further page */
};
void fleet_http_response_done(struct fleet_http_response *r);

/* Copies options. -EINVAL for a base URL that is not http or https. *ret owned. */
int fleet_http_client_new(const struct fleet_http_client_options *options, struct fleet_http_client **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
void fleet_http_client_free(struct fleet_http_client *client);
FLEET_DEFINE_CLEANUP(struct fleet_http_client *, fleet_http_client_free)

/* path: absolute path with query, or a whole URL below base_url. body: JSON or NULL. 0 whenever an HTTP
 * answer came, whatever its status (redirects are not followed); otherwise -ECONNREFUSED, -EHOSTUNREACH,
 * -ETIMEDOUT, -ECONNRESET, -EKEYREJECTED (the certificate), -EPROTO, -E2BIG, -EINVAL (not below base_url)
 * with a sentence that goes well after "Cannot reach URL: ". *ret is filled only when 0 is returned. */
int fleet_http_call(struct fleet_http_client *client, const char *method, const char *path,
	struct json_object *body, struct fleet_http_response *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* The same with a body of any kind. */
int fleet_http_send(struct fleet_http_client *client, const char *method, const char *path,
	const char *content_type, const void *data, size_t len, struct fleet_http_response *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* Reads a text/event-stream until on_event returns false (0), the deadline (monotonic ms, 0: none) passes
 * (-ETIMEDOUT) or the server ends it (-ECONNRESET). -EPROTO with the problem's detail where the server
 * answers with something else. event ("message" where none is named), id and data are borrowed,
 * NUL-terminated. */
int fleet_http_events(struct fleet_http_client *client, const char *path, int64_t deadline_ms,
	bool (*on_event)(const char *event, const char *id, const char *data, void *arg), void *arg,
	struct fleet_error *err) FLEET_MUST_CHECK;

/* Percent-encodes one path segment or query value; owned. */
char *fleet_url_encode(const char *text);

#endif
