/* main() of a fuzz target without libFuzzer: every file of the target's corpus is one test. Files and folders
 * that are named on the command line are replayed instead. */
#include <dirent.h>
#include <sys/stat.h>
#include "fleet/buffer.h"
#include "fuzz.h"

#define INPUT_MAX (4u * 1024 * 1024)

static unsigned count, failed;

static bool load(const char *path, struct fleet_buffer *ret)
{
	char chunk[65536];
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return false;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0 && ret->len < INPUT_MAX)
		fleet_buffer_add(ret, chunk, n);
	n = (size_t)ferror(f);
	(void)fclose(f);
	return n == 0;
}

static void replay_file(const char *path, const char *shown)
{
	struct fleet_buffer input = FLEET_BUFFER_INIT;
	uint8_t *exact;
	bool good = load(path, &input);

	printf("# %s\n", shown); /* should it crash, this says which */
	(void)fflush(stdout);
	if (good) {
		exact = xmalloc(input.len ? input.len : 1); /* no byte more, for AddressSanitizer to see */
		if (input.len > 0)
			memcpy(exact, input.data, input.len);
		good = LLVMFuzzerTestOneInput(exact, input.len) == 0;
		free(exact);
	}
	fleet_buffer_done(&input);
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", ++count, shown);
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, not_hidden, alphasort);

	if (n < 0) {
		replay_file(path, path);
		return;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = xasprintf("%s/%s", path, entries[i]->d_name);

		replay_file(file, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	const char *target = strstr(program_invocation_short_name, "fuzz_");

	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc < 2 && target) {
		_cleanup_free_ char *corpus = xasprintf("%s/%s", FUZZ_CORPUS, target + strlen("fuzz_"));

		replay(corpus);
	}
	if (count == 0) {
		printf("Bail out! no inputs for %s\n", program_invocation_short_name);
		return 1;
	}
	printf("1..%u\n", count);
	return failed > 0;
}
