#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/release.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/usage.h"
#include "fleet/clock.h"
#include "fleet/encode.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

#define SHA256_SHOWN 12
#define STALL_MS     120000 /* without a part that arrives: long enough for the console to sync a large file */
#define PART_MIN     65536

/* --- list and remove --------------------------------------------------------------------------------- */

static void artifact_row(struct table *t, struct json_object *artifact)
{
	const char *sha256 = fleet_json_string(artifact, "sha256");
	int64_t bytes = fleet_json_int(artifact, "bytes", -1);
	bool served = fleet_json_bool(artifact, "served", false);

	table_row(t);
	table_cell(t, 0, format_id(fleet_json_string(artifact, "artifactId")).text);
	table_cell(t, 1, fleet_json_string(artifact, "appId"));
	table_cell(t, 2, fleet_json_string(artifact, "version"));
	if (bytes >= 0)
		table_cell(t, 3, format_size(bytes).text);
	if (sha256)
		table_cellf(t, 4, "%.*s", SHA256_SHOWN, sha256);
	table_cell(t, 5, fleet_json_string(artifact, "signature") ? "yes" : "no");
	table_cell(t, 6, format_date(fleet_json_string(artifact, "addedAt")).text);
	table_cell(t, 7, fleet_json_string(artifact, "addedBy"));
	if (fleet_json_bool(artifact, "lost", false))
		table_cell(t, 8, "lost: remove it and add it anew");
	else
		table_cell(t, 8, served ? "this console" : fleet_json_string(artifact, "url"));
}

int cmd_artifacts_list(const struct cli_args *args)
{
	static const struct table_column columns[] = {{"ID", false}, {"APP", false}, {"VERSION", false},
		{"SIZE", true}, {"SHA256", false}, {"SIGNED", false}, {"ADDED", false}, {"BY", false},
		{"FROM", false}, {0}};
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *list = NULL;
	_cleanup_buffer_ struct fleet_buffer path = FLEET_BUFFER_INIT;
	_cleanup_(table_done) struct table t = {0};
	int r = session_open(&s);

	if (r != CLI_OK)
		return r;
	fleet_buffer_printf(&path, "/api/artifacts?limit=%d", FLEET_PAGE_MAX);
	session_query_add(&path, "appId", cli_args_get(args, "app", NULL));
	r = session_list(&s, path.data, NULL, 0, NULL, &list);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json")) {
		output_json(list);
		return CLI_OK;
	}
	table_init(&t, columns);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		artifact_row(&t, json_object_array_get_idx(list, i));
	table_write(&t, "", stdout);
	if (!t.rows)
		output_line(stderr, "No artifact is registered. One is with: fleetctl artifacts add --help");
	return CLI_OK;
}

int cmd_artifacts_remove(const struct cli_args *args)
{
	_cleanup_session_ struct session s = {0};
	_cleanup_json_ struct json_object *artifact = NULL;
	_cleanup_free_ char *name = fleet_url_encode(args->words[0]);
	_cleanup_free_ char *path = xasprintf("/api/artifacts/%s", name);
	struct session_about about = {.artifact_id = args->words[0]};
	int r = session_open(&s);

	if (r == CLI_OK)
		r = session_call(&s, "DELETE", path, NULL, &about, &artifact, NULL);
	if (r != CLI_OK)
		return r;
	output_line(stdout, "Removed: %s %s [%s]", format_field(artifact, "appId"),
		format_field(artifact, "version"), format_id(fleet_json_string(artifact, "artifactId")).text);
	return CLI_OK;
}

/* --- a file ------------------------------------------------------------------------------------------ */

struct sending {
	struct session *s;
	struct progress progress;
	const char *name; /* of the file; borrowed */
	int fd;
	int64_t bytes, at, hashed;
	size_t part_max;
	char *part; /* owned */
	char *path; /* owned: "/api/artifacts/ID" */
	struct fleet_sha256_stream *hash;
	struct json_object *artifact; /* owned: the console's record when it is complete */
	int64_t arrived_ms;           /* monotonic: the last part */
};

static void sending_done(struct sending *u)
{
	progress_done(&u->progress);
	if (u->fd >= 0)
		(void)close(u->fd); /* it was read only */
	free(u->part);
	free(u->path);
	fleet_sha256_stream_free(u->hash);
	json_object_put(u->artifact);
}

static int open_file(struct sending *u, struct fleet_error *err)
{
	struct stat st;

	u->fd = open(u->name, O_RDONLY | O_CLOEXEC);
	if (u->fd < 0 || fstat(u->fd, &st) < 0)
		return fleet_error_errno(err, -errno, "cannot read %s", u->name);
	if (!S_ISREG(st.st_mode))
		return fleet_error_set(err, -EINVAL, "%s is no file", u->name);
	if (st.st_size == 0 || st.st_size > FLEET_ARTIFACT_MAX)
		return fleet_error_set(err, -EINVAL, "%s has %lld bytes; an artifact has 1 to %lld", u->name,
			(long long)st.st_size, (long long)FLEET_ARTIFACT_MAX);
	u->bytes = st.st_size;
	return 0;
}

/* The part at u->at, hashed the first time it is read. -1: told. */
static ssize_t read_part(struct sending *u)
{
	size_t want = u->bytes - u->at < (int64_t)u->part_max ? (size_t)(u->bytes - u->at) : u->part_max;
	size_t len = 0;

	while (len < want) {
		ssize_t n = pread(u->fd, u->part + len, want - len, u->at + (int64_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			progress_clear(&u->progress);
			output_line(stderr, "Cannot read %s: %s.", u->name,
				n < 0 ? strerror(errno) : "it became shorter");
			return -1;
		}
		len += (size_t)n;
	}
	if (u->at + (int64_t)len > u->hashed) {
		size_t known = (size_t)(u->hashed - u->at);

		fleet_sha256_stream_add(u->hash, u->part + known, len - known);
		u->hashed = u->at + (int64_t)len;
	}
	return (ssize_t)len;
}

/* Takes what the console says of the upload: complete, or how far it is. */
static void take_record(struct sending *u, struct json_object *takes_record)
{
	if (!fleet_json_get(takes_record, "receivedBytes") && fleet_json_string(takes_record, "sha256")) {
		json_object_put(u->artifact);
		u->artifact = takes_record;
		return;
	}
	u->at = fleet_json_int(takes_record, "receivedBytes", u->at);
	if (u->at < 0 || u->at > u->hashed) /* it cannot have what was not sent */
		u->at = 0;
	json_object_put(takes_record);
}

static void pause_second(void)
{
	struct timespec second = {.tv_sec = 1};

	(void)nanosleep(&second, NULL); /* a shorter pause does no harm */
}

/* The console has given it up; before it said why, perhaps. */
static int tell_forgotten(struct sending *u, const struct fleet_http_response *why)
{
	progress_clear(&u->progress);
	if (why && why->status >= 500)
		session_tell_refused(u->s, why, NULL);
	else
		output_line(stderr,
			"The console does not know of the upload any more: it was started anew, or waited "
			"too long for a part. Try again.");
	return CLI_FAILED;
}

/* An answer was lost (why: empty), or the console is not ready: how far is it? CLI_FAILED: told. */
static int ask_how_far(struct sending *u, const struct fleet_http_response *why)
{
	_cleanup_(fleet_http_response_done) struct fleet_http_response answer = {0};
	struct json_object *record = NULL;

	pause_second();
	if (fleet_http_call(u->s->http, "GET", u->path, NULL, &answer, NULL) < 0 || answer.status >= 500)
		return CLI_OK; /* the next part's answer tells */
	if (answer.status == 404)
		return tell_forgotten(u, why);
	if (answer.status != 200 ||
		fleet_json_parse(answer.body, answer.body_len, answer.body_len, &record, NULL) < 0) {
		progress_clear(&u->progress);
		session_tell_refused(u->s, &answer, NULL);
		return CLI_FAILED;
	}
	take_record(u, record);
	return CLI_OK;
}

static int send_part(struct sending *u)
{
	_cleanup_free_ char *path = xasprintf("%s/file?offset=%lld", u->path, (long long)u->at);
	_cleanup_(fleet_http_response_done) struct fleet_http_response answer = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct json_object *record = NULL;
	ssize_t len = read_part(u);
	bool passes, lost;

	if (len < 0)
		return CLI_FAILED;
	lost = fleet_http_send(u->s->http, "PUT", path, "application/octet-stream", u->part, (size_t)len,
		       &answer, &err) < 0;
	if (lost && u->part_max >= 2 * PART_MIN)
		u->part_max /= 2; /* the console wants a whole request in its time: a slow line, perhaps */
	/* 409: another offset is to come next, or a part is being written still */
	passes = lost || answer.status == 409 || (answer.status >= 500 && answer.status != 507);
	if (passes && fleet_clock_monotonic_ms() - u->arrived_ms < STALL_MS)
		return ask_how_far(u, &answer);
	if (answer.status == 404)
		return tell_forgotten(u, NULL);
	if (lost) {
		progress_clear(&u->progress);
		session_tell_unreachable(u->s, &err);
		return CLI_FAILED;
	}
	if ((answer.status != 200 && answer.status != 201) ||
		fleet_json_parse(answer.body, answer.body_len, answer.body_len, &record, NULL) < 0) {
		progress_clear(&u->progress);
		session_tell_refused(u->s, &answer, NULL);
		return CLI_FAILED;
	}
	u->arrived_ms = fleet_clock_monotonic_ms();
	take_record(u, record);
	return CLI_OK;
}

/* Nobody waits for the rest of it. */
static void give_up(struct sending *u)
{
	struct fleet_http_response answer = {0};

	if (fleet_http_call(u->s->http, "DELETE", u->path, NULL, &answer, NULL) >= 0)
		fleet_http_response_done(&answer); /* else the console gives it up by itself */
}

static int send_file(struct sending *u, struct json_object *created)
{
	char sha256[FLEET_SHA256_HEX];
	int64_t part_max = fleet_json_int(created, "partMaxBytes", FLEET_ARTIFACT_PART_MAX);
	int r = CLI_OK;

	u->path = xasprintf("/api/artifacts/%s", format_field(created, "artifactId"));
	u->part_max = part_max > 0 && part_max < FLEET_ARTIFACT_PART_MAX ? (size_t)part_max
									 : FLEET_ARTIFACT_PART_MAX;
	u->part = xmalloc(u->part_max);
	u->hash = fleet_sha256_stream_new();
	u->arrived_ms = fleet_clock_monotonic_ms();
	while (r == CLI_OK && !u->artifact) {
		_cleanup_free_ char *detail =
			xasprintf("%s of %s", format_size(u->at).text, format_size(u->bytes).text);

		progress_tell(&u->progress, "upload", (int)(u->at * 100 / u->bytes), detail);
		/* all of it is there, but for the answer: the console syncs it */
		r = u->at < u->bytes ? send_part(u) : ask_how_far(u, NULL);
	}
	progress_clear(&u->progress);
	if (r != CLI_OK) {
		give_up(u);
		return r;
	}
	fleet_sha256_stream_end(u->hash, sha256);
	if (str_equal(fleet_json_string(u->artifact, "sha256"), sha256))
		return CLI_OK;
	output_line(stderr, "The file changed on its way: the console has sha256 %s, %s has %s.",
		format_field(u->artifact, "sha256"), u->name, sha256);
	give_up(u);
	return CLI_FAILED;
}

/* --- add --------------------------------------------------------------------------------------------- */

static void tell_added(struct json_object *artifact)
{
	const char *sha256 = fleet_json_string(artifact, "sha256");
	int64_t bytes = fleet_json_int(artifact, "bytes", -1);

	output_line(stdout,
		"Artifact added: %s %s%s%s, %s%s%s [%s]. Use it: fleetctl apps update AGENT %s --version %s",
		format_field(artifact, "appId"), format_field(artifact, "version"), bytes >= 0 ? ", " : "",
		bytes >= 0 ? format_size(bytes).text : "", sha256 ? "sha256 " : "no checksum",
		sha256 ? sha256 : "", fleet_json_string(artifact, "signature") ? ", signed" : "",
		format_id(fleet_json_string(artifact, "artifactId")).text, format_field(artifact, "appId"),
		format_field(artifact, "version"));
}

int cmd_artifacts_add(const struct cli_args *args)
{
	const char *url = cli_args_get(args, "url", NULL), *file = cli_args_get(args, "file", NULL);
	_cleanup_session_ struct session s = {0};
	_cleanup_(sending_done) struct sending u = {.s = &s, .name = file, .fd = -1};
	_cleanup_json_ struct json_object *body = json_object_new_object(), *created = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r;

	progress_init(&u.progress);
	if (!fleet_id_is_valid(args->words[0]))
		(void)fleet_error_set(&err, -EINVAL,
			"'%s' is no app: an app id has letters, digits, '.', '_' and '-' only",
			args->words[0]);
	else if (!url == !file)
		(void)fleet_error_set(&err, -EINVAL,
			"Say where the artifact is: --url URL, or --file FILE, which goes to the console");
	if (err.code < 0 || release_add_trust(args, body, &err) < 0)
		return cli_usage_fail(args, &err);
	if (file && open_file(&u, &err) < 0) {
		output_line(stderr, "%s.", err.message);
		return CLI_FAILED;
	}
	fleet_json_add_string(body, "appId", args->words[0]);
	fleet_json_add_string(body, "version", cli_args_get(args, "version", NULL));
	fleet_json_add_string(body, "url", url);
	if (file)
		fleet_json_add_int(body, "bytes", u.bytes);
	r = session_open(&s);
	if (r == CLI_OK)
		r = session_call(&s, "POST", "/api/artifacts", body, NULL, &created, NULL);
	if (r == CLI_OK && file)
		r = send_file(&u, created);
	if (r != CLI_OK)
		return r;
	if (cli_args_has(args, "json"))
		output_json(file ? u.artifact : created);
	else
		tell_added(file ? u.artifact : created);
	return CLI_OK;
}
