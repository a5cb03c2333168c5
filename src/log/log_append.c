/* SPDX-License-Identifier: BSD-3-Clause */
/* What the log records: own changes become stream records here, others' come as they were received;
 * both go into the segment's pending bytes and into the ring, in the order of application.
 *
 * `logged` is the context of all that was appended: the store's own, less what still waits in the
 * journal. Beginnings of segments and of the ring's chunks are described by it, and an own record's
 * `previous` is its entry for this node. */
#include "log/log_state.h"

#include "base/check.h"

/* ---- the table of replicas ---- */

void log_sync_replicas(struct log *log) {
    const struct replicas *replicas = &log->store->replicas;
    if (log->logged_version == replicas->version) {
        return;
    }
    log->logged_version = replicas->version;
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        uint64_t ref = slot < replicas->slots_count ? replicas->slots[slot].ref : 0;
        if (ref == log->logged_refs[slot]) {
            continue;
        }
        if (log->logged_refs[slot] != 0) {
            log->logged.stamps[slot] = 0;
            ring_clear_slot(&log->ring, slot);
            change_counts_clear_slot(&log->counts, slot);
            log_span_clear_slot(log, slot);
        }
        log->logged_refs[slot] = ref;
    }
    /* Without segments nothing tells of slots but the next snapshot, as they are then. */
    log->held_count = replicas_release(&log->store->replicas, log->is_on ? 0 : UINT64_MAX);
}

void log_update_recording(struct log *log) {
    struct change_writer *journal = &log->store->journal;
    bool is_on = log->is_started && (!log->is_suspended || log->is_ring_resumed) &&
                 (log->is_on || log->ring.bytes_max > 0);
    if (is_on == journal->is_on) {
        return;
    }
    journal->is_on = is_on;
    if (!is_on) {
        change_writer_clear(journal);
        journal->is_unit_open = false;
        log->has_gap = true;
        change_counts_clear(&log->counts);
        return;
    }
    require(!journal->is_unit_open);
    require(journal->bytes.size == 0);
    log_sync_replicas(log);
    log->logged = log->store->context;
    if (log->has_gap) {
        log_stream_lose_all(log); /* what was not recorded lies in between */
        log->stream_position++;
    }
    ring_clear(&log->ring, log->stream_position);
}

void log_put_replicas(struct log *log, struct buffer *out) {
    log_sync_replicas(log);
    struct buffer payload = {0};
    replicas_record_put(&payload, log->store, &log->logged, false);
    record_append(out, RECORD_REPLICAS, buffer_slice(&payload));
    buffer_deinit(&payload);
}

/* ---- records ---- */

static void append_table(struct log *log) {
    const struct replicas *replicas = &log->store->replicas;
    size_t before = log->pending.size;
    log_put_replicas(log, &log->pending);
    log->position += log->pending.size - before;
    log->segment.table_version = replicas->version;
    log->segment.departed_version = replicas->departed_version;
    log->segment.self = replicas->self;
    log->segment.is_alone = log->store->is_alone;
}

static void limit_pending(struct log *log) {
    if (log->write_status != DISK_OK && log->pending.size > LOG_PENDING_BYTES_MAX) {
        log_segment_break_chain(log, "too much waits for the disk");
    }
}

/* Of all that the table tells only this waits for no change that needs it: nothing else in the log
 * says that a node is gone, and where all nodes restart nobody would know. While the node joins,
 * the table is that of a state which the log does not have. */
static void append_departed(struct log *log) {
    uint64_t version = log->store->replicas.departed_version;
    if (!log->is_on || log->is_held || log->segment.departed_version == version) {
        return;
    }
    if (log_has_segment(log)) {
        append_table(log);
        limit_pending(log);
        return;
    }
    log->segment.departed_version = version;
    log->position++;
    log->written_position = log->position; /* the coming snapshot has it */
}

bool log_segment_table_is_new(const struct log *log) {
    const struct replicas *replicas = &log->store->replicas;
    return log->segment.table_version == replicas->version &&
           log->segment.departed_version == replicas->departed_version &&
           log->segment.self == replicas->self && log->segment.is_alone == log->store->is_alone;
}

static void append_to_segment(struct log *log, struct slice head, struct slice rest) {
    uint64_t bytes = RECORD_HEADER_BYTES + head.size + rest.size;
    if (!log_has_segment(log)) {
        log->position += bytes;
        log->written_position = log->position; /* the coming snapshot has it */
        return;
    }
    const struct replicas *replicas = &log->store->replicas;
    if (log->segment.table_version != replicas->version || log->segment.self != replicas->self ||
        log->segment.is_alone != log->store->is_alone) {
        append_table(log);
    }
    log_span_note(log, log->segment.bytes + log->pending.size);
    log->position += bytes;
    record_append_pieces(&log->pending, RECORD_STREAM, head, rest);
}

static void append(struct log *log, unsigned slot, uint64_t last_ticks, uint64_t changes,
                   struct slice head, struct slice rest) {
    if (log->ring.bytes_max > 0) {
        change_counts_add(&log->counts, slot, log->logged_refs[slot],
                          stamp_ticks(log->logged.stamps[slot]), last_ticks, changes);
        ensure(log->ring.end_position == log->stream_position);
        ring_append(&log->ring, head, rest, &log->logged, log->store->replicas.slots_count);
        log_trim_ring(log);
    }
    if (log->is_on) {
        append_to_segment(log, head, rest);
    }
    log->stream_position += ring_span(head.size + rest.size);
    context_add(&log->logged, stamp_make(last_ticks, slot));
    limit_pending(log);
}

void log_append_record(struct log *log, struct slice bytes, uint64_t changes) {
    if (!log->store->journal.is_on) {
        return;
    }
    struct stream_record record;
    bool is_good = stream_record_take(bytes, &record);
    require(is_good);
    /* Own changes from before it were collected before it was applied. */
    require(log->store->journal.bytes.size == 0);
    unsigned slot = replicas_find(&log->store->replicas, record.ref);
    require(slot != 0);
    log_sync_replicas(log);
    append(log, slot, record.last_ticks, changes, bytes, (struct slice){0});
}

uint64_t log_changes_since(const struct log *log, uint64_t stamp) {
    const struct replicas *replicas = &log->store->replicas;
    unsigned slot = stamp_slot(stamp);
    uint64_t counted =
        change_counts_since(&log->counts, slot, replicas->slots[slot].ref, stamp_ticks(stamp));
    return slot == replicas->self ? counted + log->store->journal.changes_count : counted;
}

/* A life begins, or has taken over a state: what was retired before, it has seen, and no later mark
 * of it will say so. Others may still have the slot, or have it again while they replay their log.
 * As many of the newest as there is room for. */
static size_t take_retired_marks(const struct replicas *replicas, struct stream_mark *marks,
                                 size_t count) {
    for (size_t i = replicas->retired_count; i-- > 0 && count < STAMP_SLOTS_COUNT;) {
        const struct retired_replica *retired = &replicas->retired[i];
        if (retired->ticks > 0 && replicas_find(replicas, retired->ref) == 0) {
            marks[count++] = (struct stream_mark){.ref = retired->ref, .ticks = retired->ticks};
        }
    }
    return count;
}

/* What this node has seen of others since its record before. */
static size_t take_marks(struct log *log, struct stream_mark *marks) {
    const struct store *store = log->store;
    struct replicas *replicas = &log->store->replicas;
    const struct replica *self = &replicas->slots[replicas->self];
    bool tells_all = log->logged.stamps[replicas->self] == 0 || replicas->tells_anew;
    size_t count = 0;
    replicas->tells_anew = false;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        uint64_t seen = store->context.stamps[slot];
        uint64_t mark = slot < self->mark_count && !tells_all ? self->mark[slot] : 0;
        if (seen > mark && slot != replicas->self && replicas->slots[slot].ref != 0) {
            marks[count++] =
                (struct stream_mark){.ref = replicas->slots[slot].ref, .ticks = stamp_ticks(seen)};
            replicas_raise_mark(replicas, replicas->self, seen);
        }
    }
    return tells_all ? take_retired_marks(replicas, marks, count) : count;
}

static void collect_changes(struct log *log) {
    struct change_writer *journal = &log->store->journal;
    const struct replicas *replicas = &log->store->replicas;
    unsigned self = replicas->self;
    require(self < replicas->slots_count);
    require(replicas->slots[self].ref != 0);
    log_sync_replicas(log);
    struct stream_mark marks[STAMP_SLOTS_COUNT];
    /* A table of one, the usual one of a lone node, has nobody else to tell of. */
    bool has_others = replicas->slots_count > 2 || replicas->retired_count > 0;
    size_t marks_count = has_others ? take_marks(log, marks) : 0;
    struct stream_record record = {.ref = replicas->slots[self].ref,
                                   .previous_ticks = stamp_ticks(log->logged.stamps[self]),
                                   .last_ticks = journal->last_ticks};
    buffer_clear(&log->head);
    stream_record_put_head(&log->head, &record, marks, marks_count);
    append(log, self, record.last_ticks, journal->changes_count, buffer_slice(&log->head),
           buffer_slice(&journal->bytes));
    change_writer_clear(journal);
}

void log_collect(struct log *log) {
    if (log->store->journal.bytes.size > 0) {
        collect_changes(log);
    }
    append_departed(log);
}
