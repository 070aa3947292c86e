#include "console/logins.h"

#include <arpa/inet.h>

#include "fleet/limits.h"
#include "fleet/log.h"

#define MINUTE_MS        60000
#define ADDRESSES_SUMMED 16 /* named in a minute's sum */

void logins_init(struct logins *logins, struct store *store)
{
	*logins = (struct logins){.store = store};
	logins->others.asks = FLEET_ASKS_BURST;
	(void)snprintf(logins->others.id, sizeof(logins->others.id), "others"); /* fits */
}

void logins_done(struct logins *logins)
{
	for (size_t i = 0; i < logins->by_text.count; i++)
		free(logins->by_text.entries[i].value);
	id_table_done(&logins->by_text);
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

static bool is_forgotten(const struct login_address *a, int64_t now_ms)
{
	return (!a->failures || now_ms - a->failed_ms > FLEET_LOGIN_MEMORY_S * INT64_C(1000)) && !a->told &&
	       !a->left_out && asks_now(a, now_ms) >= FLEET_ASKS_BURST;
}

static struct login_address *find(struct logins *logins, const char *address)
{
	char text[sizeof(((struct login_address *)NULL)->id)];

	address_text(address, text, sizeof(text));
	return id_table_get(&logins->by_text, text);
}

static struct login_address *find_or_add(struct logins *logins, const char *address, int64_t now_ms)
{
	struct login_address *a = find(logins, address);

	if (a)
		return a;
	if (logins->by_text.count >= FLEET_LOGIN_ADDRESSES_MAX)
		return &logins->others;
	a = xcalloc(1, sizeof(*a));
	address_text(address, a->id, sizeof(a->id));
	a->asks = FLEET_ASKS_BURST;
	a->asks_ms = now_ms;
	id_table_add(&logins->by_text, a->id, a);
	return a;
}

int64_t logins_wait_ms(struct logins *logins, const char *address, int64_t now_ms)
{
	const struct login_address *a = find(logins, address);

	if (!a && logins->by_text.count >= FLEET_LOGIN_ADDRESSES_MAX)
		a = &logins->others;
	return a && a->wait_until_ms > now_ms ? a->wait_until_ms - now_ms : 0;
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

static void count_failure(struct login_address *a, int64_t now_ms)
{
	unsigned over;
	int64_t wait_s;

	if (now_ms - a->failed_ms > FLEET_LOGIN_MEMORY_S * INT64_C(1000))
		a->failures = 0;
	a->failures++;
	a->failed_ms = now_ms;
	if (a->failures <= FLEET_LOGIN_TRIES)
		return;
	over = a->failures - FLEET_LOGIN_TRIES - 1;
	wait_s = over < 16 ? INT64_C(1) << over : FLEET_LOGIN_WAIT_S_MAX;
	if (wait_s > FLEET_LOGIN_WAIT_S_MAX)
		wait_s = FLEET_LOGIN_WAIT_S_MAX;
	a->wait_until_ms = now_ms + wait_s * 1000;
}

/* --- the audit log ----------------------------------------------------------------------------------- */

static void on_appended(int result, const struct fleet_error *err, void *arg)
{
	(void)arg;
	if (result < 0)
		log_error("a refusal could not be audited: %s", err ? err->message : strerror(-result));
}

static void append(struct logins *logins, const char *address, const char *actor, const char *message,
	struct json_object *details)
{
	if (logins->store)
		store_audit_append(logins->store,
			&(struct audit_event){
				.category = "access",
				.actor = actor,
				.source_address = address,
				.message = message,
				.details = details,
			},
			on_appended, NULL);
}

static void leave_out(struct logins *logins, struct login_address *a)
{
	a->left_out++;
	logins->left_out++;
}

/* As long as there are few in a minute they are written; the others are summed up. told: how many were. */
static void tell(struct logins *logins, struct login_address *a, unsigned *told, const char *address,
	const char *actor, char *takes_message)
{
	_cleanup_free_ char *message = takes_message;

	fleet_text_sanitize(message);
	if (*told >= FLEET_REFUSALS_PER_MINUTE) {
		leave_out(logins, a);
		return;
	}
	(*told)++;
	log_warn("%s (from %s)", message, address);
	append(logins, address, actor, message, NULL);
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

static void sum_up(struct logins *logins, int64_t now_ms)
{
	_cleanup_json_ struct json_object *details = json_object_new_object();
	struct json_object *addresses = json_object_new_array();
	_cleanup_free_ char *message =
		xasprintf("%u more attempts were refused within a minute", logins->left_out);

	fleet_json_add_int(details, "refusalsLeftOut", logins->left_out);
	for (size_t i = 0; i < logins->by_text.count; i++)
		add_left_out(addresses, logins->by_text.entries[i].value);
	add_left_out(addresses, &logins->others);
	fleet_json_add(details, "addresses", addresses);
	if (logins->left_out) {
		log_warn("%s", message);
		append(logins, NULL, NULL, message, details);
	}
	logins->told_unknown = logins->told_known = logins->left_out = 0;
	logins->minute_ms = now_ms;
}

/* --- what happens ------------------------------------------------------------------------------------ */

void logins_failed(struct logins *logins, const char *address, const struct api_key *key, const char *why,
	int64_t now_ms)
{
	struct login_address *a = find_or_add(logins, address, now_ms);

	count_failure(a, now_ms);
	/* Of an unknown key the first of an address in a minute says it all. */
	if (!key && a->told) {
		leave_out(logins, a);
		return;
	}
	a->told = a->told || !key;
	tell(logins, a, &logins->told_unknown, address, NULL,
		key ? xasprintf("API key '%s' refused: it %s", key->name, why)
		    : xasprintf("an unknown API key was refused"));
}

void logins_slowed(struct logins *logins, const char *address, int64_t now_ms)
{
	leave_out(logins, find_or_add(logins, address, now_ms));
}

void logins_refused(
	struct logins *logins, const char *address, const char *actor, const char *what, int64_t now_ms)
{
	tell(logins, find_or_add(logins, address, now_ms), &logins->told_known, address, actor,
		xasprintf("%s was refused: %s", actor, what));
}

void logins_tick(struct logins *logins, int64_t now_ms)
{
	if (now_ms - logins->minute_ms >= MINUTE_MS)
		sum_up(logins, now_ms);
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
	sum_up(logins, logins->minute_ms);
}
