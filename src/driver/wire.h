/* What a call child says to its parent over the pipe: frames of one tag byte, a 32-bit length and the
 * payload, numbers in the machine's own order (both ends are one program). The parent trusts none of it: the
 * child's memory is the driver's too. */
#ifndef DRIVER_WIRE_H
#define DRIVER_WIRE_H
#include "fleet/base.h"
#include "fleet/driver.h"

enum wire_tag {
	WIRE_STAGE = 'G',    /* u8 enum driver_function: what is being called now */
	WIRE_ABOUT = 'V',    /* u32 roles, then name, version and summary, each with its NUL */
	WIRE_FLAGS = 'F',    /* u32 FLEET_FORMAT_* */
	WIRE_SETTING = 'S',  /* u32 type, u32 path length, path, value */
	WIRE_DATA = 'D',     /* bytes */
	WIRE_LINE = 'N',     /* i64 unix_ms, i32 priority, text */
	WIRE_STATUS = 'T',   /* struct wire_status */
	WIRE_LOG = 'L',      /* i32 level, text */
	WIRE_PROGRESS = 'P', /* u32 percent, text */
	WIRE_RESULT = 'R',   /* struct wire_result, message; closes the answer for one app */
};
#define WIRE_HEADER 5

struct wire_status {
	uint32_t state;
	int32_t pid;
	uint32_t restarts, reserved;
	int64_t since_unix_ms;
	uint64_t memory_bytes;
	char message[240], instance[64];
};
struct wire_result {
	int32_t result;
	uint32_t line, column;
};

/* What a child is asked to do. */
enum driver_function {
	DRIVER_FN_LOAD, /* stage only */
	DRIVER_FN_INIT, /* stage only */
	DRIVER_FN_DESCRIBE,
	DRIVER_FN_READ,
	DRIVER_FN_EDIT,
	DRIVER_FN_CHECK,
	DRIVER_FN_STATUS,
	DRIVER_FN_START,
	DRIVER_FN_STOP,
	DRIVER_FN_RESTART,
	DRIVER_FN_RELOAD,
	DRIVER_FN_RELOAD_DEFINITIONS,
	DRIVER_FN_VERSION,
	DRIVER_FN_LOGS,
	DRIVER_FN_LAST_END,
	DRIVER_FN_INSPECT_FORMAT, /* inspect.h */
	DRIVER_FN_INSPECT_STATUS,
	DRIVER_FN_COUNT,
};
const char *driver_function_to_string(enum driver_function function); /* "edit"; "?" out of range */

#define WIRE_LOG_TEXT_MAX 512

#endif
