#include "agent/admin/host_ask.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "fleet/clock.h"
#include "fleet/limits.h"

int host_ask_connect(const char *path, int *ret_fd, struct fleet_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return fleet_error_set(err, -ENAMETOOLONG, "the socket's path %s is too long", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	if (errno == EACCES || errno == EPERM)
		return fleet_error_set(err, -EACCES, "only root may ask the driver host (%s)", path);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return fleet_error_set(err, -errno,
			"the driver host does not listen at %s; systemctl status fleet-driver-host.socket "
			"says more",
			path);
	return fleet_error_errno(err, -errno, "cannot connect to the driver host at %s", path);
}

int host_ask_send(int fd, struct json_object *frame, struct fleet_error *err)
{
	size_t len, sent = 0;
	const char *text = fleet_json_text(frame, &len);
	_cleanup_free_ char *bytes = xmalloc(len + 4);

	for (int i = 0; i < 4; i++)
		bytes[i] = (char)(len >> (24 - 8 * i) & 0xff);
	memcpy(bytes + 4, text, len);
	while (sent < len + 4) {
		ssize_t n = send(fd, bytes + sent, len + 4 - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fleet_error_errno(err, -errno, "the driver host does not take the question");
		sent += (size_t)n;
	}
	return 0;
}

static int receive_all(int fd, char *data, size_t len, int64_t until_ms, struct fleet_error *err)
{
	while (len > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until_ms - fleet_clock_monotonic_ms();
		ssize_t n;

		if (left <= 0)
			return fleet_error_set(err, -ETIMEDOUT, "the driver host does not answer");
		if (poll(&p, 1, left > 60000 ? 60000 : (int)left) <= 0)
			continue;
		n = recv(fd, data, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fleet_error_set(err, -ECONNRESET,
				"the driver host closed the connection: it has ended, or listens to root "
				"only");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int host_ask_receive(int fd, int64_t until_ms, enum fleet_message_type *ret_type, struct json_object **ret,
	struct fleet_error *err)
{
	_cleanup_free_ char *text = NULL;
	unsigned char header[4];
	size_t len = 0;
	int r = receive_all(fd, (char *)header, sizeof(header), until_ms, err);

	if (r < 0)
		return r;
	for (int i = 0; i < 4; i++)
		len = len << 8 | header[i];
	if (len > FLEET_MESSAGE_MAX)
		return fleet_error_set(err, -EMSGSIZE, "the driver host sent %zu bytes at once", len);
	text = xmalloc(len + 1);
	text[len] = '\0';
	r = receive_all(fd, text, len, until_ms, err);
	if (r < 0)
		return r;
	r = fleet_message_parse(text, len, FLEET_HOST_TO_AGENT, ret_type, ret, err);
	return r < 0 ? fleet_error_wrap(err, "the driver host's answer was not understood") : 0;
}

int host_ask_one(int fd, struct json_object *frame, enum fleet_message_type wanted, int64_t timeout_ms,
	struct json_object **ret, struct fleet_error *err)
{
	int64_t until = fleet_clock_monotonic_ms() + timeout_ms;
	int r = host_ask_send(fd, frame, err);

	while (r >= 0) {
		_cleanup_json_ struct json_object *message = NULL;
		enum fleet_message_type type = FLEET_MESSAGE_INVALID;

		r = host_ask_receive(fd, until, &type, &message, err);
		if (r < 0)
			return r;
		if ((type == FLEET_FRAME_REFUSED || type == FLEET_MESSAGE_ERROR) &&
			str_equal(fleet_json_string(message, "refId"), fleet_json_string(frame, "id")))
			return fleet_error_set(err, -EREMOTEIO, "%s", fleet_json_string(message, "message"));
		if (type != wanted)
			continue;
		*ret = TAKE_PTR(message);
		return 0;
	}
	return r;
}
