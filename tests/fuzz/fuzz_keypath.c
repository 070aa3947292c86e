/* Key paths and the patterns over them. One line is a path, a second one a pattern: what the paths' grammar
 * takes has one spelling, which can be put together again from its parts. */
#include "driver/json_leaves.h"
#include "driver/keypath.h"
#include "driver/settings.h"
#include "fleet/limits.h"
#include "fuzz.h"

/* The name that a part spells, without its escapes. */
static void unescape(const char *text, size_t len, struct fleet_buffer *ret)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\' && ++i < len && text[i] == 'e' && i == 1)
			continue;
		fleet_buffer_add(ret, text + i, 1);
	}
}

static void check_spelling(const struct fuzz_text *line, const struct keypath *path)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;

	for (size_t i = 0; i < path->count; i++) {
		const struct keypath_part *part = &path->parts[i];

		FUZZ_CHECK(part->start <= part->end && part->end <= line->len, "a part outside of its text");
		if (i == 0 && line->data[0] == '[' && part->kind == KEYPATH_NAME) { /* a document */
			fleet_buffer_add(&out, line->data, part->end);
		} else if (part->kind == KEYPATH_NAME) {
			_cleanup_buffer_ struct fleet_buffer name = FLEET_BUFFER_INIT;

			unescape(line->data + part->start, part->end - part->start, &name);
			json_path_add_name(&out, name.data ? name.data : "", name.len);
		} else if (part->kind == KEYPATH_INDEX) {
			fleet_buffer_printf(&out, "[%u]", part->index);
		} else {
			fleet_buffer_add_string(&out, "[+]");
		}
		FUZZ_CHECK(out.len == part->end && memcmp(out.data, line->data, out.len) == 0,
			"'%.*s' is also spelled '%s'", (int)line->len, line->data, out.data);
	}
	FUZZ_CHECK(out.len == line->len, "more than its parts");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_text rest = {(const char *)data, size}, line, pattern = {"**", 2};
	_cleanup_free_ char *path_text = NULL, *pattern_text = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct keypath path;
	enum keypath_kind kind;
	int r;

	if (!fuzz_next_line(&rest, &line))
		return 0;
	(void)fuzz_next_line(&rest, &pattern); /* the last word where there is none */
	r = keypath_parse(line.data, line.len, true, &path, &err);
	FUZZ_CHECK(r == 0 || (r == -EINVAL && *err.message), "%d: %s", r, err.message);
	path_text = xstrndup(line.data, line.len);
	pattern_text = xstrndup(pattern.data, pattern.len);
	(void)settings_path_matches(pattern_text, path_text);
	(void)settings_path_is_secret(path_text);
	if (r < 0)
		return 0;
	FUZZ_CHECK(path.count <= KEYPATH_PARTS_MAX, "%zu parts", path.count);
	check_spelling(&line, &path);
	if (memchr(line.data, '\0', line.len) || line.len > FLEET_KEY_PATH_MAX)
		return 0;
	FUZZ_CHECK(settings_path_matches("**", path_text), "'**' does not mean '%s'", path_text);
	FUZZ_CHECK(strchr(path_text, '*') || settings_path_matches(path_text, path_text),
		"'%s' does not mean itself", path_text);
	FUZZ_CHECK(!keypath_is_below(path_text, path_text, line.len, NULL), "below itself");
	for (size_t i = 0; i + 1 < path.count; i++) {
		FUZZ_CHECK(keypath_is_below(path_text, path_text, path.parts[i].end, &kind),
			"'%s' is not below its first %zu", path_text, path.parts[i].end);
		FUZZ_CHECK((kind == KEYPATH_NAME) == (path.parts[i + 1].kind == KEYPATH_NAME),
			"of another kind");
	}
	return 0;
}
