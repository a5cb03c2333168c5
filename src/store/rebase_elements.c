/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/rebase_elements.h"

#include "store/elements.h"
#include "store/merge.h"
#include "store/rebase_compare.h"
#include "store/sequence.h"
#include "store/strings.h"

enum element_fate {
    ELEMENT_SET,
    ELEMENT_ADD,
    ELEMENT_TAKE,
    ELEMENT_DELETE,
    ELEMENT_EXPIRE,
    ELEMENT_KEY_EXPIRE,
    ELEMENT_KEY_DELETE
};

/* Others may have written to the element since it was compared: is it to be written all the same? A
 * SET, or DELETE, would take away what this node has not seen. */
enum element_condition { ELEMENT_ALWAYS, ELEMENT_IF_SAME, ELEMENT_IF_CHANGED };

/* One element to be written again. Its key, name and value follow one another in `bytes`. */
struct rebase_element {
    struct rebase_element *next;
    enum element_fate fate;
    enum element_condition condition;
    enum value_type type;
    uint64_t newest_ticks;   /* of the mesh's element when it was compared; 0: there was none */
    uint64_t register_ticks; /* IF_CHANGED, ADD: while the number stands on that register */
    unsigned number;         /* of its database */
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
    for (unsigned i = 0; rebase->has_elements && i < REBASE_ELEMENT_STORES; i++) {
        sync_aside_deinit(&rebase->elements[i]);
    }
    rebase->has_elements = false;
}

static void put_bytes(char **at, struct slice bytes) {
    if (bytes.size > 0) {
        memcpy(*at, bytes.data, bytes.size);
        *at += bytes.size;
    }
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

/* One element on one side: an entry, or something plain and in order. */
struct side {
    bool is_there;
    const struct entry *entry; /* NULL: it is plain */
    struct packed_element plain;
    struct ordered_map_block block; /* where a value of a packed list lies */
};

static bool is_plain_entry(const struct entry *entry) {
    return (entry_kind(entry) == ENTRY_BYTES || entry_kind(entry) == ENTRY_INTEGER ||
            entry_kind(entry) == ENTRY_LARGE) &&
           entry_expire_unix_ms(entry) == 0 && entry_expire_stamp(entry) == entry->stamp;
}

static struct slice side_name(const struct side *side) {
    return side->entry != NULL ? entry_key(side->entry) : side->plain.name;
}

static uint64_t side_stamp(const struct side *side) {
    return side->entry != NULL ? side->entry->stamp : side->plain.stamp;
}

/* Of the newest change of it; 0: it is not there. */
static uint64_t side_newest_ticks(const struct side *side) {
    return !side->is_there       ? 0
           : side->entry != NULL ? stamp_ticks(entry_newest_stamp(side->entry))
                                 : stamp_ticks(side->plain.stamp);
}

static void look_at_cursor(const struct ordered_map_cursor *cursor, struct slice name,
                           struct side *side) {
    *side = (struct side){
        .is_there = true,
        .plain = {.name = name, .value = cursor->element.value, .stamp = cursor->element.stamp}};
}

/* An element of a packed list. */
static void look_for_packed(const struct store *store, struct slice packed, struct slice name,
                            struct side *side) {
    struct ordered_map_cursor cursor;
    if (ordered_map_find(packed_list_map(store->replicas.authors, packed, &side->block), name,
                         &cursor)) {
        side->is_there = true;
        side->plain = (struct packed_element){
            .name = name, .value = cursor.element.value, .stamp = cursor.element.stamp};
    }
}

static void look_for(const struct store *store, const struct entry *entry, enum value_type type,
                     struct slice name, struct side *side) {
    struct elements elements;
    *side = (struct side){0};
    if (!find_collection(entry, type, &elements)) {
        return;
    }
    if (elements.collection == NULL && type == VALUE_LIST) {
        look_for_packed(store, elements.packed, name, side);
        return;
    }
    if (elements.collection == NULL) {
        side->is_there = packed_find(elements.packed, name, &side->plain);
        return;
    }
    struct ordered_map_cursor cursor;
    if (ordered_map_find(elements.collection->map, name, &cursor) && cursor.element.flags == 0) {
        look_at_cursor(&cursor, name, side); /* not the cursor's name, which goes with it */
        return;
    }
    struct key key = collection_key(store, elements.collection, 0, name);
    uint64_t *slot = mutate_slot(store, &key);
    side->is_there = slot != NULL;
    side->entry = slot != NULL ? table_item(*slot) : NULL;
}

struct compare_walk {
    struct sync *sync;
    const struct state_merge *merge;
    const struct key *key;
    struct entry *here, *there;
    enum value_type type;
    uint64_t
        their_ticks; /* newest of the mesh's element that is being compared; 0: there is none */
    bool is_memory_out;
};

/* Notes what is to be written. */
static struct rebase_element *put_element(const struct compare_walk *walk, enum element_fate fate,
                                          enum value_type type, struct slice name,
                                          struct slice value, uint64_t expire_unix_ms) {
    struct sync *sync = walk->sync;
    struct rebase *rebase = sync->rebase;
    struct slice key = walk->key->name;
    struct rebase_element *element =
        memory_alloc(sizeof(*element) + key.size + name.size + value.size);
    bool is_whole = fate == ELEMENT_SET || fate == ELEMENT_DELETE;
    *element = (struct rebase_element){.fate = fate,
                                       .condition = is_whole ? ELEMENT_IF_SAME : ELEMENT_ALWAYS,
                                       .type = type,
                                       .newest_ticks = walk->their_ticks,
                                       .number = sync->store->dbs[walk->key->db].number,
                                       .expire_unix_ms = expire_unix_ms,
                                       .key_size = key.size,
                                       .name_size = name.size,
                                       .value_size = value.size};
    char *at = element->bytes;
    put_bytes(&at, key);
    put_bytes(&at, name);
    put_bytes(&at, value);
    if (rebase->last_element == NULL) {
        rebase->first_element = element;
    } else {
        rebase->last_element->next = element;
    }
    rebase->last_element = element;
    sync->stats.keys_reissued++;
    return element;
}

/* ---- counters and whatever else is not plain ---- */

static struct store *element_stores(struct sync *sync) {
    struct rebase *rebase = sync->rebase;
    for (unsigned i = 0; i < REBASE_ELEMENT_STORES; i++) {
        if (!rebase->has_elements) {
            sync_aside_init(&rebase->elements[i], sync->store);
        }
        sync_aside_lend(&rebase->elements[i], sync->store);
        bool is_taken = sync_take_seed(&rebase->elements[i], sync->store->seed);
        ensure(is_taken);
    }
    rebase->has_elements = true;
    return rebase->elements;
}

/* Puts a copy of the element into a store aside. False when memory is out. */
static bool put_aside(const struct compare_walk *walk, struct store *aside, const struct key *key,
                      const struct side *side) {
    if (!side->is_there) {
        return true;
    }
    if (side->entry != NULL && entry_kind(side->entry) == ENTRY_CONTESTED) {
        return sync_copy(aside, key, entry_contested(side->entry), side->entry->stamp);
    }
    struct entry *entry;
    if (side->entry == NULL) {
        entry = collection_packed_entry(aside, walk->type, &side->plain);
    } else {
        struct entry_parts parts;
        entry_take_apart(side->entry, &parts);
        if (parts.kind == ENTRY_LARGE) {
            parts.large = large_string_copy(slice_make(parts.large->bytes, parts.large->size));
            if (parts.large == NULL) {
                return false;
            }
        }
        entry = entry_new(&parts);
    }
    if (entry == NULL) {
        return false;
    }
    table_insert(&aside->dbs[key->db].table, key->hash, entry, entry_expire_unix_ms(entry) != 0);
    return true;
}

/* What a SET or DELETE does to numbers, should others have added to them meanwhile. */
static void note_otherwise(const struct compare_walk *walk, const struct rebase_verdict *verdict,
                           struct slice name) {
    char text[NUMBER_FLOAT_BYTES_MAX];
    struct rebase_element *element;
    if (verdict->takes.size > 0) {
        element =
            put_element(walk, ELEMENT_TAKE, walk->type, name, buffer_slice(&verdict->takes), 0);
        element->condition = ELEMENT_IF_CHANGED;
    }
    struct slice value = {0};
    if (verdict->otherwise == REBASE_INCREMENT && verdict->delta != 0) {
        value = slice_make(text, number_format_integer(text, verdict->delta));
    } else if (verdict->otherwise == REBASE_FLOAT_INCREMENT && verdict->float_delta != 0) {
        value = slice_make(text, number_format_float(text, verdict->float_delta));
    }
    if (value.size > 0) {
        element = put_element(walk, ELEMENT_ADD, walk->type, name, value, 0);
        element->condition = ELEMENT_IF_CHANGED;
        element->register_ticks = verdict->register_ticks;
    }
}

static void note_verdict(const struct compare_walk *walk, const struct rebase_verdict *verdict,
                         const struct rebase_place *place) {
    struct entry_scratch scratch;
    char text[NUMBER_FLOAT_BYTES_MAX];
    struct slice value = slice_make("", 0), name = place->key->name;
    enum element_fate fate = ELEMENT_SET;
    bool has_change = true;
    switch (verdict->kind) {
    case REBASE_NOTHING:
        return;
    case REBASE_DELETE:
        fate = ELEMENT_DELETE;
        break;
    case REBASE_EXPIRE:
        fate = ELEMENT_EXPIRE;
        break;
    case REBASE_PATCH:
        impossible("elements are not patched");
    case REBASE_SET:
        value = entry_value(rebase_entry_at(place->aside, place->key), &scratch);
        break;
    case REBASE_INCREMENT:
        fate = ELEMENT_ADD;
        has_change = verdict->delta != 0;
        value = slice_make(text, number_format_integer(text, verdict->delta));
        break;
    case REBASE_FLOAT_INCREMENT:
        fate = ELEMENT_ADD;
        has_change = verdict->float_delta != 0;
        value = slice_make(text, number_format_float(text, verdict->float_delta));
        break;
    }
    if (verdict->otherwise != REBASE_NOTHING) {
        note_otherwise(walk, verdict, name);
    } else if (verdict->takes.size > 0) {
        (void)put_element(walk, ELEMENT_TAKE, walk->type, name, buffer_slice(&verdict->takes), 0);
    }
    if (has_change) {
        (void)put_element(walk, fate, walk->type, name, value, verdict->expire_unix_ms);
    }
    if (verdict->sets_expiry) {
        (void)put_element(walk, ELEMENT_EXPIRE, walk->type, name, slice_make("", 0),
                          verdict->expire_unix_ms);
    }
}

static void compare_deep(struct compare_walk *walk, struct slice name, const struct side *ours,
                         const struct side *theirs) {
    struct store *stores = element_stores(walk->sync);
    struct key key = store_key(&stores[0], 0, name);
    struct rebase_place place = {.key = &key,
                                 .owner = walk->key,
                                 .type = walk->type,
                                 .ours = &stores[0],
                                 .theirs = &stores[1],
                                 .aside = &stores[2]};
    struct rebase_verdict verdict;
    struct state_merge merge = *walk->merge;
    if (merge.settled_ticks_here != UINT64_MAX && theirs->is_there && theirs->entry != NULL &&
        rebase_all_was_logged(walk->sync, &merge, walk->key, walk->type, name, theirs->entry)) {
        merge.settled_ticks_here = UINT64_MAX;
    }
    if (put_aside(walk, place.ours, &key, ours) && put_aside(walk, place.theirs, &key, theirs) &&
        rebase_compare(walk->sync, &merge, &place, &verdict)) {
        note_verdict(walk, &verdict, &place);
        buffer_deinit(&verdict.takes);
    } else {
        walk->is_memory_out = true;
    }
    for (unsigned i = 0; i < REBASE_ELEMENT_STORES; i++) {
        rebase_drop(&stores[i], &key);
    }
}

static bool is_deep(const struct side *side) {
    return side->is_there && side->entry != NULL && !is_plain_entry(side->entry);
}

/* ---- what is plain ---- */

/* Its value as changes have it; it lies in the side, in `view` or in `text`. */
static struct slice side_value(const struct compare_walk *walk, const struct side *side,
                               struct element *view, char text[NUMBER_FLOAT_BYTES_MAX]) {
    if (side->entry != NULL) {
        element_view(side->entry, walk->type, view);
    } else {
        view->value = side->plain.value;
        view->score = side->plain.score;
    }
    return walk->type == VALUE_SORTED_SET
               ? slice_make(text, number_format_double(text, view->score))
               : view->value;
}

static void reissue(const struct compare_walk *walk, const struct side *ours) {
    char text[NUMBER_FLOAT_BYTES_MAX];
    struct element *view = memory_alloc_zero(sizeof(*view));
    (void)put_element(walk, ELEMENT_SET, walk->type, side_name(ours),
                      side_value(walk, ours, view, text), 0);
    memory_free(view);
}

/* Was it made again, and seen here as it was before? */
static bool was_made_again(const struct compare_walk *walk, const struct side *theirs) {
    char text[NUMBER_FLOAT_BYTES_MAX];
    if (walk->sync->made_again == NULL) {
        return false;
    }
    struct element *view = memory_alloc_zero(sizeof(*view));
    struct seen_place place = {.number = walk->sync->store->dbs[walk->key->db].number,
                               .type = walk->type,
                               .key = walk->key->name,
                               .element = side_name(theirs)};
    bool is_known =
        made_again_has(walk->sync->made_again, &place, side_value(walk, theirs, view, text));
    memory_free(view);
    return is_known;
}

/* Had this node seen what the mesh has? */
static bool was_seen(const struct compare_walk *walk, const struct side *theirs) {
    uint64_t stamp = side_stamp(theirs);
    return state_merge_covers_here(walk->merge, stamp) ||
           (stamp_slot(stamp) == STAMP_SLOT_SETTLED &&
            rebase_was_logged(walk->sync, walk->key, walk->type, side_name(theirs), stamp)) ||
           was_made_again(walk, theirs);
}

/* An element that is here. */
static void compare_ours(struct compare_walk *walk, const struct side *ours) {
    struct store *store = walk->sync->store;
    struct side theirs;
    look_for(store, walk->there, walk->type, side_name(ours), &theirs);
    walk->their_ticks = side_newest_ticks(&theirs);
    if (is_deep(ours) || is_deep(&theirs)) {
        compare_deep(walk, side_name(ours), ours, &theirs);
        return;
    }
    uint64_t stamp = side_stamp(ours);
    bool is_unknown =
        !state_merge_covers_there(walk->merge, stamp) && rebase_is_ours(walk->sync, stamp);
    bool wins = !theirs.is_there || was_seen(walk, &theirs) ||
                replicas_compare_stamps(&store->replicas, stamp, side_stamp(&theirs)) > 0;
    if (is_unknown && wins && !(theirs.is_there && side_stamp(&theirs) == stamp)) {
        reissue(walk, ours);
    }
}

/* An element that the mesh has: was it removed here? */
static void compare_theirs(struct compare_walk *walk, const struct side *theirs) {
    struct side ours;
    look_for(walk->sync->store, walk->here, walk->type, side_name(theirs), &ours);
    if (ours.is_there) {
        return; /* it was compared */
    }
    walk->their_ticks = side_newest_ticks(theirs);
    if (is_deep(theirs)) {
        compare_deep(walk, side_name(theirs), &ours, theirs);
    } else if (was_seen(walk, theirs)) {
        (void)put_element(walk, ELEMENT_DELETE, walk->type, side_name(theirs), slice_make("", 0),
                          0);
    }
}

static void ours_visit(void *item, void *udata) {
    const struct side side = {.is_there = true, .entry = (const struct entry *)item};
    compare_ours((struct compare_walk *)udata, &side);
}

static void theirs_visit(void *item, void *udata) {
    const struct side side = {.is_there = true, .entry = (const struct entry *)item};
    compare_theirs((struct compare_walk *)udata, &side);
}

/* The plain elements of a list; others are in the table. */
static void walk_plain(const struct collection *collection, struct compare_walk *walk,
                       bool is_ours) {
    struct ordered_map_cursor cursor;
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        struct side side;
        if (cursor.element.flags != 0) {
            continue;
        }
        look_at_cursor(&cursor, cursor.element.name, &side);
        if (is_ours) {
            compare_ours(walk, &side);
        } else {
            compare_theirs(walk, &side);
        }
    }
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
    struct side side = {.is_there = true};
    packed_walk_init(&reader, walk->sync->store->replicas.authors, elements->packed);
    while (packed_walk_next(&reader, &side.plain)) {
        if (is_ours) {
            compare_ours(walk, &side);
        } else {
            compare_theirs(walk, &side);
        }
    }
}

/* Had this node seen all that the mesh has under the key? */
static bool saw_all(const struct compare_walk *walk, const struct entry *there) {
    return walk->merge->settled_ticks_here == UINT64_MAX &&
           state_merge_entry_is_covered(walk->sync->store, there, walk->sync->seen.stamps,
                                        STAMP_SLOTS_COUNT);
}

static void compare_key_itself(struct compare_walk *walk) {
    const struct entry *here = walk->here, *there = walk->there;
    if (here == NULL || there == NULL || entry_is_hidden(here)) {
        return;
    }
    if (entry_expire_unix_ms(here) != entry_expire_unix_ms(there) &&
        !state_merge_covers_there(walk->merge, entry_expire_stamp(here)) &&
        rebase_is_ours(walk->sync, entry_expire_stamp(here))) {
        (void)put_element(walk, ELEMENT_KEY_EXPIRE, entry_type(here), slice_make("", 0),
                          slice_make("", 0), entry_expire_unix_ms(here));
    }
}

bool rebase_elements(struct sync *sync, const struct state_merge *merge, const struct key *key,
                     struct entry *here, struct entry *there) {
    struct compare_walk walk = {
        .sync = sync, .merge = merge, .key = key, .here = here, .there = there};
    struct elements elements;
    if (here != NULL && there != NULL && !entry_is_hidden(here) && !entry_is_hidden(there) &&
        entry_type(here) != entry_type(there) && saw_all(&walk, there) &&
        !state_merge_covers_there(merge, here->stamp) && rebase_is_ours(sync, here->stamp)) {
        /* It was replaced by a value of another type. */
        (void)put_element(&walk, ELEMENT_KEY_DELETE, VALUE_STRING, slice_make("", 0),
                          slice_make("", 0), 0);
        if (entry_type(here) == VALUE_STRING) {
            struct entry_scratch scratch;
            (void)put_element(&walk, ELEMENT_SET, VALUE_STRING, slice_make("", 0),
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
    return !walk.is_memory_out;
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
    case ELEMENT_ADD: /* beginning with nothing, as make_increment() does */
        if (element->type == VALUE_SORTED_SET) {
            return number_parse_double(value, &score) &&
                   element_add_score(writer, name, 0, &sum) == STORE_OK &&
                   element_add_score(writer, name, score, &sum) == STORE_OK;
        }
        int64_t integer, result;
        if (number_parse_integer(value, &integer) &&
            element_add_integer(writer, name, 0, &result) == STORE_OK &&
            element_add_integer(writer, name, integer, &result) == STORE_OK) {
            return true;
        }
        /* The difference of two floats may be whole. */
        return number_parse_float(value, &number) &&
               element_add_float(writer, name, 0, &total) == STORE_OK &&
               element_add_float(writer, name, number, &total) == STORE_OK;
    case ELEMENT_TAKE:
        element_take(writer, name, value);
        return true;
    case ELEMENT_DELETE:
        (void)element_delete(writer, name);
        return true;
    case ELEMENT_EXPIRE:
        (void)element_expire(writer, name, element->expire_unix_ms);
        return true;
    case ELEMENT_KEY_EXPIRE:
    case ELEMENT_KEY_DELETE:
        break;
    }
    impossible("the key was handled before");
}

/* Has the mesh written to the element since it was compared? One that is gone may be set. */
static bool is_due(const struct sync *sync, const struct rebase_element *element,
                   const struct key *key, struct slice name) {
    if (element->condition == ELEMENT_ALWAYS) {
        return true;
    }
    struct side now;
    look_for(sync->store, store_peek(sync->store, key), element->type, name, &now);
    if (!now.is_there) {
        return element->condition == ELEMENT_IF_SAME && element->fate == ELEMENT_SET;
    }
    bool is_same = side_newest_ticks(&now) == element->newest_ticks;
    if (element->condition == ELEMENT_IF_SAME) {
        return is_same;
    }
    uint64_t register_ticks =
        now.entry != NULL ? rebase_register_ticks(now.entry) : stamp_ticks(now.plain.stamp);
    return !is_same && (element->fate == ELEMENT_TAKE || register_ticks == element->register_ticks);
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
    } else if (is_due(sync, element, &key, name) &&
               elements_open(store, &key, element->type, &writer) == STORE_OK) {
        /* Else the mesh has something of another type there, which takes the place. */
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
