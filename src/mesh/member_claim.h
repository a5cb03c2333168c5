/* SPDX-License-Identifier: BSD-3-Clause */
/* Claims: the context that a member told, as it was with its member set at that time.
 *
 * A member may have written to a few replicas' worth of entries or to a thousand's, and there may
 * be thousands of members, so contexts are kept as sorted runs of stamps, 8 bytes for each entry.
 * Refs that this node has no slot for stay as they came until it has one. */
#ifndef MESH_MEMBER_CLAIM_H
#define MESH_MEMBER_CLAIM_H

#include "crdt/replica.h"
#include "crdt/stream.h"

/* At most one stamp for each slot, in the order of slots. Zeroed: none. */
struct member_stamps {
    uint64_t *items;
    unsigned count, capacity;
};

void member_stamps_deinit(struct member_stamps *stamps);
/* The stamp with that slot, or 0. */
uint64_t member_stamps_get(const struct member_stamps *stamps, unsigned slot);
/* Puts the stamp in place of an older one with its slot; a newer one stays. */
void member_stamps_raise(struct member_stamps *stamps, uint64_t stamp);
void member_stamps_remove(struct member_stamps *stamps, unsigned slot);

struct member_claim {
    unsigned holders_count;
    uint64_t set_number; /* of this node's member set when it came */
    uint64_t version;    /* the claimer's heartbeat when it changed */
    uint64_t set_hash;   /* of the claimer's member set */
    struct member_stamps stamps;
    struct stream_mark *foreign; /* entries of refs without a slot here */
    unsigned foreign_count;
    uint64_t table_version; /* of the table of replicas that `foreign` was last looked up in */
};

/* A new claim with one holder, without entries. */
struct member_claim *member_claim_new(uint64_t version, uint64_t set_hash);
/* One holder more, one less; `claim` may be NULL. */
struct member_claim *member_claim_ref(struct member_claim *claim);
void member_claim_unref(struct member_claim *claim);
/* Adds an entry. */
void member_claim_add(struct member_claim *claim, const struct replicas *replicas, uint64_t ref,
                      uint64_t ticks);
/* Looks up foreign entries, if the table has changed; those of retired replicas go. */
void member_claim_look_up(struct member_claim *claim, const struct replicas *replicas);
/* Do both say the same? */
bool member_claim_equal(const struct member_claim *a, const struct member_claim *b);
size_t member_claim_memory_bytes(const struct member_claim *claim);

#endif
