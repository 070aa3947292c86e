/* Taking a connection away from evhttp (Upgrade). A duplicate of the descriptor leaves, and under TLS the
 * state of the encryption with it; evhttp keeps its own objects until the loop runs again, because we are
 * inside one of its calls. Freeing its connection would shut the socket down, so /dev/null takes the old
 * descriptor's place first. Nothing of evhttp stays behind an idle connection. */
#include <event2/http.h>
#include <event2/http_struct.h>
#include <fcntl.h>
#include "fleet/tls.h"
#include "http_server_internal.h"

struct fleet_http_leaving {
	LIST_ENTRY(fleet_http_leaving) link;
	struct evhttp_connection *evcon;
};

static void on_freed(struct evhttp_connection *evcon FLEET_UNUSED, void *arg)
{
	struct fleet_http_leaving *leaving = arg;

	LIST_REMOVE(leaving, link);
	free(leaving);
}

void fleet_http_leaving_reap(struct fleet_http_server *server)
{
	struct fleet_http_leaving *leaving;

	while ((leaving = LIST_FIRST(&server->leaving))) {
		struct bufferevent *bev = evhttp_connection_get_bufferevent(leaving->evcon);
		_cleanup_close_ FLEET_UNUSED int fd = fleet_tls_is_on(bev) ? bufferevent_getfd(bev) : -1;

		evhttp_connection_free(leaving->evcon); /* calls on_freed */
	}
}

/* The connection of old goes on over fd, which it takes. */
static struct bufferevent *go_on(struct fleet_http_server *server, struct bufferevent *old, int fd)
{
	const bool tls = fleet_tls_is_on(old);
	struct bufferevent *bev = tls ? fleet_tls_take_over(server->base, old, fd)
				      : bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	struct evbuffer *input;

	if (!bev)
		abort(); /* out of memory, as in xmalloc */
	/* What came behind the request's end is the new owner's: evhttp read it, we put it back. */
	input = bufferevent_get_input(bev);
	if (!tls)
		(void)evbuffer_unfreeze(input, 0); /* cannot fail */
	if (evbuffer_add_buffer(input, bufferevent_get_input(old)) < 0)
		abort(); /* likewise */
	if (!tls)
		(void)evbuffer_freeze(input, 0);
	return bev;
}

int fleet_http_take_over(
	struct fleet_http_request *req, struct bufferevent **ret_bev, struct fleet_error *err)
{
	static const struct timeval now = {0, 0};
	struct fleet_http_server *server = req->server;
	struct fleet_http_leaving *leaving;
	struct bufferevent *bev;
	_cleanup_close_ int fd = -1;
	int old_fd;

	if (!req->evcon || !server)
		return fleet_error_set(err, -ENOTCONN, "the client has left");
	bev = evhttp_connection_get_bufferevent(req->evcon);
	old_fd = bufferevent_getfd(bev);
	fd = fcntl(old_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot take the connection over");
	/* Both events leave epoll here, while the descriptor is still the socket. */
	if (bufferevent_disable(bev, EV_READ | EV_WRITE) < 0)
		return fleet_error_set(err, -EIO, "cannot take the connection over");
	if (dup3(server->null_fd, old_fd, O_CLOEXEC) < 0)
		return fleet_error_errno(err, -errno, "cannot take the connection over");
	leaving = xcalloc(1, sizeof(*leaving));
	leaving->evcon = req->evcon;
	LIST_INSERT_HEAD(&server->leaving, leaving, link);
	(void)fleet_http_request_release(req); /* freed with its connection */
	fleet_http_conn_forget(leaving->evcon);
	evhttp_connection_set_closecb(leaving->evcon, on_freed, leaving);
	(void)event_add(server->reaper, &now); /* where it fails the next one reaps this, too */
	fleet_http_request_free(req);
	*ret_bev = go_on(server, bev, TAKE_FD(fd));
	return 0;
}
