/* augeas: any file that has an Augeas lens. The lens says what the file says; which bytes change is decided
 * here (augeas_write.h). */
#include <errno.h>
#include "augeas_keys.h"
#include "augeas_lens.h"
#include "augeas_write.h"
#include "lines.h"

/* Lenses match each line against all that follows; beyond this their time, too, is beyond a call's. */
#define FILE_MAX_BYTES (256u * 1024u)

static int no_memory(struct fleet_driver_error *err)
{
	return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
}

static int refuse_bytes(struct fleet_bytes in, struct fleet_driver_error *err)
{
	size_t bad = aug_lens_reserved(in.data, in.len);

	if (in.len > FILE_MAX_BYTES)
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"the file has more than %u KiB, too much for a lens to be read in time",
			FILE_MAX_BYTES / 1024);
	if (bad < in.len)
		return lines_fail(in.data, in.len, bad, err, -EINVAL,
			in.data[bad] ? "a control character that libaugeas keeps for itself"
				     : "a NUL byte in the file");
	bad = lines_bad_utf8(in.data, 0, in.len);
	if (bad < in.len)
		return lines_fail(in.data, in.len, bad, err, -EINVAL, "the file is not UTF-8 text here");
	return 0;
}

/* As libaugeas does with files: a missing last line end is there for the lens. *ret_added: it was missing. */
static int load(struct fleet_bytes in, struct text *file, struct aug_node **ret, bool *ret_added,
	struct fleet_driver_error *err)
{
	char why[160];
	size_t at = 0;
	int r = refuse_bytes(in, err);

	if (r < 0)
		return r;
	*ret_added = in.len > 0 && in.data[in.len - 1] != '\n';
	text_add(file, in.data, in.len);
	if (*ret_added)
		text_add(file, "\n", 1);
	if (file->failed)
		return no_memory(err);
	r = aug_lens_get(file->data ? file->data : "", file->len, ret, &at);
	if (r == -ENOMEM)
		return no_memory(err);
	(void)snprintf(
		why, sizeof(why), "from here on the file is not what the lens %s reads", aug_lens_name());
	return r < 0 ? lines_fail(in.data, in.len, at < in.len ? at : in.len, err, r, why) : 0;
}

static int tell(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	struct aug_node *root = NULL;
	struct text file = {0};
	bool added;
	int r = load(in, &file, &root, &added, err);

	if (r == 0)
		r = aug_keys_tell(host, root, in.data, in.len, settings, err);
	aug_node_free(root);
	text_done(&file);
	return r;
}

static int32_t augeas_read(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	return tell(host, in, settings, err);
}

static int32_t augeas_check(
	const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	return tell(host, in, NULL, err);
}

static int cannot_write(const struct fleet_edit *edit, struct fleet_driver_error *err)
{
	return fleet_driver_fail(err, -EINVAL, 0, 0,
		"'%.*s': the lens %s cannot write this so that nothing else changes: a name or value that it "
		"does not "
		"know at this place, or not all the parts of a new entry",
		(int)utf8_cut(edit->path.data, edit->path.len, 60), edit->path.data, aug_lens_name());
}

/* All edits at once, as pieces: two readings, however many edits there are. 1: one of them is not done so. */
static int edit_at_once(const struct fleet_edit *edits, uint32_t n, struct aug_draft *d, struct text *out,
	struct fleet_driver_error *err)
{
	struct aug_node *tree = NULL;
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = aug_edit_apply(d, &edits[i], err);
	if (r < 0)
		return r;
	r = aug_write(d, AUG_BY_PIECES, out, &tree);
	aug_node_free(tree);
	return r == -ENOMEM ? no_memory(err) : r == 0 ? 0 : 1;
}

/* The text that came of the edits so far is what the next ones begin with. Takes tree. */
static int advance(struct aug_draft *d, struct text *file, struct text *out, struct aug_node *tree,
	struct fleet_driver_error *err)
{
	const struct fleet_host *host = d->host;

	aug_draft_done(d);
	d->host = host;
	d->root = tree;
	file->len = 0;
	text_add(file, out->data ? out->data : "", out->len);
	d->text = file->data ? file->data : "";
	d->len = file->len;
	return file->failed ? no_memory(err) : 0;
}

/* One after the other; what cannot be written yet waits for the ones that complete it. */
static int edit_by_one(const struct fleet_edit *edits, uint32_t n, struct aug_draft *d, struct text *file,
	struct text *out, struct fleet_driver_error *err)
{
	bool waiting = false;
	uint32_t first = 0;
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++) {
		struct aug_node *tree = NULL;

		r = aug_edit_apply(d, &edits[i], err);
		if (r < 0)
			return r;
		r = aug_write(d, AUG_BY_THE_LENS, out, &tree);
		if (r == -EINVAL && i + 1 == n)
			r = aug_write(d, AUG_BY_PLACES, out, &tree);
		if (r == -ENOMEM)
			return no_memory(err);
		first = waiting ? first : i;
		waiting = r < 0;
		r = waiting ? 0 : advance(d, file, out, tree, err);
	}
	return waiting ? cannot_write(&edits[first], err) : r;
}

static int edit_file(const struct fleet_host *host, const struct fleet_edit *edits, uint32_t n,
	struct text *file, struct aug_node *root, struct text *out, struct fleet_driver_error *err)
{
	struct aug_draft d = {
		.host = host, .text = file->data ? file->data : "", .len = file->len, .root = root};
	size_t at;
	int r = edit_at_once(edits, n, &d, out, err);

	aug_draft_done(&d);
	if (r <= 0)
		return r;
	d = (struct aug_draft){.host = host, .text = file->data ? file->data : "", .len = file->len};
	r = aug_lens_get(d.text, d.len, &d.root, &at); /* it was read before */
	if (r < 0)
		return no_memory(err);
	r = edit_by_one(edits, n, &d, file, out, err);
	aug_draft_done(&d);
	return r;
}

static int32_t augeas_edit(const struct fleet_host *host, struct fleet_bytes in,
	const struct fleet_edit *edits, uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct text file = {0}, new = {0};
	struct aug_node *root = NULL;
	bool added;
	int r = load(in, &file, &root, &added, err);

	if (r == 0) /* what read refuses is not edited either */
		r = aug_keys_tell(host, root, in.data, in.len, NULL, err);
	if (r == 0)
		r = edit_file(host, edits, n, &file, root, &new, err);
	else
		aug_node_free(root);
	if (r == 0 && added && new.len > 0 && new.data[new.len - 1] == '\n')
		new.len--;
	if (r == 0)
		r = host->emit(out, new.data ? new.data : "", new.len);
	text_done(&file);
	text_done(&new);
	return r;
}

static int32_t augeas_init(const struct fleet_host *host, struct fleet_driver_error *err)
{
	return aug_lens_open(host, err);
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops),
	.flags = FLEET_FORMAT_TEXT_ONLY,
	.read = augeas_read,
	.edit = augeas_edit,
	.check = augeas_check,
	.init = augeas_init,
};
FLEET_DRIVER_DEFINE("augeas", .version = "1.0",
	.summary = "Any config file that has an Augeas lens, edited in place", .format = &ops);
