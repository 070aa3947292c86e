/* What a format driver is tried on: the files of --samples, else a few built-in ones of common formats of
 * which a driver understands some, it is hoped; and bytes that are nobody's config file. */
#ifndef TOOL_SAMPLES_H
#define TOOL_SAMPLES_H
#include "fleet/buffer.h"
#include "fleet/driver.h"
#include "fleet/error.h"

struct sample {
	char *name; /* owned */
	char *data; /* owned, never NULL */
	size_t len;
	bool refused; /* the driver must refuse it */
	bool given;   /* by --samples: the driver must take it, where it is not to refuse it */
};
struct samples {
	struct sample *items; /* owned */
	size_t count;
};

/* Regular files of dir and of dir/refused, by name, hidden ones left out. -ENOENT where there is none. */
int samples_load(const char *dir, struct samples *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void samples_built_in(struct samples *ret);
/* Inputs that are hostile in themselves, whatever the format. */
void samples_hostile(struct samples *ret);
/* The n-th way to damage a sample, the same on every run. Owned data. */
void samples_damage(const struct sample *from, unsigned n, struct sample *ret);
void samples_done(struct samples *s);
void sample_done(struct sample *s);

#endif
