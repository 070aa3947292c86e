#include "agent/admin/suggestion.h"
#include <ctype.h>
#include <strings.h>
#include "fleet/ids.h"

char *suggestion_id(const char *unit)
{
	const char *dot = strrchr(unit, '.');
	char *id = xstrndup(unit, dot && dot != unit ? (size_t)(dot - unit) : strlen(unit));

	if (strlen(id) > FLEET_ID_MAX)
		id[FLEET_ID_MAX] = '\0';
	for (char *c = id; *c; c++) {
		bool good = isascii((unsigned char)*c) &&
			    (isalnum((unsigned char)*c) || (c != id && strchr("._-", *c)));

		if (!good)
			*c = c == id ? 'x' : '-';
	}
	return id;
}

/* Plain where YAML takes it so, and for a text, else in double quotes. */
static bool is_plain(const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-@+";
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i]) == 0)
			return false;
	}
	return (isalpha((unsigned char)text[0]) || text[0] == '/') && strspn(text, plain) == strlen(text);
}

static void add_scalar(struct fleet_buffer *out, const char *text)
{
	if (is_plain(text)) {
		fleet_buffer_add_string(out, text);
		return;
	}
	fleet_buffer_add_string(out, "\"");
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fleet_buffer_printf(out, "\\%c", *c);
		else if ((unsigned char)*c < ' ' || *c == 127)
			fleet_buffer_printf(out, "\\x%02x", (unsigned char)*c);
		else
			fleet_buffer_add(out, c, 1);
	}
	fleet_buffer_add_string(out, "\"");
}

static void add_pair(struct fleet_buffer *out, const char *before, const char *value)
{
	fleet_buffer_add_string(out, before);
	add_scalar(out, value);
	fleet_buffer_add_string(out, "\n");
}

/* A text from outside in a comment: one line of it. */
static void add_comment(struct fleet_buffer *out, const char *words, const char *text)
{
	_cleanup_free_ char *clean = xstrdup(text);

	fleet_text_sanitize(clean);
	fleet_buffer_printf(out, "    # %s%s\n", words, clean);
}

static void add_program(const struct unit_view *u, struct fleet_buffer *out)
{
	fleet_buffer_add_string(out, "\n");
	if (u->program)
		add_comment(out, "The program: ", u->program);
	if (u->user)
		add_comment(out, "It runs as: ", u->user);
	if (u->tree) {
		fleet_buffer_add_string(out,
			"    # Guess: this directory is the app's own, and an update replaces it whole. What "
			"the app\n"
			"    # writes below it must be named in preserve, or belongs elsewhere.\n");
		add_pair(out, "    binary_path: ", u->tree);
		fleet_buffer_add_string(out, "    #preserve: [data, logs]\n");
	} else if (u->of_system) {
		fleet_buffer_add_string(out, "    # The program is the distribution's: its updates are the "
					     "package manager's, so there is no\n"
					     "    # binary_path, and allow leaves out update.\n");
	} else if (u->program) {
		fleet_buffer_add_string(out,
			"    # Decide: may the console replace this one file? Then take away the '#'.\n");
		add_pair(out, "    #binary_path: ", u->program);
	} else {
		fleet_buffer_add_string(out,
			"    # Decide: where do releases go? The unit does not say which program it runs.\n"
			"    #binary_path: /opt/app\n");
	}
	if (u->version_file)
		add_pair(out, "    version_file: ", u->version_file);
	else
		fleet_buffer_add_string(out,
			"    # How to tell the installed version: a file, or a program that prints it.\n"
			"    #version_file: /opt/app/version.txt\n"
			"    #version_command: [/opt/app/app, --version]\n");
}

/* The name that a config has besides "main": of its file, without what an id may not hold. */
static void add_named(
	struct fleet_buffer *out, const char *path, const char *driver, struct app_strings *used)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *stem = suggestion_id(slash ? slash + 1 : path), *name = xstrdup(stem);

	for (unsigned n = 2;; n++) {
		bool taken = strcmp(name, "main") == 0;

		for (size_t i = 0; i < used->count; i++)
			taken |= strcmp(used->items[i], name) == 0;
		if (!taken)
			break;
		free(name);
		name = xasprintf("%.*s-%u", FLEET_ID_MAX - 4, stem, n);
	}
	app_strings_add(used, name);
	add_pair(out, "      - name: ", name);
	add_pair(out, "        path: ", path);
	if (driver)
		add_pair(out, "        driver: ", driver);
}

static void add_configs(const struct unit_view *u, struct fleet_buffer *out)
{
	_cleanup_(app_freep) struct app *names = xcalloc(1, sizeof(*names)); /* frees its lists */

	fleet_buffer_add_string(out, "\n");
	if (u->configs.count > 0) {
		fleet_buffer_add_string(out, "    # Guess: this configures it. fleet-driver read --driver "
					     "DRIVER FILE shows whether it is\n"
					     "    # understood.\n");
		add_pair(out, "    config_path: ", u->configs.items[0]);
		add_pair(out, "    config_driver: ", app_infer_driver(u->configs.items[0]));
	} else {
		fleet_buffer_add_string(out, "    # Decide: which file may the console change settings in?\n"
					     "    #config_path: /etc/app/app.json\n");
	}
	if (u->configs.count > 1 || u->env_files.count > 0)
		fleet_buffer_add_string(
			out, "    # More files; take out what the console is not to see.\n    configs:\n");
	for (size_t i = 1; i < u->configs.count; i++)
		add_named(out, u->configs.items[i], app_infer_driver(u->configs.items[i]), &names->preserve);
	for (size_t i = 0; i < u->env_files.count; i++)
		add_named(out, u->env_files.items[i], "env-config", &names->preserve);
	fleet_buffer_printf(out,
		"    # Values that never leave this server, besides those whose names say so (password, "
		"token, ...).\n"
		"    #secret_keys: [\"Smtp.User\"]\n"
		"    # Decide: which settings may the console change? All, where this is left out.\n"
		"    #config_keys: {allow: [\"LogLevel\"], deny: [\"*Password*\"]}\n"
		"    # After a push: restart, reload or none.%s\n"
		"    #after_push: restart\n",
		u->reloads ? " The unit knows how to reload." : "");
}

void suggestion_write(const struct unit_view *u, const char *apps_dir, struct fleet_buffer *out)
{
	_cleanup_free_ char *id = suggestion_id(u->id);
	bool updates = u->tree != NULL;

	fleet_buffer_printf(out,
		"# Made by fleet-agent suggest of what the unit says. Look it through, put it into "
		"%s/%s.yaml\n"
		"# (root's, mode 644), then: fleet-agent check; systemctl reload fleet-agent\n"
		"managed_apps:\n",
		apps_dir, id);
	add_pair(out, "  - id: ", id);
	if (u->description)
		add_comment(out, "", u->description);
	if (u->fragment)
		add_comment(out, "Its unit: ", u->fragment);
	add_pair(out, "    service_name: ", u->id);
	add_program(u, out);
	add_configs(u, out);
	fleet_buffer_printf(out,
		"\n"
		"    # Decide: how to see that it is well, beyond that it runs? After each restart it is "
		"waited for.\n"
		"    #health_check: {url: \"http://localhost:8080/health\"}\n"
		"    #health_check: {tcp: \"localhost:8080\"}\n"
		"\n"
		"    # Decide: what may the console do? fleet-agent allowed %s says it in sentences.\n"
		"    allow: [restart%s%s, read-logs]\n",
		id, u->configs.count + u->env_files.count > 0 ? ", push-config, read-config" : "",
		updates ? ", update" : "");
}
