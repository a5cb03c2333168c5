/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

noreturn void check_failed(const char *kind, const char *what, const char *file, int line) {
    fprintf(stderr, "%s:%d: %s failed: %s\n", file, line, kind, what);
    abort();
}
