#include "console/logins.h"

#include <arpa/inet.h>

#include "fleet/limits.h"

#define MINUTE_MS 60000

void logins_init(struct logins *logins, struct store *store)
{
	*logins = (struct logins){.store = store};
	logins->others.asks = FLEET_ASKS_BURST;
	(void)snprintf(logins->others.id, sizeof(logins->others.id), "others"); /* fits */
}

static void table_done(struct id_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->entries[i].value);
	id_table_done(table);
}

void logins_done(struct logins *logins)
{
	table_done(&logins->agents);
	table_done(&logins->by_text);
}

/* --- addresses --------------------------------------------------------------------------------------- */

/* One customer has 2^64 addresses of IPv6. */
static void address_text(const char *address, char *ret, size_t len)
{
	struct in6_addr v6;

	if (inet_pton(AF_INET6, address, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6)) {
		memset(v6.s6_addr + 8, 0, 8);
		if (inet_ntop(AF_INET6, &v6, ret, (socklen_t)len - 4)) {
			(void)snprintf(ret + strlen(ret), 4, "/64"); /* fits */
			return;
		}
	}
	(void)snprintf(ret, len, "%s", str_starts(address, "::ffff:") ? address + 7 : address); /* fits */
}

static double asks_now(const struct login_address *a, int64_t now_ms)
{
	double asks = a->asks + (double)(now_ms - a->asks_ms) * FLEET_ASKS_PER_S / 1000.0;

	return asks < FLEET_ASKS_BURST ? asks : FLEET_ASKS_BURST;
}

static bool is_old(const struct login_count *count, int64_t now_ms)
{
	return !count->failures || now_ms - count->failed_ms > FLEET_LOGIN_MEMORY_S * INT64_C(1000);
}

static bool is_forgotten(const struct login_address *a, int64_t now_ms)
{
	return is_old(&a->keys, now_ms) && is_old(&a->agents, now_ms) && !a->agents_apart && !a->told &&
	       !a->left_out && asks_now(a, now_ms) >= FLEET_ASKS_BURST;
}

/* NULL: nothing is known of it. */
static const struct login_address *find(const struct logins *logins, const char *address)
{
	char text[sizeof(((struct login_address *)NULL)->id)];
	const struct login_address *a;

	address_text(address, text, sizeof(text));
	a = id_table_get(&logins->by_text, text);
	return !a && logins->by_text.count >= FLEET_LOGIN_ADDRESSES_MAX ? &logins->others : a;
}

static struct login_address *find_or_add(struct logins *logins, const char *address, int64_t now_ms)
{
	char text[sizeof(((struct login_address *)NULL)->id)];
	struct login_address *a;

	address_text(address, text, sizeof(text));
	a = id_table_get(&logins->by_text, text);
	if (a)
		return a;
	if (logins->by_text.count >= FLEET_LOGIN_ADDRESSES_MAX)
		return &logins->others;
	a = xcalloc(1, sizeof(*a));
	memcpy(a->id, text, sizeof(a->id));
	a->asks = FLEET_ASKS_BURST;
	a->asks_ms = now_ms;
	id_table_add(&logins->by_text, a->id, a);
	return a;
}

bool logins_may_ask(struct logins *logins, const char *address, int64_t now_ms)
{
	struct login_address *a = find_or_add(logins, address, now_ms);

	a->asks = asks_now(a, now_ms);
	a->asks_ms = now_ms;
	if (a->asks < 1)
		return false;
	a->asks--;
	return true;
}

/* --- waiting ----------------------------------------------------------------------------------------- */

static int64_t wait_of(const struct login_count *count, int64_t now_ms)
{
	return count->wait_until_ms > now_ms ? count->wait_until_ms - now_ms : 0;
}

static void count_failure(struct login_count *count, int64_t longest_s, int64_t now_ms)
{
	unsigned over;
	int64_t wait_s;

	if (is_old(count, now_ms))
		count->failures = 0;
	count->failures++;
	count->failed_ms = now_ms;
	if (count->failures <= FLEET_LOGIN_TRIES)
		return;
	over = count->failures - FLEET_LOGIN_TRIES - 1;
	wait_s = over < 16 ? INT64_C(1) << over : longest_s;
	count->wait_until_ms = now_ms + (wait_s < longest_s ? wait_s : longest_s) * 1000;
}

int64_t logins_wait_ms(const struct logins *logins, const char *address, int64_t now_ms)
{
	const struct login_address *a = find(logins, address);

	return a ? wait_of(&a->keys, now_ms) : 0;
}

void logins_failed(struct logins *logins, const char *address, const struct api_key *key, const char *why,
	int64_t now_ms)
{
	struct login_address *a = find_or_add(logins, address, now_ms);

	count_failure(&a->keys, FLEET_LOGIN_WAIT_S_MAX, now_ms);
	/* Of an unknown key the first of an address in a minute says it all. */
	if (!key && a->told) {
		logins_leave_out(logins, a);
		return;
	}
	a->told = a->told || !key;
	logins_tell(logins, a, &logins->told_unknown,
		&(struct audit_event){.category = "access", .source_address = address},
		key ? xasprintf("API key '%s' refused: it %s", key->name, why)
		    : xasprintf("an unknown API key was refused"));
}

void logins_slowed(struct logins *logins, const char *address, int64_t now_ms)
{
	logins_leave_out(logins, find_or_add(logins, address, now_ms));
}

void logins_refused(
	struct logins *logins, const char *address, const char *actor, const char *what, int64_t now_ms)
{
	logins_tell(logins, find_or_add(logins, address, now_ms), &logins->told_known,
		&(struct audit_event){.category = "access", .actor = actor, .source_address = address},
		xasprintf("%s was refused: %s", actor, what));
}

/* --- agents ------------------------------------------------------------------------------------------ */

static void agent_text(const struct login_address *a, const char *agent_id, char *ret, size_t len)
{
	(void)snprintf(ret, len, "%s %s", a->id, agent_id); /* both are bounded: fits */
}

static struct login_agent *find_agent(
	const struct logins *logins, const struct login_address *a, const char *agent_id)
{
	char text[sizeof(((struct login_agent *)NULL)->id)];

	agent_text(a, agent_id, text, sizeof(text));
	return id_table_get(&logins->agents, text);
}

/* NULL: it is not told apart from others of its address. */
static struct login_agent *find_or_add_agent(
	struct logins *logins, struct login_address *a, const char *agent_id)
{
	struct login_agent *agent = find_agent(logins, a, agent_id);

	if (agent || a == &logins->others || a->agents_apart >= FLEET_LOGIN_AGENTS_APART ||
		logins->agents.count >= FLEET_LOGIN_AGENTS_MAX)
		return agent;
	agent = xcalloc(1, sizeof(*agent));
	agent_text(a, agent_id, agent->id, sizeof(agent->id));
	agent->address = a;
	a->agents_apart++;
	id_table_add(&logins->agents, agent->id, agent);
	return agent;
}

int64_t logins_agent_wait_ms(
	const struct logins *logins, const char *address, const char *agent_id, int64_t now_ms)
{
	const struct login_address *a = find(logins, address);
	const struct login_agent *agent = a ? find_agent(logins, a, agent_id) : NULL;

	if (agent)
		return wait_of(&agent->count, now_ms);
	if (a && (a == &logins->others || a->agents_apart >= FLEET_LOGIN_AGENTS_APART ||
			 logins->agents.count >= FLEET_LOGIN_AGENTS_MAX))
		return wait_of(&a->agents, now_ms);
	return 0;
}

static void tell_refusal(struct logins *logins, struct login_address *a, struct login_agent *agent,
	const struct login_refusal *refusal, bool known)
{
	bool *told = agent ? &agent->told : &a->told;

	if (!known && *told) {
		logins_leave_out(logins, a);
		return;
	}
	*told = *told || !known;
	logins_tell(logins, a, known ? &logins->told_known : &logins->told_unknown,
		&(struct audit_event){
			.category = refusal->category,
			.agent_id = refusal->agent_id,
			.source_address = refusal->address,
		},
		xasprintf("%s: %s", refusal->what, refusal->why));
}

void logins_agent_failed(struct logins *logins, const struct login_refusal *refusal, int64_t now_ms)
{
	struct login_address *a = find_or_add(logins, refusal->address, now_ms);
	struct login_agent *agent = find_or_add_agent(logins, a, refusal->agent_id);

	count_failure(agent ? &agent->count : &a->agents, FLEET_LOGIN_AGENT_WAIT_S, now_ms);
	tell_refusal(logins, a, agent, refusal, false);
}

void logins_agent_refused(
	struct logins *logins, const struct login_refusal *refusal, bool known, int64_t now_ms)
{
	struct login_address *a = find_or_add(logins, refusal->address, now_ms);

	tell_refusal(logins, a, find_or_add_agent(logins, a, refusal->agent_id), refusal, known);
}

void logins_agent_came(struct logins *logins, const char *address, const char *agent_id)
{
	const struct login_address *a = find(logins, address);
	struct login_agent *agent = a ? find_agent(logins, a, agent_id) : NULL;

	if (agent)
		agent->count = (struct login_count){0};
}

/* --- time -------------------------------------------------------------------------------------------- */

void logins_tick(struct logins *logins, int64_t now_ms)
{
	if (now_ms - logins->minute_ms >= MINUTE_MS)
		logins_sum_up(logins, now_ms);
	for (size_t i = logins->agents.count; i > 0; i--) {
		struct login_agent *agent = logins->agents.entries[i - 1].value;

		if (!is_old(&agent->count, now_ms) || agent->told)
			continue;
		agent->address->agents_apart--;
		(void)id_table_remove(&logins->agents, agent->id); /* it is agent */
		free(agent);
	}
	for (size_t i = logins->by_text.count; i > 0; i--) {
		struct login_address *a = logins->by_text.entries[i - 1].value;

		if (is_forgotten(a, now_ms)) {
			(void)id_table_remove(&logins->by_text, a->id); /* it is a */
			free(a);
		}
	}
}

void logins_flush(struct logins *logins)
{
	logins_sum_up(logins, logins->minute_ms);
}
