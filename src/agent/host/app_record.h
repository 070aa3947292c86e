/* How an app was before an operation that takes it down: in the record of its step in the ledger, and back,
 * for whoever takes the operation up. Used by pushes and updates. */
#ifndef HOST_APP_RECORD_H
#define HOST_APP_RECORD_H
#include "agent/host/apps.h"
#include "driver/call.h"
#include "fleet/json.h"

struct app_before {
	const struct app *app;
	struct driver_status before;
	bool was_good, was_stopped;
	bool touched; /* of a push: restarted or reloaded since the write */
};

/* Appends {id, instance, good, stopped}. */
void app_record_add(struct json_object *apps, const struct app_before *a);
/* What the list says of a->app; false where it says nothing. apps: may be NULL. */
bool app_record_restore(struct json_object *apps, struct app_before *a);

#endif
