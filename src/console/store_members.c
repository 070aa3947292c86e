/* Who has joined, by what they prove it, and the tokens to join with: each change is committed together with
 * the word of who made it. */
#include "console/store_internal.h"
#include "fleet/clock.h"

#define TOKENS_KEPT_MS (30 * INT64_C(86400000)) /* after they have expired: for whoever looks */

struct member_change {
	struct store_change change;
	struct member *member;    /* owned; NULL: only the token */
	struct join_token *token; /* owned; may be NULL */
};

static int save_credential(
	struct fleet_db *db, const char *agent_id, const struct credential *c, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db,
		"INSERT OR REPLACE INTO credentials (id, agent_id, kind, key, issued_ms, expires_ms) "
		"VALUES (?, ?, ?, ?, ?, ?)");

	fleet_db_bind_blob(st, 1, c->id, sizeof(c->id));
	fleet_db_bind_text(st, 2, agent_id);
	fleet_db_bind_int(st, 3, c->kind);
	fleet_db_bind_blob(st, 4, c->key, sizeof(c->key));
	fleet_db_bind_int(st, 5, c->issued_ms);
	fleet_db_bind_int(st, 6, c->expires_ms);
	return fleet_db_run(db, st, err);
}

static int forget(struct fleet_db *db, const char *sql, const char *agent_id, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, sql);

	fleet_db_bind_text(st, 1, agent_id);
	return fleet_db_run(db, st, err);
}

static int save_member(struct fleet_db *db, const struct member *m, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db,
		"INSERT OR REPLACE INTO members (agent_id, instance_id, token_id, joined_ms, revoked_ms, "
		"rejoin_until_ms) VALUES (?, ?, ?, ?, ?, ?)");
	int r;

	fleet_db_bind_text(st, 1, m->agent_id);
	fleet_db_bind_text(st, 2, m->instance_id);
	fleet_db_bind_text(st, 3, m->token_id);
	fleet_db_bind_int(st, 4, m->joined_ms);
	fleet_db_bind_int(st, 5, m->revoked_ms);
	fleet_db_bind_int(st, 6, m->rejoin_until_ms);
	r = fleet_db_run(db, st, err);
	if (r >= 0)
		r = forget(db, "DELETE FROM credentials WHERE agent_id = ?", m->agent_id, err);
	for (size_t i = 0; r >= 0 && i < m->credential_count; i++)
		r = save_credential(db, m->agent_id, &m->credentials[i], err);
	return r;
}

static int save_token(struct fleet_db *db, const struct join_token *t, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "DELETE FROM join_tokens WHERE expires_ms < ?");
	int r;

	fleet_db_bind_int(st, 1, fleet_clock_wall_ms() - TOKENS_KEPT_MS);
	r = fleet_db_run(db, st, err);
	if (r < 0)
		return r;
	st = fleet_db_statement(db, "INSERT OR REPLACE INTO join_tokens (id, digest, agents, uses, uses_max, "
				    "created_by, created_ms, "
				    "expires_ms, revoked_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
	fleet_db_bind_text(st, 1, t->id);
	fleet_db_bind_blob(st, 2, t->digest, sizeof(t->digest));
	fleet_db_bind_text(st, 3, t->agents);
	fleet_db_bind_int(st, 4, t->uses);
	fleet_db_bind_int(st, 5, t->uses_max);
	fleet_db_bind_text(st, 6, t->created_by);
	fleet_db_bind_int(st, 7, t->created_ms);
	fleet_db_bind_int(st, 8, t->expires_ms);
	fleet_db_bind_int(st, 9, t->revoked_ms);
	return fleet_db_run(db, st, err);
}

static int save_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct member_change *c = (struct member_change *)request;
	int r = c->token ? save_token(store->db, c->token, err) : 0;

	if (r >= 0 && c->member)
		r = save_member(store->db, c->member, err);
	return r < 0 ? r : store_audit_insert(store, &c->change.event, &request->appended, err);
}

/* The audit log keeps what was said of it, and commands what was asked. */
static int remove_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	static const char *const texts[] = {
		"DELETE FROM credentials WHERE agent_id = ?",
		"DELETE FROM members WHERE agent_id = ?",
		"DELETE FROM heartbeats WHERE agent_id = ?",
		"DELETE FROM snapshots WHERE agent_id = ?",
		"DELETE FROM agents WHERE agent_id = ?",
	};
	struct member_change *c = (struct member_change *)request;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < FLEET_ARRAY_LEN(texts); i++)
		r = forget(store->db, texts[i], c->member->agent_id, err);
	return r < 0 ? r : store_audit_insert(store, &c->change.event, &request->appended, err);
}

static void change_done(struct store_request *request)
{
	struct member_change *c = (struct member_change *)request;

	member_free(c->member);
	join_token_free(c->token);
	store_change_done(request);
}

static void submit(struct store *store, const struct store_kind *kind, const struct member *member,
	const struct join_token *token, const struct audit_event *event, store_done *done, void *arg)
{
	struct member_change *c = store_request_new(kind);

	c->member = member ? member_copy(member) : NULL;
	c->token = token ? join_token_copy(token) : NULL;
	store_change_submit(store, c, event, done, arg);
}

void store_member_save(struct store *store, const struct member *member, const struct join_token *token,
	const struct audit_event *event, store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct member_change), true, false, save_run, store_change_finish, change_done};

	submit(store, &kind, member, token, event, done, arg);
}

void store_member_remove(struct store *store, const struct member *member, const struct audit_event *event,
	store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct member_change), true, false, remove_run, store_change_finish, change_done};

	submit(store, &kind, member, NULL, event, done, arg);
}

/* --- all of them, at start --------------------------------------------------------------------------- */

struct member_load {
	struct store_request request;
	struct member **members; /* owned */
	size_t member_count;
	struct join_token **tokens; /* owned */
	size_t token_count;
};

static void column_digest(sqlite3_stmt *st, int column, unsigned char ret[FLEET_SHA256_LEN])
{
	memset(ret, 0, FLEET_SHA256_LEN);
	if (sqlite3_column_bytes(st, column) == FLEET_SHA256_LEN)
		memcpy(ret, sqlite3_column_blob(st, column), FLEET_SHA256_LEN);
}

static int load_credentials(struct fleet_db *db, struct member *m, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db,
		"SELECT id, kind, key, issued_ms, expires_ms FROM credentials WHERE agent_id = ? ORDER BY "
		"issued_ms");
	int r;

	fleet_db_bind_text(st, 1, m->agent_id);
	while ((r = fleet_db_step(db, st, err)) > 0) {
		struct credential c = {.kind = sqlite3_column_int(st, 1) == CREDENTIAL_CERTIFICATE
						       ? CREDENTIAL_CERTIFICATE
						       : CREDENTIAL_KEY,
			.issued_ms = sqlite3_column_int64(st, 3),
			.expires_ms = sqlite3_column_int64(st, 4)};

		column_digest(st, 0, c.id);
		column_digest(st, 2, c.key);
		member_add_credential(m, &c);
	}
	return r;
}

static int load_members(struct fleet_db *db, struct member_load *l, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db,
		"SELECT agent_id, instance_id, token_id, joined_ms, revoked_ms, rejoin_until_ms FROM members "
		"ORDER BY agent_id");
	int r;

	while ((r = fleet_db_step(db, st, err)) > 0) {
		struct member *m = member_new(fleet_db_column_text(st, 0));

		m->instance_id = xstrdup(fleet_db_column_text(st, 1));
		m->token_id = xstrdup(fleet_db_column_text(st, 2));
		m->joined_ms = sqlite3_column_int64(st, 3);
		m->revoked_ms = sqlite3_column_int64(st, 4);
		m->rejoin_until_ms = sqlite3_column_int64(st, 5);
		l->members = xreallocarray(l->members, l->member_count + 1, sizeof(struct member *));
		l->members[l->member_count++] = m;
	}
	for (size_t i = 0; r >= 0 && i < l->member_count; i++)
		r = load_credentials(db, l->members[i], err);
	return r;
}

static int load_tokens(struct fleet_db *db, struct member_load *l, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(db, "SELECT id, digest, agents, uses, uses_max, created_by, "
						  "created_ms, expires_ms, revoked_ms FROM "
						  "join_tokens ORDER BY id");
	int r;

	while ((r = fleet_db_step(db, st, err)) > 0) {
		struct join_token *t = xcalloc(1, sizeof(*t));

		(void)snprintf(t->id, sizeof(t->id), "%s", fleet_db_column_text(st, 0));
		column_digest(st, 1, t->digest);
		t->agents = xstrdup(fleet_db_column_text(st, 2));
		t->uses = sqlite3_column_int(st, 3);
		t->uses_max = sqlite3_column_int(st, 4);
		t->created_by = xstrdup(fleet_db_column_text(st, 5));
		t->created_ms = sqlite3_column_int64(st, 6);
		t->expires_ms = sqlite3_column_int64(st, 7);
		t->revoked_ms = sqlite3_column_int64(st, 8);
		l->tokens = xreallocarray(l->tokens, l->token_count + 1, sizeof(struct join_token *));
		l->tokens[l->token_count++] = t;
	}
	return r;
}

static int load_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct member_load *l = (struct member_load *)request;
	int r = load_members(store->db, l, err);

	return r < 0 ? r : load_tokens(store->db, l, err);
}

static void load_done(struct store_request *request)
{
	struct member_load *l = (struct member_load *)request;

	for (size_t i = 0; i < l->member_count; i++)
		member_free(l->members[i]);
	for (size_t i = 0; i < l->token_count; i++)
		join_token_free(l->tokens[i]);
	free(l->members);
	free(l->tokens);
}

int store_members_load(struct store *store, void (*member)(struct member *takes_member, void *arg),
	void (*token)(struct join_token *takes_token, void *arg), void *arg, struct fleet_error *err)
{
	static const struct store_kind kind = {
		sizeof(struct member_load), false, false, load_run, NULL, load_done};
	struct member_load *l = store_request_new(&kind);
	int r;

	store_run_and_wait(store, l);
	r = l->request.result;
	if (r < 0 && err)
		*err = l->request.error;
	for (size_t i = 0; r >= 0 && i < l->member_count; i++)
		member(TAKE_PTR(l->members[i]), arg);
	for (size_t i = 0; r >= 0 && i < l->token_count; i++)
		token(TAKE_PTR(l->tokens[i]), arg);
	store_request_free(&l->request);
	return r;
}
