/* Names and links of archives: a line is a name, the next one where a link of that name leads. What is taken
 * stays below the tree. */
#include "agent/host/extract_path.h"
#include "fleet/limits.h"
#include "fuzz.h"

/* Where a link at path leads, in directories below the tree: the lowest that its way comes to. */
static long lowest(const char *path, const char *target)
{
	long depth = (long)extract_path_depth(path), least = depth;

	for (const char *part = target; *part;) {
		size_t n = strcspn(part, "/");

		if (n == 2 && strncmp(part, "..", 2) == 0)
			depth--;
		else if (n > 0 && !(n == 1 && part[0] == '.'))
			depth++;
		least = depth < least ? depth : least;
		part += n + (part[n] == '/');
	}
	return least;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_text rest = {(const char *)data, size}, line = {"", 0}, second = {"", 0};
	_cleanup_free_ char *name = NULL, *target = NULL, *clean = NULL, *twice = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	unsigned slack = 0;
	int r;

	(void)fuzz_next_line(&rest, &line);
	(void)fuzz_next_line(&rest, &second);
	name = xstrndup(line.data, line.len);
	target = xstrndup(second.data, second.len);
	r = extract_path_clean(name, &clean, &err);
	if (r < 0) {
		FUZZ_CHECK(r == -EINVAL && *err.message, "%d: %s", r, err.message);
		return 0;
	}
	FUZZ_CHECK(clean[0] != '/' && !strstr(clean, "//") && (!*clean || clean[strlen(clean) - 1] != '/'),
		"'%s'", clean);
	FUZZ_CHECK(extract_path_depth(clean) < FLEET_ARCHIVE_DEPTH_MAX, "'%s' is too deep", clean);
	if (*clean) {
		for (const char *part = clean; *part;) {
			size_t n = strcspn(part, "/");

			FUZZ_CHECK(n > 0 && n <= 255 && !(n <= 2 && strspn(part, ".") == n),
				"'%s' has a part '%.*s'", clean, (int)n, part);
			part += n + (part[n] == '/');
		}
		FUZZ_CHECK(extract_path_clean(clean, &twice, &err) == 0 && str_equal(clean, twice),
			"'%s' is not clean", clean);
	}
	if (extract_path_check_link(clean, target, &slack, &err) == 0) {
		FUZZ_CHECK(lowest(clean, target) >= 0, "'%s' to '%s' leads out", clean, target);
		FUZZ_CHECK(slack <= extract_path_depth(clean), "more room than there is");
	}
	return 0;
}
