#include "console/artifacts.h"

#include <sys/stat.h>

#include "fleet/buffer.h"
#include "fleet/clock.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define VERSIONS_SHOWN_MAX 10
#define ID_TAIL_MIN        6

void artifacts_init(struct artifacts *artifacts, struct store *store, const struct commands *commands,
	struct file_worker *worker, const char *data_dir)
{
	*artifacts = (struct artifacts){.store = store, .commands = commands, .worker = worker};
	artifacts->dir = xasprintf("%s/artifacts", data_dir);
}

void artifacts_done(struct artifacts *artifacts)
{
	for (size_t i = 0; i < artifacts->ready.count; i++)
		artifact_free(artifacts->ready.entries[i].value);
	id_table_done(&artifacts->ready);
	while (artifacts->coming.count > 0)
		artifacts_drop_upload(artifacts, artifacts->coming.entries[0].value);
	id_table_done(&artifacts->coming);
	free(artifacts->dir);
}

char *artifacts_path(const struct artifacts *artifacts, const char *id)
{
	return xasprintf("%s/%s", artifacts->dir, id);
}

/* --- start ------------------------------------------------------------------------------------------- */

static void load_one(struct artifact *takes_artifact, void *arg)
{
	struct artifacts *artifacts = arg;
	struct artifact *a = takes_artifact;
	_cleanup_free_ char *path = artifacts_path(artifacts, a->id);
	struct stat st;

	if (!a->url && (stat(path, &st) < 0 || st.st_size != a->bytes)) {
		a->lost = true;
		log_error("the file of artifact %s (%s %s) is not as it was registered: %s", a->id, a->app_id,
			a->version, path);
	}
	id_table_add(&artifacts->ready, a->id, a);
}

/* Uploads that a crash cut off, and files whose removal was committed and not done. */
static void remove_left_over(const struct artifacts *artifacts)
{
	_cleanup_closedir_ DIR *dir = opendir(artifacts->dir);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || id_table_get(&artifacts->ready, entry->d_name))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			log_warn("cannot remove %s/%s, which belongs to no artifact: %s", artifacts->dir,
				entry->d_name, strerror(errno));
	}
}

int artifacts_load(struct artifacts *artifacts, struct fleet_error *err)
{
	int r = store_artifacts_load(artifacts->store, load_one, artifacts, err);

	if (r >= 0)
		remove_left_over(artifacts);
	return r;
}

/* --- finding ----------------------------------------------------------------------------------------- */

const struct artifact *artifacts_find(
	const struct artifacts *artifacts, const char *app_id, const char *version)
{
	for (size_t i = 0; i < artifacts->ready.count; i++) {
		const struct artifact *a = artifacts->ready.entries[i].value;

		if (!a->leaving && str_equal(a->app_id, app_id) && artifact_is_version(a, version))
			return a;
	}
	return NULL;
}

static bool ends_in(const char *id, const char *tail)
{
	size_t len = strlen(tail);

	return len >= ID_TAIL_MIN && len <= FLEET_UUID_LEN &&
	       strcasecmp(id + FLEET_UUID_LEN - len, tail) == 0;
}

int artifacts_get(const struct artifacts *artifacts, const char *id_or_tail, const struct artifact **ret)
{
	const struct artifact *found = NULL;

	for (size_t i = 0; i < artifacts->ready.count; i++) {
		const struct artifact *a = artifacts->ready.entries[i].value;

		if (a->leaving || !ends_in(a->id, id_or_tail))
			continue;
		if (found)
			return -ENOTUNIQ;
		found = a;
	}
	if (!found)
		return -ENOENT;
	*ret = found;
	return 0;
}

char *artifacts_versions(const struct artifacts *artifacts, const char *app_id)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	size_t count = 0;

	fleet_buffer_add_string(&out, "");
	for (size_t i = artifacts->ready.count; i > 0; i--) { /* ids are in the order of time */
		const struct artifact *a = artifacts->ready.entries[i - 1].value;

		if (!a->leaving && str_equal(a->app_id, app_id) && ++count <= VERSIONS_SHOWN_MAX)
			fleet_buffer_printf(&out, "%s%s", count > 1 ? ", " : "", a->version);
	}
	if (count > VERSIONS_SHOWN_MAX)
		fleet_buffer_printf(&out, " and %zu more", count - VERSIONS_SHOWN_MAX);
	return fleet_buffer_take(&out, NULL);
}

/* --- adding ------------------------------------------------------------------------------------------ */

static const struct upload *find_coming(
	const struct artifacts *artifacts, const char *app_id, const char *version)
{
	for (size_t i = 0; i < artifacts->coming.count; i++) {
		const struct upload *upload = artifacts->coming.entries[i].value;

		if (str_equal(upload->artifact->app_id, app_id) &&
			artifact_is_version(upload->artifact, version))
			return upload;
	}
	return NULL;
}

static int may_add(
	const struct artifacts *artifacts, const struct artifact_request *request, struct fleet_error *err)
{
	const struct artifact *there = artifacts_find(artifacts, request->app_id, request->version);
	const struct upload *coming = find_coming(artifacts, request->app_id, request->version);

	if (there)
		return fleet_error_set(err, -EEXIST,
			"%s %s is registered already, as artifact %s: remove that one first", request->app_id,
			request->version, there->id);
	if (coming)
		return fleet_error_set(err, -EEXIST,
			"%s %s is being uploaded just now, as artifact %s: wait for it, or remove that one",
			request->app_id, request->version, coming->artifact->id);
	if (artifacts->coming.count >= FLEET_UPLOADS_MAX)
		return fleet_error_set(err, -EDQUOT, "%d artifacts are on their way already: wait for one",
			FLEET_UPLOADS_MAX);
	if (artifacts->ready.count + artifacts->coming.count >= FLEET_ARTIFACTS_MAX)
		return fleet_error_set(err, -EDQUOT,
			"%d artifacts are registered, and no more can be: remove some", FLEET_ARTIFACTS_MAX);
	return 0;
}

static struct upload *upload_from_request(const struct artifact_request *request)
{
	struct upload *upload = xcalloc(1, sizeof(*upload));
	struct artifact *a = artifact_new();

	a->app_id = xstrdup(request->app_id);
	a->version = xstrdup(request->version);
	a->url = xstrdup(request->url);
	for (size_t i = 0; request->sha256 && request->sha256[i] && i < sizeof(a->sha256) - 1; i++)
		a->sha256[i] = (char)(request->sha256[i] >= 'A' && request->sha256[i] <= 'F'
					      ? request->sha256[i] - 'A' + 'a'
					      : request->sha256[i]);
	a->signature = xstrdup(request->signature);
	a->bytes = request->url ? -1 : request->bytes;
	a->added_by = xstrdup(request->actor);
	a->added_ms = fleet_clock_wall_ms();
	upload->artifact = a;
	upload->source_address = xstrdup(request->source_address);
	upload->heard_ms = fleet_clock_monotonic_ms();
	upload->fd = -1;
	return upload;
}

void artifacts_add(
	struct artifacts *artifacts, const struct artifact_request *request, artifacts_told *told, void *arg)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct upload *upload;
	int r = may_add(artifacts, request, &err);

	if (r < 0) {
		told(r, NULL, &err, arg);
		return;
	}
	upload = upload_from_request(request);
	id_table_add(&artifacts->coming, upload->artifact->id, upload);
	if (request->url)
		artifacts_commit(artifacts, upload, told, arg);
	else
		artifacts_begin_upload(artifacts, upload, told, arg);
}

/* What is asked of the store. */
struct change {
	struct artifacts *artifacts;
	char id[FLEET_UUID_LEN + 1];
	artifacts_told *told;
	void *arg;
};

static struct change *change_new(struct artifacts *artifacts, const char *id, artifacts_told *told, void *arg)
{
	struct change *change = xcalloc(1, sizeof(*change));

	*change = (struct change){.artifacts = artifacts, .told = told, .arg = arg};
	memcpy(change->id, id, sizeof(change->id));
	return change;
}

static struct audit_event event_about(const struct artifact *a, const char *actor, const char *source_address,
	const char *message, struct json_object *details)
{
	return (struct audit_event){.category = "update",
		.app_id = a->app_id,
		.actor = actor,
		.source_address = source_address,
		.message = message,
		.details = details};
}

static void on_added(int result, const struct fleet_error *err, void *arg)
{
	struct change *change = arg;
	struct artifacts *artifacts = change->artifacts;
	struct upload *upload = id_table_get(&artifacts->coming, change->id);
	struct artifact *a = NULL;

	upload->busy = false;
	if (result >= 0) {
		bool served = !upload->artifact->url;

		a = TAKE_PTR(upload->artifact);
		(void)id_table_remove(&artifacts->coming, change->id); /* it is `upload` */
		free(upload->source_address);
		free(upload);
		id_table_add(&artifacts->ready, a->id, a);
		log_info("artifact %s registered: %s %s", a->id, a->app_id, a->version);
		result = served ? 1 : 0;
	} else {
		if (!upload->artifact->url)
			artifacts_remove_file(artifacts, change->id, false);
		artifacts_drop_upload(artifacts, upload);
	}
	change->told(result, a, err, change->arg);
	free(change);
}

void artifacts_commit(struct artifacts *artifacts, struct upload *upload, artifacts_told *told, void *arg)
{
	const struct artifact *a = upload->artifact;
	_cleanup_json_ struct json_object *details = artifact_to_json(a);
	_cleanup_free_ char *message = NULL;
	struct audit_event event;

	if (a->url)
		message = xasprintf("artifact %s %s registered by %s: %s%s", a->app_id, a->version,
			a->added_by, fleet_json_string(details, "url"), a->sha256[0] ? "" : " (no checksum)");
	else
		message = xasprintf("artifact %s %s uploaded by %s: %lld bytes, sha256 %s", a->app_id,
			a->version, a->added_by, (long long)a->bytes, a->sha256);
	fleet_text_sanitize(message);
	json_object_object_del(details, "signature");
	event = event_about(a, a->added_by, upload->source_address, message, details);
	upload->busy = true;
	store_artifact_add(artifacts->store, a, &event, on_added, change_new(artifacts, a->id, told, arg));
}

/* --- removing ---------------------------------------------------------------------------------------- */

static void on_removed(int result, const struct fleet_error *err, void *arg)
{
	struct change *change = arg;
	struct artifacts *artifacts = change->artifacts;
	struct artifact *a = id_table_get(&artifacts->ready, change->id);

	if (result < 0) {
		a->leaving = false;
		change->told(result, NULL, err, change->arg);
		free(change);
		return;
	}
	(void)id_table_remove(&artifacts->ready, change->id); /* it is `a` */
	log_info("artifact %s removed: %s %s", a->id, a->app_id, a->version);
	if (!a->url)
		artifacts_remove_file(artifacts, a->id, false);
	change->told(0, a, NULL, change->arg);
	artifact_free(a);
	free(change);
}

static void give_up(struct artifacts *artifacts, struct upload *upload, artifacts_told *told, void *arg)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct artifact *a;

	if (upload->busy) {
		told(fleet_error_set(&err, -EBUSY, "a part of it is being written just now"), NULL, &err,
			arg);
		return;
	}
	a = artifact_copy(upload->artifact);
	artifacts_drop_upload(artifacts, upload);
	told(0, a, NULL, arg);
	artifact_free(a);
}

void artifacts_remove(struct artifacts *artifacts, const char *id_or_tail, const char *actor,
	const char *source_address, artifacts_told *told, void *arg)
{
	struct upload *upload = artifacts_upload_get(artifacts, id_or_tail);
	_cleanup_json_ struct json_object *details = NULL;
	_cleanup_free_ char *message = NULL, *source = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	const struct command *user;
	const struct artifact *a = NULL;
	struct audit_event event;
	int r = upload ? 0 : artifacts_get(artifacts, id_or_tail, &a);

	if (upload) {
		give_up(artifacts, upload, told, arg);
		return;
	}
	if (r < 0) {
		told(r, NULL, NULL, arg);
		return;
	}
	source = artifact_source(a);
	user = a->url ? NULL : commands_find_source(artifacts->commands, source, NULL, false);
	if (user) {
		(void)fleet_error_set(&err, -EBUSY,
			"%s %s is needed for the update of %s that has not ended (command %s)", a->app_id,
			a->version, user->agent_id, user->id);
		told(-EBUSY, NULL, &err, arg);
		return;
	}
	details = artifact_to_json(a);
	json_object_object_del(details, "signature");
	message = xasprintf("artifact %s %s removed by %s", a->app_id, a->version, actor);
	event = event_about(a, actor, source_address, message, details);
	((struct artifact *)id_table_get(&artifacts->ready, a->id))->leaving = true; /* it is `a` */
	store_artifact_remove(
		artifacts->store, a, &event, on_removed, change_new(artifacts, a->id, told, arg));
}
