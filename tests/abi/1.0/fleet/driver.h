/* The driver ABI of Fleet, major version 1: everything that a driver and its host say to each other.
 *
 * A driver is one shared object NAME.so that exports exactly one symbol, the data object `fleet_driver_v1`
 * (use FLEET_DRIVER_DEFINE). It offers one or both roles: *format* (reads and edits one config file format,
 * on bytes) and *service* (asks and tells a service manager). It needs this header and nothing else of Fleet.
 *
 * HOW IT IS CALLED. Every call runs in a process of its own, made for that call: the host forks, closes every
 * descriptor, loads the driver, calls one function, takes the answer over a pipe and ends the process with
 * _exit(). So: nothing kept in memory survives a call, nothing needs to be freed for the host's sake,
 * destructors do not run, and a driver that crashes, hangs, exits or leaks costs that one call only. stdin,
 * stdout and stderr are /dev/null; use fleet_log(). One thread calls; a driver may not count on being able to
 * make others.
 *
 * WITH WHAT RIGHTS. Format role: user nobody without capabilities (when the host is root), no way to get
 * privileges, no child processes. From the first byte of the file on, memory is all that is left: any system
 * call but those for memory, for the answer and for the end kills the process. Service role: the host's
 * rights (root on a server), no network but loopback, working directory `/`. Being asked what it is
 * (the host looks at each driver once): as the format role, before its init; constructors in the .so run with
 * these rights too.
 *
 * THE RULES THAT KEEP BINARIES WORKING within a major version:
 *  - the first 8 bytes of struct fleet_driver_v1 never change, in any major version; the symbol's name holds
 * the major;
 *  - every struct that crosses begins with its size and only ever grows at its end. Ask FLEET_HAS or
 * FLEET_CAN before you touch a member that is newer than ABI 1.0. (fleet_bytes, fleet_option and fleet_edit
 * have no size and never grow.) What the other side left out counts as zero or NULL;
 *  - fixed-width integers only: no enum, bool, FILE *, time_t or third-party type crosses;
 *  - nobody frees the other side's memory: what you are given is borrowed for the call, what you answer goes
 *    into the host's sinks, which copy;
 *  - every text carries its length, or is a NUL-terminated array of fixed size; texts are UTF-8.
 *
 * ERRORS. Functions return 0, or a negative errno after filling *err with one sentence for a person: what is
 * wrong, on what, what to do; without final full stop, and never with a value from a config file in it, which
 * might be a secret. Where it is about a place in a file, line and column are set and the sentence does not
 * repeat them. fleet_driver_fail() does all this in one line. A sink or progress that returns a negative
 * errno wants the driver to stop: return that errno. -EOPNOTSUPP: the driver cannot do this at all. -EINVAL:
 * the input or an edit is not acceptable. -ETIMEDOUT: out of time.
 *
 * KEY PATHS name a value in a file: `Logging.LogLevel.Default`, `servers[0].port`. Names are joined by `.`;
 * `[n]` is the n-th element of an array, from 0; `[+]`, in edits only, is a new last element. In a name `.`
 * is written `\.`, `[` is `\[`, a backslash is `\\`, and the empty name is `\e`. Each value has exactly one
 * spelling (`[7]`, never `[07]`). The empty path is the document itself. A path has at most 1024 bytes and
 * 128 parts. */
#ifndef FLEET_DRIVER_H
#define FLEET_DRIVER_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FLEET_DRIVER_ABI_MAJOR 1u
#define FLEET_DRIVER_ABI_MINOR 0u

#ifdef __cplusplus
extern "C" {
#define FLEET_DRIVER_EXTERN extern "C"
#else
#define FLEET_DRIVER_EXTERN extern
#endif

/* True when the other side's struct is long enough to have MEMBER. */
#define FLEET_HAS(p, member)                                                                                 \
	((p) != NULL && (size_t)(p)->size >= offsetof(__typeof__(*(p)), member) + sizeof((p)->member))
/* The same for a function or pointer, which must also be set. */
#define FLEET_CAN(p, member) (FLEET_HAS(p, member) && (p)->member != NULL)

/* A run of bytes. data is never NULL when it comes from the host, not NUL-terminated, and may hold NUL bytes.
 */
struct fleet_bytes {
	const char *data;
	uint64_t len;
};

/* One `key: value` that the admin wrote for this driver in the app's YAML (config_options, service_options;
 * and service_name, for the service role). Both NUL-terminated. A driver ignores keys that it does not know.
 */
struct fleet_option {
	const char *key;
	const char *value;
};

/* What a value is. INTEGER is a number written without fraction and exponent, of any size. */
enum {
	FLEET_TYPE_STRING,
	FLEET_TYPE_INTEGER,
	FLEET_TYPE_NUMBER,
	FLEET_TYPE_BOOLEAN,
	FLEET_TYPE_NULL,
	FLEET_TYPE_ARRAY,
	FLEET_TYPE_OBJECT
};

enum { FLEET_EDIT_SET, FLEET_EDIT_UNSET };

/* One change of a file. The host has already decided the type of the new value. value: the bytes of a string,
 * else JSON text (`8080`, `true`, `null`, `{}`, `[1,2]`; numbers are to be written as they are spelled here).
 * kind is FLEET_EDIT_*, type FLEET_TYPE_*; for UNSET, value is empty and type 0. */
struct fleet_edit {
	struct fleet_bytes path, value;
	uint32_t kind, type;
};

/* The driver's sentence for a person. The host allocates it, zeroed but for size. */
struct fleet_driver_error {
	uint32_t size;
	int32_t code; /* negative errno; what the function returned counts, this is for the sentence */
	uint32_t line, column; /* 1-based, column in bytes; 0 where it is not about a place in a file */
	char message[240];     /* NUL-terminated */
};

/* Where an answer goes; the host's own, opaque. Valid for the call. */
struct fleet_sink;

enum { FLEET_LOG_LEVEL_ERROR, FLEET_LOG_LEVEL_WARNING, FLEET_LOG_LEVEL_INFO, FLEET_LOG_LEVEL_DEBUG };

/* The host's side of a call: given to every function, valid until it returns. Read-only; call its functions
 * from the thread that was called. Every function pointer of ABI 1.0 is set. */
struct fleet_host {
	uint32_t size;
	uint16_t abi_major, abi_minor;
	/* The app that the call is for, as declared on the server; "" while the driver itself is being looked
	 * at. */
	const char *app_id;
	/* A directory of this (app, driver) pair alone: exists, survives calls and reboots, owned by the
	 * host's user, mode 0700. NULL for the format role, which keeps no state. */
	const char *state_dir;
	const struct fleet_option *options; /* option_count of them; see fleet_driver_option() */
	uint32_t option_count;
	/* A line for the host's log, which names driver and app itself. level is FLEET_LOG_LEVEL_*. text is
	 * copied and cut at 512 bytes; past 200 lines a call the rest is dropped. */
	void (*log)(const struct fleet_host *, int32_t level, const char *text);
	/* Appends bytes to an answer of bytes (edit, version). Any number of calls, in order. 0; -E2BIG past
	 * 4 MiB in all; -EINVAL a sink of another kind; -EPIPE nobody listens any more. */
	int32_t (*emit)(struct fleet_sink *, const void *data, uint64_t len);
	/* Adds one setting to the answer of read. path: a key path, complete and escaped. value as in
	 * fleet_edit, where a non-empty array or object appears by its members only. Errors as emit; -EINVAL
	 * also for a path that breaks the rules of key paths or an unknown type. */
	int32_t (*emit_setting)(
		struct fleet_sink *, struct fleet_bytes path, struct fleet_bytes value, uint32_t type);
	/* How far a start, stop or restart is: percent 0 to 100 and a few words ("waiting for the old
	 * process"). 0, or a negative errno to stop. */
	int32_t (*progress)(const struct fleet_host *, uint32_t percent, const char *text);
	/* Milliseconds that are left to the driver, 0 when it must come to an end now: it has a moment (at
	 * least 100 ms) to cancel what it began and to say so before its process is killed. */
	int64_t (*remaining_ms)(const struct fleet_host *);
	/* Adds one line to the answer of logs, without line end, oldest first. unix_ms: 0 where unknown;
	 * priority: syslog's 0 to 7, or -1. Errors as emit. */
	int32_t (*emit_line)(struct fleet_sink *, int64_t unix_ms, int32_t priority, struct fleet_bytes text);
};

/* flags of fleet_format_ops: the format knows text only. read answers FLEET_TYPE_STRING for every value, and
 * the host asks edit to write strings only (`--set port=8080` sets the text 8080). Of a name that stands in
 * the file several times, read says either the same path several times (only the last counts) or, where each
 * counts, an array: `key[0]`, `key[1]`; one that is left alone is `key` again, and `key[+]` adds to it. */
#define FLEET_FORMAT_TEXT_ONLY 1u

/* The format role: pure functions over bytes. No file, clock, network, environment or randomness: the same
 * input gives the same answer. All but init are required. `in` is the whole file, of at most 1 MiB, and may
 * be empty or hostile. */
struct fleet_format_ops {
	uint32_t size;
	uint32_t flags; /* FLEET_FORMAT_* */

	/* Says everything that the file says: one emit_setting for each value, in file order; an empty array
	 * or object is a value of its own (`[]`, `{}`), a name that the file has twice is said twice. 20000
	 * values at most. Fails with line and column where the file is malformed. */
	int32_t (*read)(const struct fleet_host *, struct fleet_bytes in, struct fleet_sink *settings,
		struct fleet_driver_error *);

	/* Applies n >= 1 edits in order, each to the outcome of the ones before, and emits the whole new
	 * file. What the edits do not name stays byte for byte: comments, order, quoting, indentation, line
	 * endings, the spelling of numbers, a missing last newline. A new key goes beside its siblings in
	 * their style, after the commented-out example of itself if there is one; missing parents are made.
	 * Setting a value to what it is already changes no byte. Unset takes the key with its own line, and
	 * everything below it; a name that is not there is no error. Of a name that stands there twice, set
	 * changes the last and unset takes all. -EINVAL: an index past the end, a member of something that is
	 * no object, or a place that cannot be edited safely. The host reads old and new bytes and compares:
	 * an edit that did more, less or something else is refused. */
	int32_t (*edit)(const struct fleet_host *, struct fleet_bytes in, const struct fleet_edit *edits,
		uint32_t n, struct fleet_sink *out, struct fleet_driver_error *);

	/* Is the file well-formed? 0, or -EINVAL with line, column and why. Everything that check accepts,
	 * read accepts. */
	int32_t (*check)(const struct fleet_host *, struct fleet_bytes in, struct fleet_driver_error *);

	/* May be NULL. Runs before each of the others, in the same process, without privileges but before the
	 * sandbox closes and before any byte of the file is shown: it may read the driver's own data files
	 * (schemas, lenses) into memory. Descriptors that it leaves open are closed. */
	int32_t (*init)(const struct fleet_host *, struct fleet_driver_error *);
};

/* What a service is doing. */
enum {
	FLEET_STATE_UNKNOWN, /* cannot tell; message says why */
	FLEET_STATE_RUNNING,
	FLEET_STATE_STOPPED, /* not running, and was not meant to */
	FLEET_STATE_FAILED,  /* not running, and not by wish */
	FLEET_STATE_STARTING,
	FLEET_STATE_STOPPING,
	FLEET_STATE_DONE /* ran to a successful end, and that is its healthy state */
};

/* A service's status. The host allocates it, zeroed but for size; 0 and "" say unknown. */
struct fleet_status {
	uint32_t size;
	uint32_t state;        /* FLEET_STATE_* */
	int32_t pid;           /* main process, or 0 */
	uint32_t restarts;     /* by the service manager itself, since the last start on demand */
	int64_t since_unix_ms; /* when it entered this state */
	uint64_t memory_bytes;
	char message[240]; /* for a person: why it failed, what it waits for; NUL-terminated */
	char instance[64]; /* changes with every start, the same until the next; "" cannot tell.
			      NUL-terminated */
};

/* The service role. Only status is required; what is NULL is answered with "not supported". start, stop and
 * restart return when the service manager's own work is done (a started service is up as far as the manager
 * can tell), not when it was asked; they go by remaining_ms, and on expiry cancel the job that they made and
 * return -ETIMEDOUT. Doing what is done already (start of a running service) is success. A failure's sentence
 * says how the service ended: "exited with status 1", "killed by SIGSEGV", "start limit hit". */
struct fleet_service_ops {
	uint32_t size;
	uint32_t flags; /* 0 */

	/* Fills *status. A service that does not exist is an error (-ENOENT); one that has failed is not.
	 * Must be quick: it is asked for every app at every heartbeat. */
	int32_t (*status)(const struct fleet_host *, struct fleet_status *, struct fleet_driver_error *);
	int32_t (*start)(const struct fleet_host *, struct fleet_driver_error *);
	int32_t (*stop)(const struct fleet_host *, struct fleet_driver_error *);
	/* NULL: the host calls stop, then start. */
	int32_t (*restart)(const struct fleet_host *, struct fleet_driver_error *);
	/* Emits the app's version, one line of UTF-8 text of at most 128 bytes, if the service manager knows
	 * it. */
	int32_t (*version)(const struct fleet_host *, struct fleet_sink *out, struct fleet_driver_error *);
	/* Makes the running service re-read its config. */
	int32_t (*reload)(const struct fleet_host *, struct fleet_driver_error *);
	/* Makes the service manager re-read its own definitions (daemon-reload), after a push has changed
	 * them. */
	int32_t (*reload_definitions)(const struct fleet_host *, struct fleet_driver_error *);
	/* emit_line()s the service's last `lines` log lines, no older than since_unix_ms (0: however old),
	 * oldest first. */
	int32_t (*logs)(const struct fleet_host *, uint32_t lines, int64_t since_unix_ms,
		struct fleet_sink *out, struct fleet_driver_error *);
};

/* The driver itself. Everything that it points to is constant and lives as long as the .so is loaded. */
struct fleet_driver_v1 {
	uint32_t size; /* these first 8 bytes never change */
	uint16_t abi_major, abi_minor;
	const char *name;    /* [A-Za-z0-9][A-Za-z0-9._-]*, at most 64 bytes; the file is NAME.so */
	const char *version; /* the driver's own, at most 128 bytes */
	const char *summary; /* one sentence for a person */
	const struct fleet_format_ops *format;   /* NULL: role absent */
	const struct fleet_service_ops *service; /* likewise; one of the two must be there */
};

/* The one exported symbol:
 *
 *	FLEET_DRIVER_DEFINE("toml-config", .version = "1.0", .summary = "TOML files", .format = &toml_ops);
 *
 * Build with -fvisibility=hidden, so that nothing else is exported. */
#define FLEET_DRIVER_DEFINE(id, ...)                                                                         \
	FLEET_DRIVER_EXTERN __attribute__((visibility("default")))                                           \
	const struct fleet_driver_v1 fleet_driver_v1;                                                        \
	const struct fleet_driver_v1 fleet_driver_v1 = {.size = sizeof(struct fleet_driver_v1),              \
		.abi_major = FLEET_DRIVER_ABI_MAJOR,                                                         \
		.abi_minor = FLEET_DRIVER_ABI_MINOR,                                                         \
		.name = id,                                                                                  \
		__VA_ARGS__}

/* What follows is the driver's own side: inline, nothing of it crosses. */

/* One line for the host's log, formatted here. Never a value from a config file: it may be a secret. */
__attribute__((format(printf, 3, 4))) static inline void fleet_log(
	const struct fleet_host *host, int32_t level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	host->log(host, level, text);
}

/* Fills *err and returns code (a negative errno), so that `return fleet_driver_fail(...)` reads well. line
 * and column: 0 where it is not about a place in a file. */
__attribute__((format(printf, 5, 6))) static inline int32_t fleet_driver_fail(
	struct fleet_driver_error *err, int32_t code, uint32_t line, uint32_t column, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	err->line = line;
	err->column = column;
	va_start(ap, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	return code;
}

/* The admin's value for key, or `otherwise` (which may be NULL) where there is none. Borrowed. */
static inline const char *fleet_driver_option(
	const struct fleet_host *host, const char *key, const char *otherwise)
{
	for (uint32_t i = 0; i < host->option_count; i++) {
		if (strcmp(host->options[i].key, key) == 0)
			return host->options[i].value;
	}
	return otherwise;
}

#ifdef __cplusplus
}
#endif
#endif
