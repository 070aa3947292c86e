/* The apps that this server's admin declared in the YAML files of apps.d: what exists, where its files lie,
 * which drivers speak for it, and what the console may do with it. The driver host reads them itself, as
 * root's files, so that nobody else can declare anything. Loaded by the host's process at start and at
 * SIGHUP; its children inherit the table as it was when they were forked. Read-only once loaded. (DESIGN 7)
 */
#ifndef HOST_APPS_H
#define HOST_APPS_H
#include "driver/registry.h"
#include "fleet/driver.h"
#include "fleet/error.h"

/* How long one stop, start, restart or reload may take where neither the app's declaration nor its service
 * manager says otherwise (systemd's own 90 s to stop and 90 s to start), and where the latter would wait for
 * longer, or for ever. */
#define APP_TIMEOUT_MS     180000
#define APP_TIMEOUT_MAX_MS 900000

enum app_after_push { APP_PUSH_RESTART, APP_PUSH_RELOAD, APP_PUSH_NONE };
enum app_health_kind { APP_HEALTH_NONE, APP_HEALTH_URL, APP_HEALTH_TCP, APP_HEALTH_COMMAND };
enum app_version_kind { APP_VERSION_DRIVER, APP_VERSION_FILE, APP_VERSION_COMMAND, APP_VERSION_ENV };
enum {
	APP_ALLOW_RESTART = 1,
	APP_ALLOW_PUSH_CONFIG = 2,
	APP_ALLOW_UPDATE = 4,
	APP_ALLOW_READ_CONFIG = 8,
	APP_ALLOW_READ_LOGS = 16,
	APP_ALLOW_ALL = 31,
};

struct app_strings {
	char **items; /* owned, NULL-terminated once anything was added */
	size_t count;
};
struct app_options {
	struct fleet_option *items; /* keys and values owned */
	uint32_t count;
};
struct app_file {
	char *name;      /* "main", or as the admin named it */
	char *path;      /* as declared */
	char *real_path; /* links followed when the apps were loaded: this is what is read and replaced */
	char *driver;
	struct app_options options;
	bool create; /* a push may create it */
};
struct app_health {
	enum app_health_kind kind;
	char *target;            /* of url and tcp */
	struct app_strings argv; /* of command */
	int64_t timeout_ms, settle_ms, every_ms;
};
struct app {
	char *id, *service_name, *service_driver;
	struct app_options service_options; /* service_name first, then the admin's */
	char *binary_path;                  /* NULL: not declared */
	struct app_file *files;
	size_t file_count;
	enum app_version_kind version_kind;
	char *version_source;            /* path of version_file, key of version_env */
	struct app_strings version_argv; /* of version_command */
	struct app_strings preserve, keys_allow, keys_deny, secret_keys;
	enum app_after_push after_push;
	struct app_health health;
	unsigned allow;
	int64_t timeout_ms; /* of one restart, reload, start or stop; 0: as the service manager has it */
	bool keep_previous, require_sha256;
	char *source; /* FILE:LINE of its declaration */
};
struct app_problem {
	char *file;
	unsigned line, column; /* 0: not about a place */
	char *message;
};
struct apps {
	struct app **items; /* owned, in file order */
	size_t count;
	struct app_problem *problems;
	size_t problem_count;
};
#define APPS_INIT                                                                                            \
	{                                                                                                    \
		NULL, 0, NULL, 0                                                                             \
	}

/* Reads every *.yaml of dir in the order of their names. What is wrong with a file is a problem in *ret, and
 * none of that file's apps is managed; the other files' are. as_root: insist on root-owned files and links.
 * drivers: for problems about drivers that are not there; may be NULL. Fails only where dir itself cannot be
 * read; a directory that does not exist has no apps and one problem. */
int apps_load(const char *dir, bool as_root, const struct driver_registry *drivers, struct apps *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* The same of a directory or one file, for its problems' sake: each app at fault has one. */
int apps_check(const char *path, bool as_root, const struct driver_registry *drivers, struct apps *ret,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Likewise of a text that is in no file. */
void apps_check_text(const char *name, const char *text, size_t len, struct apps *ret);
void apps_done(struct apps *apps);

const struct app *apps_find(const struct apps *apps, const char *id);
/* name NULL: the file named main, or the only one. */
const struct app_file *app_find_file(const struct app *app, const char *name);
/* "app-a, app-b" for did-you-mean: the declared id nearest to id, or NULL. Borrowed. */
const char *apps_nearest(const struct apps *apps, const char *id);
/* The driver that a file's name suggests, or NULL. Static. */
const char *app_infer_driver(const char *path);
const char *app_allow_name(unsigned bit);                    /* "restart", ...; NULL past the last */
const char *app_health_kind_name(enum app_health_kind kind); /* "url", ...; NULL for none */
/* What one operation at a time is ordered by: the service ("service:DRIVER:NAME"); owned. */
char *app_service_key(const struct app *app);

/* Used by the loader. Copies. */
void app_strings_add(struct app_strings *list, const char *text);
void app_options_add(struct app_options *options, const char *key, const char *value);
void app_free(struct app *app);
FLEET_DEFINE_CLEANUP(struct app *, app_free)
void apps_add_problem(
	struct apps *apps, const char *file, unsigned line, unsigned column, const char *message);

#endif
