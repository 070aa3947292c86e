#include "console/signing_key.h"

#include <sys/stat.h>

#include "fleet/file.h"
#include "fleet/log.h"

#define PEM_MAX 4096

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

static int signing_key_create(const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err)
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

int signing_key_ensure(const char *data_dir, struct fleet_jws_key **ret, struct fleet_error *err)
{
	int r = signing_key_load(data_dir, ret, err);

	return r == -ENOENT ? signing_key_create(data_dir, ret, err) : r;
}
