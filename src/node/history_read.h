/* SPDX-License-Identifier: BSD-3-Clause */
/* A node that was forgotten reads its own log through, from the oldest record on, before its state
 * is compared with that of the mesh (store/rebase.h): for what counters had been when the mesh saw
 * them last (store/counter_history.h). */
#ifndef NODE_HISTORY_READ_H
#define NODE_HISTORY_READ_H

#include "log/log.h"
#include "store/sync.h"

struct history_read;

struct history_read *history_read_new(struct log *log);
/* Before the log goes; NULL is let be. */
void history_read_free(struct history_read *read);
/* Reads some records, all parts of `sync` being in; false while there is more. Hands what it found
 * over to `sync` at the end; nothing, if the log cannot be read through. */
bool history_read_some(struct history_read *read, struct sync *sync, struct store *store);

#endif
