/* What the driver host, which has no network, has the agent fetch or ask (docs/protocol.md: fetch,
 * fetchCancel, probe): which downloads there are, their files below the data directory, and who may see them.
 * The bytes come through the fetching process (fetcher). A download goes on without the host and without the
 * console; its file stays until the command's result passes by, so that a host that died may ask again. Event
 * loop only. */
#ifndef AGENT_FETCHES_H
#define AGENT_FETCHES_H
#include <event2/event.h>
#include "fleet/json.h"

struct fetches;
struct fetches_options { /* borrowed for the object's life */
	const char *data_dir;
	const char *program; /* of the fetching process; NULL: beside this program */
	int64_t idle_ms;     /* 0: the default */
	/* For what lies on the console itself, and nothing else: */
	const char *console_url, *api_key, *ca_file, *cert_file, *key_file;
};
struct fetches_ops {
	/* To the driver host: fetched or probed; fd -1, or borrowed. */
	int (*to_host)(struct json_object *takes_frame, int fd, void *arg);
	/* commandId, step, percent, message, for the console; borrowed. At most one a second for each
	 * command. */
	void (*progress)(struct json_object *message, void *arg);
};

/* Removes what an earlier run left. ops borrowed. Owned. */
struct fetches *fetches_new(struct event_base *base, const struct fetches_options *options,
	const struct fetches_ops *ops, void *arg);
void fetches_free(struct fetches *f);

/* The host's frames, checked. */
void fetches_fetch(struct fetches *f, struct json_object *message);
void fetches_cancel(struct fetches *f, struct json_object *message);
void fetches_probe(struct fetches *f, struct json_object *message);
/* The command's result passes by: its file goes. */
void fetches_ended(struct fetches *f, const char *command_id);
/* The host's list of commands that run: what is for others goes. */
void fetches_keep(struct fetches *f, struct json_object *command_ids);

#endif
