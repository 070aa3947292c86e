/* One question to an app's network side: does this URL answer 200 to 299, does this port take connections?
 * Without a proxy (it is this server that is meant), without following redirects, and without looking at a
 * certificate: whether the app answers is asked, and nothing secret is told. Event loop only. */
#ifndef FETCH_PROBE_H
#define FETCH_PROBE_H
#include "agent/fetch/curl_loop.h"
#include "fleet/error.h"

struct probe;
/* Once, from the loop; the probe may be freed here. detail: what was seen ("GET /health: 503"). */
typedef void probe_done_fn(bool ok, const char *detail, void *arg);

/* Either url or tcp ("host:port", "[::1]:port"); the other is NULL. -EINVAL: neither can be asked like that.
 * *ret owned. */
int probe_start(struct curl_loop *loop, const char *url, const char *tcp, int64_t timeout_ms,
	probe_done_fn *done, void *arg, struct probe **ret, struct fleet_error *err) FLEET_MUST_CHECK;
void probe_free(struct probe *p);

#endif
