/* SPDX-License-Identifier: BSD-3-Clause */
/* Random histories: a store that any mutator may hit next, beside a naive model of what it should
 * hold. The model knows keys, bytes and expiries only; how the store keeps a counter, a large value
 * or a stamp is not its business. */
#ifndef TESTS_UNIT_STORE_HISTORY_H
#define TESTS_UNIT_STORE_HISTORY_H

#include <math.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "crdt/hyperloglog.h"
#include "store/mutate.h"
#include "store/strings.h"
#include "unit/seed.h"

enum { HISTORY_DBS = 4, HISTORY_NAMES = 48, HISTORY_NAME_BYTES_MAX = 70000 };

struct history_value {
    bool is_there;
    struct buffer bytes;
    uint64_t expire_unix_ms;
};

struct history {
    struct store store;
    struct prng prng;
    struct eviction_pool pool;
    struct slice names[HISTORY_NAMES];
    char *name_bytes;
    struct history_value values[HISTORY_DBS][HISTORY_NAMES];
    /* How often, out of 10000 steps, a whole database or all go or swap: they end a walk. */
    unsigned upheavals;
    uint64_t steps_count;
};

/* ---- lifecycle ---- */

static inline void history_init(struct history *history, uint64_t seed) {
    static const size_t sizes[] = {0, 1, 2, 253, 254, 255, 256, 300, 65535, 65536};
    *history = (struct history){.upheavals = 20};
    prng_init(&history->prng, seed);
    struct store_opts opts = {.dbs_count = HISTORY_DBS, .seed = seed};
    store_init(&history->store, &opts);
    history->store.journal.is_on = true;
    store_set_now(&history->store, INT64_C(1800000000000));
    history->name_bytes = memory_alloc(HISTORY_NAMES * 16 + HISTORY_NAME_BYTES_MAX);
    memset(history->name_bytes, 'k', HISTORY_NAMES * 16 + HISTORY_NAME_BYTES_MAX);
    for (unsigned i = 0; i < HISTORY_NAMES; i++) {
        char *at = history->name_bytes + i * 16;
        /* The longest ones last: they are picked seldom. */
        size_t odd = i < 8 ? i : i >= HISTORY_NAMES - 2 ? i + 10 - HISTORY_NAMES : SIZE_MAX;
        if (odd < sizeof(sizes) / sizeof(sizes[0])) {
            history->names[i] = slice_make(history->name_bytes + HISTORY_NAMES * 16, sizes[odd]);
        } else {
            history->names[i] = slice_make(at, (size_t)snprintf(at, 16, "key:%u", i));
        }
    }
}

static inline void history_deinit(struct history *history) {
    for (unsigned db = 0; db < HISTORY_DBS; db++) {
        for (unsigned i = 0; i < HISTORY_NAMES; i++) {
            buffer_deinit(&history->values[db][i].bytes);
        }
    }
    memory_free(history->name_bytes);
    store_deinit(&history->store);
}

/* ---- the model ---- */

/* What the model holds for the key now; NULL when absent or expired. */
static inline struct history_value *history_live(struct history *history, unsigned db, unsigned i) {
    struct history_value *value = &history->values[db][i];
    if (!value->is_there) {
        return NULL;
    }
    if (value->expire_unix_ms != 0 && value->expire_unix_ms <= (uint64_t)history->store.now_ms) {
        value->is_there = false;
        return NULL;
    }
    return value;
}

static inline struct slice history_bytes(const struct history_value *value) {
    return value != NULL && value->bytes.size > 0 ? buffer_slice(&value->bytes) : SLICE("");
}

/* The model's value becomes `bytes`; the expiry is what `keep` and `expire_unix_ms` say. */
static inline void history_put(struct history *history, unsigned db, unsigned i, struct slice bytes,
                               bool keep, uint64_t expire_unix_ms) {
    struct history_value *live = history_live(history, db, i);
    struct history_value *value = &history->values[db][i];
    if (!keep) {
        value->expire_unix_ms = expire_unix_ms;
    } else if (live == NULL) {
        value->expire_unix_ms = 0;
    }
    value->is_there = true;
    struct buffer copy = {0};
    buffer_append_slice(&copy, bytes);
    buffer_deinit(&value->bytes);
    value->bytes = copy;
}

static inline void history_drop(struct history *history, unsigned db) {
    for (unsigned i = 0; i < HISTORY_NAMES; i++) {
        history->values[db][i].is_there = false;
    }
}

/* Every live key of the model is in the store with its bytes and expiry, and no other. */
static inline void history_compare(struct history *history) {
    for (unsigned db = 0; db < HISTORY_DBS; db++) {
        for (unsigned i = 0; i < HISTORY_NAMES; i++) {
            struct key key = store_key(&history->store, db, history->names[i]);
            struct history_value *value = history_live(history, db, i);
            struct entry *entry = store_peek(&history->store, &key);
            require((entry != NULL) == (value != NULL));
            if (entry != NULL) {
                struct entry_scratch scratch;
                require(slice_equal(entry_key(entry), key.name));
                require(slice_equal(entry_value(entry, &scratch), history_bytes(value)));
                require(entry_value_bytes(entry) == value->bytes.size);
                require(entry_expire_unix_ms(entry) == value->expire_unix_ms);
            }
        }
    }
    store_end_unit(&history->store);
}

/* ---- random choices ---- */

static inline uint64_t history_below(struct history *history, uint64_t bound) {
    return prng_below(&history->prng, bound);
}

/* Few keys are hit often. */
static inline unsigned history_pick(struct history *history) {
    uint64_t bound = history_below(history, 3) == 0 ? HISTORY_NAMES : 14;
    return (unsigned)history_below(history, bound);
}

static inline uint64_t history_pick_expiry(struct history *history) {
    uint64_t now = (uint64_t)history->store.now_ms;
    switch (history_below(history, 8)) {
    case 0:
        return now + (UINT64_C(1) << 62);
    case 1:
    case 2:
        return now + 1 + history_below(history, 100000000);
    default:
        return now + 1 + history_below(history, 3000);
    }
}

static inline int64_t history_pick_delta(struct history *history) {
    static const int64_t edges[] = {
        INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1, INT64_MAX / 2 + 5, INT64_MIN / 2 - 5, 0,
        1,         -1};
    if (history_below(history, 3) == 0) {
        return edges[history_below(history, sizeof(edges) / sizeof(edges[0]))];
    }
    return (int64_t)history_below(history, 2000) - 1000;
}

static inline void history_pick_bytes(struct history *history, size_t size, struct buffer *out) {
    char *at = buffer_reserve(out, size + 1);
    memset(at, (int)history_below(history, 256), size);
    for (unsigned i = 0; i < 16 && size > 0; i++) {
        at[history_below(history, size)] = (char)history_below(history, 256);
    }
    out->size += size;
}

static inline void history_pick_value(struct history *history, struct buffer *out) {
    static const size_t sizes[] = {0,    1,    15,    20,    21,    253,   254,   255,  256,
                                   3999, 4000, 4001,  4095,  4096,  4097,  8191,  8192, 8193,
                                   9000, 9999, 12304, 65535, 65536, 65537, 100000};
    static const char *const texts[] = {"0",
                                        "1",
                                        "-1",
                                        "007",
                                        "-0",
                                        "+1",
                                        " 1",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775808",
                                        "3.0",
                                        "1e3",
                                        "0.1",
                                        "-2.5",
                                        "0.1234567890123456749",
                                        "1.00000000000000000049",
                                        "123456789.98765432198765",
                                        "4e-18",
                                        "1.5e-17",
                                        "inf",
                                        "nan",
                                        "1e4000",
                                        "-1e4000",
                                        "1e-4000",
                                        "3.141592653589793238462643383"};
    char text[24];
    switch (history_below(history, 4)) {
    case 0:
        buffer_append_slice(
            out, slice_of(texts[history_below(history, sizeof(texts) / sizeof(texts[0]))]));
        break;
    case 1:
        buffer_append(out, text,
                      number_format_integer(text, (int64_t)history_below(history, 5000) - 2500));
        break;
    case 2:
        history_pick_bytes(history, history_below(history, 300), out);
        break;
    default:
        history_pick_bytes(history, sizes[history_below(history, sizeof(sizes) / sizeof(sizes[0]))],
                           out);
    }
}

/* ---- one mutator each ---- */

static inline void history_set(struct history *history, const struct key *key, unsigned i) {
    struct buffer value = {0};
    history_pick_value(history, &value);
    uint64_t how = history_below(history, 4);
    uint64_t expire = how == 0 ? history_pick_expiry(history) : how == 1 ? STRINGS_KEEP_EXPIRY : 0;
    require(strings_set(&history->store, key, buffer_slice(&value), expire) == STORE_OK);
    history_put(history, key->db, i, buffer_slice(&value), how == 1, how == 1 ? 0 : expire);
    buffer_deinit(&value);
}

static inline void history_add_integer(struct history *history, const struct key *key, unsigned i) {
    int64_t delta = history_pick_delta(history), result = 0, expected = 0, old = 0;
    struct history_value *value = history_live(history, key->db, i);
    enum store_status status = strings_add_integer(&history->store, key, delta, &result);
    if (value != NULL && !number_parse_integer(history_bytes(value), &old)) {
        require(status == STORE_NOT_INTEGER);
        return;
    }
    if (__builtin_add_overflow(old, delta, &expected)) {
        require(status == STORE_OVERFLOW);
        return;
    }
    require(status == STORE_OK);
    require(result == expected);
    char text[NUMBER_INTEGER_BYTES_MAX];
    history_put(history, key->db, i, slice_make(text, number_format_integer(text, result)), true,
                0);
}

static inline void history_add_float(struct history *history, const struct key *key, unsigned i) {
    static const long double deltas[] = {0.1L, -0.1L, 3.0L, 0.5L, 1e-17L, 1e10L, -2.25L, 1e3000L};
    long double delta = deltas[history_below(history, sizeof(deltas) / sizeof(deltas[0]))];
    long double result = 0, old = 0;
    struct history_value *value = history_live(history, key->db, i);
    enum store_status status = strings_add_float(&history->store, key, delta, &result);
    if (value != NULL && !number_parse_float(history_bytes(value), &old)) {
        require(status == STORE_NOT_FLOAT);
        return;
    }
    if (isinf(old + delta)) {
        require(status == STORE_NOT_FINITE);
        return;
    }
    require(status == STORE_OK);
    /* A sum is kept as register and total, so the last digits may come out in another way. */
    long double scale = fabsl(old) + fabsl(delta) + fabsl(result);
    require(fabsl(result - (old + delta)) <= scale * 1e-17L + 2e-17L);
    char text[NUMBER_FLOAT_BYTES_MAX];
    history_put(history, key->db, i, slice_make(text, number_format_float(text, result)), true, 0);
}

static inline void history_patch(struct history *history, const struct key *key, unsigned i) {
    static const size_t offsets[] = {0,    1,    20,   3990, 3999, 4000,  4001,  4095,
                                     4096, 4097, 8190, 8192, 8195, 12288, 65530, 70000};
    struct history_value *value = history_live(history, key->db, i);
    struct slice old = history_bytes(value);
    struct buffer piece = {0}, bytes = {0};
    size_t size =
        history_below(history, 8) == 0 ? history_below(history, 9000) : history_below(history, 20);
    size_t offset = old.size;
    if (history_below(history, 2) == 0) {
        offset = offsets[history_below(history, sizeof(offsets) / sizeof(offsets[0]))];
    }
    history_pick_bytes(history, size, &piece);
    uint64_t size_after = 0;
    require(strings_patch(&history->store, key, offset, buffer_slice(&piece), &size_after) ==
            STORE_OK);
    size_t total = offset + size > old.size ? offset + size : old.size;
    require(size_after == total);
    char *at = buffer_reserve(&bytes, total + 1);
    memset(at, 0, total);
    memcpy(at, old.data, old.size);
    memcpy(at + offset, piece.data, size);
    bytes.size = total;
    history_put(history, key->db, i, buffer_slice(&bytes), true, 0);
    buffer_deinit(&piece);
    buffer_deinit(&bytes);
}

static inline void history_registers(struct history *history, const struct key *key, unsigned i) {
    struct history_value *old = history_live(history, key->db, i);
    struct buffer value = {0}, pairs = {0};
    if (old == NULL) {
        hyperloglog_init(&value);
    } else if (hyperloglog_check(history_bytes(old)) == HYPERLOGLOG_OK) {
        buffer_append_slice(&value, history_bytes(old));
    } else {
        return;
    }
    enum hyperloglog_status status = HYPERLOGLOG_OK;
    if (history_below(history, 3) == 0) {
        status = hyperloglog_make_dense(&value);
    }
    for (unsigned added = 0; added < 20 && status != HYPERLOGLOG_CORRUPTED; added++) {
        uint64_t element = prng_next(&history->prng);
        struct hyperloglog_place place = hyperloglog_place(slice_make(&element, sizeof(element)));
        status = hyperloglog_raise(&value, place, 300);
        if (status == HYPERLOGLOG_RAISED) {
            hyperloglog_pair_put(&pairs, place);
        }
    }
    if (status != HYPERLOGLOG_CORRUPTED) {
        /* Pairs do not say all of a new value, or of one in the other encoding. */
        if (old == NULL || hyperloglog_is_dense(history_bytes(old)) !=
                               hyperloglog_is_dense(buffer_slice(&value))) {
            buffer_clear(&pairs);
        }
        require(strings_set_registers(&history->store, key, buffer_slice(&value),
                                      buffer_slice(&pairs)) == STORE_OK);
        history_put(history, key->db, i, buffer_slice(&value), true, 0);
    }
    buffer_deinit(&value);
    buffer_deinit(&pairs);
}

static inline void history_expire(struct history *history, const struct key *key, unsigned i) {
    struct history_value *value = history_live(history, key->db, i);
    uint64_t how = history_below(history, 8);
    uint64_t expire = how < 3    ? 0
                      : how == 3 ? (uint64_t)history->store.now_ms - history_below(history, 2)
                                 : history_pick_expiry(history);
    bool is_done = store_expire(&history->store, key, expire);
    require(is_done == (value != NULL && (expire != 0 || value->expire_unix_ms != 0)));
    if (is_done) {
        value->expire_unix_ms = expire;
        value->is_there = expire == 0 || expire > (uint64_t)history->store.now_ms;
    }
}

static inline void history_copy_or_rename(struct history *history, const struct key *from,
                                          unsigned i, bool is_rename) {
    unsigned j = history_pick(history);
    unsigned db =
        history_below(history, 3) == 0 ? (unsigned)history_below(history, HISTORY_DBS) : from->db;
    struct key to = store_key(&history->store, db, history->names[j]);
    struct history_value *value = history_live(history, from->db, i);
    enum store_status status = is_rename ? store_rename(&history->store, from, &to)
                                         : store_copy(&history->store, from, &to);
    require(status == (value != NULL ? STORE_OK : STORE_ABSENT));
    /* Onto itself: nothing happens. */
    if (value != NULL && (db != from->db || j != i)) {
        history_put(history, db, j, history_bytes(value), false, value->expire_unix_ms);
        value->is_there = !is_rename;
    }
}

/* Keys that only the store chooses: which are gone? */
static inline unsigned history_note_missing(struct history *history, bool must_have_expiry) {
    unsigned missing = 0;
    for (unsigned db = 0; db < HISTORY_DBS; db++) {
        for (unsigned i = 0; i < HISTORY_NAMES; i++) {
            struct key key = store_key(&history->store, db, history->names[i]);
            struct history_value *value = history_live(history, db, i);
            if (value != NULL && mutate_slot(&history->store, &key) == NULL) {
                require(!must_have_expiry || value->expire_unix_ms != 0);
                value->is_there = false;
                missing++;
            }
        }
    }
    return missing;
}

static inline void history_evict(struct history *history) {
    enum eviction_policy policy = (enum eviction_policy)history_below(history, 8);
    (void)store_evict(&history->store, &history->pool, policy, 5);
    unsigned missing = history_note_missing(history, policy >= EVICTION_VOLATILE_LRU);
    require(missing <= (policy == EVICTION_NONE ? 0 : 1));
}

static inline void history_upheaval(struct history *history, unsigned db) {
    unsigned other = (unsigned)history_below(history, HISTORY_DBS);
    switch (history_below(history, 5)) {
    case 0:
        (void)store_flush_all(&history->store);
        for (unsigned each = 0; each < HISTORY_DBS; each++) {
            history_drop(history, each);
        }
        break;
    case 1:
    case 2:
        (void)store_flush(&history->store, db);
        history_drop(history, db);
        break;
    default:
        store_swap(&history->store, db, other);
        for (unsigned i = 0; i < HISTORY_NAMES; i++) {
            struct history_value value = history->values[db][i];
            history->values[db][i] = history->values[other][i];
            history->values[other][i] = value;
        }
    }
}

static inline void history_background(struct history *history, const struct key *key, unsigned i) {
    uint64_t seen;
    bool is_done;
    switch (history_below(history, 5)) {
    case 0:
        (void)store_expire_some(&history->store, (unsigned)history_below(history, 20), &seen,
                                &is_done);
        break;
    case 1:
        history_evict(history);
        break;
    case 2: {
        struct entry *entry = store_random(&history->store, key->db);
        require(entry == NULL || entry_expire_unix_ms(entry) == 0 ||
                entry_expire_unix_ms(entry) > (uint64_t)history->store.now_ms);
        break;
    }
    case 3:
        history->store.uses_lfu = history_below(history, 2) == 0;
        break;
    default:
        require((store_read(&history->store, key) != NULL) ==
                (history_live(history, key->db, i) != NULL));
    }
}

/* One command: a unit of one or several changes. */
static inline void history_step(struct history *history) {
    struct store *store = &history->store;
    history->steps_count++;
    if (history_below(history, 4) == 0) {
        store_set_now(store, store->now_ms + (int64_t)history_below(history, 200));
    }
    unsigned db = (unsigned)history_below(history, HISTORY_DBS), i = history_pick(history);
    struct key key = store_key(store, db, history->names[i]);
    if (history_below(history, 10000) < history->upheavals) {
        history_upheaval(history, db);
        store_end_unit(store);
        return;
    }
    switch (history_below(history, 20)) {
    case 0:
    case 1:
    case 2:
        history_set(history, &key, i);
        break;
    case 3:
    case 4:
    case 5:
        history_add_integer(history, &key, i);
        break;
    case 6:
    case 7:
        history_add_float(history, &key, i);
        break;
    case 8:
    case 9:
    case 10:
        history_patch(history, &key, i);
        break;
    case 11:
        history_registers(history, &key, i);
        break;
    case 12:
    case 13:
    case 14:
        history_expire(history, &key, i);
        break;
    case 15:
        history_copy_or_rename(history, &key, i, false);
        break;
    case 16:
        history_copy_or_rename(history, &key, i, true);
        break;
    case 17: {
        bool was_there = history_live(history, db, i) != NULL;
        require(store_delete(store, &key) == was_there);
        history->values[db][i].is_there = false;
        break;
    }
    default:
        history_background(history, &key, i);
    }
    store_end_unit(store);
}

/* ---- replaying ---- */

/* Reads a batch and applies it to `replica`, as written by the replica of number `slot`. */
static inline void history_replay(struct store *replica, struct slice batch, unsigned slot) {
    if (batch.size == 0) {
        return;
    }
    /* A block of exactly its size shows a byte read too far. */
    char *bytes = memory_alloc(batch.size);
    memcpy(bytes, batch.data, batch.size);
    struct change_reader reader;
    require(change_reader_init(&reader, slice_make(bytes, batch.size), slot));
    struct change change;
    enum change_status status;
    while ((status = change_reader_next(&reader, &change)) == CHANGE_OK) {
        require(store_apply(replica, &change) == STORE_OK);
    }
    require(status == CHANGE_END);
    memory_free(bytes);
}

static inline bool history_digests_equal(const struct store *a, const struct store *b) {
    uint8_t digest_a[20], digest_b[20];
    store_digest(a, digest_a);
    store_digest(b, digest_b);
    return memcmp(digest_a, digest_b, sizeof(digest_a)) == 0;
}

#endif
