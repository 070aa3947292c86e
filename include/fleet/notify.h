/* What a service tells systemd, sd_notify(3): one datagram to the socket that $NOTIFY_SOCKET names. Both
 * programs of a server use it; libsystemd and the six libraries that it loads would cost each of them a
 * megabyte for it. The environment is the caller's to read. Any thread. */
#ifndef FLEET_NOTIFY_H
#define FLEET_NOTIFY_H
#include "fleet/base.h"

/* socket: a path, '@' and an abstract name, or NULL: nobody wants to know, 0. state: VARIABLE=VALUE lines.
 * Blocks while systemd's queue is full, as the library does. -EINVAL for another kind of address. */
int fleet_notify(const char *socket, const char *state) FLEET_MUST_CHECK;

/* The watchdog's time in µs from the values of $WATCHDOG_USEC and $WATCHDOG_PID; 0: systemd wants none of us.
 */
uint64_t fleet_notify_watchdog_us(const char *usec, const char *pid);

#endif
