/* The console's certificate: read at start, again on SIGHUP and when its files change, looked after until it
 * expires. Event loop only; what it reads is small. */
#ifndef CONSOLE_CERTIFICATE_H
#define CONSOLE_CERTIFICATE_H
#include "console/config.h"
#include "console/store.h"
#include "fleet/tls.h"

struct certificate {
	struct fleet_tls_server *tls;        /* NULL: the console speaks plain HTTP */
	const struct console_config *config; /* borrowed */
	struct store *store;                 /* borrowed */
	int64_t look_ms, warn_ms; /* monotonic: when to look at the files, and at the date, again */
};

/* Nothing to do where the config has no tls. */
int certificate_open(struct certificate *c, const struct console_config *config, struct store *store,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* At least once a second. */
void certificate_tick(struct certificate *c);
/* SIGHUP: reads the files in any case. */
void certificate_reload(struct certificate *c);
void certificate_done(struct certificate *c);

#endif
