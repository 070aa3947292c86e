/* simulated: a service with a life of its own, for trying Fleet out where there is nothing to manage. No
 *process runs: its state is what the files in its state directory and the clock say. Options, all optional:
 *
 *	start_delay, stop_delay   how long a start or stop takes: 250ms, 3s, 2m
 *	crash_after               so long after it came up, it dies
 *	restart_after             and so long after that it is back by itself, over and over
 *	fail_start, fail_health   true, or the path of a file: while that exists. A failed start says "exited
 *with status 1"; failed health shows a service that is up and at once is not well memory 64M version 2.1.0
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "simulated_state.h"

#define DAY_MS (24ll * 3600 * 1000)
#define DIED   "killed by SIGSEGV"

/* Milliseconds; 0 where the option is absent or makes no sense. */
static int64_t duration_option(const struct fleet_host *host, const char *key)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}};
	const char *text = fleet_driver_option(host, key, "");
	char *end;
	double n = strtod(text, &end);

	if (end == text || !(n > 0))
		return 0;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) == 0)
			return n * units[i].ms < (double)(365 * DAY_MS) ? (int64_t)(n * units[i].ms)
									: 365 * DAY_MS;
	}
	fleet_log(host, FLEET_LOG_LEVEL_WARNING, "option %s: '%s' is no duration such as 3s", key, text);
	return 0;
}

static bool condition_option(const struct fleet_host *host, const char *key)
{
	const char *text = fleet_driver_option(host, key, "false");

	if (text[0] == '/')
		return access(text, F_OK) == 0;
	return strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "1") == 0;
}

static uint64_t memory_option(const struct fleet_host *host)
{
	const char *text = fleet_driver_option(host, "memory", "12M");
	char *end;
	double n = strtod(text, &end);
	double factor = *end == 'G'                  ? 1073741824.0
			: *end == 'M'                ? 1048576.0
			: *end == 'K' || *end == 'k' ? 1024.0
						     : 1.0;

	return end != text && n > 0 && n * factor < 1e15 ? (uint64_t)(n * factor) : 0;
}

/* What the state and the clock come to. */
struct life {
	uint32_t state;
	int64_t since_ms;
	uint32_t restarts;
	const char *message;
};

static struct life live(const struct fleet_host *host, const struct sim_state *s, int64_t now)
{
	int64_t up = s->at_ms + s->delay_ms, crash = duration_option(host, "crash_after");
	int64_t again = duration_option(host, "restart_after");
	struct life life = {.state = FLEET_STATE_RUNNING, .since_ms = up, .message = ""};

	if (s->at_ms > now) /* the clock was set back: what was asked for then is long done */
		life.since_ms = up = now;
	if (!s->wanted) {
		life.state = now < up ? FLEET_STATE_STOPPING : FLEET_STATE_STOPPED;
		life.since_ms = now < up ? s->at_ms : up;
		return life;
	}
	if (now < up) {
		life.state = FLEET_STATE_STARTING;
		life.since_ms = s->at_ms;
		return life;
	}
	if (s->failed_start) {
		life.state = FLEET_STATE_FAILED;
		life.message = "exited with status 1";
		return life;
	}
	if (crash > 0 && again > 0) { /* up, dead, up again */
		life.restarts = (uint32_t)((now - up) / (crash + again));
		up += (int64_t)life.restarts * (crash + again);
		life.since_ms = up;
	}
	if (crash > 0 && now >= up + crash) {
		life.state = FLEET_STATE_FAILED;
		life.since_ms = up + crash;
		life.message = DIED;
	} else if (condition_option(host, "fail_health")) {
		life.state = FLEET_STATE_FAILED;
		life.message = "up, but not well: its health check answers 503";
	}
	return life;
}

static int load_locked(const struct fleet_host *host, struct sim_state *ret, struct fleet_driver_error *err)
{
	int lock = sim_lock(host, err), r;

	if (lock < 0)
		return lock;
	r = sim_state_load(host, ret, err);
	(void)close(lock);
	return r;
}

/* Nobody's process: a number that stays for one start and differs from start to start and from app to app. */
static int32_t made_up_pid(const char *app_id, const struct sim_state *s, uint32_t restarts)
{
	uint32_t mix = s->starts * 7919u + restarts * 104729u + (uint32_t)(s->at_ms / 1000);

	for (; *app_id; app_id++)
		mix = mix * 31u + (unsigned char)*app_id;
	return (int32_t)(2000 + mix % 30000);
}

static int32_t sim_status(
	const struct fleet_host *host, struct fleet_status *ret, struct fleet_driver_error *err)
{
	struct sim_state s;
	struct life life;
	int r = load_locked(host, &s, err);

	if (r < 0)
		return r;
	life = live(host, &s, sim_now_ms());
	ret->state = life.state;
	ret->since_unix_ms = life.since_ms;
	ret->restarts = life.restarts;
	(void)snprintf(ret->message, sizeof(ret->message), "%s", life.message);
	if (s.wanted)
		(void)snprintf(ret->instance, sizeof(ret->instance), "sim-%" PRId64 "-%" PRIu32 "-%" PRIu32,
			s.at_ms, s.starts, life.restarts);
	if (life.state == FLEET_STATE_RUNNING || life.state == FLEET_STATE_STARTING) {
		ret->pid = made_up_pid(host->app_id, &s, life.restarts);
		ret->memory_bytes = memory_option(host);
	}
	return 0;
}

static int64_t monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until what was asked for at at_ms is done, whatever the clock does meanwhile, or until time is up;
 * -ETIMEDOUT then. */
static int wait_until(const struct fleet_host *host, int64_t at_ms, int64_t delay_ms, const char *what)
{
	int64_t age = sim_now_ms() - at_ms, from = monotonic_ms() - (age < 0 ? delay_ms : age);
	int64_t until = from + delay_ms;

	for (;;) {
		int64_t now = monotonic_ms(), step = until - now, left = host->remaining_ms(host);
		struct timespec pause;
		int r;

		if (step <= 0)
			return 0;
		if (left <= 0)
			return -ETIMEDOUT;
		step = step > 200 ? 200 : step;
		step = step > left ? left : step;
		r = host->progress(host, (uint32_t)((now - from) * 100 / (until - from)), what);
		if (r < 0)
			return r;
		pause = (struct timespec){step / 1000, step % 1000 * 1000000};
		(void)nanosleep(&pause, NULL); /* woken early, it goes round once more */
	}
}

/* Writes down that the service is asked to start or stop; *ret is what is to be waited for. */
static int ask(
	const struct fleet_host *host, bool wanted, struct sim_state *ret, struct fleet_driver_error *err)
{
	int lock = sim_lock(host, err), r;
	struct sim_state s;
	struct life life;

	if (lock < 0)
		return lock;
	r = sim_state_load(host, &s, err);
	if (r < 0) {
		(void)close(lock);
		return r;
	}
	life = live(host, &s, sim_now_ms());
	if (wanted ? s.wanted && life.state != FLEET_STATE_FAILED : !s.wanted) {
		*ret = s; /* done, or on its way */
	} else {
		*ret = (struct sim_state){
			.wanted = wanted,
			.failed_start = wanted && condition_option(host, "fail_start"),
			.at_ms = sim_now_ms(),
			.delay_ms = duration_option(host, wanted ? "start_delay" : "stop_delay"),
			.starts = s.starts + wanted,
		};
		r = sim_state_save(host, ret, err);
		sim_log_add(host, 6, wanted ? "starting" : "stopping");
	}
	(void)close(lock);
	return r;
}

/* The end of what ask() began. */
static int finish(const struct fleet_host *host, const struct sim_state *asked, int waited,
	struct fleet_driver_error *err)
{
	int lock = sim_lock(host, err), r;
	struct sim_state s;

	if (lock < 0)
		return lock;
	r = sim_state_load(host, &s, err);
	if (r == 0 && (s.wanted != asked->wanted || s.at_ms != asked->at_ms))
		r = fleet_driver_fail(
			err, -ECANCELED, 0, 0, "something else was asked of the service meanwhile");
	else if (r == 0 && waited < 0 && asked->wanted) {
		s = (struct sim_state){.at_ms = sim_now_ms(), .starts = s.starts}; /* cancelled: it is down */
		r = sim_state_save(host, &s, err);
		sim_log_add(host, 4, "start cancelled: it took too long");
	} else if (r == 0 && waited == 0 && asked->failed_start) {
		sim_log_add(host, 3, "simulated failure: cannot bind to address: address already in use");
		r = fleet_driver_fail(err, -EIO, 0, 0, "exited with status 1");
	} else if (r == 0 && waited == 0) {
		sim_log_add(host, 6, asked->wanted ? "ready" : "stopped");
	}
	(void)close(lock);
	if (r == 0 && waited < 0)
		r = fleet_driver_fail(err, waited, 0, 0,
			"the simulated service was still %s when the time was up",
			asked->wanted ? "starting" : "stopping");
	return r;
}

static int change(const struct fleet_host *host, bool wanted, struct fleet_driver_error *err)
{
	int64_t began = sim_now_ms();
	struct sim_state asked;
	int r = ask(host, wanted, &asked, err);

	if (r < 0)
		return r;
	if (asked.at_ms + asked.delay_ms <= sim_now_ms() && asked.at_ms < began)
		return 0; /* done long ago */
	r = wait_until(host, asked.at_ms, asked.delay_ms, wanted ? "starting" : "stopping");
	return finish(host, &asked, r, err);
}

static int32_t sim_start(const struct fleet_host *host, struct fleet_driver_error *err)
{
	return change(host, true, err);
}

static int32_t sim_stop(const struct fleet_host *host, struct fleet_driver_error *err)
{
	return change(host, false, err);
}

static int32_t sim_restart(const struct fleet_host *host, struct fleet_driver_error *err)
{
	int r = change(host, false, err);

	return r < 0 ? r : change(host, true, err);
}

static int32_t sim_reload(const struct fleet_host *host, struct fleet_driver_error *err)
{
	int lock;
	struct sim_state s;
	int r = load_locked(host, &s, err);

	if (r < 0)
		return r;
	if (live(host, &s, sim_now_ms()).state != FLEET_STATE_RUNNING)
		return fleet_driver_fail(
			err, -ESRCH, 0, 0, "the simulated service is not running, so it cannot reload");
	lock = sim_lock(host, err);
	if (lock < 0)
		return lock;
	sim_log_add(host, 6, "config read again");
	(void)close(lock);
	return 0;
}

static int32_t sim_reload_definitions(const struct fleet_host *host, struct fleet_driver_error *err)
{
	(void)host; /* it has none outside the app's YAML */
	(void)err;
	return 0;
}

static int32_t sim_version(
	const struct fleet_host *host, struct fleet_sink *out, struct fleet_driver_error *err)
{
	const char *version = fleet_driver_option(host, "version", "");

	(void)err;
	return host->emit(out, version, strlen(version));
}

struct log_query {
	const struct fleet_host *host;
	struct fleet_sink *out;
	int64_t since_ms;
	uint32_t skip, seen;
	bool count_only;
};

static int tell_line(int64_t unix_ms, int32_t priority, const char *text, void *arg)
{
	struct log_query *q = arg;

	if (unix_ms < q->since_ms)
		return 0;
	if (q->count_only || q->seen++ < q->skip) {
		q->skip += q->count_only;
		return 0;
	}
	return q->host->emit_line(q->out, unix_ms, priority, (struct fleet_bytes){text, strlen(text)});
}

/* The log, and the last words of one that has crashed since. */
static int each_line(const struct fleet_host *host, const struct sim_state *s, struct log_query *q)
{
	struct life life = live(host, s, sim_now_ms());
	int r = sim_log_each(host, tell_line, q);

	if (r == 0 && life.state == FLEET_STATE_FAILED && !s->failed_start)
		r = tell_line(life.since_ms, 3, life.message, q);
	return r;
}

static int32_t sim_logs(const struct fleet_host *host, uint32_t lines, int64_t since_unix_ms,
	struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct log_query q = {.host = host, .out = out, .since_ms = since_unix_ms, .count_only = true};
	int lock = sim_lock(host, err), r;
	struct sim_state s;

	if (lock < 0)
		return lock;
	r = sim_state_load(host, &s, err);
	if (r == 0)
		r = each_line(host, &s, &q);
	if (r == 0) {
		q.count_only = false;
		q.skip = q.skip > lines ? q.skip - lines : 0;
		r = each_line(host, &s, &q);
	}
	(void)close(lock);
	return r;
}

static int32_t sim_last_end(const struct fleet_host *host, int64_t since_unix_ms, struct fleet_sink *out,
	struct fleet_driver_error *err)
{
	int lock = sim_lock(host, err), r;
	struct life life = {0};
	struct sim_state s;

	if (lock < 0)
		return lock;
	r = sim_state_load(host, &s, err);
	(void)close(lock);
	if (r < 0)
		return r;
	life = live(host, &s, sim_now_ms());
	/* The one before began and ended so long before this one: they are all alike. */
	if (life.state != FLEET_STATE_FAILED && life.restarts > 0) {
		life.since_ms -= duration_option(host, "restart_after");
		life.message = DIED;
	} else if (life.state != FLEET_STATE_FAILED) {
		life.since_ms = 0;
	}
	if (life.since_ms < since_unix_ms)
		return fleet_driver_fail(err, -ENOENT, 0, 0, "it has not failed since then");
	return host->emit(out, life.message, strlen(life.message));
}

static const struct fleet_service_ops ops = {
	.size = sizeof(ops),
	.status = sim_status,
	.start = sim_start,
	.stop = sim_stop,
	.restart = sim_restart,
	.version = sim_version,
	.reload = sim_reload,
	.reload_definitions = sim_reload_definitions,
	.logs = sim_logs,
	.last_end = sim_last_end,
};
FLEET_DRIVER_DEFINE("simulated", .version = "1.0",
	.summary = "A service with a life of its own, for trying things out", .service = &ops);
