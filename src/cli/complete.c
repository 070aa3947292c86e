#include "cli/complete.h"
#include "cli/exit.h"
#include "cli/output.h"

struct completion {
	const struct cli_command *root, *command;
	const char *agent_id; /* the AGENT among the words, or NULL */
	size_t words;         /* given of command->words */
	const char *current;  /* what is being typed */
	const char *before;   /* "--status=" where the value is part of the word, else "" */
	char *const *given;   /* the words before */
	size_t given_count;
	bool options_over;
};

static void offer(const char *word, const char *what, void *arg)
{
	const struct completion *c = arg;
	_cleanup_free_ char *clean = output_clean(what ? what : "");

	if (str_starts(
		    word, c->current)) /* the tab is the shells' to see: output_line would make it a space */
		printf("%s%s\t%s\n", c->before, word, clean);
}

/* ---- values ---- */

/* What a value may be, where that is a short list: by the option's name and the value's. */
static const struct {
	const char *option, *words[12];
} fixed[] = {
	{"status", {"running", "done", "stopped", "failed", "starting", "stopping", "unknown"}},
	{"state", {"queued", "sent", "accepted", "running", "succeeded", "failed", "expired", "cancelled",
			  "unknown"}},
	{"category", {"agent", "restart", "config", "update", "access", "system"}},
};

static bool is_file(const char *kind)
{
	return str_equal(kind, "FILE") || str_equal(kind, "FILE|TEXT");
}

static bool is_about_artifacts(const struct completion *c)
{
	return c->given_count > 0 && str_equal(c->given[0], "artifacts");
}

static void offer_value(struct completion *c, const char *option, const char *kind)
{
	for (size_t i = 0; option && i < FLEET_ARRAY_LEN(fixed); i++) {
		for (size_t w = 0; str_equal(fixed[i].option, option) && w < FLEET_ARRAY_LEN(fixed[i].words);
			w++) {
			if (fixed[i].words[w])
				offer(fixed[i].words[w], NULL, c);
		}
	}
	if (is_file(kind))
		output_line(stdout, ":files");
	else /* an option's ID is a command's everywhere */
		(void)cli_complete_ids(kind, c->agent_id, !option && is_about_artifacts(c), offer, c);
}

/* ---- options ---- */

static const struct cli_option *find_option(const struct completion *c, const char *name, size_t len)
{
	for (const struct cli_option *o = c->command->options; o && o->name; o++) {
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

static bool is_given(const struct completion *c, const struct cli_option *o)
{
	size_t len = strlen(o->name);

	for (size_t i = 0; i < c->given_count; i++) {
		const char *word = c->given[i];

		if (str_starts(word, "--") && strncmp(word + 2, o->name, len) == 0 &&
			(!word[2 + len] || word[2 + len] == '='))
			return true;
	}
	return false;
}

static void offer_options(struct completion *c)
{
	bool own_version = false;

	for (const struct cli_option *o = c->command->options; o && o->name; o++) {
		_cleanup_free_ char *word = xasprintf("--%s", o->name);

		own_version |= str_equal(o->name, "version");
		if ((o->flags & CLI_REPEATABLE) || !is_given(c, o))
			offer(word, o->help, c);
	}
	offer("--help", "show this help", c);
	if (!own_version)
		offer("--version", "show the version", c);
}

static void offer_command_or_word(struct completion *c)
{
	for (const struct cli_command *child = c->command->children; child && child->name; child++)
		offer(child->name, child->summary, c);
	if (c->command->run && c->command->words[c->words])
		offer_value(c, NULL, c->command->words[c->words]);
}

/* ---- the words before ---- */

/* The option whose value is due after word, or NULL. */
static const struct cli_option *read_word(struct completion *c, const char *word)
{
	if (!c->options_over && str_equal(word, "--")) {
		c->options_over = true;
	} else if (!c->options_over && str_starts(word, "--")) {
		const struct cli_option *o =
			strchr(word, '=') ? NULL : find_option(c, word + 2, strlen(word + 2));

		return o && o->value ? o : NULL;
	} else if (c->command->children) {
		for (const struct cli_command *child = c->command->children; child->name; child++) {
			if (str_equal(child->name, word)) {
				c->command = child;
				break;
			}
		}
	} else if (c->command->words[c->words]) {
		if (str_equal(c->command->words[c->words], "AGENT"))
			c->agent_id = word;
		c->words++;
	}
	return NULL;
}

static const struct cli_option *read_words(struct completion *c)
{
	const struct cli_option *due = NULL;

	for (size_t i = 0; i < c->given_count; i++) {
		const struct cli_option *o = due;

		if (o && str_equal(o->value, "AGENT"))
			c->agent_id = c->given[i];
		due = o ? NULL : read_word(c, c->given[i]);
	}
	return due;
}

int cli_complete(const struct cli_command *root, size_t count, char *const words[])
{
	struct completion c = {.root = root,
		.command = root,
		.current = count > 0 ? words[count - 1] : "",
		.before = "",
		.given = words,
		.given_count = count > 0 ? count - 1 : 0};
	const struct cli_option *due = read_words(&c);
	const char *equals = strchr(c.current, '=');
	_cleanup_free_ char *before = NULL;

	if (!due && !c.options_over && str_starts(c.current, "--") && equals) {
		due = find_option(&c, c.current + 2, (size_t)(equals - c.current) - 2);
		if (!due || !due->value)
			return CLI_OK;
		before = xstrndup(c.current, (size_t)(equals - c.current) + 1);
		c.before = before;
		c.current = equals + 1;
	}
	if (due)
		offer_value(&c, due->name, due->value);
	else if (!c.options_over && c.current[0] == '-')
		offer_options(&c);
	else
		offer_command_or_word(&c);
	return output_flush() ? CLI_OK : CLI_FAILED;
}
