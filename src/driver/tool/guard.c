#include "driver/tool/guard.h"
#include <sys/mman.h>

struct fleet_bytes guard_copy(struct guard *g, struct fleet_bytes in)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (in.len + page - 1) / page * page;
	char *map = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED || mprotect(map + size, page, PROT_NONE) < 0)
		abort(); /* as xmalloc does */
	*g = (struct guard){map, size + page};
	if (in.len > 0)
		memcpy(map + size - in.len, in.data, in.len);
	return (struct fleet_bytes){map + size - in.len, in.len};
}

void guard_done(struct guard *g)
{
	if (g->map)
		(void)munmap(g->map, g->size); /* ours: it cannot fail */
	*g = (struct guard){NULL, 0};
}

void guard_edits(struct guarded_edits *g, const struct fleet_edit *edits, size_t count)
{
	*g = (struct guarded_edits){
		xcalloc(count + 1, sizeof(*g->items)), xcalloc(2 * count + 1, sizeof(*g->guards)), count};
	for (size_t i = 0; i < count; i++) {
		g->items[i] = edits[i];
		g->items[i].path = guard_copy(&g->guards[2 * i], edits[i].path);
		g->items[i].value = guard_copy(&g->guards[2 * i + 1], edits[i].value);
	}
}

void guard_edits_done(struct guarded_edits *g)
{
	for (size_t i = 0; i < 2 * g->count; i++)
		guard_done(&g->guards[i]);
	free(g->guards);
	free(g->items);
	*g = (struct guarded_edits){NULL, NULL, 0};
}
