/* Small macros that every floor uses. Nothing here allocates or looks at the world. */
#ifndef LOCKSTEP_BASE_UTIL_H
#define LOCKSTEP_BASE_UTIL_H

#include <assert.h>
#include <stddef.h>

/* Assertions stay on in release builds: they guard against our own mistakes, never against input. */
#ifdef NDEBUG
#error "Lockstep is built with its assertions on (b_ndebug=false)"
#endif

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* <sys/param.h>, which <uv.h> includes, has the same two. */
#ifndef MIN
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

#define UNUSED                  __attribute__((unused))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define MUST_CHECK              __attribute__((warn_unused_result))

/* Calls fn(&variable) when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#endif
