/* yaml-config: YAML config files, edited in place. A file of several documents has the first one's values
 * under their own paths, and those of the others below `[doc1]`, `[doc2]` and so on. */
#include <errno.h>
#include <stdio.h>
#include "yaml_edit.h"
#include "yaml_scalar.h"

#define DUPLICATES_MAX 100

struct teller {
	const struct fleet_host *host;
	const struct yaml_doc *doc;
	struct fleet_sink *settings;
	struct text path, scratch;
};

static int tell_scalar(struct teller *t, const struct yaml_node *node, struct fleet_bytes where)
{
	const char *text = yaml_string(t->doc, node->value);

	if (node->type == FLEET_TYPE_STRING)
		return t->host->emit_setting(
			t->settings, where, (struct fleet_bytes){text, node->value.len}, node->type);
	t->scratch.len = 0;
	yaml_plain_json(yaml_plain_of(text, node->value.len), text, node->value.len, &t->scratch);
	if (t->scratch.failed)
		return -ENOMEM;
	return t->host->emit_setting(
		t->settings, where, (struct fleet_bytes){t->scratch.data, t->scratch.len}, node->type);
}

/* What an alias stands for is told in its place too: parsing has bounded how much that can be. */
static int tell(struct teller *t, uint32_t n)
{
	const struct yaml_node *node = &t->doc->nodes[yaml_resolve(t->doc, n)];
	struct fleet_bytes where = {t->path.data ? t->path.data : "", t->path.len};
	size_t base = t->path.len, index = 0;
	int r = 0;

	if (t->path.failed)
		return -ENOMEM;
	if (node->kind == YAML_KIND_SCALAR)
		return tell_scalar(t, node, where);
	if (node->first == YAML_NONE)
		return t->host->emit_setting(t->settings, where,
			(struct fleet_bytes){node->kind == YAML_KIND_MAPPING ? "{}" : "[]", 2}, node->type);
	for (uint32_t child = node->first; child != YAML_NONE && r == 0; child = t->doc->nodes[child].next) {
		if (node->kind == YAML_KIND_MAPPING) {
			const char *name;
			size_t len;

			(void)yaml_member_name(t->doc, child, &name, &len); /* told all the same */
			path_add_name(&t->path, name, len);
		} else {
			path_add_index(&t->path, index++);
		}
		r = tell(t, child);
		t->path.len = base;
	}
	return r;
}

static int tell_documents(struct teller *t)
{
	const struct yaml_doc *doc = t->doc;
	int r = 0;

	for (uint32_t d = 0; d < doc->document_count && r == 0; d++) {
		uint32_t root = doc->documents[d].root;
		char part[24];

		if (root == YAML_NONE)
			continue;
		/* emptied by an edit, it is still there to keep the others' numbers */
		if (d == 0 && doc->document_count > 1 && doc->nodes[root].first == YAML_NONE &&
			doc->nodes[root].kind != YAML_KIND_SCALAR)
			continue;
		t->path.len = 0;
		(void)snprintf(part, sizeof(part), "[doc%u]", d);
		if (d > 0)
			text_add_string(&t->path, part);
		r = tell(t, root);
	}
	return r;
}

static int32_t yaml_read(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	struct yaml_doc doc;
	struct teller t = {.host = host, .doc = &doc, .settings = settings};
	int r;

	r = yaml_doc_parse(in.data, in.len, &doc, err);
	if (r == 0) {
		r = tell_documents(&t);
		if (r < 0)
			(void)fleet_driver_fail(err, r, 0, 0, "the settings of this file cannot be told");
	}
	text_done(&t.path);
	text_done(&t.scratch);
	yaml_doc_done(&doc);
	return r;
}

static int32_t yaml_check(
	const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	struct yaml_doc doc;
	int r = yaml_doc_parse(in.data, in.len, &doc, err);

	(void)host;
	yaml_doc_done(&doc);
	return r;
}

/* Takes `[docN]` from the path's begin. */
static int take_document(
	const struct yaml_doc *doc, struct fleet_bytes *path, uint32_t *ret, struct fleet_driver_error *err)
{
	uint64_t i = 4, digits = i;
	uint32_t d = 0;

	*ret = 0;
	if (path->len < 6 || memcmp(path->data, "[doc", 4) != 0)
		return 0;
	for (; i < path->len && path->data[i] >= '0' && path->data[i] <= '9' && d <= YAML_DOCUMENTS_MAX; i++)
		d = d * 10 + (uint32_t)(path->data[i] - '0');
	if (i == digits || i >= path->len || path->data[i] != ']')
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "a document of the file is written [doc1], [doc2] and so on");
	if (path->data[4] == '0')
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"the first document's keys have no [doc0] before them, and the second's have [doc1]");
	if (d >= doc->document_count)
		return fleet_driver_fail(err, -EINVAL, 0, 0, "the file has no document of this number");
	i++;
	if (i == path->len)
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "a whole document cannot be set or unset, only what is in it");
	if (path->data[i] == '.')
		i++;
	path->data += i;
	path->len -= i;
	*ret = d;
	return 0;
}

/* A file and what it says. */
struct state {
	struct text text;
	struct yaml_doc doc;
};

static int take_result(struct state *state, const struct splices *s, const struct path *path,
	uint32_t document, const struct json_doc *value, struct fleet_driver_error *err)
{
	struct fleet_driver_error unused = {.size = sizeof(unused)};
	struct state after = {.text = {0}};
	bool good;

	splices_apply(s, state->doc.text, state->doc.len, &after.text);
	if (after.text.failed) {
		text_done(&after.text);
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	}
	good = yaml_doc_parse(after.text.data ? after.text.data : "", after.text.len, &after.doc, &unused) ==
		       0 &&
	       yaml_is_as_asked(&state->doc, &after.doc, document, path, value);
	if (!good) {
		text_done(&after.text);
		yaml_doc_done(&after.doc);
		return fleet_driver_fail(
			err, -EINVAL, 0, 0, "the new file would not read back as asked: edit it by hand");
	}
	yaml_doc_done(&state->doc);
	text_done(&state->text);
	*state = after;
	return 0;
}

/* Makes one change. *ret_changed says whether anything was to be done. */
static int apply_once(struct state *state, const struct path *path, uint32_t document,
	const struct json_doc *value, bool *ret_changed, struct fleet_driver_error *err)
{
	struct splices s = {.count = 0};
	int r;

	r = value ? yaml_edit_set(&state->doc, document, path, value, &s, err)
		  : yaml_edit_unset(&state->doc, document, path, &s, err);
	if (r == 0 && s.count > 0)
		r = take_result(state, &s, path, document, value, err);
	*ret_changed = s.count > 0;
	text_done(&s.text);
	return r;
}

static int unset(
	struct state *state, const struct path *path, uint32_t document, struct fleet_driver_error *err)
{
	/* a name may stand there more than once; elements move up instead, so only the one is meant */
	int most = path->parts[path->count - 1].kind == PATH_NAME ? DUPLICATES_MAX : 1, r = 0;
	bool changed = true;

	for (int i = 0; r == 0 && changed && i < most; i++)
		r = apply_once(state, path, document, NULL, &changed, err);
	if (r == 0 && changed && most > 1)
		r = fleet_driver_fail(err, -EINVAL, 0, 0, "a name stands there %d times or more", most);
	return r;
}

static int apply(struct state *state, const struct fleet_edit *edit, struct fleet_driver_error *err)
{
	struct json_doc value = {0};
	struct text token = {0};
	struct fleet_bytes where = edit->path;
	uint32_t document;
	struct path path;
	bool changed;
	int r;

	r = take_document(&state->doc, &where, &document, err);
	if (r < 0)
		return r;
	r = path_parse(where, &path);
	if (r < 0 || path.count == 0) {
		path_done(&path);
		return fleet_driver_fail(err, r < 0 ? r : -EINVAL, 0, 0, "an edit without a proper key path");
	}
	if (edit->kind == FLEET_EDIT_SET) {
		r = json_value_parse(edit, &token, &value, err);
		if (r == 0)
			r = apply_once(state, &path, document, &value, &changed, err);
		json_doc_done(&value);
		text_done(&token);
	} else {
		r = unset(state, &path, document, err);
	}
	path_done(&path);
	return r;
}

/* A line end to YAML, and to nobody else any more: to find lines by it is not worth the care. */
static int refuse_lone_returns(const struct yaml_doc *doc, struct fleet_driver_error *err)
{
	const char *end = doc->text + doc->len, *at = doc->text;

	for (; (at = memchr(at, '\r', (size_t)(end - at))); at++) {
		if (at + 1 == end || at[1] != '\n')
			return yaml_doc_fail(doc, (size_t)(at - doc->text), err, -EINVAL,
				"a carriage return without a line feed ends this line: edit the file by "
				"hand");
	}
	return 0;
}

static int32_t yaml_edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct state state = {.text = {0}};
	int r;

	r = yaml_doc_parse(in.data, in.len, &state.doc, err);
	if (r == 0)
		r = refuse_lone_returns(&state.doc, err);
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = apply(&state, &edits[i], err);
	if (r == 0)
		r = host->emit(out, state.doc.text, state.doc.len);
	text_done(&state.text);
	yaml_doc_done(&state.doc);
	return r;
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops),
	.read = yaml_read,
	.edit = yaml_edit,
	.check = yaml_check,
};
FLEET_DRIVER_DEFINE("yaml-config", .version = "1.0", .summary = "YAML config files, edited byte for byte",
	.format = &ops);
