/* SPDX-License-Identifier: BSD-3-Clause */
/* maxmemory-clients: when the clients' buffers together take more, the largest are closed.
 *
 * While there is such a limit each client's bytes are counted again after it did something, so
 * that the sum is right at any time; ten times a second everything is counted anew. */
#include "node/node.h"

static uint64_t client_memory_limit(const struct node *node) {
    int64_t limit = node->options->maxmemory_clients;
    return limit >= 0 ? (uint64_t)limit : (uint64_t)(node->options->maxmemory / 100 * -limit);
}

static void client_memory_evict(struct node *node, uint64_t limit) {
    while (node->clients_bytes > limit) {
        struct client *largest = NULL;
        for (struct client *client = node->clients; client != NULL; client = client->next) {
            if ((client->flags & (CLIENT_NO_EVICT | CLIENT_CLOSE_NOW)) == 0 &&
                (largest == NULL || client->counted_bytes > largest->counted_bytes)) {
                largest = client;
            }
        }
        if (largest == NULL) {
            return;
        }
        node_message(node, LOG_LEVEL_NOTICE, "Evicting client: %s, %zu bytes", largest->address,
                     largest->counted_bytes);
        node->stats.evicted_clients++;
        node_client_close(largest, false);
        /* It gets nothing any more, and the room is needed before keys are evicted for it. */
        buffer_deinit(&largest->out);
        largest->out_start = 0;
    }
}

void node_recount_client_memory(struct node *node) {
    uint64_t limit = client_memory_limit(node);
    node->counted_limit = limit;
    if (limit == 0) {
        return;
    }
    node->clients_bytes = 0;
    for (struct client *client = node->clients; client != NULL; client = client->next) {
        bool is_closed = (client->flags & CLIENT_CLOSE_NOW) != 0;
        client->counted_bytes = is_closed ? 0 : client_memory_bytes(client);
        node->clients_bytes += client->counted_bytes;
    }
    client_memory_evict(node, limit);
}

void node_count_client_memory(struct client *client) {
    struct node *node = client->node;
    uint64_t limit = client_memory_limit(node);
    if (unlikely(limit != node->counted_limit)) {
        node_recount_client_memory(node);
        return;
    }
    if (likely(limit == 0) || (client->flags & CLIENT_CLOSE_NOW) != 0) {
        return;
    }
    node->clients_bytes -= client->counted_bytes;
    client->counted_bytes = client_memory_bytes(client);
    node->clients_bytes += client->counted_bytes;
    if (unlikely(node->clients_bytes > limit)) {
        client_memory_evict(node, limit);
    }
}

void node_forget_client_memory(struct client *client) {
    client->node->clients_bytes -= client->counted_bytes;
    client->counted_bytes = 0;
}
