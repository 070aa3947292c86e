/* Server-sent events as a client reads them: the same events however the bytes are cut. */
#include "fuzz.h"
#include "libfleet/http_client_sse.h"

static bool on_event(const char *event, const char *id, const char *text, void *arg)
{
	struct fleet_buffer *heard = arg;

	fleet_buffer_printf(heard, "<%s|%s|%s>", event ? event : "-", id ? id : "-", text);
	return strlen(text) != 13;
}

static int feed(const char *bytes, size_t len, size_t step, struct fleet_buffer *heard)
{
	struct sse_parser p = {.on_event = on_event, .arg = heard};
	int r = 0;

	for (size_t at = 0; at < len && r == 0; at += step)
		r = sse_feed(&p, bytes + at, len - at < step ? len - at : step);
	sse_done(&p);
	FUZZ_CHECK(r == 0 || r == -ECANCELED || r == -EMSGSIZE, "%d", r);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct fleet_buffer at_once = FLEET_BUFFER_INIT, piecemeal = FLEET_BUFFER_INIT;
	int r = feed((const char *)data, size, SIZE_MAX / 2, &at_once);

	FUZZ_CHECK(feed((const char *)data, size, 1, &piecemeal) == r, "it ends otherwise in pieces");
	FUZZ_CHECK(at_once.len == piecemeal.len &&
			   (at_once.len == 0 || memcmp(at_once.data, piecemeal.data, at_once.len) == 0),
		"at once:\n%s\nin pieces:\n%s", at_once.data, piecemeal.data);
	return 0;
}
