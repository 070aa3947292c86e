#include "console/static_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "console/id_table.h"
#include "fleet/encode.h"
#include "fleet/file.h"
#include "fleet/log.h"

#ifndef PKGDATADIR
#define PKGDATADIR "/usr/share/fleet"
#endif

static const char page_policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	"font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
	"frame-ancestors 'none'";

static const struct {
	const char *suffix, *type;
} types[] = {
	{".html", "text/html; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".mjs", "text/javascript; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
	{".ico", "image/x-icon"},
	{".woff2", "font/woff2"},
	{".json", "application/json"},
	{".webmanifest", "application/manifest+json"},
	{".txt", "text/plain; charset=utf-8"},
};

struct static_file {
	char *path; /* owned: "/app.js" */
	const char *type;
	char *data; /* owned */
	size_t len;
	char etag[2 + FLEET_SHA256_HEX]; /* quoted */
};
struct static_files {
	struct id_table by_path; /* struct static_file, owned */
	size_t bytes;
};

static const char *type_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < FLEET_ARRAY_LEN(types); i++) {
		if (strcmp(dot, types[i].suffix) == 0)
			return types[i].type;
	}
	return NULL;
}

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *static_files_find_dir(void)
{
	_cleanup_free_ char *program = NULL, *beside = NULL;

	if (fleet_program_dir(&program, NULL) >= 0) {
		beside = xasprintf("%s/../share/fleet/web", program);
		if (exists(beside))
			return TAKE_PTR(beside);
	}
	return exists(PKGDATADIR "/web") ? xstrdup(PKGDATADIR "/web") : NULL;
}

static void file_free(struct static_file *file)
{
	free(file->path);
	free(file->data);
	free(file);
}

static int load_file(
	struct static_files *files, int fd, const char *path, const char *type, struct fleet_error *err)
{
	struct static_file *file;
	char hex[FLEET_SHA256_HEX];
	char *data;
	size_t len;
	int r;

	if (files->by_path.count >= STATIC_FILES_MAX)
		return fleet_error_set(err, -E2BIG, "more than %d files", STATIC_FILES_MAX);
	r = fleet_file_read_fd(fd, path, STATIC_BYTES_MAX - files->bytes, &data, &len, err);
	if (r < 0)
		return r;
	file = xcalloc(1, sizeof(*file));
	file->path = xstrdup(path);
	file->type = type;
	file->data = data;
	file->len = len;
	fleet_sha256_hex(data, len, hex);
	(void)snprintf(file->etag, sizeof(file->etag), "\"%s\"", hex); /* fits */
	files->bytes += len;
	id_table_add(&files->by_path, file->path, file);
	return 0;
}

/* fd: of the directory; owned here. prefix: its path as requests name it, with the slash at its end. */
static int load_dir(
	struct static_files *files, int fd, const char *prefix, unsigned depth, struct fleet_error *err)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = fleet_error_errno(err, -errno, "cannot list %s", prefix);
		(void)close(fd); /* nothing was written */
		return r;
	}
	while (r >= 0 && (entry = readdir(dir))) {
		_cleanup_free_ char *path = xasprintf("%s%s", prefix, entry->d_name);
		const char *type = type_of(entry->d_name);
		_cleanup_close_ int at = -1;
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		at = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (at < 0 || fstat(at, &st) < 0)
			continue; /* a link, or gone meanwhile */
		if (S_ISDIR(st.st_mode) && depth < STATIC_DEPTH_MAX) {
			_cleanup_free_ char *below = xasprintf("%s/", path);

			r = load_dir(files, TAKE_FD(at), below, depth + 1, err);
		} else if (S_ISREG(st.st_mode) && type) {
			r = load_file(files, at, path, type, err);
		}
	}
	return r;
}

int static_files_load(const char *dir, struct static_files **ret, struct fleet_error *err)
{
	struct static_files *files;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return fleet_error_errno(err, -errno, "cannot open the dashboard's files in %s", dir);
	files = xcalloc(1, sizeof(*files));
	r = load_dir(files, fd, "/", 0, err);
	if (r < 0) {
		static_files_free(files);
		return fleet_error_wrap(err, "the dashboard's files in %s", dir);
	}
	*ret = files;
	return 0;
}

void static_files_free(struct static_files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->by_path.count; i++)
		file_free(files->by_path.entries[i].value);
	id_table_done(&files->by_path);
	free(files);
}

static void reply_not_found(struct fleet_http_request *req, bool no_dashboard)
{
	if (no_dashboard)
		fleet_http_reply_problem(req, 404, "not-found", NULL,
			"this console has no dashboard: its files were not found (--web-dir)");
	else
		fleet_http_reply_problem(
			req, 404, "not-found", NULL, "there is nothing at %s", fleet_http_path(req));
}

void static_files_serve(const struct static_files *files, struct fleet_http_request *req)
{
	const char *path = fleet_http_path(req), *known = fleet_http_header(req, "If-None-Match");
	const struct static_file *file;

	if (strcmp(path, "/") == 0)
		path = "/index.html";
	file = files && !str_starts(path, "/api/") ? id_table_get(&files->by_path, path) : NULL;
	if (!file) {
		reply_not_found(req, !files && strcmp(path, "/index.html") == 0);
		return;
	}
	fleet_http_add_header(req, "ETag", file->etag);
	fleet_http_add_header(req, "Cache-Control", "no-cache");
	fleet_http_add_header(req, "Content-Security-Policy", page_policy);
	if (known && strcmp(known, file->etag) == 0)
		fleet_http_reply_bytes(req, 304, file->type, "", 0);
	else
		fleet_http_reply_bytes(req, 200, file->type, file->data, file->len);
}
