/* The reader of agent.env. */
#include "fleet/envfile.h"
#include "fleet/text.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *value;
	int r = fleet_envfile_parse((const char *)data, size, "agent.env", &env, &err);

	if (r < 0) {
		FUZZ_CHECK(r == -EBADMSG && str_starts(err.message, "agent.env:"), "%d: %s", r, err.message);
		return 0;
	}
	value = fleet_envfile_get(env, "FLEET_AGENT_ID");
	FUZZ_CHECK(!value || fleet_text_is_utf8(value, strlen(value)), "a value that is not UTF-8");
	FUZZ_CHECK(!fleet_envfile_get(env, ""), "a key without a name");
	return 0;
}
