#include "agent/host/app_record.h"

void app_record_add(struct json_object *apps, const struct app_before *a)
{
	struct json_object *item = json_object_new_object();

	fleet_json_add_string(item, "id", a->app->id);
	fleet_json_add_string(item, "instance", a->before.instance);
	fleet_json_add_bool(item, "good", a->was_good);
	fleet_json_add_bool(item, "stopped", a->was_stopped);
	json_object_array_add(apps, item);
}

bool app_record_restore(struct json_object *apps, struct app_before *a)
{
	for (size_t i = 0; apps && i < json_object_array_length(apps); i++) {
		struct json_object *item = json_object_array_get_idx(apps, i);
		const char *instance = fleet_json_string(item, "instance");

		if (!str_equal(fleet_json_string(item, "id"), a->app->id))
			continue;
		a->was_good = fleet_json_bool(item, "good", false);
		a->was_stopped = fleet_json_bool(item, "stopped", false);
		if (a->was_stopped)
			a->before.state = FLEET_STATE_STOPPED;
		snprintf(a->before.instance, sizeof(a->before.instance), "%s", instance ? instance : "");
		return true;
	}
	return false;
}
