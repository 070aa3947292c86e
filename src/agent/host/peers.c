#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "agent/host/host.h"
#include "fleet/file.h"
#include "fleet/frame.h"
#include "fleet/limits.h"
#include "agent/host/local_verbs.h"

struct peer {
	struct peer *next;
	struct host *host;
	uint64_t id;
	struct fleet_frame_link *link;
	bool said_hello;
	bool is_admin; /* root, or whom this program itself belongs to: never the agent of a server */
};

static struct peer *find_peer(struct host *h, uint64_t id)
{
	for (struct peer *p = h->peers; p; p = p->next) {
		if (p->id == id)
			return p;
	}
	return NULL;
}

int peers_try_send(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	struct peer *p = find_peer(h, peer_id);
	size_t len;
	const char *text = fleet_json_text(frame, &len);

	return p ? fleet_frame_send(p->link, text, len, -1) : -ENOTCONN;
}

void peers_send(struct host *h, uint64_t peer_id, struct json_object *frame)
{
	int r = peers_try_send(h, peer_id, frame);

	if (r < 0 && r != -ENOTCONN)
		log_warn(
			"a frame '%s' could not be sent: %s", fleet_json_string(frame, "type"), strerror(-r));
}

/* ---- description ---- */

static struct json_object *describe_app(const struct app *app)
{
	struct json_object *json = json_object_new_object(), *files = json_object_new_array(),
			   *allow = json_object_new_array();

	fleet_json_add_string(json, "id", app->id);
	fleet_json_add_string(json, "serviceDriver", app->service_driver);
	fleet_json_add(json, "files", files);
	fleet_json_add(json, "allow", allow);
	for (size_t i = 0; i < app->file_count; i++) {
		struct json_object *file = json_object_new_object();

		fleet_json_add_string(file, "name", app->files[i].name);
		fleet_json_add_string(file, "driver", app->files[i].driver);
		json_object_array_add(files, file);
	}
	for (unsigned bit = 0; app_allow_name(bit); bit++) {
		if (app->allow & 1u << bit)
			fleet_json_append_string(allow, app_allow_name(bit));
	}
	return json;
}

static struct json_object *describe_driver(const struct driver_info *driver)
{
	struct json_object *json = json_object_new_object(), *roles = json_object_new_array();

	fleet_json_add_string(json, "name", driver->name);
	fleet_json_add_string(json, "version", driver->version);
	fleet_json_add(json, "roles", roles);
	if (driver->roles & DRIVER_ROLE_FORMAT)
		fleet_json_append_string(roles, "format");
	if (driver->roles & DRIVER_ROLE_SERVICE)
		fleet_json_append_string(roles, "service");
	fleet_json_add_string(json, "error", driver->error);
	return json;
}

static struct json_object *describe_problem(const struct app_problem *problem)
{
	struct json_object *json = json_object_new_object();

	fleet_json_add_string(json, "file", problem->file);
	if (problem->line > 0)
		fleet_json_add_int(json, "line", problem->line);
	if (problem->column > 0)
		fleet_json_add_int(json, "column", problem->column);
	fleet_json_add_string(json, "message", problem->message);
	return json;
}

struct json_object *peers_description(const struct host *h)
{
	struct json_object *frame = fleet_message_new(FLEET_FRAME_DESCRIPTION);
	struct json_object *apps = json_object_new_array(), *drivers = json_object_new_array();
	struct json_object *problems = json_object_new_array();

	fleet_json_add_string(frame, "hostVersion", PACKAGE_VERSION);
	fleet_json_add(frame, "apps", apps);
	fleet_json_add(frame, "drivers", drivers);
	fleet_json_add(frame, "problems", problems);
	for (size_t i = 0; i < h->apps.count; i++)
		json_object_array_add(apps, describe_app(h->apps.items[i]));
	for (size_t i = 0; i < h->drivers.count && i < FLEET_DRIVERS_MAX; i++)
		json_object_array_add(drivers, describe_driver(&h->drivers.items[i]));
	for (size_t i = 0; i < h->apps.problem_count; i++)
		json_object_array_add(problems, describe_problem(&h->apps.problems[i]));
	fleet_json_add(frame, "running", commands_running(h));
	fleet_json_add(frame, "keyIds", keys_ids(&h->keys));
	return frame;
}

void peers_describe(struct host *h)
{
	_cleanup_json_ struct json_object *frame = peers_description(h);

	for (struct peer *p = h->peers; p; p = p->next) {
		if (p->said_hello)
			peers_send(h, p->id, frame);
	}
}

/* ---- frames from the agent ---- */

static void on_hello(struct peer *p, struct json_object *frame)
{
	_cleanup_json_ struct json_object *answer = peers_description(p->host);
	const char *version = fleet_json_string(frame, "agentVersion");

	fleet_json_add_string(answer, "refId", fleet_json_string(frame, "id"));
	log_info("the agent (version %s) listens now", version ? version : "unknown");
	p->said_hello = true;
	p->host->outcome_peer = p->id;
	peers_send(p->host, p->id, answer);
	ledger_untell(p->host->ledger, NULL);
	outcomes_tell(p->host);
	commands_ask_again(p->host);
}

/* What the keys that are trusted say of others. */
static void follow_keys(struct host *h, struct json_object *frame)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	bool rotated = false;

	if (keys_follow(&h->keys, fleet_json_array(frame, "keyChanges"), &rotated, &err) < 0)
		log_error("a change of the console's keys will be forgotten: %s", err.message);
	if (!rotated)
		return;
	log_info("commands are obeyed from now on if key %s signed them", fleet_jws_key_id(h->keys.items[0]));
	outcomes_event(h, "system", NULL, NULL,
		"the console's command key is %s from now on, says a key that was trusted before",
		fleet_jws_key_id(h->keys.items[0]));
}

static void on_keys(struct peer *p, struct json_object *frame)
{
	struct host *h = p->host;
	_cleanup_free_ char *kid = NULL,
			    *wanted = h->keys.count == 0 ? host_config_join_kid(h->config) : NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	enum keys_offer offer = KEYS_KNOWN;

	follow_keys(h, frame);
	if (keys_offer(&h->keys, fleet_json_array(frame, "keys"), wanted, &offer, &kid, &err) < 0) {
		log_error("the console's keys were not taken: %s", err.message);
		return;
	}
	if (offer == KEYS_NOW_PINNED) {
		follow_keys(h, frame);
		log_info("commands are obeyed from now on if key %s signed them", kid);
		outcomes_event(h, "system", NULL, NULL,
			"the console's command key %s %s and is trusted from now on%s", kid,
			wanted ? "is the one that the join token names" : "was seen first",
			h->keys.source == KEYS_MEMORY ? " (until this agent ends)" : "");
	} else if (offer == KEYS_FOREIGN && !str_equal(h->foreign_kid, kid)) {
		log_error("the console shows key %s, which is not the one that is trusted here; its commands "
			  "are refused",
			kid);
		outcomes_event(h, "system", NULL, NULL,
			"the console shows command key %s, which this server does not trust; its commands "
			"are refused. If the "
			"console was set up anew, replace %s on this server",
			kid,
			wanted                         ? "FLEET_JOIN_TOKEN, which names another key,"
			: h->keys.source == KEYS_ADMIN ? "console.pub"
						       : "console-keys.json");
		free(h->foreign_kid);
		h->foreign_kid = TAKE_PTR(kid);
	}
}

static void on_status_request(struct peer *p, struct json_object *frame)
{
	status_request(p->host->status, fleet_json_string(frame, "id"), p->id);
}

static void on_command(struct peer *p, struct json_object *frame)
{
	commands_take(p->host, p->id, frame);
}

static void on_query(struct peer *p, struct json_object *frame)
{
	queries_take(p->host, p->id, frame);
}

static void on_stored(struct peer *p, struct json_object *frame)
{
	outcomes_stored(p->host, frame);
}

static void on_probed(struct peer *p, struct json_object *frame)
{
	if (p->id == p->host->outcome_peer)
		commands_probed(p->host, frame);
}

static void on_inspect(struct peer *p, struct json_object *frame)
{
	local_inspect(p->host, p->id, frame);
}

static void on_local_rollback(struct peer *p, struct json_object *frame)
{
	local_rollback(p->host, p->id, frame);
}

static void on_local_hold(struct peer *p, struct json_object *frame)
{
	local_hold(p->host, p->id, frame);
}

static void on_local_unhold(struct peer *p, struct json_object *frame)
{
	local_unhold(p->host, p->id, frame);
}

static const struct {
	void (*handle)(struct peer *p, struct json_object *frame);
	bool admin_only; /* no signature stands behind it, only who asks */
} handlers[FLEET_MESSAGE_TYPE_COUNT] = {
	[FLEET_FRAME_HELLO] = {on_hello, false},
	[FLEET_FRAME_KEYS] = {on_keys, false},
	[FLEET_FRAME_STATUS_REQUEST] = {on_status_request, false},
	[FLEET_FRAME_COMMAND] = {on_command, false},
	[FLEET_FRAME_QUERY] = {on_query, false},
	[FLEET_FRAME_STORED] = {on_stored, false},
	[FLEET_FRAME_PROBED] = {on_probed, false},
	[FLEET_FRAME_INSPECT] = {on_inspect, true},
	[FLEET_FRAME_LOCAL_ROLLBACK] = {on_local_rollback, true},
	[FLEET_FRAME_LOCAL_HOLD] = {on_local_hold, true},
	[FLEET_FRAME_LOCAL_UNHOLD] = {on_local_unhold, true},
};

static void send_error(struct peer *p, struct json_object *frame, const char *code, const char *message)
{
	_cleanup_json_ struct json_object *answer = fleet_message_new(FLEET_MESSAGE_ERROR);

	fleet_json_add_string(answer, "code", code);
	fleet_json_add_string(answer, "message", message);
	fleet_json_add_string(answer, "refId", fleet_json_string(frame, "id"));
	peers_send(p->host, p->id, answer);
}

static void on_frame(
	struct fleet_frame_link *link FLEET_UNUSED, const char *data, size_t len, int fd, void *arg)
{
	_cleanup_close_ int with = fd; /* only `fetched` has use for one */
	_cleanup_json_ struct json_object *frame = NULL;
	enum fleet_message_type type = FLEET_MESSAGE_INVALID;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct peer *p = arg;
	int r = fleet_message_parse(data, len, FLEET_AGENT_TO_HOST, &type, &frame, &err);

	if (r < 0) {
		log_warn("a frame from the agent was not understood: %s", err.message);
		send_error(p, frame, r == -EOPNOTSUPP ? "unknown-type" : "invalid", err.message);
	} else if (type == FLEET_FRAME_FETCHED) {
		if (p->id == p->host->outcome_peer)
			commands_fetched(p->host, frame, TAKE_FD(with));
	} else if (handlers[type].admin_only && !p->is_admin) {
		log_warn("'%s' was refused: only root may ask for it", fleet_message_type_to_string(type));
		send_error(p, frame, "not-allowed", "only root on this server may ask for this");
	} else if (handlers[type].handle) {
		handlers[type].handle(p, frame);
	} else if (type == FLEET_MESSAGE_ERROR) {
		log_warn("the agent did not understand a frame: %s", fleet_json_string(frame, "message"));
	}
}

/* ---- connections ---- */

static void remove_peer(struct peer *p)
{
	struct host *h = p->host;

	for (struct peer **at = &h->peers; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	h->peer_count--;
	if (h->outcome_peer == p->id)
		h->outcome_peer = 0;
	local_forget_peer(h, p->id);
	fleet_frame_link_free(p->link);
	free(p);
}

static void on_closed(struct fleet_frame_link *link FLEET_UNUSED, const char *why, void *arg)
{
	struct peer *p = arg;
	struct host *h = p->host;

	log_info("a connection ended: %s", why);
	remove_peer(p);
	if (h->config->socket_fd >= 0 && !h->peers)
		host_stop(h, "its agent is gone");
}

static const struct fleet_frame_events link_events = {.frame = on_frame, .closed = on_closed};

/* Takes fd. */
static void add_peer(struct host *h, int fd)
{
	struct peer *p;
	uid_t uid = 0;
	pid_t pid = 0;

	if (h->peer_count >= HOST_PEERS_MAX) {
		log_warn("a connection was refused: %d are open already", HOST_PEERS_MAX);
		(void)close(fd);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->host = h;
	p->id = ++h->next_peer_id;
	p->link = fleet_frame_link_new(h->base, fd, &link_events, p);
	if (fleet_frame_peer(p->link, &uid, &pid) < 0 ||
		(uid != 0 && uid != geteuid() && uid != h->config->peer_uid)) {
		log_warn("a connection of uid %u (pid %d) was refused: only root and uid %u may",
			(unsigned)uid, (int)pid, (unsigned)h->config->peer_uid);
		fleet_frame_link_free(p->link);
		free(p);
		return;
	}
	p->is_admin = uid == 0 || uid == geteuid();
	p->next = h->peers;
	h->peers = p;
	h->peer_count++;
}

static void on_connection(evutil_socket_t fd, short what FLEET_UNUSED, void *arg)
{
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (connection >= 0)
		add_peer(arg, connection);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		log_error("cannot accept a connection: %m");
}

static int open_socket(struct host *h, struct fleet_error *err)
{
	const char *path = h->config->socket_path;
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof(address.sun_path))
		return fleet_error_set(err, -ENAMETOOLONG, "the socket's path %s is longer than %zu bytes",
			path, sizeof(address.sun_path) - 1);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path); /* an earlier run's: the lock on the state says that none is running */
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fleet_error_errno(err, -errno, "cannot listen at %s", path);
	/* who may connect is asked of each connection; the mode only keeps others from trying */
	if (chmod(path, 0660) < 0 ||
		(geteuid() == 0 && h->config->peer_uid != 0 &&
			chown(path, h->config->peer_uid, (gid_t)-1) < 0) ||
		listen(fd, HOST_PEERS_MAX) < 0)
		return fleet_error_errno(err, -errno, "cannot listen at %s", path);
	return TAKE_FD(fd);
}

int peers_listen(struct host *h, struct fleet_error *err)
{
	int fd = h->config->listen_fd;

	if (h->config->socket_fd >= 0) {
		add_peer(h, h->config->socket_fd);
		return h->peers ? 0
				: fleet_error_set(err, -EPERM, "the handed-over connection cannot be used");
	}
	if (fd < 0)
		fd = open_socket(h, err);
	if (fd < 0)
		return fd;
	if (evutil_make_socket_nonblocking(fd) < 0 || evutil_make_socket_closeonexec(fd) < 0)
		return fleet_error_errno(err, -errno, "cannot use the socket that was handed over");
	h->listening = event_new(h->base, fd, EV_READ | EV_PERSIST, on_connection, h);
	if (!h->listening || event_add(h->listening, NULL) < 0)
		abort(); /* out of memory */
	return 0;
}

void peers_free(struct host *h)
{
	for (struct peer *p = h->peers, *next; p; p = next) {
		next = p->next;
		remove_peer(p);
	}
	if (h->listening) {
		(void)close(event_get_fd(h->listening));
		event_free(h->listening);
		h->listening = NULL;
	}
}
