/* What waits at the agent: commands for the host (pending), results and events for the console (outbox). */
#include "agent/outbox.h"
#include "agent/pending.h"
#include "fleet/jws.h"
#include "fleet/message.h"
#include "unit.h"

/* -- pending -- */

static struct {
	bool present;
	int offered;
	struct fleet_uuid last_frame;
	char last_jws[1024];
} host;

static int offer(const char *jws, struct fleet_uuid *ret_frame_id, void *arg FLEET_UNUSED)
{
	if (!host.present)
		return -ENOTCONN;
	host.offered++;
	host.last_frame = *ret_frame_id = fleet_uuid_new();
	(void)snprintf(host.last_jws, sizeof(host.last_jws), "%s", jws);
	return 0;
}

static char *sign(const char *command_id)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = fleet_jws_key_new();
	_cleanup_json_ struct json_object *payload = json_object_new_object();
	char *jws = NULL;

	fleet_json_add_string(payload, "commandId", command_id);
	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(key, payload, &jws, NULL), 0);
	return jws;
}

static void test_offers_at_once_or_later(void)
{
	struct pending p = {.offer = offer};
	struct fleet_uuid command = fleet_uuid_new(), hub = fleet_uuid_new(), got = {""};
	_cleanup_free_ char *jws = sign(command.text);

	host.present = false;
	host.offered = 0;
	CU_ASSERT_EQUAL(pending_add(&p, hub.text, jws, NULL), 0);
	CU_ASSERT_EQUAL(host.offered, 0);
	pending_taken(&p, command.text); /* cannot be about ours: the host has not seen it */
	CU_ASSERT_EQUAL(p.count, 1);
	host.present = true;
	pending_offer_all(&p);
	pending_offer_all(&p); /* once is enough */
	CU_ASSERT_EQUAL(host.offered, 1);
	CU_ASSERT_STRING_EQUAL(host.last_jws, jws);
	pending_host_lost(&p);
	pending_offer_all(&p);
	CU_ASSERT_EQUAL(host.offered, 2);
	CU_ASSERT_FALSE(pending_refused(&p, fleet_uuid_new().text, &got));
	CU_ASSERT_FALSE(pending_refused(&p, NULL, &got));
	pending_taken(&p, command.text);
	CU_ASSERT_EQUAL(p.count, 0);
	CU_ASSERT_EQUAL(p.bytes, 0);
}

static void test_refusal_finds_the_message(void)
{
	struct pending p = {.offer = offer};
	struct fleet_uuid hub = fleet_uuid_new(), got = {""};

	host.present = true;
	CU_ASSERT_EQUAL(pending_add(&p, hub.text, "no jws at all", NULL), 0); /* the host is to say so */
	CU_ASSERT_TRUE(pending_refused(&p, host.last_frame.text, &got));
	CU_ASSERT_STRING_EQUAL(got.text, hub.text);
	CU_ASSERT_FALSE(pending_refused(&p, host.last_frame.text, &got));
	CU_ASSERT_EQUAL(p.count, 0);
}

static void test_resent_command_is_held_once(void)
{
	struct pending p = {.offer = offer};
	struct fleet_uuid command = fleet_uuid_new(), first = fleet_uuid_new(), second = fleet_uuid_new(),
			  got = {""};
	_cleanup_free_ char *jws = sign(command.text), *forged = sign(command.text);

	host.present = true;
	host.offered = 0;
	CU_ASSERT_EQUAL(pending_add(&p, first.text, jws, NULL), 0);
	CU_ASSERT_EQUAL(pending_add(&p, second.text, jws, NULL), 0);
	CU_ASSERT_EQUAL(host.offered, 1);
	CU_ASSERT_EQUAL(p.count, 1);
	CU_ASSERT_TRUE(pending_refused(&p, host.last_frame.text, &got));
	CU_ASSERT_STRING_EQUAL(got.text, second.text);
	/* Another text under the same id is another matter: the host decides which is genuine. */
	CU_ASSERT_EQUAL(pending_add(&p, first.text, forged, NULL), 0);
	CU_ASSERT_EQUAL(pending_add(&p, second.text, jws, NULL), 0);
	CU_ASSERT_EQUAL(p.count, 2);
	pending_done(&p);
	CU_ASSERT_EQUAL(p.count, 0);
}

static void test_pending_is_bounded(void)
{
	struct pending p = {.offer = offer};
	_cleanup_free_ char *big = xmalloc(FLEET_COMMAND_JWS_MAX + 1);
	struct fleet_error err = FLEET_ERROR_INIT;
	char small[32];
	int added = 0;

	host.present = false;
	while (added <= FLEET_COMMANDS_OPEN_PER_AGENT_MAX) {
		(void)snprintf(small, sizeof(small), "x.%d.y", added);
		if (pending_add(&p, "h", small, &err) < 0)
			break;
		added++;
	}
	CU_ASSERT_EQUAL(added, FLEET_COMMANDS_OPEN_PER_AGENT_MAX);
	CU_ASSERT_EQUAL(err.code, -ENOBUFS);
	pending_done(&p);
	memset(big, 'a', FLEET_COMMAND_JWS_MAX);
	big[FLEET_COMMAND_JWS_MAX] = '\0';
	for (added = 0; added < 1000; added++) {
		big[0] = (char)('a' + added % 26);
		big[1] = (char)('a' + added / 26);
		if (pending_add(&p, "h", big, &err) < 0)
			break;
	}
	CU_ASSERT_EQUAL(added, PENDING_BYTES_MAX / FLEET_COMMAND_JWS_MAX);
	pending_done(&p);
}

/* -- outbox -- */

static char dir[64];
static struct {
	int sent, refuse_after; /* -1: never */
	int64_t last_seq;
	bool out_of_order;
	int results;
} wire;

static int send_text(const char *text, size_t len, void *arg FLEET_UNUSED)
{
	_cleanup_json_ struct json_object *m = NULL;
	int64_t seq;

	if (wire.refuse_after >= 0 && wire.sent >= wire.refuse_after)
		return -ENOBUFS;
	CU_ASSERT_EQUAL_FATAL(fleet_json_parse(text, len, FLEET_MESSAGE_MAX, &m, NULL), 0);
	wire.sent++;
	if (str_equal(fleet_json_string(m, "type"), "commandResult")) {
		wire.results++;
		return 0;
	}
	seq = fleet_json_int(m, "seq", 0);
	if (wire.last_seq && seq != wire.last_seq + 1)
		wire.out_of_order = true;
	wire.last_seq = seq;
	return 0;
}

static void add_events(struct spool *s, int count)
{
	for (int i = 0; i < count; i++) {
		_cleanup_json_ struct json_object *m = fleet_message_new(FLEET_MESSAGE_AUDIT_EVENT);

		fleet_json_add_string(m, "eventId", fleet_uuid_new().text);
		fleet_json_add_string(m, "category", "agent");
		fleet_json_add_string(m, "message", "something happened");
		CU_ASSERT_EQUAL(spool_add_event(s, m, NULL), 0);
	}
}

static void add_result(struct spool *s, const char *id)
{
	_cleanup_json_ struct json_object *m = fleet_message_new(FLEET_MESSAGE_COMMAND_RESULT);

	fleet_json_add_string(m, "commandId", id);
	CU_ASSERT_EQUAL(spool_add_result(s, m, NULL), 0);
}

static struct spool *fresh_spool(void)
{
	struct spool *s = NULL;
	char *lost = NULL;

	(void)snprintf(dir, sizeof(dir), "/tmp/fleet-unit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	CU_ASSERT_EQUAL_FATAL(spool_open(dir, 0, &s, &lost, NULL), 0);
	memset(&wire, 0, sizeof(wire));
	wire.refuse_after = -1;
	return s;
}

static void end_spool(struct spool *s)
{
	static const char *const names[] = {"spool.db", "spool.db-wal", "spool.db-shm", "lock"};
	char path[128];

	spool_close(s);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static void test_sends_in_windows(void)
{
	struct spool *s = fresh_spool();
	struct outbox o = {.spool = s, .send = send_text};
	int64_t acked = 0;

	add_events(s, 3 * OUTBOX_WINDOW + 5);
	outbox_kick(&o);
	CU_ASSERT_EQUAL(wire.sent, 0); /* nobody registered yet */
	outbox_open(&o);
	CU_ASSERT_EQUAL(wire.sent, OUTBOX_WINDOW);
	while (acked < spool_last_seq(s)) {
		acked += 10;
		if (acked > wire.last_seq)
			acked = wire.last_seq;
		CU_ASSERT_EQUAL(outbox_ack(&o, acked, NULL, NULL, NULL), 0);
		CU_ASSERT(wire.last_seq - acked <= OUTBOX_WINDOW);
		CU_ASSERT_EQUAL(outbox_ack(&o, acked, NULL, NULL, NULL), 0); /* a duplicate opens no window */
		CU_ASSERT(wire.last_seq - acked <= OUTBOX_WINDOW);
	}
	CU_ASSERT_EQUAL(wire.sent, 3 * OUTBOX_WINDOW + 5); /* each once */
	CU_ASSERT_FALSE(wire.out_of_order);
	CU_ASSERT_EQUAL(spool_events(s), 0);
	end_spool(s);
}

static void test_sends_again_after_reconnect(void)
{
	struct spool *s = fresh_spool();
	struct outbox o = {.spool = s, .send = send_text};
	_cleanup_json_ struct json_object *ids = json_object_new_array();
	struct fleet_uuid a = fleet_uuid_new(), b = fleet_uuid_new();

	add_events(s, 4);
	add_result(s, a.text);
	add_result(s, b.text);
	outbox_open(&o);
	CU_ASSERT(wire.sent == 6 && wire.results == 2);
	fleet_json_append_string(ids, a.text);
	CU_ASSERT_EQUAL(outbox_ack(&o, 3, ids, NULL, NULL), 0);
	outbox_close(&o);
	add_events(s, 1);
	outbox_kick(&o);
	CU_ASSERT_EQUAL(wire.sent, 6);
	memset(&wire, 0, sizeof(wire));
	wire.refuse_after = -1;
	outbox_open(&o);
	CU_ASSERT(wire.sent == 3 && wire.results == 1 && wire.last_seq == 5);
	end_spool(s);
}

static void test_an_end_is_told_after_what_led_to_it(void)
{
	struct spool *s = fresh_spool();
	struct outbox o = {.spool = s, .send = send_text};
	struct fleet_uuid a = fleet_uuid_new(), b = fleet_uuid_new();

	add_result(s, a.text);
	add_events(s, OUTBOX_WINDOW + 3);
	add_result(s, b.text);
	add_events(s, 2);
	outbox_open(&o); /* one event is left for later, and with it the end that came after it */
	CU_ASSERT(wire.results == 1 && wire.last_seq == OUTBOX_WINDOW);
	CU_ASSERT_EQUAL(outbox_ack(&o, 2, NULL, NULL, NULL), 0);
	CU_ASSERT(wire.results == 1 && wire.last_seq == OUTBOX_WINDOW + 2);
	CU_ASSERT_EQUAL(outbox_ack(&o, 3, NULL, NULL, NULL), 0);
	CU_ASSERT(wire.results == 2 && wire.last_seq == OUTBOX_WINDOW + 3);
	outbox_close(&o);
	CU_ASSERT_EQUAL(spool_renew(s, NULL), 0); /* other numbers, the same order */
	memset(&wire, 0, sizeof(wire));
	wire.refuse_after = -1;
	outbox_open(&o);
	CU_ASSERT(wire.results == 2 && wire.last_seq == OUTBOX_WINDOW && !wire.out_of_order);
	end_spool(s);
}

static void test_goes_on_where_the_wire_stuck(void)
{
	struct spool *s = fresh_spool();
	struct outbox o = {.spool = s, .send = send_text};

	add_events(s, 10);
	wire.refuse_after = 4;
	outbox_open(&o);
	CU_ASSERT(wire.sent == 4 && wire.last_seq == 4);
	wire.refuse_after = -1;
	CU_ASSERT_EQUAL(outbox_ack(&o, 2, NULL, NULL, NULL), 0);
	CU_ASSERT(wire.sent == 10 && wire.last_seq == 10);
	CU_ASSERT_FALSE(wire.out_of_order);
	end_spool(s);
}

static const struct unit_test pending_tests[] = {
	UNIT_TEST(test_offers_at_once_or_later),
	UNIT_TEST(test_refusal_finds_the_message),
	UNIT_TEST(test_resent_command_is_held_once),
	UNIT_TEST(test_pending_is_bounded),
	{0},
};
static const struct unit_test outbox_tests[] = {
	UNIT_TEST(test_sends_in_windows),
	UNIT_TEST(test_sends_again_after_reconnect),
	UNIT_TEST(test_an_end_is_told_after_what_led_to_it),
	UNIT_TEST(test_goes_on_where_the_wire_stuck),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){
		{"agent_pending", pending_tests}, {"agent_outbox", outbox_tests}, {0}});
}
