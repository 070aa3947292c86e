/* How the tables of messages and commands are written, and what they share. For message*.c alone; pure. */
#ifndef FLEET_MESSAGE_TABLES_H
#define FLEET_MESSAGE_TABLES_H
#include "fleet/message.h"

#define REQ      FLEET_JSON_REQUIRED
#define OPT      0
#define NATURAL  .min = 0, .max = INT64_MAX
#define SENTENCE .max = 4 * FLEET_TEXT_MAX
#define WORD     .min = 1, .max = 128
#define FILEHASH .min = 71, .max = 71 /* sha256: and 64 digits */
#define HEXHASH  .min = 64, .max = 64

/* clang-format off */
#define TEXT(key, need, ...)	      {key, FLEET_JSON_STRING, need, __VA_ARGS__}
#define INT(key, need, ...)	      {key, FLEET_JSON_INTEGER, need, __VA_ARGS__}
#define NUM(key)		      {key, FLEET_JSON_NUMBER, OPT, .min = 0, .max = INT64_C(1) << 40}
#define BOOL(key, need)		      {key, FLEET_JSON_BOOLEAN, need, .min = 0}
#define TIME(key, need)		      {key, FLEET_JSON_TIME, need, .min = 0}
#define UUID(key, need)		      {key, FLEET_JSON_UUID, need, .min = 0}
#define ID(key, need)		      {key, FLEET_JSON_ID, need, .min = 0}
#define ONE_OF(key, need, words)      {key, FLEET_JSON_STRING, need, .one_of = words}
#define OBJECT(key, need, members)    {key, FLEET_JSON_OBJECT, need, .fields = members}
#define LIST(key, need, most, members) {key, FLEET_JSON_ARRAY, need, .max = most, .fields = members}
#define VALUES(key, need, most, of)   {key, FLEET_JSON_ARRAY, need, .max = most, .element = of}
/* clang-format on */

typedef const struct fleet_json_field fields;

struct message_type {
	const char *name;
	unsigned directions; /* a bit for each enum fleet_direction */
	const struct fleet_json_field *fields;
};

/* ---- message_types.c ---- */
extern const struct message_type message_types[]; /* FLEET_MESSAGE_TYPE_COUNT of them */
extern fields message_no_fields[];

/* ---- message_command.c ---- */
extern const char *const message_actions[]; /* ends with NULL */

#endif
