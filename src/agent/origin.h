/* Whose URL is it? Decides which downloads get the agent's own credential: those of the console, and no
 * others. Pure. */
#ifndef AGENT_ORIGIN_H
#define AGENT_ORIGIN_H
#include "fleet/base.h"

/* The console's own URL for it, owned, where url has the console's scheme, host and port, or is a path on it
 * ("/api/..."): made of console_url and the path, so that nothing in url can lead elsewhere. Else NULL. */
char *origin_on_console(const char *url, const char *console_url);
/* What a person or a log may see of it: no user, no password, no query. Owned. */
char *origin_shown(const char *url);

#endif
