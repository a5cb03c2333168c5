/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the memory goes, as INFO and MEMORY STATS show it. */
#ifndef NODE_MEMORY_OVERVIEW_H
#define NODE_MEMORY_OVERVIEW_H

#include "node/node.h"

struct memory_overview {
    struct host_facts facts;
    uint64_t used_bytes, peak_bytes, startup_bytes;
    uint64_t clients_bytes;
    uint64_t log_bytes;      /* buffers of the log */
    uint64_t backlog_bytes;  /* records that are kept for peers */
    uint64_t tables_bytes;   /* the hash tables of all databases */
    uint64_t overhead_bytes; /* all but the data: startup, clients, log, backlog, tables */
    uint64_t dataset_bytes;
    uint64_t keys_count;
    double peak_percent;    /* of the peak, in use now */
    double dataset_percent; /* of what is in use beyond the startup, data */
    double fragmentation_ratio, allocator_fragmentation_ratio, allocator_rss_ratio,
        rss_overhead_ratio;
    int64_t fragmentation_bytes, allocator_fragmentation_bytes, allocator_rss_bytes,
        rss_overhead_bytes;
};

/* Takes stock; also moves the peak of node->stats. */
void memory_overview_take(struct node *node, struct memory_overview *overview);
/* Bytes of one database's hash table. */
uint64_t memory_overview_table_bytes(const struct table *table);

#endif
