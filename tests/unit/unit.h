/* Unit tests: CUnit's assertions, TAP on stdout, one line a test. A test program is one table of suites:
 *
 *	static void test_reads_empty_object(void) { CU_ASSERT_...; }
 *	static const struct unit_test json_tests[] = { UNIT_TEST(test_reads_empty_object), {0} };
 *	int main(void) { return unit_run((const struct unit_suite[]){{"json", json_tests}, {0}}); }
 */
#ifndef UNIT_H
#define UNIT_H
#include <CUnit/Basic.h>

struct unit_test {
	const char *name;
	void (*run)(void);
};
struct unit_suite {
	const char *name;
	const struct unit_test *tests; /* ends with {0} */
};
#define UNIT_TEST(function)                                                                                  \
	{                                                                                                    \
#function, function                                                                          \
	}

/* Runs every suite; 0 when all passed. Failed assertions are told as TAP diagnostics. */
int unit_run(const struct unit_suite *suites);
/* Marks the running test as one that cannot run here, with the reason; return from the test afterwards. */
void unit_skip(const char *why);

#endif
