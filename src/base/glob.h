/* SPDX-License-Identifier: BSD-3-Clause */
/* Shell-like patterns as KEYS, SCAN and CONFIG GET take them.
 *
 *   *      any bytes, also none        ?      any one byte
 *   [abc]  one of the bytes, with ranges a-z, [^abc] any other; a missing ] ends at the pattern's
 *          end, and a range may be written from either side
 *   \x     x itself, also inside brackets
 *
 * An empty text is matched by the empty pattern alone, as in Redis: commands that list all take "*"
 * for no pattern.
 *
 * Only the last star is ever gone back to, so a match takes at most pattern size times text size
 * steps, whatever the pattern. */
#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include "base/slice.h"

/* A pattern matches nothing that needs more runs of stars than these; Redis has the same bound. */
enum { GLOB_STARS_MAX = 1000 };

/* True when the whole of `text` matches; `nocase` makes ASCII letters equal. */
bool glob_match(struct slice pattern, struct slice text, bool nocase);

/* True when the pattern has no special byte, so that it matches only itself. */
bool glob_is_literal(struct slice pattern);

#endif
