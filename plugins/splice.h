/* A few changes of a text at places that are known in its old form, in order and without overlap. */
#ifndef PLUGINS_SPLICE_H
#define PLUGINS_SPLICE_H
#include "text.h"

#define SPLICES_MAX 4

struct splice {
	size_t start, end; /* what goes; equal where nothing does */
	size_t from, len;  /* what comes, in the list's own text */
};
struct splices {
	struct splice list[SPLICES_MAX];
	size_t count;
	struct text text; /* owned */
};

/* Begins a change; what is added to s->text until splice_end comes in place of [start, end). */
static inline void splice_begin(struct splices *s, size_t start, size_t end)
{
	s->list[s->count] = (struct splice){start, end, s->text.len, 0};
}
static inline void splice_end(struct splices *s)
{
	s->list[s->count].len = s->text.len - s->list[s->count].from;
	s->count++;
}
static inline void splice_remove(struct splices *s, size_t start, size_t end)
{
	splice_begin(s, start, end);
	splice_end(s);
}
static inline void splice_insert(struct splices *s, size_t at, const char *what)
{
	splice_begin(s, at, at);
	text_add_string(&s->text, what);
	splice_end(s);
}

/* Adds the text with all changes made to out. */
static inline void splices_apply(const struct splices *s, const char *old, size_t len, struct text *out)
{
	size_t at = 0;

	for (size_t i = 0; i < s->count; i++) {
		text_add(out, old + at, s->list[i].start - at);
		if (s->list[i].len > 0)
			text_add(out, s->text.data + s->list[i].from, s->list[i].len);
		at = s->list[i].end;
	}
	text_add(out, old + at, len - at);
	out->failed = out->failed || s->text.failed;
}

#endif
