/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/contested.h"

#include "crdt/hyperloglog.h"
#include "store/collection.h"
#include "store/mutate.h"

/* A compact entry has no place for more. */
enum { CONTESTED_COMPACT_TEXT_BYTES_MAX = 64 };

/* ---- what is shown ---- */

/* Register and live parts as an integer; false when one of them is none. Only merging can exceed
 * the range, a local INCR refuses to. */
static bool sum_integers(const struct contested *contested, int64_t base, int64_t *sum) {
    __int128 value = base;
    for (unsigned i = 0; i < contested->parts_count; i++) {
        const struct contested_part *part = &contested->parts[i];
        if (!contested_part_is_ghost(part)) {
            if (part->is_float) {
                return false;
            }
            value += (__int128)part->total - part->off;
        }
    }
    *sum = value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
    return true;
}

/* In the order of refs, so that all nodes come to the same digits. */
static long double sum_floats(const struct contested *contested, long double base) {
    for (unsigned i = 0; i < contested->parts_count; i++) {
        const struct contested_part *part = &contested->parts[i];
        if (!contested_part_is_ghost(part)) {
            base += part->is_float ? part->float_total - part->float_off
                                   : (long double)part->total - (long double)part->off;
        }
    }
    return base;
}

static bool has_live_parts(const struct contested *contested) {
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (!contested_part_is_ghost(&contested->parts[i])) {
            return true;
        }
    }
    return false;
}

static void show_number(struct contested *contested, bool base_is_integer, int64_t integer,
                        long double number) {
    if (base_is_integer && sum_integers(contested, integer, &contested->shown_integer)) {
        contested->shown = CONTESTED_SHOWS_INTEGER;
    } else {
        contested->shown_float = sum_floats(contested, number);
        contested->shown = CONTESTED_SHOWS_FLOAT;
    }
}

/* Brings `shown` up to date, as far as strings go. */
static void show_string(struct contested *contested) {
    const struct contested_register *top = contested_top(contested);
    if (contested->edits_count == 0) {
        contested_forget_overlay(contested);
        contested->edits_are_in_place = false;
        if (top == NULL) {
            contested->shown = CONTESTED_HIDDEN;
            if (has_live_parts(contested)) {
                show_number(contested, true, 0, 0);
            }
            return;
        }
        if (top->form == CONTESTED_NUMBER) {
            show_number(contested, false, 0, top->number);
            return;
        }
    }
    if (contested->edits_count > 0 && !contested->edits_are_in_place) {
        if (contested->overlay == NULL || contested->overlay_is_stale) {
            contested_forget_overlay(contested);
            contested->overlay = contested_build_value(contested, contested->edits_count);
            require(contested->overlay != NULL);
        }
        contested->shown_bytes = slice_make(contested->overlay->bytes, contested->overlay->size);
    } else {
        contested_forget_overlay(contested);
        contested->shown_bytes = contested_register_bytes(top, NULL);
    }
    contested->shown = CONTESTED_SHOWS_BYTES;
    int64_t integer;
    long double number;
    if (number_parse_integer(contested->shown_bytes, &integer)) {
        show_number(contested, true, integer, (long double)integer);
    } else if (has_live_parts(contested) && number_parse_float(contested->shown_bytes, &number)) {
        show_number(contested, false, 0, number);
    }
}

uint64_t contested_newest_value(const struct store *store, const struct contested *contested) {
    const struct contested_register *top = contested_top(contested);
    uint64_t newest = top != NULL ? top->stamp : 0;
    if (contested->edits_count > 0) {
        uint64_t stamp = contested->edits[contested->edits_count - 1].stamp;
        newest = replicas_compare_stamps(&store->replicas, stamp, newest) > 0 ? stamp : newest;
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        uint64_t stamp = contested->parts[i].stamp;
        if (!contested_part_is_ghost(&contested->parts[i]) &&
            replicas_compare_stamps(&store->replicas, stamp, newest) > 0) {
            newest = stamp;
        }
    }
    return newest;
}

/* Of several types that with the greatest stamp of a visible element is shown; ties: the greater
 * type. */
static void show_collections(const struct store *store, struct contested *contested) {
    bool is_lone = contested->shown == CONTESTED_HIDDEN && contested->collections != NULL &&
                   contested->collections->next == NULL;
    uint64_t newest = contested->shown != CONTESTED_HIDDEN && !is_lone
                          ? contested_newest_value(store, contested)
                          : 0;
    for (struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        if (collection_visible_count(collection) == 0) {
            continue;
        }
        uint64_t stamp = is_lone ? 0 : collection_newest_visible(store, collection);
        int order = replicas_compare_stamps(&store->replicas, stamp, newest);
        if (contested->shown == CONTESTED_HIDDEN || order > 0 ||
            (order == 0 && collection->type > contested_type(contested))) {
            newest = stamp;
            contested->shown = CONTESTED_SHOWS_COLLECTION;
            contested->shown_collection = collection;
        }
    }
}

static void show(const struct store *store, struct contested *contested) {
    contested->shown_collection = NULL;
    show_string(contested);
    if (contested->collections != NULL) {
        show_collections(store, contested);
    }
}

bool contested_hides_parts(const struct contested *contested) {
    return contested->shown == CONTESTED_SHOWS_BYTES && has_live_parts(contested);
}

struct slice contested_value(const struct contested *contested, struct entry_scratch *scratch) {
    switch (contested->shown) {
    case CONTESTED_HIDDEN:
    case CONTESTED_SHOWS_COLLECTION:
        return slice_make("", 0);
    case CONTESTED_SHOWS_BYTES:
        /* An empty one may have no address, as values elsewhere have. */
        return contested->shown_bytes.size > 0 ? contested->shown_bytes : slice_make("", 0);
    case CONTESTED_SHOWS_INTEGER:
        return slice_make(scratch->bytes,
                          number_format_integer(scratch->bytes, contested->shown_integer));
    case CONTESTED_SHOWS_FLOAT:
        return slice_make(scratch->bytes,
                          number_format_float(scratch->bytes, contested->shown_float));
    }
    impossible("a value is shown in some form");
}

const struct contested_expiry *contested_shown_expiry(const struct contested *contested) {
    const struct contested_expiry *latest = NULL;
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        const struct contested_expiry *expiry = &contested->expiries[i];
        /* 0, which is never, becomes the greatest. */
        if (latest == NULL || expiry->unix_ms - 1 > latest->unix_ms - 1 ||
            (expiry->unix_ms == latest->unix_ms && expiry->stamp > latest->stamp)) {
            latest = expiry;
        }
    }
    return latest;
}

/* ---- collections ---- */

enum value_type contested_type(const struct contested *contested) {
    return contested->shown == CONTESTED_SHOWS_COLLECTION ? contested->shown_collection->type
                                                          : VALUE_STRING;
}

struct collection *contested_find_collection(const struct contested *contested,
                                             enum value_type type) {
    struct collection *collection = contested->collections;
    while (collection != NULL && collection->type != type) {
        collection = collection->next;
    }
    return collection;
}

void contested_add_collection(struct contested *contested, struct collection *collection) {
    collection->entry = contested->entry;
    collection->next = contested->collections;
    contested->collections = collection;
}

void contested_note(const struct contested *contested, struct collection *collection) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        collection_note(collection, contested->registers[i].stamp);
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        collection_note(collection, contested->edits[i].stamp);
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        collection_note(collection, contested->parts[i].stamp);
        collection_note(collection, contested->parts[i].off_by);
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        collection_note(collection, contested->expiries[i].stamp);
    }
}

/* Collections without elements go. */
static void drop_empty_collections(struct store *store, struct contested *contested) {
    for (struct collection **at = &contested->collections; *at != NULL;) {
        struct collection *collection = *at;
        if (!collection_is_empty(collection)) {
            at = &collection->next;
            continue;
        }
        *at = collection->next;
        collection_detach(store, collection);
        collection_release(store, collection);
    }
}

/* ---- lifecycle ---- */

struct contested *contested_new(void) {
    return memory_alloc_zero(sizeof(struct contested));
}

void contested_free(struct contested *contested) {
    require(!contested->is_listed);
    for (unsigned i = 0; i < contested->registers_count; i++) {
        contested_free_register(&contested->registers[i]);
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        memory_free(contested->edits[i].bytes);
    }
    memory_free(contested->registers);
    memory_free(contested->edits);
    memory_free(contested->parts);
    memory_free(contested->expiries);
    contested_forget_overlay(contested);
    while (contested->collections != NULL) {
        struct collection *collection = contested->collections;
        contested->collections = collection->next;
        collection_free(collection);
    }
    memory_free(contested);
}

static void list(struct store *store, struct contested *contested) {
    require(!contested->is_listed);
    contested->previous = store->unsettled_last;
    contested->next = NULL;
    if (store->unsettled_last != NULL) {
        store->unsettled_last->next = contested;
    } else {
        store->unsettled = contested;
    }
    store->unsettled_last = contested;
    store->unsettled_count++;
    contested->is_listed = true;
    if (contested->owner != NULL) {
        contested->owner->listed_count++;
    }
}

static void unlist(struct store *store, struct contested *contested) {
    if (!contested->is_listed) {
        return;
    }
    if (contested->previous != NULL) {
        contested->previous->next = contested->next;
    } else {
        store->unsettled = contested->next;
    }
    if (contested->next != NULL) {
        contested->next->previous = contested->previous;
    } else {
        store->unsettled_last = contested->previous;
    }
    contested->previous = contested->next = NULL;
    contested->is_listed = false;
    store->unsettled_count--;
    if (contested->owner != NULL) {
        contested->owner->listed_count--;
    }
}

/* One contested value more or less. */
static void count_contested(struct store *store, struct contested *contested, int difference) {
    store->contested_count += (uint64_t)(int64_t)difference;
    if (contested->owner != NULL) {
        contested->owner->contested_count += (uint64_t)(int64_t)difference;
    }
}

void contested_detach(struct store *store, struct keyspace *space, struct contested *contested) {
    unlist(store, contested);
    count_contested(store, contested, -1);
    space->hidden_count -= contested->shown == CONTESTED_HIDDEN;
    for (struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        collection_detach(store, collection);
    }
}

void contested_requeue(struct store *store, struct contested *contested) {
    unlist(store, contested);
    list(store, contested);
}

void contested_adopt(struct store *store, const struct key *key, struct contested *contested) {
    contested->owner = key->in;
    count_contested(store, contested, 1);
    mutate_space(store, key)->hidden_count += contested->shown == CONTESTED_HIDDEN;
}

/* Takes the elements out of a compact entry. */
static void spell_out(const struct store *store, struct contested *contested,
                      const struct entry *entry) {
    struct entry_parts parts;
    entry_take_apart(entry, &parts);
    char text[NUMBER_INTEGER_BYTES_MAX];
    struct contested_part *part;
    bool has_memory = true;
    switch (parts.kind) {
    case ENTRY_BYTES:
        has_memory = contested_add_register(store, contested, parts.stamp, parts.bytes);
        break;
    case ENTRY_INTEGER:
        has_memory =
            contested_add_register(store, contested, parts.stamp,
                                   slice_make(text, number_format_integer(text, parts.integer)));
        break;
    case ENTRY_LARGE:
        contested_add_large(store, contested, parts.stamp, parts.large);
        break;
    case ENTRY_COUNTER_REGISTER:
        has_memory =
            contested_add_register(store, contested, parts.register_stamp,
                                   slice_make(text, number_format_integer(text, parts.integer)));
        /* fall through */
    case ENTRY_COUNTER:
        part = contested_need_part(store, contested, stamp_slot(parts.stamp));
        part->start_ticks = parts.start_ticks;
        part->stamp = parts.stamp;
        part->total = parts.total;
        break;
    case ENTRY_FLOAT_COUNTER:
        if (parts.register_stamp != 0) {
            contested_add_number(store, contested, parts.register_stamp, parts.float_register);
        }
        part = contested_need_part(store, contested, stamp_slot(parts.stamp));
        part->start_ticks = parts.start_ticks;
        part->stamp = parts.stamp;
        part->is_float = true;
        part->float_total = parts.float_total;
        break;
    case ENTRY_PACKED:
        contested_add_collection(contested,
                                 collection_from_packed(store, parts.bytes, contested->database));
        break;
    case ENTRY_COLLECTION:
        parts.collection->next = NULL;
        contested_add_collection(contested, parts.collection);
        break;
    case ENTRY_CONTESTED:
        impossible("it is spelled out already");
    }
    require(has_memory);
    if ((entry->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) != 0) {
        contested_add_expiry(contested, entry_expire_stamp(entry), entry_expire_unix_ms(entry));
    }
}

struct contested *contested_open(struct store *store, const struct key *key, uint64_t *slot) {
    struct keyspace *space = mutate_space(store, key);
    struct entry *old = slot != NULL ? table_item(*slot) : NULL;
    if (old != NULL && entry_kind(old) == ENTRY_CONTESTED) {
        return entry_contested(old);
    }
    struct contested *contested = contested_new();
    struct entry_parts parts = {.kind = ENTRY_CONTESTED, .key = key->name, .contested = contested};
    contested->database = store->dbs[key->db].number;
    contested->owner = key->in;
    count_contested(store, contested, 1);
    if (old == NULL) {
        parts.access = mutate_first_access(store);
        contested->entry = entry_new(&parts);
        require(contested->entry != NULL);
        table_insert(&space->table, key->hash, contested->entry, false);
        space->hidden_count++;
        return contested;
    }
    spell_out(store, contested, old);
    parts.stamp = old->stamp;
    parts.access = entry_access(old);
    parts.expire_unix_ms = entry_expire_unix_ms(old);
    parts.has_expiry = parts.expire_unix_ms != 0;
    parts.expire_stamp = entry_expire_stamp(old);
    contested->entry = entry_new(&parts);
    require(contested->entry != NULL);
    table_replace(slot, contested->entry);
    if (contested->collections != NULL) {
        contested->collections->entry = contested->entry;
    }
    /* Not entry_free(): a large value, or a collection, has moved over. */
    memory_free_sized(old, entry_block_bytes(old));
    show(store, contested);
    /* Of a compact entry only a collection can have lost all that is visible. */
    space->hidden_count += contested->shown == CONTESTED_HIDDEN;
    return contested;
}

/* ---- putting it away ---- */

bool contested_is_plain_float(struct slice text, long double number) {
    struct entry_scratch scratch;
    return text.size <= CONTESTED_COMPACT_TEXT_BYTES_MAX &&
           slice_equal(text, slice_make(scratch.bytes, number_format_float(scratch.bytes, number)));
}

/* Chooses the compact kind for the register alone. */
static bool compact_register(struct contested_register *reg, struct entry_parts *parts,
                             struct entry_scratch *scratch) {
    parts->stamp = reg->stamp;
    parts->kind = ENTRY_BYTES;
    parts->bytes = contested_register_bytes(reg, scratch);
    if (reg->form == CONTESTED_LARGE) {
        parts->kind = ENTRY_LARGE;
        parts->large = reg->large;
        parts->bytes = (struct slice){0};
    } else if (number_parse_integer(parts->bytes, &parts->integer)) {
        parts->kind = ENTRY_INTEGER;
    }
    return parts->bytes.size <= ENTRY_INLINE_VALUE_BYTES_MAX;
}

/* Likewise for a part and what is below it. */
static bool compact_part(const struct contested_part *part, const struct contested_register *reg,
                         struct entry_parts *parts) {
    if (part->off_seen != 0) {
        return false;
    }
    parts->stamp = part->stamp;
    parts->start_ticks = part->start_ticks;
    parts->register_stamp = reg != NULL ? reg->stamp : 0;
    if (!part->is_float) {
        parts->kind = reg != NULL ? ENTRY_COUNTER_REGISTER : ENTRY_COUNTER;
        parts->total = part->total;
        return reg == NULL ||
               (reg->form == CONTESTED_BYTES &&
                number_parse_integer(slice_make(reg->bytes, reg->size), &parts->integer));
    }
    parts->kind = ENTRY_FLOAT_COUNTER;
    parts->float_total = part->float_total;
    if (reg == NULL) {
        return true;
    }
    if (reg->form == CONTESTED_NUMBER) {
        parts->float_register = reg->number;
        return true;
    }
    return reg->form == CONTESTED_BYTES &&
           number_parse_float(slice_make(reg->bytes, reg->size), &parts->float_register) &&
           contested_is_plain_float(slice_make(reg->bytes, reg->size), parts->float_register);
}

static void compact_expiry(const struct contested *contested, struct entry_parts *parts) {
    if (contested->expiries_count == 1) {
        parts->expire_stamp = contested->expiries[0].stamp;
        parts->expire_unix_ms = contested->expiries[0].unix_ms;
        parts->has_expiry = parts->expire_unix_ms != 0;
    }
}

/* The same for what is nothing but one collection with a visible element, which moves over. */
static struct entry *make_compact_collection(struct contested *contested) {
    struct collection *collection = contested->collections;
    if (collection->next != NULL || contested->registers_count > 0 || contested->parts_count > 0) {
        return NULL;
    }
    struct entry_parts parts = {.kind = ENTRY_COLLECTION,
                                .stamp = contested->entry->stamp,
                                .key = entry_key(contested->entry),
                                .access = entry_access(contested->entry),
                                .collection = collection};
    compact_expiry(contested, &parts);
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    contested->collections = NULL;
    return entry;
}

/* A compact entry that says the same, or NULL. What is large has moved to it. */
static struct entry *make_compact(const struct store *store, struct contested *contested) {
    if (contested->registers_count > 1 || contested->parts_count > 1 ||
        contested->expiries_count > 1 || contested->edits_count > 0 ||
        contested->shown == CONTESTED_HIDDEN) {
        return NULL;
    }
    if (contested->collections != NULL) {
        return make_compact_collection(contested);
    }
    struct entry_scratch scratch;
    struct entry_parts parts = {.key = entry_key(contested->entry),
                                .access = entry_access(contested->entry)};
    struct contested_register *reg = contested_top(contested);
    if (contested->parts_count == 0 ? !compact_register(reg, &parts, &scratch)
                                    : !compact_part(&contested->parts[0], reg, &parts)) {
        return NULL;
    }
    compact_expiry(contested, &parts);
    /* A walk that has the entry as it was must be able to tell that it changed. */
    uint64_t touched = contested->entry->stamp;
    if (store->walk != NULL && parts.stamp != touched && parts.expire_stamp != touched) {
        return NULL;
    }
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    if (parts.kind == ENTRY_LARGE) {
        reg->large = NULL;
    }
    return entry;
}

bool contested_has_types(const struct contested *contested) {
    return contested->collections != NULL &&
           (contested->collections->next != NULL || contested->registers_count > 0 ||
            contested->edits_count > 0 || contested->parts_count > 0);
}

bool contested_can_settle(const struct contested *contested) {
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (contested_part_is_ghost(&contested->parts[i])) {
            return true;
        }
    }
    return contested->registers_count > 1 || contested->edits_count > 0 ||
           contested->expiries_count > 1 ||
           (contested->expiries_count > 0 && contested->shown == CONTESTED_HIDDEN) ||
           contested_has_types(contested);
}

static bool is_empty(const struct contested *contested) {
    return contested->registers_count == 0 && contested->edits_count == 0 &&
           contested->parts_count == 0 && contested->expiries_count == 0 &&
           contested->collections == NULL;
}

static void set_header_expiry(struct contested *contested) {
    const struct contested_expiry *expiry =
        contested->shown != CONTESTED_HIDDEN ? contested_shown_expiry(contested) : NULL;
    unsigned char *at = (unsigned char *)contested->entry + ENTRY_TAIL_OFFSET;
    entry_store64(at, expiry != NULL ? expiry->unix_ms : 0);
    entry_store64(at + 8, expiry != NULL ? expiry->stamp : contested->entry->stamp);
}

bool contested_close(struct store *store, const struct key *key, uint64_t stamp) {
    struct keyspace *keyspace = mutate_space(store, key);
    uint64_t *slot = mutate_slot(store, key);
    require(slot != NULL);
    struct entry *entry = table_item(*slot);
    struct contested *contested = entry_contested(entry);
    bool was_hidden = contested->shown == CONTESTED_HIDDEN;
    if (stamp != 0) {
        entry->stamp = stamp;
        contested->horizon_ticks =
            stamp_ticks(stamp) > store->clock.ticks ? stamp_ticks(stamp) : store->clock.ticks;
        if (!store->uses_lfu) {
            entry_set_access(entry, mutate_first_access(store));
        }
    }
    drop_empty_collections(store, contested);
    show(store, contested);
    if (is_empty(contested)) {
        keyspace->hidden_count -= was_hidden;
        count_contested(store, contested, -1);
        unlist(store, contested);
        table_remove(&keyspace->table, key->hash, slot);
        table_shrink_segment(&keyspace->table, key->hash);
        entry_free(entry);
        return false;
    }
    struct entry *compact = make_compact(store, contested);
    if (compact != NULL) {
        keyspace->hidden_count -= was_hidden;
        count_contested(store, contested, -1);
        unlist(store, contested);
        table_mark(&keyspace->table, key->hash, slot, entry_expire_unix_ms(compact) != 0);
        table_replace(slot, compact);
        entry_free(entry);
        return true;
    }
    set_header_expiry(contested);
    table_mark(&keyspace->table, key->hash, slot, entry_expire_unix_ms(entry) != 0);
    keyspace->hidden_count += (contested->shown == CONTESTED_HIDDEN);
    keyspace->hidden_count -= was_hidden;
    /* With a walk under way a value may also be waiting for its end to become compact. */
    bool is_unsettled = contested_can_settle(contested) || store->walk != NULL;
    if (is_unsettled && !contested->is_listed) {
        list(store, contested);
    } else if (!is_unsettled) {
        unlist(store, contested);
    }
    return contested->shown != CONTESTED_HIDDEN;
}

/* ---- introspection ---- */

uint64_t contested_memory_bytes(const struct contested *contested) {
    uint64_t bytes = sizeof(*contested) +
                     contested->registers_count * sizeof(contested->registers[0]) +
                     contested->edits_capacity * sizeof(contested->edits[0]) +
                     contested->edits_bytes + contested->parts_count * sizeof(contested->parts[0]) +
                     contested->expiries_count * sizeof(contested->expiries[0]);
    for (unsigned i = 0; i < contested->registers_count; i++) {
        const struct contested_register *reg = &contested->registers[i];
        bytes += reg->size;
        if (reg->large != NULL) {
            bytes += sizeof(*reg->large) + reg->large->capacity;
        }
    }
    if (contested->overlay != NULL) {
        bytes += sizeof(*contested->overlay) + contested->overlay->capacity;
    }
    for (const struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        bytes += collection_memory_bytes(collection, ENTRY_MEMORY_SAMPLES);
    }
    return bytes;
}

static void check_known(const struct store *store, uint64_t stamp) {
    require(context_covers(&store->context, stamp));
    require(stamp_ticks(stamp) <= store->clock.ticks);
}

static void check_orders(const struct store *store, const struct contested *contested) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        check_known(store, contested->registers[i].stamp);
        require(i == 0 ||
                replicas_compare_stamps(&store->replicas, contested->registers[i - 1].stamp,
                                        contested->registers[i].stamp) < 0);
    }
    uint64_t edits_bytes = 0;
    for (unsigned i = 0; i < contested->edits_count; i++) {
        check_known(store, contested->edits[i].stamp);
        edits_bytes += contested->edits[i].size;
        require(i == 0 || replicas_compare_stamps(&store->replicas, contested->edits[i - 1].stamp,
                                                  contested->edits[i].stamp) < 0);
    }
    require(edits_bytes == contested->edits_bytes);
    for (unsigned i = 0; i < contested->parts_count; i++) {
        const struct contested_part *part = &contested->parts[i];
        check_known(store, part->stamp);
        require(i == 0 || contested_slot_ref(store, stamp_slot(part[-1].stamp)) <=
                              contested_slot_ref(store, stamp_slot(part->stamp)));
        require(part->off_seen <= part->stamp);
        require(!contested_part_is_ghost(part) ||
                (part->is_float ? part->float_total == part->float_off : part->total == part->off));
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        check_known(store, contested->expiries[i].stamp);
    }
}

/* What the elements make, made anew, is what is shown. */
static void check_shown(const struct store *store, const struct contested *contested) {
    struct contested again = *contested;
    again.overlay = NULL;
    again.edits_are_in_place = false;
    show(store, &again);
    require(again.shown_collection == contested->shown_collection);
    struct entry_scratch scratch, scratch_again;
    require(again.shown == contested->shown);
    struct slice value = contested_value(contested, &scratch);
    struct slice value_again = contested_value(&again, &scratch_again);
    if (hyperloglog_check(value) == HYPERLOGLOG_OK) {
        /* Its cached count comes with reads. */
        value = slice_skip(value, HYPERLOGLOG_HEADER_BYTES);
        require(value_again.size >= HYPERLOGLOG_HEADER_BYTES);
        value_again = slice_skip(value_again, HYPERLOGLOG_HEADER_BYTES);
    }
    require(slice_equal(value, value_again));
    contested_forget_overlay(&again);
}

void contested_check(const struct store *store, const struct entry *entry) {
    const struct contested *contested = entry_contested(entry);
    require(contested->entry == entry);
    require(!is_empty(contested));
    check_orders(store, contested);
    check_shown(store, contested);
    for (const struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        require(collection->entry == entry);
        require(!collection_is_empty(collection));
        collection_check(store, collection);
    }
    const struct contested_expiry *expiry =
        contested->shown != CONTESTED_HIDDEN ? contested_shown_expiry(contested) : NULL;
    require(entry_expire_unix_ms(entry) == (expiry != NULL ? expiry->unix_ms : 0));
    require(contested->is_listed || !contested_can_settle(contested));
}
