#include "agent/unpack/gzip.h"
#include <zlib.h>

#define OUT_SIZE  (256 * 1024)
#define GZIP_ONLY (16 + MAX_WBITS)

struct unpack_gzip {
	unpack_gzip_read *read;
	void *arg;
	z_stream z;
	bool ended;
	unsigned char out[OUT_SIZE];
};

struct unpack_gzip *unpack_gzip_new(unpack_gzip_read *read, void *arg)
{
	struct unpack_gzip *g = xcalloc(1, sizeof(*g));

	g->read = read;
	g->arg = arg;
	if (inflateInit2(&g->z, GZIP_ONLY) != Z_OK) {
		fprintf(stderr, "zlib cannot begin\n");
		abort();
	}
	return g;
}

/* 1: there is input; 0: the packed bytes are at their end. */
static int refill(struct unpack_gzip *g)
{
	const void *data = NULL;
	ssize_t n;

	if (g->z.avail_in > 0)
		return 1;
	n = g->read(g->arg, &data);
	if (n <= 0)
		return (int)n;
	g->z.next_in = (Bytef *)(uintptr_t)data; /* zlib only reads it */
	g->z.avail_in = (uInt)n;
	return 1;
}

/* Another member may follow; anything else after the end is padding (zeros) or damage. */
static int next_member(struct unpack_gzip *g)
{
	int r;

	while ((r = refill(g)) > 0 && *g->z.next_in == 0) {
		g->z.next_in++;
		g->z.avail_in--;
	}
	if (r <= 0) {
		g->ended = true;
		return r;
	}
	if (inflateReset(&g->z) != Z_OK)
		return -EBADMSG;
	return 1;
}

ssize_t unpack_gzip_next(struct unpack_gzip *g, const void **ret)
{
	while (!g->ended) {
		int r = refill(g), z;

		if (r < 0)
			return r;
		if (r == 0)
			return -EBADMSG; /* cut off: a whole one ends by itself */
		g->z.next_out = g->out;
		g->z.avail_out = sizeof(g->out);
		z = inflate(&g->z, Z_NO_FLUSH);
		if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
			return -EBADMSG;
		if (z == Z_STREAM_END) {
			r = next_member(g);
			if (r < 0)
				return r;
		}
		if (g->z.avail_out < sizeof(g->out)) {
			*ret = g->out;
			return (ssize_t)(sizeof(g->out) - g->z.avail_out);
		}
	}
	return 0;
}

void unpack_gzip_free(struct unpack_gzip *g)
{
	if (!g)
		return;
	(void)inflateEnd(&g->z); /* whatever it says, it is over */
	free(g);
}
