/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/gathered.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "store/collection.h"
#include "store/mutate.h"

enum {
    GATHERED_MIN = 4, /* fewer are as fast one by one */
    GATHERED_PLACES = 2 * COLLECTION_PACKED_MAX,
    GATHERED_KEPT_BYTES = 65536,
};

static_assert((GATHERED_PLACES & (GATHERED_PLACES - 1)) == 0, "a mask makes a place of a hash");
static_assert(COLLECTION_PACKED_MAX < UINT16_MAX, "numbers of elements fit into places");

struct gathered {
    const struct elements_writer *writer; /* NULL: nobody gathers */
    struct packed_builder builder;        /* of a sorted set in the order in which they came */
    bool is_ordered;
    uint64_t expected;
    uint64_t stamp;                         /* of the last one */
    uint64_t mask;                          /* of the places in use */
    uint32_t starts[COLLECTION_PACKED_MAX]; /* of each element */
    uint16_t places[GATHERED_PLACES];       /* by hash: 1 + the element's number, 0: none */
};

void gathered_free(struct gathered *gathered) {
    if (gathered != NULL) {
        buffer_deinit(&gathered->builder.elements);
        memory_free(gathered);
    }
}

void gathered_begin(struct elements_writer *writer, uint64_t count, bool are_distinct) {
    struct store *store = writer->store;
    if (count < GATHERED_MIN || count > COLLECTION_PACKED_MAX) {
        return;
    }
    if (store->gathered == NULL) {
        store->gathered = memory_alloc_zero(sizeof(*store->gathered));
    }
    struct gathered *gathered = store->gathered;
    if (gathered->writer != NULL) {
        return;
    }
    gathered->writer = writer;
    gathered->is_ordered = true;
    gathered->expected = count;
    gathered->builder.count = 0;
    gathered->mask = 0;
    if (!are_distinct) {
        gathered->mask = 2 * GATHERED_MIN - 1;
        while (gathered->mask < 2 * count - 1) {
            gathered->mask = 2 * gathered->mask + 1;
        }
        memset(gathered->places, 0, (gathered->mask + 1) * sizeof(gathered->places[0]));
    }
    writer->gathers = true;
}

/* Where the name is or belongs; false: it is there already. */
static bool find_place(const struct gathered *gathered, struct slice name, uint64_t *place) {
    if (gathered->mask == 0) {
        *place = 0;
        return true;
    }
    *place = hash_bytes(gathered->writer->store->element_seed, name) & gathered->mask;
    for (; gathered->places[*place] != 0; *place = (*place + 1) & gathered->mask) {
        struct packed_element other;
        packed_build_at(&gathered->builder, gathered->starts[gathered->places[*place] - 1U],
                        &other);
        if (slice_equal(other.name, name)) {
            return false;
        }
    }
    return true;
}

static void append(struct gathered *gathered, enum value_type type,
                   const struct packed_element *element) {
    struct packed_builder *builder = &gathered->builder;
    struct packed_element last;
    if (builder->count == 0) {
        packed_build_begin(builder, type, element->stamp);
    } else if (type == VALUE_SORTED_SET && gathered->is_ordered) {
        packed_build_at(builder, gathered->starts[builder->count - 1], &last);
        gathered->is_ordered = packed_compare(&last, element) < 0;
    }
    gathered->starts[builder->count] = (uint32_t)builder->elements.size;
    packed_build_add(builder, element);
}

/* May it be packed with all that are expected? */
static bool fits_with_others(const struct gathered *gathered, const struct store *store,
                             const struct packed_element *element) {
    enum value_type type = gathered->writer->type;
    uint64_t entries_max = store->packing[type].entries_max;
    return elements_fit_packed(store, type, SLICE(""), gathered->expected, element) &&
           (type != VALUE_SET || gathered->expected <= entries_max ||
            gathered->builder.count == 0 || !packed_build_has_text(&gathered->builder));
}

bool gathered_add(struct elements_writer *writer, struct packed_element *element,
                  struct slice recorded) {
    struct store *store = writer->store;
    struct gathered *gathered = store->gathered;
    uint64_t place;
    if (!writer->gathers) {
        return false;
    }
    /* With as many others as are expected: else all of them would be unpacked in the end. */
    bool fits = fits_with_others(gathered, store, element);
    if (!fits || gathered->builder.count == gathered->expected ||
        !find_place(gathered, element->name, &place)) {
        uint64_t expected = gathered->expected;
        gathered_end(writer);
        if (!fits && expected > store->packing[writer->type].entries_max) {
            table_expect(&elements_writer_collection(writer)->space.table, expected);
        }
        return false;
    }
    gathered->stamp = mutate_stamp(store);
    /* A lone node gives all of them the last one's in the end. */
    element->stamp =
        store->is_alone && gathered->builder.count > 0 ? gathered->builder.base : gathered->stamp;
    append(gathered, writer->type, element);
    gathered->places[place] = (uint16_t)gathered->builder.count;
    struct change change = {
        .kind = CHANGE_SET, .stamp = gathered->stamp, .element = element->name, .value = recorded};
    elements_record_packed(writer, &change);
    return true;
}

/* ---- the entry ---- */

static int compare_elements(const void *a, const void *b) {
    return packed_compare((const struct packed_element *)a, (const struct packed_element *)b);
}

/* Puts the members in the order of their scores. */
static void put_in_order(struct packed_builder *builder, const uint32_t *starts) {
    uint64_t count = builder->count;
    struct packed_element *elements = memory_alloc(count * sizeof(*elements));
    struct packed_builder ordered = {0};
    for (uint64_t i = 0; i < count; i++) {
        packed_build_at(builder, starts[i], &elements[i]);
    }
    qsort(elements, count, sizeof(elements[0]), compare_elements);
    packed_build_begin(&ordered, VALUE_SORTED_SET, builder->base);
    for (uint64_t i = 0; i < count; i++) {
        packed_build_add(&ordered, &elements[i]);
    }
    memory_free(elements);
    buffer_deinit(&builder->elements);
    *builder = ordered;
}

void gathered_put(struct elements_writer *writer) {
    struct store *store = writer->store;
    struct gathered *gathered = store->gathered;
    struct packed_builder *builder = &gathered->builder;
    writer->gathers = false;
    gathered->writer = NULL;
    if (builder->count == 0) {
        return;
    }
    if (!gathered->is_ordered) {
        put_in_order(builder, gathered->starts);
    }
    require(mutate_slot(store, &writer->key) == NULL);
    struct buffer *packed = elements_begin_scratch(store);
    packed_build_put(builder, packed);
    if (store->is_alone) {
        packed_raise(packed->data, packed->size, gathered->stamp);
    }
    elements_put_packed(store, &writer->key, NULL, buffer_slice(packed), gathered->stamp);
    elements_end_scratch(store);
    mutate_after(store, &writer->key);
    store->stats.dirty += builder->count - 1;
    if (builder->elements.capacity > GATHERED_KEPT_BYTES) {
        buffer_deinit(&builder->elements);
    }
}
