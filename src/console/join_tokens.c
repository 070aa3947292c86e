#include "console/join_tokens.h"

#include "console/auth.h"
#include "fleet/clock.h"
#include "fleet/join_token.h"
#include "fleet/limits.h"

#define KEPT_MS  (30 * INT64_C(86400000)) /* after it has expired */
#define TAIL_MIN 6

struct creation {
	struct members *members;
	struct join_token *token; /* owned until it is in the table */
	char *text;               /* owned */
	join_token_made *done;
	void *arg;
};

static void creation_free(struct creation *c)
{
	explicit_bzero(c->text, strlen(c->text));
	free(c->text);
	join_token_free(c->token);
	free(c);
}

static void on_created(int result, const struct fleet_error *err, void *arg)
{
	struct creation *c = arg;
	struct join_token *token = c->token;

	if (result >= 0) {
		c->token = NULL;
		id_table_add(&c->members->tokens, token->id, token);
		c->done(0, token, c->text, NULL, c->arg);
	} else {
		c->done(result, NULL, NULL, err, c->arg);
	}
	creation_free(c);
}

/* Those that nobody looks for any more go; how many are left that could be used. */
static size_t tidy(struct members *members, int64_t now_ms)
{
	size_t usable = 0;

	for (size_t i = members->tokens.count; i > 0; i--) {
		struct join_token *t = members->tokens.entries[i - 1].value;

		if (t->expires_ms + KEPT_MS < now_ms)
			join_token_free(id_table_remove(&members->tokens, t->id));
		else if (!*join_token_fault(t, now_ms))
			usable++;
	}
	return usable;
}

static struct join_token *token_new(const struct join_token_wish *wish, const char *secret, const char *actor)
{
	struct join_token *t = xcalloc(1, sizeof(*t));
	struct fleet_uuid id = fleet_uuid_new();

	memcpy(t->id, id.text, sizeof(t->id));
	fleet_sha256(secret, strlen(secret), t->digest);
	t->agents = xstrdup(wish->agents);
	t->uses_max = wish->uses;
	t->created_by = xstrdup(actor);
	t->created_ms = fleet_clock_wall_ms();
	t->expires_ms = t->created_ms + wish->life_ms;
	return t;
}

void join_tokens_create(struct members *members, const struct join_token_wish *wish,
	const struct member_asker *asker, join_token_made *done, void *arg)
{
	_cleanup_free_ char *message = NULL;
	struct fleet_join_token text;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct audit_event event;
	struct creation *c;

	if (tidy(members, fleet_clock_wall_ms()) >= FLEET_JOIN_TOKENS_MAX) {
		int r = fleet_error_set(&err, -EDQUOT,
			"%d join tokens are usable already: revoke some, or give one more uses",
			FLEET_JOIN_TOKENS_MAX);

		done(r, NULL, NULL, &err, arg);
		return;
	}
	fleet_join_token_new(wish->authority, wish->kid, &text);
	c = xcalloc(1, sizeof(*c));
	c->members = members;
	c->token = token_new(wish, text.secret, asker->actor);
	c->text = fleet_join_token_text(&text);
	c->done = done;
	c->arg = arg;
	explicit_bzero(&text, sizeof(text));
	message = xasprintf("join token %s created by %s: for %s, %d use%s, until %s",
		c->token->id + FLEET_UUID_LEN - TAIL_MIN, asker->actor,
		wish->agents ? wish->agents : "any agent", wish->uses, wish->uses == 1 ? "" : "s",
		fleet_timestamp_format(c->token->expires_ms).text);
	event = (struct audit_event){.category = "access",
		.actor = asker->actor,
		.source_address = asker->source_address,
		.message = message,
		.details = json_object_new_object()};
	fleet_json_add_string(event.details, "tokenId", c->token->id);
	store_member_save(members->store, NULL, c->token, &event, on_created, c);
	json_object_put(event.details);
}

struct join_token *join_tokens_get(const struct members *members, const char *id_or_tail, int *ret_result)
{
	struct join_token *found = id_table_get(&members->tokens, id_or_tail);
	size_t len = strlen(id_or_tail);

	*ret_result = found ? 0 : -ENOENT;
	if (found || len < TAIL_MIN || len >= FLEET_UUID_LEN)
		return found;
	for (size_t i = 0; i < members->tokens.count; i++) {
		struct join_token *t = members->tokens.entries[i].value;

		if (strcasecmp(t->id + FLEET_UUID_LEN - len, id_or_tail) != 0)
			continue;
		if (found) {
			*ret_result = -ENOTUNIQ;
			return NULL;
		}
		found = t;
		*ret_result = 0;
	}
	return found;
}

void join_tokens_revoke(struct members *members, struct join_token *token, const struct member_asker *asker,
	store_done *done, void *arg)
{
	_cleanup_free_ char *message =
		xasprintf("join token %s revoked by %s", token->id + FLEET_UUID_LEN - TAIL_MIN, asker->actor);
	struct audit_event event = {.category = "access",
		.actor = asker->actor,
		.source_address = asker->source_address,
		.message = message,
		.details = json_object_new_object()};

	if (!token->revoked_ms)
		token->revoked_ms = fleet_clock_wall_ms();
	fleet_json_add_string(event.details, "tokenId", token->id);
	store_member_save(members->store, NULL, token, &event, done, arg);
	json_object_put(event.details);
}

struct join_token *join_tokens_find(const struct members *members, const char *secret)
{
	unsigned char digest[FLEET_SHA256_LEN];
	struct join_token *found = NULL;

	fleet_sha256(secret, strlen(secret), digest);
	for (size_t i = 0; i < members->tokens.count; i++) { /* all of them: the time tells nothing */
		struct join_token *t = members->tokens.entries[i].value;

		if (auth_digests_equal(t->digest, digest))
			found = t;
	}
	return found;
}
