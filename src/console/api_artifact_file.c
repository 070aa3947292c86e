/* GET /api/artifacts/:artifactId/file: the release itself, for the agents that are to install it. Read from
 * disk by the file worker, one block at a time and not before the one ahead of it has left: neither a slow
 * disk nor a slow client stops the loop, and a download costs the memory of two blocks. Ranges and a strong
 * ETag let a download that was cut off go on where it was. It does not outlive the right to it: who is
 * revoked meanwhile gets no more of it. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console/api.h"
#include "fleet/log.h"

#define BLOCK 131072

struct serving {
	struct file_job job;
	struct serving *next, **prev; /* in console->servings */
	struct console *console;
	struct events_reader reader;      /* whose it is */
	char *agent_id;                   /* owned; NULL: no agent's */
	struct fleet_http_request *req;   /* until the answer begins */
	struct fleet_http_stream *stream; /* NULL: the client has left */
	char *path;                       /* owned */
	char etag[FLEET_SHA256_HEX + 2];
	int fd;
	int64_t bytes, at, end; /* of the file; the next to send; behind the last */
	size_t len;             /* read */
	bool reading;           /* the worker has it */
	char block[BLOCK];
};

static void serving_free(struct serving *s)
{
	if (s->fd >= 0)
		(void)close(s->fd); /* it was read only */
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->reader.done(s->reader.arg);
	free(s->agent_id);
	free(s->path);
	free(s);
}

/* --- on the thread ----------------------------------------------------------------------------------- */

static int run_open(struct file_job *job, struct fleet_error *err)
{
	struct serving *s = (struct serving *)job;
	struct stat st;

	s->fd = open(s->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot open %s", s->path);
	if (st.st_size != s->bytes)
		return fleet_error_set(err, -EIO, "%s has %lld bytes, not the %lld that were registered",
			s->path, (long long)st.st_size, (long long)s->bytes);
	return 0;
}

static int run_read(struct file_job *job, struct fleet_error *err)
{
	struct serving *s = (struct serving *)job;
	int64_t left = s->end - s->at;
	ssize_t n;

	do
		n = pread(s->fd, s->block, left < BLOCK ? (size_t)left : BLOCK, s->at);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return fleet_error_errno(err, n < 0 ? -errno : -EIO, "cannot read %s", s->path);
	s->len = (size_t)n;
	return 0;
}

/* --- the answer -------------------------------------------------------------------------------------- */

static void on_read(struct file_job *job, int result, const struct fleet_error *err);

static void read_next(struct serving *s)
{
	s->reading = true;
	s->job.run = run_read;
	s->job.done = on_read;
	file_worker_submit(s->console->files, &s->job);
}

static void on_closed(struct fleet_http_stream *stream FLEET_UNUSED, void *arg)
{
	struct serving *s = arg;

	s->stream = NULL;
	if (!s->reading)
		serving_free(s);
}

static void on_sent(struct fleet_http_stream *stream, void *arg)
{
	struct serving *s = arg;

	if (s->at < s->end) {
		read_next(s);
		return;
	}
	fleet_http_stream_end(stream);
	serving_free(s);
}

static void on_read(struct file_job *job, int result, const struct fleet_error *err)
{
	struct serving *s = (struct serving *)job;

	s->reading = false;
	if (!s->stream) {
		serving_free(s);
	} else if (result < 0) { /* the client sees that it was cut off, and may try again */
		if (result != -ESHUTDOWN)
			log_error("%s", err->message);
		fleet_http_stream_end(s->stream);
		serving_free(s);
	} else {
		s->at += (int64_t)s->len;
		fleet_http_stream_send_paced(s->stream, s->block, s->len, on_sent);
	}
}

enum range { RANGE_NONE, RANGE_GOOD, RANGE_BAD };

/* One range of bytes with a beginning ("bytes=N-", "bytes=N-M"); any other kind is passed over, as RFC 9110
 * allows. */
static enum range read_range(const char *text, int64_t bytes, int64_t *ret_from, int64_t *ret_end)
{
	int64_t from, last = bytes - 1;
	char *end;

	if (!text || strncmp(text, "bytes=", 6) != 0 || text[6] < '0' || text[6] > '9')
		return RANGE_NONE;
	errno = 0;
	from = strtoll(text + 6, &end, 10);
	if (errno || *end++ != '-')
		return RANGE_NONE;
	if (*end >= '0' && *end <= '9') {
		last = strtoll(end, &end, 10);
		if (last < from)
			return RANGE_NONE;
	}
	if (errno || *end)
		return RANGE_NONE;
	if (from >= bytes)
		return RANGE_BAD;
	*ret_from = from;
	*ret_end = last < bytes ? last + 1 : bytes;
	return RANGE_GOOD;
}

static void begin_answer(struct serving *s)
{
	struct fleet_http_request *req = s->req;
	const char *if_range = fleet_http_header(req, "If-Range");
	enum range range = RANGE_NONE;
	char text[80];

	s->end = s->bytes;
	if (!if_range || strcmp(if_range, s->etag) == 0)
		range = read_range(fleet_http_header(req, "Range"), s->bytes, &s->at, &s->end);
	if (range == RANGE_BAD) {
		(void)snprintf(text, sizeof(text), "bytes */%lld", (long long)s->bytes);
		fleet_http_add_header(req, "Content-Range", text);
		fleet_http_reply_problem(
			req, 416, "invalid-request", NULL, "The file has %lld bytes", (long long)s->bytes);
		serving_free(s);
		return;
	}
	if (range == RANGE_GOOD) {
		(void)snprintf(text, sizeof(text), "bytes %lld-%lld/%lld", (long long)s->at,
			(long long)s->end - 1, (long long)s->bytes);
		fleet_http_add_header(req, "Content-Range", text);
	}
	(void)snprintf(text, sizeof(text), "%lld", (long long)(s->end - s->at));
	fleet_http_add_header(req, "Content-Length", text);
	fleet_http_add_header(req, "Accept-Ranges", "bytes");
	fleet_http_add_header(req, "ETag", s->etag);
	s->req = NULL;
	s->stream = fleet_http_stream_start(
		req, range == RANGE_GOOD ? 206 : 200, "application/octet-stream", on_closed, s);
	read_next(s);
}

static void on_opened(struct file_job *job, int result, const struct fleet_error *err)
{
	struct serving *s = (struct serving *)job;

	s->reading = false;
	if (result >= 0 && s->reader.may_stay(s->reader.arg)) {
		begin_answer(s);
		return;
	}
	if (result >= 0) {
		fleet_http_reply_problem(
			s->req, 403, "forbidden", NULL, "what you have shown does not count any more");
		serving_free(s);
		return;
	}
	log_error("%s", err->message);
	fleet_http_reply_problem(s->req, 503, "unavailable", NULL,
		"the console cannot read the file at the moment: its log says why");
	serving_free(s);
}

/* An agent gets what it is to install, and nothing else: releases may hold what is not everybody's. */
static bool may_have(struct fleet_http_request *req, const struct console *console, const struct artifact *a)
{
	_cleanup_free_ char *source = artifact_source(a);
	const char *agent_id = auth_agent(req);

	if (auth_key(req))
		return true; /* the gate has judged it */
	if (agent_id && commands_find_source(&console->commands, source, agent_id, true))
		return true;
	fleet_http_reply_problem(req, 403, "forbidden", NULL,
		"%s has no update under way that takes this artifact", agent_id ? agent_id : "nobody");
	return false;
}

void api_artifacts_file(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	const char *id = fleet_http_param(req, "artifactId");
	const struct artifact *a = id_table_get(&console->artifacts.ready, id);
	struct serving *s;

	if (!a || a->url) {
		fleet_http_reply_problem(
			req, 404, "artifact-not-found", NULL, "The console has no file of artifact '%s'", id);
		return;
	}
	if (!may_have(req, console, a))
		return;
	s = xcalloc(1, sizeof(*s));
	s->next = console->servings;
	s->prev = &console->servings;
	if (s->next)
		s->next->prev = &s->next;
	console->servings = s;
	s->console = console;
	s->reader = auth_reader(&console->auth, req);
	s->agent_id = xstrdup(auth_agent(req));
	s->req = req;
	s->path = artifacts_path(&console->artifacts, a->id);
	s->fd = -1;
	s->bytes = a->bytes;
	s->reading = true;
	(void)snprintf(s->etag, sizeof(s->etag), "\"%s\"", a->sha256); /* fits */
	s->job.run = run_open;
	s->job.done = on_opened;
	file_worker_submit(console->files, &s->job);
}

void api_artifacts_file_check(struct console *console, const char *gone_agent)
{
	for (struct serving *s = console->servings, *next; s; s = next) {
		next = s->next;
		if (!s->stream || /* it has not begun, and is judged when it does; or is over */
			(s->reader.may_stay(s->reader.arg) &&
				!(gone_agent && str_equal(s->agent_id, gone_agent))))
			continue;
		fleet_http_stream_abort(TAKE_PTR(s->stream));
		if (!s->reading)
			serving_free(s);
	}
}
