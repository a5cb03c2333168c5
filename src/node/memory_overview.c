/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/memory_overview.h"

#include "log/log_stream.h"

uint64_t memory_overview_table_bytes(const struct table *table) {
    return table->slots_count * sizeof(uint64_t) +
           table->segments_count * sizeof(struct table_segment) +
           ((uint64_t)1 << table->depth) * sizeof(uint64_t);
}

static double memory_overview_ratio(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static void memory_overview_ratios(struct memory_overview *overview) {
    const struct host_facts *facts = &overview->facts;
    overview->fragmentation_ratio =
        memory_overview_ratio(facts->resident_bytes, overview->used_bytes);
    overview->fragmentation_bytes = (int64_t)(facts->resident_bytes - overview->used_bytes);
    overview->allocator_fragmentation_ratio =
        memory_overview_ratio(facts->active_bytes, facts->allocated_bytes);
    overview->allocator_fragmentation_bytes =
        (int64_t)(facts->active_bytes - facts->allocated_bytes);
    overview->allocator_rss_ratio =
        memory_overview_ratio(facts->allocator_resident_bytes, facts->active_bytes);
    overview->allocator_rss_bytes =
        (int64_t)(facts->allocator_resident_bytes - facts->active_bytes);
    overview->rss_overhead_ratio =
        memory_overview_ratio(facts->resident_bytes, facts->allocator_resident_bytes);
    overview->rss_overhead_bytes =
        (int64_t)(facts->resident_bytes - facts->allocator_resident_bytes);
}

void memory_overview_take(struct node *node, struct memory_overview *overview) {
    *overview = (struct memory_overview){.startup_bytes = node->memory_startup_bytes};
    node->host.facts(node->host.udata, &overview->facts);
    overview->used_bytes = node->host.memory_used(node->host.udata);
    if (overview->used_bytes > node->stats.memory_peak_bytes) {
        node->stats.memory_peak_bytes = overview->used_bytes;
    }
    overview->peak_bytes = node->stats.memory_peak_bytes;
    for (const struct client *client = node->clients; client != NULL; client = client->next) {
        overview->clients_bytes += client_memory_bytes(client);
    }
    struct log_stats log_stats;
    log_get_stats(node->log, &log_stats);
    struct log_ring_stats ring;
    log_get_ring_stats(node->log, &ring);
    overview->backlog_bytes = ring.bytes;
    overview->log_bytes = log_stats.pending_bytes + node->store.journal.bytes.capacity;
    for (unsigned db = 0; db < node->store.dbs_count; db++) {
        const struct table *table = &node->store.dbs[db].table;
        if (table->count > 0) {
            overview->keys_count += table->count;
            overview->tables_bytes += memory_overview_table_bytes(table);
        }
    }
    overview->overhead_bytes = overview->startup_bytes + overview->clients_bytes +
                               overview->log_bytes + overview->backlog_bytes +
                               overview->tables_bytes;
    if (overview->used_bytes > overview->overhead_bytes) {
        overview->dataset_bytes = overview->used_bytes - overview->overhead_bytes;
    }
    overview->peak_percent =
        memory_overview_ratio(overview->used_bytes, overview->peak_bytes) * 100;
    if (overview->used_bytes > overview->startup_bytes) {
        overview->dataset_percent =
            memory_overview_ratio(overview->dataset_bytes,
                                  overview->used_bytes - overview->startup_bytes) *
            100;
    }
    memory_overview_ratios(overview);
}
