/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of INFO. */
#ifndef NODE_INFO_H
#define NODE_INFO_H

#include "node/node.h"

/* The Redis whose behaviour is the model: what clients and tools that ask for a version are told.
 */
#define INFO_REDIS_VERSION "7.2.4"

/* Appends the sections that the words name, in their usual order and each at most once: names of
 * sections, "default" (also when there are no words), "all", "everything". Words that name no
 * section are ignored. */
void info_write(struct node *node, const struct slice *words, size_t words_count,
                struct buffer *text);

#endif
