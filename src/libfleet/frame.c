/* Raw sendmsg and recvmsg: a bufferevent cannot carry descriptors. The header is read on its own, so that a
 * descriptor always comes with the bytes of the one frame it belongs to. */
#include <fcntl.h>
#include <sys/socket.h>
#include "fleet/frame.h"
#include "fleet/limits.h"

#define HEADER_LEN       4
#define FRAMES_PER_EVENT 32 /* then the loop's other work has its turn */

struct outgoing {
	struct outgoing *next;
	int fd; /* owned; -1 none or already sent */
	size_t len, sent;
	char data[]; /* header and body */
};

struct fleet_frame_link {
	int fd;
	const struct fleet_frame_events *events; /* borrowed */
	void *arg;
	struct event *readable, *writable;
	struct outgoing *first, **last;
	size_t backlog;
	bool closed; /* the owner was told */
	bool *freed; /* set by free while a callback runs */

	unsigned char header[HEADER_LEN];
	size_t header_len;
	char *body; /* owned; NULL while the header is read */
	size_t body_len, body_size;
	int body_fd; /* owned; -1 none */
};

static void stop(struct fleet_frame_link *link)
{
	link->closed = true;
	event_del(link->readable);
	event_del(link->writable);
}

/* The link may be gone afterwards. */
static void end(struct fleet_frame_link *link, const char *why)
{
	if (link->closed)
		return;
	stop(link);
	link->events->closed(link, why, link->arg);
}

/* Descriptors of one recvmsg: the first in *ret_fd, none left open besides. -EPROTO for more than one. */
static int take_fds(struct msghdr *msg, int *ret_fd)
{
	int count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t fds;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (count++ == 0)
				*ret_fd = fd;
			else
				(void)close(fd); /* not ours to use, nothing to lose */
		}
	}
	return count > 1 || (msg->msg_flags & MSG_CTRUNC) ? -EPROTO : count;
}

/* Up to size bytes into data. 0: the end. *fd is set where one came and must be owned by the caller. */
static ssize_t receive(int sock, void *data, size_t size, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;
	int r;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r = take_fds(&msg, fd);
	return r < 0 ? r : n;
}

static int begin_body(struct fleet_frame_link *link)
{
	size_t len = (size_t)link->header[0] << 24 | (size_t)link->header[1] << 16 |
		     (size_t)link->header[2] << 8 | link->header[3];

	if (len == 0 || len > FLEET_MESSAGE_MAX)
		return -EMSGSIZE;
	link->body = xmalloc(len + 1);
	link->body_size = len;
	link->body_len = 0;
	return 0;
}

/* One read. 1: a frame is whole; 0: more is to come; -EAGAIN; -ENODATA the end; others: broken. */
static int read_some(struct fleet_frame_link *link)
{
	bool in_header = link->body == NULL, at_start = in_header && link->header_len == 0;
	int fd = -1;
	ssize_t n;

	if (in_header)
		n = receive(link->fd, link->header + link->header_len, HEADER_LEN - link->header_len, &fd);
	else
		n = receive(link->fd, link->body + link->body_len, link->body_size - link->body_len, &fd);
	if (fd >= 0) {
		if (!at_start || n <= 0) {
			(void)close(fd); /* nobody asked for it there */
			return n < 0 ? (int)n : -EPROTO;
		}
		link->body_fd = fd;
	}
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -ENODATA;
	if (!in_header) {
		link->body_len += (size_t)n;
		return link->body_len == link->body_size;
	}
	link->header_len += (size_t)n;
	return link->header_len == HEADER_LEN ? begin_body(link) : 0;
}

/* Hands the frame to the owner; false where the link is gone or ended. */
static bool deliver(struct fleet_frame_link *link)
{
	_cleanup_free_ char *body = TAKE_PTR(link->body);
	size_t len = link->body_size;
	bool freed = false;

	body[len] = '\0';
	link->header_len = 0;
	link->freed = &freed;
	link->events->frame(link, body, len, TAKE_FD(link->body_fd), link->arg);
	if (freed)
		return false;
	link->freed = NULL;
	return !link->closed;
}

static void end_read(struct fleet_frame_link *link, int r)
{
	if (r == -ENODATA)
		end(link, link->body || link->header_len ? "the other end closed in the middle of a frame"
							 : "the other end closed");
	else if (r == -EMSGSIZE)
		end(link, "a frame of a length that is not allowed");
	else if (r == -EPROTO)
		end(link, "a descriptor where none belongs");
	else
		end(link, strerror(-r));
}

static void on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct fleet_frame_link *link = arg;

	(void)sock;
	(void)what;
	for (int frames = 0; frames < FRAMES_PER_EVENT;) {
		int r = read_some(link);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			end_read(link, r);
			return;
		}
		if (r > 0) {
			if (!deliver(link))
				return;
			frames++;
		}
	}
}

static void drop(struct outgoing *o)
{
	if (o->fd >= 0)
		(void)close(o->fd); /* our own duplicate */
	free(o);
}

static ssize_t send_some(int sock, struct outgoing *o)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = o->data + o->sent, .iov_len = o->len - o->sent};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (o->fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.align), &o->fd, sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void on_writable(evutil_socket_t sock, short what, void *arg)
{
	struct fleet_frame_link *link = arg;

	(void)sock;
	(void)what;
	while (link->first) {
		struct outgoing *o = link->first;
		ssize_t n = send_some(link->fd, o);

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			end(link, n == -EPIPE ? "the other end closed" : strerror((int)-n));
			return;
		}
		if (n > 0 && o->fd >= 0)
			(void)close(TAKE_FD(o->fd)); /* the kernel holds its own now */
		o->sent += (size_t)n;
		link->backlog -= (size_t)n;
		if (o->sent < o->len)
			continue;
		link->first = o->next;
		if (!link->first)
			link->last = &link->first;
		drop(o);
	}
	event_del(link->writable);
}

struct fleet_frame_link *fleet_frame_link_new(
	struct event_base *base, int fd, const struct fleet_frame_events *events, void *arg)
{
	struct fleet_frame_link *link = xcalloc(1, sizeof(*link));

	link->fd = fd;
	link->body_fd = -1;
	link->events = events;
	link->arg = arg;
	link->last = &link->first;
	link->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, link);
	link->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, link);
	if (!link->readable || !link->writable || event_add(link->readable, NULL) < 0) {
		fprintf(stderr, "libevent takes no event for descriptor %d\n", fd);
		abort();
	}
	return link;
}

int fleet_frame_send(struct fleet_frame_link *link, const char *data, size_t len, int send_fd)
{
	_cleanup_close_ int fd = -1;
	struct outgoing *o;

	if (link->closed)
		return -ENOTCONN;
	if (len == 0)
		return -EINVAL;
	if (len > FLEET_MESSAGE_MAX)
		return -E2BIG;
	if (link->backlog + HEADER_LEN + len > FLEET_WS_BACKLOG_MAX)
		return -ENOBUFS;
	if (send_fd >= 0) {
		fd = fcntl(send_fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return -errno;
	}
	o = xmalloc(sizeof(*o) + HEADER_LEN + len);
	*o = (struct outgoing){.fd = TAKE_FD(fd), .len = HEADER_LEN + len};
	for (int i = 0; i < HEADER_LEN; i++)
		o->data[i] = (char)(len >> (24 - 8 * i) & 0xFF);
	memcpy(o->data + HEADER_LEN, data, len);
	*link->last = o;
	link->last = &o->next;
	link->backlog += o->len;
	if (event_add(link->writable, NULL) < 0) {
		fprintf(stderr, "libevent takes no event for descriptor %d\n", link->fd);
		abort();
	}
	return 0;
}

int fleet_frame_peer(struct fleet_frame_link *link, uid_t *ret_uid, pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(link->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	*ret_uid = peer.uid;
	*ret_pid = peer.pid;
	return 0;
}

void fleet_frame_link_free(struct fleet_frame_link *link)
{
	if (!link)
		return;
	if (link->freed)
		*link->freed = true;
	event_free(link->readable);
	event_free(link->writable);
	while (link->first) {
		struct outgoing *o = link->first;

		link->first = o->next;
		drop(o);
	}
	if (link->body_fd >= 0)
		(void)close(link->body_fd); /* nobody took it */
	free(link->body);
	(void)close(link->fd); /* the connection ends here whatever close says */
	free(link);
}
