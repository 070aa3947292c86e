/* fleetctl: the operator's command line. Everything is in the library beside it; this is the shell. */
#include <locale.h>
#include <signal.h>
#include "cli/commands.h"
#include "cli/usage.h"

int main(int argc, char **argv)
{
	(void)setlocale(LC_TIME, "C");  /* what scripts read must not depend on where they run */
	(void)signal(SIGPIPE, SIG_DFL); /* `fleetctl audit | head` ends quietly, as a filter should */
	return cli_run(&cli_tree, argc, argv);
}
