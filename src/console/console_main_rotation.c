/* fleet-console command-key rotate, make-recovery, recover. The store is opened for it: that keeps a running
 * console away, and the audit log hears of it. */
#include <getopt.h>

#include "console/console.h"
#include "console/data_dir.h"
#include "console/signing_key.h"
#include "fleet/log.h"

#define EXIT_USAGE 2

static int rotate(const char *dir, const char *file FLEET_UNUSED, char **ret_message, struct fleet_error *err)
{
	return signing_key_rotate(dir, ret_message, err);
}

static const struct verb {
	const char *name;
	bool takes_file;
	int (*run)(const char *dir, const char *file, char **ret_message, struct fleet_error *err);
	const char *afterwards;
} verbs[] = {
	{"rotate", false, rotate,
		"Servers take it when they register the next time; commands that wait for a server are "
		"signed "
		"anew with it. Join tokens of before name the old key: make new ones."},
	{"make-recovery", true, signing_key_make_recovery,
		"Servers remember its public half when they register the next time. Take the file away from "
		"this machine; "
		"whoever has it can make himself the fleet's commander."},
	{"recover", true, signing_key_recover,
		"Servers that know the recovery key take it when they register the next time."},
};

static void on_appended(int result, const struct fleet_error *err, void *arg)
{
	*(int *)arg = result;
	if (result < 0)
		fprintf(stderr, "fleet-console: the audit log has not heard of it: %s\n", err->message);
}

/* Done, and in the audit log. */
static int run(const struct verb *verb, const char *dir, const char *file, struct fleet_error *err)
{
	struct event_base *base = event_base_new();
	_cleanup_free_ char *message = NULL, *actor = data_dir_actor();
	struct store *store = NULL;
	int r = base ? data_dir_become_owner(dir, err) : -ENOMEM, appended = 0;

	if (r >= 0)
		r = store_open(base, dir, &store, err);
	if (r >= 0)
		r = verb->run(dir, file, &message, err);
	if (r >= 0) {
		printf("Done: %s.\n%s\n", message, verb->afterwards);
		store_audit_append(store,
			&(struct audit_event){.category = "access", .actor = actor, .message = message},
			on_appended, &appended);
	}
	if (store)
		store_close(store); /* commits, and calls back */
	if (base)
		event_base_free(base);
	return r < 0 ? r : appended;
}

int console_main_rotation(int argc, char **argv)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *dir;
	int status = console_main_data_dir(argc, argv, &dir);

	if (status >= 0)
		return status;
	for (size_t i = 0; optind < argc && i < FLEET_ARRAY_LEN(verbs); i++) {
		const struct verb *verb = &verbs[i];

		if (strcmp(argv[optind], verb->name) != 0 || argc - optind != 1 + verb->takes_file)
			continue;
		if (run(verb, dir, argv[optind + verb->takes_file], &err) >= 0)
			return EXIT_SUCCESS;
		if (*err.message)
			fprintf(stderr, "fleet-console: %s\n", err.message);
		return EXIT_FAILURE;
	}
	fprintf(stderr,
		"fleet-console: say `fleet-console command-key show|rotate|make-recovery FILE|recover FILE "
		"[--data-dir DIR]`\n");
	return EXIT_USAGE;
}
