#include "console/joining_internal.h"

#include "console/hub.h"
#include "console/join_tokens.h"
#include "fleet/clock.h"
#include "fleet/log.h"
#include "fleet/message.h"
#include "fleet/ws.h"

#define CLOSE_DONE   1000
#define CLOSE_POLICY 1008
#define KEY_BYTES    32

struct conversation {
	struct conversation *next, **prev;
	struct joining *joining;
	struct fleet_ws *ws; /* owned; NULL: gone, the store still has to answer */
	struct event *timer;
	char *agent_id; /* owned */
	char token_id[FLEET_UUID_LEN + 1];
	char address[64];
	/* while it is being committed */
	struct member *next_state; /* owned; NULL: not yet */
	uint64_t version;          /* of the state that it follows; 0: none */
	bool counts;               /* as a use of the token */
	bool renewed_machine;      /* whoever is connected under this agentId goes */
	char *certificate, *key;   /* owned; one of them */
};

/* --- a conversation's life --------------------------------------------------------------------------- */

static void stop_talking(struct conversation *c)
{
	if (c->timer)
		event_free(TAKE_PTR(c->timer));
	fleet_ws_free(TAKE_PTR(c->ws));
}

static void conversation_free(struct conversation *c)
{
	stop_talking(c);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->joining->count--;
	member_free(c->next_state);
	fleet_x509_forget(&c->key);
	free(c->certificate);
	free(c->agent_id);
	free(c);
}

/* It is over, unless the store still has to answer. */
static void leave(struct conversation *c)
{
	stop_talking(c);
	if (!c->next_state)
		conversation_free(c);
}

static void on_closed(struct fleet_ws *ws, const struct fleet_ws_end *end, void *arg)
{
	(void)ws;
	(void)end;
	leave(arg);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	leave(arg);
}

static void send_and_close(
	struct conversation *c, struct json_object *takes_message, int code, const char *why)
{
	_cleanup_json_ struct json_object *message = takes_message;
	size_t len;
	const char *text = fleet_json_text(message, &len);

	if (!c->ws)
		return;
	if (fleet_ws_send(c->ws, text, len) < 0)
		log_debug("%s left before it heard how joining went", c->agent_id);
	fleet_ws_close(c->ws, code, why);
}

static void refuse(struct conversation *c, const char *code, const char *why)
{
	struct json_object *message = fleet_message_new(FLEET_MESSAGE_ERROR);

	logins_agent_refused(c->joining->options.logins,
		&(struct login_refusal){"access", c->agent_id, c->address, "joining refused", why}, true,
		fleet_clock_monotonic_ms());
	fleet_json_add_string(message, "code", code);
	fleet_json_add_string(message, "message", why);
	send_and_close(c, message, CLOSE_POLICY, code);
}

/* --- may it? ----------------------------------------------------------------------------------------- */

/* The same machine with the same key and token: its answer was lost on the way. */
static bool is_retry(
	const struct member *m, const struct join_token *t, const char *instance_id, const unsigned char *key)
{
	bool known = false;

	if (!m || m->revoked_ms || !str_equal(m->token_id, t->id) || !str_equal(m->instance_id, instance_id))
		return false;
	for (size_t i = 0; i < m->credential_count; i++)
		known |= memcmp(m->credentials[i].key, key, FLEET_SHA256_LEN) == 0;
	return known;
}

/* The machine that has this agentId, as far as anything is known of it. */
static const char *holder_of(const struct joining *joining, const char *agent_id)
{
	const struct member *m = members_get(joining->options.members, agent_id);
	const struct agent *agent = registry_get(joining->options.registry, agent_id);

	if (m && m->instance_id)
		return m->instance_id;
	return agent ? fleet_json_string(agent->doc, "instanceId") : NULL;
}

static bool is_committing(const struct conversation *c)
{
	for (const struct conversation *other = c->joining->all; other; other = other->next) {
		if (other != c && other->next_state && strcmp(other->agent_id, c->agent_id) == 0)
			return true;
	}
	return false;
}

/* NULL, or the code with why not. */
static const char *judge(struct conversation *c, struct join_token *t, const char *instance_id,
	const unsigned char *key, char **ret_why)
{
	const struct member *m = members_get(c->joining->options.members, c->agent_id);
	const int64_t now_ms = fleet_clock_wall_ms();
	const char *fault = join_token_fault(t, now_ms), *holder = holder_of(c->joining, c->agent_id);
	const bool retry = is_retry(m, t, instance_id, key), allowed = m && m->rejoin_until_ms > now_ms;

	c->counts = !retry;
	c->renewed_machine = !retry;
	if (*fault && !(retry && strcmp(fault, "used up") == 0)) {
		*ret_why = xasprintf("the join token is %s", fault);
		return "token-refused";
	}
	if (is_committing(c)) {
		*ret_why = xasprintf("somebody else joins as %s at this moment", c->agent_id);
		return "busy";
	}
	if (m && m->revoked_ms && !allowed) {
		*ret_why = xasprintf("%s was revoked; an operator can let it in again: fleetctl agents "
				     "allow-rejoin %s --for 1h",
			c->agent_id, c->agent_id);
		return "revoked";
	}
	if (holder && strcmp(holder, instance_id) != 0 && !allowed) {
		*ret_why = xasprintf(
			"%s is taken by another machine; where this one is to replace it, an operator "
			"has to say so: fleetctl agents allow-rejoin %s --for 1h",
			c->agent_id, c->agent_id);
		return "agent-id-taken";
	}
	return NULL;
}

/* --- what it is given -------------------------------------------------------------------------------- */

static int make_credential(struct conversation *c, const char *request, const unsigned char *key,
	struct credential *ret, struct fleet_error *err)
{
	const struct joining *joining = c->joining;
	struct fleet_x509_facts facts;
	unsigned char random[KEY_BYTES];
	int r;

	if (joining_gives_certificates(joining)) {
		r = ca_issue(joining->options.ca, request, c->agent_id, joining_life_s(joining),
			&c->certificate, &facts, err);
		if (r >= 0)
			joining_credential_of(&facts, ret);
		return r;
	}
	fleet_random(random, sizeof(random));
	c->key = fleet_base64url_encode(random, sizeof(random));
	explicit_bzero(random, sizeof(random));
	*ret = (struct credential){.kind = CREDENTIAL_KEY, .issued_ms = fleet_clock_wall_ms()};
	fleet_sha256(c->key, strlen(c->key), ret->id);
	memcpy(ret->key, key, sizeof(ret->key));
	return 0;
}

static void on_kept(int result, const struct fleet_error *err, void *arg)
{
	struct conversation *c = arg;
	const struct joining_options *options = &c->joining->options;
	_cleanup_(member_freep) struct member *next = TAKE_PTR(c->next_state);
	const struct member *now = members_get(options->members, c->agent_id);
	struct join_token *t = id_table_get(&options->members->tokens, c->token_id);
	struct json_object *message;

	if (result < 0) {
		if (t && c->counts)
			t->uses--;
		log_error("%s could not join: %s", c->agent_id, err->message);
		refuse(c, "internal", "the console could not keep it: its log says why");
	} else if ((now ? now->version : 0) != c->version) {
		refuse(c, "revoked", "an operator has changed who may join while it joined");
	} else {
		log_info("%s has joined (from %s)", c->agent_id, c->address);
		if (c->renewed_machine)
			hub_cut(options->hub, c->agent_id, "the agent has joined anew");
		members_put(options->members, TAKE_PTR(next));
		message = fleet_message_new(FLEET_MESSAGE_JOINED);
		fleet_json_add_string(message, "certificate", c->certificate);
		fleet_json_add_string(message, "apiKey", c->key);
		fleet_json_add_string(message, "authorities", options->certificate->authorities);
		fleet_json_add_string(message, "serverTime", fleet_timestamp_now().text);
		send_and_close(c, message, CLOSE_DONE, "joined");
	}
	if (!c->ws)
		conversation_free(c);
}

static void keep(struct conversation *c, struct join_token *t, const char *instance_id, const char *hostname,
	const struct credential *credential)
{
	const struct joining_options *options = &c->joining->options;
	const struct member *m = members_get(options->members, c->agent_id);
	struct member *next = m ? member_copy(m) : member_new(c->agent_id);
	_cleanup_free_ char *host = xstrdup(hostname), *message = NULL;
	_cleanup_json_ struct json_object *details = json_object_new_object();
	struct audit_event event = {.category = "access",
		.agent_id = c->agent_id,
		.source_address = c->address,
		.details = details};

	fleet_text_sanitize(host);
	message = xasprintf("%s joined (%s, token %s of %s)", c->agent_id, host, t->id + FLEET_UUID_LEN - 6,
		t->created_by ? t->created_by : "?");
	event.message = message;
	fleet_json_add_string(details, "tokenId", t->id);
	fleet_json_add_string(details, "instanceId", instance_id);
	fleet_json_add_string(details, "credential", c->certificate ? "certificate" : "key");
	if (c->counts) {
		t->uses++;
		next->credential_count = 0; /* whoever had them before is another one now */
	}
	member_add_credential(next, credential);
	free(next->instance_id);
	free(next->token_id);
	next->instance_id = xstrdup(instance_id);
	next->token_id = xstrdup(t->id);
	next->joined_ms = fleet_clock_wall_ms();
	next->revoked_ms = next->rejoin_until_ms = 0;
	c->version = m ? m->version : 0;
	c->next_state = next;
	store_member_save(options->store, next, t, &event, on_kept, c);
}

static void handle_join(struct conversation *c, struct json_object *message)
{
	const char *request = fleet_json_string(message, "request");
	const char *instance_id = fleet_json_string(message, "instanceId");
	struct join_token *t = id_table_get(&c->joining->options.members->tokens, c->token_id);
	unsigned char key[FLEET_SHA256_LEN];
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *why = NULL;
	struct credential credential;
	const char *code;

	if (!str_equal(fleet_json_string(message, "agentId"), c->agent_id)) {
		refuse(c, "wrong-agent", "the message is another agent's than the connection");
		return;
	}
	if (!t || fleet_x509_request_key(request, key, &err) < 0) {
		refuse(c, t ? "invalid-request" : "token-refused",
			t ? err.message : "the join token is gone");
		return;
	}
	code = judge(c, t, instance_id, key, &why);
	if (code) {
		refuse(c, code, why);
		return;
	}
	if (make_credential(c, request, key, &credential, &err) < 0) {
		log_error("%s could not be given a certificate: %s", c->agent_id, err.message);
		refuse(c, "internal", "the console could not make a certificate: its log says why");
		return;
	}
	keep(c, t, instance_id, fleet_json_string(message, "hostname"), &credential);
}

static void on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg)
{
	struct conversation *c = arg;
	_cleanup_json_ struct json_object *message = NULL;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;

	(void)ws;
	if (c->next_state || c->certificate || c->key)
		return; /* one is enough */
	if (fleet_message_parse(text, len, FLEET_AGENT_TO_CONSOLE, &type, &message, &err) < 0)
		refuse(c, "invalid-message", err.message);
	else if (type != FLEET_MESSAGE_JOIN)
		refuse(c, "invalid-message", "the first message must be join");
	else
		handle_join(c, message);
}

/* --- the handshake ----------------------------------------------------------------------------------- */

static const struct fleet_ws_events events = {.message = on_message, .closed = on_closed};

/* A token can be guessed by nobody: a good one is heard also from where others have tried in vain. */
static void reject(struct joining *joining, struct fleet_http_request *req, const char *agent_id, int status,
	const char *why)
{
	const struct login_refusal refusal = {
		"access", agent_id, fleet_http_peer(req), "joining refused", why};
	const int64_t now_ms = fleet_clock_monotonic_ms(),
		      wait_ms = logins_agent_wait_ms(
			      joining->options.logins, refusal.address, agent_id, now_ms);

	if (wait_ms) {
		hub_reply_slowed(joining->options.logins, req, wait_ms);
		return;
	}
	logins_agent_failed(joining->options.logins, &refusal, now_ms);
	fleet_http_reply_problem(
		req, status, status == 401 ? "unauthenticated" : "forbidden", NULL, "%s", why);
}

/* The token that the request shows, if it could be of use; else NULL, and it was answered. */
static struct join_token *read_token(
	struct joining *joining, struct fleet_http_request *req, const char *agent_id)
{
	static const char bearer[] = "Bearer ";
	const char *header = fleet_http_header(req, "Authorization"), *fault;
	const struct member *m = members_get(joining->options.members, agent_id);
	struct join_token *t = NULL;
	_cleanup_free_ char *why = NULL;

	if (header && strncasecmp(header, bearer, strlen(bearer)) == 0)
		t = join_tokens_find(joining->options.members, header + strlen(bearer));
	if (!t) {
		reject(joining, req, agent_id, 401, "this console does not know the join token");
		return NULL;
	}
	fault = join_token_fault(t, fleet_clock_wall_ms());
	/* One that was used up by this very agent may have to say its answer once more. */
	if (*fault && !(strcmp(fault, "used up") == 0 && m && str_equal(m->token_id, t->id))) {
		why = xasprintf("the join token is %s", fault);
		reject(joining, req, agent_id, 401, why);
		return NULL;
	}
	if (!join_token_fits(t, agent_id)) {
		why = xasprintf("the join token is for other agents than '%s': for %s", agent_id, t->agents);
		reject(joining, req, agent_id, 403, why);
		return NULL;
	}
	return t;
}

static void start(struct joining *joining, struct fleet_http_request *req, const char *agent_id,
	const struct join_token *token)
{
	const struct timeval tv = {JOINING_MS / 1000, JOINING_MS % 1000 * 1000};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct conversation *c = xcalloc(1, sizeof(*c));

	c->joining = joining;
	c->agent_id = xstrdup(agent_id);
	memcpy(c->token_id, token->id, sizeof(c->token_id));
	(void)snprintf(c->address, sizeof(c->address), "%s", fleet_http_peer(req)); /* an IP address: fits */
	c->next = joining->all;
	c->prev = &joining->all;
	if (c->next)
		c->next->prev = &c->next;
	joining->all = c;
	joining->count++;
	if (fleet_ws_accept(req, FLEET_SUBPROTOCOL, &events, c, &c->ws, &err) < 0) {
		fleet_http_reply_problem(req, 503, "unavailable", NULL,
			"the connection cannot be made a WebSocket: %s", err.message);
		conversation_free(c);
		return;
	}
	c->timer = evtimer_new(joining->options.base, on_timeout, c);
	if (!c->timer || event_add(c->timer, &tv) < 0)
		abort(); /* out of memory: libevent has no other reason for a timer */
}

void joining_serve(struct joining *joining, struct fleet_http_request *req)
{
	const char *agent_id = fleet_http_query(req, "agentId");
	const struct join_token *token;

	if (!hub_check_agent(req, agent_id))
		return;
	token = read_token(joining, req, agent_id);
	if (!token || !hub_check_upgrade(req))
		return;
	if (joining->count >= FLEET_JOINING_MAX) {
		fleet_http_reply_problem(req, 503, "unavailable", NULL,
			"%d agents join at this moment: try again", FLEET_JOINING_MAX);
		return;
	}
	start(joining, req, agent_id, token);
}

struct joining *joining_new(const struct joining_options *options)
{
	struct joining *joining = xcalloc(1, sizeof(*joining));

	joining->options = *options;
	return joining;
}

void joining_free(struct joining *joining)
{
	if (!joining)
		return;
	for (struct conversation *c = joining->all, *next; c; c = next) {
		next = c->next;
		conversation_free(c);
	}
	free(joining);
}
