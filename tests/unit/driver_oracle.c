#include "driver_oracle.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "unit.h"

bool oracle_open(struct oracle *o, const char *name)
{
	int fd;

	*o = (struct oracle){.name = name};
	(void)snprintf(o->path, sizeof(o->path), "/tmp/fleet-%s-oracle-XXXXXX", name);
	fd = mkostemp(o->path, O_CLOEXEC);
	o->file = fd >= 0 ? fdopen(fd, "w") : NULL;
	CU_ASSERT_PTR_NOT_NULL(o->file);
	return o->file;
}

void oracle_add(struct oracle *o, struct json_object *takes_case)
{
	(void)fprintf(o->file, "%s\n", json_object_to_json_string_ext(takes_case, JSON_C_TO_STRING_PLAIN));
	json_object_put(takes_case);
}

struct json_object *oracle_text(const char *text, size_t len)
{
	return json_object_new_string_len(text, (int)len);
}

static bool has_python(const char *module)
{
	char command[128];

	(void)snprintf(
		command, sizeof(command), "python3 -c 'import %s' 2>/dev/null", module ? module : "sys");
	return system(command) == 0;
}

bool oracle_ask(struct oracle *o, const char *module)
{
	char command[512], answer[4096];
	bool told = false;
	FILE *python;

	CU_ASSERT_EQUAL(fclose(o->file), 0);
	if (!has_python(module)) {
		(void)unlink(o->path);
		unit_skip("no python3, or not the module that it needs, to read the new files");
		return false;
	}
	(void)snprintf(command, sizeof(command), "python3 '%s/%s_oracle.py' %s 2>&1", UNIT_DATA_DIR, o->name,
		o->path);
	python = popen(command, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(python);
	while (fgets(answer, sizeof(answer), python)) {
		if (sscanf(answer, "tried %u wrong %u skipped %u", &o->tried, &o->wrong, &o->skipped) >= 2)
			told = true;
		else
			printf("# %s", answer);
	}
	CU_ASSERT_EQUAL(pclose(python), 0);
	CU_ASSERT_TRUE(told);
	(void)unlink(o->path);
	return true;
}
