#include "agent/fetch/download.h"
#include <fcntl.h>
#include <sys/statvfs.h>
#include "agent/fetch/explain.h"
#include "agent/fetch/reply.h"
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

#define CONNECT_MS      30000
#define REDIRECTS_MAX   5
#define LOW_SPEED_BYTES 1024 /* a second, for this long: */
#define LOW_SPEED_S     30
#define FIRST_WAIT_MS   1000
#define WAIT_MS_MAX     30000
#define RETRY_AFTER_MAX 300                 /* s */
#define RESERVE_BYTES   (INT64_C(16) << 20) /* left free on the disk, for the spool and for others */
#define STRIDE_BYTES    (INT64_C(8) << 20)  /* between looks at the disk */

struct download {
	struct event_base *base;
	struct curl_loop *loop;
	const struct download_events *events;
	void *arg;
	struct download_options options; /* its texts owned */
	char *host;                      /* for people */
	bool https;

	CURL *curl;
	struct curl_transfer transfer;
	struct curl_slist *headers; /* of this attempt */
	bool running;               /* an attempt is in the loop */
	struct event *wait, *deadline, *tick;

	int64_t deadline_ms, have, total, looked_at; /* total: -1 unknown */
	char *validator;                             /* owned: by which what is here can be continued */
	struct reply reply;
	bool ranged, body_begun;
	int64_t had;       /* when the attempt began */
	unsigned failures; /* attempts in a row that brought nothing */
	struct fleet_error fatal, last;
	char curl_message[CURL_ERROR_SIZE];
	char told[FLEET_TEXT_MAX];
};

static void set_ms(struct event *event, int64_t ms)
{
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	if (event_add(event, &tv) < 0)
		abort(); /* out of memory, as in xmalloc */
}

/* The download may be gone afterwards. */
static void finish(struct download *d, const struct fleet_error *why)
{
	struct fleet_error err = why ? *why : (struct fleet_error)FLEET_ERROR_INIT;

	if (why)
		(void)fleet_error_wrap(&err, "cannot download from %s", d->host);
	if (d->running)
		curl_loop_remove(d->loop, d->curl);
	d->running = false;
	(void)event_del(d->wait); /* cannot fail, as those below */
	(void)event_del(d->deadline);
	(void)event_del(d->tick);
	d->events->done(d->have, why ? &err : NULL, d->arg);
}

/* ---- the file ---- */

static int look_at_disk(struct download *d)
{
	int64_t missing = d->total >= 0 ? d->total - d->have : 0, free_bytes;
	char need[32], there[32];
	struct statvfs disk;

	d->looked_at = d->have;
	if (fstatvfs(d->options.fd, &disk) < 0)
		return fleet_error_errno(&d->fatal, -errno, "cannot look at the disk's free space");
	free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
	if (free_bytes - missing >= d->options.reserve_bytes)
		return 0;
	explain_bytes(missing + d->options.reserve_bytes, need, sizeof(need));
	explain_bytes(free_bytes, there, sizeof(there));
	return fleet_error_set(&d->fatal, -ENOSPC,
		"the agent's disk is too full: %s are needed, %s are free in its data directory", need,
		there);
}

static int too_long(struct download *d)
{
	char most[32];

	explain_bytes(d->options.max_bytes, most, sizeof(most));
	return fleet_error_set(&d->fatal, -EFBIG, "the file is longer than the %s that are allowed", most);
}

static int write_all(struct download *d, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = pwrite(d->options.fd, data, len, d->have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fleet_error_errno(&d->fatal, -errno, "cannot write to the agent's disk");
		data += n;
		len -= (size_t)n;
		d->have += n;
	}
	if (d->have - d->looked_at < STRIDE_BYTES)
		return 0;
	/* The disk begins now, rather than with all of it at the end; only a hint. */
	(void)sync_file_range(d->options.fd, d->looked_at, d->have - d->looked_at, SYNC_FILE_RANGE_WRITE);
	return look_at_disk(d);
}

static int begin_anew(struct download *d)
{
	d->have = d->looked_at = 0;
	d->total = -1;
	free(TAKE_PTR(d->validator));
	if (ftruncate(d->options.fd, 0) < 0)
		return fleet_error_errno(&d->fatal, -errno, "cannot empty the file of an earlier attempt");
	return 0;
}

/* ---- an answer ---- */

/* The next attempt is for the whole. */
static int part_is_of_no_use(struct download *d, const char *why)
{
	free(TAKE_PTR(d->validator));
	return fleet_error_set(&d->last, -EPROTO, "%s", why);
}

/* Not all servers heed If-Range: what a part says of the whole must be what was said before. */
static bool is_same_file(const struct download *d)
{
	const struct reply *r = &d->reply;

	return r->range_start == d->have &&
	       (d->total < 0 || r->range_total < 0 || d->total == r->range_total) &&
	       (!r->etag || d->validator[0] != '"' || str_equal(r->etag, d->validator));
}

/* The first byte of a body, or the end of an empty one: is it ours to write? 0; or with d->fatal or d->last
 * set. */
static int begin_body(struct download *d)
{
	long status = explain_status(d->curl);
	curl_off_t length = -1;
	int r;

	d->body_begun = true;
	if (status == 206 && d->ranged) {
		if (!is_same_file(d))
			return part_is_of_no_use(d, "the server continued another file");
		if (d->reply.range_total >= 0)
			d->total = d->reply.range_total;
		return look_at_disk(d);
	}
	r = begin_anew(d);
	if (r < 0)
		return r;
	if (curl_easy_getinfo(d->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK &&
		length >= 0)
		d->total = length;
	d->validator = reply_validator(&d->reply);
	return d->total > d->options.max_bytes ? too_long(d) : look_at_disk(d);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct download *d = arg;
	long status = explain_status(d->curl);
	size_t len = size * count;

	if (status != 200 && !(status == 206 && d->ranged))
		return 0; /* an error's page: on_done knows the status */
	if (!d->body_begun && begin_body(d) < 0)
		return 0;
	if (status == 206 && d->total >= 0 && (int64_t)len > d->total - d->have) {
		(void)part_is_of_no_use(d, "the server sent more than the file was to have");
		return 0;
	}
	if ((int64_t)len > d->options.max_bytes - d->have) {
		(void)too_long(d);
		return 0;
	}
	return write_all(d, data, len) < 0 ? 0 : len;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct download *d = arg;

	reply_header(&d->reply, data, size * count);
	return size * count;
}

/* ---- attempts ---- */

static void add_header(struct download *d, const char *format, const char *value)
{
	_cleanup_free_ char *text = xasprintf("%s%s", format, value);
	struct curl_slist *list = curl_slist_append(d->headers, text);

	if (!list)
		abort(); /* out of memory, as in xmalloc */
	d->headers = list;
}

static void set_protocols(struct download *d)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	const char *scheme = d->https ? "https" : "http";

	(void)curl_easy_setopt(d->curl, CURLOPT_PROTOCOLS_STR, scheme);
	(void)curl_easy_setopt(d->curl, CURLOPT_REDIR_PROTOCOLS_STR, scheme);
#else
	long scheme = d->https ? CURLPROTO_HTTPS : CURLPROTO_HTTP;

	(void)curl_easy_setopt(d->curl, CURLOPT_PROTOCOLS, scheme);
	(void)curl_easy_setopt(d->curl, CURLOPT_REDIR_PROTOCOLS, scheme);
#endif
}

static void set_headers(struct download *d)
{
	char range[48];

	curl_slist_free_all(d->headers);
	d->headers = NULL;
	if (d->options.bearer)
		add_header(d, "Authorization: Bearer ", d->options.bearer);
	d->ranged = d->have > 0 && d->validator;
	if (d->ranged) {
		(void)snprintf(range, sizeof(range), "%lld-", (long long)d->have);
		(void)curl_easy_setopt(d->curl, CURLOPT_RANGE, range);
		add_header(d, "If-Range: ", d->validator);
	}
	(void)curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, d->headers);
}

/* None of these can fail but for want of memory, which the transfer would tell. */
static void set_options(struct download *d)
{
	const struct download_options *o = &d->options;

	curl_easy_reset(d->curl);
	(void)curl_easy_setopt(d->curl, CURLOPT_URL, o->url);
	set_protocols(d);
	set_headers(d);
	(void)curl_easy_setopt(d->curl, CURLOPT_FOLLOWLOCATION, o->direct ? 0L : 1L);
	(void)curl_easy_setopt(d->curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	if (o->direct)
		(void)curl_easy_setopt(d->curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(d->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(d->curl, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(d->curl, CURLOPT_BUFFERSIZE, 65536L);
	(void)curl_easy_setopt(d->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	(void)curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_LIMIT, (long)o->low_speed_bytes);
	(void)curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_TIME, (long)o->low_speed_s);
	(void)curl_easy_setopt(d->curl, CURLOPT_ERRORBUFFER, d->curl_message);
	(void)curl_easy_setopt(d->curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(d->curl, CURLOPT_WRITEDATA, d);
	(void)curl_easy_setopt(d->curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(d->curl, CURLOPT_HEADERDATA, d);
	(void)curl_easy_setopt(d->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	(void)curl_easy_setopt(d->curl, CURLOPT_USERAGENT, "fleet-agent/" PACKAGE_VERSION);
	(void)curl_easy_setopt(d->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (o->ca_file) { /* these, and not also the system's */
		(void)curl_easy_setopt(d->curl, CURLOPT_CAINFO, o->ca_file);
		(void)curl_easy_setopt(d->curl, CURLOPT_CAPATH, NULL);
	}
	if (o->cert_file)
		(void)curl_easy_setopt(d->curl, CURLOPT_SSLCERT, o->cert_file);
	if (o->key_file)
		(void)curl_easy_setopt(d->curl, CURLOPT_SSLKEY, o->key_file);
}

static void begin_attempt(struct download *d)
{
	reply_begin(&d->reply);
	d->curl_message[0] = '\0';
	d->body_begun = false;
	if (!d->validator && d->have > 0 && begin_anew(d) < 0) {
		finish(d, &d->fatal);
		return;
	}
	d->had = d->have;
	set_options(d);
	if (curl_loop_add(d->loop, d->curl, &d->transfer) < 0)
		abort(); /* out of memory */
	d->running = true;
}

static void on_wait(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	begin_attempt(arg);
}

/* d->last says why. */
static void try_again(struct download *d)
{
	int64_t wait_ms = d->options.first_wait_ms, left = d->deadline_ms - fleet_clock_monotonic_ms();
	curl_off_t retry_after = 0;
	unsigned char dice = 0;

	d->failures = d->have > d->had ? 0 : d->failures + 1;
	for (unsigned i = 0; i < d->failures && wait_ms < WAIT_MS_MAX; i++)
		wait_ms *= 2;
	if (wait_ms > WAIT_MS_MAX)
		wait_ms = WAIT_MS_MAX;
	if (curl_easy_getinfo(d->curl, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK && retry_after > 0 &&
		retry_after <= RETRY_AFTER_MAX && retry_after * 1000 > wait_ms)
		wait_ms = retry_after * 1000;
	fleet_random(&dice, sizeof(dice));
	wait_ms += wait_ms * dice / (5 * 255); /* up to 20 %: a fleet updates at the same time */
	if (wait_ms >= left)
		finish(d, &d->last);
	else
		set_ms(d->wait, wait_ms);
}

static void judge_answer(struct download *d, long status)
{
	if (status == 200 || (status == 206 && d->ranged)) {
		if (!d->body_begun && begin_body(d) < 0) {
			if (d->fatal.code)
				finish(d, &d->fatal);
			else
				try_again(d);
		} else if (d->total >= 0 && d->have < d->total) {
			(void)fleet_error_set(&d->last, -ECONNRESET,
				"the server ended its answer before the file was complete");
			try_again(d);
		} else {
			finish(d, NULL);
		}
		return;
	}
	(void)fleet_error_set(&d->last, -EPROTO, "the server answered %ld%s", status,
		status >= 300 && status < 400 ? ", which is not followed" : "");
	if (status == 416 && d->ranged) { /* what we have is not a part of what is there now */
		free(TAKE_PTR(d->validator));
		try_again(d);
	} else if (explain_is_temporary_status(status)) {
		try_again(d);
	} else {
		finish(d, &d->last);
	}
}

static void on_done(CURL *curl, CURLcode code, void *arg)
{
	struct download *d = arg;
	long status = explain_status(curl);
	const char *scheme = d->reply.location_scheme, *own = d->https ? "https" : "http";

	d->running = false;
	if (d->fatal.code) {
		finish(d, &d->fatal);
	} else if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && !d->body_begun)) {
		judge_answer(d, status);
	} else if (code == CURLE_WRITE_ERROR) { /* begin_body said why in d->last */
		try_again(d);
	} else if (code == CURLE_UNSUPPORTED_PROTOCOL && scheme && strcasecmp(scheme, own) != 0) {
		(void)fleet_error_set(&d->last, -EPROTO,
			"the server redirects from %s to another scheme (%s), which is not followed", own,
			scheme);
		finish(d, &d->last);
	} else {
		(void)explain_failure(curl, code, d->curl_message, &d->last);
		if (explain_is_temporary(code))
			try_again(d);
		else
			finish(d, &d->last);
	}
}

/* ---- time ---- */

static void on_deadline(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct download *d = arg;
	struct fleet_error err = FLEET_ERROR_INIT;
	char have[32], total[32];

	explain_bytes(d->have, have, sizeof(have));
	explain_bytes(d->total, total, sizeof(total));
	(void)fleet_error_set(&err, -ETIMEDOUT, "the time is over after %lld s, with %s%s%s here%s%s",
		(long long)(d->options.timeout_ms / 1000), have, d->total >= 0 ? " of " : "",
		d->total >= 0 ? total : "", d->last.code ? "; at last " : "", d->last.message);
	finish(d, &err);
}

static void on_tick(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct download *d = arg;
	int percent = d->total > 0 ? (int)(d->have * 100 / d->total) : -1;
	char have[32], total[32], text[FLEET_TEXT_MAX];

	explain_bytes(d->have, have, sizeof(have));
	explain_bytes(d->total, total, sizeof(total));
	if (!d->running && d->last.code)
		(void)snprintf(text, sizeof(text), "%.700s; %s %s here, trying again", d->last.message, have,
			d->have == 1 ? "is" : "are");
	else if (d->have == 0)
		(void)snprintf(text, sizeof(text), "from %s", d->host);
	else if (d->total >= 0)
		(void)snprintf(text, sizeof(text), "%s of %s", have, total);
	else
		(void)snprintf(text, sizeof(text), "%s", have);
	if (str_equal(text, d->told))
		return;
	(void)snprintf(d->told, sizeof(d->told), "%s", text);
	d->events->progress(percent, text, d->arg);
}

/* ---- life ---- */

static int check_url(struct download *d, const char *url, struct fleet_error *err)
{
	CURLU *parts = curl_url();
	char *host = NULL;
	bool good;

	d->https = strncasecmp(url, "https://", 8) == 0;
	good = (d->https || strncasecmp(url, "http://", 7) == 0) && strlen(url) <= FLEET_URL_LEN_MAX &&
	       curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
	       curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK;
	for (const char *p = url; good && *p; p++)
		good = (unsigned char)*p > ' ' && *p != 0x7f;
	if (good)
		d->host = xstrdup(host);
	curl_free(host);
	curl_url_cleanup(parts);
	return good ? 0 : fleet_error_set(err, -EINVAL, "that is no URL of http or https");
}

static int64_t or_default(int64_t value, int64_t otherwise)
{
	return value > 0 ? value : otherwise;
}

int download_start(struct event_base *base, struct curl_loop *loop, const struct download_options *options,
	const struct download_events *events, void *arg, struct download **ret, struct fleet_error *err)
{
	const struct timeval second = {.tv_sec = 1};
	struct download *d = xcalloc(1, sizeof(*d));
	struct download_options *o = &d->options;
	int r;

	d->base = base;
	d->loop = loop;
	d->events = events;
	d->arg = arg;
	d->total = -1;
	d->transfer = (struct curl_transfer){.done = on_done, .arg = d};
	*o = *options;
	o->url = xstrdup(options->url);
	o->bearer = xstrdup(options->bearer);
	o->ca_file = xstrdup(options->ca_file);
	o->cert_file = xstrdup(options->cert_file);
	o->key_file = xstrdup(options->key_file);
	o->low_speed_bytes = or_default(o->low_speed_bytes, LOW_SPEED_BYTES);
	o->low_speed_s = or_default(o->low_speed_s, LOW_SPEED_S);
	o->first_wait_ms = or_default(o->first_wait_ms, FIRST_WAIT_MS);
	o->reserve_bytes = or_default(o->reserve_bytes, RESERVE_BYTES);
	d->curl = curl_easy_init();
	d->wait = evtimer_new(base, on_wait, d);
	d->deadline = evtimer_new(base, on_deadline, d);
	d->tick = event_new(base, -1, EV_PERSIST, on_tick, d);
	if (!d->curl || !d->wait || !d->deadline || !d->tick || event_add(d->tick, &second) < 0)
		abort(); /* out of memory */
	r = check_url(d, o->url, err);
	if (r < 0) {
		download_free(d);
		return r;
	}
	download_extend(d, o->max_bytes, o->timeout_ms);
	event_active(d->tick, EV_TIMEOUT, 0);
	set_ms(d->wait, 0);
	*ret = d;
	return 0;
}

void download_extend(struct download *d, int64_t max_bytes, int64_t timeout_ms)
{
	d->options.max_bytes = max_bytes;
	d->options.timeout_ms = timeout_ms;
	d->deadline_ms = fleet_clock_monotonic_ms() + timeout_ms;
	set_ms(d->deadline, timeout_ms);
}

void download_free(struct download *d)
{
	if (!d)
		return;
	if (d->running)
		curl_loop_remove(d->loop, d->curl);
	curl_easy_cleanup(d->curl);
	curl_slist_free_all(d->headers);
	if (d->wait)
		event_free(d->wait);
	if (d->deadline)
		event_free(d->deadline);
	if (d->tick)
		event_free(d->tick);
	reply_done(&d->reply);
	free(d->validator);
	free(d->host);
	free((void *)(uintptr_t)d->options.url);
	free((void *)(uintptr_t)d->options.bearer);
	free((void *)(uintptr_t)d->options.ca_file);
	free((void *)(uintptr_t)d->options.cert_file);
	free((void *)(uintptr_t)d->options.key_file);
	(void)close(d->options.fd); /* the agent checks its length */
	free(d);
}
