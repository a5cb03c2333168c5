/* SPDX-License-Identifier: BSD-3-Clause */
/* Invariants of a replica's marks:
 *   I1  there is one at least; ticks rise from mark to mark, counts do not fall.
 *   I2  the first is where counting began: of what was before nothing is known. It stays.
 *   I3  the newest CHANGE_COUNTS_EXACT are the ends of the newest records. */
#include "log/change_counts.h"

#include <assert.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum {
    MARKS_MIN = 8,                                   /* allocated at first */
    THINNED_MARKS_MAX = CHANGE_COUNTS_MARKS_MAX - 64 /* then there is room for a while */
};
static_assert((int)CHANGE_COUNTS_EXACT + 2 * 64 + 1 <= (int)THINNED_MARKS_MAX,
              "the older ones always fit: thin_out()");

struct change_mark {
    uint64_t ticks, count;
};

struct counted_changes {
    uint64_t ref;
    unsigned count, capacity;
    struct change_mark marks[];
};

void change_counts_clear_slot(struct change_counts *counts, unsigned slot) {
    if (slot < counts->slots_count) {
        memory_free(counts->replicas[slot]);
        counts->replicas[slot] = NULL;
    }
}

void change_counts_clear(struct change_counts *counts) {
    for (unsigned slot = 0; slot < counts->slots_count; slot++) {
        change_counts_clear_slot(counts, slot);
    }
}

void change_counts_deinit(struct change_counts *counts) {
    change_counts_clear(counts);
    memory_free(counts->replicas);
    *counts = (struct change_counts){0};
}

/* ---- marks ---- */

/* Drops old marks where a gap stays at most a 2^`bits`-th part of how far back it ends. With no
 * bits each two that stay halve the way to the newest: two for each bit of a count, at most. */
static void thin_out(struct counted_changes *changes, unsigned bits) {
    struct change_mark *marks = changes->marks;
    uint64_t newest = marks[changes->count - 1].count;
    unsigned old_count = changes->count - CHANGE_COUNTS_EXACT, kept = 1; /* I2 */
    for (unsigned i = 1; i < old_count; i++) {
        uint64_t gap = marks[i + 1].count - marks[kept - 1].count;
        if (gap > (newest - marks[i + 1].count) >> bits) {
            marks[kept++] = marks[i];
        }
    }
    memmove(marks + kept, marks + old_count, CHANGE_COUNTS_EXACT * sizeof(marks[0]));
    changes->count = kept + CHANGE_COUNTS_EXACT;
}

static struct counted_changes *resize(struct counted_changes *changes, unsigned capacity) {
    changes = memory_resize(changes, sizeof(*changes) + capacity * sizeof(struct change_mark));
    changes->capacity = capacity;
    return changes;
}

/* Room for one more mark; what it returns takes the place of `changes`. */
static struct counted_changes *make_room(struct counted_changes *changes) {
    if (changes->count < changes->capacity) {
        return changes;
    }
    if (changes->capacity < CHANGE_COUNTS_MARKS_MAX) {
        unsigned capacity = 2 * changes->capacity;
        return resize(changes, capacity < CHANGE_COUNTS_MARKS_MAX
                                   ? capacity
                                   : (unsigned)CHANGE_COUNTS_MARKS_MAX);
    }
    for (unsigned bits = CHANGE_COUNTS_SHARE_BITS + 1; changes->count > THINNED_MARKS_MAX;) {
        require(bits > 0);
        thin_out(changes, --bits);
    }
    return changes;
}

/* ---- counting ---- */

static struct counted_changes *begin(struct change_counts *counts, unsigned slot, uint64_t ref,
                                     uint64_t ticks) {
    if (slot >= counts->slots_count) {
        unsigned count = slot + slot / 2 + 4;
        counts->replicas = memory_resize(counts->replicas, count * sizeof(counts->replicas[0]));
        memset(counts->replicas + counts->slots_count, 0,
               (count - counts->slots_count) * sizeof(counts->replicas[0]));
        counts->slots_count = count;
    }
    struct counted_changes *changes = resize(counts->replicas[slot], MARKS_MIN);
    changes->ref = ref;
    changes->count = 1;
    changes->marks[0] = (struct change_mark){.ticks = ticks};
    counts->replicas[slot] = changes;
    return changes;
}

/* NULL: nothing of the replica was counted. */
static struct counted_changes *find(const struct change_counts *counts, unsigned slot,
                                    uint64_t ref) {
    struct counted_changes *changes = slot < counts->slots_count ? counts->replicas[slot] : NULL;
    return changes != NULL && changes->ref == ref ? changes : NULL;
}

void change_counts_add(struct change_counts *counts, unsigned slot, uint64_t ref,
                       uint64_t previous_ticks, uint64_t last_ticks, uint64_t count) {
    struct counted_changes *changes = find(counts, slot, ref);
    if (changes == NULL) {
        changes = begin(counts, slot, ref, previous_ticks);
    }
    struct change_mark *newest = &changes->marks[changes->count - 1];
    if (last_ticks <= newest->ticks) {
        newest->count += count; /* more of what was counted: I1 */
        return;
    }
    uint64_t total = newest->count + count;
    changes = make_room(changes);
    changes->marks[changes->count++] = (struct change_mark){.ticks = last_ticks, .count = total};
    counts->replicas[slot] = changes;
}

uint64_t change_counts_since(const struct change_counts *counts, unsigned slot, uint64_t ref,
                             uint64_t ticks) {
    const struct counted_changes *changes = find(counts, slot, ref);
    if (changes == NULL) {
        return 0;
    }
    unsigned low = 0, high = changes->count; /* the first mark after `ticks` */
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (changes->marks[middle].ticks <= ticks) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return changes->marks[changes->count - 1].count - changes->marks[low > 0 ? low - 1 : 0].count;
}
