/* fleet-console ca init, names, show. */
#include <time.h>

#include "console/ca.h"
#include "console/console.h"
#include "console/data_dir.h"

#define EXIT_USAGE 2

static int fail(const struct fleet_error *err)
{
	fprintf(stderr, "fleet-console: %s\n", err->message);
	return EXIT_FAILURE;
}

static void show_date(int64_t seconds, char *out, size_t len)
{
	const time_t when = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || strftime(out, len, "%Y-%m-%d", &tm) == 0)
		(void)snprintf(out, len, "an unknown day");
}

/* The certificate on stdout, so that `ca show >ca.pem` is all that there is to do; the rest is for reading.
 */
static int show(const char *dir, const char *const *names)
{
	_cleanup_(ca_freep) struct ca *ca = NULL;
	_cleanup_(ca_names_freep) char **all = NULL;
	_cleanup_free_ char *digest = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	char date[32];

	if (names[0]) {
		fprintf(stderr, "fleet-console: ca show takes no names\n");
		return EXIT_USAGE;
	}
	if (ca_load(dir, &ca, &err) < 0)
		return fail(&err);
	digest = fleet_hex_encode(ca->facts.fingerprint, sizeof(ca->facts.fingerprint));
	show_date(ca->facts.ends_s, date, sizeof(date));
	fprintf(stderr, "%s, valid until %s, SHA-256 %s\n", ca->facts.name, date, digest);
	fputs("The console's own certificate is for:", stderr);
	all = ca_names(ca, NULL);
	for (size_t i = 0; all[i]; i++)
		fprintf(stderr, " %s", all[i]);
	fputs("\n", stderr);
	fputs(ca->pem, stdout);
	return EXIT_SUCCESS;
}

static int init(const char *dir, const char *const *names)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (data_dir_become_owner(dir, &err) < 0 || ca_create(dir, names, &err) < 0)
		return fail(&err);
	printf("Made an authority in %s/ca; back it up with the rest of %s.\n"
	       "Start the console anew: it speaks https from then on, with a certificate of its own, unless "
	       "its\n"
	       "settings name another. Where that is to be trusted (fleetctl login --ca-file, browsers):\n"
	       "  sudo fleet-console ca show >ca.pem\n"
	       "New agents need no file, but a join token: fleetctl tokens create\n"
	       "Other machines reach this one once its settings let them in: listen: 0.0.0.0:5000\n",
		dir, dir);
	return EXIT_SUCCESS;
}

static int set_names(const char *dir, const char *const *names)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (access(dir, F_OK) < 0)
		(void)fleet_error_errno(&err, -errno, "cannot open the data directory %s", dir);
	if (err.code < 0 || data_dir_become_owner(dir, &err) < 0 || ca_set_names(dir, names, &err) < 0)
		return fail(&err);
	puts("A console that runs takes the names up within seconds.");
	return EXIT_SUCCESS;
}

int console_main_ca(int argc, char **argv)
{
	static const struct {
		const char *verb;
		int (*run)(const char *dir, const char *const *names);
	} verbs[] = {{"init", init}, {"names", set_names}, {"show", show}};
	const char *dir;
	int status = console_main_data_dir(argc, argv, &dir);

	if (status >= 0)
		return status;
	for (size_t i = 0; optind < argc && i < FLEET_ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[optind], verbs[i].verb) == 0)
			return verbs[i].run(dir, (const char *const *)argv + optind + 1);
	}
	fprintf(stderr, "fleet-console: say `fleet-console ca init|names|show [--data-dir DIR] [NAME]...`\n");
	return EXIT_USAGE;
}
