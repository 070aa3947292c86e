/* /api/join-tokens: with what new agents may join. A token's text is shown once, in the answer that made it.
 */
#include "console/api.h"
#include "console/join_tokens.h"
#include "fleet/limits.h"

static const struct fleet_json_field create_fields[] = {
	{"agents", FLEET_JSON_STRING, 0, .min = 1, .max = FLEET_ID_MAX},
	{"uses", FLEET_JSON_INTEGER, 0, .min = 1, .max = FLEET_JOIN_USES_MAX},
	{"expiresInSeconds", FLEET_JSON_INTEGER, 0, .min = 1, .max = FLEET_JOIN_LIFE_MAX_S},
	{0},
};

static struct member_asker asker_of(const struct fleet_http_request *req)
{
	return (struct member_asker){.actor = auth_actor(req), .source_address = fleet_http_peer(req)};
}

/* Ids are in the order of time: the newest first. */
void api_join_tokens_list(struct fleet_http_request *req, void *arg)
{
	static const char *const params[] = {NULL};
	const struct console *console = arg;
	const struct id_table *tokens = &console->members.tokens;
	const char *last = NULL, *next = NULL;
	struct json_object *array;
	struct api_page page;
	size_t i;

	if (!api_read_page(req, FLEET_PAGE_DEFAULT, &page))
		return;
	i = page.cursor ? id_table_after(tokens, page.cursor) : tokens->count;
	array = json_object_new_array();
	for (; i > 0 && !next; i--) {
		const struct join_token *t = tokens->entries[i - 1].value;

		if (str_equal(t->id, page.cursor))
			continue;
		if (json_object_array_length(array) == (size_t)page.limit) {
			next = last;
			break;
		}
		json_object_array_add(array, join_token_to_json(t));
		last = t->id;
	}
	api_reply_page(req, array, next, params);
}

static void on_created(int result, const struct join_token *token, const char *text,
	const struct fleet_error *err, void *arg)
{
	struct fleet_http_request *req = arg;
	_cleanup_free_ char *location = token ? xasprintf("/api/join-tokens/%s", token->id) : NULL;
	struct json_object *body;

	if (result == -EDQUOT) {
		fleet_http_reply_problem(req, 429, "rate-limited", NULL, "%s", err->message);
	} else if (result < 0) {
		api_reply_store_failed(req, result, err);
	} else {
		body = join_token_to_json(token);
		fleet_json_add_string(body, "token", text);
		fleet_http_add_header(req, "Location", location);
		fleet_http_reply_json(req, 201, body);
	}
}

static bool check_pattern(struct fleet_http_request *req, const char *agents)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-*?";

	return !agents || strspn(agents, letters) == strlen(agents) ||
	       api_refuse(req, "agents", "must be an agentId, or a pattern of agentIds with * and ?");
}

void api_join_tokens_create(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct json_object *body = fleet_http_json_body(req, create_fields);
	const struct certificate *certificate = &console->certificate;
	struct join_token_wish wish;
	struct member_asker asker;

	if (!body || !check_pattern(req, fleet_json_string(body, "agents")))
		return;
	asker = asker_of(req);
	wish = (struct join_token_wish){
		.agents = fleet_json_string(body, "agents"),
		.uses = (int)fleet_json_int(body, "uses", 1),
		.life_ms = fleet_json_int(body, "expiresInSeconds", FLEET_JOIN_LIFE_DEFAULT_S) * 1000,
		.authority = certificate->has_authority ? certificate->authority : NULL,
		.kid = fleet_jws_key_id(console->key),
	};
	join_tokens_create(&console->members, &wish, &asker, on_created, req);
}

struct revoking {
	struct fleet_http_request *req;
	const struct members *members;
	char id[FLEET_UUID_LEN + 1];
};

static void on_revoked(int result, const struct fleet_error *err, void *arg)
{
	struct revoking *r = arg;
	const struct join_token *t = id_table_get(&r->members->tokens, r->id);

	if (result < 0)
		api_reply_store_failed(r->req, result, err);
	else
		fleet_http_reply_json(r->req, 200, t ? join_token_to_json(t) : json_object_new_object());
	free(r);
}

void api_join_tokens_revoke(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	const char *id = fleet_http_param(req, "tokenId");
	const struct member_asker asker = asker_of(req);
	struct revoking *r;
	int result;
	struct join_token *t = join_tokens_get(&console->members, id, &result);

	if (!t && result == -ENOTUNIQ) {
		fleet_http_reply_problem(req, 409, "conflict", NULL,
			"Several join tokens end in '%s': give more of its digits", id);
		return;
	}
	if (!t) {
		fleet_http_reply_problem(req, 404, "not-found", NULL, "Join token '%s' not found", id);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->req = req;
	r->members = &console->members;
	memcpy(r->id, t->id, sizeof(r->id));
	join_tokens_revoke(&console->members, t, &asker, on_revoked, r);
}
