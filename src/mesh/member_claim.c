/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/member_claim.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"

/* ---- stamps ---- */

void member_stamps_deinit(struct member_stamps *stamps) {
    memory_free(stamps->items);
    *stamps = (struct member_stamps){0};
}

/* The place of that slot, or where it would be. */
static unsigned stamps_place(const struct member_stamps *stamps, unsigned slot) {
    unsigned low = 0, high = stamps->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (stamp_slot(stamps->items[middle]) < slot) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool stamps_has(const struct member_stamps *stamps, unsigned place, unsigned slot) {
    return place < stamps->count && stamp_slot(stamps->items[place]) == slot;
}

uint64_t member_stamps_get(const struct member_stamps *stamps, unsigned slot) {
    unsigned place = stamps_place(stamps, slot);
    return stamps_has(stamps, place, slot) ? stamps->items[place] : 0;
}

void member_stamps_raise(struct member_stamps *stamps, uint64_t stamp) {
    unsigned slot = stamp_slot(stamp), place = stamps->count;
    require(slot != STAMP_SLOT_SETTLED);
    if (place > 0 && stamp_slot(stamps->items[place - 1]) >= slot) {
        place = stamps_place(stamps, slot);
    }
    if (stamps_has(stamps, place, slot)) {
        if (stamp > stamps->items[place]) {
            stamps->items[place] = stamp;
        }
        return;
    }
    if (stamps->count == stamps->capacity) {
        stamps->capacity += stamps->capacity / 4 + 2;
        stamps->items = memory_resize(stamps->items, stamps->capacity * sizeof(stamps->items[0]));
    }
    memmove(stamps->items + place + 1, stamps->items + place,
            (stamps->count - place) * sizeof(stamps->items[0]));
    stamps->items[place] = stamp;
    stamps->count++;
}

void member_stamps_remove(struct member_stamps *stamps, unsigned slot) {
    unsigned place = stamps_place(stamps, slot);
    if (stamps_has(stamps, place, slot)) {
        stamps->count--;
        memmove(stamps->items + place, stamps->items + place + 1,
                (stamps->count - place) * sizeof(stamps->items[0]));
    }
}

/* ---- claims ---- */

struct member_claim *member_claim_new(uint64_t version, uint64_t set_hash) {
    struct member_claim *claim = memory_alloc_zero(sizeof(*claim));
    claim->holders_count = 1;
    claim->version = version;
    claim->set_hash = set_hash;
    return claim;
}

struct member_claim *member_claim_ref(struct member_claim *claim) {
    if (claim != NULL) {
        claim->holders_count++;
    }
    return claim;
}

void member_claim_unref(struct member_claim *claim) {
    if (claim != NULL && --claim->holders_count == 0) {
        member_stamps_deinit(&claim->stamps);
        memory_free(claim->foreign);
        memory_free(claim);
    }
}

void member_claim_add(struct member_claim *claim, const struct replicas *replicas, uint64_t ref,
                      uint64_t ticks) {
    unsigned slot = replicas_find(replicas, ref);
    if (slot != 0) {
        member_stamps_raise(&claim->stamps, stamp_make(ticks, slot));
        return;
    }
    if (replicas_find_retired(replicas, ref) != NULL) {
        return;
    }
    claim->foreign =
        memory_resize(claim->foreign, (claim->foreign_count + 1) * sizeof(claim->foreign[0]));
    claim->foreign[claim->foreign_count++] = (struct stream_mark){.ref = ref, .ticks = ticks};
    claim->table_version = replicas->version;
}

void member_claim_look_up(struct member_claim *claim, const struct replicas *replicas) {
    if (claim->foreign_count == 0 || claim->table_version == replicas->version) {
        return;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < claim->foreign_count; i++) {
        struct stream_mark mark = claim->foreign[i];
        unsigned slot = replicas_find(replicas, mark.ref);
        if (slot != 0) {
            member_stamps_raise(&claim->stamps, stamp_make(mark.ticks, slot));
        } else if (replicas_find_retired(replicas, mark.ref) == NULL) {
            claim->foreign[kept++] = mark;
        }
    }
    claim->foreign_count = kept;
    claim->table_version = replicas->version;
}

bool member_claim_equal(const struct member_claim *a, const struct member_claim *b) {
    return a->set_hash == b->set_hash && a->stamps.count == b->stamps.count &&
           a->foreign_count == 0 && b->foreign_count == 0 &&
           (a->stamps.count == 0 || memcmp(a->stamps.items, b->stamps.items,
                                           a->stamps.count * sizeof(a->stamps.items[0])) == 0);
}

size_t member_claim_memory_bytes(const struct member_claim *claim) {
    return sizeof(*claim) + claim->stamps.capacity * sizeof(claim->stamps.items[0]) +
           claim->foreign_count * sizeof(claim->foreign[0]);
}
