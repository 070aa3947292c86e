/* Which keys a pattern means, and which look like secrets. */
#include <ctype.h>
#include "driver/settings.h"
#include "fleet/limits.h"

/* Length of the character at s in a key path or glob: an escape counts as one. */
static size_t unit(const char *s)
{
	return s[0] == '\\' && s[1] ? 2 : 1;
}

/* Reached positions in the path, one per byte: no pattern can make this slow. */
struct reach {
	bool at[FLEET_KEY_PATH_MAX + 2];
};

static void step_star(struct reach *r, const char *path, bool across)
{
	for (size_t i = 0; path[i]; i += unit(path + i)) {
		if (r->at[i] && (across || (path[i] != '.' && path[i] != '[')))
			r->at[i + unit(path + i)] = true;
	}
}

/* `**.` also stands for nothing, and else ends in a dot. */
static void step_leading_any(struct reach *r, const char *path)
{
	struct reach any = *r;

	step_star(&any, path, true);
	for (size_t i = 0; path[i]; i += unit(path + i)) {
		if (any.at[i] && path[i] == '.')
			r->at[i + 1] = true;
	}
}

static void step_literal(struct reach *r, const char *path, const char *want, size_t want_len)
{
	struct reach next = {{false}};

	for (size_t i = 0; path[i]; i += unit(path + i)) {
		if (r->at[i] && unit(path + i) == want_len && memcmp(path + i, want, want_len) == 0)
			next.at[i + want_len] = true;
	}
	*r = next;
}

bool settings_path_matches(const char *glob, const char *path)
{
	struct reach r = {{false}};
	bool segment_start = true;

	if (strlen(path) > FLEET_KEY_PATH_MAX)
		return false;
	r.at[0] = true;
	while (*glob) {
		if (segment_start && str_starts(glob, "**.")) {
			step_leading_any(&r, path);
			glob += 3;
			continue;
		}
		segment_start = *glob == '.';
		if (str_starts(glob, "**")) {
			step_star(&r, path, true);
			glob += 2;
		} else if (*glob == '*') {
			step_star(&r, path, false);
			glob++;
		} else if (str_starts(glob, "\\*")) {
			step_literal(&r, path, "*", 1);
			glob += 2;
		} else {
			step_literal(&r, path, glob, unit(glob));
			glob += unit(glob);
		}
	}
	return r.at[strlen(path)];
}

bool settings_path_is_secret(const char *path)
{
	static const char *const words[] = {"password", "passwd", "passphrase", "pwd", "secret", "token",
		"credential", "privatekey", "apikey", "accesskey", "authkey", "signingkey", "encryptionkey",
		"sharedkey", "accountkey", "masterkey", "connectionstring", "salt", "cookie", "bearer",
		"authorization"};
	char name[FLEET_KEY_PATH_MAX + 1]; /* one segment: lower case, letters and digits only */
	size_t n = 0;

	for (;; path += unit(path)) {
		bool end = !*path || *path == '.' || *path == '[';

		if (!end) {
			char c = path[unit(path) - 1];

			if (isalnum((unsigned char)c) && n < sizeof(name) - 1)
				name[n++] = (char)tolower((unsigned char)c);
			continue;
		}
		name[n] = '\0';
		for (size_t i = 0; i < FLEET_ARRAY_LEN(words); i++) {
			if (strstr(name, words[i]))
				return true;
		}
		if (n >= 4 && strcmp(name + n - 4, "pass") == 0)
			return true;
		if (strcmp(name, "dsn") == 0 || strcmp(name, "pin") == 0)
			return true;
		n = 0;
		if (!*path)
			return false;
	}
}
