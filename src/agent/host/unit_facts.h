/* What the host itself must know of a unit, beside what the driver does with it: whose user its processes
 * have, so that the app's own commands run as that one, and how long systemd itself waits for its stop and
 * start, so that the host does not give up earlier. Asked of systemctl. Blocks; used in children of the host.
 */
#ifndef HOST_UNIT_FACTS_H
#define HOST_UNIT_FACTS_H
#include "agent/host/apps.h"

struct unit_facts {
	char user[64], group[64],
		groups[256];       /* user: never root; "" none but root, or none that exists now */
	int64_t start_ms, stop_ms; /* INT64_MAX for ever; -1 not known */
};

/* Is the app a unit of a systemd that runs here? */
bool unit_facts_apply(const struct app *app);
int unit_facts_read(const struct app *app, struct unit_facts *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* What `systemctl show` printed. Pure. */
void unit_facts_parse(const char *text, struct unit_facts *ret);
/* "1min 30s", "5.500s", "infinity"; -1 where it is no such text. Pure. */
int64_t unit_facts_span_ms(const char *text);
/* How long one stop, start, restart or reload of the app may take: what its declaration says, else what its
 * unit does, within APP_TIMEOUT_MAX_MS, else APP_TIMEOUT_MS. */
int64_t unit_facts_timeout_ms(const struct app *app);

#endif
