/* One sentence for a person, and one number for the program. A function whose failure somebody will read
 * takes a `struct fleet_error *err` last (NULL: not wanted) and fills it with what was tried, on what, why
 * it failed and what to do next; callers wrap it with context on the way up. Any thread. */
#ifndef FLEET_ERROR_H
#define FLEET_ERROR_H
#include "fleet/base.h"

#define FLEET_ERROR_MESSAGE_MAX 1024

struct fleet_error {
	int code;                              /* negative errno; 0: no error */
	char message[FLEET_ERROR_MESSAGE_MAX]; /* no newline, no final full stop; cut with "..." where it does
						  not fit */
};
#define FLEET_ERROR_INIT                                                                                     \
	{                                                                                                    \
		0, ""                                                                                        \
	}

/* Fills *err and returns code (negative errno), so that `return fleet_error_set(...)` reads well. */
int fleet_error_set(struct fleet_error *err, int code, const char *fmt, ...) FLEET_PRINTF(3, 4);
/* The same with ": <text of the errno>" added. */
int fleet_error_errno(struct fleet_error *err, int code, const char *fmt, ...) FLEET_PRINTF(3, 4);
/* Puts "<text>: " before the message; returns err->code (or -EIO when err is NULL). */
int fleet_error_wrap(struct fleet_error *err, const char *fmt, ...) FLEET_PRINTF(2, 3);

#ifdef __clang_analyzer__
/* The static analyzer looks into one file at a time: here it learns that a code is negative and comes back.
 */
#define FLEET_ANALYZED_CODE(function, err, code, ...)                                                        \
	({                                                                                                   \
		const int code_ = (code);                                                                    \
		(void)(function)(err, code_, __VA_ARGS__);                                                   \
		if (code_ >= 0)                                                                              \
			__builtin_unreachable();                                                             \
		code_;                                                                                       \
	})
#define fleet_error_set(err, code, ...)   FLEET_ANALYZED_CODE(fleet_error_set, err, code, __VA_ARGS__)
#define fleet_error_errno(err, code, ...) FLEET_ANALYZED_CODE(fleet_error_errno, err, code, __VA_ARGS__)
#endif

/* Replaces every control character and invalid UTF-8 byte by `?`, in place: for texts from outside that go
 * into messages and logs. */
void fleet_text_sanitize(char *text);

#endif
