#include "console/signing_key.h"

#include <sys/stat.h>

#include "fleet/file.h"
#include "fleet/log.h"

#define PEM_MAX     4096
#define CHANGES_MAX (128 * 1024)

static char *key_path(const char *data_dir)
{
	return xasprintf("%s/signing-key.pem", data_dir);
}

static void forget_text(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

int signing_key_load(const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err)
{
	_cleanup_free_ char *path = key_path(data_dir);
	_cleanup_(forget_text) char *pem = NULL;
	struct stat st;
	size_t len;
	int r;

	if (stat(path, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot open the signing key %s", path);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return fleet_error_set(err, -EPERM,
			"the signing key %s is open to others: whoever read it can command the fleet; chmod "
			"600 it, or "
			"make a new one if that may have happened",
			path);
	r = fleet_file_read(path, PEM_MAX, &pem, &len, err);
	if (r < 0)
		return r;
	r = fleet_jws_key_from_pem(pem, len, ret, err);
	return r < 0 ? fleet_error_wrap(err, "the signing key %s", path) : 0;
}

int signing_key_create(const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err)
{
	_cleanup_free_ char *path = key_path(data_dir);
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new();
	_cleanup_(forget_text) char *pem = NULL;
	int r;

	r = fleet_jws_key_to_pem(key, &pem, err);
	if (r >= 0)
		r = fleet_file_write_durable(path, pem, strlen(pem), 0600, err);
	if (r < 0)
		return fleet_error_wrap(err, "cannot keep a new signing key");
	log_info("made the key that signs commands: %s (kid %s); back it up with the database", path,
		fleet_jws_key_id(key));
	*ret = TAKE_PTR(key);
	return 0;
}

int signing_key_changes(const char *data_dir, struct json_object **ret, struct fleet_error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/key-changes.json", data_dir), *text = NULL;
	size_t len = 0;
	int r = fleet_file_read(path, CHANGES_MAX, &text, &len, err);

	if (r == -ENOENT) {
		*ret = json_object_new_array();
		return 0;
	}
	if (r >= 0)
		r = fleet_json_parse(text, len, CHANGES_MAX, ret, err);
	if (r >= 0 && !json_object_is_type(*ret, json_type_array)) {
		json_object_put(TAKE_PTR(*ret));
		r = fleet_error_set(err, -EBADMSG, "%s is no list", path);
	}
	return r < 0 ? fleet_error_wrap(err, "what was said of earlier command keys cannot be read") : 0;
}

int signing_key_ensure(const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err)
{
	int r = signing_key_load(data_dir, ret, err);

	return r == -ENOENT ? signing_key_create(data_dir, ret, err) : r;
}
