/* Gzip, checked: libarchive's own reader of it does not compare the checksum at its end, so that a
 * turned-over bit in a tar.gz would be unpacked as if it were meant. Bytes in, bytes out; used in the process
 * that reads archives (reader.c). */
#ifndef UNPACK_GZIP_H
#define UNPACK_GZIP_H
#include <sys/types.h>
#include "fleet/base.h"

struct unpack_gzip;

/* Reads more of the packed bytes: how many, 0 at the end, negative errno. *ret borrowed until the next call.
 */
typedef ssize_t unpack_gzip_read(void *arg, const void **ret);

struct unpack_gzip *unpack_gzip_new(unpack_gzip_read *read, void *arg);
/* The next unpacked bytes: how many, 0 at the end with every checksum good, -EBADMSG, or what read said. *ret
 * borrowed until the next call. */
ssize_t unpack_gzip_next(struct unpack_gzip *g, const void **ret);
void unpack_gzip_free(struct unpack_gzip *g);

#endif
