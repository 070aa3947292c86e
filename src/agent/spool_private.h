/* What the two files of the spool share: spool_open.c opens the database and keeps single facts in it,
 * spool.c works on its rows. */
#ifndef AGENT_SPOOL_PRIVATE_H
#define AGENT_SPOOL_PRIVATE_H
#include "agent/spool.h"
#include "fleet/db.h"

struct spool {
	struct fleet_db *db;
	char id[FLEET_UUID_LEN + 1];
	int64_t max_rows, events, results;
	int64_t next_seq, acked_seq;
	struct spool_head head;
	char *note; /* the last answer of spool_note */
	int lock;   /* held while open: two agents in one directory would number events twice */
};

int spool_set_meta(
	struct spool *s, const char *key, const char *value, struct fleet_error *err) FLEET_MUST_CHECK;
int spool_set_meta_int(
	struct spool *s, const char *key, int64_t value, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
