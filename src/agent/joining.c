/* By what the agent connects: its credentials, joining where there is a token that was not used yet, and the
 * certificate's renewal. */
#include "agent/agent_private.h"
#include "agent/notify.h"
#include "fleet/encode.h"
#include "fleet/log.h"

#define TOKEN_NOTE "joinedWith" /* digest of the token that was used last */

void agent_use_credentials(struct agent *a)
{
	struct link_options options = {.console_url = NULL};

	agent_credentials_done(&a->credentials);
	agent_credentials_read(a->config, &a->credentials);
	agent_credentials_apply(&a->credentials, &options);
	link_identify(a->link, &options);
	a->fetch_options.api_key = a->credentials.api_key;
	a->fetch_options.ca_file = a->credentials.ca_file;
	a->fetch_options.cert_file = a->credentials.cert_file;
	a->fetch_options.key_file = a->credentials.key_file;
}

static bool has_credential(const struct agent *a)
{
	return a->credentials.api_key || a->credentials.cert_file;
}

/* A key or a certificate of agent.env is the admin's own way. A token counts once, also where it stays in the
 * file. */
bool agent_has_to_join(struct agent *a)
{
	char digest[FLEET_SHA256_HEX];
	const char *token = a->config->join_token;

	if (!token || a->config->api_key || a->config->cert_file)
		return false;
	fleet_sha256_hex(token, strlen(token), digest);
	return !has_credential(a) || !str_equal(spool_note(a->spool, TOKEN_NOTE), digest);
}

static void connect_now(struct agent *a)
{
	join_free(TAKE_PTR(a->join));
	agent_use_credentials(a);
	notify_status("Connecting to %s", a->config->console_url);
	link_start(a->link);
}

static void on_joined(void *arg)
{
	struct agent *a = arg;
	char digest[FLEET_SHA256_HEX];

	fleet_sha256_hex(a->config->join_token, strlen(a->config->join_token), digest);
	if (spool_set_note(a->spool, TOKEN_NOTE, digest, NULL) < 0)
		log_debug("that the token is used could not be kept; the console knows");
	log_info("Joined as %s; FLEET_JOIN_TOKEN is not needed any more", a->config->agent_id);
	connect_now(a);
}

static void on_failed(const char *why, int64_t retry_ms, bool refused, void *arg)
{
	struct agent *a = arg;

	if (refused && has_credential(a)) {
		log_warn("The join token is of no use; the agent connects with what it has");
		connect_now(a);
		return;
	}
	notify_status("Not joined to %s: %s; next attempt in %lld s", a->config->console_url, why,
		(long long)((retry_ms + 999) / 1000));
}

static const struct join_events join_events = {.joined = on_joined, .failed = on_failed};

void agent_start_joining(struct agent *a)
{
	const struct join_options options = {.config = a->config,
		.instance_id = agent_instance(a),
		.hostname = a->identity.hostname,
		.agent_version = PACKAGE_VERSION};
	struct fleet_error err = FLEET_ERROR_INIT;

	log_info("Joining at %s as %s", a->config->console_url, a->config->agent_id);
	notify_status("Joining at %s", a->config->console_url);
	if (join_new(a->base, &options, &join_events, a, &a->join, &err) >= 0)
		return;
	log_error("cannot join: %s", err.message);
	if (has_credential(a))
		connect_now(a);
	else
		notify_status("Cannot join: %s", err.message);
}

static int send_renew(struct json_object *takes_message, void *arg)
{
	struct agent *a = arg;

	return link_send(a->link, takes_message);
}

static int64_t clock_offset_ms(void *arg)
{
	const struct agent *a = arg;

	return a->clock_known ? a->clock_offset_ms : 0;
}

static const struct renewal_ops renewal_ops = {.send = send_renew, .clock_offset_ms = clock_offset_ms};

struct renewal *agent_renewal_new(struct agent *a)
{
	return renewal_new(a->base, a->config, &renewal_ops, a);
}
