/* Asks the driver host over its socket, as root: one connection, frames out and in, each wait with a
 * deadline. Blocks. */
#ifndef ADMIN_HOST_ASK_H
#define ADMIN_HOST_ASK_H
#include "fleet/message.h"

/* *ret_fd owned. */
int host_ask_connect(const char *path, int *ret_fd, struct fleet_error *err) FLEET_MUST_CHECK;
int host_ask_send(int fd, struct json_object *frame, struct fleet_error *err) FLEET_MUST_CHECK;
/* The next frame, checked; *ret owned. -ETIMEDOUT; -ECONNRESET: the host closed. until_ms: monotonic. */
int host_ask_receive(int fd, int64_t until_ms, enum fleet_message_type *ret_type, struct json_object **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Sends, and waits for the frame of that type (refId fits), for `refused` or for `error`: those are
 * -EREMOTEIO with what the host says. Other frames pass unheard. */
int host_ask_one(int fd, struct json_object *frame, enum fleet_message_type wanted, int64_t timeout_ms,
	struct json_object **ret, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
