/* Spellings that sh and systemd read alike. Between single quotes both take every byte as it is. Between
 * double quotes both know the same five escapes, of which a line end is never written. Behind a closed quote
 * they differ, so a value is always one piece. */
#include "env_edit.h"

/* Without quotes: what no shell and no version of systemd sees anything in. */
static bool is_plain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool word = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
			    (s[i] >= '0' && s[i] <= '9');

		if (!word && !strchr("_-./:,@%+=", s[i]))
			return false;
	}
	return true;
}

static bool has_any(struct fleet_bytes value, const char *chars)
{
	for (size_t i = 0; i < value.len; i++) {
		if (strchr(chars, value.data[i]))
			return true;
	}
	return false;
}

void env_spell(struct fleet_bytes value, char quote, struct text *out)
{
	bool escapes = has_any(value, "$`\"\\");

	if (quote == 0 && is_plain(value.data, value.len)) {
		text_add(out, value.data, value.len);
		return;
	}
	if (!has_any(value, "'") && (quote != '"' || escapes)) {
		text_add(out, "'", 1);
		text_add(out, value.data, value.len);
		text_add(out, "'", 1);
		return;
	}
	text_add(out, "\"", 1);
	for (size_t i = 0; i < value.len; i++) {
		if (strchr("$`\"\\", value.data[i]))
			text_add(out, "\\", 1);
		text_add(out, value.data + i, 1);
	}
	text_add(out, "\"", 1);
}

char env_quote_of(const char *s, size_t start, size_t end)
{
	return start < end && (s[start] == '\'' || s[start] == '"') ? s[start] : 0;
}
