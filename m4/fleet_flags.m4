# Compiler flags, each probed: an older or other compiler builds without what it lacks.

# FLEET_TRY_CFLAG(VARIABLE, FLAG...): append to VARIABLE every flag that the compiler takes.
AC_DEFUN([FLEET_TRY_CFLAG], [
	for fleet_flag in $2; do
		fleet_saved_cflags=$CFLAGS
		CFLAGS="$CFLAGS -Werror $fleet_flag"
		AC_MSG_CHECKING([whether $CC takes $fleet_flag])
		AC_LINK_IFELSE([AC_LANG_PROGRAM()],
			[AC_MSG_RESULT([yes]); $1="$$1 $fleet_flag"], [AC_MSG_RESULT([no])])
		CFLAGS=$fleet_saved_cflags
	done
])

AC_DEFUN([FLEET_WARNINGS], [
	AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors (CI builds)])],
		[], [enable_werror=no])
	WARN_CFLAGS=
	FLEET_TRY_CFLAG([WARN_CFLAGS], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes dnl
		-Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough -Wlogical-op dnl
		-Wduplicated-cond -Wdate-time -Wnull-dereference -Wcast-align -Wconversion -Wno-sign-conversion])
	AS_IF([test "$enable_werror" = yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
	AC_SUBST([WARN_CFLAGS])
])

AC_DEFUN([FLEET_SANITIZERS], [
	AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan], [build with AddressSanitizer and UBSan])],
		[], [enable_asan=no])
	AC_ARG_ENABLE([fuzz], [AS_HELP_STRING([--enable-fuzz],
		[the same, and tests/fuzz as libFuzzer programs (CC=clang); --enable-fuzz=undefined without AddressSanitizer])],
		[], [enable_fuzz=no])
	AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [count with gcov which lines the tests reach])],
		[], [enable_coverage=no])
	SAN_CFLAGS=
	FUZZ_LDFLAGS=
	AS_IF([test "$enable_fuzz" != no], [
		enable_asan=$enable_fuzz
		SAN_CFLAGS="-fsanitize=fuzzer-no-link"
		FUZZ_LDFLAGS="-fsanitize=fuzzer"
		fleet_saved_cflags=$CFLAGS
		CFLAGS="$CFLAGS -fsanitize=fuzzer"
		AC_MSG_CHECKING([whether $CC has libFuzzer])
		AC_LINK_IFELSE([AC_LANG_SOURCE([int LLVMFuzzerTestOneInput(const char *data, unsigned long len);
			int LLVMFuzzerTestOneInput(const char *data, unsigned long len) { return data && len ? 0 : 0; }])],
			[AC_MSG_RESULT([yes])],
			[AC_MSG_RESULT([no])
			AC_MSG_ERROR([--enable-fuzz needs clang with its runtime: configure CC=clang (scripts/dev fuzz does)])])
		CFLAGS=$fleet_saved_cflags
	])
	AS_IF([test "$enable_asan" != no], [
		AS_IF([test "$enable_asan" = undefined], [fleet_sanitizers=undefined], [fleet_sanitizers=address,undefined])
		SAN_CFLAGS="$SAN_CFLAGS -fsanitize=$fleet_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"
	])
	AS_IF([test "$enable_asan$enable_coverage" != nono], [
		AC_DEFINE([FLEET_UNSANDBOXED], [1],
			[Format drivers run without their seccomp sandbox: the runtimes of sanitizers and gcov need more than it allows.])
	])
	AS_IF([test "$enable_coverage" = yes],
		[FLEET_TRY_CFLAG([SAN_CFLAGS], [--coverage -fprofile-update=atomic])])
	AC_SUBST([SAN_CFLAGS])
	AC_SUBST([FUZZ_LDFLAGS])
	AM_CONDITIONAL([ENABLE_FUZZ], [test "$enable_fuzz" != no])
])

AC_DEFUN([FLEET_HARDENING], [
	HARDEN_CFLAGS=
	HARDEN_LDFLAGS=
	FLEET_TRY_CFLAG([HARDEN_CFLAGS], [-fstack-protector-strong -fstack-clash-protection -fcf-protection])
	AS_IF([test "$enable_asan" != yes], [
		AS_CASE([" $CFLAGS "], [*" -O0 "*], [],
			[HARDEN_CFLAGS="$HARDEN_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
	])
	FLEET_TRY_CFLAG([HARDEN_LDFLAGS], [-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed])
	AC_SUBST([HARDEN_CFLAGS])
	AC_SUBST([HARDEN_LDFLAGS])
	PIE_CFLAGS=-fPIE
	PIE_LDFLAGS=-pie
	AC_SUBST([PIE_CFLAGS])
	AC_SUBST([PIE_LDFLAGS])
])
