/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking in a part: its header, and its data as they come. */
#include "base/codec.h"
#include "base/varint.h"
#include "store/databases.h"
#include "store/part_header.h"
#include "store/state.h"
#include "store/sync_state.h"

/* More than mesh-max-clock-drift by default. */
enum { SYNC_CLOCKS_APART_MS = 6000 };

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

bool sync_range_walk(struct sync *sync, struct sync_part *part, struct store *store,
                     sync_range_fn each) {
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

bool sync_range_remove(struct sync *sync, struct sync_part *part, const struct key *key) {
    (void)part;
    mutate_remove(sync->store, key, mutate_slot(sync->store, key));
    return true;
}

void sync_intake_free(struct sync_intake *intake, bool is_direct) {
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

void sync_part_reset(struct sync *sync, struct sync_part *part) {
    if (part->state != SYNC_PART_BEGUN) {
        return;
    }
    if (sync->is_direct && part->intake->inserted > 0) {
        (void)sync_range_walk(sync, part, sync->store, sync_range_remove);
    }
    sync_intake_free(part->intake, sync->is_direct);
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
    struct slice rest = header->ends;
    bool is_good = replicas_take_ends(&rest, true, replicas);
    ensure(is_good);
    if (sync->mode == SYNC_TAKE) {
        /* What is void is not applied to the parts again. */
        (void)replicas_clip_void(replicas, &sync->seen);
    }
}

void sync_part_raise_context(struct sync_part *part, uint64_t stamp) {
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
        sync_lower(settled, ticks != 0 ? ticks : ticks_before(replicas, seen, retired));
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
            sync_part_raise_context(part, stamp_make(retired->ticks, slot));
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
        sync_part_raise_context(part,
                                stamp_make(header->replicas[i].ticks, header->replicas[i].ours));
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
    sync_part_reset(sync, part);
    struct part_header *header = memory_alloc(sizeof(*header)); /* large: what is taken is set */
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
        sync_part_reset(sync, part);
        return status;
    }
    buffer_consume(&intake->bytes, intake->bytes.size - rest.size);
    return SYNC_OK;
}
