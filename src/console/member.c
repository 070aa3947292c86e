#include "console/member.h"

#include <fnmatch.h>

#include "fleet/clock.h"

struct member *member_new(const char *agent_id)
{
	struct member *m = xcalloc(1, sizeof(*m));

	m->agent_id = xstrdup(agent_id);
	return m;
}

struct member *member_copy(const struct member *m)
{
	struct member *copy = xcalloc(1, sizeof(*copy));

	*copy = *m;
	copy->agent_id = xstrdup(m->agent_id);
	copy->instance_id = xstrdup(m->instance_id);
	copy->token_id = xstrdup(m->token_id);
	return copy;
}

void member_free(struct member *m)
{
	if (!m)
		return;
	free(m->agent_id);
	free(m->instance_id);
	free(m->token_id);
	free(m);
}

void member_add_credential(struct member *m, const struct credential *credential)
{
	if (m->credential_count == FLEET_CREDENTIALS_PER_AGENT_MAX) {
		memmove(&m->credentials[0], &m->credentials[1],
			(FLEET_CREDENTIALS_PER_AGENT_MAX - 1) * sizeof(m->credentials[0]));
		m->credential_count--;
	}
	m->credentials[m->credential_count++] = *credential;
}

struct json_object *member_to_json(const struct member *m)
{
	struct json_object *o = json_object_new_object();
	const struct credential *newest =
		m->credential_count > 0 ? &m->credentials[m->credential_count - 1] : NULL;

	fleet_json_add_time(o, "joinedAt", m->joined_ms);
	fleet_json_add_string(o, "joinTokenId", m->token_id);
	if (newest) {
		fleet_json_add_string(
			o, "credential", newest->kind == CREDENTIAL_CERTIFICATE ? "certificate" : "key");
		fleet_json_add_time(o, "credentialIssuedAt", newest->issued_ms);
		fleet_json_add_time(o, "credentialExpiresAt", newest->expires_ms);
	}
	fleet_json_add_time(o, "revokedAt", m->revoked_ms);
	if (m->rejoin_until_ms > fleet_clock_wall_ms())
		fleet_json_add_time(o, "rejoinUntil", m->rejoin_until_ms);
	return o;
}

struct join_token *join_token_copy(const struct join_token *t)
{
	struct join_token *copy = xcalloc(1, sizeof(*copy));

	*copy = *t;
	copy->agents = xstrdup(t->agents);
	copy->created_by = xstrdup(t->created_by);
	return copy;
}

void join_token_free(struct join_token *t)
{
	if (!t)
		return;
	free(t->agents);
	free(t->created_by);
	free(t);
}

const char *join_token_fault(const struct join_token *t, int64_t now_ms)
{
	if (t->revoked_ms)
		return "revoked";
	if (t->expires_ms <= now_ms)
		return "expired";
	return t->uses >= t->uses_max ? "used up" : "";
}

bool join_token_fits(const struct join_token *t, const char *agent_id)
{
	return !t->agents || fnmatch(t->agents, agent_id, FNM_NOESCAPE) == 0;
}

struct json_object *join_token_to_json(const struct join_token *t)
{
	struct json_object *o = json_object_new_object();
	const char *fault = join_token_fault(t, fleet_clock_wall_ms());

	fleet_json_add_string(o, "tokenId", t->id);
	fleet_json_add_string(o, "agents", t->agents);
	fleet_json_add_int(o, "uses", t->uses);
	fleet_json_add_int(o, "usesMax", t->uses_max);
	fleet_json_add_string(
		o, "state", *fault ? (strcmp(fault, "used up") == 0 ? "used-up" : fault) : "usable");
	fleet_json_add_string(o, "createdBy", t->created_by);
	fleet_json_add_time(o, "createdAt", t->created_ms);
	fleet_json_add_time(o, "expiresAt", t->expires_ms);
	fleet_json_add_time(o, "revokedAt", t->revoked_ms);
	return o;
}
