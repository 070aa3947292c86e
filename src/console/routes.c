/* Every path the console answers, who may ask, and who answers. docs/rest.md tells of each; access.h says
 * what the words of the last column mean. */
#include "console/api.h"

const struct fleet_http_route console_routes[] = {
	{"GET", "/api/agents", api_agents_list, ACCESS(VIEWER, NONE, LISTED)},
	{"GET", "/api/agents/:agentId", api_agents_get, ACCESS(VIEWER, NONE, AGENT)},
	{"DELETE", "/api/agents/:agentId", api_agents_remove, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"POST", "/api/agents/:agentId/revoke", api_agents_revoke, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"POST", "/api/agents/:agentId/allow-rejoin", api_agents_allow_rejoin,
		ACCESS(ADMIN, NONE, UNLIMITED)},
	{"POST", "/api/agents/:agentId/restart-app", api_restart_app, ACCESS(OPERATOR, RESTART, AGENT)},
	{"POST", "/api/agents/:agentId/push-config", api_push_config, ACCESS(OPERATOR, PUSH_CONFIG, AGENT)},
	{"POST", "/api/agents/:agentId/update-app", api_update_app, ACCESS(OPERATOR, UPDATE, AGENT)},
	{"POST", "/api/agents/:agentId/rollback-app", api_rollback_app, ACCESS(OPERATOR, UPDATE, AGENT)},
	{"POST", "/api/agents/:agentId/ping", api_agents_ping, ACCESS(OPERATOR, PING, AGENT)},
	{"GET", "/api/agents/:agentId/apps/:appId/logs", api_app_logs, ACCESS(VIEWER, READ_LOGS, AGENT)},
	{"GET", "/api/agents/:agentId/apps/:appId/config", api_app_config,
		ACCESS(VIEWER, READ_CONFIG, AGENT)},
	{"GET", "/api/agents/:agentId/apps/:appId/config/history", api_config_history,
		ACCESS(VIEWER, READ_CONFIG, AGENT)},
	{"GET", "/api/agents/:agentId/apps/:appId/config/snapshots", api_config_snapshots,
		ACCESS(VIEWER, READ_CONFIG, AGENT)},
	{"GET", "/api/apps", api_apps_list, ACCESS(VIEWER, NONE, LISTED)},
	{"GET", "/api/commands", api_commands_list, ACCESS(VIEWER, NONE, LISTED)},
	{"GET", "/api/commands/:commandId", api_commands_get, ACCESS(VIEWER, NONE, COMMAND)},
	{"DELETE", "/api/commands/:commandId", api_commands_delete, ACCESS(OPERATOR, CANCEL, COMMAND)},
	{"GET", "/api/artifacts", api_artifacts_list, ACCESS(VIEWER, NONE, NOTHING)},
	{"POST", "/api/artifacts", api_artifacts_add, ACCESS(OPERATOR, ARTIFACTS, FLEET)},
	{"GET", "/api/artifacts/:artifactId", api_artifacts_get, ACCESS(VIEWER, NONE, NOTHING)},
	{"DELETE", "/api/artifacts/:artifactId", api_artifacts_delete, ACCESS(OPERATOR, ARTIFACTS, FLEET)},
	{"GET", "/api/artifacts/:artifactId/file", api_artifacts_file, ACCESS(RELEASE, ARTIFACTS, FLEET)},
	{"PUT", "/api/artifacts/:artifactId/file", api_artifacts_put, ACCESS(OPERATOR, ARTIFACTS, FLEET)},
	{"GET", "/api/audit", api_audit_list, ACCESS(VIEWER, NONE, LISTED)},
	{"GET", "/api/audit/doubts", api_audit_doubts, ACCESS(VIEWER, NONE, FLEET)},
	{"POST", "/api/audit/accept-gap", api_audit_accept_gap, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"GET", "/api/keys", api_keys_list, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"POST", "/api/keys", api_keys_create, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"GET", "/api/keys/:key", api_keys_get, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"DELETE", "/api/keys/:key", api_keys_revoke, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"POST", "/api/keys/:key/rotate", api_keys_rotate, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"POST", "/api/session", api_session_log_in, ACCESS(NONE, NONE, NOTHING)},
	{"GET", "/api/session", api_session_get, ACCESS(VIEWER, NONE, NOTHING)},
	{"DELETE", "/api/session", api_session_log_out, ACCESS(VIEWER, NONE, NOTHING)},
	{"GET", "/api/events", api_events, ACCESS(VIEWER, NONE, LISTED)},
	{"GET", "/api/hub", api_hub, ACCESS(HUB, NONE, NOTHING)},
	{"GET", "/api/join", api_join, ACCESS(HUB, NONE, NOTHING)},
	{"GET", "/api/join-tokens", api_join_tokens_list, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"POST", "/api/join-tokens", api_join_tokens_create, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"DELETE", "/api/join-tokens/:tokenId", api_join_tokens_revoke, ACCESS(ADMIN, NONE, UNLIMITED)},
	{"GET", "/api/version", api_version, ACCESS(PROBE, NONE, NOTHING)},
	{"GET", "/healthz", api_healthz, ACCESS(PROBE, NONE, NOTHING)},
	{"GET", "/readyz", api_readyz, ACCESS(PROBE, NONE, NOTHING)},
	{"GET", "/", api_static, ACCESS(NONE, NONE, NOTHING)},
	{"GET", "/:file", api_static, ACCESS(NONE, NONE, NOTHING)},
	{"GET", "/assets/*", api_static, ACCESS(NONE, NONE, NOTHING)},
	{0},
};

#define HEADERS                                                                                              \
	"X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer", "X-Frame-Options: DENY",          \
		"Cross-Origin-Opener-Policy: same-origin", "Cross-Origin-Resource-Policy: same-origin",      \
		"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",                       \
		"Cache-Control: no-store"

const char *const console_headers[] = {HEADERS, NULL};
/* Whoever was here by TLS once does not come without it again. */
const char *const console_tls_headers[] = {HEADERS, "Strict-Transport-Security: max-age=31536000", NULL};
