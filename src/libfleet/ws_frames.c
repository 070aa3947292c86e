/* Bytes to messages and back (RFC 6455 section 5). wslay takes frames apart and masks them; which frames may
 * follow each other, sizes and texts are checked here. */
#include <stdint.h>
#include <sys/random.h>
#include <wslay/wslay.h>
#include "fleet/buffer.h"
#include "fleet/text.h"
#include "ws_internal.h"

#define CONTROL_MAX 125

struct ws_frames {
	wslay_frame_context_ptr wslay;
	struct evbuffer *input, *output; /* of the call that is under way */
	bool is_client;
	bool broken;
	bool in_frame, in_message;
	uint8_t opcode;     /* of the frame */
	bool fin;           /* of the frame */
	unsigned fragments; /* of the message, so far */
	uint64_t offset;    /* in the frame */
	uint64_t fed, done; /* bytes that wslay was given, bytes of whole frames: equal between frames */
	struct fleet_buffer message; /* what has come of it */
	char control[CONTROL_MAX + 1];
	size_t control_len;
	bool delivered; /* message was handed out and may be forgotten */
};

static ssize_t on_recv(uint8_t *buf, size_t len, int flags FLEET_UNUSED, void *arg)
{
	struct ws_frames *f = arg;
	const int n = evbuffer_remove(f->input, buf, len);

	if (n <= 0)
		return -1; /* wslay: wants more */
	f->fed += (uint64_t)n;
	return n;
}

static ssize_t on_send(const uint8_t *data, size_t len, int flags FLEET_UNUSED, void *arg)
{
	struct ws_frames *f = arg;

	if (evbuffer_add(f->output, data, len) < 0)
		abort(); /* out of memory, as in xmalloc: the backlog is bounded */
	return (ssize_t)len;
}

static int on_mask(uint8_t *buf, size_t len, void *arg FLEET_UNUSED)
{
	return getrandom(buf, len, 0) == (ssize_t)len ? 0 : -1;
}

struct ws_frames *ws_frames_new(bool is_client)
{
	static const struct wslay_frame_callbacks callbacks = {on_send, on_recv, on_mask};
	struct ws_frames *f = xcalloc(1, sizeof(*f));

	f->is_client = is_client;
	if (wslay_frame_context_init(&f->wslay, &callbacks, f) != 0)
		abort(); /* out of memory, likewise */
	return f;
}

void ws_frames_free(struct ws_frames *f)
{
	if (!f)
		return;
	wslay_frame_context_free(f->wslay);
	fleet_buffer_done(&f->message);
	free(f);
}

bool ws_frames_is_idle(const struct ws_frames *f)
{
	return !f->in_frame && !f->in_message && f->fed == f->done;
}

static void set_broken(struct ws_frames *f, int code, const char *why, struct ws_item *ret)
{
	f->broken = true;
	*ret = (struct ws_item){.kind = WS_BROKEN, .data = why, .len = strlen(why), .code = code};
}

/* False: refused, told in *ret. */
static bool begin_frame(struct ws_frames *f, const struct wslay_frame_iocb *io, struct ws_item *ret)
{
	const bool control = wslay_is_ctrl_frame(io->opcode);

	if (io->rsv)
		return set_broken(f, 1002, "a reserved bit is set, but no extension was agreed on", ret),
		       false;
	if (f->is_client && io->mask)
		return set_broken(f, 1002, "a server's frames must not be masked", ret), false;
	if (!f->is_client && !io->mask)
		return set_broken(f, 1002, "a client's frames must be masked", ret), false;
	switch (io->opcode) {
	case WSLAY_CONTINUATION_FRAME:
		if (!f->in_message)
			return set_broken(f, 1002, "a continuation without a beginning", ret), false;
		if (++f->fragments > FLEET_WS_FRAGMENTS_MAX)
			return set_broken(f, 1008, "a message in more than 4096 fragments", ret), false;
		break;
	case WSLAY_TEXT_FRAME:
		if (f->in_message)
			return set_broken(f, 1002, "a message began inside another", ret), false;
		f->fragments = 1;
		break;
	case WSLAY_BINARY_FRAME:
		return set_broken(f, 1003, "only text messages are understood", ret), false;
	case WSLAY_CONNECTION_CLOSE:
	case WSLAY_PING:
	case WSLAY_PONG:
		break;
	default:
		return set_broken(f, 1002, "an opcode that RFC 6455 does not have", ret), false;
	}
	if (!control && io->payload_length > FLEET_MESSAGE_MAX - f->message.len)
		return set_broken(f, 1009, "the message is longer than 1 MiB", ret), false;
	f->in_frame = true;
	f->opcode = io->opcode;
	f->fin = io->fin;
	f->offset = 0;
	if (control)
		f->control_len = 0;
	else
		f->in_message = true;
	return true;
}
_Static_assert(FLEET_MESSAGE_MAX == 1024 * 1024 && FLEET_WS_FRAGMENTS_MAX == 4096,
	"the sentences above name the bounds");

static bool close_code_is_valid(int code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
	       (code >= 3000 && code <= 4999);
}

static void take_close(struct ws_frames *f, struct ws_item *ret)
{
	const unsigned char *bytes = (const unsigned char *)f->control;

	*ret = (struct ws_item){.kind = WS_CLOSE, .data = "", .code = 1005};
	if (f->control_len == 0)
		return;
	ret->code = f->control_len < 2 ? 0 : bytes[0] << 8 | bytes[1];
	if (!close_code_is_valid(ret->code)) {
		set_broken(f, 1002, "a close frame with an invalid code", ret);
		return;
	}
	ret->data = f->control + 2;
	ret->len = f->control_len - 2;
	if (!fleet_text_is_utf8(ret->data, ret->len))
		set_broken(f, 1007, "a close frame's reason is not UTF-8", ret);
}

/* A frame is whole: what does it say? */
static void end_frame(struct ws_frames *f, uint64_t payload_length, bool masked, struct ws_item *ret)
{
	f->done += 2 +
		   (payload_length > 65535        ? 8u
			   : payload_length > 125 ? 2u
						  : 0u) +
		   (masked ? 4u : 0u) + payload_length;
	f->in_frame = false;
	if (wslay_is_ctrl_frame(f->opcode)) {
		f->control[f->control_len] = '\0';
		*ret = (struct ws_item){.kind = f->opcode == WSLAY_PING ? WS_PING : WS_PONG,
			.data = f->control,
			.len = f->control_len};
		if (f->opcode == WSLAY_CONNECTION_CLOSE)
			take_close(f, ret);
		return;
	}
	if (!f->fin)
		return;
	f->in_message = false;
	f->delivered = true;
	if (!fleet_text_is_utf8(f->message.data ? f->message.data : "", f->message.len)) {
		set_broken(f, 1007, "a message is not UTF-8", ret);
		return;
	}
	*ret = (struct ws_item){
		.kind = WS_MESSAGE, .data = f->message.data ? f->message.data : "", .len = f->message.len};
}

void ws_frames_next(struct ws_frames *f, struct evbuffer *input, struct ws_item *ret)
{
	*ret = (struct ws_item){.kind = WS_NOTHING};
	if (f->delivered)
		fleet_buffer_done(&f->message); /* a megabyte is not kept for the next "ok" */
	f->delivered = false;
	f->input = input;
	while (ret->kind == WS_NOTHING && !f->broken) {
		struct wslay_frame_iocb io;
		ssize_t n;

		memset(&io, 0, sizeof(io));
		n = wslay_frame_recv(f->wslay, &io);
		if (n == WSLAY_ERR_WANT_READ)
			break;
		if (n < 0) {
			set_broken(f, 1002, "a frame's header is malformed", ret);
			break;
		}
		if (!f->in_frame && !begin_frame(f, &io, ret))
			break;
		if (!wslay_is_ctrl_frame(f->opcode)) {
			fleet_buffer_add(&f->message, io.data, io.data_length);
		} else if (io.data_length <= CONTROL_MAX - f->control_len) {
			memcpy(f->control + f->control_len, io.data, io.data_length);
			f->control_len += io.data_length;
		}
		f->offset += io.data_length;
		if (f->offset == io.payload_length)
			end_frame(f, io.payload_length, io.mask, ret);
	}
	f->input = NULL;
}

void ws_frames_put(struct ws_frames *f, struct evbuffer *output, int opcode, const void *data, size_t len)
{
	struct wslay_frame_iocb io = {
		.fin = 1,
		.opcode = (uint8_t)opcode,
		.payload_length = len,
		.mask = f->is_client,
		.data = data,
		.data_length = len,
	};

	f->output = output;
	if (wslay_frame_send(f->wslay, &io) != (ssize_t)len)
		abort(); /* on_send takes everything: left are a broken getrandom and a bug of ours */
	f->output = NULL;
}
