#include "agent/host/extract_path.h"
#include <limits.h>
#include "fleet/limits.h"

#define PART_MAX 255

/* Cut short and without anything that is no text, for a message. */
static const char *shown(const char *name, char *out, size_t len)
{
	size_t n = strlen(name);

	if (n >= len)
		n = len - 1;
	memcpy(out, name, n);
	out[n] = '\0';
	fleet_text_sanitize(out);
	return out;
}

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

int extract_path_clean(const char *name, char **ret, struct fleet_error *err)
{
	_cleanup_free_ char *clean = NULL;
	size_t len = strlen(name), used = 0;
	unsigned parts = 0;
	char text[128];

	if (len == 0 || len > FLEET_PATH_LEN_MAX)
		return fleet_error_set(err, -EINVAL, "the archive holds a name of %zu bytes", len);
	if (name[0] == '/')
		return fleet_error_set(err, -EINVAL, "the archive holds the absolute name '%s'",
			shown(name, text, sizeof(text)));
	if (has_control(name))
		return fleet_error_set(err, -EINVAL,
			"the archive holds a name with a control character: '%s'",
			shown(name, text, sizeof(text)));
	clean = xmalloc(len + 1);
	for (const char *part = name; *part;) {
		size_t n = strcspn(part, "/");

		if (n == 2 && strncmp(part, "..", 2) == 0)
			return fleet_error_set(err, -EINVAL,
				"the archive holds the name '%s', which leads out of it",
				shown(name, text, sizeof(text)));
		if (n > PART_MAX)
			return fleet_error_set(
				err, -EINVAL, "the archive holds a name with a part of %zu bytes", n);
		if (n > 0 && !(n == 1 && part[0] == '.')) {
			if (used > 0)
				clean[used++] = '/';
			memcpy(clean + used, part, n);
			used += n;
			parts++;
		}
		part += n + (part[n] == '/');
	}
	clean[used] = '\0';
	if (parts > FLEET_ARCHIVE_DEPTH_MAX)
		return fleet_error_set(err, -EINVAL, "the archive holds directories more than %d deep",
			FLEET_ARCHIVE_DEPTH_MAX);
	*ret = TAKE_PTR(clean);
	return 0;
}

unsigned extract_path_depth(const char *path)
{
	unsigned depth = 0;

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

int extract_path_check_link(
	const char *path, const char *target, unsigned *ret_slack, struct fleet_error *err)
{
	unsigned depth = extract_path_depth(path), up = 0;
	bool named = false;
	char link[128], to[128];

	if (!*target || target[0] == '/' || has_control(target) || strlen(target) > FLEET_PATH_LEN_MAX)
		return fleet_error_set(err, -EINVAL, "the archive holds a link out of itself: '%s' to '%s'",
			shown(path, link, sizeof(link)), shown(target, to, sizeof(to)));
	for (const char *part = target; *part;) {
		size_t n = strcspn(part, "/");

		if (n == 2 && strncmp(part, "..", 2) == 0) {
			up++;
			if (named || up > depth)
				return fleet_error_set(err, -EINVAL,
					"the archive holds a link out of itself: '%s' to '%s'",
					shown(path, link, sizeof(link)), shown(target, to, sizeof(to)));
		} else if (n > 0 && !(n == 1 && part[0] == '.')) {
			named = true;
		}
		part += n + (part[n] == '/');
	}
	*ret_slack = depth - up;
	return 0;
}
