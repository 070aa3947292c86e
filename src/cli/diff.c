#include "cli/diff.h"
#include "cli/config.h"
#include "cli/format.h"
#include "cli/output.h"

/* The first that fits: the file's names begin with signs too. */
static const struct {
	const char *begin, *colour;
} looks[] = {
	{"--- ", "\033[1m"},
	{"+++ ", "\033[1m"},
	{"@@ ", "\033[36m"},
	{"-", "\033[31m"},
	{"+", "\033[32m"},
};

static void line_write(const char *text, size_t len, bool header, bool coloured)
{
	_cleanup_free_ char *line = xstrndup(text, len), *clean = NULL;
	const char *colour = NULL;

	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	clean = output_clean(line);
	for (size_t i = header ? 0 : 2; coloured && i < FLEET_ARRAY_LEN(looks) && !colour; i++) {
		if (str_starts(clean, looks[i].begin))
			colour = looks[i].colour;
	}
	if (colour)
		printf("%s%s\033[m\n", colour, clean);
	else
		output_line(stdout, "%s", clean);
}

bool diff_write(struct json_object *command)
{
	const char *text = fleet_json_string(command, "unifiedDiff");
	const char *note = fleet_json_string(command, "unifiedDiffNote");
	int64_t left = fleet_json_int(command, "unifiedDiffLeft", 0);
	bool coloured = isatty(STDOUT_FILENO) == 1 && config_colour_is_wanted();

	for (size_t n = 0; text && *text; n++) {
		size_t len = strcspn(text, "\n");

		line_write(text, len, n < 2, coloured);
		text += len + (text[len] == '\n');
	}
	if (left > 0)
		output_line(stderr, "%s more: no room for them in one answer.",
			format_count((size_t)left, "line").text);
	if (note)
		output_line(stderr, "  %s.", note);
	return text != NULL;
}
