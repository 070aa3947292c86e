#include "console/keys.h"

#include "fleet/clock.h"
#include "fleet/limits.h"

#define SAVE_EVERY_MS 30000

/* --- the set ----------------------------------------------------------------------------------------- */

static void add(struct keys *keys, struct api_key *takes_key)
{
	keys->items = xreallocarray(keys->items, keys->count + 1, sizeof(struct api_key *));
	keys->items[keys->count++] = takes_key;
}

void keys_init(struct keys *keys, struct store *store, const struct console_config *config)
{
	*keys = (struct keys){.store = store};
	for (size_t i = 0; i < config->api_key_count; i++) {
		struct api_key *key = api_key_new(config->api_keys[i].name, config->api_keys[i].role);

		key->id[0] = '\0';
		key->created_ms = 0;
		memcpy(key->digest, config->api_keys[i].digest, sizeof(key->digest));
		add(keys, key);
	}
}

static void load_one(struct api_key *takes_key, void *arg)
{
	add(arg, takes_key);
}

static const struct api_key *find_name(const struct keys *keys, const char *name)
{
	for (size_t i = 0; i < keys->count; i++) {
		if (!keys->items[i]->revoked_ms && strcmp(keys->items[i]->name, name) == 0)
			return keys->items[i];
	}
	return NULL;
}

/* The name is who did it: it must not be two people's. */
int keys_load(struct keys *keys, struct fleet_error *err)
{
	size_t configured = keys->count;
	int r = store_keys_load(keys->store, load_one, keys, err);

	for (size_t i = configured; r >= 0 && i < keys->count; i++) {
		const struct api_key *first = find_name(keys, keys->items[i]->name);

		if (!keys->items[i]->revoked_ms && !first->id[0])
			r = fleet_error_set(err, -EEXIST,
				"console.yaml has an API key '%s', and so has the store: take it out of the "
				"file, or revoke the other with fleet-console key revoke %s",
				first->name, first->name);
	}
	return r;
}

void keys_done(struct keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		api_key_unref(keys->items[i]);
	free(keys->items);
	*keys = (struct keys){0};
}

/* Takes the same time wherever the first difference lies. */
static bool digests_equal(const unsigned char a[FLEET_SHA256_LEN], const unsigned char b[FLEET_SHA256_LEN])
{
	volatile unsigned char difference = 0;

	for (size_t i = 0; i < FLEET_SHA256_LEN; i++)
		difference = (unsigned char)(difference | (a[i] ^ b[i]));
	return difference == 0;
}

enum key_state keys_state(const struct api_key *key)
{
	if (key->revoked_ms)
		return KEY_REVOKED;
	return api_key_is_expired(key, fleet_clock_wall_ms()) ? KEY_EXPIRED : KEY_VALID;
}

enum key_state keys_find(const struct keys *keys, const char *secret, struct api_key **ret)
{
	unsigned char digest[FLEET_SHA256_LEN];
	struct api_key *found = NULL;
	int64_t now_ms = fleet_clock_wall_ms();
	bool old = false;

	fleet_sha256(secret, strlen(secret), digest);
	for (size_t i = 0; i < keys->count; i++) { /* all of them: the time tells nothing */
		if (digests_equal(keys->items[i]->digest, digest))
			found = keys->items[i];
		if (keys->items[i]->old_until_ms && digests_equal(keys->items[i]->old_digest, digest)) {
			found = keys->items[i];
			old = true;
		}
	}
	*ret = found;
	if (!found)
		return KEY_UNKNOWN;
	if (old && now_ms >= found->old_until_ms)
		return KEY_REVOKED;
	return keys_state(found);
}

struct api_key *keys_get(const struct keys *keys, const char *name_or_id)
{
	for (size_t i = keys->count; i > 0;
		i--) { /* the store's, of which one can be rid, before the file's */
		struct api_key *key = keys->items[i - 1];

		if ((!key->revoked_ms && strcmp(key->name, name_or_id) == 0) ||
			(key->id[0] && strcmp(key->id, name_or_id) == 0))
			return key;
	}
	return NULL;
}

bool keys_hold(const struct keys *keys, const struct api_key *key)
{
	for (size_t i = 0; i < keys->count; i++) {
		if (keys->items[i] == key)
			return true;
	}
	return false;
}

bool keys_have_admin(const struct keys *keys)
{
	for (size_t i = 0; i < keys->count; i++) {
		if (keys->items[i]->role == ROLE_ADMIN && keys_state(keys->items[i]) == KEY_VALID)
			return true;
	}
	return false;
}

/* --- use --------------------------------------------------------------------------------------------- */

void keys_used(struct api_key *key)
{
	key->used_ms = fleet_clock_wall_ms();
	key->used_unsaved = true;
}

void keys_flush(struct keys *keys)
{
	keys->saved_ms = fleet_clock_monotonic_ms();
	for (size_t i = 0; i < keys->count; i++) {
		struct api_key *key = keys->items[i];

		if (key->used_unsaved && key->id[0])
			store_key_used(keys->store, key->id, key->used_ms);
		key->used_unsaved = false;
	}
}

void keys_tick(struct keys *keys)
{
	if (fleet_clock_monotonic_ms() - keys->saved_ms >= SAVE_EVERY_MS)
		keys_flush(keys);
}

/* --- changes ----------------------------------------------------------------------------------------- */

struct change {
	struct keys *keys;
	struct api_key *key; /* owned: as it is to be */
	char *secret;        /* owned; NULL none */
	bool is_new;
	keys_told *told;
	void *arg;
};

static void change_free(struct change *change)
{
	api_key_unref(change->key);
	api_key_secret_free(change->secret);
	free(change);
}

static void fail(keys_told *told, void *arg, const struct fleet_error *err)
{
	told(err->code, NULL, NULL, err, arg);
}

/* As many of those that are revoked stay as in the store. */
static void forget_revoked(struct keys *keys)
{
	size_t oldest = keys->count, revoked = 0;

	for (size_t i = 0; i < keys->count; i++) {
		if (!keys->items[i]->revoked_ms)
			continue;
		revoked++;
		if (oldest == keys->count || keys->items[i]->revoked_ms < keys->items[oldest]->revoked_ms)
			oldest = i;
	}
	if (revoked <= FLEET_REVOKED_KEYS_KEEP)
		return;
	api_key_unref(keys->items[oldest]);
	memmove(keys->items + oldest, keys->items + oldest + 1,
		(keys->count - oldest - 1) * sizeof(struct api_key *));
	keys->count--;
}

static void apply(struct keys *keys, struct api_key *key, bool is_new)
{
	if (is_new) {
		add(keys, api_key_ref(key));
		return;
	}
	for (size_t i = 0; i < keys->count; i++) {
		struct api_key *before = keys->items[i];

		if (strcmp(before->id, key->id) != 0)
			continue;
		key->used_ms = before->used_ms; /* it may have been used since the change was asked for */
		key->used_unsaved = before->used_unsaved;
		keys->items[i] = api_key_ref(key);
		if (keys->gone)
			keys->gone(before, keys->arg);
		api_key_unref(before);
	}
	forget_revoked(keys);
}

static void on_put(int result, const struct fleet_error *err, void *arg)
{
	struct change *change = arg;
	struct fleet_error taken = FLEET_ERROR_INIT;

	if (result == -EEXIST)
		result = fleet_error_set(
			&taken, -EEXIST, "There is an API key '%s' already", change->key->name);
	if (result >= 0)
		apply(change->keys, change->key, change->is_new);
	if (result < 0)
		change->told(result, NULL, NULL, taken.code ? &taken : err, change->arg);
	else
		change->told(0, change->key, change->secret, NULL, change->arg);
	change_free(change);
}

static void commit(
	struct change *change, const struct keys_by *by, const char *verb, struct json_object *takes_details)
{
	const struct api_key *key = change->key;
	_cleanup_json_ struct json_object *details = takes_details,
					  *limits = key_limits_to_json(&key->limits);
	_cleanup_free_ char *message = xasprintf("API key '%s' (%s%s) %s by %s", key->name,
		role_to_string(key->role), limits ? ", limited" : "", verb, by->actor);

	fleet_json_add_string(details, "keyId", key->id);
	fleet_json_add_string(details, "name", key->name);
	fleet_json_add_string(details, "role", role_to_string(key->role));
	fleet_json_add(details, "limits", json_object_get(limits));
	fleet_json_add_time(details, "expiresAt", key->expires_ms);
	store_key_put(change->keys->store, key,
		&(struct audit_event){
			.category = "access",
			.actor = by->actor,
			.source_address = by->source_address,
			.message = message,
			.details = details,
		},
		on_put, change);
}

static struct change *change_new(struct keys *keys, struct api_key *takes_key, keys_told *told, void *arg)
{
	struct change *change = xcalloc(1, sizeof(*change));

	*change = (struct change){.keys = keys, .key = takes_key, .told = told, .arg = arg};
	return change;
}

void keys_create(
	struct keys *keys, struct api_key *takes_key, const struct keys_by *by, keys_told *told, void *arg)
{
	_cleanup_(api_key_unrefp) struct api_key *key = takes_key;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct change *change;
	size_t living = 0;

	for (size_t i = 0; i < keys->count; i++)
		living += !keys->items[i]->revoked_ms;
	if (!api_key_name_is_valid(key->name))
		(void)fleet_error_set(&err, -EINVAL,
			"An API key's name has 1 to %d letters, digits, '.', '_' and '-', and is no keyId",
			FLEET_ID_MAX);
	else if (find_name(keys, key->name))
		(void)fleet_error_set(&err, -EEXIST, "There is an API key '%s' already", key->name);
	else if (living >= FLEET_API_KEYS_MAX)
		(void)fleet_error_set(
			&err, -EDQUOT, "There are %d API keys already: revoke some", FLEET_API_KEYS_MAX);
	if (err.code < 0) {
		fail(told, arg, &err);
		return;
	}
	key->created_by = xstrdup(by->actor);
	change = change_new(keys, TAKE_PTR(key), told, arg);
	change->is_new = true;
	change->secret = api_key_make_secret(change->key);
	commit(change, by, "made", json_object_new_object());
}

/* The stored key, or NULL after told. */
static struct api_key *find_stored(struct keys *keys, const char *name_or_id, keys_told *told, void *arg)
{
	struct api_key *key = keys_get(keys, name_or_id);
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!key)
		(void)fleet_error_set(&err, -ENOENT, "There is no API key '%s'", name_or_id);
	else if (!key->id[0])
		(void)fleet_error_set(&err, -EPERM,
			"The API key '%s' is console.yaml's: it is changed there, and the console restarted",
			key->name);
	else if (key->revoked_ms)
		(void)fleet_error_set(&err, -EALREADY, "The API key '%s' is revoked", key->name);
	if (err.code < 0)
		fail(told, arg, &err);
	return err.code < 0 ? NULL : key;
}

void keys_rotate(struct keys *keys, const char *name_or_id, int64_t overlap_ms, const struct keys_by *by,
	keys_told *told, void *arg)
{
	struct api_key *key = find_stored(keys, name_or_id, told, arg);
	struct json_object *details;
	struct change *change;

	if (!key)
		return;
	change = change_new(keys, api_key_copy(key), told, arg);
	change->key->old_until_ms = 0;
	if (overlap_ms > 0) {
		memcpy(change->key->old_digest, key->digest, sizeof(key->digest));
		change->key->old_until_ms = fleet_clock_wall_ms() + overlap_ms;
	}
	change->secret = api_key_make_secret(change->key);
	details = json_object_new_object();
	fleet_json_add_time(details, "oldSecretUntil", change->key->old_until_ms);
	commit(change, by, "rotated", details);
}

void keys_revoke(
	struct keys *keys, const char *name_or_id, const struct keys_by *by, keys_told *told, void *arg)
{
	struct api_key *key = find_stored(keys, name_or_id, told, arg);
	struct change *change;

	if (!key)
		return;
	change = change_new(keys, api_key_copy(key), told, arg);
	change->key->revoked_ms = fleet_clock_wall_ms();
	change->key->old_until_ms = 0;
	commit(change, by, "revoked", json_object_new_object());
}
