#include "agent/notify.h"
#include "fleet/log.h"
#include "fleet/notify.h"

static const struct agent_config *service;

/* A lost notification is no reason to do anything else: systemd has its own deadlines. */
static void tell(const char *text)
{
	int r = service ? fleet_notify(service->notify_socket, text) : 0;

	if (r < 0)
		log_debug("cannot notify systemd: %s", strerror(-r));
}

static void on_pulse(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	tell("WATCHDOG=1");
}

void notify_init(const struct agent_config *config)
{
	service = config;
}

void notify_ready(struct event_base *base, struct event **ret_pulse)
{
	uint64_t watchdog_us = service ? service->watchdog_us : 0;
	struct event *pulse = NULL;

	if (watchdog_us > 1) {
		struct timeval half = {.tv_sec = (time_t)(watchdog_us / 2000000),
			.tv_usec = (suseconds_t)(watchdog_us / 2 % 1000000)};

		pulse = event_new(base, -1, EV_PERSIST, on_pulse, NULL);
		if (!pulse || event_add(pulse, &half) < 0)
			log_error("cannot set a timer for systemd's watchdog, which will restart the agent");
	}
	tell("READY=1");
	*ret_pulse = pulse;
}

void notify_status(const char *fmt, ...)
{
	static char last[512];
	char text[512] = "STATUS=";
	size_t prefix = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text + prefix, sizeof(text) - prefix, fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++) {
		if (*p == '\n')
			*p = ' ';
	}
	if (strcmp(text, last) == 0)
		return;
	memcpy(last, text, sizeof(last));
	tell(text);
}

void notify_stopping(void)
{
	tell("STOPPING=1\nSTATUS=Stopping");
}
