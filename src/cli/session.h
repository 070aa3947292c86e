/* The console as configured: one HTTP client, and the contract's sentences for everything that can go wrong
 * with a request. What fails here has been told on stderr; the caller only passes the exit code on. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H
#include "cli/config.h"
#include "cli/exit.h"
#include "fleet/buffer.h"
#include "fleet/http_client.h"

struct session {
	struct config config;
	struct fleet_http_client *http;
};
/* Loads the configuration and makes the client; connects to nothing. CLI_OK or CLI_FAILED. */
int session_open(struct session *s) FLEET_MUST_CHECK;
/* With a configuration that is not saved yet (login); takes it. */
int session_open_config(
	struct session *s, struct config *takes_config, struct fleet_error *err) FLEET_MUST_CHECK;
void session_done(struct session *s);
#define _cleanup_session_ _cleanup_(session_done)

/* What a request is about, for the sentence when it is not there. All borrowed, all may be NULL. */
struct session_about {
	const char *agent_id, *app_id, *command_id, *artifact_id, *key;
};
/* CLI_OK and the body of a 2xx answer (NULL where it was null or empty), else CLI_FAILED. path is relative to
 * the base URL, or a whole URL that the console gave for the next page. *ret owned; ret_next (owned) may be
 * NULL. */
int session_call(struct session *s, const char *method, const char *path, struct json_object *body,
	const struct session_about *about, struct json_object **ret, char **ret_next) FLEET_MUST_CHECK;
/* A list over all its pages, at most max elements (0: all); keep (NULL: all) says which count. *ret owned. */
int session_list(struct session *s, const char *path, const struct session_about *about, size_t max,
	bool (*keep)(struct json_object *element), struct json_object **ret) FLEET_MUST_CHECK;

/* Where a list has nothing: CLI_FAILED (told) where that is because there is no such agent (NULL: it was not
 * asked about one). What an agent did that was removed is still listed. */
int session_explain_empty(
	struct session *s, const struct json_object *list, const char *agent_id) FLEET_MUST_CHECK;

/* "/api/agents/ID<suffix>", "/api/commands/ID": owned. CLI_FAILED (told) for an id that can be none: it never
 * reaches a URL. */
int session_agent_path(const char *agent_id, const char *suffix, char **ret_path) FLEET_MUST_CHECK;
/* The same of an app: /api/agents/A/apps/B/REST. */
int session_app_path(const struct session_about *about, const char *rest, char **ret_path) FLEET_MUST_CHECK;
int session_command_path(const char *command_id, char **ret_path) FLEET_MUST_CHECK;
/* Adds "&name=value", encoded; nothing where value is NULL. */
void session_query_add(struct fleet_buffer *path, const char *name, const char *value);

/* "Cannot reach URL: ..." and what to do. */
void session_tell_unreachable(const struct session *s, const struct fleet_error *err);
/* Tells the answer's failure; 2xx only by mistake. */
void session_tell_refused(
	struct session *s, const struct fleet_http_response *answer, const struct session_about *about);

#endif
