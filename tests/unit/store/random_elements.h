/* SPDX-License-Identifier: BSD-3-Clause */
/* Random writes to a hash, a list and a stream of a store, each of which keeps its type. */
#ifndef TESTS_UNIT_STORE_RANDOM_ELEMENTS_H
#define TESTS_UNIT_STORE_RANDOM_ELEMENTS_H

#include "base/prng.h"
#include "store/lists.h"
#include "store/xstreams.h"

static inline void random_elements_set_field(struct elements_writer *writer, struct prng *prng) {
    char name[8] = {'f', (char)('0' + prng_below(prng, 6))};
    char value = (char)('a' + prng_below(prng, 26));
    bool is_new;
    require(element_set(writer, slice_make(name, 2), slice_make(&value, 1), false, &is_new) ==
            STORE_OK);
}

static inline void random_elements_hash(struct elements_writer *writer, struct prng *prng) {
    char name[8] = {'f', (char)('0' + prng_below(prng, 6))};
    switch (prng_below(prng, 6)) {
    case 0:
    case 1:
        (void)element_delete(writer, slice_make(name, 2));
        break;
    case 2: /* many at once; some come twice */
        elements_expect(writer, 5, false);
        for (unsigned i = 0; i < 5; i++) {
            random_elements_set_field(writer, prng);
        }
        break;
    default:
        random_elements_set_field(writer, prng);
        break;
    }
}

static inline void random_elements_list(struct elements_writer *writer, struct prng *prng) {
    struct elements elements;
    char value = (char)('a' + prng_below(prng, 26));
    elements_written(writer, &elements);
    if (elements.count > 0 && prng_below(prng, 3) == 0) {
        list_remove(writer, prng_below(prng, elements.count), 1);
    } else if (elements.count > 0 && prng_below(prng, 3) == 0) {
        require(list_set(writer, prng_below(prng, elements.count), slice_make(&value, 1)) ==
                STORE_OK);
    } else {
        require(list_push(writer, prng_below(prng, 2) == 0 ? LIST_LEFT : LIST_RIGHT,
                          slice_make(&value, 1)) == STORE_OK);
    }
}

static inline void random_elements_stream(struct elements_writer *writer, struct prng *prng) {
    char value[5] = {1, 1, 'f', 1, (char)('a' + prng_below(prng, 26))};
    struct xstream_trim trim = {.by = XSTREAM_TRIM_LENGTH, .length_max = prng_below(prng, 5)};
    struct xstream_group group = {.entries_read = -1};
    struct xstream_consumer consumer = {.active_unix_ms = (int64_t)prng_below(prng, 9)};
    struct xstream_cursor cursor;
    struct xstream_id id;
    require(xstream_label_encode(SLICE("g"), &group.label));
    struct xstream_pending pending = {.deliveries_count = prng_below(prng, 9),
                                      .consumer = xstream_label_slice(&group.label)};
    if (xstream_of_writer(writer).collection == NULL || prng_below(prng, 2) == 0) {
        require(xstream_make_id(writer, xstream_last_id(xstream_of_writer(writer)),
                                1 + prng_below(prng, 3), false, &id));
        struct buffer fields = {0};
        buffer_append(&fields, value, sizeof(value));
        require(xstream_add(writer, id, &fields) == STORE_OK);
        buffer_deinit(&fields);
        return;
    }
    switch (prng_below(prng, 5)) {
    case 0:
        (void)xstream_trim(writer, &trim);
        break;
    case 1:
        if (xstream_seek(xstream_of_writer(writer), (struct xstream_id){2, 0}, &cursor)) {
            id = cursor.name.id;
            require(xstream_delete(writer, &id, 1) == 1);
        }
        break;
    case 2:
        xstream_destroy_group(writer, &group.label);
        break;
    default:
        group.last_id = xstream_last_id(xstream_of_writer(writer));
        require(xstream_set_group(writer, &group,
                                  prng_below(prng, 2) == 0 ? XSTREAM_FROM_ID : XSTREAM_FROM_HERE) ==
                STORE_OK);
        require(xstream_set_consumer(writer, &group.label, &group.label, &consumer) == STORE_OK);
        require(xstream_set_pending(writer, &group.label, group.last_id, &pending) == STORE_OK);
        break;
    }
}

/* One of them, in the database at index `db`. */
static inline void random_elements_write(struct store *store, unsigned db, struct prng *prng) {
    static const struct {
        const char *name;
        enum value_type type;
        void (*write)(struct elements_writer *writer, struct prng *prng);
    } KINDS[] = {{"a hash", VALUE_HASH, random_elements_hash},
                 {"a list", VALUE_LIST, random_elements_list},
                 {"a stream", VALUE_STREAM, random_elements_stream}};
    unsigned kind = (unsigned)prng_below(prng, 3);
    struct key key = store_key(store, db, slice_of(KINDS[kind].name));
    struct elements_writer writer;
    if (prng_below(prng, 20) == 0) {
        (void)store_delete(store, &key);
        return;
    }
    require(elements_open(store, &key, KINDS[kind].type, &writer) == STORE_OK);
    KINDS[kind].write(&writer, prng);
    elements_close(&writer);
}

#endif
