/* Does in edit whatever the value of its first edit names: one animal for every way to misbehave. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "zoo.h"

static const struct fleet_host *host_now;
static struct fleet_sink *sink_now;
static struct fleet_driver_error *error_now;

static int32_t crash(void)
{
	volatile uintptr_t nowhere = 8; /* hidden from the compiler, which would warn */

	return *(volatile int *)nowhere;
}

static int32_t hang(void)
{
	for (volatile int forever = 1; forever;)
		;
	return 0;
}

static int32_t leave(void)
{
	exit(0);
}

static int32_t leave_at_once(void)
{
	_exit(7);
}

static int32_t abort_it(void)
{
	abort();
}

/* More than the host takes, going on after the host said no. */
static int32_t huge(void)
{
	static char block[1024 * 1024];

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 1024; i++)
		(void)host_now->emit(sink_now, block, sizeof(block));
	return 0;
}

static int32_t recurse_into(volatile int *depth)
{
	volatile int here[256];

	here[0] = *depth + 1;
	return here[0] < 0 ? 0 : recurse_into(here) + here[0];
}

static int32_t recurse(void)
{
	volatile int zero = 0;

	return recurse_into(&zero);
}

static int32_t close_pipe(void)
{
	(void)close(3);
	return 0;
}

static int32_t garbage(void)
{
	char bytes[4096];

	memset(bytes, 0xee, sizeof(bytes));
	(void)!write(3, bytes, sizeof(bytes));
	return 0;
}

/* A frame that says it is longer than anything may be, and one cut short. */
static int32_t long_frame(void)
{
	const unsigned char frame[] = {'D', 0xff, 0xff, 0xff, 0xff, 'x'};

	(void)!write(3, frame, sizeof(frame));
	return hang();
}

static int32_t cut_frame(void)
{
	const unsigned char frame[] = {'D', 10, 0, 0, 0, 'x'};

	(void)!write(3, frame, sizeof(frame));
	_exit(0);
}

/* A well-formed answer that is not its to give, and then its own. */
static int32_t two_results(void)
{
	const unsigned char frame[] = {'R', 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

	(void)!write(3, frame, sizeof(frame));
	return 0;
}

static int32_t setting_in_edit(void)
{
	const unsigned char frame[] = {'S', 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 'a'};

	(void)!write(3, frame, sizeof(frame));
	return 0;
}

static int32_t positive(void)
{
	return 42;
}

static int32_t silent(void)
{
	return -EIO;
}

static int32_t says_why(void)
{
	return fleet_driver_fail(error_now, -EINVAL, 3, 14, "a bad\nthing %s", "happened");
}

/* An error text without its NUL. */
static int32_t unterminated(void)
{
	memset(error_now->message, 'm', sizeof(error_now->message));
	return -EINVAL;
}

static int32_t wrong_sink(void)
{
	(void)host_now->emit_setting(sink_now, (struct fleet_bytes){"a", 1}, (struct fleet_bytes){"b", 1}, 0);
	return 0;
}

static int32_t open_file(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0 ? 0 : -EACCES;
}

static int32_t open_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : -EACCES;
}

static int32_t fork_off(void)
{
	return fork() >= 0 ? 0 : -EACCES;
}

static int32_t kill_parent(void)
{
	return (int32_t)syscall(SYS_kill, getppid(), 0) == 0 ? 0 : -EACCES;
}

static int32_t run_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
			       MAP_FAILED
		       ? 0
		       : -EACCES;
}

static int32_t use_memory(void)
{
	char *big = malloc(64 * 1024 * 1024);

	if (!big)
		return -ENOMEM;
	memset(big, 1, 64 * 1024 * 1024);
	big = realloc(big, 128 * 1024 * 1024);
	free(big);
	return host_now->emit(sink_now, "fine", 4);
}

static int32_t chatter(void)
{
	for (int i = 0; i < 10000; i++)
		fleet_log(host_now, FLEET_LOG_LEVEL_DEBUG, "line %d of too many", i);
	return host_now->emit(sink_now, "fine", 4);
}

static int32_t time_left(void)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%lld", (long long)host_now->remaining_ms(host_now));

	return host_now->emit(sink_now, text, (uint64_t)n);
}

static const struct {
	const char *name;
	int32_t (*act)(void);
} acts[] = {{"crash", crash}, {"hang", hang}, {"exit", leave}, {"_exit", leave_at_once}, {"abort", abort_it},
	{"huge", huge}, {"recurse", recurse}, {"close-pipe", close_pipe}, {"garbage", garbage},
	{"long-frame", long_frame}, {"cut-frame", cut_frame}, {"two-results", two_results},
	{"setting-in-edit", setting_in_edit}, {"positive", positive}, {"silent", silent},
	{"says-why", says_why}, {"unterminated", unterminated}, {"wrong-sink", wrong_sink},
	{"open", open_file}, {"socket", open_socket}, {"fork", fork_off}, {"kill", kill_parent},
	{"executable-memory", run_memory}, {"memory", use_memory}, {"chatter", chatter},
	{"time-left", time_left}};

static int32_t edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	(void)in;
	(void)n;
	host_now = host;
	sink_now = out;
	error_now = err;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (strlen(acts[i].name) == edits[0].value.len &&
			memcmp(acts[i].name, edits[0].value.data, edits[0].value.len) == 0)
			return acts[i].act();
	}
	return fleet_driver_fail(err, -EINVAL, 0, 0, "no such act");
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops), .read = zoo_read, .edit = edit, .check = zoo_check};
FLEET_DRIVER_DEFINE("bad-behaviour", .version = "1", .summary = "Misbehaves on demand", .format = &ops);
