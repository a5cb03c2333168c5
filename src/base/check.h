/* SPDX-License-Identifier: BSD-3-Clause */
/* Assertions that stay on in release builds.
 *
 * They are for mistakes of ours only: bytes from a client, a peer or a disk never decide one.
 * require() guards an entry, ensure() an exit, impossible() a branch that cannot be reached. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdnoreturn.h>

/* Writes the failed condition and its place to standard error and aborts. */
noreturn void check_failed(const char *kind, const char *what, const char *file, int line);

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

#define require(condition)                                                                         \
    (likely(condition) ? (void)0 : check_failed("require", #condition, __FILE__, __LINE__))
#define ensure(condition)                                                                          \
    (likely(condition) ? (void)0 : check_failed("ensure", #condition, __FILE__, __LINE__))
#define impossible(why) check_failed("impossible", why, __FILE__, __LINE__)

#endif
