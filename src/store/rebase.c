/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/rebase.h"

#include "store/rebase_elements.h"
#include "store/strings.h"
#include "store/sync_state.h"

enum rebase_kind { REBASE_DELETE, REBASE_SET, REBASE_EXPIRE, REBASE_INCREMENT };

struct rebase_item {
    struct rebase_item *next;
    enum rebase_kind kind;
    bool was_there;          /* the mesh had the key */
    bool sets_expiry;        /* INCREMENT: the expiry differs, too */
    unsigned number;         /* of its database */
    uint64_t newest_ticks;   /* of the mesh's entry when it was compared */
    uint64_t expire_unix_ms; /* wanted: 0 for none */
    int64_t delta;           /* INCREMENT */
    uint32_t key_size;
    char key[]; /* SET: the value is in `aside` */
};

static void drop_item(struct rebase *rebase) {
    struct rebase_item *item = rebase->first;
    rebase->first = item->next;
    if (rebase->first == NULL) {
        rebase->last = NULL;
    }
    memory_free(item);
}

struct rebase *rebase_new(void) {
    return memory_alloc_zero(sizeof(struct rebase));
}

void rebase_free(struct rebase *rebase) {
    while (rebase->first != NULL) {
        drop_item(rebase);
    }
    rebase_elements_deinit(rebase);
    if (rebase->has_aside) {
        sync_aside_deinit(&rebase->aside);
    }
    memory_free(rebase);
}

static struct store *rebase_aside(struct sync *sync) {
    struct rebase *rebase = sync->rebase;
    if (!rebase->has_aside) {
        sync_aside_init(&rebase->aside, sync->store);
        rebase->has_aside = true;
    }
    sync_aside_lend(&rebase->aside, sync->store);
    return &rebase->aside;
}

static void put_item(struct sync *sync, const struct key *key, const struct rebase_item *values) {
    struct rebase *rebase = sync->rebase;
    struct rebase_item *item = memory_alloc(sizeof(*item) + key->name.size);
    *item = *values;
    item->next = NULL;
    item->number = sync->store->dbs[key->db].number;
    item->newest_ticks = rebase->newest_ticks;
    item->key_size = (uint32_t)key->name.size;
    if (key->name.size > 0) {
        memcpy(item->key, key->name.data, key->name.size);
    }
    *(rebase->last == NULL ? &rebase->first : &rebase->last->next) = item;
    rebase->last = item;
    sync->stats.keys_reissued++;
}

/* ---- what is shown ---- */

/* What a client would see of an entry. */
struct view {
    bool is_there, is_integer;
    struct slice bytes;
    int64_t integer;
    uint64_t expire_unix_ms;
    struct entry_scratch scratch;
};

static void view_init(struct view *view, const struct store *store, const struct entry *entry) {
    *view = (struct view){0};
    if (entry == NULL || entry_is_hidden(entry) || mutate_is_expired(store, entry)) {
        return;
    }
    view->is_there = true;
    view->bytes = entry_value(entry, &view->scratch);
    view->is_integer = entry_integer(entry, &view->integer);
    view->expire_unix_ms = entry_expire_unix_ms(entry);
}

static struct entry *entry_at(const struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    return slot == NULL ? NULL : table_item(*slot);
}

/* ---- what would be, had nothing been forgotten ---- */

/* Is a change that the mesh lacks made again by this node? */
static bool is_reissued(const struct sync *sync, uint64_t stamp) {
    const struct replicas *replicas = &sync->store->replicas;
    unsigned slot = stamp_slot(stamp);
    if (slot == STAMP_SLOT_SETTLED || slot == replicas->self || replicas->slots == NULL ||
        memcmp(replicas->slots[slot].id.node, replicas->slots[replicas->self].id.node,
               REPLICA_NODE_ID_BYTES) == 0) {
        return true;
    }
    return sync->fate != NULL && sync->fate(sync->udata, stamp) == SYNC_REISSUE;
}

static bool is_dropped(const struct sync *sync, const struct state_merge *merge, uint64_t stamp) {
    return !state_merge_covers_there(merge, stamp) && !is_reissued(sync, stamp);
}

/* Takes out what others will deliver or make again. */
static void drop_others(const struct sync *sync, const struct state_merge *merge,
                        struct contested *contested) {
    for (unsigned i = contested->registers_count; i-- > 0;) {
        if (is_dropped(sync, merge, contested->registers[i].stamp)) {
            contested_drop_register(contested, i);
        }
    }
    for (unsigned i = contested->edits_count; i-- > 0;) {
        if (is_dropped(sync, merge, contested->edits[i].stamp)) {
            contested_drop_edit(contested, i);
        }
    }
    for (unsigned i = contested->expiries_count; i-- > 0;) {
        if (is_dropped(sync, merge, contested->expiries[i].stamp)) {
            contested_drop_expiry(contested, i);
        }
    }
    for (unsigned i = contested->parts_count; i-- > 0;) {
        if (is_dropped(sync, merge, contested->parts[i].stamp)) {
            contested_drop_part(contested, i);
        }
    }
}

/* The number in the only register, which is settled, or 0 without one; false when there is more. */
static bool settled_number(const struct contested *contested, uint64_t *ticks,
                           long double *number) {
    struct entry_scratch scratch;
    *ticks = 0;
    *number = 0;
    if (contested->edits_count > 0 || contested->registers_count > 1) {
        return false;
    }
    if (contested->registers_count == 0) {
        return true;
    }
    const struct contested_register *reg = &contested->registers[0];
    *ticks = stamp_ticks(reg->stamp);
    if (reg->form == CONTESTED_NUMBER) {
        *number = reg->number;
    } else if (!number_parse_float(contested_register_bytes(reg, &scratch), number)) {
        return false;
    }
    return stamp_slot(reg->stamp) == STAMP_SLOT_SETTLED;
}

/* The mesh has folded what it saw of the part into its register, and nothing else happened to that:
 * then the difference of the registers is what it saw. Leaves the rest in the part. */
static bool split_part(const struct state_merge *merge, struct contested *contested,
                       struct contested_part *part, const struct contested *there) {
    unsigned slot = stamp_slot(part->stamp);
    uint64_t seen_there = slot < merge->seen_there_count ? merge->seen_there[slot] : 0;
    uint64_t our_ticks, their_ticks;
    long double ours, theirs;
    if (there == NULL || there->registers_count == 0 || part->off_seen != 0 ||
        !settled_number(contested, &our_ticks, &ours) ||
        !settled_number(there, &their_ticks, &theirs)) {
        return false;
    }
    bool is_folded = their_ticks >= part->start_ticks && their_ticks <= stamp_ticks(seen_there);
    if (their_ticks != our_ticks && !is_folded) {
        return false;
    }
    if (part->is_float) {
        part->float_total -= theirs - ours;
    } else {
        part->total -= (int64_t)(theirs - ours);
    }
    struct entry_scratch scratch;
    const struct contested_register *reg = &there->registers[0];
    if (contested->registers_count > 0) {
        contested_drop_register(contested, 0);
    }
    if (reg->form == CONTESTED_NUMBER) {
        contested_add_number(merge->store, contested, reg->stamp, reg->number);
        return true;
    }
    return contested_add_register(merge->store, contested, reg->stamp,
                                  contested_register_bytes(reg, &scratch));
}

static bool is_unclear(const struct state_merge *merge, const struct contested_part *part,
                       const struct contested *there) {
    unsigned slot = stamp_slot(part->stamp);
    return (there == NULL || contested_find_part(there, slot) == NULL) &&
           !state_merge_covers_there(merge, part->stamp) &&
           state_merge_covers_there(merge, stamp_make(part->start_ticks, slot));
}

/* Parts of which the mesh saw the beginning and has nothing: rebase.h. */
static bool drop_unclear(const struct state_merge *merge, struct contested *contested,
                         const struct contested *there) {
    bool any = false;
    unsigned count = 0;
    for (unsigned i = 0; i < contested->parts_count; i++) {
        count += is_unclear(merge, &contested->parts[i], there);
    }
    for (unsigned i = contested->parts_count; i-- > 0;) {
        struct contested_part *part = &contested->parts[i];
        if (is_unclear(merge, part, there) &&
            (count > 1 || !split_part(merge, contested, part, there))) {
            contested_drop_part(contested, i);
            any = true;
        }
    }
    return any;
}

/* Has the mesh written nothing to the key that was not seen here? */
static bool was_all_seen(const struct sync *sync, const struct state_merge *merge,
                         const struct entry *there) {
    return there != NULL && merge->settled_ticks_here == UINT64_MAX &&
           state_merge_entry_is_covered(there, sync->seen.stamps, STAMP_SLOTS_COUNT);
}

static uint64_t shown_register(const struct contested *contested) {
    return contested == NULL || contested->registers_count == 0
               ? 0
               : contested->registers[contested->registers_count - 1].stamp;
}

struct difference {
    bool is_memory_out;
    bool is_unclear;       /* a part's share could not be told */
    bool is_same_register; /* both sides' numbers stand on one register */
};

/* Leaves in the store aside what merging would make of the key. */
static struct difference merge_aside(struct sync *sync, const struct state_merge *merge,
                                     const struct key *key, struct store *staged, uint64_t *there) {
    struct store *aside = rebase_aside(sync);
    struct difference difference = {0};
    uint64_t their_stamp = there != NULL ? ((struct entry *)table_item(*there))->stamp : 0;
    uint64_t stamp = their_stamp;
    struct contested *theirs = there == NULL ? NULL : contested_open(staged, key, there);
    struct contested *wanted = contested_open(aside, key, NULL);
    uint64_t *here = mutate_slot(sync->store, key);
    if (here != NULL) {
        static const struct context nothing;
        struct state_merge copy = {.store = aside, .seen_here = &nothing};
        uint64_t our_stamp = ((struct entry *)table_item(*here))->stamp;
        stamp = our_stamp > stamp ? our_stamp : stamp;
        struct contested *ours = contested_open(sync->store, key, here);
        difference.is_memory_out |= !state_merge_elements(&copy, wanted, ours);
        contested_close(sync->store, key, our_stamp);
    }
    state_merge_retire(merge, wanted, staged, theirs);
    drop_others(sync, merge, wanted);
    difference.is_unclear = drop_unclear(merge, wanted, theirs);
    difference.is_memory_out |= !state_merge_elements(merge, wanted, theirs);
    difference.is_same_register = wanted->edits_count == 0 &&
                                  (theirs == NULL || theirs->edits_count == 0) &&
                                  shown_register(wanted) == shown_register(theirs);
    contested_close(aside, key, stamp);
    if (theirs != NULL) {
        contested_close(staged, key, their_stamp);
    }
    return difference;
}

/* ---- deciding ---- */

static void forget_aside(struct sync *sync, const struct key *key) {
    uint64_t *slot = mutate_slot(&sync->rebase->aside, key);
    if (slot != NULL) {
        mutate_remove(&sync->rebase->aside, key, slot);
    }
}

static void note_difference(struct sync *sync, const struct key *key, const struct view *wanted,
                            const struct view *theirs, bool is_same_register) {
    struct rebase_item item = {.was_there = theirs->is_there,
                               .expire_unix_ms = wanted->expire_unix_ms};
    bool is_expiry_same = wanted->expire_unix_ms == theirs->expire_unix_ms;
    bool keeps_value = false;
    if (!wanted->is_there && !theirs->is_there) {
        forget_aside(sync, key);
        return;
    }
    if (!wanted->is_there) {
        item.kind = REBASE_DELETE;
    } else if (theirs->is_there && slice_equal(wanted->bytes, theirs->bytes)) {
        if (is_expiry_same) {
            forget_aside(sync, key);
            return;
        }
        item.kind = REBASE_EXPIRE;
    } else if (is_same_register && wanted->is_integer &&
               (theirs->is_integer || !theirs->is_there) &&
               !__builtin_sub_overflow(wanted->integer, theirs->integer, &item.delta)) {
        item.kind = REBASE_INCREMENT;
        item.sets_expiry = !is_expiry_same;
    } else {
        item.kind = REBASE_SET;
        keeps_value = true;
    }
    put_item(sync, key, &item);
    if (!keeps_value) {
        forget_aside(sync, key);
    }
}

/* The difference of the values as they are is what the mesh lacks. */
static void note_plain_difference(struct sync *sync, const struct key *key, const struct view *ours,
                                  const struct view *theirs) {
    struct rebase_item item = {.kind = REBASE_INCREMENT,
                               .was_there = true,
                               .expire_unix_ms = ours->expire_unix_ms,
                               .sets_expiry = ours->expire_unix_ms != theirs->expire_unix_ms};
    if (ours->is_integer && theirs->is_integer &&
        !__builtin_sub_overflow(ours->integer, theirs->integer, &item.delta) &&
        (item.delta != 0 || item.sets_expiry)) {
        put_item(sync, key, &item);
    }
}

/* Compares by merging. The entry here is spelled out for it; it goes anyhow. */
static bool compare_deep(struct sync *sync, const struct state_merge *merge, const struct key *key,
                         uint64_t *here, struct store *staged, uint64_t *there) {
    struct entry *their_entry = there != NULL ? table_item(*there) : NULL;
    struct view ours, wanted, theirs;
    view_init(&ours, sync->store, here != NULL ? table_item(*here) : NULL);
    bool was_seen = was_all_seen(sync, merge, their_entry);
    struct difference difference = merge_aside(sync, merge, key, staged, there);
    if (difference.is_memory_out) {
        return false;
    }
    view_init(&wanted, sync->store, entry_at(&sync->rebase->aside, key));
    view_init(&theirs, sync->store, there == NULL ? NULL : entry_at(staged, key));
    if (difference.is_unclear && was_seen && ours.is_integer && theirs.is_integer) {
        note_plain_difference(sync, key, &ours, &theirs);
        forget_aside(sync, key);
        return true;
    }
    sync->stats.keys_unclear += difference.is_unclear;
    sync->stats.keys_merged++;
    note_difference(sync, key, &wanted, &theirs, difference.is_same_register);
    return true;
}

/* The entry here is known to be shown by nobody else: it is kept as it is. */
static void keep_aside(struct sync *sync, const struct key *key) {
    struct view wanted, theirs;
    struct store *aside = rebase_aside(sync);
    struct entry *entry = sync_take_out(sync->store, key);
    table_insert(&aside->dbs[key->db].table, key->hash, entry, entry_expire_unix_ms(entry) != 0);
    view_init(&wanted, sync->store, entry);
    view_init(&theirs, sync->store, NULL);
    note_difference(sync, key, &wanted, &theirs, false);
}

/* Nothing of a compact entry is another's to deliver. */
static bool is_all_reissued(const struct sync *sync, const struct entry *entry) {
    struct entry_parts parts;
    entry_take_apart(entry, &parts);
    return is_reissued(sync, entry->stamp) && is_reissued(sync, entry_expire_stamp(entry)) &&
           (parts.register_stamp == 0 || is_reissued(sync, parts.register_stamp));
}

/* Notes what is to be made again; afterwards the entry here means nothing any more. */
static bool compare(struct sync *sync, const struct state_merge *merge, const struct key *key,
                    uint64_t *here, struct store *staged, uint64_t *there) {
    struct entry *ours = here != NULL ? table_item(*here) : NULL;
    struct entry *theirs = there != NULL ? table_item(*there) : NULL;
    switch (state_merge_quick(merge, ours, theirs)) {
    case STATE_MERGE_TAKE:
    case STATE_MERGE_DROP:
        return true;
    case STATE_MERGE_KEEP:
        if (ours != NULL && theirs == NULL &&
            (entry_kind(ours) == ENTRY_BYTES || entry_kind(ours) == ENTRY_INTEGER) &&
            is_all_reissued(sync, ours)) {
            keep_aside(sync, key);
            return true;
        }
        break; /* kept is not yet shown: what is others' is to be left out */
    case STATE_MERGE_DEEP:
        break;
    }
    return compare_deep(sync, merge, key, here, staged, there);
}

bool rebase_key(struct sync *sync, const struct sync_part *part, const struct key *key,
                uint64_t *here, struct store *staged, uint64_t *there) {
    struct state_merge merge = sync_merge_of(sync, part);
    sync->rebase->newest_ticks =
        there != NULL ? stamp_ticks(entry_newest_stamp(table_item(*there))) : 0;
    if (here != NULL && there != NULL &&
        state_merge_is_equal(table_item(*here), table_item(*there))) {
        return true;
    }
    struct entry *ours = here != NULL ? table_item(*here) : NULL;
    struct entry *theirs = there != NULL ? table_item(*there) : NULL;
    if (rebase_has_elements(ours, theirs)) {
        rebase_elements(sync, &merge, key, ours, theirs, is_reissued);
    } else if (!compare(sync, &merge, key, here, staged, there)) {
        return false;
    }
    here = mutate_slot(sync->store, key);
    if (here != NULL) {
        mutate_remove(sync->store, key, here);
    }
    if (there == NULL) {
        return true;
    }
    there = mutate_slot(staged, key);
    require(there != NULL);
    struct entry *entry = table_item(*there);
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        return sync_copy(sync->store, key, entry_contested(entry), entry->stamp);
    }
    return sync_insert(sync->store, key, sync_take_out(staged, key));
}

/* ---- making it again ---- */

/* Has the mesh's state that was compared been written to since? What is settled keeps its ticks. */
static bool was_changed(const struct rebase_item *item, const struct entry *entry) {
    if (entry == NULL) {
        return item->was_there && item->kind != REBASE_SET;
    }
    return !item->was_there || stamp_ticks(entry_newest_stamp(entry)) != item->newest_ticks;
}

static void make_increment(struct sync *sync, const struct rebase_item *item, const struct key *key,
                           bool is_changed) {
    int64_t result;
    if (item->delta != 0 &&
        strings_add_integer(sync->store, key, item->delta, &result) != STORE_OK) {
        sync->stats.keys_unclear++;
        return;
    }
    if (item->sets_expiry && !is_changed) {
        (void)store_expire(sync->store, key, item->expire_unix_ms);
    }
}

static void make_item(struct sync *sync, const struct rebase_item *item) {
    struct store *store = sync->store;
    struct key key = store_key(store, store_database_index(store, item->number),
                               slice_make(item->key, item->key_size));
    bool is_changed = was_changed(item, store_peek(store, &key));
    struct entry_scratch scratch;
    struct key aside_key;
    struct entry *wanted;
    switch (item->kind) {
    case REBASE_INCREMENT:
        make_increment(sync, item, &key, is_changed);
        break;
    case REBASE_DELETE:
        if (!is_changed) {
            (void)store_delete(store, &key);
        }
        break;
    case REBASE_EXPIRE:
        if (!is_changed) {
            (void)store_expire(store, &key, item->expire_unix_ms);
        }
        break;
    case REBASE_SET:
        aside_key = store_key(&sync->rebase->aside,
                              store_database_index(&sync->rebase->aside, item->number), key.name);
        wanted = entry_at(&sync->rebase->aside, &aside_key);
        require(wanted != NULL);
        if (!is_changed && strings_set(store, &key, entry_value(wanted, &scratch),
                                       item->expire_unix_ms) != STORE_OK) {
            sync->stats.keys_unclear++;
        }
        forget_aside(sync, &aside_key);
        break;
    }
    store_end_unit(store);
}

bool rebase_some(struct sync *sync, unsigned keys_max) {
    struct rebase *rebase = sync->rebase;
    for (unsigned i = 0; i < keys_max && rebase->first != NULL; i++) {
        make_item(sync, rebase->first);
        drop_item(rebase);
    }
    for (unsigned i = 0; i < keys_max && rebase->first == NULL && rebase_next_element(sync); i++) {
    }
    return rebase->first == NULL && rebase->first_element == NULL;
}
