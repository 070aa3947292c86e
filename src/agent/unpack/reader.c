#include "agent/unpack/reader.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include "agent/unpack/gzip.h"
#include "agent/unpack/wire.h"
#include "driver/sandbox.h"
#include "fleet/limits.h"

#define READ_SIZE (256 * 1024)

struct source {
	int fd, out;
	off_t at, size;
	struct unpack_gzip *gzip; /* NULL: it is not packed that way */
	unsigned char block[READ_SIZE];
};

/* ---- the pipe ---- */

static void put(const struct source *s, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(s->out, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(1); /* nobody reads any more */
		p += n;
		len -= (size_t)n;
	}
}

static void put_entry(
	const struct source *s, enum extract_kind kind, unsigned mode, const char *path, const char *link)
{
	struct extract_head head = {.kind = kind,
		.mode = mode,
		.path_len = (uint32_t)strlen(path),
		.link_len = (uint32_t)strlen(link),
		.packed = (uint64_t)s->at};

	put(s, &head, sizeof(head));
	put(s, path, head.path_len);
	put(s, link, head.link_len);
}

static void put_error(const struct source *s, struct archive *a)
{
	const char *why = archive_error_string(a);

	put_entry(s, EXTRACT_ERROR, 0, why ? why : "it is damaged", "");
}

/* ---- the artifact, read with pread alone ---- */

static ssize_t read_block(void *arg, const void **ret)
{
	struct source *s = arg;
	ssize_t n;

	do
		n = pread(s->fd, s->block, sizeof(s->block), s->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	s->at += n;
	*ret = s->block;
	return n;
}

static la_ssize_t on_read(struct archive *a, void *arg, const void **ret)
{
	struct source *s = arg;
	ssize_t n = s->gzip ? unpack_gzip_next(s->gzip, ret) : read_block(s, ret);

	if (n >= 0)
		return n;
	archive_set_error(a, (int)-n,
		n == -EBADMSG ? "its compressed bytes are damaged or cut off" : "cannot read the artifact");
	return ARCHIVE_FATAL;
}

/* Is it gzip? */
static void find_packing(struct source *s)
{
	unsigned char magic[2] = {0, 0};

	if (pread(s->fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) && magic[0] == 0x1f &&
		magic[1] == 0x8b)
		s->gzip = unpack_gzip_new(read_block, s);
}

/* What follows the last entry is read too: the checksum is at the very end. */
static int drain(struct archive *a, struct source *s)
{
	const void *unused;
	la_ssize_t n;

	do
		n = on_read(a, s, &unused);
	while (n > 0);
	return n == 0 ? ARCHIVE_EOF : ARCHIVE_FATAL;
}

static la_int64_t on_skip(struct archive *a, void *arg, la_int64_t wanted)
{
	struct source *s = arg;

	(void)a;
	if (wanted < 0 || wanted > s->size - s->at)
		wanted = s->size - s->at;
	s->at += wanted;
	return wanted;
}

static la_int64_t on_seek(struct archive *a, void *arg, la_int64_t offset, int whence)
{
	struct source *s = arg;
	off_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->at : s->size;

	if (offset < -base || offset > s->size - base) {
		archive_set_error(a, EINVAL, "it points outside of itself");
		return ARCHIVE_FATAL;
	}
	s->at = base + offset;
	return s->at;
}

/* ---- entries ---- */

static enum extract_kind kind_of(struct archive_entry *e)
{
	if (archive_entry_hardlink_utf8(e) || archive_entry_hardlink(e))
		return EXTRACT_HARDLINK;
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		return EXTRACT_FILE;
	case AE_IFDIR:
		return EXTRACT_DIRECTORY;
	case AE_IFLNK:
		return EXTRACT_SYMLINK;
	default:
		return EXTRACT_OTHER;
	}
}

/* A name in UTF-8 where the archive knows its encoding, else its bytes as they are. */
static const char *either(const char *utf8, const char *bytes)
{
	return utf8 ? utf8 : bytes ? bytes : "";
}

static void put_data(const struct source *s, struct archive *a)
{
	static char chunk[EXTRACT_CHUNK_MAX];

	for (;;) {
		la_ssize_t n = archive_read_data(a, chunk, sizeof(chunk));
		uint32_t len = n < 0 ? EXTRACT_CHUNK_ERROR : (uint32_t)n;

		put(s, &len, sizeof(len));
		if (n < 0) {
			put_error(s, a);
			_exit(0);
		}
		if (n == 0)
			return;
		put(s, chunk, len);
	}
}

static void read_all(struct source *s, struct archive *a)
{
	struct archive_entry *e;
	int r;

	while ((r = archive_read_next_header(a, &e)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		enum extract_kind kind = kind_of(e);
		const char *path = either(archive_entry_pathname_utf8(e), archive_entry_pathname(e)),
			   *link = "";

		if (kind == EXTRACT_SYMLINK)
			link = either(archive_entry_symlink_utf8(e), archive_entry_symlink(e));
		else if (kind == EXTRACT_HARDLINK)
			link = either(archive_entry_hardlink_utf8(e), archive_entry_hardlink(e));
		put_entry(s, kind, archive_entry_mode(e) & 07777u, path, link);
		if (kind == EXTRACT_FILE)
			put_data(s, a);
	}
	if (r == ARCHIVE_EOF && s->gzip)
		r = drain(a, s);
	if (r == ARCHIVE_EOF)
		put_entry(s, EXTRACT_END, 0, "", "");
	else
		put_error(s, a);
}

void reader_run(void)
{
	static struct source s; /* its block is large */
	struct fleet_error err = FLEET_ERROR_INIT;
	struct archive *a = archive_read_new();
	struct stat st;

	if (!a || fstat(UNPACK_ARTIFACT_FD, &st) < 0 || fcntl(UNPACK_PIPE_FD, F_GETFD) < 0) {
		fprintf(stderr,
			"fleet-unpack is started by fleet-driver-host, with an archive as descriptor %d\n",
			UNPACK_ARTIFACT_FD);
		_exit(1);
	}
	/* names that are not ASCII; where there is no such locale, archives with those are refused */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	/* zip's times are local ones: no file about time zones is read later */
	if (setenv("TZ", "UTC0", 1) < 0)
		_exit(1);
	tzset();
	s = (struct source){.fd = UNPACK_ARTIFACT_FD, .out = UNPACK_PIPE_FD, .size = st.st_size};
	if (driver_sandbox_drop_privileges(&err) < 0) {
		put_entry(&s, EXTRACT_ERROR, 0, err.message, "");
		_exit(0);
	}
	/* Only now: the kernel forgets it where credentials change. One whose parent died before that finds
	 * its pipe broken. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (driver_sandbox_close_reading(s.out, s.fd, &err) < 0) {
		put_entry(&s, EXTRACT_ERROR, 0, err.message, "");
		_exit(0);
	}
	find_packing(&s);
	(void)archive_read_set_read_callback(a, on_read);
	if (!s.gzip) {
		(void)archive_read_set_seek_callback(a, on_seek);
		(void)archive_read_set_skip_callback(a, on_skip);
	}
	(void)archive_read_set_callback_data(a, &s);
	if (archive_read_support_filter_xz(a) != ARCHIVE_OK ||
		archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
		archive_read_support_format_tar(a) != ARCHIVE_OK ||
		archive_read_support_format_zip(a) != ARCHIVE_OK || archive_read_open1(a) != ARCHIVE_OK)
		put_error(&s, a);
	else
		read_all(&s, a);
	_exit(0); /* with everything that libarchive holds */
}
