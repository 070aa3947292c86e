/* fleet-fetch: the process that downloads and probes for the agent, with libcurl. It is a process of its own
 * because libcurl and its thirty libraries cost as much memory as agent and driver host together, and are
 * needed seldom; because writing half a gigabyte to a slow disk must not hold up a heartbeat; and because
 * what parses bytes of strangers should not be what holds the spool.
 *
 * The agent starts it when there is something to do, with one end of a socketpair as descriptor 3, and closes
 * the other end when nothing is left; then it ends. Frames as on the host socket (fleet/frame.h):
 *
 *   fetch        commandId, url, maxBytes, timeoutSeconds, and bearer, direct, caFile, certFile, keyFile (see
 *                download.h), lowSpeedSeconds, firstWaitMs (tests' impatience); with it rides a descriptor of
 * an empty file, open for writing fetchCancel  commandId probe        probeId, url or tcp, timeoutSeconds
 *
 * and back: progress (commandId, percent, message), fetched (commandId, ok, bytes, error), probed (as
 * docs/protocol.md has it). Event loop only. */
#ifndef FETCH_WORKER_H
#define FETCH_WORKER_H

/* The whole life of the program; fd: its end of the socket. Returns its exit status. */
int worker_run(int fd);

#endif
