/* Ids from the console, for completion: one request, a second at most, and not a word when it fails. */
#include "cli/complete.h"
#include "cli/config.h"
#include "fleet/http_client.h"
#include "fleet/ids.h"

#define ANSWER_MS 1000
#define TAIL      6 /* digits of an id, as other commands print it */

static const char *const request_headers[] = {"X-Fleet-Client: cli", NULL};

/* Owned array, or NULL. */
static struct json_object *ask(const char *path)
{
	_cleanup_config_ struct config config = {0};
	_cleanup_(fleet_http_client_freep) struct fleet_http_client *http = NULL;
	_cleanup_free_ char *file = NULL;
	struct fleet_http_client_options options = {.user_agent = "fleetctl/" PACKAGE_VERSION,
		.headers = request_headers,
		.timeout_ms = ANSWER_MS};
	struct fleet_http_response answer = {0};
	struct json_object *value = NULL;
	bool loose = false;

	if (config_path(&file, NULL) < 0 || config_load(file, &config, &loose, NULL) < 0)
		return NULL;
	options.base_url = config.url;
	options.bearer = config.api_key;
	options.ca_file = config.ca_file;
	if (fleet_http_client_new(&options, &http, NULL) < 0)
		return NULL;
	if (fleet_http_call(http, "GET", path, NULL, &answer, NULL) >= 0 && answer.status == 200 &&
		fleet_json_parse(answer.body, answer.body_len, answer.body_len, &value, NULL) < 0)
		value = NULL;
	fleet_http_response_done(&answer);
	return value;
}

/* Words that a shell may put on a command line as they are. */
static void offer_agents(cli_candidate_fn *candidate, void *arg)
{
	_cleanup_json_ struct json_object *agents = ask("/api/agents?limit=1000");

	for (size_t i = 0;
		json_object_is_type(agents, json_type_array) && i < json_object_array_length(agents); i++) {
		struct json_object *a = json_object_array_get_idx(agents, i);
		const char *id = fleet_json_string(a, "agentId");

		if (id && fleet_id_is_valid(id))
			candidate(id, fleet_json_bool(a, "isOnline", false) ? "online" : "offline", arg);
	}
}

static bool was_offered(struct json_object *apps, size_t index, const char *id)
{
	for (size_t i = 0; i < index; i++) {
		if (str_equal(fleet_json_string(json_object_array_get_idx(apps, i), "id"), id))
			return true;
	}
	return false;
}

static void offer_apps(const char *agent_id, cli_candidate_fn *candidate, void *arg)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_json_ struct json_object *answer = NULL;
	struct json_object *apps;

	if (agent_id && !fleet_id_is_valid(agent_id))
		return;
	path = agent_id ? xasprintf("/api/agents/%s", agent_id) : xstrdup("/api/apps?limit=1000");
	answer = ask(path);
	apps = agent_id ? fleet_json_array(answer, "apps") : answer;
	for (size_t i = 0; json_object_is_type(apps, json_type_array) && i < json_object_array_length(apps);
		i++) {
		struct json_object *app = json_object_array_get_idx(apps, i);
		const char *id = fleet_json_string(app, "id");

		if (id && fleet_id_is_valid(id) && !was_offered(apps, i, id))
			candidate(id, agent_id ? fleet_json_string(app, "status") : NULL, arg);
	}
}

static void offer_tails(bool artifacts, cli_candidate_fn *candidate, void *arg)
{
	_cleanup_json_ struct json_object *list =
		ask(artifacts ? "/api/artifacts?limit=50" : "/api/commands?limit=50");

	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list);
		i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *id = fleet_json_string(o, artifacts ? "artifactId" : "commandId"),
			   *what = fleet_json_string(o, artifacts ? "version" : "command"),
			   *app = fleet_json_string(o, "appId"), *state = fleet_json_string(o, "state");
		_cleanup_free_ char *words = NULL;

		if (!id || !fleet_uuid_is_valid(id))
			continue;
		words = xasprintf("%s %s%s%s", app ? app : "?", what ? what : "?", state ? ", " : "",
			state ? state : "");
		candidate(id + strlen(id) - TAIL, words, arg);
	}
}

bool cli_complete_ids(
	const char *kind, const char *agent_id, bool artifacts, cli_candidate_fn *candidate, void *arg)
{
	if (str_equal(kind, "AGENT"))
		offer_agents(candidate, arg);
	else if (str_equal(kind, "APP"))
		offer_apps(agent_id, candidate, arg);
	else if (str_equal(kind, "ID"))
		offer_tails(artifacts, candidate, arg);
	else
		return false;
	return true;
}
