/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/oom_score.h"

#include "platform/process.h"

enum { SCORE_MAX = 1000 };

bool oom_score_follow_options(struct oom_score *score, const struct options *options,
                              struct buffer *error) {
    int inherited = score->inherited;
    int64_t wanted = options->oom_score_adj_values.values[0];
    if (options->oom_score_adj == OPTION_OOM_SCORE_ADJ_NO) {
        oom_score_restore(score);
        return true;
    }
    if (!score->is_set && !process_oom_score(&inherited)) {
        buffer_printf(error, "Failed to set oom_score_adj: the system has none");
        return false;
    }
    if (options->oom_score_adj != OPTION_OOM_SCORE_ADJ_ABSOLUTE) {
        wanted += inherited;
    }
    wanted = wanted > SCORE_MAX ? SCORE_MAX : wanted < -SCORE_MAX ? -SCORE_MAX : wanted;
    if (!process_set_oom_score((int)wanted)) {
        buffer_printf(error, "Failed to set oom_score_adj to %d: permission denied", (int)wanted);
        return false;
    }
    *score = (struct oom_score){.is_set = true, .inherited = inherited};
    return true;
}

void oom_score_restore(struct oom_score *score) {
    if (score->is_set) {
        (void)process_set_oom_score(score->inherited);
        score->is_set = false;
    }
}
