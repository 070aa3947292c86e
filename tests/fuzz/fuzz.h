/* What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: it takes bytes as an enemy
 * would send them, gives them to one parser, and holds what comes of it to properties, not only to not
 * crashing. Linked with libFuzzer (configure --enable-fuzz) it looks for inputs; linked with replay.c, as
 * `make check` does, it goes through those of tests/fuzz/corpus/TARGET. Nothing lasts from one input to the
 * next. */
#ifndef FUZZ_H
#define FUZZ_H
#include "fleet/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property does not hold: says so and aborts. */
void fuzz_fail(const char *file, int line, const char *fmt, ...) FLEET_PRINTF(3, 4) FLEET_NORETURN;
#define FUZZ_CHECK(holds, ...)                                                                               \
	do {                                                                                                 \
		if (!(holds))                                                                                \
			fuzz_fail(__FILE__, __LINE__, __VA_ARGS__);                                          \
	} while (0)

/* A run of an input's bytes; borrowed. */
struct fuzz_text {
	const char *data;
	size_t len;
};
/* Cuts the first line off *rest (without its newline). False at the end. */
bool fuzz_next_line(struct fuzz_text *rest, struct fuzz_text *ret_line);

#endif
