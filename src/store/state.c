/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/state.h"

#include <math.h>

#include "crdt/packed_list.h"
#include "store/databases.h"
#include "store/elements_internal.h"
#include "store/mutate.h"
#include "store/state_codec.h"
#include "store/state_collection.h"
#include "store/state_elements.h"

enum {
    STATE_HEAD_BYTES_MAX = 1 + VARINT_BYTES_MAX + 8 + 3 + 16 + VARINT_BYTES_MAX,
    /* A later piece of a large value: kind byte STATE_PART, then the head's fields. */
    STATE_PART = 31,
    /* The order of the databases: kind byte, stamp, list. */
    STATE_ORDER = 30,
    /* More elements of a contested entry: kind byte, database, key, elements. */
    STATE_ELEMENTS = 29,
};

static char *put64(char *at, uint64_t value) {
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

/* A large value: the size and the first piece; then the other pieces. */
static void encode_large(struct buffer *out, unsigned db, const struct entry *entry,
                         void (*flush)(void *udata), void *udata) {
    const struct large_string *large = entry_large(entry);
    struct slice rest = slice_make(large->bytes, large->size);
    size_t first = rest.size < CHANGE_VALUE_BYTES_MAX ? rest.size : CHANGE_VALUE_BYTES_MAX;
    codec_put_varint(out, large->size);
    codec_put_slice(out, slice_make(rest.data, first));
    for (rest = slice_skip(rest, first); rest.size > 0;) {
        flush(udata);
        size_t size = rest.size < CHANGE_VALUE_BYTES_MAX ? rest.size : CHANGE_VALUE_BYTES_MAX;
        buffer_append_byte(out, STATE_PART);
        codec_put_varint(out, db);
        codec_put_slice(out, entry_key(entry));
        codec_put_varint(out, (uint64_t)(rest.data - large->bytes));
        codec_put_slice(out, slice_make(rest.data, size));
        rest = slice_skip(rest, size);
    }
}

static void next_elements_piece(struct state_elements_writer *writer) {
    writer->flush(writer->udata);
    writer->piece_offset = writer->out->size;
    buffer_append_byte(writer->out, STATE_ELEMENTS);
    codec_put_varint(writer->out, writer->db);
    codec_put_slice(writer->out, writer->key);
}

void state_encode_head(struct buffer *out, const struct store *store, unsigned db,
                       const struct entry *entry, void (*flush)(void *udata), void *udata) {
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
    size_t piece_offset = out->size;
    out->size += (size_t)(at - begin) + key.size;

    const unsigned char *body = entry_body(entry);
    struct entry_parts parts;
    switch (entry_kind(entry)) {
    case ENTRY_BYTES: {
        struct entry_scratch unused;
        codec_put_slice(out, entry_value(entry, &unused));
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
        codec_put_varint(out, parts.start_ticks);
        codec_put_varint(out, parts.register_stamp);
        state_put_float(out, parts.float_total);
        state_put_float(out, parts.float_register);
        break;
    case ENTRY_LARGE:
        encode_large(out, db, entry, flush, udata);
        break;
    case ENTRY_CONTESTED: {
        struct state_elements_writer writer = {.out = out,
                                               .piece_offset = piece_offset,
                                               .next_piece = next_elements_piece,
                                               .db = db,
                                               .key = key,
                                               .flush = flush,
                                               .udata = udata};
        state_elements_put(&writer, entry_contested(entry));
        break;
    }
    case ENTRY_PACKED:
        state_put_packed(out, store, entry_packed(entry));
        break;
    case ENTRY_COLLECTION:
        break;
    }
}

void state_encode(struct buffer *out, const struct store *store, unsigned db,
                  const struct entry *entry, void (*flush)(void *udata), void *udata) {
    state_encode_head(out, store, db, entry, flush, udata);
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        state_put_collections(out, db, entry_key(entry), entry_collection(entry), flush, udata);
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        state_put_collections(out, db, entry_key(entry), entry_contested(entry)->collections, flush,
                              udata);
    }
}

void state_encode_order(struct buffer *out, const struct store *store) {
    if (store->order_stamp == 0) {
        return;
    }
    struct buffer order = {0};
    databases_put_order(store, &order);
    buffer_append_byte(out, STATE_ORDER);
    codec_put_u64(out, store->order_stamp);
    codec_put_slice(out, buffer_slice(&order));
    buffer_deinit(&order);
}

/* ---- decoding ---- */

static enum store_status take_large(struct slice *bytes, struct entry_parts *parts) {
    uint64_t size;
    if (!varint_take(bytes, &size) || size > CHANGE_STRING_BYTES_MAX) {
        return STORE_MALFORMED;
    }
    /* Zeros: a size that lies costs no memory until it is written to. */
    struct large_string *large = large_string_new_zero(size);
    if (large == NULL) {
        return STORE_OUT_OF_MEMORY;
    }
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

/* Reads a batch of elements into a collection; NULL when they make no sense, or memory is out. */
static enum store_status take_batch(struct slice *bytes, struct state_piece *piece,
                                    struct collection **collection) {
    struct state_piece batch = {.store = piece->store, .slots = piece->slots};
    *collection = NULL;
    enum store_status status = state_take_batch(bytes, &batch);
    if (status != STORE_OK) {
        return status;
    }
    *collection = collection_new(piece->store, batch.type, piece->db);
    status = state_add_elements(*collection, &batch);
    if (status == STORE_OK && collection_count(*collection) == 0) {
        status = STORE_MALFORMED;
    }
    if (status != STORE_OK) {
        collection_free(*collection);
        *collection = NULL;
    }
    piece->goes_on |= batch.goes_on;
    return status;
}

static enum store_status take_contested(struct slice *bytes, struct state_piece *piece,
                                        struct entry_parts *parts) {
    struct contested *contested = contested_new();
    enum state_elements_end end;
    enum store_status status =
        state_elements_take(piece->store, piece->slots, bytes, contested, &end);
    piece->goes_on = end == STATE_ELEMENTS_GO_ON;
    if (status == STORE_OK && end == STATE_ELEMENTS_BATCH) {
        struct collection *collection;
        status = take_batch(bytes, piece, &collection);
        contested->collections = collection;
    }
    if (status != STORE_OK) {
        contested_free(contested);
        return status;
    }
    if (contested->registers_count + contested->edits_count + contested->parts_count +
                contested->expiries_count ==
            0 &&
        contested->collections == NULL) {
        contested_free(contested);
        return STORE_MALFORMED;
    }
    contested->database = piece->db;
    parts->contested = contested;
    return STORE_OK;
}

/* It may become a part of a contested value, and so has to be one (I2 of contested.h). */
static bool counter_is_sound(const struct entry_parts *parts) {
    return stamp_slot(parts->stamp) != STAMP_SLOT_SETTLED &&
           parts->start_ticks <= stamp_ticks(parts->stamp) && !isnan(parts->float_total);
}

/* `packed` gets the bytes of a packed collection. */
static enum store_status take_body(struct slice *bytes, struct state_piece *piece,
                                   struct entry_parts *parts, struct buffer *packed) {
    const uint16_t *slots = piece->slots;
    uint64_t number[4];
    switch (parts->kind) {
    case ENTRY_BYTES:
        return varint_take_slice(bytes, &parts->bytes) &&
                       parts->bytes.size <= ENTRY_INLINE_VALUE_BYTES_MAX
                   ? STORE_OK
                   : STORE_MALFORMED;
    case ENTRY_INTEGER:
        if (!codec_take_u64(bytes, &number[0])) {
            return STORE_MALFORMED;
        }
        parts->integer = (int64_t)number[0];
        return STORE_OK;
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
        if (!codec_take_u64(bytes, &parts->start_ticks) || !codec_take_u64(bytes, &number[0])) {
            return STORE_MALFORMED;
        }
        parts->total = (int64_t)number[0];
        if (parts->kind == ENTRY_COUNTER_REGISTER) {
            if (!state_take_stamp(bytes, slots, &parts->register_stamp) ||
                !codec_take_u64(bytes, &number[1])) {
                return STORE_MALFORMED;
            }
            parts->integer = (int64_t)number[1];
        }
        return counter_is_sound(parts) ? STORE_OK : STORE_MALFORMED;
    case ENTRY_FLOAT_COUNTER:
        return varint_take(bytes, &parts->start_ticks) &&
                       varint_take(bytes, &parts->register_stamp) &&
                       state_localize(slots, &parts->register_stamp) &&
                       state_take_float(bytes, &parts->float_total) &&
                       state_take_float(bytes, &parts->float_register) && counter_is_sound(parts)
                   ? STORE_OK
                   : STORE_MALFORMED;
    case ENTRY_LARGE: {
        enum store_status status = take_large(bytes, parts);
        piece->goes_on = status == STORE_OK && parts->bytes.size < parts->large->size;
        return status;
    }
    case ENTRY_CONTESTED:
        return take_contested(bytes, piece, parts);
    case ENTRY_PACKED: {
        enum store_status status = state_take_packed(bytes, piece->store, slots, packed);
        parts->bytes = status == STORE_OK ? buffer_slice(packed) : (struct slice){0};
        return status;
    }
    case ENTRY_COLLECTION:
        return take_batch(bytes, piece, &parts->collection);
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

static enum store_status take_entry(uint8_t byte, struct slice *bytes, struct state_piece *piece) {
    const uint16_t *slots = piece->slots;
    if ((byte & ENTRY_KIND_MASK) > ENTRY_COLLECTION) {
        return STORE_MALFORMED;
    }
    struct entry_parts parts = {.kind = (enum entry_kind)(byte & ENTRY_KIND_MASK),
                                .flags = byte & ENTRY_EDITED};
    if (!take_db(bytes, piece->store, &piece->db) ||
        !state_take_stamp(bytes, slots, &parts.stamp) || bytes->size < 3) {
        return STORE_MALFORMED;
    }
    memcpy(&parts.access, bytes->data, 3);
    parts.access = store_loaded_access(piece->store, parts.access);
    *bytes = slice_skip(*bytes, 3);
    if (((byte & ENTRY_HAS_EXPIRY) != 0 && !codec_take_u64(bytes, &parts.expire_unix_ms)) ||
        ((byte & ENTRY_HAS_EXPIRY_STAMP) != 0 &&
         !state_take_stamp(bytes, slots, &parts.expire_stamp)) ||
        !varint_take_slice(bytes, &parts.key) || parts.key.size > CHANGE_KEY_BYTES_MAX) {
        return STORE_MALFORMED;
    }
    parts.has_expiry = parts.expire_unix_ms != 0;
    struct buffer packed = {0};
    enum store_status status = take_body(bytes, piece, &parts, &packed);
    if (status == STORE_OK) {
        piece->entry = entry_new(&parts);
    }
    buffer_deinit(&packed);
    if (status != STORE_OK) {
        return status;
    }
    if (piece->entry == NULL) {
        if (parts.kind == ENTRY_LARGE) {
            large_string_free(parts.large);
        } else if (parts.kind == ENTRY_CONTESTED) {
            contested_free(parts.contested);
        } else if (parts.kind == ENTRY_COLLECTION) {
            collection_free(parts.collection);
        }
        return STORE_OUT_OF_MEMORY;
    }
    if (parts.kind == ENTRY_CONTESTED) {
        parts.contested->entry = piece->entry;
        if (parts.contested->collections != NULL) {
            parts.contested->collections->entry = piece->entry;
        }
    }
    piece->key = parts.key;
    return STORE_OK;
}

static bool take_part(struct slice *bytes, struct state_piece *piece) {
    return take_db(bytes, piece->store, &piece->db) && varint_take_slice(bytes, &piece->key) &&
           varint_take(bytes, &piece->offset) && varint_take_slice(bytes, &piece->bytes);
}

static enum store_status take_more_elements(struct slice *bytes, struct state_piece *piece) {
    if (!take_db(bytes, piece->store, &piece->db) || !varint_take_slice(bytes, &piece->key)) {
        return STORE_MALFORMED;
    }
    const char *begin = bytes->data;
    enum state_elements_end end;
    struct slice rest = *bytes;
    enum store_status status = state_elements_take(piece->store, piece->slots, &rest, NULL, &end);
    piece->goes_on = end == STATE_ELEMENTS_GO_ON;
    if (status == STORE_OK && end == STATE_ELEMENTS_BATCH) {
        struct state_piece batch = {.store = piece->store};
        status = state_take_batch(&rest, &batch);
        piece->goes_on = batch.goes_on;
        piece->has_batch = true;
    }
    if (status == STORE_OK) {
        *bytes = rest;
        piece->bytes = slice_make(begin, (size_t)(rest.data - begin));
    }
    return status;
}

enum store_status state_decode(const struct store *store, const uint16_t *slots,
                               struct slice *bytes, struct state_piece *piece) {
    *piece = (struct state_piece){.store = store, .slots = slots};
    if (bytes->size < 1) {
        return STORE_MALFORMED;
    }
    struct slice rest = slice_skip(*bytes, 1);
    uint8_t byte = (uint8_t)bytes->data[0];
    enum store_status status = STORE_OK;
    if (byte == STATE_PART) {
        piece->kind = STATE_PIECE_PART;
        status = take_part(&rest, piece) ? STORE_OK : STORE_MALFORMED;
    } else if (byte == STATE_ELEMENTS) {
        piece->kind = STATE_PIECE_PART;
        piece->has_elements = true;
        status = take_more_elements(&rest, piece);
    } else if (byte == STATE_COLLECTION_PIECE) {
        piece->kind = STATE_PIECE_PART;
        status = state_take_collection_piece(&rest, piece);
    } else if (byte == STATE_ORDER) {
        piece->kind = STATE_PIECE_ORDER;
        status = state_take_stamp(&rest, slots, &piece->order_stamp) &&
                         varint_take_slice(&rest, &piece->order) &&
                         databases_check_order(store, piece->order)
                     ? STORE_OK
                     : STORE_MALFORMED;
    } else {
        status = take_entry(byte, &rest, piece);
    }
    if (status == STORE_OK) {
        *bytes = rest;
    }
    return status;
}

/* More elements, and perhaps a batch, of a contested entry that is in no table. */
static enum store_status add_more_elements(struct contested *contested,
                                           const struct state_piece *part) {
    struct slice bytes = part->bytes;
    enum state_elements_end end;
    enum store_status status =
        state_elements_take(part->store, part->slots, &bytes, contested, &end);
    if (status != STORE_OK || end != STATE_ELEMENTS_BATCH) {
        return status;
    }
    struct state_piece piece = {.store = part->store, .slots = part->slots, .db = part->db};
    struct collection *collection;
    status = take_batch(&bytes, &piece, &collection);
    if (status != STORE_OK) {
        return status;
    }
    if (contested_find_collection(contested, collection->type) != NULL) {
        collection_free(collection);
        return STORE_MALFORMED;
    }
    contested_add_collection(contested, collection);
    return STORE_OK;
}

/* The collection that a batch belongs to, of an entry that is in no table. */
static enum store_status add_batch(struct entry *entry, const struct state_piece *part) {
    struct collection *collection;
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        collection = entry_collection(entry);
        if (collection->type != part->type) {
            return STORE_MALFORMED;
        }
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        collection = contested_find_collection(entry_contested(entry), part->type);
        if (collection == NULL) {
            collection = collection_new(part->store, part->type, part->db);
            contested_add_collection(entry_contested(entry), collection);
        }
    } else {
        return STORE_MALFORMED;
    }
    return state_add_elements(collection, part);
}

enum store_status state_add_part(struct entry *entry, const struct state_piece *part,
                                 bool *goes_on) {
    *goes_on = part->goes_on;
    if (part->type != VALUE_STRING) {
        return add_batch(entry, part);
    }
    if (part->has_elements) {
        return entry_kind(entry) == ENTRY_CONTESTED
                   ? add_more_elements(entry_contested(entry), part)
                   : STORE_MALFORMED;
    }
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

static void note_contested(struct store *store, const struct contested *contested) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        note_stamp(store, contested->registers[i].stamp);
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        note_stamp(store, contested->edits[i].stamp);
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        note_stamp(store, contested->parts[i].stamp);
        note_stamp(store, contested->parts[i].off_by);
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        note_stamp(store, contested->expiries[i].stamp);
    }
}

static void note_packed(struct store *store, struct slice packed) {
    struct packed_walk walk;
    struct packed_element element;
    packed_walk_init(&walk, store->replicas.authors, packed);
    while (packed_walk_next(&walk, &element)) {
        note_stamp(store, element.stamp);
    }
}

/* Takes in the elements of a collection that was read as a whole. */
static void load_collection(struct store *store, struct collection *collection) {
    collection_adopt(store, collection);
    for (unsigned i = 0; i < collection->newest_count; i++) {
        note_stamp(store, collection->newest[i].stamp);
    }
    store->is_alone &= collection->contested_count == 0;
}

static void note_entry(struct store *store, const struct entry *entry) {
    note_stamp(store, entry->stamp);
    note_stamp(store, entry_expire_stamp(entry));
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        note_contested(store, entry_contested(entry));
    } else if (entry_kind(entry) == ENTRY_PACKED) {
        note_packed(store, entry_packed(entry));
    } else if (entry_kind(entry) != ENTRY_COLLECTION) {
        struct entry_parts parts;
        entry_take_apart(entry, &parts);
        note_stamp(store, parts.register_stamp);
    }
}

/* Puts an entry that was read where there is none. */
static enum store_status load_part(struct store *store, const struct key *key,
                                   const struct state_piece *piece);

static enum store_status load_entry(struct store *store, const struct key *key,
                                    const struct state_piece *piece) {
    struct entry *entry = piece->entry;
    if (mutate_slot(store, key) != NULL ||
        (key->in != NULL && !state_element_is_sound(key->in->type, entry))) {
        entry_free(entry);
        return STORE_MALFORMED;
    }
    note_entry(store, entry);
    if (entry_kind(entry) != ENTRY_CONTESTED) {
        table_insert(&mutate_space(store, key)->table, key->hash, entry,
                     entry_expire_unix_ms(entry) != 0);
        if (entry_kind(entry) == ENTRY_COLLECTION) {
            load_collection(store, entry_collection(entry));
            collection_finish(store, entry_collection(entry), 0);
        }
        return STORE_OK;
    }
    struct contested *contested = entry_contested(entry);
    if (!contested_has_memory(contested)) {
        entry_free(entry);
        return STORE_OUT_OF_MEMORY;
    }
    /* Only a node that had peers writes such state. */
    store->is_alone = false;
    table_insert(&mutate_space(store, key)->table, key->hash, entry, false);
    contested_adopt(store, key, contested);
    for (struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        load_collection(store, collection);
    }
    (void)contested_close(store, key, 0);
    return STORE_OK;
}

static enum store_status load_nested(struct store *store, struct collection *collection,
                                     unsigned db, struct state_piece *piece) {
    struct key key = collection_key(store, collection, db, piece->key);
    if (piece->kind == STATE_PIECE_ORDER ||
        (piece->kind == STATE_PIECE_PART && (piece->type != VALUE_STRING || piece->has_batch))) {
        return STORE_MALFORMED;
    }
    collection_before(store, &key);
    enum store_status status = piece->kind == STATE_PIECE_ENTRY ? load_entry(store, &key, piece)
                                                                : load_part(store, &key, piece);
    uint64_t *slot = mutate_slot(store, &key);
    if (status == STORE_OK && slot != NULL && collection_is_sequence(collection->type) &&
        !state_element_is_sound(collection->type, table_item(*slot))) {
        status = STORE_MALFORMED;
    }
    collection_after(store, &key, 0);
    return status;
}

/* A later batch of elements. */
static enum store_status load_batch(struct store *store, const struct key *key,
                                    const struct state_piece *piece) {
    struct slice rest = piece->bytes;
    enum store_status status = STORE_OK;
    struct collection *collection = elements_need(store, key, piece->type);
    collection->is_large |= piece->is_large;
    while (rest.size > 0 && status == STORE_OK) {
        struct state_piece nested;
        status = state_decode(store, NULL, &rest, &nested);
        if (status == STORE_OK) {
            status = load_nested(store, collection, key->db, &nested);
        }
    }
    collection_finish(store, collection, 0);
    return status;
}

static enum store_status load_part(struct store *store, const struct key *key,
                                   const struct state_piece *piece) {
    uint64_t *slot = mutate_slot(store, key);
    bool goes_on;
    if (slot == NULL) {
        return STORE_MALFORMED;
    }
    if (piece->type != VALUE_STRING) {
        return load_batch(store, key, piece);
    }
    if (!piece->has_elements) {
        return state_add_part(table_item(*slot), piece, &goes_on);
    }
    /* It may look like a compact one with what was loaded so far. */
    struct contested *contested = contested_open(store, key, slot);
    struct collection *before = contested->collections;
    enum store_status status = state_add_part(contested->entry, piece, &goes_on);
    for (struct collection *collection = contested->collections; collection != before;
         collection = collection->next) {
        load_collection(store, collection);
    }
    note_contested(store, contested);
    store->is_alone = false;
    contested_close(store, key, 0);
    return status;
}

enum store_status state_load(struct store *store, struct slice *bytes) {
    struct slice rest = *bytes;
    struct state_piece piece;
    struct key key;
    enum store_status status = state_decode(store, NULL, &rest, &piece);
    if (status != STORE_OK) {
        return status;
    }
    switch (piece.kind) {
    case STATE_PIECE_ENTRY:
    case STATE_PIECE_PART:
        key = store_key(store, store_database_index(store, piece.db), piece.key);
        status = piece.kind == STATE_PIECE_ENTRY ? load_entry(store, &key, &piece)
                                                 : load_part(store, &key, &piece);
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
