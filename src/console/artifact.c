#include "console/artifact.h"

#include "console/command.h"

#define SOURCE_BEGIN "/api/artifacts/"
#define SOURCE_END   "/file"

struct artifact *artifact_new(void)
{
	struct artifact *a = xcalloc(1, sizeof(*a));
	struct fleet_uuid id = fleet_uuid_new();

	memcpy(a->id, id.text, sizeof(a->id));
	a->bytes = -1;
	return a;
}

struct artifact *artifact_copy(const struct artifact *a)
{
	struct artifact *copy = xcalloc(1, sizeof(*copy));

	*copy = *a;
	copy->app_id = xstrdup(a->app_id);
	copy->version = xstrdup(a->version);
	copy->url = xstrdup(a->url);
	copy->signature = xstrdup(a->signature);
	copy->added_by = xstrdup(a->added_by);
	return copy;
}

void artifact_free(struct artifact *a)
{
	if (!a)
		return;
	free(a->app_id);
	free(a->version);
	free(a->url);
	free(a->signature);
	free(a->added_by);
	free(a);
}

char *artifact_source(const struct artifact *a)
{
	return a->url ? xstrdup(a->url) : xasprintf(SOURCE_BEGIN "%s" SOURCE_END, a->id);
}

const char *artifact_id_in_source(const char *source)
{
	const char *id;

	if (!source || !str_starts(source, SOURCE_BEGIN))
		return NULL;
	id = source + strlen(SOURCE_BEGIN);
	return strlen(id) == FLEET_UUID_LEN + strlen(SOURCE_END) && str_equal(id + FLEET_UUID_LEN, SOURCE_END)
		       ? id
		       : NULL;
}

struct json_object *artifact_to_json(const struct artifact *a)
{
	struct json_object *out = json_object_new_object();
	_cleanup_free_ char *source = artifact_source(a);

	source[strcspn(source, "?#")] = '\0';
	command_cut_urls(source);
	fleet_json_add_string(out, "artifactId", a->id);
	fleet_json_add_string(out, "appId", a->app_id);
	fleet_json_add_string(out, "version", a->version);
	fleet_json_add_string(out, "url", source);
	fleet_json_add_bool(out, "served", !a->url);
	if (a->bytes >= 0)
		fleet_json_add_int(out, "bytes", a->bytes);
	fleet_json_add_string(out, "sha256", a->sha256[0] ? a->sha256 : NULL);
	fleet_json_add_string(out, "signature", a->signature);
	if (a->lost)
		fleet_json_add_bool(out, "lost", true);
	fleet_json_add_string(out, "addedBy", a->added_by);
	fleet_json_add_time(out, "addedAt", a->added_ms);
	return out;
}

static const char *without_v(const char *version)
{
	return version[0] == 'v' && version[1] >= '0' && version[1] <= '9' ? version + 1 : version;
}

bool artifact_is_version(const struct artifact *a, const char *version)
{
	return strcmp(without_v(a->version), without_v(version)) == 0;
}
