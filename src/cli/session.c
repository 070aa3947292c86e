#include <ctype.h>
#include "cli/session.h"
#include "cli/output.h"
#include "fleet/ids.h"
#include "fleet/text.h"

#define PAGES_MAX       1000
#define SUGGESTIONS_MAX 1000
#define BODY_SHOWN_MAX  2000
#define ID_TAIL_MIN     6

static const char *const request_headers[] = {"X-Fleet-Client: cli", NULL};

int session_open_config(struct session *s, struct config *takes_config, struct fleet_error *err)
{
	struct fleet_http_client_options options = {
		.base_url = takes_config->url,
		.bearer = takes_config->api_key,
		.user_agent = "fleetctl/" PACKAGE_VERSION,
		.headers = request_headers,
		.ca_file = takes_config->ca_file,
	};

	*s = (struct session){.config = *takes_config};
	*takes_config = (struct config){0};
	return fleet_http_client_new(&options, &s->http, err);
}

int session_open(struct session *s)
{
	_cleanup_config_ struct config config = {0};
	_cleanup_free_ char *path = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	bool loose = false;
	int r;

	r = config_path(&path, &err);
	if (r >= 0)
		r = config_load(path, &config, &loose, &err);
	if (r == -ENOENT) {
		output_line(stderr, "Not configured. Run 'fleetctl login' first.");
		return CLI_FAILED;
	}
	if (r < 0) {
		output_line(stderr, "%s. Write it anew: fleetctl login --url URL", err.message);
		return CLI_FAILED;
	}
	if (loose)
		output_line(stderr,
			"Warning: others may read %s, which holds your key. Close it: chmod 600 %s", path,
			path);
	if (session_open_config(s, &config, &err) < 0) {
		output_line(stderr, "%s.", err.message);
		return CLI_FAILED;
	}
	return CLI_OK;
}

void session_done(struct session *s)
{
	fleet_http_client_free(s->http);
	config_done(&s->config);
	s->http = NULL;
}

void session_tell_unreachable(const struct session *s, const struct fleet_error *err)
{
	output_line(stderr, "Cannot reach %s: %s.", s->config.url, err->message);
	if (err->code == -EKEYREJECTED)
		output_line(stderr,
			"  Is the URL right? The file with the authority's certificate: fleetctl login --url "
			"%s "
			"--ca-file FILE",
			s->config.url);
	else
		output_line(stderr, "  Is the console running there? Another one: fleetctl login --url URL");
}

/* The ids in an array of objects, borrowed; for suggestions. */
static size_t ids_collect(struct json_object *array, const char *key, const char **ids, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; array && i < json_object_array_length(array) && count < max; i++) {
		const char *id = fleet_json_string(json_object_array_get_idx(array, i), key);

		if (id)
			ids[count++] = id;
	}
	return count;
}

/* A quiet request for something that only makes a message better; NULL when it fails. Owned. */
static struct json_object *quiet_get(struct session *s, const char *path)
{
	struct fleet_http_response answer = {0};
	struct json_object *value = NULL;

	if (fleet_http_call(s->http, "GET", path, NULL, &answer, NULL) >= 0 && answer.status == 200 &&
		fleet_json_parse(answer.body, answer.body_len, answer.body_len, &value, NULL) < 0)
		value = NULL;
	fleet_http_response_done(&answer);
	return value;
}

static void tell_no_agent(struct session *s, const char *agent_id)
{
	_cleanup_json_ struct json_object *agents = quiet_get(s, "/api/agents?limit=1000");
	_cleanup_free_ const char **ids = xcalloc(SUGGESTIONS_MAX, sizeof(*ids));
	const char *near = NULL;

	if (json_object_is_type(agents, json_type_array))
		near = fleet_text_nearest(
			agent_id, ids, ids_collect(agents, "agentId", ids, SUGGESTIONS_MAX));
	if (near)
		output_line(stderr, "Agent '%s' not found. Did you mean %s?", agent_id, near);
	else
		output_line(stderr, "Agent '%s' not found. Which there are: fleetctl agents list", agent_id);
}

static void tell_no_app(struct session *s, const char *agent_id, const char *app_id)
{
	_cleanup_free_ char *name = fleet_url_encode(agent_id);
	_cleanup_free_ char *path = xasprintf("/api/agents/%s", name);
	_cleanup_json_ struct json_object *agent = quiet_get(s, path);
	const char *ids[FLEET_APPS_PER_AGENT_MAX];
	size_t count = ids_collect(fleet_json_array(agent, "apps"), "id", ids, FLEET_ARRAY_LEN(ids));
	const char *near = fleet_text_nearest(app_id, ids, count);

	if (near)
		output_line(stderr, "App '%s' not found on %s. Did you mean %s?", app_id, agent_id, near);
	else
		output_line(stderr, "App '%s' not found on %s. Which there are: fleetctl agents status %s",
			app_id, agent_id, agent_id);
}

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && str_equal(text + len - n, end);
}

static void tell_not_found(
	struct session *s, const char *type, const char *detail, const struct session_about *about)
{
	bool app = ends_in(type, "app-not-found");
	bool other = ends_in(type, "/not-found");

	if (other && about->agent_id && !str_empty(detail)) /* neither agent nor app: the sentence names it */
		output_line(stderr, "%s", detail);
	else if (app && about->agent_id && about->app_id)
		tell_no_app(s, about->agent_id, about->app_id);
	else if (about->agent_id)
		tell_no_agent(s, about->agent_id);
	else if (about->artifact_id)
		output_line(stderr, "Artifact '%s' not found. Which there are: fleetctl artifacts list",
			about->artifact_id);
	else if (about->key)
		output_line(stderr, "Key '%s' not found. Which there are: fleetctl keys list", about->key);
	else if (about->command_id)
		output_line(stderr, "Command '%s' not found. Which there are: fleetctl commands list",
			about->command_id);
	else
		output_line(stderr, "The console answered 404: %s", str_empty(detail) ? "not found" : detail);
}

void session_tell_refused(
	struct session *s, const struct fleet_http_response *answer, const struct session_about *about)
{
	static const struct session_about nothing = {0};
	_cleanup_json_ struct json_object *problem = NULL;
	const char *detail, *field, *type;

	if (!about)
		about = &nothing;
	if (answer->body_len &&
		fleet_json_parse(answer->body, answer->body_len, answer->body_len, &problem, NULL) < 0)
		problem = NULL;
	detail = fleet_json_string(problem, "detail");
	if (!detail)
		detail = fleet_json_string(problem, "title");
	field = fleet_json_string(problem, "field");
	type = fleet_json_string(problem, "type");
	if (answer->status == 401 || answer->status == 403) {
		output_line(stderr, "Authentication failed: %s.",
			detail                  ? detail
			: answer->status == 403 ? "the console does not let this key do that"
			: s->config.api_key     ? "the console does not know this key"
						: "the console wants an API key");
		output_line(
			stderr, "  Use another key: fleetctl login --url %s --api-key KEY", s->config.url);
	} else if (answer->status == 404) {
		tell_not_found(s, type ? type : "", detail, about);
	} else if (answer->status == 422 && type && about->app_id && ends_in(type, "/artifact-not-found")) {
		output_line(stderr, "%s.", detail ? detail : "No such artifact");
		output_line(stderr,
			"  Register it: fleetctl artifacts add %s --help. Or say where it is: --artifact URL",
			about->app_id);
	} else if (detail) {
		output_line(stderr, "The console answered %d: %s%s%s%s", answer->status, detail,
			field ? " (" : "", field ? field : "", field ? ")" : "");
	} else {
		output_line(stderr, "The console answered %d:", answer->status);
		output_text(stderr, "  ", answer->body_len ? answer->body : "(nothing)", BODY_SHOWN_MAX);
	}
}

int session_call(struct session *s, const char *method, const char *path, struct json_object *body,
	const struct session_about *about, struct json_object **ret, char **ret_next)
{
	_cleanup_(fleet_http_response_done) struct fleet_http_response answer = {0};
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_http_call(s->http, method, path, body, &answer, &err) < 0) {
		session_tell_unreachable(s, &err);
		return CLI_FAILED;
	}
	if (answer.status < 200 || answer.status > 299) {
		session_tell_refused(s, &answer, about);
		return CLI_FAILED;
	}
	*ret = NULL;
	if (answer.body_len &&
		fleet_json_parse(answer.body, answer.body_len, answer.body_len, ret, &err) < 0) {
		output_line(stderr, "The console answered %d, but not with JSON: %s. Is %s a Fleet console?",
			answer.status, err.message, s->config.url);
		return CLI_FAILED;
	}
	if (ret_next)
		*ret_next = TAKE_PTR(answer.next);
	return CLI_OK;
}

int session_list(struct session *s, const char *path, const struct session_about *about, size_t max,
	bool (*keep)(struct json_object *element), struct json_object **ret)
{
	_cleanup_json_ struct json_object *all = json_object_new_array();
	_cleanup_free_ char *next = xstrdup(path);

	for (unsigned pages = 0; next && pages < PAGES_MAX; pages++) {
		_cleanup_json_ struct json_object *page = NULL;
		_cleanup_free_ char *at = TAKE_PTR(next);
		int r = session_call(s, "GET", at, NULL, about, &page, &next);

		if (r != CLI_OK)
			return r;
		if (!json_object_is_type(page, json_type_array)) {
			output_line(stderr,
				"The console answered with something else than a list. Is %s a Fleet "
				"console?",
				s->config.url);
			return CLI_FAILED;
		}
		for (size_t i = 0; i < json_object_array_length(page); i++) {
			struct json_object *element = json_object_array_get_idx(page, i);

			if (max && json_object_array_length(all) >= max)
				break;
			if (!keep || keep(element))
				(void)json_object_array_add(
					all, json_object_get(element)); /* fails only without memory */
		}
		if (max && json_object_array_length(all) >= max)
			break;
	}
	*ret = TAKE_PTR(all);
	return CLI_OK;
}

void session_query_add(struct fleet_buffer *path, const char *name, const char *value)
{
	_cleanup_free_ char *encoded = value ? fleet_url_encode(value) : NULL;

	if (encoded)
		fleet_buffer_printf(path, "&%s=%s", name, encoded);
}

int session_agent_path(const char *agent_id, const char *suffix, char **ret_path)
{
	_cleanup_free_ char *name = NULL;

	if (!fleet_id_is_valid(agent_id)) {
		output_line(stderr,
			"Agent '%s' not found. An agent id has letters, digits, '.', '_' and '-' only",
			agent_id);
		return CLI_FAILED;
	}
	name = fleet_url_encode(agent_id);
	*ret_path = xasprintf("/api/agents/%s%s", name, suffix);
	return CLI_OK;
}

int session_explain_empty(struct session *s, const struct json_object *list, const char *agent_id)
{
	struct session_about about = {.agent_id = agent_id};
	_cleanup_json_ struct json_object *agent = NULL;
	_cleanup_free_ char *path = NULL;
	int r;

	if (!agent_id || json_object_array_length(list) > 0)
		return CLI_OK;
	r = session_agent_path(agent_id, "", &path);
	return r == CLI_OK ? session_call(s, "GET", path, NULL, &about, &agent, NULL) : r;
}

int session_app_path(const struct session_about *about, const char *rest, char **ret_path)
{
	_cleanup_free_ char *suffix = NULL;

	if (!fleet_id_is_valid(about->app_id)) {
		output_line(stderr,
			"App '%s' not found on %s. An app id has letters, digits, '.', '_' and '-' only",
			about->app_id, about->agent_id);
		return CLI_FAILED;
	}
	suffix = xasprintf("/apps/%s/%s", about->app_id, rest);
	return session_agent_path(about->agent_id, suffix, ret_path);
}

int session_command_path(const char *command_id, char **ret_path)
{
	size_t len = strlen(command_id);

	for (size_t i = 0; command_id[i]; i++)
		if (!isxdigit((unsigned char)command_id[i]) && command_id[i] != '-')
			len = 0;
	if (len < ID_TAIL_MIN || len > FLEET_UUID_LEN) {
		output_line(stderr,
			"Command '%s' not found. An id is the last six digits of a command, or more of them",
			command_id);
		return CLI_FAILED;
	}
	*ret_path = xasprintf("/api/commands/%s", command_id);
	return CLI_OK;
}
