/* The format role, sample by sample. */
#include "driver/inspect.h"
#include "driver/tool/check.h"

#define ROUNDS      200 /* of calls in one process */
#define INSPECT_MAX 3   /* samples */

static struct fleet_bytes bytes_of(const struct sample *s)
{
	return check_bytes(s->data, s->len);
}

/* A file that the driver must not take: neither check nor read, and check says where. */
static void check_refusal(struct check *c, const struct sample *s)
{
	_cleanup_(settings_done) struct settings settings = SETTINGS_INIT;
	struct fleet_error by_check = FLEET_ERROR_INIT, by_read = FLEET_ERROR_INIT;
	enum outcome check = check_check(c, bytes_of(s), &by_check);
	enum outcome read = check_read(c, bytes_of(s), &settings, &by_read);
	char *end;

	(void)strtoul(by_check.message, &end, 10);
	if (check != OUTCOME_REFUSED)
		tap_fail(&c->tap, check == OUTCOME_DONE ? "check accepts it" : by_check.message,
			"%s: is refused, with its place", s->name);
	else if (read != OUTCOME_REFUSED)
		tap_fail(&c->tap,
			read == OUTCOME_DONE ? "check refuses it, but read answers" : by_read.message,
			"%s: is refused, with its place", s->name);
	else if (end == by_check.message || *end != ':')
		tap_fail(&c->tap, "check does not say at which line and column",
			"%s: is refused, with its place", s->name);
	else
		tap_pass(&c->tap, "%s: is refused, with its place", s->name);
}

/* Twice, in two processes, whose addresses are not the same. */
/* An option that no driver knows is none of its business. */
static enum outcome read_with_option(
	struct check *c, const struct sample *s, struct settings *ret, struct fleet_error *err)
{
	const struct fleet_option *given = c->target.options;
	uint32_t count = c->target.option_count;
	struct fleet_option *options = xcalloc(count + 1, sizeof(*options));
	enum outcome outcome;

	for (uint32_t i = 0; i < count; i++)
		options[i] = given[i];
	options[count] = (struct fleet_option){"fleet-check-unknown", "1"};
	c->target.options = options;
	c->target.option_count = count + 1;
	outcome = check_read(c, bytes_of(s), ret, err);
	c->target.options = given;
	c->target.option_count = count;
	free(options);
	return outcome;
}

static void check_determinism(
	struct check *c, const struct sample *s, const struct settings *now, struct verdict *v)
{
	_cleanup_(settings_done) struct settings again = SETTINGS_INIT, with_option = SETTINGS_INIT;
	_cleanup_buffer_ struct fleet_buffer first = FLEET_BUFFER_INIT, second = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_edit edit;

	if (check_read(c, bytes_of(s), &again, &err) != OUTCOME_DONE)
		verdict_fail(v, "the second time, read fails: %s", err.message);
	else if (!check_same(now, &again))
		verdict_fail(v, "the second time, read says something else, or in another order");
	else if (read_with_option(c, s, &with_option, &err) != OUTCOME_DONE || !check_same(now, &with_option))
		verdict_fail(v, "with an option that it does not know, read says something else");
	else
		verdict_hold(v);
	if (now->count == 0)
		return;
	edit = check_unset(now->items[0].path);
	if (check_edit(c, bytes_of(s), &edit, 1, &first, &err) != OUTCOME_DONE)
		return;
	if (check_edit(c, bytes_of(s), &edit, 1, &second, &err) != OUTCOME_DONE || first.len != second.len ||
		memcmp(first.data, second.data, first.len) != 0)
		verdict_fail(v, "the second time, the same edit gives other bytes");
}

static void judge_inspection(
	struct check *c, const struct sample *s, const struct driver_inspection *seen, struct verdict *v)
{
	static const struct {
		uint32_t bit;
		const char *what;
	} faults[] = {{DRIVER_SEEN_OVERRUN, "it writes past the end of struct fleet_driver_error"},
		{DRIVER_SEEN_SIZE, "it changes the size in struct fleet_driver_error"},
		{DRIVER_SEEN_UNTERMINATED, "an error's message has no NUL at its end"},
		{DRIVER_SEEN_INPUT_CHANGED, "it writes to the bytes that it was lent"},
		{DRIVER_SEEN_OTHER_ANSWER, "the same question in the same process has another answer: "
					   "something is kept between calls"},
		{DRIVER_SEEN_POSITIVE_RESULT, "it returns neither 0 nor a negative errno"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(faults); i++) {
		if (seen->seen & faults[i].bit)
			verdict_fail(v, "%s: %s", s->name, faults[i].what);
	}
	if (seen->seen & DRIVER_SEEN_VALUE_TOLD)
		verdict_fail(&c->sentences,
			"%s: a log line or an error tells the value that was to be written, which might be a "
			"secret",
			s->name);
	if (seen->leaked_bytes_per_round >= 16)
		verdict_fail(v, "%s: it leaks %lld bytes with each check, read and edit", s->name,
			(long long)seen->leaked_bytes_per_round);
	if (seen->leaked_bytes_per_round < 0)
		tap_note("%s: too slow for %d calls in a row, so leaks would not show", s->name, ROUNDS);
	verdict_hold(v);
}

static void check_inspection(
	struct check *c, const struct sample *s, const struct settings *now, struct verdict *v)
{
	static const char value[] = "n0t-to-be-told";
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_call call = tool_target_call(&c->target);
	struct fleet_edit edits[2];
	struct driver_inspection seen;
	uint32_t count = 0;

	for (size_t i = 0; i < now->count && count == 0; i++) {
		if (now->items[i].type == FLEET_TYPE_STRING)
			edits[count++] =
				check_set(now->items[i].path, value, strlen(value), FLEET_TYPE_STRING);
	}
	if (now->count > 0)
		edits[count++] = check_unset(now->items[now->count - 1].path);
	if (driver_format_inspect(&call, bytes_of(s), edits, count, ROUNDS, &seen, &err) < 0)
		verdict_fail(v, "%s: %s", s->name, err.message);
	else
		judge_inspection(c, s, &seen, v);
}

/* A file that an app's first push makes is empty before. */
static void check_first_key(
	struct check *c, const struct sample *s, const struct settings *now, struct verdict *v)
{
	_cleanup_(settings_done) struct settings nothing = SETTINGS_INIT;
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct fleet_bytes empty = check_bytes("", 0);
	const struct setting *first = now->count > 0 ? &now->items[0] : NULL;
	enum outcome outcome =
		first && *first->path ? check_read(c, empty, &nothing, &err) : OUTCOME_TOO_MUCH;
	struct fleet_edit edit;

	if (outcome == OUTCOME_DONE) {
		edit = check_set(first->path, first->value, first->value_len, first->type);
		outcome = check_proven(c, empty, &nothing, &edit, 1, &out, &err);
	}
	if (outcome == OUTCOME_DONE)
		verdict_hold(v);
	else if (outcome == OUTCOME_REFUSED)
		verdict_refuse(v, err.message);
	else if (outcome == OUTCOME_BROKEN)
		verdict_fail(v, "%s: its first key in an empty file: %s", s->name, err.message);
}

/* false: the driver does not take it. */
static bool check_understood(struct check *c, const struct sample *s, struct settings *ret)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	enum outcome outcome = check_check(c, bytes_of(s), &err);

	if (outcome == OUTCOME_REFUSED && !s->given)
		return false; /* no file of its format, then */
	if (outcome != OUTCOME_DONE) {
		tap_fail(&c->tap, err.message, "%s: check accepts it", s->name);
		return false;
	}
	if (s->given)
		tap_pass(&c->tap, "%s: check accepts it", s->name);
	if (check_read(c, bytes_of(s), ret, &err) != OUTCOME_DONE) {
		tap_fail(&c->tap, err.message, "%s: read takes what check accepts", s->name);
		return false;
	}
	tap_pass(&c->tap, "%s: read takes what check accepts (%zu settings)", s->name, ret->count);
	return true;
}

static bool check_sample(struct check *c, const struct sample *s, bool inspect, struct verdict *inspection,
	struct verdict *first_key)
{
	_cleanup_(settings_done) struct settings now = SETTINGS_INIT;
	struct verdict same = {0};

	if (s->refused) {
		check_refusal(c, s);
		return false;
	}
	if (!check_understood(c, s, &now))
		return false;
	check_determinism(c, s, &now, &same);
	verdict_tell(&same, &c->tap, "", "%s: the same question has the same answer", s->name);
	if (inspect)
		check_inspection(c, s, &now, inspection);
	if (now.count == 0 && !s->given)
		return false; /* to this driver it is all comment */
	check_first_key(c, s, &now, first_key);
	check_sample_edits(c, s, &now);
	check_sample_values(c, s, &now);
	check_sample_damage(c, s);
	return now.count > 0;
}

void check_format(struct check *c, const char *samples_dir)
{
	static const char understood[] = "it understands samples with settings in them";
	struct samples samples = {NULL, 0};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct verdict inspection = {0}, first_key = {0};
	unsigned useful = 0;

	if (!samples_dir) {
		samples_built_in(&samples);
	} else if (samples_load(samples_dir, &samples, &err) < 0) {
		tap_fail(&c->tap, err.message, "there are samples");
		return;
	}
	for (size_t i = 0; i < samples.count; i++)
		useful += check_sample(c, &samples.items[i], useful < INSPECT_MAX, &inspection, &first_key);
	samples_done(&samples);
	if (useful == 0)
		tap_fail(&c->tap,
			samples_dir ? "no sample has a setting"
				    : "it takes none of the built-in samples; give --samples DIR with files "
				      "of its format",
			understood);
	else
		tap_pass(&c->tap, understood);
	if (useful > 0 && c->edits_made == 0) {
		_cleanup_free_ char *why = xasprintf("not one edit of a value succeeded: %s",
			*c->refusal ? c->refusal : "each did something else");

		tap_fail(&c->tap, why, "it edits");
	} else if (useful > 0) {
		tap_pass(&c->tap, "it edits");
	}
	verdict_tell(&inspection, &c->tap, "no sample to try it with",
		"%d calls in one process: no leak, nothing kept, nothing overwritten", ROUNDS);
	verdict_tell(&first_key, &c->tap, "no sample to take a key from", "an empty file takes a first key");
	check_hostile(c);
}
