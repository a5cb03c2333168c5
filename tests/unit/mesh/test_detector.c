/* SPDX-License-Identifier: BSD-3-Clause */
/* The failure detector: steady heartbeats that stop are noticed within 10 s; alive only from the
 * third; lost heartbeats kill nobody, as far as any detector can help it; and a naive recalculation
 * of phi agrees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <math.h>
#include <cmocka.h>

#include "mesh/detector.h"
#include "unit/seed.h"

enum { PRIOR_MS = 5000 };

static enum detector_verdict judge(const struct detector *detector, uint64_t now_ms) {
    return detector_judge(detector, PRIOR_MS, now_ms);
}

/* Row 6, first sentence. */
static void alive_from_the_third_heartbeat(void **state) {
    (void)state;
    struct detector detector = {0};
    detector_reset(&detector, 1000);
    assert_int_equal(judge(&detector, 1000), DETECTOR_NEW);
    for (uint64_t i = 1; i <= 5; i++) {
        detector_heartbeat(&detector, 1000 + i * 1000);
        detector_sign(&detector, 1000 + i * 1000 + 300);
        assert_int_equal(judge(&detector, 1000 + i * 1000 + 900),
                         i < 3 ? DETECTOR_NEW : DETECTOR_ALIVE);
    }
    detector_reset(&detector, 100000);
    assert_int_equal(judge(&detector, 101000), DETECTOR_NEW);
    /* One that is never heard is given up. */
    assert_int_equal(judge(&detector, 139000), DETECTOR_NEW);
    assert_int_equal(judge(&detector, 141000), DETECTOR_DEAD);
    detector_deinit(&detector);
}

/* Row 6, second sentence, for any number of heartbeats and with jitter. */
static void steady_heartbeats_that_stop(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "steady_heartbeats_that_stop", 1);
    for (unsigned count = 20; count <= 3000; count += count < 100 ? 1 : 97) {
        for (unsigned jitter_ms = 0; jitter_ms <= 50; jitter_ms += 50) {
            struct detector detector = {0};
            uint64_t now = 5000;
            detector_reset(&detector, now);
            for (unsigned i = 0; i < count; i++) {
                now += 1000;
                detector_heartbeat(&detector,
                                   now + (jitter_ms == 0 ? 0 : prng_below(&prng, jitter_ms + 1)));
            }
            now = detector.last_ms;
            assert_int_equal(judge(&detector, now + 3000), DETECTOR_ALIVE);
            assert_int_equal(judge(&detector, now + 7000), DETECTOR_SUSPECT);
            assert_true(detector_phi(&detector, PRIOR_MS, now + 10000) > DETECTOR_PHI_DEAD);
            assert_int_equal(judge(&detector, now + 10000), DETECTOR_DEAD);
            detector_deinit(&detector);
        }
    }
}

/* phi grows with silence, and is what the header says. */
static void phi_is_as_documented(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "phi_is_as_documented", 1);
    static double intervals[5000];
    struct detector detector = {0};
    uint64_t now = 0;
    detector_reset(&detector, now);
    detector_heartbeat(&detector, now);
    for (int count = 0; count < 5000; count++) {
        uint64_t interval = DETECTOR_UNIT_MS * prng_below(&prng, 1000);
        now += interval;
        detector_heartbeat(&detector, now);
        intervals[count] = (double)interval;
        int first = count + 1 > DETECTOR_WINDOW ? count + 1 - DETECTOR_WINDOW : 0;
        double sum = PRIOR_MS, recent = 0;
        for (int i = first; i <= count; i++) {
            sum += intervals[i];
        }
        double scale = sum / (count + 1 - first + 1);
        if (count + 1 >= DETECTOR_RECENT) {
            for (int i = count + 1 - DETECTOR_RECENT; i <= count; i++) {
                recent += intervals[i] / DETECTOR_RECENT;
            }
            scale = fmax(scale, recent);
        }
        uint64_t silence = prng_below(&prng, 20000);
        double phi = detector_phi(&detector, PRIOR_MS, now + silence);
        assert_true(fabs(phi - (double)silence / scale) < 1e-6);
        assert_true(detector_phi(&detector, PRIOR_MS, now + silence + 1000) > phi);
    }
    assert_int_equal(detector.capacity, DETECTOR_WINDOW);
    detector_deinit(&detector);
}

/* A steady minute, then each heartbeat gets lost on each of `ways` with probability one half for
 * 30 s (a later way brings it a second later). Was there a death? `lost` becomes how many were lost
 * in a row on all ways before it, `is_first` whether none was lost in the steady time or since. */
static bool dies(struct prng *prng, unsigned ways, unsigned *lost, bool *is_first) {
    struct detector detector = {0};
    bool is_dead = false;
    uint64_t newest = 0, next = 1;
    bool arrives[128] = {0};
    *lost = 0;
    *is_first = true;
    detector_reset(&detector, 0);
    for (uint64_t ms = 1000; ms <= 100000 && !is_dead; ms += 100) {
        if (ms % 1000 == 0) {
            uint64_t beat = ms / 1000;
            uint64_t delay = 0;
            bool is_lossy = beat > 60 && beat <= 90;
            while (is_lossy && delay < ways && prng_below(prng, 2) == 0) {
                delay++;
            }
            if (!is_lossy || delay < ways) {
                arrives[beat + delay] = true;
                newest = beat > newest ? beat : newest;
            }
        }
        if (ms % 1000 == 500 && arrives[ms / 1000]) {
            if (ms / 1000 > next && *lost > 0) {
                *is_first = false;
            }
            detector_heartbeat(&detector, ms);
            next = ms / 1000 + 1;
            *lost = 0;
        } else if (ms % 1000 == 500) {
            ++*lost;
        }
        is_dead = judge(&detector, ms) == DETECTOR_DEAD;
    }
    detector_deinit(&detector);
    return is_dead;
}

/* Row 6, third sentence. With one way only, a first silence of 8 heartbeats cannot be told from an
 * end that must be noticed within 10 s: it comes in one history of 128, and must be the greater
 * part of the deaths. With the three ways that gossip takes, nobody dies in 10,000 histories. */
static void losses_kill_nobody(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "losses_kill_nobody", 1);
    unsigned deaths[4] = {0}, avoidable = 0;
    for (unsigned ways = 1; ways <= 3; ways++) {
        for (int i = 0; i < 10000; i++) {
            unsigned lost;
            bool is_first;
            if (dies(&prng, ways, &lost, &is_first)) {
                deaths[ways]++;
                assert_true(lost >= 8);
                avoidable += !is_first;
            }
        }
        printf("%u ways, half of the heartbeats lost: %u deaths in 10000 histories\n", ways,
               deaths[ways]);
    }
    printf("of these after an earlier loss: %u\n", avoidable);
    assert_true(deaths[1] < 200);
    assert_true(avoidable < 100);
    assert_true(deaths[2] < 10);
    assert_int_equal(deaths[3], 0);
}

static void pauses_of_our_own_are_forgiven(void **state) {
    (void)state;
    struct detector detector = {0};
    detector_reset(&detector, 0);
    uint64_t now = 0;
    for (int i = 0; i < 50; i++) {
        now += 1000;
        detector_heartbeat(&detector, now);
    }
    detector_forgive(&detector, 60000, now + 60500);
    assert_int_equal(judge(&detector, now + 61000), DETECTOR_ALIVE);
    detector_heartbeat(&detector, now + 61000);
    assert_int_equal(judge(&detector, now + 71000), DETECTOR_DEAD);
    detector_sign(&detector, now + 70000);
    assert_int_equal(judge(&detector, now + 71000), DETECTOR_ALIVE);
    detector_deinit(&detector);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alive_from_the_third_heartbeat),
        cmocka_unit_test(steady_heartbeats_that_stop),
        cmocka_unit_test(phi_is_as_documented),
        cmocka_unit_test(losses_kill_nobody),
        cmocka_unit_test(pauses_of_our_own_are_forgiven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
