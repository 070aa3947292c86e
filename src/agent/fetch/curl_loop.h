/* libcurl's multi interface on libevent: transfers run on the owner's event loop, names are resolved by
 * libcurl's own threads, and each transfer's end comes as a callback from the loop, never from within a call.
 * Event loop only. */
#ifndef FETCH_CURL_LOOP_H
#define FETCH_CURL_LOOP_H
#include <curl/curl.h>
#include <event2/event.h>
#include "fleet/base.h"

struct curl_loop;
/* The transfer is over and no longer part of the loop; the handle is still its owner's. */
typedef void curl_loop_done_fn(CURL *curl, CURLcode code, void *arg);

/* NULL where libcurl or libevent do not start. Owned. */
struct curl_loop *curl_loop_new(struct event_base *base);
/* Every transfer must be over or removed. Accepts NULL. */
void curl_loop_free(struct curl_loop *loop);

/* Starts a transfer; done is called once, unless it is removed before. Uses the handle's CURLOPT_PRIVATE for
 * *transfer, which must live as long. */
struct curl_transfer {
	curl_loop_done_fn *done;
	void *arg;
};
int curl_loop_add(struct curl_loop *loop, CURL *curl, struct curl_transfer *transfer) FLEET_MUST_CHECK;
/* Ends a transfer without its callback. Not from within libcurl's own callbacks. */
void curl_loop_remove(struct curl_loop *loop, CURL *curl);

#endif
