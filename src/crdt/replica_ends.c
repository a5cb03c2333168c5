/* SPDX-License-Identifier: BSD-3-Clause */
/* Lives that have ended: what those who made them again had seen, and how it is told. */
#include "base/codec.h"
#include "base/memory.h"
#include "base/varint.h"
#include "crdt/replica.h"

/* ---- what makers had seen ---- */

/* Too much to remember: then it is not known of anybody what he had seen. */
static void forget_makers(struct replicas *replicas) {
    replicas->makers_seen_count = 0;
    for (size_t i = 0; i < replicas->ended_count; i++) {
        replicas->ended[i].maker_ref = 0;
    }
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        replicas->slots[slot].maker_ref = 0;
    }
}

static struct maker_seen *find_seen(const struct replicas *replicas, uint64_t maker_ref,
                                    uint64_t ref) {
    for (size_t i = 0; i < replicas->makers_seen_count; i++) {
        struct maker_seen *seen = &replicas->makers_seen[i];
        if (seen->maker_ref == maker_ref && seen->ref == ref) {
            return seen;
        }
    }
    return NULL;
}

void replicas_note_maker_seen(struct replicas *replicas, const struct maker_seen *seen) {
    struct maker_seen *known = find_seen(replicas, seen->maker_ref, seen->ref);
    if (known != NULL) {
        known->ticks = seen->ticks > known->ticks ? seen->ticks : known->ticks;
        return;
    }
    if (replicas->makers_seen_count == REPLICA_MAKERS_SEEN_MAX) {
        forget_makers(replicas);
        return;
    }
    replicas->makers_seen =
        memory_resize(replicas->makers_seen,
                      (replicas->makers_seen_count + 1) * sizeof(replicas->makers_seen[0]));
    replicas->makers_seen[replicas->makers_seen_count++] = *seen;
}

bool replicas_maker_saw(const struct replicas *replicas, uint64_t maker_ref, uint64_t ref,
                        uint64_t ticks) {
    const struct maker_seen *seen = find_seen(replicas, maker_ref, ref);
    return seen != NULL && ticks <= seen->ticks;
}

/* ---- on the wire and in files ---- */

void replicas_put_ends(struct buffer *out, const struct replicas *replicas) {
    codec_put_varint(out, replicas->ended_count);
    for (size_t i = 0; i < replicas->ended_count; i++) {
        const struct ended_replica *end = &replicas->ended[i];
        codec_put_u64(out, end->ref);
        codec_put_varint(out, end->ticks);
        codec_put_varint(out, end->made_ticks);
        codec_put_u64(out, end->maker_ref);
        codec_put_varint(out, end->made_from_ticks);
    }
    codec_put_varint(out, replicas->makers_seen_count);
    for (size_t i = 0; i < replicas->makers_seen_count; i++) {
        const struct maker_seen *seen = &replicas->makers_seen[i];
        codec_put_u64(out, seen->maker_ref);
        codec_put_u64(out, seen->ref);
        codec_put_varint(out, seen->ticks);
    }
}

static bool take_ticks(struct slice *bytes, uint64_t *ticks) {
    return varint_take(bytes, ticks) && *ticks <= STAMP_TICKS_ACCEPTED_MAX;
}

static bool take_end(struct slice *bytes, bool has_makers, struct ended_replica *end) {
    *end = (struct ended_replica){0};
    return codec_take_u64(bytes, &end->ref) && end->ref != 0 && take_ticks(bytes, &end->ticks) &&
           take_ticks(bytes, &end->made_ticks) &&
           (!has_makers ||
            (codec_take_u64(bytes, &end->maker_ref) && take_ticks(bytes, &end->made_from_ticks)));
}

static bool take_makers(struct slice *bytes, struct replicas *replicas) {
    uint64_t count;
    if (!varint_take(bytes, &count) || count > REPLICA_MAKERS_SEEN_MAX) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct maker_seen seen;
        if (!codec_take_u64(bytes, &seen.maker_ref) || !codec_take_u64(bytes, &seen.ref) ||
            seen.maker_ref == 0 || seen.ref == 0 || !take_ticks(bytes, &seen.ticks)) {
            return false;
        }
        if (replicas != NULL) {
            replicas_note_maker_seen(replicas, &seen);
        }
    }
    return true;
}

bool replicas_take_ends(struct slice *bytes, bool has_makers, struct replicas *replicas) {
    uint64_t count;
    if (!varint_take(bytes, &count) || count > REPLICA_ENDED_MAX) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct ended_replica end;
        if (!take_end(bytes, has_makers, &end)) {
            return false;
        }
        if (replicas != NULL) {
            replicas_note_ended(replicas, &end);
        }
    }
    return !has_makers || take_makers(bytes, replicas);
}
