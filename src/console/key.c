#include "console/key.h"

#include "fleet/clock.h"

static const char *const roles[] = {
	[ROLE_VIEWER] = "viewer", [ROLE_OPERATOR] = "operator", [ROLE_ADMIN] = "admin"};

const char *role_to_string(enum role role)
{
	return roles[role];
}

int role_from_string(const char *text, enum role *ret)
{
	for (size_t i = 0; text && i < FLEET_ARRAY_LEN(roles); i++) {
		if (strcmp(roles[i], text) == 0) {
			*ret = (enum role)i;
			return 0;
		}
	}
	return -EINVAL;
}

struct api_key *api_key_new(const char *name, enum role role)
{
	struct api_key *key = xcalloc(1, sizeof(*key));
	struct fleet_uuid id = fleet_uuid_new();

	key->refs = 1;
	memcpy(key->id, id.text, sizeof(key->id));
	key->name = xstrdup(name);
	key->role = role;
	key->created_ms = fleet_clock_wall_ms();
	return key;
}

struct api_key *api_key_copy(const struct api_key *key)
{
	struct api_key *copy = xcalloc(1, sizeof(*copy));

	*copy = *key;
	copy->refs = 1;
	copy->name = xstrdup(key->name);
	copy->created_by = xstrdup(key->created_by);
	copy->limits = key_limits_copy(&key->limits);
	return copy;
}

struct api_key *api_key_ref(struct api_key *key)
{
	key->refs++;
	return key;
}

void api_key_unref(struct api_key *key)
{
	if (!key || --key->refs > 0)
		return;
	free(key->name);
	free(key->created_by);
	key_limits_done(&key->limits);
	free(key);
}

bool api_key_name_is_valid(const char *name)
{
	return fleet_id_is_valid(name) && !fleet_uuid_is_valid(name);
}

bool api_key_is_limited(const struct api_key *key)
{
	return key_limits_on_agents(&key->limits) || key->limits.actions;
}

bool api_key_is_expired(const struct api_key *key, int64_t wall_ms)
{
	return key->expires_ms && wall_ms >= key->expires_ms;
}

struct json_object *api_key_to_json(const struct api_key *key, int64_t wall_ms)
{
	struct json_object *out = json_object_new_object();

	fleet_json_add_string(out, "keyId", key->id[0] ? key->id : NULL);
	fleet_json_add_string(out, "name", key->name);
	fleet_json_add_string(out, "role", role_to_string(key->role));
	fleet_json_add_string(out, "state",
		key->revoked_ms                    ? "revoked"
		: api_key_is_expired(key, wall_ms) ? "expired"
						   : "valid");
	fleet_json_add_string(out, "keptIn", key->id[0] ? "store" : "console.yaml");
	fleet_json_add(out, "limits", key_limits_to_json(&key->limits));
	fleet_json_add_string(out, "createdBy", key->created_by);
	fleet_json_add_time(out, "createdAt", key->created_ms);
	fleet_json_add_time(out, "expiresAt", key->expires_ms);
	fleet_json_add_time(out, "lastUsedAt", key->used_ms);
	fleet_json_add_time(out, "revokedAt", key->revoked_ms);
	if (key->old_until_ms > wall_ms)
		fleet_json_add_time(out, "oldSecretUntil", key->old_until_ms);
	return out;
}

char *api_key_make_secret(struct api_key *key)
{
	unsigned char random[32];
	_cleanup_(api_key_secret_freep) char *text = NULL;
	char *secret;

	fleet_random(random, sizeof(random));
	text = fleet_base64url_encode(random, sizeof(random));
	explicit_bzero(random, sizeof(random));
	secret = xasprintf(API_KEY_PREFIX "%s", text);
	fleet_sha256(secret, strlen(secret), key->digest);
	return secret;
}

void api_key_secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

bool api_key_is_made_here(const char *secret)
{
	return str_starts(secret, API_KEY_PREFIX) && strlen(secret) == API_KEY_SECRET_LEN;
}
