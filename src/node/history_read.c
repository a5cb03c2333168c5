/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/history_read.h"

#include "base/memory.h"
#include "log/log_stream.h"
#include "store/counter_history.h"
#include "store/seen_changes.h"

enum { STEP_RECORDS = 256 };

struct history_read {
    struct log_stream *stream;
    struct counter_history *history;
    struct seen_changes *seen; /* NULL: nothing is unsure */
    bool has_begun;
};

struct history_read *history_read_new(struct log *log) {
    struct history_read *read = memory_alloc_zero(sizeof(*read));
    read->stream = log_stream_new(log);
    read->history = counter_history_new();
    return read;
}

void history_read_free(struct history_read *read) {
    if (read == NULL) {
        return;
    }
    log_stream_free(read->stream);
    counter_history_free(read->history);
    seen_changes_free(read->seen);
    memory_free(read);
}

/* Only what the mesh has seen the beginning and not all of can be in question. */
static void note(struct history_read *read, const struct sync *sync, const struct store *store,
                 const struct stream_record *record) {
    unsigned slot = replicas_find(&store->replicas, record->ref);
    uint64_t ticks;
    if (slot != 0 && sync_shown_ticks(sync, slot, &ticks) && ticks > 0 &&
        ticks < stamp_ticks(store->context.stamps[slot])) {
        counter_history_note(read->history, record, ticks);
    }
    if (read->seen != NULL) {
        seen_changes_note(read->seen, record);
    }
}

bool history_read_some(struct history_read *read, struct sync *sync, const struct store *store) {
    if (!read->has_begun) {
        uint64_t ticks = sync_unsure_ticks(sync);
        if (log_stream_seek_oldest(read->stream) == LOG_STREAM_LOST) {
            return true;
        }
        read->seen = ticks != UINT64_MAX ? seen_changes_new(ticks) : NULL;
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
            sync_set_history(sync, read->history, read->seen);
            read->history = NULL;
            read->seen = NULL;
            return true;
        case LOG_STREAM_LOST:
            return true; /* a total that is missing is not the newest that was noted */
        }
    }
    return false;
}
