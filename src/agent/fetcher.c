#include "agent/fetcher.h"
#include "agent/host_child.h"
#include "fleet/file.h"
#include "fleet/frame.h"
#include "fleet/log.h"

#define IDLE_MS 10000

struct process {
	struct process *next;
	struct fetcher *f;
	struct host_child *child;
	struct fleet_frame_link *link; /* NULL: it is to end */
};

struct fetcher {
	struct event_base *base;
	char *program;
	int64_t idle_ms;
	const struct fetcher_events *events;
	void *arg;
	struct process *current; /* NULL: none */
	struct process *ending;  /* list: told to go, not gone yet */
	struct event *idle;
};

static void process_free(struct process *p)
{
	if (!p)
		return;
	fleet_frame_link_free(p->link);
	host_child_free(p->child);
	free(p);
}

/* Lets it go: it ends when its socket does, and is made to where it does not. */
static void retire(struct fetcher *f)
{
	struct process *p = TAKE_PTR(f->current);

	fleet_frame_link_free(TAKE_PTR(p->link));
	host_child_stop(p->child);
	p->next = f->ending;
	f->ending = p;
}

static void on_exited(const char *how, void *arg)
{
	struct process *p = arg;
	struct fetcher *f = p->f;

	if (f->current == p) {
		f->current = NULL;
		process_free(p);
		f->events->died(how, f->arg);
		return;
	}
	for (struct process **at = &f->ending; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	process_free(p);
}

static int parse(const char *data, size_t len, enum fleet_message_type *ret_type, struct json_object **ret,
	struct fleet_error *err)
{
	int r = fleet_message_parse(data, len, FLEET_AGENT_TO_HOST, ret_type, ret, err);

	if (r != -EOPNOTSUPP) /* fetched and probed are as the agent passes them on, */
		return r;
	json_object_put(TAKE_PTR(*ret)); /* progress is as the driver host tells it */
	return fleet_message_parse(data, len, FLEET_HOST_TO_AGENT, ret_type, ret, err);
}

static void on_frame(
	struct fleet_frame_link *link FLEET_UNUSED, const char *data, size_t len, int fd, void *arg)
{
	_cleanup_close_ int unwanted = fd;
	_cleanup_json_ struct json_object *message = NULL;
	struct process *p = arg;
	struct fetcher *f = p->f;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (parse(data, len, &type, &message, &err) < 0) {
		log_error("%s sent what is no frame: %s", FETCHER_PROGRAM, err.message);
		retire(f);
		f->events->died("it sent what is no frame", f->arg);
		return;
	}
	f->events->frame(type, message, f->arg);
}

static void on_closed(struct fleet_frame_link *link FLEET_UNUSED, const char *why FLEET_UNUSED, void *arg)
{
	struct process *p = arg;

	fleet_frame_link_free(TAKE_PTR(p->link));
	host_child_stop(p->child); /* on_exited says how it ended */
}

static const struct fleet_frame_events frame_events = {.frame = on_frame, .closed = on_closed};

static int start(struct fetcher *f, struct fleet_error *err)
{
	struct process *p = xcalloc(1, sizeof(*p));
	const char *const argv[] = {f->program, NULL};
	int fd = -1, r;

	p->f = f;
	r = host_child_start(f->base, argv, on_exited, p, &p->child, &fd, err);
	if (r < 0) {
		free(p);
		return r;
	}
	p->link = fleet_frame_link_new(f->base, fd, &frame_events, p);
	f->current = p;
	return 0;
}

int fetcher_send(struct fetcher *f, struct json_object *takes_message, int fd, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *message = takes_message;
	size_t len;
	const char *text = fleet_json_text(message, &len);
	int r = f->current ? 0 : start(f, err);

	if (r < 0)
		return r;
	(void)event_del(f->idle); /* cannot fail */
	r = f->current->link ? fleet_frame_send(f->current->link, text, len, fd) : -ENOTCONN;
	/* one that ended a moment ago will be told of by `died`, and what was asked of it is asked again */
	return r == -ENOTCONN ? 0 : r < 0 ? fleet_error_errno(err, r, "cannot ask %s", FETCHER_PROGRAM) : 0;
}

static void on_idle(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct fetcher *f = arg;

	if (f->current)
		retire(f);
}

void fetcher_rest(struct fetcher *f)
{
	const struct timeval tv = {
		.tv_sec = (time_t)(f->idle_ms / 1000), .tv_usec = (suseconds_t)(f->idle_ms % 1000) * 1000};

	if (f->current && event_add(f->idle, &tv) < 0)
		log_error("cannot set a timer: %s stays", FETCHER_PROGRAM);
}

struct fetcher *fetcher_new(struct event_base *base, const char *program, int64_t idle_ms,
	const struct fetcher_events *events, void *arg)
{
	struct fetcher *f = xcalloc(1, sizeof(*f));
	_cleanup_free_ char *here = NULL;

	f->base = base;
	f->idle_ms = idle_ms > 0 ? idle_ms : IDLE_MS;
	f->events = events;
	f->arg = arg;
	f->program = xstrdup(program);
	if (!program && fleet_program_dir(&here, NULL) >= 0)
		f->program = xasprintf("%s/%s", here, FETCHER_PROGRAM);
	else if (!program)
		f->program = xstrdup(FETCHER_PROGRAM); /* its start will say what is wrong */
	f->idle = evtimer_new(base, on_idle, f);
	if (!f->idle)
		abort(); /* out of memory */
	return f;
}

void fetcher_free(struct fetcher *f)
{
	if (!f)
		return;
	process_free(f->current);
	for (struct process *p = f->ending, *next; p; p = next) {
		next = p->next;
		process_free(p);
	}
	event_free(f->idle);
	free(f->program);
	free(f);
}
