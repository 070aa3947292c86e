/* An app's service, asked and told through its driver, as operations need it: deadlines filled in, errors in
 * the words of a person. Blocks; used in operation and status children. */
#ifndef HOST_SERVICE_H
#define HOST_SERVICE_H
#include "agent/host/op.h"
#include "driver/call.h"

/* Fills a call for app's service driver. *state_dir: owned by the caller, kept for as long as the call.
 * -ENOENT with a sentence where the driver is not there or cannot be used. */
int service_call(const struct op_env *env, const struct app *app, int64_t deadline_ms,
	struct driver_call *ret, char **ret_state_dir, struct fleet_error *err) FLEET_MUST_CHECK;
/* The same for the format driver of a file. */
int format_call(const struct op_env *env, const struct app *app, const struct app_file *file,
	struct driver_call *ret, struct fleet_error *err) FLEET_MUST_CHECK;

int service_status(struct op *op, const struct app *app, struct driver_status *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Within the app's timeout (unit_facts.h). Where the driver had to be killed, waits (once more the timeout at
 * most) until the service is neither starting nor stopping, so that whatever comes next finds it at rest. */
int service_do(struct op *op, const struct app *app, enum driver_verb verb,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The last FLEET_FAILURE_LOG_LINES lines, since the given time if there are any, into the result's logLines.
 */
void service_add_logs(struct op *op, const struct app *app, int64_t since_unix_ms);

bool service_is_good(const struct driver_status *status); /* running or done */
const char *service_state_name(uint32_t state);           /* "running", as in the protocol */
const char *service_state_title(uint32_t state);          /* "Running", as people read it */

#endif
