/* SPDX-License-Identifier: BSD-3-Clause */
/* A serialised value as text, and written anew: for the tests of its reader and writer, and their
 * fuzzer.
 *
 *   string hello            list a b                 set a b
 *   hash f=v g=w@1800000000000                       zset m=1.5
 *   stream 1-1{f=v}; length=1 first=1-1 last=1-1 deleted=0-0 added=1;
 *     group g last=1-1 read=1 pending=1; consumer c seen=5 active=5 1-1@5*1
 *
 * Sets, hashes and sorted sets are in the order of their text. Other bytes than printable ones are
 * \xNN, and 20 or more equal ones are \*N. and one of them. */
#ifndef TESTS_UNIT_COMMANDS_RDB_TEXT_H
#define TESTS_UNIT_COMMANDS_RDB_TEXT_H

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "commands/rdb_reader.h"
#include "commands/rdb_writer.h"

enum { RDB_TEXT_BYTES_MAX = 1 << 29 };

static const struct hash_seed RDB_TEXT_SEED = {UINT64_C(0x1234567), UINT64_C(0xFEDCBA9876543)};

/* ---- as text ---- */

static inline void rdb_text_bytes(struct buffer *out, struct slice bytes) {
    for (size_t i = 0; i < bytes.size;) {
        size_t run = 1;
        while (i + run < bytes.size && bytes.data[i + run] == bytes.data[i]) {
            run++;
        }
        if (run < 20) {
            run = 1;
        } else {
            buffer_printf(out, "\\*%zu.", run);
        }
        uint8_t byte = (uint8_t)bytes.data[i];
        if (byte > ' ' && byte < 127 && strchr("\\=;\"", byte) == NULL) {
            buffer_append_byte(out, byte);
        } else {
            buffer_printf(out, "\\x%02x", byte);
        }
        i += run;
    }
}

static inline void rdb_text_id(struct buffer *out, struct rdb_stream_id id) {
    buffer_printf(out, "%" PRIu64 "-%" PRIu64, id.ms, id.sequence);
}

/* Which parts of a value are not shown: those that version 10 cannot write. */
enum rdb_text_detail { RDB_TEXT_ALL, RDB_TEXT_VERSION_10 };

static inline void rdb_text_entry(struct buffer *out, struct rdb_entry *entry) {
    buffer_append_byte(out, ' ');
    rdb_text_id(out, entry->id);
    struct slice name, value;
    char before = '{';
    require(entry->fields.left > 0);
    while (rdb_entry_fields_next(&entry->fields, &name, &value)) {
        buffer_append_byte(out, (uint8_t)before);
        rdb_text_bytes(out, name);
        buffer_append_byte(out, '=');
        rdb_text_bytes(out, value);
        before = ' ';
    }
    buffer_append_byte(out, '}');
}

static inline void rdb_text_stream(struct buffer *out, const struct rdb_stream *stream) {
    buffer_printf(out, "; length=%" PRIu64 " first=", stream->length);
    rdb_text_id(out, stream->first_id);
    buffer_append_slice(out, SLICE(" last="));
    rdb_text_id(out, stream->last_id);
    buffer_append_slice(out, SLICE(" deleted="));
    rdb_text_id(out, stream->deleted_id_max);
    buffer_printf(out, " added=%" PRIu64, stream->entries_added);
}

static inline void rdb_text_item(struct buffer *out, struct rdb_item *item,
                                 enum rdb_text_detail detail) {
    switch (item->kind) {
    case RDB_ITEM_STRING:
    case RDB_ITEM_ELEMENT:
    case RDB_ITEM_MEMBER:
        rdb_text_bytes(out, item->name);
        break;
    case RDB_ITEM_FIELD:
        rdb_text_bytes(out, item->name);
        buffer_append_byte(out, '=');
        rdb_text_bytes(out, item->value);
        if (item->expire_unix_ms != 0 && detail == RDB_TEXT_ALL) {
            buffer_printf(out, "@%" PRIu64, item->expire_unix_ms);
        }
        break;
    case RDB_ITEM_SCORED:
        rdb_text_bytes(out, item->name);
        buffer_printf(out, "=%.17g", item->score);
        break;
    case RDB_ITEM_ENTRY:
        rdb_text_entry(out, &item->entry);
        break;
    case RDB_ITEM_STREAM:
        rdb_text_stream(out, &item->stream);
        break;
    case RDB_ITEM_GROUP:
        buffer_append_slice(out, SLICE("; group "));
        rdb_text_bytes(out, item->group.name);
        buffer_append_slice(out, SLICE(" last="));
        rdb_text_id(out, item->group.last_id);
        buffer_printf(out, " read=%" PRId64 " pending=%" PRIu64, item->group.entries_read,
                      item->group.pending_count);
        break;
    case RDB_ITEM_CONSUMER:
        buffer_append_slice(out, SLICE("; consumer "));
        rdb_text_bytes(out, item->consumer.name);
        buffer_printf(out, " seen=%" PRId64, item->consumer.seen_unix_ms);
        if (detail == RDB_TEXT_ALL) {
            buffer_printf(out, " active=%" PRId64, item->consumer.active_unix_ms);
        }
        break;
    case RDB_ITEM_PENDING:
        buffer_append_byte(out, ' ');
        rdb_text_id(out, item->pending.id);
        buffer_printf(out, "@%" PRId64 "*%" PRIu64, item->pending.delivered_unix_ms,
                      item->pending.deliveries_count);
        break;
    }
}

static inline int rdb_text_compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Appends what the reader delivers, up to its end. */
static inline void rdb_text_items(struct buffer *out, struct rdb_reader *reader,
                                  enum rdb_text_detail detail) {
    static const char *const KINDS[] = {"string", "list", "set", "hash", "zset", "stream"};
    buffer_append_slice(out, slice_of(KINDS[reader->kind]));
    bool is_ordered = reader->kind == RDB_KIND_STRING || reader->kind == RDB_KIND_LIST ||
                      reader->kind == RDB_KIND_STREAM;
    char **texts = is_ordered ? NULL : memory_alloc((size_t)reader->count * sizeof(*texts));
    size_t count = 0;
    struct rdb_item item;
    while (rdb_reader_next(reader, &item)) {
        if (is_ordered) {
            if (reader->kind != RDB_KIND_STREAM) {
                buffer_append_byte(out, ' ');
            }
            rdb_text_item(out, &item, detail);
            continue;
        }
        struct buffer text = {0};
        rdb_text_item(&text, &item, detail);
        require(count < reader->count);
        texts[count++] = memory_copy_text(buffer_text(&text));
        buffer_deinit(&text);
    }
    if (count > 0) {
        qsort(texts, count, sizeof(*texts), rdb_text_compare);
    }
    for (size_t i = 0; i < count; i++) {
        buffer_append_byte(out, ' ');
        buffer_append_slice(out, slice_of(texts[i]));
        memory_free(texts[i]);
    }
    memory_free(texts);
}

/* Appends the text of `value`, a payload without footer; nothing when it is refused. */
static inline enum rdb_value_status rdb_text(struct buffer *out, struct slice value,
                                             enum rdb_text_detail detail) {
    struct rdb_reader reader;
    enum rdb_value_status status =
        rdb_reader_open(&reader, value, RDB_TEXT_BYTES_MAX, RDB_TEXT_SEED);
    if (status == RDB_VALUE_OK) {
        rdb_text_items(out, &reader, detail);
    }
    rdb_reader_deinit(&reader);
    return status;
}

/* ---- written anew ---- */

static inline struct slice rdb_text_copy(struct slice bytes) {
    char *copy = memory_alloc(bytes.size + 1);
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return slice_make(copy, bytes.size);
}

static inline int rdb_text_compare_scored(const void *a, const void *b) {
    const struct rdb_item *left = a, *right = b;
    if (left->score != right->score) {
        return left->score < right->score ? -1 : 1;
    }
    return slice_compare(left->name, right->name);
}

static inline void rdb_text_rewrite_entry(struct rdb_writer *writer, struct rdb_entry *entry) {
    size_t count = (size_t)entry->fields.left;
    struct slice *parts = memory_alloc(2 * count * sizeof(*parts));
    for (size_t i = 0; i < count; i++) {
        bool is_there = rdb_entry_fields_next(&entry->fields, &parts[2 * i], &parts[2 * i + 1]);
        require(is_there);
        parts[2 * i] = rdb_text_copy(parts[2 * i]);
        parts[2 * i + 1] = rdb_text_copy(parts[2 * i + 1]);
    }
    rdb_writer_entry(writer, entry->id, parts, count);
    for (size_t i = 0; i < 2 * count; i++) {
        memory_free((char *)parts[i].data);
    }
    memory_free(parts);
}

static inline int rdb_text_compare_pending(const void *a, const void *b) {
    return rdb_stream_id_compare(((const struct rdb_pending *)a)->id,
                                 ((const struct rdb_pending *)b)->id);
}

/* Writes the consumers of a group, which `items` has with what is pending at each. */
static inline void rdb_text_rewrite_group(struct rdb_writer *writer, const struct rdb_item *items,
                                          size_t count) {
    struct rdb_pending *pending = memory_alloc(count * sizeof(*pending));
    size_t pending_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind == RDB_ITEM_PENDING) {
            pending[pending_count++] = items[i].pending;
        }
    }
    qsort(pending, pending_count, sizeof(*pending), rdb_text_compare_pending);
    for (size_t i = 0; i < pending_count; i++) {
        rdb_writer_group_pending(writer, &pending[i]);
    }
    memory_free(pending);
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind == RDB_ITEM_PENDING) {
            rdb_writer_consumer_pending(writer, items[i].pending.id);
        } else {
            rdb_writer_consumer(writer, &items[i].consumer);
            memory_free((char *)items[i].consumer.name.data);
        }
    }
}

static inline void rdb_text_rewrite_stream(struct rdb_writer *writer, struct rdb_reader *reader) {
    struct buffer items = {0}; /* consumers and pending entries of the group */
    struct rdb_item item;
    rdb_writer_begin_stream(writer);
    while (rdb_reader_next(reader, &item)) {
        if (item.kind == RDB_ITEM_ENTRY) {
            rdb_text_rewrite_entry(writer, &item.entry);
            continue;
        }
        if (item.kind == RDB_ITEM_STREAM) {
            rdb_writer_stream(writer, &item.stream);
            continue;
        }
        if (item.kind == RDB_ITEM_GROUP) {
            rdb_text_rewrite_group(writer, (const struct rdb_item *)items.data,
                                   items.size / sizeof(item));
            buffer_clear(&items);
            rdb_writer_group(writer, &item.group);
            continue;
        }
        if (item.kind == RDB_ITEM_CONSUMER) {
            item.consumer.name = rdb_text_copy(item.consumer.name);
        }
        buffer_append(&items, &item, sizeof(item));
    }
    rdb_text_rewrite_group(writer, (const struct rdb_item *)items.data, items.size / sizeof(item));
    buffer_deinit(&items);
}

static inline void rdb_text_rewrite_sorted_set(struct rdb_writer *writer,
                                               struct rdb_reader *reader) {
    struct rdb_item *items = memory_alloc((size_t)reader->count * sizeof(*items));
    size_t count = 0;
    while (count < reader->count && rdb_reader_next(reader, &items[count])) {
        items[count].name = rdb_text_copy(items[count].name);
        count++;
    }
    qsort(items, count, sizeof(*items), rdb_text_compare_scored);
    rdb_writer_begin_sorted_set(writer, count);
    for (size_t i = 0; i < count; i++) {
        rdb_writer_scored(writer, items[i].name, items[i].score);
        memory_free((char *)items[i].name.data);
    }
    memory_free(items);
}

static inline void rdb_text_rewrite_items(struct rdb_writer *writer, struct rdb_reader *reader) {
    struct rdb_item item;
    switch (reader->kind) {
    case RDB_KIND_STRING:
        (void)rdb_reader_next(reader, &item);
        rdb_writer_string(writer, item.name);
        break;
    case RDB_KIND_LIST:
        rdb_writer_begin_list(writer);
        while (rdb_reader_next(reader, &item)) {
            rdb_writer_element(writer, item.name);
        }
        break;
    case RDB_KIND_SET:
        rdb_writer_begin_set(writer, reader->count);
        while (rdb_reader_next(reader, &item)) {
            rdb_writer_member(writer, item.name);
        }
        break;
    case RDB_KIND_HASH:
        rdb_writer_begin_hash(writer, reader->count);
        while (rdb_reader_next(reader, &item)) {
            rdb_writer_field(writer, item.name, item.value);
        }
        break;
    case RDB_KIND_SORTED_SET:
        rdb_text_rewrite_sorted_set(writer, reader);
        break;
    case RDB_KIND_STREAM:
        rdb_text_rewrite_stream(writer, reader);
        break;
    }
}

/* Reads `value`, which is sound, and appends it as the writer has it, footer and all. */
static inline void rdb_text_rewrite(struct buffer *out, struct slice value,
                                    const struct rdb_writer_limits *limits) {
    struct rdb_reader reader;
    struct rdb_writer writer;
    enum rdb_value_status status =
        rdb_reader_open(&reader, value, RDB_TEXT_BYTES_MAX, RDB_TEXT_SEED);
    require(status == RDB_VALUE_OK);
    rdb_writer_init(&writer, out, limits);
    rdb_text_rewrite_items(&writer, &reader);
    bool is_written = rdb_writer_end(&writer);
    require(is_written);
    rdb_writer_deinit(&writer);
    rdb_reader_deinit(&reader);
}

#endif
