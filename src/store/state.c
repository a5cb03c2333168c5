/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/state.h"

#include <stdio.h>

#include "base/varint.h"
#include "store/mutate.h"

enum {
    STATE_HEAD_BYTES_MAX = 1 + VARINT_BYTES_MAX + 8 + 3 + 16 + VARINT_BYTES_MAX,
    /* A later piece of a large value: kind byte STATE_PART, then the head's fields. */
    STATE_PART = 31,
};

static char *put64(char *at, uint64_t value) {
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static void put_slice(struct buffer *out, struct slice bytes) {
    char *at = buffer_reserve(out, VARINT_BYTES_MAX + bytes.size);
    size_t size = varint_put(at, bytes.size);
    if (bytes.size > 0) {
        memcpy(at + size, bytes.data, bytes.size);
    }
    out->size += size + bytes.size;
}

/* In hexadecimal, which is exact: a register may have more digits than number_format_float() keeps,
 * and they count in the sum. */
static void put_float(struct buffer *out, long double value) {
    char text[64];
    put_slice(out, slice_make(text, (size_t)snprintf(text, sizeof(text), "%La", value)));
}

static void put_varint(struct buffer *out, uint64_t value) {
    out->size += varint_put(buffer_reserve(out, VARINT_BYTES_MAX), value);
}

/* A large value: the size, the first piece, and the stamps of its blocks; then the other pieces. */
static void encode_large(struct buffer *out, unsigned db, const struct entry *entry,
                         void (*flush)(void *udata), void *udata) {
    const struct large_string *large = entry_large(entry);
    struct slice rest = slice_make(large->bytes, large->size);
    size_t first = rest.size < CHANGE_VALUE_BYTES_MAX ? rest.size : CHANGE_VALUE_BYTES_MAX;
    put_varint(out, large->size);
    put_slice(out, slice_make(rest.data, first));
    for (rest = slice_skip(rest, first); rest.size > 0;) {
        flush(udata);
        size_t size = rest.size < CHANGE_VALUE_BYTES_MAX ? rest.size : CHANGE_VALUE_BYTES_MAX;
        buffer_append_byte(out, STATE_PART);
        put_varint(out, db);
        put_slice(out, entry_key(entry));
        put_varint(out, (uint64_t)(rest.data - large->bytes));
        put_slice(out, slice_make(rest.data, size));
        rest = slice_skip(rest, size);
    }
}

void state_encode(struct buffer *out, unsigned db, const struct entry *entry,
                  void (*flush)(void *udata), void *udata) {
    struct slice key = entry_key(entry);
    char *begin = buffer_reserve(out, STATE_HEAD_BYTES_MAX + key.size);
    char *at = begin;
    *at++ = (char)(entry->meta & 0xFF);
    at += varint_put(at, db);
    at = put64(at, entry->stamp);
    uint32_t access = entry_access(entry);
    memcpy(at, &access, 3);
    at += 3;
    if ((entry->meta & ENTRY_HAS_EXPIRY) != 0) {
        at = put64(at, entry_expire_unix_ms(entry));
    }
    if ((entry->meta & ENTRY_HAS_EXPIRY_STAMP) != 0) {
        at = put64(at, entry_expire_stamp(entry));
    }
    at += varint_put(at, key.size);
    memcpy(at, key.data, key.size);
    out->size += (size_t)(at - begin) + key.size;

    const unsigned char *body = entry_body(entry);
    struct entry_parts parts;
    switch (entry_kind(entry)) {
    case ENTRY_BYTES: {
        struct entry_scratch unused;
        put_slice(out, entry_value(entry, &unused));
        break;
    }
    case ENTRY_INTEGER:
        buffer_append(out, body, 8);
        break;
    case ENTRY_COUNTER:
        buffer_append(out, body, 16);
        break;
    case ENTRY_COUNTER_REGISTER:
        buffer_append(out, body, 32);
        break;
    case ENTRY_FLOAT_COUNTER:
        entry_take_apart(entry, &parts);
        put_varint(out, parts.start_ticks);
        put_varint(out, parts.register_stamp);
        put_float(out, parts.float_total);
        put_float(out, parts.float_register);
        break;
    case ENTRY_LARGE:
        encode_large(out, db, entry, flush, udata);
        break;
    case ENTRY_CONTESTED:
        impossible("a node that is alone has none");
    }
}

/* ---- decoding ---- */

static bool take64(struct slice *bytes, uint64_t *value) {
    if (bytes->size < 8) {
        return false;
    }
    memcpy(value, bytes->data, 8);
    *bytes = slice_skip(*bytes, 8);
    return true;
}

static bool take_float(struct slice *bytes, long double *value) {
    struct slice text;
    return varint_take_slice(bytes, &text) && number_parse_float(text, value);
}

static enum store_status load_large(struct slice *bytes, struct entry_parts *parts) {
    uint64_t size;
    if (!varint_take(bytes, &size) || size > SIZE_MAX / 4) {
        return STORE_MALFORMED;
    }
    /* Zeroed by the system, so a size that lies costs no memory until it is written to. */
    struct large_string *large = memory_try_alloc_zero(sizeof(struct large_string) + size);
    if (large == NULL) {
        return STORE_OUT_OF_MEMORY;
    }
    large->size = size;
    large->capacity = size;
    struct slice first;
    if (!varint_take_slice(bytes, &first) || first.size > size) {
        large_string_free(large);
        return STORE_MALFORMED;
    }
    if (first.size > 0) {
        memcpy(large->bytes, first.data, first.size);
    }
    parts->large = large;
    return STORE_OK;
}

static enum store_status load_body(struct slice *bytes, struct entry_parts *parts) {
    uint64_t number[4];
    switch (parts->kind) {
    case ENTRY_BYTES:
        return varint_take_slice(bytes, &parts->bytes) &&
                       parts->bytes.size <= ENTRY_INLINE_VALUE_BYTES_MAX
                   ? STORE_OK
                   : STORE_MALFORMED;
    case ENTRY_INTEGER:
        if (!take64(bytes, &number[0])) {
            return STORE_MALFORMED;
        }
        parts->integer = (int64_t)number[0];
        return STORE_OK;
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
        if (!take64(bytes, &parts->start_ticks) || !take64(bytes, &number[0])) {
            return STORE_MALFORMED;
        }
        parts->total = (int64_t)number[0];
        if (parts->kind == ENTRY_COUNTER_REGISTER) {
            if (!take64(bytes, &parts->register_stamp) || !take64(bytes, &number[1])) {
                return STORE_MALFORMED;
            }
            parts->integer = (int64_t)number[1];
        }
        return STORE_OK;
    case ENTRY_FLOAT_COUNTER:
        return varint_take(bytes, &parts->start_ticks) &&
                       varint_take(bytes, &parts->register_stamp) &&
                       take_float(bytes, &parts->float_total) &&
                       take_float(bytes, &parts->float_register)
                   ? STORE_OK
                   : STORE_MALFORMED;
    case ENTRY_LARGE:
        return load_large(bytes, parts);
    case ENTRY_CONTESTED:
        break;
    }
    return STORE_MALFORMED;
}

/* A later piece goes into the value that an earlier one began. */
static enum store_status load_part(struct store *store, struct slice *bytes) {
    uint64_t db, offset;
    struct slice rest = *bytes, name, piece;
    if (!varint_take(&rest, &db) || db >= store->dbs_count || !varint_take_slice(&rest, &name) ||
        !varint_take(&rest, &offset) || !varint_take_slice(&rest, &piece)) {
        return STORE_MALFORMED;
    }
    struct key key = store_key(store, (unsigned)db, name);
    uint64_t *slot = mutate_slot(store, &key);
    if (slot == NULL || entry_kind(table_item(*slot)) != ENTRY_LARGE) {
        return STORE_MALFORMED;
    }
    struct large_string *large = entry_large(table_item(*slot));
    if (offset > large->size || piece.size > large->size - offset) {
        return STORE_MALFORMED;
    }
    memcpy(large->bytes + offset, piece.data, piece.size);
    *bytes = rest;
    return STORE_OK;
}

enum store_status state_load(struct store *store, struct slice *bytes) {
    if (bytes->size < 1) {
        return STORE_MALFORMED;
    }
    struct slice rest = slice_skip(*bytes, 1);
    uint8_t byte = (uint8_t)bytes->data[0];
    if (byte == STATE_PART) {
        enum store_status status = load_part(store, &rest);
        if (status == STORE_OK) {
            *bytes = rest;
        }
        return status;
    }
    if ((byte & ENTRY_KIND_MASK) > ENTRY_LARGE) {
        return STORE_MALFORMED;
    }
    struct entry_parts parts = {.kind = (enum entry_kind)(byte & ENTRY_KIND_MASK),
                                .flags = byte & ENTRY_EDITED};
    uint64_t db;
    if (!varint_take(&rest, &db) || db >= store->dbs_count || !take64(&rest, &parts.stamp) ||
        rest.size < 3) {
        return STORE_MALFORMED;
    }
    memcpy(&parts.access, rest.data, 3);
    rest = slice_skip(rest, 3);
    if (((byte & ENTRY_HAS_EXPIRY) != 0 && !take64(&rest, &parts.expire_unix_ms)) ||
        ((byte & ENTRY_HAS_EXPIRY_STAMP) != 0 && !take64(&rest, &parts.expire_stamp)) ||
        !varint_take_slice(&rest, &parts.key) || parts.key.size > CHANGE_KEY_BYTES_MAX) {
        return STORE_MALFORMED;
    }
    if (stamp_ticks(parts.stamp) > STAMP_TICKS_ACCEPTED_MAX ||
        stamp_ticks(parts.expire_stamp) > STAMP_TICKS_ACCEPTED_MAX) {
        return STORE_MALFORMED;
    }
    parts.has_expiry = parts.expire_unix_ms != 0;
    struct key key = store_key(store, (unsigned)db, parts.key);
    if (mutate_slot(store, &key) != NULL) {
        return STORE_MALFORMED;
    }
    enum store_status status = load_body(&rest, &parts);
    if (status != STORE_OK) {
        return status;
    }
    struct entry *entry = entry_new(&parts);
    if (entry == NULL) {
        if (parts.kind == ENTRY_LARGE) {
            large_string_free(parts.large);
        }
        return STORE_OUT_OF_MEMORY;
    }
    table_insert(&store->dbs[db].table, key.hash, entry, parts.has_expiry);
    context_add(&store->context, entry_newest_stamp(entry));
    hybrid_clock_observe(&store->clock, stamp_ticks(entry_newest_stamp(entry)));
    *bytes = rest;
    return STORE_OK;
}
