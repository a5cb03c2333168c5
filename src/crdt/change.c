/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/change.h"

#include <assert.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/varint.h"

enum {
    CHANGE_KIND_MASK = 0x0F,
    CHANGE_ELEMENT = 0x10,
    CHANGE_FRESH = 0x20,
    CHANGE_HAS_DB = 0x40,
    CHANGE_GOES_ON = 0x80,
    TYPE_MASK = 0x07,
    TYPE_KEY_FRESH = 0x40,
    TYPE_SAME_KEY = 0x80,
    /* Kind and type bytes and all numbers of one change, generously. */
    CHANGE_FIXED_BYTES_MAX = 2 + 8 * VARINT_BYTES_MAX,
};

static_assert((int)CHANGE_LIFE_END <= (int)CHANGE_KIND_MASK, "a kind has four bits");

bool change_has_key(enum change_kind kind) {
    return kind != CHANGE_FLUSH && kind != CHANGE_FLUSH_ALL && kind != CHANGE_SWAP &&
           kind != CHANGE_LIFE_END;
}

static bool change_has_value(enum change_kind kind) {
    return kind == CHANGE_SET || kind == CHANGE_SET_EXPIRING || kind == CHANGE_SET_KEEPING ||
           kind == CHANGE_PATCH || kind == CHANGE_FLOAT_COUNTER || kind == CHANGE_REGISTERS ||
           kind == CHANGE_SWAP || kind == CHANGE_TAKE || kind == CHANGE_MORE ||
           kind == CHANGE_LIFE_END;
}

static bool change_can_be_fresh(enum change_kind kind) {
    return kind == CHANGE_SET_KEEPING || kind == CHANGE_COUNTER || kind == CHANGE_FLOAT_COUNTER ||
           kind == CHANGE_PATCH || kind == CHANGE_REGISTERS || kind == CHANGE_DELETE ||
           kind == CHANGE_TAKE;
}

/* Of these it is said of keys only. */
static bool change_is_fresh_of_key(enum change_kind kind) {
    return kind == CHANGE_DELETE || kind == CHANGE_TAKE;
}

static bool change_can_be_of_element(enum change_kind kind) {
    return change_has_key(kind) && kind != CHANGE_PATCH && kind != CHANGE_REGISTERS;
}

void change_writer_deinit(struct change_writer *writer) {
    buffer_deinit(&writer->bytes);
    *writer = (struct change_writer){0};
}

void change_life_end_put(struct buffer *value, const struct change_life_end *end) {
    require(end->ref != 0);
    codec_put_u64(value, end->ref);
    codec_put_varint(value, end->ticks);
    codec_put_varint(value, end->made_ticks);
    codec_put_slice(value, end->seen);
}

bool change_life_end_next_seen(struct slice *seen, uint64_t *ref, uint64_t *ticks) {
    return codec_take_u64(seen, ref) && *ref != 0 && varint_take(seen, ticks) &&
           *ticks <= STAMP_TICKS_ACCEPTED_MAX;
}

bool change_life_end_take(struct slice value, struct change_life_end *end) {
    *end = (struct change_life_end){0};
    if (!codec_take_u64(&value, &end->ref) || end->ref == 0 || !varint_take(&value, &end->ticks) ||
        end->ticks > STAMP_TICKS_ACCEPTED_MAX || !varint_take(&value, &end->made_ticks) ||
        end->made_ticks > STAMP_TICKS_ACCEPTED_MAX) {
        return false;
    }
    end->has_seen = value.size > 0;
    if (end->has_seen && !varint_take_slice(&value, &end->seen)) {
        return false;
    }
    struct slice seen = end->seen;
    uint64_t ref, ticks;
    while (change_life_end_next_seen(&seen, &ref, &ticks)) {
    }
    return seen.size == 0 && value.size == 0;
}

void change_take_put(struct buffer *value, const struct change_take *take) {
    require(take->start_ticks <= take->ticks);
    buffer_append(value, &take->ref, sizeof(take->ref));
    char *at = buffer_reserve(value, 4 * VARINT_BYTES_MAX + take->text.size);
    char *begin = at;
    at += varint_put(at, take->ticks);
    at += varint_put(at, (take->ticks - take->start_ticks) << 1 | take->is_float);
    if (take->is_float) {
        at += varint_put(at, take->text.size);
        memcpy(at, take->text.data, take->text.size);
        at += take->text.size;
    } else {
        at += varint_put(at, varint_zigzag(take->total));
    }
    value->size += (size_t)(at - begin);
}

bool change_take_next(struct slice *value, struct change_take *take) {
    *take = (struct change_take){0};
    struct slice rest = *value;
    uint64_t number;
    if (rest.size < sizeof(take->ref)) {
        return false;
    }
    memcpy(&take->ref, rest.data, sizeof(take->ref));
    rest = slice_skip(rest, sizeof(take->ref));
    if (!varint_take(&rest, &take->ticks) || take->ticks > STAMP_TICKS_ACCEPTED_MAX ||
        !varint_take(&rest, &number) || number >> 1 > take->ticks) {
        return false;
    }
    take->start_ticks = take->ticks - (number >> 1);
    take->is_float = (number & 1) != 0;
    if (take->is_float) {
        if (!varint_take_slice(&rest, &take->text)) {
            return false;
        }
    } else {
        if (!varint_take(&rest, &number)) {
            return false;
        }
        take->total = varint_unzigzag(number);
    }
    *value = rest;
    return true;
}

void change_element_takes_put(struct buffer *value, struct slice name, struct slice list) {
    codec_put_slice(value, name);
    codec_put_slice(value, list);
}

bool change_element_takes_begin(struct slice *value, enum value_type *type) {
    if (value->size == 0) {
        return false;
    }
    unsigned byte = (uint8_t)value->data[0];
    *value = slice_skip(*value, 1);
    *type = (enum value_type)byte;
    return byte == VALUE_HASH || byte == VALUE_SORTED_SET;
}

bool change_element_takes_next(struct slice *value, struct slice *name, struct slice *list) {
    struct slice rest = *value;
    if (!varint_take_slice(&rest, name) || name->size > CHANGE_KEY_BYTES_MAX ||
        !varint_take_slice(&rest, list)) {
        return false;
    }
    *value = rest;
    return true;
}

/* Copying a short key or value inline beats a call to memcpy(): two pieces that may overlap. */
static inline void copy_bytes(char *at, const char *from, size_t size) {
    if (size > 64 || size < 8) {
        if (size > 0) {
            memcpy(at, from, size);
        }
    } else if (size > 32) {
        char low[32], high[32];
        memcpy(low, from, 32);
        memcpy(high, from + size - 32, 32);
        memcpy(at, low, 32);
        memcpy(at + size - 32, high, 32);
    } else if (size > 16) {
        char low[16], high[16];
        memcpy(low, from, 16);
        memcpy(high, from + size - 16, 16);
        memcpy(at, low, 16);
        memcpy(at + size - 16, high, 16);
    } else {
        char low[8], high[8];
        memcpy(low, from, 8);
        memcpy(high, from + size - 8, 8);
        memcpy(at, low, 8);
        memcpy(at + size - 8, high, 8);
    }
}

static inline size_t put_slice(char *at, struct slice bytes) {
    size_t size = varint_put(at, bytes.size);
    copy_bytes(at + size, bytes.data, bytes.size);
    return size + bytes.size;
}

/* `begin` is where the writer's bytes end, `at` where the key goes. */
static inline char *put_key(struct change_writer *writer, char *at, const char *begin,
                            struct slice key) {
    at += put_slice(at, key);
    writer->key_offset = writer->bytes.size + (size_t)(at - begin) - key.size;
    writer->key_bytes = key.size;
    writer->has_key = true;
    return at;
}

/* Comparing short keys inline beats a call to memcmp(), as above. */
static inline bool are_same_bytes(const char *a, const char *b, size_t size) {
    if (size > 16) {
        return memcmp(a, b, size) == 0;
    }
    if (size >= 8) {
        return hash_load64(a) == hash_load64(b) &&
               hash_load64(a + size - 8) == hash_load64(b + size - 8);
    }
    if (size >= 4) {
        return hash_load32(a) == hash_load32(b) &&
               hash_load32(a + size - 4) == hash_load32(b + size - 4);
    }
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

/* Is it the key of the change before? */
static inline bool is_same_key(const struct change_writer *writer, struct slice key) {
    return writer->has_key && key.size == writer->key_bytes &&
           are_same_bytes(key.data, writer->bytes.data + writer->key_offset, key.size);
}

static char *put_element(struct change_writer *writer, char *at, const char *begin,
                         const struct change *change) {
    require(change_can_be_of_element(change->kind));
    bool is_same = is_same_key(writer, change->key);
    *at++ = (char)(change->type | (change->is_key_fresh ? TYPE_KEY_FRESH : 0) |
                   (is_same ? TYPE_SAME_KEY : 0));
    if (!is_same) {
        at = put_key(writer, at, begin, change->key);
    }
    return at + put_slice(at, change->element);
}

/* Kind, database and time of a change, at `begin`, where the writer's bytes end; `*kind` is its
 * first byte. */
static inline char *put_begin(struct change_writer *writer, char *begin, unsigned flags,
                              unsigned db, uint64_t ticks, char **kind) {
    char *at = begin;
    if (writer->bytes.size == 0) {
        at += varint_put(at, ticks);
        writer->last_ticks = ticks;
        writer->last_db = 0;
        writer->has_key = false;
    }
    require(ticks >= writer->last_ticks);
    writer->last_offset = writer->bytes.size + (size_t)(at - begin);
    *kind = at++;
    **kind = (char)(flags | CHANGE_GOES_ON);
    if (db != writer->last_db) {
        **kind = (char)(**kind | CHANGE_HAS_DB);
        at += varint_put(at, db);
        writer->last_db = db;
        writer->has_key = false;
    }
    at += varint_put(at, ticks - writer->last_ticks);
    writer->last_ticks = ticks;
    return at;
}

static inline void put_end(struct change_writer *writer, const char *begin, const char *at) {
    writer->bytes.size += (size_t)(at - begin);
    writer->changes_count++;
    writer->is_unit_open = true;
}

void change_writer_add_value(struct change_writer *writer, enum change_kind kind, unsigned db,
                             uint64_t stamp, struct slice key, struct slice value,
                             uint64_t expire_unix_ms) {
    require(key.size <= CHANGE_KEY_BYTES_MAX);
    require(value.size <= CHANGE_VALUE_BYTES_MAX);
    char *begin = buffer_reserve(&writer->bytes, CHANGE_FIXED_BYTES_MAX + key.size + value.size);
    char *kind_at;
    char *at = put_begin(writer, begin, kind, db, stamp_ticks(stamp), &kind_at);
    at = put_key(writer, at, begin, key);
    if (kind == CHANGE_SET_EXPIRING) {
        at += varint_put(at, expire_unix_ms);
    }
    at += put_slice(at, value);
    put_end(writer, begin, at);
}

void change_writer_add(struct change_writer *writer, const struct change *change) {
    if (!writer->is_on) {
        return;
    }
    uint64_t ticks = stamp_ticks(change->stamp);
    require(change->key.size <= CHANGE_KEY_BYTES_MAX);
    require(change->value.size <= CHANGE_VALUE_BYTES_MAX);
    require(change->element.size <= CHANGE_KEY_BYTES_MAX);
    require(!change->is_fresh ||
            (change_can_be_fresh(change->kind) &&
             (change->type == VALUE_STRING || !change_is_fresh_of_key(change->kind))));
    char *begin = buffer_reserve(&writer->bytes, CHANGE_FIXED_BYTES_MAX + change->key.size +
                                                     change->element.size + change->value.size +
                                                     change->float_increment.size);
    char *kind;
    char *at =
        put_begin(writer, begin, change->kind | (change->is_fresh ? (unsigned)CHANGE_FRESH : 0U),
                  change->db, ticks, &kind);
    if (change->type != VALUE_STRING) {
        *kind = (char)(*kind | CHANGE_ELEMENT);
        at = put_element(writer, at, begin, change);
    } else if (change_has_key(change->kind)) {
        at = put_key(writer, at, begin, change->key);
    } else {
        writer->has_key = false;
    }
    switch (change->kind) {
    case CHANGE_SET_EXPIRING:
    case CHANGE_EXPIRE:
        at += varint_put(at, change->expire_unix_ms);
        break;
    case CHANGE_COUNTER:
        at += varint_put(at, ticks - change->start_ticks);
        at += varint_put(at, varint_zigzag(change->total));
        at += varint_put(at, varint_zigzag(change->increment));
        break;
    case CHANGE_FLOAT_COUNTER:
        at += varint_put(at, ticks - change->start_ticks);
        break;
    case CHANGE_PATCH:
        at += varint_put(at, change->offset);
        break;
    case CHANGE_SET:
    case CHANGE_SET_KEEPING:
    case CHANGE_DELETE:
    case CHANGE_REGISTERS:
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_SWAP:
    case CHANGE_TAKE:
    case CHANGE_MORE:
    case CHANGE_LIFE_END:
        break;
    }
    if (change_has_value(change->kind)) {
        at += put_slice(at, change->value);
    }
    if (change->kind == CHANGE_FLOAT_COUNTER) {
        at += put_slice(at, change->float_increment);
    }
    put_end(writer, begin, at);
}

void change_writer_add_element(struct change_writer *writer, const struct change *change) {
    enum { SHORT_MAX = 127 }; /* numbers of one byte */
    uint64_t ticks = stamp_ticks(change->stamp) - writer->last_ticks;
    size_t value_size = change->kind == CHANGE_SET ? change->value.size : 0;
    require(change->kind == CHANGE_SET || change->kind == CHANGE_DELETE);
    bool is_short = ticks <= SHORT_MAX && change->element.size <= SHORT_MAX &&
                    value_size <= SHORT_MAX && !change->is_key_fresh;
    if (!writer->is_on || !is_short || change->db != writer->last_db ||
        !is_same_key(writer, change->key)) {
        change_writer_add(writer, change);
        return;
    }
    char *begin = buffer_reserve(&writer->bytes, 5 + change->element.size + value_size);
    char *at = begin;
    *at++ = (char)(change->kind | (unsigned)CHANGE_ELEMENT | (unsigned)CHANGE_GOES_ON);
    *at++ = (char)ticks;
    *at++ = (char)(change->type | (unsigned)TYPE_SAME_KEY);
    *at++ = (char)change->element.size;
    copy_bytes(at, change->element.data, change->element.size);
    at += change->element.size;
    if (change->kind == CHANGE_SET) {
        *at++ = (char)value_size;
        copy_bytes(at, change->value.data, value_size);
        at += value_size;
    }
    writer->last_offset = writer->bytes.size;
    writer->last_ticks += ticks;
    put_end(writer, begin, at);
}

/* The number that the bytes are, big-endian, becomes so much less. */
static void subtract(char *bytes, size_t size, uint64_t number) {
    for (char *byte = bytes + size; number != 0;) {
        require(byte > bytes);
        byte--;
        unsigned low = number & 0xFF, own = (uint8_t)*byte;
        *byte = (char)(own - low);
        number = (number >> 8) + (own < low);
    }
}

void change_writer_add_deletes(struct change_writer *writer, const struct change *last,
                               uint64_t count) {
    enum { AROUND_BYTES = 4 };
    size_t size = last->element.size;
    if (!writer->is_on || count <= 1) {
        change_writer_add_element(writer, last);
        return;
    }
    char name[CHANGE_RUN_NAME_BYTES_MAX];
    require(last->kind == CHANGE_DELETE);
    require(size <= sizeof(name));
    memcpy(name, last->element.data, size);
    subtract(name, size, count - 1);
    struct change first = *last;
    first.element.data = name;
    first.stamp = stamp_make(stamp_ticks(last->stamp) - (count - 1), stamp_slot(last->stamp));
    change_writer_add_element(writer, &first);
    size_t added = (count - 1) * (AROUND_BYTES + size);
    char *at = buffer_reserve(&writer->bytes, added);
    for (uint64_t i = 1; i < count; i++) {
        bytes_increment(name, size);
        *at++ = (char)(CHANGE_DELETE | (unsigned)CHANGE_ELEMENT | (unsigned)CHANGE_GOES_ON);
        *at++ = 1; /* tick */
        *at++ = (char)(last->type | (unsigned)TYPE_SAME_KEY);
        *at++ = (char)size;
        /* The last byte apart: what reads bytes right after one of them was written waits. */
        copy_bytes(at, name, size - 1);
        at[size - 1] = name[size - 1];
        at += size;
    }
    writer->bytes.size += added;
    writer->last_offset = writer->bytes.size - (AROUND_BYTES + size);
    writer->last_ticks += count - 1;
    writer->changes_count += count - 1;
}

void change_writer_end_unit(struct change_writer *writer) {
    if (!writer->is_unit_open) {
        return;
    }
    /* A batch that was handed on says that its unit goes on: more must have come. */
    require(writer->bytes.size > writer->last_offset);
    writer->is_unit_open = false;
    writer->units_count++;
    writer->bytes.data[writer->last_offset] &= (char)~CHANGE_GOES_ON;
}

void change_writer_clear(struct change_writer *writer) {
    buffer_clear(&writer->bytes);
    writer->changes_count = writer->units_count = 0;
    writer->has_key = false;
    /* One oversized batch must not pin its memory for good. */
    if (writer->bytes.capacity > 4 * (size_t)CHANGE_BATCH_BYTES) {
        buffer_deinit(&writer->bytes);
    }
}

bool change_reader_init(struct change_reader *reader, struct slice batch, unsigned slot) {
    *reader = (struct change_reader){.rest = batch, .slot = slot};
    return varint_take(&reader->rest, &reader->ticks) && reader->ticks <= STAMP_TICKS_ACCEPTED_MAX;
}

static bool are_takes(struct slice list) {
    struct change_take take;
    while (change_take_next(&list, &take)) {
    }
    return list.size == 0;
}

static bool are_element_takes(struct slice value) {
    struct slice name, list;
    enum value_type type;
    if (!change_element_takes_begin(&value, &type)) {
        return false;
    }
    while (change_element_takes_next(&value, &name, &list)) {
        if (!are_takes(list)) {
            return false;
        }
    }
    return value.size == 0;
}

static bool change_read_payload(struct slice *rest, struct change *change, uint64_t ticks) {
    uint64_t number = 0;
    switch (change->kind) {
    case CHANGE_SET_EXPIRING:
    case CHANGE_EXPIRE:
        if (!varint_take(rest, &change->expire_unix_ms)) {
            return false;
        }
        break;
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
        if (!varint_take(rest, &number) || number > ticks) {
            return false;
        }
        change->start_ticks = ticks - number;
        if (change->kind == CHANGE_COUNTER) {
            if (!varint_take(rest, &number)) {
                return false;
            }
            change->total = varint_unzigzag(number);
            if (!varint_take(rest, &number)) {
                return false;
            }
            change->increment = varint_unzigzag(number);
        }
        break;
    case CHANGE_PATCH:
        if (!varint_take(rest, &change->offset)) {
            return false;
        }
        break;
    case CHANGE_SET:
    case CHANGE_SET_KEEPING:
    case CHANGE_DELETE:
    case CHANGE_REGISTERS:
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_SWAP:
    case CHANGE_TAKE:
    case CHANGE_MORE:
    case CHANGE_LIFE_END:
        break;
    }
    if (!change_has_value(change->kind)) {
        return true;
    }
    if (!varint_take_slice(rest, &change->value) || change->value.size > CHANGE_VALUE_BYTES_MAX) {
        return false;
    }
    if (change->kind == CHANGE_FLOAT_COUNTER) {
        return varint_take_slice(rest, &change->float_increment) &&
               change->float_increment.size <= CHANGE_NUMBER_BYTES_MAX;
    }
    if (change->kind == CHANGE_LIFE_END) {
        struct change_life_end end;
        return change_life_end_take(change->value, &end);
    }
    if (change->kind == CHANGE_TAKE) {
        return change_takes_elements(change) ? are_element_takes(change->value)
                                             : are_takes(change->value);
    }
    return true;
}

static bool change_read_key(struct slice *rest, struct change *change) {
    return varint_take_slice(rest, &change->key) && change->key.size <= CHANGE_KEY_BYTES_MAX;
}

/* `before` is the key of the change before, where `has_before`. */
static bool change_read_element(struct slice *rest, struct change *change, bool has_before,
                                struct slice before) {
    if (rest->size == 0 || !change_can_be_of_element(change->kind)) {
        return false;
    }
    uint8_t byte = (uint8_t)rest->data[0];
    unsigned type = byte & TYPE_MASK;
    *rest = slice_skip(*rest, 1);
    if (type == VALUE_STRING || type >= VALUE_TYPES_COUNT ||
        (byte & ~(TYPE_MASK | TYPE_KEY_FRESH | TYPE_SAME_KEY)) != 0) {
        return false;
    }
    change->type = (enum value_type)type;
    change->is_key_fresh = (byte & TYPE_KEY_FRESH) != 0;
    if ((byte & TYPE_SAME_KEY) != 0) {
        if (!has_before) {
            return false;
        }
        change->key = before;
    } else if (!change_read_key(rest, change)) {
        return false;
    }
    return varint_take_slice(rest, &change->element) &&
           change->element.size <= CHANGE_KEY_BYTES_MAX;
}

enum change_status change_reader_next(struct change_reader *reader, struct change *change) {
    if (reader->rest.size == 0) {
        return CHANGE_END;
    }
    struct slice rest = reader->rest;
    uint8_t byte = (uint8_t)rest.data[0];
    rest = slice_skip(rest, 1);
    unsigned kind = byte & CHANGE_KIND_MASK;
    if (kind < CHANGE_SET || kind > CHANGE_LIFE_END ||
        ((byte & CHANGE_FRESH) != 0 &&
         (!change_can_be_fresh((enum change_kind)kind) ||
          ((byte & CHANGE_ELEMENT) != 0 && change_is_fresh_of_key((enum change_kind)kind))))) {
        return CHANGE_MALFORMED;
    }
    *change = (struct change){.kind = (enum change_kind)kind,
                              .goes_on = (byte & CHANGE_GOES_ON) != 0,
                              .is_fresh = (byte & CHANGE_FRESH) != 0};
    uint64_t db = reader->db, passed;
    if ((byte & CHANGE_HAS_DB) != 0 && (!varint_take(&rest, &db) || db >= CHANGE_DATABASES_MAX)) {
        return CHANGE_MALFORMED;
    }
    if (!varint_take(&rest, &passed) || passed > STAMP_TICKS_ACCEPTED_MAX - reader->ticks) {
        return CHANGE_MALFORMED;
    }
    uint64_t ticks = reader->ticks + passed;
    bool has_before = reader->has_key && db == reader->db;
    if ((byte & CHANGE_ELEMENT) != 0
            ? !change_read_element(&rest, change, has_before, reader->key)
            : change_has_key(change->kind) && !change_read_key(&rest, change)) {
        return CHANGE_MALFORMED;
    }
    if (!change_read_payload(&rest, change, ticks)) {
        return CHANGE_MALFORMED;
    }
    change->db = (unsigned)db;
    change->stamp = stamp_make(ticks, reader->slot);
    reader->db = (unsigned)db;
    reader->ticks = ticks;
    reader->key = change->key;
    reader->has_key = change_has_key(change->kind);
    reader->rest = rest;
    return CHANGE_OK;
}
