/* API keys: made, changed and revoked together with the word of who did it; when they were last used is
 * written behind. */
#include "console/store_internal.h"
#include "fleet/limits.h"

/* --- one that is new, or has changed ----------------------------------------------------------------- */

struct key_put {
	struct store_change change;
	struct api_key *key; /* owned */
	char *limits;        /* owned: JSON; NULL none */
};

static void bind_key(sqlite3_stmt *st, const struct key_put *p)
{
	const struct api_key *key = p->key;
	_cleanup_free_ char *digest = fleet_hex_encode(key->digest, sizeof(key->digest));
	_cleanup_free_ char *old =
		key->old_until_ms ? fleet_hex_encode(key->old_digest, sizeof(key->old_digest)) : NULL;

	fleet_db_bind_text(st, 1, key->id);
	fleet_db_bind_text(st, 2, key->name);
	fleet_db_bind_text(st, 3, digest);
	fleet_db_bind_text(st, 4, old);
	fleet_db_bind_int(st, 5, key->old_until_ms);
	fleet_db_bind_text(st, 6, role_to_string(key->role));
	fleet_db_bind_text(st, 7, p->limits);
	fleet_db_bind_text(st, 8, key->created_by);
	fleet_db_bind_int(st, 9, key->created_ms);
	fleet_db_bind_int(st, 10, key->expires_ms);
	fleet_db_bind_int(st, 11, key->revoked_ms);
}

/* The oldest of those that are no good any more make room: what was done with them is in the audit log. */
static int forget_revoked(struct store *store, struct fleet_error *err)
{
	sqlite3_stmt *st = fleet_db_statement(store->db,
		"DELETE FROM api_keys WHERE revoked_ms > 0 AND id NOT IN (SELECT id FROM api_keys WHERE "
		"revoked_ms > 0 ORDER BY revoked_ms DESC LIMIT ?)");

	fleet_db_bind_int(st, 1, FLEET_REVOKED_KEYS_KEEP);
	return fleet_db_run(store->db, st, err);
}

static int put_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct key_put *p = (struct key_put *)request;
	sqlite3_stmt *st = fleet_db_statement(store->db,
		"INSERT INTO api_keys (id, name, digest, old_digest, old_until_ms, role, limits, created_by, "
		"created_ms, expires_ms, revoked_ms, used_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) "
		"ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, old_digest = excluded.old_digest, "
		"old_until_ms = excluded.old_until_ms, expires_ms = excluded.expires_ms, "
		"revoked_ms = excluded.revoked_ms WHERE api_keys.revoked_ms = 0");
	int r;

	bind_key(st, p);
	r = fleet_db_run(store->db, st, err);
	if (r >= 0 && fleet_db_changes(store->db) == 0) /* of two changes at once the other was first */
		return fleet_error_set(err, -EALREADY, "The API key '%s' is revoked", p->key->name);
	if (r >= 0 && p->key->revoked_ms)
		r = forget_revoked(store, err);
	return r < 0 ? r : store_audit_insert(store, &p->change.event, &request->appended, err);
}

static void put_done(struct store_request *request)
{
	struct key_put *p = (struct key_put *)request;

	api_key_unref(p->key);
	free(p->limits);
	store_change_done(request);
}

void store_key_put(struct store *store, const struct api_key *key, const struct audit_event *event,
	store_done *done, void *arg)
{
	static const struct store_kind kind = {
		sizeof(struct key_put), true, false, put_run, store_change_finish, put_done};
	struct key_put *p = store_request_new(&kind);
	_cleanup_json_ struct json_object *limits = key_limits_to_json(&key->limits);

	p->key = api_key_copy(key);
	p->limits = limits ? xstrdup(fleet_json_text(limits, NULL)) : NULL;
	store_change_submit(store, p, event, done, arg);
}

/* --- used -------------------------------------------------------------------------------------------- */

struct key_use {
	struct store_request request;
	char id[FLEET_UUID_LEN + 1];
	int64_t at_ms;
};

static int use_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	const struct key_use *u = (struct key_use *)request;
	sqlite3_stmt *st = fleet_db_statement(store->db, "UPDATE api_keys SET used_ms = ? WHERE id = ?");

	fleet_db_bind_int(st, 1, u->at_ms);
	fleet_db_bind_text(st, 2, u->id);
	return fleet_db_run(store->db, st, err);
}

void store_key_used(struct store *store, const char *id, int64_t at_ms)
{
	static const struct store_kind kind = {sizeof(struct key_use), true, true, use_run, NULL, NULL};
	struct key_use *u = store_request_new(&kind);

	(void)snprintf(u->id, sizeof(u->id), "%s", id); /* fits */
	u->at_ms = at_ms;
	store_submit(store, u);
}

/* --- all of them, at start --------------------------------------------------------------------------- */

struct key_load {
	struct store_request request;
	struct api_key **items; /* owned */
	size_t count;
};

static int read_digest(const char *hex, unsigned char ret[FLEET_SHA256_LEN])
{
	return hex ? fleet_hex_decode(hex, strlen(hex), ret, FLEET_SHA256_LEN) : -EINVAL;
}

/* What cannot be read must not become a key that may more than was meant. */
static int row_to_key(sqlite3_stmt *st, struct api_key **ret, struct fleet_error *err)
{
	_cleanup_(api_key_unrefp) struct api_key *key = xcalloc(1, sizeof(*key));
	const char *limits = fleet_db_column_text(st, 6), *old = fleet_db_column_text(st, 3);
	_cleanup_json_ struct json_object *json = NULL;
	int r;

	key->refs = 1;
	(void)snprintf(key->id, sizeof(key->id), "%s", fleet_db_column_text(st, 0));
	key->name = xstrdup(fleet_db_column_text(st, 1));
	key->old_until_ms = old ? sqlite3_column_int64(st, 4) : 0;
	key->created_by = xstrdup(fleet_db_column_text(st, 7));
	key->created_ms = sqlite3_column_int64(st, 8);
	key->expires_ms = sqlite3_column_int64(st, 9);
	key->revoked_ms = sqlite3_column_int64(st, 10);
	key->used_ms = sqlite3_column_int64(st, 11);
	r = limits ? fleet_json_parse(limits, strlen(limits), FLEET_MESSAGE_MAX, &json, err) : 0;
	if (r >= 0)
		r = key_limits_parse(json, "$.limits", &key->limits, err);
	if (r >= 0 && (!fleet_id_is_valid(key->name ? key->name : "") ||
			      role_from_string(fleet_db_column_text(st, 5), &key->role) < 0 ||
			      read_digest(fleet_db_column_text(st, 2), key->digest) < 0 ||
			      (old && read_digest(old, key->old_digest) < 0)))
		r = fleet_error_set(err, -EBADMSG, "a name, role or digest is none");
	if (r < 0)
		return fleet_error_wrap(err, "the API key %s in the store cannot be read", key->id);
	*ret = TAKE_PTR(key);
	return 0;
}

static int load_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	struct key_load *l = (struct key_load *)request;
	sqlite3_stmt *st = fleet_db_statement(store->db,
		"SELECT id, name, digest, old_digest, old_until_ms, role, limits, created_by, created_ms, "
		"expires_ms, revoked_ms, used_ms FROM api_keys ORDER BY created_ms, id");
	int r;

	while ((r = fleet_db_step(store->db, st, err)) > 0) {
		struct api_key *key = NULL;

		r = row_to_key(st, &key, err);
		if (r < 0) {
			sqlite3_reset(st);
			return r;
		}
		l->items = xreallocarray(l->items, l->count + 1, sizeof(struct api_key *));
		l->items[l->count++] = key;
	}
	return r;
}

static void load_done(struct store_request *request)
{
	struct key_load *l = (struct key_load *)request;

	for (size_t i = 0; i < l->count; i++)
		api_key_unref(l->items[i]);
	free(l->items);
}

int store_keys_load(struct store *store, void (*each)(struct api_key *takes_key, void *arg), void *arg,
	struct fleet_error *err)
{
	static const struct store_kind kind = {
		sizeof(struct key_load), false, false, load_run, NULL, load_done};
	struct key_load *l = store_request_new(&kind);
	int r;

	store_run_and_wait(store, l);
	r = l->request.result;
	if (r < 0 && err)
		*err = l->request.error;
	for (size_t i = 0; r >= 0 && i < l->count; i++)
		each(TAKE_PTR(l->items[i]), arg);
	store_request_free(&l->request);
	return r;
}
