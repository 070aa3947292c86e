#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "fleet/notify.h"
#include "unit.h"

/* A socket bound to address (its first byte may be NUL) as systemd's would be. */
static int bound(const char *path, bool abstract)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, strlen(path));
	if (abstract)
		address.sun_path[0] = '\0';
	CU_ASSERT_EQUAL_FATAL(
		bind(fd, (const struct sockaddr *)&address,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + !abstract)),
		0);
	return fd;
}

static void check_heard(const char *path, bool abstract)
{
	_cleanup_close_ int fd = bound(path, abstract);
	char text[64] = "";

	CU_ASSERT_EQUAL(fleet_notify(path, "READY=1\nSTATUS=Ready"), 0);
	CU_ASSERT_EQUAL(recv(fd, text, sizeof(text) - 1, 0), 20);
	CU_ASSERT_STRING_EQUAL(text, "READY=1\nSTATUS=Ready");
	CU_ASSERT(recv(fd, text, sizeof(text), 0) < 0); /* one datagram */
}

static void test_sockets(void)
{
	_cleanup_free_ char *path = xasprintf("/tmp/fleet-notify.%ld", (long)getpid());
	_cleanup_free_ char *name = xasprintf("@fleet-notify.%ld", (long)getpid());

	check_heard(path, false);
	CU_ASSERT_EQUAL(fleet_notify(path, "READY=1"), -ECONNREFUSED); /* bound, and nobody there any more */
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(fleet_notify(path, "READY=1"), -ENOENT);
	check_heard(name, true);
}

static void test_no_sockets(void)
{
	char longest[200];

	CU_ASSERT_EQUAL(fleet_notify(NULL, "READY=1"), 0);
	CU_ASSERT_EQUAL(fleet_notify("", "READY=1"), 0);
	CU_ASSERT_EQUAL(fleet_notify("/", "READY=1"), -EINVAL);
	CU_ASSERT_EQUAL(fleet_notify("vsock:2:1234", "READY=1"), -EINVAL);
	CU_ASSERT_EQUAL(fleet_notify("relative", "READY=1"), -EINVAL);
	memset(longest, '/', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	CU_ASSERT_EQUAL(fleet_notify(longest, "READY=1"), -EINVAL);
}

static void test_watchdog(void)
{
	_cleanup_free_ char *me = xasprintf("%ld", (long)getpid());
	const struct {
		const char *usec, *pid;
		uint64_t us;
	} cases[] = {
		{NULL, NULL, 0},
		{NULL, me, 0},
		{"30000000", NULL, 30000000},
		{"30000000", "", 30000000},
		{"30000000", me, 30000000},
		{"30000000", "1", 0}, /* meant for our parent */
		{"30000000", "x", 0},
		{"", me, 0},
		{"-1", me, 0},
		{" 1", me, 0},
		{"1s", me, 0},
		{"18446744073709551615", me, 0}, /* infinity */
		{"18446744073709551616", me, 0},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++)
		CU_ASSERT_EQUAL(fleet_notify_watchdog_us(cases[i].usec, cases[i].pid), cases[i].us);
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_sockets), UNIT_TEST(test_no_sockets), UNIT_TEST(test_watchdog), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"notify", tests}, {0}});
}
