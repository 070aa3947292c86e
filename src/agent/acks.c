/* What the console has, taken out of the spool; again a little later where the spool cannot be written, for
 * nobody says it twice on one connection. Event loop only. */
#include "agent/agent_private.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define RETRY_MS 2000

static const struct spool_head *read_head(struct json_object *ack, struct spool_head *head)
{
	struct json_object *o = fleet_json_object(ack, "head");

	if (!o)
		return NULL;
	head->seq = fleet_json_int(o, "seq", 0);
	(void)snprintf(head->hash, sizeof(head->hash), "%s", fleet_json_string(o, "hash"));
	return head;
}

/* The newest word counts, but for the results: each is named once. */
static void add(struct agent *a, struct json_object *ack)
{
	struct json_object *ids = json_object_new_array(), *head = fleet_json_object(ack, "head");
	struct json_object *lists[] = {
		fleet_json_array(a->acks, "resultIds"), fleet_json_array(ack, "resultIds")};
	int64_t before = fleet_json_int(a->acks, "auditSeq", 0), now = fleet_json_int(ack, "auditSeq", 0);
	struct json_object *sum = json_object_new_object();

	for (size_t l = 0; l < FLEET_ARRAY_LEN(lists); l++) {
		for (size_t i = 0; lists[l] && i < json_object_array_length(lists[l]) &&
				   json_object_array_length(ids) < FLEET_SPOOL_ROWS_MAX;
			i++)
			json_object_array_add(ids, json_object_get(json_object_array_get_idx(lists[l], i)));
	}
	if (!head)
		head = fleet_json_object(a->acks, "head");
	fleet_json_add_int(sum, "auditSeq", now > before ? now : before);
	fleet_json_add(sum, "resultIds", ids);
	fleet_json_add(sum, "head", json_object_get(head));
	json_object_put(a->acks);
	a->acks = sum;
}

static void apply(struct agent *a)
{
	const struct timeval wait = {.tv_sec = RETRY_MS / 1000, .tv_usec = RETRY_MS % 1000 * 1000};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct spool_head head;
	int r = outbox_ack(&a->outbox, fleet_json_int(a->acks, "auditSeq", 0),
		fleet_json_array(a->acks, "resultIds"), read_head(a->acks, &head), &err);

	if (r < 0 && r != -EINVAL) {
		if (!a->acks_failing)
			log_error("what the console has cannot be taken out of the spool: %s", err.message);
		a->acks_failing = true;
		if (event_add(a->acks_retry, &wait) < 0)
			log_error("cannot set a timer: it is taken out at the next acknowledgement");
		return;
	}
	if (r < 0) /* it is no word about this spool */
		log_error("an acknowledgement was not applied: %s", err.message);
	agent_acks_forget(a);
	if (r >= 0)
		agent_spool_drained(a);
}

void agent_acks_take(struct agent *a, struct json_object *ack)
{
	add(a, ack);
	apply(a);
}

void agent_acks_retry(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *agent)
{
	struct agent *a = agent;

	if (a->acks)
		apply(a);
}

void agent_acks_forget(struct agent *a)
{
	a->acks_failing = false;
	json_object_put(a->acks);
	a->acks = NULL;
	if (a->acks_retry)
		(void)event_del(a->acks_retry); /* fails for one that is no event only */
}
