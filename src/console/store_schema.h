/* The tables of console.db, by version. Included by store_*.c only. */
#ifndef CONSOLE_STORE_SCHEMA_H
#define CONSOLE_STORE_SCHEMA_H
#include <stddef.h>

#define STORE_FILE "console.db"

extern const char *const store_migrations[];
extern const size_t store_migration_count;

#endif
