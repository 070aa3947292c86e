/* fleet-driver: tries a driver out without agent or console. Everything is in the library beside it. */
#include <signal.h>
#include "driver/tool/tool.h"

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_DFL); /* `fleet-driver read ... | head` ends quietly, as a filter should */
	return tool_main(argc, argv);
}
