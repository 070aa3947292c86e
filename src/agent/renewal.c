#include "agent/renewal.h"
#include "agent/credentials.h"
#include "fleet/clock.h"
#include "fleet/log.h"
#include "fleet/message.h"

#define LOOK_MAX_MS INT64_C(3600000) /* clocks are set, and machines sleep: look now and then */
#define TRIES       30               /* in the last third of its life */

struct renewal {
	const struct agent_config *config;
	const struct renewal_ops *ops;
	void *arg;
	struct event *timer;
	char *key_pem; /* owned; what was asked with, NULL: nothing is asked */
};

static void look_again(struct renewal *r, int64_t ms)
{
	const int64_t wait_ms = ms < 500 ? 500 : ms > LOOK_MAX_MS ? LOOK_MAX_MS : ms;
	const struct timeval tv = {(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};

	if (event_add(r->timer, &tv) < 0)
		log_error("cannot set a timer: the certificate will not be renewed");
}

static void ask(struct renewal *r)
{
	struct json_object *message;
	_cleanup_free_ char *request = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	fleet_x509_forget(&r->key_pem);
	if (fleet_x509_key_new(&r->key_pem, &err) < 0 ||
		fleet_x509_request_new(r->key_pem, r->config->agent_id, &request, &err) < 0) {
		log_error("the certificate cannot be renewed: %s", err.message);
		return;
	}
	message = fleet_message_new(FLEET_MESSAGE_RENEW);
	fleet_json_add_string(message, "request", request);
	if (r->ops->send(message, r->arg) < 0)
		log_debug("nobody is there to renew the certificate; it is asked for again");
}

static void look(struct renewal *r)
{
	const int64_t now_ms = fleet_clock_wall_ms() + r->ops->clock_offset_ms(r->arg);
	struct fleet_x509_facts facts;
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t due_ms;

	if (agent_credentials_facts(r->config, &facts, &err) < 0) {
		log_error("the agent's certificate cannot be read: %s", err.message);
		look_again(r, LOOK_MAX_MS);
		return;
	}
	due_ms = fleet_x509_renew_s(&facts) * 1000;
	if (now_ms < due_ms) {
		look_again(r, due_ms - now_ms);
		return;
	}
	ask(r);
	look_again(r, (facts.ends_s * 1000 - due_ms) / TRIES);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

struct renewal *renewal_new(
	struct event_base *base, const struct agent_config *config, const struct renewal_ops *ops, void *arg)
{
	struct renewal *r = xcalloc(1, sizeof(*r));

	*r = (struct renewal){.config = config, .ops = ops, .arg = arg};
	r->timer = evtimer_new(base, on_timer, r);
	if (!r->timer)
		abort(); /* out of memory: libevent has no other reason for a timer */
	return r;
}

void renewal_start(struct renewal *renewal)
{
	look(renewal);
}

void renewal_stop(struct renewal *renewal)
{
	(void)event_del(renewal->timer); /* cannot fail */
	fleet_x509_forget(&renewal->key_pem);
}

void renewal_take(struct renewal *renewal, struct json_object *message)
{
	struct fleet_x509_facts facts;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (!renewal->key_pem)
		return; /* nobody asked */
	if (agent_credentials_keep(renewal->config, renewal->key_pem, message, &err) < 0 ||
		agent_credentials_facts(renewal->config, &facts, &err) < 0) {
		log_error("the renewed certificate is not used: %s", err.message);
		return;
	}
	fleet_x509_forget(&renewal->key_pem);
	log_info("The agent's certificate was renewed; it is valid until %s",
		fleet_timestamp_format(facts.ends_s * 1000).text);
	look(renewal);
}

void renewal_free(struct renewal *renewal)
{
	if (!renewal)
		return;
	event_free(renewal->timer);
	fleet_x509_forget(&renewal->key_pem);
	free(renewal);
}
