/* Releases that are known to this console: registered with their version, so that an update need not name
 * where it comes from. Each is a URL, or a file that came here in parts and lies in DIR/artifacts, named by
 * its id, hashed while it was written and synced before it counts. One per app and version. They stay until
 * somebody removes them; a file that an update still needs cannot be removed.
 *
 * All of them are in memory; the store keeps them. What has to do with files runs on the file worker.
 * Event loop only. (artifacts.c: the table; artifacts_upload.c: files on their way in.) */
#ifndef CONSOLE_ARTIFACTS_H
#define CONSOLE_ARTIFACTS_H
#include "console/commands.h"
#include "console/file_worker.h"
#include "console/id_table.h"
#include "console/store.h"

struct artifacts {
	struct store *store; /* borrowed, as are the next two */
	const struct commands *commands;
	struct file_worker *worker;
	char *dir;              /* owned */
	struct id_table ready;  /* struct artifact, owned */
	struct id_table coming; /* struct upload, owned: not committed yet */
};

void artifacts_init(struct artifacts *artifacts, struct store *store, const struct commands *commands,
	struct file_worker *worker, const char *data_dir);
/* What the store holds; removes what an upload that was cut off left behind. Before the loop runs. */
int artifacts_load(struct artifacts *artifacts, struct fleet_error *err) FLEET_MUST_CHECK;
/* After the worker was stopped and the store closed. */
void artifacts_done(struct artifacts *artifacts);

/* The registered one, or NULL. Borrowed. */
const struct artifact *artifacts_find(
	const struct artifacts *artifacts, const char *app_id, const char *version);
/* By whole id or its last six or more digits: 0, -ENOENT, -ENOTUNIQ. *ret borrowed. */
int artifacts_get(const struct artifacts *artifacts, const char *id_or_tail, const struct artifact **ret);
/* "2.1.0, 2.0.0": the newest of an app, "" none. Owned. */
char *artifacts_versions(const struct artifacts *artifacts, const char *app_id);
char *artifacts_path(const struct artifacts *artifacts, const char *id); /* of its file; owned */

/* --- changes ----------------------------------------------------------------------------------------- */

struct artifact_request {
	const char *app_id, *version, *url, *sha256, *signature; /* url NULL: a file is to come */
	int64_t bytes;                                           /* of the file */
	const char *actor, *source_address;
};
/* artifact: borrowed; NULL where result is negative. May be called before the call returns. */
typedef void artifacts_told(
	int result, const struct artifact *artifact, const struct fleet_error *err, void *arg);
/* 0: registered (url), or ready for its first part. -EEXIST, -EDQUOT, -ENOSPC, else the store's or the
 * disk's. */
void artifacts_add(
	struct artifacts *artifacts, const struct artifact_request *request, artifacts_told *told, void *arg);
/* -ENOENT, -ENOTUNIQ; -EBUSY: it is needed, or changes just now. An upload is given up. */
void artifacts_remove(struct artifacts *artifacts, const char *id_or_tail, const char *actor,
	const char *source_address, artifacts_told *told, void *arg);

/* --- files on their way in (artifacts_upload.c) ------------------------------------------------------- */

struct upload {
	struct artifact *artifact; /* owned; its sha256: the one to be, "" any */
	char *source_address;      /* owned */
	int64_t received;
	int64_t heard_ms; /* monotonic */
	bool busy;        /* the worker or the store has it: the loop touches nothing that follows */
	int fd;           /* -1: a URL */
	struct fleet_sha256_stream *hash;
};
struct upload *artifacts_upload_get(
	const struct artifacts *artifacts, const char *id); /* whole id; or NULL */
struct json_object *upload_to_json(const struct upload *upload);
/* data stays the caller's and must stay until told. 0: more is to come; 1: that was the last, it is
 * registered. -EBUSY, -ESPIPE (another offset is to come next), -EMSGSIZE (more than was said): nothing
 * changed. -ENOSPC, -EBADMSG (its checksum is not the one that was said) and what else the disk or the store
 * said: the upload is over. */
void artifacts_put(struct artifacts *artifacts, struct upload *upload, int64_t offset, const void *data,
	size_t len, artifacts_told *told, void *arg);
/* Gives up uploads of which nothing was heard. */
void artifacts_tick(struct artifacts *artifacts);

/* --- between the two files --- */
void artifacts_begin_upload(
	struct artifacts *artifacts, struct upload *upload, artifacts_told *told, void *arg);
void artifacts_commit(struct artifacts *artifacts, struct upload *upload, artifacts_told *told, void *arg);
/* Forgets it, and its file. Not a busy one. */
void artifacts_drop_upload(struct artifacts *artifacts, struct upload *upload);
void artifacts_remove_file(struct artifacts *artifacts, const char *id, bool part);
char *artifacts_part_path(const struct artifacts *artifacts, const char *id); /* owned */

#endif
