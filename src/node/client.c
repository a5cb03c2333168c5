/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/client.h"

#include "base/memory.h"
#include "node/blocking.h"
#include "node/migration.h"
#include "node/pubsub.h"

size_t client_sendable_bytes(const struct client *client, uint64_t acknowledged_position) {
    if (client->holds_count == 0) {
        return client->out.size - client->out_start;
    }
    /* Holds rise: everything before the first one that is still waiting may go. */
    uint64_t begin = client->output_sent;
    uint64_t end = begin + client->out.size - client->out_start;
    for (size_t i = 0; i < client->holds_count; i++) {
        if (client->holds[i].position > acknowledged_position) {
            return (size_t)(begin - client->output_sent);
        }
        begin = client->holds[i].output_end > begin ? client->holds[i].output_end : begin;
    }
    return (size_t)(end - client->output_sent);
}

size_t client_memory_bytes(const struct client *client) {
    return sizeof(*client) + client->in.capacity + client->out.capacity + client->queue_bytes +
           client->queue_capacity * sizeof(client->queue[0]) +
           client->parser.saved_capacity * sizeof(size_t) + client->watched_bytes +
           (client->blocked != NULL ? client->blocked->bytes : 0) +
           (client->migration != NULL ? migration_bytes(client->migration) : 0) +
           (client->subscriber != NULL ? sizeof(*client->subscriber) + client->subscriber->bytes
                                       : 0);
}

void client_discard_transaction(struct client *client) {
    for (size_t i = 0; i < client->queue_count; i++) {
        memory_free(client->queue[i].args);
    }
    memory_free(client->queue);
    client->queue = NULL;
    client->queue_count = 0;
    client->queue_capacity = 0;
    client->queue_bytes = 0;
    client->queue_flags = 0;
    client->queue_denies_loading = false;
    client->flags &=
        ~(uint32_t)(CLIENT_IN_TRANSACTION | CLIENT_TRANSACTION_FAILED | CLIENT_WATCH_BROKEN);
}
