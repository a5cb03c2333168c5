/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures that are counted while the node runs: rates over the last samples, and their reset. */
#include "node/node.h"

void rate_sample(struct rate *rate, uint64_t count, int64_t now_ms) {
    int64_t elapsed_ms = now_ms - rate->last_ms;
    /* After a reset, or a step of the clock, there is no interval to speak of. */
    if (rate->last_ms != 0 && elapsed_ms > 0 && count >= rate->last_count) {
        rate->samples[rate->next] = (count - rate->last_count) * 1000 / (uint64_t)elapsed_ms;
        rate->next = (rate->next + 1) % RATE_SAMPLES;
    } else if (elapsed_ms == 0 && rate->last_ms != 0) {
        return;
    }
    rate->last_count = count;
    rate->last_ms = now_ms;
}

uint64_t node_rate_per_second(const struct rate *rate) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < RATE_SAMPLES; i++) {
        sum += rate->samples[i];
    }
    return sum / RATE_SAMPLES;
}

void node_reset_stats(struct node *node) {
    uint64_t dirty = node->store.stats.dirty;
    uint64_t cron_loops = node->stats.cron_loops;
    double stale_percent = node->store.stats.expired_stale_percent;
    node->stats = (struct node_stats){
        .cron_loops = cron_loops,
        .freed_later = node->host.free_later_pending(node->host.udata), /* none is done yet */
    };
    /* What has not been saved yet is no statistic. */
    node->store.stats =
        (struct store_stats){.dirty = dirty, .expired_stale_percent = stale_percent};
    node->stats.memory_peak_bytes = node->host.memory_used(node->host.udata);
    for (size_t i = 0; i < node->commands.count; i++) {
        memory_free(node->command_stats[i].histogram);
        node->command_stats[i] = (struct command_stats){0};
    }
    node->errors_count = 0;
    node->commands_rate = (struct rate){0};
    node->input_rate = (struct rate){0};
    node->output_rate = (struct rate){0};
    node->turns_rate = (struct rate){0};
    node->turns_us_rate = (struct rate){0};
}
