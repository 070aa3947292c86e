/* Answers that go on (SSE, files): piece by piece while the client stays. */
#include <event2/http.h>
#include <sys/socket.h>
#include "fleet/tls.h"
#include "http_server_internal.h"

struct fleet_http_stream {
	struct evhttp_request *evreq; /* evhttp's; NULL where nobody reads: a HEAD, a client that left */
	struct event *gone;           /* tells on_closed from the loop then */
	void (*on_closed)(struct fleet_http_stream *stream, void *arg);
	void (*on_sent)(struct fleet_http_stream *stream, void *arg); /* of a paced piece under way */
	void *arg;
};

static void stream_free(struct fleet_http_stream *stream)
{
	if (stream->gone)
		event_free(stream->gone);
	free(stream);
}

static void stream_gone(struct fleet_http_stream *stream)
{
	if (stream->on_closed)
		stream->on_closed(stream, stream->arg);
	stream_free(stream);
}

static void on_gone(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	stream_gone(arg);
}

static void on_connection_closed(struct evhttp_connection *evcon FLEET_UNUSED, void *arg)
{
	struct fleet_http_stream *stream = arg;

	/* Where the client left in the middle evhttp has let go of the request; where the server ends it
	 * frees it. */
	if (stream->evreq && !evhttp_request_get_connection(stream->evreq))
		evhttp_request_free(stream->evreq);
	stream_gone(stream);
}

struct fleet_http_stream *fleet_http_stream_start(struct fleet_http_request *req, int status,
	const char *content_type, void (*on_closed)(struct fleet_http_stream *stream, void *arg), void *arg)
{
	static const struct timeval now = {0, 0};
	struct fleet_http_stream *stream = xcalloc(1, sizeof(*stream));
	struct evhttp_connection *evcon = req->evcon;
	const bool is_head = fleet_http_is_head(req);
	struct evhttp_request *evreq;

	stream->on_closed = on_closed;
	stream->arg = arg;
	fleet_http_add_header(req, "Content-Type", content_type);
	fleet_http_add_header(
		req, "Connection", "close"); /* its timeouts and watermarks are not a request's */
	fleet_http_add_server_headers(req);
	evreq = fleet_http_request_release(req);
	if (evreq) {
		fleet_http_timeouts_answering(evcon, &req->server->timeout);
		/* The client has nothing more to say: what it sends nevertheless must not pile up. */
		bufferevent_setwatermark(evhttp_connection_get_bufferevent(evcon), EV_READ, 0, 4096);
		evhttp_send_reply_start(evreq, status, fleet_http_status_text(status));
		if (is_head)
			evhttp_send_reply_end(evreq);
	}
	if (evreq && !is_head) {
		stream->evreq = evreq;
		fleet_http_conn_on_closed(evcon, on_connection_closed, stream);
	} else {
		stream->gone = evtimer_new(req->base, on_gone, stream);
		if (!stream->gone || event_add(stream->gone, &now) < 0)
			abort(); /* out of memory, as in xmalloc */
	}
	fleet_http_request_free(req);
	return stream;
}

size_t fleet_http_stream_backlog(const struct fleet_http_stream *stream)
{
	struct evhttp_connection *evcon = stream->evreq ? evhttp_request_get_connection(stream->evreq) : NULL;

	return evcon ? evbuffer_get_length(bufferevent_get_output(evhttp_connection_get_bufferevent(evcon)))
		     : 0;
}

int fleet_http_stream_send(struct fleet_http_stream *stream, const void *data, size_t len)
{
	struct evbuffer *chunk;
	size_t waiting;

	if (!stream->evreq || len == 0)
		return 0;
	waiting = fleet_http_stream_backlog(stream);
	if (len > FLEET_WS_BACKLOG_MAX || waiting > FLEET_WS_BACKLOG_MAX - len)
		return -ENOBUFS;
	chunk = evbuffer_new();
	if (!chunk || evbuffer_add(chunk, data, len) < 0)
		abort(); /* likewise: bounded by the backlog above */
	evhttp_send_reply_chunk(stream->evreq, chunk);
	evbuffer_free(chunk);
	return 0;
}

static void on_sent(struct evhttp_connection *evcon FLEET_UNUSED, void *arg)
{
	struct fleet_http_stream *stream = arg;
	void (*told)(struct fleet_http_stream *, void *) = TAKE_PTR(stream->on_sent);

	if (told)
		told(stream, stream->arg);
}

void fleet_http_stream_send_paced(struct fleet_http_stream *stream, const void *data, size_t len,
	void (*on_sent_fn)(struct fleet_http_stream *stream, void *arg))
{
	struct evbuffer *chunk;

	if (!stream->evreq || len == 0) /* nobody reads: on_closed is on its way */
		return;
	chunk = evbuffer_new();
	if (!chunk || evbuffer_add(chunk, data, len) < 0)
		abort(); /* out of memory, as in xmalloc: the piece is the caller's, and there is one at a
			    time */
	stream->on_sent = on_sent_fn;
	evhttp_send_reply_chunk_with_cb(stream->evreq, chunk, on_sent, stream);
	evbuffer_free(chunk);
}

void fleet_http_stream_abort(struct fleet_http_stream *stream)
{
	struct bufferevent *bev;
	struct evbuffer *output;

	stream->on_closed = NULL;
	stream->on_sent = NULL;
	if (!stream->evreq) /* on_gone is on its way */
		return;
	bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(stream->evreq));
	output = bufferevent_get_output(bev);
	/* Its beginning is frozen while a socket's bufferevent does not write; one with TLS could not go on
	 * with it frozen. */
	(void)evbuffer_unfreeze(output, 1);                        /* cannot fail, as the next two */
	(void)evbuffer_drain(output, evbuffer_get_length(output)); /* this is what it costs us */
	if (!fleet_tls_is_on(bev))
		(void)evbuffer_freeze(output, 1);
	(void)shutdown(bufferevent_getfd(bev), SHUT_RDWR); /* on_connection_closed frees the stream */
}

void fleet_http_stream_end(struct fleet_http_stream *stream)
{
	if (stream->evreq) {
		fleet_http_conn_on_closed(evhttp_request_get_connection(stream->evreq), NULL, NULL);
		evhttp_send_reply_end(stream->evreq);
	}
	stream_free(stream);
}
