/* fleet-unpack: reads archives for the driver host. See reader.h. */
#include "agent/unpack/reader.h"

int main(void)
{
	reader_run();
}
