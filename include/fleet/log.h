/* The program's own log: one event, one line, on stderr. Under journald (JOURNAL_STREAM set) each line is
 * prefixed with its <priority>; FLEET_LOG_FORMAT_JSON writes one JSON object a line instead. Texts from
 * outside are escaped, so that one event can never look like two. Any thread; async-signal-unsafe. */
#ifndef FLEET_LOG_H
#define FLEET_LOG_H
#include "fleet/base.h"

enum fleet_log_level { FLEET_LOG_ERROR, FLEET_LOG_WARN, FLEET_LOG_INFO, FLEET_LOG_DEBUG };
enum fleet_log_format { FLEET_LOG_FORMAT_TEXT, FLEET_LOG_FORMAT_JSON };

/* program: borrowed for the life of the process. Call once, before the first line. */
void fleet_log_init(const char *program, enum fleet_log_level level, enum fleet_log_format format);
void fleet_log_set_level(enum fleet_log_level level);
/* "error", "warn", "info" or "debug"; -EINVAL otherwise. */
int fleet_log_level_from_string(const char *text, enum fleet_log_level *ret_level) FLEET_MUST_CHECK;

void fleet_log_write(enum fleet_log_level level, const char *fmt, ...) FLEET_PRINTF(2, 3);

#define log_error(...) fleet_log_write(FLEET_LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  fleet_log_write(FLEET_LOG_WARN, __VA_ARGS__)
#define log_info(...)  fleet_log_write(FLEET_LOG_INFO, __VA_ARGS__)
#define log_debug(...) fleet_log_write(FLEET_LOG_DEBUG, __VA_ARGS__)

#endif
