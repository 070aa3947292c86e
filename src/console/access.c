#include "console/access.h"

bool access_role_may(enum role role, enum access access)
{
	switch (access) {
	case ACCESS_NONE:
	case ACCESS_PROBE:
	case ACCESS_HUB:
	case ACCESS_VIEWER:
		return true;
	case ACCESS_RELEASE:
	case ACCESS_OPERATOR:
		return role >= ROLE_OPERATOR;
	case ACCESS_ADMIN:
		return role >= ROLE_ADMIN;
	default:
		return false; /* a route that says nothing is nobody's */
	}
}

enum verdict access_judge(
	const struct api_key *key, unsigned access, const char *agent_id, struct json_object *labels)
{
	if (!access_role_may(key->role, access_role(access)))
		return VERDICT_ROLE;
	if (access_action(access) >= KEY_ACTIONS || !key_limits_allow(&key->limits, access_action(access)))
		return VERDICT_ACTION;
	switch (access_reach(access)) {
	case REACH_NOTHING:
	case REACH_LISTED:
	case REACH_COMMAND:
		return VERDICT_GRANTED;
	case REACH_AGENT:
		return agent_id && key_limits_reach(&key->limits, agent_id, labels) ? VERDICT_GRANTED
										    : VERDICT_AGENT;
	case REACH_FLEET:
		return key_limits_on_agents(&key->limits) ? VERDICT_LIMITS : VERDICT_GRANTED;
	case REACH_UNLIMITED:
	default:
		return api_key_is_limited(key) ? VERDICT_LIMITS : VERDICT_GRANTED;
	}
}
