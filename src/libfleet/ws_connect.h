/* What a server answered to an upgrade: read and judged. Pure; used by ws_connect.c alone. */
#ifndef FLEET_WS_CONNECT_H
#define FLEET_WS_CONNECT_H
#include <event2/buffer.h>
#include "fleet/base.h"
#include "fleet/limits.h"

#define WS_REFUSAL_MAX (64u * 1024u) /* the body of a refusal */
#define WS_ANSWER_MAX  (FLEET_HTTP_HEADERS_MAX + WS_REFUSAL_MAX)

enum ws_answer_kind { WS_ANSWER_MORE, WS_ANSWER_OPEN, WS_ANSWER_REFUSED };
struct ws_answer {
	int status;       /* of a refusal; 0: what came was no proper HTTP answer, or a 101 that is none */
	size_t head_len;  /* status line and headers */
	char reason[256]; /* a problem+json's detail, else what there is to say */
};

/* input: what has come so far; a 101's own bytes are taken from it, what follows are frames. at_end: nothing
 * more will come. *ret is set where it is refused. */
enum ws_answer_kind ws_answer_read(struct evbuffer *input, bool at_end, const char *accept,
	const char *subprotocol, struct ws_answer *ret);

#endif
