/* A driver host to test: its own directory with apps.d, state and config files, a console's key, and the real
 * host in a child process at the other end of a socketpair. Everything waits with a deadline; what fails is
 * asserted. */
#ifndef HOST_FIXTURE_H
#define HOST_FIXTURE_H
#include "fleet/jws.h"
#include "fleet/message.h"

#define FIXTURE_WAIT_MS 20000
#define FIXTURE_AGENT   "agent-test"

struct fixture {
	char dir[64];
	const char *driver_dir; /* HOST_FAKE_DIR unless a test says else before fixture_start */
	/* where the operation, or with die_host also the host, is killed: once, while the file "once" exists.
	 * NULL: nowhere. A step of the operation, or one of safe_file's. */
	const char *die_at;
	unsigned die_after; /* so many times nothing happens there, in each operation */
	bool die_host;
	const char *cut_file;     /* at die_at it makes this file and stands still instead */
	const char *artifact;     /* path of what a `fetch` is answered with; NULL: "not found" */
	bool ignore_fetch;        /* or not at all */
	const char *trusted_keys; /* a directory */
	unsigned fetches;
	const char *probe; /* what a `probe` is answered with: "ok", "error", or else a detail of failure;
			      NULL: nothing */
	unsigned probes;
	struct fleet_jws_key *key;
	pid_t host;                  /* 0: none runs */
	int fd;                      /* the agent's end; -1: no host runs */
	struct json_object *results; /* commandId: result, as they came */
	struct json_object *events;  /* array, as they came */
};

void fixture_init(struct fixture *f);
void fixture_done(struct fixture *f);
/* Relative to the fixture's directory. text: %s free; written as is. */
void fixture_write(const struct fixture *f, const char *name, const char *text);
char *fixture_read(const struct fixture *f, const char *name); /* owned; NULL where there is none */
/* Declares one app "web" with the fake driver: config "web.conf" and the given extra YAML lines (each
 * indented by 4). */
void fixture_declare(const struct fixture *f, const char *extra);
void fixture_set_state(const struct fixture *f, const char *app, const char *word, int instance);

/* Starts the host, says hello and shows the console's key. */
void fixture_start(struct fixture *f);
/* Ends it: SIGTERM and a wait, or SIGKILL. */
void fixture_stop(struct fixture *f);
void fixture_kill(struct fixture *f);
/* A host that listens at DIR/sock for an agent of that uid; nothing is connected. */
void fixture_listen(struct fixture *f, uid_t agent);
/* Connects as that uid and asks for status. 1: it was answered; 0: the host hung up. */
int fixture_try_as(const struct fixture *f, uid_t uid);
/* What systemd runs at boot: the files are put in order, no host runs. */
void fixture_recover_files(const struct fixture *f);
/* Waits for a host that kills itself, or ends by itself. */
void fixture_wait_for_death(struct fixture *f);

/* A command's payload, fresh id, good for ten minutes; args taken (NULL: {}). */
struct json_object *fixture_command(const char *action, const char *app, struct json_object *takes_args);
/* {file: main, edits: [set key=value as a string]} */
struct json_object *fixture_set(const char *key, const char *value);
void fixture_send(struct fixture *f, struct json_object *takes_frame);
/* Signs and sends; the payload stays the caller's. */
void fixture_send_command(struct fixture *f, struct json_object *payload);
/* The next frame of this type; results and events that pass are kept. NULL after the deadline. Owned. */
struct json_object *fixture_wait(struct fixture *f, const char *type);
/* The result of a command, waited for. Borrowed from f. NULL after the deadline. */
struct json_object *fixture_result(struct fixture *f, const char *command_id);
/* Sends a command and waits for its result. */
struct json_object *fixture_run(struct fixture *f, const char *action, struct json_object *takes_args);
/* A `stored` frame for everything that came. */
void fixture_store_all(struct fixture *f);

#endif
