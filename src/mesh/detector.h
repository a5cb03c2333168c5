/* SPDX-License-Identifier: BSD-3-Clause */
/* Is a member alive? Phi accrual (Hayashibara et al., "The phi accrual failure detector", 2004):
 * not yes or no, but how improbable the present silence is, judged by how its heartbeats came.
 *
 * Taking intervals as exponentially distributed, a silence of t has the probability e^(-t/mean).
 * phi is its negative natural logarithm:
 *
 *   phi = t / scale        scale = max(mean, recent mean)
 *
 * mean: of the newest 1,000 intervals and of the prior, which counts as one interval more; so a few
 * heartbeats are not trusted yet. recent: of the newest 8 intervals, so that once heartbeats are
 * seen to get lost the detector is soon more patient. The end of a steady heartbeat is noticed
 * after 8 to 9.5 intervals. (Adding the recent deviation was tried: gossip's own jitter then makes
 * that 16.)
 *
 * The first long silence after a steady time cannot be told from an end: who notices an end within
 * 10 s takes 8 heartbeats lost in a row for one, and if each second one is lost that comes in one
 * half minute of 100. Heartbeats reach a member on several ways, by its own digests and by those
 * of others: with two ways it comes once in 10,000, with three not at all. */
#ifndef MESH_DETECTOR_H
#define MESH_DETECTOR_H

#include <stdbool.h>
#include <stdint.h>

enum {
    DETECTOR_WINDOW = 1000,
    DETECTOR_RECENT = 8,
    DETECTOR_HEARTBEATS_MIN = 3, /* fewer, and the member is not alive yet */
    DETECTOR_UNIT_MS = 4,        /* intervals are kept in these; 262 s at most */
    DETECTOR_SCALE_MS_MIN = 100, /* pauses of our own shall kill nobody */
};

#define DETECTOR_PHI_SUSPECT 5.0
#define DETECTOR_PHI_DEAD 8.0

/* Zeroed: nothing was heard. */
struct detector {
    uint16_t *intervals; /* a ring, grown as they come */
    uint16_t capacity, count, next;
    uint16_t heartbeats_count; /* stops counting at HEARTBEATS_MIN */
    uint64_t sum;              /* of the intervals */
    uint64_t last_ms;          /* of the newest heartbeat */
    uint64_t quiet_since_ms;   /* of the newest sign of life */
};

enum detector_verdict { DETECTOR_NEW, DETECTOR_ALIVE, DETECTOR_SUSPECT, DETECTOR_DEAD };

void detector_deinit(struct detector *detector);
/* Begins again: nothing was heard, and silence is counted from `now_ms`. */
void detector_reset(struct detector *detector, uint64_t now_ms);
/* A newer heartbeat arrived. */
void detector_heartbeat(struct detector *detector, uint64_t now_ms);
/* Another sign of life: it ends the silence, and says nothing about heartbeats. */
void detector_sign(struct detector *detector, uint64_t now_ms);
/* This node was not looking for so long (its own process stood still): not a silence of others. */
void detector_forgive(struct detector *detector, uint64_t pause_ms, uint64_t now_ms);
/* `prior_ms` is the interval assumed before any was seen: 5 s where heartbeats come each second. */
double detector_phi(const struct detector *detector, uint64_t prior_ms, uint64_t now_ms);
/* NEW until the third heartbeat, then by phi. DEAD also for one whose third never comes. */
enum detector_verdict detector_judge(const struct detector *detector, uint64_t prior_ms,
                                     uint64_t now_ms);

#endif
