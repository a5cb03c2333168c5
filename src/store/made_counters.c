/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables by hashes of the place, 128 bits each: parts of ended lives; where these lives removed
 * something later, their own parts with it, of which no TAKE tells; and what follows from both for
 * each maker's part, which is added up when the first one is asked for. */
#include "store/made_counters.h"

#include <float.h>

#include "base/buffer.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/number.h"

enum { SLOTS_MIN = 64, FLUSHES_MAX = 1024 };

/* What an integer is exact in. */
#define EXACT_MAX (LDBL_MANT_DIG >= 64 ? 0x1p63L : 0x1p53L)

struct name {
    uint64_t hash, check; /* hash 0: nothing */
};

/* A part of a life that has ended. */
struct ended_part {
    struct name name, maker; /* of the part that it was made again into */
    struct name place, key;  /* of what may have been removed */
    uint64_t life_ref, start_ticks, from_ticks, made_ticks;
    unsigned number;
    long double base, total; /* at these ticks */
    /* The newest that was taken off, as the maker knew, and as it did not. 0: nothing. */
    uint64_t known_ticks, unknown_ticks;
    long double known_total, unknown_total;
    bool is_unknown; /* the base is not */
    bool is_cut;     /* the total may be one before that */
};

/* A life has removed something there after all that was made again of it. */
struct removal {
    struct name name;
    uint64_t ticks;
};

struct flush {
    uint64_t life_ref, ticks;
    unsigned number;
    bool is_all;
};

struct made_part {
    struct name maker;
    long double amount;
};

struct made_counters {
    struct ended_part *ended;
    size_t ended_capacity, ended_count; /* capacities are powers of 2 */
    struct removal *removals;
    size_t removals_capacity, removals_count;
    struct flush *flushes;
    size_t flushes_count;
    struct made_part *parts; /* NULL: not added up yet */
    size_t parts_capacity;
    bool is_full;
    struct buffer scratch;
};

struct made_counters *made_counters_new(void) {
    return memory_alloc_zero(sizeof(struct made_counters));
}

void made_counters_free(struct made_counters *made) {
    if (made == NULL) {
        return;
    }
    memory_free(made->ended);
    memory_free(made->parts);
    memory_free(made->removals);
    memory_free(made->flushes);
    buffer_deinit(&made->scratch);
    memory_free(made);
}

/* ---- names ---- */

static struct name name_of(struct made_counters *made, const struct seen_place *place, uint64_t ref,
                           uint64_t start_ticks) {
    static const struct hash_seed FIRST = {UINT64_C(0x8A5CD789635D2DFF),
                                           UINT64_C(0x121FD2155C472F96)};
    static const struct hash_seed SECOND = {UINT64_C(0xD6E8FEB86659FD93),
                                            UINT64_C(0xA0761D6478BD642F)};
    struct buffer *bytes = &made->scratch;
    buffer_clear(bytes);
    codec_put_u64(bytes, ref);
    codec_put_u64(bytes, start_ticks);
    codec_put_varint(bytes, place->number);
    codec_put_varint(bytes, place->type);
    codec_put_slice(bytes, place->key);
    codec_put_slice(bytes, place->element);
    return (struct name){.hash = hash_bytes(FIRST, buffer_slice(bytes)) | 1,
                         .check = hash_bytes(SECOND, buffer_slice(bytes))};
}

static bool is_name(const struct name *name, const struct name *other) {
    return name->hash == other->hash && name->check == other->check;
}

/* The cell that has it, or where it belongs. */
static struct ended_part *ended_cell(const struct made_counters *made, const struct name *name) {
    for (size_t at = name->hash >> 1;; at++) {
        struct ended_part *part = &made->ended[at & (made->ended_capacity - 1)];
        if (part->name.hash == 0 || is_name(&part->name, name)) {
            return part;
        }
    }
}

static struct removal *removal_cell(const struct made_counters *made, const struct name *name) {
    for (size_t at = name->hash >> 1;; at++) {
        struct removal *removal = &made->removals[at & (made->removals_capacity - 1)];
        if (removal->name.hash == 0 || is_name(&removal->name, name)) {
            return removal;
        }
    }
}

static struct made_part *made_cell(const struct made_counters *made, const struct name *maker) {
    for (size_t at = maker->hash >> 1;; at++) {
        struct made_part *part = &made->parts[at & (made->parts_capacity - 1)];
        if (part->maker.hash == 0 || is_name(&part->maker, maker)) {
            return part;
        }
    }
}

static void grow(struct made_counters *made) {
    struct ended_part *old = made->ended;
    size_t old_capacity = made->ended_capacity;
    made->ended_capacity = old_capacity == 0 ? SLOTS_MIN : 2 * old_capacity;
    made->ended = memory_alloc_zero(made->ended_capacity * sizeof(made->ended[0]));
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].name.hash != 0) {
            *ended_cell(made, &old[i].name) = old[i];
        }
    }
    memory_free(old);
}

static void grow_removals(struct made_counters *made) {
    struct removal *old = made->removals;
    size_t old_capacity = made->removals_capacity;
    made->removals_capacity = old_capacity == 0 ? SLOTS_MIN : 2 * old_capacity;
    made->removals = memory_alloc_zero(made->removals_capacity * sizeof(made->removals[0]));
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].name.hash != 0) {
            *removal_cell(made, &old[i].name) = old[i];
        }
    }
    memory_free(old);
}

static struct ended_part *find_ended(const struct made_counters *made, const struct name *name) {
    if (made->ended_count == 0) {
        return NULL;
    }
    struct ended_part *part = ended_cell(made, name);
    return part->name.hash != 0 ? part : NULL;
}

/* ---- noting ---- */

/* The total of a counter, and what it was before; false: the change is of no counter. */
static bool take_totals(const struct change *change, long double *before, long double *total) {
    long double increment;
    if (change->kind == CHANGE_COUNTER) {
        *total = (long double)change->total;
        *before = *total - (long double)change->increment;
        return true;
    }
    if (change->kind != CHANGE_FLOAT_COUNTER || !number_parse_float(change->value, total) ||
        !number_parse_float(change->float_increment, &increment)) {
        return false;
    }
    *before = *total - increment;
    return true;
}

static bool is_exact(long double number) {
    return number >= -EXACT_MAX && number <= EXACT_MAX;
}

static struct ended_part *add_ended(struct made_counters *made, const struct name *name) {
    if (made->ended_count == MADE_COUNTERS_MAX) {
        made->is_full = true;
        return NULL;
    }
    if (made->ended_count >= made->ended_capacity / 4 * 3) {
        grow(made);
    }
    struct ended_part *part = ended_cell(made, name);
    *part = (struct ended_part){.name = *name};
    made->ended_count++;
    return part;
}

/* `is_joined`: some of the increment may be older than what was made again. */
static void note_total(struct made_counters *made, const struct change *change,
                       const struct replica *life, bool is_joined) {
    long double before, total;
    uint64_t ticks = stamp_ticks(change->stamp);
    if (ticks <= life->made_from_ticks || !take_totals(change, &before, &total)) {
        return;
    }
    struct seen_place place = {
        .number = change->db, .type = change->type, .key = change->key, .element = change->element};
    struct name name = name_of(made, &place, life->ref, change->start_ticks);
    struct ended_part *part = find_ended(made, &name);
    if (ticks > life->made_ticks) {
        if (part != NULL && is_joined) {
            part->is_cut = true;
        }
        return;
    }
    if (part == NULL) {
        part = add_ended(made, &name);
        if (part == NULL) {
            return;
        }
        struct seen_place key = {.number = change->db, .key = change->key};
        part->maker = name_of(made, &place, life->maker_ref, 0);
        part->place = name_of(made, &place, life->ref, 0);
        part->key = name_of(made, &key, life->ref, 0);
        part->life_ref = life->ref;
        part->number = change->db;
        part->start_ticks = change->start_ticks;
        part->from_ticks = life->made_from_ticks;
        part->made_ticks = life->made_ticks;
        part->base = before;
        part->is_unknown = is_joined;
    }
    part->total = total;
    part->is_unknown |= !is_exact(before) || !is_exact(total);
}

static void note_flush(struct made_counters *made, const struct change *change,
                       const struct replica *life) {
    if (made->flushes_count == FLUSHES_MAX) {
        made->flushes_count--; /* the newest one counts */
    }
    made->flushes =
        memory_resize(made->flushes, (made->flushes_count + 1) * sizeof(made->flushes[0]));
    made->flushes[made->flushes_count++] =
        (struct flush){.life_ref = life->ref,
                       .ticks = stamp_ticks(change->stamp),
                       .number = change->db,
                       .is_all = change->kind == CHANGE_FLUSH_ALL};
}

static void note_removal(struct made_counters *made, const struct change *change,
                         const struct replica *life) {
    struct seen_place place = {
        .number = change->db, .type = change->type, .key = change->key, .element = change->element};
    struct name name = name_of(made, &place, life->ref, 0);
    if (made->removals_count == MADE_COUNTERS_MAX) {
        return; /* what it removed stays */
    }
    if (made->removals_count >= made->removals_capacity / 4 * 3) {
        grow_removals(made);
    }
    struct removal *removal = removal_cell(made, &name);
    made->removals_count += removal->name.hash == 0;
    *removal = (struct removal){.name = name, .ticks = stamp_ticks(change->stamp)};
}

/* What the life did after all that was made again of it: its maker does not know that. */
static void note_later(struct made_counters *made, const struct change *change,
                       const struct replica *life) {
    switch (change->kind) {
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
    case CHANGE_DELETE:
        note_removal(made, change, life);
        break;
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
        note_flush(made, change, life);
        break;
    default:
        break;
    }
}

/* Does the record go across these ticks? Then changes before and after may have been joined. */
static bool is_across(const struct stream_record *record, uint64_t ticks) {
    return record->previous_ticks < ticks && record->last_ticks > ticks;
}

void made_counters_note(struct made_counters *made, const struct stream_record *record,
                        const struct replica *life) {
    struct change_reader reader;
    struct change change;
    if (made->is_full || life->maker_ref == 0 || record->last_ticks <= life->made_from_ticks ||
        !change_reader_init(&reader, record->batch, 1)) {
        return;
    }
    bool is_joined =
        is_across(record, life->made_from_ticks) || is_across(record, life->made_ticks);
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        note_total(made, &change, life, is_joined);
        if (stamp_ticks(change.stamp) > life->made_ticks && made->ended_count > 0) {
            note_later(made, &change, life);
        }
    }
}

void made_counters_note_take(struct made_counters *made, const struct seen_place *place,
                             const struct replica *life, const struct change_take *take,
                             bool is_known) {
    struct name name = name_of(made, place, life->ref, take->start_ticks);
    struct ended_part *part = find_ended(made, &name);
    long double total = (long double)take->total;
    if (part == NULL || (take->is_float && !number_parse_float(take->text, &total))) {
        return; /* nothing of it was made again */
    }
    uint64_t *ticks = is_known ? &part->known_ticks : &part->unknown_ticks;
    if (take->ticks >= *ticks) {
        *ticks = take->ticks;
        *(is_known ? &part->known_total : &part->unknown_total) = total;
    }
}

/* ---- asking ---- */

static uint64_t removed_ticks(const struct made_counters *made, const struct ended_part *part) {
    uint64_t ticks = 0;
    if (made->removals_count > 0) {
        uint64_t here = removal_cell(made, &part->place)->ticks;
        uint64_t key = removal_cell(made, &part->key)->ticks;
        ticks = here > key ? here : key;
    }
    for (size_t i = 0; i < made->flushes_count; i++) {
        const struct flush *flush = &made->flushes[i];
        if (flush->life_ref == part->life_ref && flush->ticks > ticks &&
            (flush->is_all || flush->number == part->number)) {
            ticks = flush->ticks;
        }
    }
    return ticks;
}

/* What was taken off, and its maker did not know, of what it made again. */
static long double unknown_amount(const struct made_counters *made, struct ended_part *part) {
    uint64_t removed = removed_ticks(made, part);
    if (removed > part->start_ticks && removed > part->unknown_ticks) {
        part->unknown_ticks = removed;
    }
    if (part->is_unknown || part->unknown_ticks <= part->from_ticks ||
        part->unknown_ticks <= part->known_ticks ||
        (part->is_cut && part->unknown_ticks > part->made_ticks)) {
        return 0;
    }
    long double upper = part->unknown_ticks <= part->made_ticks ? part->unknown_total : part->total;
    return upper - (part->known_ticks > part->from_ticks ? part->known_total : part->base);
}

static void add_up(struct made_counters *made) {
    made->parts_capacity = SLOTS_MIN;
    while (made->parts_capacity < 2 * made->ended_count) {
        made->parts_capacity *= 2;
    }
    made->parts = memory_alloc_zero(made->parts_capacity * sizeof(made->parts[0]));
    for (size_t i = 0; i < made->ended_capacity; i++) {
        struct ended_part *part = &made->ended[i];
        long double amount = part->name.hash != 0 ? unknown_amount(made, part) : 0;
        if (amount != 0) {
            struct made_part *cell = made_cell(made, &part->maker);
            cell->maker = part->maker;
            cell->amount += amount;
        }
    }
}

bool made_counters_find(struct made_counters *made, const struct seen_place *place,
                        uint64_t maker_ref, long double *amount) {
    if (made == NULL || made->is_full || made->ended_count == 0) {
        return false;
    }
    if (made->parts == NULL) {
        add_up(made);
    }
    struct name maker = name_of(made, place, maker_ref, 0);
    const struct made_part *part = made_cell(made, &maker);
    *amount = part->amount;
    return part->maker.hash != 0 && part->amount != 0;
}
