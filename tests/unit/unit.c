#include "unit.h"
#include <stdio.h>
#include <string.h>

static const char *skipped;

void unit_skip(const char *why)
{
	skipped = why;
}

static void tell_failures(void)
{
	for (CU_pFailureRecord f = CU_get_failure_list(); f; f = f->pNext) {
		printf("# %s:%u: %s\n", f->strFileName ? f->strFileName : "?", f->uiLineNumber,
			f->strCondition ? f->strCondition : "?");
	}
}

int unit_run(const struct unit_suite *suites)
{
	unsigned count = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	for (const struct unit_suite *s = suites; s->name; s++) {
		CU_pSuite suite = CU_add_suite(s->name, NULL, NULL);

		for (const struct unit_test *t = s->tests; t->name; t++) {
			const char *name = strncmp(t->name, "test_", 5) == 0 ? t->name + 5 : t->name;
			CU_pTest test = CU_add_test(suite, t->name, t->run);

			if (!test) { /* the same name twice */
				printf("not ok %u - %s: %s is listed twice\n", ++count, s->name, name);
				failed++;
				continue;
			}
			skipped = NULL;
			CU_run_test(suite, test);
			count++;
			if (CU_get_number_of_failures() > 0) {
				failed++;
				printf("not ok %u - %s: %s\n", count, s->name, name);
				tell_failures();
			} else if (skipped) {
				printf("ok %u - %s: %s # SKIP %s\n", count, s->name, name, skipped);
			} else {
				printf("ok %u - %s: %s\n", count, s->name, name);
			}
		}
	}
	printf("1..%u\n", count);
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
