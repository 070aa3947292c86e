#include "host_fixture.h"
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "agent/host/host.h"
#include "agent/host/update_tree.h"
#include "driver/safe_file.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "unit.h"

void fixture_init(struct fixture *f)
{
	_cleanup_free_ char *apps = NULL;

	*f = (struct fixture){.dir = "/tmp/fleet-host-XXXXXX", .driver_dir = HOST_FAKE_DIR, .fd = -1};
	if (!mkdtemp(f->dir))
		abort();
	apps = xasprintf("%s/apps.d", f->dir);
	CU_ASSERT_EQUAL_FATAL(mkdir(apps, 0755), 0);
	f->key = fleet_jws_key_new();
	f->results = json_object_new_object();
	f->events = json_object_new_array();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fixture_done(struct fixture *f)
{
	if (f->host > 0)
		fixture_stop(f);
	(void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fleet_jws_key_free(f->key);
	json_object_put(f->results);
	json_object_put(f->events);
}

void fixture_write(const struct fixture *f, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);
	FILE *file = fopen(path, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(text, file);
	fclose(file);
}

char *fixture_read(const struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", f->dir, name);
	char *text = NULL;
	size_t len;

	return fleet_file_read(path, 1 << 20, &text, &len, NULL) < 0 ? NULL : text;
}

void fixture_declare(const struct fixture *f, const char *extra)
{
	_cleanup_free_ char *text = xasprintf("managed_apps:\n"
					      "  - id: web\n"
					      "    service_driver: host_fake\n"
					      "    service_options: {dir: %s, config: %s/web.conf%s\n"
					      "    config_path: %s/web.conf\n"
					      "    config_driver: host_fake\n"
					      "    timeout: 4s\n"
					      "%s",
		f->dir, f->dir, *extra == ',' ? extra : "}", f->dir, *extra == ',' ? "" : extra);

	fixture_write(f, "apps.d/web.yaml", text);
}

void fixture_set_state(const struct fixture *f, const char *app, const char *word, int instance)
{
	_cleanup_free_ char *name = xasprintf("%s.state", app);
	_cleanup_free_ char *text = xasprintf("%s %d %d 0 1\n", word, 1000 + instance, instance);

	fixture_write(f, name, text);
}

/* in the host's process and its children */
static const struct fixture *dying;
static pid_t dying_host;

static void die(const char *step)
{
	static unsigned passed; /* of this operation: each has a process */
	_cleanup_free_ char *once = NULL;

	if (!str_equal(step, dying->die_at) || passed++ < dying->die_after)
		return;
	once = xasprintf("%s/once", dying->dir);
	if (unlink(once) < 0)
		return;
	if (dying->cut_file) {
		int fd = open(dying->cut_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		if (fd >= 0)
			(void)close(fd);
	} else if (dying->die_host) {
		(void)kill(dying_host, SIGKILL); /* its end is this operation's too */
	} else {
		(void)kill(getpid(), SIGKILL);
	}
	for (;;)
		(void)pause();
}

/* fd -1: listens. */
static void FLEET_NORETURN be_host(const struct fixture *f, int fd, uid_t agent, bool recover_files)
{
	struct host_config config = {.listen_fd = -1,
		.socket_fd = fd,
		.peer_uid = agent,
		.dev = true,
		.recover_files = recover_files,
		.log_level = FLEET_LOG_INFO};
	int status;

	config.agent_id = xstrdup(FIXTURE_AGENT);
	config.driver_dir = xstrdup(f->driver_dir);
	config.apps_dir = xasprintf("%s/apps.d", f->dir);
	config.env_file = xasprintf("%s/agent.env", f->dir);
	config.socket_path = xasprintf("%s/sock", f->dir);
	config.state_dir = xasprintf("%s/state", f->dir);
	config.unpacker = xstrdup(HOST_UNPACKER);
	config.trusted_keys_dir = xstrdup(f->trusted_keys);
	if (!freopen("/dev/null", "w", stdout))
		_exit(99);
	fleet_log_init("host", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	dying = f;
	dying_host = getpid();
	op_step_hook = die;
	safe_file_step_hook = die;
	tree_step_hook = die;
	status = host_run(&config);
	host_config_done(&config);
	exit(status); /* a sanitizer looks for what was not freed */
}

void fixture_start(struct fixture *f)
{
	struct json_object *frame, *keys = json_object_new_array();
	_cleanup_json_ struct json_object *description = NULL;
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fflush(NULL);
	f->host = fork();
	if (f->host == 0) {
		(void)close(ends[0]);
		be_host(f, ends[1], geteuid(), false);
	}
	(void)close(ends[1]);
	f->fd = ends[0];
	fixture_send(f, fleet_message_new(FLEET_FRAME_HELLO));
	frame = fleet_message_new(FLEET_FRAME_KEYS);
	json_object_array_add(keys, fleet_jws_key_to_jwk(f->key));
	fleet_json_add(frame, "keys", keys);
	fixture_send(f, frame);
	description = fixture_wait(f, "description");
	CU_ASSERT_PTR_NOT_NULL(description);
}

static void end_host(struct fixture *f, int sig)
{
	int64_t until = fleet_clock_monotonic_ms() + FIXTURE_WAIT_MS;
	int status = 0;

	if (sig)
		(void)kill(f->host, sig);
	while (waitpid(f->host, &status, WNOHANG) == 0) {
		if (fleet_clock_monotonic_ms() > until) {
			CU_FAIL("the host does not end");
			(void)kill(f->host, SIGKILL);
		}
		(void)poll(NULL, 0, 5);
	}
	CU_ASSERT(sig != SIGTERM || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
	f->host = 0;
}

void fixture_listen(struct fixture *f, uid_t agent)
{
	fflush(NULL);
	f->host = fork();
	if (f->host == 0)
		be_host(f, -1, agent, false);
}

void fixture_recover_files(const struct fixture *f)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		be_host(f, -1, geteuid(), true);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int try_now(const struct fixture *f)
{
	int64_t until = fleet_clock_monotonic_ms() + FIXTURE_WAIT_MS;
	_cleanup_json_ struct json_object *request = fleet_message_new(FLEET_FRAME_STATUS_REQUEST),
					  *answer = NULL;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", f->dir);
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (fleet_clock_monotonic_ms() > until)
			return -errno;
		(void)poll(NULL, 0, 5);
	}
	if (op_send(fd, request) < 0)
		return 0;
	return op_receive(fd, &answer) == 0 && str_equal(fleet_json_string(answer, "type"), "status");
}

int fixture_try_as(const struct fixture *f, uid_t uid)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (uid != geteuid() && setresuid(uid, uid, uid) < 0)
			_exit(99);
		_exit(try_now(f) == 1 ? 1 : 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void fixture_wait_for_death(struct fixture *f)
{
	end_host(f, 0);
}

void fixture_stop(struct fixture *f)
{
	end_host(f, SIGTERM);
}

void fixture_kill(struct fixture *f)
{
	end_host(f, SIGKILL);
}

struct json_object *fixture_command(const char *action, const char *app, struct json_object *takes_args)
{
	struct json_object *payload = json_object_new_object();
	int64_t now = fleet_clock_wall_ms();

	fleet_json_add_int(payload, "v", 1);
	fleet_json_add_string(payload, "agentId", FIXTURE_AGENT);
	fleet_json_add_string(payload, "appId", app);
	fleet_json_add_string(payload, "commandId", fleet_uuid_new().text);
	fleet_json_add_string(payload, "action", action);
	fleet_json_add_string(payload, "actor", "tester@api");
	fleet_json_add_time(payload, "issuedAt", now);
	fleet_json_add_time(payload, "expiresAt", now + 600000);
	fleet_json_add(payload, "args", takes_args ? takes_args : json_object_new_object());
	return payload;
}

struct json_object *fixture_set(const char *key, const char *value)
{
	struct json_object *args = json_object_new_object(), *edits = json_object_new_array(),
			   *edit = json_object_new_object();

	fleet_json_add_string(edit, "op", "set");
	fleet_json_add_string(edit, "key", key);
	fleet_json_add_string(edit, "value", value);
	fleet_json_add_string(edit, "mode", "string");
	json_object_array_add(edits, edit);
	fleet_json_add_string(args, "file", "main");
	fleet_json_add(args, "edits", edits);
	return args;
}

void fixture_send(struct fixture *f, struct json_object *takes_frame)
{
	_cleanup_json_ struct json_object *frame = takes_frame;

	CU_ASSERT_EQUAL(op_send(f->fd, frame), 0);
}

void fixture_send_command(struct fixture *f, struct json_object *payload)
{
	struct json_object *frame = fleet_message_new(FLEET_FRAME_COMMAND);
	_cleanup_free_ char *jws = NULL;

	CU_ASSERT_EQUAL_FATAL(fleet_jws_sign(f->key, payload, &jws, NULL), 0);
	fleet_json_add_string(frame, "jws", jws);
	fixture_send(f, frame);
}

/* The agent's part of a download. */
static void answer_fetch(struct fixture *f, struct json_object *fetch)
{
	_cleanup_json_ struct json_object *frame = fleet_message_new(FLEET_FRAME_FETCHED);
	_cleanup_close_ int fd = f->artifact ? open(f->artifact, O_RDONLY | O_CLOEXEC) : -1;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	unsigned char header[4];
	const char *text;
	size_t len;
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	f->fetches++;
	if (f->ignore_fetch)
		return;
	fleet_json_add_string(frame, "commandId", fleet_json_string(fetch, "commandId"));
	fleet_json_add_bool(frame, "ok", fd >= 0);
	if (fd < 0)
		fleet_json_add_string(frame, "error", "404 Not Found");
	text = fleet_json_text(frame, &len);
	for (int i = 0; i < 4; i++)
		header[i] = (unsigned char)(len >> (24 - 8 * i));
	iov[0] = (struct iovec){.iov_base = header, .iov_len = sizeof(header)};
	iov[1] = (struct iovec){.iov_base = (char *)(uintptr_t)text, .iov_len = len};
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	CU_ASSERT_EQUAL(sendmsg(f->fd, &msg, MSG_NOSIGNAL), (ssize_t)(len + sizeof(header)));
}

static void answer_probe(struct fixture *f, struct json_object *probe)
{
	struct json_object *frame;

	f->probes++;
	if (!f->probe)
		return;
	frame = fleet_message_new(FLEET_FRAME_PROBED);
	fleet_json_add_string(frame, "probeId", fleet_json_string(probe, "probeId"));
	fleet_json_add_bool(frame, "ok", str_equal(f->probe, "ok"));
	fleet_json_add_string(frame, str_equal(f->probe, "error") ? "error" : "detail", f->probe);
	fixture_send(f, frame);
}

static void keep(struct fixture *f, struct json_object *frame, const char *type)
{
	if (str_equal(type, "result"))
		fleet_json_add(f->results, fleet_json_string(frame, "commandId"), json_object_get(frame));
	else if (str_equal(type, "event"))
		json_object_array_add(f->events, json_object_get(frame));
	else if (str_equal(type, "fetch"))
		answer_fetch(f, frame);
	else if (str_equal(type, "probe"))
		answer_probe(f, frame);
}

struct json_object *fixture_wait(struct fixture *f, const char *type)
{
	int64_t until = fleet_clock_monotonic_ms() + FIXTURE_WAIT_MS;

	for (;;) {
		_cleanup_json_ struct json_object *frame = NULL;
		_cleanup_json_ struct json_object *checked = NULL;
		struct pollfd p = {.fd = f->fd, .events = POLLIN};
		int64_t left = until - fleet_clock_monotonic_ms();
		enum fleet_message_type parsed = FLEET_MESSAGE_INVALID;
		struct fleet_error err = FLEET_ERROR_INIT;
		const char *text;
		size_t len;

		if (left <= 0 || poll(&p, 1, (int)left) < 0 || !p.revents || op_receive(f->fd, &frame) < 0)
			return NULL;
		/* every frame that the host ever sends must be as docs/protocol.md has it */
		text = fleet_json_text(frame, &len);
		if (fleet_message_parse(text, len, FLEET_HOST_TO_AGENT, &parsed, &checked, &err) < 0) {
			printf("# %s\n# %s\n", err.message, text);
			CU_FAIL("the host sent a frame that breaks the protocol");
		}
		keep(f, frame, fleet_json_string(frame, "type"));
		if (str_equal(type, fleet_json_string(frame, "type")))
			return TAKE_PTR(frame);
	}
}

struct json_object *fixture_result(struct fixture *f, const char *command_id)
{
	while (!fleet_json_object(f->results, command_id)) {
		_cleanup_json_ struct json_object *frame = fixture_wait(f, "result");

		if (!frame)
			return NULL;
	}
	return fleet_json_object(f->results, command_id);
}

struct json_object *fixture_run(struct fixture *f, const char *action, struct json_object *takes_args)
{
	_cleanup_json_ struct json_object *payload = fixture_command(action, "web", takes_args);
	struct json_object *result;

	fixture_send_command(f, payload);
	result = fixture_result(f, fleet_json_string(payload, "commandId"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	return result;
}

void fixture_store_all(struct fixture *f)
{
	struct json_object *frame = fleet_message_new(FLEET_FRAME_STORED), *ids = json_object_new_array();

	json_object_object_foreach (f->results, id, result) {
		(void)result;
		fleet_json_append_string(ids, id);
	}
	for (size_t i = 0; i < json_object_array_length(f->events); i++)
		fleet_json_append_string(
			ids, fleet_json_string(json_object_array_get_idx(f->events, i), "eventId"));
	fleet_json_add(frame, "refIds", ids);
	fixture_send(f, frame);
}
