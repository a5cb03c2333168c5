/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/detector.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum { CAPACITY_FIRST = 8 };
void detector_deinit(struct detector *detector) {
    memory_free(detector->intervals);
    *detector = (struct detector){0};
}

void detector_reset(struct detector *detector, uint64_t now_ms) {
    detector_deinit(detector);
    detector->last_ms = now_ms;
    detector->quiet_since_ms = now_ms;
}

static void add_interval(struct detector *detector, uint64_t interval_ms) {
    uint64_t units = interval_ms / DETECTOR_UNIT_MS;
    uint16_t interval = units < UINT16_MAX ? (uint16_t)units : UINT16_MAX;
    if (detector->count == detector->capacity && detector->capacity < DETECTOR_WINDOW) {
        /* The ring has not come round yet, so it lies in order. */
        unsigned capacity = detector->capacity == 0 ? CAPACITY_FIRST : 2U * detector->capacity;
        detector->capacity = (uint16_t)(capacity < DETECTOR_WINDOW ? capacity : DETECTOR_WINDOW);
        detector->intervals =
            memory_resize(detector->intervals, detector->capacity * sizeof(detector->intervals[0]));
        detector->next = detector->count;
    }
    if (detector->count == detector->capacity) {
        detector->sum -= detector->intervals[detector->next];
    } else {
        detector->count++;
    }
    detector->intervals[detector->next] = interval;
    detector->sum += interval;
    detector->next = (uint16_t)(detector->next + 1 < detector->capacity ? detector->next + 1 : 0);
}

void detector_heartbeat(struct detector *detector, uint64_t now_ms) {
    require(now_ms >= detector->last_ms);
    if (detector->heartbeats_count > 0) {
        add_interval(detector, now_ms - detector->last_ms);
    }
    if (detector->heartbeats_count < DETECTOR_HEARTBEATS_MIN) {
        detector->heartbeats_count++;
    }
    detector->last_ms = now_ms;
    detector->quiet_since_ms = now_ms;
}

void detector_sign(struct detector *detector, uint64_t now_ms) {
    if (now_ms > detector->quiet_since_ms) {
        detector->quiet_since_ms = now_ms;
    }
}

static uint64_t later(uint64_t ms, uint64_t pause_ms, uint64_t now_ms) {
    return now_ms - ms > pause_ms ? ms + pause_ms : now_ms;
}

void detector_forgive(struct detector *detector, uint64_t pause_ms, uint64_t now_ms) {
    require(now_ms >= detector->last_ms);
    require(now_ms >= detector->quiet_since_ms);
    detector->last_ms = later(detector->last_ms, pause_ms, now_ms);
    detector->quiet_since_ms = later(detector->quiet_since_ms, pause_ms, now_ms);
}

/* The mean of the newest intervals; 0 while there are too few. */
static double recent_ms(const struct detector *detector) {
    double sum = 0;
    if (detector->count < DETECTOR_RECENT) {
        return 0;
    }
    for (unsigned i = 1; i <= DETECTOR_RECENT; i++) {
        unsigned place = (detector->next + detector->capacity - i) % detector->capacity;
        sum += detector->intervals[place];
    }
    return sum * DETECTOR_UNIT_MS / DETECTOR_RECENT;
}

static double greater(double a, double b) {
    return a > b ? a : b;
}

double detector_phi(const struct detector *detector, uint64_t prior_ms, uint64_t now_ms) {
    double scale = ((double)detector->sum * DETECTOR_UNIT_MS + (double)prior_ms) /
                   (double)(detector->count + 1);
    scale = greater(scale, recent_ms(detector));
    scale = greater(scale, DETECTOR_SCALE_MS_MIN);
    uint64_t quiet_ms = now_ms > detector->quiet_since_ms ? now_ms - detector->quiet_since_ms : 0;
    return (double)quiet_ms / scale;
}

enum detector_verdict detector_judge(const struct detector *detector, uint64_t prior_ms,
                                     uint64_t now_ms) {
    double phi = detector_phi(detector, prior_ms, now_ms);
    if (phi > DETECTOR_PHI_DEAD) {
        return DETECTOR_DEAD;
    }
    if (detector->heartbeats_count < DETECTOR_HEARTBEATS_MIN) {
        return DETECTOR_NEW;
    }
    return phi >= DETECTOR_PHI_SUSPECT ? DETECTOR_SUSPECT : DETECTOR_ALIVE;
}
