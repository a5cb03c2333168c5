/* SPDX-License-Identifier: BSD-3-Clause */
/* A change is what one write did to one key; a unit is the changes of one command, transaction or
 * script, applied all or none; a batch is a run of units of one replica, in order.
 *
 * A batch is the payload of one log record: the same bytes in memory, on disk and on the wire.
 *
 *   batch:   first ticks (varint) | changes
 *   change:  kind byte | [database (varint)] | ticks since the change before (varint) | place |
 *            payload
 *   place:   key, or of an element: type byte | [key] | name
 *
 *   kind byte: bits 0-3 the kind, bit 4 "of an element", bit 5 "fresh", bit 6 "a database follows"
 *              (else that of the change before, 0 at the start of a batch), bit 7 "the unit goes on
 *              in the next change"
 *   type byte: bits 0-2 the type of the collection (enum value_type), bit 6 "the key is fresh",
 *              bit 7 "the key is that of the change before": then it does not follow
 *   key, name: length (varint) | bytes
 *
 *   kind              payload                                  effect
 *   SET               value                                    register; no expiry any more
 *   SET_EXPIRING      Unix ms (varint) | value                 register and expiry together
 *   SET_KEEPING       value                                    register; the expiry stays
 *   DELETE            -                                        all entries of the key go
 *   EXPIRE            Unix ms (varint), 0 = never               the expiry's register
 *   COUNTER           ticks since start | total (zigzag) |     the writer's part of a counter
 *                     increment (zigzag)
 *   FLOAT_COUNTER     ticks since start | total (text) |       likewise, of a float
 *                     increment (text)
 *   PATCH             offset (varint) | bytes                  bytes of a large string, in place
 *   REGISTERS         (index, value) pairs                     HyperLogLog registers, joined by max
 *   FLUSH             (no key)                                 all keys of one database go
 *   FLUSH_ALL         (no key)                                 all keys of all databases go
 *   SWAP              list of databases (no key)               the order of all databases
 *
 *   TAKE              list (change_take_next()); fresh: type   parts of counters are taken off
 *                     byte | (name, list), each with its
 *                     length (change_element_takes_next())
 *   MORE              bytes                                    the value of the SET before it in
 *                                                              its unit goes on
 *   LIFE_END          ref u64 | ticks, made (varints) |        what that replica wrote later is
 *                     (ref u64, ticks)... with its length,     void; it is made again by the
 *                     no key                                   writer, who had seen that of others
 *
 * An element is a field of a hash, a member of a set, and so on: a place of its own inside a key,
 * with a register, parts of a counter and an expiry as a key has them. The kinds up to COUNTER and
 * FLOAT_COUNTER, TAKE and MORE can be of an element. "The key is fresh" says that the writer saw no
 * value under the key: an expiry of the key that it had seen goes. A change of an element also
 * supersedes what its writer had seen under the key of other types.
 *
 * A DELETE of a key that is "fresh" does not tell what its writer had seen of counters among the
 * elements. Who has more of one than the writer may have seen asks whom the record came from
 * (store/amounts.h), and puts the answer before the DELETE: TAKEs of a key that are "fresh", each
 * with the parts of many elements. For these the writer leaves CHANGE_UNTOLD_TICKS unused before
 * it.
 *
 * Else fresh says that the writer saw no value: an expiry that it had seen then goes, too, as it
 * would with SET. It is for kinds that leave expiries alone; one that takes the place of an older
 * change (crdt/coalesce.h) is fresh if either was.
 *
 * The increment is what the total has grown by since the change before of that part; readers do not
 * need it. It is for the writer, who may have to tell one day what of a part others lack
 * (store/counter_history.h). One that stands for several is their sum, or for floats empty.
 *
 * Databases go by numbers that never change, whatever is swapped. Values, patches and orders carry
 * a length (varint) before their bytes. A value longer than CHANGE_VALUE_BYTES_MAX is a SET of its
 * beginning and MORE of the rest in one unit, so that no record outgrows its limit. A unit may go
 * on in the next batch; readers apply it when it is whole.
 *
 * A SET, DELETE or FLUSH drops the writer's own part of a counter, which needs no mention: every
 * reader has applied that writer's changes in order and knows the part as the writer did. What it
 * had seen of others' parts a TAKE before it in its unit takes off. A TAKE of an element never
 * comes without such a change behind it: where a reader has no more of a part than the writer had
 * seen, that alone takes it off, and the TAKE need not be looked at. */
#ifndef CRDT_CHANGE_H
#define CRDT_CHANGE_H

#include "base/buffer.h"
#include "crdt/stamp.h"

/* What a key holds. The numbers are those of files and streams. */
enum value_type {
    VALUE_STRING = 0,
    VALUE_HASH,
    VALUE_SET,
    VALUE_SORTED_SET,
    VALUE_LIST,
    VALUE_STREAM,
    VALUE_TYPES_COUNT,
};

enum change_kind {
    CHANGE_SET = 1,
    CHANGE_SET_EXPIRING,
    CHANGE_SET_KEEPING,
    CHANGE_DELETE,
    CHANGE_EXPIRE,
    CHANGE_COUNTER,
    CHANGE_FLOAT_COUNTER,
    CHANGE_PATCH,
    CHANGE_REGISTERS,
    CHANGE_FLUSH,
    CHANGE_FLUSH_ALL,
    CHANGE_SWAP,
    CHANGE_TAKE,
    CHANGE_MORE,
    CHANGE_LIFE_END,
};

enum {
    CHANGE_VALUE_BYTES_MAX = 32 << 20, /* longest value or patch of one change */
    CHANGE_KEY_BYTES_MAX = 32 << 20,   /* longest key */
    CHANGE_NUMBER_BYTES_MAX = 8192,    /* longest increment of a float */
    CHANGE_DATABASES_MAX = 65536,
    CHANGE_RUN_NAME_BYTES_MAX = 127, /* change_writer_add_deletes() */
    CHANGE_UNTOLD_TICKS = 1024,      /* a quarter of a millisecond */
    /* A batch is handed on once it is this long; one change more may come on top. */
    CHANGE_BATCH_BYTES = 1 << 20,
};

/* No string is longer: what claims to be, or a patch that lies beyond, is malformed. Fuzzers, whose
 * memory is bounded, go less far. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define CHANGE_STRING_BYTES_MAX (UINT64_C(1) << 30)
#else
#define CHANGE_STRING_BYTES_MAX (UINT64_C(64) << 30)
#endif

/* One change, decoded; the slices point into the bytes it was read from. */
struct change {
    enum change_kind kind;
    bool goes_on;         /* the unit has more changes */
    bool is_fresh;        /* SET_KEEPING, COUNTER, FLOAT_COUNTER, PATCH, REGISTERS; DELETE, TAKE: of
                             a key, see above */
    enum value_type type; /* of the collection whose element it is; VALUE_STRING: of the key */
    bool is_key_fresh;    /* of an element; of a TAKE: no DELETE or SET of it follows */
    unsigned db;
    uint64_t stamp;
    struct slice key;
    struct slice element; /* its name */
    /* SET*, PATCH, FLOAT_COUNTER (its total as text), REGISTERS, SWAP (databases.h), LIFE_END */
    struct slice value;
    uint64_t expire_unix_ms;      /* SET_EXPIRING, EXPIRE (0 = never) */
    uint64_t start_ticks;         /* COUNTER, FLOAT_COUNTER */
    int64_t total;                /* COUNTER */
    int64_t increment;            /* COUNTER */
    struct slice float_increment; /* FLOAT_COUNTER, as text; empty: not told */
    uint64_t offset;              /* PATCH */
};

/* One part of a counter, as the writer of a TAKE had seen it. */
struct change_take {
    uint64_t ref;         /* of its replica */
    uint64_t start_ticks; /* of its first increment */
    uint64_t ticks;       /* of its newest increment */
    bool is_float;
    int64_t total;     /* of integers */
    struct slice text; /* total of floats */
};

/* Is it a DELETE that leaves out what was seen of counters? */
static inline bool change_is_untold(const struct change *change) {
    return change->kind == CHANGE_DELETE && change->is_fresh;
}

/* Is it a TAKE of many elements? */
static inline bool change_takes_elements(const struct change *change) {
    return change->kind == CHANGE_TAKE && change->is_fresh;
}

/* ---- writing ---- */

/* What a LIFE_END says: struct ended_replica in crdt/replica.h. */
struct change_life_end {
    uint64_t ref, ticks, made_ticks;
    bool has_seen;     /* older ones do not tell what their maker had seen */
    struct slice seen; /* refs (u64) with ticks (varints): struct maker_seen */
};

/* Appends the value of a LIFE_END, with what its maker had seen in any case. */
void change_life_end_put(struct buffer *value, const struct change_life_end *end);
/* Appends a part to the value of a TAKE. */
void change_take_put(struct buffer *value, const struct change_take *take);
/* Appends an element to the value of a TAKE of many; before the first one goes the type, a byte. */
void change_element_takes_put(struct buffer *value, struct slice name, struct slice list);

/* Collects the changes of one replica. A zeroed struct is off and writes nothing. */
struct change_writer {
    struct buffer bytes; /* the batch so far; empty when there is nothing to hand on */
    bool is_on;          /* false: nobody wants the changes, so none are encoded */
    unsigned last_db;    /* database of the change before */
    uint64_t last_ticks; /* ticks of the change before */
    size_t last_offset;  /* where the change before starts */
    size_t key_offset;   /* where the newest key's bytes are */
    size_t key_bytes;
    bool has_key;                        /* the change before has that key */
    uint64_t changes_count, units_count; /* in the batch; units that are whole */
    bool is_unit_open;                   /* the newest change waits for change_writer_end_unit() */
};

void change_writer_deinit(struct change_writer *writer);
/* Appends `change`; ticks must grow from change to change. `goes_on` is ignored: a change belongs
 * to the open unit until change_writer_end_unit(). */
void change_writer_add(struct change_writer *writer, const struct change *change);
/* The same as change_writer_add() of a SET or DELETE of an element, faster where one follows the
 * other under one key. */
void change_writer_add_element(struct change_writer *writer, const struct change *change);
/* As change_writer_add_element() for `count` DELETEs, each a tick after the one before and of the
 * successor of its name (all bytes read as one big-endian number, plus 1). `last` is the last one;
 * but whether the key is fresh it says of the first. Names are CHANGE_RUN_NAME_BYTES_MAX long at
 * most, if there are more than one. */
void change_writer_add_deletes(struct change_writer *writer, const struct change *last,
                               uint64_t count);
/* The same as change_writer_add() of a SET, SET_EXPIRING or SET_KEEPING of a key of strings,
 * faster: most of what a busy node writes is that. `value` is at most CHANGE_VALUE_BYTES_MAX long.
 */
void change_writer_add_value(struct change_writer *writer, enum change_kind kind, unsigned db,
                             uint64_t stamp, struct slice key, struct slice value,
                             uint64_t expire_unix_ms);
/* Ends the unit, if any change was added since the last call. */
void change_writer_end_unit(struct change_writer *writer);
/* Forgets the batch, after it was handed on. The open unit, if any, goes on in the next batch: at
 * least one change more must come before it ends. */
void change_writer_clear(struct change_writer *writer);

/* ---- reading ---- */

enum change_status {
    CHANGE_OK,
    CHANGE_END,       /* no more changes in the batch */
    CHANGE_MALFORMED, /* the bytes are not a batch: a length past the end, an unknown kind, ... */
};

struct change_reader {
    struct slice rest;
    unsigned slot; /* of the replica whose batch it is */
    unsigned db;
    uint64_t ticks;
    struct slice key; /* of the change before, where `has_key` */
    bool has_key;
};

/* The next part, removed from the front of a TAKE's value; false at the end, or when the rest makes
 * no sense (then it is not empty). */
bool change_take_next(struct slice *value, struct change_take *take);
/* The type at the front of the value of a TAKE of many elements, which loses it; and then the next
 * element. False likewise. */
bool change_element_takes_begin(struct slice *value, enum value_type *type);
bool change_element_takes_next(struct slice *value, struct slice *name, struct slice *list);

/* Reads the value of a LIFE_END; false when it makes no sense. */
bool change_life_end_take(struct slice value, struct change_life_end *end);
/* The next of what its maker had seen, removed from the front of `seen`; false at the end. */
bool change_life_end_next_seen(struct slice *seen, uint64_t *ref, uint64_t *ticks);

/* Is a change of that kind one of a key, or of an element? */
bool change_has_key(enum change_kind kind);
/* Begins to read a batch of the replica numbered `slot`; false when malformed. */
bool change_reader_init(struct change_reader *reader, struct slice batch, unsigned slot);
/* Reads the next change. Never reads past the batch; accepts no key, value or database beyond the
 * limits above. */
enum change_status change_reader_next(struct change_reader *reader, struct change *change);

#endif
