/* SPDX-License-Identifier: BSD-3-Clause */
/* What LOLWUT draws: a flock of starlings at dusk, another one each time. */
#ifndef NODE_LOLWUT_H
#define NODE_LOLWUT_H

#include "base/buffer.h"
#include "base/prng.h"

enum { LOLWUT_COLUMNS_MAX = 160, LOLWUT_ROWS_MAX = 80 };

/* Appends a picture of at most the MAX columns and rows. */
void lolwut_draw(struct prng *prng, unsigned columns, unsigned rows, struct buffer *text);

#endif
