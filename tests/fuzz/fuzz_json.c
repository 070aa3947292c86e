/* JSON from outside: what the parser takes has one canonical form, within the bounds of fleet/limits.h. */
#include "fleet/json.h"
#include "fleet/limits.h"
#include "fuzz.h"

static const char *const colours[] = {"red", "green", NULL};
static const struct fleet_json_field inner_fields[] = {
	{"n", FLEET_JSON_INTEGER, FLEET_JSON_REQUIRED, .min = -5, .max = 5},
	{"t", FLEET_JSON_TIME, FLEET_JSON_NULLABLE, .min = 0},
	{0},
};
static const struct fleet_json_field fields[] = {
	{"s", FLEET_JSON_STRING, 0, .min = 1, .max = 8},
	{"colour", FLEET_JSON_STRING, 0, .one_of = colours},
	{"number", FLEET_JSON_NUMBER, 0, .min = 0},
	{"flag", FLEET_JSON_BOOLEAN, 0, .min = 0},
	{"uuid", FLEET_JSON_UUID, 0, .min = 0},
	{"id", FLEET_JSON_ID, FLEET_JSON_NULLABLE, .min = 0},
	{"inner", FLEET_JSON_OBJECT, 0, .fields = inner_fields},
	{"list", FLEET_JSON_ARRAY, 0, .max = 3, .fields = inner_fields},
	{"map", FLEET_JSON_OBJECT, 0, .max = 3, .element = FLEET_JSON_STRING},
	{"any", FLEET_JSON_ANY, 0, .min = 0},
	{0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ struct json_object *value = NULL, *again = NULL;
	_cleanup_free_ char *canonical = NULL, *twice = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	size_t len, len_twice, text_len;
	const char *text;
	int r = fleet_json_parse((const char *)data, size, FLEET_MESSAGE_MAX, &value, &err);

	if (r < 0) {
		FUZZ_CHECK(r == -EBADMSG || r == -E2BIG, "%d: %s", r, err.message);
		FUZZ_CHECK(*err.message, "%d without a sentence", r);
		return 0;
	}
	FUZZ_CHECK(!fleet_json_is_deeper(value, FLEET_JSON_DEPTH_MAX), "deeper than allowed");
	canonical = fleet_json_canonical(value, &len);
	r = fleet_json_parse(canonical, len, SIZE_MAX, &again, &err);
	FUZZ_CHECK(r == 0, "its canonical form is refused: %s\n%s", err.message, canonical);
	twice = fleet_json_canonical(again, &len_twice);
	FUZZ_CHECK(len == len_twice && memcmp(canonical, twice, len) == 0, "two canonical forms:\n%s\n%s",
		canonical, twice);
	if (value) {
		_cleanup_json_ struct json_object *plain = NULL;

		text = fleet_json_text(value, &text_len);
		r = fleet_json_parse(text, text_len, SIZE_MAX, &plain, &err);
		FUZZ_CHECK(r == 0, "its own text is refused: %s\n%s", err.message, text);
	}
	if (!json_object_is_type(value, json_type_object))
		return 0;
	r = fleet_json_check(value, fields, "$", &err);
	FUZZ_CHECK(r == 0 || (r == -EINVAL && str_starts(err.message, "$")), "%d: %s", r, err.message);
	if (fleet_json_check_strict(value, fields, "$", &err) == 0)
		FUZZ_CHECK(r == 0, "strict takes what the other refuses");
	if (r == 0 && fleet_json_string(value, "s")) {
		len = strlen(fleet_json_string(value, "s"));
		FUZZ_CHECK(len >= 1 && len <= 8, "a string of %zu bytes", len);
	}
	(void)fleet_json_number(value, "number", 0);
	(void)fleet_json_int(value, "any", 0);
	return 0;
}
