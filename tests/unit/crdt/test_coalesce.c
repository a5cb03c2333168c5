/* SPDX-License-Identifier: BSD-3-Clause */
/* Coalescing: what is joined stands for all its records. The oracle is a plain interpreter of the
 * rule "a change supersedes what its writer had seen": applying the joined records gives the very
 * elements that applying all gives, whatever somebody else's elements were there. (What stores make
 * of joined records: unit/store/test_joined_records.c.) */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/memory.h"
#include "crdt/coalesce.h"
#include "unit/seed.h"

enum { AUTHOR = 2, OTHER = 3, KEYS = 3, DBS = 2, ELEMENTS_MAX = 512, RECORDS_MAX = 12 };

static const uint64_t author_ref = 0xA0, other_ref = 0xB0;

/* ---- the oracle ---- */

enum role { REGISTER, EDIT, EXPIRY, TAKEN };

struct element {
    enum role role;
    uint64_t stamp;
    uint64_t value; /* hash of bytes, or the time */
    uint64_t offset;
    uint64_t size;
};

struct part {
    uint64_t start, stamp;
    int64_t total;
    uint64_t text; /* of floats */
};

struct key_state {
    struct element elements[ELEMENTS_MAX];
    size_t count;
    struct part parts[4]; /* by slot */
};

struct state {
    struct key_state keys[DBS][KEYS];
    uint64_t mark; /* of AUTHOR for OTHER: ticks */
    uint64_t seen; /* ticks of AUTHOR applied */
};

static bool has_seen(const struct state *state, uint64_t stamp) {
    return stamp_slot(stamp) == AUTHOR || stamp_ticks(stamp) <= state->mark;
}

static void supersede(struct state *state, struct key_state *key, bool values, bool expiries) {
    size_t left = 0;
    for (size_t i = 0; i < key->count; i++) {
        enum role role = key->elements[i].role;
        bool is_place = role == EXPIRY ? expiries : role != TAKEN && values;
        if (!is_place || !has_seen(state, key->elements[i].stamp)) {
            key->elements[left++] = key->elements[i];
        }
    }
    key->count = left;
}

static void add(struct key_state *key, enum role role, const struct change *change) {
    assert_true(key->count < ELEMENTS_MAX);
    key->elements[key->count++] = (struct element){
        .role = role,
        .stamp = change->stamp,
        .value = role == EXPIRY ? change->expire_unix_ms
                                : hash_bytes((struct hash_seed){1, 2}, change->value),
        .offset = change->offset,
        .size = change->value.size};
}

static void clear_key(struct state *state, struct key_state *key) {
    supersede(state, key, true, true);
    key->parts[AUTHOR] = (struct part){0};
}

static void apply_change(struct state *state, const struct change *change) {
    struct key_state *key =
        change->key.size > 0 ? &state->keys[change->db][change->key.data[0] - 'a'] : NULL;
    struct part *part = key != NULL ? &key->parts[AUTHOR] : NULL;
    switch (change->kind) {
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
        clear_key(state, key);
        add(key, REGISTER, change);
        if (change->kind == CHANGE_SET_EXPIRING) {
            add(key, EXPIRY, change);
        }
        break;
    case CHANGE_SET_KEEPING:
        supersede(state, key, true, change->is_fresh);
        *part = (struct part){0};
        add(key, REGISTER, change);
        break;
    case CHANGE_DELETE:
        clear_key(state, key);
        if (change_is_untold(change)) {
            add(key, TAKEN, change); /* what it takes off, nothing else does */
        }
        break;
    case CHANGE_EXPIRE:
        supersede(state, key, false, true);
        add(key, EXPIRY, change);
        break;
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
        supersede(state, key, false, change->is_fresh);
        *part = (struct part){.start = change->start_ticks,
                              .stamp = change->stamp,
                              .total = change->total,
                              .text = hash_bytes((struct hash_seed){1, 2}, change->value)};
        break;
    case CHANGE_PATCH:
    case CHANGE_REGISTERS:
        supersede(state, key, false, change->is_fresh);
        for (size_t i = 0; i < key->count; i++) {
            struct element *old = &key->elements[i];
            if (old->role == EDIT && stamp_slot(old->stamp) == AUTHOR &&
                old->offset == change->offset && old->size == change->value.size) {
                *old = key->elements[--key->count];
                break;
            }
        }
        add(key, EDIT, change);
        break;
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
        for (unsigned db = 0; db < DBS; db++) {
            for (unsigned i = 0; i < KEYS; i++) {
                if (change->kind == CHANGE_FLUSH_ALL || db == change->db) {
                    clear_key(state, &state->keys[db][i]);
                }
            }
        }
        break;
    case CHANGE_TAKE:
        add(key, TAKEN, change);
        break;
    case CHANGE_MORE:
        for (size_t i = 0; i < key->count; i++) {
            struct element *old = &key->elements[i];
            if (old->role == REGISTER && stamp_slot(old->stamp) == AUTHOR) {
                old->value ^= hash_bytes((struct hash_seed){old->value, 2}, change->value);
                old->stamp = change->stamp;
            }
        }
        break;
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        fail_msg("a kind that is not made here");
    }
}

static void apply_record(struct state *state, struct slice bytes) {
    struct stream_record record;
    struct stream_mark mark;
    struct change_reader reader;
    struct change change;
    assert_true(stream_record_take(bytes, &record));
    assert_int_equal(record.ref, author_ref);
    assert_true(record.previous_ticks <= state->seen);
    while (stream_mark_next(&record.marks, &mark)) {
        assert_int_equal(mark.ref, other_ref);
        state->mark = mark.ticks > state->mark ? mark.ticks : state->mark;
    }
    assert_true(change_reader_init(&reader, record.batch, AUTHOR));
    enum change_status status;
    while ((status = change_reader_next(&reader, &change)) == CHANGE_OK) {
        if (stamp_ticks(change.stamp) > state->seen) {
            apply_change(state, &change);
        }
    }
    assert_int_equal(status, CHANGE_END);
    state->seen = record.last_ticks;
}

static int compare_elements(const void *a, const void *b) {
    const struct element *x = a, *y = b;
    if (x->role != y->role) {
        return x->role < y->role ? -1 : 1;
    }
    return x->stamp < y->stamp ? -1 : x->stamp > y->stamp;
}

static void assert_same(struct state *a, struct state *b) {
    assert_int_equal(a->mark, b->mark);
    assert_int_equal(a->seen, b->seen);
    for (unsigned i = 0; i < DBS * KEYS; i++) {
        struct key_state *x = &a->keys[i / KEYS][i % KEYS], *y = &b->keys[i / KEYS][i % KEYS];
        assert_int_equal(x->count, y->count);
        qsort(x->elements, x->count, sizeof(x->elements[0]), compare_elements);
        qsort(y->elements, y->count, sizeof(y->elements[0]), compare_elements);
        for (size_t e = 0; e < x->count; e++) {
            assert_memory_equal(&x->elements[e], &y->elements[e], sizeof(x->elements[e]));
        }
        assert_memory_equal(x->parts, y->parts, sizeof(x->parts));
    }
}

/* ---- records ---- */

struct records {
    struct buffer bytes[RECORDS_MAX];
    struct slice slices[RECORDS_MAX];
    size_t count;
    uint64_t last_ticks;
};

static void records_free(struct records *records) {
    for (size_t i = 0; i < records->count; i++) {
        buffer_deinit(&records->bytes[i]);
    }
}

static void add_record(struct records *records, struct slice batch, uint64_t last_ticks,
                       uint64_t mark_ticks) {
    struct stream_record head = {
        .ref = author_ref, .previous_ticks = records->last_ticks, .last_ticks = last_ticks};
    struct stream_mark mark = {.ref = other_ref, .ticks = mark_ticks};
    struct buffer *bytes = &records->bytes[records->count];
    *bytes = (struct buffer){0};
    stream_record_put_head(bytes, &head, &mark, mark_ticks != 0);
    buffer_append_slice(bytes, batch);
    records->slices[records->count++] = buffer_slice(bytes);
    records->last_ticks = last_ticks;
}

struct random_author {
    struct prng *prng;
    uint64_t ticks;
    uint64_t starts[DBS][KEYS]; /* of its parts; 0: none */
    int64_t totals[DBS][KEYS];
    unsigned counters_of_10;
};

static bool can_be_fresh(enum change_kind kind) {
    return kind == CHANGE_SET_KEEPING || kind == CHANGE_COUNTER || kind == CHANGE_FLOAT_COUNTER ||
           kind == CHANGE_PATCH || kind == CHANGE_REGISTERS || kind == CHANGE_DELETE;
}

static void random_change(struct random_author *author, struct change_writer *writer) {
    static const enum change_kind kinds[] = {
        CHANGE_SET,     CHANGE_SET,     CHANGE_SET_EXPIRING, CHANGE_SET_KEEPING,   CHANGE_DELETE,
        CHANGE_EXPIRE,  CHANGE_EXPIRE,  CHANGE_PATCH,        CHANGE_PATCH,         CHANGE_REGISTERS,
        CHANGE_COUNTER, CHANGE_COUNTER, CHANGE_COUNTER,      CHANGE_FLOAT_COUNTER, CHANGE_TAKE,
        CHANGE_MORE,    CHANGE_FLUSH,   CHANGE_FLUSH_ALL};
    struct prng *prng = author->prng;
    unsigned db = (unsigned)prng_below(prng, DBS), key = (unsigned)prng_below(prng, KEYS);
    char name = (char)('a' + key);
    char value[8];
    size_t kind = (size_t)prng_below(prng, sizeof(kinds) / sizeof(kinds[0]));
    if (kind >= 16 && prng_below(prng, 8) != 0) {
        kind = 0; /* flushes are rare */
    }
    struct change change = {.kind = kinds[kind], .db = db, .key = slice_make(&name, 1)};
    if (prng_below(prng, 10) < author->counters_of_10) {
        change.kind = CHANGE_COUNTER;
    }
    uint64_t bits = prng_next(prng);
    memcpy(value, &bits, sizeof(value));
    author->ticks += 1 + prng_below(prng, 3);
    change.stamp = stamp_make(author->ticks, AUTHOR);
    change.is_fresh = can_be_fresh(change.kind) && prng_below(prng, 4) == 0;
    struct buffer list = {0};
    switch (change.kind) {
    case CHANGE_FLUSH_ALL:
        memset(author->starts, 0, sizeof(author->starts));
        change.key = (struct slice){0};
        break;
    case CHANGE_FLUSH:
        memset(author->starts[db], 0, sizeof(author->starts[db]));
        change.key = (struct slice){0};
        break;
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
        if (author->starts[db][key] == 0) {
            author->starts[db][key] = author->ticks;
            author->totals[db][key] = 0;
        }
        change.start_ticks = author->starts[db][key];
        if (change.kind == CHANGE_COUNTER) {
            change.total = author->totals[db][key] += (int64_t)prng_below(prng, 9) - 4;
        } else {
            change.value = slice_make(value, 1 + prng_below(prng, 8));
        }
        break;
    case CHANGE_PATCH:
        change.offset = prng_below(prng, 3);
        change.value = slice_make(value, 1 + prng_below(prng, 3));
        break;
    case CHANGE_EXPIRE:
        change.expire_unix_ms = prng_below(prng, 3) * 1000;
        break;
    case CHANGE_TAKE: {
        struct change_take take = {
            .ref = other_ref, .ticks = 1 + prng_below(prng, 100), .total = (int64_t)value[0]};
        change_take_put(&list, &take);
        change.value = buffer_slice(&list);
        break;
    }
    case CHANGE_MORE:
        change.value = slice_make(value, sizeof(value));
        break;
    default:
        change.expire_unix_ms = change.kind == CHANGE_SET_EXPIRING ? 5000 : 0;
        change.value = change.kind == CHANGE_DELETE
                           ? (struct slice){0}
                           : slice_make(value, prng_below(prng, sizeof(value) + 1));
        if (change.kind != CHANGE_REGISTERS) {
            author->starts[db][key] = 0;
        }
        break;
    }
    change_writer_add(writer, &change);
    buffer_deinit(&list);
}

static void random_records(struct prng *prng, struct records *records) {
    struct random_author author = {.prng = prng, .ticks = 100};
    struct change_writer writer = {.is_on = true};
    uint64_t mark = 0;
    size_t count = 1 + (size_t)prng_below(prng, RECORDS_MAX);
    records->last_ticks = 50;
    author.counters_of_10 = prng_below(prng, 3) == 0 ? 10 : (unsigned)prng_below(prng, 8);
    for (size_t i = 0; i < count; i++) {
        for (uint64_t n = 1 + prng_below(prng, 12); n > 0; n--) {
            random_change(&author, &writer);
            if (prng_below(prng, 3) != 0) {
                change_writer_end_unit(&writer);
            }
        }
        if (i + 1 == count && prng_below(prng, 4) != 0) {
            change_writer_end_unit(&writer);
        }
        bool moves = prng_below(prng, 3) == 0;
        mark += moves ? 1 + prng_below(prng, 40) : 0;
        add_record(records, buffer_slice(&writer.bytes), author.ticks, moves ? mark : 0);
        change_writer_clear(&writer);
    }
    change_writer_deinit(&writer);
}

/* What somebody else has written, seen by the author or not. */
static void random_others(struct prng *prng, struct state *state) {
    for (unsigned i = 0; i < DBS * KEYS; i++) {
        struct key_state *key = &state->keys[i / KEYS][i % KEYS];
        for (uint64_t n = prng_below(prng, 5); n > 0; n--) {
            key->elements[key->count++] =
                (struct element){.role = (enum role)prng_below(prng, 3),
                                 .stamp = stamp_make(1 + prng_below(prng, 200), OTHER),
                                 .value = prng_next(prng)};
        }
        if (prng_below(prng, 2) == 0) {
            key->parts[OTHER] = (struct part){.start = 1, .stamp = 2, .total = 3};
        }
    }
    state->seen = 50;
}

/* ---- tests ---- */

static void test_random_records(void **unused) {
    (void)unused;
    struct prng prng;
    struct coalescer coalescer = {.seed = {3, 4}};
    static struct state all, joined;
    uint64_t in = 0, out = 0, joined_records = 0;
    seed_prng(&prng, "coalesce", 1);
    for (unsigned round = 0; round < 20000; round++) {
        struct records records = {0};
        memset(&all, 0, sizeof(all));
        random_records(&prng, &records);
        random_others(&prng, &all);
        joined = all;
        for (size_t i = 0; i < records.count; i++) {
            apply_record(&all, records.slices[i]);
        }
        for (size_t i = 0; i < records.count;) {
            struct buffer bytes = {0};
            struct coalesce_result result;
            coalescer_join(&coalescer, records.slices + i, records.count - i, &bytes, &result);
            assert_in_range(result.taken, 1, records.count - i);
            assert_true(result.changes_out <= result.changes_in);
            assert_int_equal(result.is_joined, result.changes_out < result.changes_in);
            assert_int_equal(result.is_joined, bytes.size > 0);
            if (result.is_joined) {
                apply_record(&joined, buffer_slice(&bytes));
                joined_records += result.taken > 1;
            }
            for (size_t n = i; !result.is_joined && n < i + result.taken; n++) {
                apply_record(&joined, records.slices[n]);
            }
            in += result.changes_in;
            out += result.changes_out;
            i += result.taken;
            buffer_deinit(&bytes);
        }
        assert_same(&all, &joined);
        records_free(&records);
    }
    /* It does its work, too. */
    printf("%" PRIu64 " changes became %" PRIu64 ", %" PRIu64 " runs of records were joined\n", in,
           out, joined_records);
    assert_true(out < in * 9 / 10);
    assert_true(joined_records > 1000);
    coalescer_deinit(&coalescer);
}

static void count_up(struct change_writer *writer, uint64_t from, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct change change = {.kind = CHANGE_COUNTER,
                                .key = SLICE("hot"),
                                .stamp = stamp_make(from + i, AUTHOR),
                                .start_ticks = 100,
                                .total = (int64_t)(from + i)};
        change_writer_add(writer, &change);
        change_writer_end_unit(writer);
    }
}

/* A hot counter: one change is left of many records, marks or not; it is one unit. */
static void test_hot_counter(void **unused) {
    (void)unused;
    struct records records = {.last_ticks = 99};
    struct coalescer coalescer = {0};
    struct coalesce_result result;
    struct buffer out = {0};
    for (unsigned i = 0; i < 10; i++) {
        struct change_writer writer = {.is_on = true};
        count_up(&writer, 100 + i * 100, 100);
        add_record(&records, buffer_slice(&writer.bytes), 199 + i * 100, i % 3 == 1 ? i : 0);
        change_writer_deinit(&writer);
    }
    coalescer_join(&coalescer, records.slices, records.count, &out, &result);
    assert_true(result.is_joined);
    assert_int_equal(result.taken, 10);
    assert_int_equal(result.changes_in, 1000);
    assert_int_equal(result.changes_out, 1);
    struct stream_record record;
    struct stream_mark mark;
    struct change_reader reader;
    struct change change;
    assert_true(stream_record_take(buffer_slice(&out), &record));
    assert_int_equal(record.previous_ticks, 99);
    assert_int_equal(record.last_ticks, 1099);
    assert_int_equal(record.marks_count, 1);
    assert_true(stream_mark_next(&record.marks, &mark));
    assert_int_equal(mark.ticks, 7);
    assert_true(change_reader_init(&reader, record.batch, AUTHOR));
    assert_int_equal(change_reader_next(&reader, &change), CHANGE_OK);
    assert_int_equal(change.total, 1099);
    assert_false(change.goes_on);
    assert_int_equal(change_reader_next(&reader, &change), CHANGE_END);
    records_free(&records);
    buffer_deinit(&out);
    coalescer_deinit(&coalescer);
}

static void add_set(struct records *records, const char *key, uint64_t ticks, uint64_t mark) {
    struct change_writer writer = {.is_on = true};
    struct change change = {.kind = CHANGE_SET,
                            .key = slice_of(key),
                            .value = SLICE("v"),
                            .stamp = stamp_make(ticks, AUTHOR)};
    change_writer_add(&writer, &change);
    change_writer_end_unit(&writer);
    add_record(records, buffer_slice(&writer.bytes), ticks, mark);
    change_writer_deinit(&writer);
}

/* A SET that had not seen something is not joined to a record that had. */
static void test_marks_part_records(void **unused) {
    (void)unused;
    struct records records = {.last_ticks = 99};
    struct coalescer coalescer = {0};
    struct coalesce_result result;
    struct buffer out = {0};
    add_set(&records, "a", 100, 5);
    add_set(&records, "a", 101, 0);
    add_set(&records, "a", 102, 6);
    coalescer_join(&coalescer, records.slices, 3, &out, &result);
    assert_true(result.is_joined);
    assert_int_equal(result.taken, 2);
    assert_int_equal(result.changes_out, 1);
    records_free(&records);
    buffer_deinit(&out);
    coalescer_deinit(&coalescer);
}

/* Records that do not follow on one another stay apart; what is malformed goes as it is. */
static void test_stays_apart(void **unused) {
    (void)unused;
    struct records records = {.last_ticks = 99};
    struct coalescer coalescer = {0};
    struct coalesce_result result;
    struct buffer out = {0};
    add_set(&records, "a", 100, 0);
    records.last_ticks = 101; /* something is missing between */
    add_set(&records, "a", 102, 0);
    coalescer_join(&coalescer, records.slices, 2, &out, &result);
    assert_int_equal(result.taken, 1);
    assert_false(result.is_joined);
    add_record(&records, SLICE("\x01\x3F nonsense"), 103, 0);
    coalescer_join(&coalescer, records.slices + 1, 2, &out, &result);
    assert_int_equal(result.taken, 1);
    assert_false(result.is_joined);
    coalescer_join(&coalescer, records.slices + 2, 1, &out, &result);
    assert_int_equal(result.taken, 1);
    assert_false(result.is_joined);
    assert_int_equal(out.size, 0);
    records_free(&records);
    buffer_deinit(&out);
    coalescer_deinit(&coalescer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_records),
        cmocka_unit_test(test_hot_counter),
        cmocka_unit_test(test_marks_part_records),
        cmocka_unit_test(test_stays_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
