/* Takes what waits in the spool to the console: in order, a window at a time, again after each reconnect
 * until it is acked. Knows nothing of connections but a function that sends. Event loop only; embedded in the
 * agent. */
#ifndef AGENT_OUTBOX_H
#define AGENT_OUTBOX_H
#include "agent/spool.h"

#define OUTBOX_WINDOW 64 /* events, and results, sent and not yet acked */

struct outbox {
	struct spool *spool; /* borrowed */
	/* Negative where it cannot be sent now. */
	int (*send)(const char *text, size_t len, void *arg);
	void *arg;
	bool open;
	int64_t sent_event, sent_result; /* positions in the spool, of this connection */
	int events_out, results_out;
	bool stuck; /* the connection took no more: go on at the next ack */
};

/* Registered: begins anew with everything that is not acked. */
void outbox_open(struct outbox *o);
void outbox_close(struct outbox *o);
/* Something new lies in the spool. */
void outbox_kick(struct outbox *o);
/* The console committed these (see spool_ack): rows leave, the next ones go. */
int outbox_ack(struct outbox *o, int64_t audit_seq, struct json_object *result_ids,
	const struct spool_head *head, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
