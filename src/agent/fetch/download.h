/* One download into a file: http and https, through the proxy that the environment names; a bounded number of
 * redirects, none to another scheme; what a cut left is continued where the server can (Range with If-Range)
 * and fetched anew where it cannot; attempts go on, with growing waits, until the time is over. Bounded in
 * size, slowness and time, and it leaves the disk some room. Memory does not grow with the file. Event loop
 * of the fetching process only: writing to the disk may block it, which stops no heartbeat. */
#ifndef FETCH_DOWNLOAD_H
#define FETCH_DOWNLOAD_H
#include "agent/fetch/curl_loop.h"
#include "fleet/error.h"

struct download;

struct download_options {
	const char *url; /* texts are copied */
	int fd;          /* taken: an empty file open for writing */
	int64_t max_bytes, timeout_ms;
	/* For the console only: goes to no proxy and follows no redirect, so that the credential stays here.
	 */
	const char *bearer; /* NULL: none */
	bool direct;
	const char *ca_file, *cert_file, *key_file; /* NULL: the system's, none */
	/* 0: the defaults. Tests use smaller ones. */
	int64_t low_speed_bytes, low_speed_s, first_wait_ms, reserve_bytes;
};
struct download_events {
	/* At most once a second; percent: -1 where the size is not known. */
	void (*progress)(int percent, const char *message, void *arg);
	/* Once, from the loop; the download may be freed here. err: NULL where the file is whole. */
	void (*done)(int64_t bytes, const struct fleet_error *err, void *arg);
};

/* events borrowed for its life. -EINVAL: not a URL of http or https; *ret owned. */
int download_start(struct event_base *base, struct curl_loop *loop, const struct download_options *options,
	const struct download_events *events, void *arg, struct download **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Later bounds for one that runs: of the whole file, and from now on. */
void download_extend(struct download *d, int64_t max_bytes, int64_t timeout_ms);
void download_free(struct download *d);

#endif
