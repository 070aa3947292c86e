#include <fcntl.h>
#include <sys/stat.h>
#include "fleet/json.h"
#include "fleet/log.h"
#include "unit.h"

/* stderr goes into a file while a test logs. */
struct capture {
	int file, saved;
	char text[16384];
};

static void capture_begin(struct capture *c)
{
	char name[] = "/tmp/fleet-test-log.XXXXXX";

	fflush(stderr);
	c->file = mkostemp(name, O_CLOEXEC);
	CU_ASSERT_FATAL(c->file >= 0);
	CU_ASSERT_EQUAL(unlink(name), 0);
	c->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	CU_ASSERT_FATAL(dup2(c->file, STDERR_FILENO) >= 0);
}

static const char *capture_end(struct capture *c)
{
	ssize_t n;

	CU_ASSERT_FATAL(dup2(c->saved, STDERR_FILENO) >= 0);
	n = pread(c->file, c->text, sizeof(c->text) - 1, 0);
	CU_ASSERT_FATAL(n >= 0);
	c->text[n] = '\0';
	(void)close(c->saved);
	(void)close(c->file);
	return c->text;
}

static size_t count(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

static void test_one_event_is_one_line(void)
{
	struct capture c;
	const char *text;

	capture_begin(&c);
	fleet_log_init("fleet-test", FLEET_LOG_INFO, FLEET_LOG_FORMAT_TEXT);
	log_error("first\nsecond\r\t\x1b[31m\x7f\xC2\x9B\xFFgr\xC3\xBC\xC3\x9F");
	text = capture_end(&c);
	CU_ASSERT_EQUAL(count(text, '\n'), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(
		text, " fleet-test error: first\\nsecond\\r\\t\\x1b[31m\\x7f\\x9b\\xffgr\xC3\xBC\xC3\x9F\n"));
	CU_ASSERT_EQUAL(text[4], '-');
	CU_ASSERT_EQUAL(text[23], 'Z');
}

static void test_level_decides(void)
{
	struct capture c;
	const char *text;

	capture_begin(&c);
	fleet_log_init("fleet-test", FLEET_LOG_WARN, FLEET_LOG_FORMAT_TEXT);
	log_info("not this");
	log_warn("this");
	fleet_log_set_level(FLEET_LOG_DEBUG);
	log_debug("and this");
	text = capture_end(&c);
	CU_ASSERT_PTR_NULL(strstr(text, "not this"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "warn: this"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "debug: and this"));
}

static void test_json_lines_parse(void)
{
	const char nasty[] = "quote \" slash \\ line\nbell\a\x7f\xC2\x9B bad\xFF end";
	_cleanup_json_ struct json_object *line = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct capture c;
	const char *text;

	capture_begin(&c);
	fleet_log_init("fleet-test", FLEET_LOG_INFO, FLEET_LOG_FORMAT_JSON);
	log_warn("%s", nasty);
	text = capture_end(&c);
	CU_ASSERT_EQUAL(count(text, '\n'), 1);
	CU_ASSERT_EQUAL(fleet_json_parse(text, strlen(text), sizeof(c.text), &line, &err), 0);
	CU_ASSERT_STRING_EQUAL(fleet_json_string(line, "level"), "warn");
	CU_ASSERT_STRING_EQUAL(fleet_json_string(line, "program"), "fleet-test");
	CU_ASSERT_EQUAL(fleet_json_int(line, "pid", 0), getpid());
	CU_ASSERT_STRING_EQUAL(fleet_json_string(line, "message"),
		"quote \" slash \\ line\nbell\a\x7f\xC2\x9B bad\xEF\xBF\xBD end");
}

static void test_journal_gets_priorities(void)
{
	struct capture c;
	struct stat st;
	char stream[64];
	const char *text;

	capture_begin(&c);
	CU_ASSERT_EQUAL(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	fleet_log_init("fleet-test", FLEET_LOG_DEBUG, FLEET_LOG_FORMAT_TEXT);
	log_error("e");
	log_warn("w");
	log_info("i");
	log_debug("d");
	text = capture_end(&c);
	CU_ASSERT_STRING_EQUAL(text, "<3>e\n<4>w\n<6>i\n<7>d\n");

	/* a JOURNAL_STREAM that is not our stderr counts nothing */
	setenv("JOURNAL_STREAM", "0:0", 1);
	capture_begin(&c);
	fleet_log_init("fleet-test", FLEET_LOG_DEBUG, FLEET_LOG_FORMAT_TEXT);
	log_error("e");
	text = capture_end(&c);
	CU_ASSERT_NOT_EQUAL(text[0], '<');
	unsetenv("JOURNAL_STREAM");
	fleet_log_init("fleet-test", FLEET_LOG_INFO, FLEET_LOG_FORMAT_TEXT);
}

static void test_long_lines_are_cut_and_errno_is_kept(void)
{
	_cleanup_free_ char *nasty = xmalloc(100001);
	struct capture c;
	const char *text;

	memset(nasty, '\n', 100000);
	nasty[100000] = '\0';
	capture_begin(&c);
	fleet_log_init("fleet-test", FLEET_LOG_INFO, FLEET_LOG_FORMAT_TEXT);
	errno = EBADMSG;
	log_info("%s", nasty);
	CU_ASSERT_EQUAL(errno, EBADMSG);
	text = capture_end(&c);
	CU_ASSERT_EQUAL(count(text, '\n'), 1);
	CU_ASSERT_TRUE(strlen(text) < 9000);
	CU_ASSERT_STRING_EQUAL(text + strlen(text) - 4, "...\n");
}

static void test_level_names(void)
{
	enum fleet_log_level level = FLEET_LOG_DEBUG;

	CU_ASSERT_EQUAL(fleet_log_level_from_string("error", &level), 0);
	CU_ASSERT_EQUAL(level, FLEET_LOG_ERROR);
	CU_ASSERT_EQUAL(fleet_log_level_from_string("debug", &level), 0);
	CU_ASSERT_EQUAL(level, FLEET_LOG_DEBUG);
	CU_ASSERT_EQUAL(fleet_log_level_from_string("verbose", &level), -EINVAL);
	CU_ASSERT_EQUAL(fleet_log_level_from_string(NULL, &level), -EINVAL);
	CU_ASSERT_EQUAL(level, FLEET_LOG_DEBUG);
}

static const struct unit_test tests[] = {UNIT_TEST(test_one_event_is_one_line), UNIT_TEST(test_level_decides),
	UNIT_TEST(test_json_lines_parse), UNIT_TEST(test_journal_gets_priorities),
	UNIT_TEST(test_long_lines_are_cut_and_errno_is_kept), UNIT_TEST(test_level_names), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"log", tests}, {0}});
}
