/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies of one line, as another server sends them to us: "+OK", "-ERR ...".
 *
 * Whoever asks for nothing but statuses needs no more of RESP. Anything else, a longer line
 * included, is garbage: a byte that cannot be understood makes all that follow it doubtful. */
#ifndef PROTO_REPLY_LINE_H
#define PROTO_REPLY_LINE_H

#include "base/slice.h"

enum { REPLY_LINE_BYTES_MAX = 16 << 10 };

enum reply_line_kind {
    REPLY_LINE_STATUS,  /* `text` is what stands behind the plus */
    REPLY_LINE_ERROR,   /* behind the dash */
    REPLY_LINE_PARTIAL, /* wait for more bytes */
    REPLY_LINE_GARBAGE,
};

/* Reads the line at the front of `bytes`. With STATUS and ERROR `*text` is a part of `bytes`, and
 * `*used` says how many of them the line took. */
enum reply_line_kind reply_line_read(struct slice bytes, struct slice *text, size_t *used);

#endif
