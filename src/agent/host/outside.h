/* What happens to apps outside Fleet: restarts, crashes, starts and stops that no command caused, seen by
 * comparing each look at a service with the one before. An app that a command works on is left alone until a
 * look that began after it. One sentence a minute for each app at most: what a crash loop does in between is
 * counted. Knows only what it saw: what happened before the host's first look is nobody's change. Pure; the
 * host's event loop, and read-only in the status child. */
#ifndef HOST_OUTSIDE_H
#define HOST_OUTSIDE_H
#include "fleet/json.h"

struct outside;
struct outside *outside_new(void);
void outside_free(struct outside *o);

/* A look at all services begins; now_ms: wall clock. */
void outside_begin(struct outside *o, int64_t now_ms);
/* A command works on this app, or did until now. */
void outside_forgive(struct outside *o, const char *app_id);

/* How a service is found: the protocol's app, with a member `instance` besides. Would the comparison find
 * something? And since when (wall clock), so that it can be asked how that came. */
bool outside_is_news(const struct outside *o, struct json_object *app, int64_t *ret_since_ms);
/* Takes the look in. why: what the service manager says of it besides the status, may be NULL. The sentence
 * for the audit log, owned; NULL where nothing is to be said. */
char *outside_look(struct outside *o, struct json_object *app, const char *why, int64_t now_ms);

#endif
