/* SPDX-License-Identifier: BSD-3-Clause */
/* `oom-score-adj`: whom the kernel kills first when memory is out. A score is added to the one that
 * the process was started with (relative), or replaces it (absolute); it comes back when the option
 * is turned off. Of `oom-score-adj-values` the first counts: there are no replicas and no children.
 */
#ifndef SERVER_OOM_SCORE_H
#define SERVER_OOM_SCORE_H

#include "base/buffer.h"
#include "config/options.h"

struct oom_score {
    bool is_set;   /* by us */
    int inherited; /* else what there was before; has a meaning while `is_set` */
};

/* Sets what the options say. False, with words in `error`, when the system does not let us; then
 * nothing has changed. */
bool oom_score_follow_options(struct oom_score *score, const struct options *options,
                              struct buffer *error);
/* Puts back what there was before. */
void oom_score_restore(struct oom_score *score);

#endif
