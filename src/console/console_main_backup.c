/* fleet-console backup, restore. */
#include <getopt.h>

#include "console/audit.h"
#include "console/backup.h"
#include "console/console.h"
#include "console/data_dir.h"

#define EXIT_USAGE 2

static int fail(const struct fleet_error *err)
{
	fprintf(stderr, "fleet-console: %s\n", err->message);
	return EXIT_FAILURE;
}

/* argv[0] is the verb; one path and --data-dir. */
static const char *parse(int argc, char **argv, const char **ret_dir)
{
	static const struct option options[] = {{"data-dir", required_argument, NULL, 'd'}, {0}};
	int c;

	*ret_dir = CONSOLE_DATA_DIR;
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'd')
			return NULL;
		*ret_dir = optarg;
	}
	return argc - optind == 1 ? argv[optind] : NULL;
}

static int usage(const char *verb)
{
	fprintf(stderr, "fleet-console: say `fleet-console %s DIRECTORY [--data-dir DIR]`\n", verb);
	return EXIT_USAGE;
}

int console_main_backup(int argc, char **argv)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct store_head head = {0};
	const char *dir, *target = parse(argc, argv, &dir);

	if (!target)
		return usage(argv[0]);
	if (backup_make(dir, target, &err) < 0 || store_audit_verify(target, &head, &err) < 0)
		return fail(&err);
	printf("Backed up to %s: the audit log up to entry %lld. It holds the keys that command the fleet: "
	       "keep it so "
	       "that nobody else reads it.\n",
		target, (long long)head.seq);
	return EXIT_SUCCESS;
}

/* The log says that it may lack what came after the backup. */
static int tell(const char *dir, struct fleet_error *err)
{
	struct event_base *base = event_base_new();
	struct store *store = NULL;
	int r = base ? data_dir_become_owner(dir, err) : fleet_error_set(err, -ENOMEM, "no event loop");

	if (r >= 0)
		r = store_open(base, dir, &store, err);
	if (r >= 0) {
		audit_system(store, NULL, NULL,
			"console restored from a backup: what came after it is not in this log");
		store_close(store); /* commits */
	}
	if (base)
		event_base_free(base);
	return r;
}

int console_main_restore(int argc, char **argv)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *dir, *source = parse(argc, argv, &dir);

	if (!source)
		return usage(argv[0]);
	if (backup_restore(source, dir, &err) < 0 || tell(dir, &err) < 0)
		return fail(&err);
	printf("Restored to %s. Agents come back by themselves where the console answers under the address "
	       "of before.\n",
		dir);
	return EXIT_SUCCESS;
}
