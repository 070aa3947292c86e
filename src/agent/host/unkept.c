/* Results that the ledger could not take: told all the same, and written as soon as there is room. Until then
 * nothing of the command may be done again: it has ended, whatever the ledger says. Where the host dies
 * before, the next one looks at the command as at one that was cut off. On the host's event loop. */
#include "agent/host/operation.h"
#include "fleet/log.h"

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS   10000

struct unkept {
	struct unkept *next;
	struct host *host;
	struct json_object *result; /* owned */
	struct event *retry;
	int64_t wait_ms;
};

static const char *id_of(const struct unkept *u)
{
	return fleet_json_string(u->result, "commandId");
}

static void set_timer(struct unkept *u)
{
	const struct timeval wait = {.tv_sec = u->wait_ms / 1000, .tv_usec = u->wait_ms % 1000 * 1000};

	if (event_add(u->retry, &wait) < 0)
		abort(); /* out of memory */
}

static void free_one(struct unkept *u)
{
	for (struct unkept **at = &u->host->unkept; *at; at = &(*at)->next) {
		if (*at == u) {
			*at = u->next;
			break;
		}
	}
	event_free(u->retry);
	json_object_put(u->result);
	free(u);
}

static void on_retry(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct unkept *u = arg;
	struct host *h = u->host;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = outcomes_keep_end(h, id_of(u), u->result, &err);

	if (r < 0 && r != -EALREADY && r != -ENOENT) {
		u->wait_ms = u->wait_ms * 2 < RETRY_MAX_MS ? u->wait_ms * 2 : RETRY_MAX_MS;
		set_timer(u);
		return;
	}
	log_info("the result of command %s is kept now", id_of(u));
	free_one(u);
	outcomes_tell(h);
}

void unkept_add(struct host *h, struct json_object *result)
{
	struct unkept *u = xcalloc(1, sizeof(*u));

	u->host = h;
	u->result = json_object_get(result);
	u->wait_ms = RETRY_FIRST_MS;
	u->retry = evtimer_new(h->base, on_retry, u);
	if (!u->retry)
		abort(); /* out of memory */
	u->next = h->unkept;
	h->unkept = u;
	set_timer(u);
}

bool unkept_has(const struct host *h, const char *command_id)
{
	const struct unkept *u = h->unkept;

	while (u && strcmp(id_of(u), command_id) != 0)
		u = u->next;
	return u != NULL;
}

void unkept_free(struct host *h)
{
	for (struct unkept *u = h->unkept, *next; u; u = next) {
		next = u->next;
		free_one(u);
	}
}
