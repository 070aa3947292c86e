/* At boot, before the apps start: what an update left in the middle of its renames is brought to one of its
 * ends, by the ledger's record of the plan and the trees' markers. Nothing is started, asked or written down;
 * the host does that when it comes, and finds the files in order. (DESIGN 7) */
#include "agent/host/host.h"
#include "agent/host/update.h"

int recover_files(const struct ledger *ledger)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int failed = 0;

	for (size_t i = 0; i < ledger_count(ledger); i++) {
		const struct ledger_entry *e = ledger_at(ledger, i);
		_cleanup_json_ struct json_object *plan = NULL, *last = NULL;
		struct json_object *data;
		int r;

		if (e->is_event || e->state != LEDGER_BEGUN || e->write_at < 0)
			continue;
		if (ledger_write_step(ledger, e, &plan, &err) < 0 ||
			ledger_last_step(ledger, e, &last, &err) < 0) {
			log_error("command %s cannot be looked at: %s", e->id, err.message);
			failed = 1;
			continue;
		}
		data = fleet_json_object(plan, "data");
		if (!fleet_json_array(data, "moves"))
			continue; /* a push's: its one rename is whole, whenever it was cut */
		r = update_put_in_order(e->id, fleet_json_string(last, "step"), data, false, &err);
		if (r < 0) {
			log_error("the update of command %s is not in order: %s", e->id, err.message);
			failed = 1;
		} else {
			log_info("%s is whole: %s", fleet_json_string(data, "path"),
				r > 0 ? "the new version, which the driver host will look at"
				      : "the old version");
		}
	}
	return failed;
}
