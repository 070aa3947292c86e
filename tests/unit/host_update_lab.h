/* What tests of updates share: an app "web" that runs as 2.0.0 from a directory, with a config and data of
 * its own, and releases of it. Everything lies below the fixture's directory. */
#ifndef HOST_UPDATE_LAB_H
#define HOST_UPDATE_LAB_H
#include <sys/types.h>
#include "host_fixture.h"

struct lab_item {
	const char *path, *text; /* text NULL: a directory */
	mode_t mode;
};

/* A tar.gz with these, up to the one without a path. */
void lab_write_release(const char *path, const struct lab_item *items);
/* version with run.conf, which the fake service reads as it starts; returns its path, owned. */
char *lab_make_release(const struct fixture *f, const char *version, const char *run_conf);
/* extra: more lines of YAML, of the app or other apps. */
void lab_declare(const struct fixture *f, const char *extra);
/* fixture_init, and all of the app; lab_fill for a fixture that is there. */
void lab_install(struct fixture *f, const char *extra);
void lab_fill(struct fixture *f, const char *extra);
struct json_object *lab_arguments(const char *version); /* of update-app; owned */
const char *lab_message(struct json_object *result);
void lab_explain(struct json_object *result);

void lab_assert_file(
	const struct fixture *f, const char *name, const char *expected); /* NULL: is not there */
mode_t lab_mode(const struct fixture *f, const char *name);
bool lab_exists(const struct fixture *f, const char *name);
/* Old or new, whole, with what the app wrote; and nothing of an operation is left. */
void lab_assert_whole(const struct fixture *f, bool updated);
void lab_assert_running(const struct fixture *f);
/* The fake service's own word: "running", "stopped", "failed". */
void lab_assert_state(const struct fixture *f, const char *app, const char *expected);
/* An operation on "web" that dies at this step, alone or with the host; its result once it was taken up. */
struct json_object *lab_run_and_die(
	struct fixture *f, const char *action, struct json_object *takes_args, const char *step, bool host);

#endif
