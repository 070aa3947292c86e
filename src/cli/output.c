#include "cli/output.h"
#include "fleet/buffer.h"

/* The length of the UTF-8 sequence at s if a terminal might obey it though it is no C0 control: U+0080 to
 * U+009F, and the marks and overrides of writing direction (which fleet_text_sanitize leaves alone). */
static size_t obeyed_sequence(const unsigned char *s)
{
	if (s[0] == 0xC2 && s[1] >= 0x80 && s[1] <= 0x9F)
		return 2;
	if (s[0] == 0xE2 && s[1] == 0x80 && (s[2] == 0x8E || s[2] == 0x8F || (s[2] >= 0xA8 && s[2] <= 0xAE)))
		return 3;
	if (s[0] == 0xE2 && s[1] == 0x81 && s[2] >= 0xA6 && s[2] <= 0xA9)
		return 3;
	return 0;
}

char *output_clean(const char *text)
{
	char *clean = xstrdup(text);
	char *to = clean;

	if (!clean)
		return NULL;
	for (char *c = clean; *c; c++)
		if (*c == '\t')
			*c = ' '; /* harmless, and common in log lines */
	fleet_text_sanitize(clean);
	for (const char *from = clean; *from;) {
		size_t len = obeyed_sequence((const unsigned char *)from);

		*to++ = len ? '?' : *from;
		from += len ? len : 1;
	}
	*to = 0;
	return clean;
}

void output_line(FILE *out, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *clean = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	clean = output_clean(text);
	if (out == stderr)
		(void)fflush(stdout); /* keeps the order where both go to one place; output_flush tells of
					 failures */
	fprintf(out, "%s\n", clean);
}

void output_text(FILE *out, const char *indent, const char *text, size_t max_bytes)
{
	size_t left = max_bytes;

	while (*text && left > 0) {
		size_t len = strcspn(text, "\n");
		_cleanup_free_ char *line = xstrndup(text, len < left ? len : left);

		if (len && line[strlen(line) - 1] == '\r')
			line[strlen(line) - 1] = 0;
		output_line(out, "%s%s", indent, line);
		left -= len < left ? len : left;
		text += len + (text[len] == '\n');
	}
	if (*text)
		output_line(out, "%s...", indent);
}

/* Compact, with a space after each comma and colon, as the contract shows it. */
static void json_add(struct fleet_buffer *b, struct json_object *value)
{
	if (json_object_is_type(value, json_type_array)) {
		fleet_buffer_add_string(b, "[");
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			fleet_buffer_add_string(b, i ? ", " : "");
			json_add(b, json_object_array_get_idx(value, i));
		}
		fleet_buffer_add_string(b, "]");
	} else if (json_object_is_type(value, json_type_object)) {
		bool first = true;

		fleet_buffer_add_string(b, "{");
		json_object_object_foreach (value, key, member) {
			_cleanup_json_ struct json_object *name = json_object_new_string(key);

			fleet_buffer_printf(b, "%s%s: ", first ? "" : ", ", fleet_json_text(name, NULL));
			json_add(b, member);
			first = false;
		}
		fleet_buffer_add_string(b, "}");
	} else {
		fleet_buffer_add_string(b, value ? fleet_json_text(value, NULL) : "null");
	}
}

static void json_add_outermost(struct fleet_buffer *b, struct json_object *value)
{
	if (json_object_is_type(value, json_type_array) && json_object_array_length(value) > 0) {
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			fleet_buffer_add_string(b, i ? ",\n  " : "[\n  ");
			json_add(b, json_object_array_get_idx(value, i));
		}
		fleet_buffer_add_string(b, "\n]");
	} else if (json_object_is_type(value, json_type_object) && json_object_object_length(value) > 0) {
		const char *before = "{\n  ";

		json_object_object_foreach (value, key, member) {
			_cleanup_json_ struct json_object *name = json_object_new_string(key);

			fleet_buffer_printf(b, "%s%s: ", before, fleet_json_text(name, NULL));
			json_add(b, member);
			before = ",\n  ";
		}
		fleet_buffer_add_string(b, "\n}");
	} else {
		json_add(b, value);
	}
}

/* Ends with a newline. */
static void json_write(const struct fleet_buffer *json)
{
	/* C0 controls are escaped by the serialiser; what is left stands inside strings, where \u says the
	 * same. */
	for (size_t i = 0; i < json->len;) {
		const unsigned char *s = (const unsigned char *)json->data + i;
		size_t len = *s == 0x7F ? 1 : obeyed_sequence(s);

		if (len == 1)
			fputs("\\u007f", stdout);
		else if (len == 2)
			printf("\\u%04x", (unsigned)((s[0] & 0x1F) << 6 | (s[1] & 0x3F)));
		else if (len == 3)
			printf("\\u%04x",
				(unsigned)((s[0] & 0x0F) << 12 | (s[1] & 0x3F) << 6 | (s[2] & 0x3F)));
		else
			putchar(*s);
		i += len ? len : 1;
	}
	putchar('\n');
}

void output_json(struct json_object *value)
{
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;

	json_add_outermost(&b, value);
	json_write(&b);
}

void output_json_line(struct json_object *value)
{
	_cleanup_buffer_ struct fleet_buffer b = FLEET_BUFFER_INIT;

	json_add(&b, value);
	json_write(&b);
}

bool output_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	fprintf(stderr, "Cannot write the output: %s\n", strerror(errno));
	return false;
}
