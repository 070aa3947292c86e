#include "format.h"
#include "fleet/text.h"

static bool is_header(const struct fuzz_text *text)
{
	static const char *const words[] = {"option ", "set ", "string ", "json ", "unset ", "\n"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(words); i++) {
		if (text->len >= strlen(words[i]) && memcmp(text->data, words[i], strlen(words[i])) == 0)
			return true;
	}
	return false;
}

/* "word left=right": its two sides, owned. */
static bool split(
	const struct fuzz_text *line, const char *word, bool whole, char **ret_left, char **ret_right)
{
	size_t skip = strlen(word);
	const char *start, *equals;

	if (line->len <= skip || memcmp(line->data, word, skip) != 0)
		return false;
	start = line->data + skip;
	equals = whole ? NULL : memchr(start, '=', line->len - skip);
	if (!whole && !equals)
		return false;
	if (!equals)
		equals = line->data + line->len;
	*ret_left = xstrndup(start, (size_t)(equals - start));
	*ret_right = whole ? NULL : xstrndup(equals + 1, (size_t)(line->data + line->len - equals - 1));
	return true;
}

static void take_line(struct format_input *input, const struct fuzz_text *line)
{
	static const struct {
		const char *word;
		enum settings_mode mode;
		bool unset;
	} verbs[] = {{"set ", SETTINGS_AUTO, false}, {"string ", SETTINGS_STRING, false},
		{"json ", SETTINGS_JSON, false}, {"unset ", SETTINGS_AUTO, true}};
	char **option = input->option_texts[input->option_count % FORMAT_OPTIONS_MAX];

	if (input->option_count < FORMAT_OPTIONS_MAX && fleet_text_is_utf8(line->data, line->len) &&
		split(line, "option ", false, &option[0], &option[1])) {
		input->options[input->option_count++] = (struct fleet_option){option[0], option[1]};
		return;
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(verbs) && input->wish_count < FORMAT_EDITS_MAX; i++) {
		struct format_wish *wish = &input->wishes[input->wish_count];

		if (split(line, verbs[i].word, verbs[i].unset, &wish->path, &wish->text)) {
			wish->mode = verbs[i].mode;
			input->wish_count++;
			return;
		}
	}
}

void format_input_parse(const uint8_t *data, size_t size, struct format_input *ret)
{
	struct fuzz_text rest = {(const char *)data, size}, line;

	*ret = (struct format_input){.dice = 2166136261u};
	if (is_header(&rest)) {
		while (fuzz_next_line(&rest, &line) && line.len > 0)
			take_line(ret, &line);
	}
	ret->file = (struct fleet_bytes){rest.len > 0 ? rest.data : "", rest.len};
	for (size_t i = 0; i < size; i++)
		ret->dice = (ret->dice ^ data[i]) * 16777619u;
}

void format_input_done(struct format_input *input)
{
	for (size_t i = 0; i < input->wish_count; i++) {
		free(input->wishes[i].path);
		free(input->wishes[i].text);
	}
	for (size_t i = 0; i < input->option_count; i++) {
		free(input->option_texts[i][0]);
		free(input->option_texts[i][1]);
	}
}
