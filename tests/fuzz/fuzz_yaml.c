/* The reader of the admin's own files: every node is within the bounds, every complaint has its place. */
#include "fleet/limits.h"
#include "fleet/text.h"
#include "fleet/yaml.h"
#include "fuzz.h"

static unsigned nodes; /* an alias counts again each time */

static void walk(const struct fleet_yaml *y, const struct fleet_yaml_node *node, unsigned depth)
{
	FUZZ_CHECK(node->line > 0 && node->column > 0, "a node that stands nowhere");
	FUZZ_CHECK(depth <= FLEET_YAML_DEPTH_MAX, "deeper than allowed");
	if (node->kind == FLEET_YAML_SCALAR) {
		FUZZ_CHECK(fleet_text_is_utf8(node->text, strlen(node->text)), "a scalar that is not UTF-8");
		return;
	}
	if (++nodes > 20000)
		return; /* aliases of aliases: bounded in number, each shown once more here */
	for (size_t i = 0; i < node->count; i++) {
		if (node->kind == FLEET_YAML_MAPPING) {
			const char *key = node->keys[i]->text;
			const struct fleet_yaml_node *first = fleet_yaml_get(node, key);

			FUZZ_CHECK(first == node->values[i], "two values of '%s'", key);
		}
		walk(y, node->values[i], depth + 1);
	}
}

static void look(const struct fleet_yaml *y, const struct fleet_yaml_node *root)
{
	static const char *const names[] = {"text", "flag", "number", "time", "map", "list", NULL};
	const struct fleet_yaml_node *below = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *text = NULL;
	int64_t number = 7;
	bool flag = false;

	if (fleet_yaml_check_keys(y, root, names, &err) < 0)
		FUZZ_CHECK(str_starts(err.message, "f.yaml:"), "without a place: %s", err.message);
	if (fleet_yaml_get_string(y, root, "text", &text, &err) == 0 && text)
		FUZZ_CHECK(fleet_text_is_utf8(text, strlen(text)), "not UTF-8");
	if (fleet_yaml_get_bool(y, root, "flag", &flag, &err) < 0)
		FUZZ_CHECK(str_starts(err.message, "f.yaml:"), "without a place: %s", err.message);
	if (fleet_yaml_get_int(y, root, "number", 1, 10, &number, &err) == 0)
		FUZZ_CHECK(number >= 1 && number <= 10, "out of its bounds: %lld", (long long)number);
	if (fleet_yaml_get_duration_ms(y, root, "time", &number, &err) == 0)
		FUZZ_CHECK(number >= 0, "a time below zero");
	if (fleet_yaml_get_mapping(y, root, "map", &below, &err) == 0 && below)
		FUZZ_CHECK(below->kind == FLEET_YAML_MAPPING, "no mapping");
	below = NULL;
	if (fleet_yaml_get_sequence(y, root, "list", &below, &err) == 0 && below)
		FUZZ_CHECK(below->kind == FLEET_YAML_SEQUENCE, "no sequence");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(fleet_yaml_freep) struct fleet_yaml *y = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = fleet_yaml_parse((const char *)data, size, "f.yaml", &y, &err);

	if (r < 0) {
		FUZZ_CHECK(r == -EBADMSG && str_starts(err.message, "f.yaml:"), "%d: %s", r, err.message);
		return 0;
	}
	nodes = 0;
	if (fleet_yaml_root(y)) {
		walk(y, fleet_yaml_root(y), 1);
		if (fleet_yaml_root(y)->kind == FLEET_YAML_MAPPING)
			look(y, fleet_yaml_root(y));
	}
	return 0;
}
