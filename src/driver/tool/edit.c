/* fleet-driver edit: a change by a driver, proven, to standard output, as a difference, or into the file. */
#include "driver/safe_file.h"
#include "driver/tool/prove.h"
#include "driver/tool/tool.h"
#include "driver/unified_diff.h"

/* The file as it was read, and how to replace it. */
struct subject {
	char *data; /* owned */
	size_t len;
	struct safe_file file; /* of --in-place */
	struct safe_content content;
};

static void subject_done(struct subject *s)
{
	if (s->data != s->content.data)
		free(s->data);
	safe_content_done(&s->content);
	safe_file_done(&s->file);
}

static int open_in_place(const char *path, struct subject *s, struct fleet_error *err)
{
	_cleanup_free_ char *real = realpath(path, NULL); /* a link stays, and its file is replaced */
	int r;

	if (!real)
		return fleet_error_errno(err, -errno, "cannot find %s", path);
	r = safe_file_open(real, &s->file, err);
	if (r == 0)
		r = safe_file_read(&s->file, &s->content, err);
	if (r == 0 && !s->content.exists)
		r = fleet_error_errno(err, -ENOENT, "cannot open %s", path);
	if (r == 0) {
		s->data = s->content.data;
		s->len = s->content.len;
	}
	return r;
}

static void print_diff(const char *name, struct fleet_bytes before, const struct fleet_buffer *after)
{
	_cleanup_buffer_ struct fleet_buffer out = FLEET_BUFFER_INIT;

	unified_diff(&out, name, before, name, (struct fleet_bytes){after->data, after->len});
	if (out.len > 0)
		(void)fwrite(out.data, 1, out.len, stdout); /* tool_main looks at the stream's state */
}

static int write_in_place(struct subject *s, const struct fleet_buffer *after, struct fleet_error *err)
{
	_cleanup_free_ char *tag = xasprintf("driver-%ld", (long)getpid());

	if (s->len == after->len && (s->len == 0 || memcmp(s->data, after->data, after->len) == 0))
		return 0; /* it says that already */
	return safe_file_replace(&s->file, &s->content, after->data, after->len, tag, err);
}

static int edit(const struct tool_options *options, struct fleet_error *err)
{
	_cleanup_(tool_target_done) struct tool_target target = {0};
	_cleanup_(settings_done) struct settings now = SETTINGS_INIT;
	_cleanup_(tool_edits_done) struct tool_edits edits = {NULL, NULL, 0};
	_cleanup_(subject_done) struct subject s = {.file = {.dir_fd = -1}};
	_cleanup_buffer_ struct fleet_buffer after = FLEET_BUFFER_INIT;
	struct driver_call call;
	struct fleet_bytes in;
	int r;

	r = tool_target_find(options, &target, err);
	if (r == 0)
		r = options->in_place ? open_in_place(options->file, &s, err)
				      : tool_file_read(options->file, &s.data, &s.len, err);
	if (r < 0)
		return r;
	in = (struct fleet_bytes){s.data, s.len};
	call = tool_target_call(&target);
	r = driver_format_read(&call, in, &now, err);
	if (r < 0)
		return fleet_error_wrap(err, "cannot read %s", tool_file_name(options->file));
	r = tool_edits_decide(options, &now, &edits, err);
	if (r == 0)
		r = tool_edit_proven(&target, in, &now, edits.items, edits.count, &after, err);
	if (r < 0)
		return r;
	if (options->in_place)
		return write_in_place(&s, &after, err);
	if (options->diff)
		print_diff(options->file, in, &after);
	else
		(void)fwrite(after.data, 1, after.len, stdout); /* as above */
	return 0;
}

int tool_edit(const struct tool_options *options)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	return edit(options, &err) < 0 ? tool_fail(&err) : TOOL_DONE;
}
