/* WebSocket frames, as a server ('s' first) or as a client takes them: the same items however the bytes are
 * cut, texts in UTF-8 only, nothing after what broke the rules. */
#include <event2/buffer.h>
#include "fleet/buffer.h"
#include "fleet/text.h"
#include "fuzz.h"
#include "libfleet/ws_internal.h"

static void take(struct ws_frames *f, struct evbuffer *input, struct fleet_buffer *heard, bool *broken)
{
	struct ws_item item;

	for (;;) {
		ws_frames_next(f, input, &item);
		FUZZ_CHECK(!*broken || item.kind == WS_NOTHING, "it went on after its end");
		if (item.kind == WS_NOTHING)
			return;
		FUZZ_CHECK(item.data && item.data[item.len] == '\0', "no end of its text");
		FUZZ_CHECK((item.kind != WS_MESSAGE && item.kind != WS_CLOSE) ||
				   fleet_text_is_utf8(item.data, item.len),
			"not UTF-8");
		FUZZ_CHECK(item.kind != WS_BROKEN || (item.code >= 1002 && item.code <= 1009 && item.len > 0),
			"broken: %d", item.code);
		*broken = item.kind == WS_BROKEN;
		fleet_buffer_printf(heard, "%d/%d:", (int)item.kind, item.code);
		fleet_buffer_add(heard, item.data, item.len);
		fleet_buffer_add_string(heard, "\n");
	}
}

static void feed(bool is_client, const uint8_t *data, size_t size, size_t step, struct fleet_buffer *heard)
{
	struct ws_frames *f = ws_frames_new(is_client);
	struct evbuffer *input = evbuffer_new();
	bool broken = false;

	for (size_t at = 0; at < size; at += step) {
		FUZZ_CHECK(evbuffer_add(input, data + at, size - at < step ? size - at : step) == 0,
			"no memory");
		take(f, input, heard, &broken);
		FUZZ_CHECK(broken || evbuffer_get_length(input) == 0, "bytes were left over");
	}
	if (ws_frames_is_idle(f))
		FUZZ_CHECK(!broken || size > 0, "idle and broken");
	evbuffer_free(input);
	ws_frames_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct fleet_buffer at_once = FLEET_BUFFER_INIT, piecemeal = FLEET_BUFFER_INIT;
	bool is_client = size == 0 || data[0] != 's';

	if (size < 2)
		return 0;
	feed(is_client, data + 1, size - 1, size, &at_once);
	feed(is_client, data + 1, size - 1, 1 + data[0] % 3, &piecemeal);
	FUZZ_CHECK(at_once.len == piecemeal.len &&
			   (at_once.len == 0 || memcmp(at_once.data, piecemeal.data, at_once.len) == 0),
		"at once:\n%s\nin pieces:\n%s", at_once.data, piecemeal.data);
	return 0;
}
