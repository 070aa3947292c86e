#include "agent/fetch/worker.h"
#include <signal.h>
#include <sys/socket.h>
#include "agent/fetch/download.h"
#include "agent/fetch/probe.h"
#include "fleet/frame.h"
#include "fleet/ids.h"
#include "fleet/message.h"

struct task {
	struct task *next;
	struct worker *worker;
	struct fleet_uuid id;
	struct download *download; /* one of the two */
	struct probe *probe;
};

struct worker {
	struct event_base *base;
	struct curl_loop *loop;
	struct fleet_frame_link *link;
	struct task *tasks;
};

static void send_message(struct worker *w, struct json_object *takes_message)
{
	_cleanup_json_ struct json_object *message = takes_message;
	size_t len;
	const char *text = fleet_json_text(message, &len);

	if (fleet_frame_send(w->link, text, len, -1) < 0) /* it does not read, or is gone: so are we */
		(void)event_base_loopbreak(w->base);
}

static struct task *add_task(struct worker *w, const char *id)
{
	struct task *t = xcalloc(1, sizeof(*t));

	t->worker = w;
	(void)snprintf(t->id.text, sizeof(t->id.text), "%s", id);
	t->next = w->tasks;
	w->tasks = t;
	return t;
}

static struct task *find_download(struct worker *w, const char *id)
{
	for (struct task *t = w->tasks; t; t = t->next)
		if (t->download && str_equal(t->id.text, id))
			return t;
	return NULL;
}

static void remove_task(struct task *task)
{
	for (struct task **at = &task->worker->tasks; *at; at = &(*at)->next) {
		if (*at == task) {
			*at = task->next;
			break;
		}
	}
	download_free(task->download);
	probe_free(task->probe);
	free(task);
}

static void say_fetched(struct worker *w, const char *id, int64_t bytes, const struct fleet_error *err)
{
	struct json_object *message = fleet_message_new(FLEET_FRAME_FETCHED);

	fleet_json_add_string(message, "commandId", id);
	fleet_json_add_bool(message, "ok", !err);
	if (err)
		fleet_json_add_string(message, "error", err->message);
	else
		fleet_json_add_int(message, "bytes", bytes);
	send_message(w, message);
}

static void say_probed(struct worker *w, const char *id, bool ok, const char *detail, const char *error)
{
	struct json_object *message = fleet_message_new(FLEET_FRAME_PROBED);

	fleet_json_add_string(message, "probeId", id);
	fleet_json_add_bool(message, "ok", ok);
	fleet_json_add_string(message, "detail", detail);
	fleet_json_add_string(message, "error", error);
	send_message(w, message);
}

static void on_progress(int percent, const char *text, void *arg)
{
	struct task *t = arg;
	struct json_object *message = fleet_message_new(FLEET_FRAME_PROGRESS);

	fleet_json_add_string(message, "commandId", t->id.text);
	fleet_json_add_string(message, "step", "download");
	if (percent >= 0)
		fleet_json_add_int(message, "percent", percent);
	fleet_json_add_string(message, "message", text);
	send_message(t->worker, message);
}

static void on_downloaded(int64_t bytes, const struct fleet_error *err, void *arg)
{
	struct task *t = arg;

	say_fetched(t->worker, t->id.text, bytes, err);
	remove_task(t);
}

static const struct download_events download_events = {.progress = on_progress, .done = on_downloaded};

static void on_probed(bool ok, const char *detail, void *arg)
{
	struct task *t = arg;

	say_probed(t->worker, t->id.text, ok, detail, NULL);
	remove_task(t);
}

static void on_fetch(struct worker *w, struct json_object *message, int *fd)
{
	const char *id = fleet_json_string(message, "commandId");
	int64_t timeout_ms = fleet_json_int(message, "timeoutSeconds", 0) * 1000;
	struct task *t = find_download(w, id);
	struct fleet_error err = FLEET_ERROR_INIT;
	struct download_options options = {.url = fleet_json_string(message, "url"),
		.max_bytes = fleet_json_int(message, "maxBytes", 0),
		.timeout_ms = timeout_ms,
		.bearer = fleet_json_string(message, "bearer"),
		.direct = fleet_json_bool(message, "direct", false),
		.low_speed_s = fleet_json_int(message, "lowSpeedSeconds", 0),
		.first_wait_ms = fleet_json_int(message, "firstWaitMs", 0),
		.ca_file = fleet_json_string(message, "caFile"),
		.cert_file = fleet_json_string(message, "certFile"),
		.key_file = fleet_json_string(message, "keyFile")};

	if (t) {
		download_extend(t->download, options.max_bytes, timeout_ms);
		return;
	}
	t = add_task(w, id);
	options.fd = TAKE_FD(*fd);
	if (download_start(w->base, w->loop, &options, &download_events, t, &t->download, &err) < 0) {
		say_fetched(w, id, 0, &err);
		remove_task(t);
	}
}

static void on_cancel(struct worker *w, struct json_object *message, int *fd FLEET_UNUSED)
{
	struct task *t = find_download(w, fleet_json_string(message, "commandId"));

	if (t)
		remove_task(t);
}

static void on_probe(struct worker *w, struct json_object *message, int *fd FLEET_UNUSED)
{
	const char *id = fleet_json_string(message, "probeId");
	struct task *t = add_task(w, id);
	struct fleet_error err = FLEET_ERROR_INIT;

	if (probe_start(w->loop, fleet_json_string(message, "url"), fleet_json_string(message, "tcp"),
		    fleet_json_int(message, "timeoutSeconds", 0) * 1000, on_probed, t, &t->probe, &err) < 0) {
		say_probed(w, id, false, NULL, err.message);
		remove_task(t);
	}
}

static void (*const handlers[FLEET_MESSAGE_TYPE_COUNT])(
	struct worker *w, struct json_object *message, int *fd) = {
	[FLEET_FRAME_FETCH] = on_fetch,
	[FLEET_FRAME_FETCH_CANCEL] = on_cancel,
	[FLEET_FRAME_PROBE] = on_probe,
};

static void on_frame(
	struct fleet_frame_link *link FLEET_UNUSED, const char *data, size_t len, int fd, void *arg)
{
	_cleanup_close_ int file = fd;
	_cleanup_json_ struct json_object *message = NULL;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct worker *w = arg;

	if (fleet_message_parse(data, len, FLEET_HOST_TO_AGENT, &type, &message, &err) < 0 ||
		!handlers[type]) {
		fprintf(stderr, "fleet-fetch: the agent sent what was not understood: %s\n", err.message);
		(void)event_base_loopbreak(w->base);
		return;
	}
	handlers[type](w, message, &file);
}

static void on_closed(struct fleet_frame_link *link FLEET_UNUSED, const char *why FLEET_UNUSED, void *arg)
{
	struct worker *w = arg;

	(void)event_base_loopbreak(w->base); /* fails without a loop only */
}

static const struct fleet_frame_events frame_events = {.frame = on_frame, .closed = on_closed};

static void worker_done(struct worker *w)
{
	for (struct task *task = w->tasks, *next; task; task = next) {
		next = task->next;
		remove_task(task);
	}
	curl_loop_free(w->loop);
	fleet_frame_link_free(w->link);
	if (w->base)
		event_base_free(w->base);
}

int worker_run(int fd)
{
	_cleanup_(worker_done) struct worker w = {.base = event_base_new()};
	int type;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
		!w.base || evutil_make_socket_nonblocking(fd) < 0 || evutil_make_socket_closeonexec(fd) < 0 ||
		!(w.loop = curl_loop_new(w.base))) {
		fprintf(stderr, "fleet-fetch is started by fleet-agent, with its socket as descriptor %d\n",
			fd);
		return 1;
	}
	w.link = fleet_frame_link_new(w.base, fd, &frame_events, &w);
	return event_base_dispatch(w.base) < 0 ? 1 : 0;
}
