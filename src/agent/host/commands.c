/* Commands arrive, are refused or kept and queued; what the ledger holds unfinished is taken up again. */
#include "agent/host/operation.h"
#include "agent/host/verify.h"
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

static void refuse(struct host *h, uint64_t peer_id, struct json_object *command, struct json_object *payload,
	const char *code, const char *why)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_REFUSED);
	const char *id = fleet_json_string(payload, "commandId");
	bool busy = str_equal(code, verify_verdict_code(VERIFY_BUSY)), again = busy && h->busy_told;

	fleet_json_add_string(frame, "refId", fleet_json_string(command, "id"));
	if (id && fleet_uuid_is_valid(id))
		fleet_json_add_string(frame, "commandId", id);
	fleet_json_add_string(frame, "code", code);
	fleet_json_add_string(frame, "message", why);
	peers_send(h, peer_id, frame);
	if (again) { /* who sent it tries again every few seconds: it is told once until one is taken */
		log_debug("a command was refused (%s): %s", code, why);
		return;
	}
	h->busy_told = h->busy_told || busy;
	log_warn("a command was refused (%s): %s", code, why);
	outcomes_event(h, "system", fleet_json_string(payload, "appId"), id, "a command was refused (%s): %s",
		code, why);
}

static void send_accepted(struct host *h, uint64_t peer_id, const char *id)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_ACCEPTED);

	fleet_json_add_string(frame, "commandId", id);
	peers_send(h, peer_id, frame);
}

/* Makes good a lost answer: what was said of the first copy is said again. */
static void answer_again(struct host *h, uint64_t peer_id, const char *id)
{
	const struct ledger_entry *e = ledger_find(h->ledger, id);
	_cleanup_json_ struct json_object *result = NULL;

	if (e->is_event)
		return;
	if (e->state == LEDGER_ENDED && ledger_outcome(h->ledger, e, &result, NULL) == 0)
		peers_send(h, peer_id, result);
	else
		send_accepted(h, peer_id, id);
}

void commands_take(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	_cleanup_json_ struct json_object *payload = NULL, *peeked = NULL;
	const char *jws = fleet_json_string(frame, "jws"), *id;
	struct fleet_error err = FLEET_ERROR_INIT;
	enum verify_verdict verdict;

	verdict = verify_command(
		&h->keys, h->ledger, h->config->agent_id, fleet_clock_wall_ms(), jws, &payload, &err);
	if (verdict == VERIFY_OK && h->stopping) {
		verdict = VERIFY_BUSY;
		(void)fleet_error_set(
			&err, -ESHUTDOWN, "the driver host is ending; it takes no more commands");
	}
	id = fleet_json_string(payload, "commandId");
	FLEET_FAILPOINT("command.verified");
	if (verdict == VERIFY_OK && ledger_accept(h->ledger, payload, &err) < 0)
		verdict = VERIFY_BUSY;
	if (verdict == VERIFY_DUPLICATE)
		answer_again(h, peer_id, id);
	if (verdict != VERIFY_OK) {
		/* whose command it claims to be, for the record of its refusal only */
		if (!payload && fleet_jws_peek(jws, strlen(jws), &peeked, NULL) < 0)
			peeked = NULL;
		refuse(h, peer_id, frame, payload ? payload : peeked, verify_verdict_code(verdict),
			err.message);
		return;
	}
	log_info("command %s accepted: %s of %s by %s", id, fleet_json_string(payload, "action"),
		fleet_json_string(payload, "appId"), fleet_json_string(payload, "actor"));
	FLEET_FAILPOINT("command.accepted");
	h->busy_told = false;
	send_accepted(h, peer_id, id);
	commands_enqueue(h, payload, false);
	commands_pump(h);
}

int commands_take_local(struct host *h, struct json_object *payload, struct fleet_error *err)
{
	int r;

	if (h->stopping)
		return fleet_error_set(
			err, -ESHUTDOWN, "the driver host is ending; it takes no more commands");
	if (ledger_open_commands(h->ledger) >= FLEET_COMMANDS_OPEN_PER_AGENT_MAX)
		return fleet_error_set(err, -EBUSY, "%d commands are waiting here already",
			FLEET_COMMANDS_OPEN_PER_AGENT_MAX);
	r = ledger_accept_local(h->ledger, payload, err);
	if (r < 0)
		return r;
	log_info("command %s accepted: %s of %s by %s", fleet_json_string(payload, "commandId"),
		fleet_json_string(payload, "action"), fleet_json_string(payload, "appId"),
		fleet_json_string(payload, "actor"));
	commands_enqueue(h, payload, false);
	return 0;
}

/* ---- life ---- */

struct json_object *commands_running(const struct host *h)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ledger_count(h->ledger); i++) {
		const struct ledger_entry *e = ledger_at(h->ledger, i);

		if (!e->is_event && !e->is_local && e->state != LEDGER_ENDED)
			fleet_json_append_string(list, e->id);
	}
	return list;
}

/* Copies of artifacts, and of files half kept: whoever made them is dead, and who takes up its work makes its
 * own. */
static void clean_staging(const struct host *h)
{
	_cleanup_free_ char *path = xasprintf("%s/staging", h->config->state_dir),
			    *before = xasprintf("%s/before", h->config->state_dir);
	_cleanup_closedir_ DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (fleet_uuid_is_valid(entry->d_name) && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			log_warn("cannot remove %s/%s: %m", path, entry->d_name);
	}
	fleet_file_clean_partial(before, NULL);
}

void commands_start(struct host *h)
{
	clean_staging(h);
	/* what was begun first: nothing may touch the same app before that is settled */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < ledger_count(h->ledger); i++) {
			const struct ledger_entry *e = ledger_at(h->ledger, i);
			_cleanup_json_ struct json_object *payload = NULL;
			struct fleet_error err = FLEET_ERROR_INIT;

			if (e->is_event || e->state != (pass == 0 ? LEDGER_BEGUN : LEDGER_ACCEPTED))
				continue;
			if (commands_read_back(h, e, &payload, &err) < 0)
				log_error("command %s cannot be taken up: %s", e->id, err.message);
			else
				commands_enqueue(h, payload, false);
		}
	}
	commands_pump(h);
}

bool commands_idle(const struct host *h)
{
	return !h->operations;
}

void commands_free(struct host *h)
{
	unkept_free(h);
	for (struct operation *o = h->operations, *next; o; o = next) {
		next = o->next;
		operation_free(o);
	}
}
