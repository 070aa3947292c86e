/* The parent's parser of a call child's answer, against answers that no child of ours would give. */
#include "driver/answer.h"
#include "fleet/limits.h"
#include "fleet/log.h"
#include "unit.h"

static void on_result(struct driver_answer *a, size_t index, const struct fleet_error *err, void *arg)
{
	(void)a;
	(void)index;
	*(struct fleet_error *)arg = *err;
}

static const struct driver_call call = {.driver = "d", .file = "/d.so", .app_id = "a"};

static size_t frame(char *out, char tag, uint32_t claimed, const void *data, size_t len)
{
	out[0] = tag;
	memcpy(out + 1, &claimed, sizeof(claimed));
	memcpy(out + WIRE_HEADER, data, len);
	return WIRE_HEADER + len;
}

static int feed(enum driver_function function, const char *bytes, size_t len, size_t step, bool *ret_complete)
{
	struct settings settings = SETTINGS_INIT;
	struct fleet_buffer data = FLEET_BUFFER_INIT;
	struct driver_log_lines lines = {0};
	struct driver_status status = {0};
	struct fleet_error err = FLEET_ERROR_INIT, said = FLEET_ERROR_INIT;
	struct driver_answer a = {.function = function,
		.calls = &call,
		.count = 1,
		.lines_max = 1,
		.result = on_result,
		.arg = &said};
	int r = 0;

	if (function == DRIVER_FN_READ)
		a.settings = &settings;
	if (function == DRIVER_FN_EDIT)
		a.data = &data;
	if (function == DRIVER_FN_LOGS)
		a.lines = &lines;
	if (function == DRIVER_FN_STATUS)
		a.status = &status;
	for (size_t at = 0; at < len && r == 0; at += step)
		r = driver_answer_feed(&a, bytes + at, len - at < step ? len - at : step, &err);
	*ret_complete = r == 0 && driver_answer_is_complete(&a);
	settings_done(&settings);
	fleet_buffer_done(&data);
	driver_log_lines_done(&lines);
	driver_answer_done(&a);
	return r;
}

static void test_malformed_frames_are_refused(void)
{
	static const struct {
		enum driver_function function;
		char tag;
		uint32_t claimed;
		const char *data;
		size_t len;
	} list[] = {
		{DRIVER_FN_EDIT, 'D', 0xffffffff, "x", 1},
		{DRIVER_FN_EDIT, 'D', 0x7fffffff, "x", 1},
		{DRIVER_FN_EDIT, '?', 1, "x", 1},
		{DRIVER_FN_EDIT, 0, 0, "", 0},
		{DRIVER_FN_READ, 'D', 1, "x", 1},
		{DRIVER_FN_READ, 'S', 3, "\0\0\0", 3},
		{DRIVER_FN_READ, 'S', 8, "\0\0\0\0\xff\xff\xff\xff", 8},
		{DRIVER_FN_READ, 'S', 9, "\0\0\0\0\2\0\0\0a", 9},
		{DRIVER_FN_READ, 'S', 9, "\7\0\0\0\1\0\0\0a", 9},
		{DRIVER_FN_READ, 'S', 10, "\1\0\0\0\1\0\0\0ax", 10}, /* an integer x */
		{DRIVER_FN_READ, 'S', 9, "\0\0\0\0\1\0\0\0.", 9},
		{DRIVER_FN_READ, 'F', 3, "\0\0\0", 3},
		{DRIVER_FN_EDIT, 'F', 4, "\0\0\0\0", 4},
		{DRIVER_FN_EDIT, 'R', 4, "\0\0\0\0", 4},
		{DRIVER_FN_EDIT, 'R', 12, "\1\0\0\0\0\0\0\0\0\0\0\0", 12}, /* positive */
		{DRIVER_FN_EDIT, 'R', 12, "\0\0\0\x80\0\0\0\0\0\0\0\0", 12},
		{DRIVER_FN_STATUS, 'R', 12, "\0\0\0\0\0\0\0\0\0\0\0\0", 12}, /* success without a status */
		{DRIVER_FN_STATUS, 'T', 4, "\0\0\0\0", 4},
		{DRIVER_FN_EDIT, 'T', 4, "\0\0\0\0", 4},
		{DRIVER_FN_LOGS, 'N', 4, "\0\0\0\0", 4},
		{DRIVER_FN_EDIT, 'N', 12, "\0\0\0\0\0\0\0\0\0\0\0\0", 12},
		{DRIVER_FN_EDIT, 'V', 8, "\1\0\0\0a\0b\0", 8},
		{DRIVER_FN_EDIT, 'G', 1, "\xff", 1},
		{DRIVER_FN_EDIT, 'G', 0, "", 0},
		{DRIVER_FN_EDIT, 'L', 2, "\0\0", 2},
		{DRIVER_FN_EDIT, 'P', 2, "\0\0", 2},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		char bytes[64];
		size_t len = frame(bytes, list[i].tag, list[i].claimed, list[i].data, list[i].len);
		bool complete;

		for (size_t step = 1; step <= len; step += len - 1)
			CU_ASSERT_EQUAL(feed(list[i].function, bytes, len, step, &complete), -EPROTO);
	}
}

static void test_an_answer_in_pieces(void)
{
	char bytes[256];
	size_t len = 0;
	bool complete;

	len += frame(bytes + len, 'G', 1, "\4", 1);
	len += frame(bytes + len, 'D', 3, "abc", 3);
	len += frame(bytes + len, 'P', 6, "\5\0\0\0hi", 6);
	len += frame(bytes + len, 'D', 0, "", 0);
	len += frame(bytes + len, 'R', 12, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
	for (size_t step = 1; step <= len; step++) {
		CU_ASSERT_EQUAL(feed(DRIVER_FN_EDIT, bytes, len, step, &complete), 0);
		CU_ASSERT_TRUE(complete);
	}
	for (size_t cut = 0; cut < len; cut++) {
		CU_ASSERT_EQUAL(feed(DRIVER_FN_EDIT, bytes, cut, 7, &complete), 0);
		CU_ASSERT_FALSE(complete);
	}
	len += frame(bytes + len, 'G', 1, "\4", 1);
	CU_ASSERT_EQUAL(feed(DRIVER_FN_EDIT, bytes, len, 11, &complete), -EPROTO);
}

static void test_too_much_is_refused(void)
{
	struct fleet_buffer data = FLEET_BUFFER_INIT;
	struct fleet_error err = FLEET_ERROR_INIT;
	struct driver_answer a = {.function = DRIVER_FN_EDIT, .calls = &call, .count = 1, .data = &data};
	_cleanup_free_ char *block = xcalloc(1, 1024 * 1024 + WIRE_HEADER);
	size_t len = frame(block, 'D', 1024 * 1024, "", 0) + 1024 * 1024;
	int r = 0, fed = 0;

	for (; r == 0 && fed < 100; fed++)
		r = driver_answer_feed(&a, block, len, &err);
	CU_ASSERT_EQUAL(r, -EPROTO);
	CU_ASSERT_EQUAL(fed, 5); /* 4 MiB are good */
	fleet_buffer_done(&data);
	driver_answer_done(&a);
}

/* Pure noise, and true answers with one byte changed: any outcome but a crash or an endless one. */
static void test_noise(void)
{
	char good[128];
	size_t len = 0;
	unsigned seed = 1;
	bool complete;

	len += frame(good + len, 'F', 4, "\0\0\0\0", 4);
	len += frame(good + len, 'S', 10, "\0\0\0\0\1\0\0\0ab", 10);
	len += frame(good + len, 'R', 12, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
	for (int i = 0; i < 20000; i++) {
		char bytes[128];

		memcpy(bytes, good, sizeof(good));
		for (int j = 0; j < 1 + i % 3; j++) {
			seed = seed * 1103515245u + 12345u;
			bytes[(seed >> 8) % len] = (char)(seed >> 16);
		}
		(void)feed(DRIVER_FN_READ, bytes, len, 1 + seed % 40, &complete);
		CU_ASSERT_TRUE(feed(DRIVER_FN_EDIT, bytes, len, 64, &complete) <= 0);
	}
}

static const struct unit_test answer_tests[] = {UNIT_TEST(test_malformed_frames_are_refused),
	UNIT_TEST(test_an_answer_in_pieces), UNIT_TEST(test_too_much_is_refused), UNIT_TEST(test_noise), {0}};

int main(void)
{
	fleet_log_init("test_driver_answer", FLEET_LOG_ERROR, FLEET_LOG_FORMAT_TEXT);
	return unit_run((const struct unit_suite[]){{"answer", answer_tests}, {0}});
}
