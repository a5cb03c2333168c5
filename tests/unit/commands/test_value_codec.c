/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams between the store and serialised values: what every layout says comes out of DUMP again,
 * in the layout that we write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "commands/value_codec.h"
#include "unit/commands/rdb_bytes_of.h"
#include "unit/commands/rdb_payloads.h"
#include "unit/commands/rdb_text.h"

enum { PAYLOADS_COUNT = sizeof(RDB_PAYLOADS) / sizeof(*RDB_PAYLOADS) };

static struct store store;

static int setup(void **state) {
    static const struct replica_id SELF = {.node = {1}};
    struct store_opts opts = {.dbs_count = 1, .seed = 1};
    (void)state;
    store_init(&store, &opts);
    assert_true(replicas_add_at(&store.replicas, STAMP_SLOT_SELF, &SELF));
    store.is_alone = true;
    store_set_now(&store, INT64_C(1800000000000));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    store_deinit(&store);
    return 0;
}

/* Restores the value and dumps it: DUMP's bytes without the footer are appended to `out`. */
static void restore_and_dump(struct slice value, struct buffer *out) {
    struct rdb_reader reader = {0};
    struct key key = store_key(&store, 0, SLICE("stream"));
    assert_int_equal(rdb_reader_open(&reader, value, RDB_TEXT_BYTES_MAX, store.seed), RDB_VALUE_OK);
    assert_int_equal(value_restore(&store, &key, &reader, 0), STORE_OK);
    rdb_reader_deinit(&reader);
    store_check(&store);
    assert_true(value_dump(&store, store_peek(&store, &key), &RDB_WRITER_LIMITS_DEFAULT, out));
    struct slice payload = buffer_slice(out);
    assert_int_equal(rdb_value_check_footer(&payload), RDB_VALUE_OK);
    out->size = payload.size;
}

static void streams_of_all_layouts_come_out_again(void **state) {
    (void)state;
    unsigned count = 0;
    for (unsigned i = 0; i < PAYLOADS_COUNT; i++) {
        struct buffer value = {0}, dumped = {0}, wanted = {0}, shown = {0};
        if (strncmp(RDB_PAYLOADS[i].name, "stream", 6) != 0) {
            continue;
        }
        put_hex(&value, RDB_PAYLOADS[i].hex);
        restore_and_dump(buffer_slice(&value), &dumped);
        assert_int_equal(dumped.data[0], RDB_TYPE_STREAM_LISTPACKS_2);
        assert_int_equal(rdb_text(&wanted, buffer_slice(&value), RDB_TEXT_VERSION_10),
                         RDB_VALUE_OK);
        assert_int_equal(rdb_text(&shown, buffer_slice(&dumped), RDB_TEXT_VERSION_10),
                         RDB_VALUE_OK);
        assert_string_equal(buffer_text(&shown), buffer_text(&wanted));
        count++;
        buffer_deinit(&value);
        buffer_deinit(&dumped);
        buffer_deinit(&wanted);
        buffer_deinit(&shown);
    }
    assert_true(count >= 9);
}

/* Before Redis 7.0 a group did not say how much it had read: that is told from its last id. */
static void old_groups_have_read_what_can_be_told(void **state) {
    struct buffer value = {0}, dumped = {0}, shown = {0};
    (void)state;
    put_hex(&value, "0f0000050001016705000000");
    restore_and_dump(buffer_slice(&value), &dumped);
    assert_int_equal(rdb_text(&shown, buffer_slice(&dumped), RDB_TEXT_VERSION_10), RDB_VALUE_OK);
    assert_string_equal(buffer_text(&shown),
                        "stream; length=0 first=0-0 last=5-0 deleted=0-0 added=0; group g "
                        "last=5-0 read=0 pending=0");
    buffer_deinit(&value);
    buffer_deinit(&dumped);
    buffer_deinit(&shown);
}

/* Our names of elements hold those of groups, so that these have a bound. */
static void long_names_are_refused(void **state) {
    (void)state;
    for (unsigned size = 480; size <= 481; size++) {
        struct buffer value = {0}, dumped = {0};
        struct rdb_reader reader = {0};
        char name[481];
        memset(name, 'g', sizeof(name));
        put_hex(&value, "130000000000000000"); /* no entries, and no facts */
        value.size = 1;
        for (int i = 0; i < 9; i++) {
            rdb_value_put_length(&value, 0);
        }
        rdb_value_put_length(&value, 1);
        put_bytes(&value, slice_make(name, size));
        for (int i = 0; i < 5; i++) {
            rdb_value_put_length(&value, 0);
        }
        if (size == 480) {
            restore_and_dump(buffer_slice(&value), &dumped);
        } else {
            assert_int_equal(
                rdb_reader_open(&reader, buffer_slice(&value), RDB_TEXT_BYTES_MAX, store.seed),
                RDB_VALUE_MALFORMED);
            rdb_reader_deinit(&reader);
        }
        buffer_deinit(&value);
        buffer_deinit(&dumped);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(streams_of_all_layouts_come_out_again, setup, teardown),
        cmocka_unit_test_setup_teardown(old_groups_have_read_what_can_be_told, setup, teardown),
        cmocka_unit_test_setup_teardown(long_names_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
