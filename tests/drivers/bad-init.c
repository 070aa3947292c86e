/* Tells in edit what it could find out in its init, where it may still read: who it is and which descriptors
 * are open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "zoo.h"

static char found[512];

static void add(const char *text)
{
	strncat(found, text, sizeof(found) - strlen(found) - 1);
}

static void list_descriptors(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char text[16];

		if (fcntl(fd, F_GETFD) < 0)
			continue;
		(void)snprintf(text, sizeof(text), "%s%d", fd ? "," : "", fd);
		add(text);
	}
}

static int32_t init(const struct fleet_host *host, struct fleet_driver_error *err)
{
	char text[64];

	(void)err;
	(void)host;
	(void)snprintf(text, sizeof(text), "uid %u gid %u fds ", getuid(), getgid());
	add(text);
	list_descriptors();
	add(fork() < 0 ? " fork refused" : " FORKED");
	add(getenv("HOME") ? " ENVIRONMENT" : " no environment");
	add(open("/etc/passwd", O_RDONLY) >= 0 ? " reads" : " CANNOT READ");
	add(open("/etc/shadow", O_RDONLY) >= 0 ? " READS SHADOW" : " not shadow");
	(void)socket(AF_UNIX, SOCK_STREAM, 0); /* left open: to be closed by the host */
	return 0;
}

static int32_t edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	(void)in;
	(void)edits;
	(void)n;
	(void)err;
	return host->emit(out, found, strlen(found));
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops), .read = zoo_read, .edit = edit, .check = zoo_check, .init = init};
FLEET_DRIVER_DEFINE("bad-init", .version = "1", .summary = "Looks around in its init", .format = &ops);
