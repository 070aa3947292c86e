/* Dashboards that have logged in: a cookie with 256 random bits stands for a key, until it expires, somebody
 * logs out, or the key is no good any more. In memory only (digests, as with keys): after a restart of the
 * console people log in again. Event loop only. */
#ifndef CONSOLE_SESSIONS_H
#define CONSOLE_SESSIONS_H
#include "console/key.h"

struct session {
	unsigned char digest[FLEET_SHA256_LEN];
	struct api_key *key; /* a reference */
	int64_t expires_ms;  /* wall clock: shown to people, and never after the key's own */
};
struct sessions {
	struct session *items; /* owned; the oldest first */
	size_t count;
};

void sessions_done(struct sessions *sessions);
/* A new one: the cookie's value, owned (api_key_secret_free). Where there are too many, the key's or all,
 * the oldest ends. *ret_expires_ms: when it ends at the latest. */
char *sessions_open(struct sessions *sessions, struct api_key *key, int64_t now_ms, int64_t *ret_expires_ms);
/* Borrowed, until the next call that changes them; NULL. */
const struct session *sessions_find(const struct sessions *sessions, const char *cookie, int64_t now_ms);
const struct session *sessions_find_digest(
	const struct sessions *sessions, const unsigned char digest[FLEET_SHA256_LEN], int64_t now_ms);
/* True where there was one. */
bool sessions_close(struct sessions *sessions, const char *cookie);
/* Ends those of a key that is gone. */
void sessions_close_key(struct sessions *sessions, const struct api_key *key);
void sessions_tick(struct sessions *sessions, int64_t now_ms);

#endif
