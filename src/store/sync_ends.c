/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/sync_ends.h"

#include "base/codec.h"

bool sync_shown_ticks(const struct sync *sync, unsigned slot, uint64_t *ticks) {
    for (unsigned i = 0; i < sync->parts_count; i++) {
        const struct sync_part *part = &sync->parts[i];
        uint64_t shown = slot < part->context_count ? stamp_ticks(part->context[slot]) : 0;
        if (i > 0 && shown != *ticks) {
            return false;
        }
        *ticks = shown;
    }
    return sync->parts_count > 0;
}

static bool find_fate(const struct sync *sync, unsigned slot) {
    const struct replicas *replicas = &sync->store->replicas;
    uint64_t seen = sync->seen.stamps[slot];
    if (replicas_is_void(replicas, seen)) {
        return replicas_is_unmade(replicas, seen);
    }
    return replicas_is_of_self(replicas, slot) ||
           (sync->fate != NULL && sync->fate(sync->udata, seen) == SYNC_REISSUE);
}

bool sync_makes_again(const struct sync *sync, unsigned slot) {
    const struct replicas *replicas = &sync->store->replicas;
    if (slot == replicas->self || replicas->slots[slot].ref == 0) {
        return false;
    }
    if (sync->fates[slot] == SYNC_FATE_OPEN) {
        sync->fates[slot] = find_fate(sync, slot) ? SYNC_FATE_REISSUE : SYNC_FATE_DROP;
    }
    return sync->fates[slot] == SYNC_FATE_REISSUE;
}

bool sync_known_ticks(const struct sync *sync, unsigned slot, uint64_t *ticks) {
    const struct replicas *replicas = &sync->store->replicas;
    if (!sync_shown_ticks(sync, slot, ticks)) {
        return false;
    }
    if (replicas_is_void(replicas, sync->seen.stamps[slot]) &&
        replicas->slots[slot].made_ticks > *ticks) {
        *ticks = replicas->slots[slot].made_ticks;
    }
    return true;
}

void sync_note_ends(struct sync *sync) {
    struct replicas *replicas = &sync->store->replicas;
    for (unsigned slot = 1; slot < replicas->slots_count && sync->mode == SYNC_REBASE; slot++) {
        uint64_t shown, known, seen = stamp_ticks(sync->seen.stamps[slot]);
        if (seen > 0 && replicas->slots[slot].ref != 0 &&
            (!sync_shown_ticks(sync, slot, &shown) || seen > shown)) {
            codec_put_u64(&sync->seen_beyond, replicas->slots[slot].ref);
            codec_put_varint(&sync->seen_beyond, seen);
        }
        if (sync_makes_again(sync, slot) && sync_shown_ticks(sync, slot, &shown) &&
            sync_known_ticks(sync, slot, &known) && seen > shown) {
            struct ended_replica end = {.ref = replicas->slots[slot].ref,
                                        .ticks = shown,
                                        .made_ticks = seen,
                                        .made_from_ticks = known};
            sync->ends = memory_resize(sync->ends, (sync->ends_count + 1) * sizeof(sync->ends[0]));
            sync->ends[sync->ends_count++] = end;
            replicas_note_ended(replicas, &end);
        }
    }
}

void sync_tell_ends(struct sync *sync) {
    for (size_t i = 0; i < sync->ends_count; i++) {
        /* The first one tells it for all. */
        store_end_life(sync->store, &sync->ends[i],
                       i == 0 ? buffer_slice(&sync->seen_beyond) : slice_make("", 0));
    }
    buffer_clear(&sync->seen_beyond);
    sync->ends_count = 0;
}

/* Does it show what is void? */
static bool part_has_void(const struct sync *sync, const struct sync_part *part) {
    for (unsigned slot = 1; slot < part->context_count; slot++) {
        if (replicas_is_void(&sync->store->replicas, part->context[slot])) {
            return true;
        }
    }
    return false;
}

bool sync_part_has_void(const struct sync *sync, unsigned part_number) {
    require(part_number < sync->parts_count);
    return part_has_void(sync, &sync->parts[part_number]);
}

bool sync_is_sound(struct sync *sync) {
    const struct replicas *replicas = &sync->store->replicas;
    bool is_sound = true;
    for (unsigned i = 0; i < sync->parts_count && !sync->is_sound; i++) {
        is_sound &= !part_has_void(sync, &sync->parts[i]);
    }
    for (unsigned slot = 1; slot < replicas->slots_count && !sync->is_sound; slot++) {
        uint64_t ticks;
        is_sound &= sync->mode != SYNC_REBASE || !sync_makes_again(sync, slot) ||
                    sync_shown_ticks(sync, slot, &ticks);
    }
    sync->is_sound |= is_sound;
    return is_sound;
}
