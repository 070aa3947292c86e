/* What an API key is limited to: an agentId, then its labels as JSON, a line each, then the limits as a body
 * of POST /api/keys has them. What is taken says the same when it is written and read again, and reaches what
 * a table of all beginnings of pattern and id says. */
#include "console/key.h"
#include "fleet/limits.h"
#include "fuzz.h"

#define LEN_MAX (FLEET_ID_MAX + 1)

/* reached[i][j]: the first i of the pattern fit the first j of the text. */
static bool fits(const char *pattern, const char *text)
{
	bool reached[LEN_MAX + 1][LEN_MAX + 1] = {{true}};
	size_t patterns = strlen(pattern), texts = strlen(text);

	for (size_t i = 1; i <= patterns; i++) {
		for (size_t j = 0; j <= texts; j++) {
			if (pattern[i - 1] == '*')
				reached[i][j] = reached[i - 1][j] || (j > 0 && reached[i][j - 1]);
			else
				reached[i][j] = j > 0 && reached[i - 1][j - 1] &&
						(pattern[i - 1] == '?' || pattern[i - 1] == text[j - 1]);
		}
	}
	return reached[patterns][texts];
}

static void check_reach(const struct key_limits *limits, const char *agent_id, struct json_object *labels)
{
	bool seen = key_limits_reach(limits, agent_id, labels), expected = !limits->agents;

	for (size_t i = 0; limits->agents && limits->agents[i]; i++)
		expected = expected || fits(limits->agents[i], agent_id);
	if (!limits->labels)
		FUZZ_CHECK(seen == expected, "'%s' is %sreached", agent_id, seen ? "" : "not ");
	else
		FUZZ_CHECK(!seen || (expected && labels), "'%s' is reached", agent_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_text rest = {size > 0 ? (const char *)data : "", size}, id = {"", 0}, line = {"", 0};
	_cleanup_json_ struct json_object *labels = NULL, *json = NULL, *back = NULL, *again = NULL;
	struct key_limits limits = {0}, copy = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *agent_id = NULL;

	(void)fuzz_next_line(&rest, &id);
	(void)fuzz_next_line(&rest, &line);
	agent_id = xstrndup(id.data, id.len < FLEET_ID_MAX ? id.len : FLEET_ID_MAX);
	if (fleet_json_parse(line.data, line.len, FLEET_MESSAGE_MAX, &labels, &err) < 0)
		labels = NULL;
	if (fleet_json_parse(rest.data, rest.len, FLEET_HTTP_BODY_MAX, &json, &err) < 0)
		return 0;
	if (key_limits_parse(json, "$", &limits, &err) < 0) {
		FUZZ_CHECK(str_starts(err.message, "$"), "a refusal without a place: %s", err.message);
		return 0;
	}
	check_reach(&limits, agent_id, labels);
	back = key_limits_to_json(&limits);
	FUZZ_CHECK(!back == !(key_limits_on_agents(&limits) || limits.actions), "limits are lost");
	FUZZ_CHECK(key_limits_parse(back, "$", &copy, &err) == 0, "what was written is not read: %s",
		err.message);
	again = key_limits_to_json(&copy);
	FUZZ_CHECK(json_object_equal(back, again), "other limits are read than were written");
	key_limits_done(&copy);
	key_limits_done(&limits);
	return 0;
}
