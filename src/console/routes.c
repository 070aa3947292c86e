/* Every path the console answers, who may ask, and who answers. docs/rest.md tells of each. */
#include "console/api.h"

const struct fleet_http_route console_routes[] = {
	{"GET", "/api/agents", api_agents_list, ACCESS_VIEWER},
	{"GET", "/api/agents/:agentId", api_agents_get, ACCESS_VIEWER},
	{"POST", "/api/agents/:agentId/restart-app", api_restart_app, ACCESS_OPERATOR},
	{"POST", "/api/agents/:agentId/push-config", api_push_config, ACCESS_OPERATOR},
	{"POST", "/api/agents/:agentId/update-app", api_update_app, ACCESS_OPERATOR},
	{"POST", "/api/agents/:agentId/rollback-app", api_rollback_app, ACCESS_OPERATOR},
	{"POST", "/api/agents/:agentId/ping", api_agents_ping, ACCESS_OPERATOR},
	{"GET", "/api/agents/:agentId/apps/:appId/logs", api_app_logs, ACCESS_VIEWER},
	{"GET", "/api/agents/:agentId/apps/:appId/config", api_app_config, ACCESS_VIEWER},
	{"GET", "/api/agents/:agentId/apps/:appId/config/history", api_config_history, ACCESS_VIEWER},
	{"GET", "/api/agents/:agentId/apps/:appId/config/snapshots", api_config_snapshots, ACCESS_VIEWER},
	{"GET", "/api/apps", api_apps_list, ACCESS_VIEWER},
	{"GET", "/api/commands", api_commands_list, ACCESS_VIEWER},
	{"GET", "/api/commands/:commandId", api_commands_get, ACCESS_VIEWER},
	{"DELETE", "/api/commands/:commandId", api_commands_delete, ACCESS_OPERATOR},
	{"GET", "/api/artifacts", api_artifacts_list, ACCESS_VIEWER},
	{"POST", "/api/artifacts", api_artifacts_add, ACCESS_OPERATOR},
	{"GET", "/api/artifacts/:artifactId", api_artifacts_get, ACCESS_VIEWER},
	{"DELETE", "/api/artifacts/:artifactId", api_artifacts_delete, ACCESS_OPERATOR},
	{"GET", "/api/artifacts/:artifactId/file", api_artifacts_file, ACCESS_RELEASE},
	{"PUT", "/api/artifacts/:artifactId/file", api_artifacts_put, ACCESS_OPERATOR},
	{"GET", "/api/audit", api_audit_list, ACCESS_VIEWER},
	{"GET", "/api/audit/doubts", api_audit_doubts, ACCESS_VIEWER},
	{"POST", "/api/audit/accept-gap", api_audit_accept_gap, ACCESS_ADMIN},
	{"GET", "/api/events", api_events, ACCESS_VIEWER},
	{"GET", "/api/hub", api_hub, ACCESS_HUB},
	{"GET", "/api/version", api_version, ACCESS_PROBE},
	{"GET", "/healthz", api_healthz, ACCESS_PROBE},
	{"GET", "/readyz", api_readyz, ACCESS_PROBE},
	{"GET", "/", api_static, ACCESS_NONE},
	{"GET", "/:file", api_static, ACCESS_NONE},
	{"GET", "/assets/*", api_static, ACCESS_NONE},
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
