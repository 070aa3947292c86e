/* The server's life: listening, one callback for every request, the end. */
#include <arpa/inet.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include "fleet/log.h"
#include "fleet/tls.h"
#include "http_server_internal.h"

/* A whole body may wait in the input buffer until its end has come; nothing needs more. */
#define INPUT_MAX (FLEET_HTTP_BODY_MAX + 4 * FLEET_HTTP_HEADERS_MAX)

static const struct timeval accept_pause = {0, 100000};

/* A listener's error callback is handed evhttp, not us: this is how it finds the server. */
static _Thread_local LIST_HEAD(, fleet_http_server) servers = LIST_HEAD_INITIALIZER(servers);

static void on_accept_again(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	(void)evconnlistener_enable(arg); /* fails only for a listener without callback */
}

/* accept() fails while descriptors are used up, and the socket stays readable: without a pause the loop
 * would spin. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	const int saved = EVUTIL_SOCKET_ERROR();
	struct fleet_http_server *server;

	LIST_FOREACH(server, &servers, link)
	if (server->http == arg)
		break;
	log_warn("cannot accept connections for the moment: %s", strerror(saved));
	if (server && event_add(server->accept_again, &accept_pause) == 0)
		(void)evconnlistener_disable(listener); /* likewise */
}

static struct bufferevent *on_new_connection(struct event_base *base, void *arg)
{
	struct fleet_http_server *server = arg;
	struct bufferevent *bev = server->tls ? fleet_tls_accept(server->tls, base, &server->timeout)
					      : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (!bev)
		abort(); /* out of memory, as in xmalloc */
	bufferevent_setwatermark(bev, EV_READ, 0, INPUT_MAX);
	fleet_http_error_pages_watch(bev);
	fleet_http_conn_watch(server, bev);
	return bev;
}

/* Only evhttp_free ends a connection whose request waits for its answer: nothing reads from it meanwhile. */
static void on_request_connection_closed(struct evhttp_connection *evcon FLEET_UNUSED, void *arg)
{
	struct fleet_http_request *req = arg;

	req->evcon = NULL;
}

static void on_request(struct evhttp_request *evreq, void *arg)
{
	struct fleet_http_server *server = arg;
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct fleet_http_route *route = NULL;
	_cleanup_free_ char *allow = NULL;
	struct fleet_http_request *req = fleet_http_request_new(server, evreq);
	int status;

	fleet_http_conn_on_closed(req->evcon, on_request_connection_closed, req);
	status = fleet_http_request_parse(req, &err);
	if (status != 0) {
		/* Where the request ends is uncertain, so nothing after it can be trusted. */
		fleet_http_add_header(req, "Connection", "close");
		fleet_http_reply_problem(req, status, status == 501 ? "not-implemented" : "invalid-request",
			NULL, "%s", err.message);
		return;
	}
	switch (fleet_http_route_find(req, &route, &allow)) {
	case 0:
		break;
	case 404:
		fleet_http_reply_problem(req, 404, "not-found", NULL, "There is nothing at %s", req->path);
		return;
	case 405:
		fleet_http_add_header(req, "Allow", allow);
		fleet_http_reply_problem(req, 405, "method-not-allowed", NULL, "%s takes %s, not %s",
			req->path, allow, req->method);
		return;
	default:
		fleet_http_reply_problem(req, 400, "invalid-request", NULL,
			"A part of the path is no valid percent-encoded UTF-8");
		return;
	}
	if (server->gate && !server->gate(req, route, server->arg))
		return;
	route->handler(req, server->arg);
}

static int bind_socket(const char *address, uint16_t port, int *ret_fd, struct fleet_error *err)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *info = NULL;
	_cleanup_close_ int fd = -1;
	char service[8];
	int yes = 1, r;

	(void)snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(address, service, &hints, &info);
	if (r != 0)
		return fleet_error_set(err, -EINVAL, "cannot listen on %s: not a numeric IP address (%s)",
			address, gai_strerror(r));
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	r = 0;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
		bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
		r = -errno;
	freeaddrinfo(info);
	if (r == -EADDRINUSE)
		return fleet_error_set(err, r,
			"cannot listen on %s port %u: the port is in use; stop the program that has it "
			"(ss -ltnp 'sport = :%u' shows it) or choose another port",
			address, port, port);
	if (r == -EACCES)
		return fleet_error_set(err, r,
			"cannot listen on %s port %u: ports below 1024 need privileges; choose a higher one",
			address, port);
	if (r < 0)
		return fleet_error_errno(err, r, "cannot listen on %s port %u", address, port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static uint16_t bound_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = {{0}};
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.any, &len) < 0)
		return 0;
	return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

static void copy_headers(struct fleet_http_server *server, const char *const *headers)
{
	size_t count = 0, i;

	while (headers && headers[count])
		count++;
	server->headers = xcalloc(count + 1, sizeof(*server->headers));
	for (i = 0; i < count; i++) {
		const char *colon = strchr(headers[i], ':');
		const char *value = colon ? colon + 1 : "";

		server->headers[i].name =
			colon ? xstrndup(headers[i], (size_t)(colon - headers[i])) : xstrdup(headers[i]);
		server->headers[i].value = xstrdup(value + strspn(value, " "));
	}
}

static void on_reap(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	fleet_http_leaving_reap(arg);
}

int fleet_http_server_new(struct event_base *base, const struct fleet_http_options *options,
	struct fleet_http_server **ret, struct fleet_error *err)
{
	struct fleet_http_server *server;
	const int64_t timeout_ms =
		options->timeout_ms > 0 ? options->timeout_ms : FLEET_HTTP_TIMEOUT_S * 1000;
	struct evhttp_bound_socket *bound;
	struct evconnlistener *listener;
	_cleanup_close_ int fd = -1;
	int r = bind_socket(options->address, options->port, &fd, err);

	if (r < 0)
		return r;
	/* A client that leaves while we write must be an error code, not the end of the program. */
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for a signal that exists */
	server = xcalloc(1, sizeof(*server));
	server->base = base;
	server->routes = options->routes;
	server->gate = options->gate;
	server->arg = options->arg;
	server->tls = options->tls;
	server->port = bound_port(fd);
	server->timeout.tv_sec = timeout_ms / 1000;
	server->timeout.tv_usec = timeout_ms % 1000 * 1000;
	server->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	LIST_INSERT_HEAD(&servers, server, link);
	LIST_INIT(&server->requests);
	LIST_INIT(&server->leaving);
	LIST_INIT(&server->newcomers);
	copy_headers(server, options->headers);
	server->http = evhttp_new(base);
	server->reaper = evtimer_new(base, on_reap, server);
	bound = server->http ? evhttp_accept_socket_with_handle(server->http, fd) : NULL;
	if (server->null_fd < 0 || !server->reaper || !bound) {
		fleet_http_server_free(server);
		return fleet_error_set(err, -ENOMEM,
			"cannot listen on %s port %u: no memory or no descriptors left", options->address,
			options->port);
	}
	(void)TAKE_FD(fd); /* the listener's now */
	listener = evhttp_bound_socket_get_listener(bound);
	server->accept_again = evtimer_new(base, on_accept_again, listener);
	if (!server->accept_again) {
		fleet_http_server_free(server);
		return fleet_error_set(err, -ENOMEM, "cannot listen: no memory left");
	}
	evconnlistener_set_error_cb(listener, on_accept_error);
	evhttp_set_gencb(server->http, on_request, server);
	evhttp_set_bevcb(server->http, on_new_connection, server);
	evhttp_set_allowed_methods(server->http, 0xffff); /* also unknown ones: on_request answers them */
	evhttp_set_max_headers_size(server->http, FLEET_HTTP_HEADERS_MAX);
	evhttp_set_max_body_size(server->http, FLEET_HTTP_BODY_MAX);
	evhttp_set_timeout_tv(server->http, &server->timeout);
	*ret = server;
	return 0;
}

uint16_t fleet_http_server_port(const struct fleet_http_server *server)
{
	return server->port;
}

void fleet_http_server_free(struct fleet_http_server *server)
{
	struct fleet_http_request *req;
	size_t i;

	if (!server)
		return;
	LIST_REMOVE(server, link);
	fleet_http_conn_forget_newcomers(server);
	fleet_http_leaving_reap(server);
	/* Ends every connection: streams hear of it by their callbacks, requests lose their evcon and live on
	 * until somebody answers them. */
	if (server->http)
		evhttp_free(server->http);
	while ((req = LIST_FIRST(&server->requests))) {
		LIST_REMOVE(req, link);
		req->server = NULL;
	}
	if (server->accept_again)
		event_free(server->accept_again);
	if (server->reaper)
		event_free(server->reaper);
	if (server->null_fd >= 0)
		(void)close(server->null_fd);
	for (i = 0; server->headers[i].name; i++) {
		free(server->headers[i].name);
		free(server->headers[i].value);
	}
	free(server->headers);
	free(server);
}
