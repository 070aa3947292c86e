#include "http_client_sse.h"
#include "fleet/limits.h"

#define EVENT_MAX (2 * FLEET_MESSAGE_MAX)

static const char *text_of(const struct fleet_buffer *b)
{
	return b->data ? b->data : "";
}

static int dispatch(struct sse_parser *p)
{
	bool go_on = true;

	if (p->has_data) {
		if (p->data.len > 0)
			fleet_buffer_truncate(
				&p->data, p->data.len - 1); /* the last line's end is not data */
		go_on = p->on_event(p->event.len > 0 ? p->event.data : "message", text_of(&p->id),
			text_of(&p->data), p->arg);
	}
	p->has_data = false;
	fleet_buffer_truncate(&p->event, 0);
	fleet_buffer_truncate(&p->data, 0);
	return go_on ? 0 : -ECANCELED;
}

static void set(struct fleet_buffer *b, const char *text)
{
	fleet_buffer_truncate(b, 0);
	fleet_buffer_add_string(b, text);
}

static int take_line(struct sse_parser *p)
{
	char *line = p->line.len > 0 ? p->line.data : NULL, *value;

	if (line && !p->not_first && str_starts(line, "\xef\xbb\xbf"))
		line += 3;
	p->not_first = true;
	if (!line || !*line)
		return dispatch(p);
	value = strchr(line, ':');
	if (value) {
		*value++ = '\0';
		value += *value == ' ';
	} else {
		value = line + strlen(line);
	}
	if (strcmp(line, "data") == 0) {
		p->has_data = true;
		fleet_buffer_add_string(&p->data, value);
		fleet_buffer_add(&p->data, "\n", 1);
	} else if (strcmp(line, "event") == 0) {
		set(&p->event, value);
	} else if (strcmp(line, "id") == 0) {
		set(&p->id, value);
	}
	/* comments (":"), "retry" and what is not known say nothing to us */
	return p->data.len > EVENT_MAX ? -EMSGSIZE : 0;
}

int sse_feed(struct sse_parser *p, const char *bytes, size_t len)
{
	size_t i, from = 0;
	int r;

	for (i = 0; i < len; i++) {
		const bool after_cr = p->after_cr;

		p->after_cr = bytes[i] == '\r';
		if (bytes[i] == '\n' && after_cr) {
			from = i + 1; /* the second half of a line's end */
			continue;
		}
		if (bytes[i] != '\n' && bytes[i] != '\r')
			continue;
		fleet_buffer_add(&p->line, bytes + from, i - from);
		from = i + 1;
		r = take_line(p);
		fleet_buffer_truncate(&p->line, 0);
		if (r < 0)
			return r;
	}
	fleet_buffer_add(&p->line, bytes + from, len - from);
	return p->line.len > EVENT_MAX ? -EMSGSIZE : 0;
}

void sse_done(struct sse_parser *p)
{
	fleet_buffer_done(&p->line);
	fleet_buffer_done(&p->event);
	fleet_buffer_done(&p->id);
	fleet_buffer_done(&p->data);
}
