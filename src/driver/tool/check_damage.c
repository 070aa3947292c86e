/* Input that is no config file any more, or never was one: every call comes back, and what check accepts,
 * read accepts too. */
#include "driver/tool/check.h"

#define DAMAGES 48

/* One input through all three functions. */
static void try_input(struct check *c, const struct sample *s, struct verdict *v)
{
	_cleanup_(settings_done) struct settings settings = SETTINGS_INIT;
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_bytes in = check_bytes(s->data, s->len);
	struct fleet_edit edit =
		check_set("FleetCheckNew", "new-value", strlen("new-value"), FLEET_TYPE_STRING);
	struct fleet_error by_check = FLEET_ERROR_INIT, by_read = FLEET_ERROR_INIT,
			   by_edit = FLEET_ERROR_INIT;
	enum outcome check = check_check(c, in, &by_check), read = check_read(c, in, &settings, &by_read),
		     edited;

	if (check == OUTCOME_BROKEN || read == OUTCOME_BROKEN) {
		verdict_fail(
			v, "%s: %s", s->name, check == OUTCOME_BROKEN ? by_check.message : by_read.message);
		return;
	}
	if (check == OUTCOME_DONE && read == OUTCOME_REFUSED) {
		verdict_fail(v, "%s: check accepts it, and read says: %s", s->name, by_read.message);
		return;
	}
	if (read == OUTCOME_DONE) {
		edited = check_proven(c, in, &settings, &edit, 1, &out, &by_edit);
	} else { /* the host would not come this far */
		edited = check_edit(c, in, &edit, 1, &out, &by_edit);
	}
	if (edited == OUTCOME_BROKEN)
		verdict_fail(v, "%s, a new key: %s", s->name, by_edit.message);
	else
		verdict_hold(v);
}

void check_sample_damage(struct check *c, const struct sample *sample)
{
	struct verdict v = {0};

	for (unsigned n = 0; n < DAMAGES && !v.failed; n++) {
		struct sample damaged;

		samples_damage(sample, n, &damaged);
		try_input(c, &damaged, &v);
		sample_done(&damaged);
	}
	verdict_tell(&v, &c->tap, "", "%s: damaged in %d ways, it is read, edited or refused", sample->name,
		DAMAGES);
}

void check_hostile(struct check *c)
{
	struct samples inputs;

	samples_hostile(&inputs);
	for (size_t i = 0; i < inputs.count; i++) {
		struct verdict v = {0};

		try_input(c, &inputs.items[i], &v);
		verdict_tell(&v, &c->tap, "", "%s: is read, edited or refused", inputs.items[i].name);
	}
	samples_done(&inputs);
}
