/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_PREFETCH_H
#define BASE_PREFETCH_H

#include <stdint.h>

/* Asks the processor for the cache line of an address; a hint, any address will do. The empty asm
 * keeps functions that do nothing else: gcc takes such a one for a function without effect, and
 * drops calls of it. */
static inline void prefetch(const void *address) {
    __builtin_prefetch(address);
    __asm__ volatile("");
}

/* The first lines of an object. As prefetch(), of any address: so it is reckoned as a number. */
static inline void prefetch_lines(const void *address, unsigned lines) {
    for (uintptr_t i = 0; i < lines; i++) {
        prefetch((const void *)((uintptr_t)address + 64 * i));
    }
}

#endif
