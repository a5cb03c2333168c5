/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/state_collection.h"

#include <math.h>

#include "crdt/list_position.h"
#include "crdt/packed_list.h"
#include "store/mutate.h"
#include "store/sequence.h"
#include "store/state_codec.h"

enum { BATCH_GOES_ON = 1, BATCH_IS_LARGE = 2 };

/* ---- packed ---- */

void state_put_packed(struct buffer *out, const struct store *store, struct slice packed) {
    struct packed_walk walk;
    struct packed_element element;
    packed_walk_init(&walk, store->replicas.authors, packed);
    enum value_type type = walk.reader.type;
    buffer_append_byte(out, (uint8_t)type);
    codec_put_varint(out, walk.reader.count);
    while (packed_walk_next(&walk, &element)) {
        codec_put_slice(out, element.name);
        if (type == VALUE_HASH || type == VALUE_LIST) {
            codec_put_slice(out, element.value);
        } else if (type == VALUE_SORTED_SET) {
            buffer_append(out, &element.score, sizeof(element.score));
        }
        codec_put_u64(out, element.stamp);
    }
}

static bool take_packed_element(struct slice *bytes, enum value_type type, const uint16_t *slots,
                                struct packed_element *element) {
    *element = (struct packed_element){.value = {.data = ""}};
    if (!varint_take_slice(bytes, &element->name) || ((type == VALUE_HASH || type == VALUE_LIST) &&
                                                      !varint_take_slice(bytes, &element->value))) {
        return false;
    }
    if (type == VALUE_SORTED_SET) {
        if (bytes->size < sizeof(element->score)) {
            return false;
        }
        memcpy(&element->score, bytes->data, sizeof(element->score));
        *bytes = slice_skip(*bytes, sizeof(element->score));
        if (isnan(element->score)) {
            return false;
        }
    }
    return state_take_stamp(bytes, slots, &element->stamp);
}

static enum store_status take_packed_list(struct slice *bytes, const struct store *store,
                                          const uint16_t *slots, uint64_t count,
                                          struct buffer *packed) {
    struct packed_list list = {.authors = store->replicas.authors, .is_raised = true};
    struct packed_element element;
    struct ordered_map_cursor last;
    enum store_status status = STORE_OK;
    for (uint64_t i = 0; i < count && status == STORE_OK; i++) {
        struct ordered_map_element plain = {0};
        bool is_sound = take_packed_element(bytes, VALUE_LIST, slots, &element) &&
                        list_position_is_valid(element.name) &&
                        element.value.size <= PACKED_LIST_VALUE_BYTES_MAX &&
                        (!ordered_map_last(list.map, &last) ||
                         slice_compare(last.element.name, element.name) < 0);
        if (is_sound) {
            plain.name = element.name;
            plain.stamp = element.stamp;
            plain.value = element.value;
            is_sound = ordered_map_insert(&list.map, &plain);
        }
        list.base = i == 0 ? element.stamp : list.base;
        list.is_raised = list.is_raised && element.stamp == list.base;
        status = is_sound && packed_list_fits(&list) ? STORE_OK : STORE_MALFORMED;
    }
    list.newest = list.base;
    if (status == STORE_OK) {
        packed_list_put(packed, &list);
    }
    packed_list_close(&list);
    return status;
}

enum store_status state_take_packed(struct slice *bytes, const struct store *store,
                                    const uint16_t *slots, struct buffer *packed) {
    uint64_t count;
    if (bytes->size == 0) {
        return STORE_MALFORMED;
    }
    unsigned type = (uint8_t)bytes->data[0];
    *bytes = slice_skip(*bytes, 1);
    if (type == VALUE_STRING || type > VALUE_LIST || !varint_take(bytes, &count) || count == 0 ||
        count > COLLECTION_PACKED_MAX) {
        return STORE_MALFORMED;
    }
    if (type == VALUE_LIST) {
        return take_packed_list(bytes, store, slots, count, packed);
    }
    struct buffer next = {0};
    struct packed_element element, other;
    enum store_status status = STORE_OK;
    for (uint64_t i = 0; i < count; i++) {
        if (!take_packed_element(bytes, (enum value_type)type, slots, &element) ||
            (i > 0 && packed_find(buffer_slice(packed), element.name, &other))) {
            status = STORE_MALFORMED;
            break;
        }
        if (i == 0) {
            packed_begin(packed, (enum value_type)type, element.stamp);
        }
        buffer_clear(&next);
        packed_put(&next, buffer_slice(packed), NULL, &element);
        struct buffer spare = *packed;
        *packed = next;
        next = spare;
    }
    buffer_deinit(&next);
    return status;
}

/* ---- writing elements ---- */

void state_batches_put(struct state_batches *batches, bool goes_on) {
    require(batches->pending.size > 0);
    if (batches->is_begun) {
        batches->flush(batches->udata);
        buffer_append_byte(batches->out, STATE_COLLECTION_PIECE);
        codec_put_varint(batches->out, batches->db);
        codec_put_slice(batches->out, batches->key);
    }
    batches->is_begun = true;
    buffer_append_byte(batches->out, (uint8_t)batches->collection->type);
    buffer_append_byte(batches->out,
                       (uint8_t)((goes_on ? BATCH_GOES_ON : 0) |
                                 (batches->collection->is_large ? BATCH_IS_LARGE : 0)));
    uint32_t size = (uint32_t)batches->pending.size;
    buffer_append(batches->out, &size, sizeof(size));
    buffer_append_slice(batches->out, buffer_slice(&batches->pending));
    buffer_clear(&batches->pending);
}

static void next_piece(void *udata) {
    state_batches_put((struct state_batches *)udata, true);
}

void state_batches_add(struct state_batches *batches, const struct entry *element) {
    size_t bytes_max = batches->bytes_max != 0 ? batches->bytes_max : STATE_COLLECTION_BYTES;
    if (batches->pending.size >= bytes_max) {
        state_batches_put(batches, true);
    }
    /* No element is packed: whose it is does not matter. */
    state_encode(&batches->pending, NULL, batches->db, element, next_piece, batches);
}

static void put_visit(void *item, void *udata) {
    state_batches_add((struct state_batches *)udata, (const struct entry *)item);
}

/* Plain elements of a list are told as entries, in order. */
static void put_plain(struct state_batches *batches) {
    struct ordered_map_cursor cursor;
    for (bool is_there = ordered_map_first(batches->collection->map, &cursor); is_there;
         is_there = ordered_map_next(batches->collection->map, &cursor)) {
        if (cursor.element.flags == 0) {
            struct entry *entry = sequence_entry(&cursor);
            state_batches_add(batches, entry);
            entry_free(entry);
        }
    }
}

const struct collection *state_filled_collection(const struct collection *collection) {
    while (collection != NULL && collection->space.table.count == 0 &&
           collection_count(collection) == 0) {
        collection = collection->next;
    }
    return collection;
}

void state_put_collections(struct buffer *out, unsigned db, struct slice key,
                           const struct collection *collection, void (*flush)(void *udata),
                           void *udata) {
    struct state_batches batches = {
        .out = out, .db = db, .key = key, .flush = flush, .udata = udata};
    collection = state_filled_collection(collection);
    while (collection != NULL) {
        const struct collection *next = state_filled_collection(collection->next);
        uint64_t position = 0;
        batches.collection = collection;
        put_plain(&batches);
        do {
            position = table_walk(&collection->space.table, position, put_visit, &batches);
        } while (position != 0);
        state_batches_put(&batches, next != NULL);
        collection = next;
    }
    buffer_deinit(&batches.pending);
}

/* ---- reading elements ---- */

enum store_status state_take_batch(struct slice *bytes, struct state_piece *piece) {
    uint32_t size;
    if (bytes->size < 2 + sizeof(size)) {
        return STORE_MALFORMED;
    }
    unsigned type = (uint8_t)bytes->data[0];
    unsigned flags = (uint8_t)bytes->data[1];
    memcpy(&size, bytes->data + 2, sizeof(size));
    *bytes = slice_skip(*bytes, 2 + sizeof(size));
    if (type == VALUE_STRING || type >= VALUE_TYPES_COUNT ||
        flags > (BATCH_GOES_ON | BATCH_IS_LARGE) || size == 0 || size > bytes->size) {
        return STORE_MALFORMED;
    }
    piece->type = (enum value_type)type;
    piece->goes_on = (flags & BATCH_GOES_ON) != 0;
    piece->is_large = (flags & BATCH_IS_LARGE) != 0;
    piece->bytes = slice_make(bytes->data, size);
    *bytes = slice_skip(*bytes, size);
    return STORE_OK;
}

enum store_status state_take_collection_piece(struct slice *bytes, struct state_piece *piece) {
    uint64_t number;
    if (!varint_take(bytes, &number) || number >= piece->store->dbs_count ||
        !varint_take_slice(bytes, &piece->key)) {
        return STORE_MALFORMED;
    }
    piece->db = (unsigned)number;
    return state_take_batch(bytes, piece);
}

bool state_element_is_sound(enum value_type type, const struct entry *element) {
    struct entry_scratch scratch;
    double score;
    if (collection_is_sequence(type)) {
        return sequence_element_is_sound(type, element);
    }
    if (entry_kind(element) == ENTRY_COLLECTION || entry_kind(element) == ENTRY_PACKED ||
        (entry_kind(element) == ENTRY_CONTESTED && entry_contested(element)->collections != NULL)) {
        return false;
    }
    return type != VALUE_SORTED_SET || entry_kind(element) != ENTRY_BYTES ||
           number_parse_double(entry_value(element, &scratch), &score);
}

static struct entry *find_element(const struct store *store, struct collection *collection,
                                  struct slice name) {
    struct key key = collection_key(store, collection, 0, name);
    uint64_t *slot = mutate_slot(store, &key);
    return slot != NULL ? table_item(*slot) : NULL;
}

static enum store_status add_element(struct collection *collection, struct state_piece *piece) {
    const struct store *store = piece->store;
    struct entry *element;
    bool goes_on;
    switch (piece->kind) {
    case STATE_PIECE_ENTRY:
        if (!state_element_is_sound(collection->type, piece->entry) ||
            find_element(store, collection, piece->key) != NULL ||
            (collection_is_sequence(collection->type) &&
             !sequence_add(store, collection, piece->entry))) {
            entry_free(piece->entry);
            return STORE_MALFORMED;
        }
        if (collection_is_sequence(collection->type)) {
            return STORE_OK;
        }
        table_insert(&collection->space.table, hash_bytes(store->element_seed, piece->key),
                     piece->entry, entry_expire_unix_ms(piece->entry) != 0);
        return STORE_OK;
    case STATE_PIECE_PART:
        element = find_element(store, collection, piece->key);
        if (element == NULL || piece->type != VALUE_STRING || piece->has_batch) {
            return STORE_MALFORMED;
        }
        enum store_status status = state_add_part(element, piece, &goes_on);
        return status == STORE_OK && !state_element_is_sound(collection->type, element)
                   ? STORE_MALFORMED
                   : status;
    case STATE_PIECE_ORDER:
        break;
    }
    return STORE_MALFORMED;
}

enum store_status state_add_elements(struct collection *collection,
                                     const struct state_piece *piece) {
    struct slice rest = piece->bytes;
    enum store_status status = STORE_OK;
    collection->is_large |= piece->is_large;
    while (rest.size > 0 && status == STORE_OK) {
        struct state_piece nested;
        status = state_decode(piece->store, piece->slots, &rest, &nested);
        if (status == STORE_OK) {
            status = add_element(collection, &nested);
        }
    }
    return status;
}
