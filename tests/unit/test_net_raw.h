/* What the tests of the network rooms share: a loop that is turned by hand, and clients that speak raw bytes
 * over loopback. Everything waits for a condition, at most until a deadline. */
#ifndef TEST_NET_RAW_H
#define TEST_NET_RAW_H
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include "fleet/buffer.h"
#include "fleet/clock.h"

#define RAW_DEADLINE_MS 10000

static inline void raw_turn(struct event_base *base)
{
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	(void)poll(NULL, 0, 1);
}

/* Turns the loop until condition holds; false past the deadline. */
#define RAW_WAIT(base, condition)                                                                            \
	({                                                                                                   \
		const int64_t until_ = fleet_clock_monotonic_ms() + RAW_DEADLINE_MS;                         \
		bool met_ = false;                                                                           \
		while (!(met_ = (condition) ? true : false) && fleet_clock_monotonic_ms() < until_)          \
			raw_turn(base);                                                                      \
		met_;                                                                                        \
	})

static inline int raw_connect(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		abort();
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* A listening socket that nobody accepts from unless the test does. */
static inline int raw_listen(uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		abort();
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* Sends all of it, turning the loop while the socket is full; false when the peer is gone. */
static inline bool raw_send(struct event_base *base, int fd, const void *data, size_t len)
{
	const int64_t until = fleet_clock_monotonic_ms() + RAW_DEADLINE_MS;
	const char *p = data;

	while (len > 0 && fleet_clock_monotonic_ms() < until) {
		const ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN) {
			return false;
		}
		raw_turn(base);
	}
	return len == 0;
}

/* Takes what is there; true when the peer has ended the connection. */
static inline bool raw_take(int fd, struct fleet_buffer *buf)
{
	char chunk[65536];

	for (;;) {
		const ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		if (n < 0)
			return false;
		fleet_buffer_add(buf, chunk, (size_t)n);
	}
}

static inline bool raw_wait_end(struct event_base *base, int fd, struct fleet_buffer *buf)
{
	return RAW_WAIT(base, raw_take(fd, buf));
}

static inline bool raw_has(const struct fleet_buffer *buf, const char *text)
{
	return buf->data && memmem(buf->data, buf->len, text, strlen(text));
}

static inline bool raw_wait_text(struct event_base *base, int fd, struct fleet_buffer *buf, const char *text)
{
	return RAW_WAIT(base, ((void)raw_take(fd, buf), raw_has(buf, text)));
}

#endif
