/* The store's thread: answers in order, what was told survives a kill, a disk that is full. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "console/store_schema.h"
#include "test_store_fixture.h"

/* --- the thread ------------------------------------------------------------------------------------- */

struct order {
	size_t next, came;
	size_t failed;
};
struct ticket {
	struct order *order;
	size_t number;
	bool must_fail;
};

static void on_ticket(int result, const struct fleet_error *err, void *arg)
{
	struct ticket *t = arg;

	(void)err;
	CU_ASSERT_EQUAL(t->number, t->order->next);
	CU_ASSERT_EQUAL(result < 0, t->must_fail);
	t->order->next++;
	t->order->came++;
	t->order->failed += result < 0;
}

/* Two thousand requests at once, every seventh a bad one: answers in order, the good ones unharmed. */
static void test_answers_come_in_order(void)
{
	enum { COUNT = 2000 };
	_cleanup_free_ struct ticket *tickets = xcalloc(COUNT, sizeof(*tickets));
	struct order order = {0};
	struct store_head head;
	struct fleet_error err;

	begin();
	for (size_t i = 0; i < COUNT; i++) {
		const struct audit_event event = {.category = i % 7 ? "system" : "nonsense", .message = "m"};

		tickets[i] = (struct ticket){&order, i, i % 7 == 0};
		store_audit_append(store, &event, on_ticket, &tickets[i]);
	}
	pump_until(&order.came, COUNT);
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, (int64_t)(COUNT - order.failed));
	CU_ASSERT_EQUAL(verify(&head, &err), 0);
	CU_ASSERT_EQUAL(head.seq, (int64_t)(COUNT - order.failed));
	end();
}

static void ask_again(int result, const struct fleet_error *err, void *arg)
{
	struct answer *a = arg;
	const struct audit_event event = {.category = "system", .message = "from a callback"};

	take_error(a, result, err);
	if (a->came == 1)
		store_audit_append(store, &event, ask_again, a);
}

static void test_close_answers_everybody(void)
{
	const struct audit_event event = {.category = "system", .message = "m"};
	struct answer many = {0}, again = {0};

	begin();
	for (int i = 0; i < 600; i++)
		store_audit_append(store, &event, on_done, &many);
	store_audit_append(store, &event, ask_again, &again);
	store_close(store); /* `store` stays set: a callback asks it once more */
	store = NULL;
	CU_ASSERT_EQUAL(many.came, 600);
	CU_ASSERT_EQUAL(many.result, 0);
	CU_ASSERT_EQUAL(again.came, 2);
	CU_ASSERT_EQUAL(again.result, -ESHUTDOWN);
	open_store();
	CU_ASSERT_EQUAL(store_audit_head(store)->seq, 601);
	end();
	store_close(NULL);
}

static void test_one_console_a_directory(void)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct store *second = NULL;
	struct stat st;
	_cleanup_free_ char *path = NULL, *version = NULL;

	begin();
	CU_ASSERT_EQUAL(store_open(base, directory, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NULL(second);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, directory));
	path = xasprintf("%s/console.db", directory);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_TRUE(store_open(base, "/dev/null/x", &second, &err) < 0);
	close_store();
	CU_ASSERT_EQUAL(behind_the_back("PRAGMA user_version = 99"), SQLITE_OK);
	CU_ASSERT_EQUAL(store_open(base, directory, &second, &err), -EPROTO);
	version = xasprintf("PRAGMA user_version = %zu", store_migration_count);
	CU_ASSERT_EQUAL(behind_the_back(version), SQLITE_OK);
	open_store();
	end();
}

/* --- death and a full disk, each in a process of its own -------------------------------------------- */

static void tell_pipe(int result, const struct fleet_error *err, void *arg)
{
	int fd = *(int *)arg;

	(void)err;
	if (result == 0 && write(fd, "x", 1) != 1)
		_exit(1);
}

/* Appends for ever and tells of each committed event by a byte. */
static void append_until_killed(int fd)
{
	const struct audit_event event = {
		.category = "system", .message = "before the end", .agent_id = "agent-001"};

	base = event_base_new();
	if (store_open(base, directory, &store, NULL) < 0)
		_exit(1);
	for (;;) {
		for (int i = 0; i < 5; i++)
			store_audit_append(store, &event, tell_pipe, &fd);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

static void test_what_was_told_survives_kill(void)
{
	for (int round = 0; round < 5; round++) {
		struct store_head head;
		struct fleet_error err;
		int fds[2];
		int64_t told = 0;
		char bytes[64];
		ssize_t n;
		pid_t pid;

		begin();
		close_store();
		CU_ASSERT_EQUAL_FATAL(pipe2(fds, O_CLOEXEC), 0);
		fflush(NULL);
		pid = fork();
		CU_ASSERT_FATAL(pid >= 0);
		if (pid == 0)
			append_until_killed(fds[1]);
		(void)close(fds[1]);
		while (told < 20 + 37 * round) {
			struct pollfd p = {.fd = fds[0], .events = POLLIN};

			CU_ASSERT_EQUAL_FATAL(poll(&p, 1, DEADLINE_MS), 1);
			n = read(fds[0], bytes, sizeof(bytes));
			CU_ASSERT_FATAL(n > 0);
			told += n;
		}
		CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
		CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
		while ((n = read(fds[0], bytes, sizeof(bytes))) > 0)
			told += n;
		(void)close(fds[0]);
		CU_ASSERT_EQUAL(verify(&head, &err), 0);
		CU_ASSERT_TRUE(head.seq >= told);
		open_store();
		CU_ASSERT_EQUAL(store_audit_head(store)->seq, head.seq);
		append_many(1);
		end();
	}
}

/* The file may not grow: requests fail with a sentence, the store lives, and goes on when there is room. */
static int fill_the_disk(void)
{
	_cleanup_free_ char *big = xcalloc(1, 20001);
	struct rlimit limit = {300000, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct audit_event event = {.category = "system", .message = big};
	struct answer a = {0};
	struct store_head before, head;
	struct fleet_error err;

	memset(big, 'x', 20000);
	base = event_base_new();
	signal(SIGXFSZ, SIG_IGN);
	if (!freopen("/dev/null", "w", stderr)) /* the store logs what it could not commit */
		return 9;
	if (store_open(base, directory, &store, NULL) < 0)
		return 1;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return 2;
	for (int i = 0; i < 100 && a.result == 0; i++) {
		a = (struct answer){0};
		store_audit_append(store, &event, on_done, &a);
		pump_until(&a.came, 1);
	}
	if (a.result >= 0 || !a.err.message[0])
		return 3;
	before = *store_audit_head(store);
	/* a question that waits together with what cannot be written is answered all the same */
	a = (struct answer){0};
	store_heartbeat_add(store, "agent-001", 1, event.details);
	store_audit_append(store, &event, NULL, NULL);
	store_audit_contains(store, before.seq, before.hash, on_done, &a);
	pump_until(&a.came, 1);
	if (a.result != 1)
		return 8;
	if (before.seq == 0 || store_audit_verify(directory, &head, &err) < 0 || head.seq != before.seq)
		return 4;
	if (setrlimit(RLIMIT_FSIZE, &none) < 0)
		return 5;
	a = (struct answer){0};
	store_audit_append(store, &event, on_done, &a);
	pump_until(&a.came, 1);
	if (a.result != 0 || store_audit_head(store)->seq != before.seq + 1)
		return 6;
	store_close(store);
	return store_audit_verify(directory, &head, &err) == 0 && head.seq == before.seq + 1 ? 0 : 7;
}

static void test_full_disk(void)
{
	int status = -1;
	pid_t pid;

	begin();
	close_store();
	fflush(NULL);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0)
		_exit(fill_the_disk());
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	if (status)
		printf("# ended with status %d\n", WEXITSTATUS(status));
	open_store();
	end();
}

static const struct unit_test tests[] = {UNIT_TEST(test_answers_come_in_order),
	UNIT_TEST(test_close_answers_everybody), UNIT_TEST(test_one_console_a_directory),
	UNIT_TEST(test_what_was_told_survives_kill), UNIT_TEST(test_full_disk), {0}};

int main(void)
{
	return run_with_loop((const struct unit_suite[]){{"store thread", tests}, {0}});
}
