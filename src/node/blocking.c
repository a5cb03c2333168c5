/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/blocking.h"

#include "base/memory.h"
#include "node/node_mesh.h"
#include "node/turn.h"

void blocking_init(struct node *node) {
    key_queues_init(&node->blocking.queues, node->store.seed);
}

void blocking_deinit(struct node *node) {
    key_queues_deinit(&node->blocking.queues);
    deadlines_deinit(&node->blocking.deadlines);
}

/* A node that takes over the mesh's state takes over its seed. */
static void follow_seed(struct node *node) {
    struct key_queues *queues = &node->blocking.queues;
    if (unlikely(queues->seed.a != node->store.seed.a || queues->seed.b != node->store.seed.b)) {
        key_queues_take_seed(queues, node->store.seed);
    }
}

/* ---- parking ---- */

static void request_free(struct node *node, struct blocked_request *request) {
    uint64_t queues_before = key_queues_count(&node->blocking.queues);
    key_queues_remove(&node->blocking.queues, &request->waiter);
    node->store.watchers_count -= queues_before - key_queues_count(&node->blocking.queues);
    deadlines_remove(&node->blocking.deadlines, &request->deadline);
    memory_free(request->args);
    memory_free(request);
}

/* Puts the request into the queues of its keys. */
static bool request_queue(struct node *node, struct blocked_request *request,
                          const struct command_wait *wait) {
    struct key_queues *queues = &node->blocking.queues;
    uint64_t queues_before = key_queues_count(queues);
    bool is_done = true;
    follow_seed(node);
    for (size_t i = 0; i < wait->keys_count && is_done; i++) {
        struct key key =
            store_key(&node->store, request->client->db, request->args[wait->keys_first + i]);
        is_done = key_queues_add(queues, &request->waiter, key.db, key.name, key.hash);
    }
    node->store.watchers_count += key_queues_count(queues) - queues_before;
    return is_done;
}

bool blocking_park(const struct command_context *ctx, uint64_t duration_us) {
    struct node *node = ctx->node;
    struct client *client = ctx->client;
    const struct command_wait *wait = ctx->wait;
    require(client->blocked == NULL);
    require(wait->keys_first + wait->keys_count <= ctx->args_count);
    size_t bytes = sizeof(struct blocked_request) + wait->keys_count * sizeof(struct key_place);
    struct blocked_request *request = memory_try_alloc(bytes);
    if (request == NULL) {
        memory_free(wait->args_kept);
        return false;
    }
    *request = (struct blocked_request){
        .client = client,
        .row = ctx->row,
        .args = wait->args_kept,
        .args_count = ctx->args_count,
        .type = wait->type,
        .skips_reply = (client->flags & CLIENT_REPLY_SKIP) != 0,
        .duration_us = duration_us,
        .waiter = {.wants_any = wait->wants_any, .places = request->places},
    };
    if (request->args == NULL || !request_queue(node, request, wait)) {
        request_free(node, request);
        return false;
    }
    request->bytes = bytes + wait->args_kept_bytes + key_queues_bytes(&request->waiter);
    if (wait->timeout_ms != 0) {
        /* By the clock that nobody sets. What is beyond its end is for ever. */
        uint64_t us = (uint64_t)wait->timeout_ms, at_us;
        if (!__builtin_mul_overflow(us, UINT64_C(1000), &us) &&
            !__builtin_add_overflow(us, node->now_us, &at_us)) {
            deadlines_add(&node->blocking.deadlines, &request->deadline, at_us);
        }
    }
    client->blocked = request;
    client->wait = CLIENT_WAIT_KEYS;
    node->blocking.requests_count++;
    node_client_block(client, 0);
    return true;
}

void blocking_stop(struct client *client) {
    struct node *node = client->node;
    if (client->blocked != NULL) {
        request_free(node, client->blocked);
        client->blocked = NULL;
        client->flags &= ~(uint32_t)CLIENT_BLOCKED;
        node->blocking.requests_count--;
        node->blocked_count--;
    }
}

void blocking_end(struct client *client, const char *error) {
    const struct blocked_request *request = client->blocked;
    size_t out_before = client->out.size;
    unsigned errors_before = client->reply.errors_count;
    if (error != NULL) {
        reply_error(&client->reply, error);
    } else {
        reply_null_array(&client->reply);
    }
    node_count_call(client->node, client, request->row, request->args, request->args_count,
                    request->duration_us, errors_before);
    if (request->skips_reply || (client->flags & CLIENT_REPLY_OFF) != 0) {
        client->out.size = out_before;
    }
}

/* ---- serving ---- */

void blocking_touch(struct node *node, const struct key *key, enum store_touch touch) {
    struct key_queues *queues = &node->blocking.queues;
    follow_seed(node);
    if (touch == STORE_TOUCH_KEY || touch == STORE_TOUCH_GROUPS) {
        key_queues_mark(queues, key->db, key->name, key->hash);
    } else {
        key_queues_mark_database(queues, key->db, touch == STORE_TOUCH_ALL_LEAVE);
    }
}

static struct blocked_request *request_of(struct key_waiter *waiter) {
    return (struct blocked_request *)((char *)waiter - offsetof(struct blocked_request, waiter));
}

/* Goes through those who wait for one key. What a request that stays parked has changed, if
 * anything, is no news: else one that changes something each time would never end. */
static void serve_queue(struct node *node, const struct key_queue *queue) {
    struct key_queues *queues = &node->blocking.queues;
    struct key key = {.name = key_queue_name(queue), .hash = queue->hash, .db = queue->db};
    struct key_waiter *waiter;
    while ((waiter = key_queues_next(queues)) != NULL) {
        struct blocked_request *request = request_of(waiter);
        const struct entry *entry = store_peek(&node->store, &key);
        if (entry == NULL && queue->wants_any_count == 0) {
            return;
        }
        if (!waiter->wants_any && (entry == NULL || entry_type(entry) != request->type)) {
            continue;
        }
        struct client *client = request->client;
        uint64_t ready_number = queues->ready_number;
        if (!turn_run_again(client, &key)) {
            key_queues_unmark_after(queues, ready_number);
            if ((client->flags & CLIENT_CLOSE_NOW) != 0) {
                blocking_stop(client);
            }
        } else if (client->blocked != NULL) {
            node_client_unblock(client);
        }
    }
}

bool blocking_serve(struct node *node) {
    struct key_queues *queues = &node->blocking.queues;
    if (node->pause_until_ms > node->now_ms || node_mesh_is_joining(node)) {
        return false;
    }
    const struct key_queue *queue;
    bool is_busy = false;
    follow_seed(node);
    while ((queue = key_queues_begin(queues)) != NULL) {
        serve_queue(node, queue);
        uint64_t queues_before = key_queues_count(queues);
        key_queues_end(queues);
        node->store.watchers_count -= queues_before - key_queues_count(queues);
        is_busy = true;
    }
    /* Looking at a key may have removed it. */
    store_end_unit(&node->store);
    return is_busy;
}

uint64_t blocking_tick(struct node *node) {
    struct deadlines *deadlines = &node->blocking.deadlines;
    struct deadline *first;
    while ((first = deadlines_first(deadlines)) != NULL && first->at_us <= node->now_us) {
        struct blocked_request *request =
            (struct blocked_request *)((char *)first - offsetof(struct blocked_request, deadline));
        struct client *client = request->client;
        blocking_end(client, NULL);
        node_client_unblock(client);
    }
    return first != NULL ? first->at_us - node->now_us : UINT64_MAX;
}
