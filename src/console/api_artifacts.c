/* /api/artifacts: what releases this console knows of. (What an agent downloads: api_artifact_file.c.) */
#include "console/api.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

static const struct fleet_json_field add_fields[] = {
	{"appId", FLEET_JSON_ID, FLEET_JSON_REQUIRED, .min = 0},
	{"version", FLEET_JSON_STRING, FLEET_JSON_REQUIRED, .min = 1, .max = FLEET_VERSION_LEN_MAX},
	{"url", FLEET_JSON_STRING, 0, .min = 1, .max = FLEET_URL_LEN_MAX},
	{"bytes", FLEET_JSON_INTEGER, 0, .min = 1, .max = FLEET_ARTIFACT_MAX},
	{"sha256", FLEET_JSON_STRING, 0, .min = 64, .max = 64},
	{"signature", FLEET_JSON_STRING, 0, .min = 1, .max = FLEET_SIGNATURE_MAX},
	{0},
};

static const char *id_of(const struct fleet_http_request *req)
{
	return fleet_http_param(req, "artifactId");
}

static void reply_not_found(struct fleet_http_request *req, int result)
{
	struct json_object *extra = json_object_new_object();

	fleet_json_add_string(extra, "artifactId", id_of(req));
	if (result == -ENOTUNIQ)
		fleet_http_reply_problem(req, 409, "conflict", extra,
			"Several artifacts end in '%s': give more of its digits", id_of(req));
	else
		fleet_http_reply_problem(
			req, 404, "artifact-not-found", extra, "Artifact '%s' not found", id_of(req));
}

static void reply_failed(struct fleet_http_request *req, int result, const struct fleet_error *err)
{
	struct json_object *extra = NULL;

	switch (result) {
	case -ENOENT:
	case -ENOTUNIQ:
		reply_not_found(req, result);
		break;
	case -EEXIST:
	case -EBUSY:
		fleet_http_reply_problem(req, 409, "conflict", NULL, "%s", err->message);
		break;
	case -EMSGSIZE:
		(void)api_refuse(req, "body", "%s", err->message);
		break;
	case -EDQUOT:
		fleet_http_reply_problem(req, 429, "rate-limited", NULL, "%s", err->message);
		break;
	case -ENOSPC:
		fleet_http_reply_problem(req, 507, "no-space", NULL, "%s", err->message);
		break;
	case -EBADMSG:
		extra = json_object_new_object();
		fleet_json_add_string(extra, "field", "sha256");
		fleet_http_reply_problem(req, 422, "hash-mismatch", extra, "%s", err->message);
		break;
	default:
		api_reply_store_failed(req, result, err);
		break;
	}
}

/* --- list and get ------------------------------------------------------------------------------------ */

/* Ids are in the order of time: the newest first. */
void api_artifacts_list(struct fleet_http_request *req, void *arg)
{
	static const char *const params[] = {"appId", NULL};
	const struct console *console = arg;
	const struct id_table *ready = &console->artifacts.ready;
	const char *app_id, *last = NULL, *next = NULL;
	struct json_object *array;
	struct api_page page;
	size_t i;

	if (!api_read_page(req, FLEET_PAGE_DEFAULT, &page) || !api_read_id(req, "appId", &app_id))
		return;
	i = page.cursor ? id_table_after(ready, page.cursor) : ready->count;
	array = json_object_new_array();
	for (; i > 0 && !next; i--) {
		const struct artifact *a = ready->entries[i - 1].value;

		if (a->leaving || str_equal(a->id, page.cursor) || (app_id && !str_equal(a->app_id, app_id)))
			continue;
		if (json_object_array_length(array) == (size_t)page.limit) {
			next = last;
			break;
		}
		json_object_array_add(array, artifact_to_json(a));
		last = a->id;
	}
	api_reply_page(req, array, next, params);
}

void api_artifacts_get(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	const struct upload *upload = artifacts_upload_get(&console->artifacts, id_of(req));
	const struct artifact *a = NULL;
	int r;

	if (upload) {
		fleet_http_reply_json(req, 200, upload_to_json(upload));
		return;
	}
	r = artifacts_get(&console->artifacts, id_of(req), &a);
	if (r < 0)
		reply_not_found(req, r);
	else
		fleet_http_reply_json(req, 200, artifact_to_json(a));
}

/* --- add --------------------------------------------------------------------------------------------- */

struct asking {
	struct console *console;
	struct fleet_http_request *req;
};

static struct asking *asking_new(struct console *console, struct fleet_http_request *req)
{
	struct asking *asking = xcalloc(1, sizeof(*asking));

	*asking = (struct asking){console, req};
	return asking;
}

static void on_added(int result, const struct artifact *a, const struct fleet_error *err, void *arg)
{
	struct asking *asking = arg;
	const struct upload *upload = a ? artifacts_upload_get(&asking->console->artifacts, a->id) : NULL;
	_cleanup_free_ char *location = a ? xasprintf("/api/artifacts/%s", a->id) : NULL;

	if (result < 0) {
		reply_failed(asking->req, result, err);
	} else {
		fleet_http_add_header(asking->req, "Location", location);
		fleet_http_reply_json(
			asking->req, 201, upload ? upload_to_json(upload) : artifact_to_json(a));
	}
	free(asking);
}

void api_artifacts_add(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct json_object *body = fleet_http_json_body(req, add_fields);
	struct artifact_request request;

	if (!body)
		return;
	request = (struct artifact_request){
		.app_id = fleet_json_string(body, "appId"),
		.version = fleet_json_string(body, "version"),
		.url = fleet_json_string(body, "url"),
		.sha256 = fleet_json_string(body, "sha256"),
		.signature = fleet_json_string(body, "signature"),
		.bytes = fleet_json_int(body, "bytes", -1),
		.actor = auth_actor(req),
		.source_address = fleet_http_peer(req),
	};
	if (!api_check_plain(req, "version", request.version) || !api_check_url(req, "url", request.url) ||
		!api_check_sha256(req, "sha256", request.sha256))
		return;
	if (!request.url == (request.bytes < 0)) {
		(void)api_refuse(req, "url",
			"say where the artifact is (url), or how long the file is that will follow (bytes)");
		return;
	}
	artifacts_add(&console->artifacts, &request, on_added, asking_new(console, req));
}

/* --- parts of a file --------------------------------------------------------------------------------- */

static void on_put(int result, const struct artifact *a, const struct fleet_error *err, void *arg)
{
	struct asking *asking = arg;
	const struct upload *upload;

	if (result == -ESPIPE) { /* an answer that was lost on its way: the client goes on from here */
		struct json_object *extra = json_object_new_object();

		upload = artifacts_upload_get(&asking->console->artifacts, id_of(asking->req));
		fleet_json_add_int(extra, "receivedBytes", upload ? upload->received : 0);
		fleet_http_reply_problem(asking->req, 409, "conflict", extra, "%s", err->message);
	} else if (result < 0) {
		reply_failed(asking->req, result, err);
	} else if (result > 0) {
		fleet_http_reply_json(asking->req, 201, artifact_to_json(a));
	} else {
		upload = artifacts_upload_get(&asking->console->artifacts, a->id);
		fleet_http_reply_json(asking->req, 200, upload_to_json(upload));
	}
	free(asking);
}

static bool read_offset(struct fleet_http_request *req, int64_t *ret)
{
	const char *text = fleet_http_query(req, "offset");
	char *end;

	errno = 0;
	*ret = text && *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
	return (*ret >= 0 && !errno && !*end) ||
	       api_refuse(req, "offset", "must be the number of bytes that were sent before this part");
}

void api_artifacts_put(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;
	struct upload *upload = artifacts_upload_get(&console->artifacts, id_of(req));
	const char *type = fleet_http_header(req, "Content-Type"), *data;
	const struct artifact *a = NULL;
	int64_t offset;
	size_t len;

	if (!upload && artifacts_get(&console->artifacts, id_of(req), &a) >= 0) {
		fleet_http_reply_problem(req, 409, "conflict", NULL, "Artifact '%s' is complete", id_of(req));
		return;
	}
	if (!upload) {
		reply_not_found(req, -ENOENT);
		return;
	}
	if (!type || strcmp(type, "application/octet-stream") != 0) {
		fleet_http_reply_problem(req, 415, "unsupported-media-type", NULL,
			"The body must be a part of the file: send it with Content-Type: "
			"application/octet-stream");
		return;
	}
	if (!read_offset(req, &offset))
		return;
	data = fleet_http_body(req, &len);
	if (len == 0) {
		(void)api_refuse(req, "body", "a part has 1 to %u bytes", FLEET_ARTIFACT_PART_MAX);
		return;
	}
	artifacts_put(&console->artifacts, upload, offset, data, len, on_put, asking_new(console, req));
}

/* --- remove ------------------------------------------------------------------------------------------ */

static void on_removed(int result, const struct artifact *a, const struct fleet_error *err, void *arg)
{
	struct fleet_http_request *req = arg;

	if (result < 0)
		reply_failed(req, result, err);
	else
		fleet_http_reply_json(req, 200, artifact_to_json(a));
}

void api_artifacts_delete(struct fleet_http_request *req, void *arg)
{
	struct console *console = arg;

	artifacts_remove(
		&console->artifacts, id_of(req), auth_actor(req), fleet_http_peer(req), on_removed, req);
}
