/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/rebase_elements.h"

#include "store/elements.h"
#include "store/merge.h"
#include "store/sequence.h"
#include "store/strings.h"

enum element_fate {
    ELEMENT_SET,
    ELEMENT_ADD,
    ELEMENT_DELETE,
    ELEMENT_KEY_EXPIRE,
    ELEMENT_KEY_DELETE
};

/* One element to be written again. Its key, name and value follow one another in `bytes`. */
struct rebase_element {
    struct rebase_element *next;
    enum element_fate fate;
    enum value_type type;
    unsigned number; /* of its database */
    uint64_t expire_unix_ms;
    size_t key_size, name_size, value_size;
    char bytes[];
};

void rebase_elements_deinit(struct rebase *rebase) {
    while (rebase->first_element != NULL) {
        struct rebase_element *element = rebase->first_element;
        rebase->first_element = element->next;
        memory_free(element);
    }
    rebase->last_element = NULL;
}

static void put_bytes(char **at, struct slice bytes) {
    if (bytes.size > 0) {
        memcpy(*at, bytes.data, bytes.size);
        *at += bytes.size;
    }
}

static void put_element(struct sync *sync, const struct key *key, enum element_fate fate,
                        enum value_type type, struct slice name, struct slice value,
                        uint64_t expire_unix_ms) {
    struct rebase *rebase = sync->rebase;
    struct rebase_element *element =
        memory_alloc(sizeof(*element) + key->name.size + name.size + value.size);
    *element = (struct rebase_element){.fate = fate,
                                       .type = type,
                                       .number = sync->store->dbs[key->db].number,
                                       .expire_unix_ms = expire_unix_ms,
                                       .key_size = key->name.size,
                                       .name_size = name.size,
                                       .value_size = value.size};
    char *at = element->bytes;
    put_bytes(&at, key->name);
    put_bytes(&at, name);
    put_bytes(&at, value);
    if (rebase->last_element == NULL) {
        rebase->first_element = element;
    } else {
        rebase->last_element->next = element;
    }
    rebase->last_element = element;
    sync->stats.keys_reissued++;
}

/* ---- comparing ---- */

static bool has_collections(const struct entry *entry) {
    return entry != NULL &&
           (entry_kind(entry) >= ENTRY_PACKED ||
            (entry_kind(entry) == ENTRY_CONTESTED && entry_contested(entry)->collections != NULL));
}

bool rebase_has_elements(const struct entry *here, const struct entry *there) {
    return has_collections(here) || has_collections(there);
}

/* An element as far as rebasing looks at it. */
struct side {
    struct ordered_map_block block; /* where a value of a packed list lies */
    bool is_there, is_counter;
    uint64_t stamp, start_stamp; /* newest; of a counter, where its newest part began */
    struct element view;
};

/* Elements of one side, by type; the bytes are those of the entry. */
static bool find_collection(const struct entry *entry, enum value_type type,
                            struct elements *elements) {
    if (entry == NULL) {
        return false;
    }
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        struct collection *collection = contested_find_collection(entry_contested(entry), type);
        *elements = (struct elements){.type = type, .collection = collection};
        return collection != NULL;
    }
    if (entry_kind(entry) < ENTRY_PACKED || entry_type(entry) != type) {
        return false;
    }
    elements_of(entry, elements);
    return true;
}

static void look_at_entry(const struct store *store, const struct entry *entry,
                          enum value_type type, struct side *side) {
    struct entry_parts parts;
    *side = (struct side){.is_there = !entry_is_hidden(entry)};
    if (!side->is_there) {
        return;
    }
    element_view(entry, type, &side->view);
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        const struct contested *contested = entry_contested(entry);
        side->stamp = contested_newest_value(store, contested);
        side->is_counter = contested->parts_count > 0;
        for (unsigned i = 0; i < contested->parts_count; i++) {
            const struct contested_part *part = &contested->parts[i];
            if (part->stamp == side->stamp) {
                side->start_stamp = stamp_make(part->start_ticks, stamp_slot(part->stamp));
            }
        }
        return;
    }
    entry_take_apart(entry, &parts);
    side->stamp = parts.stamp;
    side->is_counter = parts.kind == ENTRY_COUNTER || parts.kind == ENTRY_COUNTER_REGISTER ||
                       parts.kind == ENTRY_FLOAT_COUNTER;
    side->start_stamp = stamp_make(parts.start_ticks, stamp_slot(parts.stamp));
}

/* A plain element of a list. */
static void look_at_plain(const struct ordered_map_cursor *cursor, struct side *side) {
    *side = (struct side){.is_there = true, .stamp = cursor->element.stamp};
    side->view.name = cursor->element.name;
    side->view.value = cursor->element.value;
}

/* An element of a packed list. */
static void look_for_packed(struct slice packed, struct slice name, struct side *side) {
    struct ordered_map_cursor cursor;
    if (ordered_map_find(packed_list_map(packed, &side->block), name, &cursor)) {
        side->is_there = true;
        side->is_counter = false;
        side->stamp = cursor.element.stamp;
        side->view = (struct element){.name = name, .value = cursor.element.value};
    }
}

static void look_for(const struct store *store, const struct entry *entry, enum value_type type,
                     struct slice name, struct side *side) {
    struct elements elements;
    side->is_there = false;
    if (!find_collection(entry, type, &elements)) {
        return;
    }
    if (elements.collection == NULL && type == VALUE_LIST) {
        look_for_packed(elements.packed, name, side);
        return;
    }
    if (elements.collection == NULL) {
        struct packed_element packed;
        if (packed_find(elements.packed, name, &packed)) {
            *side = (struct side){.is_there = true, .stamp = packed.stamp};
            side->view.name = packed.name;
            side->view.value = packed.value;
            side->view.score = packed.score;
            side->view.expire_unix_ms = 0;
        }
        return;
    }
    struct ordered_map_cursor cursor;
    if (ordered_map_find(elements.collection->map, name, &cursor) && cursor.element.flags == 0) {
        /* Not the cursor's name, which goes with it. */
        look_at_plain(&cursor, side);
        side->view.name = name;
        return;
    }
    struct key key = collection_key(store, elements.collection, 0, name);
    uint64_t *slot = mutate_slot(store, &key);
    if (slot != NULL) {
        look_at_entry(store, table_item(*slot), type, side);
    }
}

struct compare_walk {
    struct sync *sync;
    const struct state_merge *merge;
    const struct key *key;
    struct entry *here, *there;
    enum value_type type;
    bool (*is_ours)(const struct sync *sync, uint64_t stamp);
};

static bool is_number(const struct side *side, enum value_type type, long double *number) {
    if (type == VALUE_SORTED_SET) {
        *number = side->view.score;
        return true;
    }
    return number_parse_float(side->view.value, number);
}

static void reissue(struct compare_walk *walk, const struct side *ours, const struct side *theirs) {
    struct sync *sync = walk->sync;
    char text[NUMBER_FLOAT_BYTES_MAX];
    long double here = 0, there = 0;
    struct slice value = ours->view.value;
    enum element_fate fate = ELEMENT_SET;
    if (ours->is_counter && is_number(ours, walk->type, &here) &&
        (!theirs->is_there || is_number(theirs, walk->type, &there))) {
        if (!theirs->is_there && state_merge_covers_there(walk->merge, ours->start_stamp)) {
            sync->stats.keys_unclear++;
            return;
        }
        fate = ELEMENT_ADD;
        value = slice_make(text, number_format_float(text, here - there));
    } else if (walk->type == VALUE_SORTED_SET) {
        value = slice_make(text, number_format_double(text, ours->view.score));
    }
    put_element(sync, walk->key, fate, walk->type, ours->view.name, value,
                ours->view.expire_unix_ms);
}

/* An element that is here. */
static void compare_ours(struct compare_walk *walk, const struct side *ours) {
    struct store *store = walk->sync->store;
    struct side *theirs = memory_alloc(sizeof(*theirs));
    look_for(store, walk->there, walk->type, ours->view.name, theirs);
    bool is_unknown = ours->is_there && !state_merge_covers_there(walk->merge, ours->stamp) &&
                      walk->is_ours(walk->sync, ours->stamp);
    bool wins = !theirs->is_there || state_merge_covers_here(walk->merge, theirs->stamp) ||
                replicas_compare_stamps(&store->replicas, ours->stamp, theirs->stamp) > 0;
    if (is_unknown && wins && !(theirs->is_there && theirs->stamp == ours->stamp)) {
        reissue(walk, ours, theirs);
    }
    memory_free(theirs);
}

/* An element that the mesh has: was it removed here? */
static void compare_theirs(struct compare_walk *walk, struct slice name, uint64_t stamp) {
    struct side *ours = memory_alloc(sizeof(*ours));
    look_for(walk->sync->store, walk->here, walk->type, name, ours);
    if (!ours->is_there && state_merge_covers_here(walk->merge, stamp)) {
        put_element(walk->sync, walk->key, ELEMENT_DELETE, walk->type, name, slice_make("", 0), 0);
    }
    memory_free(ours);
}

static void ours_visit(void *item, void *udata) {
    struct compare_walk *walk = (struct compare_walk *)udata;
    struct side *side = memory_alloc(sizeof(*side));
    look_at_entry(walk->sync->store, (const struct entry *)item, walk->type, side);
    if (side->is_there) {
        compare_ours(walk, side);
    }
    memory_free(side);
}

static void theirs_visit(void *item, void *udata) {
    struct compare_walk *walk = (struct compare_walk *)udata;
    struct side *side = memory_alloc(sizeof(*side));
    look_at_entry(walk->sync->store, (const struct entry *)item, walk->type, side);
    if (side->is_there) {
        compare_theirs(walk, side->view.name, side->stamp);
    }
    memory_free(side);
}

/* The plain elements of a list; others are in the table. */
static void walk_plain(const struct collection *collection, struct compare_walk *walk,
                       bool is_ours) {
    struct ordered_map_cursor cursor;
    struct side *side = memory_alloc(sizeof(*side));
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        if (cursor.element.flags != 0) {
            continue;
        }
        look_at_plain(&cursor, side);
        if (is_ours) {
            compare_ours(walk, side);
        } else {
            compare_theirs(walk, side->view.name, side->stamp);
        }
    }
    memory_free(side);
}

static void walk_all(const struct elements *elements, struct compare_walk *walk, bool is_ours) {
    if (elements->collection != NULL) {
        uint64_t position = 0;
        walk_plain(elements->collection, walk, is_ours);
        do {
            position = table_walk(&elements->collection->space.table, position,
                                  is_ours ? ours_visit : theirs_visit, walk);
        } while (position != 0);
        return;
    }
    struct packed_walk reader;
    struct packed_element packed;
    struct side *side = memory_alloc(sizeof(*side));
    packed_walk_init(&reader, elements->packed);
    while (packed_walk_next(&reader, &packed)) {
        *side = (struct side){.is_there = true, .stamp = packed.stamp};
        side->view.name = packed.name;
        side->view.value = packed.value;
        side->view.score = packed.score;
        side->view.expire_unix_ms = 0;
        if (is_ours) {
            compare_ours(walk, side);
        } else {
            compare_theirs(walk, packed.name, packed.stamp);
        }
    }
    memory_free(side);
}

/* Had this node seen all that the mesh has under the key? */
static bool saw_all(const struct compare_walk *walk, const struct entry *there) {
    return walk->merge->settled_ticks_here == UINT64_MAX &&
           state_merge_entry_is_covered(there, walk->sync->seen.stamps, STAMP_SLOTS_COUNT);
}

static void compare_key_itself(struct compare_walk *walk) {
    const struct entry *here = walk->here, *there = walk->there;
    if (here == NULL || there == NULL || entry_is_hidden(here)) {
        return;
    }
    if (entry_expire_unix_ms(here) != entry_expire_unix_ms(there) &&
        !state_merge_covers_there(walk->merge, entry_expire_stamp(here)) &&
        walk->is_ours(walk->sync, entry_expire_stamp(here))) {
        put_element(walk->sync, walk->key, ELEMENT_KEY_EXPIRE, entry_type(here), slice_make("", 0),
                    slice_make("", 0), entry_expire_unix_ms(here));
    }
}

void rebase_elements(struct sync *sync, const struct state_merge *merge, const struct key *key,
                     struct entry *here, struct entry *there,
                     bool (*is_ours)(const struct sync *sync, uint64_t stamp)) {
    struct compare_walk walk = {
        .sync = sync, .merge = merge, .key = key, .here = here, .there = there, .is_ours = is_ours};
    struct elements elements;
    if (here != NULL && there != NULL && !entry_is_hidden(here) && !entry_is_hidden(there) &&
        entry_type(here) != entry_type(there) && saw_all(&walk, there) &&
        !state_merge_covers_there(merge, here->stamp) && is_ours(sync, here->stamp)) {
        /* It was replaced by a value of another type. */
        put_element(sync, key, ELEMENT_KEY_DELETE, VALUE_STRING, slice_make("", 0),
                    slice_make("", 0), 0);
        if (entry_type(here) == VALUE_STRING) {
            struct entry_scratch scratch;
            put_element(sync, key, ELEMENT_SET, VALUE_STRING, slice_make("", 0),
                        entry_value(here, &scratch), entry_expire_unix_ms(here));
        }
    }
    for (unsigned type = VALUE_HASH; type < VALUE_TYPES_COUNT; type++) {
        walk.type = (enum value_type)type;
        if (find_collection(here, walk.type, &elements)) {
            walk_all(&elements, &walk, true);
        }
        if (find_collection(there, walk.type, &elements)) {
            walk_all(&elements, &walk, false);
        }
    }
    compare_key_itself(&walk);
}

/* ---- making it again ---- */

static bool write_element(struct elements_writer *writer, const struct rebase_element *element,
                          struct slice name, struct slice value) {
    bool is_new;
    double score, sum;
    long double number, total;
    switch (element->fate) {
    case ELEMENT_SET:
        if (element->type == VALUE_SORTED_SET) {
            return number_parse_double(value, &score) &&
                   element_set_score(writer, name, score, &is_new) == STORE_OK;
        }
        return element_set(writer, name, value, false, &is_new) == STORE_OK &&
               (element->expire_unix_ms == 0 ||
                element_expire(writer, name, element->expire_unix_ms));
    case ELEMENT_ADD:
        if (element->type == VALUE_SORTED_SET) {
            return number_parse_double(value, &score) &&
                   element_add_score(writer, name, score, &sum) == STORE_OK;
        }
        int64_t integer, result;
        if (number_parse_integer(value, &integer)) {
            return element_add_integer(writer, name, integer, &result) == STORE_OK;
        }
        return number_parse_float(value, &number) &&
               element_add_float(writer, name, number, &total) == STORE_OK;
    case ELEMENT_DELETE:
        (void)element_delete(writer, name);
        return true;
    case ELEMENT_KEY_EXPIRE:
    case ELEMENT_KEY_DELETE:
        break;
    }
    impossible("the key was handled before");
}

static void make_element(struct sync *sync, const struct rebase_element *element) {
    struct store *store = sync->store;
    struct key key = store_key(store, store_database_index(store, element->number),
                               slice_make(element->bytes, element->key_size));
    struct slice name = slice_make(element->bytes + element->key_size, element->name_size);
    struct slice value = slice_make(name.data + name.size, element->value_size);
    struct elements_writer writer;
    if (element->fate == ELEMENT_KEY_EXPIRE) {
        (void)store_expire(store, &key, element->expire_unix_ms);
    } else if (element->fate == ELEMENT_KEY_DELETE) {
        (void)store_delete(store, &key);
    } else if (element->type == VALUE_STRING) {
        sync->stats.keys_unclear +=
            strings_set(store, &key, value, element->expire_unix_ms) != STORE_OK;
    } else if (elements_open(store, &key, element->type, &writer) != STORE_OK) {
        sync->stats.keys_unclear++;
    } else {
        sync->stats.keys_unclear += !write_element(&writer, element, name, value);
        elements_close(&writer);
    }
    store_end_unit(store);
}

bool rebase_next_element(struct sync *sync) {
    struct rebase *rebase = sync->rebase;
    struct rebase_element *element = rebase->first_element;
    if (element == NULL) {
        return false;
    }
    make_element(sync, element);
    rebase->first_element = element->next;
    if (rebase->first_element == NULL) {
        rebase->last_element = NULL;
    }
    memory_free(element);
    return true;
}
