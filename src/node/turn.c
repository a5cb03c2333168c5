/* SPDX-License-Identifier: BSD-3-Clause */
/* One turn: bytes become requests, requests are executed in batches, replies wait for the log.
 *
 * Batching is the design. Requests of all clients that have input are collected, up to BATCH of
 * them; then the table's buckets of their first keys are asked for, then the entries, and by the
 * time the first one runs its memory is on the way. The prefetches are hints: nothing depends on
 * them.
 *
 * A request that turns out not to be executable now (its client got blocked, paused or closed by
 * one before it) is forgotten and parsed again later: `in_parsed` falls back to `in_used`. */
#include "node/turn.h"

#include "base/memory.h"
#include "log/log_stream.h"
#include "node/node_mesh.h"
#include "node/publish.h"
#include "node/session_token.h"
#include "store/prefetch.h"

enum {
    BATCH = 64,
    INPUT_BYTES_MIN = 16 << 10,
    INPUT_BYTES_STEP = 256 << 10,
    INPUT_BYTES_BEHIND = 64,     /* room behind a large argument, for the options of SET */
    INPUT_BYTES_LENT = 32 << 10, /* at least: a block of input that may become a value's */
    OUTPUT_BYTES_MIN = 16 << 10,
    OUTPUT_BYTES_MAX_UNAUTHENTICATED = 17 << 10,
    SPARE_BUFFERS_MAX = 64,
    SPARE_BUFFER_BYTES_MAX = 64 << 10, /* larger ones are not kept */
    ARGS_KEPT_MAX = 8192,              /* after a batch; a request may have a million */
    RECORD_BYTES = 16 << 10,           /* of changes become a record of the log */
    TURN_LOG_BYTES = 192 << 10,        /* of records end a turn */
};

struct batch_request {
    struct client *client;
    const struct command *row;
    size_t args_first, args_count; /* in turn_args */
    size_t input_end;              /* offset in client->in behind the request */
    uint64_t hash;
    bool has_hash;
    /* For fetching ahead: where its key leads, probably, or NULL; and the element asked for. */
    const struct collection *collection;
    bool has_element;
    uint64_t element_hash;
};

/* ---- buffers on loan ---- */

static void buffer_lend(struct node *node, struct buffer *buffer, size_t bytes_min) {
    if (node->spare_count > 0) {
        *buffer = node->spare_buffers[--node->spare_count];
    } else {
        *buffer = (struct buffer){0};
        (void)buffer_reserve(buffer, bytes_min);
    }
}

static void buffer_take_back(struct node *node, struct buffer *buffer) {
    if (buffer->capacity == 0) {
        return;
    }
    if (node->spare_buffers == NULL) {
        node->spare_buffers = memory_alloc(SPARE_BUFFERS_MAX * sizeof(struct buffer));
    }
    if (node->spare_count < SPARE_BUFFERS_MAX && buffer->capacity <= SPARE_BUFFER_BYTES_MAX &&
        buffer->capacity >= INPUT_BYTES_MIN) {
        buffer_clear(buffer);
        node->spare_buffers[node->spare_count++] = *buffer;
        *buffer = (struct buffer){0};
    } else {
        buffer_deinit(buffer);
    }
}

void turn_deinit(struct node *node) {
    for (unsigned i = 0; i < node->spare_count; i++) {
        buffer_deinit(&node->spare_buffers[i]);
    }
    memory_free(node->spare_buffers);
    memory_free(node->batch);
    request_args_deinit(&node->turn_args);
    buffer_deinit(&node->turn_scratch);
    buffer_deinit(&node->running_pushes);
    buffer_deinit(&node->publish_channel);
    for (unsigned form = 0; form < PUBLISH_FORMS; form++) {
        buffer_deinit(&node->publish_forms[form]);
    }
}

/* ---- clients ---- */

static const char PROTECTED_TEXT[] =
    "-DENIED Redis is running in protected mode because protected mode is enabled and no password "
    "is set for the default user. In this mode connections are only accepted from the loopback "
    "interface. If you want to connect from external computers to Redis you may adopt one of the "
    "following solutions: 1) Just disable protected mode sending the command 'CONFIG SET "
    "protected-mode no' from the loopback interface by connecting to Redis from the same host the "
    "server is running, however MAKE SURE Redis is not publicly accessible from internet if you do "
    "so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable "
    "the protected mode by editing the Redis configuration file, and setting the protected mode "
    "option to 'no', and then restarting the server. 3) If you started the server manually just "
    "for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication "
    "password for the default user. NOTE: You only need to do one of the above things in order for "
    "the server to start accepting connections from the outside.\r\n";

struct client *node_client_open(struct node *node, const struct client_opts *opts,
                                const char **refusal) {
    if (node->clients_count >= (unsigned)node->options->maxclients) {
        node->stats.connections_rejected++;
        *refusal = "-ERR max number of clients reached\r\n";
        return NULL;
    }
    bool has_password = node->options->requirepass[0] != '\0';
    if (node->options->protected_mode && !has_password && !opts->is_local) {
        node->stats.connections_rejected++;
        *refusal = PROTECTED_TEXT;
        return NULL;
    }
    struct client *client = memory_alloc_zero(sizeof(*client));
    client->id = node->next_client_id++;
    client->node = node;
    client->connection = opts->connection;
    client->address = memory_copy_text(opts->address);
    client->local_address = memory_copy_text(opts->local_address);
    client->descriptor = opts->descriptor;
    client->reply = (struct reply){.out = &client->out, .protocol = 2};
    client->created_ms = client->active_ms = node->now_ms;
    client->flags = (opts->is_unix_socket ? (uint32_t)CLIENT_UNIX_SOCKET : 0) |
                    (opts->is_local ? (uint32_t)CLIENT_LOCAL : 0) |
                    (has_password ? 0 : (uint32_t)CLIENT_AUTHENTICATED);
    client->previous = node->clients_last;
    if (node->clients_last != NULL) {
        node->clients_last->next = client;
    } else {
        node->clients = client;
    }
    node->clients_last = client;
    node->clients_count++;
    node->stats.connections_received++;
    return client;
}

/* Takes the client out of one of the node's singly linked lists; `offset` is that of its link. */
static void list_remove(struct client **head, struct client **last, struct client *client,
                        size_t offset) {
    struct client *before = NULL;
    for (struct client *at = *head; at != NULL;) {
        struct client **link = (struct client **)((char *)at + offset);
        if (at == client) {
            if (before != NULL) {
                *(struct client **)((char *)before + offset) = *link;
            } else {
                *head = *link;
            }
            if (last != NULL && *last == client) {
                *last = before;
            }
            *link = NULL;
            return;
        }
        before = at;
        at = *link;
    }
}

void node_client_free(struct client *client) {
    struct node *node = client->node;
    node_unwatch_all(client);
    publish_forget_client(client);
    node_forget_client_memory(client);
    client_discard_transaction(client);
    if ((client->flags & CLIENT_MONITOR) != 0) {
        node->monitors_count--;
    }
    blocking_stop(client);
    migration_abort(client);
    if ((client->flags & CLIENT_BLOCKED) != 0) {
        node->blocked_count--;
    }
    if ((client->flags & CLIENT_PAUSED) != 0) {
        node->paused_count--;
    }
    if ((client->flags & CLIENT_IS_READY) != 0) {
        list_remove(&node->ready, &node->ready_last, client, offsetof(struct client, next_ready));
    }
    if ((client->flags & CLIENT_HAS_OUTPUT) != 0) {
        list_remove(&node->output, &node->output_last, client,
                    offsetof(struct client, next_output));
    }
    if (client->holds_count > 0) {
        list_remove(&node->held, NULL, client, offsetof(struct client, next_held));
    }
    if (client->previous != NULL) {
        client->previous->next = client->next;
    } else {
        node->clients = client->next;
    }
    if (client->next != NULL) {
        client->next->previous = client->previous;
    } else {
        node->clients_last = client->previous;
    }
    node->clients_count--;
    request_parser_deinit(&client->parser);
    buffer_take_back(node, &client->in);
    buffer_take_back(node, &client->out);
    session_token_free(client->wait_token);
    memory_free(client->holds);
    memory_free(client->name);
    memory_free(client->library_name);
    memory_free(client->library_version);
    memory_free(client->address);
    memory_free(client->local_address);
    memory_free(client);
}

void node_client_wants_output(struct client *client) {
    struct node *node = client->node;
    if ((client->flags & CLIENT_HAS_OUTPUT) != 0) {
        return;
    }
    client->flags |= CLIENT_HAS_OUTPUT;
    client->next_output = NULL;
    if (node->output_last != NULL) {
        node->output_last->next_output = client;
    } else {
        node->output = client;
    }
    node->output_last = client;
}

struct client *node_take_output(struct node *node) {
    struct client *client = node->output;
    if (client != NULL) {
        node->output = client->next_output;
        if (node->output == NULL) {
            node->output_last = NULL;
        }
        client->next_output = NULL;
        client->flags &= ~(uint32_t)CLIENT_HAS_OUTPUT;
    }
    return client;
}

void node_client_close(struct client *client, bool after_reply) {
    client->flags |= after_reply ? CLIENT_CLOSE_AFTER_REPLY : CLIENT_CLOSE_NOW;
    if (!after_reply) {
        node_forget_client_memory(client);
        /* A request that is being executed is needed to its end. */
        if (client->blocked != NULL && client != client->node->running) {
            blocking_stop(client);
        }
        migration_abort(client);
    }
    node_client_wants_output(client);
}

void node_client_block(struct client *client, int64_t until_ms) {
    require((client->flags & CLIENT_BLOCKED) == 0);
    client->flags |= CLIENT_BLOCKED;
    client->block_until_ms = until_ms;
    client->node->blocked_count++;
}

void node_client_unblock(struct client *client) {
    require((client->flags & CLIENT_BLOCKED) != 0);
    blocking_stop(client);
    if ((client->flags & CLIENT_BLOCKED) != 0) {
        client->flags &= ~(uint32_t)CLIENT_BLOCKED;
        client->node->blocked_count--;
    }
    session_token_free(client->wait_token);
    client->wait_token = NULL;
    node_count_client_memory(client);
    node_client_wants_output(client);
    turn_make_ready(client);
}

/* ---- input ---- */

void turn_make_ready(struct client *client) {
    struct node *node = client->node;
    if ((client->flags & CLIENT_IS_READY) != 0) {
        return;
    }
    client->flags |= CLIENT_IS_READY;
    client->next_ready = NULL;
    if (node->ready_last != NULL) {
        node->ready_last->next_ready = client;
    } else {
        node->ready = client;
    }
    node->ready_last = client;
}

/* Of the request that the input ends with. What was not parsed yet is looked at once a buffer is
 * full of it, and then only the first request of it; before AUTH, not at all. */
static struct request_outlook look_ahead(const struct client *client) {
    struct slice rest =
        slice_make(client->in.data + client->in_parsed, client->in.size - client->in_parsed);
    bool is_parsed = client->parser.bulk_bytes > 0;
    bool may_look = rest.size >= INPUT_BYTES_MIN && (client->flags & CLIENT_AUTHENTICATED) != 0;
    return is_parsed || may_look ? request_look_ahead(&client->parser, rest)
                                 : (struct request_outlook){0};
}

bool node_client_has_large_request(const struct client *client) {
    return client->in.size - client->in_parsed >= INPUT_BYTES_LENT &&
           look_ahead(client).end == client->in.size - client->in_parsed;
}

char *node_client_input_space(struct client *client, size_t *room) {
    struct buffer *in = &client->in;
    if (in->capacity == 0) {
        buffer_lend(client->node, in, INPUT_BYTES_MIN);
    }
    /* A large argument gets its room as it arrives, doubling: a mere claim costs little. */
    size_t missing = look_ahead(client).missing;
    size_t wanted = in->size > INPUT_BYTES_STEP ? in->size : INPUT_BYTES_STEP;
    wanted = missing < wanted ? missing : wanted;
    wanted = wanted > INPUT_BYTES_MIN ? wanted : INPUT_BYTES_MIN;
    /* Made for this argument, which is nearly here: what comes behind it can wait. So the block may
     * become the value's, as it is: block_to_lend(). */
    size_t left = in->capacity - in->size;
    bool is_exact = missing > 0 && left >= missing && left <= missing + INPUT_BYTES_BEHIND;
    if (missing == 0 && left > 0 && left <= INPUT_BYTES_BEHIND && in->size >= INPUT_BYTES_LENT) {
        *room = left;
        return in->data + in->size;
    }
    if (!is_exact && in->capacity - in->size < (in->size == 0 ? INPUT_BYTES_MIN : wanted)) {
        if (missing > INPUT_BYTES_MIN || in->size > INPUT_BYTES_STEP) {
            /* The steps to a large argument grow by themselves, and the last one is exact. Many
             * small ones grow by a quarter at least: doubling much is room for nothing. */
            size_t quarter = missing > INPUT_BYTES_MIN ? 0 : in->size / 4;
            is_exact = missing > 0 && missing == wanted;
            in->capacity = in->size + (wanted > quarter ? wanted : quarter);
            in->capacity += is_exact ? INPUT_BYTES_BEHIND : 0;
            in->data = memory_resize(in->data, in->capacity);
        } else {
            (void)buffer_reserve(in, wanted);
        }
    }
    *room = is_exact ? missing : in->capacity - in->size;
    return in->data + in->size;
}

void node_client_input(struct client *client, size_t size) {
    struct node *node = client->node;
    client->in.size += size;
    client->input_bytes_total += size;
    client->active_ms = node->now_ms;
    node->stats.input_bytes += size;
    node->stats.reads_processed++;
    uint64_t limit = (uint64_t)node->options->client_query_buffer_limit;
    if (unlikely(client->in.size - client->in_used > limit)) {
        node_message(node, LOG_LEVEL_WARNING,
                     "Closing client that reached max query buffer length: %s", client->address);
        node->stats.query_limit_disconnections++;
        node_client_close(client, false);
        return;
    }
    node_count_client_memory(client);
    turn_make_ready(client);
}

static bool is_stopped(const struct client *client) {
    return (client->flags &
            (CLIENT_CLOSE_AFTER_REPLY | CLIENT_CLOSE_NOW | CLIENT_BLOCKED | CLIENT_PAUSED)) != 0;
}

static void lend_output(struct node *node, struct client *client) {
    if (client->out.capacity == 0) {
        buffer_lend(node, &client->out, OUTPUT_BYTES_MIN);
    }
}

static void reply_protocol_error(struct node *node, struct client *client, const char *error) {
    lend_output(node, client);
    reply_error(&client->reply, error);
    node->stats.total_error_replies++;
    node_message(node, LOG_LEVEL_VERBOSE, "Protocol error from client %s: %s", client->address,
                 error);
    node_client_close(client, true);
}

/* Cuts requests out of a client's input until there are no more or the batch is full. Returns the
 * number of requests in the batch; `*wants_more` says that the client is not through. */
static size_t batch_collect(struct node *node, struct client *client, size_t count,
                            bool *wants_more) {
    struct request_limits limits = {
        .bulk_bytes_max = (uint64_t)node->options->proto_max_bulk_len,
        .is_authenticated = (client->flags & CLIENT_AUTHENTICATED) != 0,
    };
    *wants_more = false;
    while (!is_stopped(client)) {
        if (count == BATCH) {
            *wants_more = true;
            return count;
        }
        struct slice rest =
            slice_make(client->in.data + client->in_parsed, client->in.size - client->in_parsed);
        struct batch_request *request = &node->batch[count];
        size_t used = 0;
        char error[REQUEST_ERROR_BYTES_MAX];
        request->args_first = node->turn_args.count;
        enum request_status status = request_parse(&client->parser, rest, &limits, &node->turn_args,
                                                   &used, &node->turn_scratch, error);
        switch (status) {
        case REQUEST_INCOMPLETE:
            return count;
        case REQUEST_AGAIN:
            *wants_more = true;
            return count;
        case REQUEST_INVALID:
            /* What came before it is executed first. */
            if (client->in_parsed != client->in_used) {
                *wants_more = true;
                request_parser_deinit(&client->parser);
                return count;
            }
            reply_protocol_error(node, client, error);
            return count;
        case REQUEST_EMPTY:
            client->in_parsed += used;
            continue;
        case REQUEST_COMPLETE:
            break;
        }
        client->in_parsed += used;
        request->client = client;
        request->args_count = node->turn_args.count - request->args_first;
        request->input_end = client->in_parsed;
        const struct slice *args = node->turn_args.items + request->args_first;
        request->row = command_table_find(&node->commands, args[0]);
        request->has_hash = request->row != NULL && request->row->keys.first > 0 &&
                            (size_t)request->row->keys.first < request->args_count;
        if (likely(request->has_hash)) {
            request->hash = store_hash(&node->store, args[request->row->keys.first]);
            store_prefetch(&node->store, client->db, request->hash);
        }
        count++;
        /* Before AUTH each request may change what the next one is allowed. */
        if (unlikely(!limits.is_authenticated)) {
            *wants_more = true;
            return count;
        }
    }
    return count;
}

const int64_t *node_output_bytes_max(const struct client *client) {
    bool is_pubsub = (client->flags & CLIENT_PUBSUB) != 0;
    return &client->node->options->client_output_buffer_limit
                .classes[is_pubsub ? OPTION_CLIENT_PUBSUB : OPTION_CLIENT_NORMAL]
                .hard_bytes;
}

/* Closes the client when `bytes` of output are more than its hard limit; true if they are. */
static bool check_output_bytes(struct node *node, struct client *client, size_t bytes) {
    int64_t hard = *node_output_bytes_max(client);
    /* Whoever has not shown a password must not be able to fill the memory with errors. */
    if (unlikely((client->flags & CLIENT_AUTHENTICATED) == 0) &&
        (hard == 0 || hard > OUTPUT_BYTES_MAX_UNAUTHENTICATED)) {
        hard = OUTPUT_BYTES_MAX_UNAUTHENTICATED;
    }
    if (likely(hard == 0 || bytes <= (uint64_t)hard)) {
        return false;
    }
    node_message(node, LOG_LEVEL_WARNING,
                 "Client %s closed for overcoming of output buffer limits.", client->address);
    node->stats.output_limit_disconnections++;
    node_client_close(client, false);
    return true;
}

static bool check_output_limit(struct node *node, struct client *client) {
    return check_output_bytes(node, client, client->out.size - client->out_start);
}

void node_client_push(struct client *client, struct slice bytes) {
    struct node *node = client->node;
    if ((client->flags & (CLIENT_CLOSE_AFTER_REPLY | CLIENT_CLOSE_NOW)) != 0) {
        return;
    }
    bool is_running = client == node->running;
    struct buffer *out = is_running ? &node->running_pushes : &client->out;
    size_t pending = client->out.size - client->out_start + (is_running ? out->size : 0);
    if (check_output_bytes(node, client, pending + bytes.size)) {
        return;
    }
    /* From the pool only, else no more than is needed: there may be very many subscribers. */
    if (out->capacity == 0 && node->spare_count > 0) {
        buffer_lend(node, out, OUTPUT_BYTES_MIN);
    }
    buffer_append_slice(out, bytes);
    if (!is_running) {
        node_client_wants_output(client);
        node_count_client_memory(client);
    }
}

/* What was pushed to the client while its request was executed follows the reply. */
static void batch_take_pushes(struct node *node, struct client *client) {
    if (likely(node->running_pushes.size == 0)) {
        return;
    }
    buffer_append_slice(&client->out, buffer_slice(&node->running_pushes));
    if (node->running_pushes.capacity > SPARE_BUFFER_BYTES_MAX) {
        buffer_deinit(&node->running_pushes);
        node->running_pushes = (struct buffer){0};
    }
    buffer_clear(&node->running_pushes);
}

/* Forgets the parsed requests of a client that cannot be executed now: they are parsed again. It
 * happens at once, as a later request in the batch may set the client going again. */
static void batch_put_back(struct client *client) {
    if (client->in_parsed != client->in_used) {
        client->in_parsed = client->in_used;
        request_parser_deinit(&client->parser);
    }
}

/* What there is goes out, with what was pushed meanwhile; without any the buffer goes back. */
static void batch_send(struct node *node, struct client *client) {
    batch_take_pushes(node, client);
    if (likely(client->out.size > 0)) {
        node_client_wants_output(client);
    } else {
        buffer_take_back(node, &client->out);
    }
}

static void batch_finish_reply(struct node *node, struct client *client) {
    batch_send(node, client);
    if (!check_output_limit(node, client)) {
        node_count_client_memory(client);
    }
}

/* The client's input, if it is large and nothing is in there that comes after the request. */
static struct lent_block block_to_lend(const struct batch_request *request) {
    const struct buffer *in = &request->client->in;
    bool is_last = in->capacity >= INPUT_BYTES_LENT && in->size == request->input_end;
    return is_last ? (struct lent_block){.data = in->data, .capacity = in->capacity}
                   : (struct lent_block){0};
}

/* The input became a value, whose entry may go with the next command: arguments are gone, too. */
static void batch_forget_input(struct client *client) {
    client->in = (struct buffer){0};
    client->in_used = client->in_parsed = 0;
}

static void batch_execute_one(struct node *node, const struct batch_request *request) {
    struct client *client = request->client;
    struct lent_block lent = block_to_lend(request);
    lend_output(node, client);
    size_t out_before = client->out.size;
    bool skips_this = (client->flags & CLIENT_REPLY_SKIP) != 0;
    node->running = client;
    node->lent = lent.data != NULL ? &lent : NULL;
    node_dispatch(node, client, node->turn_args.items + request->args_first, request->args_count,
                  request->row, request->hash, request->has_hash);
    node->lent = NULL;
    node->running = NULL;
    if (unlikely((client->flags & CLIENT_PAUSED) != 0)) {
        batch_send(node, client);
        batch_put_back(client);
        return;
    }
    client->in_used = request->input_end;
    if (unlikely(lent.is_taken)) {
        batch_forget_input(client);
    }
    if (unlikely((client->flags &
                  (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT)) != 0)) {
        if (skips_this || (client->flags & CLIENT_REPLY_OFF) != 0) {
            client->out.size = out_before;
        }
        bool skips_next = (client->flags & CLIENT_REPLY_SKIP_NEXT) != 0;
        client->flags &= ~(uint32_t)(CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT);
        client->flags |= skips_next ? (uint32_t)CLIENT_REPLY_SKIP : 0;
    }
    batch_finish_reply(node, client);
    if (unlikely(key_queues_has_ready(&node->blocking.queues))) {
        (void)blocking_serve(node);
    }
}

bool turn_run_again(struct client *client, const struct key *key) {
    struct node *node = client->node;
    bool skips = client->blocked->skips_reply || (client->flags & CLIENT_REPLY_OFF) != 0;
    lend_output(node, client);
    size_t out_before = client->out.size;
    node->running = client;
    bool is_done = node_call_again(node, client, key);
    node->running = NULL;
    if (skips) {
        client->out.size = out_before;
    }
    batch_finish_reply(node, client);
    return is_done;
}

/* Asks for what the requests are going to read, a stage for all of them at a time: prefetch.h. */
static void batch_prefetch(struct node *node, size_t count) {
    const struct store *store = &node->store;
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct batch_request *request = &node->batch[i];
        if (request->has_hash) {
            store_prefetch_entry(store, request->client->db, request->hash);
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct batch_request *request = &node->batch[i];
        request->collection = request->has_hash && request->row->element_arg != 0
                                  ? store_prefetch_value(store, request->client->db, request->hash)
                                  : NULL;
        found += request->collection != NULL;
    }
    if (found == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct batch_request *request = &node->batch[i];
        if (request->collection != NULL) {
            unsigned place = request->row->element_arg;
            const struct slice *args = node->turn_args.items + request->args_first;
            request->has_element = place != COMMAND_FETCHES_ENDS && place < request->args_count;
            if (request->has_element) {
                request->element_hash = hash_bytes(store->element_seed, args[place]);
            }
            collection_prefetch(request->collection);
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct batch_request *request = &node->batch[i];
        if (request->collection != NULL) {
            collection_prefetch_place(request->collection,
                                      request->has_element ? &request->element_hash : NULL);
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct batch_request *request = &node->batch[i];
        if (request->collection != NULL && request->has_element) {
            collection_prefetch_entry(request->collection, request->element_hash);
        }
    }
}

static void batch_execute(struct node *node, size_t count) {
    batch_prefetch(node, count);
    for (size_t i = 0; i < count; i++) {
        const struct batch_request *request = &node->batch[i];
        if (likely(!is_stopped(request->client))) {
            batch_execute_one(node, request);
        } else {
            batch_put_back(request->client);
        }
    }
    node->turn_args.count = 0;
    if (unlikely(node->turn_args.capacity > ARGS_KEPT_MAX)) {
        request_args_deinit(&node->turn_args);
    }
    buffer_clear(&node->turn_scratch);
}

/* Gives back the memory of executed input. Only between batches: arguments point into it. */
static void client_release_input(struct client *client) {
    if (!is_stopped(client)) {
        client->in_used = client->in_parsed;
    }
    if (client->in_used == client->in.size) {
        client->in_used = client->in_parsed = 0;
        buffer_take_back(client->node, &client->in);
        return;
    }
    /* Moving the rest to the front costs what it is long: worth it only once as much was used. */
    if (client->in_used >= client->in.size - client->in_used) {
        buffer_consume(&client->in, client->in_used);
        client->in_parsed -= client->in_used;
        client->in_used = 0;
    }
}

/* The bytes of a change are copied a few times on their way to the log and to peers. Each of these
 * copies is cheap as long as the bytes lie in the processor's cache: so many changes become several
 * records, and end the turn. */
static void run_ready(struct node *node) {
    struct client *done[BATCH + 1];
    const uint64_t begin = log_streams_version(node->log);
    /* A small backlog must still have them when they are pushed, behind the turn. */
    const uint64_t backlog_bytes = (uint64_t)node->options->mesh_backlog_size;
    const uint64_t bytes_max =
        TURN_LOG_BYTES < backlog_bytes / 2 ? TURN_LOG_BYTES : backlog_bytes / 2;
    while (node->ready != NULL && log_streams_version(node->log) - begin < bytes_max) {
        size_t count = 0, done_count = 0;
        while (node->ready != NULL && count < BATCH && done_count < BATCH) {
            struct client *client = node->ready;
            bool wants_more;
            node->ready = client->next_ready;
            if (node->ready == NULL) {
                node->ready_last = NULL;
            }
            client->next_ready = NULL;
            client->flags &= ~(uint32_t)CLIENT_IS_READY;
            count = batch_collect(node, client, count, &wants_more);
            done[done_count++] = client;
            if (wants_more) {
                turn_make_ready(client);
                break;
            }
        }
        batch_execute(node, count);
        for (size_t i = 0; i < done_count; i++) {
            client_release_input(done[i]);
            if (is_stopped(done[i]) && (done[i]->flags & CLIENT_IS_READY) != 0) {
                list_remove(&node->ready, &node->ready_last, done[i],
                            offsetof(struct client, next_ready));
                done[i]->flags &= ~(uint32_t)CLIENT_IS_READY;
            }
        }
        if (node->store.journal.bytes.size >= RECORD_BYTES) {
            log_collect(node->log);
        }
    }
}

/* ---- output ---- */

static void client_add_hold(struct client *client, uint64_t position) {
    struct node *node = client->node;
    uint64_t end = client->output_sent + client->out.size - client->out_start;
    if (client->holds_count > 0 && client->holds[client->holds_count - 1].position == position) {
        client->holds[client->holds_count - 1].output_end = end;
        return;
    }
    if (client->holds_count == client->holds_capacity) {
        client->holds_capacity = client->holds_capacity == 0 ? 4 : 2 * client->holds_capacity;
        client->holds =
            memory_resize(client->holds, client->holds_capacity * sizeof(client->holds[0]));
    }
    if (client->holds_count == 0) {
        client->next_held = node->held;
        node->held = client;
    }
    client->holds[client->holds_count++] =
        (struct client_hold){.output_end = end, .position = position};
}

void turn_hold_output(struct node *node) {
    uint64_t position = log_position(node->log);
    if (position <= log_acknowledged_position(node->log)) {
        return;
    }
    for (struct client *client = node->output; client != NULL; client = client->next_output) {
        uint64_t held_end =
            client->holds_count > 0 ? client->holds[client->holds_count - 1].output_end : 0;
        if (client->output_sent + client->out.size - client->out_start > held_end) {
            client_add_hold(client, position);
        }
    }
}

void turn_release_holds(struct node *node) {
    uint64_t acknowledged = log_acknowledged_position(node->log);
    for (struct client **at = &node->held; *at != NULL;) {
        struct client *client = *at;
        size_t released = 0;
        while (released < client->holds_count && client->holds[released].position <= acknowledged &&
               !log_is_in_doubt(node->log, client->holds[released].position)) {
            released++;
        }
        if (released < client->holds_count &&
            log_is_in_doubt(node->log, client->holds[released].position)) {
            /* The write may or may not survive: no reply is the honest one. */
            node_client_close(client, false);
        }
        if (released > 0) {
            client->holds_count -= released;
            memmove(client->holds, client->holds + released,
                    client->holds_count * sizeof(client->holds[0]));
            node_client_wants_output(client);
        }
        if (client->holds_count == 0) {
            *at = client->next_held;
            client->next_held = NULL;
        } else {
            at = &client->next_held;
        }
    }
}

void node_client_sent(struct client *client, size_t size) {
    struct node *node = client->node;
    client->output_sent += size;
    node->stats.output_bytes += size;
    node->stats.writes_processed++;
    client->out_start += size;
    if (client->out_start == client->out.size) {
        buffer_take_back(node, &client->out);
        client->out_start = 0;
        client->soft_limit_since_ms = 0;
    } else if (client->out_start >= client->out.size - client->out_start) {
        /* Moving less than was sent keeps the total linear. */
        buffer_consume(&client->out, client->out_start);
        client->out_start = 0;
    }
    node_count_client_memory(client);
}

static void reserve_batch(struct node *node) {
    if (node->batch == NULL) {
        node->batch = memory_alloc(BATCH * sizeof(node->batch[0]));
    }
}

void node_run_while_reading(struct node *node) {
    require(node->reading.is_on);
    reserve_batch(node);
    run_ready(node);
}

void turn_write_log(struct node *node) {
    if (!log_is_on(node->log)) {
        log_write(node->log, node->now_us);
        return;
    }
    uint64_t began_us = node->host.monotonic_us(node->host.udata);
    log_write(node->log, node->now_us);
    node->stats.log_us += node->host.monotonic_us(node->host.udata) - began_us;
}

void node_run(struct node *node) {
    node->stats.turns++;
    node->stats.turn_first_command = node->stats.commands_processed;
    node->turn_began_us = node->now_us;
    reserve_batch(node);
    /* Writes are refused in a turn that begins with a failing log: its output acknowledges none,
     * and must not wait for a disk that may never come back. */
    bool holds = !log_is_failing(node->log, NULL);
    if (unlikely(node->pause_until_ms != 0) && node->pause_until_ms <= node->now_ms) {
        /* Not only at the next tick: what has expired is no value for the requests of this turn. */
        node_end_pause(node);
    }
    run_ready(node);
    node_mesh_run(node);
    migrations_run(node);
    if (key_queues_has_ready(&node->blocking.queues)) {
        (void)blocking_serve(node);
    }
    turn_write_log(node);
    node_mesh_push(node);
    if (holds) {
        turn_hold_output(node);
    }
    if (node->held != NULL) {
        turn_release_holds(node);
    }
}

void node_disk_done(struct node *node, struct disk_job *job) {
    log_disk_done(node->log, job, node->now_ms, node->now_us);
    if (node->held != NULL) {
        turn_release_holds(node);
    }
}
