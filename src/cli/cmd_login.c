#include <termios.h>
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/usage.h"

#define KEY_MAX 4096

/* One line from stdin without its newline; owned, NULL at the end of input. */
static char *line_read(void)
{
	char text[KEY_MAX + 2];
	size_t len;

	if (!fgets(text, sizeof(text), stdin))
		return NULL;
	len = strcspn(text, "\r\n");
	return xstrndup(text, len);
}

/* Asks on the terminal, without showing what is typed. Owned; NULL where nothing was typed. */
static char *key_ask(void)
{
	struct termios shown, hidden;
	bool echo = tcgetattr(STDIN_FILENO, &shown) == 0;
	char *key;

	if (echo) {
		hidden = shown;
		hidden.c_lflag &= ~(tcflag_t)ECHO;
		hidden.c_lflag |= ECHONL;
		(void)tcsetattr(
			STDIN_FILENO, TCSAFLUSH, &hidden); /* at worst the key is seen while it is typed */
	}
	fputs("API key: ", stderr); /* not before: an answer that is already there would be seen, and lost */
	key = line_read();
	if (echo)
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown); /* the terminal is gone if this fails */
	if (key && !key[0]) {
		free(key);
		key = NULL;
	}
	return key;
}

/* What the console says to a request that needs a key: its status, or -1 when it cannot be reached (told). */
static int access_probe(struct session *s, struct fleet_http_response *ret)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_http_call(s->http, "GET", "/api/agents?limit=1", NULL, ret, &err) < 0) {
		session_tell_unreachable(s, &err);
		return -1;
	}
	return ret->status;
}

static int session_begin(struct session *s, const char *url, const char *key, const char *ca_file)
{
	struct config config = {.url = xstrdup(url), .api_key = xstrdup(key), .ca_file = xstrdup(ca_file)};
	struct fleet_error err = FLEET_ERROR_INIT;

	if (session_open_config(s, &config, &err) >= 0)
		return CLI_OK;
	output_line(stderr, "%s.", err.message);
	return CLI_FAILED;
}

/* Is it a Fleet console at all? ret_version: owned, NULL where the console tells it only to those with a key.
 */
static int version_probe(struct session *s, char **ret_version)
{
	_cleanup_(fleet_http_response_done) struct fleet_http_response answer = {0};
	_cleanup_json_ struct json_object *body = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_http_call(s->http, "GET", "/api/version", NULL, &answer, &err) < 0) {
		session_tell_unreachable(s, &err);
		return CLI_FAILED;
	}
	if (answer.status == 401 || answer.status == 403)
		return CLI_OK;
	if (answer.status == 200 &&
		fleet_json_parse(answer.body, answer.body_len, answer.body_len, &body, NULL) >= 0 &&
		fleet_json_string(body, "version")) {
		*ret_version = xstrdup(fleet_json_string(body, "version"));
		return CLI_OK;
	}
	output_line(stderr,
		"%s is no Fleet console: it answered %d to a question for its version. Check the URL.",
		s->config.url, answer.status);
	return CLI_FAILED;
}

/* Finds the key that opens the console: the one given, none, or one typed now. */
static int access_check(struct session *s)
{
	_cleanup_(fleet_http_response_done) struct fleet_http_response answer = {0};
	_cleanup_free_ char *key = NULL;
	int status = access_probe(s, &answer);

	if (status < 0)
		return CLI_FAILED;
	if (status == 401 && !s->config.api_key) {
		_cleanup_free_ char *url = xstrdup(s->config.url);
		_cleanup_free_ char *ca_file = xstrdup(s->config.ca_file);

		if (!isatty(STDIN_FILENO)) {
			output_line(stderr, "Authentication failed: the console wants an API key, and there "
					    "is no terminal to ask for it.");
			output_line(stderr,
				"  Give one: fleetctl login --url %s --api-key KEY (or --api-key - to read "
				"it from stdin)",
				url);
			return CLI_FAILED;
		}
		key = key_ask();
		if (!key) {
			output_line(stderr, "Authentication failed: no key was typed.");
			return CLI_FAILED;
		}
		session_done(s);
		if (session_begin(s, url, key, ca_file) != CLI_OK)
			return CLI_FAILED;
		fleet_http_response_done(&answer);
		answer = (struct fleet_http_response){0};
		status = access_probe(s, &answer);
		if (status < 0)
			return CLI_FAILED;
	}
	if (status == 200)
		return CLI_OK;
	session_tell_refused(s, &answer, NULL);
	return CLI_FAILED;
}

/* Tells the console that somebody logs in, for its audit log. " as alice (operator)" where it says who that
 * is; owned, NULL. */
static char *who_am_i(struct session *s)
{
	_cleanup_(fleet_http_response_done) struct fleet_http_response answer = {0};
	_cleanup_json_ struct json_object *body = NULL, *said = json_object_new_object();
	struct fleet_error err = FLEET_ERROR_INIT;
	const char *name, *role;

	fleet_json_add_string(said, "key", s->config.api_key);
	if (!s->config.api_key || fleet_http_call(s->http, "POST", "/api/session", said, &answer, &err) < 0 ||
		answer.status != 200 ||
		fleet_json_parse(answer.body, answer.body_len, answer.body_len, &body, NULL) < 0)
		return NULL;
	name = fleet_json_string(body, "name");
	role = fleet_json_string(body, "role");
	return name && role ? xasprintf(" as %s (%s%s)", name, role,
				      fleet_json_object(body, "limits") ? ", limited" : "")
			    : NULL;
}

static int config_write(const struct config *config)
{
	_cleanup_free_ char *path = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (config_path(&path, &err) < 0 || config_save(path, config, &err) < 0) {
		output_line(stderr, "%s.", err.message);
		return CLI_FAILED;
	}
	output_line(stdout, "Saved in %s.", path);
	return CLI_OK;
}

int cmd_login(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_free_ char *url = NULL;
	_cleanup_free_ char *typed = NULL;
	_cleanup_free_ char *version = NULL;
	_cleanup_free_ char *ca_file = NULL;
	_cleanup_free_ char *who = NULL;
	const char *key = cli_args_get(args, "api-key", NULL);
	const char *ca = cli_args_get(args, "ca-file", NULL);
	struct fleet_error err = FLEET_ERROR_INIT;

	if (config_url_normalize(cli_args_get(args, "url", NULL), &url, &err) < 0) {
		(void)fleet_error_wrap(&err, "--url"); /* the code is known */
		return cli_usage_fail(args, &err);
	}
	if (ca && !(ca_file = realpath(ca, NULL))) {
		output_line(stderr, "Cannot read the authorities in %s: %s.", ca, strerror(errno));
		return CLI_FAILED;
	}
	if (str_equal(key, "-")) {
		typed = line_read();
		key = typed;
	}
	if (session_begin(&s, url, str_empty(key) ? NULL : key, ca_file) != CLI_OK)
		return CLI_FAILED;
	if (version_probe(&s, &version) != CLI_OK || access_check(&s) != CLI_OK)
		return CLI_FAILED;
	if (s.config.api_key && str_starts(url, "http://") && !config_url_is_loopback(url))
		output_line(stderr,
			"Warning: %s is not encrypted: who listens on the way can read your key. Use https.",
			url);
	who = who_am_i(&s);
	output_line(stdout, "Logged in to %s%s%s%s%s.", url, version ? " (Fleet " : "",
		version ? version : "", version ? ")" : "", who ? who : "");
	return config_write(&s.config);
}
