#include "agent/host/op.h"
#include <poll.h>
#include <sys/socket.h>
#include "fleet/clock.h"
#include "fleet/failpoint.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define PROBE_GRACE_S 2
#define FETCH_GRACE_S 30 /* the agent keeps the time itself; this is for one that does not */

/* ---- frames, the same as fleet/frame.h has them, without an event loop ---- */

static int send_all(int fd, const unsigned char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Bytes, and the descriptor that rides on them; *ret_fd is left alone where none does. */
static ssize_t receive_some(int sock, void *data, size_t len, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = len};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof(int))) {
		if (*ret_fd >= 0)
			(void)close(*ret_fd); /* one frame has one */
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	}
	return n;
}

static int receive_all(int fd, unsigned char *data, size_t len, int *ret_fd)
{
	while (len > 0) {
		ssize_t n = ret_fd ? receive_some(fd, data, len, ret_fd) : recv(fd, data, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EPIPE;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int op_send(int fd, struct json_object *message)
{
	size_t len;
	const char *text = fleet_json_text(message, &len);
	unsigned char header[4];
	int r;

	if (len > FLEET_MESSAGE_MAX)
		return -E2BIG;
	for (int i = 0; i < 4; i++)
		header[i] = (unsigned char)(len >> (24 - 8 * i));
	r = send_all(fd, header, sizeof(header));
	return r < 0 ? r : send_all(fd, (const unsigned char *)text, len);
}

static int receive_frame(int fd, struct json_object **ret, int *ret_fd)
{
	_cleanup_free_ unsigned char *text = NULL;
	unsigned char header[4];
	size_t len = 0;
	int r = receive_all(fd, header, sizeof(header), ret_fd);

	if (r < 0)
		return r;
	for (int i = 0; i < 4; i++)
		len = len << 8 | header[i];
	if (len > FLEET_MESSAGE_MAX)
		return -EMSGSIZE;
	text = xmalloc(len + 1);
	r = receive_all(fd, text, len, NULL);
	if (r < 0)
		return r;
	return fleet_json_parse((const char *)text, len, FLEET_MESSAGE_MAX, ret, NULL);
}

int op_receive(int fd, struct json_object **ret)
{
	return receive_frame(fd, ret, NULL);
}

/* The host's answer of this kind; one that comes late, of something given up since, is dropped. until_ms:
 * monotonic, -1 for ever. *ret_fd: -1, or owned. */
static int receive_answer(
	const struct op *op, const char *kind, int64_t until_ms, struct json_object **ret, int *ret_fd)
{
	for (;;) {
		_cleanup_json_ struct json_object *answer = NULL;
		_cleanup_close_ int fd = -1;
		int r;

		if (until_ms >= 0) {
			struct pollfd p = {.fd = op->fd, .events = POLLIN};
			int64_t left = until_ms - fleet_clock_monotonic_ms();

			if (left <= 0)
				return -ETIMEDOUT;
			if (poll(&p, 1, left > 60000 ? 60000 : (int)left) <= 0)
				continue;
		}
		r = receive_frame(op->fd, &answer, &fd);
		if (r < 0)
			return r;
		if (!str_equal(fleet_json_string(answer, "k"), kind))
			continue;
		*ret = TAKE_PTR(answer);
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
}

/* ---- steps ---- */

void (*op_step_hook)(const char *step);

void op_end_step(struct op *op, bool ok, const char *message)
{
	if (!op->step)
		return;
	fleet_json_add_time(op->step, "finishedAt", fleet_clock_wall_ms());
	fleet_json_add_bool(op->step, "ok", ok);
	fleet_json_add_string(op->step, "message", message);
	op->step = NULL;
}

int op_begin(struct op *op, const char *step, struct json_object *data, struct fleet_error *err)
{
	return op_begin_event(op, step, data, NULL, err);
}

int op_begin_event(
	struct op *op, const char *step, struct json_object *data, const char *event, struct fleet_error *err)
{
	_cleanup_close_ int unwanted = -1;
	_cleanup_json_ struct json_object *message = json_object_new_object(), *answer = NULL;
	struct json_object *steps = fleet_json_array(op->result, "steps");
	int r;

	op_end_step(op, true, NULL);
	FLEET_FAILPOINT("op.begin");
	fleet_json_add_string(message, "k", "begin");
	fleet_json_add_string(message, "step", step);
	fleet_json_add_string(message, "event", event);
	if (data)
		fleet_json_add(message, "data", json_object_get(data));
	r = op_send(op->fd, message);
	if (r >= 0)
		r = receive_answer(op, "begun", -1, &answer, &unwanted);
	if (r < 0)
		return fleet_error_errno(err, r, "the driver host went away before step %s", step);
	if (!fleet_json_bool(answer, "ok", false))
		return fleet_error_set(
			err, -EIO, "step %s was not begun: %s", step, fleet_json_string(answer, "message"));
	op->step = json_object_new_object();
	fleet_json_add_string(op->step, "step", step);
	fleet_json_add_time(op->step, "startedAt", fleet_clock_wall_ms());
	json_object_array_add(steps, op->step);
	if (op_step_hook)
		op_step_hook(step);
	FLEET_FAILPOINT("op.begun");
	return 0;
}

void op_progress(struct op *op, int percent, const char *text)
{
	_cleanup_json_ struct json_object *message = json_object_new_object();
	_cleanup_free_ char *clean = text ? op_redact(op, text) : NULL;

	if (!op->step)
		return;
	fleet_json_add_string(message, "k", "progress");
	fleet_json_add_string(message, "step", fleet_json_string(op->step, "step"));
	if (percent >= 0 && percent <= 100)
		fleet_json_add_int(message, "percent", percent);
	fleet_json_add_string(message, "message", clean);
	if (op_send(op->fd, message) < 0)
		log_debug("progress was not heard"); /* a host that is gone is noticed at the next step */
}

int op_tell(struct op *op, struct json_object *message)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_close_ int unwanted = -1;
	int r = op_send(op->fd, message);

	if (r >= 0)
		r = receive_answer(op, "told", -1, &answer, &unwanted);
	return r < 0 ? r : fleet_json_bool(answer, "ok", false) ? 0 : -EAGAIN;
}

/* ---- what the agent does ---- */

int op_fetch(struct op *op, const char *url, int64_t max_bytes, int timeout_s, int *ret_fd,
	struct fleet_error *err)
{
	_cleanup_json_ struct json_object *ask = json_object_new_object(), *answer = NULL;
	_cleanup_close_ int fd = -1;
	const char *why;
	int r;

	fleet_json_add_string(ask, "k", "fetch");
	fleet_json_add_string(ask, "url", url);
	fleet_json_add_int(ask, "maxBytes", max_bytes);
	fleet_json_add_int(ask, "timeoutSeconds", timeout_s);
	r = op_send(op->fd, ask);
	if (r >= 0)
		r = receive_answer(op, "fetched",
			fleet_clock_monotonic_ms() + (timeout_s + FETCH_GRACE_S) * INT64_C(1000), &answer,
			&fd);
	if (r == -ETIMEDOUT) {
		_cleanup_json_ struct json_object *cancel = json_object_new_object();

		fleet_json_add_string(cancel, "k", "fetchCancel");
		if (op_send(op->fd, cancel) < 0)
			log_debug("nobody hears that the download is given up");
		return fleet_error_set(err, r, "the agent did not bring the artifact within %d s", timeout_s);
	}
	if (r < 0)
		return fleet_error_errno(err, r, "the driver host went away during the download");
	why = fleet_json_string(answer, "error");
	if (!fleet_json_bool(answer, "ok", false))
		return fleet_error_set(err, -EREMOTEIO, "%s", why ? why : "the agent does not say why");
	if (fd < 0)
		return fleet_error_set(err, -EREMOTEIO, "the agent sent no file along");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int op_probe(struct op *op, const char *url, const char *tcp, int timeout_s, bool *ret_ok, char **ret_detail,
	struct fleet_error *err)
{
	struct fleet_uuid id = fleet_uuid_new();
	_cleanup_json_ struct json_object *ask = json_object_new_object();
	int64_t until = fleet_clock_monotonic_ms() + (timeout_s + PROBE_GRACE_S) * INT64_C(1000);
	int r;

	fleet_json_add_string(ask, "k", "probe");
	fleet_json_add_string(ask, "probeId", id.text);
	fleet_json_add_string(ask, "url", url);
	fleet_json_add_string(ask, "tcp", tcp);
	fleet_json_add_int(ask, "timeoutSeconds", timeout_s);
	r = op_send(op->fd, ask);
	while (r >= 0) {
		_cleanup_json_ struct json_object *answer = NULL;
		_cleanup_close_ int unwanted = -1;
		const char *why;

		r = receive_answer(op, "probed", until, &answer, &unwanted);
		if (r < 0 || !str_equal(fleet_json_string(answer, "probeId"), id.text))
			continue; /* one that was given up */
		why = fleet_json_string(answer, "error");
		if (why)
			return fleet_error_set(err, -EREMOTEIO, "%s", why);
		*ret_ok = fleet_json_bool(answer, "ok", false);
		*ret_detail = xstrdup(fleet_json_string(answer, "detail"));
		return 0;
	}
	return fleet_error_set(
		err, r, r == -ETIMEDOUT ? "the agent did not answer" : "the driver host went away");
}

/* ---- the outcome ---- */

static void set_message(struct json_object *result, const char *text)
{
	_cleanup_free_ char *clean = xstrndup(text, FLEET_TEXT_MAX);

	fleet_text_sanitize(clean);
	json_object_object_del(result, "message");
	fleet_json_add_string(result, "message", clean);
}

void op_result_fail(struct json_object *result, const char *error_code, const char *message)
{
	fleet_json_add_bool(result, "success", false);
	json_object_object_del(result, "errorCode");
	fleet_json_add_string(result, "errorCode", error_code);
	set_message(result, message);
	fleet_json_add_time(result, "finishedAt", fleet_clock_wall_ms());
}

int op_fail(struct op *op, const char *error_code, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *clean = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	clean = op_redact(op, text);
	fleet_text_sanitize(clean);
	op_end_step(op, false, clean);
	op_result_fail(op->result, error_code, clean);
	return 0;
}

int op_succeed(struct op *op, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	op_end_step(op, true, NULL);
	fleet_json_add_bool(op->result, "success", true);
	set_message(op->result, text);
	fleet_json_add_time(op->result, "finishedAt", fleet_clock_wall_ms());
	return 0;
}

const char *op_driver_code(int code, const char *otherwise)
{
	switch (code) {
	case -EFAULT:
	case -ENODATA:
	case -EPROTO:
		return "driver-failed";
	case -ETIMEDOUT:
		return "driver-timeout";
	case -EOPNOTSUPP:
		return "not-supported";
	default:
		return otherwise;
	}
}

struct json_object *op_result_new(struct json_object *payload, int64_t started_ms)
{
	struct json_object *result = fleet_message_new(FLEET_FRAME_RESULT);

	fleet_json_add_string(result, "commandId", fleet_json_string(payload, "commandId"));
	fleet_json_add_string(result, "command", fleet_json_string(payload, "action"));
	fleet_json_add_string(result, "appId", fleet_json_string(payload, "appId"));
	fleet_json_add_time(result, "startedAt", started_ms);
	fleet_json_add(result, "steps", json_object_new_array());
	return result;
}

/* ---- what is done for which action ---- */

static const struct {
	void (*run)(struct op *op);
	unsigned allow;
	const char *word; /* in the admin's `allow` */
} actions[] = {
	[FLEET_ACTION_RESTART_APP] = {op_restart, APP_ALLOW_RESTART, "restart"},
	[FLEET_ACTION_PUSH_CONFIG] = {op_push_config, APP_ALLOW_PUSH_CONFIG, "push-config"},
	[FLEET_ACTION_UPDATE_APP] = {op_update_app, APP_ALLOW_UPDATE, "update"},
	[FLEET_ACTION_ROLLBACK_APP] = {op_rollback_app, APP_ALLOW_UPDATE, "update"},
};
_Static_assert(FLEET_ARRAY_LEN(actions) == FLEET_ACTION_COUNT, "every action has its row");

static void run_action(struct op *op, const struct op_order *order)
{
	const char *app_id = fleet_json_string(order->payload, "appId");

	op->app = apps_find(op->env->apps, app_id);
	if (op->app)
		op_learn_asked_secrets(op);
	if (!op->app && order->recovering) {
		op_recover_undeclared(op);
	} else if (!op->app) {
		const char *nearest = apps_nearest(op->env->apps, app_id);

		op_fail(op, "app-not-found", "app '%s' is not declared on this server%s%s%s", app_id,
			nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
	} else if (order->recovering) { /* what was begun was allowed then */
		op_recover(op);
	} else if (!order->is_local && !(op->app->allow & actions[op->action].allow)) {
		op_fail(op, "not-allowed-by-server",
			"this server's admin does not allow %s of app '%s' (allow in %s)",
			actions[op->action].word, app_id, op->app->source);
	} else {
		actions[op->action].run(op);
	}
}

int op_run(const struct op_env *env, int fd, const struct op_order *order)
{
	int64_t now = fleet_clock_wall_ms();
	_cleanup_json_ struct json_object *result = op_result_new(order->payload, now);
	_cleanup_json_ struct json_object *message = json_object_new_object();
	struct op op = {
		.env = env,
		.fd = fd,
		.command_id = fleet_json_string(order->payload, "commandId"),
		.args = fleet_json_object(order->payload, "args"),
		.result = result,
		.started_ms = now,
		.last_step = order->last_step,
		.write_step = order->write_step,
	};

	if (fleet_action_from_string(fleet_json_string(order->payload, "action"), &op.action) < 0)
		op_fail(&op, "not-supported", "this driver host does not know that action");
	else
		run_action(&op, order);
	op_hide_secrets(&op);
	fleet_redact_done(&op.secrets);
	fleet_json_add_string(message, "k", "result");
	fleet_json_add(message, "result", json_object_get(result));
	FLEET_FAILPOINT("op.result");
	return op_send(fd, message);
}
