/* `register`: who this agent is and what it holds, the first message of every connection, and again whenever
 * what it says has changed. */
#include "agent/agent_private.h"
#include "fleet/clock.h"
#include "fleet/log.h"

#define REGISTER_PATIENCE_S 20
#define PROBLEMS_WHEN_LONG  20

/* Whichever of its members the host gave us; the frame was checked against the same tables. */
static void add_described(struct json_object *message, struct json_object *description)
{
	static const char *const members[] = {"drivers", "problems"};

	for (size_t i = 0; description && i < FLEET_ARRAY_LEN(members); i++) {
		struct json_object *value = fleet_json_array(description, members[i]);

		if (value)
			fleet_json_add(message, members[i], json_object_get(value));
	}
}

static void add_head(struct json_object *message, const struct spool *spool)
{
	struct spool_head head = spool_head(spool);
	struct json_object *o;

	if (head.seq < 1)
		return;
	o = json_object_new_object();
	fleet_json_add_int(o, "seq", head.seq);
	fleet_json_add_string(o, "hash", head.hash);
	fleet_json_add(message, "auditHead", o);
}

/* Without a machine-id the spool is what stays the same from start to start. */
const char *agent_instance(const struct agent *a)
{
	return a->identity.instance_id[0] ? a->identity.instance_id : spool_id(a->spool);
}

static struct json_object *registration(struct agent *a)
{
	struct json_object *message = fleet_message_new(FLEET_MESSAGE_REGISTER);
	const struct agent_identity *id = &a->identity;

	fleet_json_add_string(message, "agentId", a->config->agent_id);
	fleet_json_add_string(message, "instanceId", agent_instance(a));
	fleet_json_add_string(message, "spoolId", spool_id(a->spool));
	fleet_json_add_string(message, "bootId", id->boot_id);
	fleet_json_add_string(message, "hostname", id->hostname);
	fleet_json_add(message, "os", agent_identity_os(id));
	fleet_json_add_string(message, "agentVersion", PACKAGE_VERSION);
	fleet_json_add(message, "apps", heartbeat_apps(a->heartbeat));
	add_described(message, a->description);
	if (a->config->labels)
		fleet_json_add(message, "labels", json_object_get(a->config->labels));
	fleet_json_add(message, "running", spool_running(a->spool));
	add_head(message, a->spool);
	if (a->clock_known)
		fleet_json_add_int(message, "clockOffsetMs", a->clock_offset_ms);
	return message;
}

static bool is_too_long(struct json_object *message)
{
	size_t len;

	(void)fleet_json_text(message, &len);
	return len > FLEET_MESSAGE_MAX;
}

void agent_fit(struct json_object *message)
{
	static const char *const dispensable[] = {"message", "healthMessage", "files"};
	struct json_object *apps = fleet_json_array(message, "apps"),
			   *problems = fleet_json_array(message, "problems");

	if (!is_too_long(message))
		return;
	if (problems && json_object_array_length(problems) > PROBLEMS_WHEN_LONG) {
		struct json_object *some = json_object_new_array();

		for (size_t i = 0; i < PROBLEMS_WHEN_LONG; i++)
			json_object_array_add(some, json_object_get(json_object_array_get_idx(problems, i)));
		fleet_json_add(message, "problems", some);
	}
	for (size_t k = 0; k < FLEET_ARRAY_LEN(dispensable) && is_too_long(message); k++) {
		for (size_t i = 0; apps && i < json_object_array_length(apps); i++)
			json_object_object_del(json_object_array_get_idx(apps, i), dispensable[k]);
	}
}

void agent_register(struct agent *a)
{
	const struct timeval patience = {.tv_sec = REGISTER_PATIENCE_S};
	struct json_object *message;
	int r;

	if (!link_is_open(a->link))
		return;
	a->register_sent_ms = fleet_clock_monotonic_ms();
	message = registration(a);
	agent_fit(message);
	r = link_send(a->link, message);
	if (r < 0) {
		log_error("cannot send the registration: %s", strerror(-r));
		return;
	}
	a->register_sent = true;
	a->registers_out++;
	if (!a->registered && event_add(a->register_patience, &patience) < 0)
		log_error("cannot set a timer for the registration");
}
