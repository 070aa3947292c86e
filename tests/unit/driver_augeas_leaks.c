/* For programs that the augeas driver is linked into. */

/* libaugeas 1.14 loses some bytes where it cannot write a tree; to a driver's process, which ends with its
 * call, that is nothing. Named by LeakSanitizer. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libaugeas.so\n";
}
