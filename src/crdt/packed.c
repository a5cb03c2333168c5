/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/packed.h"

#include <assert.h>
#include <math.h>

#include "base/number.h"
#include "base/check.h"
#include "base/codec.h"

enum {
    PACKED_TYPE_BYTES = 1,
    PACKED_BASE_BYTES = 8,

    /* What the low bits of a stamp's first byte say. */
    STAMP_IS_OTHER = 1, /* one bit: not as the base's slot would have it */
    STAMP_FORM_BITS = 2,
    STAMP_FORM_MASK = 3,
    STAMP_APART = 1,
    STAMP_WITH_SLOT = 3,

    APART_BYTES = 4,
    APART_SLOT_BITS = 3,
    APART_SLOT_FOLLOWS = (1 << APART_SLOT_BITS) - 1,
    APART_COUNTER_BITS = 10,
    APART_MS_BITS = 17,
    APART_COUNTER_SHIFT = STAMP_FORM_BITS + APART_SLOT_BITS,
    APART_MS_SHIFT = APART_COUNTER_SHIFT + APART_COUNTER_BITS,

    STAMP_BYTES_MAX = 2 * VARINT_BYTES_MAX,
};

static_assert(APART_MS_SHIFT + APART_MS_BITS == 8 * APART_BYTES, "stamps told apart are full");

/* Integral scores up to here are varints; all of them are exact. */
#define PACKED_INTEGRAL_MAX 9007199254740992.0

/* ---- reading ---- */

/* The bytes were made here: what does not fit is a mistake of ours. */
static uint64_t read_varint(struct slice *rest) {
    /* Most are one byte. */
    if (likely(rest->size > 0 && (rest->data[0] & 0x80) == 0)) {
        uint64_t value = (uint8_t)rest->data[0];
        *rest = slice_skip(*rest, 1);
        return value;
    }
    uint64_t value = 0;
    bool is_whole = varint_take(rest, &value);
    require(is_whole);
    return value;
}

static struct slice read_slice(struct slice *rest) {
    uint64_t size = read_varint(rest);
    require(size <= rest->size);
    struct slice bytes = slice_make(rest->data, (size_t)size);
    *rest = slice_skip(*rest, (size_t)size);
    return bytes;
}

static double read_score(struct slice *rest) {
    uint64_t number = read_varint(rest);
    if (number != 0) {
        return (double)varint_unzigzag(number - 1);
    }
    double score;
    require(rest->size >= sizeof(score));
    memcpy(&score, rest->data, sizeof(score));
    *rest = slice_skip(*rest, sizeof(score));
    return score;
}

static uint64_t read_other_stamp(struct slice *rest, uint64_t base) {
    uint64_t ticks;
    if (((uint8_t)rest->data[0] & STAMP_FORM_MASK) == STAMP_WITH_SLOT) {
        ticks = stamp_ticks(base) + (uint64_t)varint_unzigzag(read_varint(rest) >> STAMP_FORM_BITS);
        return stamp_make(ticks, (unsigned)read_varint(rest));
    }
    uint32_t told;
    require(rest->size >= APART_BYTES);
    memcpy(&told, rest->data, APART_BYTES);
    *rest = slice_skip(*rest, APART_BYTES);
    uint64_t ms = (stamp_ticks(base) >> STAMP_COUNTER_BITS) +
                  (uint64_t)varint_unzigzag(told >> APART_MS_SHIFT);
    unsigned slot = told >> STAMP_FORM_BITS & APART_SLOT_FOLLOWS;
    slot = slot == APART_SLOT_FOLLOWS ? (unsigned)read_varint(rest) : slot;
    ticks =
        ms << STAMP_COUNTER_BITS | (told >> APART_COUNTER_SHIFT & ((1U << APART_COUNTER_BITS) - 1));
    return stamp_make(ticks, slot);
}

static inline uint64_t read_stamp(struct slice *rest, uint64_t base) {
    require(rest->size > 0);
    if (((uint8_t)rest->data[0] & STAMP_IS_OTHER) != 0) {
        return read_other_stamp(rest, base);
    }
    uint64_t number = read_varint(rest);
    uint64_t ticks = stamp_ticks(base) + (uint64_t)varint_unzigzag(number >> 1);
    return stamp_make(ticks, stamp_slot(base));
}

void packed_reader_init(struct packed_reader *reader, struct slice packed) {
    struct slice rest = slice_skip(packed, PACKED_TYPE_BYTES);
    *reader = (struct packed_reader){.bytes = packed, .type = packed_type(packed)};
    reader->count = read_varint(&rest);
    require(rest.size >= PACKED_BASE_BYTES);
    memcpy(&reader->base, rest.data, PACKED_BASE_BYTES);
    reader->at = packed.size - rest.size + PACKED_BASE_BYTES;
}

bool packed_next(struct packed_reader *reader, struct packed_element *element) {
    require(reader->type != VALUE_LIST);
    if (reader->at == reader->bytes.size) {
        return false;
    }
    struct slice rest = slice_skip(reader->bytes, reader->at);
    element->begin = reader->at;
    element->name = read_slice(&rest);
    element->value = (struct slice){.data = ""};
    element->score = 0;
    if (reader->type == VALUE_HASH) {
        element->value = read_slice(&rest);
    } else if (reader->type == VALUE_SORTED_SET) {
        element->score = read_score(&rest);
    }
    element->stamp = read_stamp(&rest, reader->base);
    element->end = reader->at = reader->bytes.size - rest.size;
    return true;
}

uint64_t packed_count(struct slice packed) {
    struct slice rest = slice_skip(packed, PACKED_TYPE_BYTES);
    return read_varint(&rest);
}

uint64_t packed_base(struct slice packed) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    return reader.base;
}

/* Behind the varint at `at`. */
static inline size_t skip_varint(struct slice packed, size_t at) {
    while (at < packed.size && (packed.data[at] & 0x80) != 0) {
        at++;
    }
    return at + 1;
}

/* Behind the run of bytes whose length stands at `at`. */
static inline size_t skip_slice(struct slice packed, size_t at) {
    if (likely(at < packed.size && (packed.data[at] & 0x80) == 0)) {
        return at + 1 + (uint8_t)packed.data[at];
    }
    struct slice rest = slice_skip(packed, at);
    (void)read_slice(&rest);
    return packed.size - rest.size;
}

/* Behind the value or score and the stamp of the element whose name ends at `at`. */
static inline size_t skip_rest(struct slice packed, enum value_type type, size_t at) {
    if (type == VALUE_HASH) {
        at = skip_slice(packed, at);
    } else if (type == VALUE_SORTED_SET) {
        bool is_double = at < packed.size && packed.data[at] == 0;
        at = is_double ? at + 1 + sizeof(double) : skip_varint(packed, at);
    }
    unsigned first = at < packed.size ? (uint8_t)packed.data[at] : 0;
    if ((first & STAMP_FORM_MASK) == STAMP_APART) {
        at += APART_BYTES;
        bool has_slot = (first >> STAMP_FORM_BITS & APART_SLOT_FOLLOWS) == APART_SLOT_FOLLOWS;
        return has_slot ? skip_varint(packed, at) : at;
    }
    at = skip_varint(packed, at);
    return (first & STAMP_IS_OTHER) != 0 ? skip_varint(packed, at) : at;
}

/* The last bytes of a name, up to eight, as one number: most names differ in them. */
struct name_tail {
    uint64_t bytes, mask;
};

static uint64_t load_tail(const char *end) {
    uint64_t bytes;
    memcpy(&bytes, end - sizeof(bytes), sizeof(bytes));
    return bytes;
}

static struct name_tail name_tail(struct slice name) {
    char bytes[sizeof(uint64_t)] = {0}, mask[sizeof(uint64_t)] = {0};
    size_t size = name.size < sizeof(bytes) ? name.size : sizeof(bytes);
    if (size > 0) {
        memcpy(bytes + sizeof(bytes) - size, name.data + name.size - size, size);
        memset(mask + sizeof(mask) - size, 0xFF, size);
    }
    return (struct name_tail){load_tail(bytes + sizeof(bytes)), load_tail(mask + sizeof(mask))};
}

bool packed_find(struct slice packed, struct slice name, struct packed_element *element) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    require(reader.type != VALUE_LIST);
    static_assert(PACKED_TYPE_BYTES + 1 + PACKED_BASE_BYTES >= sizeof(uint64_t),
                  "eight bytes can be loaded in front of any byte of an element");
    struct name_tail tail = name_tail(name);
    /* Only the one that is found is decoded: the others are passed over. */
    for (size_t at = reader.at; at < packed.size;) {
        size_t name_end = skip_slice(packed, at);
        require(name_end <= packed.size);
        if (((load_tail(packed.data + name_end) ^ tail.bytes) & tail.mask) == 0 &&
            name_end - at > name.size &&
            memcmp(packed.data + name_end - name.size, name.data, name.size) == 0) {
            reader.at = at;
            (void)packed_next(&reader, element);
            if (element->name.size == name.size) {
                return true;
            }
        }
        at = skip_rest(packed, reader.type, name_end);
    }
    return false;
}

/* ---- writing ---- */

void packed_begin(struct buffer *out, enum value_type type, uint64_t base) {
    require(type == VALUE_HASH || type == VALUE_SET || type == VALUE_SORTED_SET);
    buffer_append_byte(out, (uint8_t)type | PACKED_HAS_ONE_STAMP);
    buffer_append_byte(out, 0);
    buffer_append(out, &base, sizeof(base));
}

void packed_raise(char *packed, size_t size, uint64_t stamp) {
    if (packed_has_one_stamp(slice_make(packed, size))) {
        struct packed_reader reader;
        packed_reader_init(&reader, slice_make(packed, size));
        require(reader.type != VALUE_LIST);
        memcpy(packed + reader.at - PACKED_BASE_BYTES, &stamp, sizeof(stamp));
    }
}

static void put_score(struct buffer *out, double score) {
    if (score == trunc(score) && fabs(score) <= PACKED_INTEGRAL_MAX &&
        (score != 0 || !signbit(score))) {
        codec_put_varint(out, varint_zigzag((int64_t)score) + 1);
        return;
    }
    buffer_append_byte(out, 0);
    buffer_append(out, &score, sizeof(score));
}

/* Milliseconds and counter by themselves, if they are small enough; else 0. */
static size_t put_apart(char *to, uint64_t stamp, uint64_t base) {
    uint64_t ticks = stamp_ticks(stamp);
    uint64_t counter = ticks & ((UINT64_C(1) << STAMP_COUNTER_BITS) - 1);
    uint64_t ms = varint_zigzag(
        (int64_t)((ticks >> STAMP_COUNTER_BITS) - (stamp_ticks(base) >> STAMP_COUNTER_BITS)));
    unsigned slot = stamp_slot(stamp);
    if (counter >> APART_COUNTER_BITS != 0 || ms >> APART_MS_BITS != 0) {
        return 0;
    }
    uint32_t told = (uint32_t)(ms << APART_MS_SHIFT | counter << APART_COUNTER_SHIFT) |
                    (slot < APART_SLOT_FOLLOWS ? slot : APART_SLOT_FOLLOWS) << STAMP_FORM_BITS |
                    STAMP_APART;
    memcpy(to, &told, APART_BYTES);
    return APART_BYTES + (slot < APART_SLOT_FOLLOWS ? 0 : varint_put(to + APART_BYTES, slot));
}

/* In the shortest way. */
static void put_stamp(struct buffer *out, uint64_t stamp, uint64_t base) {
    char *to = buffer_reserve(out, STAMP_BYTES_MAX), apart[STAMP_BYTES_MAX];
    uint64_t number = varint_zigzag((int64_t)(stamp_ticks(stamp) - stamp_ticks(base)));
    size_t size;
    if (stamp_slot(stamp) == stamp_slot(base)) {
        size = varint_put(to, number << 1);
    } else {
        size = varint_put(to, number << STAMP_FORM_BITS | STAMP_WITH_SLOT);
        size += varint_put(to + size, stamp_slot(stamp));
    }
    size_t apart_size = size > APART_BYTES ? put_apart(apart, stamp, base) : 0;
    if (apart_size > 0 && apart_size < size) {
        memcpy(to, apart, apart_size);
        size = apart_size;
    }
    out->size += size;
}

static void put_element(struct buffer *out, enum value_type type, uint64_t base,
                        const struct packed_element *element) {
    codec_put_slice(out, element->name);
    if (type == VALUE_HASH) {
        codec_put_slice(out, element->value);
    } else if (type == VALUE_SORTED_SET) {
        put_score(out, element->score);
    }
    put_stamp(out, element->stamp, base);
}

/* The head byte with the element, too. */
static uint8_t head_with(uint8_t head, uint64_t base, const struct packed_element *element) {
    int64_t integer;
    if (element->stamp != base) {
        head &= (uint8_t)~PACKED_HAS_ONE_STAMP;
    }
    if ((head & ~PACKED_HAS_ONE_STAMP) == VALUE_SET &&
        !number_parse_integer(element->name, &integer)) {
        head |= PACKED_HAS_TEXT;
    }
    return head;
}

static void put_head_bytes(struct buffer *out, uint8_t head, uint64_t count, uint64_t base) {
    buffer_append_byte(out, head);
    codec_put_varint(out, count);
    buffer_append(out, &base, sizeof(base));
}

/* `element`: what is added, or NULL. */
static void put_head(struct buffer *out, const struct packed_reader *reader, uint64_t count,
                     const struct packed_element *element) {
    uint8_t head = (uint8_t)(reader->bytes.size > 0 ? (uint8_t)reader->bytes.data[0]
                                                    : reader->type | PACKED_HAS_ONE_STAMP);
    put_head_bytes(out, element != NULL ? head_with(head, reader->base, element) : head, count,
                   reader->base);
}

int packed_compare(const struct packed_element *a, const struct packed_element *b) {
    if (a->score != b->score) {
        return a->score < b->score ? -1 : 1;
    }
    return slice_compare(a->name, b->name);
}

/* Where the element belongs: before the first that is greater; `old` does not count. */
static size_t find_place(const struct packed_reader *begin, const struct packed_element *old,
                         const struct packed_element *element) {
    if (begin->type != VALUE_SORTED_SET) {
        return old != NULL ? old->begin : begin->bytes.size;
    }
    struct packed_reader reader = *begin;
    struct packed_element other;
    while (packed_next(&reader, &other)) {
        if ((old == NULL || other.begin != old->begin) && packed_compare(&other, element) > 0) {
            return other.begin;
        }
    }
    return begin->bytes.size;
}

static void put_range(struct buffer *out, struct slice packed, size_t begin, size_t end,
                      const struct packed_element *without) {
    if (without != NULL && without->begin >= begin && without->begin < end) {
        buffer_append(out, packed.data + begin, without->begin - begin);
        begin = without->end;
    }
    if (end > begin) {
        buffer_append(out, packed.data + begin, end - begin);
    }
}

void packed_put(struct buffer *out, struct slice packed, const struct packed_element *old,
                const struct packed_element *element) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    size_t begin = reader.at;
    size_t place = find_place(&reader, old, element);
    put_head(out, &reader, reader.count + (old == NULL), element);
    put_range(out, packed, begin, place, old);
    put_element(out, reader.type, reader.base, element);
    put_range(out, packed, place, packed.size, old);
}

void packed_append(struct buffer *packed, const struct packed_element *element) {
    char bytes[PACKED_TYPE_BYTES + VARINT_BYTES_MAX + PACKED_BASE_BYTES];
    struct buffer head = {.data = bytes, .capacity = sizeof(bytes)};
    struct packed_reader reader;
    packed_reader_init(&reader, buffer_slice(packed));
    put_head(&head, &reader, reader.count + 1, element);
    size_t grown = head.size - reader.at; /* the count may take a byte more */
    if (unlikely(grown > 0)) {
        (void)buffer_reserve(packed, grown);
        memmove(packed->data + head.size, packed->data + reader.at, packed->size - reader.at);
        packed->size += grown;
    }
    memcpy(packed->data, head.data, head.size);
    put_element(packed, reader.type, reader.base, element);
}

void packed_build_begin(struct packed_builder *builder, enum value_type type, uint64_t base) {
    require(type == VALUE_HASH || type == VALUE_SET || type == VALUE_SORTED_SET);
    builder->type = type;
    builder->head = (uint8_t)((unsigned)type | PACKED_HAS_ONE_STAMP);
    builder->base = base;
    builder->count = 0;
    buffer_clear(&builder->elements);
}

void packed_build_add(struct packed_builder *builder, const struct packed_element *element) {
    builder->head = head_with(builder->head, builder->base, element);
    builder->count++;
    put_element(&builder->elements, builder->type, builder->base, element);
}

void packed_build_at(const struct packed_builder *builder, size_t begin,
                     struct packed_element *element) {
    struct packed_reader reader = {.bytes = buffer_slice(&builder->elements),
                                   .at = begin,
                                   .base = builder->base,
                                   .type = builder->type};
    bool is_there = packed_next(&reader, element);
    ensure(is_there);
}

void packed_build_put(const struct packed_builder *builder, struct buffer *out) {
    put_head_bytes(out, builder->head, builder->count, builder->base);
    buffer_append_slice(out, buffer_slice(&builder->elements));
}

bool packed_overwrite(char *packed, size_t size, const struct packed_element *old,
                      const struct packed_element *element) {
    char bytes[STAMP_BYTES_MAX];
    struct buffer stamp = {.data = bytes, .capacity = sizeof(bytes)};
    struct packed_reader reader;
    packed_reader_init(&reader, slice_make(packed, size));
    if (reader.type != VALUE_HASH || element->value.size != old->value.size) {
        return false;
    }
    put_stamp(&stamp, element->stamp, reader.base);
    size_t value_at = (size_t)(old->value.data - packed);
    size_t stamp_at = value_at + old->value.size;
    if (stamp.size != old->end - stamp_at) {
        return false;
    }
    if (element->value.size > 0) {
        memcpy(packed + value_at, element->value.data, element->value.size);
    }
    memcpy(packed + stamp_at, bytes, stamp.size);
    if (element->stamp != reader.base) {
        packed[0] = (char)((uint8_t)packed[0] & ~PACKED_HAS_ONE_STAMP);
    }
    return true;
}

void packed_begin_with(struct buffer *out, enum value_type type,
                       const struct packed_element *element) {
    struct packed_reader reader = {.type = type, .base = element->stamp};
    require(type == VALUE_HASH || type == VALUE_SET || type == VALUE_SORTED_SET);
    put_head(out, &reader, 1, element);
    put_element(out, reader.type, reader.base, element);
}

void packed_remove(struct buffer *out, struct slice packed, const struct packed_range *range) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    require(range->count <= reader.count);
    put_head(out, &reader, reader.count - range->count, NULL);
    buffer_append(out, packed.data + reader.at, range->begin - reader.at);
    buffer_append(out, packed.data + range->end, packed.size - range->end);
}
