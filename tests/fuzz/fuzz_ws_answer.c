/* What a server answered to an upgrade. The first byte: 'e' at the end of what comes. */
#include <event2/buffer.h>
#include "fleet/text.h"
#include "fuzz.h"
#include "libfleet/ws_connect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evbuffer *input = evbuffer_new();
	struct ws_answer answer = {0};
	enum ws_answer_kind kind;
	size_t left;

	if (size > 0 && input && evbuffer_add(input, data + 1, size - 1) == 0) {
		kind = ws_answer_read(
			input, data[0] == 'e', "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "fleet.v1", &answer);
		left = evbuffer_get_length(input);
		FUZZ_CHECK(kind != WS_ANSWER_MORE || (data[0] != 'e' && left == size - 1),
			"it wants more at the end");
		FUZZ_CHECK(kind == WS_ANSWER_OPEN || left == size - 1 || kind == WS_ANSWER_REFUSED,
			"bytes were taken");
		if (kind == WS_ANSWER_REFUSED) {
			FUZZ_CHECK(*answer.reason && fleet_text_is_utf8(answer.reason, strlen(answer.reason)),
				"no reason: '%s'", answer.reason);
			FUZZ_CHECK(answer.status >= 0 && answer.status <= 999, "status %d", answer.status);
		}
	}
	evbuffer_free(input);
	return 0;
}
