/* A driver for the tests of the driver host: a format of KEY=VALUE lines, and a service that is a file. What
 * it is to do wrong, the tests say in the app's options and in the config file itself:
 *
 *   options of the service: dir (where its state lies), config (the file that it reads at each start), at and
 * act: at "restart" do "crash", "hang", "exit" or "kill-caller" (SIGKILL to the operation that called), once
 * if dir/once exists, or each time as "crash-always" and so on, or each but the first as "crash-later"; in
 * the config: crash=yes fails the start, slow=yes stays starting, flap=yes dies soon after its start;
 * tell=yes has its log quote the line of password; as the program of that config starts, tidy=yes has it
 * remove what it does not know of its directory, patch=yes, renew=yes and vanish=yes have it write to that
 * file, replace and remove it, and relink=yes makes a link of the directory data, to data.v2, which that then
 * is. in an edit: the value LIE adds a line that nobody asked for; a file that holds broken is refused by
 * check. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "fleet/driver.h"

/* ---- format ---- */

static int32_t fake_read(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *sink,
	struct fleet_driver_error *err)
{
	const char *p = in.data, *end = in.data + in.len;
	uint32_t line = 1;

	for (; p < end; line++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		const char *next = stop ? stop + 1 : end, *equals;

		stop = stop ? stop : end;
		equals = memchr(p, '=', (size_t)(stop - p));
		if (stop > p && *p != '#' && !equals)
			return fleet_driver_fail(err, -EINVAL, line, 1, "a line without '='");
		if (stop > p && *p != '#') {
			struct fleet_bytes path = {p, (uint64_t)(equals - p)};
			struct fleet_bytes value = {equals + 1, (uint64_t)(stop - equals - 1)};
			int32_t r = host->emit_setting(sink, path, value, FLEET_TYPE_STRING);

			if (r < 0)
				return r;
		}
		p = next;
	}
	return 0;
}

static int32_t emit_edit(const struct fleet_host *host, const struct fleet_edit *e, struct fleet_sink *out)
{
	static const char lie[] = "sneaky=1\n";
	int32_t r;

	if (e->kind == FLEET_EDIT_UNSET)
		return 0;
	r = host->emit(out, e->path.data, e->path.len);
	r = r < 0 ? r : host->emit(out, "=", 1);
	r = r < 0 ? r : host->emit(out, e->value.data, e->value.len);
	r = r < 0 ? r : host->emit(out, "\n", 1);
	if (r >= 0 && e->value.len == 3 && memcmp(e->value.data, "LIE", 3) == 0)
		r = host->emit(out, lie, sizeof(lie) - 1);
	return r;
}

static int32_t fake_edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	const char *p = in.data, *end = in.data + in.len;
	char used[256] = {0};

	(void)err;
	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p)), *next = stop ? stop + 1 : end;
		uint32_t hit = n;
		int32_t r;

		for (uint32_t i = 0; i < n; i++) {
			if ((size_t)(next - p) > edits[i].path.len &&
				memcmp(p, edits[i].path.data, edits[i].path.len) == 0 &&
				p[edits[i].path.len] == '=')
				hit = i;
		}
		if (hit < n && hit < sizeof(used)) {
			used[hit] = 1;
			r = emit_edit(host, &edits[hit], out);
		} else {
			r = host->emit(out, p, (uint64_t)(next - p));
		}
		if (r < 0)
			return r;
		p = next;
	}
	for (uint32_t i = 0; i < n && i < sizeof(used); i++) {
		int32_t r = used[i] ? 0 : emit_edit(host, &edits[i], out);

		if (r < 0)
			return r;
	}
	return 0;
}

static int32_t fake_check(
	const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	(void)host;
	if (memmem(in.data, in.len, "broken", 6))
		return fleet_driver_fail(
			err, -EINVAL, 1, 2, "it holds a word that this format does not take");
	return 0;
}

/* ---- service ---- */

struct state {
	char word[16];
	int pid;
	unsigned instance, restarts;
	long long since_ms;
};

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static FILE *open_state(const struct fleet_host *host, const char *name, const char *mode)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s.%s", fleet_driver_option(host, "dir", "/nonexistent"),
		host->app_id, name);
	return fopen(path, mode);
}

static struct state load(const struct fleet_host *host)
{
	struct state s = {.word = "stopped"};
	FILE *f = open_state(host, "state", "re");

	if (f) {
		if (fscanf(f, "%15s %d %u %u %lld", s.word, &s.pid, &s.instance, &s.restarts, &s.since_ms) !=
			5)
			s = (struct state){.word = "failed"};
		fclose(f);
	}
	return s;
}

static int32_t save(const struct fleet_host *host, const struct state *s, struct fleet_driver_error *err)
{
	FILE *f = open_state(host, "state", "we");

	if (!f)
		return fleet_driver_fail(err, -errno, 0, 0, "cannot write the state");
	fprintf(f, "%s %d %u %u %lld\n", s->word, s->pid, s->instance, s->restarts, s->since_ms);
	return fclose(f) == 0 ? 0 : -EIO;
}

static void read_config(const struct fleet_host *host, char text[4096])
{
	FILE *f = fopen(fleet_driver_option(host, "config", "/nonexistent"), "re");
	size_t n = f ? fread(text, 1, 4095, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
}

/* Does the config hold this line? */
static int configured(const struct fleet_host *host, const char *what)
{
	char text[4096];

	read_config(host, text);
	return strstr(text, what) != NULL;
}

static void misbehave(const struct fleet_host *host, const char *where)
{
	const char *act = fleet_driver_option(host, "act", "");
	char once[1024];

	if (strcmp(fleet_driver_option(host, "at", ""), where) != 0)
		return;
	snprintf(once, sizeof(once), "%s/%s", fleet_driver_option(host, "dir", "/nonexistent"),
		strstr(act, "-later") ? "later" : "once");
	if (strstr(act, "-later")) {
		FILE *f = fopen(once, "wxe");

		if (f) {
			fclose(f);
			return; /* the first time */
		}
	} else if (unlink(once) < 0 && !strstr(act, "-always")) {
		return;
	}
	if (strncmp(act, "crash", 5) == 0)
		(void)raise(SIGSEGV);
	else if (strncmp(act, "exit", 4) == 0)
		exit(0);
	else if (strcmp(act, "kill-caller") == 0)
		(void)kill(getppid(), SIGKILL);
	for (;;)
		(void)pause();
}

static int32_t fake_status(
	const struct fleet_host *host, struct fleet_status *ret, struct fleet_driver_error *err)
{
	static const struct {
		const char *word;
		uint32_t state;
	} words[] = {{"running", FLEET_STATE_RUNNING}, {"stopped", FLEET_STATE_STOPPED},
		{"failed", FLEET_STATE_FAILED}, {"starting", FLEET_STATE_STARTING}};
	struct state s = load(host);

	(void)err;
	misbehave(host, "status");
	if (strcmp(s.word, "running") == 0 && configured(host, "flap=yes")) {
		s.restarts++;
		s.instance++;
		(void)save(host, &s, err);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, s.word) == 0)
			ret->state = words[i].state;
	}
	if (ret->state == FLEET_STATE_RUNNING) {
		ret->pid = s.pid;
		snprintf(ret->instance, sizeof(ret->instance), "start-%u", s.instance);
	}
	ret->restarts = s.restarts;
	ret->since_unix_ms = s.since_ms;
	if (ret->state == FLEET_STATE_FAILED)
		snprintf(ret->message, sizeof(ret->message), "exited 1");
	return 0;
}

static void count(const struct fleet_host *host, const char *what)
{
	FILE *f = open_state(host, "calls", "ae");

	if (f) {
		fprintf(f, "%s\n", what);
		fclose(f);
	}
}

/* What a program does to its own files, given the right to. */
static void change_itself(const struct fleet_host *host)
{
	const char *config = fleet_driver_option(host, "config", "/nonexistent");
	char path[1024];
	int len = (int)(strrchr(config, '/') - config);
	FILE *f;

	snprintf(path, sizeof(path), "%.*s/.fleet-release", len, config);
	if (configured(host, "tidy=yes"))
		(void)unlink(path);
	f = configured(host, "patch=yes") ? fopen(config, "ae") : NULL;
	if (f) {
		fputs("patched\n", f);
		fclose(f);
	}
	if (configured(host, "renew=yes")) {
		snprintf(path, sizeof(path), "%s.renewed", config);
		f = fopen(path, "we");
		if (f) {
			fputs("crash=yes\n", f);
			fclose(f);
			(void)rename(path, config);
		}
	}
	if (configured(host, "relink=yes")) {
		char to[1024];

		snprintf(path, sizeof(path), "%.*s/data", len, config);
		snprintf(to, sizeof(to), "%.*s/data.v2", len, config);
		if (rename(path, to) == 0 && symlink("data.v2", path) < 0)
			perror(path);
	}
	if (configured(host, "vanish=yes"))
		(void)unlink(config);
}

static int32_t go(const struct fleet_host *host, const char *what, struct fleet_driver_error *err)
{
	struct state s = load(host);

	count(host, what);
	s.instance++;
	s.pid = 1000 + (int)s.instance;
	s.since_ms = now_ms();
	snprintf(s.word, sizeof(s.word), "%s",
		configured(host, "crash=yes")  ? "failed"
		: configured(host, "slow=yes") ? "starting"
					       : "running");
	change_itself(host);
	misbehave(host, what);
	return save(host, &s, err);
}

static int32_t fake_start(const struct fleet_host *host, struct fleet_driver_error *err)
{
	return go(host, "start", err);
}

static int32_t fake_restart(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct state s = load(host);

	/* down first, as a real restart is */
	snprintf(s.word, sizeof(s.word), "stopped");
	s.since_ms = now_ms();
	if (save(host, &s, err) < 0)
		return -EIO;
	return go(host, "restart", err);
}

static int32_t fake_stop(const struct fleet_host *host, struct fleet_driver_error *err)
{
	struct state s = load(host);

	count(host, "stop");
	misbehave(host, "stop");
	snprintf(s.word, sizeof(s.word), "stopped");
	return save(host, &s, err);
}

static int32_t fake_reload(const struct fleet_host *host, struct fleet_driver_error *err)
{
	(void)err;
	count(host, "reload");
	misbehave(host, "reload");
	return 0;
}

static int32_t fake_version(
	const struct fleet_host *host, struct fleet_sink *out, struct fleet_driver_error *err)
{
	(void)err;
	count(host, "version");
	return host->emit(out, "1.2.3", 5);
}

static int32_t fake_logs(const struct fleet_host *host, uint32_t lines, int64_t since, struct fleet_sink *out,
	struct fleet_driver_error *err)
{
	static const char text[] = "bind: address already in use";

	(void)err;
	misbehave(host, "logs");
	if (since == 1) { /* the test wants them all, and long */
		static char longest[8192];

		memset(longest, '\\', sizeof(longest)); /* two bytes each in JSON */
		for (uint32_t i = 0; i < lines; i++) {
			int32_t r = host->emit_line(
				out, 1000 + (int64_t)i, 6, (struct fleet_bytes){longest, sizeof(longest)});

			if (r < 0)
				return r;
		}
		return 0;
	}
	if (configured(host, "tell=yes")) { /* as apps do that log what they were given */
		char config[4096];
		const char *line;

		read_config(host, config);
		line = strstr(config, "password=");
		return line ? host->emit_line(
				      out, now_ms(), 3, (struct fleet_bytes){line, strcspn(line, "\n")})
			    : 0;
	}
	return since > 0 ? 0 : host->emit_line(out, 0, 3, (struct fleet_bytes){text, sizeof(text) - 1});
}

static const struct fleet_format_ops format = {.size = sizeof(format),
	.flags = FLEET_FORMAT_TEXT_ONLY,
	.read = fake_read,
	.edit = fake_edit,
	.check = fake_check};
static const struct fleet_service_ops service = {.size = sizeof(service),
	.status = fake_status,
	.start = fake_start,
	.stop = fake_stop,
	.restart = fake_restart,
	.reload = fake_reload,
	.version = fake_version,
	.logs = fake_logs};

FLEET_DRIVER_DEFINE("host_fake", .version = "1.0", .summary = "for the driver host's tests",
	.format = &format, .service = &service);
