#include <signal.h>
#include <time.h>
#include "cli/wait.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "fleet/clock.h"

#define TIMEOUT_DEFAULT_MS 300000
/* A stream is listened to for so long before the record is asked for again: what ended just before the stream
 * began is seen after the first, what a proxy swallowed after the longest. */
#define STREAM_FIRST_MS   2000
#define STREAM_LONGEST_MS 15000
#define RETRY_FIRST_MS    250
#define RETRY_LONGEST_MS  2000

struct waiter {
	struct session *s;
	const char *id;              /* borrowed */
	struct json_object *command; /* owned: the newest record */
	int64_t deadline_ms;
	bool lost; /* "lost the console" was said and not taken back */
	struct progress progress;
};

static char interrupted_text[160]; /* what the handler says; complete before the handler is installed */

static void on_interrupt(int signal_number)
{
	ssize_t n = write(STDERR_FILENO, interrupted_text, strlen(interrupted_text));

	(void)n;                    /* nobody is left to be told */
	(void)raise(signal_number); /* SA_RESETHAND: the default action, once the handler returns */
}

static void interrupt_catch(const char *id, bool catch)
{
	struct sigaction action = {
		.sa_handler = catch ? on_interrupt : SIG_DFL, .sa_flags = catch ? SA_RESETHAND : 0};

	(void)snprintf(interrupted_text, sizeof(interrupted_text),
		"\nThe command goes on without you. Follow it: fleetctl commands wait %s\n",
		format_id(id).text);
	(void)sigemptyset(&action.sa_mask);     /* cannot fail */
	(void)sigaction(SIGINT, &action, NULL); /* valid signals: cannot fail */
	(void)sigaction(SIGTERM, &action, NULL);
}

static void tell_progress(struct waiter *w)
{
	struct json_object *progress = fleet_json_object(w->command, "progress");
	const char *step = fleet_json_string(progress, "step");

	/* A terminal is told too how far a command is that does not run yet. */
	if (!step && w->progress.terminal)
		step = fleet_json_string(w->command, "state");
	if (step)
		progress_tell(&w->progress, step, (int)fleet_json_int(progress, "percent", -1),
			fleet_json_string(progress, "message"));
}

static void pause_ms(int64_t ms)
{
	struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL); /* a shorter pause does no harm */
}

/* Takes a newer record. */
static void command_take(struct waiter *w, struct json_object *takes_command)
{
	json_object_put(w->command);
	w->command = takes_command;
	if (!report_is_final(w->command))
		tell_progress(w);
}

static bool on_event(const char *event, const char *id, const char *data, void *arg)
{
	struct waiter *w = arg;
	struct json_object *command = NULL;

	(void)id;
	if (str_equal(event, "reset"))
		return false; /* some were missed: the record tells */
	if (!str_equal(event, "command") ||
		fleet_json_parse(data, strlen(data), strlen(data), &command, NULL) < 0)
		return true;
	if (!str_equal(fleet_json_string(command, "commandId"), w->id)) {
		json_object_put(command);
		return true;
	}
	command_take(w, command);
	return !report_is_final(w->command);
}

/* Asks for the record. 1: got it; 0: the console cannot be reached or is not ready, try again; -1: told, give
 * up. */
static int record_get(struct waiter *w, const char *path)
{
	struct session_about about = {.command_id = w->id};
	_cleanup_(fleet_http_response_done) struct fleet_http_response answer = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct json_object *command = NULL;
	int r = fleet_http_call(w->s->http, "GET", path, NULL, &answer, &err);

	if (r < 0 || answer.status >= 500 || answer.status == 429) {
		if (!w->lost) {
			progress_clear(&w->progress);
			output_line(stderr, "  Lost the console (%s), trying again; the command goes on.",
				r < 0 ? err.message : "it is not ready");
		}
		w->lost = true;
		return 0;
	}
	w->lost = false;
	if (answer.status != 200) {
		progress_clear(&w->progress);
		session_tell_refused(w->s, &answer, &about);
		return -1;
	}
	if (fleet_json_parse(answer.body, answer.body_len, answer.body_len, &command, &err) < 0) {
		progress_clear(&w->progress);
		output_line(stderr, "The console's record of the command cannot be read: %s.", err.message);
		return -1;
	}
	command_take(w, command);
	return 1;
}

static int follow(struct waiter *w)
{
	_cleanup_free_ char *name = fleet_url_encode(w->id);
	_cleanup_free_ char *record_path = xasprintf("/api/commands/%s", name);
	int64_t stream_ms = STREAM_FIRST_MS, retry_ms = RETRY_FIRST_MS;
	bool streams = true;

	while (!report_is_final(w->command)) {
		int64_t left_ms = w->deadline_ms - fleet_clock_monotonic_ms();
		int r;

		if (left_ms <= 0)
			return CLI_TIMED_OUT;
		if (streams && !w->lost) {
			int64_t listen_ms = stream_ms < left_ms ? stream_ms : left_ms;
			int64_t begun_ms = fleet_clock_monotonic_ms();

			r = fleet_http_events(
				w->s->http, "/api/events", begun_ms + listen_ms, on_event, w, NULL);
			if (report_is_final(w->command))
				break;
			/* Ended at once: no stream to be had here (or the console is going down): ask
			 * instead. */
			if (r < 0 && r != -ETIMEDOUT &&
				fleet_clock_monotonic_ms() - begun_ms < RETRY_FIRST_MS)
				streams = false;
			stream_ms = stream_ms * 2 < STREAM_LONGEST_MS ? stream_ms * 2 : STREAM_LONGEST_MS;
		} else {
			pause_ms(retry_ms < left_ms ? retry_ms : left_ms);
		}
		r = record_get(w, record_path);
		if (r < 0)
			return CLI_FAILED;
		retry_ms = r > 0                             ? RETRY_FIRST_MS
			   : retry_ms * 2 < RETRY_LONGEST_MS ? retry_ms * 2
							     : RETRY_LONGEST_MS;
		if (r == 0)
			streams = true; /* the next console may stream again */
	}
	return CLI_OK;
}

int wait_timeout(const struct cli_args *args, int64_t *ret_ms, struct fleet_error *err)
{
	const char *text = cli_args_get(args, "timeout", NULL);

	*ret_ms = TIMEOUT_DEFAULT_MS;
	if (text && (fleet_duration_parse(text, ret_ms) < 0 || *ret_ms <= 0))
		return fleet_error_set(
			err, -EINVAL, "--timeout takes a time such as 30s or 5m, not '%s'", text);
	return 0;
}

int wait_for_command(
	struct session *s, struct json_object *command, int64_t timeout_ms, struct json_object **ret)
{
	_cleanup_free_ char *id = xstrdup(fleet_json_string(command, "commandId"));
	struct waiter w = {
		.s = s,
		.id = id,
		.command = json_object_get(command),
		.deadline_ms = fleet_clock_monotonic_ms() + timeout_ms,
	};
	int r = CLI_FAILED;

	progress_init(&w.progress);
	(void)fflush(stdout); /* what was said so far, before the wait; output_flush tells of failures */
	if (id) {
		interrupt_catch(id, true);
		r = follow(&w);
		progress_done(&w.progress);
		interrupt_catch(id, false);
	} else {
		output_line(stderr, "The console's answer names no command to wait for.");
	}
	if (r == CLI_TIMED_OUT)
		output_line(stderr,
			"%s of %s on %s has not ended after %s (it is %s). Follow it: fleetctl commands wait "
			"%s",
			report_action(w.command), format_field(w.command, "appId"),
			format_field(w.command, "agentId"), format_duration(timeout_ms).text,
			format_field(w.command, "state"), format_id(id).text);
	if (r == CLI_OK)
		*ret = TAKE_PTR(w.command);
	json_object_put(w.command);
	return r;
}
