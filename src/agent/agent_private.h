/* The agent from the inside: shared by agent.c (life), register.c, hub_messages.c and host_messages.c, and by
 * nobody else. */
#ifndef AGENT_AGENT_PRIVATE_H
#define AGENT_AGENT_PRIVATE_H
#include "agent/agent.h"
#include "agent/credentials.h"
#include "agent/fetches.h"
#include "agent/heartbeat.h"
#include "agent/hostlink.h"
#include "agent/identity.h"
#include "agent/join.h"
#include "agent/link.h"
#include "agent/outbox.h"
#include "agent/pending.h"
#include "agent/renewal.h"
#include "agent/spool.h"
#include "fleet/message.h"

/* Whether the other end is there: since when it is, or is not, and then why. */
struct agent_reach {
	int64_t since_ms; /* wall clock */
	int64_t retry_ms; /* likewise: the next attempt; 0 none is due */
	char why[256];
};

struct agent {
	struct event_base *base;
	const struct agent_config *config;
	struct agent_identity identity;
	struct spool *spool;
	struct outbox outbox;
	struct pending pending;
	struct heartbeat *heartbeat;
	struct hostlink *host;
	struct fetches_options fetch_options;
	struct fetches *fetches;
	struct link *link;
	struct agent_credentials credentials;
	struct join *join; /* while it joins, before the link starts */
	struct renewal *renewal;
	struct agent_reach hub_reach, host_reach;
	struct event *host_patience; /* how long the first connection waits for the host's description */
	struct event *register_patience;
	struct event *owed; /* when the host is asked again for what found no room */

	struct json_object *description; /* owned: the host's newest; NULL before the first */
	bool described;                  /* on this connection to the host */
	bool host_was_lost;
	struct json_object
		*console_keys; /* owned: the members of `keys`, as `registered` said; NULL before */

	bool link_started, register_sent, registered, greeted;
	bool spool_renewed;       /* since this connection began */
	int registers_out;        /* whose answer is to come */
	int registers_stale;      /* of these, those that named a spool of before */
	int64_t register_sent_ms; /* monotonic */
	bool clock_known;
	int64_t clock_offset_ms;
	int64_t lost_events; /* of our own, for want of room; told when there is some */
	/* Results or events of the host that found no room: it is asked for them again, and whatever it says
	 * until then is among them, so that all come in their order. */
	bool host_owes;
	struct fleet_uuid owed_hello; /* with which it was asked; "" not yet. What comes before its answer was
					 said before */
	struct json_object *acks;     /* owned: of the console's, what is not applied yet; NULL nothing */
	struct event *acks_retry;
	bool acks_failing;  /* told once */
	bool spool_failing; /* told once */
	bool stopping;
};

/* register.c */
void agent_register(struct agent *a);
/* Which machine this is; borrowed. */
const char *agent_instance(const struct agent *a);
/* Cuts a registration or heartbeat that is longer than a message may be: each of its sources is bounded,
 * their sum is not. Details go, ids and states stay. Changes the apps in it. */
void agent_fit(struct json_object *message);
/* hub_messages.c */
void agent_hub_message(struct agent *a, const char *text, size_t len);
void agent_hub_error(struct agent *a, const char *code, const char *ref_id, const char *command_id,
	const char *path, const char *message);
/* host_messages.c */
void agent_pass_keys(struct agent *a);
void agent_host_frame(struct agent *a, enum fleet_message_type type, struct json_object *message);
/* Progress of a command, to the console where it is there. */
void agent_tell_progress(struct agent *a, struct json_object *message);
/* report.c */
void agent_reached(struct agent_reach *reach);
void agent_missed(struct agent_reach *reach, bool was_there, const char *why, int64_t retry_in_ms);
/* agent.c */
void agent_start_link(struct agent *a);
/* joining.c: takes what agent.env says, or what joining has left, for the connection; joins first where a
 * token says so and it has not been used. */
void agent_use_credentials(struct agent *a);
bool agent_has_to_join(struct agent *a);
void agent_start_joining(struct agent *a);
struct renewal *agent_renewal_new(struct agent *a);
/* events.c: an audit event of the agent's own. details: taken, may be NULL. */
void agent_audit(struct agent *a, struct json_object *takes_details, const char *fmt, ...) FLEET_PRINTF(3, 4);
/* Keeps the host's event, or result, and tells it so; where there is no room the host keeps it. */
void agent_keep_event(struct agent *a, struct json_object *frame);
void agent_keep_result(struct agent *a, struct json_object *frame);
/* acks.c: an `ack`, or a `registered` as one; borrowed. Forgotten where what it was about is sent again. */
void agent_acks_take(struct agent *a, struct json_object *ack);
void agent_acks_retry(evutil_socket_t fd, short what, void *agent);
void agent_acks_forget(struct agent *a);
/* There may be room again. */
void agent_spool_drained(struct agent *a);
void agent_ask_for_owed(evutil_socket_t fd, short what, void *agent);
/* The host answers that hello, and what it says from here on is all that it has to tell, in its order. */
void agent_hear_owed(struct agent *a, const char *hello_id);

#endif
