/* Certificates: who is given which, and new ones for agents that are connected. */
#include "console/joining_internal.h"

#include "fleet/clock.h"
#include "fleet/log.h"

#define RENEWAL_PAUSES 10 /* of a certificate's life: nobody has to be given one more often */

bool joining_gives_certificates(const struct joining *joining)
{
	return joining->options.ca && joining->options.certificate->tls &&
	       members_take_certificates(joining->options.members);
}

int64_t joining_life_s(const struct joining *joining)
{
	const int64_t life_s = joining->options.config->agent_certificate_life_s;

	return life_s > 0 ? life_s : FLEET_CERTIFICATE_LIFE_S;
}

void joining_credential_of(const struct fleet_x509_facts *facts, struct credential *ret)
{
	*ret = (struct credential){.kind = CREDENTIAL_CERTIFICATE,
		.issued_ms = fleet_clock_wall_ms(),
		.expires_ms = facts->ends_s * 1000};
	memcpy(ret->id, facts->fingerprint, sizeof(ret->id));
	memcpy(ret->key, facts->key, sizeof(ret->key));
}

struct renewing {
	struct joining *joining;
	struct member *next; /* owned */
	uint64_t version;
	char *certificate; /* owned */
	int64_t expires_ms;
	void (*done)(const struct renewal *renewal, void *arg);
	void *arg;
};

static void on_renewed(int result, const struct fleet_error *err, void *arg)
{
	struct renewing *r = arg;
	const struct joining_options *options = &r->joining->options;
	const struct member *now = members_get(options->members, r->next->agent_id);
	struct renewal renewal = {.certificate = r->certificate,
		.authorities = options->certificate->authorities,
		.expires_ms = r->expires_ms};

	if (result < 0) {
		log_error("a new certificate of %s could not be kept: %s", r->next->agent_id, err->message);
		renewal = (struct renewal){.code = "internal", .why = "the console could not keep it"};
	} else if (!now || now->version != r->version) {
		renewal = (struct renewal){.code = "revoked", .why = "it was revoked, or has joined anew"};
	} else {
		members_put(options->members, TAKE_PTR(r->next));
	}
	r->done(&renewal, r->arg);
	member_free(r->next);
	free(r->certificate);
	free(r);
}

static bool is_too_early(const struct joining *joining, const struct member *m)
{
	const struct credential *newest =
		m->credential_count > 0 ? &m->credentials[m->credential_count - 1] : NULL;

	return newest && newest->kind == CREDENTIAL_CERTIFICATE &&
	       fleet_clock_wall_ms() - newest->issued_ms < joining_life_s(joining) * 1000 / RENEWAL_PAUSES;
}

void joining_renew(struct joining *joining, const char *agent_id, const char *request_pem,
	const char *source_address, void (*done)(const struct renewal *renewal, void *arg), void *arg)
{
	const struct member *m = members_get(joining->options.members, agent_id);
	struct audit_event event = {
		.category = "access", .agent_id = agent_id, .source_address = source_address};
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *pem = NULL, *message = NULL;
	struct fleet_x509_facts facts;
	struct credential credential;
	struct renewing *r;

	if (!joining_gives_certificates(joining) || !m || !m->joined_ms) {
		done(&(struct renewal){.code = "not-supported",
			     .why = "this console gives this agent no certificates"},
			arg);
		return;
	}
	if (is_too_early(joining, m)) {
		done(&(struct renewal){.code = "too-early", .why = "its newest certificate is fresh"}, arg);
		return;
	}
	if (ca_issue(joining->options.ca, request_pem, agent_id, joining_life_s(joining), &pem, &facts,
		    &err) < 0) {
		done(&(struct renewal){.code = "invalid-request", .why = err.message}, arg);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->joining = joining;
	r->next = member_copy(m);
	r->version = m->version;
	r->certificate = TAKE_PTR(pem);
	r->expires_ms = facts.ends_s * 1000;
	r->done = done;
	r->arg = arg;
	joining_credential_of(&facts, &credential);
	member_add_credential(r->next, &credential);
	message = xasprintf("%s's certificate was renewed (valid until %s)", agent_id,
		fleet_timestamp_format(r->expires_ms).text);
	event.message = message;
	store_member_save(joining->options.store, r->next, NULL, &event, on_renewed, r);
}
