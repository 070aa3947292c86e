/* The console's certificate: read at start, again on SIGHUP and when its files change, looked after until it
 * expires. The one of the config, else one of the console's own authority, which is then renewed by itself.
 * Event loop only; what it reads is small. */
#ifndef CONSOLE_CERTIFICATE_H
#define CONSOLE_CERTIFICATE_H
#include "console/ca.h"
#include "console/config.h"
#include "console/store.h"
#include "fleet/tls.h"

struct certificate {
	struct fleet_tls_server *tls;        /* NULL: the console speaks plain HTTP */
	const struct console_config *config; /* borrowed */
	struct store *store;                 /* borrowed */
	const struct ca *ca;                 /* borrowed; NULL: none */
	const char *cert_file, *key_file;    /* borrowed from config or ca */
	bool is_own;                         /* of our own authority */
	/* What a join token says of it: the digest of the key of whoever vouches for it. */
	bool has_authority;
	unsigned char authority[FLEET_SHA256_LEN];
	char *authorities; /* owned; PEM: what agents should trust in future; NULL: what they trust already */
	int64_t look_ms, warn_ms; /* monotonic: when to look at the files, and at the date, again */
};

/* Nothing to do where the config has no tls and there is no authority (ca NULL), or with --dev. */
int certificate_open(struct certificate *c, const struct console_config *config, const struct ca *ca,
	struct store *store, struct fleet_error *err) FLEET_MUST_CHECK;
/* At least once a second. */
void certificate_tick(struct certificate *c);
/* SIGHUP: reads the files in any case. */
void certificate_reload(struct certificate *c);
void certificate_done(struct certificate *c);

#endif
