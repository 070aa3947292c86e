#include "agent/identity.h"
#include <sys/utsname.h>
#include "fleet/envfile.h"
#include "fleet/file.h"
#include "fleet/limits.h"

#define INSTANCE_CONSTANT "fleet-agent instance v1:"
#define SMALL_FILE_MAX    4096

static char *read_first_line(const char *root, const char *path)
{
	_cleanup_free_ char *full = xasprintf("%s%s", root, path), *text = NULL;
	size_t len;

	if (fleet_file_read(full, SMALL_FILE_MAX, &text, &len, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	fleet_text_sanitize(text);
	return *text ? TAKE_PTR(text) : NULL;
}

int agent_instance_id(const char *machine_id, char ret_hex[FLEET_SHA256_HEX])
{
	_cleanup_free_ char *salted = NULL;

	if (!machine_id || strlen(machine_id) != 32 || strspn(machine_id, "0123456789abcdef") != 32)
		return -EINVAL; /* "uninitialized", while the first boot is under way */
	salted = xasprintf("%s%s", INSTANCE_CONSTANT, machine_id);
	fleet_sha256_hex(salted, strlen(salted), ret_hex);
	return 0;
}

static char *bounded(const char *text, size_t max)
{
	char *copy = str_empty(text) ? NULL : xstrndup(text, max);

	if (copy)
		fleet_text_sanitize(copy);
	return copy;
}

static void read_os_release(const char *root, struct agent_identity *id)
{
	static const char *const places[] = {"/etc/os-release", "/usr/lib/os-release"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(places); i++) {
		_cleanup_(fleet_envfile_freep) struct fleet_envfile *env = NULL;
		_cleanup_free_ char *path = xasprintf("%s%s", root, places[i]), *text = NULL;
		size_t len;

		if (fleet_file_read(path, SMALL_FILE_MAX * 4, &text, &len, NULL) < 0 ||
			fleet_envfile_parse(text, len, path, &env, NULL) < 0)
			continue;
		id->os_id = bounded(fleet_envfile_get(env, "ID"), FLEET_ID_MAX);
		id->os_version = bounded(fleet_envfile_get(env, "VERSION_ID"), FLEET_ID_MAX);
		id->os_name = bounded(fleet_envfile_get(env, "PRETTY_NAME"), FLEET_VERSION_LEN_MAX);
		return;
	}
}

void agent_identity_read(const char *root, struct agent_identity *ret)
{
	_cleanup_free_ char *machine_id = read_first_line(root, "/etc/machine-id");
	char hostname[FLEET_HOSTNAME_LEN_MAX + 1] = "";
	struct utsname uts;

	*ret = (struct agent_identity){0};
	if (agent_instance_id(machine_id, ret->instance_id) < 0)
		ret->instance_id[0] = '\0';
	ret->boot_id = read_first_line(root, "/proc/sys/kernel/random/boot_id");
	if (gethostname(hostname, sizeof(hostname) - 1) < 0 || !*hostname)
		(void)snprintf(hostname, sizeof(hostname), "localhost");
	ret->hostname = bounded(hostname, FLEET_HOSTNAME_LEN_MAX);
	read_os_release(root, ret);
	if (uname(&uts) == 0) {
		ret->kernel = bounded(uts.release, FLEET_VERSION_LEN_MAX);
		ret->arch = bounded(uts.machine, FLEET_ID_MAX);
	}
}

void agent_identity_done(struct agent_identity *id)
{
	free(id->boot_id);
	free(id->hostname);
	free(id->os_id);
	free(id->os_version);
	free(id->os_name);
	free(id->kernel);
	free(id->arch);
	*id = (struct agent_identity){0};
}

struct json_object *agent_identity_os(const struct agent_identity *id)
{
	struct json_object *os = json_object_new_object();

	fleet_json_add_string(os, "id", id->os_id);
	fleet_json_add_string(os, "version", id->os_version);
	fleet_json_add_string(os, "name", id->os_name);
	fleet_json_add_string(os, "kernel", id->kernel);
	fleet_json_add_string(os, "arch", id->arch);
	return os;
}
