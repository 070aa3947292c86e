/* Identifiers: UUIDv7 for messages, commands and events (RFC 9562 section 5.7: sortable by time), and the
 * check of names that people choose. Any thread. */
#ifndef FLEET_IDS_H
#define FLEET_IDS_H
#include "fleet/base.h"
#include "fleet/limits.h"

struct fleet_uuid {
	char text[FLEET_UUID_LEN + 1]; /* lower case */
};

/* Later calls in one process sort after earlier ones, also within a millisecond. */
struct fleet_uuid fleet_uuid_new(void);
bool fleet_uuid_is_valid(const char *text);
/* [A-Za-z0-9][A-Za-z0-9._-]*, at most FLEET_ID_MAX: agent ids, app ids, driver names. */
bool fleet_id_is_valid(const char *text);
/* Bytes from the kernel's random source; ends the program if it has none. */
void fleet_random(void *out, size_t len);

#endif
