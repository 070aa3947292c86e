#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-messages.h>
#include <unistd.h>
#include "systemd_journal.h"

#define LINE_BYTES_MAX 4096
#define ENTRIES_OF_END 64 /* that are looked at for how a unit failed, the newest first */

/* Has journald write down what it was sent so far: the last words of a service that has just died may still
 * be on their way. Best effort, for at most half a second. */
static void synchronize(void)
{
	static const char request[] = "{\"method\":\"io.systemd.Journal.Synchronize\"}"; /* its NUL ends it */
	struct sockaddr_un address = {
		.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/io.systemd.journal"};
	struct timeval patience = {.tv_usec = 500000};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char reply[512];

	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		send(fd, request, sizeof(request), MSG_NOSIGNAL) == (ssize_t)sizeof(request))
		(void)!recv(fd, reply, sizeof(reply), 0); /* that it comes is all that counts */
	(void)close(fd);
}

static int add_match(sd_journal *j, const char *field, const char *value)
{
	char match[320];
	int n = snprintf(match, sizeof(match), "%s=%s", field, value);

	return n > 0 && (size_t)n < sizeof(match) ? sd_journal_add_match(j, match, (size_t)n) : -EINVAL;
}

/* What the unit said, and what systemd and others of root's say about it: as `journalctl -u`. */
static int add_matches(sd_journal *j, const char *unit)
{
	static const struct {
		const char *field, *value; /* beside the unit's own; NULL: none */
		const char *unit_field;
	} groups[] = {{NULL, NULL, "_SYSTEMD_UNIT"}, {"_PID", "1", "UNIT"},
		{"_UID", "0", "OBJECT_SYSTEMD_UNIT"}, {"_UID", "0", "COREDUMP_UNIT"}};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (i > 0)
			r = sd_journal_add_disjunction(j);
		if (r >= 0 && groups[i].field)
			r = add_match(j, groups[i].field, groups[i].value);
		if (r >= 0)
			r = add_match(j, groups[i].unit_field, unit);
	}
	return r;
}

static int emit_entry(
	sd_journal *j, const struct fleet_host *host, int64_t since_unix_ms, struct fleet_sink *out)
{
	static const char field[] = "MESSAGE=";
	char line[LINE_BYTES_MAX];
	const void *data;
	int32_t priority = -1;
	size_t len, head = sizeof(field) - 1;
	uint64_t at = 0;

	if (sd_journal_get_realtime_usec(j, &at) < 0 || (int64_t)(at / 1000) < since_unix_ms)
		return 0;
	if (sd_journal_get_data(j, "PRIORITY", &data, &len) >= 0 && len == 10) {
		char digit = ((const char *)data)[9];

		if (digit >= '0' && digit <= '7')
			priority = digit - '0';
	}
	if (sd_journal_get_data(j, "MESSAGE", &data, &len) < 0 || len < head)
		return 0; /* an entry without text */
	len -= head;
	len = len < sizeof(line) ? len : sizeof(line);
	memcpy(line, (const char *)data + head, len);
	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\n')
			line[i] = ' '; /* one entry is one line */
	}
	return host->emit_line(out, (int64_t)(at / 1000), priority, (struct fleet_bytes){line, len});
}

int systemd_journal_tell(const struct fleet_host *host, const char *unit, uint32_t lines,
	int64_t since_unix_ms, struct fleet_sink *out, struct fleet_driver_error *err)
{
	sd_journal *j = NULL;
	int r, told = 0;

	if (lines == 0)
		return 0;
	synchronize();
	r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);
	if (r >= 0)
		r = add_matches(j, unit);
	if (r >= 0)
		r = sd_journal_set_data_threshold(j, LINE_BYTES_MAX + 16);
	if (r >= 0)
		r = sd_journal_seek_tail(j);
	if (r >= 0)
		r = sd_journal_previous_skip(j, lines);
	while (r > 0 && told == 0) {
		told = emit_entry(j, host, since_unix_ms, out);
		if (told == 0)
			r = sd_journal_next(j);
	}
	if (j)
		sd_journal_close(j);
	if (r < 0)
		return fleet_driver_fail(
			err, r, 0, 0, "cannot read the journal of %.100s: %s", unit, strerror(-r));
	return told;
}

/* A field of the entry as text; "" where there is none. */
static const char *field_text(sd_journal *j, const char *field, char *out, size_t size)
{
	const char *data;
	size_t len, head = strlen(field) + 1;

	*out = '\0';
	if (sd_journal_get_data(j, field, (const void **)&data, &len) >= 0 && len > head)
		(void)snprintf(out, size, "%.*s", (int)(len - head), data + head);
	return out;
}

/* PID 1 alone can write such entries: the journal itself says who sent one. */
static int match_ends(sd_journal *j, const char *unit)
{
	static const char *const ids[] = {SD_MESSAGE_UNIT_FAILURE_RESULT_STR,
		SD_MESSAGE_UNIT_PROCESS_EXIT_STR, SD_MESSAGE_UNIT_OUT_OF_MEMORY_STR};
	int r = add_match(j, "_PID", "1");

	if (r >= 0)
		r = add_match(j, "UNIT", unit);
	for (size_t i = 0; r >= 0 && i < sizeof(ids) / sizeof(ids[0]); i++)
		r = add_match(j, "MESSAGE_ID", ids[i]); /* one or the other */
	return r;
}

static void take_exit(sd_journal *j, struct systemd_unit *ret)
{
	char code[16], status[16], command[32];
	int32_t how, what;

	(void)field_text(j, "EXIT_CODE", code, sizeof(code));
	(void)field_text(j, "COMMAND", command, sizeof(command));
	how = strcmp(code, "exited") == 0   ? CLD_EXITED
	      : strcmp(code, "killed") == 0 ? CLD_KILLED
	      : strcmp(code, "dumped") == 0 ? CLD_DUMPED
					    : 0;
	what = (int32_t)strtol(field_text(j, "EXIT_STATUS", status, sizeof(status)), NULL, 10);
	if (!*command || strcmp(command, "ExecStart") == 0) {
		ret->main_code = how;
		ret->main_status = what;
	} else {
		(void)snprintf(ret->helper, sizeof(ret->helper), "%s", command);
		ret->helper_code = how;
		ret->helper_status = what;
	}
}

/* From the newest entry back, to the beginning of the run that failed last. */
static int take_end(sd_journal *j, int64_t since_unix_ms, struct systemd_unit *ret)
{
	bool lacked_memory = false;
	int r = sd_journal_seek_tail(j);

	for (int n = 0; r >= 0 && n < ENTRIES_OF_END && (r = sd_journal_previous(j)) > 0; n++) {
		char id[40];
		uint64_t at = 0;

		if (sd_journal_get_realtime_usec(j, &at) < 0 || (int64_t)(at / 1000) < since_unix_ms)
			break;
		(void)field_text(j, "MESSAGE_ID", id, sizeof(id));
		if (strcmp(id, SD_MESSAGE_UNIT_FAILURE_RESULT_STR) == 0) {
			if (*ret->result)
				break; /* of the run before */
			(void)field_text(j, "UNIT_RESULT", ret->result, sizeof(ret->result));
		} else if (*ret->result && strcmp(id, SD_MESSAGE_UNIT_PROCESS_EXIT_STR) == 0) {
			take_exit(j, ret);
		} else if (*ret->result) {
			lacked_memory = true;
		}
	}
	if (lacked_memory) /* where OOMPolicy lets the unit go on, its result is the signal's */
		(void)snprintf(ret->result, sizeof(ret->result), "oom-kill");
	return r;
}

int systemd_journal_last_end(
	const char *unit, int64_t since_unix_ms, struct systemd_unit *ret, struct fleet_driver_error *err)
{
	sd_journal *j = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	synchronize();
	r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
	if (r >= 0)
		r = match_ends(j, unit);
	if (r >= 0)
		r = take_end(j, since_unix_ms, ret);
	if (j)
		sd_journal_close(j);
	if (r < 0)
		return fleet_driver_fail(
			err, r, 0, 0, "cannot read the journal of %.100s: %s", unit, strerror(-r));
	if (!*ret->result)
		return fleet_driver_fail(err, -ENOENT, 0, 0, "%.100s has not failed since then", unit);
	return 0;
}
