/* What an answer's headers say that matters to a download: is this a part of the same file, how long is the
 * whole, and by what could it be continued. Pure. */
#ifndef FETCH_REPLY_H
#define FETCH_REPLY_H
#include "fleet/base.h"

struct reply {
	char *etag, *last_modified, *date; /* owned */
	char *location_scheme; /* owned: of the newest redirect; kept over the answers of one attempt */
	int64_t range_start, range_total; /* of Content-Range; -1 unknown */
};

void reply_begin(struct reply *r); /* of one attempt */
void reply_done(struct reply *r);
/* One header line, as libcurl gives it; a status line begins the next answer. */
void reply_header(struct reply *r, const char *data, size_t len);
/* What If-Range may name: a strong ETag, or a Last-Modified that is old enough to be one; owned, NULL: none.
 */
char *reply_validator(const struct reply *r);

#endif
