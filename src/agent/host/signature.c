#include "agent/host/signature.h"
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include "fleet/file.h"
#include "fleet/limits.h"

#define KEY_FILE_MAX    4096
#define KEY_ID_LEN      8
#define PUBLIC_LEN      (2 + KEY_ID_LEN + 32)
#define SIGNATURE_LEN   64
#define SIGNED_LEN      (2 + KEY_ID_LEN + SIGNATURE_LEN)
#define COMMENT_TRUSTED "trusted comment: "

/* Standard base64 of exactly len bytes. */
static int decode(const char *text, size_t text_len, unsigned char *out, size_t len)
{
	unsigned char bytes[128];
	size_t padded = (len + 2) / 3 * 3;
	int n;

	if (text_len != padded / 3 * 4 || padded > sizeof(bytes))
		return -EBADMSG;
	for (size_t i = len; i < padded; i++) { /* the decoder gives zeros for these, whatever stands there */
		if (text[text_len - 1 - (i - len)] != '=')
			return -EBADMSG;
	}
	n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)text_len);
	if (n < 0 || (size_t)n != padded)
		return -EBADMSG;
	memcpy(out, bytes, len);
	return 0;
}

/* The next line of *at, without its end; false where there is none. */
static bool next_line(const char **at, const char **ret, size_t *ret_len)
{
	size_t len;

	if (!**at)
		return false;
	len = strcspn(*at, "\n");
	*ret = *at;
	*at += len + ((*at)[len] == '\n');
	if (len > 0 && (*ret)[len - 1] == '\r')
		len--;
	*ret_len = len;
	return true;
}

/* ---- keys ---- */

/* Two lines as minisign -G writes them, or the second alone. */
static int parse_key(const char *text, struct signature_key *ret)
{
	unsigned char bytes[PUBLIC_LEN];
	const char *line = NULL;
	size_t len = 0;

	while (next_line(&text, &line, &len)) {
		if (len == 0 || str_starts(line, "untrusted comment:"))
			continue;
		if (decode(line, len, bytes, sizeof(bytes)) < 0 || memcmp(bytes, "Ed", 2) != 0)
			return -EBADMSG;
		memcpy(ret->id, bytes + 2, sizeof(ret->id));
		memcpy(ret->bytes, bytes + 2 + KEY_ID_LEN, sizeof(ret->bytes));
		return 0;
	}
	return -EBADMSG;
}

static int load_key(const char *path, bool as_root, struct signature_key *ret, struct fleet_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot read the trusted key %s", path);
	if (as_root && (st.st_uid != 0 || (st.st_mode & 022)))
		return fleet_error_set(err, -EPERM,
			"the trusted key %s must be root's and writable by root alone: chown root, chmod 644",
			path);
	r = fleet_file_read_fd(fd, path, KEY_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r;
	if (parse_key(text, ret) < 0)
		return fleet_error_set(err, -EBADMSG, "%s is no minisign public key", path);
	return 0;
}

static int is_key(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".pub") == 0;
}

int signature_keys_load(const char *dir, bool as_root, struct signature_keys *ret, struct fleet_error *err)
{
	struct signature_keys keys = {0};
	struct dirent **entries = NULL;
	int n, r = 0;

	*ret = keys;
	if (!dir)
		return 0;
	n = scandir(dir, &entries, is_key, alphasort);
	if (n < 0)
		return errno == ENOENT ? 0
				       : fleet_error_errno(err, -errno, "cannot read the keys of %s", dir);
	if (n > FLEET_TRUSTED_KEYS_MAX)
		r = fleet_error_set(err, -E2BIG, "more than %d keys in %s", FLEET_TRUSTED_KEYS_MAX, dir);
	keys.items = xcalloc((size_t)n + 1, sizeof(*keys.items));
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, entries[i]->d_name);

		if (r >= 0) {
			r = load_key(path, as_root, &keys.items[keys.count], err);
			if (r >= 0)
				keys.items[keys.count++].name = xstrdup(entries[i]->d_name);
		}
		free(entries[i]);
	}
	free(entries);
	if (r < 0) {
		signature_keys_done(&keys);
		return r;
	}
	*ret = keys;
	return 0;
}

void signature_keys_done(struct signature_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		free(keys->items[i].name);
	free(keys->items);
	*keys = (struct signature_keys){0};
}

/* ---- signatures ---- */

static bool fits(
	const struct signature_key *key, const unsigned char *signature, const void *data, size_t len)
{
	EVP_PKEY *public =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->bytes, sizeof(key->bytes));
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = public && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1 &&
		    EVP_DigestVerify(context, signature, SIGNATURE_LEN, data, len) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(public);
	return good;
}

struct parts {
	unsigned char head[SIGNED_LEN], global[SIGNATURE_LEN];
	const char *comment;
	size_t comment_len;
};

static int parse_signature(const char *text, struct parts *ret, struct fleet_error *err)
{
	const char *line = NULL;
	size_t len = 0;

	if (strlen(text) > FLEET_SIGNATURE_MAX || !next_line(&text, &line, &len) ||
		!str_starts(line, "untrusted comment:") || !next_line(&text, &line, &len) ||
		decode(line, len, ret->head, sizeof(ret->head)) < 0)
		return fleet_error_set(err, -EBADMSG, "the signature is not what minisign writes");
	if (memcmp(ret->head, "ED", 2) != 0)
		return fleet_error_set(err, -EBADMSG,
			"the signature is not of the prehashed kind; sign with minisign 0.8 or newer, or "
			"with -H");
	if (!next_line(&text, &ret->comment, &ret->comment_len) || !str_starts(ret->comment, COMMENT_TRUSTED))
		return fleet_error_set(err, -EBADMSG, "the signature has no trusted comment");
	ret->comment += strlen(COMMENT_TRUSTED);
	ret->comment_len -= strlen(COMMENT_TRUSTED);
	if (!next_line(&text, &line, &len) || decode(line, len, ret->global, sizeof(ret->global)) < 0)
		return fleet_error_set(err, -EBADMSG, "the signature of the trusted comment is missing");
	return 0;
}

int signature_verify(const struct signature_keys *keys, const char *text,
	const unsigned char blake2b[HASH_BLAKE2B_LEN], char **ret_comment, struct fleet_error *err)
{
	const struct signature_key *key = NULL;
	struct parts parts = {.comment = NULL};
	unsigned char covered[SIGNATURE_LEN + FLEET_SIGNATURE_MAX];
	int r = parse_signature(text, &parts, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < keys->count; i++) {
		if (memcmp(keys->items[i].id, parts.head + 2, KEY_ID_LEN) == 0)
			key = &keys->items[i];
	}
	if (!key)
		return fleet_error_set(
			err, -ENOKEY, "the signature is by a key that this server does not trust");
	memcpy(covered, parts.head + 2 + KEY_ID_LEN, SIGNATURE_LEN);
	memcpy(covered + SIGNATURE_LEN, parts.comment, parts.comment_len);
	if (!fits(key, parts.head + 2 + KEY_ID_LEN, blake2b, HASH_BLAKE2B_LEN))
		return fleet_error_set(err, -EKEYREJECTED,
			"the signature does not fit: it is not of this file, or the file was changed (key "
			"%s)",
			key->name);
	if (!fits(key, parts.global, covered, SIGNATURE_LEN + parts.comment_len))
		return fleet_error_set(err, -EKEYREJECTED,
			"the signature's trusted comment was changed (key %s)", key->name);
	if (ret_comment) {
		*ret_comment = xstrndup(parts.comment, parts.comment_len);
		fleet_text_sanitize(*ret_comment);
	}
	return 0;
}
