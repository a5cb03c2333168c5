/* SPDX-License-Identifier: BSD-3-Clause */
/* LZF, the byte compression inside Redis's serialised values. A compressed run is a series of
 *
 *   000LLLLL                          L + 1 bytes follow as they are (1 to 32)
 *   LLLooooo oooooooo                 copy L + 2 bytes (3 to 8) from o + 1 bytes back
 *   111ooooo LLLLLLLL oooooooo        copy L + 9 bytes (9 to 264) from o + 1 bytes back
 *
 * where L is 1 to 6 in the second form, and a copy may overlap what it writes. The original size
 * is not part of it. */
#ifndef BASE_LZF_H
#define BASE_LZF_H

#include "base/slice.h"

enum {
    LZF_LITERALS_MAX = 32,
    LZF_COPY_MIN = 3,
    LZF_COPY_MAX = 264,
    LZF_OFFSET_MAX = 8192,
    /* Three bytes stand for at most LZF_COPY_MAX: nothing expands by more than this. */
    LZF_EXPANSION_MAX = LZF_COPY_MAX / 3,
};

/* Compresses `input`, of less than 4 GiB, to at most `room` bytes at `output`. Returns the bytes
 * used, 0 when they do not suffice. */
size_t lzf_compress(struct slice input, char *output, size_t room);
/* Expands `input` to exactly `size` bytes at `output`; false when it is malformed or its size is
 * another. Safe for any input. */
bool lzf_expand(struct slice input, char *output, size_t size);

#endif
