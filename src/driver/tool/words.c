#include "driver/tool/words.h"
#include "fleet/driver.h"
#include "fleet/error.h"
#include "fleet/text.h"

#define SHOWN_MAX 200

const char *words_type(uint32_t type)
{
	static const char *const names[] = {[FLEET_TYPE_STRING] = "string",
		[FLEET_TYPE_INTEGER] = "integer",
		[FLEET_TYPE_NUMBER] = "number",
		[FLEET_TYPE_BOOLEAN] = "boolean",
		[FLEET_TYPE_NULL] = "null",
		[FLEET_TYPE_ARRAY] = "array",
		[FLEET_TYPE_OBJECT] = "object"};

	return type < FLEET_ARRAY_LEN(names) ? names[type] : "?";
}

char *words_for_terminal(const char *text, size_t len)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	bool cut = len > SHOWN_MAX;

	if (cut) {
		len = SHOWN_MAX;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--; /* not in the middle of a character */
	}
	fleet_buffer_add_string(&out, "");
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			fleet_buffer_add_string(&out, "\\n");
		else if (text[i] == '\0')
			fleet_buffer_add_string(&out, "?");
		else
			fleet_buffer_add(&out, &text[i], 1);
	}
	fleet_text_sanitize(out.data);
	if (cut)
		fleet_buffer_add_string(&out, "...");
	return fleet_buffer_take(&out, &len);
}

size_t words_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

void words_add_json(struct fleet_buffer *out, const char *text, size_t len)
{
	fleet_buffer_add(out, "\"", 1);
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)text[i];
		size_t n = fleet_text_utf8_sequence(text + i, len - i);

		if (c == '"' || c == '\\')
			fleet_buffer_printf(out, "\\%c", c);
		else if (c == '\n')
			fleet_buffer_add_string(out, "\\n");
		else if (c == '\t')
			fleet_buffer_add_string(out, "\\t");
		else if (c < 0x20 || c == 0x7f)
			fleet_buffer_printf(out, "\\u%04x", c);
		else if (n == 0)
			fleet_buffer_add_string(out, "\xef\xbf\xbd");
		else
			fleet_buffer_add(out, text + i, n);
		i += n > 0 ? n : 1;
	}
	fleet_buffer_add(out, "\"", 1);
}
