#include "driver/json_leaves.h"
#include "driver/keypath.h"
#include "driver/settings.h"
#include "fleet/limits.h"

void settings_done(struct settings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->items[i].path);
		free(s->items[i].value);
	}
	free(s->items);
	*s = (struct settings)SETTINGS_INIT;
}

static bool value_fits(struct fleet_bytes value, uint32_t type)
{
	if (value.len > FLEET_CONFIG_FILE_MAX)
		return false;
	switch (type) {
	case FLEET_TYPE_STRING:
		return true;
	case FLEET_TYPE_INTEGER:
	case FLEET_TYPE_NUMBER:
		return json_number_type(value.data, value.len) == (int)type;
	case FLEET_TYPE_BOOLEAN:
		return (value.len == 4 && memcmp(value.data, "true", 4) == 0) ||
		       (value.len == 5 && memcmp(value.data, "false", 5) == 0);
	case FLEET_TYPE_NULL:
		return value.len == 4 && memcmp(value.data, "null", 4) == 0;
	case FLEET_TYPE_ARRAY:
		return value.len == 2 && memcmp(value.data, "[]", 2) == 0;
	case FLEET_TYPE_OBJECT:
		return value.len == 2 && memcmp(value.data, "{}", 2) == 0;
	default:
		return false;
	}
}

int settings_add(struct settings *s, struct fleet_bytes path, struct fleet_bytes value, uint32_t type)
{
	struct keypath parsed;
	struct setting *item;

	if (s->count >= FLEET_SETTINGS_PER_FILE_MAX || path.len > FLEET_KEY_PATH_MAX)
		return -E2BIG;
	if (!value_fits(value, type))
		return -EINVAL;
	if (keypath_parse(path.data, path.len, false, &parsed, NULL) < 0)
		return -EINVAL;
	if (s->count == s->capacity) {
		s->capacity = s->capacity ? s->capacity * 2 : 64;
		s->items = xreallocarray(s->items, s->capacity, sizeof(*s->items));
	}
	item = &s->items[s->count++];
	*item = (struct setting){.type = type, .value_len = value.len};
	item->path = xstrndup(path.data, path.len);
	item->value = xmalloc(value.len + 1);
	if (value.len > 0)
		memcpy(item->value, value.data, value.len);
	item->value[value.len] = '\0';
	return 0;
}

const struct setting *settings_find(const struct settings *s, const char *path)
{
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->items[i].path, path) == 0)
			return &s->items[i];
	}
	return NULL;
}
