/* Packed releases: the same bytes come out however the packed ones are cut, and only whole ones with a good
 * checksum end well. The first byte is the cut. */
#include "agent/unpack/gzip.h"
#include "fleet/buffer.h"
#include "fuzz.h"

#define OUT_MAX (1u * 1024 * 1024)

struct source {
	const uint8_t *data;
	size_t size, at, step;
};

static ssize_t next(void *arg, const void **ret)
{
	struct source *s = arg;
	size_t n = s->size - s->at < s->step ? s->size - s->at : s->step;

	*ret = s->data + s->at;
	s->at += n;
	return (ssize_t)n;
}

static ssize_t unpack(const uint8_t *data, size_t size, size_t step, struct fleet_buffer *out)
{
	struct source source = {data, size, 0, step};
	struct unpack_gzip *g = unpack_gzip_new(next, &source);
	const void *bytes = NULL;
	ssize_t n;

	while ((n = unpack_gzip_next(g, &bytes)) > 0 && out->len < OUT_MAX)
		fleet_buffer_add(out, bytes, (size_t)n);
	FUZZ_CHECK(n >= 0 || n == -EBADMSG, "%zd", n);
	unpack_gzip_free(g);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct fleet_buffer at_once = FLEET_BUFFER_INIT, piecemeal = FLEET_BUFFER_INIT;
	ssize_t a, b;

	if (size == 0)
		return 0;
	a = unpack(data + 1, size - 1, SIZE_MAX / 2, &at_once);
	if (a > 0)
		return 0; /* more than is wanted here */
	b = unpack(data + 1, size - 1, 1 + data[0] % 5u, &piecemeal);
	FUZZ_CHECK(a == b, "%zd at once, %zd in pieces", a, b);
	FUZZ_CHECK(a < 0 || (at_once.len == piecemeal.len &&
				    (at_once.len == 0 ||
					    memcmp(at_once.data, piecemeal.data, at_once.len) == 0)),
		"%zu bytes at once, %zu in pieces", at_once.len, piecemeal.len);
	return 0;
}
