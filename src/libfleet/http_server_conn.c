/* What a connection of evhttp's lacks: a bound for a whole request. evhttp's own timeout begins anew with
 * every byte, so that a client could hold a connection for ever by sending one now and then. From the first
 * byte of a request to the first of its answer there is as much time as evhttp gives for one byte.
 *
 * Whole bodies are read before anybody can judge who sends them. So that one address cannot fill the memory
 * with them, no more than FLEET_PREAUTH_PER_ADDRESS_MAX of its connections have that time unless they have
 * shown a credential (fleet_http_set_known); any further one has CROWDED_S. Those of honest clients need
 * milliseconds.
 *
 * Under TLS a request's first byte comes late; from the connection on until then, fleet_tls_accept's bound
 * holds.
 *
 * evhttp makes a connection's objects where we see its bufferevent only. A connection is known here from its
 * first byte on: its close callback tells when it goes, and passes that on to whoever asked last (the request
 * or the stream under way). */
#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>
#include <netinet/in.h>
#include <search.h>
#include <sys/socket.h>
#include "fleet/tls.h"
#include "http_server_internal.h"

#define CROWDED_S 2

struct fleet_http_conn {
	LIST_ENTRY(fleet_http_conn) link; /* in unknown_conns */
	struct in6_addr address;          /* of the peer; an IPv4 one in its first bytes */
	bool is_known;
	struct bufferevent *bev; /* evhttp's; the key */
	struct event *deadline;
	struct timeval timeout; /* evhttp's */
	bool is_timing;
	fleet_http_closed *on_closed;
	void *arg;
};

static _Thread_local void *conns; /* tsearch's tree */
static _Thread_local LIST_HEAD(, fleet_http_conn) unknown_conns = LIST_HEAD_INITIALIZER(unknown_conns);

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
	if (!conn->is_known)
		LIST_REMOVE(conn, link);
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

static struct in6_addr address_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = {{0}};
	struct in6_addr address = IN6ADDR_ANY_INIT; /* they count together where the peer cannot be told */
	socklen_t len = sizeof(a);

	if (getpeername(fd, &a.any, &len) == 0 && a.any.sa_family == AF_INET6)
		address = a.v6.sin6_addr;
	else if (a.any.sa_family == AF_INET)
		memcpy(&address, &a.v4.sin_addr, sizeof(a.v4.sin_addr));
	return address;
}

static bool is_crowded(const struct in6_addr *address)
{
	const struct fleet_http_conn *conn;
	unsigned count = 0;

	LIST_FOREACH(conn, &unknown_conns, link)
	if (memcmp(&conn->address, address, sizeof(*address)) == 0 &&
		++count >= FLEET_PREAUTH_PER_ADDRESS_MAX)
		return true;
	return false;
}

static void on_first_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct bufferevent *bev = arg;
	struct fleet_http_conn *conn;
	void *evcon = NULL;

	if (info->n_added == 0)
		return;
	fleet_tls_settled(bev);
	bufferevent_getcb(
		bev, NULL, NULL, NULL, &evcon); /* the argument of evhttp's callbacks is its connection */
	conn = xcalloc(1, sizeof(*conn));
	conn->bev = bev;
	conn->timeout = bev->timeout_read;
	conn->address = address_of(bufferevent_getfd(bev));
	if (conn->timeout.tv_sec > CROWDED_S && is_crowded(&conn->address))
		conn->timeout = (struct timeval){CROWDED_S, 0};
	LIST_INSERT_HEAD(&unknown_conns, conn, link);
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

	if (!conn)
		abort(); /* a request has come on it, so it was found before */
	conn->on_closed = on_closed_fn;
	conn->arg = arg;
}

void fleet_http_set_known(struct fleet_http_request *req)
{
	struct fleet_http_conn *conn =
		req->evcon ? find(evhttp_connection_get_bufferevent(req->evcon)) : NULL;

	if (!conn || conn->is_known || !req->server)
		return;
	LIST_REMOVE(conn, link);
	conn->is_known = true;
	conn->timeout = req->server->timeout;
}

void fleet_http_conn_forget(struct evhttp_connection *evcon)
{
	evhttp_connection_set_closecb(evcon, NULL, NULL);
	conn_free(find(evhttp_connection_get_bufferevent(evcon)));
}
