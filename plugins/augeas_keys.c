#include "augeas_keys.h"
#include "lines.h"

#define SETTINGS_MAX   20000
#define PATH_MAX_BYTES 1024

struct aug_node *aug_keys_alone(const struct aug_node *parent)
{
	struct aug_node *only = NULL;

	if (parent->value)
		return NULL;
	for (struct aug_node *n = parent->first; n; n = n->next) {
		if (aug_node_is_hidden(n))
			continue;
		if (only || !n->element || aug_node_is_compound(n))
			return NULL;
		only = n;
	}
	return only;
}

/* Adds node's own part to its parent's path. */
static void add_part(const struct aug_node *node, bool compound, struct text *path)
{
	if (node->element) {
		if (!aug_keys_alone(node->parent))
			path_add_index(path, node->nth);
		return;
	}
	path_add_name(path, node->label, strlen(node->label));
	if (node->count > 1 || compound)
		path_add_index(path, node->nth);
}

/* One walk: the path of what it is at, and where the paths above end. */
struct walk {
	struct text path;
	size_t ends[PATH_PARTS_MAX]; /* by depth */
	size_t told;
};

static int tell_one(const struct fleet_host *host, struct walk *w, const struct aug_node *node, bool compound,
	struct fleet_sink *settings)
{
	size_t len = w->path.len;
	int r = 0;

	if ((compound && !node->value) || aug_node_is_untold(node))
		return 0;
	if (compound)
		path_add_name(&w->path, AUG_OWN_VALUE, sizeof(AUG_OWN_VALUE) - 1);
	if (w->path.failed)
		return -ENOMEM;
	if (w->path.len > PATH_MAX_BYTES || ++w->told > SETTINGS_MAX)
		return -E2BIG;
	if (settings)
		r = host->emit_setting(settings,
			(struct fleet_bytes){w->path.data ? w->path.data : "", w->path.len},
			(struct fleet_bytes){
				node->value ? node->value : "", node->value ? strlen(node->value) : 0},
			FLEET_TYPE_STRING);
	w->path.len = len;
	return r;
}

/* The path of node, whose parent's is in w. */
static int enter(struct walk *w, const struct aug_node *node, bool compound)
{
	size_t depth = 0;

	for (const struct aug_node *up = node->parent; up->parent; up = up->parent)
		depth++;
	if (depth + 1 >= PATH_PARTS_MAX / 2) /* a node has up to two parts */
		return -E2BIG;
	w->path.len = w->ends[depth];
	add_part(node, compound, &w->path);
	w->ends[depth + 1] = w->path.len;
	return w->path.failed ? -ENOMEM : 0;
}

int aug_keys_tell(const struct fleet_host *host, struct aug_node *root, const char *text, size_t len,
	struct fleet_sink *settings, struct fleet_driver_error *err)
{
	struct walk w = {.told = 0};
	struct aug_node *node = root, *at = root;
	int r = aug_tree_index(root) ? 0 : -ENOMEM;

	while (r == 0 && (node = aug_node_next(root, node))) {
		bool compound;

		at = node;
		if (aug_node_is_hidden(node)) {
			while (node->last) /* nothing below a comment is told */
				node = node->last;
			continue;
		}
		compound = aug_node_is_compound(node);
		if (compound && !aug_tree_index(node))
			r = -ENOMEM;
		if (r == 0)
			r = enter(&w, node, compound);
		if (r == 0)
			r = tell_one(host, &w, node, compound, settings);
	}
	text_done(&w.path);
	if (r == -ENOMEM)
		return fleet_driver_fail(err, r, 0, 0, "out of memory");
	if (r < 0)
		return lines_fail(text, len, at->start == AUG_NOWHERE ? 0 : at->start, err,
			r == -E2BIG ? -EINVAL : r,
			"the settings cannot be told from here on: they are too many or nested too deeply");
	return 0;
}
