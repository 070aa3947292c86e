/* New command keys, on the word of the old one or of the recovery key. What is said is kept before the key is
 * replaced: a console that died in between says something of a key that nobody has, and is as it was. */
#include <fcntl.h>
#include <sys/stat.h>

#include "console/signing_key.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/key_change.h"

#define PEM_MAX 4096

struct rotation { /* all owned */
	struct json_object *changes;
	struct fleet_jws_key *old, *next, *recovery;
	int64_t at_ms;
};

static void rotation_done(struct rotation *r)
{
	json_object_put(r->changes);
	fleet_jws_key_free(r->old);
	fleet_jws_key_free(r->next);
	fleet_jws_key_free(r->recovery);
}

static int say(struct rotation *r, const struct fleet_jws_key *signer, bool recovery,
	const struct fleet_jws_key *key, struct fleet_error *err)
{
	_cleanup_free_ char *jws = NULL;
	int result;

	if (json_object_array_length(r->changes) >= FLEET_KEY_CHANGES_MAX)
		return fleet_error_set(err, -EDQUOT,
			"%d changes of keys are the most that servers can follow: install the new key's "
			"public half as "
			"console.pub on each instead",
			FLEET_KEY_CHANGES_MAX);
	result = fleet_key_change_sign(signer, recovery, key, r->at_ms++, &jws, err);
	if (result >= 0)
		fleet_json_append_string(r->changes, jws);
	return result;
}

static int keep_changes(const char *data_dir, struct rotation *r, struct fleet_error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/key-changes.json", data_dir);
	size_t len;
	const char *text = fleet_json_text(r->changes, &len);

	return fleet_file_write_durable(path, text, len, 0644, err);
}

/* The public half of the recovery key, as it was said last; none: NULL. */
static int find_recovery(struct rotation *r, struct fleet_error *err)
{
	for (size_t i = 0; i < json_object_array_length(r->changes); i++) {
		const char *jws = json_object_get_string(json_object_array_get_idx(r->changes, i));
		_cleanup_json_ struct json_object *payload = NULL;
		struct fleet_key_change change;
		int result = jws ? fleet_jws_peek(jws, strlen(jws), &payload, err) : -EBADMSG;

		if (result >= 0)
			result = fleet_key_change_read(payload, &change, err);
		if (result < 0)
			return fleet_error_wrap(err, "key-changes.json is damaged");
		if (change.issued_ms >=
			r->at_ms) /* the clock was put back: what follows must be later all the same */
			r->at_ms = change.issued_ms + 1;
		if (change.recovery) {
			fleet_jws_key_free(r->recovery);
			r->recovery = change.key;
		} else {
			fleet_jws_key_free(change.key);
		}
	}
	return 0;
}

static int begin(const char *data_dir, struct rotation *ret, struct fleet_error *err)
{
	int r = signing_key_changes(data_dir, &ret->changes, err);

	ret->at_ms = fleet_clock_wall_ms();
	return r < 0 ? r : find_recovery(ret, err);
}

/* signer: of the rotation. The new key says the recovery key again, for servers that meet it first. */
static int finish(const char *data_dir, struct rotation *r, const struct fleet_jws_key *signer,
	char **ret_message, struct fleet_error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/signing-key.pem", data_dir), *pem = NULL;
	int result;

	r->next = fleet_jws_key_new();
	result = say(r, signer, false, r->next, err);
	if (result >= 0 && r->recovery)
		result = say(r, r->next, true, r->recovery, err);
	if (result >= 0)
		result = fleet_jws_key_to_pem(r->next, &pem, err);
	if (result >= 0)
		result = keep_changes(data_dir, r, err);
	if (result >= 0)
		result = fleet_file_write_durable(path, pem, strlen(pem), 0600, err);
	if (pem)
		explicit_bzero(pem, strlen(pem));
	if (result >= 0)
		*ret_message = xasprintf("the command key is %s from now on, on the word of %s",
			fleet_jws_key_id(r->next),
			signer == r->old ? fleet_jws_key_id(r->old) : "the recovery key");
	return result;
}

int signing_key_rotate(const char *data_dir, char **ret_message, struct fleet_error *err)
{
	_cleanup_(rotation_done) struct rotation r = {.changes = NULL};
	int result = signing_key_load(data_dir, &r.old, err);

	if (result >= 0)
		result = begin(data_dir, &r, err);
	return result < 0 ? result : finish(data_dir, &r, r.old, ret_message, err);
}

static int write_new(const char *path, const char *text, struct fleet_error *err)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	const size_t len = strlen(text);

	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot write %s", path);
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) < 0)
		return fleet_error_errno(err, errno ? -errno : -EIO, "cannot write %s", path);
	return 0;
}

int signing_key_make_recovery(
	const char *data_dir, const char *path, char **ret_message, struct fleet_error *err)
{
	_cleanup_(rotation_done) struct rotation r = {.changes = NULL};
	_cleanup_free_ char *pem = NULL;
	int result = signing_key_load(data_dir, &r.old, err);

	if (result >= 0)
		result = begin(data_dir, &r, err);
	if (result >= 0 && r.recovery)
		result = fleet_error_set(err, -EEXIST,
			"there is a recovery key already (%s), which servers remember and do not replace",
			fleet_jws_key_id(r.recovery));
	if (result < 0)
		return result;
	r.recovery = fleet_jws_key_new();
	result = fleet_jws_key_to_pem(r.recovery, &pem, err);
	if (result >= 0)
		result = say(&r, r.old, true, r.recovery, err);
	if (result >= 0)
		result = write_new(path, pem, err);
	if (result >= 0)
		result = keep_changes(data_dir, &r, err);
	if (pem)
		explicit_bzero(pem, strlen(pem));
	if (result >= 0)
		*ret_message = xasprintf("recovery key %s made", fleet_jws_key_id(r.recovery));
	return result;
}

int signing_key_recover(const char *data_dir, const char *path, char **ret_message, struct fleet_error *err)
{
	_cleanup_(rotation_done) struct rotation r = {.changes = NULL};
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *signer = NULL;
	_cleanup_free_ char *pem = NULL;
	size_t len = 0;
	int result = begin(data_dir, &r, err);

	if (result >= 0)
		result = fleet_file_read(path, PEM_MAX, &pem, &len, err);
	if (result >= 0)
		result = fleet_jws_key_from_pem(pem, len, &signer, err);
	if (pem)
		explicit_bzero(pem, len);
	if (result >= 0 &&
		(!r.recovery || !str_equal(fleet_jws_key_id(r.recovery), fleet_jws_key_id(signer))))
		result = fleet_error_set(err, -EKEYREJECTED,
			"the key in %s is not the recovery key that this console has told its servers of",
			path);
	return result < 0 ? result : finish(data_dir, &r, signer, ret_message, err);
}
