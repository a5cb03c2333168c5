/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/state.h"

#include <stdio.h>

#include "base/varint.h"
#include "store/databases.h"
#include "store/mutate.h"

enum {
    STATE_HEAD_BYTES_MAX = 1 + VARINT_BYTES_MAX + 8 + 3 + 16 + VARINT_BYTES_MAX,
    /* A later piece of a large value: kind byte STATE_PART, then the head's fields. */
    STATE_PART = 31,
    /* The order of the databases: kind byte, stamp, list. */
    STATE_ORDER = 30,
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

static void put_stamp(struct buffer *out, uint64_t stamp) {
    (void)put64(buffer_reserve(out, 8), stamp);
    out->size += 8;
}

static void put_varint(struct buffer *out, uint64_t value) {
    out->size += varint_put(buffer_reserve(out, VARINT_BYTES_MAX), value);
}

/* A large value: the size and the first piece; then the other pieces. */
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

void state_encode_order(struct buffer *out, const struct store *store) {
    if (store->order_stamp == 0) {
        return;
    }
    struct buffer order = {0};
    databases_put_order(store, &order);
    buffer_append_byte(out, STATE_ORDER);
    put_stamp(out, store->order_stamp);
    put_slice(out, buffer_slice(&order));
    buffer_deinit(&order);
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

/* Gives a stamp its local slot; false for one that nobody here can have written. */
static bool localize(const uint16_t *slots, uint64_t *stamp) {
    if (stamp_ticks(*stamp) > STAMP_TICKS_ACCEPTED_MAX) {
        return false;
    }
    unsigned slot = stamp_slot(*stamp);
    if (slots == NULL || slot == STAMP_SLOT_SETTLED) {
        return true;
    }
    *stamp = stamp_make(stamp_ticks(*stamp), slots[slot]);
    return slots[slot] != STAMP_SLOT_SETTLED;
}

static bool take_stamp(struct slice *bytes, const uint16_t *slots, uint64_t *stamp) {
    return take64(bytes, stamp) && localize(slots, stamp);
}

static bool take_float(struct slice *bytes, long double *value) {
    struct slice text;
    return varint_take_slice(bytes, &text) && number_parse_float(text, value);
}

static enum store_status take_large(struct slice *bytes, struct entry_parts *parts) {
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
    parts->bytes = first;
    return STORE_OK;
}

static enum store_status take_body(struct slice *bytes, const uint16_t *slots,
                                   struct entry_parts *parts) {
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
            if (!take_stamp(bytes, slots, &parts->register_stamp) || !take64(bytes, &number[1])) {
                return STORE_MALFORMED;
            }
            parts->integer = (int64_t)number[1];
        }
        return STORE_OK;
    case ENTRY_FLOAT_COUNTER:
        return varint_take(bytes, &parts->start_ticks) &&
                       varint_take(bytes, &parts->register_stamp) &&
                       localize(slots, &parts->register_stamp) &&
                       take_float(bytes, &parts->float_total) &&
                       take_float(bytes, &parts->float_register)
                   ? STORE_OK
                   : STORE_MALFORMED;
    case ENTRY_LARGE:
        return take_large(bytes, parts);
    case ENTRY_CONTESTED:
        break;
    }
    return STORE_MALFORMED;
}

static bool take_db(struct slice *bytes, const struct store *store, unsigned *db) {
    uint64_t number;
    if (!varint_take(bytes, &number) || number >= store->dbs_count) {
        return false;
    }
    *db = (unsigned)number;
    return true;
}

static enum store_status take_entry(const struct store *store, const uint16_t *slots, uint8_t byte,
                                    struct slice *bytes, struct state_piece *piece) {
    if ((byte & ENTRY_KIND_MASK) > ENTRY_LARGE) {
        return STORE_MALFORMED;
    }
    struct entry_parts parts = {.kind = (enum entry_kind)(byte & ENTRY_KIND_MASK),
                                .flags = byte & ENTRY_EDITED};
    if (!take_db(bytes, store, &piece->db) || !take_stamp(bytes, slots, &parts.stamp) ||
        bytes->size < 3) {
        return STORE_MALFORMED;
    }
    memcpy(&parts.access, bytes->data, 3);
    *bytes = slice_skip(*bytes, 3);
    if (((byte & ENTRY_HAS_EXPIRY) != 0 && !take64(bytes, &parts.expire_unix_ms)) ||
        ((byte & ENTRY_HAS_EXPIRY_STAMP) != 0 && !take_stamp(bytes, slots, &parts.expire_stamp)) ||
        !varint_take_slice(bytes, &parts.key) || parts.key.size > CHANGE_KEY_BYTES_MAX) {
        return STORE_MALFORMED;
    }
    parts.has_expiry = parts.expire_unix_ms != 0;
    enum store_status status = take_body(bytes, slots, &parts);
    if (status != STORE_OK) {
        return status;
    }
    piece->entry = entry_new(&parts);
    if (piece->entry == NULL) {
        if (parts.kind == ENTRY_LARGE) {
            large_string_free(parts.large);
        }
        return STORE_OUT_OF_MEMORY;
    }
    piece->key = parts.key;
    piece->goes_on = parts.kind == ENTRY_LARGE && parts.bytes.size < parts.large->size;
    return STORE_OK;
}

static bool take_part(const struct store *store, struct slice *bytes, struct state_piece *piece) {
    return take_db(bytes, store, &piece->db) && varint_take_slice(bytes, &piece->key) &&
           varint_take(bytes, &piece->offset) && varint_take_slice(bytes, &piece->bytes);
}

enum store_status state_decode(const struct store *store, const uint16_t *slots,
                               struct slice *bytes, struct state_piece *piece) {
    *piece = (struct state_piece){0};
    if (bytes->size < 1) {
        return STORE_MALFORMED;
    }
    struct slice rest = slice_skip(*bytes, 1);
    uint8_t byte = (uint8_t)bytes->data[0];
    enum store_status status = STORE_OK;
    if (byte == STATE_PART) {
        piece->kind = STATE_PIECE_PART;
        status = take_part(store, &rest, piece) ? STORE_OK : STORE_MALFORMED;
    } else if (byte == STATE_ORDER) {
        piece->kind = STATE_PIECE_ORDER;
        status = take_stamp(&rest, slots, &piece->order_stamp) &&
                         varint_take_slice(&rest, &piece->order) &&
                         databases_check_order(store, piece->order)
                     ? STORE_OK
                     : STORE_MALFORMED;
    } else {
        status = take_entry(store, slots, byte, &rest, piece);
    }
    if (status == STORE_OK) {
        *bytes = rest;
    }
    return status;
}

enum store_status state_add_part(struct entry *entry, const struct state_piece *part,
                                 bool *goes_on) {
    if (entry_kind(entry) != ENTRY_LARGE) {
        return STORE_MALFORMED;
    }
    struct large_string *large = entry_large(entry);
    if (part->offset > large->size || part->bytes.size > large->size - part->offset) {
        return STORE_MALFORMED;
    }
    if (part->bytes.size > 0) {
        memcpy(large->bytes + part->offset, part->bytes.data, part->bytes.size);
    }
    *goes_on = part->offset + part->bytes.size < large->size;
    return STORE_OK;
}

/* ---- loading ---- */

static void note_stamp(struct store *store, uint64_t stamp) {
    context_add(&store->context, stamp);
    hybrid_clock_observe(&store->clock, stamp_ticks(stamp));
}

static enum store_status load_entry(struct store *store, const struct state_piece *piece) {
    struct key key = store_key(store, store_database_index(store, piece->db), piece->key);
    if (mutate_slot(store, &key) != NULL) {
        entry_free(piece->entry);
        return STORE_MALFORMED;
    }
    table_insert(&store->dbs[key.db].table, key.hash, piece->entry,
                 entry_expire_unix_ms(piece->entry) != 0);
    note_stamp(store, piece->entry->stamp);
    note_stamp(store, entry_expire_stamp(piece->entry));
    return STORE_OK;
}

static enum store_status load_part(struct store *store, const struct state_piece *piece) {
    struct key key = store_key(store, store_database_index(store, piece->db), piece->key);
    uint64_t *slot = mutate_slot(store, &key);
    bool goes_on;
    return slot != NULL ? state_add_part(table_item(*slot), piece, &goes_on) : STORE_MALFORMED;
}

enum store_status state_load(struct store *store, struct slice *bytes) {
    struct slice rest = *bytes;
    struct state_piece piece;
    enum store_status status = state_decode(store, NULL, &rest, &piece);
    if (status != STORE_OK) {
        return status;
    }
    switch (piece.kind) {
    case STATE_PIECE_ENTRY:
        status = load_entry(store, &piece);
        break;
    case STATE_PIECE_PART:
        status = load_part(store, &piece);
        break;
    case STATE_PIECE_ORDER:
        databases_take_order(store, piece.order_stamp, piece.order);
        note_stamp(store, piece.order_stamp);
        break;
    }
    if (status == STORE_OK) {
        *bytes = rest;
    }
    return status;
}
