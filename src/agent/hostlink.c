#include "agent/hostlink.h"
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "agent/host_child.h"
#include "fleet/clock.h"
#include "fleet/frame.h"
#include "fleet/log.h"

/* Waits between attempts; a child that lived for a while, or a host that described itself, starts over. */
static const int64_t waits_ms[] = {100, 500, 1000, 2000, 5000};
#define CHILD_LIVED_MS 10000

struct hostlink {
	struct event_base *base;
	const struct hostlink_events *events;
	void *arg;
	char *socket_path, *agent_version;
	const char *const *child_argv;
	struct fleet_frame_link *frames;
	struct host_child *child;
	int64_t child_started_ms;
	struct event *retry;
	unsigned attempt;
	bool up;
	char broken[256];   /* why the connection is to be dropped, which cannot be done while it delivers a
			       frame */
	char last_why[256]; /* what `down` was told last; "" since the host was up */
};

static void schedule(struct hostlink *link, int64_t wait_ms)
{
	struct timeval tv = {
		.tv_sec = (time_t)(wait_ms / 1000), .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};

	if (event_add(link->retry, &tv) < 0)
		log_error("cannot set a timer: the driver host will not be connected to again");
}

static void retry_later(struct hostlink *link)
{
	size_t last = FLEET_ARRAY_LEN(waits_ms) - 1;

	schedule(link, waits_ms[link->attempt < last ? link->attempt : last]);
	link->attempt++;
}

static void tell_down(struct hostlink *link, const char *why)
{
	bool was_up = link->up;

	link->up = false;
	if (!was_up && str_equal(why, link->last_why))
		return;
	(void)snprintf(link->last_why, sizeof(link->last_why), "%s", why);
	link->events->down(link->last_why, link->arg);
}

static void drop(struct hostlink *link, const char *why)
{
	fleet_frame_link_free(link->frames);
	link->frames = NULL;
	if (link->child) {
		host_child_stop(link->child); /* on_child_exited goes on from here */
		return;
	}
	tell_down(link, why);
	retry_later(link);
}

static void on_frame(
	struct fleet_frame_link *frames FLEET_UNUSED, const char *data, size_t len, int fd, void *arg)
{
	struct hostlink *link = arg;
	_cleanup_close_ int unwanted = fd;
	_cleanup_json_ struct json_object *message = NULL;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	if (link->broken[0])
		return;
	r = fleet_message_parse(data, len, FLEET_HOST_TO_AGENT, &type, &message, &err);
	if (r == -EOPNOTSUPP || r == -EINVAL) { /* an error of one frame, not of the connection */
		log_warn("the driver host sent a frame that is ignored: %s", err.message);
		return;
	}
	if (r < 0) {
		(void)snprintf(
			link->broken, sizeof(link->broken), "it sent what is no frame: %.200s", err.message);
		schedule(link, 0);
		return;
	}
	if (type == FLEET_FRAME_DESCRIPTION) {
		link->up = true;
		link->last_why[0] = '\0';
		if (link->socket_path)
			link->attempt = 0;
	}
	link->events->frame(type, message, link->arg);
}

static void on_closed(struct fleet_frame_link *frames FLEET_UNUSED, const char *why, void *arg)
{
	struct hostlink *link = arg;

	link->broken[0] = '\0';
	drop(link, why);
}

static const struct fleet_frame_events frame_events = {.frame = on_frame, .closed = on_closed};

static void on_child_exited(const char *how, void *arg)
{
	struct hostlink *link = arg;

	fleet_frame_link_free(link->frames);
	link->frames = NULL;
	host_child_free(link->child);
	link->child = NULL;
	if (fleet_clock_monotonic_ms() - link->child_started_ms >= CHILD_LIVED_MS)
		link->attempt = 0;
	tell_down(link, how);
	retry_later(link);
}

static int connect_socket(struct hostlink *link, int *ret_fd, struct fleet_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	if (strlen(link->socket_path) >= sizeof(address.sun_path))
		return fleet_error_set(
			err, -ENAMETOOLONG, "the socket path %s is too long", link->socket_path);
	memcpy(address.sun_path, link->socket_path, strlen(link->socket_path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot make a socket");
	/* A unix socket's connect is done at once, or fails (EAGAIN: the host's queue is full). */
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return fleet_error_errno(err, -errno, "cannot connect to %s", link->socket_path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_now(struct hostlink *link, struct json_object *takes_message, int fd)
{
	_cleanup_json_ struct json_object *message = takes_message;
	size_t len;
	const char *text = fleet_json_text(message, &len);

	return link->frames ? fleet_frame_send(link->frames, text, len, fd) : -ENOTCONN;
}

static int say_hello(struct hostlink *link, struct fleet_uuid *ret_id)
{
	struct json_object *hello = fleet_message_new(FLEET_FRAME_HELLO);

	if (ret_id) /* as every envelope's: a uuid */
		(void)snprintf(ret_id->text, sizeof(ret_id->text), "%s", fleet_json_string(hello, "id"));
	fleet_json_add_string(hello, "agentVersion", link->agent_version);
	return send_now(link, hello, -1);
}

static void on_retry(evutil_socket_t unused FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct hostlink *link = arg;
	struct fleet_error err = FLEET_ERROR_INIT;
	int fd = -1, r;

	if (link->broken[0]) {
		char why[sizeof(link->broken)];

		memcpy(why, link->broken, sizeof(why));
		link->broken[0] = '\0';
		if (link->frames)
			drop(link, why);
		return;
	}
	if (link->socket_path) {
		r = connect_socket(link, &fd, &err);
	} else {
		r = host_child_start(
			link->base, link->child_argv, on_child_exited, link, &link->child, &fd, &err);
		link->child_started_ms = fleet_clock_monotonic_ms();
	}
	if (r < 0) {
		tell_down(link, err.message);
		retry_later(link);
		return;
	}
	link->frames = fleet_frame_link_new(link->base, fd, &frame_events, link);
	if (say_hello(link, NULL) < 0)
		drop(link, "it takes no frames");
}

struct hostlink *hostlink_new(struct event_base *base, const struct hostlink_options *options,
	const struct hostlink_events *events, void *arg)
{
	struct hostlink *link = xcalloc(1, sizeof(*link));

	link->base = base;
	link->events = events;
	link->arg = arg;
	link->socket_path = xstrdup(options->socket_path);
	link->agent_version = xstrdup(options->agent_version);
	link->child_argv = options->child_argv;
	link->retry = evtimer_new(base, on_retry, link);
	if (!link->retry) {
		hostlink_free(link);
		return NULL;
	}
	schedule(link, 0);
	return link;
}

void hostlink_free(struct hostlink *link)
{
	if (!link)
		return;
	fleet_frame_link_free(link->frames);
	host_child_free(link->child);
	if (link->retry)
		event_free(link->retry);
	free(link->socket_path);
	free(link->agent_version);
	free(link);
}

bool hostlink_is_up(const struct hostlink *link)
{
	return link->up;
}

int hostlink_send(struct hostlink *link, struct json_object *takes_message)
{
	return send_now(link, takes_message, -1);
}

int hostlink_send_fd(struct hostlink *link, struct json_object *takes_message, int fd)
{
	return send_now(link, takes_message, fd);
}

void hostlink_hello(struct hostlink *link, struct fleet_uuid *ret_id)
{
	if (link->frames && say_hello(link, ret_id) < 0)
		log_warn("the driver host could not be asked to describe itself");
}

bool hostlink_reload_child(struct hostlink *link)
{
	host_child_signal(link->child, SIGHUP);
	return link->child != NULL;
}
