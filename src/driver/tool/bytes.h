/* What an edit did to the bytes of a file, judged without knowing the format: by where old and new differ,
 * and where the key and the value are spelled out near it. Where they are not, the benefit of the doubt is
 * the driver's. Pure. */
#ifndef TOOL_BYTES_H
#define TOOL_BYTES_H
#include "driver/tool/check.h"

/* Where two texts differ: old[start..old_end) became new[start..new_end). */
struct byte_span {
	size_t start, old_end, new_end;
};
struct byte_span bytes_span(struct fleet_bytes old, const struct fleet_buffer *new);
/* 1-based. */
unsigned bytes_line_at(struct fleet_bytes text, size_t at);

/* The length of the path of what a setting is a member of; SIZE_MAX where it is none, or an element. */
size_t bytes_parent_len(const char *path);

/* After a change of one value: the bytes that differ are the value's own. */
void bytes_judge_set(
	struct verdict *v, struct fleet_bytes in, const struct setting *old, const struct fleet_buffer *out);
/* After the unset of a setting that has its name to itself and siblings: only its own bytes went, and its own
 * lines. */
void bytes_judge_unset(
	struct verdict *v, struct fleet_bytes in, const struct setting *old, const struct fleet_buffer *out);

#endif
