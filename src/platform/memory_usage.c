/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/memory_usage.h"

#include <stdio.h>
#include <string.h>

#ifdef STARLING_JEMALLOC
#include <jemalloc/jemalloc.h>
#define STRINGIFY(x) #x
#define TEXT(x) STRINGIFY(x)

/* Read by jemalloc when it starts. One thread does nearly all the work, so one arena wastes least;
 * pages that a growing table leaves behind go back to the system within half a second. No arena by
 * itself for large blocks, which gives them back at once: see below. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:1,background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0,"
                          "oversize_threshold:0";

/* From this size on, free blocks go back to the system at once. jemalloc's own 8 MiB would have
 * each reply or value of some megabytes fault its pages in again, which costs more than all else
 * that is done with it. `malloc_conf` cannot say so: the first arena is there before it is read. */
enum { OVERSIZE_BYTES = 128 << 20 };

void memory_usage_init(void) {
    size_t bytes = OVERSIZE_BYTES;
    (void)mallctl("arena.0.oversize_threshold", NULL, NULL, &bytes, sizeof(bytes));
}

struct memory_thread_usage memory_thread_usage_here(void) {
    struct memory_thread_usage usage = {0};
    size_t size = sizeof(usage.allocated);
    if (mallctl("thread.allocatedp", &usage.allocated, &size, NULL, 0) != 0 ||
        mallctl("thread.deallocatedp", &usage.freed, &size, NULL, 0) != 0) {
        usage = (struct memory_thread_usage){0};
    }
    return usage;
}

static uint64_t memory_stat(const char *name) {
    size_t value = 0, size = sizeof(value);
    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

void memory_usage_figures(struct memory_figures *figures) {
    uint64_t epoch = 1;
    (void)mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
    /* What threads keep for their next allocations counts as allocated there. */
    uint64_t allocated = memory_stat("stats.allocated");
    uint64_t kept = memory_stat("stats.arenas." TEXT(MALLCTL_ARENAS_ALL) ".tcache_bytes");
    figures->allocated_bytes = allocated > kept ? allocated - kept : 0;
    figures->active_bytes = memory_stat("stats.active");
    figures->resident_bytes = memory_stat("stats.resident");
    figures->retained_bytes = memory_stat("stats.retained");
}

void memory_usage_purge(void) {
    char name[64];
    (void)snprintf(name, sizeof(name), "arena.%u.purge", (unsigned)MALLCTL_ARENAS_ALL);
    (void)mallctl(name, NULL, NULL, NULL, 0);
}

const char *memory_usage_allocator(void) {
    return "jemalloc-" TEXT(JEMALLOC_VERSION_MAJOR) "." TEXT(JEMALLOC_VERSION_MINOR) "." TEXT(
        JEMALLOC_VERSION_BUGFIX);
}

#elif defined(__SANITIZE_ADDRESS__)
/* The sanitizer has an allocator of its own, which knows how much is in use. Not every compiler
 * brings the header that declares these. */
extern size_t __sanitizer_get_current_allocated_bytes(void);
extern size_t __sanitizer_get_heap_size(void);

void memory_usage_init(void) {
}

struct memory_thread_usage memory_thread_usage_here(void) {
    return (struct memory_thread_usage){0};
}

void memory_usage_figures(struct memory_figures *figures) {
    size_t bytes = __sanitizer_get_current_allocated_bytes();
    *figures = (struct memory_figures){.allocated_bytes = bytes,
                                       .active_bytes = bytes,
                                       .resident_bytes = __sanitizer_get_heap_size()};
}

void memory_usage_purge(void) {
}

const char *memory_usage_allocator(void) {
    return "sanitizer";
}

#else
#include <malloc.h>

void memory_usage_init(void) {
}

struct memory_thread_usage memory_thread_usage_here(void) {
    return (struct memory_thread_usage){0};
}

void memory_usage_figures(struct memory_figures *figures) {
    struct mallinfo2 info = mallinfo2();
    *figures = (struct memory_figures){
        .allocated_bytes = info.uordblks + info.hblkhd,
        .active_bytes = info.arena + info.hblkhd,
        .resident_bytes = info.arena + info.hblkhd,
    };
}

void memory_usage_purge(void) {
    (void)malloc_trim(0);
}

const char *memory_usage_allocator(void) {
    return "libc";
}
#endif
