#include "agent/host/app_command.h"
#include <signal.h>
#include "agent/host/unit_facts.h"
#include "fleet/clock.h"

#define GRACE_MS     5000 /* for systemd, around the command itself */
#define NO_PROGRAM   127
#define SYSTEMD_EXEC 203 /* what systemd says where it could not execute it */
#define SYSTEMD_USER 217

static const char *name_of(const struct app_strings *command)
{
	const char *slash = strrchr(command->items[0], '/');

	return slash ? slash + 1 : command->items[0];
}

/* ---- in a transient unit ---- */

/* systemd puts variables where a `$` is. */
static char *without_variables(const char *text)
{
	char *out = xmalloc(2 * strlen(text) + 1), *to = out;

	for (; *text; text++) {
		if (*text == '$')
			*to++ = '$';
		*to++ = *text;
	}
	*to = '\0';
	return out;
}

bool app_command_read_end(struct program_end *end)
{
	static const char finished[] = "Finished with result: ", running[] = "Running as unit: ";
	char *last = NULL, *text = end->err.text;
	const char *result;

	for (char *at = text; (at = strstr(at, finished)); at++) {
		if (at == text || at[-1] == '\n')
			last = at;
	}
	if (!last)
		return false;
	result = last + strlen(finished);
	if (str_starts(result, "success"))
		end->status = 0;
	else if (str_starts(result, "timeout"))
		end->timed_out = true;
	else if (str_starts(result, "oom-kill"))
		end->signal = SIGKILL;
	else if (!str_starts(result, "exit-code"))
		end->signal = SIGABRT; /* some signal: which is not told in numbers */
	if (end->timed_out || end->signal)
		end->status = -1;
	*last = '\0';
	end->err.len = (size_t)(last - text);
	if (str_starts(text, running)) {
		size_t skip = strcspn(text, "\n");

		skip += text[skip] == '\n';
		memmove(text, text + skip, end->err.len - skip + 1);
		end->err.len -= skip;
	}
	return true;
}

static int run_in_unit(const struct app *app, const struct app_strings *command, int64_t timeout_ms,
	struct program_end *ret, struct fleet_error *err)
{
	static const char *const fixed[] = {"/usr/bin/systemd-run", "--pipe", "--wait", "--collect",
		"--property=NoNewPrivileges=yes",
		"--property=CapabilityBoundingSet=", "--property=TimeoutStopSec=1s",
		"--property=KillMode=control-group", "--property=Environment=LANG=C"};
	struct app_strings argv = {0};
	_cleanup_free_ char *user = NULL, *group = NULL, *groups = NULL, *limit = NULL, *about = NULL;
	struct unit_facts facts;
	struct program_end end;
	int r = unit_facts_read(app, &facts, err);

	if (r < 0)
		return r;
	user = xasprintf("--property=User=%s", *facts.user ? facts.user : "nobody");
	group = xasprintf("--property=Group=%s", facts.group);
	groups = xasprintf("--property=SupplementaryGroups=%s", facts.groups);
	limit = xasprintf("--property=RuntimeMaxSec=%lldms", (long long)timeout_ms);
	about = xasprintf("--description=A command of app %s, for Fleet", app->id);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(fixed); i++)
		app_strings_add(&argv, fixed[i]);
	app_strings_add(&argv, user);
	if (*facts.group)
		app_strings_add(&argv, group);
	if (*facts.groups)
		app_strings_add(&argv, groups);
	app_strings_add(&argv, limit);
	app_strings_add(&argv, about);
	app_strings_add(&argv, "--");
	for (size_t i = 0; i < command->count; i++) {
		_cleanup_free_ char *text = without_variables(command->items[i]);

		app_strings_add(&argv, text);
	}
	r = program_run(argv.items, false, timeout_ms + GRACE_MS, &end, err);
	for (size_t i = 0; i < argv.count; i++)
		free(argv.items[i]);
	free(argv.items);
	if (r < 0)
		return r;
	if (!app_command_read_end(&end) && !end.timed_out)
		return fleet_error_set(err, -EIO, "systemd did not run it: %.*s",
			(int)strcspn(end.err.text, "\n"), end.err.text);
	if (end.status == SYSTEMD_USER)
		return fleet_error_set(
			err, -EIO, "systemd knows no user %s", *facts.user ? facts.user : "nobody");
	if (end.status == SYSTEMD_EXEC)
		end.status = NO_PROGRAM;
	*ret = end;
	return 0;
}

/* ---- either way ---- */

int app_command_run(const struct app *app, const struct app_strings *command, int64_t timeout_ms,
	struct program_end *ret, struct fleet_error *err)
{
	if (geteuid() == 0 && unit_facts_apply(app))
		return run_in_unit(app, command, timeout_ms, ret, err);
	return program_run(command->items, true, timeout_ms, ret, err);
}

/* A line of what it said; errors first. */
static const char *words_of(const struct program_end *end)
{
	const char *text = end->err.text + strspn(end->err.text, " \t\r\n");

	return *text ? text : end->out.text + strspn(end->out.text, " \t\r\n");
}

bool app_command_well(const struct app_strings *command, const struct program_end *end, int64_t timeout_ms,
	char *detail, size_t size)
{
	const char *words = words_of(end), *name = name_of(command);
	int len = (int)strcspn(words, "\n");
	char how[80];

	if (!end->timed_out && end->signal == 0 && end->status == 0)
		return true;
	if (end->timed_out) {
		char span[24];

		fleet_duration_format(timeout_ms, span, sizeof(span));
		(void)snprintf(how, sizeof(how), "did not end within %s", span);
	} else if (end->signal) {
		(void)snprintf(how, sizeof(how), "was killed by a signal");
	} else if (end->status == NO_PROGRAM) {
		(void)snprintf(how, sizeof(how), "could not be executed");
	} else {
		(void)snprintf(how, sizeof(how), "exited with status %d", end->status);
	}
	(void)snprintf(
		detail, size, "%.60s %s%s%.*s", name, how, len > 0 ? ": " : "", len < 160 ? len : 160, words);
	fleet_text_sanitize(detail);
	return false;
}
