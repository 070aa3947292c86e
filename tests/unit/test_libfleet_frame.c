#include <fcntl.h>
#include <sys/socket.h>
#include "fleet/clock.h"
#include "fleet/frame.h"
#include "fleet/limits.h"
#include "unit.h"

#define DEADLINE_MS 10000

/* One end of a link and what it heard. */
struct side {
	struct fleet_frame_link *link;
	char *last; /* the last frame */
	size_t last_len, frames, bytes;
	int fd; /* the last one that came */
	size_t fds;
	size_t closed;
	char why[200];
	bool free_on_frame, free_on_closed, echo;
};

static struct event_base *base;

static void on_frame(struct fleet_frame_link *link, const char *data, size_t len, int fd, void *arg)
{
	struct side *s = arg;

	CU_ASSERT_EQUAL(data[len], '\0');
	free(s->last);
	s->last = xmalloc(len + 1);
	memcpy(s->last, data, len + 1);
	s->last_len = len;
	s->frames++;
	s->bytes += len;
	if (fd >= 0) {
		if (s->fd >= 0)
			(void)close(s->fd);
		s->fd = fd;
		s->fds++;
	}
	if (s->echo)
		CU_ASSERT_EQUAL(fleet_frame_send(link, data, len, -1), 0);
	if (s->free_on_frame) {
		fleet_frame_link_free(link);
		s->link = NULL;
	}
}

static void on_closed(struct fleet_frame_link *link, const char *why, void *arg)
{
	struct side *s = arg;

	s->closed++;
	snprintf(s->why, sizeof(s->why), "%s", why);
	if (s->free_on_closed) {
		fleet_frame_link_free(link);
		s->link = NULL;
	}
}

static const struct fleet_frame_events events = {on_frame, on_closed};

static void side_begin(struct side *s, int fd)
{
	*s = (struct side){.fd = -1};
	s->link = fleet_frame_link_new(base, fd, &events, s);
}

static void side_end(struct side *s)
{
	fleet_frame_link_free(s->link);
	free(s->last);
	if (s->fd >= 0)
		(void)close(s->fd);
}

static void make_pair(int fds[2])
{
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static bool reached(const size_t *counter, size_t value)
{
	int64_t until = fleet_clock_monotonic_ms() + DEADLINE_MS;

	while (*counter < value && fleet_clock_monotonic_ms() < until) {
		const struct timeval tick = {0, 20000};

		event_base_loopexit(base, &tick);
		event_base_loop(base, EVLOOP_ONCE);
	}
	return *counter >= value;
}

static void write_raw(int fd, const void *data, size_t len)
{
	CU_ASSERT_EQUAL(write(fd, data, len), (ssize_t)len);
}

static void test_frames_both_ways(void)
{
	int fds[2];
	struct side a, b;

	make_pair(fds);
	side_begin(&a, fds[0]);
	side_begin(&b, fds[1]);
	b.echo = true;
	CU_ASSERT_EQUAL(fleet_frame_send(a.link, "{}", 2, -1), 0);
	CU_ASSERT_EQUAL(fleet_frame_send(a.link, "{\"x\":1}", 7, -1), 0);
	CU_ASSERT_TRUE(reached(&a.frames, 2));
	CU_ASSERT_EQUAL(b.frames, 2);
	CU_ASSERT_STRING_EQUAL(a.last, "{\"x\":1}");
	CU_ASSERT_EQUAL(fleet_frame_send(a.link, "", 0, -1), -EINVAL);
	side_end(&a);
	CU_ASSERT_TRUE(reached(&b.closed, 1));
	CU_ASSERT_STRING_EQUAL(b.why, "the other end closed");
	CU_ASSERT_EQUAL(fleet_frame_send(b.link, "{}", 2, -1), -ENOTCONN);
	side_end(&b);
}

static void test_largest_and_many(void)
{
	_cleanup_free_ char *data = xcalloc(1, FLEET_MESSAGE_MAX + 1);
	int fds[2];
	struct side a, b;

	make_pair(fds);
	side_begin(&a, fds[0]);
	side_begin(&b, fds[1]);
	memset(data, 'x', FLEET_MESSAGE_MAX);
	CU_ASSERT_EQUAL(fleet_frame_send(a.link, data, FLEET_MESSAGE_MAX + 1, -1), -E2BIG);
	CU_ASSERT_EQUAL(fleet_frame_send(a.link, data, FLEET_MESSAGE_MAX, -1), 0);
	for (size_t i = 1; i <= 2000; i++)
		CU_ASSERT_EQUAL(fleet_frame_send(a.link, data, i, -1), 0);
	CU_ASSERT_TRUE(reached(&b.frames, 2001));
	CU_ASSERT_EQUAL(b.bytes, FLEET_MESSAGE_MAX + 2000 * 2001 / 2);
	side_end(&a);
	side_end(&b);
}

static void test_backlog_is_bounded(void)
{
	_cleanup_free_ char *data = xcalloc(1, FLEET_MESSAGE_MAX);
	int fds[2], r = 0;
	struct side a;
	size_t sent = 0;

	make_pair(fds);
	side_begin(&a, fds[0]);
	while (r == 0 && sent < 100) {
		r = fleet_frame_send(a.link, data, FLEET_MESSAGE_MAX, -1);
		sent++;
	}
	CU_ASSERT_EQUAL(r, -ENOBUFS);
	CU_ASSERT_EQUAL(sent, FLEET_WS_BACKLOG_MAX / FLEET_MESSAGE_MAX);
	side_end(&a);
	(void)close(fds[1]);
}

/* Each descriptor must come with its own frame, whatever was sent before and after it. */
static void test_descriptors_stay_with_their_frames(void)
{
	int fds[2];
	struct side a, b;

	make_pair(fds);
	side_begin(&a, fds[0]);
	side_begin(&b, fds[1]);
	for (size_t i = 0; i < 50; i++) {
		char name[] = "/tmp/fleet-test-frame.XXXXXX", text[32], got[32] = "";
		int file = mkostemp(name, O_CLOEXEC);

		CU_ASSERT_FATAL(file >= 0);
		CU_ASSERT_EQUAL(unlink(name), 0);
		snprintf(text, sizeof(text), "file %zu", i);
		write_raw(file, text, strlen(text));
		for (size_t j = 0; j < i % 5; j++)
			CU_ASSERT_EQUAL(fleet_frame_send(a.link, "before", 6, -1), 0);
		CU_ASSERT_EQUAL(fleet_frame_send(a.link, text, strlen(text), file), 0);
		(void)close(file); /* the link has its own */
		CU_ASSERT_TRUE(reached(&b.fds, i + 1));
		CU_ASSERT_STRING_EQUAL(b.last, text);
		CU_ASSERT_EQUAL(pread(b.fd, got, sizeof(got) - 1, 0), (ssize_t)strlen(text));
		CU_ASSERT_STRING_EQUAL(got, text);
		CU_ASSERT_EQUAL(fcntl(b.fd, F_GETFD), FD_CLOEXEC);
	}
	CU_ASSERT_EQUAL(fleet_frame_send(a.link, "x", 1, 9999), -EBADF);
	side_end(&a);
	side_end(&b);
}

static void test_bytes_that_trickle(void)
{
	static const char frame[] = "\0\0\0\3abc\0\0\0\1z";
	int fds[2];
	struct side b;

	make_pair(fds);
	side_begin(&b, fds[1]);
	for (size_t i = 0; i < sizeof(frame) - 1; i++) {
		write_raw(fds[0], frame + i, 1);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	CU_ASSERT_TRUE(reached(&b.frames, 2));
	CU_ASSERT_STRING_EQUAL(b.last, "z");
	side_end(&b);
	(void)close(fds[0]);
}

static void test_hostile_bytes(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} cases[] = {
		{"\0\0\0\0", 4, "length"},
		{"\xff\xff\xff\xff", 4, "length"},
		{"\0\x10\0\1", 4, "length"},
		{"GET / HTTP/1.1\r\n\r\n", 18, "length"},
		{"\0\0", 2, "middle of a frame"},
		{"\0\0\0\5abc", 7, "middle of a frame"},
		{"", 0, "the other end closed"},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		int fds[2];
		struct side b;

		make_pair(fds);
		side_begin(&b, fds[1]);
		b.free_on_closed = i % 2 == 0;
		write_raw(fds[0], cases[i].bytes, cases[i].len);
		(void)close(fds[0]);
		CU_ASSERT_TRUE(reached(&b.closed, 1));
		CU_ASSERT_PTR_NOT_NULL(strstr(b.why, cases[i].why));
		CU_ASSERT_EQUAL(b.frames, 0);
		event_base_loop(base, EVLOOP_NONBLOCK);
		CU_ASSERT_EQUAL(b.closed, 1);
		side_end(&b);
	}
}

static void send_with_fds(int sock, const char *data, size_t len, int count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
	int fds[8] = {2, 2, 2, 2, 2, 2, 2, 2};

	control.align = (struct cmsghdr){.cmsg_len = CMSG_LEN((size_t)count * sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.align), fds, (size_t)count * sizeof(int));
	CU_ASSERT_EQUAL(sendmsg(sock, &msg, 0), (ssize_t)len);
}

static size_t open_descriptors(void)
{
	_cleanup_closedir_ DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	return n;
}

static void test_descriptors_where_none_belong(void)
{
	size_t before = open_descriptors();

	for (int round = 0; round < 3; round++) {
		int fds[2];
		struct side b;

		make_pair(fds);
		side_begin(&b, fds[1]);
		if (round == 0) {
			write_raw(fds[0], "\0\0\0\4ab", 6);
			event_base_loop(base, EVLOOP_NONBLOCK);
			send_with_fds(fds[0], "cd", 2, 1); /* in the body */
		} else {
			send_with_fds(fds[0], "\0\0\0\1a", 5, round == 1 ? 2 : 8);
		}
		CU_ASSERT_TRUE(reached(&b.closed, 1));
		CU_ASSERT_PTR_NOT_NULL(strstr(b.why, "descriptor"));
		CU_ASSERT_EQUAL(b.fds, 0);
		side_end(&b);
		(void)close(fds[0]);
	}
	CU_ASSERT_EQUAL(open_descriptors(), before);
}

static void test_freed_inside_its_callback(void)
{
	int fds[2];
	struct side b;

	make_pair(fds);
	side_begin(&b, fds[1]);
	b.free_on_frame = true;
	write_raw(fds[0], "\0\0\0\1a\0\0\0\1b", 10);
	CU_ASSERT_TRUE(reached(&b.frames, 1));
	event_base_loop(base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(b.frames, 1);
	CU_ASSERT_EQUAL(b.closed, 0);
	side_end(&b);
	(void)close(fds[0]);
}

static void test_send_to_a_dead_end_tells_later(void)
{
	int fds[2];
	struct side a;

	make_pair(fds);
	side_begin(&a, fds[0]);
	(void)close(fds[1]);
	CU_ASSERT_EQUAL(fleet_frame_send(a.link, "{}", 2, -1), 0);
	CU_ASSERT_EQUAL(a.closed, 0); /* not from within send */
	CU_ASSERT_TRUE(reached(&a.closed, 1));
	side_end(&a);
}

static void test_peer(void)
{
	int fds[2];
	struct side a;
	uid_t uid = 12345;
	pid_t pid = 0;

	make_pair(fds);
	side_begin(&a, fds[0]);
	CU_ASSERT_EQUAL(fleet_frame_peer(a.link, &uid, &pid), 0);
	CU_ASSERT_EQUAL(uid, getuid());
	CU_ASSERT_EQUAL(pid, getpid());
	side_end(&a);
	(void)close(fds[1]);
	fleet_frame_link_free(NULL);
}

static const struct unit_test tests[] = {UNIT_TEST(test_frames_both_ways), UNIT_TEST(test_largest_and_many),
	UNIT_TEST(test_backlog_is_bounded), UNIT_TEST(test_descriptors_stay_with_their_frames),
	UNIT_TEST(test_bytes_that_trickle), UNIT_TEST(test_hostile_bytes),
	UNIT_TEST(test_descriptors_where_none_belong), UNIT_TEST(test_freed_inside_its_callback),
	UNIT_TEST(test_send_to_a_dead_end_tells_later), UNIT_TEST(test_peer), {0}};

int main(void)
{
	int r;

	base = event_base_new();
	r = unit_run((const struct unit_suite[]){{"frame", tests}, {0}});
	event_base_free(base);
	return r;
}
