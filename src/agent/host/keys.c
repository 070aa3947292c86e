#include "agent/host/keys.h"
#include "fleet/clock.h"
#include "fleet/file.h"

#define KEY_FILE_MAX 65536

static void keys_clear(struct keys *k)
{
	for (size_t i = 0; i < k->count; i++)
		fleet_jws_key_free(k->items[i]);
	k->count = 0;
}

void keys_done(struct keys *k)
{
	keys_clear(k);
	fleet_jws_key_free(k->recovery);
	free(k->pin_path);
	*k = (struct keys){0};
}

static int parse_list(struct json_object *list, struct keys *ret, struct fleet_error *err)
{
	struct keys fresh = {0};
	size_t n = json_object_array_length(list);

	if (n == 0 || n > KEYS_MAX)
		return fleet_error_set(err, -EINVAL, "between 1 and %d keys, not %zu", KEYS_MAX, n);
	for (size_t i = 0; i < n; i++) {
		int r = fleet_jws_key_from_jwk(
			json_object_array_get_idx(list, i), &fresh.items[fresh.count], err);

		if (r < 0) {
			keys_clear(&fresh);
			return r;
		}
		fresh.count++;
	}
	memcpy(ret->items, fresh.items, sizeof(ret->items));
	ret->count = fresh.count;
	return 0;
}

/* What we keep beside a set that we pinned. */
static int read_changes(struct json_object *set, struct keys *ret, struct fleet_error *err)
{
	struct json_object *recovery = fleet_json_object(set, "recovery");
	const char *changed = fleet_json_string(set, "changedAt");

	if (changed && fleet_timestamp_parse(changed, &ret->changed_ms) < 0)
		return fleet_error_set(err, -EINVAL, "changedAt is no time");
	return recovery ? fleet_jws_key_from_jwk(recovery, &ret->recovery, err) : 0;
}

/* A JWK, or {"keys": [JWK, ...]} (RFC 7517 section 5). */
static int parse_file(
	const char *path, const char *text, size_t len, struct keys *ret, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *value = NULL, *alone = NULL;
	struct json_object *list;
	int r;

	r = fleet_json_parse(text, len, KEY_FILE_MAX, &value, err);
	if (r < 0)
		return fleet_error_wrap(err, "cannot read the console's keys in %s", path);
	list = fleet_json_array(value, "keys");
	r = list ? read_changes(value, ret, err) : 0;
	if (r < 0)
		return fleet_error_wrap(err, "cannot read the console's keys in %s", path);
	if (!list) {
		alone = json_object_new_array();
		json_object_array_add(alone, json_object_get(value));
		list = alone;
	}
	r = parse_list(list, ret, err);
	if (r < 0)
		return fleet_error_wrap(err, "cannot read the console's keys in %s", path);
	return 0;
}

/* 1: loaded; 0: there is no such file. */
static int load_file(const char *path, enum keys_source source, struct keys *ret, struct fleet_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = fleet_file_read(path, KEY_FILE_MAX, &text, &len, err);

	if (r == -ENOENT)
		return 0;
	if (r >= 0)
		r = parse_file(path, text, len, ret, err);
	if (r < 0)
		return r;
	ret->source = source;
	return 1;
}

int keys_load(const char *console_pub, const char *state_dir, struct keys *ret, struct fleet_error *err)
{
	struct keys k = {0};
	int r = 0;

	if (state_dir)
		k.pin_path = xasprintf("%s/console-keys.json", state_dir);
	if (console_pub)
		r = load_file(console_pub, KEYS_ADMIN, &k, err);
	if (r == 0 && k.pin_path)
		r = load_file(k.pin_path, KEYS_PINNED, &k, err);
	if (r < 0) {
		keys_done(&k);
		return r;
	}
	*ret = k;
	return 0;
}

static bool has_key(const struct keys *k, const char *kid)
{
	for (size_t i = 0; i < k->count; i++) {
		if (str_equal(fleet_jws_key_id(k->items[i]), kid))
			return true;
	}
	return false;
}

static int write_pins(const char *path, const struct keys *keys, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *set = json_object_new_object();
	struct json_object *list = json_object_new_array();
	const char *text;
	size_t len;
	int r;

	fleet_json_add(set, "keys", list);
	for (size_t i = 0; i < keys->count; i++)
		json_object_array_add(list, fleet_jws_key_to_jwk(keys->items[i]));
	if (keys->recovery)
		fleet_json_add(set, "recovery", fleet_jws_key_to_jwk(keys->recovery));
	fleet_json_add_time(set, "changedAt", keys->changed_ms);
	text = fleet_json_text(set, &len);
	r = fleet_file_write_durable(path, text, len, 0600, err);
	return r < 0 ? fleet_error_wrap(err, "cannot pin the console's keys") : 0;
}

int keys_save(const struct keys *k, struct fleet_error *err)
{
	return k->source == KEYS_PINNED ? write_pins(k->pin_path, k, err) : 0;
}

static int pin(struct keys *k, const struct keys *offered, struct fleet_error *err)
{
	int r = k->pin_path ? write_pins(k->pin_path, offered, err) : 0;

	if (r >= 0)
		k->source = k->pin_path ? KEYS_PINNED : KEYS_MEMORY;
	return r;
}

/* Leaves the one with this id, if it is there. */
static bool narrow(struct keys *offered, const char *kid)
{
	for (size_t i = 0; i < offered->count; i++) {
		struct fleet_jws_key *first = offered->items[0];

		if (!str_equal(fleet_jws_key_id(offered->items[i]), kid))
			continue;
		offered->items[0] = offered->items[i];
		offered->items[i] = first;
		for (size_t n = 1; n < offered->count; n++)
			fleet_jws_key_free(TAKE_PTR(offered->items[n]));
		offered->count = 1;
		return true;
	}
	return false;
}

int keys_offer(struct keys *k, struct json_object *jwks, const char *wanted_kid, enum keys_offer *ret,
	char **ret_kid, struct fleet_error *err)
{
	struct keys offered = {0};
	bool known = false;
	int r = parse_list(jwks, &offered, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < offered.count; i++)
		known |= has_key(k, fleet_jws_key_id(offered.items[i]));
	if (known) {
		*ret = KEYS_KNOWN;
	} else if ((k->count > 0 && k->source != KEYS_MEMORY) ||
		   (wanted_kid && !narrow(&offered, wanted_kid))) {
		*ret = KEYS_FOREIGN;
		*ret_kid = xstrdup(fleet_jws_key_id(offered.items[0]));
	} else {
		r = pin(k, &offered, err);
		if (r >= 0) {
			keys_clear(k);
			fleet_jws_key_free(TAKE_PTR(k->recovery));
			k->changed_ms = 0;
			memcpy(k->items, offered.items, sizeof(k->items));
			k->count = offered.count;
			offered.count = 0;
			*ret = KEYS_NOW_PINNED;
			*ret_kid = xstrdup(fleet_jws_key_id(k->items[0]));
		}
	}
	keys_clear(&offered);
	return r;
}

struct json_object *keys_ids(const struct keys *k)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < k->count; i++)
		fleet_json_append_string(list, fleet_jws_key_id(k->items[i]));
	return list;
}
