/* What went wrong on the network, in words that a person can act on, and whether another attempt may help.
 * Nothing of a URL but its host comes into a sentence: the rest may be somebody's credential. Pure. */
#ifndef FETCH_EXPLAIN_H
#define FETCH_EXPLAIN_H
#include <curl/curl.h>
#include "fleet/error.h"

/* code: not CURLE_OK. message: libcurl's error buffer, may be empty. Returns err->code. */
int explain_failure(CURL *curl, CURLcode code, const char *message, struct fleet_error *err);
bool explain_is_temporary(CURLcode code);
/* An answer's status that asks to come again. */
bool explain_is_temporary_status(long status);
/* "512 bytes", "120.4 MB" */
void explain_bytes(int64_t bytes, char *out, size_t out_len);
long explain_status(CURL *curl);

#endif
