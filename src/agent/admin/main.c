/* fleet-admin: what `fleet-agent VERB` runs. Everything is in the library beside it. */
#include "agent/admin/admin.h"

int main(int argc, char *argv[])
{
	return admin_run(argc, argv);
}
