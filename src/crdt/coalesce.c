/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/coalesce.h"

#include "base/check.h"
#include "base/memory.h"

enum {
    COALESCE_NONE = UINT32_MAX,
    COALESCE_PLACES_MIN = 64,
    COALESCE_CHANGES_MAX = 1 << 24, /* of one run */
    /* Beyond that the memory of a run is given back. */
    COALESCE_KEPT_PLACES_MAX = 1 << 16,
};

/* Where a key's newest change stands. */
struct coalesce_place {
    uint32_t run;
    uint32_t item;
    uint64_t hash;
    struct slice key, element;
    unsigned db;
    enum value_type type; /* VALUE_STRING: of the key itself */
};

/* One change. */
struct coalesce_item {
    uint64_t start_ticks; /* of a counter */
    uint32_t previous;    /* the change of the same key before it that is left, or NONE */
    uint8_t kind;
    bool is_gone;
    bool is_fresh;     /* it, or one that it made needless */
    bool is_key_fresh; /* likewise */
    bool is_element;
    bool stands_for_others;
    int64_t increment; /* COUNTER: of all that it stands for */
};

void coalescer_deinit(struct coalescer *coalescer) {
    memory_free(coalescer->places);
    memory_free(coalescer->items);
    memory_free(coalescer->marks);
    change_writer_deinit(&coalescer->writer);
    *coalescer = (struct coalescer){0};
}

/* ---- which change makes which needless ---- */

static bool is_counter(unsigned kind) {
    return kind == CHANGE_COUNTER || kind == CHANGE_FLOAT_COUNTER;
}

static bool is_value_part(unsigned kind) {
    return is_counter(kind) || kind == CHANGE_PATCH || kind == CHANGE_REGISTERS;
}

static bool concerns_all_keys(unsigned kind) {
    return kind == CHANGE_FLUSH || kind == CHANGE_FLUSH_ALL || kind == CHANGE_SWAP ||
           kind == CHANGE_LIFE_END;
}

/* Kinds that take expiries away only when they are fresh. */
static bool leaves_expiries(unsigned kind) {
    return kind == CHANGE_SET_KEEPING || is_value_part(kind);
}

/* Does it take off counters that nothing else names? */
static bool is_untold(const struct coalesce_item *item) {
    return item->kind == CHANGE_DELETE && item->is_fresh;
}

/* Does `later` make `earlier`, of the same key, needless? The table is in the header. */
static bool supersedes(const struct coalesce_item *later, const struct coalesce_item *earlier) {
    switch (later->kind) {
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_DELETE:
        return is_value_part(earlier->kind) || earlier->kind == CHANGE_SET ||
               earlier->kind == CHANGE_SET_EXPIRING || earlier->kind == CHANGE_SET_KEEPING ||
               (earlier->kind == CHANGE_DELETE && !is_untold(earlier)) ||
               earlier->kind == CHANGE_EXPIRE;
    case CHANGE_SET_KEEPING:
        return is_value_part(earlier->kind) || earlier->kind == CHANGE_SET_KEEPING;
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
        return earlier->kind == later->kind && earlier->start_ticks == later->start_ticks;
    default: /* the kinds that have no key, and those that add to what is there */
        return false;
    }
}

/* ---- the table of keys ---- */

static void begin_run(struct coalescer *coalescer) {
    if (coalescer->places_capacity > COALESCE_KEPT_PLACES_MAX) {
        memory_free(coalescer->places);
        memory_free(coalescer->items);
        coalescer->places = NULL;
        coalescer->items = NULL;
        coalescer->places_capacity = coalescer->items_capacity = 0;
    }
    if (coalescer->places == NULL) {
        coalescer->places_capacity = COALESCE_PLACES_MIN;
        coalescer->places = memory_alloc_zero(COALESCE_PLACES_MIN * sizeof(coalescer->places[0]));
        coalescer->run = 0;
    }
    if (++coalescer->run == 0) {
        memset(coalescer->places, 0, coalescer->places_capacity * sizeof(coalescer->places[0]));
        coalescer->run = 1;
    }
    coalescer->items_count = 0;
    coalescer->marks_count = 0;
}

static void places_grow(struct coalescer *coalescer) {
    struct coalesce_place *old = coalescer->places;
    size_t old_capacity = coalescer->places_capacity, capacity = 2 * old_capacity;
    struct coalesce_place *places = memory_alloc_zero(capacity * sizeof(places[0]));
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].run == coalescer->run) {
            size_t at = old[i].hash & (capacity - 1);
            while (places[at].run == coalescer->run) {
                at = (at + 1) & (capacity - 1);
            }
            places[at] = old[i];
        }
    }
    memory_free(old);
    coalescer->places = places;
    coalescer->places_capacity = capacity;
}

/* The key's place; its run is another one when the key is new. */
static struct coalesce_place *find_place(struct coalescer *coalescer, const struct change *change,
                                         uint64_t *hash) {
    struct hash_seed seed = coalescer->seed;
    seed.b ^= change->db ^ (uint64_t)change->type << 32;
    *hash = hash_bytes(seed, change->key);
    if (change->type != VALUE_STRING) {
        seed.a ^= *hash;
        *hash = hash_bytes(seed, change->element);
    }
    size_t mask = coalescer->places_capacity - 1, at = *hash & mask;
    for (;; at = (at + 1) & mask) {
        struct coalesce_place *place = &coalescer->places[at];
        if (place->run != coalescer->run ||
            (place->hash == *hash && place->db == change->db && place->type == change->type &&
             slice_equal(place->key, change->key) &&
             slice_equal(place->element, change->element))) {
            return place;
        }
    }
}

static struct coalesce_item *add_item(struct coalescer *coalescer, const struct change *change) {
    if (coalescer->items_count == coalescer->items_capacity) {
        size_t capacity =
            coalescer->items_capacity == 0 ? COALESCE_PLACES_MIN : 2 * coalescer->items_capacity;
        coalescer->items = memory_resize(coalescer->items, capacity * sizeof(coalescer->items[0]));
        coalescer->items_capacity = capacity;
    }
    if (2 * coalescer->items_count >= coalescer->places_capacity) {
        places_grow(coalescer);
    }
    struct coalesce_item *item = &coalescer->items[coalescer->items_count++];
    *item = (struct coalesce_item){.kind = (uint8_t)change->kind,
                                   .is_fresh = change->is_fresh,
                                   .is_key_fresh = change->is_key_fresh,
                                   .is_element = change->type != VALUE_STRING,
                                   .start_ticks = change->start_ticks,
                                   .increment = change->increment,
                                   .previous = COALESCE_NONE};
    return item;
}

/* ---- a run ---- */

struct coalesce_run {
    size_t gone_count;
    size_t bound_count; /* changes left that a newer mark could make supersede more */
    size_t floor;       /* the first change after the last that concerns all keys */
};

/* Could it supersede more if its author's mark were newer? A counter's part touches nothing of
 * others, unless it is fresh: then expiries go; or an element's: then other types do. */
static bool is_bound(const struct coalesce_item *item) {
    return !is_counter(item->kind) || item->is_fresh || item->is_element;
}

static void take_change(struct coalescer *coalescer, struct coalesce_run *run,
                        const struct change *change) {
    struct coalesce_item *item = add_item(coalescer, change);
    uint32_t index = (uint32_t)(coalescer->items_count - 1);
    run->bound_count += is_bound(item);
    if (concerns_all_keys(item->kind)) {
        run->floor = coalescer->items_count;
        return;
    }
    uint64_t hash;
    struct coalesce_place *place = find_place(coalescer, change, &hash);
    if (place->run != coalescer->run) {
        *place = (struct coalesce_place){.run = coalescer->run,
                                         .item = index,
                                         .hash = hash,
                                         .key = change->key,
                                         .element = change->element,
                                         .db = change->db,
                                         .type = change->type};
        return;
    }
    uint32_t earlier = place->item;
    while (earlier != COALESCE_NONE && earlier >= run->floor &&
           supersedes(item, &coalescer->items[earlier])) {
        struct coalesce_item *gone = &coalescer->items[earlier];
        gone->is_gone = true;
        run->gone_count++;
        run->bound_count -= is_bound(gone);
        if (gone->is_fresh && !item->is_fresh && leaves_expiries(item->kind)) {
            run->bound_count += !is_bound(item);
            item->is_fresh = true;
        }
        item->is_key_fresh |= gone->is_key_fresh;
        if (item->kind == CHANGE_COUNTER && gone->kind == CHANGE_COUNTER) {
            item->increment = (int64_t)((uint64_t)item->increment + (uint64_t)gone->increment);
        }
        item->stands_for_others = true;
        earlier = gone->previous;
    }
    item->previous = earlier;
    place->item = index;
}

static bool read_batch(struct coalescer *coalescer, struct coalesce_run *run, struct slice batch) {
    struct change_reader reader;
    struct change change;
    if (!change_reader_init(&reader, batch, 0)) {
        return false;
    }
    enum change_status status;
    while ((status = change_reader_next(&reader, &change)) == CHANGE_OK) {
        if (coalescer->items_count == COALESCE_CHANGES_MAX) {
            return false;
        }
        take_change(coalescer, run, &change);
    }
    return status == CHANGE_END;
}

static void join_mark(struct coalescer *coalescer, struct stream_mark mark) {
    for (size_t i = 0; i < coalescer->marks_count; i++) {
        if (coalescer->marks[i].ref == mark.ref) {
            if (mark.ticks > coalescer->marks[i].ticks) {
                coalescer->marks[i].ticks = mark.ticks;
            }
            return;
        }
    }
    if (coalescer->marks_count == coalescer->marks_capacity) {
        size_t capacity = coalescer->marks_capacity == 0 ? 8 : 2 * coalescer->marks_capacity;
        coalescer->marks = memory_resize(coalescer->marks, capacity * sizeof(coalescer->marks[0]));
        coalescer->marks_capacity = capacity;
    }
    coalescer->marks[coalescer->marks_count++] = mark;
}

/* Writes the changes that are left as one unit. */
static void write_joined(struct coalescer *coalescer, const struct slice *records, size_t count,
                         struct buffer *out, struct coalesce_result *result) {
    struct change_writer *writer = &coalescer->writer;
    struct stream_record joined, record;
    struct stream_mark mark;
    bool goes_on = false;
    size_t index = 0;
    writer->is_on = true;
    for (size_t i = 0; i < count; i++) {
        bool is_record = stream_record_take(records[i], &record);
        require(is_record);
        if (i == 0) {
            joined = record;
        }
        joined.last_ticks = record.last_ticks;
        while (stream_mark_next(&record.marks, &mark)) {
            join_mark(coalescer, mark);
        }
        struct change_reader reader;
        struct change change;
        bool is_batch = change_reader_init(&reader, record.batch, 0);
        require(is_batch);
        while (change_reader_next(&reader, &change) == CHANGE_OK) {
            const struct coalesce_item *item = &coalescer->items[index++];
            if (!item->is_gone) {
                change.is_fresh = item->is_fresh;
                change.is_key_fresh = item->is_key_fresh;
                change.increment = item->increment;
                if (item->stands_for_others) {
                    change.float_increment = (struct slice){0};
                }
                change_writer_add(writer, &change);
                goes_on = change.goes_on;
                result->changes_out++;
            }
        }
    }
    ensure(index == coalescer->items_count);
    if (!goes_on) {
        change_writer_end_unit(writer);
    }
    stream_record_put_head(out, &joined, coalescer->marks, coalescer->marks_count);
    buffer_append_slice(out, buffer_slice(&writer->bytes));
    writer->is_unit_open = false;
    change_writer_clear(writer);
}

void coalescer_join(struct coalescer *coalescer, const struct slice *records, size_t count,
                    struct buffer *out, struct coalesce_result *result) {
    struct coalesce_run run = {0};
    struct stream_record first, record;
    require(count > 0);
    begin_run(coalescer);
    *result = (struct coalesce_result){0};
    for (size_t i = 0; i < count; i++) {
        if (!stream_record_take(records[i], &record)) {
            break;
        }
        if (i == 0) {
            first = record;
        } else if (record.ref != first.ref || record.previous_ticks != first.last_ticks ||
                   (record.marks_count > 0 && run.bound_count > 0)) {
            break;
        }
        first.last_ticks = record.last_ticks;
        if (!read_batch(coalescer, &run, record.batch)) {
            /* Whoever reads it will say so; those before it go as they are, too. */
            result->taken = i > 0 ? i : 1;
            return;
        }
        result->taken++;
    }
    if (result->taken == 0) {
        result->taken = 1;
        return;
    }
    result->changes_in = result->changes_out = coalescer->items_count;
    if (run.gone_count == 0) {
        return;
    }
    result->changes_out = 0;
    result->is_joined = true;
    write_joined(coalescer, records, result->taken, out, result);
    ensure(result->changes_in - result->changes_out == run.gone_count);
}
