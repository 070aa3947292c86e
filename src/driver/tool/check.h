/* `fleet-driver check`: the conformance suite. One run is one struct check; its parts test the file, the
 * format role on samples, values and damaged input, and the service role. Every call of the driver goes
 * through check_call.c, which watches over what holds for all of them: that it comes back, and that errors
 * are sentences for a person. */
#ifndef TOOL_CHECK_H
#define TOOL_CHECK_H
#include "driver/tool/samples.h"
#include "driver/tool/tap.h"
#include "driver/tool/target.h"

struct check {
	struct tap tap;
	struct tool_target target;
	struct verdict sentences; /* of every error in the run */
	unsigned edits_made;      /* that changed a value and were proven */
	char refusal[1024];       /* the last one of an edit */
};

/* How a call ended. */
enum outcome {
	OUTCOME_DONE,
	OUTCOME_REFUSED,  /* by the driver, with an error */
	OUTCOME_TOO_MUCH, /* the answer went past a bound of the host's; hostile input may */
	OUTCOME_BROKEN    /* no answer, or none that the ABI allows */
};
enum outcome check_read(
	struct check *c, struct fleet_bytes in, struct settings *ret, struct fleet_error *err);
enum outcome check_edit(struct check *c, struct fleet_bytes in, const struct fleet_edit *edits, size_t count,
	struct fleet_buffer *ret, struct fleet_error *err);
enum outcome check_check(struct check *c, struct fleet_bytes in, struct fleet_error *err);
/* An edit and its proof. REFUSED: by the driver, or it makes no sense; BROKEN: also where the proof fails. */
enum outcome check_proven(struct check *c, struct fleet_bytes in, const struct settings *now,
	const struct fleet_edit *edits, size_t count, struct fleet_buffer *ret, struct fleet_error *err);
/* Is this error one that a person can use? Failing goes to c->sentences. edits: whose values it must not
 * tell. */
void check_sentence(struct check *c, const char *where, struct fleet_bytes in, const struct fleet_edit *edits,
	size_t count, const struct fleet_error *err);

/* Exactly the same list, order and all. */
bool check_same(const struct settings *a, const struct settings *b);
static inline struct fleet_bytes check_bytes(const char *data, size_t len)
{
	return (struct fleet_bytes){data, len};
}
static inline struct fleet_edit check_set(const char *path, const char *value, size_t len, uint32_t type)
{
	return (struct fleet_edit){{path, strlen(path)}, {value, len}, FLEET_EDIT_SET, type};
}
static inline struct fleet_edit check_unset(const char *path)
{
	return (struct fleet_edit){{path, strlen(path)}, {"", 0}, FLEET_EDIT_UNSET, 0};
}

/* The parts. false: the driver cannot be called at all. */
bool check_file(struct check *c);
void check_format(struct check *c, const char *samples_dir);
void check_sample_edits(struct check *c, const struct sample *sample, const struct settings *now);
void check_sample_values(struct check *c, const struct sample *sample, const struct settings *now);
void check_sample_damage(struct check *c, const struct sample *sample);
void check_hostile(struct check *c);
void check_service(struct check *c, const char *exercise);
void check_exercise(struct check *c);

#endif
