/* The link to the driver host: a fake host on a unix socket, and this very program as a child. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "agent/hostlink.h"
#include "fleet/ids.h"
#include "fleet/log.h"
#include "test_agent_loop.h"
#include "unit.h"

static struct event_base *base;
static struct {
	int frames[FLEET_MESSAGE_TYPE_COUNT], down;
	char why[256];
	char last[512];
} seen;

static void on_frame(enum fleet_message_type type, struct json_object *message, void *arg FLEET_UNUSED)
{
	seen.frames[type]++;
	(void)snprintf(seen.last, sizeof(seen.last), "%s", fleet_json_text(message, NULL));
}

static void on_down(const char *why, void *arg FLEET_UNUSED)
{
	seen.down++;
	(void)snprintf(seen.why, sizeof(seen.why), "%s", why);
}

static const struct hostlink_events events = {.frame = on_frame, .down = on_down};

/* -- a host on a socket, driven by hand: blocking, with a deadline -- */

static char dir[40], socket_path[64];

static int listen_here(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	unlink(socket_path);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 4), 0);
	return fd;
}

static int accept_one(int listener)
{
	int fd = -1;

	CU_ASSERT_TRUE_FATAL(
		LOOP_UNTIL(base, fd >= 0 || (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0));
	return fd;
}

/* Also called in the fake child, where CUnit does not run. */
static void write_bytes(int fd, const void *data, size_t len)
{
	if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len) {
		fprintf(stderr, "cannot send to the agent: %s\n", strerror(errno));
		exit(98);
	}
}

static void write_frame(int fd, const char *text)
{
	size_t len = strlen(text);
	unsigned char header[4] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16),
		(unsigned char)(len >> 8), (unsigned char)len};

	write_bytes(fd, header, sizeof(header));
	write_bytes(fd, text, len);
}

static void write_message(int fd, const char *type, const char *members)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
		"{\"type\":\"%s\",\"id\":\"%s\",\"ts\":\"2026-01-31T23:59:59.123Z\"%s%s}", type,
		fleet_uuid_new().text, *members ? "," : "", members);
	write_frame(fd, text);
}

/* Reads exactly len bytes while the loop turns. */
static void read_bytes(int fd, void *out, size_t len)
{
	size_t have = 0;

	CU_ASSERT_TRUE_FATAL(LOOP_UNTIL(base, ({
		ssize_t n = recv(fd, (char *)out + have, len - have, MSG_DONTWAIT);

		have += n > 0 ? (size_t)n : 0;
		have == len;
	})));
}

/* The text of the next frame; borrowed until the next call. */
static const char *read_frame(int fd)
{
	static char text[4096];
	unsigned char header[4];
	size_t len;

	read_bytes(fd, header, sizeof(header));
	len = (size_t)header[2] << 8 | header[3];
	CU_ASSERT_FATAL(header[0] == 0 && header[1] == 0 && len > 0 && len < sizeof(text));
	read_bytes(fd, text, len);
	text[len] = '\0';
	return text;
}

static struct hostlink *fresh(const char *path, const char *const *child)
{
	struct hostlink_options options = {
		.socket_path = path, .child_argv = child, .agent_version = "1.2.3"};

	memset(&seen, 0, sizeof(seen));
	return hostlink_new(base, &options, &events, NULL);
}

static void test_retries_until_there_is_a_host(void)
{
	struct hostlink *link;
	int listener, fd;

	unlink(socket_path);
	link = fresh(socket_path, NULL);
	CU_ASSERT_EQUAL(hostlink_send(link, fleet_message_new(FLEET_FRAME_STATUS_REQUEST)), -ENOTCONN);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.down == 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, socket_path));
	loop_for(base, 300); /* more attempts, which are not worth a word */
	CU_ASSERT_EQUAL(seen.down, 1);
	listener = listen_here();
	fd = accept_one(listener);
	CU_ASSERT_PTR_NOT_NULL(strstr(read_frame(fd), "\"hello\""));
	CU_ASSERT_FALSE(hostlink_is_up(link)); /* a socket is not yet a host */
	write_message(fd, "description", "\"apps\":[]");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, hostlink_is_up(link)));
	CU_ASSERT_EQUAL(hostlink_send(link, fleet_message_new(FLEET_FRAME_STATUS_REQUEST)), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(read_frame(fd), "statusRequest"));
	CU_ASSERT_FALSE(hostlink_reload_child(link));
	hostlink_hello(link, NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(read_frame(fd), "\"hello\""));
	close(fd);
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.down == 2));
	fd = accept_one(listener); /* it is back by itself */
	CU_ASSERT_PTR_NOT_NULL(strstr(read_frame(fd), "\"hello\""));
	hostlink_free(link);
	close(fd);
	close(listener);
}

static void test_ignores_bad_frames_and_stays(void)
{
	static const struct {
		const char *type, *members;
	} bad[] = {
		{"surprise", ""},
		{"result", "\"commandId\":\"x\""},
		{"accepted", ""},
		{"accepted", "\"commandId\":\"../../etc\""},
		{"status", "\"refId\":\"018f0000-0000-7000-8000-000000000000\",\"apps\":[{\"id\":\"a/b\"}]"},
		{"status", "\"refId\":\"018f0000-0000-7000-8000-000000000000\",\"apps\":{}"},
		{"description", "\"apps\":[{\"id\":7}]"},
		{"event", "\"eventId\":\"018f0000-0000-7000-8000-000000000000\",\"category\":\"lies\","
			  "\"message\":\"x\""},
		{"register", ""}, /* another direction's */
		{"restartApp", "\"jws\":\"x\""},
	};
	int listener = listen_here(), fd, handed_on = 0;
	struct hostlink *link = fresh(socket_path, NULL);

	fd = accept_one(listener);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++)
		write_message(fd, bad[i].type, bad[i].members);
	write_message(fd, "description", "\"apps\":[]");
	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.frames[FLEET_FRAME_DESCRIPTION] == 1));
	for (size_t i = 0; i < FLEET_MESSAGE_TYPE_COUNT; i++)
		handed_on += seen.frames[i];
	CU_ASSERT_EQUAL(handed_on, 1);
	CU_ASSERT_EQUAL(seen.down, 0);
	hostlink_free(link);
	close(fd);
	close(listener);
}

static void test_leaves_a_host_that_speaks_no_frames(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"HTTP/1.1 200 OK\r\n\r\n", 19}, /* a length of a gigabyte */
		{"\0\0\0\0", 4},
		{"\0\0\0\4oops", 8},
		{"\0\0\0\2{}", 6},
		{"\0\0\0\2[]\0\0\0\2[]\0\0\0\2[]", 18},
	};
	int listener = listen_here();
	struct hostlink *link = fresh(socket_path, NULL);

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		int fd = accept_one(listener), down;

		write_message(fd, "description", "\"apps\":[]");
		CU_ASSERT_TRUE(LOOP_UNTIL(base, hostlink_is_up(link)));
		down = seen.down;
		write_bytes(fd, bad[i].bytes, bad[i].len);
		CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.down == down + 1));
		CU_ASSERT_FALSE(hostlink_is_up(link));
		close(fd);
	}
	hostlink_free(link);
	close(listener);
}

/* -- a child -- */

/* What this program does as `test --fake-host`: describes itself; exits, or dies, when told by a status
 * request. */
static int fake_host(const char *how)
{
	char hello[512];
	const char *apps = "\"apps\":[{\"id\":\"app-a\"}]";

	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (str_equal(how, "die-at-once"))
		return 7;
	if (recv(3, hello, sizeof(hello), 0) <= 0)
		return 8;
	write_message(3, "description", apps);
	while (recv(3, hello, sizeof(hello), 0) > 0) {
		if (str_equal(how, "crash"))
			kill(getpid(), SIGKILL);
		if (str_equal(how, "close"))
			shutdown(3, SHUT_RDWR);
		if (str_equal(how, "close"))
			pause();
	}
	return 0;
}

static char self[4096];

static void test_starts_a_child_and_ends_it(void)
{
	const char *argv[] = {self, "--fake-host", "serve", NULL};
	struct hostlink *link = fresh(NULL, argv);

	CU_ASSERT_TRUE(LOOP_UNTIL(base, hostlink_is_up(link)));
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.last, "app-a"));
	CU_ASSERT_TRUE(hostlink_reload_child(link));
	hostlink_free(link); /* waits for it: the leak checker and `ps` see nothing of it afterwards */
	CU_ASSERT_EQUAL(seen.down, 0);
}

static void test_starts_a_crashed_child_again(void)
{
	static const struct {
		const char *how, *says;
	} cases[] = {{"crash", "signal 9"}, {"close", "signal 15"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		const char *argv[] = {self, "--fake-host", cases[i].how, NULL};
		struct hostlink *link = fresh(NULL, argv);

		CU_ASSERT_TRUE(LOOP_UNTIL(base, hostlink_is_up(link)));
		CU_ASSERT_EQUAL(hostlink_send(link, fleet_message_new(FLEET_FRAME_STATUS_REQUEST)), 0);
		CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.down == 1));
		CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, cases[i].says));
		CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.frames[FLEET_FRAME_DESCRIPTION] == 2));
		hostlink_free(link);
	}
}

static void test_throttles_a_child_that_cannot_live(void)
{
	const char *argv[] = {self, "--fake-host", "die-at-once", NULL};
	int64_t start = fleet_clock_monotonic_ms();
	struct hostlink *link = fresh(NULL, argv);

	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.down == 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "exited with status 7"));
	loop_for(base, 900);
	CU_ASSERT_EQUAL(seen.down, 1); /* told once */
	CU_ASSERT(fleet_clock_monotonic_ms() - start >= 900);
	hostlink_free(link);
}

static void test_says_when_there_is_no_program(void)
{
	const char *argv[] = {"/nonexistent/fleet-driver-host", NULL};
	struct hostlink *link = fresh(NULL, argv);

	CU_ASSERT_TRUE(LOOP_UNTIL(base, seen.down == 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "/nonexistent/fleet-driver-host"));
	hostlink_free(link);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_retries_until_there_is_a_host),
	UNIT_TEST(test_ignores_bad_frames_and_stays),
	UNIT_TEST(test_leaves_a_host_that_speaks_no_frames),
	UNIT_TEST(test_starts_a_child_and_ends_it),
	UNIT_TEST(test_starts_a_crashed_child_again),
	UNIT_TEST(test_throttles_a_child_that_cannot_live),
	UNIT_TEST(test_says_when_there_is_no_program),
	{0},
};

int main(int argc, char *argv[])
{
	int r;

	if (argc == 3 && str_equal(argv[1], "--fake-host"))
		return fake_host(argv[2]);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 99;
	(void)snprintf(dir, sizeof(dir), "/tmp/fleet-unit-XXXXXX");
	if (!mkdtemp(dir))
		return 99;
	(void)snprintf(socket_path, sizeof(socket_path), "%s/host.sock", dir);
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	base = event_base_new();
	r = unit_run((const struct unit_suite[]){{"agent_hostlink", tests}, {0}});
	event_base_free(base);
	unlink(socket_path);
	rmdir(dir);
	return r;
}
