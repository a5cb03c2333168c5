/* SPDX-License-Identifier: BSD-3-Clause */
/* Serving parts of the state to others, and taking over theirs: what mesh/catchup.h asks of the
 * data, on top of store/part.h and store/sync.h, and what it means for the log meanwhile.
 *
 *   TAKE     the log stays what it was; after the parts it is applied to them (the replay), and
 *            goes on with what that applied
 *   MERGE    the log is suspended, and begins anew behind a snapshot
 *   REBASE   likewise, after the log was read for what the mesh had seen of counters (the history)
 *
 * From the moment that parts replace what is here, the log alone has what the mesh lacks. So it is
 * read through before (the rehearsal), and where it cannot be, the parts are not taken: what is
 * here is merged with them instead. Until the replay has ended nothing of the log is removed. */
#include "base/codec.h"
#include "base/memory.h"
#include "base/varint.h"
#include "node/node_mesh_state.h"
#include "store/graves.h"
#include "store/part.h"

enum {
    GRAVES_STEP_ELEMENTS = 512,
    REISSUE_STEP_KEYS = 64,
    REPLAY_STEP_RECORDS = 256,
    UNSOUND_MAX = 3, /* times that a rebase is begun anew for parts that do not agree */
};

/* ---- serving a part ---- */

static enum mesh_part mesh_part_of(enum part_status status) {
    switch (status) {
    case PART_MORE:
        return MESH_PART_MORE;
    case PART_DONE:
        return MESH_PART_DONE;
    case PART_AGAIN:
        break;
    }
    return MESH_PART_AGAIN;
}

static void *data_part_open(void *udata, unsigned part, unsigned parts_count,
                            struct buffer *header) {
    struct node *node = (struct node *)udata;
    if (node->store.graves != NULL) {
        /* A walk begins without graves: tidy() sees to it, unless another walk is in its way. */
        node->store.opens_graves = node->mesh_data->settles = true;
        graves_open_some(&node->store, GRAVES_STEP_ELEMENTS);
        return NULL;
    }
    node_mesh_collect(node);
    return part_open(&node->store, part, parts_count, header);
}

static enum mesh_part data_part_read(void *udata, void *walk, struct buffer *out,
                                     size_t bytes_max) {
    (void)udata;
    return mesh_part_of(part_read((struct part_source *)walk, out, bytes_max));
}

static void data_part_close(void *udata, void *walk) {
    (void)udata;
    part_close((struct part_source *)walk);
}

/* ---- joining ---- */

static enum mesh_part mesh_part_of_sync(struct node *node, enum sync_status status) {
    switch (status) {
    case SYNC_OK:
        return MESH_PART_DONE;
    case SYNC_MALFORMED:
        break;
    case SYNC_FULL:
        node_message(node, LOG_LEVEL_WARNING,
                     "There is no room for more replicas: too many nodes "
                     "or restarts that are not settled yet");
        return MESH_PART_BAD;
    case SYNC_OUT_OF_MEMORY:
        node_message(node, LOG_LEVEL_WARNING, "There is no memory to take over a part of the data");
        return MESH_PART_AGAIN;
    }
    return MESH_PART_BAD;
}

/* Changes that only this node knows: those of a node that lives, and has them still, come from that
 * one. */
static enum sync_fate fate_of(void *udata, uint64_t stamp) {
    const struct node *node = (const struct node *)udata;
    return mesh_has_author(node->mesh, stamp) ? SYNC_DROP : SYNC_REISSUE;
}

static void replay_free(struct node_mesh *data) {
    struct node_replay *replay = data->replay;
    data->replay = NULL;
    if (replay != NULL) {
        log_stream_free(replay->stream);
        buffer_deinit(&replay->records);
        memory_free(replay);
    }
}

static void rehearsal_free(struct node_mesh *data) {
    log_stream_free(data->rehearsal);
    data->rehearsal = NULL;
    data->is_rehearsed = false;
}

static void forget_amounts(struct node_mesh *data) {
    data->receiver.remembered = NULL;
    amounts_deinit(&data->remembered);
}

static void forget_units(struct node_mesh *data) {
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        receiver_forget_unit(&data->receiver, slot);
    }
}

static void suspend_log(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    data->is_log_suspended = true;
    log_suspend(node->log, node->now_ms, node->now_us);
    log_hold(node->log, false, node->now_ms, node->now_us);
}

static void data_sync_begin(void *udata, enum mesh_join mode) {
    struct node *node = (struct node *)udata;
    struct node_mesh *data = node->mesh_data;
    struct sync *before = data->sync;
    node->store.sync = NULL;
    node->store.is_replaying = false;
    require(data->replay == NULL); /* it is not interrupted: what it has yet to apply is nowhere */
    rehearsal_free(data);
    forget_amounts(data);
    node_mesh_collect(node);
    log_write(node->log, node->now_us);
    forget_units(data);
    data->mode = mode;
    history_read_free(data->history);
    data->history = NULL;
    bool reads_history = mode == MESH_JOIN_REBASE && !data->is_log_suspended;
    if (mode == MESH_JOIN_TAKE || reads_history) {
        log_hold(node->log, true, node->now_ms, node->now_us);
    } else {
        suspend_log(node);
    }
    data->history = reads_history ? history_read_new(node->log) : NULL;
    node->store.expiry_is_paused = true;
    data->is_sync_anew = before != NULL && (data->is_sync_anew || data->has_finished_sync);
    data->has_finished_sync = false;
    if (before != NULL) {
        sync_abandon(before);
    }
    data->sync = sync_begin(&node->store,
                            mode == MESH_JOIN_TAKE    ? SYNC_TAKE
                            : mode == MESH_JOIN_MERGE ? SYNC_MERGE
                                                      : SYNC_REBASE,
                            fate_of, node);
    if (before != NULL) {
        sync_keep_rebase(data->sync, before);
        sync_keep_goal(data->sync, before);
        sync_free(before);
    }
}

static bool data_sync_takes_seed(void *udata, const uint64_t seed[2]) {
    struct node *node = (struct node *)udata;
    return sync_take_seed(&node->store, (struct hash_seed){seed[0], seed[1]});
}

/* Lacks one who has seen `context` anything of what is here, and is not void? `*passed` is what he
 * does not lack. */
static bool is_ahead(const struct node *node, const struct context *context,
                     struct context *passed) {
    *passed = *context;
    replicas_pass_void(&node->store.replicas, &node->store.context, passed);
    return !context_covers_all(passed, &node->store.context);
}

/* Does the log have all of that? */
static bool can_replay(const struct node *node, const struct context *context) {
    struct context passed;
    return !is_ahead(node, context, &passed) || log_reaches_back(node->log, &passed, NULL);
}

static enum mesh_part data_sync_part_begin(void *udata, unsigned part, unsigned parts_count,
                                           struct slice header) {
    struct node *node = (struct node *)udata;
    struct node_mesh *data = node->mesh_data;
    enum sync_status status = sync_part_begin(data->sync, part, parts_count, header);
    if (status == SYNC_OK && sync_part_has_void(data->sync, part)) {
        return MESH_PART_REFUSED;
    }
    if (status != SYNC_OK || data->mode == MESH_JOIN_REBASE) {
        return mesh_part_of_sync(node, status);
    }
    struct context context;
    bool fits = sync_part_fits(data->sync, part, &context) &&
                (data->mode == MESH_JOIN_MERGE || can_replay(node, &context));
    return fits ? MESH_PART_DONE : MESH_PART_REFUSED;
}

static enum mesh_part data_sync_part_data(void *udata, unsigned part, struct slice bytes) {
    struct node *node = (struct node *)udata;
    return mesh_part_of_sync(node, sync_part_data(node->mesh_data->sync, part, bytes));
}

static enum mesh_part data_sync_part_end(void *udata, unsigned part) {
    struct node *node = (struct node *)udata;
    return mesh_part_of_sync(node, sync_part_end(node->mesh_data->sync, part));
}

static enum mesh_part rehearsal_failed(struct node *node) {
    rehearsal_free(node->mesh_data);
    node_message(node, LOG_LEVEL_WARNING,
                 "The log cannot be read, or lacks some of what this node had seen and others have "
                 "not: what is here is merged with what they have");
    return MESH_PART_REFUSED;
}

/* Reads the next records of the log that the replay will apply, for no other reason than to know
 * that they are there. */
static enum mesh_part rehearse_some(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    if (data->is_rehearsed) {
        return MESH_PART_DONE;
    }
    if (data->rehearsal == NULL) {
        struct context shown, passed;
        if (log_is_removing(node->log)) {
            return MESH_PART_MORE;
        }
        sync_shown_context(data->sync, &shown);
        data->is_rehearsed = !is_ahead(node, &shown, &passed);
        if (data->is_rehearsed) {
            return MESH_PART_DONE;
        }
        data->rehearsal = log_stream_new(node->log);
        (void)log_stream_seek(data->rehearsal, &passed, NULL);
    }
    for (unsigned i = 0; i < REPLAY_STEP_RECORDS; i++) {
        struct stream_record record;
        struct slice bytes;
        switch (log_stream_next(data->rehearsal, &record, &bytes)) {
        case LOG_STREAM_RECORD:
            amounts_remember(&data->remembered, &node->store, &record);
            break;
        case LOG_STREAM_END:
            rehearsal_free(data);
            data->is_rehearsed = true;
            return MESH_PART_DONE;
        case LOG_STREAM_WAIT:
            return MESH_PART_MORE;
        case LOG_STREAM_LOST:
            return rehearsal_failed(node);
        }
    }
    return MESH_PART_MORE;
}

/* To what all parts have seen. */
static void replay_seek(struct node *node) {
    const struct node_replay *replay = node->mesh_data->replay;
    struct context from = replay->from;
    replicas_pass_void(&node->store.replicas, &replay->before, &from);
    (void)log_stream_seek(replay->stream, &from, NULL);
}

static void replay_begin(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    struct node_replay *replay = memory_alloc_zero(sizeof(*replay));
    replay->before = node->store.context;
    sync_finish(data->sync);
    replay->from = node->store.context;
    data->replay = replay;
    data->receiver.kept_bytes_max = UINT64_MAX; /* what is whole here has to be whole again */
    data->receiver.remembered = &data->remembered;
    if (!sync_is_replayed(data->sync)) {
        replay->stream = log_stream_new(node->log);
        replay_seek(node);
    }
}

/* There is no memory to apply what came last: from the beginning then, once more, as long as that
 * is so. */
static enum mesh_part replay_again(struct node *node) {
    struct node_replay *replay = node->mesh_data->replay;
    if (!replay->is_out_of_memory) {
        node_message(
            node, LOG_LEVEL_WARNING,
            "There is no memory to apply what this node had seen to the state of the mesh");
    }
    replay->is_out_of_memory = true;
    forget_units(node->mesh_data);
    replay_seek(node);
    return MESH_PART_MORE;
}

/* Applies the next records of the log. That was read just before; if it cannot be all the same,
 * what it had is gone, as after a start from what is left of it. */
static enum mesh_part replay_some(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    for (unsigned i = 0; data->replay->stream != NULL && i < REPLAY_STEP_RECORDS; i++) {
        struct stream_record record;
        struct slice bytes;
        switch (log_stream_next(data->replay->stream, &record, &bytes)) {
        case LOG_STREAM_RECORD:
            break;
        case LOG_STREAM_END:
            return MESH_PART_DONE;
        case LOG_STREAM_WAIT:
            return MESH_PART_MORE;
        case LOG_STREAM_LOST:
            return MESH_PART_DONE;
        }
        switch (receiver_take(&data->receiver, bytes)) {
        case RECEIVE_OK:
        case RECEIVE_DUPLICATE:
            break;
        case RECEIVE_GAP:
        case RECEIVE_EARLY:
        case RECEIVE_ASK:
        case RECEIVE_UNKNOWN:
        case RECEIVE_MALFORMED:
        case RECEIVE_FULL:
            break; /* it is looked at the end whether all is here */
        case RECEIVE_OUT_OF_MEMORY:
            return replay_again(node);
        }
    }
    return data->replay->stream == NULL ? MESH_PART_DONE : MESH_PART_MORE;
}

/* The log goes on with what was applied, so that others can get it from here. */
static void replay_end(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    struct node_replay *replay = data->replay;
    data->replay = NULL;
    data->receiver.kept_bytes_max = 0;
    forget_amounts(data);
    forget_units(data);
    sync_end_replay(data->sync);
    log_stream_free(replay->stream);
    replay->stream = NULL;
    suspend_log(node);
    log_resume_ring(node->log, replay->is_cut ? &node->store.context : &replay->from);
    struct slice rest = buffer_slice(&replay->records), record;
    uint64_t changes;
    while (!replay->is_cut && varint_take(&rest, &changes) && varint_take_slice(&rest, &record)) {
        log_append_record(node->log, record, changes);
    }
    buffer_deinit(&replay->records);
    memory_free(replay);
}

static enum mesh_part data_sync_end(void *udata) {
    struct node *node = (struct node *)udata;
    struct node_mesh *data = node->mesh_data;
    if (data->replay == NULL && !sync_is_sound(data->sync) &&
        (data->mode != MESH_JOIN_REBASE || data->unsound_count < UNSOUND_MAX)) {
        data->unsound_count++;
        return MESH_PART_AGAIN;
    }
    if (data->history != NULL) {
        if (!history_read_some(data->history, data->sync, &node->store)) {
            return MESH_PART_MORE;
        }
        history_read_free(data->history);
        data->history = NULL;
        suspend_log(node);
    }
    if (data->mode != MESH_JOIN_TAKE) {
        if (!sync_merge_some(data->sync)) {
            return MESH_PART_MORE;
        }
        sync_finish(data->sync);
        if (data->mode == MESH_JOIN_MERGE) {
            log_resume_ring(node->log, &node->store.context);
        }
        data->has_finished_sync = true;
        return MESH_PART_DONE;
    }
    if (data->replay == NULL) {
        enum mesh_part rehearsed = rehearse_some(node);
        if (rehearsed != MESH_PART_DONE) {
            return rehearsed;
        }
        if (!sync_merge_some(data->sync)) {
            return MESH_PART_MORE;
        }
        replay_begin(node);
    }
    enum mesh_part status = replay_some(node);
    if (status != MESH_PART_DONE) {
        return status;
    }
    if (!sync_is_replayed(data->sync)) {
        node_message(node, LOG_LEVEL_WARNING,
                     "The log lacks some of what this node had seen, and others have not");
    }
    replay_end(node);
    data->has_finished_sync = true;
    return MESH_PART_DONE;
}

static const struct context *data_sync_goal(void *udata) {
    const struct node_mesh *data = ((struct node *)udata)->mesh_data;
    return data->sync == NULL || !data->has_finished_sync ? NULL : sync_goal(data->sync);
}

/* False: it cannot be written, and stays suspended. */
static bool resume_log(struct node *node) {
    struct node_mesh *data = node->mesh_data;
    if (data->is_log_suspended &&
        log_resume_with_snapshot(node->log, node->now_ms, node->now_us) != LOG_OK) {
        if (!data->has_failed_to_resume) {
            node_message(node, LOG_LEVEL_WARNING, "What was taken over cannot be kept: %s",
                         log_error(node->log));
        }
        data->has_failed_to_resume = true;
        return false;
    }
    data->is_log_suspended = data->has_failed_to_resume = false;
    return true;
}

static bool data_sync_is_ready(void *udata) {
    struct node *node = (struct node *)udata;
    struct node_mesh *data = node->mesh_data;
    if (data->sync != NULL && (!data->has_finished_sync || !sync_is_caught_up(data->sync))) {
        return false;
    }
    if (!resume_log(node)) { /* what is written again shall be recorded */
        return false;
    }
    if (data->sync == NULL) {
        /* What was here before is what a start would find, until the snapshot is complete. */
        return log_is_whole(node->log);
    }
    bool is_done = sync_reissue_some(data->sync, REISSUE_STEP_KEYS);
    store_end_unit(&node->store);
    if (!is_done) {
        return false;
    }
    struct sync_stats stats;
    sync_get_stats(data->sync, &stats);
    node_message(node, LOG_LEVEL_NOTICE,
                 "The state of the mesh was taken over: %llu keys came, %llu were merged, %llu "
                 "removed, %llu written again",
                 (unsigned long long)stats.keys_came, (unsigned long long)stats.keys_merged,
                 (unsigned long long)stats.keys_removed, (unsigned long long)stats.keys_reissued);
    if (stats.keys_unclear > 0) {
        node_message(
            node, LOG_LEVEL_WARNING,
            "Of %llu keys or elements it could not be told what the mesh had of this node's "
            "increments: what was new of them is left out",
            (unsigned long long)stats.keys_unclear);
    }
    sync_free(data->sync);
    data->sync = NULL;
    data->frontier = (struct context){0}; /* what was settled before was in another state */
    data->settles = false;
    data->unsound_count = 0;
    return log_is_whole(node->log);
}

static bool data_sync_cancel(void *udata) {
    struct node *node = (struct node *)udata;
    struct node_mesh *data = node->mesh_data;
    if (data->sync == NULL) {
        return true; /* it was to be begun anew, and no part has come */
    }
    if (data->replay != NULL || data->has_finished_sync || data->is_sync_anew) {
        return false;
    }
    rehearsal_free(data);
    history_read_free(data->history);
    data->history = NULL;
    sync_abandon(data->sync);
    sync_free(data->sync);
    data->sync = NULL;
    if (data->is_log_suspended) {
        log_resume_ring(node->log, &node->store.context);
    } else {
        log_hold(node->log, false, node->now_ms, node->now_us);
    }
    return true;
}

/* ---- for node_mesh.c ---- */

void node_mesh_join_fill(struct mesh_data *data) {
    data->part_open = data_part_open;
    data->part_read = data_part_read;
    data->part_close = data_part_close;
    data->sync_begin = data_sync_begin;
    data->sync_takes_seed = data_sync_takes_seed;
    data->sync_part_begin = data_sync_part_begin;
    data->sync_part_data = data_sync_part_data;
    data->sync_part_end = data_sync_part_end;
    data->sync_end = data_sync_end;
    data->sync_is_ready = data_sync_is_ready;
    data->sync_goal = data_sync_goal;
    data->sync_cancel = data_sync_cancel;
}

void node_mesh_join_keep(struct node *node, struct slice record, uint64_t changes) {
    struct node_replay *replay = node->mesh_data->replay;
    if (replay->records.size + record.size > (size_t)node->options->mesh_backlog_size) {
        replay->is_cut = true;
    } else if (!replay->is_cut) {
        codec_put_varint(&replay->records, changes);
        codec_put_slice(&replay->records, record);
    }
}

void node_mesh_join_free(struct node_mesh *data) {
    if (data->sync != NULL) {
        sync_free(data->sync);
    }
    rehearsal_free(data);
    replay_free(data);
    history_read_free(data->history);
    forget_amounts(data);
}
