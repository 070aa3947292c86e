#include <stdatomic.h>
#include <sys/stat.h>
#include "fleet/buffer.h"
#include "fleet/clock.h"
#include "fleet/log.h"
#include "fleet/text.h"

#define LINE_MAX_BYTES                                                                                       \
	4000 /* of the event's text: with what goes around it a pipe takes the line in one piece */

static const struct {
	const char *name;
	int priority; /* syslog's, as journald wants it */
} levels[] = {
	[FLEET_LOG_ERROR] = {"error", 3},
	[FLEET_LOG_WARN] = {"warn", 4},
	[FLEET_LOG_INFO] = {"info", 6},
	[FLEET_LOG_DEBUG] = {"debug", 7},
};

static const char *log_program = "fleet";
static _Atomic int log_level = FLEET_LOG_INFO;
static enum fleet_log_format log_format = FLEET_LOG_FORMAT_TEXT;
static bool log_to_journal;

/* JOURNAL_STREAM names device and inode of the journal's socket: it counts only while stderr still is that
 * socket, else a redirected log would be full of <6>. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char mine[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(mine, sizeof(mine), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return str_equal(stream, mine);
}

void fleet_log_init(const char *program, enum fleet_log_level level, enum fleet_log_format format)
{
	log_program = program;
	log_format = format;
	log_to_journal = stderr_is_journal();
	fleet_log_set_level(level);
}

void fleet_log_set_level(enum fleet_log_level level)
{
	atomic_store(&log_level, (int)level);
}

int fleet_log_level_from_string(const char *text, enum fleet_log_level *ret_level)
{
	for (size_t i = 0; i < FLEET_ARRAY_LEN(levels); i++) {
		if (str_equal(text, levels[i].name)) {
			*ret_level = (enum fleet_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* One character that would not stand in a line as it is. */
static void add_escaped(struct fleet_buffer *line, unsigned char c, bool json)
{
	if (c == '\n')
		fleet_buffer_add_string(line, "\\n");
	else if (c == '\t')
		fleet_buffer_add_string(line, "\\t");
	else if (c == '\r')
		fleet_buffer_add_string(line, "\\r");
	else
		fleet_buffer_printf(line, json ? "\\u%04x" : "\\x%02x", c);
}

static void add_text(struct fleet_buffer *line, const char *text, size_t len, bool json)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		const unsigned char *s = (const unsigned char *)text + i;

		n = fleet_text_utf8_sequence(text + i, len - i);
		if (n == 0) {
			n = 1;
			if (json)
				fleet_buffer_add_string(line, "\\ufffd");
			else
				add_escaped(line, s[0], false);
		} else if (n == 1 && (s[0] < 0x20 || s[0] == 0x7F)) {
			add_escaped(line, s[0], json);
		} else if (n == 2 && s[0] == 0xC2 && s[1] < 0xA0) {
			add_escaped(line, s[1], json); /* C1: a terminal may obey it */
		} else {
			if (json && (s[0] == '"' || s[0] == '\\'))
				fleet_buffer_add_string(line, "\\");
			fleet_buffer_add(line, text + i, n);
		}
	}
}

static void write_line(const struct fleet_buffer *line)
{
	size_t done = 0;

	while (done < line->len) {
		ssize_t n = write(STDERR_FILENO, line->data + done, line->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody is left to be told */
		done += (size_t)n;
	}
}

void fleet_log_write(enum fleet_log_level level, const char *fmt, ...)
{
	int saved = errno;
	_cleanup_buffer_ struct fleet_buffer line = FLEET_BUFFER_INIT;
	_cleanup_free_ char *text = NULL;
	bool json = log_format == FLEET_LOG_FORMAT_JSON;
	size_t len;
	va_list ap;

	if ((int)level > atomic_load(&log_level))
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	len = strlen(text);
	if (len > LINE_MAX_BYTES)
		len = LINE_MAX_BYTES;
	if (log_to_journal)
		fleet_buffer_printf(&line, "<%d>", levels[level].priority);
	if (json)
		fleet_buffer_printf(&line,
			"{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%ld,\"message\":\"",
			fleet_timestamp_now().text, levels[level].name, log_program, (long)getpid());
	else if (!log_to_journal)
		fleet_buffer_printf(
			&line, "%s %s %s: ", fleet_timestamp_now().text, log_program, levels[level].name);
	add_text(&line, text, len, json);
	if (strlen(text) > len)
		fleet_buffer_add_string(&line, "...");
	fleet_buffer_add_string(&line, json ? "\"}\n" : "\n");
	write_line(&line);
	errno = saved;
}
