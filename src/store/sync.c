/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/sync.h"

#include "base/codec.h"
#include "base/varint.h"
#include "store/databases.h"
#include "store/part_header.h"
#include "store/state.h"
#include "store/sync_elements.h"
#include "store/sync_ends.h"
#include "store/sync_state.h"

/* More than mesh-max-clock-drift by default. */
enum { SYNC_CLOCKS_APART_MS = 6000 };

/* ---- helpers about stores and entries ---- */

static uint64_t sync_table_hash(const void *item, const void *udata) {
    return hash_bytes(*(const struct hash_seed *)udata, entry_key((const struct entry *)item));
}

struct key sync_keep_key(struct buffer *scratch, const struct key *key) {
    buffer_clear(scratch);
    buffer_append_slice(scratch, key->name);
    struct key kept = *key;
    kept.name = buffer_slice(scratch);
    return kept;
}

void sync_aside_init(struct store *aside, const struct store *store) {
    struct store_opts opts = {.dbs_count = store->dbs_count, .seed = store->seed.a};
    store_init(aside, &opts);
    replicas_deinit(&aside->replicas);
    aside->is_alone = false;
    aside->seed = store->seed;
    aside->element_seed = store->element_seed;
    aside->now_ms = store->now_ms;
    aside->expiry_is_paused = true;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        aside->dbs[db].number = store->dbs[db].number;
    }
    sync_aside_lend(aside, store);
}

void sync_aside_deinit(struct store *aside) {
    aside->replicas = (struct replicas){0};
    store_deinit(aside);
}

struct entry *sync_take_out(struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    struct entry *entry = table_item(*slot);
    require(entry_kind(entry) != ENTRY_CONTESTED);
    table_remove(&store->dbs[key->db].table, key->hash, slot);
    return entry;
}

bool sync_copy(struct store *store, const struct key *key, struct contested *from, uint64_t stamp) {
    static const struct context nothing; /* seen, so all is taken */
    struct state_merge merge = {.store = store, .seen_here = &nothing};
    struct contested *contested = contested_open(store, key, NULL);
    while (from->collections != NULL) {
        struct collection *collection = from->collections;
        from->collections = collection->next;
        contested_add_collection(contested, collection);
        collection_adopt(store, collection);
    }
    bool is_done = state_merge_elements(&merge, contested, from);
    contested_close(store, key, stamp);
    return is_done;
}

bool sync_insert(struct store *store, const struct key *key, struct entry *entry) {
    if (entry_kind(entry) != ENTRY_CONTESTED) {
        table_insert(&store->dbs[key->db].table, key->hash, entry,
                     entry_expire_unix_ms(entry) != 0);
        if (entry_kind(entry) == ENTRY_COLLECTION) {
            collection_adopt(store, entry_collection(entry));
            collection_finish(store, entry_collection(entry), 0);
        }
        return true;
    }
    bool is_done = sync_copy(store, key, entry_contested(entry), entry->stamp);
    entry_free(entry);
    return is_done;
}

/* ---- the hash seed ---- */

struct seed_move {
    struct table *to;
    struct hash_seed seed;
};

static void seed_move_visit(void *item, void *udata) {
    struct seed_move *move = (struct seed_move *)udata;
    const struct entry *entry = (const struct entry *)item;
    table_insert(move->to, hash_bytes(move->seed, entry_key(entry)), item,
                 entry_expire_unix_ms(entry) != 0);
}

bool sync_take_seed(struct store *store, struct hash_seed seed) {
    if (store->seed.a == seed.a && store->seed.b == seed.b) {
        return true;
    }
    if (store->walk != NULL) {
        return false;
    }
    for (unsigned db = 0; db < store->dbs_count; db++) {
        struct keyspace *keyspace = &store->dbs[db];
        struct table old = keyspace->table;
        table_init(&keyspace->table, sync_table_hash, &store->seed);
        struct seed_move move = {.to = &keyspace->table, .seed = seed};
        /* The new table hashes by the new seed when it splits, the old one is only read. */
        store->seed = seed;
        for (uint64_t position = 0;;) {
            position = table_walk(&old, position, seed_move_visit, &move);
            if (position == 0) {
                break;
            }
        }
        table_deinit(&old);
        keyspace->expire_position = 0;
    }
    return true;
}

/* ---- lifecycle ---- */

static void sync_touch_all(struct store *store, enum store_touch touch) {
    for (unsigned db = 0; db < store->dbs_count && store->watchers_count > 0; db++) {
        struct key key = {.db = db};
        store->touch(store->udata, &key, touch);
    }
}

static bool sync_saw_nothing(const struct store *store) {
    for (unsigned slot = 0; slot < STAMP_SLOTS_COUNT; slot++) {
        if (store->context.stamps[slot] != 0) {
            return false;
        }
    }
    for (unsigned db = 0; db < store->dbs_count; db++) {
        if (store->dbs[db].table.count > 0) {
            return false;
        }
    }
    return store->replicas.retired_count == 0;
}

struct sync *sync_begin(struct store *store, enum sync_mode mode, sync_fate_fn fate, void *udata) {
    require(store->sync == NULL);
    struct sync *sync = memory_alloc_zero(sizeof(*sync));
    sync->store = store;
    sync->mode = mode;
    store->retirement = (struct store_retirement){0};
    sync->is_direct = sync_saw_nothing(store);
    sync->fate = fate;
    sync->udata = udata;
    sync->rebase = rebase_new();
    sync->seen = store->context;
    sync->marks = memory_alloc_zero(STAMP_SLOTS_COUNT * sizeof(sync->marks[0]));
    sync->fates = memory_alloc_zero(STAMP_SLOTS_COUNT * sizeof(sync->fates[0]));
    snapshot_walk_cancel_all(store->walk);
    store->is_alone = false;
    store->sync = sync;
    sync_touch_all(store, STORE_TOUCH_ALL_LEAVE);
    return sync;
}

static void lower(uint64_t *least, uint64_t value) {
    *least = value < *least ? value : *least;
}

uint64_t sync_unsure_ticks(const struct sync *sync) {
    uint64_t ticks = UINT64_MAX;
    for (unsigned i = 0; i < sync->parts_count; i++) {
        if (sync->parts[i].intake != NULL) {
            lower(&ticks, sync->parts[i].intake->settled_ticks_here);
        }
    }
    return ticks;
}

void sync_set_history(struct sync *sync, struct counter_history *history,
                      struct seen_changes *seen) {
    counter_history_free(sync->history);
    seen_changes_free(sync->seen_changes);
    sync->history = history;
    sync->seen_changes = seen;
}

void sync_abandon(struct sync *sync) {
    if (sync->is_direct && !sync->is_finished) {
        store_take_out_all(sync->store);
    }
}

void sync_keep_rebase(struct sync *sync, struct sync *before) {
    /* Nobody was told, and the mesh may have the originals by now: parts that do are as good. */
    for (size_t i = 0; i < before->ends_count; i++) {
        replicas_drop_ended(&sync->store->replicas, before->ends[i].ref);
    }
    before->ends_count = 0;
    struct rebase *rebase = sync->rebase;
    sync->rebase = before->rebase;
    sync->rebase->is_kept = true;
    before->rebase = rebase;
}

void sync_keep_goal(struct sync *sync, const struct sync *before) {
    if (before->is_direct && !before->is_finished) {
        return; /* nothing of it stayed */
    }
    sync->left = before->left;
    if (before->parts_merged > 0) {
        context_join(&sync->left, &before->goal);
    }
}

static void intake_free(struct sync_intake *intake, bool is_direct) {
    if (!is_direct) {
        sync_aside_deinit(&intake->staged);
    }
    while (intake->open != NULL) {
        struct sync_open *open = intake->open;
        intake->open = open->next;
        entry_free(open->entry);
        memory_free(open);
    }
    for (unsigned slot = 0; slot < intake->marks_count; slot++) {
        memory_free(intake->marks[slot].marks);
    }
    memory_free(intake->marks);
    memory_free(intake->retired);
    buffer_deinit(&intake->order);
    buffer_deinit(&intake->bytes);
    memory_free(intake);
}

void sync_free(struct sync *sync) {
    if (sync->store->sync == sync) {
        sync->store->sync = NULL;
        sync->store->is_replaying = false;
    }
    for (unsigned i = 0; i < sync->parts_count; i++) {
        if (sync->parts[i].intake != NULL) {
            intake_free(sync->parts[i].intake, sync->is_direct);
        }
        memory_free(sync->parts[i].context);
    }
    memory_free(sync->parts);
    counter_history_free(sync->history);
    seen_changes_free(sync->seen_changes);
    for (unsigned slot = 0; slot < STAMP_SLOTS_COUNT; slot++) {
        memory_free(sync->marks[slot].marks);
    }
    memory_free(sync->marks);
    memory_free(sync->fates);
    rebase_free(sync->rebase);
    for (size_t i = 0; i < sync->retired_count; i++) {
        memory_free(sync->retired[i].parts);
    }
    memory_free(sync->retired);
    memory_free(sync->ends);
    buffer_deinit(&sync->order);
    buffer_deinit(&sync->key_scratch);
    memory_free(sync);
}

/* ---- ranges of the store ---- */

enum { RANGE_ENTRIES_MAX = 4096 }; /* of one bucket; it holds eight, and what spills over */

/* The entries of one bucket that belong to a part. */
struct range_bucket {
    struct store *store;
    uint64_t first, last;
    unsigned db;
    unsigned count;
    struct key keys[RANGE_ENTRIES_MAX];
};

static void range_visit(void *item, void *udata) {
    struct range_bucket *bucket = (struct range_bucket *)udata;
    struct key key = store_key(bucket->store, bucket->db, entry_key((const struct entry *)item));
    if (key.hash >= bucket->first && key.hash <= bucket->last) {
        require(bucket->count < RANGE_ENTRIES_MAX);
        bucket->keys[bucket->count++] = key;
    }
}

typedef bool (*range_fn)(struct sync *sync, struct sync_part *part, const struct key *key);

/* Calls `each` for all keys of the part that are in `store`, which may remove or replace that key.
 * False as soon as it is. */
static bool range_walk(struct sync *sync, struct sync_part *part, struct store *store,
                       range_fn each) {
    struct range_bucket *bucket = memory_alloc(sizeof(*bucket));
    bool is_ok = true;
    bucket->store = store;
    part_range((unsigned)(part - sync->parts), sync->parts_count, &bucket->first, &bucket->last);
    for (unsigned db = 0; db < store->dbs_count && is_ok; db++) {
        bucket->db = db;
        if (store->dbs[db].table.count == 0) {
            continue;
        }
        uint64_t position = bucket->first;
        do {
            bucket->count = 0;
            position = table_walk(&store->dbs[db].table, position, range_visit, bucket);
            for (unsigned i = 0; i < bucket->count && is_ok; i++) {
                is_ok = each(sync, part, &bucket->keys[i]);
            }
        } while (is_ok && position != 0 && position <= bucket->last);
    }
    memory_free(bucket);
    return is_ok;
}

static bool range_remove(struct sync *sync, struct sync_part *part, const struct key *key) {
    (void)part;
    mutate_remove(sync->store, key, mutate_slot(sync->store, key));
    return true;
}

/* A part that did not come whole: nothing of it stays. */
static void part_reset(struct sync *sync, struct sync_part *part) {
    if (part->state != SYNC_PART_BEGUN) {
        return;
    }
    if (sync->is_direct && part->intake->inserted > 0) {
        (void)range_walk(sync, part, sync->store, range_remove);
    }
    intake_free(part->intake, sync->is_direct);
    part->intake = NULL;
    memory_free(part->context);
    part->context = NULL;
    part->context_count = 0;
    part->state = SYNC_PART_OPEN;
}

/* ---- headers ---- */

/* The replicas get slots here. */
static bool header_add_replicas(struct part_header *header, struct store *store,
                                struct context *seen, struct sync_intake *intake) {
    for (uint64_t i = 0; i < header->replicas_count; i++) {
        struct part_header_replica *replica = &header->replicas[i];
        replica->ours = replicas_add(&store->replicas, &replica->id);
        if (replica->ours == 0) {
            return false;
        }
        intake->slots[replica->slot] = (uint16_t)replica->ours;
        /* One that was retired here has a slot again; all that it wrote was seen. If that is
         * nothing, a stamp without ticks would stay in the context, which peers refuse. */
        const struct retired_replica *retired =
            replicas_find_retired(&store->replicas, replica_ref(&replica->id));
        if (retired != NULL && retired->ticks > 0) {
            context_add(seen, stamp_make(retired->ticks, replica->ours));
        }
    }
    return true;
}

/* What is void is so from now on: then this state has to be taken over, if not in this way, in
 * another. */
static void header_note_ended(const struct part_header *header, struct sync *sync) {
    struct replicas *replicas = &sync->store->replicas;
    struct slice rest = header->ended;
    for (uint64_t i = 0; i < header->ended_count; i++) {
        struct ended_replica end = {0};
        (void)codec_take_u64(&rest, &end.ref);
        (void)varint_take(&rest, &end.ticks);
        (void)varint_take(&rest, &end.made_ticks);
        replicas_note_ended(replicas, &end);
    }
    if (sync->mode == SYNC_TAKE) {
        /* What is void is not applied to the parts again. */
        (void)replicas_clip_void(replicas, &sync->seen);
    }
}

static void part_raise_context(struct sync_part *part, uint64_t stamp) {
    unsigned slot = stamp_slot(stamp);
    if (slot < part->context_count && stamp_ticks(stamp) > 0 && stamp > part->context[slot]) {
        part->context[slot] = stamp;
    }
}

static void intake_take_marks(struct sync_intake *intake,
                              const struct part_header_replica *replica) {
    struct sync_marks *marks = &intake->marks[replica->ours];
    struct slice rest = replica->marks;
    marks->stamp = stamp_make(replica->ticks, replica->ours);
    marks->count = intake->marks_count;
    marks->marks = memory_alloc_zero(marks->count * sizeof(marks->marks[0]));
    for (uint64_t i = 0; i < replica->marks_count; i++) {
        uint64_t slot = 0, ticks = 0;
        (void)varint_take(&rest, &slot);
        (void)varint_take(&rest, &ticks);
        /* 0: a replica that the sender has retired since; all have seen its changes. */
        unsigned ours = intake->slots[slot];
        if (ours != 0) {
            marks->marks[ours] = stamp_make(ticks, ours);
        }
    }
}

/* What two sides have seen, and how many slots of it. */
struct two_sides {
    const uint64_t *one, *other;
    unsigned count;
};

/* What both sides have seen, but for what clocks may be apart. What only the one has seen may come
 * from others who have heard as little as it has, and what this node wrote itself tells nothing of
 * what it had heard. */
static uint64_t ticks_of_both(const struct replicas *replicas, const struct two_sides *seen) {
    uint64_t newest = 0, apart = (uint64_t)SYNC_CLOCKS_APART_MS << STAMP_COUNTER_BITS;
    for (unsigned i = 1; i < seen->count && i < replicas->slots_count; i++) {
        uint64_t both = seen->one[i] < seen->other[i] ? seen->one[i] : seen->other[i];
        if (!replicas_is_of_self(replicas, i) && stamp_ticks(both) > newest) {
            newest = stamp_ticks(both);
        }
    }
    return newest > apart ? newest - apart : 0;
}

/* Up to which ticks the one side had seen all of a replica that it never heard of: that wrote
 * nothing before it began, where its generation tells when that was. Clocks may be apart; but where
 * the one side was in one mesh with the other, it also began later than what both have seen. That
 * alone is not enough: both may have it from others who were as new as the one side, and had not
 * heard of the replica either. */
static uint64_t ticks_before(const struct replicas *replicas, const struct two_sides *seen,
                             const struct retired_replica *retired) {
    uint64_t ticks = ticks_of_both(replicas, seen);
    uint64_t born = retired->born_ticks <= retired->ticks ? retired->born_ticks : 0;
    return born < ticks ? born : ticks;
}

/* Lowers `settled` to what the one side has seen of a replica that the other one has retired. It
 * may have retired it itself (`own`, else NULL), by an earlier end: sides that had forgotten each
 * other each retired the other's life as they knew it, and that went on. */
static void lower_settled(uint64_t *settled, const struct replicas *replicas,
                          const struct two_sides *seen, const struct retired_replica *retired,
                          const struct retired_replica *own) {
    unsigned slot = replicas_find(replicas, retired->ref);
    uint64_t ticks = own != NULL ? own->ticks : 0;
    if (slot != 0 && slot < seen->count && stamp_ticks(seen->one[slot]) > ticks) {
        ticks = stamp_ticks(seen->one[slot]);
    }
    if (ticks < retired->ticks) {
        lower(settled, ticks != 0 ? ticks : ticks_before(replicas, seen, retired));
    }
}

static void intake_take_retired(struct sync *sync, struct sync_part *part,
                                const struct part_header *header) {
    struct sync_intake *intake = part->intake;
    const struct replicas *replicas = &sync->store->replicas;
    struct slice rest = header->retired;
    intake->retired_count = header->retired_count;
    intake->retired = memory_alloc_zero((header->retired_count + 1) * sizeof(intake->retired[0]));
    intake->settled_ticks_here = UINT64_MAX;
    for (uint64_t i = 0; i < header->retired_count; i++) {
        struct retired_replica *retired = &intake->retired[i];
        (void)codec_take_u64(&rest, &retired->ref);
        (void)varint_take(&rest, &retired->ticks);
        (void)varint_take(&rest, &retired->born_ticks);
        unsigned slot = replicas_find(replicas, retired->ref);
        if (slot != 0) {
            intake->is_retired_there[slot] = true;
            part_raise_context(part, stamp_make(retired->ticks, slot));
        }
        struct two_sides seen = {sync->seen.stamps, part->context, part->context_count};
        lower_settled(&intake->settled_ticks_here, replicas, &seen, retired,
                      replicas_find_retired(replicas, retired->ref));
    }
}

static const struct retired_replica *retired_there(const struct sync_intake *intake, uint64_t ref) {
    for (size_t i = 0; i < intake->retired_count; i++) {
        if (intake->retired[i].ref == ref) {
            return &intake->retired[i];
        }
    }
    return NULL;
}

static void intake_take_header(struct sync *sync, struct sync_part *part,
                               const struct part_header *header) {
    struct sync_intake *intake = part->intake;
    const struct replicas *replicas = &sync->store->replicas;
    unsigned count = replicas->slots_count;
    part->context_count = count;
    part->context = memory_alloc_zero(count * sizeof(part->context[0]));
    intake->marks_count = count;
    intake->marks = memory_alloc_zero(count * sizeof(intake->marks[0]));
    for (uint64_t i = 0; i < header->replicas_count; i++) {
        part_raise_context(part, stamp_make(header->replicas[i].ticks, header->replicas[i].ours));
        intake_take_marks(intake, &header->replicas[i]);
    }
    intake_take_retired(sync, part, header);
    intake->settled_ticks_there = UINT64_MAX;
    for (size_t i = 0; i < replicas->retired_count; i++) {
        const struct retired_replica *retired = &replicas->retired[i];
        struct two_sides seen = {part->context, sync->seen.stamps, part->context_count};
        lower_settled(&intake->settled_ticks_there, replicas, &seen, retired,
                      retired_there(intake, retired->ref));
    }
    intake->order_stamp = header->order_ticks == 0
                              ? 0
                              : stamp_make(header->order_ticks, intake->slots[header->order_slot]);
    buffer_append_slice(&intake->order, header->order);
}

enum sync_status sync_part_begin(struct sync *sync, unsigned part_number, unsigned parts_count,
                                 struct slice header_bytes) {
    if (sync->is_finished || parts_count == 0 || parts_count > PART_COUNT_MAX ||
        (parts_count & (parts_count - 1)) != 0 || part_number >= parts_count ||
        (sync->parts_count != 0 && sync->parts_count != parts_count)) {
        return SYNC_MALFORMED;
    }
    if (sync->parts_count == 0) {
        sync->parts_count = parts_count;
        sync->parts = memory_alloc_zero(parts_count * sizeof(sync->parts[0]));
    }
    struct sync_part *part = &sync->parts[part_number];
    if (part->state == SYNC_PART_DONE) {
        return SYNC_MALFORMED;
    }
    part_reset(sync, part);
    struct part_header *header = memory_alloc_zero(sizeof(*header));
    struct sync_intake *intake = memory_alloc_zero(sizeof(*intake));
    enum sync_status status = SYNC_OK;
    if (!part_header_take(header, sync->store, part_number, parts_count, header_bytes)) {
        status = SYNC_MALFORMED;
    } else if (!header_add_replicas(header, sync->store, &sync->seen, intake)) {
        status = SYNC_FULL;
    }
    if (status != SYNC_OK) {
        memory_free(intake);
        memory_free(header);
        return status;
    }
    if (!sync->is_direct) {
        sync_aside_init(&intake->staged, sync->store);
    }
    part->intake = intake;
    part->state = SYNC_PART_BEGUN;
    header_note_ended(header, sync);
    intake_take_header(sync, part, header);
    memory_free(header);
    return SYNC_OK;
}

/* ---- data ---- */

/* Where the open entry of that key hangs; NULL there: none has begun. */
static struct sync_open **find_open(struct sync_intake *intake, unsigned db, struct slice name) {
    struct sync_open **at = &intake->open;
    while (*at != NULL && ((*at)->key.db != db || !slice_equal((*at)->key.name, name))) {
        at = &(*at)->next;
    }
    return at;
}

/* The entry is whole: it goes where entries go. */
static enum sync_status part_insert(struct sync *sync, struct sync_part *part, struct entry *entry,
                                    const struct key *at) {
    struct sync_intake *intake = part->intake;
    struct store *store = sync->is_direct ? sync->store : &intake->staged;
    if (!state_merge_entry_is_covered(store, entry, part->context, part->context_count)) {
        entry_free(entry);
        return SYNC_MALFORMED;
    }
    if (entry_kind(entry) == ENTRY_COLLECTION && collection_count(entry_collection(entry)) == 0) {
        entry_free(entry);
        return SYNC_MALFORMED;
    }
    sync->stats.keys_came++;
    if (!sync->is_direct) {
        /* Raw, since it lives in no list; whoever takes it from there copies it. */
        table_insert(&store->dbs[at->db].table, at->hash, entry, entry_expire_unix_ms(entry) != 0);
        return SYNC_OK;
    }
    struct key key = sync_keep_key(&sync->key_scratch, at);
    intake->inserted++;
    return sync_insert(store, &key, entry) ? SYNC_OK : SYNC_OUT_OF_MEMORY;
}

static enum sync_status part_take_entry(struct sync *sync, struct sync_part *part,
                                        const struct state_piece *piece) {
    struct sync_intake *intake = part->intake;
    uint64_t first, last;
    struct store *store = sync->is_direct ? sync->store : &intake->staged;
    part_range((unsigned)(part - sync->parts), sync->parts_count, &first, &last);
    struct key key =
        store_key(store, store_database_index(store, piece->db), entry_key(piece->entry));
    if (key.hash < first || key.hash > last || mutate_slot(store, &key) != NULL ||
        *find_open(intake, key.db, key.name) != NULL ||
        !state_merge_entry_is_covered(store, piece->entry, part->context, part->context_count)) {
        entry_free(piece->entry);
        return SYNC_MALFORMED;
    }
    if (!piece->goes_on) {
        return part_insert(sync, part, piece->entry, &key);
    }
    struct sync_open *open = memory_alloc(sizeof(*open));
    *open = (struct sync_open){.next = intake->open, .entry = piece->entry, .key = key};
    intake->open = open;
    return SYNC_OK;
}

static enum sync_status part_take_more(struct sync *sync, struct sync_part *part,
                                       const struct state_piece *piece) {
    struct sync_open **at =
        find_open(part->intake, store_database_index(sync->store, piece->db), piece->key);
    struct sync_open *open = *at;
    bool goes_on;
    if (open == NULL || state_add_part(open->entry, piece, &goes_on) != STORE_OK) {
        return SYNC_MALFORMED;
    }
    if (goes_on) {
        return SYNC_OK;
    }
    *at = open->next;
    enum sync_status status = part_insert(sync, part, open->entry, &open->key);
    memory_free(open);
    return status;
}

static enum sync_status part_take_piece(struct sync *sync, struct sync_part *part,
                                        struct slice *bytes) {
    struct sync_intake *intake = part->intake;
    struct state_piece piece;
    switch (state_decode(sync->store, intake->slots, bytes, &piece)) {
    case STORE_OK:
        break;
    case STORE_OUT_OF_MEMORY:
        return SYNC_OUT_OF_MEMORY;
    case STORE_ABSENT:
    case STORE_EXISTS:
    case STORE_WRONG_TYPE:
    case STORE_NOT_INTEGER:
    case STORE_NOT_FLOAT:
    case STORE_OVERFLOW:
    case STORE_NOT_FINITE:
    case STORE_MALFORMED:
    case STORE_NO_ROOM:
        return SYNC_MALFORMED;
    }
    switch (piece.kind) {
    case STATE_PIECE_ENTRY:
        return part_take_entry(sync, part, &piece);
    case STATE_PIECE_PART:
        return part_take_more(sync, part, &piece);
    case STATE_PIECE_ORDER:
        break; /* it is in the header */
    }
    return SYNC_MALFORMED;
}

static bool next_batch(struct slice *bytes, struct slice *batch, bool *is_malformed) {
    if (bytes->size < 4) {
        return false;
    }
    uint64_t size = 0;
    for (int i = 0; i < 4; i++) {
        size |= (uint64_t)(uint8_t)bytes->data[i] << (8 * i);
    }
    *is_malformed = size > PART_BATCH_BYTES_MAX;
    if (*is_malformed || bytes->size - 4 < size) {
        return false;
    }
    *batch = slice_make(bytes->data + 4, size);
    *bytes = slice_skip(*bytes, 4 + size);
    return true;
}

enum sync_status sync_part_data(struct sync *sync, unsigned part_number, struct slice bytes) {
    if (part_number >= sync->parts_count || sync->parts[part_number].state != SYNC_PART_BEGUN) {
        return SYNC_MALFORMED;
    }
    struct sync_part *part = &sync->parts[part_number];
    struct sync_intake *intake = part->intake;
    if (!sync->is_direct) {
        sync_aside_lend(&intake->staged, sync->store);
    }
    buffer_append_slice(&intake->bytes, bytes);
    struct slice rest = buffer_slice(&intake->bytes), batch;
    bool is_malformed = false;
    enum sync_status status = SYNC_OK;
    while (status == SYNC_OK && next_batch(&rest, &batch, &is_malformed)) {
        while (status == SYNC_OK && batch.size > 0) {
            status = part_take_piece(sync, part, &batch);
        }
    }
    if (is_malformed) {
        status = SYNC_MALFORMED;
    }
    if (status != SYNC_OK) {
        part_reset(sync, part);
        return status;
    }
    buffer_consume(&intake->bytes, intake->bytes.size - rest.size);
    return SYNC_OK;
}

/* ---- merging a whole part ---- */

struct state_merge sync_merge_of(struct sync *sync, const struct sync_part *part) {
    return (struct state_merge){.store = sync->store,
                                .seen_here = &sync->seen,
                                .settled_ticks_here = part->intake->settled_ticks_here,
                                .seen_there = part->context,
                                .seen_there_count = part->context_count,
                                .settled_ticks_there = part->intake->settled_ticks_there,
                                .has_unseen_there = part->intake->settled_ticks_here != UINT64_MAX,
                                .is_retired_there = part->intake->is_retired_there};
}

/* The greater of the stamps of two entries, either of which may be NULL: then it counts as 0. */
static uint64_t newer_stamp(const struct store *store, const struct entry *a,
                            const struct entry *b) {
    uint64_t a_stamp = a != NULL ? a->stamp : 0, b_stamp = b != NULL ? b->stamp : 0;
    return replicas_compare_stamps(&store->replicas, a_stamp, b_stamp) > 0 ? a_stamp : b_stamp;
}

/* Spells both sides out; `there` may be NULL. */
static bool part_merge_deep(struct sync *sync, const struct state_merge *merge,
                            const struct key *at, struct store *staged) {
    struct store *store = sync->store;
    struct key key = sync_keep_key(&sync->key_scratch, at);
    uint64_t *here = mutate_slot(store, &key);
    uint64_t *there = staged == NULL ? NULL : mutate_slot(staged, &key);
    uint64_t stamp = newer_stamp(store, here != NULL ? table_item(*here) : NULL,
                                 there != NULL ? table_item(*there) : NULL);
    struct contested *theirs = there == NULL ? NULL : contested_open(staged, &key, there);
    struct contested *ours = contested_open(store, &key, here);
    state_merge_retire(merge, ours, staged, theirs);
    bool is_done = sync_merge_collections(merge, key.db, ours, staged, theirs) &&
                   state_merge_elements(merge, ours, theirs);
    contested_close(store, &key, stamp);
    here = mutate_slot(store, &key);
    if (here != NULL && entry_kind(table_item(*here)) == ENTRY_COLLECTION) {
        collection_finish(store, entry_collection(table_item(*here)), 0);
    }
    sync->stats.keys_merged++;
    return is_done;
}

static bool part_merge_absent(struct sync *sync, struct sync_part *part, const struct key *key) {
    struct sync_intake *intake = part->intake;
    struct store *store = sync->store;
    if (mutate_slot(&intake->staged, key) != NULL) {
        return true;
    }
    uint64_t *slot = mutate_slot(store, key);
    struct state_merge merge = sync_merge_of(sync, part);
    switch (state_merge_quick(&merge, table_item(*slot), NULL)) {
    case STATE_MERGE_KEEP:
        return true;
    case STATE_MERGE_DROP:
        sync->stats.keys_removed++;
        mutate_remove(store, key, slot);
        return true;
    case STATE_MERGE_DEEP:
        return part_merge_deep(sync, &merge, key, NULL);
    case STATE_MERGE_TAKE:
        break;
    }
    impossible("there is nothing to take");
}

static bool part_merge_staged(struct sync *sync, struct sync_part *part, const struct key *key) {
    struct store *staged = &part->intake->staged, *store = sync->store;
    uint64_t *here = mutate_slot(store, key), *there = mutate_slot(staged, key);
    struct state_merge merge = sync_merge_of(sync, part);
    struct entry *theirs;
    switch (
        state_merge_quick(&merge, here != NULL ? table_item(*here) : NULL, table_item(*there))) {
    case STATE_MERGE_KEEP:
        return true;
    case STATE_MERGE_TAKE:
        theirs = sync_take_out(staged, key);
        mutate_put(store, key, here, theirs);
        mutate_after(store, key);
        return true;
    case STATE_MERGE_DEEP:
        return part_merge_deep(sync, &merge, key, staged);
    case STATE_MERGE_DROP:
        break;
    }
    impossible("what came is not dropped at a glance");
}

/* Puts an entry that came into the store, which has no such key. */
static bool part_take_staged(struct sync *sync, struct sync_part *part, const struct key *at) {
    struct store *staged = &part->intake->staged, *store = sync->store;
    struct key key = sync_keep_key(&sync->key_scratch, at);
    struct entry *entry = table_item(*mutate_slot(staged, &key));
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        return sync_copy(store, &key, entry_contested(entry), entry->stamp);
    }
    return sync_insert(store, &key, sync_take_out(staged, &key));
}

static bool part_rebase_absent(struct sync *sync, struct sync_part *part, const struct key *at) {
    struct store *staged = &part->intake->staged;
    if (mutate_slot(staged, at) != NULL) {
        return true;
    }
    struct key key = sync_keep_key(&sync->key_scratch, at);
    return rebase_key(sync, part, &key, mutate_slot(sync->store, &key), staged, NULL);
}

static bool part_rebase_staged(struct sync *sync, struct sync_part *part, const struct key *at) {
    struct store *staged = &part->intake->staged;
    struct key key = sync_keep_key(&sync->key_scratch, at);
    return rebase_key(sync, part, &key, mutate_slot(sync->store, &key), staged,
                      mutate_slot(staged, &key));
}

/* All of the part's keys change at once. False when memory is out: then some have not come. */
static bool part_merge(struct sync *sync, struct sync_part *part) {
    struct store *staged = &part->intake->staged;
    if (sync->is_direct) {
        return true;
    }
    sync_aside_lend(staged, sync->store);
    switch (sync->mode) {
    case SYNC_TAKE:
        return range_walk(sync, part, sync->store, range_remove) &&
               range_walk(sync, part, staged, part_take_staged);
    case SYNC_MERGE:
        return range_walk(sync, part, sync->store, part_merge_absent) &&
               range_walk(sync, part, staged, part_merge_staged);
    case SYNC_REBASE:
        break;
    }
    return range_walk(sync, part, sync->store, part_rebase_absent) &&
           range_walk(sync, part, staged, part_rebase_staged);
}

/* ---- the ends of parts ---- */

static void sync_note_marks(struct sync *sync, struct sync_intake *intake) {
    for (unsigned slot = 1; slot < intake->marks_count; slot++) {
        struct sync_marks *theirs = &intake->marks[slot], *kept = &sync->marks[slot];
        if (stamp_ticks(theirs->stamp) != 0 && (kept->stamp == 0 || theirs->stamp < kept->stamp)) {
            memory_free(kept->marks);
            *kept = *theirs;
            theirs->marks = NULL;
        }
    }
}

static void sync_note_order(struct sync *sync, struct sync_intake *intake) {
    if (sync->order.size == 0 ||
        (intake->order_stamp != 0 &&
         replicas_compare_stamps(&sync->store->replicas, intake->order_stamp, sync->order_stamp) >
             0)) {
        sync->order_stamp = intake->order_stamp;
        buffer_clear(&sync->order);
        buffer_append_slice(&sync->order, buffer_slice(&intake->order));
    }
}

/* They count once all parts are in: until then the state is not one that has seen them. */
static void sync_note_retired(struct sync *sync, const struct sync_part *part) {
    const struct sync_intake *intake = part->intake;
    size_t number = (size_t)(part - sync->parts);
    for (size_t i = 0; i < intake->retired_count; i++) {
        const struct retired_replica *retired = &intake->retired[i];
        size_t at = i; /* most lists are alike */
        if (at >= sync->retired_count || sync->retired[at].replica.ref != retired->ref) {
            for (at = 0; at < sync->retired_count && sync->retired[at].replica.ref != retired->ref;
                 at++) {
            }
        }
        if (at == sync->retired_count) {
            sync->retired = memory_resize(sync->retired, (at + 1) * sizeof(sync->retired[0]));
            sync->retired[sync->retired_count++] = (struct sync_retired){
                .replica = *retired, .parts = memory_alloc_zero(sync->parts_count / 8 + 1)};
        }
        sync->retired[at].parts[number / 8] |= (uint8_t)(1 << number % 8);
    }
}

static bool has_retired(const struct sync_retired *retired, unsigned part) {
    return (retired->parts[part / 8] >> part % 8 & 1) != 0;
}

/* The part has seen this, though its slot may be newer than its header. */
static void part_note_seen(struct sync_part *part, unsigned slot, uint64_t stamp) {
    if (slot >= part->context_count) {
        part->context = memory_resize(part->context, (slot + 1) * sizeof(part->context[0]));
        memset(part->context + part->context_count, 0,
               (slot + 1 - part->context_count) * sizeof(part->context[0]));
        part->context_count = slot + 1;
    }
    part_raise_context(part, stamp);
}

static bool all_parts_have_seen(const struct sync *sync, uint64_t stamp) {
    for (unsigned i = 0; i < sync->parts_count; i++) {
        const struct sync_part *part = &sync->parts[i];
        if (stamp_slot(stamp) >= part->context_count || part->context[stamp_slot(stamp)] < stamp) {
            return false;
        }
    }
    return true;
}

/* One that was introduced meanwhile has a slot here, which headers did not know of: what came in
 * parts is without it all the same, and whoever takes that from here has to know. Where a part had
 * not seen all of it, peers say that it lacks it, and parts are pulled anew. */
static void sync_take_retired(struct sync *sync) {
    struct replicas *replicas = &sync->store->replicas;
    for (size_t i = 0; i < sync->retired_count; i++) {
        const struct sync_retired *retired = &sync->retired[i];
        unsigned slot = replicas_find(replicas, retired->replica.ref);
        if (slot == 0) {
            replicas_note_retired(replicas, &retired->replica);
            continue;
        }
        uint64_t stamp = stamp_make(retired->replica.ticks, slot);
        if (retired->replica.ticks > 0) {
            context_add(&sync->goal, stamp);
        }
        for (unsigned part = 0; part < sync->parts_count; part++) {
            if (has_retired(retired, part)) {
                part_note_seen(&sync->parts[part], slot, stamp);
            }
        }
        if (all_parts_have_seen(sync, stamp)) {
            replicas_note_retired(replicas, &retired->replica);
        }
    }
}

enum sync_status sync_part_end(struct sync *sync, unsigned part_number) {
    if (part_number >= sync->parts_count || sync->parts[part_number].state != SYNC_PART_BEGUN) {
        return SYNC_MALFORMED;
    }
    struct sync_part *part = &sync->parts[part_number];
    struct sync_intake *intake = part->intake;
    if (intake->bytes.size > 0 || intake->open != NULL) {
        part_reset(sync, part);
        return SYNC_MALFORMED;
    }
    bool waits = !sync->is_direct;
    for (unsigned slot = 1; slot < part->context_count; slot++) {
        context_add(&sync->goal, part->context[slot]);
    }
    sync_note_marks(sync, intake);
    sync_note_order(sync, intake);
    sync_note_retired(sync, part);
    if (!waits) {
        intake_free(intake, sync->is_direct);
        part->intake = NULL;
        sync->parts_merged++;
    }
    part->state = SYNC_PART_DONE;
    sync->parts_done++;
    return SYNC_OK;
}

unsigned sync_parts_done(const struct sync *sync) {
    return sync->parts_done;
}

bool sync_merge_some(struct sync *sync) {
    require(sync->parts_done == sync->parts_count);
    for (unsigned i = 0; i < sync->parts_count; i++) {
        struct sync_part *part = &sync->parts[i];
        if (part->intake != NULL) {
            if (part_merge(sync, part)) {
                intake_free(part->intake, sync->is_direct);
                part->intake = NULL;
                sync->parts_merged++;
            }
            break;
        }
    }
    return sync->parts_merged == sync->parts_count;
}

/* ---- the end of it all ---- */

/* What all parts have seen of the replica in `slot`. */
static uint64_t sync_minimum(const struct sync *sync, unsigned slot) {
    uint64_t minimum = UINT64_MAX;
    for (unsigned i = 0; i < sync->parts_count; i++) {
        const struct sync_part *part = &sync->parts[i];
        uint64_t stamp = slot < part->context_count ? part->context[slot] : 0;
        minimum = stamp < minimum ? stamp : minimum;
    }
    return minimum;
}

void sync_shown_context(const struct sync *sync, struct context *shown) {
    require(sync->parts_count > 0);
    *shown = (struct context){0};
    for (unsigned slot = 1; slot < sync->store->replicas.slots_count; slot++) {
        shown->stamps[slot] = sync_minimum(sync, slot);
    }
}

static void sync_take_marks(struct sync *sync, unsigned slot, uint64_t minimum) {
    struct replicas *replicas = &sync->store->replicas;
    struct replica *replica = &replicas->slots[slot];
    const struct sync_marks *marks = &sync->marks[slot];
    memory_free(replica->mark);
    replica->mark = NULL;
    replica->mark_count = 0;
    if (marks->stamp != minimum) {
        return; /* retired there: whoever wrote it had been seen by all */
    }
    for (unsigned seen = 1; seen < marks->count; seen++) {
        if (marks->marks[seen] != 0) {
            replicas_raise_mark(replicas, slot, marks->marks[seen]);
        }
    }
}

/* Of a replica that is retired nobody tells any more what he has seen: all of it, from where it was
 * retired on. One may have a slot here all the same, since another part named it. Then that goes
 * for what comes behind a part that lacks it and reaches as far as `minimum`. Not for one of whom
 * nothing was known there: nobody waited for him. */
static void sync_mark_retired(struct sync *sync, unsigned slot, uint64_t minimum) {
    struct replicas *replicas = &sync->store->replicas;
    for (size_t i = 0; minimum != 0 && i < sync->retired_count; i++) {
        const struct sync_retired *retired = &sync->retired[i];
        unsigned seen = replicas_find(replicas, retired->replica.ref);
        if (seen == 0 || seen == slot || retired->replica.ticks == 0) {
            continue;
        }
        for (unsigned j = 0; j < sync->parts_count; j++) {
            const struct sync_part *part = &sync->parts[j];
            if (has_retired(retired, j) && slot < part->context_count &&
                part->context[slot] == minimum) {
                replicas_raise_mark(replicas, slot, stamp_make(retired->replica.ticks, seen));
            }
        }
    }
}

/* The context that all parts have, or where parts were merged, that and what was here. */
static void sync_take_context(struct sync *sync) {
    struct store *store = sync->store;
    for (unsigned slot = 1; slot < store->replicas.slots_count; slot++) {
        uint64_t minimum = sync_minimum(sync, slot);
        if (store->replicas.slots[slot].ref == 0) {
            continue;
        }
        if (sync->mode == SYNC_MERGE && minimum <= sync->seen.stamps[slot]) {
            /* Perhaps of one that was retired here, and has a slot again. */
            store->context.stamps[slot] = sync->seen.stamps[slot];
        } else {
            store->context.stamps[slot] = minimum;
            sync_take_marks(sync, slot, minimum);
            sync_mark_retired(sync, slot, minimum);
        }
        hybrid_clock_observe(&store->clock, stamp_ticks(sync->goal.stamps[slot]));
    }
}

static void sync_take_order(struct sync *sync) {
    struct store *store = sync->store;
    if (sync->mode == SYNC_MERGE) {
        if (sync->order_stamp != 0) {
            databases_take_order(store, sync->order_stamp, buffer_slice(&sync->order));
        }
        return;
    }
    /* A swap that nobody knows is gone, also where the mesh has never had one. */
    store->order_stamp = 0;
    databases_take_order(store, stamp_make(1, STAMP_SLOT_SETTLED), buffer_slice(&sync->order));
    store->order_stamp = sync->order_stamp;
}

void sync_finish(struct sync *sync) {
    struct store *store = sync->store;
    require(sync->parts_count > 0);
    require(sync->parts_merged == sync->parts_count);
    require(!sync->is_finished);
    sync->is_finished = true;
    if (sync->mode == SYNC_MERGE) {
        context_join(&sync->goal, &sync->left);
    }
    sync->left = (struct context){0};
    sync_take_retired(sync);
    sync_take_context(sync);
    sync_take_order(sync);
    sync_note_ends(sync);
    /* Its marks are others' word for it, and more than its own records have said. */
    store->replicas.tells_anew = true;
    store->is_replaying = sync->mode == SYNC_TAKE;
    sync_touch_all(store, STORE_TOUCH_ALL_CAME);
}

bool sync_is_replayed(const struct sync *sync) {
    const struct store *store = sync->store;
    for (unsigned slot = 1; slot < store->replicas.slots_count && sync->mode == SYNC_TAKE; slot++) {
        if (store->replicas.slots[slot].ref != 0 &&
            sync->seen.stamps[slot] > store->context.stamps[slot]) {
            return false;
        }
    }
    return true;
}

void sync_end_replay(struct sync *sync) {
    sync->store->is_replaying = false;
}

bool sync_part_fits(const struct sync *sync, unsigned part_number, struct context *context) {
    const struct sync_part *part = &sync->parts[part_number];
    require(part_number < sync->parts_count);
    require(part->state == SYNC_PART_BEGUN);
    /* Merging would take what is void for good; and what nobody has made again, its author has to
     * make again himself. */
    const struct replicas *replicas = &sync->store->replicas;
    if ((sync->mode == SYNC_MERGE && replicas_has_void(replicas, &sync->seen)) ||
        replicas_has_unmade(replicas, &sync->store->context)) {
        return false;
    }
    memset(context, 0, sizeof(*context));
    memcpy(context->stamps, part->context, part->context_count * sizeof(part->context[0]));
    for (unsigned slot = 1; slot < part->context_count; slot++) {
        if (part->intake->is_retired_there[slot] && sync->seen.stamps[slot] > part->context[slot]) {
            return false;
        }
    }
    return part->intake->settled_ticks_there == UINT64_MAX;
}

bool sync_covers(const struct sync *sync, uint64_t hash, uint64_t stamp) {
    if (!sync->is_finished) {
        return false;
    }
    const struct sync_part *part = &sync->parts[part_of(hash, sync->parts_count)];
    unsigned slot = stamp_slot(stamp);
    return slot < part->context_count && stamp <= part->context[slot];
}

bool sync_has_seen(const struct sync *sync, const struct store *store,
                   const struct change *change) {
    switch (change->kind) {
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
        for (unsigned i = 0; i < sync->parts_count; i++) {
            const struct sync_part *part = &sync->parts[i];
            unsigned slot = stamp_slot(change->stamp);
            if (slot >= part->context_count || change->stamp > part->context[slot]) {
                return false;
            }
        }
        return sync->is_finished;
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        return false; /* the newest order wins anyhow, and the earliest end */
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
    case CHANGE_DELETE:
    case CHANGE_EXPIRE:
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
    case CHANGE_PATCH:
    case CHANGE_REGISTERS:
    case CHANGE_TAKE:
    case CHANGE_MORE:
        break;
    }
    return sync_covers(sync, store_hash(store, change->key), change->stamp);
}

const struct context *sync_goal(const struct sync *sync) {
    return &sync->goal;
}

bool sync_is_caught_up(const struct sync *sync) {
    return sync->is_finished && context_covers_all(&sync->store->context, &sync->goal);
}

bool sync_reissue_some(struct sync *sync, unsigned keys_max) {
    require(sync_is_caught_up(sync));
    sync_tell_ends(sync);
    return rebase_some(sync, keys_max);
}

void sync_get_stats(const struct sync *sync, struct sync_stats *stats) {
    *stats = sync->stats;
}
