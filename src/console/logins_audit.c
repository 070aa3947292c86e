/* What the audit log and the console's own log hear of refusals: a few of each minute one by one, the others
 * as one event with addresses and counts. Nobody without a credential fills either. */
#include "console/logins.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define ADDRESSES_SUMMED 16 /* named in a minute's sum */

static void on_appended(int result, const struct fleet_error *err, void *arg)
{
	(void)arg;
	if (result < 0)
		log_error("a refusal could not be audited: %s", err ? err->message : strerror(-result));
}

static void append(struct logins *logins, const struct audit_event *event)
{
	if (logins->store)
		store_audit_append(logins->store, event, on_appended, NULL);
}

void logins_leave_out(struct logins *logins, struct login_address *from)
{
	from->left_out++;
	logins->left_out++;
}

void logins_tell(struct logins *logins, struct login_address *from, unsigned *told,
	const struct audit_event *event, char *takes_message)
{
	_cleanup_free_ char *message = takes_message;
	struct audit_event said = *event;

	fleet_text_sanitize(message);
	if (*told >= FLEET_REFUSALS_PER_MINUTE) {
		logins_leave_out(logins, from);
		return;
	}
	(*told)++;
	if (event->agent_id)
		log_warn("%s (as %s, from %s)", message, event->agent_id, event->source_address);
	else
		log_warn("%s (from %s)", message, event->source_address);
	said.message = message;
	append(logins, &said);
}

static void add_left_out(struct json_object *array, struct login_address *a)
{
	struct json_object *item;

	if (a->left_out && json_object_array_length(array) < ADDRESSES_SUMMED) {
		item = json_object_new_object();
		fleet_json_add_string(item, "address", a->id);
		fleet_json_add_int(item, "count", a->left_out);
		json_object_array_add(array, item);
	}
	a->left_out = 0;
	a->told = false;
}

void logins_sum_up(struct logins *logins, int64_t now_ms)
{
	_cleanup_json_ struct json_object *details = json_object_new_object();
	struct json_object *addresses = json_object_new_array();
	_cleanup_free_ char *message =
		xasprintf("%u more attempts were refused within a minute", logins->left_out);

	fleet_json_add_int(details, "refusalsLeftOut", logins->left_out);
	for (size_t i = 0; i < logins->by_text.count; i++)
		add_left_out(addresses, logins->by_text.entries[i].value);
	add_left_out(addresses, &logins->others);
	for (size_t i = 0; i < logins->agents.count; i++)
		((struct login_agent *)logins->agents.entries[i].value)->told = false;
	fleet_json_add(details, "addresses", addresses);
	if (logins->left_out) {
		log_warn("%s", message);
		append(logins,
			&(struct audit_event){.category = "access", .message = message, .details = details});
	}
	logins->told_unknown = logins->told_known = logins->left_out = 0;
	logins->minute_ms = now_ms;
}
