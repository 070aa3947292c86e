#include "agent/outbox.h"
#include "fleet/failpoint.h"
#include "fleet/log.h"

static void send_row(struct outbox *o, int64_t position, const char *text, int64_t *sent, int *out)
{
	if (o->stuck)
		return;
	if (o->send(text, strlen(text), o->arg) < 0) {
		o->stuck = true;
		return;
	}
	*sent = position;
	(*out)++;
}

static void send_event(int64_t position, const char *id FLEET_UNUSED, const char *text, void *arg)
{
	struct outbox *o = arg;

	send_row(o, position, text, &o->sent_event, &o->events_out);
}

static void send_result(int64_t position, const char *id FLEET_UNUSED, const char *text, void *arg)
{
	struct outbox *o = arg;

	send_row(o, position, text, &o->sent_result, &o->results_out);
}

/* Those before which everything is told that happened before them. */
static int send_results(struct outbox *o, struct fleet_error *err)
{
	int64_t acked = spool_acked_seq(o->spool), told = o->sent_event > acked ? o->sent_event : acked;

	if (o->stuck || o->results_out >= OUTBOX_WINDOW)
		return 0;
	return spool_each_result(
		o->spool, o->sent_result, told, OUTBOX_WINDOW - o->results_out, send_result, o, err);
}

void outbox_kick(struct outbox *o)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	if (!o->open)
		return;
	o->stuck = false;
	/* Results as early as their order allows: somebody waits for them. */
	r = send_results(o, &err);
	if (r >= 0 && !o->stuck && o->events_out < OUTBOX_WINDOW)
		r = spool_each_event(
			o->spool, o->sent_event, OUTBOX_WINDOW - o->events_out, send_event, o, &err);
	if (r >= 0)
		r = send_results(o, &err);
	if (r < 0)
		log_error("cannot read what waits for the console: %s", err.message);
}

void outbox_open(struct outbox *o)
{
	o->open = true;
	o->sent_event = o->sent_result = 0;
	o->events_out = o->results_out = 0;
	outbox_kick(o);
}

void outbox_close(struct outbox *o)
{
	o->open = false;
}

int outbox_ack(struct outbox *o, int64_t audit_seq, struct json_object *result_ids,
	const struct spool_head *head, struct fleet_error *err)
{
	int64_t acked_before = spool_acked_seq(o->spool), results_before = spool_results(o->spool);
	int64_t events, results;
	int r;

	FLEET_FAILPOINT("agent.ack");
	r = spool_ack(o->spool, audit_seq, result_ids, head, err);
	if (r < 0)
		return r;
	events = spool_acked_seq(o->spool) - acked_before;
	results = results_before - spool_results(o->spool);
	o->events_out = events < o->events_out ? o->events_out - (int)events : 0;
	o->results_out = results < o->results_out ? o->results_out - (int)results : 0;
	outbox_kick(o);
	return 0;
}
