/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that runs out on purpose: a program that includes this gets these functions in the place
 * of base/memory.c. Only what is tried can fail, and only from a size on that is a client's choice:
 * what is smaller is taken for granted everywhere. */
#ifndef TESTS_UNIT_STORE_FAILING_MEMORY_H
#define TESTS_UNIT_STORE_FAILING_MEMORY_H

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

static struct {
    size_t bytes_min; /* smaller ones do not fail, and do not count; 0: none fails */
    unsigned first;   /* so many go well before one fails ... */
    bool fails_on;    /* ... and then all of them, else only that one */
    unsigned tries, failed;
} failing_memory;

/* From now on the try with that number fails (0: the next one), or all from that one on. */
static inline void failing_memory_begin(size_t bytes_min, unsigned first, bool fails_on) {
    failing_memory.bytes_min = bytes_min;
    failing_memory.first = first;
    failing_memory.fails_on = fails_on;
    failing_memory.tries = failing_memory.failed = 0;
}

/* Returns how many have failed. */
static inline unsigned failing_memory_end(void) {
    failing_memory.bytes_min = 0;
    return failing_memory.failed;
}

static bool memory_fails(size_t size) {
    if (failing_memory.bytes_min == 0 || size < failing_memory.bytes_min) {
        return false;
    }
    unsigned number = failing_memory.tries++;
    bool fails =
        failing_memory.fails_on ? number >= failing_memory.first : number == failing_memory.first;
    failing_memory.failed += fails;
    return fails;
}

static void *memory_certain(void *block) {
    require(block != NULL);
    return block;
}

void *memory_try_alloc(size_t size) {
    return memory_fails(size) ? NULL : malloc(size > 0 ? size : 1);
}

void *memory_try_alloc_zero(size_t size) {
    return memory_fails(size) ? NULL : calloc(1, size > 0 ? size : 1);
}

void *memory_try_resize(void *block, size_t size) {
    return memory_fails(size) ? NULL : realloc(block, size > 0 ? size : 1);
}

void *memory_alloc(size_t size) {
    return memory_certain(malloc(size > 0 ? size : 1));
}

void *memory_alloc_zero(size_t size) {
    return memory_certain(calloc(1, size > 0 ? size : 1));
}

void *memory_resize(void *block, size_t size) {
    return memory_certain(realloc(block, size > 0 ? size : 1));
}

void memory_free(void *block) {
    free(block);
}

void memory_free_sized(void *block, size_t size) {
    (void)size;
    free(block);
}

char *memory_copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(memory_alloc(size), text, size);
}

size_t memory_usable_bytes(const void *block) {
    return malloc_usable_size((void *)block);
}

#endif
