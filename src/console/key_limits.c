/* What a key is limited to: agents by the patterns of their ids and by their labels, and actions. */
#include "console/key.h"
#include "fleet/limits.h"

#define PATTERN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-*?"

static const char *const actions[] = {
	[KEY_ACTION_NONE] = "",
	[KEY_ACTION_RESTART] = "restart",
	[KEY_ACTION_PUSH_CONFIG] = "push-config",
	[KEY_ACTION_UPDATE] = "update",
	[KEY_ACTION_READ_CONFIG] = "read-config",
	[KEY_ACTION_READ_LOGS] = "read-logs",
	[KEY_ACTION_PING] = "ping",
	[KEY_ACTION_CANCEL] = "cancel",
	[KEY_ACTION_ARTIFACTS] = "artifacts",
};
_Static_assert(FLEET_ARRAY_LEN(actions) == KEY_ACTIONS, "each action has a word");

static const struct fleet_json_field fields[] = {
	{"agents", FLEET_JSON_ARRAY, FLEET_JSON_NULLABLE, .min = 1, .max = FLEET_KEY_LIMITS_MAX,
		.element = FLEET_JSON_STRING},
	{"labels", FLEET_JSON_ARRAY, FLEET_JSON_NULLABLE, .min = 1, .max = FLEET_KEY_LIMITS_MAX,
		.element = FLEET_JSON_STRING},
	{"actions", FLEET_JSON_ARRAY, FLEET_JSON_NULLABLE, .min = 1, .max = KEY_ACTIONS,
		.element = FLEET_JSON_STRING},
	{0},
};

const char *key_action_to_string(enum key_action action)
{
	return actions[action];
}

/* --- texts ------------------------------------------------------------------------------------------- */

static char **texts_copy(char *const *from)
{
	size_t count = 0;
	char **to;

	while (from && from[count])
		count++;
	if (!count)
		return NULL;
	to = xcalloc(count + 1, sizeof(*to));
	for (size_t i = 0; i < count; i++)
		to[i] = xstrdup(from[i]);
	return to;
}

static void texts_free(char **texts)
{
	for (size_t i = 0; texts && texts[i]; i++)
		free(texts[i]);
	free(texts);
}

static char **texts_from_json(struct json_object *array)
{
	size_t count = array ? json_object_array_length(array) : 0;
	char **texts;

	if (!count)
		return NULL;
	texts = xcalloc(count + 1, sizeof(*texts));
	for (size_t i = 0; i < count; i++)
		texts[i] = xstrdup(json_object_get_string(json_object_array_get_idx(array, i)));
	return texts;
}

static void texts_to_json(struct json_object *out, const char *key, char *const *texts)
{
	struct json_object *array;

	if (!texts)
		return;
	array = json_object_new_array();
	for (size_t i = 0; texts[i]; i++)
		fleet_json_append_string(array, texts[i]);
	fleet_json_add(out, key, array);
}

/* --- parsing ----------------------------------------------------------------------------------------- */

static int check_pattern(const char *at, size_t i, const char *text, struct fleet_error *err)
{
	size_t len = strlen(text);

	if (len > 0 && len <= FLEET_ID_MAX && strspn(text, PATTERN_CHARACTERS) == len)
		return 0;
	return fleet_error_set(err, -EINVAL,
		"%s.agents[%zu]: must be an agentId, in which * stands for any characters and ? for one", at,
		i);
}

static int check_label(const char *at, size_t i, const char *text, struct fleet_error *err)
{
	size_t len = strlen(text);
	bool plain = len > 0 && len <= FLEET_KEY_LABEL_MAX && text[0] != '=';

	for (const char *c = text; *c; c++) {
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			plain = false;
	}
	return plain ? 0
		     : fleet_error_set(err, -EINVAL,
			       "%s.labels[%zu]: must be KEY or KEY=VALUE, without spaces", at, i);
}

static int parse_actions(struct json_object *array, const char *at, unsigned *ret, struct fleet_error *err)
{
	unsigned bits = 0;

	for (size_t i = 0; array && i < json_object_array_length(array); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(array, i));
		unsigned found = 0;

		for (unsigned a = KEY_ACTION_NONE + 1; a < KEY_ACTIONS; a++) {
			if (strcmp(actions[a], text) == 0)
				found = 1u << a;
		}
		if (!found)
			return fleet_error_set(err, -EINVAL,
				"%s.actions[%zu]: must be restart, push-config, update, read-config, "
				"read-logs, ping, cancel or artifacts",
				at, i);
		bits |= found;
	}
	*ret = bits;
	return 0;
}

int key_limits_parse(
	struct json_object *json, const char *at, struct key_limits *ret, struct fleet_error *err)
{
	struct key_limits limits = {0};
	int r = json ? fleet_json_check_strict(json, fields, at, err) : 0;

	if (r < 0)
		return r;
	r = parse_actions(fleet_json_array(json, "actions"), at, &limits.actions, err);
	limits.agents = texts_from_json(fleet_json_array(json, "agents"));
	limits.labels = texts_from_json(fleet_json_array(json, "labels"));
	for (size_t i = 0; r >= 0 && limits.agents && limits.agents[i]; i++)
		r = check_pattern(at, i, limits.agents[i], err);
	for (size_t i = 0; r >= 0 && limits.labels && limits.labels[i]; i++)
		r = check_label(at, i, limits.labels[i], err);
	if (r < 0) {
		key_limits_done(&limits);
		return r;
	}
	*ret = limits;
	return 0;
}

struct json_object *key_limits_to_json(const struct key_limits *limits)
{
	struct json_object *out, *array;

	if (!key_limits_on_agents(limits) && !limits->actions)
		return NULL;
	out = json_object_new_object();
	texts_to_json(out, "agents", limits->agents);
	texts_to_json(out, "labels", limits->labels);
	if (limits->actions) {
		array = json_object_new_array();
		for (unsigned a = KEY_ACTION_NONE + 1; a < KEY_ACTIONS; a++) {
			if (limits->actions & 1u << a)
				fleet_json_append_string(array, actions[a]);
		}
		fleet_json_add(out, "actions", array);
	}
	return out;
}

struct key_limits key_limits_copy(const struct key_limits *limits)
{
	return (struct key_limits){texts_copy(limits->agents), texts_copy(limits->labels), limits->actions};
}

void key_limits_done(struct key_limits *limits)
{
	texts_free(limits->agents);
	texts_free(limits->labels);
	*limits = (struct key_limits){0};
}

/* --- judging ----------------------------------------------------------------------------------------- */

bool key_limits_on_agents(const struct key_limits *limits)
{
	return limits->agents || limits->labels;
}

/* In time of both lengths' product at most, whatever the pattern: after a * that fitted, an earlier one need
 * not be tried again. */
static bool glob_fits(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			retry = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool label_fits(struct json_object *labels, const char *wanted)
{
	const char *equals = strchr(wanted, '=');
	_cleanup_free_ char *key = xstrndup(wanted, equals ? (size_t)(equals - wanted) : strlen(wanted));
	const char *value = fleet_json_string(labels, key);

	return value && (!equals || strcmp(value, equals + 1) == 0);
}

bool key_limits_reach(const struct key_limits *limits, const char *agent_id, struct json_object *labels)
{
	bool fits = !limits->agents;

	for (size_t i = 0; !fits && limits->agents[i]; i++)
		fits = glob_fits(limits->agents[i], agent_id);
	for (size_t i = 0; fits && limits->labels && limits->labels[i]; i++)
		fits = labels && label_fits(labels, limits->labels[i]);
	return fits;
}

bool key_limits_allow(const struct key_limits *limits, enum key_action action)
{
	return action == KEY_ACTION_NONE || !limits->actions || limits->actions & 1u << action;
}
