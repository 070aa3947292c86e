/* The signed query: what a person wants to see of an app, as the console asks the server for it. It travels
 * like a command and is none: it changes nothing, so it is neither numbered, kept nor repeated, and a second
 * copy of it within its short life is harmless. docs/protocol.md, "The signed query", is the text of the
 * same. Pure; any thread. */
#ifndef FLEET_QUERY_H
#define FLEET_QUERY_H
#include "fleet/message.h"

enum fleet_query { FLEET_QUERY_READ_LOGS, FLEET_QUERY_READ_CONFIG, FLEET_QUERY_COUNT };
/* "read-logs", "read-config": the words of an app's `allow` too. */
const char *fleet_query_to_string(enum fleet_query query);
int fleet_query_from_string(const char *text, enum fleet_query *ret) FLEET_MUST_CHECK;
/* The hub message that carries it. */
enum fleet_message_type fleet_query_message(enum fleet_query query);

/* Checks the payload of a query's JWS. A command's is none. */
int fleet_query_check(struct json_object *payload, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
