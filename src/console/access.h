/* Who may what: each route of routes.c says in one word what it asks for, and access_judge() is the one place
 * that holds a key against it. Pure. */
#ifndef CONSOLE_ACCESS_H
#define CONSOLE_ACCESS_H
#include "console/key.h"

/* What a route asks for, at least. */
enum access {
	ACCESS_NONE = 1, /* the dashboard's files, which hold nothing, and its login */
	ACCESS_PROBE,    /* health and version: from this machine no key, else as viewer */
	ACCESS_HUB,      /* the hub judges itself */
	ACCESS_RELEASE,  /* an artifact's file: agents with their own key, else as operator */
	ACCESS_VIEWER,
	ACCESS_OPERATOR,
	ACCESS_ADMIN,
};

/* What it shows or touches, for keys that are limited. */
enum reach {
	REACH_UNLIMITED, /* for keys without any limit; also where a route says nothing */
	REACH_NOTHING,   /* nothing of an agent's: every key */
	REACH_AGENT,     /* the :agentId in its path: only within the key's reach */
	REACH_LISTED,    /* many agents': the handler leaves out what is beyond it (auth_sees) */
	REACH_COMMAND,   /* a command's agent, which the handler finds and asks for (auth_sees) */
	REACH_FLEET,     /* the whole fleet: no key that is limited to agents */
};

/* fleet_http_route's access: ACCESS(OPERATOR, RESTART, AGENT). */
#define ACCESS(role, action, reach)                                                                          \
	((unsigned)ACCESS_##role | (unsigned)KEY_ACTION_##action << 8 | (unsigned)REACH_##reach << 16)

static inline enum access access_role(unsigned access)
{
	return (enum access)(access & 0xff);
}
static inline enum key_action access_action(unsigned access)
{
	return (enum key_action)(access >> 8 & 0xff);
}
static inline enum reach access_reach(unsigned access)
{
	return (enum reach)(access >> 16 & 0xff);
}

enum verdict {
	VERDICT_GRANTED,
	VERDICT_ROLE,   /* its role may not */
	VERDICT_ACTION, /* it is limited to other actions */
	VERDICT_AGENT,  /* to other agents */
	VERDICT_LIMITS, /* it is limited, and this is for keys that are not */
};
/* agent_id: the :agentId of the path, NULL none; labels: that agent's, NULL unknown. */
enum verdict access_judge(const struct api_key *key, unsigned access, const char *agent_id,
	struct json_object *labels) FLEET_MUST_CHECK;
bool access_role_may(enum role role, enum access access);

#endif
