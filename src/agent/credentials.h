/* By what this agent proves who it is, and whom it believes: agent.env's words first, else what joining has
 * left in the data directory (all of it 0600):
 *
 *   identity.pem     its key and its certificate, in one file, so that both are replaced together
 *   agent.key        or a key as a text, where the console gives those
 *   console-ca.pem   the authorities that vouch for the console
 *   join.key         the key that is to be certified, until it is
 *
 * Event loop; the files are small. */
#ifndef AGENT_CREDENTIALS_H
#define AGENT_CREDENTIALS_H
#include "agent/config.h"
#include "agent/link.h"
#include "fleet/x509.h"

struct agent_credentials { /* owned; NULL: there is none */
	char *api_key, *ca_file, *cert_file, *key_file;
	bool is_own; /* the certificate is one that we were given, and renew */
};

void agent_credentials_read(const struct agent_config *config, struct agent_credentials *ret);
void agent_credentials_done(struct agent_credentials *c);
/* What of it a connection needs; borrowed from c. */
void agent_credentials_apply(const struct agent_credentials *c, struct link_options *ret);

/* Of a certificate of our own. -ENOENT. */
int agent_credentials_facts(const struct agent_config *config, struct fleet_x509_facts *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The key to join with, the same until it is certified; owned (fleet_x509_forget). */
int agent_credentials_join_key(
	const struct agent_config *config, char **ret_pem, struct fleet_error *err) FLEET_MUST_CHECK;
/* What the console has given, synced: the message is a checked `joined` or `renewed`, key_pem what was asked
 * with. -EBADMSG where it is not for this key and this agent. */
int agent_credentials_keep(const struct agent_config *config, const char *key_pem,
	struct json_object *message, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
