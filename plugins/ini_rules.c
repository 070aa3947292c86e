#include <errno.h>
#include "ini_rules.h"
#include "utf8.h"

static const struct ini_rules flavours[] = {
	{"generic", ";#", ";#", "=:", " = ", INI_INLINE_AFTER_BLANK, INI_CONTINUES_INDENTED, INI_BARE_WORDS,
		INI_QUOTES_KEPT, false, false, true, false},
	{"systemd", ";#", "", "=", "=", INI_INLINE_NONE, INI_CONTINUES_BACKSLASH, INI_BARE_NONE,
		INI_QUOTES_NONE, false, false, false, false},
	{"php", ";", ";", "=", " = ", INI_INLINE_ANYWHERE, INI_CONTINUES_NOT, INI_BARE_ANY, INI_QUOTES_PHP,
		false, false, false, false},
	{"mysql", ";#", "#", "=", " = ", INI_INLINE_ANYWHERE, INI_CONTINUES_NOT, INI_BARE_ANY,
		INI_QUOTES_MYSQL, false, true, true, true},
	{"windows", ";", "", "=", "=", INI_INLINE_NONE, INI_CONTINUES_NOT, INI_BARE_ANY, INI_QUOTES_PLAIN,
		true, false, false, false},
};

struct choice {
	const char *word;
	int value;
};

static int choose(const struct fleet_host *host, const char *key, const struct choice *choices, int *ret,
	struct fleet_driver_error *err)
{
	const char *said = fleet_driver_option(host, key, NULL);
	char words[96] = "";

	if (!said)
		return 0;
	for (const struct choice *c = choices; c->word; c++) {
		size_t used = strlen(words);

		if (strcmp(said, c->word) == 0) {
			*ret = c->value;
			return 0;
		}
		(void)snprintf(words + used, sizeof(words) - used, "%s%s", used ? ", " : "", c->word);
	}
	return fleet_driver_fail(err, -EINVAL, 0, 0, "the option %s is one of %s, not '%.*s'", key, words,
		(int)utf8_cut(said, strlen(said), 40), said);
}

int ini_rules_of(const struct fleet_host *host, struct ini_rules *ret, struct fleet_driver_error *err)
{
	static const struct choice names[] = {
		{"generic", 0}, {"systemd", 1}, {"php", 2}, {"mysql", 3}, {"windows", 4}, {NULL, 0}};
	static const struct choice cases[] = {{"sensitive", 0}, {"insensitive", 1}, {NULL, 0}};
	static const struct choice continuations[] = {{"none", INI_CONTINUES_NOT},
		{"indent", INI_CONTINUES_INDENTED}, {"backslash", INI_CONTINUES_BACKSLASH}, {NULL, 0}};
	static const struct choice answers[] = {{"no", 0}, {"yes", 1}, {"false", 0}, {"true", 1}, {NULL, 0}};
	static const struct choice delimiters[] = {{"=", 0}, {":", 1}, {"=:", 2}, {NULL, 0}};
	int flavour = 0, any_case, continuation, inlined = -1, bare = -1, delimiter = -1, r;
	struct ini_rules rules;

	r = choose(host, "flavour", names, &flavour, err);
	if (r < 0)
		return r;
	rules = flavours[flavour];
	any_case = rules.any_case;
	continuation = (int)rules.continuation;
	if ((r = choose(host, "case", cases, &any_case, err)) < 0 ||
		(r = choose(host, "continuation", continuations, &continuation, err)) < 0 ||
		(r = choose(host, "inline_comments", answers, &inlined, err)) < 0 ||
		(r = choose(host, "bare_keys", answers, &bare, err)) < 0 ||
		(r = choose(host, "delimiters", delimiters, &delimiter, err)) < 0)
		return r;
	rules.any_case = any_case;
	rules.continuation = (enum ini_continuation)continuation;
	if (inlined == 0)
		rules.inlined = INI_INLINE_NONE;
	if (inlined == 1 && rules.inlined == INI_INLINE_NONE) {
		rules.inlined = INI_INLINE_AFTER_BLANK;
		rules.inline_comments = rules.comments;
	}
	if (bare >= 0)
		rules.bare = bare ? INI_BARE_ANY : INI_BARE_NONE;
	if (delimiter >= 0) {
		rules.delimiters = delimiters[delimiter].word;
		if (delimiter == 1 && strchr(rules.assign, '='))
			rules.assign = ": ";
	}
	*ret = rules;
	return 0;
}

char ini_fold(const struct ini_rules *rules, char c)
{
	if (rules->any_case && c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	return rules->dash_is_underscore && c == '-' ? '_' : c;
}

bool ini_names_equal(const struct ini_rules *rules, const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (a_len != b_len)
		return false;
	for (size_t i = 0; i < a_len; i++) {
		if (ini_fold(rules, a[i]) != ini_fold(rules, b[i]))
			return false;
	}
	return true;
}
