#include "agent/fetches.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "agent/fetcher.h"
#include "agent/origin.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/log.h"

#define FETCHES_MAX 16
#define PROBES_MAX  256
#define DEATHS_MAX  3 /* of the fetching process under one download */

struct fetch {
	struct fetch *next;
	struct fleet_uuid id;
	struct json_object *request; /* owned: the host's newest */
	int64_t deadline_ms;
	int64_t bytes; /* -1: it still runs */
	int deaths;
};
struct probe {
	struct probe *next;
	struct fleet_uuid id;
};

struct fetches {
	const struct fetches_options *options;
	const struct fetches_ops *ops;
	void *arg;
	char *dir;
	struct fetcher *fetcher;
	struct fetch *fetches;
	struct probe *probes;
};

/* ---- files ---- */

static char *path_of(const struct fetches *f, const char *id)
{
	return xasprintf("%s/%s", f->dir, id);
}

static void remove_left_over(const struct fetches *f)
{
	_cleanup_closedir_ DIR *dir = opendir(f->dir);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (fleet_uuid_is_valid(entry->d_name) && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			log_warn("cannot remove %s/%s, left by an earlier run: %m", f->dir, entry->d_name);
	}
}

static int make_file(const struct fetches *f, const char *id, int *ret_fd, struct fleet_error *err)
{
	_cleanup_free_ char *path = path_of(f, id);
	int fd, r = fleet_mkdir_parents(f->dir, 0700, err);

	if (r < 0)
		return r;
	(void)unlink(path); /* there is none, but for a restart of the fetching process */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot make %s", path);
	*ret_fd = fd;
	return 0;
}

static int open_file(const struct fetches *f, const struct fetch *fetch, int *ret_fd, struct fleet_error *err)
{
	_cleanup_free_ char *path = path_of(f, fetch->id.text);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot open %s", path);
	if (st.st_size != fetch->bytes)
		return fleet_error_set(err, -EIO, "%s has %lld bytes, %lld were downloaded", path,
			(long long)st.st_size, (long long)fetch->bytes);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- the table ---- */

static struct fetch *find(const struct fetches *f, const char *id)
{
	for (struct fetch *fetch = f->fetches; fetch; fetch = fetch->next)
		if (str_equal(fetch->id.text, id))
			return fetch;
	return NULL;
}

static void rest_if_idle(struct fetches *f)
{
	for (const struct fetch *fetch = f->fetches; fetch; fetch = fetch->next)
		if (fetch->bytes < 0)
			return;
	if (!f->probes)
		fetcher_rest(f->fetcher);
}

static void stop_download(struct fetches *f, const char *id)
{
	struct json_object *message = fleet_message_new(FLEET_FRAME_FETCH_CANCEL);
	struct fleet_error err = FLEET_ERROR_INIT;

	fleet_json_add_string(message, "commandId", id);
	if (fetcher_send(f->fetcher, message, -1, &err) < 0)
		log_debug("a download could not be stopped: %s", err.message); /* then it is not there */
}

/* With its file; where it still runs, it ends. */
static void drop(struct fetches *f, struct fetch *fetch)
{
	_cleanup_free_ char *path = path_of(f, fetch->id.text);

	for (struct fetch **at = &f->fetches; *at; at = &(*at)->next) {
		if (*at == fetch) {
			*at = fetch->next;
			break;
		}
	}
	if (fetch->bytes < 0)
		stop_download(f, fetch->id.text);
	if (unlink(path) < 0 && errno != ENOENT)
		log_warn("cannot remove %s: %m", path);
	json_object_put(fetch->request);
	free(fetch);
	rest_if_idle(f);
}

/* ---- answers to the host ---- */

static void say_failed(struct fetches *f, const char *id, const char *why)
{
	struct json_object *message = fleet_message_new(FLEET_FRAME_FETCHED);

	log_warn("the download for command %s failed: %s", id, why);
	fleet_json_add_string(message, "commandId", id);
	fleet_json_add_bool(message, "ok", false);
	fleet_json_add_string(message, "error", why);
	if (f->ops->to_host(message, -1, f->arg) < 0)
		log_debug("the driver host is not there to hear of it; it will ask again");
}

static void hand_over(struct fetches *f, struct fetch *fetch)
{
	struct json_object *message;
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_close_ int fd = -1;

	if (open_file(f, fetch, &fd, &err) < 0) {
		say_failed(f, fetch->id.text, err.message);
		drop(f, fetch);
		return;
	}
	message = fleet_message_new(FLEET_FRAME_FETCHED);
	fleet_json_add_string(message, "commandId", fetch->id.text);
	fleet_json_add_bool(message, "ok", true);
	fleet_json_add_int(message, "bytes", fetch->bytes);
	if (f->ops->to_host(message, fd, f->arg) < 0)
		log_debug("the driver host is not there to take the file; it will ask again");
}

static void say_not_probed(struct fetches *f, const char *id, const char *why)
{
	struct json_object *message = fleet_message_new(FLEET_FRAME_PROBED);

	fleet_json_add_string(message, "probeId", id);
	fleet_json_add_bool(message, "ok", false);
	fleet_json_add_string(message, "error", why);
	if (f->ops->to_host(message, -1, f->arg) < 0)
		log_debug("the driver host is not there to hear of a probe");
}

/* ---- to the fetching process ---- */

/* new_file: from the beginning; else only with other bounds. */
static int ask(struct fetches *f, struct fetch *fetch, bool new_file, struct fleet_error *err)
{
	struct json_object *message = fleet_message_new(FLEET_FRAME_FETCH);
	const char *url = fleet_json_string(fetch->request, "url");
	_cleanup_free_ char *own = origin_on_console(url, f->options->console_url);
	int64_t left_s = (fetch->deadline_ms - fleet_clock_monotonic_ms() + 999) / 1000;
	_cleanup_close_ int fd = -1;
	int r = new_file ? make_file(f, fetch->id.text, &fd, err) : 0;

	if (r < 0) {
		json_object_put(message);
		return r;
	}
	fleet_json_add_string(message, "commandId", fetch->id.text);
	fleet_json_add_string(message, "url", own ? own : url);
	fleet_json_add_int(message, "maxBytes", fleet_json_int(fetch->request, "maxBytes", 0));
	fleet_json_add_int(message, "timeoutSeconds", left_s > 0 ? left_s : 1);
	if (own) { /* ours to show to the console, and to nobody else */
		fleet_json_add_bool(message, "direct", true);
		fleet_json_add_string(message, "bearer", f->options->api_key);
		fleet_json_add_string(message, "caFile", f->options->ca_file);
		fleet_json_add_string(message, "certFile", f->options->cert_file);
		fleet_json_add_string(message, "keyFile", f->options->key_file);
	}
	return fetcher_send(f->fetcher, message, fd, err);
}

static void begin(struct fetches *f, struct fetch *fetch, bool new_file)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	if (ask(f, fetch, new_file, &err) >= 0)
		return;
	fetch->bytes = 0; /* it does not run */
	say_failed(f, fetch->id.text, err.message);
	drop(f, fetch);
}

void fetches_fetch(struct fetches *f, struct json_object *message)
{
	const char *id = fleet_json_string(message, "commandId"), *url = fleet_json_string(message, "url");
	_cleanup_free_ char *shown = origin_shown(url);
	struct fetch *fetch = find(f, id);
	bool known = fetch != NULL;
	int count = 0;

	if (fetch && !str_equal(url, fleet_json_string(fetch->request, "url"))) {
		drop(f, fetch);
		known = false;
	}
	if (!known) {
		for (fetch = f->fetches; fetch; fetch = fetch->next)
			count++;
		if (count >= FETCHES_MAX) {
			say_failed(f, id, "too many downloads are kept or under way already");
			return;
		}
		log_info("downloading for command %s: %s", id, shown);
		fetch = xcalloc(1, sizeof(*fetch));
		(void)snprintf(fetch->id.text, sizeof(fetch->id.text), "%s", id);
		fetch->bytes = -1;
		fetch->next = f->fetches;
		f->fetches = fetch;
	}
	json_object_put(fetch->request);
	fetch->request = json_object_get(message);
	fetch->deadline_ms = fleet_clock_monotonic_ms() + fleet_json_int(message, "timeoutSeconds", 0) * 1000;
	if (fetch->bytes < 0) {
		begin(f, fetch, !known);
	} else if (fetch->bytes > fleet_json_int(message, "maxBytes", 0)) {
		say_failed(f, id, "the file is longer than is allowed");
		drop(f, fetch);
	} else {
		hand_over(f, fetch);
	}
}

void fetches_cancel(struct fetches *f, struct json_object *message)
{
	fetches_ended(f, fleet_json_string(message, "commandId"));
}

void fetches_ended(struct fetches *f, const char *command_id)
{
	struct fetch *fetch = find(f, command_id);

	if (fetch)
		drop(f, fetch);
}

static bool has(struct json_object *ids, const char *id)
{
	for (size_t i = 0; i < json_object_array_length(ids); i++)
		if (str_equal(json_object_get_string(json_object_array_get_idx(ids, i)), id))
			return true;
	return false;
}

void fetches_keep(struct fetches *f, struct json_object *command_ids)
{
	for (struct fetch *fetch = f->fetches, *next; fetch; fetch = next) {
		next = fetch->next;
		if (!command_ids || !has(command_ids, fetch->id.text))
			drop(f, fetch);
	}
}

void fetches_probe(struct fetches *f, struct json_object *message)
{
	const char *id = fleet_json_string(message, "probeId");
	struct fleet_error err = FLEET_ERROR_INIT;
	struct probe *probe;
	int count = 0;

	for (probe = f->probes; probe; probe = probe->next)
		count++;
	if (count >= PROBES_MAX) {
		say_not_probed(f, id, "too many probes are under way already");
		return;
	}
	if (fetcher_send(f->fetcher, json_object_get(message), -1, &err) < 0) {
		say_not_probed(f, id, err.message);
		rest_if_idle(f);
		return;
	}
	probe = xcalloc(1, sizeof(*probe));
	(void)snprintf(probe->id.text, sizeof(probe->id.text), "%s", id);
	probe->next = f->probes;
	f->probes = probe;
}

/* ---- from the fetching process ---- */

static void on_fetched(struct fetches *f, struct json_object *message)
{
	struct fetch *fetch = find(f, fleet_json_string(message, "commandId"));

	if (!fetch || fetch->bytes >= 0)
		return; /* cancelled on the way */
	if (!fleet_json_bool(message, "ok", false)) {
		const char *why = fleet_json_string(message, "error");

		fetch->bytes = 0; /* it runs no more */
		say_failed(f, fetch->id.text, why ? why : "no reason is known");
		drop(f, fetch);
		return;
	}
	fetch->bytes = fleet_json_int(message, "bytes", 0);
	log_info("downloaded for command %s: %lld bytes", fetch->id.text, (long long)fetch->bytes);
	rest_if_idle(f);
	hand_over(f, fetch);
}

static void on_probed(struct fetches *f, struct json_object *message)
{
	for (struct probe **at = &f->probes; *at; at = &(*at)->next) {
		struct probe *probe = *at;

		if (!str_equal(probe->id.text, fleet_json_string(message, "probeId")))
			continue;
		*at = probe->next;
		free(probe);
		if (f->ops->to_host(json_object_get(message), -1, f->arg) < 0)
			log_debug("the driver host is not there to hear of a probe");
		rest_if_idle(f);
		return;
	}
}

static void on_frame(enum fleet_message_type type, struct json_object *message, void *arg)
{
	struct fetches *f = arg;

	if (type == FLEET_FRAME_FETCHED)
		on_fetched(f, message);
	else if (type == FLEET_FRAME_PROBED)
		on_probed(f, message);
	else if (type == FLEET_FRAME_PROGRESS && find(f, fleet_json_string(message, "commandId")))
		f->ops->progress(message, f->arg);
}

static void on_died(const char *how, void *arg)
{
	struct fetches *f = arg;
	_cleanup_free_ char *why = xasprintf("the fetching process ended: %s", how);
	struct probe *probes = TAKE_PTR(f->probes);

	log_warn("%s", why);
	for (struct probe *probe = probes, *next; probe; probe = next) {
		next = probe->next;
		say_not_probed(f, probe->id.text, why);
		free(probe);
	}
	for (struct fetch *fetch = f->fetches, *next; fetch; fetch = next) {
		next = fetch->next;
		if (fetch->bytes >= 0)
			continue;
		if (++fetch->deaths < DEATHS_MAX) {
			begin(f, fetch, true);
			continue;
		}
		say_failed(f, fetch->id.text, why);
		fetch->bytes = 0; /* it runs no more */
		drop(f, fetch);
	}
}

static const struct fetcher_events fetcher_events = {.frame = on_frame, .died = on_died};

/* ---- life ---- */

struct fetches *fetches_new(struct event_base *base, const struct fetches_options *options,
	const struct fetches_ops *ops, void *arg)
{
	struct fetches *f = xcalloc(1, sizeof(*f));

	f->options = options;
	f->ops = ops;
	f->arg = arg;
	f->dir = xasprintf("%s/fetch", options->data_dir);
	f->fetcher = fetcher_new(base, options->program, options->idle_ms, &fetcher_events, f);
	remove_left_over(f);
	return f;
}

void fetches_free(struct fetches *f)
{
	if (!f)
		return;
	fetcher_free(f->fetcher);
	while (f->fetches) {
		struct fetch *fetch = f->fetches;

		f->fetches = fetch->next;
		json_object_put(fetch->request);
		free(fetch);
	}
	while (f->probes) {
		struct probe *probe = f->probes;

		f->probes = probe->next;
		free(probe);
	}
	remove_left_over(f);
	free(f->dir);
	free(f);
}
