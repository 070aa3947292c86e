#include "driver/sandbox.h"

#ifdef FLEET_UNSANDBOXED

int driver_sandbox_drop_privileges(struct fleet_error *err)
{
	(void)err;
	return 0;
}

int driver_sandbox_close(int pipe_fd, struct fleet_error *err)
{
	(void)pipe_fd;
	(void)err;
	return 0;
}

int driver_sandbox_close_reading(int pipe_fd, int file_fd, struct fleet_error *err)
{
	(void)file_fd;
	return driver_sandbox_close(pipe_fd, err);
}

#else

#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define NOBODY           65534 /* the kernel's own overflow id; no look-up, which would read files and load code */
#define MEMORY_MAX_BYTES (1024ul * 1024 * 1024)

/* linux/landlock.h of the build machine may be older than the kernel that runs us. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif
struct ruleset {
	uint64_t fs, net, scoped;
};
#define RULESET_VERSION 1u

static int cannot(struct fleet_error *err, int error, const char *what)
{
	return fleet_error_errno(err, -error, "cannot shut the driver's sandbox: %s", what);
}

static int limit(struct fleet_error *err, int resource, rlim_t max, const char *what)
{
	struct rlimit now;

	if (getrlimit(resource, &now) < 0)
		return cannot(err, errno, what);
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < max)
		max = now.rlim_max;
	if (setrlimit(resource, &(struct rlimit){max, max}) < 0)
		return cannot(err, errno, what);
	return 0;
}

int driver_sandbox_drop_privileges(struct fleet_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	int r;

	r = limit(err, RLIMIT_AS, MEMORY_MAX_BYTES, "memory limit");
	if (r == 0)
		r = limit(err, RLIMIT_NPROC, 0, "process limit");
	if (r < 0)
		return r;
	if (geteuid() == 0) {
		if (setgroups(0, NULL) < 0)
			return cannot(err, errno, "leaving root's groups");
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0)
			return cannot(err, errno, "leaving root's group");
		if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
			return cannot(err, errno, "becoming nobody");
	}
	if (syscall(SYS_capset, &header, none) < 0)
		return cannot(err, errno, "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return cannot(err, errno, "no_new_privs");
	return 0;
}

/* Handles every right that this kernel knows and allows none. */
static int landlock(struct fleet_error *err)
{
	static const uint64_t fs_by_version[] = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);
	struct ruleset all = {0};
	_cleanup_close_ int fd = -1;

	if (version < 1)
		return 0; /* a kernel without it: the filter below is the wall */
	all.fs = fs_by_version[version < 5 ? version : 5];
	all.net = version >= 4 ? 0x3 : 0;
	all.scoped = version >= 6 ? 0x3 : 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &all,
		version >= 6   ? sizeof(all)
		: version >= 4 ? 2 * sizeof(uint64_t)
			       : sizeof(uint64_t),
		0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return cannot(err, errno, "Landlock");
	return 0;
}

static int allow_plain(scmp_filter_ctx filter)
{
	static const int calls[] = {SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
		SCMP_SYS(futex), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn),
		/* the clock, for remaining_ms where the vdso cannot tell it */
		SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
		/* what abort() needs, so that a failed assertion is told as what it is */
		SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(getpid), SCMP_SYS(gettid),
		/* malloc, seeding itself */
		SCMP_SYS(getrandom)};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(calls); i++) {
		int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);

		if (r < 0)
			return r;
	}
	return 0;
}

/* With conditions on arguments: no executable memory, no file mapped, no descriptor but ours. */
static int allow_some(scmp_filter_ctx filter, int pipe_fd)
{
	const struct {
		int call;
		unsigned count;
		struct scmp_arg_cmp args[2];
	} rules[] = {
		{SCMP_SYS(mmap), 2,
			{SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)}},
		{SCMP_SYS(mprotect), 1, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)}},
		{SCMP_SYS(write), 1, {SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)pipe_fd)}},
		{SCMP_SYS(write), 1,
			{SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO)}}, /* /dev/null: libc's last words */
		{SCMP_SYS(writev), 1, {SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO)}},
		{SCMP_SYS(tgkill), 1, {SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())}},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(rules); i++) {
		int r = seccomp_rule_add_array(
			filter, SCMP_ACT_ALLOW, rules[i].call, rules[i].count, rules[i].args);

		if (r < 0)
			return r;
	}
	return 0;
}

/* file_fd: -1 none */
static int close_all(int pipe_fd, int file_fd, struct fleet_error *err)
{
	scmp_filter_ctx filter;
	int r;

	r = landlock(err);
	if (r < 0)
		return r;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return cannot(err, ENOMEM, "the filter of system calls");
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = allow_plain(filter);
	if (r == 0)
		r = allow_some(filter, pipe_fd);
	if (r == 0 && file_fd >= 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(pread64), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)file_fd));
	if (r == 0)
		r = seccomp_load(filter);
	if (r < 0)
		return cannot(err, -r, "the filter of system calls");
	seccomp_release(filter);
	return 0;
}

int driver_sandbox_close(int pipe_fd, struct fleet_error *err)
{
	return close_all(pipe_fd, -1, err);
}

int driver_sandbox_close_reading(int pipe_fd, int file_fd, struct fleet_error *err)
{
	return close_all(pipe_fd, file_fd, err);
}

#endif
