/* Frames of the socket between agent and driver host: a 4-byte big-endian length, then that many bytes of
 * JSON (at most FLEET_MESSAGE_MAX). A descriptor may ride on a frame's first byte (SCM_RIGHTS). Runs on
 * the owner's event loop; both ends use it. */
#ifndef FLEET_FRAME_H
#define FLEET_FRAME_H
#include <event2/event.h>
#include "fleet/error.h"

struct fleet_frame_link;
struct fleet_frame_events {
	/* data is NUL-terminated and borrowed; fd is -1, or owned by the callee. */
	void (*frame)(struct fleet_frame_link *link, const char *data, size_t len, int fd, void *arg);
	/* Called once, never from within fleet_frame_send; the link may be freed here. why: for a person. */
	void (*closed)(struct fleet_frame_link *link, const char *why, void *arg);
};

/* Takes fd (a connected SOCK_STREAM unix socket). events borrowed for the link's life. Owned. */
struct fleet_frame_link *fleet_frame_link_new(
	struct event_base *base, int fd, const struct fleet_frame_events *events, void *arg);
/* Queues; -ENOBUFS past FLEET_WS_BACKLOG_MAX, -E2BIG a frame too long, -EINVAL an empty one, -ENOTCONN after
 * closed. send_fd: -1, or duplicated. */
int fleet_frame_send(
	struct fleet_frame_link *link, const char *data, size_t len, int send_fd) FLEET_MUST_CHECK;
/* The other end's uid and pid (SO_PEERCRED). */
int fleet_frame_peer(struct fleet_frame_link *link, uid_t *ret_uid, pid_t *ret_pid) FLEET_MUST_CHECK;
void fleet_frame_link_free(struct fleet_frame_link *link);

#endif
