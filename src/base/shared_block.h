/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that several hold at a time: the first member of whatever lies in it. Each holder has a
 * reference; who gives the last one back frees it. Bytes that others may refer to are not changed
 * while there are references other than one's own. One thread. */
#ifndef BASE_SHARED_BLOCK_H
#define BASE_SHARED_BLOCK_H

#include <stddef.h>

#include "base/check.h"

struct shared_block {
    unsigned references;
    void (*free)(struct shared_block *block);
};

static inline struct shared_block *shared_block_hold(struct shared_block *block) {
    block->references++;
    return block;
}

/* NULL is let be. */
static inline void shared_block_release(struct shared_block *block) {
    if (block == NULL) {
        return;
    }
    require(block->references > 0);
    if (--block->references == 0) {
        block->free(block);
    }
}

#endif
