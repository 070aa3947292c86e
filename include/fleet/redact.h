/* Taking values out of texts that people and logs will read: the error of a driver, the last words of a
 * service. What is taken out reads `***`. Pure; one thread per object. */
#ifndef FLEET_REDACT_H
#define FLEET_REDACT_H
#include "fleet/json.h"

struct fleet_redact {
	char **texts; /* owned */
	size_t count, capacity;
	bool sorted;
};
#define FLEET_REDACT_INIT                                                                                    \
	{                                                                                                    \
		NULL, 0, 0, false                                                                            \
	}

/* A value of fewer than 4 bytes ("on", "7") is a word of any sentence and stays; one of up to 7 is taken out
 * where it stands as a word, a longer one wherever it stands. */
void fleet_redact_add(struct fleet_redact *r, const char *text, size_t len);
/* The plain values in a value, strings also as a JSON file has them: a driver quotes the one that it stumbles
 * over, not the whole. Keys may be told. */
void fleet_redact_add_json(struct fleet_redact *r, struct json_object *value);
/* text without them; owned. */
char *fleet_redact(struct fleet_redact *r, const char *text);
/* Does any of them stand in it? */
bool fleet_redact_finds(struct fleet_redact *r, const char *text);
void fleet_redact_done(struct fleet_redact *r);

#endif
