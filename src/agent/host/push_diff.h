/* What a dry run shows: the difference of the file's two versions, line by line, with every secret's value
 * gone from both. The driver itself writes a placeholder in each secret's place, and what it wrote is proven
 * as any edit is; where it cannot, there is no diff, only the reason. Blocks; operation children. */
#ifndef HOST_PUSH_DIFF_H
#define HOST_PUSH_DIFF_H
#include "agent/host/push.h"
#include "driver/settings.h"

/* Adds unifiedDiff (and unifiedDiffLeft where not all of it has room), or unifiedDiffNote, to the result. */
void push_diff_add(struct push *p, const struct settings *now, const struct settings *after);

#endif
