#include "console/members.h"

#include "console/auth.h"
#include "fleet/clock.h"
#include "fleet/limits.h"

void members_init(struct members *members, const struct console_config *config, struct store *store)
{
	*members = (struct members){.config = config, .store = store};
}

static void load_member(struct member *takes_member, void *arg)
{
	members_put(arg, takes_member);
}

static void load_token(struct join_token *takes_token, void *arg)
{
	struct members *members = arg;

	id_table_add(&members->tokens, takes_token->id, takes_token);
}

int members_load(struct members *members, struct fleet_error *err)
{
	return store_members_load(members->store, load_member, load_token, members, err);
}

void members_done(struct members *members)
{
	for (size_t i = 0; i < members->by_id.count; i++)
		member_free(members->by_id.entries[i].value);
	for (size_t i = 0; i < members->tokens.count; i++)
		join_token_free(members->tokens.entries[i].value);
	id_table_done(&members->by_id);
	id_table_done(&members->tokens);
}

bool members_take_keys(const struct members *members)
{
	return members->config->agent_auth != AGENT_AUTH_MTLS;
}

bool members_take_certificates(const struct members *members)
{
	return members->config->agent_auth != AGENT_AUTH_TOKEN;
}

struct member *members_get(const struct members *members, const char *agent_id)
{
	return id_table_get(&members->by_id, agent_id);
}

void members_put(struct members *members, struct member *takes_member)
{
	takes_member->version = ++members->versions;
	member_free(id_table_remove(&members->by_id, takes_member->agent_id));
	id_table_add(&members->by_id, takes_member->agent_id, takes_member);
}

void members_drop(struct members *members, const char *agent_id)
{
	member_free(id_table_remove(&members->by_id, agent_id));
}

/* --- judging ----------------------------------------------------------------------------------------- */

void members_read_proof(const struct fleet_http_request *req, struct proof *ret)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	*ret = (struct proof){.authorization = fleet_http_header(req, "Authorization")};
	ret->certificate = fleet_http_certificate(req, &ret->facts, &err);
	if (ret->certificate < 0)
		(void)snprintf(ret->why, sizeof(ret->why), "%.*s", (int)sizeof(ret->why) - 1,
			err.message); /* for people: cut is fine */
}

static const struct credential *find_credential(
	const struct member *m, enum credential_kind kind, const unsigned char id[FLEET_SHA256_LEN])
{
	const struct credential *found = NULL;

	for (size_t i = 0; m && i < m->credential_count; i++) { /* all of them: the time tells nothing */
		if (m->credentials[i].kind == kind && auth_digests_equal(m->credentials[i].id, id))
			found = &m->credentials[i];
	}
	return found;
}

/* Whose key it is that was given when he joined; NULL: nobody's. */
static const struct member *find_by_key(
	const struct members *members, const unsigned char digest[FLEET_SHA256_LEN])
{
	const struct member *found = NULL;

	for (size_t i = 0; i < members->by_id.count; i++) {
		const struct member *m = members->by_id.entries[i].value;

		if (find_credential(m, CREDENTIAL_KEY, digest))
			found = m;
	}
	return found;
}

static void say(struct judgement *j, enum member_verdict verdict, const char *why)
{
	j->verdict = verdict;
	(void)snprintf(j->why, sizeof(j->why), "%s", why); /* for people: cut is fine */
}

/* The agentId in a certificate that is good, or NULL. */
static const char *agent_of(const struct proof *proof)
{
	const char *id = proof->facts.uri + strlen(FLEET_X509_AGENT);

	return str_starts(proof->facts.uri, FLEET_X509_AGENT) && fleet_id_is_valid(id) ? id : NULL;
}

static void judge_certificate(
	const struct members *members, const struct proof *proof, const char *agent_id, struct judgement *j)
{
	const char *named = proof->certificate > 0 ? agent_of(proof) : NULL;
	const struct credential *credential;

	if (proof->certificate < 0) {
		say(j, MEMBER_UNKNOWN, proof->why);
		return;
	}
	if (!named || strcmp(named, agent_id) != 0) {
		say(j, MEMBER_OTHERS,
			named ? "the certificate of another agent" : "the certificate of no agent");
		return;
	}
	credential = find_credential(
		members_get(members, agent_id), CREDENTIAL_CERTIFICATE, proof->facts.fingerprint);
	if (!credential) {
		say(j, MEMBER_UNKNOWN,
			"its certificate does not count any more: the agent was removed, or has joined anew");
		return;
	}
	j->verdict = MEMBER_WELCOME;
	j->expires_ms = proof->facts.ends_s * 1000;
}

static void judge_key(
	const struct members *members, const struct proof *proof, const char *agent_id, struct judgement *j)
{
	unsigned char digest[FLEET_SHA256_LEN];
	enum agent_access access =
		proof->made_here_only ? AGENT_UNAUTHENTICATED
				      : auth_judge_agent(members->config, proof->authorization, agent_id);
	const struct member *m = members_get(members, agent_id);
	bool has_key = auth_bearer_digest(proof->authorization, digest) >= 0;

	if (access == AGENT_WELCOME && m && m->joined_ms) {
		say(j, MEMBER_UNKNOWN,
			"its key of console.yaml does not count any more: it has joined by a token");
	} else if (access == AGENT_WELCOME || (has_key && find_credential(m, CREDENTIAL_KEY, digest))) {
		j->verdict = MEMBER_WELCOME;
	} else if (has_key &&
		   (access == AGENT_OTHERS_KEY || (!proof->made_here_only && find_by_key(members, digest)))) {
		say(j, MEMBER_OTHERS, "the key of another agent");
	} else {
		say(j, MEMBER_UNKNOWN, "no valid key");
	}
}

void members_judge(
	const struct members *members, const struct proof *proof, const char *agent_id, struct judgement *ret)
{
	const struct member *m = members_get(members, agent_id);
	struct judgement by_key = {.verdict = MEMBER_UNKNOWN}, by_certificate = {.verdict = MEMBER_UNKNOWN};

	if (members->config->dev) {
		*ret = (struct judgement){.verdict = MEMBER_WELCOME};
		return;
	}
	say(&by_key, MEMBER_UNKNOWN, "keys of agents are not taken here (agent_auth: mtls)");
	if (members_take_keys(members))
		judge_key(members, proof, agent_id, &by_key);
	*ret = by_key;
	/* Whoever shows both is judged by the better one; what is wrong is said of the certificate. */
	if (by_key.verdict != MEMBER_WELCOME && members_take_certificates(members) &&
		proof->certificate != 0) {
		judge_certificate(members, proof, agent_id, &by_certificate);
		*ret = by_certificate;
	} else if (by_key.verdict == MEMBER_UNKNOWN && !members_take_keys(members)) {
		say(ret, MEMBER_UNKNOWN, "no certificate of this console's authority");
	}
	if (ret->verdict == MEMBER_WELCOME && m && m->revoked_ms) {
		_cleanup_free_ char *why =
			xasprintf("the agent was revoked on %s", fleet_timestamp_format(m->revoked_ms).text);

		*ret = (struct judgement){.verdict = MEMBER_REVOKED};
		say(ret, MEMBER_REVOKED, why);
	}
}

static const char *find_any(const struct members *members, const struct proof *proof)
{
	unsigned char digest[FLEET_SHA256_LEN];
	const char *named =
		members_take_certificates(members) && proof->certificate > 0 ? agent_of(proof) : NULL;
	const struct member *m = named ? members_get(members, named) : NULL;

	if (m && find_credential(m, CREDENTIAL_CERTIFICATE, proof->facts.fingerprint))
		return m->agent_id;
	if (!members_take_keys(members) || auth_bearer_digest(proof->authorization, digest) < 0)
		return NULL;
	m = find_by_key(members, digest);
	if (m || proof->made_here_only)
		return m ? m->agent_id : NULL;
	named = auth_find_agent(members->config, proof->authorization);
	m = named ? members_get(members, named) : NULL;
	return m && m->joined_ms ? NULL : named;
}

const char *members_find(const struct members *members, const struct proof *proof)
{
	const char *agent_id = find_any(members, proof);
	const struct member *m = agent_id ? members_get(members, agent_id) : NULL;

	return m && m->revoked_ms ? NULL : agent_id;
}

uint64_t members_version(const struct members *members, const char *agent_id)
{
	const struct member *m = members_get(members, agent_id);

	return m ? m->version : 0;
}

/* --- an operator's word ------------------------------------------------------------------------------ */

static void event_of(
	const char *agent_id, const struct member_asker *asker, const char *message, struct audit_event *ret)
{
	*ret = (struct audit_event){.category = "access",
		.agent_id = agent_id,
		.actor = asker->actor,
		.source_address = asker->source_address,
		.message = message};
}

static struct member *copy_or_new(const struct members *members, const char *agent_id)
{
	const struct member *m = members_get(members, agent_id);

	return m ? member_copy(m) : member_new(agent_id);
}

void members_revoke(struct members *members, const char *agent_id, const struct member_asker *asker,
	store_done *done, void *arg)
{
	_cleanup_free_ char *message = xasprintf("%s revoked by %s", agent_id, asker->actor);
	struct member *m = copy_or_new(members, agent_id);
	struct audit_event event;

	event_of(agent_id, asker, message, &event);
	m->revoked_ms = fleet_clock_wall_ms();
	m->rejoin_until_ms = 0;
	members_put(members, m);
	store_member_save(members->store, m, NULL, &event, done, arg);
}

void members_remove(struct members *members, const char *agent_id, const struct member_asker *asker,
	store_done *done, void *arg)
{
	_cleanup_free_ char *message = xasprintf("%s removed by %s", agent_id, asker->actor);
	_cleanup_(member_freep) struct member *m = copy_or_new(members, agent_id);
	struct audit_event event;

	event_of(agent_id, asker, message, &event);
	store_member_remove(members->store, m, &event, done, arg);
	members_drop(members, m->agent_id);
}

void members_allow_rejoin(struct members *members, const char *agent_id, int64_t until_ms,
	const struct member_asker *asker, store_done *done, void *arg)
{
	_cleanup_free_ char *message =
		xasprintf("%s may join anew until %s, from another machine too, says %s", agent_id,
			fleet_timestamp_format(until_ms).text, asker->actor);
	struct member *m = copy_or_new(members, agent_id);
	struct audit_event event;

	event_of(agent_id, asker, message, &event);
	m->rejoin_until_ms = until_ms;
	members_put(members, m);
	store_member_save(members->store, m, NULL, &event, done, arg);
}
