/* Places where a test makes a program die, stand still, wait or fail. They are there only where configure was
 * told --enable-failpoints; elsewhere nothing of them is compiled, not even their names.
 *
 *   FLEET_FAILPOINT("tree.exchanged");                                       the way goes past here
 *   if (FLEET_FAILS("tree.exchange") || renameat2(...) < 0) return -errno;   and here it may also fail
 *
 * FLEET_FAILS is false, or true with errno set. A name is ROOM.WHAT, at most 47 bytes, and stands at one
 * place only. Both may be reached on every thread and in every process; not after a sandbox has closed.
 *
 * Armed by FLEET_FAILPOINTS="NAME=ACTION[;NAME=ACTION]", or while a program runs by a file NAME with ACTION
 * in it, in the directory that FLEET_FAILPOINTS_DIR names: such a one holds once for all processes together,
 * and is called NAME.hit from then on. ACTION is WHAT[@N], N: at the how manyth time (1), * each time. It is
 * counted by process, or in the directory for all together, in NAME.count; there * stays armed:
 *
 *   crash               kill -9 of this process
 *   crash-with-parent   of its parent, then of itself: the host, from within an operation's process
 *   stop                stands still (SIGSTOP)
 *   delay:MS            waits
 *   error:ENOSPC        fails; any name of an errno. A FLEET_FAILPOINT cannot fail
 *
 * FLEET_FAILPOINTS=list prints each name of the program, with "point" or "fails", and ends it. */
#ifndef FLEET_FAILPOINT_H
#define FLEET_FAILPOINT_H
#include <stdbool.h>

#ifdef FLEET_FAILPOINTS

/* Without pointers, and of a size that is its alignment: the section is an array of these. */
struct fleet_failpoint {
	char name[48];
	bool can_fail;
} __attribute__((aligned(64)));

bool fleet_failpoint_reach(const struct fleet_failpoint *point);

#define FLEET_FAILPOINT_AT(name_, can_fail_)                                                                 \
	__extension__({                                                                                      \
		static const struct fleet_failpoint fleet_point                                              \
			__attribute__((section("fleet_failpoints"), used)) = {name_, can_fail_};             \
		fleet_failpoint_reach(&fleet_point);                                                         \
	})
#define FLEET_FAILS(name_)     FLEET_FAILPOINT_AT(name_, true)
#define FLEET_FAILPOINT(name_) ((void)FLEET_FAILPOINT_AT(name_, false))

#else

#define FLEET_FAILS(name_)     false
#define FLEET_FAILPOINT(name_) ((void)0)

#endif
#endif
