/* SPDX-License-Identifier: BSD-3-Clause */
/* Trimming a stream: what goes is what a walk from entry to entry finds, exact and rough, by length
 * and by id, for nodes of any size; and the same goes where single removals are recorded, and where
 * nobody hears of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/codec.h"
#include "store/collection.h"
#include "store/xstreams.h"
#include "unit/seed.h"
#include "unit/store/streams.h"

enum { STORES = 2, ENTRIES_MAX = 400 };

/* The first records what it does. */
static struct store stores[STORES];
static struct prng prng;
static uint64_t next_ms;

static void begin(void) {
    for (unsigned i = 0; i < STORES; i++) {
        struct store_opts opts = {.dbs_count = 1, .seed = 7};
        struct replica_id id = streams_id(0);
        store_init(&stores[i], &opts);
        store_set_now(&stores[i], INT64_C(1800000000000));
        require(store_begin_replica(&stores[i], &id));
        stores[i].journal.is_on = i == 0;
    }
    next_ms = 1;
}

static struct elements_writer *open_at(unsigned i, struct elements_writer *writer) {
    struct key key = store_key(&stores[i], 0, SLICE("stream"));
    require(elements_open(&stores[i], &key, VALUE_STREAM, writer) == STORE_OK);
    return writer;
}

static void close_at(unsigned i, struct elements_writer *writer) {
    elements_close(writer);
    store_end_unit(&stores[i]);
    store_check(&stores[i]);
}

static void add_some(void) {
    unsigned count = 1 + (unsigned)prng_below(&prng, ENTRIES_MAX / 4);
    unsigned size_max = prng_below(&prng, 3) == 0 ? 600 : 30; /* beyond 400 they lie elsewhere */
    uint64_t seed = prng_next(&prng), first_ms = next_ms;
    for (unsigned i = 0; i < STORES; i++) {
        struct elements_writer writer;
        struct prng sizes;
        prng_init(&sizes, seed);
        next_ms = first_ms;
        open_at(i, &writer);
        for (unsigned n = 0; n < count; n++) {
            char bytes[600] = {0};
            struct buffer value = {0};
            codec_put_varint(&value, 1);
            codec_put_slice(&value, SLICE("f"));
            codec_put_slice(&value, slice_make(bytes, prng_below(&sizes, size_max)));
            require(xstream_add(&writer, (struct xstream_id){next_ms++, 1}, &value) == STORE_OK);
            buffer_deinit(&value);
        }
        close_at(i, &writer);
    }
}

/* How many entries are to go, entry by entry. */
static uint64_t expect(struct xstream_view view, const struct xstream_trim *trim,
                       uint64_t trimmed) {
    const struct store_packing *node = &view.store->packing[VALUE_STREAM];
    struct xstream_cursor cursor;
    uint64_t length = xstream_length(view), taken = 0, in_node = 0, bytes = 0;
    uint64_t gone = node->entries_max > 0 ? trimmed % node->entries_max : 0;
    bool is_there = xstream_seek(view, XSTREAM_ID_MIN, &cursor);
    while (is_there) {
        uint64_t count = taken + in_node + 1;
        bool may_go = trim->by == XSTREAM_TRIM_LENGTH
                          ? count <= length && length - count >= trim->length_max
                          : xstream_id_compare(cursor.name.id, trim->id_min) < 0;
        if (!may_go || (trim->is_rough && trim->limit > 0 && count > trim->limit)) {
            break;
        }
        in_node++;
        bytes += cursor.at.element.name.size + xstream_value(&cursor).size;
        is_there = xstream_next(&cursor);
        if (!trim->is_rough || !is_there ||
            (node->entries_max > 0 && in_node + gone >= node->entries_max) ||
            (node->bytes_max > 0 && bytes >= node->bytes_max)) {
            taken += in_node;
            in_node = bytes = gone = 0;
        }
    }
    return taken;
}

static void trim_some(uint64_t *trimmed) {
    struct xstream_trim trim = {.by = XSTREAM_TRIM_LENGTH,
                                .length_max = prng_below(&prng, ENTRIES_MAX),
                                .id_min = {next_ms - prng_below(&prng, ENTRIES_MAX), 1},
                                .is_rough = prng_below(&prng, 3) > 0};
    if (prng_below(&prng, 2) == 0) {
        trim.by = XSTREAM_TRIM_ID;
        trim.id_min.ms = trim.id_min.ms > next_ms ? 0 : trim.id_min.ms;
    }
    if (trim.is_rough && prng_below(&prng, 3) == 0) {
        trim.limit = 1 + prng_below(&prng, ENTRIES_MAX / 2);
    }
    struct store_packing packing = {.entries_max = prng_below(&prng, 3) * prng_below(&prng, 60),
                                    .bytes_max = prng_below(&prng, 3) * prng_below(&prng, 3000)};
    uint64_t removed[STORES];
    for (unsigned i = 0; i < STORES; i++) {
        struct elements_writer writer;
        stores[i].packing[VALUE_STREAM] = packing;
        open_at(i, &writer);
        uint64_t expected = expect(xstream_of_writer(&writer), &trim, *trimmed);
        int64_t dirty = (int64_t)stores[i].stats.dirty;
        removed[i] = xstream_trim(&writer, &trim);
        require(removed[i] == expected);
        require((int64_t)stores[i].stats.dirty - dirty >= (int64_t)expected);
        close_at(i, &writer);
    }
    require(removed[0] == removed[1]);
    *trimmed += removed[0];
}

static void compare(void) {
    struct xstream_facts facts[STORES];
    struct xstream_cursor cursors[STORES];
    bool is_there[STORES];
    for (unsigned i = 0; i < STORES; i++) {
        struct elements elements;
        struct key key = store_key(&stores[i], 0, SLICE("stream"));
        require(elements_read(&stores[i], &key, VALUE_STREAM, &elements) == STORE_OK);
        xstream_facts(xstream_of(&stores[i], &elements), &facts[i]);
        is_there[i] = xstream_seek(xstream_of(&stores[i], &elements), XSTREAM_ID_MIN, &cursors[i]);
    }
    require(memcmp(&facts[0], &facts[1], sizeof(facts[0])) == 0);
    while (is_there[0]) {
        require(is_there[1]);
        require(xstream_id_compare(cursors[0].name.id, cursors[1].name.id) == 0);
        require(slice_equal(xstream_value(&cursors[0]), xstream_value(&cursors[1])));
        is_there[0] = xstream_next(&cursors[0]);
        is_there[1] = xstream_next(&cursors[1]);
    }
    require(!is_there[1]);
}

static void random_trims(void **state) {
    (void)state;
    for (unsigned part = 0; part < 200; part++) {
        uint64_t trimmed = 0;
        seed_prng(&prng, "random_trims", part);
        begin();
        for (unsigned step = 0; step < 30; step++) {
            add_some();
            trim_some(&trimmed);
            compare();
        }
        for (unsigned i = 0; i < STORES; i++) {
            store_deinit(&stores[i]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
