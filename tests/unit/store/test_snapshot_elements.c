/* SPDX-License-Identifier: BSD-3-Clause */
/* Large collections of a lone store under walks that take them in pieces: two walks at once, random
 * writes, keys that go, come back and become something else, walks that end before their time. Each
 * shows what there was at its beginning; no step of it, and no write in front of it, does much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/lists.h"
#include "store/xstreams.h"
#include "unit/seed.h"
#include "unit/store/running_snapshot.h"

enum {
    DBS = 2,
    ELEMENTS = 600,
    ELEMENTS_MAX = 50, /* larger ones go out in pieces */
    WALKS = 2,
    /* A step of the least size, or a write of one element: a bucket, or a few elements of a list,
     * and what has to be told ahead. */
    WORK_MAX = 64,
};

static const enum value_type TYPES[] = {VALUE_HASH, VALUE_SET, VALUE_SORTED_SET, VALUE_LIST,
                                        VALUE_STREAM};
static const char *const NAMES[] = {"hash", "set", "sorted set", "list", "stream"};
enum { TYPES_COUNT = 5 };

static struct store store;
static struct prng prng;
static struct running_snapshot walks[WALKS];
static unsigned freed_later;

/* ---- one store, two walks ---- */

static void free_later(void *udata, void (*free_fn)(void *object), void *object) {
    (void)udata;
    freed_later++;
    free_fn(object);
}

static void begin_walk(struct running_snapshot *walk) {
    walk->bytes = (struct buffer){0};
    walk->pieces_count = 0;
    walk->is_running = true;
    store_end_unit(&store);
    change_writer_clear(&store.journal);
    store_digest(&store, walk->digest);
    walk->sum = running_snapshot_check_state(&store);
    snapshot_walk_begin(&walk->walk, &store, running_snapshot_emit, walk);
    snapshot_walk_take_pieces(&walk->walk, running_snapshot_piece);
}

static void step_walk(struct running_snapshot *walk) {
    uint64_t before = walk->walk.work;
    if (!walk->is_running) {
        begin_walk(walk);
    } else if (prng_below(&prng, 1000) == 0) {
        /* Given up. */
        snapshot_walk_end(&walk->walk);
        walk->is_running = false;
        buffer_deinit(&walk->bytes);
    } else if (snapshot_walk_step(&walk->walk, 1)) {
        running_snapshot_end(walk, &store);
    } else {
        assert_true(walk->walk.work - before <= WORK_MAX);
    }
}

/* ---- writes ---- */

static struct slice name_of(char *text, uint64_t number) {
    return slice_make(text, (size_t)snprintf(text, 24, "e%llu", (unsigned long long)number));
}

static void write_element(struct elements_writer *writer) {
    char name[24], value[24];
    struct slice any = name_of(name, prng_below(&prng, ELEMENTS));
    struct slice text = name_of(value, prng_below(&prng, 1000000));
    struct elements elements;
    bool is_new;
    elements_written(writer, &elements);
    bool removes = elements.count > ELEMENTS || prng_below(&prng, 8) == 0;
    switch (writer->type) {
    case VALUE_HASH:
    case VALUE_SET:
        if (removes) {
            (void)element_delete(writer, any);
        } else if (writer->type == VALUE_HASH && prng_below(&prng, 8) == 0) {
            (void)element_expire(writer, any, (uint64_t)store.now_ms + 100000);
        } else {
            assert_int_equal(element_set(writer, any, writer->type == VALUE_HASH ? text : SLICE(""),
                                         false, &is_new),
                             STORE_OK);
        }
        break;
    case VALUE_SORTED_SET:
        if (removes) {
            (void)element_delete(writer, any);
        } else {
            assert_int_equal(
                element_set_score(writer, any, (double)prng_below(&prng, 1000), &is_new), STORE_OK);
        }
        break;
    case VALUE_LIST:
        if (elements.count > 0 && removes) {
            list_remove(writer, prng_below(&prng, elements.count), 1);
        } else if (elements.count > 0 && prng_below(&prng, 3) == 0) {
            assert_int_equal(list_set(writer, prng_below(&prng, elements.count), text), STORE_OK);
        } else if (elements.count > 0 && prng_below(&prng, 3) == 0) {
            assert_int_equal(list_insert(writer, prng_below(&prng, elements.count), text),
                             STORE_OK);
        } else {
            assert_int_equal(
                list_push(writer, prng_below(&prng, 2) == 0 ? LIST_LEFT : LIST_RIGHT, text),
                STORE_OK);
        }
        break;
    case VALUE_STREAM: {
        char fields[5] = {1, 1, 'f', 1, (char)('a' + prng_below(&prng, 26))};
        struct xstream_cursor cursor;
        struct xstream_id id;
        if (elements.count > 0 && removes &&
            xstream_seek(xstream_of_writer(writer),
                         (struct xstream_id){.ms = prng_below(&prng, 400)}, &cursor)) {
            id = cursor.name.id;
            (void)xstream_delete(writer, &id, 1);
        } else if (xstream_make_id(writer, xstream_last_id(xstream_of_writer(writer)),
                                   1 + prng_below(&prng, 500), false, &id)) {
            struct buffer value = {0};
            buffer_append(&value, fields, sizeof(fields));
            assert_int_equal(xstream_add(writer, id, &value), STORE_OK);
            buffer_deinit(&value);
        }
        if (removes && prng_below(&prng, 30) == 0) {
            struct xstream_trim trim = {.by = XSTREAM_TRIM_LENGTH,
                                        .length_max = elements.count - elements.count / 8};
            (void)xstream_trim(writer, &trim);
        }
        break;
    }
    case VALUE_STRING:
    case VALUE_TYPES_COUNT:
        break;
    }
}

static struct key key_of(unsigned db, unsigned kind) {
    return store_key(&store, db, slice_of(NAMES[kind]));
}

static void write_key(unsigned db, unsigned kind) {
    struct key key = key_of(db, kind);
    struct elements_writer writer;
    const struct entry *entry = store_peek(&store, &key);
    if (entry != NULL && entry_type(entry) != TYPES[kind]) {
        (void)store_delete(&store, &key);
    }
    assert_int_equal(elements_open(&store, &key, TYPES[kind], &writer), STORE_OK);
    write_element(&writer);
    elements_close(&writer);
}

static void fill(unsigned db, unsigned kind) {
    for (unsigned i = 0; i < ELEMENTS; i++) {
        write_key(db, kind);
    }
}

static void change_key(unsigned db, unsigned kind) {
    struct key key = key_of(db, kind), other = key_of(db, (unsigned)prng_below(&prng, TYPES_COUNT));
    switch (prng_below(&prng, 6)) {
    case 0:
        (void)store_delete(&store, &key);
        break;
    case 1:
        assert_int_equal(strings_set(&store, &key, SLICE("text"), 0), STORE_OK);
        break;
    case 2:
        (void)store_expire(&store, &key, (uint64_t)store.now_ms + 1 + prng_below(&prng, 50));
        break;
    case 3:
        (void)store_rename(&store, &key, &other);
        break;
    case 4:
        store_set_now(&store, store.now_ms + (int64_t)prng_below(&prng, 40));
        break;
    default:
        if (prng_below(&prng, 6) == 0) {
            (void)store_flush(&store, db);
        }
        break;
    }
}

static void step(void) {
    unsigned db = (unsigned)prng_below(&prng, DBS), kind = (unsigned)prng_below(&prng, TYPES_COUNT);
    if (prng_below(&prng, 1500) == 0) {
        change_key(db, kind);
    } else if (prng_below(&prng, 2000) == 0) {
        fill(db, kind);
    } else if (prng_below(&prng, 3) != 0) {
        uint64_t before = walks[0].walk.work;
        bool is_walking = walks[0].is_running;
        write_key(db, kind);
        assert_true(!is_walking || walks[0].walk.work - before <= WORK_MAX + ELEMENTS_MAX);
    } else {
        step_walk(&walks[prng_below(&prng, WALKS)]);
    }
    store_end_unit(&store);
    change_writer_clear(&store.journal);
}

static void walks_show_large_collections_as_they_were(void **state) {
    (void)state;
    for (unsigned part = 0; part < 6; part++) {
        struct store_opts opts = {.dbs_count = DBS, .seed = 3 + part};
        struct replica_id id = {.node = "one", .generation = 1};
        seed_prng(&prng, "walks_show_large_collections_as_they_were", part);
        store_init(&store, &opts);
        assert_true(store_begin_replica(&store, &id));
        store.journal.is_on = true;
        store.free_later = free_later;
        store.elements_a_step = ELEMENTS_MAX;
        for (unsigned type = 0; type < VALUE_TYPES_COUNT && part % 2 == 0; type++) {
            store.packing[type].entries_max = 4; /* not even what is small is packed */
        }
        store_set_now(&store, INT64_C(1800000000000));
        for (unsigned kind = 0; kind < TYPES_COUNT; kind++) {
            fill(0, kind);
        }
        for (unsigned i = 0; i < 30000; i++) {
            step();
            if (i % 1000 == 0) {
                store_check(&store);
            }
        }
        for (unsigned i = 0; i < WALKS; i++) {
            /* Some end half way, with collections that were kept for them alone. */
            if (walks[i].is_running && part % 3 == 0) {
                snapshot_walk_end(&walks[i].walk);
                buffer_deinit(&walks[i].bytes);
                walks[i].is_running = false;
            }
            while (walks[i].is_running) {
                step_walk(&walks[i]);
            }
        }
        assert_null(store.walk);
        store_check(&store);
        store_deinit(&store);
    }
    assert_true(walks[0].in_pieces_count > 20);
    assert_true(walks[0].cancelled_count > 0);
    assert_true(freed_later > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_show_large_collections_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
