/* SPDX-License-Identifier: BSD-3-Clause */
/* Retiring a slot: the number of a replica that is gone for good becomes free for another one.
 *
 * Everybody has seen all that the replica wrote, so nobody has to know any more who wrote it: its
 * stamps get slot 0, settled, and its part of a counter becomes part of the register below it. A
 * walk by hash, some buckets a call, does that to one entry after another.
 *
 * Entries that settling has still to shorten are left alone, and the walk begins again until there
 * are none. It waits while a snapshot walk runs: one that began before would take a settled stamp
 * for one that it has seen.
 *
 * A node that has retired a replica cannot tell any more that it had seen what that wrote. So it
 * must have told before: its own mark, which its newest record brought to the others. One that has
 * written nothing since says so with a change that changes nothing.
 *
 * Its ref is noted as retired before the first entry changes: entries of a replica that is so noted
 * and has a slot may be either way, here and in snapshots.
 *
 * Invariant: what is shown stays the same, and so does what later changes make of it. A part that
 * was folded is superseded with its register, by whoever writes from now on; for a node that still
 * has the part, its writer has seen it (merge.c). */
#include "crdt/packed_list.h"
#include "store/merge.h"
#include "store/sequence.h"

enum { RETIRE_BUCKET_MAX = 4096 }; /* a bucket holds eight, and what spills over */

struct retire_walk {
    struct store *store;
    unsigned slot;
    struct buffer entries; /* addresses of those that take more than another stamp */
};

static bool has_slot(uint64_t stamp, unsigned slot) {
    return stamp_slot(stamp) == slot;
}

static void settle_stamp(uint64_t *stamp, unsigned slot) {
    if (has_slot(*stamp, slot)) {
        *stamp = stamp_make(stamp_ticks(*stamp), STAMP_SLOT_SETTLED);
    }
}

static void settle_stamp_up_to(uint64_t *stamp, unsigned slot, uint64_t ticks_max) {
    if (stamp_ticks(*stamp) <= ticks_max) {
        settle_stamp(stamp, slot);
    }
}

static void settle_stamp_at(unsigned char *at, unsigned slot) {
    uint64_t stamp = entry_load64(at);
    settle_stamp(&stamp, slot);
    entry_store64(at, stamp);
}

/* ---- entries ---- */

static bool collection_has_slot(const struct collection *collection, unsigned slot) {
    for (unsigned i = 0; i < collection->newest_count; i++) {
        if (collection->newest[i].slot == slot) {
            return true;
        }
    }
    return false;
}

static bool packed_has_slot(const struct store *store, struct slice packed, unsigned slot) {
    struct packed_walk walk;
    struct packed_element element;
    packed_walk_init(&walk, store->replicas.authors, packed);
    while (packed_walk_next(&walk, &element)) {
        if (has_slot(element.stamp, slot)) {
            return true;
        }
    }
    return false;
}

static bool contested_has_slot(const struct contested *contested, unsigned slot) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (has_slot(contested->registers[i].stamp, slot)) {
            return true;
        }
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        if (has_slot(contested->edits[i].stamp, slot)) {
            return true;
        }
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (has_slot(contested->parts[i].stamp, slot) ||
            has_slot(contested->parts[i].off_by, slot)) {
            return true;
        }
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        if (has_slot(contested->expiries[i].stamp, slot)) {
            return true;
        }
    }
    for (const struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        if (collection_has_slot(collection, slot)) {
            return true;
        }
    }
    return has_slot(contested->entry->stamp, slot);
}

static void settle_header(struct entry *entry, unsigned slot) {
    settle_stamp(&entry->stamp, slot);
    if ((entry->meta & ENTRY_HAS_EXPIRY_STAMP) != 0) {
        settle_stamp_at((unsigned char *)entry + ENTRY_TAIL_OFFSET + 8, slot);
    }
}

static void retire_in_place(struct entry *entry, unsigned slot) {
    settle_header(entry, slot);
    if (entry_kind(entry) == ENTRY_COUNTER_REGISTER) {
        settle_stamp_at(entry_body(entry) + 16, slot);
    } else if (entry_kind(entry) == ENTRY_FLOAT_COUNTER) {
        settle_stamp_at(entry_body(entry) + 24, slot);
    }
}

/* Does retiring the slot take more than another stamp in its place? */
static bool takes_more(const struct store *store, const struct entry *entry, unsigned slot) {
    switch (entry_kind(entry)) {
    case ENTRY_CONTESTED:
        return contested_has_slot(entry_contested(entry), slot);
    case ENTRY_PACKED:
        return packed_has_slot(store, entry_packed(entry), slot);
    case ENTRY_COLLECTION:
        return collection_has_slot(entry_collection(entry), slot);
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
    case ENTRY_FLOAT_COUNTER:
        return has_slot(entry->stamp, slot);
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
    case ENTRY_LARGE:
        break;
    }
    return false;
}

/* Settles what can be done in place, and notes the entry if that is not all: one that is half way
 * comes first, so that others in its bucket are not begun again and again. */
static void retire_visit(void *item, void *udata) {
    struct retire_walk *walk = (struct retire_walk *)udata;
    struct entry *entry = (struct entry *)item, *first = NULL;
    if (takes_more(walk->store, entry, walk->slot)) {
        buffer_append(&walk->entries, &entry, sizeof(entry));
        if (entry_kind(entry) == ENTRY_COLLECTION && entry_collection(entry)->retirement != NULL) {
            memcpy(&first, walk->entries.data, sizeof(first));
            memcpy(walk->entries.data + walk->entries.size - sizeof(first), &first, sizeof(first));
            memcpy(walk->entries.data, &entry, sizeof(entry));
        }
        return;
    }
    retire_in_place(entry, walk->slot);
}

/* ---- parts ---- */

/* What an integer part adds to the register, as text; false when one of them is no integer. A sum
 * beyond 64 bits saturates, as it does when it is shown. */
static bool fold_integer(struct slice base, const struct contested_part *part, char *text,
                         size_t *size) {
    int64_t number = 0;
    if (part->is_float || (base.size > 0 && !number_parse_integer(base, &number))) {
        return false;
    }
    __int128 sum = (__int128)number + part->total - part->off;
    number = sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
    *size = number_format_integer(text, number);
    return true;
}

static long double part_value(const struct contested_part *part) {
    return part->is_float ? part->float_total - part->float_off
                          : (long double)part->total - (long double)part->off;
}

uint64_t retire_folded_stamp(const struct contested *contested, const struct contested_part *part) {
    const struct contested_register *top = contested_top(contested);
    uint64_t ticks = stamp_ticks(part->stamp);
    if (top != NULL && stamp_ticks(top->stamp) > ticks) {
        ticks = stamp_ticks(top->stamp);
    }
    return stamp_make(ticks, STAMP_SLOT_SETTLED);
}

void retire_fold_part(const struct store *store, struct contested *contested, unsigned i) {
    struct contested_part part = contested->parts[i];
    bool is_ghost = contested_part_is_ghost(&part);
    contested_drop_part(contested, i);
    if (is_ghost) {
        return;
    }
    const struct contested_register *top = contested_top(contested);
    uint64_t stamp = retire_folded_stamp(contested, &part);
    char text[NUMBER_INTEGER_BYTES_MAX];
    size_t size;
    struct entry_scratch scratch;
    struct slice base = {0};
    if (top != NULL) {
        base = contested_register_bytes(top, &scratch);
    }
    bool is_number = top != NULL && top->form == CONTESTED_NUMBER;
    bool is_integer =
        !is_number && (top == NULL || base.size > 0) && fold_integer(base, &part, text, &size);
    long double number = is_number ? top->number : 0;
    if (!is_integer && !is_number && top != NULL && !number_parse_float(base, &number)) {
        return;
    }
    if (top != NULL) {
        contested_drop_register(contested, contested->registers_count - 1);
    }
    if (is_integer) {
        bool has_memory = contested_add_register(store, contested, stamp, slice_make(text, size));
        require(has_memory);
    } else {
        contested_add_number(store, contested, stamp, number + part_value(&part));
    }
}

/* ---- what needs more than a stamp ---- */

/* Is there nothing left to settle? A register that not all have seen would be taken for settled, if
 * a part became one with it. And what was taken off of a part is asked for by who has yet to see
 * the DELETE that left it untold (amounts.h): a number does not tell. */
static bool is_quiet(const struct contested *contested, const struct context *frontier) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (!context_covers(frontier, contested->registers[i].stamp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (contested_part_is_ghost(&contested->parts[i]) ||
            !context_covers(frontier, contested->parts[i].off_by)) {
            return false;
        }
    }
    return contested->registers_count <= 1 && contested->edits_count == 0 &&
           contested->expiries_count <= 1 && contested->shown != CONTESTED_HIDDEN &&
           !contested_has_types(contested);
}

void retire_stamps(struct contested *contested, unsigned slot, uint64_t ticks_max) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        settle_stamp_up_to(&contested->registers[i].stamp, slot, ticks_max);
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        settle_stamp_up_to(&contested->edits[i].stamp, slot, ticks_max);
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        settle_stamp_up_to(&contested->expiries[i].stamp, slot, ticks_max);
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        settle_stamp_up_to(&contested->parts[i].off_by, slot, ticks_max);
    }
}

static void retire_elements(const struct store *store, struct contested *contested, unsigned slot) {
    const struct contested_part *part = contested_find_part(contested, slot);
    retire_stamps(contested, slot, STAMP_TICKS_MAX);
    if (part != NULL) {
        retire_fold_part(store, contested, (unsigned)(part - contested->parts));
    }
}

enum retire_progress {
    RETIRE_DONE,
    RETIRE_NOT_READY, /* something has to settle first */
    RETIRE_GOES_ON,   /* there is more of it */
};

static enum retire_progress retire_collection(struct store *store, struct collection *collection,
                                              unsigned slot, const struct context *frontier);

/* The entry of the key, or element, at `key`. */
static enum retire_progress retire_place(struct store *store, const struct key *key,
                                         struct entry *entry, unsigned slot,
                                         const struct context *frontier) {
    struct entry_parts parts;
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        if (!is_quiet(entry_contested(entry), frontier)) {
            return RETIRE_NOT_READY;
        }
    } else {
        entry_take_apart(entry, &parts);
        if (!context_covers(frontier, parts.register_stamp)) {
            return RETIRE_NOT_READY;
        }
    }
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        for (struct collection *collection = entry_contested(entry)->collections;
             collection != NULL; collection = collection->next) {
            enum retire_progress progress = retire_collection(store, collection, slot, frontier);
            if (progress != RETIRE_DONE) {
                return progress;
            }
        }
    }
    struct contested *contested = contested_open(store, key, mutate_slot(store, key));
    retire_elements(store, contested, slot);
    settle_header(contested->entry, slot);
    contested_close(store, key, 0);
    return RETIRE_DONE;
}

/* Those of a list may then need more bytes than are packed. */
static void retire_packed_list(struct store *store, const struct key *key, unsigned slot) {
    uint64_t *place = mutate_slot(store, key);
    struct collection *collection = collection_unpack(store, key, place);
    bool are_all = sequence_retire(collection, slot); /* values are short: no memory is needed */
    require(are_all);
    collection_retire_slot(collection, slot);
    settle_header(collection->entry, slot);
    collection_finish(store, collection, 0);
}

/* Packed elements are put again with other stamps. */
static void retire_packed(struct store *store, const struct key *key, struct entry *entry,
                          unsigned slot) {
    struct slice old = entry_packed(entry);
    if (packed_type(old) == VALUE_LIST) {
        retire_packed_list(store, key, slot);
        return;
    }
    struct buffer packed = {0}, next = {0};
    struct packed_reader reader;
    struct packed_element element;
    packed_reader_init(&reader, old);
    settle_stamp(&reader.base, slot);
    packed_begin(&packed, reader.type, reader.base);
    packed_reader_init(&reader, old);
    while (packed_next(&reader, &element)) {
        settle_stamp(&element.stamp, slot);
        buffer_clear(&next);
        packed_put(&next, buffer_slice(&packed), NULL, &element);
        struct buffer spare = packed;
        packed = next;
        next = spare;
    }
    struct entry_parts parts;
    entry_take_apart(entry, &parts);
    parts.bytes = buffer_slice(&packed);
    struct entry *replaced = entry_new(&parts);
    require(replaced != NULL);
    settle_header(replaced, slot);
    table_replace(mutate_slot(store, key), replaced);
    entry_free(entry);
    buffer_deinit(&packed);
    buffer_deinit(&next);
}

static enum retire_progress retire_entry(struct store *store, unsigned db, struct entry *entry,
                                         unsigned slot, const struct context *frontier) {
    enum retire_progress progress = RETIRE_DONE;
    struct buffer name = {0};
    buffer_append_slice(&name, entry_key(entry));
    struct key key = store_key(store, db, name.size > 0 ? buffer_slice(&name) : SLICE(""));
    if (entry_kind(entry) == ENTRY_PACKED) {
        retire_packed(store, &key, entry, slot);
    } else if (entry_kind(entry) == ENTRY_COLLECTION) {
        progress = retire_collection(store, entry_collection(entry), slot, frontier);
        if (progress != RETIRE_GOES_ON) {
            settle_header(entry, slot);
            collection_finish(store, entry_collection(entry), 0);
        }
    } else {
        progress = retire_place(store, &key, entry, slot, frontier);
    }
    buffer_deinit(&name);
    return progress;
}

/* ---- elements ---- */

/* Some elements of a large collection a call, where the last call ended. One that came meanwhile is
 * not of the replica. */
struct collection_retirement {
    uint64_t run; /* store.retirements_begun: what an earlier one did may be undone by now */
    bool has_left_some;
    uint64_t position;  /* hash in the table */
    struct buffer name; /* LIST, STREAM: the last one that was seen to */
};

void retire_forget_collection(struct collection *collection) {
    if (collection->retirement != NULL) {
        buffer_deinit(&collection->retirement->name);
        memory_free(collection->retirement);
        collection->retirement = NULL;
    }
}

struct retire_element {
    unsigned slot;
    const struct context *frontier;
    bool has_left_some;
    uint64_t count, count_max;
};

static void retire_element(struct store *store, struct collection *collection, struct entry *entry,
                           void *udata) {
    struct retire_element *walk = (struct retire_element *)udata;
    walk->count++;
    if (!takes_more(store, entry, walk->slot)) {
        retire_in_place(entry, walk->slot);
        return;
    }
    struct buffer name = {0};
    buffer_append_slice(&name, entry_key(entry));
    struct key key =
        collection_key(store, collection, store_database_index(store, collection->database),
                       name.size > 0 ? buffer_slice(&name) : SLICE(""));
    collection_before(store, &key);
    if (retire_place(store, &key, entry, walk->slot, walk->frontier) != RETIRE_DONE) {
        walk->has_left_some = true;
    }
    collection_after(store, &key, 0);
    buffer_deinit(&name);
}

/* A plain element of a list gets its stamp in the map, another one in the table, wherever it was
 * when the walk began: so it is one walk, by name. True at the end. */
static bool retire_sequence(struct store *store, struct collection *collection,
                            struct retire_element *walk, struct buffer *name) {
    struct ordered_map_cursor cursor;
    bool is_there = name->size > 0
                        ? ordered_map_lower_bound(collection->map, buffer_slice(name), &cursor)
                        : ordered_map_first(collection->map, &cursor);
    if (is_there && slice_equal(cursor.element.name, buffer_slice(name))) {
        is_there = ordered_map_next(collection->map, &cursor);
    }
    while (is_there && walk->count < walk->count_max) {
        uint64_t stamp = cursor.element.stamp;
        buffer_clear(name);
        buffer_append_slice(name, cursor.element.name);
        if (cursor.element.flags != 0) {
            retire_element(store, collection, sequence_intricate(store, collection, &cursor), walk);
            /* It may have moved into the map. */
            is_there = ordered_map_find(collection->map, buffer_slice(name), &cursor);
            ensure(is_there);
        }
        stamp = cursor.element.stamp;
        if (has_slot(stamp, walk->slot) &&
            !ordered_map_replace(&collection->map, &cursor,
                                 stamp_make(stamp_ticks(stamp), STAMP_SLOT_SETTLED),
                                 cursor.element.flags, cursor.element.value)) {
            walk->has_left_some = true;
        }
        walk->count += cursor.element.flags == 0;
        is_there = ordered_map_next(collection->map, &cursor);
    }
    return !is_there;
}

struct retire_gathered {
    struct entry *entries[RETIRE_BUCKET_MAX];
    unsigned count;
};

static void retire_gather(void *item, void *udata) {
    struct retire_gathered *bucket = (struct retire_gathered *)udata;
    require(bucket->count < RETIRE_BUCKET_MAX);
    bucket->entries[bucket->count++] = (struct entry *)item;
}

static bool retire_table(struct store *store, struct collection *collection,
                         struct retire_element *walk, uint64_t *position) {
    struct retire_gathered *bucket = memory_alloc(sizeof(*bucket));
    do {
        bucket->count = 0;
        *position = table_walk(&collection->space.table, *position, retire_gather, bucket);
        for (unsigned i = 0; i < bucket->count; i++) {
            retire_element(store, collection, bucket->entries[i], walk);
        }
    } while (*position != 0 && walk->count < walk->count_max);
    memory_free(bucket);
    return *position == 0;
}

static enum retire_progress retire_collection(struct store *store, struct collection *collection,
                                              unsigned slot, const struct context *frontier) {
    if (!collection_has_slot(collection, slot)) {
        return RETIRE_DONE;
    }
    if (collection->retirement != NULL && collection->retirement->run != store->retirements_begun) {
        retire_forget_collection(collection);
    }
    if (collection->retirement == NULL) {
        collection->retirement = memory_alloc_zero(sizeof(*collection->retirement));
        collection->retirement->run = store->retirements_begun;
        /* Elements have settled stamps from now on: I1 of collection.h. */
        collection_note_settled(collection, slot);
    }
    struct collection_retirement *retirement = collection->retirement;
    struct retire_element walk = {
        .slot = slot, .frontier = frontier, .count_max = store->elements_a_step + 1};
    bool is_through = collection_is_sequence(collection->type)
                          ? retire_sequence(store, collection, &walk, &retirement->name)
                          : retire_table(store, collection, &walk, &retirement->position);
    retirement->has_left_some |= walk.has_left_some;
    store->retirement.elements += walk.count;
    if (!is_through) {
        return RETIRE_GOES_ON;
    }
    bool has_left_some = retirement->has_left_some;
    retire_forget_collection(collection);
    if (!has_left_some) {
        collection_retire_slot(collection, slot);
    }
    return has_left_some ? RETIRE_NOT_READY : RETIRE_DONE;
}

/* Do all others know from this node's records that it has seen all of the replica? */
static bool retire_is_told(struct store *store, unsigned slot) {
    const struct replica *self = &store->replicas.slots[store->replicas.self];
    uint64_t told = slot < self->mark_count ? self->mark[slot] : 0;
    if ((told >= store->context.stamps[slot] && !store->replicas.tells_anew) ||
        !store->journal.is_on) {
        return true;
    }
    if (!store->retirement.has_told && store->journal.bytes.size == 0) {
        struct change nothing = {.kind = CHANGE_TAKE, .stamp = mutate_stamp(store)};
        mutate_record(store, NULL, &nothing);
        store_end_unit(store);
        store->retirement.has_told = true;
    }
    return false;
}

/* False: there is more to do in this bucket, for another call. */
static bool retire_bucket(struct store *store, unsigned slot, const struct context *frontier) {
    struct store_retirement *retirement = &store->retirement;
    unsigned db = retirement->db;
    struct retire_walk walk = {.store = store, .slot = slot};
    uint64_t next = table_walk(&store->dbs[db].table, retirement->position, retire_visit, &walk);
    bool goes_on = false;
    for (size_t i = 0; i < walk.entries.size && !goes_on; i += sizeof(struct entry *)) {
        struct entry *entry;
        memcpy(&entry, walk.entries.data + i, sizeof(entry));
        switch (retire_entry(store, db, entry, slot, frontier)) {
        case RETIRE_DONE:
            break;
        case RETIRE_NOT_READY:
            retirement->has_left_some = true;
            break;
        case RETIRE_GOES_ON:
            goes_on = true;
            break;
        }
    }
    buffer_deinit(&walk.entries);
    if (goes_on) {
        return false;
    }
    retirement->position = next;
    if (retirement->position == 0) {
        retirement->db++;
    }
    return true;
}

static void begin_run(struct store *store, unsigned slot) {
    store->retirement = (struct store_retirement){.slot = slot};
    store->retirements_begun++;
}

bool store_retire_some(struct store *store, unsigned slot, const struct context *frontier,
                       unsigned buckets_max) {
    struct store_retirement *retirement = &store->retirement;
    require(slot != STAMP_SLOT_SETTLED);
    require(slot != store->replicas.self);
    require(slot < store->replicas.slots_count);
    if (store->walk != NULL || store->sync != NULL) {
        return false;
    }
    if (store->graves != NULL) {
        graves_open_some(store, store->elements_a_step + 1);
        return false;
    }
    if (retirement->slot != slot) {
        begin_run(store, slot);
    }
    if (!retire_is_told(store, slot)) {
        return false;
    }
    /* From now on some keys are without it, and whoever looks at this state has to know that. */
    const struct replica *replica = &store->replicas.slots[slot];
    struct retired_replica retired = {.ref = replica->ref,
                                      .ticks = stamp_ticks(store->context.stamps[slot]),
                                      .born_ticks = replica_born_ticks(&replica->id)};
    replicas_note_retired(&store->replicas, &retired);
    uint64_t elements_end = retirement->elements + store->elements_a_step + 1;
    for (unsigned i = 0; i < buckets_max && retirement->db < store->dbs_count &&
                         retirement->elements < elements_end;
         i++) {
        if (!retire_bucket(store, slot, frontier)) {
            return false;
        }
    }
    if (retirement->db < store->dbs_count) {
        return false;
    }
    if (retirement->has_left_some) {
        begin_run(store, slot);
        return false;
    }
    *retirement = (struct store_retirement){0};
    settle_stamp(&store->order_stamp, slot);
    uint64_t ticks = stamp_ticks(store->context.stamps[slot]);
    store->context.stamps[slot] = 0;
    replicas_retire(&store->replicas, slot, ticks);
    return true;
}
