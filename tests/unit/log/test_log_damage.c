/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that are not as they were written: every byte of a snapshot, of a closed segment and of the
 * last one changed, every length cut, bytes appended, files missing or taken for another. A start
 * ends with a clear error that names file and offset, or with the state after some unit of the
 * history; never with a crash, never with other data. --check says the same as a start, and after
 * --repair a start succeeds. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/directory.h"
#include "log/record.h"
#include "unit/log/log_world.h"

enum { UNITS = 40 };

#define SNAPSHOT "snapshot-0000000000000002.snapshot"
#define CLOSED "log-0000000000000002.segment"
#define MIDDLE "log-0000000000000003.segment"
#define LAST "log-0000000000000004.segment"

struct fixture {
    struct memory_disk memory; /* as it was left */
    struct world_digest digests[UNITS + 1];
    uint64_t keys_at_snapshot;
    unsigned units_at_snapshot;
    struct world_digest end;
};

/* Snapshot 2, segments 2 and 3 closed, 4 the last. `is_clean`: ended orderly. */
static void fixture_init(struct fixture *fixture, bool is_clean, bool compresses) {
    memory_disk_init(&fixture->memory, 3);
    struct world world = {.opts.fsync = LOG_FSYNC_EVERYSEC,
                          .opts.compresses_snapshots = compresses};
    world.opts.segment_bytes = 1 << 20;
    struct prng prng;
    prng_init(&prng, 99);
    assert_int_equal(world_start(&world, &fixture->memory.disk, true), LOG_OK);
    fixture->digests[0] = world_digest(&world);
    for (unsigned i = 1; i <= UNITS; i++) {
        if (i % 3 == 0) {
            char text[32];
            struct key key = world_key(&world, 0, i, text);
            assert_int_equal(strings_set(&world.store, &key, SLICE("some value, some value"), 0),
                             STORE_OK);
        }
        world_random_unit(&world, &prng, 12);
        fixture->digests[i] = world_digest(&world);
        world_turn(&world, 400 * 1000);
        world_settle(&world);
        if (i == UNITS / 2) {
            assert_int_equal(world_snapshot(&world), LOG_OK);
            fixture->keys_at_snapshot = store_count(&world.store, 0) + store_count(&world.store, 1);
            fixture->units_at_snapshot = i;
        }
        if (i == 28 || i == 34) {
            log_set_segment_bytes(world.log, 1);
            world_turn(&world, 1000);
            world_settle(&world);
            log_set_segment_bytes(world.log, 1 << 20);
        }
    }
    fixture->end = world_digest(&world);
    if (is_clean) {
        assert_int_equal(world_close(&world, true), LOG_OK);
    } else {
        world_kill(&world);
    }
    assert_non_null(memory_disk_bytes(&fixture->memory, SNAPSHOT));
    assert_non_null(memory_disk_bytes(&fixture->memory, CLOSED));
    assert_non_null(memory_disk_bytes(&fixture->memory, MIDDLE));
    assert_non_null(memory_disk_bytes(&fixture->memory, LAST));
}

/* The latest unit after which the state was this; -1: it never was. */
static int unit_of(const struct fixture *fixture, struct world_digest digest) {
    for (int i = UNITS; i >= 0; i--) {
        if (world_digest_equal(fixture->digests[i], digest)) {
            return i;
        }
    }
    return -1;
}

static void count_report(void *udata, const char *line) {
    if (getenv("VERBOSE") != NULL) {
        print_message("        %s\n", line);
    }
    (*(unsigned *)udata)++;
}

/* Starts from a copy; the units it has, or -1 with a clear error. Fails on anything else. */
static int start_copy(const struct fixture *fixture, const struct memory_disk *from,
                      const char *name, const char *what, size_t at) {
    struct memory_disk *copy = memory_alloc(sizeof(*copy));
    memory_disk_init(copy, 1);
    memory_disk_copy(copy, from);
    unsigned lines = 0;
    enum log_status checked = log_check(&copy->disk, count_report, &lines);
    struct world world = {0};
    enum log_status status = world_start(&world, &copy->disk, true);
    int units = -1;
    if (checked != status) {
        fail_msg("%s of %s at %zu: --check says %d, a start %d: %s", what, name, at, checked,
                 status, log_error(world.log));
    }
    if (status == LOG_OK) {
        units = unit_of(fixture, world_digest(&world));
        if (units < 0) {
            fail_msg("%s of %s at %zu: a state that never was", what, name, at);
        }
        store_check(&world.store);
    } else if (status != LOG_DAMAGED || strstr(log_error(world.log), "data/") == NULL ||
               strstr(log_error(world.log), "Restore the file") == NULL) {
        fail_msg("%s of %s at %zu: unclear: %s", what, name, at, log_error(world.log));
    }
    world_kill(&world);
    memory_disk_deinit(copy);
    memory_free(copy);
    return units;
}

/* --repair on a copy, then a start; the units it has, or -1 for data that no start could have had:
 * a snapshot without some of its keys. */
static int repair_copy(const struct fixture *fixture, const struct memory_disk *from,
                       const char *name, const char *what, size_t at) {
    struct memory_disk *copy = memory_alloc(sizeof(*copy));
    memory_disk_init(copy, 1);
    memory_disk_copy(copy, from);
    unsigned lines = 0;
    enum log_status status = log_repair(&copy->disk, count_report, &lines);
    if (status != LOG_OK || lines == 0) {
        fail_msg("%s of %s at %zu: not repaired", what, name, at);
    }
    struct world world = {0};
    if (world_start(&world, &copy->disk, true) != LOG_OK) {
        fail_msg("%s of %s at %zu: after the repair: %s", what, name, at, log_error(world.log));
    }
    int units = unit_of(fixture, world_digest(&world));
    if (units < 0 && strcmp(name, SNAPSHOT) != 0) {
        fail_msg("%s of %s at %zu: the repair made a state that never was", what, name, at);
    }
    world_kill(&world);
    memory_disk_deinit(copy);
    memory_free(copy);
    return units;
}

static void flip_all(struct fixture *fixture, const char *name, int units_min) {
    struct buffer *bytes = memory_disk_bytes(&fixture->memory, name);
    for (size_t at = 0; at < bytes->size; at++) {
        char old = bytes->data[at];
        bytes->data[at] = (char)(old ^ (at % 3 == 0 ? 0xFF : 1 << (at % 8)));
        int units = start_copy(fixture, &fixture->memory, name, "flip", at);
        if (units >= 0 && units < units_min) {
            fail_msg("flip of %s at %zu: only %d units without an error", name, at, units);
        }
        if (units < 0 && at % 5 == 0) {
            (void)repair_copy(fixture, &fixture->memory, name, "flip", at);
        }
        bytes->data[at] = old;
    }
}

static void cut_all(struct fixture *fixture, const char *name, int units_min) {
    struct buffer *bytes = memory_disk_bytes(&fixture->memory, name);
    size_t size = bytes->size;
    for (size_t at = 0; at < size; at++) {
        bytes->size = at;
        int units = start_copy(fixture, &fixture->memory, name, "cut", at);
        if (units >= 0 && units < units_min) {
            fail_msg("cut of %s at %zu: only %d units without an error", name, at, units);
        }
        if (units < 0 && at % 7 == 0) {
            (void)repair_copy(fixture, &fixture->memory, name, "cut", at);
        }
        bytes->size = size;
    }
}

/* Everything but the last segment may only be whole. Of the last one a cut leaves a prefix, and so
 * does a change in its last record; a change before that is damage. */
static void test_flips_and_cuts(void **state) {
    (void)state;
    struct fixture *fixture = memory_alloc_zero(sizeof(*fixture));
    for (int variant = 0; variant < 2; variant++) {
        fixture_init(fixture, variant == 0, variant == 0);
        flip_all(fixture, SNAPSHOT, UNITS + 1);
        cut_all(fixture, SNAPSHOT, UNITS + 1);
        flip_all(fixture, CLOSED, UNITS + 1);
        cut_all(fixture, CLOSED, UNITS + 1);
        flip_all(fixture, MIDDLE, UNITS + 1);
        cut_all(fixture, MIDDLE, UNITS + 1);
        flip_all(fixture, LAST, variant == 0 ? UNITS : UNITS - 1);
        cut_all(fixture, LAST, 34);
        memory_disk_deinit(&fixture->memory);
    }
    memory_free(fixture);
}

static void test_bytes_appended(void **state) {
    (void)state;
    static const char *const names[] = {SNAPSHOT, CLOSED, LAST};
    struct fixture *fixture = memory_alloc_zero(sizeof(*fixture));
    fixture_init(fixture, true, true);
    for (size_t i = 0; i < 3; i++) {
        struct buffer *bytes = memory_disk_bytes(&fixture->memory, names[i]);
        size_t size = bytes->size;
        for (size_t extra = 1; extra < 20; extra++) {
            buffer_append_byte(bytes, 0);
            assert_int_equal(start_copy(fixture, &fixture->memory, names[i], "append", size), -1);
            assert_int_not_equal(repair_copy(fixture, &fixture->memory, names[i], "append", size),
                                 -1);
        }
        bytes->size = size;
    }
    memory_disk_deinit(&fixture->memory);
    memory_free(fixture);
}

static void remove_file(struct memory_disk *memory, const char *name) {
    assert_int_equal(memory->disk.methods->remove(&memory->disk, name), DISK_OK);
}

static void test_files_missing(void **state) {
    (void)state;
    static const char *const names[] = {SNAPSHOT, CLOSED, MIDDLE};
    struct fixture *fixture = memory_alloc_zero(sizeof(*fixture));
    for (size_t i = 0; i < 3; i++) {
        fixture_init(fixture, false, false);
        remove_file(&fixture->memory, names[i]);
        assert_int_equal(start_copy(fixture, &fixture->memory, names[i], "loss", 0), -1);
        assert_int_not_equal(repair_copy(fixture, &fixture->memory, MIDDLE, "loss", 0), -1);
        memory_disk_deinit(&fixture->memory);
    }
    /* Without the last segment there is nothing to tell that it ever was. */
    fixture_init(fixture, false, false);
    remove_file(&fixture->memory, LAST);
    assert_in_range(start_copy(fixture, &fixture->memory, LAST, "loss", 0), 34, UNITS);
    memory_disk_deinit(&fixture->memory);
    /* Without the node file it is another node, with the data. */
    fixture_init(fixture, false, false);
    remove_file(&fixture->memory, DIRECTORY_NODE_FILE);
    assert_int_equal(start_copy(fixture, &fixture->memory, "node.state", "loss", 0), UNITS);
    memory_disk_deinit(&fixture->memory);
    memory_free(fixture);
}

/* A segment under the name of another; one of another history under the right name. */
static void test_files_taken_for_others(void **state) {
    (void)state;
    struct fixture *fixture = memory_alloc_zero(sizeof(*fixture));
    fixture_init(fixture, true, true);
    struct buffer *closed = memory_disk_bytes(&fixture->memory, CLOSED);
    struct buffer *middle = memory_disk_bytes(&fixture->memory, MIDDLE);
    struct buffer swapped = *closed;
    *closed = *middle;
    assert_int_equal(start_copy(fixture, &fixture->memory, CLOSED, "swap", 0), -1);
    *closed = swapped;
    struct fixture *other = memory_alloc_zero(sizeof(*other));
    fixture_init(other, true, false);
    struct buffer *foreign = memory_disk_bytes(&other->memory, MIDDLE);
    foreign->data[20] = (char)(foreign->data[20] ^ 1); /* of another node */
    struct record_segment_header header;
    char *head = foreign->data;
    (void)record_take_segment_header(memory_disk_bytes(&fixture->memory, MIDDLE)->data, &header);
    header.node_id[3] ^= 1;
    record_put_segment_header(head, &header);
    swapped = *middle;
    *middle = *foreign;
    assert_int_equal(start_copy(fixture, &fixture->memory, MIDDLE, "exchange", 0), -1);
    *middle = swapped;
    memory_disk_deinit(&other->memory);
    memory_disk_deinit(&fixture->memory);
    memory_free(other);
    memory_free(fixture);
}

/* Every byte of node.state: a clear error, and a repair that keeps the data. */
static void test_node_file(void **state) {
    (void)state;
    struct fixture *fixture = memory_alloc_zero(sizeof(*fixture));
    fixture_init(fixture, true, true);
    struct buffer *bytes = memory_disk_bytes(&fixture->memory, DIRECTORY_NODE_FILE);
    for (size_t at = 0; at < bytes->size; at++) {
        char old = bytes->data[at];
        bytes->data[at] = (char)(old ^ 4);
        assert_int_equal(start_copy(fixture, &fixture->memory, "node.state", "flip", at), -1);
        assert_int_equal(repair_copy(fixture, &fixture->memory, "node.state", "flip", at), UNITS);
        bytes->data[at] = old;
    }
    memory_disk_deinit(&fixture->memory);
    memory_free(fixture);
}

/* A record that claims more than there is, or than may be, allocates nothing. */
static void test_lengths_that_lie(void **state) {
    (void)state;
    static const uint32_t lengths[] = {UINT32_MAX, LOG_RECORD_BYTES_MAX + 1, LOG_RECORD_BYTES_MAX,
                                       1 << 30};
    struct fixture *fixture = memory_alloc_zero(sizeof(*fixture));
    fixture_init(fixture, true, true);
    struct buffer *bytes = memory_disk_bytes(&fixture->memory, SNAPSHOT);
    char *length = bytes->data + RECORD_SNAPSHOT_HEADER_BYTES;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        record_put32(length, lengths[i]);
        assert_int_equal(start_copy(fixture, &fixture->memory, SNAPSHOT, "lie", i), -1);
    }
    memory_disk_deinit(&fixture->memory);
    memory_free(fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flips_and_cuts), cmocka_unit_test(test_bytes_appended),
        cmocka_unit_test(test_files_missing),  cmocka_unit_test(test_files_taken_for_others),
        cmocka_unit_test(test_node_file),      cmocka_unit_test(test_lengths_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
