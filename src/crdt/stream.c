/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/stream.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/varint.h"

static char *put64(char *at, uint64_t value) {
    for (int i = 0; i < 8; i++) {
        *at++ = (char)(value >> (8 * i));
    }
    return at;
}

static size_t put_numbers(char *begin, const struct stream_record *record, uint64_t marks_count) {
    require(record->last_ticks >= record->previous_ticks);
    char *at = put64(begin, record->ref);
    at += varint_put(at, record->last_ticks);
    at += varint_put(at, record->last_ticks - record->previous_ticks);
    at += varint_put(at, marks_count);
    return (size_t)(at - begin);
}

void stream_record_put_head(struct buffer *out, const struct stream_record *record,
                            const struct stream_mark *marks, size_t marks_count) {
    char *at = buffer_reserve(out, 8 + 3 * VARINT_BYTES_MAX + marks_count * (8 + VARINT_BYTES_MAX));
    size_t size = put_numbers(at, record, marks_count);
    for (size_t i = 0; i < marks_count; i++) {
        char *mark = put64(at + size, marks[i].ref);
        mark += varint_put(mark, marks[i].ticks);
        size = (size_t)(mark - at);
    }
    out->size += size;
}

void stream_record_put(struct buffer *out, const struct stream_record *record) {
    char *at = buffer_reserve(out, 8 + 3 * VARINT_BYTES_MAX);
    out->size += put_numbers(at, record, record->marks_count);
    buffer_append_slice(out, record->marks);
    buffer_append_slice(out, record->batch);
}

bool stream_mark_next(struct slice *marks, struct stream_mark *mark) {
    return codec_take_u64(marks, &mark->ref) && varint_take(marks, &mark->ticks);
}

bool stream_record_take(struct slice bytes, struct stream_record *record) {
    uint64_t passed;
    *record = (struct stream_record){0};
    if (!codec_take_u64(&bytes, &record->ref) || record->ref == 0 ||
        !varint_take(&bytes, &record->last_ticks) || !varint_take(&bytes, &passed) ||
        passed > record->last_ticks || record->last_ticks > STAMP_TICKS_ACCEPTED_MAX ||
        !varint_take(&bytes, &record->marks_count)) {
        return false;
    }
    record->previous_ticks = record->last_ticks - passed;
    struct slice rest = bytes;
    for (uint64_t i = 0; i < record->marks_count; i++) {
        struct stream_mark mark;
        if (!stream_mark_next(&rest, &mark) || mark.ref == 0 ||
            mark.ticks > STAMP_TICKS_ACCEPTED_MAX) {
            return false;
        }
    }
    record->marks = slice_make(bytes.data, bytes.size - rest.size);
    record->batch = rest;
    return true;
}
