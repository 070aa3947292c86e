#include "agent/run.h"
#include <signal.h>
#include "agent/agent.h"
#include "agent/dev.h"
#include "agent/notify.h"
#include "agent/report.h"
#include "fleet/clock.h"
#include "fleet/file.h"

struct process {
	int argc;
	char *const *argv;
	struct agent_config *config; /* borrowed from main, which frees it */
	struct event_base *base;
	struct event *signals[3], *pulse;
	struct dev_host dev_host;
	struct agent *agent; /* NULL while unconfigured */
	struct report *report;
	int64_t started_ms; /* wall clock */
};

/* What `fleet-agent status` is told. */
static struct json_object *report(void *arg)
{
	struct process *p = arg;
	struct json_object *o = p->agent ? agent_report(p->agent) : json_object_new_object();

	fleet_json_add_string(o, "version", PACKAGE_VERSION);
	fleet_json_add_int(o, "pid", getpid());
	fleet_json_add_time(o, "startedAt", p->started_ms);
	fleet_json_add_string(o, "unconfigured", p->config->unconfigured);
	return o;
}

static void wait_for_configuration(const struct process *p)
{
	log_warn("Not configured: %s. Then: systemctl restart fleet-agent", p->config->unconfigured);
	notify_status("Not configured: %s", p->config->unconfigured);
}

static int start(struct process *p, struct fleet_error *err)
{
	const char *const *child_argv = NULL;
	int r;

	if (p->config->dev && !p->config->host_socket) {
		if ((r = dev_prepare(p->config, &p->dev_host, err)) < 0)
			return r;
		child_argv = (const char *const *)p->dev_host.argv;
	}
	return agent_new(p->base, p->config, child_argv, &p->agent, err);
}

static void end_loop(struct process *p)
{
	if (event_base_loopbreak(p->base) < 0)
		log_error("cannot end the event loop");
}

static void on_terminate(evutil_socket_t signal_number FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct process *p = arg;

	if (p->agent)
		agent_stop(p->agent);
	else
		end_loop(p);
}

static void on_hangup(evutil_socket_t signal_number FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	struct process *p = arg;
	struct agent_config again;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (p->agent) {
		agent_reload(p->agent);
		return;
	}
	if (agent_config_load(p->argc, p->argv, &again, &err) < 0) {
		log_error("%s", err.message);
		return;
	}
	agent_config_done(p->config);
	*p->config = again;
	fleet_log_set_level(p->config->log_level);
	if (p->config->unconfigured) {
		wait_for_configuration(p);
	} else if (start(p, &err) < 0) {
		log_error("%s", err.message);
		end_loop(p);
	}
}

static int watch_signals(struct process *p)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} watched[] = {{SIGTERM, on_terminate}, {SIGINT, on_terminate}, {SIGHUP, on_hangup}};

	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(watched); i++) {
		/* What holds again when the handler is gone: a second signal does not cut the end short. */
		(void)signal(watched[i].number, SIG_IGN);
		p->signals[i] = evsignal_new(p->base, watched[i].number, watched[i].callback, p);
		if (!p->signals[i] || event_add(p->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void process_done(struct process *p)
{
	report_free(p->report);
	agent_free(p->agent);
	dev_host_done(&p->dev_host);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(p->signals); i++) {
		if (p->signals[i])
			event_free(p->signals[i]);
	}
	if (p->pulse)
		event_free(p->pulse);
	if (p->base)
		event_base_free(p->base);
}

int agent_run_verb(char *const argv[])
{
	_cleanup_free_ char *here = NULL, *program = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	if (fleet_program_dir(&here, &err) >= 0) {
		program = xasprintf("%s/fleet-admin", here);
		(void)execv(program, argv);
		(void)fleet_error_errno(&err, -errno, "cannot run %s", program);
	}
	fprintf(stderr, "fleet-agent: %s\n", err.message);
	return 1;
}

int agent_run(int argc, char *const argv[], struct agent_config *config)
{
	_cleanup_(process_done) struct process p = {.argc = argc, .argv = argv, .config = config};
	struct fleet_error err = FLEET_ERROR_INIT;

	p.base = event_base_new();
	if (!p.base || watch_signals(&p) < 0) {
		log_error("cannot set up the event loop");
		return 1;
	}
	notify_init(config);
	log_info("fleet-agent %s starts%s%s", PACKAGE_VERSION, config->dev ? ", data in " : "",
		config->dev ? config->data_dir : "");
	if (config->unconfigured) {
		wait_for_configuration(&p);
	} else if (start(&p, &err) < 0) {
		log_error("%s", err.message);
		return 1;
	}
	p.started_ms = fleet_clock_wall_ms();
	p.report = report_new(p.base, config->data_dir, report, &p);
	notify_ready(p.base, &p.pulse);
	if (event_base_dispatch(p.base) < 0) {
		log_error("the event loop failed");
		return 1;
	}
	log_info("fleet-agent stopped");
	return 0;
}
