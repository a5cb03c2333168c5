/* SPDX-License-Identifier: BSD-3-Clause */
/* How much memory the process uses, from the allocator's own books.
 *
 * jemalloc counts, for each thread, the bytes it has allocated and freed in its lifetime, at
 * addresses that stay put: two loads a thread give the bytes in use, exactly, at no cost for the
 * allocations themselves. Threads that are gone keep no books, so the server corrects for
 * what they allocated by the allocator's total now and then. In builds without jemalloc the C
 * library is asked. */
#ifndef PLATFORM_MEMORY_USAGE_H
#define PLATFORM_MEMORY_USAGE_H

#include <stddef.h>
#include <stdint.h>

struct memory_thread_usage {
    const uint64_t *allocated, *freed; /* NULL without jemalloc */
};

/* Sets the allocator up; once, when the process starts. */
void memory_usage_init(void);
/* Where the calling thread's books are. */
struct memory_thread_usage memory_thread_usage_here(void);
/* Bytes that the thread allocated less those it freed. Readable from any thread. */
static inline int64_t memory_thread_usage_bytes(const struct memory_thread_usage *usage) {
    return usage->allocated == NULL
               ? 0
               : (int64_t)(__atomic_load_n(usage->allocated, __ATOMIC_RELAXED) -
                           __atomic_load_n(usage->freed, __ATOMIC_RELAXED));
}

struct memory_figures {
    uint64_t allocated_bytes, active_bytes, resident_bytes, retained_bytes;
};
/* What the allocator says of the whole process; costs tens of microseconds. */
void memory_usage_figures(struct memory_figures *figures);
/* Gives unused pages back to the system. */
void memory_usage_purge(void);
/* The allocator's name, such as "jemalloc-5.3.0". */
const char *memory_usage_allocator(void);

#endif
