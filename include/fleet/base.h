/* What every file of the project may lean on: attributes, cleanup of what a scope owns, and small
 * allocations that cannot fail. Needs no other header of the project; any thread, any process. */
#ifndef FLEET_BASE_H
#define FLEET_BASE_H
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLEET_MUST_CHECK   __attribute__((warn_unused_result))
#define FLEET_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define FLEET_NORETURN     __attribute__((noreturn))
#define FLEET_UNUSED       __attribute__((unused))

#define FLEET_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Runs FUNCTION(&variable) when the variable's scope ends. */
#define _cleanup_(function) __attribute__((cleanup(function)))

/* Defines NAMEp(T *) for _cleanup_(NAMEp), from a NAME(T) that accepts NULL. */
#define FLEET_DEFINE_CLEANUP(type, name)                                                                     \
	static inline void name##p(type *p)                                                                  \
	{                                                                                                    \
		name(*p);                                                                                    \
	}

/* Hands over what a cleanup variable owns: its value is returned, the variable owns nothing more. */
#define TAKE_PTR(p)                                                                                          \
	({                                                                                                   \
		__typeof__(p) *take_at_ = &(p);                                                              \
		__typeof__(p) taken_ = *take_at_;                                                            \
		*take_at_ = NULL;                                                                            \
		taken_;                                                                                      \
	})
#define TAKE_FD(fd)                                                                                          \
	({                                                                                                   \
		int *take_at_ = &(fd);                                                                       \
		int taken_ = *take_at_;                                                                      \
		*take_at_ = -1;                                                                              \
		taken_;                                                                                      \
	})

static inline void fleet_cleanup_free(void *p)
{
	free(*(void **)p);
}
static inline void fleet_cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd); /* nothing left to save: whoever must know of a failed close calls close
				     itself */
	errno = saved;
}
static inline void fleet_cleanup_fclose(FILE **f)
{
	if (*f)
		(void)fclose(*f); /* likewise */
}
static inline void fleet_cleanup_closedir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}
#define _cleanup_free_     _cleanup_(fleet_cleanup_free)
#define _cleanup_close_    _cleanup_(fleet_cleanup_close)
#define _cleanup_fclose_   _cleanup_(fleet_cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(fleet_cleanup_closedir)

/* Small allocations of a size we chose ourselves: they return memory or end the program with one line on
 * stderr. Sizes from outside are bounded by limits.h first. The caller owns what is returned (free). */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
void *xreallocarray(void *p, size_t count, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc)); /* NULL gives NULL */
char *xstrndup(const char *s, size_t len) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) FLEET_PRINTF(1, 2) __attribute__((malloc, returns_nonnull));
char *xvasprintf(const char *fmt, va_list ap) FLEET_PRINTF(1, 0) __attribute__((malloc, returns_nonnull));

static inline bool str_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}
static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}
static inline bool str_empty(const char *s)
{
	return !s || !*s;
}

#endif
