#include "console/audit.h"

#include "fleet/log.h"

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
