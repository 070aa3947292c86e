/* The REST API: one handler a route, each answering its request now or when the store has spoken.
 * docs/rest.md is the text of the table in routes.c. arg is the struct console. Event loop only. */
#ifndef CONSOLE_API_H
#define CONSOLE_API_H
#include "console/console.h"

extern const struct fleet_http_route console_routes[];
extern const char *const console_headers[], *const console_tls_headers[]; /* on every answer */

fleet_http_handler api_agents_list, api_agents_get, api_agents_ping, api_apps_list;
fleet_http_handler api_restart_app, api_push_config, api_update_app, api_rollback_app;
fleet_http_handler api_app_logs, api_app_config, api_config_history, api_config_snapshots;
fleet_http_handler api_commands_list, api_commands_get, api_commands_delete;
fleet_http_handler api_artifacts_list, api_artifacts_get, api_artifacts_add, api_artifacts_put,
	api_artifacts_delete;
fleet_http_handler api_artifacts_file;
/* Ends downloads of those who may not have them any more, and of an agent that is gone (NULL: none): when
 * somebody was revoked, and once a second. */
void api_artifacts_file_check(struct console *console, const char *gone_agent);
fleet_http_handler api_audit_list, api_audit_doubts, api_audit_accept_gap;
fleet_http_handler api_keys_list, api_keys_create, api_keys_get, api_keys_revoke, api_keys_rotate;
fleet_http_handler api_session_log_in, api_session_get, api_session_log_out;
fleet_http_handler api_agents_revoke, api_agents_remove, api_agents_allow_rejoin, api_join;
fleet_http_handler api_join_tokens_list, api_join_tokens_create, api_join_tokens_revoke;
fleet_http_handler api_events, api_hub, api_healthz, api_readyz, api_version, api_static;

/* --- shared by the handlers (api.c) -------------------------------------------------------------------- */

struct api_page {
	int limit;
	const char *cursor; /* borrowed from the request; NULL: from the start */
};
/* ?limit= and ?cursor=; false: 400 was answered. */
bool api_read_page(struct fleet_http_request *req, int default_limit, struct api_page *ret);
/* Answers with the array, and with a Link to the next page where next is not NULL. params: names of the
 * query's other parameters, NULL-terminated. */
void api_reply_page(struct fleet_http_request *req, struct json_object *takes_array, const char *next,
	const char *const *params);
/* 400 about one field or parameter; always returns false. */
bool api_refuse(struct fleet_http_request *req, const char *field, const char *fmt, ...) FLEET_PRINTF(3, 4);
/* An id in a query: NULL absent. false: 400 was answered. */
bool api_read_id(struct fleet_http_request *req, const char *name, const char **ret);
/* Of a body (api_checks.c): an http or https URL without blanks; 64 hex digits; a text without control
 * characters. NULL passes. false: 400 was answered. */
bool api_check_url(struct fleet_http_request *req, const char *field, const char *url);
bool api_check_sha256(struct fleet_http_request *req, const char *field, const char *sha256);
bool api_check_plain(struct fleet_http_request *req, const char *field, const char *text);
/* The agent of ":agentId", or NULL after 404 with a suggestion. */
struct agent *api_find_agent(struct console *console, struct fleet_http_request *req);
/* true, or 404 with a suggestion was answered. */
bool api_check_app(struct fleet_http_request *req, const struct agent *agent, const char *app_id);
/* Answers for a store that failed: 503, logged. */
void api_reply_store_failed(struct fleet_http_request *req, int result, const struct fleet_error *err);

#endif
