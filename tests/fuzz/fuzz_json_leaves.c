/* Values that operators give (--set, --set-json): taken apart into leaves, decided, and put into a list of
 * settings. */
#include "driver/json_leaves.h"
#include "driver/settings.h"
#include "fleet/text.h"
#include "fuzz.h"

static int add(struct fleet_bytes path, struct fleet_bytes value, uint32_t type, void *arg)
{
	FUZZ_CHECK(fleet_text_is_utf8(path.data, path.len) && fleet_text_is_utf8(value.data, value.len),
		"not UTF-8");
	return settings_add(arg, path, value, type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum settings_mode modes[] = {SETTINGS_AUTO, SETTINGS_STRING, SETTINGS_JSON};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct settings s = SETTINGS_INIT, after = SETTINGS_INIT;
	struct fuzz_text text = {(const char *)data, size}, first = {"", 0};
	_cleanup_free_ char *whole = xstrndup(text.data ? text.data : "", text.len), *line = NULL;
	int r = json_leaves("at", text.data ? text.data : "", text.len, add, &s, &err);

	FUZZ_CHECK(r != -EINVAL || *err.message, "refused without a sentence");
	(void)json_outer_type(text.data ? text.data : "", text.len);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(modes); i++) {
		_cleanup_free_ char *value = NULL;
		uint32_t type = 0;

		if (settings_decide(&s, "at.a", whole, modes[i], &type, &value, &err) == 0) {
			struct fleet_edit edit = {.path = {"at.new", 6},
				.value = {value, strlen(value)},
				.kind = FLEET_EDIT_SET,
				.type = type};

			after = (struct settings)SETTINGS_INIT;
			if (r == 0)
				FUZZ_CHECK(settings_apply(&s, &edit, 1, &after, &err) == 0 || s.count == 1 ||
						   err.code == -E2BIG,
					"decided, and then not taken: %s", err.message);
			settings_done(&after);
		}
	}
	if (r == 0)
		FUZZ_CHECK(settings_compare(&s, &s, &err) == 0, "not like itself: %s", err.message);
	(void)fuzz_next_line(&text, &first);
	line = xstrndup(first.data, first.len);
	text.data = text.data ? text.data : "";
	if (json_number_type(line, strlen(line)) >= 0) {
		char *rest = xstrndup(text.data, text.len);

		FUZZ_CHECK(json_numbers_equal(line, line), "'%s' is not itself", line);
		if (json_number_type(rest, strlen(rest)) >= 0)
			FUZZ_CHECK(json_numbers_equal(line, rest) == json_numbers_equal(rest, line),
				"'%s' and '%s'", line, rest);
		free(rest);
	}
	settings_done(&s);
	return 0;
}
