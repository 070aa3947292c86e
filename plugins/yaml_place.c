/* Lines, blanks and punctuation of a YAML file, and names of its members. */
#include "yaml_doc.h"

int yaml_doc_fail(
	const struct yaml_doc *doc, size_t at, struct fleet_driver_error *err, int code, const char *why)
{
	size_t start = doc->bom;
	uint32_t line = 1;

	for (size_t i = start; i < at && i < doc->len; i++) {
		if (doc->text[i] == '\n' ||
			(doc->text[i] == '\r' && (i + 1 >= doc->len || doc->text[i + 1] != '\n'))) {
			line++;
			start = i + 1;
		}
	}
	return fleet_driver_fail(err, code, line, at >= start ? (uint32_t)(at - start + 1) : 1, "%s", why);
}

uint32_t yaml_doc_skip(const struct yaml_doc *doc, uint32_t at, uint32_t limit, bool lines, bool comments)
{
	while (at < limit) {
		char c = doc->text[at];

		if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
			at++;
		} else if (comments && c == '#') {
			at = yaml_line_end(doc, at);
			if (at > limit)
				return limit;
		} else {
			break;
		}
	}
	return at;
}

uint32_t yaml_line_end(const struct yaml_doc *doc, uint32_t at)
{
	const char *lf = at < doc->len ? memchr(doc->text + at, '\n', doc->len - at) : NULL;
	uint32_t end = lf ? (uint32_t)(lf - doc->text) : doc->len;

	return lf && end > at && doc->text[end - 1] == '\r' ? end - 1 : end;
}

uint32_t yaml_line_next(const struct yaml_doc *doc, uint32_t line_end)
{
	if (line_end < doc->len && doc->text[line_end] == '\r')
		line_end++;
	return line_end < doc->len ? line_end + 1 : doc->len;
}

uint32_t yaml_line_start(const struct yaml_doc *doc, uint32_t at)
{
	while (at > doc->bom && doc->text[at - 1] != '\n')
		at--;
	return at;
}

bool yaml_is_line_start(const struct yaml_doc *doc, uint32_t at)
{
	return yaml_doc_skip(doc, yaml_line_start(doc, at), at, false, false) == at;
}

bool yaml_is_line_end(const struct yaml_doc *doc, uint32_t at)
{
	at = yaml_doc_skip(doc, at, doc->len, false, false);
	return at == yaml_line_end(doc, at);
}

uint32_t yaml_line_before(const struct yaml_doc *doc, uint32_t at)
{
	at = yaml_line_start(doc, at);
	if (at > doc->bom)
		at--;
	return at > doc->bom && doc->text[at] == '\n' && doc->text[at - 1] == '\r' ? at - 1 : at;
}

uint32_t yaml_colon_end(const struct yaml_doc *doc, uint32_t n)
{
	const struct yaml_node *node = &doc->nodes[n];
	uint32_t at = yaml_doc_skip(doc, doc->nodes[node->key].end, node->start, true, true);

	return at < node->start && doc->text[at] == ':' ? at + 1 : YAML_NONE;
}

uint32_t yaml_lead_end(const struct yaml_doc *doc, uint32_t n)
{
	const struct yaml_node *node = &doc->nodes[n];

	if (node->props > node->start)
		return node->props;
	if (node->key != YAML_NONE)
		return yaml_colon_end(doc, n);
	if (node->parent != YAML_NONE && doc->nodes[node->parent].style == YAML_STYLE_BLOCK)
		return node->begin + 1;
	return YAML_NONE;
}

uint32_t yaml_comma(const struct yaml_doc *doc, uint32_t n)
{
	uint32_t at = yaml_doc_skip(doc, doc->nodes[n].end, doc->len, true, true);

	return at < doc->len && doc->text[at] == ',' ? at : YAML_NONE;
}

bool yaml_is_in_flow(const struct yaml_doc *doc, uint32_t n)
{
	uint32_t up = doc->nodes[n].parent;

	return up != YAML_NONE && doc->nodes[up].style == YAML_STYLE_FLOW;
}

/* The last byte that the node spells out: an empty value at its end lies where the next thing begins, behind
 * blank lines and comments that are not its own. */
static uint32_t spelled_end(const struct yaml_doc *doc, uint32_t n)
{
	uint32_t end = doc->nodes[n].start;

	for (uint32_t i = n; i < doc->nodes[n].after; i++) {
		const struct yaml_node *node = &doc->nodes[i];
		bool spelled = node->start < node->end &&
			       (node->style == YAML_STYLE_FLOW || node->kind == YAML_KIND_SCALAR ||
				       node->kind == YAML_KIND_ALIAS);

		if (spelled && node->end > end)
			end = node->end;
	}
	return end;
}

bool yaml_member_name(const struct yaml_doc *doc, uint32_t n, const char **ret, size_t *ret_len)
{
	const struct yaml_node *key = &doc->nodes[doc->nodes[n].key];

	if (key->kind == YAML_KIND_SCALAR) {
		*ret = yaml_string(doc, key->value);
		*ret_len = key->value.len;
		return true;
	}
	*ret = doc->text + key->start; /* as it is spelled: it has no other name */
	*ret_len = spelled_end(doc, doc->nodes[n].key) - key->start;
	return false;
}
