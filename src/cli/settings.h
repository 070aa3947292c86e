/* --set and its kin become the body of a push: settings, stringSettings and unset as the REST interface has
 * them. Values from files and standard input are read here, so that a secret need not stand in the shell's
 * history. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H
#include "cli/args.h"
#include "fleet/json.h"

struct settings {
	struct json_object *values;  /* owned: "settings" */
	struct json_object *strings; /* owned: "stringSettings" */
	struct json_object *unset;   /* owned: "unset", an array */
	struct json_object *keys;    /* owned: every key named, in the order given */
};
void settings_done(struct settings *s);
#define _cleanup_settings_ _cleanup_(settings_done)

/* Options of other names are passed over. in: what `--set-file KEY=-` reads. -EINVAL with a sentence. */
int settings_parse(const struct cli_args *args, FILE *in, struct settings *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
