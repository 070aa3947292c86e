/* What the tests of the REST API share: one agent's path, and a look at how a request is refused. */
#ifndef TEST_CONSOLE_REST_H
#define TEST_CONSOLE_REST_H
#include "test_console_world.h"

#define AGENT "/api/agents/agent-001"

static inline bool problem(const struct world *w, const char *kind)
{
	const char *type = w->json ? world_text(w, "type") : NULL;
	size_t len = strlen(kind);

	return type && strlen(type) >= len && strcmp(type + strlen(type) - len, kind) == 0 &&
	       str_equal(w->content_type, "application/problem+json");
}

#endif
