/* A unified diff for people: each line cleaned of what a terminal would obey, and coloured where a terminal
 * shows it (not where NO_COLOR is set: https://no-color.org). */
#ifndef CLI_DIFF_H
#define CLI_DIFF_H
#include "fleet/json.h"

/* The command's unifiedDiff on stdout, what was left out of it or why there is none on stderr. false: the
 * record has neither. */
bool diff_write(struct json_object *command);

#endif
