/* SPDX-License-Identifier: BSD-3-Clause */
/* A session token: what a node had seen when it gave it out, as text that a client carries to
 * another node. Who waits there until the token is covered reads its own writes, and all that it
 * read before.
 *
 * Before base64url: version byte | count | (ref (8 bytes), last ticks)... | CRC-32C (4 bytes).
 * Numbers are varints unless said otherwise, little endian. */
#ifndef NODE_SESSION_TOKEN_H
#define NODE_SESSION_TOKEN_H

#include "base/buffer.h"
#include "store/store.h"

struct session_token;

/* Appends a token of all that the store has seen. */
void session_token_write(const struct store *store, struct buffer *text);
/* NULL when the text is no token. The caller frees it. */
struct session_token *session_token_read(struct slice text);
void session_token_free(struct session_token *token);
/* Has the store seen all of it? Forgets what was found seen, so that asking again is cheap. */
bool session_token_is_covered(struct session_token *token, const struct store *store);

#endif
