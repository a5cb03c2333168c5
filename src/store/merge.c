/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/merge.h"

#include "crdt/packed_list.h"
#include "crdt/xstream.h"
#include "store/notify.h"
#include "store/strings.h"

/* One change on its way into one key. */
struct merge {
    struct store *store;
    const struct change *change;
    unsigned author;
    struct contested *contested;
};

static bool merge_saw(const struct merge *merge, uint64_t stamp) {
    return mutate_has_seen(merge->store, merge->author, stamp);
}

/* Has the writer seen all of a part that is not taken off? Then a SET or DELETE of it takes that
 * off, with a TAKE or without: at the writer it may have become one with the register, when its
 * replica was retired (retire.c). */
static bool merge_saw_part(const struct merge *merge, const struct contested_part *part) {
    return !contested_part_is_ghost(part) && merge_saw(merge, part->stamp);
}

/* ---- does it have an effect? ---- */

/* Whoever takes something off has seen it, and so have we: its stamp is not above. Unless it is
 * void, and the part is what there is of it. */
static bool take_fits(const struct store *store, const struct contested_part *part,
                      const struct change_take *take) {
    uint64_t seen = stamp_make(take->ticks, stamp_slot(part->stamp));
    return part->start_ticks == take->start_ticks && seen >= part->off_seen &&
           (seen <= part->stamp || replicas_is_void(&store->replicas, seen));
}

static bool take_has_effect(const struct store *store, const struct contested_part *part,
                            const struct change *change) {
    struct slice list = change->value;
    struct change_take take;
    uint64_t ref = store->replicas.slots[stamp_slot(part->stamp)].ref;
    while (change_take_next(&list, &take)) {
        if (take.ref == ref && take_fits(store, part, &take)) {
            return true;
        }
    }
    return false;
}

/* Its writer had seen something that is, or once was, in the collection. */
static bool saw_some_of_collection(const struct merge *merge, const struct collection *collection) {
    for (unsigned i = 0; i < collection->newest_count; i++) {
        if (replicas_saw_slot(&merge->store->replicas, merge->author, collection->newest[i].slot)) {
            return true;
        }
    }
    return false;
}

static bool saw_some_of_packed(const struct merge *merge, struct slice packed) {
    struct packed_walk walk;
    struct packed_element element;
    packed_walk_init(&walk, merge->store->replicas.authors, packed);
    while (packed_walk_next(&walk, &element)) {
        if (merge_saw(merge, element.stamp)) {
            return true;
        }
    }
    return false;
}

static bool has_effect_on_contested(const struct merge *merge, const struct contested *contested) {
    if (merge->change->kind == CHANGE_TAKE) {
        for (unsigned i = 0; i < contested->parts_count; i++) {
            if (take_has_effect(merge->store, &contested->parts[i], merge->change)) {
                return true;
            }
        }
        return false;
    }
    for (unsigned i = 0; i < contested->registers_count; i++) {
        uint64_t stamp = contested->registers[i].stamp;
        if (merge->change->kind == CHANGE_MORE ? stamp_slot(stamp) == merge->author
                                               : merge_saw(merge, stamp)) {
            return true;
        }
    }
    if (merge->change->kind == CHANGE_MORE) {
        return false;
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        if (merge_saw(merge, contested->edits[i].stamp)) {
            return true;
        }
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        if (merge_saw(merge, contested->expiries[i].stamp)) {
            return true;
        }
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (merge_saw_part(merge, &contested->parts[i])) {
            return true;
        }
    }
    for (const struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        if (saw_some_of_collection(merge, collection)) {
            return true;
        }
    }
    return contested_find_part(contested, merge->author) != NULL;
}

static bool has_effect_on_compact(const struct merge *merge, const struct entry *entry) {
    struct entry_parts parts;
    entry_take_apart(entry, &parts);
    bool has_part = parts.kind == ENTRY_COUNTER || parts.kind == ENTRY_COUNTER_REGISTER ||
                    parts.kind == ENTRY_FLOAT_COUNTER;
    uint64_t stamp = has_part ? parts.register_stamp : parts.stamp;
    if (merge->change->kind == CHANGE_TAKE) {
        struct contested_part part = {.start_ticks = parts.start_ticks, .stamp = parts.stamp};
        return has_part && stamp_slot(parts.stamp) < merge->store->replicas.slots_count &&
               take_has_effect(merge->store, &part, merge->change);
    }
    if (merge->change->kind == CHANGE_MORE) {
        return stamp != 0 && stamp_slot(stamp) == merge->author && parts.kind < ENTRY_PACKED;
    }
    bool has_expiry = (entry->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) != 0;
    if (parts.kind == ENTRY_PACKED || parts.kind == ENTRY_COLLECTION) {
        return (parts.kind == ENTRY_PACKED ? saw_some_of_packed(merge, parts.bytes)
                                           : saw_some_of_collection(merge, parts.collection)) ||
               (has_expiry && merge_saw(merge, entry_expire_stamp(entry)));
    }
    return (stamp != 0 && merge_saw(merge, stamp)) || (has_part && merge_saw(merge, parts.stamp)) ||
           (has_expiry && merge_saw(merge, entry_expire_stamp(entry)));
}

/* Only what supersedes and adds nothing can be without effect. */
static bool has_effect(const struct merge *merge, const struct entry *entry) {
    switch (merge->change->kind) {
    case CHANGE_DELETE:
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_TAKE:
    case CHANGE_MORE:
        break;
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
    case CHANGE_EXPIRE:
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
    case CHANGE_PATCH:
    case CHANGE_REGISTERS:
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        return true;
    }
    if (entry == NULL) {
        return false;
    }
    return entry_kind(entry) == ENTRY_CONTESTED
               ? has_effect_on_contested(merge, entry_contested(entry))
               : has_effect_on_compact(merge, entry);
}

/* ---- what goes ---- */

static void drop_value(struct merge *merge) {
    struct contested *contested = merge->contested;
    for (unsigned i = contested->edits_count; i-- > 0;) {
        if (merge_saw(merge, contested->edits[i].stamp)) {
            contested_drop_edit(contested, i);
        }
    }
    for (unsigned i = contested->registers_count; i-- > 0;) {
        if (merge_saw(merge, contested->registers[i].stamp)) {
            contested_drop_register(contested, i);
        }
    }
    for (unsigned i = contested->parts_count; i-- > 0;) {
        struct contested_part *part = &contested->parts[i];
        if (stamp_slot(part->stamp) == merge->author) {
            contested_drop_part(contested, i);
        } else if (merge_saw_part(merge, part)) {
            part->off = part->total;
            part->float_off = part->float_total;
            part->off_seen = part->stamp;
            part->off_by = merge->change->stamp;
        }
    }
}

/* A change of a string supersedes what its writer had seen of other types, too. */
static void drop_collections(struct merge *merge, const struct collection *except) {
    for (struct collection *collection = merge->contested->collections, *next; collection != NULL;
         collection = next) {
        next = collection->next; /* another one may come into its place */
        if (collection != except) {
            collection_delete_seen(merge->store, collection, merge->change->stamp);
        }
    }
}

static void drop_expiries(struct merge *merge) {
    struct contested *contested = merge->contested;
    for (unsigned i = contested->expiries_count; i-- > 0;) {
        if (merge_saw(merge, contested->expiries[i].stamp)) {
            contested_drop_expiry(contested, i);
        }
    }
}

/* ---- what comes ---- */

void merge_drop_types(struct store *store, struct contested *contested,
                      const struct collection *except, const struct change *change) {
    struct merge merge = {.store = store,
                          .change = change,
                          .author = stamp_slot(change->stamp),
                          .contested = contested};
    drop_value(&merge);
    drop_collections(&merge, except);
    if (change->is_key_fresh) {
        drop_expiries(&merge);
    }
}

static bool merge_register(struct merge *merge) {
    const struct change *change = merge->change;
    drop_value(merge);
    if (change->kind != CHANGE_SET_KEEPING || change->is_fresh) {
        drop_expiries(merge);
    }
    if (change->kind == CHANGE_SET_EXPIRING) {
        contested_add_expiry(merge->contested, change->stamp, change->expire_unix_ms);
    }
    return contested_add_register(merge->store, merge->contested, change->stamp, change->value);
}

/* The value of the writer's SET goes on; it has but one register. */
static bool merge_more(struct merge *merge) {
    struct contested *contested = merge->contested;
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (stamp_slot(contested->registers[i].stamp) == merge->author) {
            struct entry_scratch scratch;
            struct slice begun = contested_register_bytes(&contested->registers[i], &scratch);
            struct slice more = merge->change->value;
            struct large_string *large = large_string_new(begun.size, begun.size + more.size);
            if (large == NULL) {
                return false;
            }
            if (begun.size > 0) {
                memcpy(large->bytes, begun.data, begun.size);
            }
            memcpy(large->bytes + begun.size, more.data, more.size);
            large->size += more.size;
            contested_drop_register(contested, i);
            contested_add_large(merge->store, contested, merge->change->stamp, large);
            break;
        }
    }
    return true;
}

static bool merge_counter(struct merge *merge) {
    const struct change *change = merge->change;
    long double float_total = 0;
    if (change->kind == CHANGE_FLOAT_COUNTER && !number_parse_float(change->value, &float_total)) {
        return false;
    }
    if (change->is_fresh) {
        drop_expiries(merge);
    }
    struct contested_part *part =
        contested_need_part(merge->store, merge->contested, merge->author);
    if (part->start_ticks != change->start_ticks) {
        *part = (struct contested_part){.start_ticks = change->start_ticks};
    }
    part->stamp = change->stamp;
    if (change->kind == CHANGE_FLOAT_COUNTER) {
        part->float_off = part->is_float ? part->float_off : (long double)part->off;
        part->float_total = float_total;
    } else {
        part->off = part->is_float ? (int64_t)part->float_off : part->off;
        part->total = change->total;
    }
    part->is_float = change->kind == CHANGE_FLOAT_COUNTER;
    return true;
}

/* Nobody edits a number that has parts: that is a SET. So a writer who had seen a part had it as
 * one with the register, which is what the edit is of. */
static void fold_seen_parts(const struct merge *merge) {
    struct contested *contested = merge->contested;
    const struct contested_register *top = contested_top(contested);
    if (top != NULL && !merge_saw(merge, top->stamp)) {
        return;
    }
    for (unsigned i = contested->parts_count; i-- > 0;) {
        if (merge_saw_part(merge, &contested->parts[i])) {
            retire_fold_part(merge->store, contested, i);
        }
    }
}

static bool merge_edit(struct merge *merge) {
    const struct change *change = merge->change;
    fold_seen_parts(merge);
    const struct contested_register *top = contested_top(merge->contested);
    if (change->is_fresh) {
        drop_expiries(merge);
    }
    struct contested_edit edit = {.stamp = change->stamp,
                                  .is_raise = change->kind == CHANGE_REGISTERS,
                                  .offset = change->offset,
                                  .size = change->value.size,
                                  .bytes = (char *)change->value.data};
    return top != NULL && merge_saw(merge, top->stamp)
               ? contested_add_edit_in_place(merge->store, merge->contested, &edit)
               : contested_add_edit(merge->store, merge->contested, &edit);
}

static void take_part(const struct merge *merge, struct contested_part *part,
                      const struct change_take *take, uint64_t seen) {
    if (seen == part->off_seen) {
        if (replicas_compare_stamps(&merge->store->replicas, merge->change->stamp, part->off_by) >
            0) {
            part->off_by = merge->change->stamp;
        }
        return;
    }
    long double total = (long double)take->total;
    if (take->is_float && !number_parse_float(take->text, &total)) {
        return;
    }
    part->off_by = merge->change->stamp;
    if (seen > part->stamp) {
        part->off_seen = part->stamp;
        part->off = part->total;
        part->float_off = part->float_total;
        return;
    }
    part->off_seen = seen;
    if (part->is_float) {
        part->float_off = total;
    } else {
        part->off = take->is_float ? (int64_t)total : take->total;
    }
}

static void merge_takes(struct merge *merge) {
    struct slice list = merge->change->value;
    struct change_take take;
    while (change_take_next(&list, &take)) {
        unsigned slot = replicas_find(&merge->store->replicas, take.ref);
        struct contested_part *part =
            slot != 0 ? contested_find_part(merge->contested, slot) : NULL;
        if (part != NULL && take_fits(merge->store, part, &take)) {
            take_part(merge, part, &take, stamp_make(take.ticks, slot));
        }
    }
}

static enum store_status merge_into(struct merge *merge) {
    bool is_done = true;
    if (merge->contested->collections != NULL && merge->change->kind != CHANGE_EXPIRE &&
        merge->change->kind != CHANGE_TAKE && merge->change->kind != CHANGE_MORE) {
        drop_collections(merge, NULL);
    }
    switch (merge->change->kind) {
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
        is_done = merge_register(merge);
        break;
    case CHANGE_DELETE:
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
        drop_value(merge);
        drop_expiries(merge);
        break;
    case CHANGE_EXPIRE:
        drop_expiries(merge);
        contested_add_expiry(merge->contested, merge->change->stamp, merge->change->expire_unix_ms);
        break;
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
        return merge_counter(merge) ? STORE_OK : STORE_MALFORMED;
    case CHANGE_PATCH:
    case CHANGE_REGISTERS:
        is_done = merge_edit(merge);
        break;
    case CHANGE_TAKE:
        if (!mutation(IGNORE_TAKE)) {
            merge_takes(merge);
        }
        break;
    case CHANGE_MORE:
        is_done = merge_more(merge);
        break;
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        impossible("it has no key");
    }
    return is_done ? STORE_OK : STORE_OUT_OF_MEMORY;
}

/* ---- conflicts ---- */

static void report(const struct merge *merge, const struct key *key, enum store_conflict conflict,
                   uint64_t winner, uint64_t loser) {
    merge->store->conflicts_count++;
    if (merge->store->conflict != NULL) {
        merge->store->conflict(merge->store->udata, key, conflict, winner, loser);
    }
}

void merge_report_types(struct store *store, const struct key *key,
                        const struct contested *contested, uint64_t stamp) {
    struct merge merge = {.store = store};
    uint64_t shown = contested->shown == CONTESTED_SHOWS_COLLECTION
                         ? collection_newest_visible(store, contested->shown_collection)
                         : contested_newest_value(store, contested);
    uint64_t other = stamp;
    if (shown == stamp) {
        other = contested->shown == CONTESTED_SHOWS_COLLECTION
                    ? contested_newest_value(store, contested)
                    : collection_newest_visible(store, contested->collections);
    }
    report(&merge, key, STORE_CONFLICT_TYPE, shown, other);
}

/* Tells of a sibling that the change made, and of increments that it hides or that are hidden. */
static void report_conflicts(const struct merge *merge, const struct key *key, bool hid_parts,
                             bool had_types) {
    const struct contested *contested = merge->contested;
    uint64_t stamp = merge->change->stamp;
    if (!had_types && contested_has_types(contested)) {
        merge_report_types(merge->store, key, contested, stamp);
    }
    bool is_register = merge->change->kind == CHANGE_SET ||
                       merge->change->kind == CHANGE_SET_EXPIRING ||
                       merge->change->kind == CHANGE_SET_KEEPING;
    unsigned count = contested->registers_count;
    /* What a stream has beside its entries is put down by nodes, not by clients. */
    bool is_aside = key->in != NULL && key->in->type == VALUE_STREAM &&
                    (uint8_t)key->name.data[0] != XSTREAM_ENTRY;
    if (is_register && count > 1 && !is_aside) {
        uint64_t winner = contested->registers[count - 1].stamp;
        report(merge, key, STORE_CONFLICT_VALUE, winner,
               winner == stamp ? contested->registers[count - 2].stamp : stamp);
    }
    if (!hid_parts && contested_hides_parts(contested)) {
        uint64_t winner = count > 0 ? contested->registers[count - 1].stamp
                                    : contested->edits[contested->edits_count - 1].stamp;
        uint64_t loser = stamp;
        for (unsigned i = 0; i < contested->parts_count && winner == stamp; i++) {
            if (!contested_part_is_ghost(&contested->parts[i])) {
                loser = contested->parts[i].stamp;
                break;
            }
        }
        report(merge, key, STORE_CONFLICT_NUMBER, winner, loser);
    }
}

/* ---- all of it ---- */

/* Whether there is room for the value as the change may make it: what follows must not fail half
 * way. */
static bool merge_has_memory(const struct entry *entry, const struct change *change) {
    size_t size = change->value.size;
    if (size == 0) {
        return true;
    }
    if (change->kind == CHANGE_PATCH) {
        if (change->offset > SIZE_MAX / 4) {
            return false;
        }
        size += change->offset;
    }
    if (size + (entry != NULL ? entry_memory_bytes(entry) : 0) <= CHANGE_BATCH_BYTES) {
        return true;
    }
    void *probe = memory_try_alloc(2 * size + (entry != NULL ? 2 * entry_value_bytes(entry) : 0));
    memory_free(probe);
    return probe != NULL;
}

/* A key whose name does not lie in the entry, which is going to be replaced. */
static struct key merge_own_key(const struct key *key, struct buffer *name) {
    buffer_append_slice(name, key->name);
    struct key own = *key;
    own.name = name->size > 0 ? buffer_slice(name) : slice_make("", 0);
    return own;
}

enum store_status merge_apply(struct store *store, const struct key *key,
                              const struct change *change) {
    uint64_t *slot = mutate_slot(store, key);
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    struct merge merge = {.store = store, .change = change, .author = stamp_slot(change->stamp)};
    if (!has_effect(&merge, entry)) {
        return STORE_OK;
    }
    if (!merge_has_memory(entry, change)) {
        return STORE_OUT_OF_MEMORY;
    }
    bool was_visible = entry != NULL && !entry_is_hidden(entry);
    struct buffer name = {0};
    struct key own = merge_own_key(key, &name);
    mutate_before(store, &own, entry);
    merge.contested = contested_open(store, &own, slot);
    bool hid_parts = contested_hides_parts(merge.contested);
    bool had_types = contested_has_types(merge.contested);
    enum store_status status = merge_into(&merge);
    bool is_visible = contested_close(store, &own, status == STORE_OK ? change->stamp : 0);
    if (status == STORE_OK) {
        slot = mutate_slot(store, &own);
        if (merge.author != store->replicas.self && slot != NULL &&
            entry_kind(table_item(*slot)) == ENTRY_CONTESTED) {
            report_conflicts(&merge, &own, hid_parts, had_types);
        }
        if (!was_visible && is_visible) {
            store_notify(store, NOTIFY_NEW, "new", &own);
        }
        if (was_visible || is_visible) {
            mutate_after(store, &own);
        } else {
            store->stats.dirty++;
        }
    }
    buffer_deinit(&name);
    return status;
}

/* ---- local writes ---- */

const struct contested_part *merge_own_part(const struct store *store, const struct entry *entry) {
    if (entry_kind(entry) != ENTRY_CONTESTED) {
        return NULL; /* a compact one with an own part is not intricate */
    }
    const struct contested_part *part =
        contested_find_part(entry_contested(entry), store->replicas.self);
    return part != NULL && !contested_part_is_ghost(part) ? part : NULL;
}

void merge_put_take(const struct store *store, struct buffer *list,
                    const struct contested_part *part, uint64_t seen, int64_t total,
                    long double float_total) {
    char text[NUMBER_FLOAT_BYTES_MAX];
    struct change_take take = {.ref = store->replicas.slots[stamp_slot(part->stamp)].ref,
                               .start_ticks = part->start_ticks,
                               .ticks = stamp_ticks(seen),
                               .is_float = part->is_float,
                               .total = total};
    if (part->is_float) {
        take.text = slice_make(text, number_format_float(text, float_total));
    }
    change_take_put(list, &take);
}

static void put_take(const struct store *store, struct buffer *list,
                     const struct contested_part *part) {
    if (stamp_slot(part->stamp) != store->replicas.self && !contested_part_is_ghost(part)) {
        merge_put_take(store, list, part, part->stamp, part->total, part->float_total);
    }
}

void merge_put_takes(const struct store *store, struct buffer *list, const struct entry *entry) {
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        const struct contested *contested = entry_contested(entry);
        for (unsigned i = 0; i < contested->parts_count; i++) {
            put_take(store, list, &contested->parts[i]);
        }
        return;
    }
    struct entry_parts parts;
    entry_take_apart(entry, &parts);
    struct contested_part part = {.start_ticks = parts.start_ticks,
                                  .stamp = parts.stamp,
                                  .is_float = parts.kind == ENTRY_FLOAT_COUNTER,
                                  .total = parts.total,
                                  .float_total = parts.float_total};
    put_take(store, list, &part);
}

/* Of the value that is no collection. */
static void take_value(struct store *store, const struct key *key, const struct entry *entry) {
    struct buffer list = {0};
    merge_put_takes(store, &list, entry);
    if (list.size > 0) {
        struct change change = {.kind = CHANGE_TAKE,
                                .db = key->db,
                                .stamp = mutate_stamp(store),
                                .key = key->name,
                                .value = buffer_slice(&list)};
        (void)merge_write(store, key, &change);
    }
    buffer_deinit(&list);
}

static void take_collections(struct store *store, const struct contested *contested,
                             const struct collection *except) {
    for (struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        if (collection != except) {
            collection_take(store, collection);
        }
    }
}

/* May others ask what a DELETE of it takes off, instead of being told of each element? */
static bool leaves_untold(const struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    return store->untold_elements_min > 0 && store->journal.is_on && key->in == NULL &&
           entry != NULL && entry_kind(entry) == ENTRY_COLLECTION &&
           entry_collection(entry)->may_have_parts &&
           collection_count(entry_collection(entry)) >= store->untold_elements_min;
}

static void delete_here(struct store *store, const struct key *key, struct change *change) {
    change->kind = CHANGE_DELETE;
    change->db = key->db;
    change->key = key->name;
    (void)merge_write(store, key, change);
}

bool merge_delete_untold(struct store *store, const struct key *key) {
    if (!leaves_untold(store, key)) {
        return false;
    }
    struct buffer name = {0};
    struct key own = merge_own_key(key, &name);
    struct change change = {.is_fresh = true,
                            .stamp = mutate_stamps(store, CHANGE_UNTOLD_TICKS + 1)};
    delete_here(store, &own, &change);
    buffer_deinit(&name);
    return true;
}

void merge_take(struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    if (slot == NULL || !merge_is_intricate(store, table_item(*slot))) {
        return;
    }
    struct entry *entry = table_item(*slot);
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        collection_take(store, entry_collection(entry));
        return;
    }
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        take_collections(store, entry_contested(entry), NULL);
    }
    take_value(store, key, entry);
}

void merge_take_types(struct store *store, const struct key *key, const struct collection *except) {
    uint64_t *slot = mutate_slot(store, key);
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    if (entry == NULL || entry_kind(entry) != ENTRY_CONTESTED ||
        entry_contested(entry)->collections == NULL) {
        return;
    }
    take_collections(store, entry_contested(entry), except);
    if (except != NULL) {
        take_value(store, key, entry);
    }
}

enum store_status merge_write(struct store *store, const struct key *key, struct change *change) {
    enum store_status status = merge_apply(store, key, change);
    if (status == STORE_OK) {
        mutate_record(store, key, change);
    }
    return status;
}

enum store_status merge_write_over_types(struct store *store, const struct key *key,
                                         struct change *change) {
    uint64_t *slot = mutate_slot(store, key);
    if (!merge_has_memory(slot != NULL ? table_item(*slot) : NULL, change)) {
        return STORE_OUT_OF_MEMORY;
    }
    merge_take_types(store, key, NULL);
    change->stamp = mutate_stamp(store);
    return merge_write(store, key, change);
}

enum store_status merge_set(struct store *store, const struct key *key, struct slice value,
                            uint64_t expire_unix_ms) {
    uint64_t *slot = mutate_slot(store, key);
    if (slot == NULL || entry_is_hidden(table_item(*slot))) {
        expire_unix_ms = expire_unix_ms == STRINGS_KEEP_EXPIRY ? 0 : expire_unix_ms;
    }
    struct change change = {.kind = expire_unix_ms == 0                     ? CHANGE_SET
                                    : expire_unix_ms == STRINGS_KEEP_EXPIRY ? CHANGE_SET_KEEPING
                                                                            : CHANGE_SET_EXPIRING,
                            .db = key->db,
                            .key = key->name,
                            .value = value,
                            .expire_unix_ms = expire_unix_ms};
    if (!merge_has_memory(slot != NULL ? table_item(*slot) : NULL, &change)) {
        return STORE_OUT_OF_MEMORY;
    }
    if (change.kind == CHANGE_SET_KEEPING || !merge_delete_untold(store, key)) {
        merge_take(store, key);
    }
    change.stamp = mutate_record_value(store, key, mutate_stamp(store), value, expire_unix_ms);
    enum store_status status = merge_apply(store, key, &change);
    require(status == STORE_OK);
    return STORE_OK;
}

void merge_delete(struct store *store, const struct key *key) {
    if (merge_delete_untold(store, key)) {
        return;
    }
    struct buffer name = {0};
    struct key own = merge_own_key(key, &name);
    merge_take(store, &own);
    struct change change = {.stamp = mutate_stamp(store)};
    delete_here(store, &own, &change);
    buffer_deinit(&name);
}
