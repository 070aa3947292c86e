/* How values look to a person: states, times, sizes, ids. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H
#include "fleet/json.h"

/* A short text by value, so that several fit into one line's arguments. */
struct short_text {
	char text[72];
};

/* The member's text, or "?" where there is none: for sentences. Borrowed. */
const char *format_field(struct json_object *obj, const char *key);
/* "running" is "Running"; NULL is "Unknown". */
struct short_text format_status(const char *status);
/* The last six digits, as people name a command. */
struct short_text format_id(const char *command_id);
/* "8 min" since a time; "" where there is none. Times in the future are "0 s". */
struct short_text format_since(const char *time);
/* The same with " ago", or "now". */
struct short_text format_ago(const char *time);
/* Local time: "02:29" today, "2026-11-25 02:29" on another day; "" where there is none. */
struct short_text format_clock(const char *time);
/* Local time to the second: "2026-11-24 02:29:07". */
struct short_text format_date(const char *time);
struct short_text format_duration(int64_t ms);
/* Whole megabytes (2^20 bytes), as the contract's MEM (MB). */
struct short_text format_megabytes(int64_t bytes);
/* "812 bytes", "12.5 KB", "12.5 MB", "1.5 GB", of 2^10 each. */
struct short_text format_size(int64_t bytes);
/* "12.5 GB" of 2^30, for disks. */
struct short_text format_gigabytes(int64_t bytes);
/* "1 app", "2 apps". */
struct short_text format_count(size_t count, const char *one);

#endif
