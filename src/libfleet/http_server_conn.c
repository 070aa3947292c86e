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
 * Connections themselves cost too, be they silent. Of those that have not shown a credential one address may
 * hold FLEET_PREAUTH_CONNECTIONS_MAX; a further one is closed as it comes. All together may hold
 * FLEET_PREAUTH_ALL_MAX, or half of the descriptors there are: then the oldest goes for the newest, which may
 * be somebody who knows a key.
 *
 * evhttp makes a connection's objects where we see its bufferevent only. We find them when its accept is
 * through and nothing has been read yet, by an event of our own that is active at once. The connection's
 * close callback tells when it goes, and passes that on to whoever asked last (the request or the stream
 * under way).
 */
#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>
#include <netinet/in.h>
#include <search.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "fleet/tls.h"
#include "http_server_internal.h"

#define CROWDED_S 2

struct fleet_http_conn {
	TAILQ_ENTRY(fleet_http_conn) link; /* in unknown_conns */
	struct in6_addr address;           /* of the peer, as address_of gives it */
	bool is_known, has_spoken;
	struct bufferevent *bev; /* evhttp's; the key */
	struct event *deadline;
	struct timeval timeout; /* evhttp's */
	bool is_timing;
	fleet_http_closed *on_closed;
	void *arg;
};

static _Thread_local void *conns; /* tsearch's tree */
TAILQ_HEAD(conn_queue, fleet_http_conn);
static _Thread_local struct conn_queue unknown_conns; /* the oldest first; made with the first */
static _Thread_local size_t unknown_count;

/* A bufferevent whose connection is still to be found. */
struct fleet_http_newcomer {
	LIST_ENTRY(fleet_http_newcomer) link;
	struct bufferevent *bev; /* evhttp's */
	struct event *event;
};

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

static void set_known(struct fleet_http_conn *conn)
{
	if (conn->is_known)
		return;
	TAILQ_REMOVE(&unknown_conns, conn, link);
	unknown_count--;
	conn->is_known = true;
}

static void conn_free(struct fleet_http_conn *conn)
{
	set_known(conn);
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

/* Unless the request is with its handler, or the answer under way: then evhttp reads nothing. */
static void hang_up(struct fleet_http_conn *conn)
{
	bufferevent_data_cb on_read = NULL;

	bufferevent_getcb(conn->bev, &on_read, NULL, NULL, NULL);
	if (on_read && bufferevent_get_enabled(conn->bev) & EV_READ)
		(void)shutdown(
			bufferevent_getfd(conn->bev), SHUT_RDWR); /* evhttp hears of it as the client's end */
}

static void on_deadline(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct fleet_http_conn *conn = arg;

	conn->is_timing = false;
	hang_up(conn);
}

static void start_timing(struct fleet_http_conn *conn)
{
	if (conn->is_timing)
		return;
	conn->is_timing = event_add(conn->deadline, &conn->timeout) == 0; /* else it goes without */
}

/* An IPv4 address in the first bytes; of an IPv6 one the first half: the other is one customer's to choose.
 */
static struct in6_addr address_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = {{0}};
	struct in6_addr address = IN6ADDR_ANY_INIT; /* they count together where the peer cannot be told */
	socklen_t len = sizeof(a);

	if (getpeername(fd, &a.any, &len) < 0)
		return address;
	if (a.any.sa_family == AF_INET)
		memcpy(&address, &a.v4.sin_addr, 4);
	else if (a.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr))
		memcpy(&address, a.v6.sin6_addr.s6_addr + 12, 4);
	else if (a.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr))
		memcpy(&address, (const unsigned char[]){127, 0, 0, 1}, 4);
	else if (a.any.sa_family == AF_INET6)
		memcpy(&address, &a.v6.sin6_addr, 8);
	return address;
}

/* A proxy on this machine brings everybody. */
static bool is_this_machine(const struct in6_addr *address)
{
	static const struct in6_addr loopback = {{{127, 0, 0, 1}}};

	return memcmp(address, &loopback, sizeof(loopback)) == 0;
}

/* Connections of this address that have shown no credential; only those that have sent something. */
static unsigned count_unknown(const struct in6_addr *address, bool only_spoken)
{
	const struct fleet_http_conn *conn;
	unsigned count = 0;

	TAILQ_FOREACH(conn, &unknown_conns, link)
	count += memcmp(&conn->address, address, sizeof(*address)) == 0 && (conn->has_spoken || !only_spoken);
	return count;
}

static void on_input(struct evbuffer *input FLEET_UNUSED, const struct evbuffer_cb_info *info, void *arg)
{
	struct fleet_http_conn *conn = arg;

	if (info->n_added == 0)
		return;
	if (!conn->has_spoken) {
		fleet_tls_settled(conn->bev);
		if (conn->timeout.tv_sec > CROWDED_S &&
			count_unknown(&conn->address, true) >= FLEET_PREAUTH_PER_ADDRESS_MAX)
			conn->timeout = (struct timeval){CROWDED_S, 0};
		conn->has_spoken = true;
	}
	start_timing(conn);
}

static size_t unknown_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 2 > FLEET_PREAUTH_ALL_MAX)
		return FLEET_PREAUTH_ALL_MAX;
	return (size_t)limit.rlim_cur / 2;
}

/* It goes when the loop turns again, and is counted no more from now on. */
static void send_away(struct fleet_http_conn *conn)
{
	hang_up(conn);
	set_known(conn);
}

static void begin(struct bufferevent *bev)
{
	struct fleet_http_conn *conn = xcalloc(1, sizeof(*conn));
	struct evbuffer *input = bufferevent_get_input(bev);
	void *evcon = NULL;

	bufferevent_getcb(
		bev, NULL, NULL, NULL, &evcon); /* the argument of evhttp's callbacks is its connection */
	conn->bev = bev;
	conn->timeout = bev->timeout_read;
	conn->address = address_of(bufferevent_getfd(bev));
	conn->deadline = evtimer_new(bufferevent_get_base(bev), on_deadline, conn);
	if (!conn->deadline || !tsearch(conn, &conns, compare) || !evbuffer_add_cb(input, on_input, conn))
		abort(); /* out of memory, as in xmalloc */
	evhttp_connection_set_closecb(evcon, on_closed, conn);
	if (!unknown_conns.tqh_last)
		TAILQ_INIT(&unknown_conns);
	TAILQ_INSERT_TAIL(&unknown_conns, conn, link);
	unknown_count++;
	if (count_unknown(&conn->address, false) > FLEET_PREAUTH_CONNECTIONS_MAX ||
		(!is_this_machine(&conn->address) && !fleet_http_may_connect(&conn->address)))
		send_away(conn);
	else if (unknown_count > unknown_max())
		send_away(TAILQ_FIRST(&unknown_conns));
}

static void newcomer_free(struct fleet_http_newcomer *newcomer)
{
	LIST_REMOVE(newcomer, link);
	event_free(newcomer->event);
	free(newcomer);
}

static void on_accepted(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct fleet_http_newcomer *newcomer = arg;
	struct bufferevent *bev = newcomer->bev;

	newcomer_free(newcomer);
	begin(bev);
}

static void on_output(struct evbuffer *output FLEET_UNUSED, const struct evbuffer_cb_info *info, void *arg)
{
	struct fleet_http_conn *conn = info->n_added > 0 ? find(arg) : NULL;

	if (!conn || !conn->is_timing)
		return;
	conn->is_timing = false;
	(void)event_del(conn->deadline); /* cannot fail */
}

void fleet_http_conn_watch(struct fleet_http_server *server, struct bufferevent *bev)
{
	struct fleet_http_newcomer *newcomer = xcalloc(1, sizeof(*newcomer));

	newcomer->bev = bev;
	newcomer->event = event_new(server->base, -1, 0, on_accepted, newcomer);
	if (!newcomer->event || !evbuffer_add_cb(bufferevent_get_output(bev), on_output, bev))
		abort(); /* out of memory, as in xmalloc: nothing would tell of the connection's end */
	LIST_INSERT_HEAD(&server->newcomers, newcomer, link);
	event_active(newcomer->event, EV_TIMEOUT, 0);
}

void fleet_http_conn_forget_newcomers(struct fleet_http_server *server)
{
	struct fleet_http_newcomer *newcomer = LIST_FIRST(&server->newcomers), *next;

	LIST_INIT(&server->newcomers);
	for (; newcomer; newcomer = next) {
		next = LIST_NEXT(newcomer, link);
		event_free(newcomer->event);
		free(newcomer);
	}
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
	set_known(conn);
	conn->timeout = req->server->timeout;
}

void fleet_http_conn_forget(struct evhttp_connection *evcon)
{
	evhttp_connection_set_closecb(evcon, NULL, NULL);
	conn_free(find(evhttp_connection_get_bufferevent(evcon)));
}
