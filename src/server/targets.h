/* SPDX-License-Identifier: BSD-3-Clause */
/* The wiring of MIGRATE: connections with the servers that keys are moved to. Names are looked up,
 * and all addresses of a name are tried, one after the other; how long that may take is up to the
 * node, as all else. Connections are plain TCP. */
#ifndef SERVER_TARGETS_H
#define SERVER_TARGETS_H

#include "node/migration.h"
#include "platform/network.h"

struct targets;

/* `network` outlives it. */
struct targets *targets_new(struct network *network);
/* After node_free(). */
void targets_free(struct targets *targets);
/* What the node's transfers ask for. */
void targets_host(struct targets *targets, struct migration_host *host);
/* At the end of a turn: sends what links have to send, and tells of connections that could not even
 * begin. */
void targets_flush(struct targets *targets);

#endif
