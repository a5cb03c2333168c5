/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#ifdef STARLING_JEMALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif

/* A fuzzer has less memory than a string may have bytes. To it, larger blocks are those that there
 * is no memory for, which all who try are ready for. */
static inline bool is_tried(size_t size) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    return size <= (size_t)64 << 20;
#else
    (void)size;
    return true;
#endif
}

void *memory_try_alloc(size_t size) {
    return is_tried(size) ? malloc(size > 0 ? size : 1) : NULL;
}

/* For a block of several pages jemalloc's calloc() gives its memory back to the system and gets it
 * anew, page by page as it is touched. Up to such a size writing zeros costs less. */
enum { ZEROED_HERE_BYTES_MAX = 256 << 10 };

static void *alloc_zero(size_t size) {
    if (size > ZEROED_HERE_BYTES_MAX) {
        return calloc(1, size);
    }
    void *block = malloc(size > 0 ? size : 1);
    return likely(block != NULL) ? memset(block, 0, size) : NULL;
}

void *memory_try_alloc_zero(size_t size) {
    return is_tried(size) ? alloc_zero(size) : NULL;
}

void *memory_try_resize(void *block, size_t size) {
    return is_tried(size) ? realloc(block, size > 0 ? size : 1) : NULL;
}

void *memory_alloc(size_t size) {
    void *block = malloc(size > 0 ? size : 1);
    if (unlikely(block == NULL)) {
        impossible("out of memory");
    }
    return block;
}

void *memory_alloc_zero(size_t size) {
    void *block = alloc_zero(size);
    if (unlikely(block == NULL)) {
        impossible("out of memory");
    }
    return block;
}

void *memory_resize(void *block, size_t size) {
    void *moved = realloc(block, size > 0 ? size : 1);
    if (unlikely(moved == NULL)) {
        impossible("out of memory");
    }
    return moved;
}

void memory_free(void *block) {
    free(block);
}

void memory_free_sized(void *block, size_t size) {
#ifdef STARLING_JEMALLOC
    sdallocx(block, size > 0 ? size : 1, 0);
#else
    (void)size;
    free(block);
#endif
}

char *memory_copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = memory_alloc(size);
    memcpy(copy, text, size);
    return copy;
}

size_t memory_usable_bytes(const void *block) {
    return malloc_usable_size((void *)block);
}
