/* What the programs that read INI files do not agree about: one set of rules per flavour, each of which an
 * app's options may overrule.
 *
 *	flavour: generic | systemd | php | mysql | windows
 *	case: sensitive | insensitive
 *	continuation: none | indent | backslash
 *	inline_comments: yes | no
 *	bare_keys: yes | no
 *	delimiters: = | : | =:
 *
 * Names that are one by these rules (Key and key; in my.cnf also a-b and a_b) have one key path all the same:
 * the spelling that the file has first. */
#ifndef PLUGINS_INI_RULES_H
#define PLUGINS_INI_RULES_H
#include <stdbool.h>
#include <stddef.h>
#include "fleet/driver.h"

enum ini_continuation {
	INI_CONTINUES_NOT,
	INI_CONTINUES_INDENTED, /* a line that is indented deeper than its key's, as configparser has it */
	INI_CONTINUES_BACKSLASH /* a line that ends in a backslash goes on in the next one */
};
/* Where a comment may begin behind a value. */
enum ini_inline {
	INI_INLINE_NONE,
	INI_INLINE_AFTER_BLANK,
	INI_INLINE_ANYWHERE /* outside of quotes */
};
enum ini_bare { INI_BARE_NONE, INI_BARE_WORDS, INI_BARE_ANY };
enum ini_quotes {
	INI_QUOTES_NONE,  /* quotes are characters like any other */
	INI_QUOTES_KEPT,  /* taken off where they stand around a whole value; none are written where none were
			   */
	INI_QUOTES_PLAIN, /* written where they are needed; nothing is escaped in them */
	INI_QUOTES_PHP,
	INI_QUOTES_MYSQL
};

struct ini_rules {
	const char *name;
	const char *comments;        /* what a line of comment begins with */
	const char *inline_comments; /* what a comment behind a value begins with */
	const char *delimiters;
	const char *assign; /* how ` = ` is written where a file shows no way of its own */
	enum ini_inline inlined;
	enum ini_continuation continuation;
	enum ini_bare bare;
	enum ini_quotes quotes;
	bool any_case, dash_is_underscore, directives;
	bool empty_is_bare; /* a new key without a value is an option that is switched on: `skip-networking`
			     */
};

/* By the app's options. -EINVAL with a sentence about the option at fault. */
int ini_rules_of(const struct fleet_host *host, struct ini_rules *ret, struct fleet_driver_error *err);

/* The character that stands for c when names are compared. */
char ini_fold(const struct ini_rules *rules, char c);
bool ini_names_equal(const struct ini_rules *rules, const char *a, size_t a_len, const char *b, size_t b_len);

#endif
