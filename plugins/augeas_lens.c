#include "augeas_lens.h"
#include <augeas.h>
#include <errno.h>
#include <stdio.h>
#include "utf8.h"

#define NAME_MAX_BYTES 100
#define DEPTH_MAX      200

#define IN   "/fleet/in"
#define TREE "/fleet/tree"
#define OUT  "/fleet/out"

static augeas *handle;
static char lens[NAME_MAX_BYTES + 8];

size_t aug_lens_reserved(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && (unsigned char)text[at] > 4)
		at++;
	return at;
}

const char *aug_lens_name(void)
{
	return lens;
}

/* Module.lens, or Module alone for Module.lns. The module's name becomes part of a path. */
static bool take_name(const char *said)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
	size_t module = strspn(said, letters), rest;

	if (module == 0 || *said < 'A' || *said > 'Z' || strlen(said) > NAME_MAX_BYTES)
		return false;
	rest = said[module] == '.' ? strspn(said + module + 1, letters) : 0;
	if (said[module] && (rest == 0 || said[module + 1 + rest]))
		return false;
	(void)snprintf(lens, sizeof(lens), "%s%s", said, said[module] ? "" : ".lns");
	return true;
}

static void forget(void)
{
	(void)aug_rm(handle, "/fleet"); /* no memory is needed to take something away */
	(void)aug_rm(handle, "/augeas/text");
	(void)aug_rm(handle, "/augeas/error");
}

static int not_loaded(struct fleet_driver_error *err, const char *path)
{
	const char *details = aug_error(handle) == AUG_ENOLENS ? NULL : aug_error_details(handle);
	char where[120] = "";

	if (details)
		(void)snprintf(where, sizeof(where), ": %.*s", (int)strcspn(details, "\n"), details);
	if (aug_error(handle) == AUG_ENOMEM)
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	return fleet_driver_fail(err, -EINVAL, 0, 0,
		"the option lens names %s, which cannot be loaded from %s%s", lens,
		path ? path : "the lenses of this server", where);
}

int aug_lens_open(const struct fleet_host *host, struct fleet_driver_error *err)
{
	const char *said = fleet_driver_option(host, "lens", NULL);
	const char *path = fleet_driver_option(host, "load_path", NULL);

	if (!said)
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"the option lens is missing: it names the file's format, as in config_options: "
			"{lens: Hosts.lns}");
	if (!take_name(said))
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"the option lens is the name of an Augeas lens, such as Hosts.lns, not '%.*s'",
			(int)utf8_cut(said, strlen(said), 40), said);
	if (path && *path != '/')
		return fleet_driver_fail(err, -EINVAL, 0, 0,
			"the option load_path is a list of absolute directories with : between, not '%.*s'",
			(int)utf8_cut(path, strlen(path), 80), path);
	if (handle)
		aug_close(handle);
	/* No module but the lens's own and what it is made of: all of them take seconds. */
	handle = aug_init("/", path, AUG_NO_LOAD | AUG_NO_MODL_AUTOLOAD | AUG_ENABLE_SPAN | AUG_NO_ERR_CLOSE);
	if (!handle || aug_error(handle) != AUG_NOERROR)
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "libaugeas cannot begin: %s",
			handle ? aug_error_message(handle) : "out of memory");
	/* Whether the lens takes an empty text or not, it is there then. */
	if (aug_set(handle, IN, "") < 0 ||
		(aug_text_store(handle, lens, IN, TREE) < 0 && aug_error(handle) != AUG_NOERROR))
		return not_loaded(err, path);
	forget();
	return 0;
}

static int begin(const char *text, size_t len)
{
	char *copy = strndup(text, len);
	int r = copy ? aug_set(handle, IN, copy) : -1;

	free(copy);
	return r < 0 ? -ENOMEM : 0;
}

static size_t fault_place(size_t len)
{
	const char *pos = NULL;
	unsigned long at = 0;

	if (aug_get(handle, "/augeas/text" TREE "/error/pos", &pos) == 1 && pos)
		at = strtoul(pos, NULL, 10);
	return at < len ? at : len;
}

static int take_tree(const char *text, size_t len, struct aug_node **ret)
{
	xmlNode *xml = NULL;
	const xmlNode *top;
	int r;

	if (aug_to_xml(handle, TREE, &xml, 0) < 0)
		return -ENOMEM;
	top = xml->children;
	while (top && top->type != XML_ELEMENT_NODE)
		top = top->next;
	*ret = top ? aug_tree_from_xml(top, text, len) : NULL;
	r = *ret ? 0 : -ENOMEM;
	xmlFreeNode(xml);
	return r;
}

static int get(const char *text, size_t len, struct aug_node **ret, size_t *ret_at)
{
	int r = begin(text, len);

	if (r == 0 && aug_text_store(handle, lens, IN, TREE) < 0) {
		r = aug_error(handle) == AUG_NOERROR ? -EINVAL : -ENOMEM;
		*ret_at = fault_place(len);
	}
	if (r == 0)
		r = take_tree(text, len, ret);
	forget();
	return r;
}

/* Lenses of nested formats take an empty line, but not nothing. */
static int get_nothing(struct aug_node **ret)
{
	struct aug_node *tree = NULL;
	size_t at;
	int r = get("\n", 1, &tree, &at);

	if (r == 0 && aug_node_is_compound(tree))
		r = -EINVAL;
	while (r == 0 && tree->first) {
		struct aug_node *blank = tree->first;

		aug_node_unlink(blank);
		aug_node_free(blank);
	}
	if (r < 0) {
		aug_node_free(tree);
		return r;
	}
	tree->end = 0;
	*ret = tree;
	return 0;
}

int aug_lens_get(const char *text, size_t len, struct aug_node **ret, size_t *ret_at)
{
	int r = get(text, len, ret, ret_at);

	return r == -EINVAL && len == 0 ? get_nothing(ret) : r;
}

/* Always a new last child, of what was made last at the depth above. */
static int build_node(const struct aug_node *node, size_t depth)
{
	struct text path = {0};
	int r;

	text_add_string(&path, TREE);
	while (depth-- > 0)
		text_add_string(&path, "/*[last()]");
	text_add_string(&path, "/");
	for (const char *c = node->label; *c; c++) {
		if (strchr("][|/=()!,*.:\\ \t\n\"'$@#-+", *c))
			text_add_string(&path, "\\");
		text_add(&path, c, 1);
	}
	text_add(&path, "[last()+1]", sizeof("[last()+1]"));
	r = path.failed ? -ENOMEM : aug_set(handle, path.data, node->value);
	text_done(&path);
	return r < 0 ? (aug_error(handle) == AUG_ENOMEM ? -ENOMEM : -EINVAL) : 0;
}

static int build(const struct aug_node *first, const struct aug_node *last)
{
	const struct aug_node *node = first;
	size_t depth = 0;
	int r = aug_set(handle, TREE, NULL) < 0 ? -ENOMEM : 0;

	while (node && r == 0) {
		r = depth < DEPTH_MAX ? build_node(node, depth) : -EINVAL;
		if (node->first) {
			node = node->first;
			depth++;
			continue;
		}
		while (depth > 0 && !node->next) {
			node = node->parent;
			depth--;
		}
		node = depth == 0 && node == last ? NULL : node->next;
	}
	return r;
}

static int put(const char *text, size_t len, const struct aug_node *first, const struct aug_node *last,
	struct text *out)
{
	const char *made = NULL;
	int r = begin(text, len);

	if (r == 0)
		r = build(first, last);
	if (r == 0 && aug_text_retrieve(handle, lens, IN, TREE, OUT) < 0)
		r = aug_error(handle) == AUG_ENOMEM ? -ENOMEM : -EINVAL;
	if (r == 0 && (aug_get(handle, OUT, &made) != 1 || !made))
		r = -EINVAL;
	if (r == 0) {
		text_add_string(out, made);
		r = out->failed ? -ENOMEM : 0;
	}
	forget();
	return r;
}

int aug_lens_put(const char *text, size_t len, const struct aug_node *first, const struct aug_node *last,
	struct text *out)
{
	int r = put(text, len, first, last, out);

	return r == -EINVAL && len == 0 ? put("\n", 1, first, last, out) : r;
}
