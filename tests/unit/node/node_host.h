/* SPDX-License-Identifier: BSD-3-Clause */
/* A host of nothing, for nodes as machines: what it is asked has one answer, what it is to free
 * later goes at once. The clock is the test's. */
#ifndef UNIT_NODE_NODE_HOST_H
#define UNIT_NODE_NODE_HOST_H

#include <stdio.h>

#include "node/node.h"

static inline uint64_t host_memory_used(void *udata) {
    (void)udata;
    return 1 << 20;
}

static inline void host_memory_purge(void *udata) {
    (void)udata;
}

static inline void host_facts(void *udata, struct host_facts *facts) {
    (void)udata;
    *facts = (struct host_facts){
        .executable = "", .config_file = "", .os = "", .arch = "", .compiler = "", .allocator = ""};
}

static inline void host_free_later(void *udata, void (*free_fn)(void *object), void *object) {
    (void)udata;
    free_fn(object);
}

static inline uint64_t host_free_later_pending(void *udata) {
    (void)udata;
    return 0;
}

static inline void host_message(void *udata, enum log_level level, const char *text) {
    (void)udata;
    if (level == LOG_LEVEL_WARNING) {
        printf("node: %s\n", text);
    }
}

static inline struct node_host host_of_nothing(void *udata, uint64_t (*monotonic_us)(void *udata)) {
    return (struct node_host){.udata = udata,
                              .monotonic_us = monotonic_us,
                              .memory_used = host_memory_used,
                              .memory_purge = host_memory_purge,
                              .facts = host_facts,
                              .free_later = host_free_later,
                              .free_later_pending = host_free_later_pending,
                              .message = host_message};
}

#endif
