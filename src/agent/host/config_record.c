#include "agent/host/config_record.h"
#include <fcntl.h>
#include <sys/file.h>
#include "fleet/buffer.h"
#include "fleet/encode.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define RECORD_VERSION 1
#define DIGEST_LEN     16
/* Two versions of the most settings there may be, with the longest paths that still fit. */
#define RECORD_MAX (16u * 1024u * 1024u)

static char *record_path(const char *state_dir, const char *real_path, const char *suffix)
{
	char hex[FLEET_SHA256_HEX];

	fleet_sha256_hex(real_path, strlen(real_path), hex);
	return xasprintf("%s/files/%s%s", state_dir, hex, suffix);
}

void config_version_done(struct config_version *v)
{
	settings_done(&v->digests);
	*v = (struct config_version){.exists = false};
}

void config_record_done(struct config_record *r)
{
	config_version_done(&r->now);
	config_version_done(&r->next);
	free(r->path);
	free(r->id);
	if (r->lock_fd >= 0)
		(void)close(r->lock_fd); /* unlocks it */
	*r = (struct config_record)CONFIG_RECORD_INIT;
}

/* ---- to JSON and back ---- */

static struct json_object *version_to_json(const struct config_version *v)
{
	struct json_object *o = json_object_new_object(), *keys = json_object_new_array();

	fleet_json_add_bool(o, "exists", v->exists);
	fleet_json_add_bool(o, "readable", v->readable);
	fleet_json_add_string(o, "hash", v->hash);
	for (size_t i = 0; i < v->digests.count; i++) {
		fleet_json_append_string(keys, v->digests.items[i].path);
		fleet_json_append_string(keys, v->digests.items[i].value);
	}
	fleet_json_add(o, "keys", keys);
	return o;
}

static int add_digest(struct settings *to, const char *path, const char *digest)
{
	return settings_add(to, (struct fleet_bytes){path, strlen(path)},
		(struct fleet_bytes){digest, strlen(digest)}, FLEET_TYPE_STRING);
}

static int version_from_json(struct json_object *o, struct config_version *ret)
{
	struct json_object *keys = fleet_json_array(o, "keys");
	const char *hash = fleet_json_string(o, "hash");

	if (!keys || json_object_array_length(keys) % 2)
		return -EBADMSG;
	ret->exists = fleet_json_bool(o, "exists", false);
	ret->readable = fleet_json_bool(o, "readable", false);
	(void)snprintf(ret->hash, sizeof(ret->hash), "%s", hash ? hash : "");
	for (size_t i = 0; i < json_object_array_length(keys); i += 2) {
		const char *path = json_object_get_string(json_object_array_get_idx(keys, i));
		const char *digest = json_object_get_string(json_object_array_get_idx(keys, i + 1));

		if (!path || !digest || add_digest(&ret->digests, path, digest) < 0)
			return -EBADMSG;
	}
	return 0;
}

static int parse(struct config_record *r, const char *text, size_t len)
{
	_cleanup_json_ struct json_object *o = NULL;
	const char *id, *salt, *path;

	if (fleet_json_parse(text, len, RECORD_MAX, &o, NULL) < 0)
		return -EBADMSG;
	id = fleet_json_string(o, "id");
	salt = fleet_json_string(o, "salt");
	path = fleet_json_string(o, "path");
	if (fleet_json_int(o, "v", 0) != RECORD_VERSION || !id || !salt ||
		strlen(salt) != sizeof(r->salt) - 1 || !str_equal(path, r->path) ||
		version_from_json(fleet_json_object(o, "now"), &r->now) < 0)
		return -EBADMSG;
	r->has_next = fleet_json_object(o, "next") != NULL;
	if (r->has_next && version_from_json(fleet_json_object(o, "next"), &r->next) < 0)
		return -EBADMSG;
	r->id = xstrdup(id);
	memcpy(r->salt, salt, sizeof(r->salt));
	return 0;
}

static void forget(struct config_record *r)
{
	unsigned char salt[16];
	_cleanup_free_ char *hex = NULL;

	config_version_done(&r->now);
	config_version_done(&r->next);
	r->has_next = false;
	r->is_new = true;
	fleet_random(salt, sizeof(salt));
	hex = fleet_hex_encode(salt, sizeof(salt));
	memcpy(r->salt, hex, sizeof(r->salt));
}

/* ---- on the disk ---- */

static int lock(const char *path, int *ret_fd, struct fleet_error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot open %s", path);
	while (flock(fd, LOCK_EX) < 0) {
		int r = -errno;

		if (r == -EINTR)
			continue;
		(void)close(fd);
		return fleet_error_errno(err, r, "cannot lock %s", path);
	}
	*ret_fd = fd;
	return 0;
}

int config_record_open(
	const char *state_dir, const char *real_path, struct config_record *ret, struct fleet_error *err)
{
	_cleanup_free_ char *path = record_path(state_dir, real_path, ""),
			    *lock_path = record_path(state_dir, real_path, ".lock"),
			    *dir = xasprintf("%s/files", state_dir), *text = NULL;
	size_t len = 0;
	int r;

	*ret = (struct config_record)CONFIG_RECORD_INIT;
	r = fleet_mkdir_parents(dir, 0700, err);
	if (r >= 0)
		r = lock(lock_path, &ret->lock_fd, err);
	if (r < 0)
		return r;
	ret->path = xstrdup(real_path);
	r = fleet_file_read(path, RECORD_MAX, &text, &len, err);
	if (r < 0 && r != -ENOENT) {
		config_record_done(ret);
		return r;
	}
	if (r >= 0 && parse(ret, text, len) < 0)
		log_warn("%s, what was known of %s, is damaged: it is made anew", path, real_path);
	if (!ret->id)
		forget(ret);
	return 0;
}

int config_record_save(struct config_record *r, const char *state_dir, struct fleet_error *err)
{
	_cleanup_free_ char *path = record_path(state_dir, r->path, "");
	_cleanup_json_ struct json_object *o = json_object_new_object();
	const char *text;
	size_t len;

	free(r->id);
	r->id = xstrdup(fleet_uuid_new().text);
	fleet_json_add_int(o, "v", RECORD_VERSION);
	fleet_json_add_string(o, "path", r->path);
	fleet_json_add_string(o, "id", r->id);
	fleet_json_add_string(o, "salt", r->salt);
	fleet_json_add(o, "now", version_to_json(&r->now));
	if (r->has_next)
		fleet_json_add(o, "next", version_to_json(&r->next));
	text = fleet_json_text(o, &len);
	r->is_new = false;
	return fleet_file_write_durable(path, text, len, 0600, err);
}

/* ---- versions ---- */

static const char *hash_of(const struct safe_content *content)
{
	return content->exists ? content->hash : "";
}

bool config_record_knows(const struct config_record *r, const struct safe_content *content)
{
	if (r->is_new)
		return false;
	return str_equal(r->now.hash, hash_of(content)) ||
	       (r->has_next && str_equal(r->next.hash, hash_of(content)));
}

static void digest(const struct config_record *r, const struct setting *item, char ret[DIGEST_LEN + 1])
{
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	char hex[FLEET_SHA256_HEX];

	fleet_buffer_printf(&text, "%s\n%u\n%s\n", r->salt, item->type, item->path);
	fleet_buffer_add(&text, item->value, item->value_len);
	fleet_sha256_hex(text.data, text.len, hex);
	explicit_bzero(text.data, text.len);
	memcpy(ret, hex, DIGEST_LEN);
	ret[DIGEST_LEN] = '\0';
}

void config_version_set(const struct config_record *r, struct config_version *v,
	const struct safe_content *content, const struct settings *settings)
{
	config_version_done(v);
	v->exists = content->exists;
	v->readable = settings != NULL;
	(void)snprintf(v->hash, sizeof(v->hash), "%s", hash_of(content));
	for (size_t i = 0; settings && i < settings->count; i++) {
		_cleanup_free_ char *path = xstrdup(settings->items[i].path);
		char hex[DIGEST_LEN + 1];

		fleet_text_sanitize(path); /* as JSON can hold it, the same each time */
		digest(r, &settings->items[i], hex);
		if (add_digest(&v->digests, path, hex) < 0)
			log_debug("a setting of %s has no name to keep", r->path);
	}
}

struct fleet_uuid config_record_event_id(const struct config_record *r, const struct safe_content *content)
{
	_cleanup_free_ char *text = xasprintf("%s\n%s", r->id ? r->id : "", hash_of(content));
	char hex[FLEET_SHA256_HEX];
	struct fleet_uuid id;

	fleet_sha256_hex(text, strlen(text), hex);
	hex[12] = '8'; /* RFC 9562, section 5.8 */
	hex[16] = '8';
	(void)snprintf(id.text, sizeof(id.text), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		hex + 16, hex + 20);
	return id;
}
