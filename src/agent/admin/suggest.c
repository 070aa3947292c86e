/* `suggest`: asks systemd for the unit, writes the declaration to stdout, and lets nothing out that `check`
 * would not take. */
#include "agent/admin/admin.h"
#include "agent/admin/suggestion.h"
#include "agent/admin/systemctl.h"

/* "web" is web.service, as for systemctl. */
static char *whole_name(const char *unit)
{
	return strchr(unit, '.') ? xstrdup(unit) : xasprintf("%s.service", unit);
}

static int look(const char *unit, struct unit_view *ret, struct fleet_error *err)
{
	_cleanup_free_ char *shown = NULL, *state = NULL;
	int r = systemctl_show(unit, UNIT_VIEW_PROPERTIES, &shown, err);

	if (r < 0)
		return r;
	state = systemctl_value(shown, "LoadState", 0);
	if (!str_equal(state, "loaded") && !str_equal(state, "masked"))
		return fleet_error_set(err, -ENOENT,
			"systemd knows no unit %s (%s); systemctl list-units shows them", unit,
			state ? state : "no state");
	unit_view_read(shown, ret);
	if (!ret->id)
		ret->id = xstrdup(unit);
	return 0;
}

int admin_suggest(const struct admin *a)
{
	_cleanup_free_ char *unit = whole_name(a->words[0]);
	_cleanup_(unit_view_done) struct unit_view u = {0};
	_cleanup_buffer_ struct fleet_buffer text = FLEET_BUFFER_INIT;
	_cleanup_(apps_done) struct apps apps = APPS_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (strchr(unit, '/') || unit[0] == '-') {
		admin_say(stderr, "fleet-agent: '%s' is no unit's name", unit);
		return ADMIN_USAGE;
	}
	if (look(unit, &u, &err) < 0)
		return admin_fail(&err);
	suggestion_write(&u, a->apps_dir, &text);
	fputs(text.data, stdout);
	apps_check_text("the suggestion", text.data, text.len, &apps);
	for (size_t i = 0; i < apps.problem_count; i++)
		admin_say(stderr, "fleet-agent: as it stands it will not be taken: line %u: %s",
			apps.problems[i].line, apps.problems[i].message);
	return apps.problem_count == 0 ? ADMIN_OK : ADMIN_FAILED;
}
