/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of the segments on disk, for streams: where each begins in everybody's streams, and
 * which one leads on to which.
 *
 * Those written in this process have positions, those of earlier lives have none: a stream that
 * reads them counts for itself, until it comes to this life's beginning, which is position 0. */
#include "log/log_state.h"

#include "base/check.h"
#include "base/memory.h"
#include "log/directory.h"
#include "log/record_reader.h"

enum { SPAN_PLACE_BYTES = 1 << 20, SURVEY_WINDOW_BYTES = 4096 };

static struct log_span *add_span(struct log *log) {
    if (log->spans_count == log->spans_capacity) {
        log->spans_capacity = log->spans_capacity == 0 ? 16 : 2 * log->spans_capacity;
        log->spans = memory_resize(log->spans, log->spans_capacity * sizeof(log->spans[0]));
    }
    struct log_span *span = &log->spans[log->spans_count++];
    *span = (struct log_span){0};
    return span;
}

static void span_deinit(struct log_span *span) {
    memory_free(span->context);
    memory_free(span->places);
}

static struct log_span *current_span(const struct log *log) {
    if (!log_has_segment(log) || log->spans_count == 0) {
        return NULL;
    }
    struct log_span *span = &log->spans[log->spans_count - 1];
    return span->sequence == log->segment.sequence ? span : NULL;
}

bool log_span_is_current(const struct log *log, const struct log_span *span) {
    return span == current_span(log);
}

/* ---- those of this life ---- */

void log_span_begin(struct log *log, bool continues) {
    require(log_has_segment(log));
    struct log_span *span = add_span(log);
    *span = (struct log_span){.sequence = log->segment.sequence,
                              .continues = continues,
                              .has_position = true,
                              .first_position = log->stream_position,
                              .context =
                                  ring_context_new(&log->logged, log->store->replicas.slots_count)};
}

void log_span_end(struct log *log) {
    struct log_span *span = current_span(log);
    if (span == NULL || span->has_end || span->is_cut) {
        return;
    }
    span->bytes = log->segment.bytes;
    span->is_cut = log->pending.size > 0;
    span->has_end = !span->is_cut;
    span->end_position = log->stream_position;
}

void log_span_note(struct log *log, uint64_t offset) {
    struct log_span *span = current_span(log);
    uint64_t last = span->places_count > 0 ? span->places[span->places_count - 1].offset : 0;
    if (offset - last < SPAN_PLACE_BYTES) {
        return;
    }
    span->places = memory_resize(span->places, (span->places_count + 1) * sizeof(span->places[0]));
    span->places[span->places_count++] =
        (struct log_place){.position = log->stream_position, .offset = offset};
}

void log_span_clear_slot(struct log *log, unsigned slot) {
    for (size_t i = 0; i < log->spans_count; i++) {
        if (slot < log->spans[i].context->count) {
            log->spans[i].context->stamps[slot] = 0;
        }
    }
}

void log_span_forget(struct log *log, uint64_t sequence_max) {
    size_t count = 0;
    while (count < log->spans_count && log->spans[count].sequence <= sequence_max &&
           !log_span_is_current(log, &log->spans[count])) {
        span_deinit(&log->spans[count++]);
    }
    if (count > 0) {
        memmove(log->spans, log->spans + count, (log->spans_count - count) * sizeof(log->spans[0]));
        log->spans_count -= count;
    }
}

void log_span_deinit(struct log *log) {
    for (size_t i = 0; i < log->spans_count; i++) {
        span_deinit(&log->spans[i]);
    }
    memory_free(log->spans);
    log->spans = NULL;
    log->spans_count = log->spans_capacity = 0;
}

struct log_span *log_span_find(const struct log *log, uint64_t sequence) {
    for (size_t i = log->spans_count; i-- > 0;) {
        if (log->spans[i].sequence == sequence) {
            return &log->spans[i];
        }
    }
    return NULL;
}

struct log_span *log_span_at(const struct log *log, uint64_t position) {
    for (size_t i = log->spans_count; i-- > 0;) {
        struct log_span *span = &log->spans[i];
        if (span->has_position && span->first_position <= position) {
            bool is_inside = !span->has_end || position < span->end_position;
            return is_inside ? span : NULL;
        }
    }
    return NULL;
}

/* ---- those of earlier lives ---- */

/* The context that the record tells, in slots of today; false when somebody in it is unknown: then
 * the segment is of no use to streams. */
static bool translate(const struct store *store, const struct replicas_record *record,
                      struct context *context) {
    *context = (struct context){0};
    for (unsigned i = 0; i < record->count; i++) {
        const struct replicas_record_entry *entry = &record->entries[i];
        unsigned slot = replicas_find(&store->replicas, entry->ref);
        if (slot != 0 && entry->ticks > 0) {
            context_add(context, stamp_make(entry->ticks, slot));
        } else if (slot == 0 && replicas_find_retired(&store->replicas, entry->ref) == NULL) {
            return false;
        }
    }
    return true;
}

/* Reads the first record. True with `*is_empty` when there is none. */
static bool read_first_record(struct log *log, struct disk_file *file, uint64_t bytes,
                              struct context *context, bool *is_empty) {
    struct record_reader reader;
    struct record record;
    record_reader_init(&reader, log->disk, file, bytes, RECORD_SEGMENT_HEADER_BYTES);
    reader.window_bytes_usual = SURVEY_WINDOW_BYTES;
    enum record_read read = record_reader_next(&reader, &record);
    *is_empty = read == RECORD_READ_END || (read == RECORD_READ_OK && record.type == RECORD_SEAL);
    bool is_good = *is_empty;
    if (read == RECORD_READ_OK && record.type == RECORD_REPLICAS) {
        struct replicas_record replicas;
        if (replicas_record_take(&record.payload, &replicas)) {
            is_good = translate(log->store, &replicas, context);
            replicas_record_deinit(&replicas);
        }
    }
    record_reader_deinit(&reader);
    return is_good;
}

/* Adds the segment, if it is the one that the newer one with `next_crc` continues. */
static bool survey_segment(struct log *log, uint64_t sequence, bool is_newest, uint32_t *next_crc,
                           struct context *context) {
    struct disk *disk = log->disk;
    struct disk_file *file;
    char name[DIRECTORY_NAME_BYTES], head[RECORD_SEGMENT_HEADER_BYTES];
    directory_segment_name(name, sequence);
    if (disk->methods->open(disk, name, DISK_READ, &file) != DISK_OK) {
        return false;
    }
    struct record_segment_header header;
    int64_t bytes = disk->methods->size(disk, file);
    bool is_empty = false;
    bool is_good = bytes >= 0 && disk_read_all(disk, file, 0, head, sizeof(head)) == sizeof(head) &&
                   record_take_segment_header(head, &header) == RECORD_HEADER_OK &&
                   header.sequence == sequence && (is_newest || header.crc == *next_crc) &&
                   read_first_record(log, file, (uint64_t)bytes, context, &is_empty);
    disk->methods->close(disk, file);
    if (!is_good) {
        return false;
    }
    struct log_span *span = add_span(log);
    *span =
        (struct log_span){.sequence = sequence,
                          .continues = header.start == RECORD_START_CONTINUES,
                          .has_end = is_newest, /* at position 0 */
                          .bytes = (uint64_t)bytes,
                          .context = ring_context_new(context, log->store->replicas.slots_count)};
    *next_crc = header.previous_crc;
    return span->continues;
}

void log_span_survey(struct log *log) {
    require(log->spans_count == 0);
    uint64_t newest = log->end.segment_sequence;
    struct context *context = memory_alloc(sizeof(*context));
    *context = log->store->context; /* of an empty segment: that of the one after it */
    uint32_t crc = 0;
    for (uint64_t sequence = newest; sequence > 0; sequence--) {
        if (!survey_segment(log, sequence, sequence == newest, &crc, context)) {
            break;
        }
    }
    memory_free(context);
    for (size_t i = 0; i < log->spans_count / 2; i++) { /* oldest first */
        struct log_span span = log->spans[i];
        log->spans[i] = log->spans[log->spans_count - 1 - i];
        log->spans[log->spans_count - 1 - i] = span;
    }
}
