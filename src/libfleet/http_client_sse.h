/* Server-sent events out of bytes as they come (the HTML standard's event stream). Pure; http_client.c alone
 * uses it, and its tests. */
#ifndef FLEET_HTTP_CLIENT_SSE_H
#define FLEET_HTTP_CLIENT_SSE_H
#include "fleet/buffer.h"

struct sse_parser {
	bool (*on_event)(const char *event, const char *id, const char *data, void *arg);
	void *arg;
	struct fleet_buffer line, event, id, data;
	bool has_data, after_cr, not_first;
};

/* 0, or -ECANCELED when on_event returned false, or -EMSGSIZE: an event longer than twice FLEET_MESSAGE_MAX.
 */
int sse_feed(struct sse_parser *p, const char *bytes, size_t len) FLEET_MUST_CHECK;
void sse_done(struct sse_parser *p);

#endif
