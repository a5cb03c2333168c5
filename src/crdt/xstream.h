/* SPDX-License-Identifier: BSD-3-Clause */
/* The elements of a stream (XADD and its kin; not the stream of records that replicas send each
 * other, crdt/stream.h): their names, whose order as bytes is their order, and their values.
 *
 * A stream is an OR-Map of elements as a hash is. Its entries are elements, and so is all that
 * Redis keeps beside them; so the one rule merges everything, and no element has a merge of its
 * own. What is to join by maximum is not one register but a set of names: each writer adds a name
 * and removes those that it had seen, the greatest of those left is shown.
 *
 *   name                        value                       how many, and what is shown
 *   01 id                       -                           last id: the greatest of these and of
 *                                                           the entries
 *   02 id                       -                           greatest deleted id: the greatest
 *   03 id                       count (varint)              entries that trimming took, up to id:
 *                                                           the count of the greatest
 *   04 ref (8 bytes)            count (varint)              entries that this replica deleted: the
 *                                                           sum of all
 *   10 group | id               entries read + 1 (varint)   last delivered id of the group: the
 *                               | progress                  greatest; what was delivered: all
 * joined (xstream_progress.h); a group without is none 11 group | consumer         seen | active +
 * 1 (varints, ms; 0: never) 12 group | id               delivered (varint, ms) | deliveries
 * (varint) | consumer 20 id                       fields (varint) | (name | value)..., as length
 * (varint) and bytes | origin (8 bytes), where the id does not tell it
 *
 *   id      ms, 8 bytes big endian | n | n bytes of the sequence, big endian, the first not 0
 *   group, consumer   a label: bytes, in which 0 is 00 FF, and 00 01 at the end
 *
 * Entries are last, so that XADD puts its element at the end of the map. How many entries were ever
 * added is not kept: it is how many there are and were removed, so that XADD is one change.
 *
 * An entry's origin is the replica that added it: a group has to know of entries that arrive late
 * which they may be (xstream_progress.h). The low 32 bits of a sequence that a replica chose in a
 * mesh are those of its ref; above them it counts what came in the millisecond. An id that a client
 * chose there has the ref behind the fields, and so has one of a replica whose 32 bits another one
 * has, too. What a lone node added has the origin that the bits happen to say: it arrives before
 * all else.
 *
 * It counts from 1, so that the first id of a millisecond is as long as those that follow: between
 * names of one size a leaf tells only the bytes that differ (containers/packed_run.h).
 *
 * Counts that two nodes raised without having seen each other can be off by what both removed
 * (04), or by what one did not know (03); ids, entries, groups and pending entries cannot.
 *
 * Names are checked when they come from outside, values when they are read: what makes no sense in
 * them counts as 0, or as absent. */
#ifndef CRDT_XSTREAM_H
#define CRDT_XSTREAM_H

#include <stdint.h>

#include "base/slice.h"
#include "base/varint.h"

struct xstream_id {
    uint64_t ms, sequence;
};

enum xstream_kind {
    XSTREAM_LAST = 0x01,
    XSTREAM_DELETED = 0x02,
    XSTREAM_TRIMMED = 0x03,
    XSTREAM_REMOVED = 0x04,
    XSTREAM_GROUP = 0x10,
    XSTREAM_CONSUMER = 0x11,
    XSTREAM_PENDING = 0x12,
    XSTREAM_ENTRY = 0x20,
};

enum {
    XSTREAM_ID_BYTES_MAX = 17,
    /* Names of groups and consumers: a longer one is refused. A zero byte counts twice. */
    XSTREAM_LABEL_BYTES_MAX = 480,
    XSTREAM_LABEL_CODED_BYTES_MAX = XSTREAM_LABEL_BYTES_MAX + 2,
    XSTREAM_NAME_BYTES_MAX = 1 + 2 * XSTREAM_LABEL_CODED_BYTES_MAX,
    XSTREAM_PENDING_BYTES_MAX = 2 * VARINT_BYTES_MAX + XSTREAM_LABEL_CODED_BYTES_MAX,
    /* The part of an automatic sequence that is the replica's, once there are others. */
    XSTREAM_REPLICA_BITS = 32,
    XSTREAM_ORIGIN_BYTES = 8,
};

static inline int xstream_id_compare(struct xstream_id a, struct xstream_id b) {
    if (a.ms != b.ms) {
        return a.ms < b.ms ? -1 : 1;
    }
    return a.sequence < b.sequence ? -1 : a.sequence > b.sequence;
}

#define XSTREAM_ID_MIN ((struct xstream_id){0, 0})
#define XSTREAM_ID_MAX ((struct xstream_id){UINT64_MAX, UINT64_MAX})

/* The next id, or the one before; false when there is none. */
bool xstream_id_increment(struct xstream_id *id);
bool xstream_id_decrement(struct xstream_id *id);
/* An id for a new entry, greater than `last` and at `ms` or later; false when all are used up.
 * `is_alone`: the least one, as Redis gives it. Else the least one of a count above 0 and these
 * bits of the replica's, so that two replicas never make the same one (unless their bits are the
 * same). */
bool xstream_id_next(struct xstream_id last, uint64_t ms, bool is_alone, uint64_t ref,
                     struct xstream_id *id);
/* The same for a client that chose the milliseconds, which are at or above those of `last`. */
bool xstream_id_next_in(struct xstream_id last, uint64_t ms, bool is_alone, uint64_t ref,
                        struct xstream_id *id);

/* ---- names ---- */

/* A name, or the beginning of one, being put together. */
struct xstream_name {
    size_t size;
    char bytes[XSTREAM_NAME_BYTES_MAX];
};

static inline struct slice xstream_name_slice(const struct xstream_name *name) {
    return slice_make(name->bytes, name->size);
}

/* Of the room for names mostly little is used. */
static inline void xstream_name_copy(struct xstream_name *to, const struct xstream_name *from) {
    to->size = from->size;
    memcpy(to->bytes, from->bytes, from->size);
}

void xstream_name_begin(struct xstream_name *name, enum xstream_kind kind);
void xstream_name_add_id(struct xstream_name *name, struct xstream_id id);
void xstream_name_add_ref(struct xstream_name *name, uint64_t ref);
/* Adds a coded label. */
void xstream_name_add_label(struct xstream_name *name, struct slice coded);
/* Makes it the least name behind all that begin with it. */
void xstream_name_pass(struct xstream_name *name);

/* What a name says; slices point into it. */
struct xstream_name_parts {
    enum xstream_kind kind;
    struct xstream_id id;
    uint64_t ref;
    struct slice group, consumer; /* coded labels */
};

/* False for what is no name of an element. */
bool xstream_name_parse(struct slice name, struct xstream_name_parts *parts);
/* Takes an id that is all of `bytes`. */
bool xstream_id_take(struct slice bytes, struct xstream_id *id);

/* ---- labels ---- */

struct xstream_label {
    size_t size;
    char bytes[XSTREAM_LABEL_CODED_BYTES_MAX];
};

static inline struct slice xstream_label_slice(const struct xstream_label *label) {
    return slice_make(label->bytes, label->size);
}

/* The coded label of a group's or consumer's name; false when it is too long. */
bool xstream_label_encode(struct slice text, struct xstream_label *label);
/* The name that a coded label says, in `out`, which has XSTREAM_LABEL_BYTES_MAX. */
struct slice xstream_label_decode(struct slice coded, char *out);

/* ---- values ---- */

/* A count; 0 for what is none. */
size_t xstream_count_put(char *out, uint64_t count);
uint64_t xstream_count_take(struct slice value);

struct xstream_consumer {
    uint64_t seen_unix_ms;
    int64_t active_unix_ms; /* -1: never */
};

enum { XSTREAM_CONSUMER_BYTES_MAX = 2 * VARINT_BYTES_MAX };

size_t xstream_consumer_put(char *out, const struct xstream_consumer *consumer);
void xstream_consumer_take(struct slice value, struct xstream_consumer *consumer);

struct xstream_pending {
    uint64_t delivered_unix_ms;
    uint64_t deliveries_count;
    struct slice consumer; /* coded label; the empty one where the value makes no sense */
};

/* `out` has XSTREAM_PENDING_BYTES_MAX. */
size_t xstream_pending_put(char *out, const struct xstream_pending *pending);
void xstream_pending_take(struct slice value, struct xstream_pending *pending);

/* Who added an entry: bits of a ref, or a whole one. */
uint64_t xstream_origin(struct xstream_id id, struct slice value);
/* The bits of an id or ref that tell replicas apart. */
static inline uint64_t xstream_replica_bits(uint64_t number) {
    return number & ((UINT64_C(1) << XSTREAM_REPLICA_BITS) - 1);
}

/* Reads the fields of an entry one after the other. */
struct xstream_fields {
    struct slice rest;
    uint64_t left;
};

/* Returns how many fields can be read. */
uint64_t xstream_fields_init(struct xstream_fields *fields, struct slice value);
/* False at the end. */
bool xstream_fields_next(struct xstream_fields *fields, struct slice *name, struct slice *value);

#endif
