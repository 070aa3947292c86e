/* At boot, before the apps start: what an update left in the middle of its renames is brought to one of its
 * ends, by the ledger's record of the plan and the trees' markers. Nothing is started, asked or written down;
 * the host does that when it comes, and finds the files in order. (DESIGN 7) */
#include "agent/host/host.h"
#include "agent/host/update.h"

static int put_in_order(const char *id, const char *step, struct json_object *plan, struct fleet_error *err)
{
	_cleanup_(tree_done) struct tree tree = TREE_INIT;
	_cleanup_(moves_done) struct moves moves = {0};
	const char *path = fleet_json_string(plan, "path"), *sha256 = fleet_json_string(plan, "sha256"),
		   *number = fleet_json_string(plan, "inode");
	bool back = str_equal(step, "rollback"), in_place;
	int r;

	if (!path || path[0] != '/')
		return 0; /* a push's: its one rename is whole, whenever it was cut */
	moves_from_json(fleet_json_array(plan, "moves"), &moves);
	r = tree_open(path, fleet_json_bool(plan, "file", false), &tree, err);
	if (r >= 0)
		r = tree_settle(&tree, err);
	if (r < 0)
		return r;
	in_place = tree_is_exchanged(&tree, number ? strtoull(number, NULL, 10) : 0, id, sha256);
	if (in_place && back)
		r = tree_exchange_back(&tree, err);
	if (r >= 0 && (back || !in_place))
		r = moves_return(&tree, &moves, back, err);
	if (r >= 0)
		log_info("%s is whole: %s", path,
			in_place && !back ? "the new version, which the driver host will look at"
					  : "the old version");
	return r;
}

int recover_files(const struct ledger *ledger)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	int failed = 0;

	for (size_t i = 0; i < ledger_count(ledger); i++) {
		const struct ledger_entry *e = ledger_at(ledger, i);
		_cleanup_json_ struct json_object *plan = NULL, *last = NULL;
		struct json_object *data;

		if (e->is_event || e->state != LEDGER_BEGUN || e->write_at < 0)
			continue;
		if (ledger_write_step(ledger, e, &plan, &err) < 0 ||
			ledger_last_step(ledger, e, &last, &err) < 0) {
			log_error("command %s cannot be looked at: %s", e->id, err.message);
			failed = 1;
			continue;
		}
		data = fleet_json_object(plan, "data");
		if (fleet_json_array(data, "moves") &&
			put_in_order(e->id, fleet_json_string(last, "step"), data, &err) < 0) {
			log_error("the update of command %s is not in order: %s", e->id, err.message);
			failed = 1;
		}
	}
	return failed;
}
