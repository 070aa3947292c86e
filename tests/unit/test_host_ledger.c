/* The ledger: nothing that was said to be accepted is forgotten, whatever byte the last write was torn at,
 * and nothing is done twice. */
#include <fcntl.h>
#include <sys/stat.h>
#include "agent/host/ledger.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/log.h"
#include "unit.h"

struct place {
	char dir[48];
	char path[64];
};

static void place_init(struct place *p)
{
	*p = (struct place){.dir = "/tmp/fleet-ledger-XXXXXX"};
	if (!mkdtemp(p->dir))
		abort();
	snprintf(p->path, sizeof(p->path), "%s/ledger", p->dir);
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
}

static void place_done(const struct place *p)
{
	_cleanup_free_ char *beside = xasprintf("%s.args", p->path);

	(void)unlink(p->path);
	(void)rmdir(beside); /* where values were set aside; empty by now */
	CU_ASSERT_EQUAL(rmdir(p->dir), 0);
}

static struct ledger *open_ledger(const struct place *p)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct ledger *l = NULL;

	if (ledger_open(p->path, &l, &err) < 0)
		printf("# %s\n", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	return l;
}

static struct json_object *command(int64_t issued_ms)
{
	struct json_object *payload = json_object_new_object();

	fleet_json_add_string(payload, "commandId", fleet_uuid_new().text);
	fleet_json_add_string(payload, "appId", "web");
	fleet_json_add_time(payload, "issuedAt", issued_ms);
	return payload;
}

static const char *id_of(struct json_object *payload)
{
	return fleet_json_string(payload, "commandId");
}

static void end(struct ledger *l, const char *id, const char *message)
{
	_cleanup_json_ struct json_object *result = json_object_new_object();

	fleet_json_add_string(result, "message", message);
	CU_ASSERT_EQUAL(ledger_end(l, id, result, NULL), 0);
}

static void test_replays_a_life(void)
{
	struct place p;
	_cleanup_json_ struct json_object *payload = command(1000), *data = json_object_new_object();
	_cleanup_json_ struct json_object *kept = NULL, *step = NULL, *write = NULL, *outcome = NULL;
	const struct ledger_entry *e;
	struct ledger *l;

	place_init(&p);
	l = open_ledger(&p);
	CU_ASSERT_EQUAL(ledger_accept(l, payload, NULL), 0);
	CU_ASSERT_EQUAL(ledger_accept(l, payload, NULL), -EEXIST);
	CU_ASSERT_EQUAL(ledger_find(l, id_of(payload))->state, LEDGER_ACCEPTED);
	fleet_json_add_string(data, "path", "/x");
	CU_ASSERT_EQUAL(ledger_step(l, id_of(payload), "write", data, NULL), 0);
	CU_ASSERT_EQUAL(ledger_step(l, id_of(payload), "restart", NULL, NULL), 0);
	CU_ASSERT_EQUAL(ledger_step(l, id_of(payload), "recover", NULL, NULL), 0);
	ledger_close(l);
	l = open_ledger(&p);
	e = ledger_find(l, id_of(payload));
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_EQUAL(e->state, LEDGER_BEGUN);
	CU_ASSERT(e->recoveries == 0 && e->recoveries_before == 1);
	CU_ASSERT_EQUAL(e->issued_ms, 1000);
	CU_ASSERT_EQUAL(ledger_payload(l, e, &kept, NULL), 0);
	CU_ASSERT_TRUE(json_object_equal(kept, payload));
	CU_ASSERT_EQUAL(ledger_last_step(l, e, &step, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(step, "step"), "restart");
	CU_ASSERT_EQUAL(ledger_write_step(l, e, &write, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(fleet_json_object(write, "data"), "path"), "/x");
	CU_ASSERT_EQUAL(ledger_open_commands(l), 1);
	end(l, id_of(payload), "fine");
	CU_ASSERT_EQUAL(ledger_step(l, id_of(payload), "late", NULL, NULL), -EBADMSG);
	ledger_close(l);
	l = open_ledger(&p);
	e = ledger_find(l, id_of(payload));
	CU_ASSERT_EQUAL(e->state, LEDGER_ENDED);
	CU_ASSERT_FALSE(e->stored);
	CU_ASSERT_EQUAL(ledger_outcome(l, e, &outcome, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(outcome, "message"), "fine");
	CU_ASSERT_EQUAL(ledger_stored(l, id_of(payload), NULL), 0);
	CU_ASSERT_EQUAL(ledger_stored(l, "01890000-0000-7000-8000-000000000000", NULL), 0);
	CU_ASSERT_PTR_NULL(ledger_next_untold(l));
	CU_ASSERT_EQUAL(ledger_end(l, id_of(payload), outcome, NULL), -EALREADY);
	ledger_close(l);
	l = open_ledger(&p);
	CU_ASSERT_TRUE(ledger_find(l, id_of(payload))->stored);
	ledger_close(l);
	place_done(&p);
}

/* Values that a command sets are in no line: they lie beside the ledger until it has ended. */
static void test_values_are_forgotten_at_the_end(void)
{
	struct place p;
	_cleanup_json_ struct json_object *payload = command(1000), *kept = NULL, *again = NULL;
	_cleanup_free_ char *text = NULL, *beside = NULL, *stray = NULL;
	struct json_object *args =
		json_tokener_parse("{\"edits\":[{\"op\":\"set\",\"key\":\"k\",\"value\":\"hunter2\"}]}");
	struct ledger *l;
	size_t len;

	fleet_json_add(payload, "args", args);
	place_init(&p);
	l = open_ledger(&p);
	beside = xasprintf("%s.args/%s", p.path, id_of(payload));
	stray = xasprintf("%s.args/01890000-0000-7000-8000-000000000000", p.path);
	CU_ASSERT_EQUAL(ledger_accept(l, payload, NULL), 0);
	CU_ASSERT_EQUAL(fleet_file_write_durable(stray, "x", 1, 0600, NULL), 0); /* of a host that died */
	CU_ASSERT_EQUAL(fleet_file_read(p.path, 1 << 20, &text, &len, NULL), 0);
	CU_ASSERT_PTR_NULL(strstr(text, "hunter2"));
	CU_ASSERT_EQUAL(ledger_payload(l, ledger_find(l, id_of(payload)), &kept, NULL), 0);
	CU_ASSERT_TRUE(json_object_equal(kept, payload));
	ledger_set_keep(l, 0);
	ledger_close(l);
	l = open_ledger(&p);
	CU_ASSERT_NOT_EQUAL(access(stray, F_OK), 0);
	CU_ASSERT_EQUAL(ledger_payload(l, ledger_find(l, id_of(payload)), &again, NULL), 0);
	CU_ASSERT_TRUE(json_object_equal(again, payload));
	end(l, id_of(payload), "fine");
	CU_ASSERT_NOT_EQUAL(access(beside, F_OK), 0);
	/* an end that was written, and not the rest */
	CU_ASSERT_EQUAL(fleet_file_write_durable(beside, "x", 1, 0600, NULL), 0);
	ledger_close(l);
	l = open_ledger(&p);
	CU_ASSERT_NOT_EQUAL(access(beside, F_OK), 0);
	ledger_close(l);
	place_done(&p);
}

static void test_events_are_told_in_order_until_stored(void)
{
	struct place p;
	struct ledger *l;
	char first[FLEET_UUID_LEN + 1];

	place_init(&p);
	l = open_ledger(&p);
	for (int i = 0; i < 2; i++) {
		_cleanup_json_ struct json_object *event = json_object_new_object();

		fleet_json_add_string(event, "eventId", fleet_uuid_new().text);
		CU_ASSERT_EQUAL(ledger_event(l, event, NULL), 0);
		if (i == 0)
			snprintf(first, sizeof(first), "%s", fleet_json_string(event, "eventId"));
	}
	CU_ASSERT_EQUAL(ledger_unsent_events(l), 2);
	CU_ASSERT_STRING_EQUAL(ledger_next_untold(l)->id, first);
	CU_ASSERT_PTR_NOT_NULL(ledger_next_untold(l));
	CU_ASSERT_PTR_NULL(ledger_next_untold(l));
	ledger_untell(l, first);
	CU_ASSERT_STRING_EQUAL(ledger_next_untold(l)->id, first);
	ledger_untell(l, NULL);
	CU_ASSERT_EQUAL(ledger_stored(l, first, NULL), 0);
	CU_ASSERT_STRING_NOT_EQUAL(ledger_next_untold(l)->id, first);
	CU_ASSERT_EQUAL(ledger_unsent_events(l), 1);
	ledger_close(l);
	place_done(&p);
}

/* An event that led to an end is told before it: from the running host, from the file, and after compaction.
 */
static void test_ends_are_told_after_their_events(void)
{
	struct place p;
	_cleanup_json_ struct json_object *done = command(1000), *payload = command(2000);
	_cleanup_json_ struct json_object *event = json_object_new_object();
	const char *event_id;
	struct ledger *l;

	place_init(&p);
	l = open_ledger(&p);
	fleet_json_add_string(event, "eventId", fleet_uuid_new().text);
	event_id = fleet_json_string(event, "eventId");
	CU_ASSERT_EQUAL(ledger_accept(l, done, NULL), 0);
	end(l, id_of(done), "x");
	CU_ASSERT_EQUAL(ledger_stored(l, id_of(done), NULL), 0);
	CU_ASSERT_EQUAL(ledger_accept(l, payload, NULL), 0);
	CU_ASSERT_EQUAL(ledger_step_event(l, id_of(payload), "prepare", NULL, event, NULL), 0);
	end(l, id_of(payload), "fine");
	for (int round = 0; round < 3; round++) {
		CU_ASSERT_STRING_EQUAL(ledger_next_untold(l)->id, event_id);
		CU_ASSERT_STRING_EQUAL(ledger_next_untold(l)->id, id_of(payload));
		CU_ASSERT_PTR_NULL(ledger_next_untold(l));
		ledger_untell(l, NULL);
		if (round == 1) {
			ledger_set_keep(l, 0);
			CU_ASSERT_EQUAL(ledger_compact(l, NULL), 0);
			CU_ASSERT_PTR_NULL(ledger_find(l, id_of(done)));
			continue;
		}
		ledger_close(l);
		l = open_ledger(&p);
	}
	ledger_close(l);
	place_done(&p);
}

static void write_file(const char *path, const char *data, size_t len)
{
	CU_ASSERT_EQUAL_FATAL(fleet_file_write_durable(path, data, len, 0600, NULL), 0);
}

/* Cut after every byte of the last record: what came before is whole, the record is there or not, and the
 * file goes on. */
static void test_torn_tail_at_every_byte(void)
{
	struct place p;
	_cleanup_json_ struct json_object *first = command(1000), *second = command(2000);
	_cleanup_free_ char *whole = NULL;
	size_t one, all, wrong = 0;
	struct stat st;
	struct ledger *l;

	place_init(&p);
	l = open_ledger(&p);
	CU_ASSERT_EQUAL(ledger_accept(l, first, NULL), 0);
	CU_ASSERT_EQUAL(stat(p.path, &st), 0);
	one = (size_t)st.st_size;
	CU_ASSERT_EQUAL(ledger_accept(l, second, NULL), 0);
	ledger_close(l);
	CU_ASSERT_EQUAL(fleet_file_read(p.path, 1 << 20, &whole, &all, NULL), 0);
	for (size_t len = one; len <= all; len++) {
		_cleanup_json_ struct json_object *third = command(3000);

		write_file(p.path, whole, len);
		l = open_ledger(&p);
		wrong += !ledger_find(l, id_of(first));
		wrong += !!ledger_find(l, id_of(second)) != (len == all);
		wrong += ledger_floor_ms(l) != 0;
		wrong += ledger_accept(l, third, NULL) != 0;
		ledger_close(l);
		l = open_ledger(&p);
		wrong += !ledger_find(l, id_of(third)) || !ledger_find(l, id_of(first));
		ledger_close(l);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	/* the same where the blocks came back as zeros, or as an older page */
	for (size_t at = one; at < all; at += 7) {
		_cleanup_free_ char *copy = xmalloc(all);

		memcpy(copy, whole, all);
		memset(copy + at, 0, all - at);
		write_file(p.path, copy, all);
		l = open_ledger(&p);
		wrong += !ledger_find(l, id_of(first)) || !!ledger_find(l, id_of(second));
		ledger_close(l);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	place_done(&p);
}

/* A flipped bit within, with whole records behind it: they count, and what is older than now is not obeyed
 * any more. */
static void test_damage_within_raises_the_floor(void)
{
	struct place p;
	_cleanup_json_ struct json_object *first = command(1000), *second = command(2000);
	_cleanup_free_ char *whole = NULL;
	int64_t before = fleet_clock_wall_ms();
	size_t one, all;
	struct stat st;
	struct ledger *l;

	place_init(&p);
	l = open_ledger(&p);
	CU_ASSERT_EQUAL(ledger_accept(l, first, NULL), 0);
	CU_ASSERT_EQUAL(stat(p.path, &st), 0);
	one = (size_t)st.st_size;
	CU_ASSERT_EQUAL(ledger_accept(l, second, NULL), 0);
	ledger_close(l);
	CU_ASSERT_EQUAL(fleet_file_read(p.path, 1 << 20, &whole, &all, NULL), 0);
	whole[one - 10] ^= 1;
	write_file(p.path, whole, all);
	fleet_log_init("test", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	for (int i = 0; i < 2; i++) { /* the floor outlives the process that found the damage */
		l = open_ledger(&p);
		CU_ASSERT_PTR_NULL(ledger_find(l, id_of(first)));
		CU_ASSERT_PTR_NOT_NULL(ledger_find(l, id_of(second)));
		CU_ASSERT(ledger_floor_ms(l) >= before);
		ledger_close(l);
	}
	place_done(&p);
}

static void test_compaction_keeps_what_counts(void)
{
	struct place p;
	_cleanup_json_ struct json_object *waiting = command(500), *unstored = command(600), *outcome = NULL,
					  *kept = NULL;
	char last[FLEET_UUID_LEN + 1] = "";
	struct ledger *l;
	struct stat before, after;
	size_t finished = 0;

	place_init(&p);
	l = open_ledger(&p);
	ledger_set_keep(l, 8);
	CU_ASSERT_EQUAL(ledger_accept(l, waiting, NULL), 0);
	CU_ASSERT_EQUAL(ledger_step(l, id_of(waiting), "write", waiting, NULL), 0);
	CU_ASSERT_EQUAL(ledger_step(l, id_of(waiting), "recover", NULL, NULL), 0);
	CU_ASSERT_EQUAL(ledger_accept(l, unstored, NULL), 0);
	end(l, id_of(unstored), "not stored");
	for (int i = 0; i < 20; i++) {
		_cleanup_json_ struct json_object *c = command(1000 + i);

		CU_ASSERT_EQUAL(ledger_accept(l, c, NULL), 0);
		end(l, id_of(c), "stored");
		CU_ASSERT_EQUAL(ledger_stored(l, id_of(c), NULL), 0);
		snprintf(last, sizeof(last), "%s", id_of(c));
	}
	CU_ASSERT_EQUAL(stat(p.path, &before), 0);
	CU_ASSERT_EQUAL(ledger_compact(l, NULL), 0);
	CU_ASSERT_EQUAL(stat(p.path, &after), 0);
	CU_ASSERT(after.st_size < before.st_size);
	for (int pass = 0; pass < 2; pass++) {
		finished = 0;
		for (size_t i = 0; i < ledger_count(l); i++)
			finished += ledger_at(l, i)->stored;
		CU_ASSERT_EQUAL(finished, 8);
		CU_ASSERT_EQUAL(ledger_floor_ms(l), 1000 + 20 - 8 - 1);
		CU_ASSERT_PTR_NOT_NULL(ledger_find(l, last));
		CU_ASSERT_EQUAL(ledger_find(l, id_of(waiting))->state, LEDGER_BEGUN);
		CU_ASSERT(ledger_find(l, id_of(waiting))->write_at >= 0);
		CU_ASSERT_EQUAL(ledger_find(l, id_of(waiting))->recoveries +
					ledger_find(l, id_of(waiting))->recoveries_before,
			1);
		json_object_put(outcome);
		json_object_put(kept);
		outcome = kept = NULL;
		CU_ASSERT_EQUAL(ledger_outcome(l, ledger_find(l, id_of(unstored)), &outcome, NULL), 0);
		CU_ASSERT_STRING_EQUAL(fleet_json_string(outcome, "message"), "not stored");
		CU_ASSERT_EQUAL(ledger_payload(l, ledger_find(l, id_of(waiting)), &kept, NULL), 0);
		ledger_close(l); /* and the same after a replay */
		l = open_ledger(&p);
	}
	ledger_close(l);
	place_done(&p);
}

/* No room: the record is taken back whole, the caller hears of it, and what was there stays readable. */
static void test_full_disk_takes_nothing_half(void)
{
	struct place p;
	_cleanup_json_ struct json_object *first = command(1000), *second = command(2000), *kept = NULL;
	struct ledger *l;
	int fd;

	place_init(&p);
	l = open_ledger(&p);
	CU_ASSERT_EQUAL(ledger_accept(l, first, NULL), 0);
	/* every write fails on a descriptor that can only be read: the ledger's own is swapped for one */
	fd = open(p.path, O_RDONLY | O_CLOEXEC);
	for (int candidate = 3; candidate < 64; candidate++) {
		struct stat a, b;

		if (candidate != fd && fstat(candidate, &a) == 0 && fstat(fd, &b) == 0 &&
			a.st_ino == b.st_ino)
			CU_ASSERT_EQUAL(dup3(fd, candidate, O_CLOEXEC), candidate);
	}
	CU_ASSERT(ledger_accept(l, second, NULL) < 0);
	CU_ASSERT_PTR_NULL(ledger_find(l, id_of(second)));
	CU_ASSERT_EQUAL(ledger_payload(l, ledger_find(l, id_of(first)), &kept, NULL), 0);
	CU_ASSERT(ledger_accept(l, second, NULL) < 0); /* and it stays closed until it is opened anew */
	(void)close(fd);
	ledger_close(l);
	l = open_ledger(&p);
	CU_ASSERT_EQUAL(ledger_accept(l, second, NULL), 0);
	ledger_close(l);
	place_done(&p);
}

static struct json_object *event(const char *message)
{
	struct json_object *o = json_object_new_object();

	fleet_json_add_string(o, "eventId", fleet_uuid_new().text);
	fleet_json_add_string(o, "message", message);
	return o;
}

static void hold(struct ledger *l, const char *app_id, int64_t until_ms, const char *reason)
{
	_cleanup_json_ struct json_object *told = event("held");
	struct ledger_hold h = {.since_ms = 5, .until_ms = until_ms};

	h.app_id = xstrdup(app_id);
	h.by = xstrdup("root@server");
	h.reason = xstrdup(reason);
	CU_ASSERT_EQUAL(ledger_hold(l, &h, told, NULL), 0);
	free(h.app_id);
	free(h.by);
	free(h.reason);
}

static void check_holds(const struct ledger *l)
{
	int64_t now = fleet_clock_wall_ms();
	const struct ledger_hold *h = ledger_find_hold(l, "web", now);

	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_STRING_EQUAL(h->reason, "the second");
	CU_ASSERT_STRING_EQUAL(h->by, "root@server");
	CU_ASSERT_EQUAL(h->since_ms, 5);
	CU_ASSERT_PTR_NULL(ledger_find_hold(l, "web", h->until_ms));
	CU_ASSERT_PTR_NULL(ledger_find_hold(l, "over", now));
	CU_ASSERT_PTR_NULL(ledger_find_hold(l, "released", now));
	CU_ASSERT_PTR_NULL(ledger_find_hold(l, "other", now));
}

/* Over a restart, and over the file being written anew. */
static void test_holds_last_until_they_are_over(void)
{
	_cleanup_json_ struct json_object *told = event("no longer held");
	int64_t later = fleet_clock_wall_ms() + 3600000;
	struct place p;
	struct ledger *l;

	place_init(&p);
	l = open_ledger(&p);
	hold(l, "web", later, "the first");
	hold(l, "web", later + 1000, "the second");
	hold(l, "over", fleet_clock_wall_ms() - 1, "a moment");
	hold(l, "released", later, "x");
	CU_ASSERT_EQUAL(ledger_unhold(l, "released", told, NULL), 0);
	CU_ASSERT_EQUAL(ledger_unhold(l, "released", told, NULL), -ENOENT);
	CU_ASSERT_EQUAL(ledger_unhold(l, "over", told, NULL), -ENOENT);
	check_holds(l);
	CU_ASSERT_EQUAL(ledger_unsent_events(l), 5);
	ledger_close(l);
	l = open_ledger(&p);
	check_holds(l);
	ledger_set_keep(l, 0);
	for (int i = 0; i < 2; i++) {
		_cleanup_json_ struct json_object *payload = command(i + 1);

		CU_ASSERT_EQUAL(ledger_accept(l, payload, NULL), 0);
		end(l, id_of(payload), "fine");
		CU_ASSERT_EQUAL(ledger_stored(l, id_of(payload), NULL), 0);
	}
	CU_ASSERT_EQUAL(ledger_compact(l, NULL), 0);
	CU_ASSERT_EQUAL(ledger_floor_ms(l), 2);
	check_holds(l);
	CU_ASSERT_EQUAL(ledger_hold_count(l), 1);
	ledger_close(l);
	place_done(&p);
}

/* Nobody waits for it but who asked: what is told of it is the event, which is there with the end or not at
 * all. */
static void test_the_end_of_roots_command_is_its_event(void)
{
	_cleanup_json_ struct json_object *payload = command(1000), *signed_one = command(1001),
					  *result = json_object_new_object(), *told = event("done"),
					  *kept = NULL;
	const struct ledger_entry *e;
	struct place p;
	struct ledger *l;

	place_init(&p);
	l = open_ledger(&p);
	/* what a console signs does not become root's by saying so */
	fleet_json_add_bool(signed_one, "local", true);
	CU_ASSERT_EQUAL(ledger_accept(l, signed_one, NULL), 0);
	CU_ASSERT_FALSE(ledger_find(l, id_of(signed_one))->is_local);
	CU_ASSERT_EQUAL(ledger_accept_local(l, payload, NULL), 0);
	ledger_close(l);
	l = open_ledger(&p);
	CU_ASSERT_TRUE(ledger_find(l, id_of(payload))->is_local);
	CU_ASSERT_FALSE(ledger_find(l, id_of(signed_one))->is_local);
	CU_ASSERT_EQUAL(ledger_end_event(l, id_of(payload), result, told, NULL), 0);
	CU_ASSERT_EQUAL(ledger_end_event(l, id_of(payload), result, told, NULL), -EALREADY);
	ledger_close(l);
	l = open_ledger(&p);
	e = ledger_find(l, id_of(payload));
	CU_ASSERT(e->state == LEDGER_ENDED && e->stored);
	e = ledger_next_untold(l);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_EQUAL(ledger_outcome(l, e, &kept, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(kept, "message"), "done");
	CU_ASSERT_PTR_NULL(ledger_next_untold(l));
	ledger_close(l);
	place_done(&p);
}

int main(void)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_replays_a_life),
		UNIT_TEST(test_values_are_forgotten_at_the_end),
		UNIT_TEST(test_events_are_told_in_order_until_stored),
		UNIT_TEST(test_ends_are_told_after_their_events), UNIT_TEST(test_torn_tail_at_every_byte),
		UNIT_TEST(test_damage_within_raises_the_floor), UNIT_TEST(test_compaction_keeps_what_counts),
		UNIT_TEST(test_full_disk_takes_nothing_half), UNIT_TEST(test_holds_last_until_they_are_over),
		UNIT_TEST(test_the_end_of_roots_command_is_its_event), {0}};

	return unit_run((const struct unit_suite[]){{"host ledger", tests}, {0}});
}
