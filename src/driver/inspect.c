#include <malloc.h>
#include "driver/inspect.h"
#include "driver/call_child.h"
#include "driver/child_host.h"

/* Caches are filled in the first rounds; after them the same work must need the same memory. */
#define WARM_UP_ROUNDS 10u
#define EDGE           64

/* AddressSanitizer's own count, where it is there: its malloc leaves mallinfo empty. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static int64_t memory_in_use(void)
{
	struct mallinfo2 info;

	if (__sanitizer_get_current_allocated_bytes)
		return (int64_t)__sanitizer_get_current_allocated_bytes();
	info = mallinfo2();
	return (int64_t)(info.uordblks + info.hblkhd);
}

/* Structures as the driver gets them, with an edge behind each that is nobody's to write. */
struct guarded_error {
	struct fleet_driver_error error;
	unsigned char edge[EDGE];
};
struct guarded_status {
	struct fleet_status status;
	unsigned char edge[EDGE];
};

struct inspector {
	struct child_host host; /* first: the callbacks are given this */
	const struct driver_request *request;
	uint32_t seen;
	uint64_t digest;
};
static struct inspector *current;

static void digest_add(struct inspector *x, const void *data, size_t len)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < len; i++)
		x->digest = (x->digest ^ bytes[i]) * 1099511628211u; /* FNV-1a */
}

/* Is a value of the edits, long enough not to be there by chance, in the text? */
static bool tells_value(const struct inspector *x, const char *text, size_t len)
{
	for (uint32_t i = 0; i < x->request->edit_count; i++) {
		const struct fleet_bytes *value = &x->request->edits[i].value;

		if (value->len >= 8 && memmem(text, len, value->data, value->len))
			return true;
	}
	return false;
}

static void on_log(const struct fleet_host *host, int32_t level, const char *text)
{
	(void)host;
	(void)level;
	if (current && tells_value(current, text, strlen(text)))
		current->seen |= DRIVER_SEEN_VALUE_TOLD;
}

static void edge_fill(unsigned char *edge)
{
	memset(edge, 0xa5, EDGE);
}

static bool edge_is_whole(const unsigned char *edge)
{
	for (size_t i = 0; i < EDGE; i++) {
		if (edge[i] != 0xa5)
			return false;
	}
	return true;
}

static void error_init(struct guarded_error *e)
{
	*e = (struct guarded_error){.error = {.size = sizeof(e->error)}};
	edge_fill(e->edge);
}

/* After each call: what it returned, and what it left of its error. */
static void judge(struct inspector *x, int32_t result, const struct guarded_error *e)
{
	size_t len = strnlen(e->error.message, sizeof(e->error.message));

	if (!edge_is_whole(e->edge))
		x->seen |= DRIVER_SEEN_OVERRUN;
	if (e->error.size != sizeof(e->error))
		x->seen |= DRIVER_SEEN_SIZE;
	if (len == sizeof(e->error.message))
		x->seen |= DRIVER_SEEN_UNTERMINATED;
	if (result > 0)
		x->seen |= DRIVER_SEEN_POSITIVE_RESULT;
	if (result < 0 && tells_value(x, e->error.message, len))
		x->seen |= DRIVER_SEEN_VALUE_TOLD;
	digest_add(x, &result, sizeof(result));
	digest_add(x, e->error.message, len);
}

static void judge_sink(struct inspector *x, const struct fleet_sink *sink)
{
	digest_add(x, &sink->digest, sizeof(sink->digest));
	digest_add(x, &sink->count, sizeof(sink->count));
}

/* One copy is lent, so that writing to it can be seen. */
struct lent {
	struct fleet_bytes in;
	char *copy; /* owned */
};

static void format_round(struct inspector *x, const struct fleet_format_ops *ops, struct lent *lent)
{
	const struct driver_request *request = x->request;
	struct fleet_sink sink;
	struct guarded_error e;
	int32_t r;

	error_init(&e);
	r = ops->check(&x->host.host, lent->in, &e.error);
	judge(x, r, &e);

	error_init(&e);
	sink = (struct fleet_sink){.kind = WIRE_SETTING, .discard = true};
	r = ops->read(&x->host.host, lent->in, &sink, &e.error);
	judge(x, r, &e);
	judge_sink(x, &sink);

	if (request->edit_count > 0) {
		error_init(&e);
		sink = (struct fleet_sink){.kind = WIRE_DATA, .discard = true};
		r = ops->edit(&x->host.host, lent->in, request->edits, request->edit_count, &sink, &e.error);
		judge(x, r, &e);
		judge_sink(x, &sink);
	}
	if (memcmp(lent->copy, request->in.data, request->in.len) != 0) {
		x->seen |= DRIVER_SEEN_INPUT_CHANGED;
		memcpy(lent->copy, request->in.data, request->in.len);
	}
}

static void status_round(struct inspector *x, const struct fleet_service_ops *ops)
{
	struct guarded_status s = {.status = {.size = sizeof(s.status)}};
	struct guarded_error e;
	int32_t r;

	error_init(&e);
	edge_fill(s.edge);
	r = ops->status(&x->host.host, &s.status, &e.error);
	judge(x, r, &e);
	x->digest = 0; /* a service's status may well be another the next moment */
	if (!edge_is_whole(s.edge))
		x->seen |= DRIVER_SEEN_OVERRUN;
	if (s.status.size != sizeof(s.status))
		x->seen |= DRIVER_SEEN_SIZE;
	if (!memchr(s.status.message, 0, sizeof(s.status.message)) ||
		!memchr(s.status.instance, 0, sizeof(s.status.instance)))
		x->seen |= DRIVER_SEEN_UNTERMINATED;
}

static void run_rounds(struct inspector *x, const struct fleet_format_ops *format,
	const struct fleet_service_ops *service, struct lent *lent, struct driver_inspection *ret)
{
	uint32_t rounds = x->request->rounds, made = 0;
	int64_t before = 0, growth;
	uint64_t first = 0;

	current = x;
	while (made < rounds && x->host.host.remaining_ms(&x->host.host) > 0) {
		x->digest = 14695981039346656037u;
		if (format)
			format_round(x, format, lent);
		else
			status_round(x, service);
		if (made == 0)
			first = x->digest;
		else if (x->digest != first)
			x->seen |= DRIVER_SEEN_OTHER_ANSWER;
		if (++made == WARM_UP_ROUNDS)
			before = memory_in_use();
	}
	*ret = (struct driver_inspection){.rounds = made, .seen = x->seen, .leaked_bytes_per_round = -1};
	if (made >= 2 * WARM_UP_ROUNDS) {
		growth = memory_in_use() - before;
		ret->leaked_bytes_per_round = growth > 0 ? growth / (int64_t)(made - WARM_UP_ROUNDS) : 0;
	}
	current = NULL;
}

void inspect_format(const struct fleet_format_ops *ops, const struct child_host *host,
	const struct driver_request *request, struct driver_inspection *ret)
{
	struct inspector x = {.host = *host, .request = request};
	struct lent lent = {.copy = xmalloc(request->in.len + 1)};

	memcpy(lent.copy, request->in.data, request->in.len);
	lent.in = (struct fleet_bytes){lent.copy, request->in.len};
	x.host.host.log = on_log;
	run_rounds(&x, ops, NULL, &lent, ret);
	free(lent.copy);
}

void inspect_status(const struct fleet_service_ops *ops, const struct child_host *host,
	const struct driver_request *request, struct driver_inspection *ret)
{
	struct inspector x = {.host = *host, .request = request};

	x.host.host.log = on_log;
	run_rounds(&x, NULL, ops, NULL, ret);
}
