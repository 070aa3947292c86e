/* The spool's promises: what was kept is there after a kill -9, numbers have no gaps, nothing is kept twice,
 * acks are idempotent, bounds refuse and never drop, damage is told. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include "agent/spool.h"
#include "fleet/message.h"
#include "unit.h"

static char dir[64];

static void make_dir(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/fleet-unit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

static void remove_dir(void)
{
	static const char *const names[] = {"spool.db", "spool.db-wal", "spool.db-shm", "spool.db.damaged",
		"spool.db.damaged-wal", "spool.db.damaged-shm", "lock"};
	char path[128];

	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static struct spool *open_spool(int64_t max_rows)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct spool *s = NULL;
	char *lost = NULL;
	int r = spool_open(dir, max_rows, &s, &lost, &err);

	if (r < 0)
		printf("# %s\n", err.message);
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_PTR_NULL(lost);
	return s;
}

static struct json_object *new_event(void)
{
	struct json_object *m = fleet_message_new(FLEET_MESSAGE_AUDIT_EVENT);

	fleet_json_add_string(m, "eventId", fleet_uuid_new().text);
	fleet_json_add_string(m, "category", "agent");
	fleet_json_add_string(m, "message", "something happened");
	return m;
}

static int add_event(struct spool *s)
{
	_cleanup_json_ struct json_object *m = new_event();

	return spool_add_event(s, m, NULL);
}

static struct json_object *new_result(const char *command_id)
{
	struct json_object *m = fleet_message_new(FLEET_MESSAGE_COMMAND_RESULT);

	fleet_json_add_string(m, "commandId", command_id);
	fleet_json_add_string(m, "command", "restart-app");
	fleet_json_add_string(m, "appId", "app-a");
	fleet_json_add_bool(m, "success", true);
	return m;
}

static int add_result(struct spool *s, const char *command_id)
{
	_cleanup_json_ struct json_object *m = new_result(command_id);

	return spool_add_result(s, m, NULL);
}

/* What an iteration saw; each text must be a message that the console takes. */
struct seen {
	int count;
	int64_t first, last;
	bool gap, invalid;
	char last_text[512];
};

static void see(int64_t position, const char *id, const char *text, void *arg)
{
	struct seen *seen = arg;
	_cleanup_json_ struct json_object *m = NULL;
	enum fleet_message_type type;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_message_parse(text, strlen(text), FLEET_AGENT_TO_CONSOLE, &type, &m, &err) < 0) {
		printf("# %s: %s\n", err.message, text);
		seen->invalid = true;
	}
	if (!str_equal(id, fleet_json_string(m, type == FLEET_MESSAGE_AUDIT_EVENT ? "eventId" : "commandId")))
		seen->invalid = true;
	if (type == FLEET_MESSAGE_AUDIT_EVENT && fleet_json_int(m, "seq", 0) != position)
		seen->invalid = true;
	if (seen->count == 0)
		seen->first = position;
	else if (position != seen->last + 1)
		seen->gap = true;
	seen->last = position;
	seen->count++;
	(void)snprintf(seen->last_text, sizeof(seen->last_text), "%s", text);
}

static struct seen see_events(struct spool *s, int64_t after, int limit)
{
	struct seen seen = {0};

	CU_ASSERT_EQUAL(spool_each_event(s, after, limit, see, &seen, NULL), seen.count);
	CU_ASSERT_FALSE(seen.gap);
	CU_ASSERT_FALSE(seen.invalid);
	return seen;
}

static struct seen see_results(struct spool *s)
{
	struct seen seen = {0};

	CU_ASSERT_EQUAL(spool_each_result(s, 0, INT64_MAX, 1000, see, &seen, NULL), seen.count);
	CU_ASSERT_FALSE(seen.invalid);
	return seen;
}

static void test_refuses_second_agent(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct spool *s, *second = NULL;
	char *lost = NULL;

	make_dir();
	s = open_spool(0);
	CU_ASSERT_EQUAL(spool_open(dir, 0, &second, &lost, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "another agent works in"));
	CU_ASSERT_PTR_NULL(second);
	spool_close(s);
	spool_close(open_spool(0));
	remove_dir();
}

static void test_refuses_missing_directory(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct spool *s = NULL;
	char *lost = NULL;

	CU_ASSERT_EQUAL(spool_open("/nonexistent/dir", 0, &s, &lost, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/nonexistent/dir"));
}

static void test_refuses_messages_without_id(void)
{
	_cleanup_json_ struct json_object *m = json_object_new_object();
	struct spool *s;

	make_dir();
	s = open_spool(0);
	CU_ASSERT_EQUAL(spool_add_event(s, m, NULL), -EINVAL);
	CU_ASSERT_EQUAL(spool_add_result(s, m, NULL), -EINVAL);
	spool_close(s);
	remove_dir();
}

static void test_damaged_spool_is_put_aside(void)
{
	char path[128], before[64];
	struct fleet_error err = FLEET_ERROR_INIT;
	struct spool *s;
	char *lost = NULL;
	int fd;

	make_dir();
	s = open_spool(0);
	(void)snprintf(before, sizeof(before), "%s", spool_id(s));
	CU_ASSERT_EQUAL(add_event(s), 0);
	spool_close(s);
	(void)snprintf(path, sizeof(path), "%s/spool.db", dir);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	CU_ASSERT_EQUAL(write(fd, "this is no database at all, whatever it once was", 48), 48);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(spool_open(dir, 0, &s, &lost, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(lost);
	CU_ASSERT_PTR_NOT_NULL(strstr(lost, "spool.db.damaged"));
	CU_ASSERT_STRING_NOT_EQUAL(spool_id(s), before); /* the console sees that numbering begins anew */
	CU_ASSERT_EQUAL(spool_events(s), 0);
	CU_ASSERT_EQUAL(add_event(s), 0);
	free(lost);
	spool_close(s);
	remove_dir();
}

static void test_numbers_without_gaps_across_restarts(void)
{
	struct spool *s;
	struct seen seen;
	char id[64];

	make_dir();
	s = open_spool(0);
	(void)snprintf(id, sizeof(id), "%s", spool_id(s));
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(add_event(s), 0);
	CU_ASSERT_EQUAL(spool_ack(s, 5, NULL, NULL, NULL), 0); /* all gone: the next must still be 6 */
	spool_close(s);
	s = open_spool(0);
	CU_ASSERT_STRING_EQUAL(spool_id(s), id);
	CU_ASSERT_EQUAL(spool_acked_seq(s), 5);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(add_event(s), 0);
	seen = see_events(s, 0, 100);
	CU_ASSERT(seen.count == 3 && seen.first == 6 && seen.last == 8);
	seen = see_events(s, 6, 1);
	CU_ASSERT(seen.count == 1 && seen.first == 7);
	spool_close(s);
	remove_dir();
}

static void test_event_is_kept_once(void)
{
	_cleanup_json_ struct json_object *m = new_event();
	struct spool *s;

	make_dir();
	s = open_spool(0);
	CU_ASSERT_EQUAL(spool_add_event(s, m, NULL), 0);
	CU_ASSERT_EQUAL(
		spool_add_event(s, m, NULL), 0); /* the host did not hear `stored` and says it again */
	CU_ASSERT_EQUAL(spool_events(s), 1);
	CU_ASSERT_EQUAL(spool_ack(s, 1, NULL, NULL, NULL), 0);
	CU_ASSERT_EQUAL(spool_add_event(s, m, NULL), 0); /* even after it left */
	CU_ASSERT_EQUAL(spool_events(s), 0);
	CU_ASSERT_EQUAL(spool_last_seq(s), 1);
	spool_close(s);
	remove_dir();
}

static void test_first_result_stays_and_ends_running(void)
{
	struct fleet_uuid a = fleet_uuid_new(), b = fleet_uuid_new();
	_cleanup_json_ struct json_object *first = new_result(a.text), *second = new_result(a.text);
	struct json_object *running;
	struct spool *s;
	struct seen seen;

	fleet_json_add_string(first, "message", "the first");
	fleet_json_add_string(second, "message", "the second");
	make_dir();
	s = open_spool(0);
	CU_ASSERT_EQUAL(spool_add_running(s, a.text, NULL), 0);
	CU_ASSERT_EQUAL(spool_add_running(s, a.text, NULL), 0);
	CU_ASSERT_EQUAL(spool_add_running(s, b.text, NULL), 0);
	CU_ASSERT_EQUAL(spool_add_result(s, first, NULL), 0);
	CU_ASSERT_EQUAL(spool_add_result(s, second, NULL), 0);
	CU_ASSERT_EQUAL(spool_add_running(s, a.text, NULL), 0); /* a late `accepted` does not bring it back */
	seen = see_results(s);
	CU_ASSERT_EQUAL(seen.count, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.last_text, "the first"));
	spool_close(s);
	s = open_spool(0);
	running = spool_running(s);
	CU_ASSERT_EQUAL_FATAL(json_object_array_length(running), 1);
	CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_array_get_idx(running, 0)), b.text);
	json_object_put(running);
	spool_close(s);
	remove_dir();
}

static void test_host_list_replaces_running(void)
{
	struct fleet_uuid a = fleet_uuid_new(), b = fleet_uuid_new(), c = fleet_uuid_new();
	_cleanup_json_ struct json_object *list = json_object_new_array(), *running = NULL;
	struct spool *s;

	fleet_json_append_string(list, b.text);
	fleet_json_append_string(list, c.text);
	make_dir();
	s = open_spool(0);
	CU_ASSERT_EQUAL(spool_add_running(s, a.text, NULL), 0);
	CU_ASSERT_EQUAL(add_result(s, c.text), 0);
	CU_ASSERT_EQUAL(spool_set_running(s, list, NULL), 0);
	running = spool_running(s);
	CU_ASSERT_EQUAL(
		json_object_array_length(running), 1); /* a is unknown to the host, c has its result here */
	CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_array_get_idx(running, 0)), b.text);
	CU_ASSERT_EQUAL(spool_set_running(s, NULL, NULL), 0);
	json_object_put(running);
	running = spool_running(s);
	CU_ASSERT_EQUAL(json_object_array_length(running), 0);
	spool_close(s);
	remove_dir();
}

static void test_acks(void)
{
	struct fleet_uuid a = fleet_uuid_new(), b = fleet_uuid_new();
	_cleanup_json_ struct json_object *ids = json_object_new_array();
	struct spool_head head = {.seq = 7, .hash = "abc"}, kept;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct spool *s;

	make_dir();
	s = open_spool(0);
	for (int i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(add_event(s), 0);
	CU_ASSERT_EQUAL(add_result(s, a.text), 0);
	CU_ASSERT_EQUAL(add_result(s, b.text), 0);
	CU_ASSERT_EQUAL(spool_ack(s, 11, NULL, NULL, &err), -EINVAL); /* never numbered */
	CU_ASSERT_EQUAL(spool_events(s), 10);
	fleet_json_append_string(ids, a.text);
	fleet_json_append_string(ids, fleet_uuid_new().text); /* never ours */
	for (int i = 0; i < 2; i++) {                         /* the second time it is a duplicate */
		CU_ASSERT_EQUAL(spool_ack(s, 4, ids, &head, &err), 0);
		CU_ASSERT_EQUAL(spool_events(s), 6);
		CU_ASSERT_EQUAL(spool_results(s), 1);
	}
	CU_ASSERT_EQUAL(spool_ack(s, 2, NULL, NULL, &err), 0); /* stale */
	CU_ASSERT_EQUAL(spool_ack(s, 0, NULL, NULL, &err), 0);
	CU_ASSERT_EQUAL(spool_events(s), 6);
	CU_ASSERT_EQUAL(see_events(s, 0, 100).first, 5);
	spool_close(s);
	s = open_spool(0);
	kept = spool_head(s);
	CU_ASSERT_EQUAL(kept.seq, 7);
	CU_ASSERT_STRING_EQUAL(kept.hash, "abc");
	CU_ASSERT(spool_events(s) == 6 && spool_results(s) == 1 && spool_acked_seq(s) == 4);
	spool_close(s);
	remove_dir();
}

static void test_bound_refuses_and_drops_nothing(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_json_ struct json_object *late = new_event();
	struct fleet_uuid id = fleet_uuid_new();
	struct spool *s;
	struct seen seen;

	make_dir();
	s = open_spool(3);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(add_event(s), 0);
	CU_ASSERT_EQUAL(spool_add_event(s, late, &err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "the spool is full"));
	CU_ASSERT_EQUAL(add_result(s, id.text), 0); /* results have room of their own */
	CU_ASSERT_EQUAL(spool_ack(s, 1, NULL, NULL, NULL), 0);
	CU_ASSERT_EQUAL(spool_add_event(s, late, &err), 0); /* the number that was refused was not used up */
	seen = see_events(s, 0, 100);
	CU_ASSERT(seen.count == 3 && seen.first == 2 && seen.last == 4);
	spool_close(s);
	remove_dir();
}

static void test_renewed_spool_numbers_anew(void)
{
	char before[64];
	struct spool *s;
	struct seen seen;

	make_dir();
	s = open_spool(0);
	for (int i = 0; i < 6; i++)
		CU_ASSERT_EQUAL(add_event(s), 0);
	CU_ASSERT_EQUAL(spool_ack(s, 2, NULL, NULL, NULL), 0);
	(void)snprintf(before, sizeof(before), "%s", spool_id(s));
	CU_ASSERT_EQUAL(spool_renew(s, NULL), 0);
	CU_ASSERT_STRING_NOT_EQUAL(spool_id(s), before);
	CU_ASSERT_EQUAL(add_event(s), 0);
	seen = see_events(s, 0, 100);
	CU_ASSERT(seen.count == 5 && seen.first == 1 && seen.last == 5);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.last_text, spool_id(s)));
	(void)snprintf(before, sizeof(before), "%s", spool_id(s));
	spool_close(s);
	s = open_spool(0);
	CU_ASSERT_STRING_EQUAL(spool_id(s), before);
	CU_ASSERT(spool_events(s) == 5 && spool_last_seq(s) == 5 && spool_acked_seq(s) == 0);
	spool_close(s);
	remove_dir();
}

static void test_notes(void)
{
	struct spool *s;

	make_dir();
	s = open_spool(0);
	CU_ASSERT_PTR_NULL(spool_note(s, "problems"));
	CU_ASSERT_EQUAL(spool_set_note(s, "problems", "a", NULL), 0);
	CU_ASSERT_EQUAL(spool_set_note(s, "problems", "b", NULL), 0);
	spool_close(s);
	s = open_spool(0);
	CU_ASSERT_STRING_EQUAL(spool_note(s, "problems"), "b");
	spool_close(s);
	remove_dir();
}

/* A child works on the spool, says on a pipe what is done, and is killed without warning at some step.
 * Whatever it said must be there; whatever it was in the middle of is there whole or not at all. */
static void work_until_killed(int report)
{
	struct spool *s = open_spool(0);

	for (int64_t i = 1;; i++) {
		struct fleet_uuid id = fleet_uuid_new();
		int64_t done = i;

		if (spool_add_running(s, id.text, NULL) < 0 || add_event(s) < 0 || add_result(s, id.text) < 0)
			_exit(1);
		if (write(report, &done, sizeof(done)) != sizeof(done))
			_exit(2);
		if (i % 3 == 0 && spool_ack(s, i / 2, NULL, NULL, NULL) < 0)
			_exit(3);
	}
}

static void test_survives_kill_at_any_step(void)
{
	int64_t events_before = 0, results_before = 0;

	make_dir();
	spool_close(open_spool(0));
	for (int round = 0; round < 12; round++) {
		int64_t done = 0, got, wanted = 1 + round % 5;
		_cleanup_json_ struct json_object *running = NULL;
		struct spool *s;
		int pipe_fds[2], status;
		pid_t pid;

		CU_ASSERT_EQUAL_FATAL(pipe2(pipe_fds, O_CLOEXEC), 0);
		fflush(stdout);
		pid = fork();
		CU_ASSERT_FATAL(pid >= 0);
		if (pid == 0)
			work_until_killed(pipe_fds[1]);
		close(pipe_fds[1]);
		while (done < wanted && read(pipe_fds[0], &got, sizeof(got)) == sizeof(got))
			done = got;
		usleep((useconds_t)(round * 317 %
				    1500)); /* somewhere else in its next step each time; any place will do */
		kill(pid, SIGKILL);
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_TRUE(WIFSIGNALED(status));
		while (read(pipe_fds[0], &got, sizeof(got)) == sizeof(got))
			done = got;
		close(pipe_fds[0]);
		s = open_spool(0);
		CU_ASSERT(spool_last_seq(s) - events_before >= done &&
			  spool_last_seq(s) - events_before <= done + 1);
		CU_ASSERT(spool_results(s) - results_before >= done &&
			  spool_results(s) - results_before <= done + 1);
		/* Events without gaps from the first that is not acked to the last that was numbered. */
		{
			struct seen seen = see_events(s, 0, 100000);

			CU_ASSERT_EQUAL(seen.count, spool_events(s));
			CU_ASSERT_EQUAL(seen.first, spool_acked_seq(s) + 1);
			CU_ASSERT_EQUAL(seen.last, spool_last_seq(s));
		}
		running = spool_running(s);
		CU_ASSERT((int)json_object_array_length(running) <= round + 1);
		events_before = spool_last_seq(s);
		results_before = spool_results(s);
		spool_close(s);
	}
	remove_dir();
}

static const struct unit_test tests[] = {
	UNIT_TEST(test_refuses_second_agent),
	UNIT_TEST(test_refuses_missing_directory),
	UNIT_TEST(test_refuses_messages_without_id),
	UNIT_TEST(test_damaged_spool_is_put_aside),
	UNIT_TEST(test_numbers_without_gaps_across_restarts),
	UNIT_TEST(test_event_is_kept_once),
	UNIT_TEST(test_first_result_stays_and_ends_running),
	UNIT_TEST(test_host_list_replaces_running),
	UNIT_TEST(test_acks),
	UNIT_TEST(test_bound_refuses_and_drops_nothing),
	UNIT_TEST(test_renewed_spool_numbers_anew),
	UNIT_TEST(test_notes),
	UNIT_TEST(test_survives_kill_at_any_step),
	{0},
};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"agent_spool", tests}, {0}});
}
