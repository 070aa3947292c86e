/* console.yaml, and an address to listen on: its first line. */
#include "console/config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_text rest = {size > 0 ? (const char *)data : "", size}, line = {"", 0};
	struct console_config config = {.dev = false};
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *address = NULL;
	int r = console_config_read(&config, rest.data, rest.len, "c.yaml", &err);

	FUZZ_CHECK(r == 0 || str_starts(err.message, "c.yaml:"), "%d without a place: %s", r, err.message);
	console_config_done(&config);
	config = (struct console_config){.dev = true};
	(void)fuzz_next_line(&rest, &line);
	address = xstrndup(line.data, line.len);
	r = console_config_set_listen(&config, address, &err);
	FUZZ_CHECK(r == 0 || (r == -EINVAL && *err.message), "%d: %s", r, err.message);
	console_config_done(&config);
	return 0;
}
