/* JSON's string tokens and the texts that they stand for; and an edit's new value. */
#include <errno.h>
#include <stdio.h>
#include "json_doc.h"
#include "utf8.h"

static uint32_t hex4(const char *s)
{
	uint32_t code = 0;

	for (int i = 0; i < 4; i++) {
		char c = s[i];

		code = code * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return code;
}

/* s[0] is behind \u, checked by the parser; returns how many bytes of the token it took. */
static size_t decode_unicode(const char *s, size_t len, struct text *out)
{
	uint32_t code = hex4(s);
	size_t used = 4;
	char bytes[4];

	if (code >= 0xd800 && code <= 0xdbff && len >= 10 && s[4] == '\\' && s[5] == 'u') {
		uint32_t low = hex4(s + 6);

		if (low >= 0xdc00 && low <= 0xdfff) {
			code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
			used = 10;
		}
	}
	if (code >= 0xd800 && code <= 0xdfff)
		code = 0xfffd;
	text_add(out, bytes, utf8_encode(code, bytes));
	return used;
}

void json_string_decode(const char *token, size_t len, struct text *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	size_t i = 1, end = len - 1, plain;

	while (i < end) {
		for (plain = i; i < end && token[i] != '\\';)
			i++;
		text_add(out, token + plain, i - plain);
		if (i + 1 >= end)
			break;
		if (token[i + 1] == 'u') {
			i += 2;
			i += decode_unicode(token + i, end - i, out);
		} else {
			text_add(out, &to[strchr(from, token[i + 1]) - from], 1);
			i += 2;
		}
	}
}

bool json_string_is(const char *token, size_t len, const char *text, size_t text_len)
{
	struct text decoded = {0};
	bool same;

	if (!memchr(token, '\\', len))
		return text_equal(token + 1, len - 2, text, text_len);
	json_string_decode(token, len, &decoded);
	same = !decoded.failed && text_equal(decoded.data, decoded.len, text, text_len);
	text_done(&decoded);
	return same;
}

bool json_string_encode(const char *text, size_t len, struct text *out)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";

	text_add(out, "\"", 1);
	for (size_t i = 0; i < len;) {
		size_t n = utf8_sequence(text + i, len - i);
		const char *known = text[i] ? strchr(from, text[i]) : NULL;
		char escape[8];

		if (n == 0)
			return false;
		if (known) {
			text_add(out, "\\", 1);
			text_add(out, &to[known - from], 1);
		} else if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			(void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)(unsigned char)text[i]);
			text_add_string(out, escape);
		} else {
			text_add(out, text + i, n);
		}
		i += n;
	}
	text_add(out, "\"", 1);
	return true;
}

int json_value_parse(const struct fleet_edit *edit, struct text *token, struct json_doc *ret,
	struct fleet_driver_error *err)
{
	const char *text = edit->value.data;
	size_t len = edit->value.len;
	int r;

	if (edit->type == FLEET_TYPE_STRING) {
		if (!json_string_encode(text, len, token))
			return fleet_driver_fail(err, -EINVAL, 0, 0, "the new value is not UTF-8 text");
		if (token->failed)
			return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
		text = token->data;
		len = token->len;
	}
	r = json_doc_parse(text, len, ret, err);
	if (r < 0 || ret->empty || ret->nodes[0].type != edit->type)
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "the new value is not JSON of the type that was said");
	return 0;
}
