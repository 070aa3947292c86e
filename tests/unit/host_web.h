/* One app, "web", with one config file: what the tests of a host's operations start from, and how they look
 * at what came of it. */
#ifndef HOST_WEB_H
#define HOST_WEB_H
#include <poll.h>
#include <signal.h>
#include "host_fixture.h"
#include "fleet/encode.h"
#include "unit.h"

#define CONF "# as it was\nlevel=info\nname=web\npassword=old\n"

static inline const char *message_of(struct json_object *result)
{
	const char *text = fleet_json_string(result, "message");

	return text ? text : "";
}

static inline bool succeeded(struct json_object *result)
{
	bool ok = fleet_json_bool(result, "success", false);

	if (!ok)
		printf("# %s\n", json_object_to_json_string(result));
	return ok;
}

static inline void assert_conf(const struct fixture *f, const char *expected)
{
	_cleanup_free_ char *text = fixture_read(f, "web.conf");

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_STRING_EQUAL(text, expected);
}

static inline void begin(struct fixture *f, const char *extra, const char *state)
{
	fixture_init(f);
	fixture_declare(f, extra);
	fixture_write(f, "web.conf", CONF);
	fixture_set_state(f, "web", state, 7);
	fixture_start(f);
}

/* The one event about the file, or NULL; borrowed. */
static inline struct json_object *config_event(const struct fixture *f, size_t *ret_count)
{
	struct json_object *found = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < json_object_array_length(f->events); i++) {
		struct json_object *event = json_object_array_get_idx(f->events, i);

		if (!str_equal(fleet_json_string(event, "category"), "config"))
			continue;
		found = event;
		(*ret_count)++;
	}
	return found;
}

/* Changes the file by hand, and has the host look until it tells of it. */
static inline void assert_only_told(struct fixture *f, const char *conf, const char *expected)
{
	struct json_object *event;
	size_t count = 0;

	fixture_write(f, "web.conf", conf);
	for (int i = 0; i < 100 && !config_event(f, &count); i++) {
		_cleanup_json_ struct json_object *status = NULL;

		fixture_send(f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
		status = fixture_wait(f, "status");
		CU_ASSERT_PTR_NOT_NULL_FATAL(status);
		(void)poll(NULL, 0, 20); /* for the child that looks */
	}
	event = config_event(f, &count);
	if (count != 1)
		printf("# %s: %s\n", f->die_at ? f->die_at : "", json_object_to_json_string(f->events));
	CU_ASSERT_EQUAL_FATAL(count, 1);
	CU_ASSERT_STRING_EQUAL(message_of(event), expected);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(event, "appId"), "web");
	CU_ASSERT_PTR_NULL(fleet_json_string(event, "commandId"));
}

/* Until it knows the file as it is. */
static inline void look_once(struct fixture *f)
{
	_cleanup_free_ char *conf = xasprintf("%s/web.conf", f->dir), *record = NULL;
	char hex[FLEET_SHA256_HEX];

	fleet_sha256_hex(conf, strlen(conf), hex);
	record = xasprintf("%s/state/files/%s", f->dir, hex);
	for (int i = 0; i < 200 && access(record, F_OK) < 0; i++) {
		_cleanup_json_ struct json_object *status = NULL;

		fixture_send(f, fleet_message_new(FLEET_FRAME_STATUS_REQUEST));
		status = fixture_wait(f, "status");
		(void)poll(NULL, 0, 20);
	}
	CU_ASSERT_EQUAL(access(record, F_OK), 0);
}

#endif
