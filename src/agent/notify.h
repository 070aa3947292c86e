/* What systemd is told (Type=notify): that the agent runs, what it is doing in one line (systemctl status),
 * and that its loop still turns (WatchdogSec=). Outside of systemd all of it does nothing. Event loop only.
 */
#ifndef AGENT_NOTIFY_H
#define AGENT_NOTIFY_H
#include <event2/event.h>
#include "agent/config.h"
#include "fleet/base.h"

/* Where systemd listens, and what watchdog it wants. Before this nothing is told. config is borrowed for
 * good. */
void notify_init(const struct agent_config *config);
/* READY=1, and the watchdog's pulse where systemd wants one; *ret_pulse owned (event_free), NULL without. */
void notify_ready(struct event_base *base, struct event **ret_pulse);
/* STATUS=; the same text twice is told once. */
void notify_status(const char *fmt, ...) FLEET_PRINTF(1, 2);
void notify_stopping(void);

#endif
