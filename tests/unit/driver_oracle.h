/* An independent reader as the judge of what a format driver wrote: a Python program
 * (tests/unit/NAME_oracle.py) is given each old text, edit and new text as a line of JSON, reads them its own
 * way, and tells what differs. */
#ifndef DRIVER_ORACLE_H
#define DRIVER_ORACLE_H
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

struct oracle {
	const char *name; /* borrowed: "yaml" */
	char path[64];
	FILE *file;
	unsigned tried, wrong, skipped; /* what it told, after oracle_ask() */
};

/* Begins a list of cases in a temporary file. Fails the test where it cannot. */
bool oracle_open(struct oracle *o, const char *name);
/* One case; takes the object. */
void oracle_add(struct oracle *o, struct json_object *takes_case);
/* For the members of a case; a new object. */
struct json_object *oracle_text(const char *text, size_t len);
/* Asks, and tells its findings. False, with the test marked as skipped, only where there is no python3 or no
 * module of that name (NULL: none is needed); a reader that failed fails the test. */
bool oracle_ask(struct oracle *o, const char *module);

#endif
