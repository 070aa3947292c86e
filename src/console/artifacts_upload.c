/* Files that come to the console in parts: evhttp holds whole bodies in memory, so none may be long. Each
 * part is written and hashed by the file worker before it is acknowledged. The file is synced, checked and in
 * its place before it is registered; until then it is DIR/artifacts/ID.part, which the next start removes. */
#include <fcntl.h>
#include <sys/statvfs.h>

#include "console/artifacts.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define RESERVE_BYTES (INT64_C(64) << 20) /* left free on the disk, for the store */

struct upload *artifacts_upload_get(const struct artifacts *artifacts, const char *id)
{
	struct upload *upload = id_table_get(&artifacts->coming, id);

	return upload && !upload->artifact->url ? upload : NULL;
}

struct json_object *upload_to_json(const struct upload *upload)
{
	struct json_object *out = artifact_to_json(upload->artifact);

	fleet_json_add_string(out, "state", "uploading");
	fleet_json_add_int(out, "receivedBytes", upload->received);
	fleet_json_add_int(out, "partMaxBytes", FLEET_ARTIFACT_PART_MAX);
	return out;
}

char *artifacts_part_path(const struct artifacts *artifacts, const char *id)
{
	return xasprintf("%s/%s.part", artifacts->dir, id);
}

/* --- on the thread ----------------------------------------------------------------------------------- */

struct work {
	struct file_job job;
	struct artifacts *artifacts;
	struct upload *upload;    /* busy while this runs; NULL: a file to remove */
	char *dir, *path, *final; /* owned */
	const void *data;         /* borrowed */
	size_t len;
	int64_t offset, bytes;
	char sha256[FLEET_SHA256_HEX]; /* of the whole, at the end */
	artifacts_told *told;
	void *arg;
};

static struct work *work_new(
	struct artifacts *artifacts, struct upload *upload, artifacts_told *told, void *arg)
{
	struct work *w = xcalloc(1, sizeof(*w));

	w->artifacts = artifacts;
	w->upload = upload;
	w->dir = xstrdup(artifacts->dir);
	w->told = told;
	w->arg = arg;
	if (upload) {
		w->path = artifacts_part_path(artifacts, upload->artifact->id);
		w->final = artifacts_path(artifacts, upload->artifact->id);
		w->bytes = upload->artifact->bytes;
	}
	return w;
}

static void work_free(struct work *w)
{
	free(w->dir);
	free(w->path);
	free(w->final);
	free(w);
}

static int no_room(int64_t bytes, int64_t free_bytes, struct fleet_error *err)
{
	return fleet_error_set(err, -ENOSPC,
		"the console's disk is too full: the file has %lld MB, %lld MB are free, and %lld MB have to "
		"stay so",
		(long long)(bytes >> 20), (long long)(free_bytes >> 20), (long long)(RESERVE_BYTES >> 20));
}

/* Takes the room now, so that a full disk is told before the file has come. */
static int run_begin(struct file_job *job, struct fleet_error *err)
{
	struct work *w = (struct work *)job;
	struct statvfs disk;
	int64_t free_bytes;
	int r = fleet_mkdir_parents(w->dir, 0700, err);

	if (r < 0)
		return r;
	if (statvfs(w->dir, &disk) < 0)
		return fleet_error_errno(err, -errno, "cannot look at the free space of %s", w->dir);
	free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
	if (free_bytes - w->bytes < RESERVE_BYTES)
		return no_room(w->bytes, free_bytes, err);
	w->upload->fd = open(w->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->upload->fd < 0)
		return fleet_error_errno(err, -errno, "cannot write %s", w->path);
	if (fallocate(w->upload->fd, FALLOC_FL_KEEP_SIZE, 0, w->bytes) < 0 && errno == ENOSPC)
		return no_room(w->bytes, free_bytes, err);
	return 0; /* where it cannot be taken ahead, the writes will tell */
}

static int write_part(const struct work *w, struct fleet_error *err)
{
	const char *data = w->data;
	size_t done = 0;

	while (done < w->len) {
		ssize_t n = pwrite(w->upload->fd, data + done, w->len - done, w->offset + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fleet_error_errno(err, -errno, "cannot write %s", w->path);
		done += (size_t)n;
	}
	fleet_sha256_stream_add(w->upload->hash, w->data, w->len);
	/* The disk begins now, rather than with all of it at the end, when somebody waits; only a hint. */
	(void)sync_file_range(w->upload->fd, w->offset, (off_t)w->len, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static int sync_directory(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int complete(struct work *w, struct fleet_error *err)
{
	const char *wanted = w->upload->artifact->sha256;
	int r;

	fleet_sha256_stream_end(w->upload->hash, w->sha256);
	if (wanted[0] && strcmp(wanted, w->sha256) != 0)
		return fleet_error_set(err, -EBADMSG,
			"the file has sha256 %s, which is not the one that was said: it is another file, or "
			"was changed on its way",
			w->sha256);
	if (fsync(w->upload->fd) < 0)
		return fleet_error_errno(err, -errno, "cannot sync %s", w->path);
	if (rename(w->path, w->final) < 0)
		return fleet_error_errno(err, -errno, "cannot put %s in its place", w->path);
	r = sync_directory(w->dir);
	return r < 0 ? fleet_error_errno(err, r, "cannot sync %s", w->dir) : 0;
}

static int run_put(struct file_job *job, struct fleet_error *err)
{
	struct work *w = (struct work *)job;
	int r = write_part(w, err);

	return r >= 0 && w->offset + (int64_t)w->len == w->bytes ? complete(w, err) : r;
}

static int run_remove(struct file_job *job, struct fleet_error *err)
{
	struct work *w = (struct work *)job;

	if (unlink(w->path) < 0 && errno != ENOENT)
		return fleet_error_errno(err, -errno, "cannot remove %s", w->path);
	return 0;
}

/* --- on the loop ------------------------------------------------------------------------------------- */

static void on_file_removed(struct file_job *job, int result, const struct fleet_error *err)
{
	if (result < 0 && result != -ESHUTDOWN) /* the next start removes it */
		log_warn("%s", err->message);
	work_free((struct work *)job);
}

void artifacts_remove_file(struct artifacts *artifacts, const char *id, bool part)
{
	struct work *w = work_new(artifacts, NULL, NULL, NULL);

	w->path = part ? artifacts_part_path(artifacts, id) : artifacts_path(artifacts, id);
	w->job.run = run_remove;
	w->job.done = on_file_removed;
	file_worker_submit(artifacts->worker, &w->job);
}

void artifacts_drop_upload(struct artifacts *artifacts, struct upload *upload)
{
	(void)id_table_remove(&artifacts->coming, upload->artifact->id); /* it is `upload` */
	if (!upload->artifact->url)
		artifacts_remove_file(artifacts, upload->artifact->id, true);
	if (upload->fd >= 0)
		(void)close(upload->fd); /* it is removed */
	fleet_sha256_stream_free(upload->hash);
	artifact_free(upload->artifact);
	free(upload->source_address);
	free(upload);
}

static void on_failed(struct work *w, int result, const struct fleet_error *err)
{
	log_warn("the upload of %s %s is over: %s", w->upload->artifact->app_id, w->upload->artifact->version,
		err->message);
	if (w->offset + (int64_t)w->len == w->bytes) /* it may have its name already */
		artifacts_remove_file(w->artifacts, w->upload->artifact->id, false);
	artifacts_drop_upload(w->artifacts, w->upload);
	w->told(result, NULL, err, w->arg);
}

static void on_begun(struct file_job *job, int result, const struct fleet_error *err)
{
	struct work *w = (struct work *)job;

	w->upload->busy = false;
	if (result < 0)
		on_failed(w, result, err);
	else
		w->told(0, w->upload->artifact, NULL, w->arg);
	work_free(w);
}

void artifacts_begin_upload(
	struct artifacts *artifacts, struct upload *upload, artifacts_told *told, void *arg)
{
	struct work *w = work_new(artifacts, upload, told, arg);

	upload->busy = true;
	upload->hash = fleet_sha256_stream_new();
	w->job.run = run_begin;
	w->job.done = on_begun;
	file_worker_submit(artifacts->worker, &w->job);
}

static void on_put(struct file_job *job, int result, const struct fleet_error *err)
{
	struct work *w = (struct work *)job;
	struct upload *upload = w->upload;

	upload->busy = false;
	upload->heard_ms = fleet_clock_monotonic_ms();
	if (result < 0) {
		on_failed(w, result, err);
	} else {
		upload->received += (int64_t)w->len;
		if (upload->received < w->bytes) {
			w->told(0, upload->artifact, NULL, w->arg);
		} else {
			(void)close(TAKE_FD(upload->fd)); /* synced */
			memcpy(upload->artifact->sha256, w->sha256, sizeof(w->sha256));
			fleet_sha256_stream_free(TAKE_PTR(upload->hash));
			artifacts_commit(w->artifacts, upload, w->told, w->arg);
		}
	}
	work_free(w);
}

void artifacts_put(struct artifacts *artifacts, struct upload *upload, int64_t offset, const void *data,
	size_t len, artifacts_told *told, void *arg)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct work *w;
	int r = 0;

	if (upload->busy)
		r = fleet_error_set(&err, -EBUSY, "another part is being written just now");
	else if (offset != upload->received)
		r = fleet_error_set(
			&err, -ESPIPE, "the next part begins at byte %lld", (long long)upload->received);
	else if ((int64_t)len > upload->artifact->bytes - offset)
		r = fleet_error_set(&err, -EMSGSIZE, "the file was said to have %lld bytes, this is more",
			(long long)upload->artifact->bytes);
	if (r < 0) {
		told(r, NULL, &err, arg);
		return;
	}
	w = work_new(artifacts, upload, told, arg);
	w->data = data;
	w->len = len;
	w->offset = offset;
	w->job.run = run_put;
	w->job.done = on_put;
	upload->busy = true;
	file_worker_submit(artifacts->worker, &w->job);
}

void artifacts_tick(struct artifacts *artifacts)
{
	int64_t now = fleet_clock_monotonic_ms();

	for (size_t i = artifacts->coming.count; i > 0; i--) {
		struct upload *upload = artifacts->coming.entries[i - 1].value;

		if (upload->busy || now - upload->heard_ms < FLEET_UPLOAD_IDLE_S * 1000)
			continue;
		log_warn("the upload of %s %s is given up: nothing has come of it for %d s",
			upload->artifact->app_id, upload->artifact->version, FLEET_UPLOAD_IDLE_S);
		artifacts_drop_upload(artifacts, upload);
	}
}
