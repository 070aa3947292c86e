/* The driver host's ledger, after whatever a disk may have done to it. Each line of the input becomes a
 * record with its checksum; one that begins with '!' stands in the file as it is. What one opening makes of
 * the file, the next one finds again. */
#include <fcntl.h>
#include "agent/host/ledger.h"
#include "agent/host/ledger_record.h"
#include "fleet/ids.h"
#include "fuzz.h"

typedef int reader(const struct ledger *l, const struct ledger_entry *e, struct json_object **ret,
	struct fleet_error *err);

static void add_entries(struct ledger *l, struct fleet_buffer *out)
{
	static reader *const readers[] = {
		ledger_payload, ledger_outcome, ledger_last_step, ledger_write_step};

	fleet_buffer_printf(out, "%zu open, %zu unsent\n", ledger_open_commands(l), ledger_unsent_events(l));
	for (size_t i = 0; i < ledger_count(l); i++) {
		const struct ledger_entry *e = ledger_at(l, i);

		FUZZ_CHECK(
			fleet_uuid_is_valid(e->id) && ledger_find(l, e->id) == e, "'%s' is not found", e->id);
		fleet_buffer_printf(out, "%s %d%d%d %u", e->id, (int)e->state, e->is_event, e->stored,
			e->state == LEDGER_ENDED ? 0 : e->recoveries);
		for (size_t n = 0; n < FLEET_ARRAY_LEN(readers); n++) {
			_cleanup_json_ struct json_object *record = NULL;

			/* what is not there, or not any more, has no words */
			if (readers[n](l, e, &record, NULL) == 0)
				fleet_buffer_printf(out, " %s", fleet_json_text(record, NULL));
			else
				fleet_buffer_add_string(out, " -");
		}
		fleet_buffer_add_string(out, "\n");
	}
}

static void make_file(const char *path, const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct fleet_buffer file = FLEET_BUFFER_INIT;
	struct fuzz_text rest = {(const char *)data, size}, line;
	int fd;

	while (fuzz_next_line(&rest, &line)) {
		bool last = rest.len == 0 && size > 0 && data[size - 1] != '\n';

		if (line.len > 0 && line.data[0] == '!') {
			fleet_buffer_add(&file, line.data + 1, line.len - 1);
		} else {
			fleet_buffer_printf(&file, "%08x ", ledger_crc32(line.data, line.len));
			fleet_buffer_add(&file, line.data, line.len);
		}
		if (!last)
			fleet_buffer_add_string(&file, "\n");
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && write(fd, file.data ? file.data : "", file.len) == (ssize_t)file.len,
		"cannot write %s", path);
	(void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dir[32] = "/dev/shm/fleet-fuzz-XXXXXX", path[sizeof(dir) + 8];
	_cleanup_(ledger_closep) struct ledger *first = NULL, *second = NULL;
	_cleanup_buffer_ struct fleet_buffer seen = FLEET_BUFFER_INIT, again = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	int64_t floor_ms;
	int r;

	if (!mkdtemp(dir)) { /* in memory where there is such a place: every input syncs */
		(void)snprintf(dir, sizeof(dir), "/tmp/fleet-fuzz-XXXXXX");
		FUZZ_CHECK(mkdtemp(dir), "no directory");
	}
	(void)snprintf(path, sizeof(path), "%s/l", dir);
	make_file(path, data, size);
	r = ledger_open(path, &first, &err);
	if (r == 0) {
		add_entries(first, &seen);
		floor_ms = ledger_floor_ms(first);
		ledger_close(TAKE_PTR(first));
		r = ledger_open(path, &second, &err);
		FUZZ_CHECK(r == 0, "it was opened once: %s", err.message);
		add_entries(second, &again);
		FUZZ_CHECK(ledger_floor_ms(second) == floor_ms, "another floor");
		FUZZ_CHECK(seen.len == again.len && memcmp(seen.data, again.data, seen.len) == 0,
			"first\n%s\nthen\n%s", seen.data, again.data);
	}
	(void)unlink(path);
	(void)rmdir(dir);
	return 0;
}
