#include "fleet/notify.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int fleet_notify(const char *socket_path, const char *state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = socket_path ? strlen(socket_path) : 0;
	_cleanup_close_ int fd = -1;

	if (!len)
		return 0;
	if ((socket_path[0] != '/' && socket_path[0] != '@') || len < 2 || len >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, socket_path, len);
	if (socket_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	return 0;
}

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end = NULL;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

uint64_t fleet_notify_watchdog_us(const char *usec, const char *pid)
{
	uint64_t us = 0, who = 0;

	if (!parse_number(usec, &us) || us == UINT64_MAX)
		return 0;
	if (!str_empty(pid) && (!parse_number(pid, &who) || who != (uint64_t)getpid()))
		return 0;
	return us;
}
