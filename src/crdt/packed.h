/* SPDX-License-Identifier: BSD-3-Clause */
/* A packed collection: the elements of a small hash, set or sorted set in one run of bytes, each
 * with its stamp.
 *
 *   packed:   head byte | count (varint) | base stamp (8 bytes) | element...
 *   head:     the type; bit 6 when all elements have one stamp, the base (PACKED_HAS_ONE_STAMP);
 *             bit 7 of a set that has, or had, a member that is no integer: it then is no set of
 *             integers any more (PACKED_HAS_TEXT)
 *   element:  name (length varint, bytes) | [value] | stamp
 *   value:    of a hash: length (varint) and bytes
 *             of a sorted set: score, a varint: 0, then 8 bytes of a double; else the zigzag of an
 *             integral score, and one
 *             of a set: none
 *   stamp:    the shortest of these, low bits first; differences are those to the base, zigzag
 *             varint: bit 0 clear | difference in ticks; the slot is the base's
 *             4 bytes: bits 0-1 1 | 3 bits of slot, 7: it follows (varint) | 10 bits of counter |
 *             17 bits of the difference in milliseconds
 *             varint: bits 0-1 3 | difference in ticks; then the slot (varint)
 *
 * Stamps are told against the base and not against their neighbour, so an element can be put in,
 * replaced or taken out without touching others. Counters are small where a server is not at its
 * limit: told apart from milliseconds, a stamp of another minute and another writer takes 4 bytes.
 * Elements of a sorted set lie in its order, those of the others in the order in which they came.
 *
 * What one replica wrote and all have seen may get a later stamp of that replica: nobody can tell.
 * On a lone node that is everything, so packed_raise() gives all elements the stamp of the newest
 * change there, which costs nothing but the base.
 *
 * Lists begin likewise, and go on in another way: packed_list.h.
 *
 * All elements are plain: one register, no part of a counter, no expiry. Whatever is more than that
 * is a table (store/collection.h). Bytes of a packed collection never leave the node: stamps have
 * local slots. */
#ifndef CRDT_PACKED_H
#define CRDT_PACKED_H

#include "base/buffer.h"
#include "crdt/change.h"

/* One element, decoded; the slices point into the bytes it was read from. */
struct packed_element {
    struct slice name, value; /* value: of a hash */
    double score;             /* of a sorted set */
    uint64_t stamp;
    size_t begin, end; /* where it lies */
};

/* Reads elements one after the other; of lists it reads what stands before them. */
struct packed_reader {
    struct slice bytes;
    size_t at;
    uint64_t count; /* of all elements */
    uint64_t base;  /* stamp */
    enum value_type type;
};

enum {
    PACKED_TYPE_MASK = 0x1F,
    PACKED_IS_TOLD = 0x20, /* of a list: packed_list.h */
    PACKED_HAS_ONE_STAMP = 0x40,
    PACKED_HAS_TEXT = 0x80, /* of a set */
    PACKED_IS_WHOLE = 0x80, /* of a list */
};

static inline enum value_type packed_type(struct slice packed) {
    return (enum value_type)((uint8_t)packed.data[0] & PACKED_TYPE_MASK);
}

/* Is it known that all elements have one stamp? */
static inline bool packed_has_one_stamp(struct slice packed) {
    return ((uint8_t)packed.data[0] & PACKED_HAS_ONE_STAMP) != 0;
}

/* Of a set: was there ever a member that is no integer? */
static inline bool packed_has_text(struct slice packed) {
    return ((uint8_t)packed.data[0] & PACKED_HAS_TEXT) != 0;
}

void packed_reader_init(struct packed_reader *reader, struct slice packed);
/* False at the end. */
bool packed_next(struct packed_reader *reader, struct packed_element *element);
uint64_t packed_count(struct slice packed);
/* The stamp against which the others are told. */
uint64_t packed_base(struct slice packed);
/* The element of that name; false when there is none. Not for lists. */
bool packed_find(struct slice packed, struct slice name, struct packed_element *element);

/* Gives all elements, if they have one stamp, this one, in the bytes themselves. Not for lists. */
void packed_raise(char *packed, size_t size, uint64_t stamp);
/* Appends a packed collection without elements; stamps will be told against `base`. */
void packed_begin(struct buffer *out, enum value_type type, uint64_t base);
/* Appends to `out` what `packed` becomes when `element` (name, value or score, stamp) takes the
 * place of `old`, or is new where that is NULL. `old` came from packed_find(). The element's slices
 * do not point into `out`. */
void packed_put(struct buffer *out, struct slice packed, const struct packed_element *old,
                const struct packed_element *element);
/* The same in the buffer itself for a new element that comes behind all others: in a sorted set, by
 * its order. */
void packed_append(struct buffer *packed, const struct packed_element *element);
/* Builds a packed collection from its first element to its last; a zeroed struct is empty. */
struct packed_builder {
    enum value_type type;
    uint8_t head;
    uint64_t base, count;
    struct buffer elements; /* kept from one collection to the next */
};
void packed_build_begin(struct packed_builder *builder, enum value_type type, uint64_t base);
void packed_build_add(struct packed_builder *builder, const struct packed_element *element);
/* The element that begins there among the elements. */
void packed_build_at(const struct packed_builder *builder, size_t begin,
                     struct packed_element *element);
/* As packed_has_text() of what there is. */
static inline bool packed_build_has_text(const struct packed_builder *builder) {
    return (builder->head & PACKED_HAS_TEXT) != 0;
}
/* Appends what was built. */
void packed_build_put(const struct packed_builder *builder, struct buffer *out);
/* Appends a packed collection of one element. */
void packed_begin_with(struct buffer *out, enum value_type type,
                       const struct packed_element *element);
/* Does what packed_put() does in the bytes themselves, if it is a field of a hash and its value and
 * stamp are as long as before; false, with nothing changed, if not. `element->value` does not lie
 * in the bytes. */
bool packed_overwrite(char *packed, size_t size, const struct packed_element *old,
                      const struct packed_element *element);
/* Elements that follow each other, as bytes of what is packed. */
struct packed_range {
    size_t begin, end;
    uint64_t count;
};
static inline struct packed_range packed_range_of(const struct packed_element *element) {
    return (struct packed_range){element->begin, element->end, 1};
}
/* Appends what `packed` becomes without those. */
void packed_remove(struct buffer *out, struct slice packed, const struct packed_range *range);
/* Is the order of scores and names; below, at or above 0. */
int packed_compare(const struct packed_element *a, const struct packed_element *b);

#endif
