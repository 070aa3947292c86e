/* fleet-console: picks the subcommand; console_main.c has them. */
#include <string.h>

#include "console/console.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the name */
} subcommands[] = {
	{"run", console_main_run},
	{"audit", console_main_audit},
	{"init", console_main_init},
	{"key", console_main_key},
	{"command-key", console_main_command_key},
	{"ca", console_main_ca},
	{"backup", console_main_backup},
	{"restore", console_main_restore},
};

int main(int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == '-')
		return console_main_run(argc, argv);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(subcommands); i++) {
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "fleet-console: no subcommand '%s': see fleet-console --help\n", argv[1]);
	return 2;
}
