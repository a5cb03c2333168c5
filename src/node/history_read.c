/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/history_read.h"

#include "base/memory.h"
#include "log/log_stream.h"
#include "store/amounts.h"
#include "store/counter_history.h"
#include "store/made_again.h"
#include "store/made_counters.h"
#include "store/seen_changes.h"
#include "store/unsent_edits.h"

enum { STEP_RECORDS = 256 };

/* Of a replica: what it had done by these ticks is asked of counters, and what it did after them to
 * strings if that is made again. */
struct history_limit {
    uint64_t ref, ticks;
    bool is_made_again;
};

struct history_read {
    struct log_stream *stream;
    struct counter_history *history;
    struct seen_changes *seen; /* NULL: nothing is unsure */
    struct unsent_edits *edits;
    struct made_again *made;
    struct made_counters *made_counters;
    struct history_limit *limits;
    size_t limits_count;
    bool has_begun;
};

struct history_read *history_read_new(struct log *log) {
    struct history_read *read = memory_alloc_zero(sizeof(*read));
    read->stream = log_stream_new(log);
    read->history = counter_history_new();
    read->edits = unsent_edits_new();
    read->made = made_again_new();
    read->made_counters = made_counters_new();
    return read;
}

void history_read_free(struct history_read *read) {
    if (read == NULL) {
        return;
    }
    log_stream_free(read->stream);
    counter_history_free(read->history);
    seen_changes_free(read->seen);
    unsent_edits_free(read->edits);
    made_again_free(read->made);
    made_counters_free(read->made_counters);
    memory_free(read->limits);
    memory_free(read);
}

static void add_limit(struct history_read *read, uint64_t ref, uint64_t ticks, bool is_made_again) {
    read->limits = memory_resize(read->limits, (read->limits_count + 1) * sizeof(read->limits[0]));
    read->limits[read->limits_count++] =
        (struct history_limit){.ref = ref, .ticks = ticks, .is_made_again = is_made_again};
}

/* What the mesh has of replicas of which it has not seen all, and whose rest is made again here;
 * and what this node has of those of which the mesh has more. */
static void note_limits(struct history_read *read, const struct sync *sync,
                        const struct store *store) {
    const struct replicas *replicas = &store->replicas;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        uint64_t ticks, seen = stamp_ticks(store->context.stamps[slot]);
        if (sync_makes_again(sync, slot) && sync_known_ticks(sync, slot, &ticks) && ticks < seen) {
            add_limit(read, replicas->slots[slot].ref, ticks, true);
        } else if (seen > 0 && sync_shown_ticks(sync, slot, &ticks) && ticks > seen) {
            add_limit(read, replicas->slots[slot].ref, seen, false);
        }
    }
}

/* A change that took something off. */
struct taken {
    struct history_read *read;
    const struct sync *sync;
    const struct store *store;
    const struct stream_record *record;
    const struct change *change;
};

static void note_taken(void *udata, enum value_type type, struct slice element, struct slice list) {
    const struct taken *taken = (const struct taken *)udata;
    const struct replicas *replicas = &taken->store->replicas;
    const struct change *change = taken->change;
    struct seen_place place = {
        .number = change->db, .type = type, .key = change->key, .element = element};
    struct change_take take;
    while (change_take_next(&list, &take)) {
        const struct replica *life = &replicas->slots[replicas_find(replicas, take.ref)];
        unsigned maker = life->is_ended ? replicas_find(replicas, life->maker_ref) : 0;
        if (maker != 0) {
            made_counters_note_take(taken->read->made_counters, &place, life, &take,
                                    replicas_maker_saw(replicas, life->maker_ref,
                                                       taken->record->ref,
                                                       stamp_ticks(change->stamp)) ||
                                        sync_author_has_seen(taken->sync, maker, change->stamp));
        }
    }
}

/* What the record took off of counters of lives that have ended, and whether those who made some of
 * them again had heard of it. Of what it leaves untold this node still knows as much as it can. */
static void note_takes(struct history_read *read, const struct sync *sync, struct store *store,
                       const struct stream_record *record) {
    const struct replicas *replicas = &store->replicas;
    struct change_reader reader;
    struct change change;
    unsigned author = replicas_find(replicas, record->ref);
    if (replicas->ended_count == 0 || !change_reader_init(&reader, record->batch, author)) {
        return;
    }
    struct taken taken = {.read = read, .sync = sync, .store = store, .record = record};
    taken.change = &change;
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        if (change_is_untold(&change)) {
            amounts_walk(store, change.db, change.key, note_taken, &taken);
        } else if (change_takes_elements(&change)) {
            struct slice value = change.value, name, list;
            enum value_type type;
            (void)change_element_takes_begin(&value, &type);
            while (change_element_takes_next(&value, &name, &list)) {
                note_taken(&taken, type, name, list);
            }
        } else if (change.kind == CHANGE_TAKE) {
            note_taken(&taken, change.type, change.element, change.value);
        }
    }
}

static void note(struct history_read *read, const struct sync *sync, struct store *store,
                 const struct stream_record *record) {
    const struct replica *life =
        &store->replicas.slots[replicas_find(&store->replicas, record->ref)];
    if (life->is_ended) {
        made_again_note(read->made, record, life->ended_ticks, life->made_ticks);
        made_counters_note(read->made_counters, record, life);
    }
    note_takes(read, sync, store, record);
    for (size_t i = 0; i < read->limits_count; i++) {
        const struct history_limit *limit = &read->limits[i];
        if (limit->ref != record->ref) {
            continue;
        }
        if (limit->is_made_again) {
            unsent_edits_note(read->edits, record, limit->ticks);
        }
        if (limit->ticks > 0) {
            counter_history_note(read->history, record, limit->ticks);
        }
    }
    if (read->seen != NULL) {
        seen_changes_note(read->seen, record);
    }
}

bool history_read_some(struct history_read *read, struct sync *sync, struct store *store) {
    if (!read->has_begun) {
        uint64_t ticks = sync_unsure_ticks(sync);
        if (log_stream_seek_oldest(read->stream) == LOG_STREAM_LOST) {
            return true;
        }
        read->seen = ticks != UINT64_MAX ? seen_changes_new(ticks) : NULL;
        note_limits(read, sync, store);
        read->has_begun = true;
    }
    for (unsigned i = 0; i < STEP_RECORDS; i++) {
        struct stream_record record;
        struct slice bytes;
        switch (log_stream_next(read->stream, &record, &bytes)) {
        case LOG_STREAM_RECORD:
            note(read, sync, store, &record);
            break;
        case LOG_STREAM_WAIT:
            return false;
        case LOG_STREAM_END:
            sync_set_history(sync, read->history, read->seen, read->edits, read->made,
                             read->made_counters);
            read->made_counters = NULL;
            read->history = NULL;
            read->seen = NULL;
            read->edits = NULL;
            read->made = NULL;
            return true;
        case LOG_STREAM_LOST:
            return true; /* a total that is missing is not the newest that was noted */
        }
    }
    return false;
}
