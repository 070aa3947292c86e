/* Frames of the socket between agent and driver host, over a socket pair: what comes out is what the four
 * bytes of length say, in order, until the first one that breaks the bounds. */
#include <sys/socket.h>
#include "fleet/buffer.h"
#include "fleet/frame.h"
#include "fleet/limits.h"
#include "fuzz.h"

struct heard {
	struct fleet_buffer frames; /* as they would be sent again */
	bool closed;
};

static void add_frame(struct fleet_buffer *out, const void *data, size_t len)
{
	const unsigned char header[4] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16),
		(unsigned char)(len >> 8), (unsigned char)len};

	fleet_buffer_add(out, header, sizeof(header));
	fleet_buffer_add(out, data, len);
}

static void on_frame(
	struct fleet_frame_link *link FLEET_UNUSED, const char *data, size_t len, int fd, void *arg)
{
	struct heard *heard = arg;

	FUZZ_CHECK(!heard->closed, "a frame after the end");
	FUZZ_CHECK(fd < 0, "a descriptor from nowhere");
	FUZZ_CHECK(len > 0 && len <= FLEET_MESSAGE_MAX && data[len] == '\0', "a frame of %zu bytes", len);
	add_frame(&heard->frames, data, len);
}

static void on_closed(struct fleet_frame_link *link FLEET_UNUSED, const char *why, void *arg)
{
	struct heard *heard = arg;

	FUZZ_CHECK(!heard->closed && why && *why, "closed twice, or without a reason");
	heard->closed = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fleet_frame_events events = {on_frame, on_closed};
	static struct event_base *base;
	_cleanup_buffer_ struct fleet_buffer want = FLEET_BUFFER_INIT;
	struct fleet_frame_link *link;
	struct heard heard = {.frames = FLEET_BUFFER_INIT};
	size_t at = 0, step = size > 0 ? 1 + data[0] % 97u : 1;
	int fds[2];

	if (!base)
		base = event_base_new();
	FUZZ_CHECK(base && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "no sockets");
	link = fleet_frame_link_new(base, fds[0], &events, &heard);
	for (at = 0; at < size && !heard.closed; at += step) {
		(void)send(fds[1], data + at, size - at < step ? size - at : step,
			MSG_NOSIGNAL); /* fails after the end */
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
	}
	(void)close(fds[1]);
	for (int i = 0; i < 1000 && !heard.closed; i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
	FUZZ_CHECK(heard.closed, "the other end left, and nobody noticed");
	fleet_frame_link_free(link);

	for (at = 0; size - at >= 4;) {
		size_t len = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 |
			     data[at + 3];

		if (len == 0 || len > FLEET_MESSAGE_MAX || len > size - at - 4)
			break;
		add_frame(&want, data + at + 4, len);
		at += 4 + len;
	}
	FUZZ_CHECK(heard.frames.len == want.len &&
			   (want.len == 0 || memcmp(heard.frames.data, want.data, want.len) == 0),
		"%zu bytes of frames came out of %zu", heard.frames.len, want.len);
	fleet_buffer_done(&heard.frames);
	return 0;
}
