/* SPDX-License-Identifier: BSD-3-Clause */
/* Several distinct elements of one key, chosen at random. */
#ifndef STORE_ELEMENTS_SAMPLE_H
#define STORE_ELEMENTS_SAMPLE_H

#include "store/elements.h"

/* Calls `each` for `count` distinct elements, or all if there are no more; every choice of that
 * many is (nearly) as likely as any other, their order is none in particular. Fewer come only where
 * elements have expired and are still counted. `each` may not change the key. OUT_OF_MEMORY: it was
 * not called. */
enum store_status elements_sample(struct store *store, const struct elements *elements,
                                  uint64_t count, element_fn each, void *udata);

#endif
