/* SPDX-License-Identifier: BSD-3-Clause */
/* What lies between the mesh and the data: struct mesh_data on top of store and log.
 *
 * A record from a peer is applied by the store's receiver and then appended to the log as it is, so
 * the log's order is the order of application. Own changes that were made before it are collected
 * first: they never share a record with what came after.
 *
 * Settling and retiring go on in slices, between turns: a frontier that has passed a million
 * contested keys stops nobody. */
#include "node/node_mesh.h"

#include <stdio.h>

#include "base/codec.h"
#include "base/memory.h"
#include "base/varint.h"
#include "log/log_stream.h"
#include "node/node_mesh_state.h"
#include "node/publish.h"
#include "store/contested.h"

enum {
    SETTLE_SLICE_US = 150,
    SETTLE_STEP_ENTRIES = 64,
    /* Between two pushes of changes under load: each costs a write to every peer and an answer. The
     * first after a pause goes at once, and so do all while somebody waits for peers. Each request
     * makes the gap longer: the more there is to do, the fewer pushes there are. */
    PUSH_GAP_US = 300,
    PUSH_GAP_REQUEST_US = 5,
    PUSH_GAP_US_MAX = 2000,
    PUSH_BYTES = 128 << 10, /* so much goes at once */
    SERVE_SLICE_US_MAX = 250,
    SERVE_STEPS_MAX = 4,
    LATE_QUIET_US = 1000000,
    SETTLE_PAUSE_US = 450, /* between slices, while there is more: a quarter of the time */
    RETIRE_STEP_BUCKETS = 256,
    RETIRE_STEPS_MAX = 64,
    RETIRE_PATIENCE_US = 5000000, /* with a slot that is not asked for any more */
    EXPIRE_FOR_ABSENT_MS = 60000, /* then others remove what it let expire */
    RESERVE_DIVISOR = 20,         /* merging goes on up to maxmemory and 5 % */
    BUSY_MESSAGE_MS = 10000,      /* not more often */
    RANGE_DIGEST_BYTES = 20,
};

/* ---- what the mesh asks of the data ---- */

static struct replicas *data_replicas(void *udata) {
    return &((struct node *)udata)->store.replicas;
}

static const struct context *data_context(void *udata) {
    const struct node *node = (const struct node *)udata;
    const struct node_replay *replay = node->mesh_data->replay;
    return replay != NULL ? &replay->before : &node->store.context;
}

static void tell_busy(struct node *node, const char *format, uint64_t a, uint64_t b) {
    struct node_mesh *data = node->mesh_data;
    if (data->busy_told_ms != 0 && node->now_ms - data->busy_told_ms < BUSY_MESSAGE_MS &&
        node->now_ms >= data->busy_told_ms) {
        return;
    }
    data->busy_told_ms = node->now_ms;
    char text[256];
    (void)snprintf(text, sizeof(text), format, (unsigned long long)a, (unsigned long long)b);
    node_message(node, LOG_LEVEL_WARNING, "Changes of other nodes have to wait: %s", text);
}

/* Is there room for changes of others? Evicts, where that is allowed. */
static bool data_has_room(struct node *node) {
    if (log_is_on(node->log) && log_is_failing(node->log, NULL)) {
        tell_busy(node, "the log cannot be written (see above)%.0llu%.0llu", 0, 0);
        return false;
    }
    uint64_t limit = (uint64_t)node->options->maxmemory;
    if (limit == 0) {
        return true;
    }
    uint64_t reserve = limit / RESERVE_DIVISOR;
    uint64_t used = node_memory_counted(node);
    if (used <= limit + reserve) {
        return true;
    }
    (void)node_make_room(node);
    used = node_memory_counted(node);
    if (used <= limit + reserve) {
        return true;
    }
    tell_busy(node,
              "used memory is %llu bytes, above maxmemory (%llu bytes) and its reserve of 5 %%",
              used, limit);
    return false;
}

static enum mesh_apply data_apply(void *udata, struct slice record, struct stream_mark *missing) {
    struct node *node = (struct node *)udata;
    struct node_mesh *data = node->mesh_data;
    if ((data->sync != NULL && !data->has_finished_sync) || !data_has_room(node)) {
        return MESH_APPLY_BUSY;
    }
    switch (receiver_take(&data->receiver, record)) {
    case RECEIVE_OK:
        return MESH_APPLY_OK;
    case RECEIVE_DUPLICATE:
        return MESH_APPLY_DUPLICATE;
    case RECEIVE_GAP:
        return MESH_APPLY_GAP;
    case RECEIVE_EARLY:
        *missing = (struct stream_mark){.ref = data->receiver.missing_ref,
                                        .ticks = data->receiver.missing_ticks};
        return MESH_APPLY_EARLY;
    case RECEIVE_ASK:
        return MESH_APPLY_ASK;
    case RECEIVE_UNKNOWN:
        return MESH_APPLY_UNKNOWN;
    case RECEIVE_MALFORMED:
        return MESH_APPLY_MALFORMED;
    case RECEIVE_FULL:
        /* The next try finds a gap, and asks for the unit from its beginning. */
        tell_busy(node,
                  "transactions that are not whole yet hold %llu bytes, and may hold %llu bytes",
                  data->receiver.kept_bytes, RECEIVE_KEPT_BYTES_MAX);
        break;
    case RECEIVE_OUT_OF_MEMORY:
        break;
    }
    return MESH_APPLY_BUSY;
}

static struct slice data_questions(void *udata) {
    return buffer_slice(&((struct node *)udata)->mesh_data->receiver.questions);
}

static bool data_answered(void *udata, struct slice answer) {
    return receiver_answered(&((struct node *)udata)->mesh_data->receiver, answer);
}

static bool data_answer(void *udata, struct slice question, struct buffer *answer) {
    const struct node *node = (const struct node *)udata;
    return node->mesh_data->sync != NULL || amounts_answer(&node->store, question, answer);
}

static void before_apply(void *udata) {
    node_mesh_collect((struct node *)udata);
}

/* Is something settled here that the author of the record had not seen? It was forgotten, then, and
 * has come back. What the log is replayed to after a restart is not settled yet, and the record may
 * cover a part of it, so that the replay ends with another value than this node has now. */
static bool is_late(const struct node *node, unsigned author) {
    const struct replicas *replicas = &node->store.replicas;
    const struct context *settled = &node->mesh_data->frontier;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (!replicas_has_seen(replicas, author, settled->stamps[slot])) {
            return true;
        }
    }
    return false;
}

static void on_applied(void *udata, struct slice record) {
    struct node *node = (struct node *)udata;
    /* While a state is taken over, what is settled is what was in the one before. */
    if (node->mesh_data->sync == NULL && is_late(node, node->mesh_data->receiver.record_slot)) {
        node->mesh_data->late_us = node->now_us;
        node->stats.late_records++;
    }
    uint64_t changes = node->mesh_data->receiver.record_changes;
    if (node->mesh_data->replay == NULL) {
        log_append_record(node->log, record, changes);
    } else {
        node_mesh_join_keep(node, record, changes);
    }
}

static uint64_t data_received_ticks(void *udata, unsigned slot) {
    return receiver_ticks(&((struct node *)udata)->mesh_data->receiver, slot);
}

static void data_forget_unit(void *udata, unsigned slot) {
    receiver_forget_unit(&((struct node *)udata)->mesh_data->receiver, slot);
}

static void *data_stream_new(void *udata) {
    return log_stream_new(((struct node *)udata)->log);
}

static void data_stream_free(void *udata, void *stream) {
    (void)udata;
    log_stream_free((struct log_stream *)stream);
}

/* What is going to be written again is nobody's to have as it was. */
static bool log_is_withheld(const struct node_mesh *data) {
    return data->sync != NULL && data->mode == MESH_JOIN_REBASE && !data->has_finished_sync;
}

static bool data_stream_seek(void *udata, void *stream, const struct context *seen,
                             const bool *is_wanted) {
    return !log_is_withheld(((struct node *)udata)->mesh_data) &&
           log_stream_seek((struct log_stream *)stream, seen, is_wanted) != LOG_STREAM_LOST;
}

static enum mesh_read data_stream_next(void *udata, void *stream, struct stream_record *record,
                                       struct stream_bytes *bytes) {
    if (log_is_withheld(((struct node *)udata)->mesh_data)) {
        return MESH_READ_LOST;
    }
    *bytes = (struct stream_bytes){0};
    switch (log_stream_next((struct log_stream *)stream, record, &bytes->record)) {
    case LOG_STREAM_RECORD:
        bytes->block =
            log_stream_block((const struct log_stream *)stream, bytes->record, &bytes->framed);
        return MESH_READ_RECORD;
    case LOG_STREAM_END:
        return MESH_READ_END;
    case LOG_STREAM_WAIT:
        return MESH_READ_WAIT;
    case LOG_STREAM_LOST:
        break;
    }
    return MESH_READ_LOST;
}

static bool data_reaches_back(void *udata, const struct context *seen, const bool *is_wanted) {
    const struct node *node = (const struct node *)udata;
    return !log_is_withheld(node->mesh_data) && log_reaches_back(node->log, seen, is_wanted);
}

static uint64_t data_changes_since(void *udata, uint64_t stamp) {
    return log_changes_since(((struct node *)udata)->log, stamp);
}

static void data_settle(void *udata, const struct context *frontier) {
    struct node_mesh *data = ((struct node *)udata)->mesh_data;
    data->frontier = *frontier;
    data->settles = true;
}

/* For a slice of time: the mesh asks again. One slot after the other, since a walk over all keys is
 * for one. */
static bool data_retire(void *udata, unsigned slot) {
    struct node *node = (struct node *)udata;
    struct node_mesh *data = node->mesh_data;
    if (data->retired_slot != 0 && data->retired_slot != slot &&
        node->now_us - data->retired_us < RETIRE_PATIENCE_US) {
        return false;
    }
    data->retired_slot = slot;
    data->retired_us = node->now_us;
    uint64_t began_us = node->host.monotonic_us(node->host.udata);
    for (unsigned i = 0; i < RETIRE_STEPS_MAX; i++) {
        if (store_retire_some(&node->store, slot, &data->frontier, RETIRE_STEP_BUCKETS)) {
            data->retired_slot = 0;
            data->frontier.stamps[slot] = 0; /* the next one's begin anew */
            return true;
        }
        if (node->host.monotonic_us(node->host.udata) - began_us >= SETTLE_SLICE_US) {
            break;
        }
    }
    return false;
}

static bool data_new_generation(void *udata, uint64_t generation) {
    struct node *node = (struct node *)udata;
    store_end_unit(&node->store);
    log_collect(node->log);
    if (log_begin_replica(node->log, generation) != LOG_OK) {
        node_message(node, LOG_LEVEL_WARNING, "%s", log_error(node->log));
        return false;
    }
    node->store.is_alone = false;
    return true;
}

static uint64_t data_keys_count(void *udata) {
    const struct node *node = (const struct node *)udata;
    uint64_t count = 0;
    for (unsigned db = 0; db < node->store.dbs_count; db++) {
        count += store_visible_count(&node->store, db);
    }
    return count;
}

static unsigned data_databases_count(void *udata) {
    return ((struct node *)udata)->store.dbs_count;
}

static void data_hash_seed(void *udata, uint64_t seed[2]) {
    const struct store *store = &((struct node *)udata)->store;
    seed[0] = store->seed.a;
    seed[1] = store->seed.b;
}

/* ---- sums of ranges, for MESH CHECK ---- */

struct range_sums {
    const struct store *store;
    unsigned db, ranges;
    uint64_t *sums;
};

static void range_visit(void *item, void *udata) {
    static const struct hash_seed SHARED_SEED = {UINT64_C(0x5354415224),
                                                 UINT64_C(0x9E3779B97F4A7C15)};
    const struct range_sums *sums = (const struct range_sums *)udata;
    const struct entry *entry = (const struct entry *)item;
    uint8_t digest[RANGE_DIGEST_BYTES];
    uint64_t word;
    if (entry_is_hidden(entry)) {
        return; /* as in DEBUG DIGEST: it goes at each node in its own time */
    }
    store_entry_digest(sums->store, sums->db, entry, digest);
    memcpy(&word, digest, sizeof(word));
    uint64_t hash = hash_bytes(SHARED_SEED, entry_key(entry));
    sums->sums[part_of(hash, sums->ranges)] += word;
}

static void data_range_digests(void *udata, unsigned ranges, uint64_t *digests) {
    const struct store *store = &((struct node *)udata)->store;
    memset(digests, 0, ranges * sizeof(digests[0]));
    for (unsigned db = 0; db < store->dbs_count; db++) {
        struct range_sums sums = {.store = store, .db = db, .ranges = ranges, .sums = digests};
        uint64_t position = 0;
        do {
            position = table_walk(&store->dbs[db].table, position, range_visit, &sums);
        } while (position != 0);
    }
}

/* ---- messages for everybody ---- */

static bool data_broadcast(void *udata, struct slice bytes) {
    return publish_from_peer((struct node *)udata, bytes);
}

/* ---- hooks of the store ---- */

static bool may_expire(void *udata, uint64_t stamp) {
    const struct node *node = (const struct node *)udata;
    const struct replicas *replicas = &node->store.replicas;
    unsigned slot = stamp_slot(stamp);
    return slot == STAMP_SLOT_SETTLED || node->mesh == NULL ||
           (slot < replicas->slots_count && replicas->slots[slot].ref != 0 &&
            replicas_is_of_self(replicas, slot)) ||
           !mesh_is_replica_alive(node->mesh, slot, EXPIRE_FOR_ABSENT_MS);
}

static struct replica_id id_of(const struct store *store, uint64_t stamp) {
    unsigned slot = stamp_slot(stamp);
    return slot != STAMP_SLOT_SETTLED && slot < store->replicas.slots_count
               ? store->replicas.slots[slot].id
               : (struct replica_id){0};
}

static void on_conflict(void *udata, const struct key *key, enum store_conflict kind,
                        uint64_t winner, uint64_t loser) {
    struct node *node = (struct node *)udata;
    struct node_mesh *data = node->mesh_data;
    if (data == NULL) {
        return; /* from the log, at the start */
    }
    if (data->conflicts == NULL) {
        data->conflicts = memory_alloc_zero(NODE_MESH_CONFLICTS_MAX * sizeof(data->conflicts[0]));
    }
    struct node_conflict *conflict = &data->conflicts[data->conflicts_next];
    *conflict = (struct node_conflict){.unix_ms = node->now_ms,
                                       .kind = kind,
                                       .db = key != NULL ? key->db : 0,
                                       .winner = winner,
                                       .loser = loser,
                                       .winner_id = id_of(&node->store, winner),
                                       .loser_id = id_of(&node->store, loser),
                                       .key_bytes = key != NULL ? key->name.size : 0};
    size_t size =
        conflict->key_bytes < sizeof(conflict->key) ? conflict->key_bytes : sizeof(conflict->key);
    if (size > 0) {
        memcpy(conflict->key, key->name.data, size);
    }
    data->conflicts_next = (data->conflicts_next + 1) % NODE_MESH_CONFLICTS_MAX;
    if (data->conflicts_count < NODE_MESH_CONFLICTS_MAX) {
        data->conflicts_count++;
    }
}

size_t node_mesh_conflicts_count(const struct node *node) {
    return node->mesh_data != NULL ? node->mesh_data->conflicts_count : 0;
}

const struct node_conflict *node_mesh_conflict(const struct node *node, size_t index) {
    const struct node_mesh *data = node->mesh_data;
    require(index < data->conflicts_count);
    return &data->conflicts[(data->conflicts_next + NODE_MESH_CONFLICTS_MAX - 1 - index) %
                            NODE_MESH_CONFLICTS_MAX];
}

/* ---- options ---- */

unsigned node_mesh_port(const struct options *options) {
    if (options->mesh_port != 0) {
        return (unsigned)options->mesh_port;
    }
    int64_t port = options->port != 0 ? options->port : options->tls_port;
    return options->mesh_seeds.count > 0 && port != 0 ? (unsigned)port + NODE_MESH_PORT_OFFSET : 0;
}

/* "host", "host:port", "[::1]", "[::1]:port" or a bare IPv6 address, brought into "host:port". */
static void set_address(struct node *node) {
    struct buffer *address = &node->mesh_data->address;
    const char *text = node->options->mesh_announce_addr;
    char name[MESH_ADDRESS_BYTES] = "127.0.0.1";
    if (text[0] == '\0') {
        if (node->host.mesh_host_name != NULL) {
            node->host.mesh_host_name(node->host.udata, name, sizeof(name));
        }
        text = name;
    }
    const char *colon = strchr(text, ':'), *bracket = strchr(text, ']');
    bool is_bare_ipv6 = text[0] != '[' && colon != NULL && strchr(colon + 1, ':') != NULL;
    bool has_port =
        text[0] == '[' ? bracket != NULL && bracket[1] == ':' : colon != NULL && !is_bare_ipv6;
    buffer_clear(address);
    buffer_printf(address, is_bare_ipv6 ? "[%.255s]" : "%.255s", text);
    if (!has_port) {
        buffer_printf(address, ":%u", node_mesh_port(node->options));
    }
    (void)buffer_text(address);
}

static struct mesh_settings settings_of(struct node *node) {
    const struct options *options = node->options;
    set_address(node);
    return (struct mesh_settings){
        .cluster_id = options->mesh_cluster_id,
        .announce_address = buffer_text(&node->mesh_data->address),
        .seeds = (const char *const *)options->mesh_seeds.words,
        .seeds_count = options->mesh_seeds.count,
        .secret = slice_of(options->mesh_auth),
        .gossip_interval_ms = (uint64_t)options->mesh_gossip_interval,
        .forget_after_ms = (uint64_t)options->mesh_forget_after * 1000,
        .retire_after_ms = (uint64_t)options->mesh_retire_after * 1000,
        .max_clock_drift_ms = (uint64_t)options->mesh_max_clock_drift,
        .max_frame_bytes = (uint64_t)options->mesh_max_frame,
        .max_waiting_bytes = (uint64_t)options->mesh_max_waiting,
        .full_links = (unsigned)options->mesh_full_links,
        .compression =
            options->mesh_compression == OPTION_MESH_COMPRESSION_YES  ? MESH_COMPRESSION_YES
            : options->mesh_compression == OPTION_MESH_COMPRESSION_NO ? MESH_COMPRESSION_NO
                                                                      : MESH_COMPRESSION_AUTO,
    };
}

const char *node_mesh_address(const struct node *node) {
    return node->mesh != NULL ? buffer_text(&node->mesh_data->address) : "";
}

bool node_mesh_configure(struct node *node, const struct config_change *changed,
                         bool is_checked_only, struct buffer *error, enum option_id *guilty) {
    unsigned port = node_mesh_port(node->options);
    *guilty = config_has_changed(changed, OPTION_mesh_port)    ? OPTION_mesh_port
              : config_has_changed(changed, OPTION_mesh_seeds) ? OPTION_mesh_seeds
                                                               : OPTION_port;
    if (port > 65535) {
        buffer_printf(error, "Beside this port there is none left for the mesh: set mesh-port");
        return false;
    }
    if (node->mesh == NULL) {
        if (port == 0 || node->mesh_host.dial == NULL || is_checked_only) {
            return true;
        }
        buffer_printf(error, "A running node cannot enter a mesh: restart it with this setting");
        return false;
    }
    if (port == 0) {
        buffer_printf(error,
                      "A running node cannot go out of its mesh: use MESH LEAVE, and restart "
                      "it with this setting");
        return false;
    }
    if (!is_checked_only) {
        log_set_ring_bytes(node->log, (uint64_t)node->options->mesh_backlog_size);
        struct mesh_settings settings = settings_of(node);
        mesh_configure(node->mesh, &settings);
    }
    return true;
}

/* ---- lifecycle ---- */

static const struct mesh_data DATA = {
    .replicas = data_replicas,
    .context = data_context,
    .apply = data_apply,
    .questions = data_questions,
    .answered = data_answered,
    .answer = data_answer,
    .received_ticks = data_received_ticks,
    .forget_unit = data_forget_unit,
    .stream_new = data_stream_new,
    .stream_free = data_stream_free,
    .stream_seek = data_stream_seek,
    .stream_next = data_stream_next,
    .reaches_back = data_reaches_back,
    .changes_since = data_changes_since,
    .settle = data_settle,
    .retire = data_retire,
    .new_generation = data_new_generation,
    .keys_count = data_keys_count,
    .databases_count = data_databases_count,
    .hash_seed = data_hash_seed,
    .range_digests = data_range_digests,
    .broadcast = data_broadcast,
};

bool node_mesh_start(struct node *node) {
    unsigned port = node_mesh_port(node->options);
    struct replicas *replicas = &node->store.replicas;
    bool is_wanted = port != 0 && node->mesh_host.dial != NULL;
    if (port > 65535) {
        node_message(node, LOG_LEVEL_WARNING,
                     "Beside port %lld there is none left for the mesh: set mesh-port",
                     (long long)node->options->port);
        return false;
    }
    node->store.is_alone = node->store.is_alone && !is_wanted;
    node->departed_saved = replicas->departed_version; /* from the snapshot */
    node->store.conflict = on_conflict;
    node->store.may_expire = may_expire;
    if (!is_wanted) {
        return true;
    }
    struct node_mesh *data = memory_alloc_zero(sizeof(*data));
    node->mesh_data = data;
    data->receiver = (struct receiver){.store = &node->store,
                                       .applied = on_applied,
                                       .before_apply = before_apply,
                                       .udata = node,
                                       .asks = true};
    log_set_ring_bytes(node->log, (uint64_t)node->options->mesh_backlog_size);
    struct mesh_opts opts = {.host = node->mesh_host,
                             .data = DATA,
                             .generation = replicas->slots[replicas->self].id.generation,
                             .seed = prng_next(&node->prng),
                             .version = STARLING_VERSION};
    opts.data.udata = node;
    node_mesh_join_fill(&opts.data);
    memcpy(opts.node_id, replicas->slots[replicas->self].id.node, REPLICA_NODE_ID_BYTES);
    struct mesh_settings settings = settings_of(node);
    node->mesh = mesh_new(&opts, &settings);
    mesh_set_time(node->mesh, node->now_ms, node->now_us);
    node_message(node, LOG_LEVEL_NOTICE, "Mesh '%s': this is node %s, generation %llu, at %s",
                 settings.cluster_id, log_node_id(node->log), (unsigned long long)opts.generation,
                 settings.announce_address);
    return true;
}

void node_mesh_free(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    if (data == NULL) {
        return;
    }
    mesh_free(node->mesh);
    node->mesh = NULL;
    node_mesh_join_free(data);
    receiver_deinit(&data->receiver);
    memory_free(data->conflicts);
    buffer_deinit(&data->address);
    memory_free(data);
    node->mesh_data = NULL;
}

/* ---- turns ---- */

void node_mesh_set_time(struct node *node) {
    if (node->mesh != NULL) {
        mesh_set_time(node->mesh, node->now_ms, node->now_us);
    }
}

void node_mesh_run(struct node *node) {
    if (node->mesh != NULL) {
        mesh_run(node->mesh);
    }
}

static uint64_t push_gap_us(const struct node *node) {
    uint64_t requests = node->stats.commands_processed - node->mesh_data->pushed_requests;
    return requests < (PUSH_GAP_US_MAX - PUSH_GAP_US) / PUSH_GAP_REQUEST_US
               ? PUSH_GAP_US + requests * PUSH_GAP_REQUEST_US
               : PUSH_GAP_US_MAX;
}

void node_mesh_push(struct node *node) {
    if (node->mesh == NULL) {
        return;
    }
    /* Most turns add nothing: then no stream need be looked at. */
    struct node_mesh *data = node->mesh_data;
    uint64_t version = log_streams_version(node->log);
    bool wants_push = mesh_wants_push(node->mesh);
    bool is_waited_for = node->blocked_count > node->blocking.requests_count;
    uint64_t quarter = (uint64_t)node->options->mesh_backlog_size / 4; /* may be small */
    uint64_t bytes_min = PUSH_BYTES < quarter ? PUSH_BYTES : quarter;
    bool is_due = is_waited_for || version - data->pushed_version >= bytes_min ||
                  node->now_us - data->pushed_us >= push_gap_us(node);
    if (wants_push || (version != data->pushed_version && is_due)) {
        data->pushed_version = version;
        data->pushed_us = node->now_us;
        data->pushed_requests = node->stats.commands_processed;
        mesh_push(node->mesh);
    }
    if (is_waited_for) {
        mesh_ask_for_acks(node->mesh);
    }
    data->has_unpushed = version != data->pushed_version;
}

/* Settles for a slice of time when one is due; returns the microseconds until the next one. */
static uint64_t tidy(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    /* A walk needs entries as they are. */
    if (!data->settles || node->store.walk != NULL || node->store.sync != NULL) {
        return UINT64_MAX;
    }
    uint64_t began_us = node->host.monotonic_us(node->host.udata), now_us = began_us;
    if (began_us < data->next_slice_us) {
        return data->next_slice_us - began_us;
    }
    while (data->settles && now_us - began_us < SETTLE_SLICE_US) {
        data->settles = !store_settle(&node->store, &data->frontier, SETTLE_STEP_ENTRIES);
        now_us = node->host.monotonic_us(node->host.udata);
    }
    data->next_slice_us = now_us + SETTLE_PAUSE_US;
    return data->settles ? SETTLE_PAUSE_US : UINT64_MAX;
}

/* Sends of the parts that joining peers pull for a slice; returns the microseconds until the next
 * one. While requests come in, slices are short, a fifth of a long turn, and apart by their own
 * length: a process that never sleeps waits for whoever else wants its processor. */
static uint64_t serve(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    if (!mesh_has_to_serve(node->mesh)) {
        return UINT64_MAX;
    }
    uint64_t began_us = node->host.monotonic_us(node->host.udata), now_us = began_us;
    bool is_busy = node->stats.commands_processed != data->served_requests;
    if (is_busy && began_us < data->next_serve_us) {
        return data->next_serve_us - began_us;
    }
    data->served_requests = node->stats.commands_processed;
    uint64_t slice_us = (began_us - data->served_us) / 4;
    slice_us = slice_us < SERVE_SLICE_US_MAX && is_busy ? slice_us : SERVE_SLICE_US_MAX;
    bool has_more = true;
    for (unsigned step = 0;
         step < SERVE_STEPS_MAX && has_more && (step == 0 || now_us - began_us < slice_us);
         step++) {
        has_more = mesh_serve(node->mesh);
        now_us = node->host.monotonic_us(node->host.udata);
    }
    data->served_us = now_us;
    data->next_serve_us = is_busy ? now_us + (now_us - began_us) : now_us;
    return has_more ? data->next_serve_us - now_us : UINT64_MAX;
}

/* Late records are over, it seems: a snapshot, from which a restart goes on behind them. */
static void save_late(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    if (data->late_us == 0 || node->now_us - data->late_us < LATE_QUIET_US || data->sync != NULL) {
        return;
    }
    data->late_us = 0;
    if (log_is_on(node->log) || node->options->save.count > 0) {
        node_message(node, LOG_LEVEL_NOTICE,
                     "Mesh: a node that was forgotten has sent what it did before: a snapshot is "
                     "made with it");
        node->snapshot_wanted = true;
    }
}

uint64_t node_mesh_tick(struct node *node) {
    if (node->mesh == NULL) {
        return UINT64_MAX;
    }
    struct node_mesh *data = node->mesh_data;
    save_late(node);
    uint64_t wait_us = mesh_tick(node->mesh);
    if (data->has_unpushed) {
        uint64_t gap_us = push_gap_us(node), passed_us = node->now_us - data->pushed_us;
        uint64_t due_us = gap_us > passed_us ? gap_us - passed_us : 0;
        wait_us = wait_us < due_us ? wait_us : due_us;
    }
    uint64_t tidy_us = tidy(node), serve_us = serve(node);
    node->wants_exact_wait |= serve_us != UINT64_MAX;
    wait_us = wait_us < tidy_us ? wait_us : tidy_us;
    return wait_us < serve_us ? wait_us : serve_us;
}

/* ---- questions ---- */

bool node_mesh_is_joining(const struct node *node) {
    return node->mesh != NULL && (node->mesh_data->sync != NULL || mesh_is_joining(node->mesh));
}

bool node_mesh_lacks_quorum(const struct node *node) {
    int64_t wanted = node->options->mesh_min_peers_to_write;
    return wanted > 0 && (node->mesh == NULL || mesh_alive_count(node->mesh) < (uint64_t)wanted);
}

unsigned node_mesh_acknowledged_count(const struct node *node, uint64_t stamp) {
    return node->mesh != NULL ? mesh_acknowledged_count(node->mesh, stamp) : 0;
}
