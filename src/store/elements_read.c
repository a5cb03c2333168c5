/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading elements, packed or not: by name, all, some at a time, by chance. */
#include "store/elements_internal.h"

#include "store/lists.h"
#include "store/sequence.h"

void elements_of(const struct entry *entry, struct elements *elements) {
    *elements = (struct elements){.type = entry_type(entry)};
    if (entry_kind(entry) == ENTRY_PACKED) {
        elements->packed = entry_packed(entry);
        elements->count = packed_count(elements->packed);
        return;
    }
    elements->collection = entry_kind(entry) == ENTRY_COLLECTION
                               ? entry_collection(entry)
                               : entry_contested(entry)->shown_collection;
    require(elements->collection != NULL);
    elements->count = collection_visible_count(elements->collection);
}

static enum store_status elements_in(const struct entry *entry, enum value_type type,
                                     struct elements *elements) {
    *elements = (struct elements){.type = type};
    if (entry == NULL) {
        return STORE_ABSENT;
    }
    if (entry_type(entry) != type) {
        return STORE_WRONG_TYPE;
    }
    elements_of(entry, elements);
    return STORE_OK;
}

enum store_status elements_read(struct store *store, const struct key *key, enum value_type type,
                                struct elements *elements) {
    return elements_in(store_read(store, key), type, elements);
}

enum store_status elements_look(struct store *store, const struct key *key, enum value_type type,
                                struct elements *elements) {
    return elements_in(store_peek(store, key), type, elements);
}

void element_view(const struct entry *entry, enum value_type type, struct element *element) {
    element->name = entry_key(entry);
    element->value = (struct slice){.data = ""};
    element->score = 0;
    element->expire_unix_ms = entry_expire_unix_ms(entry);
    if (type == VALUE_SORTED_SET) {
        element->score = collection_score(entry);
    } else if (type == VALUE_HASH || collection_is_sequence(type)) {
        element->value = entry_value(entry, &element->scratch);
    }
}

static void view_packed(const struct packed_element *packed, struct element *element) {
    element->name = packed->name;
    element->value = packed->value;
    element->score = packed->score;
    element->expire_unix_ms = 0;
}

bool elements_find(const struct store *store, const struct elements *elements, struct slice name,
                   struct element *element) {
    struct packed_element packed;
    require(elements->type != VALUE_LIST);
    if (elements->collection == NULL) {
        if (elements->packed.size == 0 || !packed_find(elements->packed, name, &packed)) {
            return false;
        }
        view_packed(&packed, element);
        return true;
    }
    struct key key = collection_key(store, elements->collection, 0, name);
    uint64_t *slot = mutate_slot(store, &key);
    require(elements->type != VALUE_STREAM);
    if (slot == NULL || mutate_is_invisible(store, table_item(*slot))) {
        return false;
    }
    element_view(table_item(*slot), elements->type, element);
    return true;
}

struct each_walk {
    const struct store *store;
    enum value_type type;
    bool takes_expired;
    element_fn each;
    void *udata;
};

static void each_visit(void *item, void *udata) {
    struct each_walk *walk = (struct each_walk *)udata;
    const struct entry *entry = (const struct entry *)item;
    if (walk->takes_expired ? !entry_is_hidden(entry) : !mutate_is_invisible(walk->store, entry)) {
        struct element element;
        element_view(entry, walk->type, &element);
        walk->each(walk->udata, &element);
    }
}

static void list_each(const struct store *store, const struct elements *elements, element_fn each,
                      void *udata) {
    struct list_cursor cursor;
    for (bool is_there = list_seek(store, elements, 0, &cursor); is_there;
         is_there = list_step(&cursor, LIST_RIGHT)) {
        each(udata, &cursor.element);
    }
}

uint64_t elements_scan(const struct store *store, const struct elements *elements,
                       uint64_t position, element_fn each, void *udata) {
    if (elements->type == VALUE_STREAM && elements->collection != NULL) {
        sequence_each(store, elements->collection, each, udata);
        return 0;
    }
    if (elements->type == VALUE_LIST) {
        list_each(store, elements, each, udata);
        return 0;
    }
    if (elements->collection != NULL) {
        struct each_walk walk = {
            .store = store, .type = elements->type, .each = each, .udata = udata};
        return table_walk(&elements->collection->space.table, position, each_visit, &walk);
    }
    /* All at once: it is small. */
    if (elements->packed.size > 0) {
        struct packed_reader reader;
        struct packed_element packed;
        struct element element;
        packed_reader_init(&reader, elements->packed);
        while (packed_next(&reader, &packed)) {
            view_packed(&packed, &element);
            each(udata, &element);
        }
    }
    return 0;
}

void elements_each(const struct store *store, const struct elements *elements, element_fn each,
                   void *udata) {
    uint64_t position = 0;
    do {
        position = elements_scan(store, elements, position, each, udata);
    } while (position != 0);
}

void elements_each_written(const struct store *store, const struct elements *elements,
                           element_fn each, void *udata) {
    if (elements->collection == NULL || elements->type == VALUE_STREAM ||
        elements->type == VALUE_LIST) {
        elements_each(store, elements, each, udata); /* none of these expires */
        return;
    }
    struct each_walk walk = {.store = store,
                             .type = elements->type,
                             .takes_expired = true,
                             .each = each,
                             .udata = udata};
    uint64_t position = 0;
    do {
        position = table_walk(&elements->collection->space.table, position, each_visit, &walk);
    } while (position != 0);
}

struct visible_walk {
    const struct store *store;
    const struct entry *found; /* NULL so far */
};

static void visible_visit(void *item, void *udata) {
    struct visible_walk *walk = (struct visible_walk *)udata;
    const struct entry *entry = (const struct entry *)item;
    if (walk->found == NULL && !mutate_is_invisible(walk->store, entry)) {
        walk->found = entry;
    }
}

bool elements_random(struct store *store, const struct elements *elements,
                     struct element *element) {
    enum { TRIES_MAX = 100 };
    if (elements->count == 0) {
        return false;
    }
    if (elements->collection == NULL) {
        struct packed_reader reader;
        struct packed_element packed;
        uint64_t index = prng_below(&store->prng, elements->count);
        packed_reader_init(&reader, elements->packed);
        for (uint64_t i = 0; packed_next(&reader, &packed) && i < index; i++) {
        }
        view_packed(&packed, element);
        return true;
    }
    struct table *table = &elements->collection->space.table;
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        struct entry *entry = table_random(table, &store->prng, false);
        if (!mutate_is_invisible(store, entry)) {
            element_view(entry, elements->type, element);
            return true;
        }
    }
    /* Hardly any is visible: the first one behind a random place. */
    struct visible_walk walk = {.store = store};
    uint64_t begin = prng_next(&store->prng);
    for (uint64_t position = begin; walk.found == NULL;) {
        position = table_walk(table, position, visible_visit, &walk);
        if (position == 0) {
            break;
        }
    }
    for (uint64_t position = 0; walk.found == NULL;) {
        position = table_walk(table, position, visible_visit, &walk);
        if (position == 0 || position > begin) {
            break;
        }
    }
    if (walk.found != NULL) {
        element_view(walk.found, elements->type, element);
    }
    return walk.found != NULL;
}

static void integers_visit(void *udata, const struct element *element) {
    int64_t integer;
    *(bool *)udata &= number_parse_integer(element->name, &integer);
}

bool elements_are_integers(const struct store *store, const struct elements *elements) {
    bool are_integers = true;
    if (elements->collection == NULL) {
        return elements->packed.size == 0 || !packed_has_text(elements->packed);
    }
    elements_each(store, elements, integers_visit, &are_integers);
    return are_integers;
}
