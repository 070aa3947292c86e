/* The audit log in the store: a chain that shows every change, events that count once, spools that are held
 * up to their first gap. */
#include "console/store_schema.h"
#include "test_store_fixture.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* --- audit ------------------------------------------------------------------------------------------ */

static void keep_event(struct json_object *event, void *arg)
{
	json_object_array_add(arg, json_object_get(event));
}

/* Computed apart from this code, from docs/protocol.md. */
static void test_chain_is_the_documented_one(void)
{
	_cleanup_json_ struct json_object *told = json_object_new_array(),
					  *details = json_tokener_parse(
						  "{\"z\":[1,true,null,\"gr\\u00fc\\u00df/\\\"\\\\\\u001f\"],"
						  "\"a\":{\"pid\":4127}}");
	struct audit_event event = {.event_id = "01890a5d-ac96-774b-bcce-b302099a8057",
		.timestamp_ms = 1769903999123,
		.category = "restart",
		.agent_id = "agent-001",
		.app_id = "app-a",
		.command_id = "01890a5d-ac96-774b-bcce-b302099a8058",
		.actor = "operator@cli",
		.source_address = "127.0.0.1",
		.message = "app-a restarted on agent-001 by operator@cli",
		.details = details};
	struct store_head head = {.seq = 9};
	struct fleet_error err;

	begin();
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 0);
	CU_ASSERT_STRING_EQUAL(store_audit_head(store)->hash, ZEROS);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 0);
	store_on_audit(store, keep_event, told);
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_STRING_EQUAL(store_audit_head(store)->hash,
		"c531453bb7f1ebfbe9ec45fda1875c55eaa1f3962c3935a6326b36a33217954d");
	event = (struct audit_event){.event_id = "01890a5d-ac96-774b-bcce-b302099a8059",
		.timestamp_ms = 1769903999124,
		.category = "system",
		.message = "console started"};
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_STRING_EQUAL(store_audit_head(store)->hash,
		"a7d527b5429566e145fa026443f821773d8bf49ed9164985e00d3674cab9805c");
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 2);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 2);
	CU_ASSERT_STRING_EQUAL(head.hash, store_audit_head(store)->hash);

	/* what SSE and GET show is the same, hash included */
	CU_ASSERT_EQUAL(json_object_array_length(told), 2);
	{
		_cleanup_answer_ struct answer a = {0};

		store_audit_query(store, NULL, (struct store_page){0, NULL}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_TRUE(json_object_equal(
			json_object_array_get_idx(a.array, 0), json_object_array_get_idx(told, 1)));
		CU_ASSERT_TRUE(json_object_equal(
			json_object_array_get_idx(a.array, 1), json_object_array_get_idx(told, 0)));
		CU_ASSERT_STRING_EQUAL(fleet_json_string(json_object_array_get_idx(a.array, 1), "hash"),
			"c531453bb7f1ebfbe9ec45fda1875c55eaa1f3962c3935a6326b36a33217954d");
	}
	reopen();
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 2);
	CU_ASSERT_STRING_EQUAL(store_audit_head(store)->hash, head.hash);
	append_many(10);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 12);
	end();
}

static void test_an_event_counts_once(void)
{
	struct audit_event event = {.event_id = "01890a5d-ac96-774b-bcce-b302099a8057",
		.category = "agent",
		.agent_id = "agent-001",
		.message = "m",
		.spool_id = "01890a5d-ac96-774b-bcce-b302099a8000",
		.spool_seq = 1};
	struct answer a = {0};

	begin();
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(append(&event), 0);
	event.event_id = NULL; /* the same place in the spool under another id */
	CU_ASSERT_EQUAL(append(&event), 0);
	event.event_id = "01890a5d-ac96-774b-bcce-b302099a8057"; /* the same id in another place */
	event.spool_seq = 2;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 1);
	event.event_id = NULL; /* the same number in another agent's spool, and in another spool */
	event.agent_id = "agent-002";
	event.spool_seq = 1;
	CU_ASSERT_EQUAL(append(&event), 0);
	event.spool_id = "01890a5d-ac96-774b-bcce-b302099a8001";
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 3);
	/* twice in one transaction */
	event.spool_seq = 2;
	for (int i = 0; i < 10; i++)
		store_audit_append(store, &event, on_done, &a);
	pump_until(&a.came, 10);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 4);
	end();
}

static void test_bad_events_are_refused(void)
{
	struct json_object *deep = json_object_new_object(), *top = json_object_new_object();
	static const struct audit_event bad[] = {
		{.category = "nonsense", .message = "m"},
		{.category = NULL, .message = "m"},
		{.category = "system", .event_id = "not a uuid", .message = "m"},
		{.category = "agent",
			.spool_id = "01890a5d-ac96-774b-bcce-b302099a8000",
			.spool_seq = 1,
			.message = "m"},
		{.category = "agent",
			.agent_id = "a",
			.spool_id = "01890a5d-ac96-774b-bcce-b302099a8000",
			.message = "m"},
	};

	begin();
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(append(&bad[i]), -EINVAL);
	for (int i = 0; i < 40; i++) {
		struct json_object *outer = json_object_new_object();

		fleet_json_add(outer, "x", deep);
		deep = outer;
	}
	CU_ASSERT_EQUAL(append(&(struct audit_event){.category = "system", .message = "m", .details = deep}),
		-EINVAL);
	fleet_json_add_string(top, "x", "\xFF no text");
	CU_ASSERT_EQUAL(
		append(&(struct audit_event){.category = "system", .message = "m", .details = top}), -EINVAL);
	json_object_put(deep);
	json_object_put(top);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 0);
	end();
}

static void test_hostile_texts_keep_the_chain(void)
{
	static const char nasty[] = "two\nlines \x1b[31m \xFF \xC2\x9B '; DROP TABLE audit; -- %s %n";
	struct audit_event event = {
		.category = "system", .message = nasty, .actor = nasty, .agent_id = nasty, .app_id = nasty};
	_cleanup_answer_ struct answer a = {0};
	struct store_head head;
	struct fleet_error err;

	begin();
	CU_ASSERT_EQUAL(append(&event), 0);
	store_audit_query(store, &(struct audit_filter){.actor = "'; DROP TABLE audit; --"},
		(struct store_page){0, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(json_object_array_length(a.array), 0);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 1);
	end();
}

static void test_rows_cannot_be_changed_by_mistake(void)
{
	static const char *const tries[] = {
		"UPDATE audit SET message = 'x' WHERE seq = 2",
		"UPDATE audit SET seq = 9 WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 2",
		"DELETE FROM audit",
		"INSERT OR REPLACE INTO audit (seq, event_id, timestamp_ms, category, hash) VALUES (2, 'x', "
		"1, 'system', 'h')",
		"INSERT INTO audit (seq, event_id, timestamp_ms, category, hash) VALUES (9, 'x', 1, "
		"'system', 'h')",
		"INSERT INTO audit (seq, event_id, timestamp_ms, category, hash) VALUES (0, 'x', 1, "
		"'system', 'h')",
	};
	struct store_head head;
	struct fleet_error err;

	begin();
	append_many(3);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(tries); i++)
		CU_ASSERT_EQUAL(behind_the_back(tries[i]), SQLITE_CONSTRAINT);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 3);
	end();
}

static void test_verify_finds_every_change(void)
{
	static const char *const changes[] = {
		"UPDATE audit SET message = 'x' WHERE seq = 3",
		"UPDATE audit SET message = NULL WHERE seq = 3",
		"UPDATE audit SET event_id = '01890a5d-ac96-774b-bcce-b302099a8057' WHERE seq = 3",
		"UPDATE audit SET timestamp_ms = timestamp_ms + 1 WHERE seq = 3",
		"UPDATE audit SET category = 'config' WHERE seq = 3",
		"UPDATE audit SET agent_id = 'agent-002' WHERE seq = 3",
		"UPDATE audit SET app_id = 'x' WHERE seq = 3",
		"UPDATE audit SET command_id = 'x' WHERE seq = 3",
		"UPDATE audit SET actor = 'x' WHERE seq = 3",
		"UPDATE audit SET source_address = 'x' WHERE seq = 3",
		"UPDATE audit SET details = '{}' WHERE seq = 3",
		"UPDATE audit SET details = 'no json' WHERE seq = 3",
		"UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE seq = 3",
		"UPDATE audit SET hash = 'short' WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 1",
		"UPDATE audit SET seq = 30 WHERE seq = 3",
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(changes); i++) {
		struct store_head head = {.seq = 77};
		struct fleet_error err;
		const char *row = i == 15 ? "row 2" : i >= 14 ? "row 4" : "row 3";

		begin();
		append_many(5);
		close_store();
		CU_ASSERT_EQUAL(behind_the_back("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete"),
			SQLITE_OK);
		CU_ASSERT_EQUAL(behind_the_back(changes[i]), SQLITE_OK);
		CU_ASSERT_EQUAL(verify(&head, &err), -EBADMSG);
		CU_ASSERT_EQUAL(head.seq, 77);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, row));
		if (!strstr(err.message, row))
			printf("# %s: %s\n", changes[i], err.message);
		open_store();
		end();
	}
}

/* A chain without its newest rows holds; who has seen the head knows better. */
static void test_a_witness_sees_lost_rows(void)
{
	struct store_head witness, head;
	struct fleet_error err;

	begin();
	append_many(5);
	witness = *store_audit_head(store);
	CU_ASSERT_EQUAL(contains(witness.seq, witness.hash), 1);
	CU_ASSERT_EQUAL(contains(0, ZEROS), 1);
	CU_ASSERT_EQUAL(contains(0, witness.hash), 0);
	CU_ASSERT_EQUAL(contains(witness.seq - 1, witness.hash), 0);
	CU_ASSERT_EQUAL(contains(witness.seq + 1, witness.hash), 0);
	CU_ASSERT_EQUAL(contains(-1, "'"), 0);
	close_store();
	CU_ASSERT_EQUAL(
		behind_the_back("DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE seq > 3"), SQLITE_OK);
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, 3);
	open_store();
	CU_ASSERT_EQUAL(contains(witness.seq, witness.hash), 0);
	append_many(2); /* the same number again, but not the same row */
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, witness.seq);
	CU_ASSERT_EQUAL(contains(witness.seq, witness.hash), 0);
	end();
}

static void test_verify_without_a_log(void)
{
	struct store_head head;
	struct fleet_error err;

	begin();
	close_store();
	CU_ASSERT_EQUAL(behind_the_back("DROP TRIGGER audit_no_delete; DROP TABLE audit"), SQLITE_OK);
	CU_ASSERT_TRUE(verify(&head, &err) < 0);
	CU_ASSERT_TRUE(strlen(err.message) > 0);
	{
		_cleanup_free_ char *path = xasprintf("%s/console.db", directory);

		CU_ASSERT_EQUAL(unlink(path), 0);
	}
	CU_ASSERT_EQUAL(verify(&head, &err), -ENOENT);
	remove_directory();
	free(TAKE_PTR(directory));
}

static void test_spools_are_held_up_to_the_first_gap(void)
{
	static const int64_t order[] = {2, 1, 5, 4, 7, 3, 6}, expected[] = {0, 2, 2, 2, 2, 5, 7};
	const char *spool = "01890a5d-ac96-774b-bcce-b302099a8000";
	struct audit_event event = {
		.category = "agent", .agent_id = "agent-001", .message = "m", .spool_id = spool};

	begin();
	CU_ASSERT_EQUAL(held("agent-001", spool), 0);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(order); i++) {
		event.spool_seq = order[i];
		CU_ASSERT_EQUAL(append(&event), 0);
		CU_ASSERT_EQUAL(held("agent-001", spool), expected[i]);
	}
	CU_ASSERT_EQUAL(held("agent-002", spool), 0);
	reopen();
	CU_ASSERT_EQUAL(held("agent-001", spool), 7);
	event.spool_seq = INT64_MAX;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", spool), 7);
	end();
}

/* A spool that was put back to an earlier state goes on under another id and numbers what waits in it anew.
 */
static void test_repeated_events_do_not_hold_a_spool_up(void)
{
	static const char *const ids[] = {"01890a5d-ac96-774b-bcce-b302099a8051",
		"01890a5d-ac96-774b-bcce-b302099a8052", "01890a5d-ac96-774b-bcce-b302099a8053"};
	static const char *const spools[] = {
		"01890a5d-ac96-774b-bcce-b302099a8001", "01890a5d-ac96-774b-bcce-b302099a8002"};
	struct audit_event event = {.category = "agent", .agent_id = "agent-001", .message = "m"};

	begin();
	for (size_t i = 0; i < 2 * FLEET_ARRAY_LEN(ids); i++) {
		event.spool_id = spools[i / FLEET_ARRAY_LEN(ids)];
		event.spool_seq = (int64_t)(i % FLEET_ARRAY_LEN(ids)) + 1;
		event.event_id = ids[i % FLEET_ARRAY_LEN(ids)];
		CU_ASSERT_EQUAL(append(&event), 0);
		CU_ASSERT_EQUAL(held("agent-001", event.spool_id), event.spool_seq);
		CU_ASSERT_STRING_EQUAL(held_event_id, i < FLEET_ARRAY_LEN(ids) ? event.event_id : "");
	}
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 3);
	event.spool_seq = 5; /* a repeat behind a gap: the gap is not forgotten */
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", event.spool_id), 3);
	event.event_id = NULL;
	event.spool_seq = 4;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", event.spool_id), 4);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 4);
	event.event_id = ids[0];
	event.spool_seq = 5;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", event.spool_id), 5);
	end();
}

static void test_audit_filters(void)
{
	begin();
	for (int i = 0; i < 20; i++) {
		const struct audit_event event = {.category = i % 2 ? "request" : "restart",
			.timestamp_ms = 1000 * (i + 1),
			.agent_id = i % 4 < 2 ? "agent-001" : "agent-002",
			.app_id = i % 5 ? "app-a" : "app-b",
			.actor = i < 10 ? "x@cli" : "y@api",
			.command_id = i == 7 ? "01890a5d-ac96-774b-bcce-b302099a8057" : NULL,
			.message = "m"};

		CU_ASSERT_EQUAL(append(&event), 0);
	}
	CU_ASSERT_EQUAL(audit_count(NULL), 20);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.hide_requests = true}), 10);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.category = "request"}), 10);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.category = "request", .hide_requests = true}), 0);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.agent_id = "agent-001"}), 10);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.app_id = "app-b"}), 4);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.actor = "y@api", .category = "restart"}), 5);
	CU_ASSERT_EQUAL(
		audit_count(&(struct audit_filter){.command_id = "01890a5d-ac96-774b-bcce-b302099a8057"}), 1);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.from_ms = 5000, .to_ms = 7000}), 3);
	CU_ASSERT_EQUAL(audit_count(&(struct audit_filter){.agent_id = "nobody"}), 0);
	end();
}

static void test_audit_pages(void)
{
	static const char *const bad[] = {
		"", "a", "x5", "a-1", "a5x", "c5", "5", "a99999999999999999999", "a5 OR 1=1"};
	_cleanup_answer_ struct answer a = {0};
	int64_t expected = 25;
	size_t pages = 0;

	begin();
	append_many(25);
	do {
		char cursor[64];

		memcpy(cursor, a.next, sizeof(cursor));
		a.came = 0;
		store_audit_query(store, NULL, (struct store_page){10, pages ? cursor : NULL}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_EQUAL_FATAL(a.result, 0);
		for (size_t i = 0; i < json_object_array_length(a.array); i++)
			CU_ASSERT_EQUAL(
				fleet_json_int(json_object_array_get_idx(a.array, i), "seq", 0), expected--);
		pages++;
	} while (a.next[0] && pages < 10);
	CU_ASSERT_EQUAL(expected, 0);
	CU_ASSERT_EQUAL(pages, 3);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		a.came = 0;
		store_audit_query(store, NULL, (struct store_page){10, bad[i]}, on_list, &a);
		pump_until(&a.came, 1);
		CU_ASSERT_EQUAL(a.result, -EINVAL);
	}
	a.came = 0;
	store_audit_query(store, NULL, (struct store_page){0, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_EQUAL(json_object_array_length(a.array), 20); /* the contract's default */
	a.came = 0;
	store_audit_query(store, NULL, (struct store_page){25, NULL}, on_list, &a);
	pump_until(&a.came, 1);
	CU_ASSERT_STRING_EQUAL(a.next, ""); /* exactly full is the end */
	end();
}

/* What an agent said before could not be kept: nothing of his behind it is, though it is in the queue; until
 * he comes again. What others said is, and what nobody's order is about. */
static void test_nothing_is_kept_behind_a_gap(void)
{
	static const char spool[] = "01890a5d-ac96-774b-bcce-b302099a8000";
	struct audit_event event = {.category = "agent",
		.agent_id = "agent-001",
		.message = "m",
		.spool_id = spool,
		.in_order = true};
	const struct audit_event others = {.category = "agent",
					 .agent_id = "agent-002",
					 .message = "m",
					 .in_order = true},
				 ours = {.category = "agent", .agent_id = "agent-001", .message = "m"};
	struct audit_event outcome = {
		.category = "restart", .agent_id = "agent-001", .message = "its end", .in_order = true};
	_cleanup_json_ struct json_object *result = json_tokener_parse("{\"success\": true}");
	struct answer kept = {0}, lost = {0}, behind = {0}, end_of_it = {0};
	struct command *c = new_command();

	begin();
	CU_ASSERT_EQUAL(create(c, NULL, NULL), 0);
	outcome.command_id = c->id;
	event.spool_seq = 1;
	store_audit_append(store, &event, on_done, &kept);
	event.event_id = "no id";
	event.spool_seq = 2;
	store_audit_append(store, &event, on_done, &lost);
	event.event_id = NULL;
	event.spool_seq = 3;
	store_audit_append(store, &event, on_done, &behind);
	store_command_finish(
		store, c->id, COMMAND_SUCCEEDED, result, "done", 1000, 2000, &outcome, on_done, &end_of_it);
	store_audit_append(store, &others, on_done, &kept);
	store_audit_append(store, &ours, on_done, &kept);
	pump_until(&kept.came, 3);
	pump_until(&end_of_it.came, 1);
	CU_ASSERT_EQUAL(kept.result, 0);
	CU_ASSERT_EQUAL(lost.result, -EINVAL);
	CU_ASSERT_EQUAL(behind.result, -ECANCELED);
	CU_ASSERT_EQUAL(end_of_it.result, -ECANCELED);
	store_agent_returns(store, "agent-001");
	CU_ASSERT_EQUAL(held("agent-001", spool), 1);
	event.spool_seq = 2;
	CU_ASSERT_EQUAL(append(&event), 0);
	event.spool_seq = 3;
	CU_ASSERT_EQUAL(append(&event), 0);
	CU_ASSERT_EQUAL(held("agent-001", spool), 3);
	CU_ASSERT_EQUAL(finish(c->id, COMMAND_SUCCEEDED, "{\"success\": true}"), 0);
	command_unref(c);
	end();
}

static const struct unit_test tests[] = {UNIT_TEST(test_chain_is_the_documented_one),
	UNIT_TEST(test_an_event_counts_once), UNIT_TEST(test_bad_events_are_refused),
	UNIT_TEST(test_hostile_texts_keep_the_chain), UNIT_TEST(test_rows_cannot_be_changed_by_mistake),
	UNIT_TEST(test_verify_finds_every_change), UNIT_TEST(test_a_witness_sees_lost_rows),
	UNIT_TEST(test_verify_without_a_log), UNIT_TEST(test_spools_are_held_up_to_the_first_gap),
	UNIT_TEST(test_repeated_events_do_not_hold_a_spool_up), UNIT_TEST(test_nothing_is_kept_behind_a_gap),
	UNIT_TEST(test_audit_filters), UNIT_TEST(test_audit_pages), {0}};

int main(void)
{
	return run_with_loop((const struct unit_suite[]){{"store audit", tests}, {0}});
}
