/* SPDX-License-Identifier: BSD-3-Clause */
/* One thread that does small jobs in the order they come, such as freeing big values. */
#ifndef PLATFORM_BACKGROUND_H
#define PLATFORM_BACKGROUND_H

#include <stdint.h>

struct background;

struct background *background_new(void);
/* Does what is waiting, then ends the thread. */
void background_free(struct background *background);
/* Calls job(object) on the thread. From any thread. */
void background_add(struct background *background, void (*job)(void *object), void *object);
/* Jobs that are waiting or running. */
uint64_t background_pending(struct background *background);
/* The bytes that the thread has allocated, less those it has freed: negative when it frees what
 * others made. */
int64_t background_allocated_bytes(const struct background *background);

#endif
