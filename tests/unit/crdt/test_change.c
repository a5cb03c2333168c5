/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes as bytes: each kind with its edges written and read back, units over several batches, and
 * damage, which is refused or read as something else but never beyond the batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "crdt/change.h"
#include "unit/seed.h"

enum { SLOT = 5 };

/* What must come back: fields that a kind does not have are zero. */
static void assert_changes_equal(const struct change *a, const struct change *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->goes_on, b->goes_on);
    assert_int_equal(a->db, b->db);
    assert_int_equal(a->stamp, b->stamp);
    assert_true(slice_equal(a->key, b->key));
    assert_true(slice_equal(a->value, b->value));
    assert_int_equal(a->expire_unix_ms, b->expire_unix_ms);
    assert_int_equal(a->start_ticks, b->start_ticks);
    assert_int_equal(a->total, b->total);
    assert_int_equal(a->increment, b->increment);
    assert_true(slice_equal(a->float_increment, b->float_increment));
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->is_fresh, b->is_fresh);
}

/* ---- random ---- */

enum { TEXT_BYTES = 1 << 17 };
static char text[TEXT_BYTES];

static struct slice random_text(struct prng *prng) {
    static const size_t sizes[] = {0, 1, 2, 127, 128, 254, 255, 16383, 16384, 65536};
    size_t size = prng_below(prng, 4) == 0 ? sizes[prng_below(prng, 10)] : prng_below(prng, 80);
    return slice_make(text + prng_below(prng, TEXT_BYTES - size), size);
}

static uint64_t random_number(struct prng *prng) {
    return prng_next(prng) >> prng_below(prng, 64);
}

/* A list of parts; valid until the next but some. */
static struct slice random_takes(struct prng *prng) {
    static struct buffer lists[64];
    static unsigned next;
    struct buffer *list = &lists[next++ % 64];
    buffer_clear(list);
    for (unsigned count = (unsigned)prng_below(prng, 4); count > 0; count--) {
        struct change_take take = {.ref = prng_next(prng),
                                   .ticks = random_number(prng) >> 11,
                                   .is_float = prng_below(prng, 2) == 0};
        take.start_ticks = prng_below(prng, take.ticks + 1);
        if (take.is_float) {
            take.text = random_text(prng);
        } else {
            take.total = (int64_t)random_number(prng);
        }
        change_take_put(list, &take);
    }
    return list->size > 0 ? buffer_slice(list) : SLICE("");
}

static struct slice random_element_takes(struct prng *prng) {
    enum { LISTS = 64 };
    static struct buffer values[LISTS];
    static unsigned count;
    struct buffer *value = &values[count++ % LISTS];
    buffer_clear(value);
    buffer_append_byte(value, prng_below(prng, 2) == 0 ? VALUE_HASH : VALUE_SORTED_SET);
    for (uint64_t left = prng_below(prng, 4); left > 0; left--) {
        change_element_takes_put(value, random_text(prng), random_takes(prng));
    }
    return buffer_slice(value);
}

static struct slice random_life_end(struct prng *prng) {
    enum { LISTS = 64 };
    static struct buffer ends[LISTS];
    static unsigned count;
    struct buffer *end = &ends[count++ % LISTS];
    buffer_clear(end);
    struct change_life_end life = {.ref = 1 + prng_below(prng, UINT64_MAX),
                                   .ticks = random_number(prng) >> 11,
                                   .made_ticks = random_number(prng) >> 11};
    change_life_end_put(end, &life);
    return buffer_slice(end);
}

/* A change of a random kind, later than `ticks`. */
static struct change random_change(struct prng *prng, uint64_t ticks) {
    struct change change = {.kind = (enum change_kind)(1 + prng_below(prng, CHANGE_LIFE_END))};
    uint64_t passed = prng_below(prng, 3) == 0 ? random_number(prng) >> 12 : prng_below(prng, 10);
    ticks = passed < STAMP_TICKS_ACCEPTED_MAX - ticks ? ticks + passed : ticks;
    change.stamp = stamp_make(ticks, SLOT);
    change.db = prng_below(prng, 3) > 0 ? 0 : (unsigned)prng_below(prng, CHANGE_DATABASES_MAX);
    bool is_fresh = prng_below(prng, 2) == 0;
    switch (change.kind) {
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
        return change;
    case CHANGE_SWAP:
        change.value = random_text(prng);
        return change;
    case CHANGE_LIFE_END:
        change.value = random_life_end(prng);
        return change;
    case CHANGE_SET_EXPIRING:
    case CHANGE_EXPIRE:
        change.expire_unix_ms = random_number(prng);
        break;
    case CHANGE_COUNTER:
        change.total = (int64_t)random_number(prng) * (prng_below(prng, 2) == 0 ? 1 : -1);
        change.increment = (int64_t)random_number(prng) * (prng_below(prng, 2) == 0 ? 1 : -1);
        change.start_ticks = prng_below(prng, ticks + 1);
        change.is_fresh = is_fresh;
        break;
    case CHANGE_FLOAT_COUNTER:
        change.float_increment = slice_make(text, prng_below(prng, CHANGE_NUMBER_BYTES_MAX + 1));
        change.start_ticks = prng_below(prng, ticks + 1);
        change.is_fresh = is_fresh;
        break;
    case CHANGE_PATCH:
        change.offset = random_number(prng);
        change.is_fresh = is_fresh;
        break;
    case CHANGE_SET_KEEPING:
    case CHANGE_REGISTERS:
        change.is_fresh = is_fresh;
        break;
    case CHANGE_TAKE:
        change.key = random_text(prng);
        change.is_fresh = is_fresh;
        change.value = is_fresh ? random_element_takes(prng) : random_takes(prng);
        return change;
    case CHANGE_DELETE:
        change.is_fresh = is_fresh;
        break;
    case CHANGE_SET:
    case CHANGE_MORE:
        break;
    }
    change.key = random_text(prng);
    if (change.kind != CHANGE_DELETE && change.kind != CHANGE_EXPIRE &&
        change.kind != CHANGE_COUNTER) {
        change.value = random_text(prng);
    }
    return change;
}

static void random_batches_come_back(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "random_batches_come_back", 0);
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        text[i] = (char)prng_next(&prng);
    }
    enum { CHANGES_MAX = 40 };
    static struct change written[CHANGES_MAX];
    struct change_writer writer = {.is_on = true};
    for (unsigned round = 0; round < 3000; round++) {
        unsigned count = 1 + (unsigned)prng_below(&prng, CHANGES_MAX);
        uint64_t ticks = random_number(&prng) >> 11;
        uint64_t units = 0;
        for (unsigned i = 0; i < count; i++) {
            written[i] = random_change(&prng, ticks);
            ticks = stamp_ticks(written[i].stamp);
            change_writer_add(&writer, &written[i]);
            written[i].goes_on = i + 1 < count && prng_below(&prng, 2) == 0;
            if (!written[i].goes_on) {
                change_writer_end_unit(&writer);
                change_writer_end_unit(&writer);
                units++;
            }
        }
        assert_int_equal(writer.units_count, units);
        /* In a block of exactly its size. */
        size_t size = writer.bytes.size;
        char *block = memory_alloc(size);
        memcpy(block, writer.bytes.data, size);
        struct change_reader reader;
        assert_true(change_reader_init(&reader, slice_make(block, size), SLOT));
        for (unsigned i = 0; i < count; i++) {
            struct change change;
            assert_int_equal(change_reader_next(&reader, &change), CHANGE_OK);
            assert_changes_equal(&change, &written[i]);
        }
        struct change change;
        assert_int_equal(change_reader_next(&reader, &change), CHANGE_END);
        assert_int_equal(change_reader_next(&reader, &change), CHANGE_END);
        memory_free(block);
        change_writer_clear(&writer);
        assert_int_equal(writer.bytes.size, 0);
    }
    change_writer_deinit(&writer);
}

/* Values that go the short way make the same bytes as all the others, whatever is around them. */
static void the_short_way_is_the_same(void **state) {
    (void)state;
    enum { CHANGES_MAX = 30, ROUNDS = 3000 };
    struct prng prng;
    seed_prng(&prng, "the_short_way_is_the_same", 0);
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        text[i] = (char)prng_next(&prng);
    }
    struct change_writer longer = {.is_on = true}, shorter = {.is_on = true};
    unsigned went_short = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t ticks = random_number(&prng) >> 11;
        for (unsigned i = (unsigned)prng_below(&prng, CHANGES_MAX); i > 0; i--) {
            struct change change = random_change(&prng, ticks);
            ticks = stamp_ticks(change.stamp);
            change_writer_add(&longer, &change);
            if ((change.kind == CHANGE_SET || change.kind == CHANGE_SET_EXPIRING ||
                 change.kind == CHANGE_SET_KEEPING) &&
                !change.is_fresh) {
                change_writer_add_value(&shorter, change.kind, change.db, change.stamp, change.key,
                                        change.value, change.expire_unix_ms);
                went_short++;
            } else {
                change_writer_add(&shorter, &change);
            }
            if (prng_below(&prng, 3) == 0) {
                change_writer_end_unit(&longer);
                change_writer_end_unit(&shorter);
            }
        }
        assert_int_equal(shorter.bytes.size, longer.bytes.size);
        assert_memory_equal(shorter.bytes.data, longer.bytes.data, longer.bytes.size);
        assert_int_equal(shorter.changes_count, longer.changes_count);
        assert_int_equal(shorter.units_count, longer.units_count);
        assert_int_equal(shorter.is_unit_open, longer.is_unit_open);
        change_writer_clear(&longer);
        change_writer_clear(&shorter);
    }
    assert_true(went_short > ROUNDS);
    change_writer_deinit(&longer);
    change_writer_deinit(&shorter);
}

/* Elements under a few keys, whatever is around them: one by one in the short way, and deletions of
 * successive names at once, they make the same bytes as in the long way. */
static void elements_in_the_short_way(void **state) {
    (void)state;
    enum { ROUNDS = 4000, CHANGES_MAX = 20 };
    struct prng prng;
    seed_prng(&prng, "elements_in_the_short_way", 0);
    struct change_writer longer = {.is_on = true}, shorter = {.is_on = true};
    unsigned long runs = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t ticks = random_number(&prng) >> 12;
        for (unsigned i = (unsigned)prng_below(&prng, CHANGES_MAX); i > 0; i--) {
            static const size_t SIZES[] = {0, 1, 7, 8, 9, 16, 17, 18, 33, 64, 127};
            char name[130];
            ticks += 1 + (prng_below(&prng, 4) == 0 ? prng_below(&prng, 300) : 0);
            if (prng_below(&prng, 8) == 0) {
                struct change other = random_change(&prng, ticks);
                ticks = stamp_ticks(other.stamp);
                change_writer_add(&longer, &other);
                change_writer_add(&shorter, &other);
                continue;
            }
            size_t size =
                SIZES[prng_below(&prng, sizeof(SIZES) / sizeof(SIZES[0]))] + prng_below(&prng, 3);
            for (size_t at = 0; at < sizeof(name); at++) {
                name[at] = (char)(prng_below(&prng, 2) == 0 ? 0xFF : prng_next(&prng));
            }
            struct change change = {.kind = prng_below(&prng, 2) == 0 ? CHANGE_SET : CHANGE_DELETE,
                                    .stamp = stamp_make(ticks, SLOT),
                                    .type = VALUE_LIST,
                                    .db = prng_below(&prng, 6) == 0,
                                    .key = prng_below(&prng, 4) == 0 ? SLICE("k") : SLICE("key"),
                                    .is_key_fresh = prng_below(&prng, 6) == 0,
                                    .element = slice_make(name, size)};
            if (change.kind == CHANGE_SET) {
                change.value = slice_make(text, prng_below(&prng, 200));
            }
            uint64_t count = 1;
            if (change.kind == CHANGE_DELETE && size > 2 && size <= CHANGE_RUN_NAME_BYTES_MAX) {
                name[0] = 'a'; /* does not come to its end */
                count += prng_below(&prng, 3) * prng_below(&prng, 400);
            }
            struct change last = change;
            change_writer_add(&longer, &change);
            for (uint64_t n = 1; n < count; n++) {
                change.is_key_fresh = false;
                change.stamp = stamp_make(++ticks, SLOT);
                for (char *byte = name + size - 1; ++*byte == 0;) {
                    byte--;
                }
                change_writer_add(&longer, &change);
            }
            last.stamp = change.stamp;
            if (last.kind == CHANGE_DELETE) {
                change_writer_add_deletes(&shorter, &last, count);
                runs += count > 1;
            } else {
                change_writer_add_element(&shorter, &last);
            }
            if (prng_below(&prng, 4) == 0) {
                change_writer_end_unit(&longer);
                change_writer_end_unit(&shorter);
            }
        }
        assert_int_equal(shorter.bytes.size, longer.bytes.size);
        assert_memory_equal(shorter.bytes.data, longer.bytes.data, longer.bytes.size);
        assert_int_equal(shorter.changes_count, longer.changes_count);
        assert_int_equal(shorter.last_ticks, longer.last_ticks);
        assert_int_equal(shorter.last_offset, longer.last_offset);
        assert_int_equal(shorter.is_unit_open, longer.is_unit_open);
        change_writer_clear(&longer);
        change_writer_clear(&shorter);
    }
    assert_true(runs > ROUNDS);
    change_writer_deinit(&longer);
    change_writer_deinit(&shorter);
}

/* ---- single cases ---- */

static void a_zeroed_writer_writes_nothing(void **state) {
    (void)state;
    struct change_writer writer = {0};
    struct change change = {.kind = CHANGE_SET, .stamp = stamp_make(1, SLOT), .key = SLICE("a")};
    change_writer_add(&writer, &change);
    change_writer_end_unit(&writer);
    assert_int_equal(writer.bytes.size, 0);
    assert_int_equal(writer.units_count, 0);
    change_writer_deinit(&writer);
}

/* The layout is what is on disks: these bytes stay. */
static void the_layout(void **state) {
    (void)state;
    struct change_writer writer = {.is_on = true};
    struct change set = {.kind = CHANGE_SET,
                         .stamp = stamp_make(300, SLOT),
                         .key = SLICE("k"),
                         .value = SLICE("val")};
    struct change counter = {.kind = CHANGE_COUNTER,
                             .db = 2,
                             .stamp = stamp_make(302, SLOT),
                             .key = SLICE("n"),
                             .start_ticks = 301,
                             .total = -2,
                             .increment = 5};
    struct change expire = {.kind = CHANGE_EXPIRE,
                            .db = 2,
                            .stamp = stamp_make(303, SLOT),
                            .key = SLICE("k"),
                            .expire_unix_ms = 128};
    struct change swap = {
        .kind = CHANGE_SWAP, .stamp = stamp_make(303, SLOT), .value = SLICE("\1\0")};
    change_writer_add(&writer, &set);
    change_writer_end_unit(&writer);
    change_writer_add(&writer, &counter);
    change_writer_add(&writer, &expire);
    change_writer_end_unit(&writer);
    change_writer_add(&writer, &swap);
    change_writer_end_unit(&writer);
    static const unsigned char expected[] = {
        0xAC, 0x02,                                   /* first ticks: 300 */
        0x01, 0x00, 1,    'k', 3,    'v',  'a',  'l', /* SET */
        0xC6, 0x02, 0x02, 1,   'n',  0x01, 0x03, 10,  /* COUNTER, goes on, database 2 */
        0x05, 0x01, 1,    'k', 0x80, 0x01,            /* EXPIRE */
        0x4C, 0x00, 0x00, 2,   1,    0,               /* SWAP */
    };
    assert_int_equal(writer.bytes.size, sizeof(expected));
    assert_memory_equal(writer.bytes.data, expected, sizeof(expected));
    change_writer_deinit(&writer);
}

/* A unit may go on in the next batch: each says so in its last change but the end. */
static void units_go_on_over_batches(void **state) {
    (void)state;
    struct change_writer writer = {.is_on = true};
    char *big = memory_alloc_zero(5 << 20);
    for (uint64_t i = 0; i < 6; i++) {
        /* The database is that of the change before only within a batch. */
        struct change change = {.kind = CHANGE_SET,
                                .db = 7,
                                .stamp = stamp_make(10 + i, SLOT),
                                .key = SLICE("k"),
                                .value = slice_make(big, i == 2 ? 5 << 20 : 3)};
        if (i > 0 && i != 4) {
            assert_true(writer.is_unit_open);
            change_writer_clear(&writer);
            assert_true(writer.is_unit_open);
        }
        change_writer_add(&writer, &change);
        if (i == 5) {
            change_writer_end_unit(&writer);
        }
        struct change_reader reader;
        struct change read;
        assert_true(change_reader_init(&reader, buffer_slice(&writer.bytes), SLOT));
        unsigned count = i == 4 ? 2 : 1;
        for (unsigned j = 0; j < count; j++) {
            assert_int_equal(change_reader_next(&reader, &read), CHANGE_OK);
            assert_int_equal(read.db, 7);
            assert_int_equal(read.goes_on, i != 5);
        }
        assert_int_equal(stamp_ticks(read.stamp), 10 + i);
        assert_int_equal(change_reader_next(&reader, &read), CHANGE_END);
        assert_int_equal(writer.units_count, i == 5);
    }
    memory_free(big);
    change_writer_deinit(&writer);
}

static void the_edges_of_numbers(void **state) {
    (void)state;
    struct change_writer writer = {.is_on = true};
    struct change changes[] = {
        {.kind = CHANGE_COUNTER,
         .stamp = stamp_make(0, SLOT),
         .key = SLICE(""),
         .total = INT64_MIN},
        {.kind = CHANGE_COUNTER,
         .stamp = stamp_make(STAMP_TICKS_ACCEPTED_MAX, SLOT),
         .key = SLICE("x"),
         .total = INT64_MAX},
        {.kind = CHANGE_PATCH,
         .stamp = stamp_make(STAMP_TICKS_ACCEPTED_MAX, SLOT),
         .key = SLICE("x"),
         .offset = UINT64_MAX,
         .value = SLICE("")},
        {.kind = CHANGE_SET_EXPIRING,
         .stamp = stamp_make(STAMP_TICKS_ACCEPTED_MAX, SLOT),
         .db = CHANGE_DATABASES_MAX - 1,
         .key = SLICE("x"),
         .value = SLICE("y"),
         .expire_unix_ms = UINT64_MAX},
    };
    for (unsigned i = 0; i < 4; i++) {
        change_writer_add(&writer, &changes[i]);
        change_writer_end_unit(&writer);
    }
    struct change_reader reader;
    assert_true(change_reader_init(&reader, buffer_slice(&writer.bytes), SLOT));
    for (unsigned i = 0; i < 4; i++) {
        struct change read;
        assert_int_equal(change_reader_next(&reader, &read), CHANGE_OK);
        assert_changes_equal(&read, &changes[i]);
    }
    change_writer_deinit(&writer);
}

/* ---- damage ---- */

/* Reads a batch from a block of exactly its size; the number of good changes. Everything that is
 * accepted is within the limits and inside the batch. */
static unsigned read_exact(const char *bytes, size_t size, enum change_status *last) {
    char *block = memory_alloc(size);
    memcpy(block, bytes, size);
    struct change_reader reader;
    struct change change;
    unsigned count = 0;
    *last = CHANGE_MALFORMED;
    if (change_reader_init(&reader, slice_make(block, size), SLOT)) {
        while ((*last = change_reader_next(&reader, &change)) == CHANGE_OK) {
            count++;
            assert_in_range(change.kind, CHANGE_SET, CHANGE_LIFE_END);
            assert_true(change.db < CHANGE_DATABASES_MAX);
            assert_true(change.start_ticks <= stamp_ticks(change.stamp));
            assert_int_equal(stamp_slot(change.stamp), SLOT);
            assert_true(
                change.key.size == 0 ||
                (change.key.data >= block && change.key.data + change.key.size <= block + size));
            assert_true(change.value.size == 0 ||
                        (change.value.data >= block &&
                         change.value.data + change.value.size <= block + size));
            assert_true(count <= size);
        }
    }
    memory_free(block);
    return count;
}

static void write_one_of_each(struct change_writer *writer) {
    for (unsigned kind = CHANGE_SET; kind <= CHANGE_LIFE_END; kind++) {
        struct change change = {.kind = (enum change_kind)kind,
                                .db = kind % 3,
                                .stamp = stamp_make(1000000 + 100 * kind, SLOT),
                                .key = SLICE("key"),
                                .value = SLICE("value"),
                                .expire_unix_ms = 1800000000000,
                                .start_ticks = 500000,
                                .total = -123456,
                                .offset = 4096};
        if (kind == CHANGE_TAKE) {
            change.value = SLICE("12345678\x10\x03\x03"
                                 "1.512345678\x10\x02\x05");
        } else if (kind == CHANGE_LIFE_END) {
            change.value = SLICE("12345678\x10\x11");
        }
        change_writer_add(writer, &change);
        if (kind % 2 == 0) {
            change_writer_end_unit(writer);
        }
    }
}

/* Of a key, with the type and the parts of each element; of an element they make no sense. */
static void takes_of_elements_are_read_through(void **state) {
    (void)state;
    static const char list[] = "12345678\x10\x02\x05";
    struct {
        enum change_kind kind;
        bool is_of_element;
        struct slice value;
        bool is_sound;
    } rows[] = {
        {CHANGE_DELETE, false, SLICE(""), true},
        {CHANGE_DELETE, true, SLICE(""), false},
        {CHANGE_TAKE, false, SLICE("\x01"), true},
        {CHANGE_TAKE, false,
         SLICE("\3\1f\13"
               "12345678\20\2\5\0\0"),
         true},
        {CHANGE_TAKE, true, SLICE("\x01"), false},
        {CHANGE_TAKE, false, SLICE(""), false},
        {CHANGE_TAKE, false, SLICE("\x02"), false},        /* a set has no counters */
        {CHANGE_TAKE, false, SLICE("\x01\1f"), false},     /* no list */
        {CHANGE_TAKE, false, SLICE("\x01\5f\0"), false},   /* a name past the end */
        {CHANGE_TAKE, false, SLICE("\x01\1f\1x"), false},  /* a list that is none */
        {CHANGE_TAKE, false, slice_make(list, 11), false}, /* that of one element */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer batch = {0};
        codec_put_varint(&batch, 1000);
        buffer_append_byte(&batch,
                           (uint8_t)(rows[i].kind | 0x20U | (rows[i].is_of_element ? 0x10U : 0U)));
        codec_put_varint(&batch, 1);
        if (rows[i].is_of_element) {
            buffer_append_byte(&batch, VALUE_HASH);
        }
        codec_put_slice(&batch, SLICE("key"));
        if (rows[i].is_of_element) {
            codec_put_slice(&batch, SLICE("f"));
        }
        if (rows[i].kind == CHANGE_TAKE) {
            codec_put_slice(&batch, rows[i].value);
        }
        struct change_reader reader;
        struct change change;
        assert_true(change_reader_init(&reader, buffer_slice(&batch), SLOT));
        assert_int_equal(change_reader_next(&reader, &change),
                         rows[i].is_sound ? CHANGE_OK : CHANGE_MALFORMED);
        buffer_deinit(&batch);
    }
}

static void damage_is_refused_or_harmless(void **state) {
    (void)state;
    struct change_writer writer = {.is_on = true};
    write_one_of_each(&writer);
    enum change_status last;
    char *bytes = writer.bytes.data;
    size_t size = writer.bytes.size;
    assert_int_equal(read_exact(bytes, size, &last), CHANGE_LIFE_END);
    assert_int_equal(last, CHANGE_END);
    unsigned whole = 0;
    for (size_t cut = 0; cut < size; cut++) {
        unsigned count = read_exact(bytes, cut, &last);
        assert_true(count < CHANGE_LIFE_END);
        whole += last == CHANGE_END;
    }
    /* Cuts between changes, and one before the first. */
    assert_int_equal(whole, CHANGE_LIFE_END);
    for (size_t at = 0; at < size; at++) {
        char old = bytes[at];
        for (unsigned value = 0; value < 256; value++) {
            bytes[at] = (char)value;
            (void)read_exact(bytes, size, &last);
        }
        bytes[at] = old;
    }
    change_writer_deinit(&writer);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
#define CASE(literal) {literal, sizeof(literal) - 1}
        CASE("\x01\x00"),     /* no kind 0 */
        CASE("\x01\x0F\x00"), /* nor 15 */
        CASE("\x01\x1F\x00"), /* nor 31 */
        CASE("\x01\x2A\x00"), /* a fresh FLUSH */
        CASE("\x01\x0D\x00\x01k\x03"
             "abc"), /* no list of parts */
        CASE("\x01\x0D\x00\x01k\x0B"
             "12345678\x01\x04\x02"),               /* a part from before all time */
        CASE("\x01\x01"),                           /* ticks are missing */
        CASE("\x01\x01\x00"),                       /* the key */
        CASE("\x01\x01\x00\x01"),                   /* its bytes */
        CASE("\x01\x01\x00\x01k"),                  /* the value */
        CASE("\x01\x01\x00\x01k\x02v"),             /* a value that is too short */
        CASE("\x01\x41\x80\x80\x04\x00\x01k\x01v"), /* database 65536 */
        CASE("\x01\x0C\x00\x80\x80\x04"),           /* swapped with 65536 */
        CASE("\x01\x06\x00\x01k\x02\x00"),          /* a counter that began before all time */
        /* Ticks beyond 54 bits, at once and by addition. */
        CASE("\x80\x80\x80\x80\x80\x80\x80\x40\x0A\x00"),
        CASE("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x1F\x0A\x01"),
        /* Lengths near the end of 64 bits. */
        CASE("\x01\x01\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01k\x01v"),
        CASE("\x01\x01\x00\x01k\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01v"),
        CASE("\x01\x01\x00\x01k\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02v"), /* 65 bits */
#undef CASE
    };
    enum change_status last;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_exact(cases[i].bytes, cases[i].size, &last), 0);
        assert_int_equal(last, CHANGE_MALFORMED);
    }
    /* A batch has its first ticks, even if nothing follows. */
    assert_int_equal(read_exact("\x01", 1, &last), 0);
    assert_int_equal(last, CHANGE_END);
    assert_int_equal(read_exact("", 0, &last), 0);
    assert_int_equal(last, CHANGE_MALFORMED);
}

static void too_long_is_refused(void **state) {
    (void)state;
    size_t size = (size_t)CHANGE_VALUE_BYTES_MAX + 64;
    char *bytes = memory_alloc_zero(size);
    /* A value and a key of one byte more than there may be. */
    memcpy(bytes, "\x01\x01\x00\x00\x81\x80\x80\x10", 8);
    enum change_status last;
    assert_int_equal(read_exact(bytes, 8 + CHANGE_VALUE_BYTES_MAX + 1, &last), 0);
    assert_int_equal(last, CHANGE_MALFORMED);
    memcpy(bytes, "\x01\x04\x00\x81\x80\x80\x10", 7);
    assert_int_equal(read_exact(bytes, 7 + CHANGE_KEY_BYTES_MAX + 1, &last), 0);
    assert_int_equal(last, CHANGE_MALFORMED);
    memcpy(bytes, "\x01\x01\x00\x00\x80\x80\x80\x10", 8);
    assert_int_equal(read_exact(bytes, 8 + CHANGE_VALUE_BYTES_MAX, &last), 1);
    assert_int_equal(last, CHANGE_END);
    memory_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_batches_come_back),
        cmocka_unit_test(the_short_way_is_the_same),
        cmocka_unit_test(elements_in_the_short_way),
        cmocka_unit_test(a_zeroed_writer_writes_nothing),
        cmocka_unit_test(the_layout),
        cmocka_unit_test(units_go_on_over_batches),
        cmocka_unit_test(the_edges_of_numbers),
        cmocka_unit_test(takes_of_elements_are_read_through),
        cmocka_unit_test(damage_is_refused_or_harmless),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
