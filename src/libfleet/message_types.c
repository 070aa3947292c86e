/* The tables of docs/protocol.md: what each message and frame has. Bounds on texts are wide: a result refused
 * for its length would be resent for ever. */
#include "fleet/key_change.h"
#include "fleet/limits.h"
#include "message_tables.h"

static const char *const statuses[] = {
	"running", "done", "stopped", "failed", "starting", "stopping", "unknown", NULL};
static const char *const healths[] = {"healthy", "unhealthy", "unknown", NULL};
static const char *const roles[] = {"format", "service", NULL};
static const char *const setting_types[] = {
	"string", "integer", "number", "boolean", "null", "array", "object", NULL};
static const char *const categories[] = {"agent", "restart", "config", "update", "system", NULL};

fields message_no_fields[] = {{0}};
static fields file_fields[] = {TEXT("name", REQ, WORD), TEXT("hash", OPT, FILEHASH), {0}};
static fields hold_fields[] = {
	TIME("until", REQ),
	TIME("since", OPT),
	TEXT("by", REQ, .min = 1, .max = FLEET_ACTOR_MAX),
	TEXT("reason", OPT, SENTENCE),
	{0},
};
static fields app_fields[] = {
	ID("id", REQ),
	ONE_OF("status", OPT, statuses),
	ONE_OF("health", OPT, healths),
	TEXT("healthMessage", OPT, SENTENCE),
	TIME("healthSince", OPT),
	TEXT("version", OPT, .max = FLEET_VERSION_LEN_MAX),
	INT("pid", OPT, NATURAL),
	TIME("since", OPT),
	INT("memoryBytes", OPT, NATURAL),
	INT("restarts", OPT, NATURAL),
	LIST("files", OPT, FLEET_APP_FILES_MAX, file_fields),
	TEXT("message", OPT, SENTENCE),
	OBJECT("hold", OPT, hold_fields),
	{0},
};
static fields os_fields[] = {
	TEXT("id", OPT, .max = 128),
	TEXT("version", OPT, .max = 128),
	TEXT("name", OPT, .max = 256),
	TEXT("kernel", OPT, .max = 256),
	TEXT("arch", OPT, .max = 128),
	{0},
};
static fields driver_fields[] = {
	TEXT("name", REQ, .min = 1, .max = 255), /* of a file that may be no driver at all */
	TEXT("version", OPT, .max = FLEET_VERSION_LEN_MAX),
	{"roles", FLEET_JSON_ARRAY, OPT, .max = 8, .element = FLEET_JSON_STRING, .one_of = roles},
	TEXT("error", OPT, SENTENCE),
	{0},
};
static fields problem_fields[] = {
	TEXT("file", OPT, .max = FLEET_PATH_LEN_MAX),
	INT("line", OPT, NATURAL),
	INT("column", OPT, NATURAL),
	TEXT("message", REQ, SENTENCE),
	{0},
};
static fields head_fields[] = {INT("seq", REQ, NATURAL), TEXT("hash", REQ, HEXHASH), {0}};
static fields register_fields[] = {
	ID("agentId", REQ),
	TEXT("instanceId", REQ, WORD),
	UUID("spoolId", REQ),
	TEXT("bootId", OPT, WORD),
	TEXT("hostname", REQ, .min = 1, .max = FLEET_HOSTNAME_LEN_MAX),
	OBJECT("os", OPT, os_fields),
	TEXT("agentVersion", REQ, .min = 1, .max = FLEET_VERSION_LEN_MAX),
	LIST("apps", REQ, FLEET_APPS_PER_AGENT_MAX, app_fields),
	LIST("drivers", OPT, FLEET_DRIVERS_MAX, driver_fields),
	LIST("problems", OPT, 1000, problem_fields),
	{"labels", FLEET_JSON_OBJECT, OPT, .max = FLEET_LABELS_MAX, .element = FLEET_JSON_STRING},
	VALUES("running", OPT, FLEET_COMMANDS_OPEN_PER_AGENT_MAX, FLEET_JSON_UUID),
	OBJECT("auditHead", OPT, head_fields),
	INT("clockOffsetMs", OPT, .min = 0),
	{0},
};
static fields disk_fields[] = {
	TEXT("mount", REQ, .min = 1, .max = FLEET_PATH_LEN_MAX),
	INT("usedBytes", OPT, NATURAL),
	INT("totalBytes", OPT, NATURAL),
	{0},
};
static fields metrics_fields[] = {
	NUM("cpuPercent"),
	INT("memoryUsedBytes", OPT, NATURAL),
	INT("memoryTotalBytes", OPT, NATURAL),
	INT("swapUsedBytes", OPT, NATURAL),
	NUM("load1"),
	NUM("load5"),
	NUM("load15"),
	INT("uptimeSeconds", OPT, NATURAL),
	LIST("disks", OPT, FLEET_DISKS_MAX, disk_fields),
	INT("networkRxBytes", OPT, NATURAL),
	INT("networkTxBytes", OPT, NATURAL),
	INT("agentMemoryBytes", OPT, NATURAL),
	{0},
};
static fields heartbeat_fields[] = {
	INT("seq", REQ, NATURAL),
	UUID("refId", OPT),
	OBJECT("metrics", OPT, metrics_fields),
	LIST("apps", OPT, FLEET_APPS_PER_AGENT_MAX, app_fields),
	{0},
};
static fields audit_event_fields[] = {
	UUID("eventId", REQ),
	UUID("spoolId", REQ),
	INT("seq", REQ, .min = 1, .max = INT64_MAX),
	ONE_OF("category", REQ, categories),
	ID("appId", OPT),
	UUID("commandId", OPT),
	TEXT("message", REQ, SENTENCE),
	OBJECT("details", OPT, message_no_fields),
	{0},
};
static fields command_id_fields[] = {UUID("commandId", REQ), {0}};
static fields progress_fields[] = {
	UUID("commandId", REQ),
	TEXT("step", REQ, WORD),
	INT("percent", OPT, .min = 0, .max = 100),
	TEXT("message", OPT, SENTENCE),
	{0},
};
static fields step_fields[] = {
	TEXT("step", REQ, WORD),
	TIME("startedAt", OPT),
	TIME("finishedAt", OPT),
	BOOL("ok", OPT),
	TEXT("message", OPT, SENTENCE),
	{0},
};
static fields change_fields[] = {
	TEXT("key", REQ, .min = 1, .max = FLEET_KEY_PATH_MAX),
	TEXT("before", OPT, .max = 256),
	TEXT("after", OPT, .max = 256),
	BOOL("masked", OPT),
	{0},
};
static fields result_fields[] = {
	UUID("commandId", REQ),
	ONE_OF("command", REQ, message_actions),
	ID("appId", REQ),
	BOOL("success", REQ),
	TEXT("message", OPT, SENTENCE),
	TEXT("errorCode", OPT, WORD), /* not one of a list: a newer server's result must still find its end */
	TIME("startedAt", OPT),
	TIME("finishedAt", OPT),
	LIST("steps", OPT, 1000, step_fields),
	VALUES("changedKeys", OPT, FLEET_SETTINGS_PER_PUSH_MAX, FLEET_JSON_STRING),
	LIST("changes", OPT, FLEET_SETTINGS_PER_PUSH_MAX, change_fields),
	TEXT("file", OPT, .max = FLEET_PATH_LEN_MAX),
	TEXT("hash", OPT, FILEHASH),
	ONE_OF("appStatus", OPT, statuses),
	BOOL("appHealthy", OPT),
	BOOL("verified", OPT),
	BOOL("rolledBack", OPT),
	INT("pid", OPT, NATURAL),
	INT("previousPid", OPT, NATURAL),
	INT("downMs", OPT, NATURAL),
	TEXT("fromVersion", OPT, .max = FLEET_VERSION_LEN_MAX),
	TEXT("toVersion", OPT, .max = FLEET_VERSION_LEN_MAX),
	VALUES("logLines", OPT, FLEET_DRIVER_LOG_LINES_MAX, FLEET_JSON_STRING),
	TEXT("unifiedDiff", OPT, .max = FLEET_DIFF_MAX),
	INT("unifiedDiffLeft", OPT, NATURAL),
	TEXT("unifiedDiffNote", OPT, SENTENCE),
	{0},
};
static fields log_line_fields[] = {
	TIME("time", OPT), INT("priority", OPT, .min = 0, .max = 7), TEXT("text", REQ, .min = 0), {0}};
static fields setting_fields[] = {
	TEXT("key", REQ, .max = FLEET_KEY_PATH_MAX),
	ONE_OF("type", REQ, setting_types),
	TEXT("value", OPT, .min = 0), /* bounded by the message */
	BOOL("masked", OPT),
	{0},
};
/* one table for the answer's way through the agent, which passes it on as it is */
static fields answer_fields[] = {
	UUID("refId", REQ),
	TEXT("errorCode", OPT, WORD),
	TEXT("message", OPT, SENTENCE),
	LIST("lines", OPT, FLEET_DRIVER_LOG_LINES_MAX, log_line_fields),
	LIST("settings", OPT, FLEET_SETTINGS_PER_FILE_MAX, setting_fields),
	INT("left", OPT, NATURAL),
	TEXT("file", OPT, WORD),
	TEXT("driver", OPT, .max = 255),
	TEXT("hash", OPT, FILEHASH),
	TIME("readAt", OPT),
	{0},
};
static fields join_fields[] = {
	ID("agentId", REQ),
	TEXT("instanceId", REQ, WORD),
	TEXT("hostname", REQ, .min = 1, .max = FLEET_HOSTNAME_LEN_MAX),
	TEXT("agentVersion", REQ, .min = 1, .max = FLEET_VERSION_LEN_MAX),
	TEXT("request", REQ, .min = 1, .max = FLEET_CERTIFICATE_PEM_MAX),
	{0},
};
static fields renew_fields[] = {TEXT("request", REQ, .min = 1, .max = FLEET_CERTIFICATE_PEM_MAX), {0}};
static fields joined_fields[] = {
	TEXT("certificate", OPT, .min = 1, .max = FLEET_CERTIFICATE_PEM_MAX),
	TEXT("apiKey", OPT, .min = 1, .max = 256),
	TEXT("authorities", OPT, .min = 1, .max = FLEET_AUTHORITIES_PEM_MAX),
	TIME("serverTime", REQ),
	{0},
};
static fields renewed_fields[] = {
	TEXT("certificate", REQ, .min = 1, .max = FLEET_CERTIFICATE_PEM_MAX),
	TEXT("authorities", OPT, .min = 1, .max = FLEET_AUTHORITIES_PEM_MAX),
	TIME("serverTime", REQ),
	{0},
};
static fields registered_fields[] = {
	INT("heartbeatIntervalMs", OPT, .min = 100, .max = 86400000),
	TIME("serverTime", REQ),
	INT("auditSeq", REQ, NATURAL),
	UUID("auditEventId", OPT),
	OBJECT("head", OPT, head_fields),
	VALUES("keys", OPT, 16, FLEET_JSON_OBJECT),
	VALUES("keyChanges", OPT, FLEET_KEY_CHANGES_MAX, FLEET_JSON_STRING),
	{0},
};
static fields ack_fields[] = {
	INT("auditSeq", OPT, NATURAL),
	VALUES("resultIds", OPT, 10000, FLEET_JSON_UUID),
	OBJECT("head", OPT, head_fields),
	{0},
};
static fields jws_fields[] = {TEXT("jws", REQ, .min = 1, .max = FLEET_COMMAND_JWS_MAX), {0}};
static fields error_fields[] = {
	TEXT("code", REQ, WORD),
	TEXT("message", REQ, SENTENCE),
	TEXT("path", OPT, .max = 1024),
	UUID("refId", OPT),
	UUID("commandId", OPT),
	{0},
};
static fields hello_fields[] = {TEXT("agentVersion", OPT, .max = FLEET_VERSION_LEN_MAX), {0}};
static fields keys_fields[] = {
	VALUES("keys", REQ, 16, FLEET_JSON_OBJECT),
	VALUES("keyChanges", OPT, FLEET_KEY_CHANGES_MAX, FLEET_JSON_STRING),
	{0},
};
static fields stored_fields[] = {VALUES("refIds", REQ, 10000, FLEET_JSON_UUID), {0}};
static fields described_file_fields[] = {TEXT("name", REQ, WORD), TEXT("driver", OPT, .max = 255), {0}};
static fields described_app_fields[] = {
	ID("id", REQ),
	TEXT("serviceDriver", OPT, .max = 255),
	LIST("files", OPT, FLEET_APP_FILES_MAX, described_file_fields),
	VALUES("allow", OPT, 64, FLEET_JSON_STRING),
	{0},
};
static fields description_fields[] = {
	UUID("refId", OPT),
	TEXT("hostVersion", OPT, .max = FLEET_VERSION_LEN_MAX),
	LIST("apps", REQ, FLEET_APPS_PER_AGENT_MAX, described_app_fields),
	LIST("drivers", OPT, FLEET_DRIVERS_MAX, driver_fields),
	LIST("problems", OPT, 1000, problem_fields),
	VALUES("running", OPT, FLEET_COMMANDS_OPEN_PER_AGENT_MAX, FLEET_JSON_UUID),
	VALUES("keyIds", OPT, 16, FLEET_JSON_STRING),
	{0},
};
static fields status_fields[] = {
	UUID("refId", REQ), LIST("apps", REQ, FLEET_APPS_PER_AGENT_MAX, app_fields), {0}};
static fields refused_fields[] = {
	UUID("refId", OPT),
	UUID("commandId", OPT),
	TEXT("code", REQ, WORD),
	TEXT("message", REQ, SENTENCE),
	{0},
};
static fields event_fields[] = {
	UUID("eventId", REQ),
	ONE_OF("category", REQ, categories),
	ID("appId", OPT),
	UUID("commandId", OPT),
	TEXT("message", REQ, SENTENCE),
	OBJECT("details", OPT, message_no_fields),
	{0},
};
static fields fetch_fields[] = {
	UUID("commandId", REQ),
	TEXT("url", REQ, .min = 1, .max = FLEET_URL_LEN_MAX),
	INT("maxBytes", REQ, .min = 1, .max = INT64_MAX),
	INT("timeoutSeconds", REQ, .min = 1, .max = FLEET_FETCH_S_MAX),
	{0},
};
static fields fetched_fields[] = {
	UUID("commandId", REQ),
	BOOL("ok", REQ),
	INT("bytes", OPT, NATURAL),
	TEXT("error", OPT, SENTENCE),
	{0},
};
static fields probe_fields[] = {
	UUID("probeId", REQ),
	TEXT("url", OPT, .min = 1, .max = FLEET_URL_LEN_MAX),
	TEXT("tcp", OPT, .min = 1, .max = FLEET_HOSTNAME_LEN_MAX + 8), /* [host]:port */
	INT("timeoutSeconds", REQ, .min = 1, .max = FLEET_PROBE_S_MAX),
	{0},
};
static fields probed_fields[] = {
	UUID("probeId", REQ),
	BOOL("ok", REQ),
	TEXT("detail", OPT, SENTENCE),
	TEXT("error", OPT, SENTENCE),
	{0},
};
static fields app_id_fields[] = {ID("appId", REQ), {0}};
static fields local_hold_fields[] = {
	ID("appId", REQ),
	INT("seconds", REQ, .min = 1, .max = FLEET_HOLD_S_MAX),
	TEXT("reason", REQ, .min = 1, .max = FLEET_HOLD_REASON_MAX),
	{0},
};
static fields local_done_fields[] = {UUID("refId", REQ), TEXT("message", REQ, SENTENCE), {0}};
static fields inspected_command_fields[] = {
	UUID("commandId", REQ),
	ONE_OF("action", OPT, message_actions),
	ID("appId", OPT),
	TEXT("actor", OPT, .max = FLEET_ACTOR_MAX),
	TIME("issuedAt", OPT),
	BOOL("begun", REQ),
	TEXT("step", OPT, WORD),
	{0},
};
static fields inspected_hold_fields[] = {
	ID("appId", REQ),
	TIME("until", REQ),
	TIME("since", OPT),
	TEXT("by", REQ, .min = 1, .max = FLEET_ACTOR_MAX),
	TEXT("reason", OPT, SENTENCE),
	{0},
};
static fields inspection_fields[] = {
	UUID("refId", REQ),
	TEXT("hostVersion", OPT, .max = FLEET_VERSION_LEN_MAX),
	ID("agentId", OPT),
	BOOL("agentConnected", REQ),
	LIST("apps", REQ, FLEET_APPS_PER_AGENT_MAX, described_app_fields),
	LIST("drivers", OPT, FLEET_DRIVERS_MAX, driver_fields),
	LIST("problems", OPT, 1000, problem_fields),
	LIST("commands", REQ, FLEET_COMMANDS_OPEN_PER_AGENT_MAX, inspected_command_fields),
	LIST("holds", REQ, FLEET_APPS_PER_AGENT_MAX, inspected_hold_fields),
	VALUES("keyIds", OPT, 16, FLEET_JSON_STRING),
	INT("unsentEvents", REQ, NATURAL),
	{0},
};

enum {
	FROM_AGENT = 1 << FLEET_AGENT_TO_CONSOLE,
	FROM_CONSOLE = 1 << FLEET_CONSOLE_TO_AGENT,
	TO_HOST = 1 << FLEET_AGENT_TO_HOST,
	FROM_HOST = 1 << FLEET_HOST_TO_AGENT
};

const struct message_type message_types[] = {
	[FLEET_MESSAGE_INVALID] = {"invalid", 0, message_no_fields},
	[FLEET_MESSAGE_REGISTER] = {"register", FROM_AGENT, register_fields},
	[FLEET_MESSAGE_HEARTBEAT] = {"heartbeat", FROM_AGENT, heartbeat_fields},
	[FLEET_MESSAGE_AUDIT_EVENT] = {"auditEvent", FROM_AGENT, audit_event_fields},
	[FLEET_MESSAGE_COMMAND_ACCEPTED] = {"commandAccepted", FROM_AGENT, command_id_fields},
	[FLEET_MESSAGE_COMMAND_PROGRESS] = {"commandProgress", FROM_AGENT, progress_fields},
	[FLEET_MESSAGE_COMMAND_RESULT] = {"commandResult", FROM_AGENT, result_fields},
	[FLEET_MESSAGE_QUERY_RESULT] = {"queryResult", FROM_AGENT, answer_fields},
	[FLEET_MESSAGE_JOIN] = {"join", FROM_AGENT, join_fields},
	[FLEET_MESSAGE_RENEW] = {"renew", FROM_AGENT, renew_fields},
	[FLEET_MESSAGE_REGISTERED] = {"registered", FROM_CONSOLE, registered_fields},
	[FLEET_MESSAGE_ACK] = {"ack", FROM_CONSOLE, ack_fields},
	[FLEET_MESSAGE_RESTART_APP] = {"restartApp", FROM_CONSOLE, jws_fields},
	[FLEET_MESSAGE_PUSH_CONFIG] = {"pushConfig", FROM_CONSOLE, jws_fields},
	[FLEET_MESSAGE_UPDATE_APP] = {"updateApp", FROM_CONSOLE, jws_fields},
	[FLEET_MESSAGE_ROLLBACK_APP] = {"rollbackApp", FROM_CONSOLE, jws_fields},
	[FLEET_MESSAGE_READ_CONFIG] = {"readConfig", FROM_CONSOLE, jws_fields},
	[FLEET_MESSAGE_READ_LOGS] = {"readLogs", FROM_CONSOLE, jws_fields},
	[FLEET_MESSAGE_CANCEL] = {"cancel", FROM_CONSOLE, jws_fields},
	[FLEET_MESSAGE_REQUEST_HEARTBEAT] = {"requestHeartbeat", FROM_CONSOLE, message_no_fields},
	[FLEET_MESSAGE_JOINED] = {"joined", FROM_CONSOLE, joined_fields},
	[FLEET_MESSAGE_RENEWED] = {"renewed", FROM_CONSOLE, renewed_fields},
	[FLEET_MESSAGE_ERROR] = {"error", FROM_AGENT | FROM_CONSOLE | TO_HOST | FROM_HOST, error_fields},
	[FLEET_FRAME_HELLO] = {"hello", TO_HOST, hello_fields},
	[FLEET_FRAME_KEYS] = {"keys", TO_HOST, keys_fields},
	[FLEET_FRAME_STATUS_REQUEST] = {"statusRequest", TO_HOST, message_no_fields},
	[FLEET_FRAME_COMMAND] = {"command", TO_HOST, jws_fields},
	[FLEET_FRAME_QUERY] = {"query", TO_HOST, jws_fields},
	[FLEET_FRAME_STORED] = {"stored", TO_HOST, stored_fields},
	[FLEET_FRAME_FETCHED] = {"fetched", TO_HOST, fetched_fields},
	[FLEET_FRAME_PROBED] = {"probed", TO_HOST, probed_fields},
	[FLEET_FRAME_INSPECT] = {"inspect", TO_HOST, message_no_fields},
	[FLEET_FRAME_LOCAL_ROLLBACK] = {"localRollback", TO_HOST, app_id_fields},
	[FLEET_FRAME_LOCAL_HOLD] = {"localHold", TO_HOST, local_hold_fields},
	[FLEET_FRAME_LOCAL_UNHOLD] = {"localUnhold", TO_HOST, app_id_fields},
	[FLEET_FRAME_DESCRIPTION] = {"description", FROM_HOST, description_fields},
	[FLEET_FRAME_STATUS] = {"status", FROM_HOST, status_fields},
	[FLEET_FRAME_ACCEPTED] = {"accepted", FROM_HOST, command_id_fields},
	[FLEET_FRAME_REFUSED] = {"refused", FROM_HOST, refused_fields},
	[FLEET_FRAME_PROGRESS] = {"progress", FROM_HOST, progress_fields},
	[FLEET_FRAME_RESULT] = {"result", FROM_HOST, result_fields},
	[FLEET_FRAME_ANSWER] = {"answer", FROM_HOST, answer_fields},
	[FLEET_FRAME_EVENT] = {"event", FROM_HOST, event_fields},
	[FLEET_FRAME_FETCH] = {"fetch", FROM_HOST, fetch_fields},
	[FLEET_FRAME_FETCH_CANCEL] = {"fetchCancel", FROM_HOST, command_id_fields},
	[FLEET_FRAME_PROBE] = {"probe", FROM_HOST, probe_fields},
	[FLEET_FRAME_INSPECTION] = {"inspection", FROM_HOST, inspection_fields},
	[FLEET_FRAME_LOCAL_DONE] = {"localDone", FROM_HOST, local_done_fields},
};
_Static_assert(FLEET_ARRAY_LEN(message_types) == FLEET_MESSAGE_TYPE_COUNT, "every type has its row");
