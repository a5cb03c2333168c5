/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of entries as bytes: encoding and decoding gives equal entries of every kind, what is
 * cut short or changed in any byte is refused or decoded without harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/contested.h"
#include "store/state.h"
#include "store/strings.h"
#include "unit/store/history.h"

/* A cut or changed size may ask for more memory than there is. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

enum { DBS = 4 };

static void setup_store(struct store *store) {
    struct store_opts opts = {.dbs_count = DBS, .seed = 3};
    store_init(store, &opts);
    store_set_now(store, INT64_C(1800000000000));
}

static void no_flush(void *udata) {
    (void)udata;
}

struct encoding {
    const struct store *store;
    struct buffer bytes;
    unsigned number;
};

static void encode_visit(void *item, void *udata) {
    struct encoding *encoding = (struct encoding *)udata;
    state_encode(&encoding->bytes, encoding->store, encoding->number, (const struct entry *)item,
                 no_flush, NULL);
}

/* The order of the databases, and all entries in the order of the tables. */
static void encode_all(const struct store *store, struct encoding *encoding) {
    encoding->store = store;
    state_encode_order(&encoding->bytes, store);
    for (unsigned db = 0; db < store->dbs_count; db++) {
        uint64_t position = 0;
        encoding->number = store->dbs[db].number;
        do {
            position = table_walk(&store->dbs[db].table, position, encode_visit, encoding);
        } while (position != 0);
    }
}

static enum store_status load_all(struct store *store, struct slice rest) {
    enum store_status status = STORE_OK;
    while (rest.size > 0 && status == STORE_OK) {
        struct slice before = rest;
        status = state_load(store, &rest);
        if (status == STORE_OK) {
            require(rest.size < before.size);
        } else {
            require(rest.size == before.size);
        }
    }
    return status;
}

static void round_trip(const struct store *store) {
    struct encoding first = {0}, second = {0};
    struct store loaded;
    setup_store(&loaded);
    /* The same seed: so the order is the same, and bytes can be compared. */
    loaded.seed = store->seed;
    encode_all(store, &first);
    require(load_all(&loaded, buffer_slice(&first.bytes)) == STORE_OK);
    store_check(&loaded);
    require(history_digests_equal(store, &loaded));
    encode_all(&loaded, &second);
    require(slice_equal(buffer_slice(&first.bytes), buffer_slice(&second.bytes)));
    buffer_deinit(&first.bytes);
    buffer_deinit(&second.bytes);
    store_deinit(&loaded);
}

static void histories_survive(void **state) {
    (void)state;
    for (unsigned part = 0; part < 4; part++) {
        struct prng prng;
        seed_prng(&prng, "histories_survive", part);
        struct history history;
        history_init(&history, prng_next(&prng));
        for (unsigned step = 1; step <= 1000; step++) {
            history_step(&history);
            change_writer_clear(&history.store.journal);
            if (step % 100 == 0) {
                round_trip(&history.store);
            }
        }
        history_deinit(&history);
    }
}

/* ---- single cases ---- */

static struct key name(const struct store *store, const char *text) {
    return store_key(store, 0, slice_of(text));
}

/* A float counter's register has more digits than its text: the sum must come out the same. */
static void float_registers_keep_all_digits(void **state) {
    (void)state;
    static const char *const registers[] = {"0.1234567890123456749",
                                            "1.00000000000000000049",
                                            "4.4e-18",
                                            "0.0000000000000000149",
                                            "-0.99999999999999999951",
                                            "3.36210314311209350626e-4932",
                                            "1e4931"};
    static const char *const deltas[] = {"1000", "0.1", "-1000000.00000000000000001", "1e-17",
                                         "8e17"};
    struct store store, loaded;
    setup_store(&store);
    setup_store(&loaded);
    char text[32];
    for (unsigned i = 0; i < 7; i++) {
        for (unsigned j = 0; j < 5; j++) {
            (void)snprintf(text, sizeof(text), "%u:%u", i, j);
            struct key key = name(&store, text);
            long double delta, result;
            require(number_parse_float(slice_of(deltas[j]), &delta));
            assert_int_equal(strings_set(&store, &key, slice_of(registers[i]), 0), STORE_OK);
            assert_int_equal(strings_add_float(&store, &key, delta, &result), STORE_OK);
        }
    }
    struct encoding encoding = {0};
    encode_all(&store, &encoding);
    assert_int_equal(load_all(&loaded, buffer_slice(&encoding.bytes)), STORE_OK);
    for (unsigned i = 0; i < 35; i++) {
        (void)snprintf(text, sizeof(text), "%u:%u", i / 5, i % 5);
        struct key key = name(&store, text), same = name(&loaded, text);
        struct entry_parts parts, parts_loaded;
        entry_take_apart(store_peek(&store, &key), &parts);
        entry_take_apart(store_peek(&loaded, &same), &parts_loaded);
        assert_true(parts.float_register == parts_loaded.float_register);
        assert_true(parts.float_total == parts_loaded.float_total);
        assert_int_equal(parts.register_stamp, parts_loaded.register_stamp);
        assert_int_equal(parts.start_ticks, parts_loaded.start_ticks);
    }
    assert_true(history_digests_equal(&store, &loaded));
    buffer_deinit(&encoding.bytes);
    store_deinit(&store);
    store_deinit(&loaded);
}

static void keys_must_be_new(void **state) {
    (void)state;
    struct store store;
    struct encoding encoding = {0};
    setup_store(&store);
    struct key key = name(&store, "a");
    assert_int_equal(strings_set(&store, &key, SLICE("1"), 0), STORE_OK);
    encode_all(&store, &encoding);
    assert_int_equal(load_all(&store, buffer_slice(&encoding.bytes)), STORE_MALFORMED);
    assert_int_equal(store_count(&store, 0), 1);
    buffer_deinit(&encoding.bytes);
    store_deinit(&store);
}

/* A node with fewer databases refuses entries of the others. */
static void databases_must_exist(void **state) {
    (void)state;
    struct store store, small;
    struct encoding encoding = {0};
    struct store_opts opts = {.dbs_count = 3, .seed = 1};
    setup_store(&store);
    store_init(&small, &opts);
    struct key key = store_key(&store, 3, SLICE("a"));
    assert_int_equal(strings_set(&store, &key, SLICE("1"), 0), STORE_OK);
    encode_all(&store, &encoding);
    assert_int_equal(load_all(&small, buffer_slice(&encoding.bytes)), STORE_MALFORMED);
    buffer_deinit(&encoding.bytes);
    store_deinit(&store);
    store_deinit(&small);
}

/* Another node's stamps get the slots that their replicas have here; what nobody here knows is
 * refused. */
static void slots_are_translated(void **state) {
    (void)state;
    struct store store;
    setup_store(&store);
    struct change changes[] = {
        {.kind = CHANGE_SET_EXPIRING,
         .stamp = stamp_make(100, 3),
         .key = SLICE("k"),
         .value = SLICE("text"),
         .expire_unix_ms = 1900000000000},
        {.kind = CHANGE_EXPIRE,
         .stamp = stamp_make(101, 2),
         .key = SLICE("k"),
         .expire_unix_ms = 1900000000001},
        {.kind = CHANGE_SWAP, .stamp = stamp_make(102, 3), .value = SLICE("\1\0")},
    };
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(store_apply(&store, &changes[i]), STORE_OK);
    }
    struct encoding encoding = {0};
    encode_all(&store, &encoding);
    uint16_t slots[STAMP_SLOTS_COUNT] = {[1] = 9, [2] = 1, [3] = 1023};
    struct slice rest = buffer_slice(&encoding.bytes);
    struct state_piece piece;
    assert_int_equal(state_decode(&store, slots, &rest, &piece), STORE_OK);
    assert_int_equal(piece.kind, STATE_PIECE_ORDER);
    assert_true(piece.order_stamp == stamp_make(102, 1023));
    assert_true(slice_equal(piece.order, SLICE("\1\0")));
    struct slice entry = rest;
    assert_int_equal(state_decode(&store, slots, &rest, &piece), STORE_OK);
    assert_int_equal(rest.size, 0);
    assert_int_equal(piece.kind, STATE_PIECE_ENTRY);
    assert_int_equal(piece.db, 0);
    assert_false(piece.goes_on);
    assert_true(slice_equal(piece.key, SLICE("k")));
    assert_true(piece.entry->stamp == stamp_make(100, 1023));
    assert_true(entry_expire_stamp(piece.entry) == stamp_make(101, 1));
    entry_free(piece.entry);
    slots[2] = 0;
    rest = entry;
    assert_int_equal(state_decode(&store, slots, &rest, &piece), STORE_MALFORMED);
    assert_true(rest.data == entry.data && rest.size == entry.size);
    buffer_deinit(&encoding.bytes);
    store_deinit(&store);
}

/* ---- values of several pieces ---- */

struct pieces {
    struct buffer out;
    struct store *into;
    unsigned count;
};

/* Each piece is loaded by itself. */
static void pieces_flush(void *udata) {
    struct pieces *pieces = (struct pieces *)udata;
    struct slice rest = buffer_slice(&pieces->out);
    assert_true(rest.size <= CHANGE_VALUE_BYTES_MAX + (2 << 20));
    assert_int_equal(state_load(pieces->into, &rest), STORE_OK);
    assert_int_equal(rest.size, 0);
    buffer_clear(&pieces->out);
    pieces->count++;
}

static void huge_values_come_in_pieces(void **state) {
    (void)state;
    struct store store, loaded;
    setup_store(&store);
    setup_store(&loaded);
    struct key key = name(&store, "huge");
    size_t size = 2 * (size_t)CHANGE_VALUE_BYTES_MAX + 5;
    char *bytes = memory_alloc_zero(size);
    memset(bytes + size - 9, 'z', 9);
    assert_int_equal(strings_set(&store, &key, slice_make(bytes, size), 0), STORE_OK);
    assert_int_equal(strings_patch(&store, &key, CHANGE_VALUE_BYTES_MAX - 1, SLICE("xx"), NULL),
                     STORE_OK);
    struct pieces pieces = {.into = &loaded};
    state_encode(&pieces.out, &store, 0, store_peek(&store, &key), pieces_flush, &pieces);
    pieces_flush(&pieces);
    assert_int_equal(pieces.count, 3);
    store_check(&loaded);
    assert_true(history_digests_equal(&store, &loaded));
    memory_free(bytes);
    buffer_deinit(&pieces.out);
    store_deinit(&store);
    store_deinit(&loaded);
}

/* ---- contested entries ---- */

/* An entry of its own, in no table, with some of each element; `size` bytes in the longest. */
static struct entry *make_contested(const struct store *store, size_t size) {
    struct contested *contested = contested_new();
    char *bytes = memory_alloc_zero(size);
    require(contested_add_register(store, contested, stamp_make(10, 2), SLICE("first")));
    contested_add_number(store, contested, stamp_make(11, 1), 0.1L);
    require(contested_add_register(store, contested, stamp_make(12, 3), slice_make(bytes, size)));
    require(contested_add_register(store, contested, stamp_make(13, 0), SLICE("")));
    for (unsigned i = 0; i < 5; i++) {
        bytes[size - 1] = (char)i;
        struct contested_edit edit = {.stamp = stamp_make(20 + i, 1 + i % 2),
                                      .is_raise = i == 3,
                                      .offset = i == 3 ? 0 : 7 * i,
                                      .size = i == 0   ? 0
                                              : i == 3 ? 6
                                                       : size / 3,
                                      .bytes = i == 3 ? "\0\0\5\1\1\6" : bytes};
        require(contested_add_edit(store, contested, &edit));
    }
    *contested_need_part(store, contested, 2) =
        (struct contested_part){.start_ticks = 14, .stamp = stamp_make(15, 2), .total = INT64_MIN};
    *contested_need_part(store, contested, 3) =
        (struct contested_part){.start_ticks = 16,
                                .stamp = stamp_make(16, 3),
                                .total = -7,
                                .off = -7,
                                .off_seen = stamp_make(16, 3),
                                .off_by = stamp_make(30, 2)};
    *contested_need_part(store, contested, 1) =
        (struct contested_part){.start_ticks = 3,
                                .stamp = stamp_make(40, 1),
                                .is_float = true,
                                .float_total = 0.3L,
                                .float_off = 0.1L,
                                .off_seen = stamp_make(39, 1),
                                .off_by = stamp_make(41, 3)};
    contested_add_expiry(contested, stamp_make(50, 3), 1900000000000);
    contested_add_expiry(contested, stamp_make(49, 2), 0);
    memory_free(bytes);
    struct entry_parts parts = {.kind = ENTRY_CONTESTED,
                                .stamp = stamp_make(60, 1),
                                .access = 77,
                                .key = SLICE("contested"),
                                .has_expiry = true,
                                .expire_unix_ms = 1900000000000,
                                .expire_stamp = stamp_make(50, 3),
                                .contested = contested};
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    contested->entry = entry;
    return entry;
}

static void setup_replicas(struct store *store) {
    for (unsigned i = 0; i < 3; i++) {
        struct replica_id id = {.generation = i};
        require(replicas_add(&store->replicas, &id) == i + 1);
    }
}

struct decoding {
    const struct store *store;
    struct buffer out, all;
    struct entry *entry;
    bool goes_on;
    unsigned count;
};

/* Each piece is decoded by itself. */
static void decoding_flush(void *udata) {
    struct decoding *decoding = (struct decoding *)udata;
    struct slice rest = buffer_slice(&decoding->out);
    struct state_piece piece;
    assert_true(rest.size <= CHANGE_VALUE_BYTES_MAX + (2 << 20));
    assert_int_equal(state_decode(decoding->store, NULL, &rest, &piece), STORE_OK);
    assert_int_equal(rest.size, 0);
    assert_int_equal(piece.db, 3);
    assert_true(slice_equal(piece.key, SLICE("contested")));
    if (decoding->count++ == 0) {
        assert_int_equal(piece.kind, STATE_PIECE_ENTRY);
        decoding->entry = piece.entry;
        decoding->goes_on = piece.goes_on;
    } else {
        assert_true(decoding->goes_on);
        assert_int_equal(piece.kind, STATE_PIECE_PART);
        assert_int_equal(state_add_part(decoding->entry, &piece, &decoding->goes_on), STORE_OK);
    }
    buffer_append_slice(&decoding->all, buffer_slice(&decoding->out));
    buffer_clear(&decoding->out);
}

static void contested_entries_survive(void **state) {
    (void)state;
    static const size_t sizes[] = {
        1, 4000, 4001, 100000, CHANGE_VALUE_BYTES_MAX + 5, 2 * (size_t)CHANGE_VALUE_BYTES_MAX + 5};
    static const unsigned counts[] = {1, 1, 1, 1, 2, 5};
    struct store store;
    setup_store(&store);
    setup_replicas(&store);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct entry *entry = make_contested(&store, sizes[i]);
        struct decoding decoding = {.store = &store};
        state_encode(&decoding.out, &store, 3, entry, decoding_flush, &decoding);
        decoding_flush(&decoding);
        assert_false(decoding.goes_on);
        assert_int_equal(decoding.count, counts[i]);
        assert_true(entry_contested(decoding.entry)->entry == decoding.entry);
        assert_int_equal(entry_contested(decoding.entry)->database, 3);
        assert_true(decoding.entry->stamp == entry->stamp);
        assert_int_equal(decoding.entry->meta, entry->meta);
        assert_true(entry_contested(decoding.entry)->registers[1].number == 0.1L);
        /* All the rest shows in the bytes. */
        struct decoding again = {.store = &store};
        state_encode(&again.out, &store, 3, decoding.entry, decoding_flush, &again);
        decoding_flush(&again);
        assert_true(slice_equal(buffer_slice(&again.all), buffer_slice(&decoding.all)));
        entry_free(entry);
        entry_free(decoding.entry);
        entry_free(again.entry);
        buffer_deinit(&decoding.out);
        buffer_deinit(&decoding.all);
        buffer_deinit(&again.out);
        buffer_deinit(&again.all);
    }
    store_deinit(&store);
}

/* Does no register lie about its size, so that looking at all its bytes is no harm? */
static bool is_small(const struct entry *entry) {
    if (entry_kind(entry) != ENTRY_CONTESTED) {
        return entry_kind(entry) != ENTRY_LARGE;
    }
    const struct contested *contested = entry_contested(entry);
    for (unsigned i = 0; i < contested->registers_count; i++) {
        const struct large_string *large = contested->registers[i].large;
        if (large != NULL && large->size > (1 << 20)) {
            return false;
        }
    }
    return true;
}

/* Cut anywhere or with any byte changed: refused, or an entry that can be encoded again. */
static void damaged_contested_entries(void **state) {
    (void)state;
    struct store store;
    setup_store(&store);
    setup_replicas(&store);
    struct entry *entry = make_contested(&store, 30);
    struct encoding encoding = {0}, again = {0};
    state_encode(&encoding.bytes, &store, 1, entry, no_flush, NULL);
    entry_free(entry);
    size_t size = encoding.bytes.size;
    unsigned accepted = 0;
    for (size_t at = 0; at < size; at++) {
        for (unsigned value = 0; value < 257; value++) {
            /* A block of exactly its size shows a byte read too far; 256: cut here. */
            size_t length = value < 256 ? size : at;
            char *block = memory_alloc(length);
            memcpy(block, encoding.bytes.data, length);
            if (value < 256) {
                block[at] = (char)value;
            }
            struct slice rest = slice_make(block, length);
            struct state_piece piece;
            enum store_status status = state_decode(&store, NULL, &rest, &piece);
            assert_true(value < 256 || status == STORE_MALFORMED);
            if (status == STORE_OK && piece.kind == STATE_PIECE_ENTRY) {
                struct entry_scratch scratch;
                accepted++;
                if (is_small(piece.entry)) {
                    buffer_clear(&again.bytes);
                    state_encode(&again.bytes, &store, piece.db, piece.entry, no_flush, NULL);
                    (void)entry_value(piece.entry, &scratch);
                }
                entry_free(piece.entry);
            }
            memory_free(block);
        }
    }
    assert_true(accepted > 256);
    buffer_deinit(&encoding.bytes);
    buffer_deinit(&again.bytes);
    store_deinit(&store);
}

/* ---- damage ---- */

static void make_one_of_each(struct store *store) {
    int64_t integer;
    long double sum;
    char bytes[4200];
    memset(bytes, 'b', sizeof(bytes));
    struct key key = name(store, "bytes");
    require(strings_set(store, &key, SLICE("value"), 0) == STORE_OK);
    key = name(store, "integer");
    require(strings_set(store, &key, SLICE("-5"), 1800000000001) == STORE_OK);
    key = name(store, "counter");
    require(strings_add_integer(store, &key, -3, &integer) == STORE_OK);
    key = name(store, "integer2");
    require(strings_set(store, &key, SLICE("12"), 0) == STORE_OK);
    require(strings_add_integer(store, &key, 7, &integer) == STORE_OK);
    require(store_expire(store, &key, 1900000000000));
    key = name(store, "float");
    require(strings_set(store, &key, SLICE("0.5"), 0) == STORE_OK);
    require(strings_add_float(store, &key, 0.25L, &sum) == STORE_OK);
    key = name(store, "large");
    require(strings_set(store, &key, slice_make(bytes, sizeof(bytes)), 0) == STORE_OK);
    require(strings_patch(store, &key, 4097, SLICE("p"), NULL) == STORE_OK);
    require(store_expire(store, &key, 1900000000000));
    require(store_expire(store, &key, 0));
}

/* Loads from a block of exactly `size` bytes. */
static enum store_status load_exact(const char *bytes, size_t size) {
    struct store store;
    setup_store(&store);
    char *block = memory_alloc(size);
    memcpy(block, bytes, size);
    enum store_status status = load_all(&store, slice_make(block, size));
    store_check(&store);
    /* What was accepted can be read. */
    struct encoding again = {0};
    uint8_t digest[20];
    bool reads = true;
    for (unsigned db = 0; db < DBS; db++) {
        struct key key = store_key(&store, db, SLICE("large"));
        struct entry *entry = store_peek(&store, &key);
        reads = reads && (entry == NULL || entry_value_bytes(entry) < (1 << 20));
    }
    if (reads) {
        encode_all(&store, &again);
        store_digest(&store, digest);
    }
    buffer_deinit(&again.bytes);
    memory_free(block);
    store_deinit(&store);
    return status;
}

static void damage_is_refused_or_harmless(void **state) {
    (void)state;
    struct store store;
    setup_store(&store);
    make_one_of_each(&store);
    round_trip(&store);
    struct encoding encoding = {0};
    encode_all(&store, &encoding);
    char *bytes = encoding.bytes.data;
    size_t size = encoding.bytes.size;
    assert_int_equal(load_exact(bytes, size), STORE_OK);
    unsigned whole = 0;
    for (size_t cut = 1; cut < size; cut++) {
        /* Most of it is the large value's bytes: some cuts in there will do. */
        if (bytes[cut] != 'b' || cut % 64 == 0) {
            whole += load_exact(bytes, cut) == STORE_OK;
        }
    }
    /* Only a cut between two entries leaves a whole prefix. */
    assert_int_equal(whole, 5);
    for (size_t at = 0; at < size; at++) {
        if (bytes[at] == 'b' && at % 64 != 0) {
            continue;
        }
        char old = bytes[at];
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] = (char)(old ^ (1 << bit));
            (void)load_exact(bytes, size);
        }
        bytes[at] = old;
    }
    buffer_deinit(&encoding.bytes);
    store_deinit(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_survive),
        cmocka_unit_test(float_registers_keep_all_digits),
        cmocka_unit_test(keys_must_be_new),
        cmocka_unit_test(databases_must_exist),
        cmocka_unit_test(slots_are_translated),
        cmocka_unit_test(contested_entries_survive),
        cmocka_unit_test(damaged_contested_entries),
        cmocka_unit_test(huge_values_come_in_pieces),
        cmocka_unit_test(damage_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
