#include "cli/release.h"
#include "fleet/file.h"
#include "fleet/limits.h"

#define SIGNATURE_BEGIN "untrusted comment:"

int release_add_trust(const struct cli_args *args, struct json_object *body, struct fleet_error *err)
{
	const char *sha256 = cli_args_get(args, "sha256", NULL);
	const char *signature = cli_args_get(args, "signature", NULL);
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (sha256 && (strlen(sha256) != 64 || strspn(sha256, "0123456789abcdefABCDEF") != 64))
		return fleet_error_set(
			err, -EINVAL, "--sha256 takes 64 hex digits, as sha256sum prints them");
	fleet_json_add_string(body, "sha256", sha256);
	if (!signature)
		return 0;
	if (!str_starts(signature, SIGNATURE_BEGIN)) {
		if (fleet_file_read(signature, FLEET_SIGNATURE_MAX, &text, &len, err) < 0)
			return fleet_error_set(err, -EINVAL,
				"--signature takes what minisign wrote, or the file that holds it: %s",
				err->message);
		if (!str_starts(text, SIGNATURE_BEGIN))
			return fleet_error_set(
				err, -EINVAL, "--signature: %s is not what minisign writes", signature);
	}
	fleet_json_add_string(body, "signature", text ? text : signature);
	return 0;
}
