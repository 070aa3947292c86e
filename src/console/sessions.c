#include "console/sessions.h"

#include "fleet/limits.h"

#define COOKIE_BYTES 32
#define COOKIE_LEN   43 /* of its text */

static void drop(struct sessions *sessions, size_t i)
{
	api_key_unref(sessions->items[i].key);
	memmove(sessions->items + i, sessions->items + i + 1,
		(sessions->count - i - 1) * sizeof(*sessions->items));
	sessions->count--;
}

void sessions_done(struct sessions *sessions)
{
	while (sessions->count > 0)
		drop(sessions, sessions->count - 1);
	free(sessions->items);
	*sessions = (struct sessions){0};
}

static void make_room(struct sessions *sessions, const struct api_key *key)
{
	size_t own = 0, oldest = 0;

	for (size_t i = sessions->count; i > 0; i--) {
		if (sessions->items[i - 1].key == key) {
			own++;
			oldest = i - 1;
		}
	}
	if (own >= FLEET_SESSIONS_PER_KEY)
		drop(sessions, oldest);
	else if (sessions->count >= FLEET_SESSIONS_MAX)
		drop(sessions, 0);
}

char *sessions_open(struct sessions *sessions, struct api_key *key, int64_t now_ms, int64_t *ret_expires_ms)
{
	unsigned char random[COOKIE_BYTES];
	struct session *session;
	char *cookie;

	make_room(sessions, key);
	fleet_random(random, sizeof(random));
	cookie = fleet_base64url_encode(random, sizeof(random));
	explicit_bzero(random, sizeof(random));
	sessions->items = xreallocarray(sessions->items, sessions->count + 1, sizeof(*sessions->items));
	session = &sessions->items[sessions->count++];
	*session = (struct session){.key = api_key_ref(key)};
	fleet_sha256(cookie, strlen(cookie), session->digest);
	session->expires_ms = now_ms + FLEET_SESSION_S * INT64_C(1000);
	if (key->expires_ms && key->expires_ms < session->expires_ms)
		session->expires_ms = key->expires_ms;
	*ret_expires_ms = session->expires_ms;
	return cookie;
}

const struct session *sessions_find_digest(
	const struct sessions *sessions, const unsigned char digest[FLEET_SHA256_LEN], int64_t now_ms)
{
	/* A digest tells nothing of what else would have it, so that it may be compared as it comes. */
	for (size_t i = 0; i < sessions->count; i++) {
		const struct session *session = &sessions->items[i];

		if (memcmp(session->digest, digest, FLEET_SHA256_LEN) == 0)
			return now_ms < session->expires_ms ? session : NULL;
	}
	return NULL;
}

const struct session *sessions_find(const struct sessions *sessions, const char *cookie, int64_t now_ms)
{
	unsigned char digest[FLEET_SHA256_LEN];

	if (strlen(cookie) != COOKIE_LEN)
		return NULL;
	fleet_sha256(cookie, COOKIE_LEN, digest);
	return sessions_find_digest(sessions, digest, now_ms);
}

bool sessions_close(struct sessions *sessions, const char *cookie)
{
	const struct session *session = sessions_find(sessions, cookie, 0);

	if (session)
		drop(sessions, (size_t)(session - sessions->items));
	return session != NULL;
}

void sessions_close_key(struct sessions *sessions, const struct api_key *key)
{
	for (size_t i = sessions->count; i > 0; i--) {
		if (sessions->items[i - 1].key == key)
			drop(sessions, i - 1);
	}
}

void sessions_tick(struct sessions *sessions, int64_t now_ms)
{
	for (size_t i = sessions->count; i > 0; i--) {
		if (now_ms >= sessions->items[i - 1].expires_ms)
			drop(sessions, i - 1);
	}
}
