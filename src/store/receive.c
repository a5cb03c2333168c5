/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking stream records.
 *
 * A record that ends inside a unit is kept as a whole, even where whole units come first: so the
 * log, which gets each record when it is applied, has them in the order of application, and none
 * is ever applied by half. The next records of its author are kept behind it until one ends with a
 * whole unit; then all are applied in one step. An author ends its turn with whole units, so what
 * is kept is at most what one turn of it wrote.
 *
 * Invariants:
 *   I1  nothing of a record is applied before the whole of it was read through.
 *   I2  the context of an author stands at the end of one of its records, except after
 *       OUT_OF_MEMORY: then it stands at the last change that was applied, and the same records
 *       may come again.
 *   I3  records that are kept follow one another without a gap, the first one on the context. */
#include "store/receive.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/mutation.h"
#include "base/number.h"
#include "crdt/hyperloglog.h"
#include "base/varint.h"
#include "store/databases.h"
#include "store/mutate.h"
#include "store/prefetch.h"

/* No string is so long that a patch could begin here. */
#define RECEIVE_PATCH_OFFSET_MAX (SIZE_MAX / 4)

enum { APPLY_WINDOW = 32 };

/* One record of an open unit. */
struct receive_part {
    struct receive_part *next;
    uint64_t last_ticks;
    size_t size;
    char bytes[];
};

struct receive_unit {
    uint64_t ref;   /* of the author: its slot may have gone to another one meanwhile */
    bool is_untold; /* a DELETE in it */
    struct receive_part *first, *last;
};

/* What was answered about the unit of one author that is asked about. */
struct receive_answers {
    struct receive_answers *next;
    uint64_t ref;
    struct amounts amounts;
};

/* ---- answers ---- */

static struct receive_answers **answers_of(struct receiver *receiver, uint64_t ref) {
    struct receive_answers **at = &receiver->answers;
    while (*at != NULL && (*at)->ref != ref) {
        at = &(*at)->next;
    }
    return at;
}

static struct receive_answers *answers_need(struct receiver *receiver, uint64_t ref) {
    struct receive_answers **at = answers_of(receiver, ref);
    if (*at == NULL) {
        *at = memory_alloc_zero(sizeof(**at));
        (*at)->ref = ref;
    }
    return *at;
}

static void answers_free(struct receive_answers **at) {
    struct receive_answers *answers = *at;
    *at = answers->next;
    amounts_deinit(&answers->amounts);
    memory_free(answers);
}

bool receiver_answered(struct receiver *receiver, struct slice answer) {
    struct slice rest = answer;
    uint64_t ref;
    if (!codec_take_u64(&rest, &ref)) {
        return false;
    }
    struct receive_answers *answers = *answers_of(receiver, ref);
    return answers == NULL || amounts_answered(&answers->amounts, answer);
}

/* ---- open units ---- */

void receiver_forget_unit(struct receiver *receiver, unsigned slot) {
    if (slot >= receiver->units_count || receiver->units[slot] == NULL) {
        return;
    }
    struct receive_unit *unit = receiver->units[slot];
    receiver->units[slot] = NULL;
    for (struct receive_part *part = unit->first; part != NULL;) {
        struct receive_part *next = part->next;
        receiver->kept_bytes -= part->size;
        memory_free(part);
        part = next;
    }
    memory_free(unit);
}

void receiver_deinit(struct receiver *receiver) {
    for (unsigned slot = 0; slot < receiver->units_count; slot++) {
        receiver_forget_unit(receiver, slot);
    }
    memory_free(receiver->units);
    receiver->units = NULL;
    receiver->units_count = 0;
    while (receiver->answers != NULL) {
        answers_free(&receiver->answers);
    }
    buffer_deinit(&receiver->questions);
}

/* The open unit of the replica that has `slot` now; NULL without one. */
static struct receive_unit *receiver_unit(const struct receiver *receiver, unsigned slot) {
    const struct replicas *replicas = &receiver->store->replicas;
    if (slot >= receiver->units_count || receiver->units[slot] == NULL ||
        slot >= replicas->slots_count || receiver->units[slot]->ref != replicas->slots[slot].ref) {
        return NULL;
    }
    return receiver->units[slot];
}

static bool receiver_keep(struct receiver *receiver, unsigned slot, struct slice bytes,
                          uint64_t last_ticks, bool is_untold) {
    struct receive_part *part = memory_try_alloc(sizeof(*part) + bytes.size);
    if (part == NULL) {
        return false;
    }
    *part = (struct receive_part){.last_ticks = last_ticks, .size = bytes.size};
    memcpy(part->bytes, bytes.data, bytes.size);
    if (slot >= receiver->units_count) {
        unsigned count = slot + 1;
        receiver->units = memory_resize(receiver->units, count * sizeof(receiver->units[0]));
        memset(receiver->units + receiver->units_count, 0,
               (count - receiver->units_count) * sizeof(receiver->units[0]));
        receiver->units_count = count;
    }
    struct receive_unit *unit = receiver->units[slot];
    if (unit == NULL) {
        unit = memory_alloc_zero(sizeof(*unit));
        unit->ref = receiver->store->replicas.slots[slot].ref;
        unit->first = part;
        receiver->units[slot] = unit;
    } else {
        unit->last->next = part;
    }
    unit->last = part;
    unit->is_untold |= is_untold;
    receiver->kept_bytes += part->size;
    return true;
}

uint64_t receiver_ticks(const struct receiver *receiver, unsigned slot) {
    uint64_t ticks = stamp_ticks(receiver->store->context.stamps[slot]);
    const struct receive_unit *unit = receiver_unit(receiver, slot);
    return unit != NULL && unit->last->last_ticks > ticks ? unit->last->last_ticks : ticks;
}

/* May the open units grow by that? */
static bool receiver_has_room(const struct receiver *receiver, size_t size) {
    uint64_t max =
        receiver->kept_bytes_max != 0 ? receiver->kept_bytes_max : RECEIVE_KEPT_BYTES_MAX;
    return receiver->kept_bytes <= max && size <= max - receiver->kept_bytes;
}

/* ---- looking before applying ---- */

/* Is that void, and what comes before it here? Nobody has to have it. */
static bool is_void_from_here(const struct store *store, unsigned slot, uint64_t ticks) {
    return replicas_is_void(&store->replicas, stamp_make(ticks, slot)) &&
           stamp_ticks(store->context.stamps[slot]) >= store->replicas.slots[slot].ended_ticks;
}

/* Had the author seen only what is here? Notes what is missing. */
static bool receiver_has_marks(struct receiver *receiver, const struct stream_record *record) {
    const struct store *store = receiver->store;
    struct slice marks = record->marks;
    struct stream_mark mark;
    while (stream_mark_next(&marks, &mark)) {
        unsigned slot = replicas_find(&store->replicas, mark.ref);
        bool is_here = (slot != 0 && mark.ticks <= stamp_ticks(store->context.stamps[slot])) ||
                       replicas_find_retired(&store->replicas, mark.ref) != NULL ||
                       (slot != 0 && is_void_from_here(store, slot, mark.ticks));
        if (!is_here && mark.ref != record->ref && !mutation(SKIP_MARKS)) {
            receiver->missing_ref = mark.ref;
            receiver->missing_ticks = mark.ticks;
            return false;
        }
    }
    return true;
}

/* Its form was checked when it was read; numbers that are texts were not. */
static bool takes_are_sound(struct slice list) {
    struct change_take take;
    long double total;
    while (change_take_next(&list, &take)) {
        if (take.ref == 0 || (take.is_float && !number_parse_float(take.text, &total))) {
            return false;
        }
    }
    return list.size == 0;
}

static bool element_takes_are_sound(struct slice value) {
    struct slice name, list;
    enum value_type type;
    if (!change_element_takes_begin(&value, &type)) {
        return false;
    }
    while (change_element_takes_next(&value, &name, &list)) {
        if (!takes_are_sound(list)) {
            return false;
        }
    }
    return value.size == 0;
}

/* Can any writer have written this change? What depends on the store is left to store_apply(). */
static bool receive_is_sound(const struct store *store, const struct change *change) {
    if (change->db >= store->dbs_count) {
        return false;
    }
    if (change->kind == CHANGE_FLOAT_COUNTER) {
        long double total;
        return number_parse_float(change->value, &total);
    }
    if (change->kind == CHANGE_TAKE) {
        return change_takes_elements(change) ? element_takes_are_sound(change->value)
                                             : takes_are_sound(change->value);
    }
    if (change->kind == CHANGE_PATCH) {
        return change->offset <= RECEIVE_PATCH_OFFSET_MAX;
    }
    if (change->kind == CHANGE_REGISTERS) {
        return hyperloglog_pairs_are_sound(change->value);
    }
    if (change->kind == CHANGE_SWAP) {
        return databases_check_order(store, change->value);
    }
    return change->type == VALUE_STRING || elements_change_is_sound(change);
}

/* Reads the batch through. `*is_open`: it ends inside a unit. `*is_untold`: so is a DELETE. */
static bool receiver_check(const struct receiver *receiver, unsigned slot,
                           const struct stream_record *record, bool *is_open, bool *is_untold) {
    struct change_reader reader;
    if (!change_reader_init(&reader, record->batch, slot)) {
        return false;
    }
    uint64_t ticks = record->previous_ticks;
    struct change change;
    enum change_status status;
    *is_open = *is_untold = false;
    while ((status = change_reader_next(&reader, &change)) == CHANGE_OK) {
        if (stamp_ticks(change.stamp) <= ticks || !receive_is_sound(receiver->store, &change)) {
            return false;
        }
        ticks = stamp_ticks(change.stamp);
        *is_open = change.goes_on;
        *is_untold |= change_is_untold(&change);
    }
    return status == CHANGE_END && ticks == record->last_ticks && ticks > record->previous_ticks;
}

/* ---- applying ---- */

static void receiver_raise_marks(struct store *store, unsigned slot,
                                 const struct stream_record *record) {
    struct slice marks = record->marks;
    struct stream_mark mark;
    while (stream_mark_next(&marks, &mark)) {
        unsigned seen = replicas_find(&store->replicas, mark.ref);
        /* What a retired replica wrote is settled, and seen by all. */
        if (seen != 0 && seen != slot) {
            replicas_raise_mark(&store->replicas, slot, stamp_make(mark.ticks, seen));
        }
    }
}

/* Changes that are read some at a time, so that the processor fetches the entries of all of them
 * while the first is applied: a record has random keys, and none of them is in cache. */
struct change_window {
    struct change_reader reader;
    unsigned at, count;
    struct change changes[APPLY_WINDOW];
};

/* Leaves out each TAKE that is not going to look at its element; returns how many changes stay. */
static unsigned window_drop_takes(const struct change_window *window, const struct store *store,
                                  const struct collection **collections, unsigned *at,
                                  unsigned count) {
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct change *change = &window->changes[at[i]];
        if (change->kind != CHANGE_TAKE ||
            !collection_is_seen(store, collections[i], stamp_slot(change->stamp))) {
            collections[kept] = collections[i];
            at[kept++] = at[i];
        }
    }
    return kept;
}

/* What the elements of the changes are going to read, a stage for all of them at a time. */
static void window_prefetch_elements(const struct change_window *window, const struct store *store,
                                     const unsigned *databases, const uint64_t *hashes) {
    const struct collection *collections[APPLY_WINDOW];
    const struct contested *contested[APPLY_WINDOW];
    uint64_t element_hashes[APPLY_WINDOW];
    unsigned at[APPLY_WINDOW], count = 0;
    for (unsigned i = 0; i < window->count; i++) {
        collections[count] = window->changes[i].type != VALUE_STRING
                                 ? store_prefetch_value(store, databases[i], hashes[i])
                                 : NULL;
        at[count] = i;
        count += collections[count] != NULL;
    }
    count = window_drop_takes(window, store, collections, at, count);
    for (unsigned i = 0; i < count; i++) {
        element_hashes[i] = hash_bytes(store->element_seed, window->changes[at[i]].element);
        collection_prefetch(collections[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        collection_prefetch_place(collections[i], &element_hashes[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        collection_prefetch_entry(collections[i], element_hashes[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        contested[i] = collections[i]->contested_count > 0
                           ? collection_prefetch_merge(collections[i], element_hashes[i])
                           : NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        if (contested[i] != NULL) {
            contested_prefetch(contested[i]);
        }
    }
}

static void window_fill(struct change_window *window, const struct store *store) {
    uint64_t hashes[APPLY_WINDOW];
    unsigned databases[APPLY_WINDOW];
    bool has_elements = false;
    window->at = window->count = 0;
    while (window->count < APPLY_WINDOW) {
        unsigned i = window->count;
        if (change_reader_next(&window->reader, &window->changes[i]) != CHANGE_OK) {
            break;
        }
        struct slice key = window->changes[i].key; /* of some kinds there is none */
        databases[i] = store_database_index(store, window->changes[i].db);
        hashes[i] = key.size > 0 ? store_hash(store, key) : 0;
        store_prefetch(store, databases[i], hashes[i]);
        has_elements = has_elements || window->changes[i].type != VALUE_STRING;
        window->count++;
    }
    for (unsigned i = 0; i < window->count; i++) {
        store_prefetch_entry(store, databases[i], hashes[i]);
    }
    if (has_elements) {
        window_prefetch_elements(window, store, databases, hashes);
    }
}

/* NULL at the end. */
static const struct change *window_next(struct change_window *window, const struct store *store) {
    if (window->at == window->count) {
        window_fill(window, store);
    }
    return window->at < window->count ? &window->changes[window->at++] : NULL;
}

/* Applies what is new of a record that was checked. */
static enum receive_status receiver_apply(struct receiver *receiver, unsigned slot,
                                          struct slice bytes) {
    struct store *store = receiver->store;
    struct stream_record record;
    struct change_window window;
    window.at = window.count = 0;
    if (!stream_record_take(bytes, &record) ||
        !change_reader_init(&window.reader, record.batch, slot)) {
        impossible("the record was read before");
    }
    receiver_raise_marks(store, slot, &record);
    const struct change *change;
    uint64_t changes_before = receiver->changes_count;
    bool is_inside = false; /* a unit that an earlier change began */
    while ((change = window_next(&window, store)) != NULL) {
        bool is_rest = is_inside;
        is_inside = change->goes_on;
        if (!is_rest) {
            store->notify_told.event = NULL; /* events of two commands are two */
        }
        if (mutation(HALF_UNITS) && is_rest) {
            continue;
        }
        if (context_covers(&store->context, change->stamp) && !mutation(APPLY_TWICE)) {
            continue;
        }
        if (!receiver->takes_void && replicas_is_void(&store->replicas, change->stamp)) {
            continue;
        }
        enum store_status status = store_apply(store, change);
        if (status != STORE_OK) {
            return status == STORE_OUT_OF_MEMORY ? RECEIVE_OUT_OF_MEMORY : RECEIVE_MALFORMED;
        }
        receiver->changes_count++;
    }
    receiver->records_count++;
    receiver->record_changes = receiver->changes_count - changes_before;
    receiver->record_slot = slot;
    if (receiver->applied != NULL) {
        receiver->applied(receiver->udata, bytes);
    }
    return RECEIVE_OK;
}

/* Applies the records of the open unit. */
static enum receive_status receiver_apply_unit(struct receiver *receiver, unsigned slot) {
    struct receive_unit *unit = receiver_unit(receiver, slot);
    enum receive_status status = RECEIVE_OK;
    if (unit == NULL) {
        return RECEIVE_OK;
    }
    for (struct receive_part *part = unit->first; part != NULL && status == RECEIVE_OK;
         part = part->next) {
        /* The context may have come this far in another way meanwhile. */
        if (part->last_ticks > stamp_ticks(receiver->store->context.stamps[slot])) {
            status = receiver_apply(receiver, slot, slice_make(part->bytes, part->size));
        }
    }
    receiver_forget_unit(receiver, slot);
    return status;
}

/* Adds to the whole unit, which ends with the record, what is asked of its DELETEs. `out` gets all
 * of its records, each with its length (varint). */
static enum amounts_status receiver_add_amounts(struct receiver *receiver, unsigned slot,
                                                struct slice bytes, struct buffer *out) {
    const struct receive_unit *unit = receiver_unit(receiver, slot);
    struct amounts_unit *amounts = memory_alloc_zero(sizeof(*amounts));
    enum amounts_status status = AMOUNTS_NONE, all = AMOUNTS_NONE;
    uint64_t amounts_ref = receiver->store->replicas.slots[slot].ref;
    buffer_clear(&receiver->questions);
    amounts->store = receiver->store;
    amounts->author = slot;
    amounts->is_remembered = receiver->remembered != NULL;
    amounts->answers = amounts->is_remembered ? receiver->remembered
                                              : &answers_need(receiver, amounts_ref)->amounts;
    amounts->questions = &receiver->questions;
    for (const struct receive_part *part = unit != NULL ? unit->first : NULL;
         part != NULL && status != AMOUNTS_MALFORMED; part = part->next) {
        status = amounts_add(amounts, slice_make(part->bytes, part->size), out);
        all = status > all ? status : all;
    }
    if (status != AMOUNTS_MALFORMED) {
        status = amounts_add(amounts, bytes, out);
        all = status > all ? status : all;
    }
    amounts_unit_deinit(amounts);
    memory_free(amounts);
    return all;
}

/* Applies the records of a unit to which something was added. */
static enum receive_status receiver_apply_added(struct receiver *receiver, unsigned slot,
                                                struct slice records) {
    enum receive_status status = RECEIVE_OK;
    struct slice bytes;
    while (status == RECEIVE_OK && records.size > 0) {
        struct stream_record record;
        if (!varint_take_slice(&records, &bytes) || !stream_record_take(bytes, &record)) {
            impossible("it was written just now");
        }
        if (record.last_ticks > stamp_ticks(receiver->store->context.stamps[slot])) {
            status = receiver_apply(receiver, slot, bytes);
        }
    }
    receiver_forget_unit(receiver, slot);
    return status;
}

/* Applies the whole unit, which ends with the record. */
static enum receive_status receiver_apply_whole(struct receiver *receiver, unsigned slot,
                                                struct slice bytes) {
    if (receiver->before_apply != NULL) {
        receiver->before_apply(receiver->udata);
    }
    enum receive_status status = receiver_apply_unit(receiver, slot);
    return status == RECEIVE_OK ? receiver_apply(receiver, slot, bytes) : status;
}

/* The same where a DELETE in it is untold. */
static enum receive_status receiver_apply_untold(struct receiver *receiver, unsigned slot,
                                                 struct slice bytes) {
    struct buffer records = {0};
    enum receive_status status = RECEIVE_MALFORMED;
    switch (receiver_add_amounts(receiver, slot, bytes, &records)) {
    case AMOUNTS_NONE:
        status = receiver_apply_whole(receiver, slot, bytes);
        break;
    case AMOUNTS_ADDED:
        if (receiver->before_apply != NULL) {
            receiver->before_apply(receiver->udata);
        }
        status = receiver_apply_added(receiver, slot, buffer_slice(&records));
        break;
    case AMOUNTS_MISSING:
        status = RECEIVE_ASK;
        break;
    case AMOUNTS_MALFORMED:
        receiver_forget_unit(receiver, slot);
        break;
    }
    buffer_deinit(&records);
    struct receive_answers **answers =
        answers_of(receiver, receiver->store->replicas.slots[slot].ref);
    if (status != RECEIVE_ASK && status != RECEIVE_OUT_OF_MEMORY && *answers != NULL) {
        answers_free(answers);
    }
    return status;
}

/* Is it of a life that was retired without it? Who has no slot for that life any more would not
 * take it either. Its author was forgotten, and makes it again; or somebody had more of that life,
 * and his state was taken over. */
static bool is_beyond_retired(const struct store *store, unsigned slot, uint64_t ticks) {
    return replicas_is_beyond_retired(&store->replicas, stamp_make(ticks, slot),
                                      store->context.stamps[slot]);
}

enum receive_status receiver_take(struct receiver *receiver, struct slice bytes) {
    struct store *store = receiver->store;
    struct stream_record record;
    if (!stream_record_take(bytes, &record)) {
        return RECEIVE_MALFORMED;
    }
    unsigned slot = replicas_find(&store->replicas, record.ref);
    if (slot == 0) {
        const struct retired_replica *retired = replicas_find_retired(&store->replicas, record.ref);
        return retired != NULL && record.last_ticks <= retired->ticks ? RECEIVE_DUPLICATE
                                                                      : RECEIVE_UNKNOWN;
    }
    struct receive_unit *unit = receiver_unit(receiver, slot);
    if (unit == NULL || unit->last->last_ticks <= stamp_ticks(store->context.stamps[slot])) {
        receiver_forget_unit(receiver, slot);
    }
    uint64_t ticks = receiver_ticks(receiver, slot);
    if ((record.last_ticks <= ticks && !mutation(APPLY_TWICE)) ||
        (!receiver->takes_void && (is_void_from_here(store, slot, record.last_ticks) ||
                                   is_beyond_retired(store, slot, record.last_ticks)))) {
        return RECEIVE_DUPLICATE;
    }
    if (record.previous_ticks > ticks && !mutation(SKIP_GAP)) {
        return RECEIVE_GAP;
    }
    if (!receiver_has_marks(receiver, &record)) {
        return RECEIVE_EARLY;
    }
    bool is_open, is_untold;
    if (!receiver_check(receiver, slot, &record, &is_open, &is_untold)) {
        return RECEIVE_MALFORMED;
    }
    if (is_open && !receiver_has_room(receiver, bytes.size)) {
        receiver_forget_unit(receiver, slot);
        return RECEIVE_FULL;
    }
    if (is_open) {
        return receiver_keep(receiver, slot, bytes, record.last_ticks, is_untold)
                   ? RECEIVE_OK
                   : RECEIVE_OUT_OF_MEMORY;
    }
    unit = receiver_unit(receiver, slot);
    is_untold |= unit != NULL && unit->is_untold;
    return is_untold && (receiver->asks || receiver->remembered != NULL)
               ? receiver_apply_untold(receiver, slot, bytes)
               : receiver_apply_whole(receiver, slot, bytes);
}
