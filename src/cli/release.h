/* What a command line says about a release besides its version: how it can be known to be the right one. */
#ifndef CLI_RELEASE_H
#define CLI_RELEASE_H
#include "cli/args.h"
#include "fleet/json.h"

/* --sha256, and --signature: minisign's text or the file that holds it. -EINVAL with a sentence. */
int release_add_trust(
	const struct cli_args *args, struct json_object *body, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
