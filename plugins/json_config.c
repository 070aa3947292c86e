/* json-config: JSON config files, edited in place. Comments and trailing commas are taken where a file has
 * them. */
#include <errno.h>
#include "json_doc.h"
#include "json_edit.h"
#include "path.h"

#define DUPLICATES_MAX 100

static int emit_node(const struct fleet_host *host, const struct json_doc *doc, uint32_t n, struct text *path,
	struct text *scratch, struct fleet_sink *settings)
{
	const struct json_node *node = &doc->nodes[n];
	struct fleet_bytes where = {path->data ? path->data : "", path->len};
	struct fleet_bytes value = {doc->text + node->start, node->end - node->start};
	size_t base = path->len, index = 0;

	if (path->failed || scratch->failed)
		return -ENOMEM;
	if (node->type == FLEET_TYPE_STRING) {
		scratch->len = 0;
		json_string_decode(value.data, value.len, scratch);
		return host->emit_setting(settings, where,
			(struct fleet_bytes){scratch->data ? scratch->data : "", scratch->len}, node->type);
	}
	if (node->type != FLEET_TYPE_OBJECT && node->type != FLEET_TYPE_ARRAY)
		return host->emit_setting(settings, where, value, node->type);
	if (node->first == JSON_NONE)
		return host->emit_setting(settings, where,
			(struct fleet_bytes){node->type == FLEET_TYPE_OBJECT ? "{}" : "[]", 2}, node->type);
	for (uint32_t child = node->first; child != JSON_NONE; child = doc->nodes[child].next) {
		const struct json_node *c = &doc->nodes[child];
		int r;

		if (node->type == FLEET_TYPE_OBJECT) {
			scratch->len = 0;
			json_string_decode(doc->text + c->key_start, c->key_end - c->key_start, scratch);
			path_add_name(path, scratch->data ? scratch->data : "", scratch->len);
		} else {
			path_add_index(path, index++);
		}
		r = emit_node(host, doc, child, path, scratch, settings);
		if (r < 0)
			return r;
		path->len = base;
	}
	return 0;
}

static int32_t json_read(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	struct text path = {0}, scratch = {0};
	struct json_doc doc;
	int r;

	r = json_doc_parse(in.data, in.len, &doc, err);
	if (r == 0 && !doc.empty) {
		r = emit_node(host, &doc, 0, &path, &scratch, settings);
		if (r < 0)
			(void)fleet_driver_fail(err, r, 0, 0, "the settings of this document cannot be told");
	}
	text_done(&path);
	text_done(&scratch);
	json_doc_done(&doc);
	return r;
}

static int32_t json_check(
	const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	struct json_doc doc;
	int r = json_doc_parse(in.data, in.len, &doc, err);

	(void)host;
	json_doc_done(&doc);
	return r;
}

/* Applies one edit to *doc_text, which is replaced. *ret_changed says whether anything was to be done. */
static int apply_once(struct text *doc_text, const struct path *path, const struct fleet_edit *edit,
	bool *ret_changed, struct fleet_driver_error *err)
{
	struct splices s = {.count = 0};
	struct text after = {0};
	struct json_doc doc;
	int r;

	r = json_doc_parse(doc_text->data ? doc_text->data : "", doc_text->len, &doc, err);
	if (r == 0)
		r = edit->kind == FLEET_EDIT_SET ? json_edit_set(&doc, path, edit, &s, err)
						 : json_edit_unset(&doc, path, &s, err);
	json_doc_done(&doc);
	if (r == 0 && s.count > 0) {
		splices_apply(&s, doc_text->data ? doc_text->data : "", doc_text->len, &after);
		if (after.failed) {
			text_done(&after);
			r = fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
		} else {
			text_done(doc_text);
			*doc_text = after;
		}
	}
	*ret_changed = s.count > 0;
	text_done(&s.text);
	return r;
}

static int apply(struct text *doc_text, const struct fleet_edit *edit, struct fleet_driver_error *err)
{
	struct path path;
	bool changed = true;
	int r;

	r = path_parse(edit->path, &path);
	if (r < 0 || path.count == 0) {
		path_done(&path);
		return fleet_driver_fail(err, r < 0 ? r : -EINVAL, 0, 0, "an edit without a proper key path");
	}
	r = apply_once(doc_text, &path, edit, &changed, err);
	/* a name may stand there more than once; elements move up instead, so only the one is meant */
	for (int i = 0; r == 0 && changed && edit->kind == FLEET_EDIT_UNSET &&
			path.parts[path.count - 1].kind == PATH_NAME;
		i++) {
		if (i == DUPLICATES_MAX)
			r = fleet_driver_fail(
				err, -EINVAL, 0, 0, "a name stands there more than %d times", DUPLICATES_MAX);
		else
			r = apply_once(doc_text, &path, edit, &changed, err);
	}
	path_done(&path);
	return r;
}

static int32_t json_edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct text text = {0};
	struct json_doc doc;
	int r = 0;

	text_add(&text, in.data, in.len);
	if (text.failed)
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = apply(&text, &edits[i], err);
	if (r == 0) {
		/* never hand out what would not be taken back */
		r = json_doc_parse(text.data ? text.data : "", text.len, &doc, err);
		json_doc_done(&doc);
	}
	if (r == 0)
		r = host->emit(out, text.data ? text.data : "", text.len);
	text_done(&text);
	return r;
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops),
	.read = json_read,
	.edit = json_edit,
	.check = json_check,
};
FLEET_DRIVER_DEFINE("json-config", .version = "1.0", .summary = "JSON config files, edited byte for byte",
	.format = &ops);
