/* The order of what an agent says. What could not be kept comes again when the agent does, with all that came
 * after it; so nothing of that agent is kept behind it until then, also not what was in the queue already:
 * else the log would tell an end before what led to it. On the store's thread, but for
 * store_agent_returns. */
#include "console/store_internal.h"

bool store_order_is_broken(const struct store *store, const struct store_request *request)
{
	return request->agent_id && id_table_get(&store->behind, request->agent_id);
}

void store_order_break(struct store *store, const struct store_request *request)
{
	char *id;

	if (!request->agent_id || id_table_get(&store->behind, request->agent_id))
		return;
	id = xstrdup(request->agent_id);
	id_table_add(&store->behind, id, id);
}

void store_order_done(struct store *store)
{
	for (size_t i = 0; i < store->behind.count; i++)
		free(store->behind.entries[i].value);
	id_table_done(&store->behind);
}

/* --- the agent begins anew --- */

static int returns_run(struct store *store, struct store_request *request, struct fleet_error *err)
{
	(void)err;
	free(id_table_remove(&store->behind, request->agent_id));
	return 0;
}

void store_agent_returns(struct store *store, const char *agent_id)
{
	static const struct store_kind kind = {
		sizeof(struct store_request), false, false, returns_run, NULL, NULL};
	struct store_request *request = store_request_new(&kind);

	request->agent_id = xstrdup(agent_id);
	store_submit(store, request);
}
