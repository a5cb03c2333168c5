/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of every type of collection, of elements that tell their number. */
#ifndef TESTS_UNIT_STORE_NUMBERED_ELEMENTS_H
#define TESTS_UNIT_STORE_NUMBERED_ELEMENTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/codec.h"
#include "store/lists.h"
#include "store/xstreams.h"

/* Adds elements `from` to `from + count - 1` to the value of that type under the key, as a unit. */
static inline void add_numbered(struct store *store, const struct key *key, enum value_type type,
                                unsigned from, unsigned count) {
    struct elements_writer writer;
    assert_int_equal(elements_open(store, key, type, &writer), STORE_OK);
    for (unsigned i = from; i < from + count; i++) {
        char text[24];
        struct slice name = slice_make(text, (size_t)snprintf(text, sizeof(text), "element %u", i));
        bool is_new;
        if (type == VALUE_LIST) {
            assert_int_equal(list_push(&writer, LIST_RIGHT, name), STORE_OK);
        } else if (type == VALUE_STREAM) {
            struct xstream_id id = {.ms = i + 1, .sequence = 1};
            struct buffer value = {0};
            codec_put_slice(&value, name);
            codec_put_slice(&value, name);
            assert_int_equal(xstream_add(&writer, id, &value), STORE_OK);
            buffer_deinit(&value);
        } else if (type == VALUE_SORTED_SET) {
            assert_int_equal(element_set_score(&writer, name, i / 4.0, &is_new), STORE_OK);
        } else {
            struct slice value = type == VALUE_HASH ? name : slice_make("", 0);
            assert_int_equal(element_set(&writer, name, value, false, &is_new), STORE_OK);
        }
    }
    elements_close(&writer);
    store_end_unit(store);
}

#endif
