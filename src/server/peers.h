/* SPDX-License-Identifier: BSD-3-Clause */
/* The wiring of the mesh: its listeners and connections, TLS, names, proofs of the secret.
 * Decisions are those of mesh/; here bytes are carried and addresses found. */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#include "node/node.h"
#include "platform/network.h"

struct peers;

typedef void (*peers_say_fn)(void *udata, enum log_level level, const char *text);

/* `options`, `network` and `tls` outlive it; `tls` is used while mesh-tls is on. */
struct peers *peers_new(struct network *network, const struct options *options,
                        const struct tls *tls, peers_say_fn say, void *udata);
/* After node_free(), or without a mesh. */
void peers_free(struct peers *peers);
/* What the node's mesh asks for. */
void peers_host(struct peers *peers, struct mesh_host *host);
/* Whom connections are handed to, once the node has started; NULL: nobody, they wait. */
void peers_set_mesh(struct peers *peers, struct mesh *mesh);
/* Closes the listeners and opens those that options ask for; none without a mesh. False, with words
 * in `error`, when that fails; then there are none. */
bool peers_listen(struct peers *peers, struct buffer *error);
/* After mesh-tls has changed: connections that are not as it says are closed, and made anew. */
void peers_follow_tls(struct peers *peers);
/* Where others reach this node: the first address that is listened on, or, of all of them, the one
 * that this machine has for the rest of the world. */
void peers_host_name(const struct peers *peers, char *text, size_t text_bytes);
/* At the end of a turn: sends what links have to send, and reads on where there is room again. */
void peers_flush(struct peers *peers);

#endif
