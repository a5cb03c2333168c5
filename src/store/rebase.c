/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/rebase.h"

#include "crdt/hyperloglog.h"
#include "store/databases.h"
#include "store/merge.h"
#include "store/rebase_compare.h"
#include "store/rebase_elements.h"
#include "store/strings.h"
#include "store/sync_state.h"

struct rebase_item {
    struct rebase_item *next;
    struct rebase_verdict verdict;
    unsigned number;       /* of its database */
    uint64_t newest_ticks; /* of the mesh's entry when it was compared */
    uint32_t key_size;
    char key[]; /* SET: the value is in `aside` */
};

static void drop_item(struct rebase *rebase) {
    struct rebase_item *item = rebase->first;
    rebase->first = item->next;
    if (rebase->first == NULL) {
        rebase->last = NULL;
    }
    buffer_deinit(&item->verdict.patches);
    buffer_deinit(&item->verdict.takes);
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
    /* What is kept from a joining before may lie there by another seed, and in another order: the
     * end of that joining took over the mesh's. */
    bool is_taken = sync_take_seed(&rebase->aside, sync->store->seed);
    ensure(is_taken);
    databases_follow_order(&rebase->aside, sync->store);
    return &rebase->aside;
}

static void put_item(struct sync *sync, const struct key *key,
                     const struct rebase_verdict *verdict) {
    struct rebase *rebase = sync->rebase;
    if (verdict->kind == REBASE_NOTHING) {
        return;
    }
    struct rebase_item *item = memory_alloc(sizeof(*item) + key->name.size);
    *item = (struct rebase_item){.verdict = *verdict};
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

/* ---- deciding ---- */

/* The entry here is known to be shown by nobody else: it is kept as it is. */
static void keep_aside(struct sync *sync, const struct key *key) {
    struct store *aside = rebase_aside(sync);
    struct entry *entry = sync_take_out(sync->store, key);
    table_insert(&aside->dbs[key->db].table, key->hash, entry, entry_expire_unix_ms(entry) != 0);
    struct rebase_place place = {.key = key, .owner = key, .aside = aside};
    struct rebase_verdict verdict;
    rebase_judge_kept(sync, &place, &verdict);
    put_item(sync, key, &verdict);
}

/* Nothing of a compact entry is another's to deliver. */
static bool is_all_reissued(const struct sync *sync, const struct entry *entry) {
    struct entry_parts parts;
    entry_take_apart(entry, &parts);
    return rebase_is_ours(sync, entry->stamp) && rebase_is_ours(sync, entry_expire_stamp(entry)) &&
           (parts.register_stamp == 0 || rebase_is_ours(sync, parts.register_stamp));
}

/* Is it a counter of which some was perhaps seen here, and removed? */
static bool was_begun(const struct sync *sync, const struct state_merge *merge,
                      const struct key *key, const struct entry *theirs) {
    struct entry_parts parts;
    if (theirs == NULL ||
        (entry_kind(theirs) != ENTRY_COUNTER && entry_kind(theirs) != ENTRY_COUNTER_REGISTER &&
         entry_kind(theirs) != ENTRY_FLOAT_COUNTER)) {
        return false;
    }
    entry_take_apart(theirs, &parts);
    struct seen_place place = {
        .number = sync->store->dbs[key->db].number, .type = VALUE_STRING, .key = key->name};
    long double amount;
    return rebase_was_begun(merge, parts.start_ticks, theirs->stamp) ||
           made_counters_find(sync->made_counters, &place,
                              sync->store->replicas.slots[stamp_slot(theirs->stamp)].ref, &amount);
}

/* Notes what is to be made again; afterwards the entry here means nothing any more. */
static bool compare(struct sync *sync, const struct state_merge *merge, const struct key *key,
                    uint64_t *here, struct store *staged, uint64_t *there) {
    struct entry *ours = here != NULL ? table_item(*here) : NULL;
    struct entry *theirs = there != NULL ? table_item(*there) : NULL;
    if (sync->rebase->is_kept && rebase_entry_at(rebase_aside(sync), key) != NULL) {
        return true; /* it is to be set again to what it was before the joining before this one */
    }
    bool is_deep = rebase_is_edited(sync, key) || was_begun(sync, merge, key, theirs);
    switch (is_deep ? STATE_MERGE_DEEP : state_merge_quick(merge, ours, theirs)) {
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
    struct rebase_place place = {.key = key,
                                 .owner = key,
                                 .ours = sync->store,
                                 .theirs = staged,
                                 .aside = rebase_aside(sync),
                                 .can_patch = true};
    struct rebase_verdict verdict;
    if (!rebase_compare(sync, merge, &place, &verdict)) {
        return false;
    }
    put_item(sync, key, &verdict);
    return true;
}

/* Did the mesh's value come of making again what was seen here? */
static bool was_made_again(const struct sync *sync, const struct key *key,
                           const struct entry *theirs) {
    struct entry_scratch scratch;
    struct seen_place place = {
        .number = sync->store->dbs[key->db].number, .type = VALUE_STRING, .key = key->name};
    return sync->made_again != NULL &&
           (entry_kind(theirs) == ENTRY_BYTES || entry_kind(theirs) == ENTRY_INTEGER ||
            entry_kind(theirs) == ENTRY_LARGE) &&
           made_again_has(sync->made_again, &place, entry_value(theirs, &scratch));
}

/* Values into which both sides have folded edits may have one stamp and other bytes. */
static bool is_equal(const struct entry *here, const struct entry *there) {
    struct entry_scratch ours, theirs;
    return state_merge_is_equal(here, there) &&
           slice_equal(entry_value(here, &ours), entry_value(there, &theirs));
}

bool rebase_key(struct sync *sync, const struct sync_part *part, const struct key *key,
                uint64_t *here, struct store *staged, uint64_t *there) {
    struct state_merge merge = sync_merge_of(sync, part);
    sync->rebase->newest_ticks =
        there != NULL ? stamp_ticks(entry_newest_stamp(table_item(*there))) : 0;
    if (here != NULL && there != NULL && is_equal(table_item(*here), table_item(*there))) {
        return true;
    }
    struct entry *ours = here != NULL ? table_item(*here) : NULL;
    struct entry *theirs = there != NULL ? table_item(*there) : NULL;
    struct context seen;
    if (theirs != NULL && was_made_again(sync, key, theirs)) {
        seen = *merge.seen_here;
        context_add(&seen, theirs->stamp);
        context_add(&seen, entry_expire_stamp(theirs));
        merge.seen_here = &seen;
    }
    if (theirs != NULL && merge.settled_ticks_here != UINT64_MAX &&
        rebase_all_was_logged(sync, &merge, key, VALUE_STRING, slice_make("", 0), theirs)) {
        merge.settled_ticks_here = UINT64_MAX;
    }
    if (rebase_has_elements(ours, theirs)) {
        if (!rebase_elements(sync, &merge, key, ours, theirs)) {
            return false;
        }
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
    if (there == NULL) {
        return true; /* it held nothing but the ghost of a part that is retired here */
    }
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
        return item->verdict.was_there && item->verdict.kind != REBASE_SET;
    }
    return !item->verdict.was_there || stamp_ticks(entry_newest_stamp(entry)) != item->newest_ticks;
}

static void make_change(struct store *store, const struct key *key, enum change_kind kind,
                        struct slice value) {
    struct change change = {.kind = kind,
                            .db = key->db,
                            .stamp = mutate_stamp(store),
                            .key = key->name,
                            .value = value};
    (void)merge_write(store, key, &change);
}

/* Takes off parts that were seen before they were removed. If nothing is left that shows, whoever
 * has not settled yet what was here of other types must not show that again. */
static void make_takes(struct store *store, const struct key *key, struct slice takes) {
    uint64_t *slot = mutate_slot(store, key);
    if (takes.size == 0 || slot == NULL || entry_kind(table_item(*slot)) >= ENTRY_PACKED) {
        return;
    }
    make_change(store, key, CHANGE_TAKE, takes);
    slot = mutate_slot(store, key);
    if (slot != NULL && entry_is_hidden(table_item(*slot))) {
        make_change(store, key, CHANGE_DELETE, slice_make("", 0));
    }
}

/* The part begins with nothing, and then is added to: so its beginning can be taken off in part, by
 * somebody who knows that some of it had been taken off before (made_counters.h). */
static void make_increment(struct sync *sync, const struct rebase_item *item, enum rebase_kind kind,
                           const struct key *key, bool is_changed) {
    const struct rebase_verdict *verdict = &item->verdict;
    int64_t integer;
    long double number;
    enum store_status status = STORE_OK;
    make_takes(sync->store, key, buffer_slice(&verdict->takes));
    if (kind == REBASE_FLOAT_INCREMENT && verdict->float_delta != 0) {
        (void)strings_add_float(sync->store, key, 0, &number);
        status = strings_add_float(sync->store, key, verdict->float_delta, &number);
    } else if (kind == REBASE_INCREMENT && verdict->delta != 0) {
        (void)strings_add_integer(sync->store, key, 0, &integer);
        status = strings_add_integer(sync->store, key, verdict->delta, &integer);
    }
    if (status != STORE_OK) {
        sync->stats.keys_unclear++;
        return;
    }
    if (verdict->sets_expiry && !is_changed) {
        (void)store_expire(sync->store, key, verdict->expire_unix_ms);
    }
}

/* Patches go onto whatever bytes are there by now, as those of any concurrent writer do. */
static void make_patches(struct sync *sync, const struct rebase_item *item, const struct key *key,
                         bool is_changed) {
    struct slice patches = buffer_slice(&item->verdict.patches), bytes;
    uint64_t offset, size;
    while (rebase_next_patch(&patches, &offset, &bytes)) {
        if (strings_patch(sync->store, key, offset, bytes, &size) != STORE_OK) {
            sync->stats.keys_unclear++;
            return;
        }
    }
    if (item->verdict.sets_expiry && !is_changed) {
        (void)store_expire(sync->store, key, item->verdict.expire_unix_ms);
    }
}

/* A HyperLogLog has lost nothing if it is joined with what is there by now; where nothing is, it is
 * begun as by PFADD, and joined with what another one begins. False: one of them is none. */
static bool make_joined(struct sync *sync, const struct key *key, struct slice wanted,
                        uint64_t expire_unix_ms) {
    struct entry_scratch scratch;
    const struct entry *entry = store_peek(sync->store, key);
    struct slice here = {0};
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    if (!contested_is_hyperloglog(wanted) || (entry != NULL && entry_type(entry) != VALUE_STRING)) {
        return false;
    }
    if (entry != NULL) {
        here = entry_value(entry, &scratch);
        if (!contested_is_hyperloglog(here) ||
            hyperloglog_join(registers, here) != HYPERLOGLOG_OK) {
            return false;
        }
    }
    if (hyperloglog_join(registers, wanted) != HYPERLOGLOG_OK) {
        return false;
    }
    struct buffer joined = {0};
    hyperloglog_set_registers(&joined, registers,
                              (entry != NULL && hyperloglog_is_dense(here)) ||
                                  hyperloglog_is_dense(wanted),
                              HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    bool is_done = strings_set_registers(sync->store, key, buffer_slice(&joined),
                                         (struct slice){0}) == STORE_OK;
    buffer_deinit(&joined);
    if (is_done && entry == NULL && expire_unix_ms != 0) {
        (void)store_expire(sync->store, key, expire_unix_ms);
    }
    return is_done;
}

/* The mesh has written to the key since it was compared. Where it has only added to the number, and
 * that stands on the register that it stood on, what was taken off here is taken off all the same.
 */
static void make_otherwise(struct sync *sync, const struct rebase_item *item,
                           const struct key *key) {
    const struct entry *entry = store_peek(sync->store, key);
    if (item->verdict.otherwise != REBASE_NOTHING && entry != NULL &&
        entry_type(entry) == VALUE_STRING &&
        rebase_register_ticks(entry) == item->verdict.register_ticks) {
        make_increment(sync, item, item->verdict.otherwise, key, true);
    }
}

static void make_value(struct sync *sync, const struct rebase_item *item, const struct key *key,
                       struct slice wanted, bool is_changed) {
    uint64_t expire_unix_ms = item->verdict.expire_unix_ms;
    if (make_joined(sync, key, wanted, expire_unix_ms)) {
        return;
    }
    if (is_changed) {
        make_otherwise(sync, item, key);
    } else if (strings_set(sync->store, key, wanted, expire_unix_ms) != STORE_OK) {
        sync->stats.keys_unclear++;
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
    switch (item->verdict.kind) {
    case REBASE_NOTHING:
        break;
    case REBASE_INCREMENT:
    case REBASE_FLOAT_INCREMENT:
        make_increment(sync, item, item->verdict.kind, &key, is_changed);
        break;
    case REBASE_PATCH:
        make_patches(sync, item, &key, is_changed);
        break;
    case REBASE_DELETE:
        if (!is_changed) {
            (void)store_delete(store, &key);
        } else {
            make_otherwise(sync, item, &key);
        }
        break;
    case REBASE_EXPIRE:
        if (!is_changed) {
            (void)store_expire(store, &key, item->verdict.expire_unix_ms);
        }
        break;
    case REBASE_SET:
        aside_key = store_key(&sync->rebase->aside,
                              store_database_index(&sync->rebase->aside, item->number), key.name);
        wanted = rebase_entry_at(&sync->rebase->aside, &aside_key);
        require(wanted != NULL);
        make_value(sync, item, &key, entry_value(wanted, &scratch), is_changed);
        rebase_drop(&sync->rebase->aside, &aside_key);
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
