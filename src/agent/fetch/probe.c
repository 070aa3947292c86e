#include "agent/fetch/probe.h"
#include "agent/fetch/explain.h"
#include "fleet/limits.h"

#define BODY_MAX 65536 /* of an answer that nobody reads */

struct probe {
	struct curl_loop *loop;
	CURL *curl;
	struct curl_transfer transfer;
	bool running, port; /* port: only connect */
	char *path;         /* of the URL, without what follows a question mark */
	size_t seen;
	int64_t timeout_ms;
	probe_done_fn *done;
	void *arg;
	char message[CURL_ERROR_SIZE];
};

static size_t on_body(char *data FLEET_UNUSED, size_t size, size_t count, void *arg)
{
	struct probe *p = arg;

	p->seen += size * count;
	return p->seen > BODY_MAX ? 0 : size * count;
}

static void on_done(CURL *curl, CURLcode code, void *arg)
{
	struct probe *p = arg;
	struct fleet_error err = FLEET_ERROR_INIT;
	long status = p->port ? 0 : explain_status(curl);
	char detail[FLEET_TEXT_MAX];
	bool ok;

	p->running = false;
	/* an answer that is longer than we read is an answer all the same */
	if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && status > 0)) {
		ok = p->port || (status >= 200 && status < 300);
		if (p->port)
			(void)snprintf(detail, sizeof(detail), "connected");
		else
			(void)snprintf(detail, sizeof(detail), "GET %.512s: %ld", p->path, status);
	} else {
		ok = false;
		if (code == CURLE_OPERATION_TIMEDOUT)
			(void)fleet_error_set(&err, -ETIMEDOUT, "no answer within %lld s",
				(long long)((p->timeout_ms + 999) / 1000));
		else
			(void)explain_failure(curl, code, p->message, &err);
		(void)snprintf(detail, sizeof(detail), "%s%.512s%s%.400s", p->port ? "" : "GET ",
			p->port ? "" : p->path, p->port ? "" : ": ", err.message);
	}
	p->done(ok, detail, p->arg);
}

/* The URL of host:port, owned; NULL where it is none. */
static char *url_of_port(const char *tcp)
{
	const char *colon = strrchr(tcp, ':');
	size_t host = colon ? (size_t)(colon - tcp) : 0;
	bool bracketed = tcp[0] == '[' && host > 2 && colon[-1] == ']';
	const char *allowed = bracketed ? "0123456789abcdefABCDEF:.%[]"
					: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";

	if (host == 0 || strspn(tcp, allowed) < host ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
		strtol(colon + 1, NULL, 10) < 1 || strtol(colon + 1, NULL, 10) > 65535)
		return NULL;
	return xasprintf("http://%s/", tcp);
}

/* What a person may see of it; owned. */
static char *path_of(const char *url)
{
	CURLU *parts = curl_url();
	char *path = NULL, *copy = NULL;

	if (curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK)
		copy = xstrdup(path);
	curl_free(path);
	curl_url_cleanup(parts);
	return copy;
}

static bool is_http(const char *url)
{
	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static void set_options(struct probe *p, const char *url)
{
	/* None of these can fail but for want of memory, which the transfer would tell. */
	(void)curl_easy_setopt(p->curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	(void)curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	(void)curl_easy_setopt(p->curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(p->curl, CURLOPT_CONNECT_ONLY, p->port ? 1L : 0L);
	(void)curl_easy_setopt(p->curl, CURLOPT_FRESH_CONNECT, 1L);
	(void)curl_easy_setopt(p->curl, CURLOPT_FORBID_REUSE, 1L);
	(void)curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, (long)p->timeout_ms);
	(void)curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)p->timeout_ms);
	(void)curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYPEER, 0L);
	(void)curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYHOST, 0L);
	(void)curl_easy_setopt(p->curl, CURLOPT_ERRORBUFFER, p->message);
	(void)curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p);
	(void)curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "fleet-agent/" PACKAGE_VERSION);
}

int probe_start(struct curl_loop *loop, const char *url, const char *tcp, int64_t timeout_ms,
	probe_done_fn *done, void *arg, struct probe **ret, struct fleet_error *err)
{
	_cleanup_free_ char *port_url = tcp ? url_of_port(tcp) : NULL;
	char *path = port_url ? NULL : url && is_http(url) ? path_of(url) : NULL;
	struct probe *p;

	if ((url && tcp) || (!port_url && !path)) {
		free(path);
		return fleet_error_set(err, -EINVAL, "%s",
			tcp && !url   ? "the tcp check is no host:port"
			: url && !tcp ? "the url check is no URL of http or https"
				      : "a probe asks either a url or a tcp port");
	}
	p = xcalloc(1, sizeof(*p));
	p->loop = loop;
	p->port = port_url != NULL;
	p->path = path;
	p->timeout_ms = timeout_ms;
	p->done = done;
	p->arg = arg;
	p->transfer = (struct curl_transfer){.done = on_done, .arg = p};
	p->curl = curl_easy_init();
	if (!p->curl)
		abort(); /* out of memory */
	set_options(p, port_url ? port_url : url);
	if (curl_loop_add(loop, p->curl, &p->transfer) < 0)
		abort(); /* out of memory */
	p->running = true;
	*ret = p;
	return 0;
}

void probe_free(struct probe *p)
{
	if (!p)
		return;
	if (p->running)
		curl_loop_remove(p->loop, p->curl);
	curl_easy_cleanup(p->curl);
	free(p->path);
	free(p);
}
