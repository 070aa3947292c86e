#include "fleet/buffer.h"

/* Room for more bytes and the NUL after them. */
static void reserve(struct fleet_buffer *b, size_t more)
{
	size_t need, capacity = b->capacity ? b->capacity : 64;

	if (__builtin_add_overflow(b->len, more, &need) || __builtin_add_overflow(need, (size_t)1, &need))
		need = SIZE_MAX; /* xrealloc will not find that much */
	if (need <= b->capacity)
		return;
	while (capacity < need)
		capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
	b->data = xrealloc(b->data, capacity);
	b->capacity = capacity;
}

void fleet_buffer_add(struct fleet_buffer *b, const void *data, size_t len)
{
	reserve(b, len);
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void fleet_buffer_add_string(struct fleet_buffer *b, const char *text)
{
	fleet_buffer_add(b, text, strlen(text));
}

void fleet_buffer_printf(struct fleet_buffer *b, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	fleet_buffer_add_string(b, text);
}

void fleet_buffer_truncate(struct fleet_buffer *b, size_t len)
{
	if (len >= b->len)
		return;
	b->len = len;
	b->data[len] = '\0';
}

char *fleet_buffer_take(struct fleet_buffer *b, size_t *ret_len)
{
	char *data;

	reserve(b, 0);
	b->data[b->len] = '\0';
	data = b->data;
	if (ret_len)
		*ret_len = b->len;
	*b = (struct fleet_buffer)FLEET_BUFFER_INIT;
	return data;
}

void fleet_buffer_done(struct fleet_buffer *b)
{
	free(b->data);
	*b = (struct fleet_buffer)FLEET_BUFFER_INIT;
}
