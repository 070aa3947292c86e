/* The agent's connection to the console's hub: connects, comes back by the contract's table (5.3) with DESIGN
 * 4's jitter, pings when nothing else is said, notices a console that no longer answers, and tells why it
 * failed once, not at every attempt. What the messages say is its owner's business. Event loop only. */
#ifndef AGENT_LINK_H
#define AGENT_LINK_H
#include <event2/event.h>
#include "fleet/json.h"

struct link;

struct link_options { /* copied */
	const char *console_url, *agent_id;
	const char *api_key; /* NULL: none is sent */
	const char *ca_file; /* for https://: trusted instead of the system's authorities; NULL: those */
	const char *cert_file, *key_file;   /* what is shown to it (PEM); NULL: nothing */
	const char *path;                   /* NULL: the hub's */
	const unsigned char *authority_key; /* see fleet/tls.h; NULL: ca_file, or the system's */
	const char
		*credential; /* what a person sets: for the sentence about a refusal; NULL: FLEET_API_KEY */
	const char *agent_version;
	/* 0: the defaults. Tests use shorter ones. */
	int64_t idle_ping_ms, dead_ms, connect_timeout_ms, steady_ms;
	int64_t (*wait_ms)(int64_t wait_ms); /* what becomes of each wait; NULL: it is waited for */
};
struct link_events {
	void (*opened)(void *arg);                                /* register now */
	void (*message)(const char *text, size_t len, void *arg); /* borrowed */
	/* An open connection ended (was_open), or an attempt failed. why: for a person; retry_ms: until the
	 * next attempt. */
	void (*lost)(bool was_open, const char *why, int64_t retry_ms, void *arg);
	void (*closed)(void *arg); /* after link_close: it is over */
};

/* events borrowed for the link's life. *ret owned. -ENOMEM. */
int link_new(struct event_base *base, const struct link_options *options, const struct link_events *events,
	void *arg, struct link **ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* Replaces what the options said of credentials and authorities (key, files and `credential`); while nothing
 * is connected. */
void link_identify(struct link *link, const struct link_options *options);
void link_start(struct link *link);
/* The console has taken our registration. A connection that then lasts starts the table of waits over when it
 * is lost; a console that takes registrations only to hang up is no reason to come back at once. */
void link_registered(struct link *link);
bool link_is_open(const struct link *link);
/* Sends a message, whose envelope is there; -ENOTCONN, -ENOBUFS. takes_message is freed in any case. */
int link_send(struct link *link, struct json_object *takes_message) FLEET_MUST_CHECK;
int link_send_text(struct link *link, const char *text, size_t len) FLEET_MUST_CHECK;
/* Gives an open connection up, for a reason that the owner has; `lost` comes as for any other, within this
 * call. */
void link_drop(struct link *link, const char *why);
/* The same, where the console has said no: the next attempt comes as late as after a refused credential. */
void link_refused(struct link *link, const char *why);
/* In `lost`: was the last failure such a no? */
bool link_was_refused(const struct link *link);
/* Says goodbye; `closed` comes when what was queued has left, at once where nothing is connected. No more
 * attempts. */
void link_close(struct link *link, const char *reason);
void link_free(struct link *link);

#endif
