#include "console/audit.h"

#include "fleet/clock.h"
#include "fleet/log.h"

#define REFUSALS_PER_MINUTE 20

static void on_appended(int result, const struct fleet_error *err, void *arg)
{
	(void)arg;
	if (result < 0)
		log_error("an audit event could not be kept: %s", err ? err->message : strerror(-result));
}

static void append(struct store *store, const char *category, const char *agent_id,
	const char *source_address, struct json_object *takes_details, const char *fmt, va_list ap)
{
	_cleanup_json_ struct json_object *details = takes_details;
	_cleanup_free_ char *message = xvasprintf(fmt, ap);

	fleet_text_sanitize(message);
	store_audit_append(store,
		&(struct audit_event){
			.category = category,
			.agent_id = agent_id,
			.source_address = source_address,
			.message = message,
			.details = details,
		},
		on_appended, NULL);
}

void audit_agent(struct store *store, const char *agent_id, const char *source_address,
	struct json_object *takes_details, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(store, "agent", agent_id, source_address, takes_details, fmt, ap);
	va_end(ap);
}

void audit_system(
	struct store *store, const char *agent_id, struct json_object *takes_details, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(store, "system", agent_id, NULL, takes_details, fmt, ap);
	va_end(ap);
}

static void append_refusal(struct store *store, const struct audit_refused *refused,
	struct json_object *takes_details, const char *fmt, ...) FLEET_PRINTF(4, 5);
static void append_refusal(struct store *store, const struct audit_refused *refused,
	struct json_object *takes_details, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(store, refused->category, refused->agent_id, refused->peer, takes_details, fmt, ap);
	va_end(ap);
}

void audit_refusal(struct audit_ration *ration, struct store *store, const struct audit_refused *refused)
{
	int64_t now = fleet_clock_monotonic_ms();
	struct json_object *details = NULL;

	if (ration->told == 0 || now - ration->since_ms > 60000) {
		ration->since_ms = now;
		ration->told = 0;
	}
	log_warn("%s (as %s, from %s): %s", refused->what, refused->agent_id, refused->peer, refused->why);
	if (++ration->told > REFUSALS_PER_MINUTE) {
		ration->left_out++;
		return;
	}
	if (ration->left_out > 0) {
		details = json_object_new_object();
		fleet_json_add_int(details, "refusalsLeftOut", ration->left_out);
		ration->left_out = 0;
	}
	append_refusal(store, refused, details, "%s: %s", refused->what, refused->why);
}
