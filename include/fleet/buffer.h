/* A growing run of bytes, always followed by a NUL that does not count. Embedded; any thread. */
#ifndef FLEET_BUFFER_H
#define FLEET_BUFFER_H
#include "fleet/base.h"

struct fleet_buffer {
	char *data; /* owned; NULL while nothing was added */
	size_t len, capacity;
};
#define FLEET_BUFFER_INIT                                                                                    \
	{                                                                                                    \
		NULL, 0, 0                                                                                   \
	}

void fleet_buffer_add(struct fleet_buffer *b, const void *data, size_t len);
void fleet_buffer_add_string(struct fleet_buffer *b, const char *text);
void fleet_buffer_printf(struct fleet_buffer *b, const char *fmt, ...) FLEET_PRINTF(2, 3);
void fleet_buffer_truncate(struct fleet_buffer *b, size_t len);
/* Hands the bytes over (caller frees; "" where nothing was added) and leaves b empty. */
char *fleet_buffer_take(struct fleet_buffer *b, size_t *ret_len);
void fleet_buffer_done(struct fleet_buffer *b);
#define _cleanup_buffer_ _cleanup_(fleet_buffer_done)

#endif
