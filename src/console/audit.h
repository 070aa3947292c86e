/* The console's own words in the audit log: about agents and about itself. (Commands' words are outcome.h's,
 * refusals' logins.h's.) A failure to keep one is logged. Event loop only. */
#ifndef CONSOLE_AUDIT_H
#define CONSOLE_AUDIT_H
#include "console/store.h"

/* category agent, about agent_id. details: takes, may be NULL. */
void audit_agent(struct store *store, const char *agent_id, const char *source_address,
	struct json_object *takes_details, const char *fmt, ...) FLEET_PRINTF(5, 6);
/* category system; agent_id may be NULL. */
void audit_system(struct store *store, const char *agent_id, struct json_object *takes_details,
	const char *fmt, ...) FLEET_PRINTF(4, 5);

#endif
