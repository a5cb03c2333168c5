/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests: arrays of bulk strings, or inline lines, cut out of the bytes that a client sent
 * (https://redis.io/docs/latest/develop/reference/protocol-spec/).
 *
 * The parser works on the connection's own bytes: arguments are slices into them. It may be called
 * again with more bytes at any cut; it goes on where it stopped, so a request that arrives byte by
 * byte costs no more than one that arrives at once. */
#ifndef PROTO_REQUEST_H
#define PROTO_REQUEST_H

#include "base/buffer.h"

enum {
    REQUEST_INLINE_BYTES_MAX = 64 << 10, /* longest inline request, and longest header line */
    REQUEST_ARGS_MAX = INT32_MAX, /* most arguments of a request; room is made as they come */
    REQUEST_ARGS_MAX_UNAUTHENTICATED = 10,
    REQUEST_BULK_BYTES_MAX_UNAUTHENTICATED = 16384,
    REQUEST_ERROR_BYTES_MAX = 80,
};

struct request_limits {
    uint64_t bulk_bytes_max; /* proto-max-bulk-len */
    bool is_authenticated;   /* else much smaller limits hold */
};

/* The arguments of many requests, one after the other. */
struct request_args {
    struct slice *items;
    size_t count, capacity;
};

/* State of a request that is not complete yet; zeroed between requests. */
struct request_parser {
    size_t position;     /* bytes of the request already understood */
    uint32_t args_total; /* 0: the array header has not been read */
    uint32_t args_done;
    uint64_t
        bulk_bytes; /* size of the argument being read plus 1; 0: its header has not been read */
    size_t *saved;  /* offset and size of each argument that is done, args_done pairs */
    size_t saved_capacity;
};

enum request_status {
    REQUEST_COMPLETE,
    REQUEST_EMPTY,      /* an empty line or array: skip it, no reply */
    REQUEST_INCOMPLETE, /* wait for more bytes */
    REQUEST_AGAIN,      /* `scratch` has no room left: call again once it was cleared */
    REQUEST_INVALID,    /* reply `*error` and close the connection */
};

void request_args_deinit(struct request_args *args);
/* A copy of arguments in one block, slices first, that the caller frees; `*bytes` is its size. NULL
 * when memory is out. */
struct slice *request_args_copy(const struct slice *args, size_t args_count, size_t *bytes);
void request_parser_deinit(struct request_parser *parser);

/* Reads one request from the front of `bytes`, which must start at the same byte until it is
 * complete. On COMPLETE its arguments are appended to `args`; on COMPLETE and EMPTY `*used` says
 * how many bytes it took and the parser is zeroed for the next. Inline requests are unescaped into
 * `scratch`, which must not be changed while the arguments are in use. `error` gets text like
 * "ERR Protocol error: ...". */
enum request_status request_parse(struct request_parser *parser, struct slice bytes,
                                  const struct request_limits *limits, struct request_args *args,
                                  size_t *used, struct buffer *scratch,
                                  char error[REQUEST_ERROR_BYTES_MAX]);

/* What is known of the request at the front of `bytes`, parsed so far or not: a hint for reading
 * large values into room that is made for them. */
struct request_outlook {
    size_t missing; /* the argument being read needs so many bytes more; 0: unknown */
    size_t end;     /* of the request, which is whole; 0: it is not, or that is unknown */
};
struct request_outlook request_look_ahead(const struct request_parser *parser, struct slice bytes);

#endif
