#include "agent/fetch/curl_loop.h"

struct curl_loop {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
};

/* One socket of libcurl's. */
struct watched {
	struct curl_loop *loop;
	struct event *event;
};

static void take_ends(struct curl_loop *loop)
{
	const CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(loop->multi, &left))) {
		struct curl_transfer *transfer = NULL;
		CURL *curl = message->easy_handle;
		CURLcode code = message->data.result; /* the message goes with the handle */

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(
			curl, CURLINFO_PRIVATE, (char **)&transfer); /* set by curl_loop_add */
		(void)curl_multi_remove_handle(loop->multi, curl);   /* it is there */
		transfer->done(curl, code, transfer->arg);
	}
}

static void act(struct curl_loop *loop, curl_socket_t socket, int flags)
{
	int running;

	/* fails for an invalid handle only */
	(void)curl_multi_socket_action(loop->multi, socket, flags, &running);
	take_ends(loop);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	const struct watched *w = arg;

	act(w->loop, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void forget(struct watched *w)
{
	if (!w)
		return;
	if (w->event)
		event_free(w->event);
	free(w);
}

/* libcurl says what it waits for. */
static int watch(CURL *curl FLEET_UNUSED, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct curl_loop *loop = arg;
	struct watched *w = socket_arg;
	short events = EV_PERSIST;

	if (what == CURL_POLL_REMOVE) {
		forget(w);
		(void)curl_multi_assign(loop->multi, fd, NULL); /* fails for an unknown socket only */
		return 0;
	}
	if (!w) {
		w = xcalloc(1, sizeof(*w));
		w->loop = loop;
		if (curl_multi_assign(loop->multi, fd, w) != CURLM_OK) {
			free(w);
			return -1;
		}
	}
	if (w->event)
		event_free(w->event);
	if (what != CURL_POLL_OUT)
		events |= EV_READ;
	if (what != CURL_POLL_IN)
		events |= EV_WRITE;
	w->event = event_new(loop->base, fd, events, on_socket, w);
	return w->event && event_add(w->event, NULL) == 0 ? 0 : -1;
}

static int set_timer(CURLM *multi FLEET_UNUSED, long ms, void *arg)
{
	struct curl_loop *loop = arg;
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	return ms < 0 ? event_del(loop->timer) : event_add(loop->timer, &tv);
}

struct curl_loop *curl_loop_new(struct event_base *base)
{
	struct curl_loop *loop = xcalloc(1, sizeof(*loop));

	loop->base = base;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(loop);
		return NULL;
	}
	loop->multi = curl_multi_init();
	loop->timer = evtimer_new(base, on_timer, loop);
	if (!loop->multi || !loop->timer ||
		curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, watch) != CURLM_OK ||
		curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop) != CURLM_OK ||
		curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, set_timer) != CURLM_OK ||
		curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop) != CURLM_OK) {
		curl_loop_free(loop);
		return NULL;
	}
	return loop;
}

void curl_loop_free(struct curl_loop *loop)
{
	if (!loop)
		return;
	if (loop->multi)
		(void)curl_multi_cleanup(
			loop->multi); /* calls watch and set_timer: the events are still there */
	if (loop->timer)
		event_free(loop->timer);
	curl_global_cleanup();
	free(loop);
}

int curl_loop_add(struct curl_loop *loop, CURL *curl, struct curl_transfer *transfer)
{
	if (curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer) != CURLE_OK ||
		curl_multi_add_handle(loop->multi, curl) != CURLM_OK)
		return -ENOMEM;
	return 0;
}

void curl_loop_remove(struct curl_loop *loop, CURL *curl)
{
	(void)curl_multi_remove_handle(loop->multi, curl); /* fails for a handle of another loop only */
}
