/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_PREFETCH_H
#define BASE_PREFETCH_H

/* Asks the processor for the cache line of an address; a hint, any address will do. The empty asm
 * keeps functions that do nothing else: gcc takes such a one for a function without effect, and
 * drops calls of it. */
static inline void prefetch(const void *address) {
    __builtin_prefetch(address);
    __asm__ volatile("");
}

/* The first lines of an object. */
static inline void prefetch_lines(const void *address, unsigned lines) {
    for (unsigned i = 0; i < lines; i++) {
        prefetch((const char *)address + 64 * i);
    }
}

#endif
