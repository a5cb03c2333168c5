/* SPDX-License-Identifier: BSD-3-Clause */
/* The allocator behind everything: jemalloc in release builds, the C library's under sanitizers.
 *
 * memory_alloc() and its kin abort when memory is out: they are for small sizes that we choose.
 * Sizes that a client, a peer or a file controls use the try forms and handle NULL. All results
 * are aligned to 16 bytes. Safe from any thread. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

void *memory_alloc(size_t size);
void *memory_alloc_zero(size_t size);
void *memory_try_alloc(size_t size);
void *memory_try_alloc_zero(size_t size);
/* As realloc(); on NULL from the try form the old block is untouched. */
void *memory_resize(void *block, size_t size);
void *memory_try_resize(void *block, size_t size);
/* Frees `block`, which may be NULL. */
void memory_free(void *block);
/* Frees `block`, allocated with exactly `size` bytes: cheaper than memory_free(). */
void memory_free_sized(void *block, size_t size);
/* A terminated copy of `text`; the caller frees it. */
char *memory_copy_text(const char *text);
/* How many bytes the block really takes, at least what was asked for. */
size_t memory_usable_bytes(const void *block);

/* The size to ask for so that no byte of the block goes unused: `size` rounded up to the next
 * size class (multiples of 16 up to 128, then four classes for each doubling, as jemalloc has
 * them). Two sizes with one class can share a block in place. */
static inline size_t memory_class_bytes(size_t size) {
    if (size <= 128) {
        return size <= 16 ? 16 : (size + 15) & ~(size_t)15;
    }
    unsigned top = 63U - (unsigned)__builtin_clzll((unsigned long long)(size - 1));
    size_t step = (size_t)1 << (top - 2);
    return (size + step - 1) & ~(step - 1);
}

#endif
