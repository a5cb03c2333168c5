/* SPDX-License-Identifier: BSD-3-Clause */
/* What the three files of membership share.
 *
 *   membership.c           members come, live, die, leave, are forgotten
 *   membership_digest.c    digests out and in
 *   membership_frontier.c  claims, trust, the frontier */
#ifndef MESH_MEMBERSHIP_STATE_H
#define MESH_MEMBERSHIP_STATE_H

#include "mesh/membership.h"

/* What a digest's row says of a node. */
enum membership_row_status {
    MEMBERSHIP_ROW_PRESENT,
    MEMBERSHIP_ROW_LEFT,
    MEMBERSHIP_ROW_FORGOTTEN
};

struct membership_row {
    struct replica_id id;
    uint64_t heartbeat, texts_version;
    enum membership_row_status status;
    uint64_t left_ticks;
    struct slice address, version;
};

/* ---- membership.c ---- */

/* Somebody told this of a node. */
void membership_note_row(struct membership *membership, const struct membership_row *row,
                         uint64_t now_ms);
/* Somebody told this heartbeat of a member's present life. */
void membership_note_heartbeat(struct membership *membership, struct member *member,
                               uint64_t heartbeat, uint64_t now_ms);
/* Has it been dead, left or forgotten for so long that digests leave it out? */
bool membership_is_left_out(const struct membership *membership, const struct member *member);
static inline uint64_t membership_change(struct membership *membership) {
    return ++membership->number;
}

/* ---- membership_frontier.c ---- */

/* Gives up all claims of a member. */
void member_drop_claims(struct member *member);
/* A claim of the member came; the holder's share is taken over. */
void membership_note_claim(struct membership *membership, struct member *member,
                           struct member_claim *claim);
/* The member set has changed, and its hash by so much: claims made with another one are stale. */
void membership_set_changed(struct membership *membership, uint64_t hash_change);
/* Was this node's member set another one since the claim came? */
bool membership_is_stale(const struct membership *membership, const struct member_claim *claim);
/* `teller` has retired a replica after these ticks. */
void membership_note_retired(struct membership *membership, const struct replicas *replicas,
                             const struct stream_mark *retired, const struct member *teller);
void membership_drop_retired(struct membership *membership);

#endif
