/* A growing run of bytes for drivers. Running out of memory is remembered in `failed` and asked for once, at
 * the end; everything added afterwards is dropped. */
#ifndef PLUGINS_TEXT_H
#define PLUGINS_TEXT_H
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct text {
	char *data; /* owned; not NUL-terminated; NULL while nothing was added */
	size_t len, capacity;
	bool failed;
};

static inline void text_add(struct text *t, const char *data, size_t len)
{
	if (len == 0 || t->failed)
		return;
	if (len > t->capacity - t->len) {
		size_t capacity = t->capacity ? t->capacity : 256;
		char *grown;

		while (capacity - t->len < len) {
			if (capacity > SIZE_MAX / 4) {
				t->failed = true;
				return;
			}
			capacity *= 2;
		}
		grown = realloc(t->data, capacity);
		if (!grown) {
			t->failed = true;
			return;
		}
		t->data = grown;
		t->capacity = capacity;
	}
	memcpy(t->data + t->len, data, len);
	t->len += len;
}

static inline void text_add_string(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

static inline bool text_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static inline void text_done(struct text *t)
{
	free(t->data);
	*t = (struct text){0};
}

#endif
