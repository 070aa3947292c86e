/* fleet-unpack: reads an archive for the driver host, in a process that has given up its privileges and
 * everything but memory, the artifact's bytes and a pipe: libarchive sees hostile bytes there and nowhere
 * else. A program of its own, so that the host, which waits on every server all day, maps neither libarchive
 * nor what that brings along. */
#ifndef UNPACK_READER_H
#define UNPACK_READER_H
#include "fleet/base.h"

/* Tells all of the archive on UNPACK_PIPE_FD and ends the process. An exit status other than 0: it could not
 * begin. */
void reader_run(void) FLEET_NORETURN;

#endif
