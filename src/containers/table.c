/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/table.h"

#include <string.h>

#include "base/memory.h"

/* Buckets of a segment, header not counted, by size class: with its header of one bucket each
 * block is a size class of the allocator, so nothing of it is wasted. The largest keeps within the
 * allocator's small classes, which are not padded. */
static const uint16_t SEGMENT_BUCKETS[] = {1,  3,  7,  15,  23,  31,  39,  47,
                                           63, 79, 95, 111, 127, 159, 191, 223};

enum {
    SEGMENT_CLASSES = sizeof(SEGMENT_BUCKETS) / sizeof(SEGMENT_BUCKETS[0]),
    SEGMENT_BYTES_BUCKET = 64,
    /* Spill: a run of full buckets longer than this makes the segment grow early. */
    SEGMENT_SPILL = 4,
    /* Buckets from the home on in which an item may be. Hashes that are spread evenly hardly ever
     * need as many, but keys that come in the order of their hash crowd together at the front of a
     * segment: it then splits long before it is full. */
    SEGMENT_RUN_MAX = 12,
    /* At so many counts of its items or fewer a segment may become smaller. */
    SHRINK_STEPS = 16,
    /* A walk asks for items so far ahead, and for so many cache lines of each. */
    WALK_AHEAD_BUCKETS = 4,
    WALK_AHEAD_LINES = 2,
};

static unsigned segment_homes(unsigned size_class) {
    unsigned buckets = SEGMENT_BUCKETS[size_class];
    if (buckets == 1) {
        return 1;
    }
    return buckets - (buckets < 16 ? 1 : SEGMENT_SPILL);
}

static unsigned segment_room(unsigned size_class) {
    unsigned slots = segment_homes(size_class) * TABLE_BUCKET_SLOTS;
    return slots <= 8 ? slots : slots * 9 / 10;
}

static size_t segment_bytes(unsigned size_class) {
    return sizeof(struct table_segment) +
           (size_t)SEGMENT_BUCKETS[size_class] * SEGMENT_BYTES_BUCKET;
}

static uint64_t segment_tag_home(const struct table_segment *segment, uint64_t tag) {
    return (tag * segment->homes) >> TABLE_TAG_BITS;
}

static uint64_t slot_tag(uint64_t slot) {
    return slot >> (64 - TABLE_TAG_BITS);
}

static struct table_segment *segment_new(struct table *table, unsigned size_class, unsigned depth) {
    struct table_segment *segment = memory_alloc_zero(segment_bytes(size_class));
    segment->size_class = (uint8_t)size_class;
    segment->buckets = SEGMENT_BUCKETS[size_class];
    segment->homes = (uint16_t)segment_homes(size_class);
    segment->depth = (uint8_t)depth;
    table->slots_count += (uint64_t)segment->buckets * TABLE_BUCKET_SLOTS;
    table->segments_count++;
    return segment;
}

static void segment_free(struct table *table, struct table_segment *segment) {
    table->slots_count -= (uint64_t)segment->buckets * TABLE_BUCKET_SLOTS;
    table->segments_count--;
    memory_free_sized(segment, segment_bytes(segment->size_class));
}

/* Puts a slot at its place; false when that would be too far from its home, or beyond the segment's
 * end. */
static bool segment_put(struct table_segment *segment, uint64_t slot) {
    unsigned bucket = (unsigned)segment_tag_home(segment, slot_tag(slot));
    unsigned end = bucket + SEGMENT_RUN_MAX;
    end = end < segment->buckets ? end : segment->buckets;
    for (; bucket < end; bucket++) {
        uint64_t *slots = segment->slots + (size_t)bucket * TABLE_BUCKET_SLOTS;
        if (slots[TABLE_BUCKET_SLOTS - 1] != 0) {
            continue;
        }
        unsigned i = 0;
        while (slots[i] != 0) {
            i++;
        }
        /* The last slot of the last bucket stays empty: lookups stop there (I2). */
        if (bucket == segment->buckets - 1U && i == TABLE_BUCKET_SLOTS - 1) {
            return false;
        }
        slots[i] = slot;
        segment->count++;
        segment->marked_count += (slot & TABLE_MARK) != 0;
        return true;
    }
    return false;
}

/* Points all cells of the segment's prefix at it. */
static void table_attach(struct table *table, struct table_segment *segment, uint64_t hash) {
    unsigned below = table->depth - segment->depth;
    uint64_t first = (hash >> 1) >> (63 - table->depth);
    first = first >> below << below;
    uint64_t cell = (uint64_t)(uintptr_t)segment | (uint64_t)segment->depth << 48 |
                    (uint64_t)segment->homes << 56;
    for (uint64_t i = 0; i < (UINT64_C(1) << below); i++) {
        table->directory[first + i] = cell;
    }
}

/* Moves all slots of a segment into a new block of another class. False, with nothing changed,
 * when they do not fit there. */
static bool segment_resize(struct table *table, struct table_segment *old, unsigned size_class,
                           uint64_t hash) {
    struct table_segment *segment = segment_new(table, size_class, old->depth);
    size_t slots = (size_t)old->buckets * TABLE_BUCKET_SLOTS;
    for (size_t i = 0; i < slots; i++) {
        if (old->slots[i] != 0 && !segment_put(segment, old->slots[i])) {
            segment_free(table, segment);
            return false;
        }
    }
    table_attach(table, segment, hash);
    segment_free(table, old);
    return true;
}

static void directory_double(struct table *table) {
    require(table->depth < TABLE_DEPTH_MAX);
    uint64_t cells = UINT64_C(1) << table->depth;
    uint64_t *directory = memory_alloc(2 * cells * sizeof(uint64_t));
    for (uint64_t i = 0; i < cells; i++) {
        directory[2 * i] = table->directory[i];
        directory[2 * i + 1] = table->directory[i];
    }
    memory_free(table->directory);
    table->directory = directory;
    table->depth++;
}

static unsigned class_for(unsigned count) {
    unsigned size_class = 0;
    while (size_class + 1 < SEGMENT_CLASSES && segment_room(size_class) < count) {
        size_class++;
    }
    return size_class;
}

/* Puts slots, whose tags are those of `depth`, into one new segment of the least class from
 * `size_class` on that holds them; false when none does. */
static bool segment_build(struct table *table, const uint64_t *slots, unsigned count,
                          unsigned size_class, unsigned depth, uint64_t hash) {
    for (; size_class < SEGMENT_CLASSES; size_class++) {
        struct table_segment *segment = segment_new(table, size_class, depth);
        unsigned i = 0;
        while (i < count && segment_put(segment, slots[i])) {
            i++;
        }
        if (i == count) {
            table_attach(table, segment, hash);
            return true;
        }
        segment_free(table, segment);
    }
    return false;
}

/* Puts slots, whose tags are those of `depth` and whose items share that many bits with `hash`,
 * into segments one level below, or further below where too many are too close together: keys may
 * come in the order of their hash, as from SCAN, so a new table sees a narrow range of it first. */
static void segment_spread(struct table *table, uint64_t *slots, unsigned count, unsigned depth,
                           uint64_t hash) {
    if (depth == table->depth) {
        directory_double(table);
    }
    unsigned lower_count = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t slot = slots[i];
        if (slot_tag(slot) >> (TABLE_TAG_BITS - 1) == 0) {
            slots[i] = slots[lower_count];
            slots[lower_count++] = slot;
        }
    }
    depth++;
    for (unsigned i = 0; i < count; i++) {
        /* The new tag takes in one bit that the old one did not hold. */
        uint64_t tag = table_tag(table->hash(table_item(slots[i]), table->udata), depth);
        slots[i] = (slots[i] & (TABLE_MARK | TABLE_POINTER_MASK)) | tag << (64 - TABLE_TAG_BITS);
    }
    uint64_t bit = UINT64_C(1) << (64 - depth);
    const struct {
        uint64_t *slots;
        unsigned count;
        uint64_t hash;
    } halves[2] = {{slots, lower_count, hash & ~bit},
                   {slots + lower_count, count - lower_count, hash | bit}};
    for (unsigned half = 0; half < 2; half++) {
        unsigned size_class = class_for(halves[half].count * 5U / 4);
        if (!segment_build(table, halves[half].slots, halves[half].count, size_class, depth,
                           halves[half].hash)) {
            segment_spread(table, halves[half].slots, halves[half].count, depth, halves[half].hash);
        }
    }
}

static void segment_split(struct table *table, struct table_segment *old, uint64_t hash) {
    size_t slots_count = (size_t)old->buckets * TABLE_BUCKET_SLOTS;
    uint64_t *slots = memory_alloc(slots_count * sizeof(uint64_t));
    unsigned count = 0;
    for (size_t i = 0; i < slots_count; i++) {
        if (old->slots[i] != 0) {
            slots[count++] = old->slots[i];
        }
    }
    segment_spread(table, slots, count, old->depth, hash);
    segment_free(table, old);
    memory_free(slots);
}

static void segment_grow(struct table *table, struct table_segment *segment, uint64_t hash) {
    for (unsigned size_class = segment->size_class + 1U; size_class < SEGMENT_CLASSES;
         size_class++) {
        if (segment_resize(table, segment, size_class, hash)) {
            return;
        }
    }
    segment_split(table, segment, hash);
}

void table_init(struct table *table, table_hash_fn hash, const void *udata) {
    *table = (struct table){.hash = hash, .udata = udata};
    table->directory = memory_alloc(sizeof(uint64_t));
    table_attach(table, segment_new(table, 0, 0), 0);
}

/* The first cell of the segment after the one at `cell`. */
static uint64_t segment_next_cell(const struct table *table, uint64_t cell) {
    const struct table_segment *segment = table_cell_segment(table->directory[cell]);
    unsigned below = table->depth - segment->depth;
    return ((cell >> below) + 1) << below;
}

void table_deinit(struct table *table) {
    uint64_t cells = UINT64_C(1) << table->depth;
    for (uint64_t cell = 0; cell < cells;) {
        struct table_segment *segment = table_cell_segment(table->directory[cell]);
        cell = segment_next_cell(table, cell);
        segment_free(table, segment);
    }
    memory_free(table->directory);
    *table = (struct table){0};
}

void table_expect(struct table *table, uint64_t count) {
    if (table->count > 0 || count <= segment_room(0)) {
        return;
    }
    unsigned depth = 0;
    /* A margin of an eighth: the hash does not fill all segments alike. */
    uint64_t room = segment_room(SEGMENT_CLASSES - 1);
    while (depth < TABLE_DEPTH_MAX && (count >> depth) * 9 / 8 > room) {
        depth++;
    }
    unsigned size_class = class_for((unsigned)((count >> depth) * 17 / 16));
    table_hash_fn hash = table->hash;
    const void *udata = table->udata;
    table_deinit(table);
    *table = (struct table){.hash = hash, .udata = udata, .depth = depth};
    table->directory = memory_alloc((sizeof(uint64_t)) << depth);
    for (uint64_t i = 0; i < (UINT64_C(1) << depth); i++) {
        uint64_t prefix = depth == 0 ? 0 : i << (64 - depth);
        table_attach(table, segment_new(table, size_class, depth), prefix);
    }
}

void table_insert(struct table *table, uint64_t hash, void *item, bool is_marked) {
    uint64_t address = (uint64_t)(uintptr_t)item;
    require((address & 15) == 0 && address >> 48 == 0);
    for (;;) {
        struct table_segment *segment = table_cell_segment(table_cell(table, hash));
        uint64_t slot = table_tag(hash, segment->depth) << (64 - TABLE_TAG_BITS) |
                        (is_marked ? TABLE_MARK : 0) | address >> 4;
        if (segment->count < segment_room(segment->size_class) && segment_put(segment, slot)) {
            break;
        }
        segment_grow(table, segment, hash);
    }
    table->count++;
    table->marked_count += is_marked;
}

/* After a slot of the full bucket `hole` was emptied: pulls back items that had overflowed past
 * it, so that I2 holds again. */
static void segment_close_hole(struct table_segment *segment, unsigned hole) {
    unsigned bucket = hole + 1;
    while (bucket < segment->buckets) {
        uint64_t *slots = segment->slots + (size_t)bucket * TABLE_BUCKET_SLOTS;
        bool was_full = slots[TABLE_BUCKET_SLOTS - 1] != 0;
        unsigned last = 0;
        int found = -1;
        for (unsigned i = 0; i < TABLE_BUCKET_SLOTS && slots[i] != 0; i++) {
            last = i;
            if (segment_tag_home(segment, slot_tag(slots[i])) <= hole) {
                found = (int)i;
            }
        }
        if (found >= 0) {
            segment->slots[(size_t)hole * TABLE_BUCKET_SLOTS + TABLE_BUCKET_SLOTS - 1] =
                slots[found];
            slots[found] = slots[last];
            slots[last] = 0;
            hole = bucket;
        }
        if (!was_full) {
            return;
        }
        bucket++;
    }
}

void table_remove(struct table *table, uint64_t hash, uint64_t *slot) {
    struct table_segment *segment = table_cell_segment(table_cell(table, hash));
    size_t index = (size_t)(slot - segment->slots);
    require(index < (size_t)segment->buckets * TABLE_BUCKET_SLOTS && *slot != 0);
    unsigned bucket = (unsigned)(index / TABLE_BUCKET_SLOTS);
    uint64_t *slots = segment->slots + (size_t)bucket * TABLE_BUCKET_SLOTS;
    bool is_marked = (*slot & TABLE_MARK) != 0;
    bool was_full = slots[TABLE_BUCKET_SLOTS - 1] != 0;
    unsigned last = TABLE_BUCKET_SLOTS - 1;
    while (slots[last] == 0) {
        last--;
    }
    *slot = slots[last];
    slots[last] = 0;
    segment->count--;
    segment->marked_count -= is_marked;
    table->count--;
    table->marked_count -= is_marked;
    if (was_full) {
        segment_close_hole(segment, bucket);
    }
}

void table_mark(struct table *table, uint64_t hash, uint64_t *slot, bool is_marked) {
    bool was_marked = (*slot & TABLE_MARK) != 0;
    if (was_marked == is_marked) {
        return;
    }
    struct table_segment *segment = table_cell_segment(table_cell(table, hash));
    *slot ^= TABLE_MARK;
    if (is_marked) {
        segment->marked_count++;
        table->marked_count++;
    } else {
        segment->marked_count--;
        table->marked_count--;
    }
}

void table_shrink_segment(struct table *table, uint64_t hash) {
    struct table_segment *segment = table_cell_segment(table_cell(table, hash));
    unsigned room = segment_room(segment->size_class);
    /* Not at each count: what is left may be too crowded for a smaller one, as it is after removing
     * in the order of a walk, and would be moved there in vain with each removal. */
    if (segment->size_class == 0 || segment->count * 5U > room * 2U ||
        segment->count % (room / SHRINK_STEPS + 1) != 0) {
        return;
    }
    unsigned size_class = class_for(segment->count * 3U / 2);
    if (size_class < segment->size_class) {
        (void)segment_resize(table, segment, size_class, hash);
    }
}

/* ---- walking ---- */

/* The position where the home bucket `bucket` of a segment begins; `prefix` is the hash of its
 * first item. At the end of the last segment this wraps to 0. */
static uint64_t bucket_position(const struct table_segment *segment, uint64_t prefix,
                                uint64_t bucket) {
    if (bucket >= segment->homes) {
        return segment->depth == 0 ? 0 : prefix + (UINT64_C(1) << (64 - segment->depth));
    }
    uint64_t tag = ((bucket << TABLE_TAG_BITS) + segment->homes - 1) / segment->homes;
    return prefix | tag << (64 - TABLE_TAG_BITS) >> segment->depth;
}

static uint64_t segment_prefix(const struct table_segment *segment, uint64_t position) {
    return segment->depth == 0 ? 0 : position >> (64 - segment->depth) << (64 - segment->depth);
}

/* Asks for the items of a bucket that a walk comes to a little later, if there is one. */
static void fetch_bucket(const struct table_segment *segment, uint64_t bucket) {
    if (bucket < segment->buckets) {
        const uint64_t *slots = segment->slots + bucket * TABLE_BUCKET_SLOTS;
        for (unsigned i = 0; i < TABLE_BUCKET_SLOTS && slots[i] != 0; i++) {
            prefetch_lines(table_item(slots[i]), WALK_AHEAD_LINES);
        }
    }
}

uint64_t table_walk(const struct table *table, uint64_t position, table_visit_fn visit,
                    void *udata) {
    const struct table_segment *segment = table_cell_segment(table_cell(table, position));
    uint64_t prefix = segment_prefix(segment, position);
    if (segment->count == 0) {
        return bucket_position(segment, prefix, segment->homes);
    }
    uint64_t tag_min = table_tag(position, segment->depth);
    uint64_t home = segment_tag_home(segment, tag_min);
    const uint64_t *slots = segment->slots + home * TABLE_BUCKET_SLOTS;
    const uint64_t *end = segment->slots + (size_t)segment->buckets * TABLE_BUCKET_SLOTS;
    fetch_bucket(segment, home + WALK_AHEAD_BUCKETS);
    for (; slots < end && *slots != 0; slots++) {
        uint64_t tag = slot_tag(*slots);
        if (tag >= tag_min && segment_tag_home(segment, tag) == home) {
            visit(table_item(*slots), udata);
        }
    }
    return bucket_position(segment, prefix, home + 1);
}

uint64_t table_walk_marked(const struct table *table, uint64_t position, unsigned buckets_max,
                           table_visit_fn visit, void *udata) {
    for (unsigned used = 0; used < buckets_max;) {
        const struct table_segment *segment = table_cell_segment(table_cell(table, position));
        uint64_t prefix = segment_prefix(segment, position);
        uint64_t home = segment_tag_home(segment, table_tag(position, segment->depth));
        if (segment->marked_count == 0) {
            home = segment->homes;
            used++;
        }
        for (; home < segment->homes && used < buckets_max; home++, used++) {
            uint64_t end = home + 1 == segment->homes ? segment->buckets : home + 1;
            for (uint64_t i = home * TABLE_BUCKET_SLOTS; i < end * TABLE_BUCKET_SLOTS; i++) {
                if ((segment->slots[i] & TABLE_MARK) != 0) {
                    visit(table_item(segment->slots[i]), udata);
                }
            }
        }
        position = bucket_position(segment, prefix, home);
        if (position == 0) {
            return 0;
        }
    }
    return position;
}

/* A segment that has what is wanted, near a random place; NULL when there is none. */
static const struct table_segment *segment_random(const struct table *table, struct prng *prng,
                                                  bool only_marked) {
    if ((only_marked ? table->marked_count : table->count) == 0) {
        return NULL;
    }
    uint64_t cells = UINT64_C(1) << table->depth;
    uint64_t cell = prng_next(prng) & (cells - 1);
    for (uint64_t tried = 0; tried <= cells; tried++, cell = (cell + 1) & (cells - 1)) {
        const struct table_segment *segment = table_cell_segment(table->directory[cell]);
        if ((only_marked ? segment->marked_count : segment->count) > 0) {
            return segment;
        }
    }
    impossible("a table with items has a segment with items");
}

static bool slot_wanted(uint64_t slot, bool only_marked) {
    return only_marked ? (slot & TABLE_MARK) != 0 : slot != 0;
}

void *table_random(const struct table *table, struct prng *prng, bool only_marked) {
    const struct table_segment *segment = segment_random(table, prng, only_marked);
    if (segment == NULL) {
        return NULL;
    }
    unsigned slots = segment->buckets * TABLE_BUCKET_SLOTS;
    /* Rejection is what makes it uniform; a sparse segment is scanned in the end. */
    for (unsigned tries = 0; tries < 64; tries++) {
        uint64_t slot = segment->slots[prng_below(prng, slots)];
        if (slot_wanted(slot, only_marked)) {
            return table_item(slot);
        }
    }
    unsigned at = (unsigned)prng_below(prng, slots);
    while (!slot_wanted(segment->slots[at], only_marked)) {
        at = (at + 1) % slots;
    }
    return table_item(segment->slots[at]);
}

void table_sample(const struct table *table, struct prng *prng, bool only_marked, unsigned count,
                  table_visit_fn visit, void *udata) {
    const struct table_segment *segment = segment_random(table, prng, only_marked);
    if (segment == NULL) {
        return;
    }
    unsigned slots = segment->buckets * TABLE_BUCKET_SLOTS;
    /* From any slot, not from the beginning of a bucket: else its last ones would never be seen. */
    unsigned at = (unsigned)prng_below(prng, slots);
    for (unsigned seen = 0; seen < slots && count > 0; seen++, at = (at + 1) % slots) {
        if (slot_wanted(segment->slots[at], only_marked)) {
            visit(table_item(segment->slots[at]), udata);
            count--;
        }
    }
}

/* ---- introspection ---- */

uint64_t table_memory_bytes(const struct table *table) {
    return (sizeof(uint64_t) << table->depth) + table->slots_count * sizeof(uint64_t) +
           table->segments_count * sizeof(struct table_segment);
}

static void segment_check(const struct table *table, const struct table_segment *segment,
                          uint64_t prefix) {
    unsigned count = 0, marked = 0;
    for (unsigned b = 0; b < segment->buckets; b++) {
        const uint64_t *slots = segment->slots + (size_t)b * TABLE_BUCKET_SLOTS;
        bool ended = false;
        for (unsigned i = 0; i < TABLE_BUCKET_SLOTS; i++) {
            if (slots[i] == 0) {
                ended = true;
                continue;
            }
            require(!ended); /* I1 */
            uint64_t hash = table->hash(table_item(slots[i]), table->udata);
            require(segment_prefix(segment, hash) == prefix);
            require(table_tag(hash, segment->depth) == slot_tag(slots[i]));
            uint64_t home = segment_tag_home(segment, slot_tag(slots[i]));
            require(home <= b && b < home + SEGMENT_RUN_MAX); /* I2 */
            for (uint64_t full = home; full < b; full++) {
                require(segment->slots[full * TABLE_BUCKET_SLOTS + TABLE_BUCKET_SLOTS - 1] != 0);
            }
            count++;
            marked += (slots[i] & TABLE_MARK) != 0;
        }
    }
    require(count == segment->count); /* I4 */
    require(marked == segment->marked_count);
}

void table_check(const struct table *table) {
    uint64_t cells = UINT64_C(1) << table->depth, count = 0, marked = 0, segments = 0;
    for (uint64_t cell = 0; cell < cells;) {
        const struct table_segment *segment = table_cell_segment(table->directory[cell]);
        uint64_t next = segment_next_cell(table, cell);
        for (uint64_t i = cell; i < next; i++) {
            require(table->directory[i] == table->directory[cell]); /* I3 */
        }
        require(table->directory[cell] >> 56 == segment->homes);
        require(((table->directory[cell] >> 48) & 0xFF) == segment->depth);
        segment_check(table, segment, table->depth == 0 ? 0 : cell << (64 - table->depth));
        count += segment->count;
        marked += segment->marked_count;
        segments++;
        cell = next;
    }
    require(count == table->count);
    require(marked == table->marked_count);
    require(segments == table->segments_count);
}
