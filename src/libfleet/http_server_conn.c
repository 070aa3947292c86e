/* What a connection of evhttp's lacks: a bound for a whole request. evhttp's own timeout begins anew with
 * every byte, so that a client could hold a connection for ever by sending one now and then. From the first
 * byte of a request to the first of its answer there is as much time as evhttp gives for one byte.
 *
 * evhttp makes a connection's objects where we see its bufferevent only. A connection is known here from its
 * first byte on: its close callback tells when it goes, and passes that on to whoever asked last (the request
 * or the stream under way). */
#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>
#include <search.h>
#include <sys/socket.h>
#include "http_server_internal.h"

struct fleet_http_conn {
	struct bufferevent *bev; /* evhttp's; the key */
	struct event *deadline;
	struct timeval timeout; /* evhttp's */
	bool is_timing;
	fleet_http_closed *on_closed;
	void *arg;
};

static _Thread_local void *conns; /* tsearch's tree */

static int compare(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t)((const struct fleet_http_conn *)a)->bev;
	const uintptr_t y = (uintptr_t)((const struct fleet_http_conn *)b)->bev;

	return x < y ? -1 : x > y;
}

static struct fleet_http_conn *find(struct bufferevent *bev)
{
	const struct fleet_http_conn key = {.bev = bev};
	void *const *node = tfind(&key, &conns, compare);

	return node ? *node : NULL;
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg);

static void conn_free(struct fleet_http_conn *conn)
{
	(void)tdelete(conn, &conns, compare);                                       /* it is there */
	(void)evbuffer_remove_cb(bufferevent_get_input(conn->bev), on_input, conn); /* likewise */
	event_free(conn->deadline);
	free(conn);
}

static void on_closed(struct evhttp_connection *evcon, void *arg)
{
	struct fleet_http_conn *conn = arg;
	fleet_http_closed *told = conn->on_closed;
	void *told_arg = conn->arg;

	conn_free(conn);
	if (told)
		told(evcon, told_arg);
}

static void on_deadline(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct fleet_http_conn *conn = arg;
	bufferevent_data_cb on_read = NULL;

	conn->is_timing = false;
	bufferevent_getcb(conn->bev, &on_read, NULL, NULL, NULL);
	/* While the request is with its handler, or the answer under way, evhttp reads nothing. */
	if (on_read && bufferevent_get_enabled(conn->bev) & EV_READ)
		(void)shutdown(
			bufferevent_getfd(conn->bev), SHUT_RDWR); /* evhttp hears of it as the client's end */
}

static void start_timing(struct fleet_http_conn *conn)
{
	if (conn->is_timing)
		return;
	conn->is_timing = event_add(conn->deadline, &conn->timeout) == 0; /* else it goes without */
}

static void on_input(struct evbuffer *input FLEET_UNUSED, const struct evbuffer_cb_info *info, void *arg)
{
	if (info->n_added > 0)
		start_timing(arg);
}

static void on_first_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct bufferevent *bev = arg;
	struct fleet_http_conn *conn;
	void *evcon = NULL;

	if (info->n_added == 0)
		return;
	bufferevent_getcb(
		bev, NULL, NULL, NULL, &evcon); /* the argument of evhttp's callbacks is its connection */
	conn = xcalloc(1, sizeof(*conn));
	conn->bev = bev;
	conn->timeout = bev->timeout_read;
	conn->deadline = evtimer_new(bufferevent_get_base(bev), on_deadline, conn);
	if (!conn->deadline || !tsearch(conn, &conns, compare) || !evbuffer_add_cb(input, on_input, conn))
		abort();                                      /* out of memory, as in xmalloc */
	(void)evbuffer_remove_cb(input, on_first_input, bev); /* it is there: we are in it */
	evhttp_connection_set_closecb(evcon, on_closed, conn);
	start_timing(conn);
}

static void on_output(struct evbuffer *output FLEET_UNUSED, const struct evbuffer_cb_info *info, void *arg)
{
	struct fleet_http_conn *conn = info->n_added > 0 ? find(arg) : NULL;

	if (!conn || !conn->is_timing)
		return;
	conn->is_timing = false;
	(void)event_del(conn->deadline); /* cannot fail */
}

void fleet_http_conn_watch(struct bufferevent *bev)
{
	if (!evbuffer_add_cb(bufferevent_get_input(bev), on_first_input, bev) ||
		!evbuffer_add_cb(bufferevent_get_output(bev), on_output, bev))
		abort(); /* out of memory, as in xmalloc: nothing would tell of the connection's end */
}

void fleet_http_conn_on_closed(struct evhttp_connection *evcon, fleet_http_closed *on_closed_fn, void *arg)
{
	struct fleet_http_conn *conn = find(evhttp_connection_get_bufferevent(evcon));

	conn->on_closed = on_closed_fn; /* it is known: a request has come */
	conn->arg = arg;
}

void fleet_http_conn_forget(struct evhttp_connection *evcon)
{
	evhttp_connection_set_closecb(evcon, NULL, NULL);
	conn_free(find(evhttp_connection_get_bufferevent(evcon)));
}
