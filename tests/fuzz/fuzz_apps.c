/* Declarations of apps.d, from their YAML to the struct. */
#include "agent/host/apps_parse.h"
#include "agent/host/key_policy.h"
#include "fleet/ids.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y = NULL;
	const struct fleet_yaml_node *root, *list = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_yaml_parse((const char *)data, size, "a.yaml", &y, &err) < 0)
		return 0;
	root = fleet_yaml_root(y);
	if (!root || root->kind != FLEET_YAML_MAPPING ||
		fleet_yaml_get_sequence(y, root, "managed_apps", &list, &err) < 0 || !list)
		return 0;
	for (size_t i = 0; i < list->count; i++) {
		_cleanup_(app_freep) struct app *app = NULL;
		int r = app_parse(y, list->values[i], false, &app, &err);

		if (r < 0) {
			FUZZ_CHECK(
				str_starts(err.message, "a.yaml:"), "%d without a place: %s", r, err.message);
			continue;
		}
		FUZZ_CHECK(fleet_id_is_valid(app->id), "an app '%s'", app->id);
		(void)key_policy_is_secret(app, "a.b");
	}
	return 0;
}
